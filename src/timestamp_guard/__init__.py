"""
Make `updatedAt` trustworthy: judged where it is written, checked where it is stored, filled where it is missing, and
every step can be taken back.

Names are loaded when they are first used: a service that imports a validator loads no engine, and nobody loads
SQLAlchemy, cattrs or msgspec before a store or a hook needs them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .engine import Enforcement as Enforcement
    from .engine import Migration as Migration
    from .engine import Pace as Pace
    from .engine import Plan as Plan
    from .engine import Profile as Profile
    from .engine import Verification as Verification
    from .engine import backfill as backfill
    from .engine import check as check
    from .engine import enforce as enforce
    from .engine import enforcement as enforcement
    from .engine import migrate as migrate
    from .engine import plan as plan
    from .engine import profile as profile
    from .engine import rollback as rollback
    from .engine import runs as runs
    from .engine import unenforce as unenforce
    from .engine import verify as verify
    from .engine import violations as violations
    from .errors import InvalidTimestamps as InvalidTimestamps
    from .errors import StoreError as StoreError
    from .errors import TimestampGuardError as TimestampGuardError
    from .errors import UsageError as UsageError
    from .instants import ABSENT as ABSENT
    from .instants import Encoding as Encoding
    from .ledger import Change as Change
    from .ledger import Run as Run
    from .predicate import Violation as Violation
    from .repairs import MISSING as MISSING
    from .repairs import Repair as Repair
    from .repairs import by as by
    from .repairs import earliest as earliest
    from .repairs import latest as latest
    from .repairs import reread as reread
    from .report import Report as Report
    from .rules import NOW as NOW
    from .rules import Field as Field
    from .rules import Guard as Guard
    from .rules import in_order as in_order
    from .rules import present as present
    from .rules import updated_at_guard as updated_at_guard
    from .stores import open_ledger as open_ledger
    from .stores import open_store as open_store
    from .stores.memory import MemoryStore as MemoryStore
    from .validators import follows as follows
    from .validators import guarded as guarded
    from .validators import timestamp as timestamp

_HOMES: Final = {
    "engine": (
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
    ),
    "errors": ("InvalidTimestamps", "StoreError", "TimestampGuardError", "UsageError"),
    "instants": ("ABSENT", "Encoding"),
    "ledger": ("Change", "Run"),
    "predicate": ("Violation",),
    "repairs": ("MISSING", "Repair", "by", "earliest", "latest", "reread"),
    "report": ("Report",),
    "rules": ("NOW", "Field", "Guard", "in_order", "present", "updated_at_guard"),
    "stores": ("open_ledger", "open_store"),
    "stores.memory": ("MemoryStore",),
    "validators": ("follows", "guarded", "timestamp"),
}
_HOME: Final = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)  # noqa: PLE0605 - one list of names is enough


def __getattr__(name: str) -> Any:
    """Load a name from its home; see PEP 562."""
    if name not in _HOME:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    # Set here as well, so that this is asked once; and so that a module of the same name cannot take its place.
    found = globals()[name] = getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    return found


def __dir__() -> list[str]:
    return __all__
