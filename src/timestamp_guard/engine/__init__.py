"""What can be done with a store: check, plan, backfill, rollback, and what was done."""

from .backfill import backfill
from .check import check, violations
from .enforce import Enforcement, enforce, enforcement, unenforce
from .migrate import Migration, migrate
from .pace import Pace
from .plan import Plan, plan
from .profile import Profile, profile
from .rollback import rollback, runs
from .verify import Verification, verify

__all__ = [
    "Enforcement",
    "Migration",
    "Pace",
    "Plan",
    "Profile",
    "Verification",
    "backfill",
    "check",
    "enforce",
    "enforcement",
    "migrate",
    "plan",
    "profile",
    "rollback",
    "runs",
    "unenforce",
    "verify",
    "violations",
]
