"""What can be done with a store: check, plan, backfill, rollback, and what was done."""

from .backfill import backfill
from .check import check, violations
from .enforce import Enforcement, enforce, enforcement, unenforce
from .pace import Pace
from .plan import Plan, plan
from .profile import Profile, profile
from .rollback import rollback, runs

__all__ = [
    "Enforcement",
    "Pace",
    "Plan",
    "Profile",
    "backfill",
    "check",
    "enforce",
    "enforcement",
    "plan",
    "profile",
    "rollback",
    "runs",
    "unenforce",
    "violations",
]
