"""
Make `updatedAt` trustworthy: judged where it is written, checked where it is stored, filled where it is missing, and
every step can be taken back.
"""

from .engine import Pace, Plan, Profile, backfill, check, plan, profile, rollback, runs, violations
from .errors import InvalidTimestamps, StoreError, TimestampGuardError, UsageError
from .instants import ABSENT, Encoding
from .ledger import Change, Run
from .predicate import Violation
from .repairs import MISSING, Repair, by, earliest, latest, reread
from .report import Report
from .rules import NOW, Field, Guard, in_order, present, updated_at_guard
from .stores.memory import MemoryStore

__all__ = [
    "ABSENT", "MISSING", "NOW", "Change", "Encoding", "Field", "Guard", "InvalidTimestamps", "MemoryStore", "Pace",
    "Plan", "Profile", "Repair", "Report", "Run", "StoreError", "TimestampGuardError", "UsageError", "Violation",
    "backfill", "by", "check", "earliest", "in_order", "latest", "plan", "present", "profile", "reread", "rollback",
    "runs", "updated_at_guard", "violations",
]  # fmt: skip
