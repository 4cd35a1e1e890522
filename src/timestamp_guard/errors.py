"""
Everything that timestamp_guard raises.

::

    TimestampGuardError
    ├── InvalidTimestamps      a value or record breaks its guard (also a ValueError)
    ├── UsageError             the call cannot be right as it stands (also a ValueError)
    │   ├── UnknownName        no such table, field, key or run
    │   ├── EncodingMismatch   the declared encoding is not what the column holds
    │   ├── NoIdentity         no key by which a row could be found again
    │   ├── PlanChanged        an unfinished run was planned differently
    │   ├── ConfigurationError the configuration file says something it cannot mean
    │   └── MissingExtra       an optional package is not installed
    ├── StoreError             the store is not there or cannot be read or written
    │   ├── StoreMissing
    │   ├── StoreLocked
    │   │   └── RunBusy        another process works on this table
    │   ├── StoreReadOnly
    │   ├── StoreFull
    │   ├── StoreDamaged
    │   ├── WriteFailed        the store refused a whole write; nothing of it was made
    │   ├── LedgerError        the ledger is damaged, or of a version we do not know
    │   ├── WriteUndone        the store does not keep what is written (a trigger, a column's affinity)
    │   └── LeaseLost          another process took the run over
    ├── StillBroken            rows break what was to be proved of all
    └── TooManyFailures        the circuit breaker opened: the run stopped, with what it did recorded

On the command line a :class:`UsageError` exits 2, a :class:`StoreError` 3, everything else 1.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .predicate import Violation

__all__ = [
    "ConfigurationError",
    "EncodingMismatch",
    "InvalidTimestamps",
    "LeaseLost",
    "LedgerError",
    "MissingExtra",
    "NoIdentity",
    "PlanChanged",
    "RunBusy",
    "StillBroken",
    "StoreDamaged",
    "StoreError",
    "StoreFull",
    "StoreLocked",
    "StoreMissing",
    "StoreReadOnly",
    "TimestampGuardError",
    "TooManyFailures",
    "UnknownName",
    "UsageError",
    "WriteFailed",
    "WriteUndone",
]


class TimestampGuardError(Exception):
    """The root: catch this to catch everything that this library raises."""


class InvalidTimestamps(TimestampGuardError, ValueError):
    """
    A value or record breaks its guard.

    `violations` holds every rule that is broken, in the order of the guard.
    """

    def __init__(self, violations: Sequence[Violation]) -> None:
        self.violations = tuple(violations)
        super().__init__(self.violations)

    def __str__(self) -> str:
        return "\n".join(str(violation) for violation in self.violations)


class UsageError(TimestampGuardError, ValueError):
    """The call cannot be right as it stands; nothing was read or written."""


class UnknownName(UsageError):
    """A table, field, key or run of that name is not there; `near` holds the nearest names."""

    def __init__(self, what: str, name: str, where: str, known: Iterable[str] = ()) -> None:
        self.what = what
        self.name = name
        self.where = where
        self.known = tuple(known)
        self.near = tuple(_near(name, self.known))
        super().__init__(what, name, where, self.known)

    def __str__(self) -> str:
        said = f"no {self.what} {self.name!r} in {self.where}"
        if self.near:
            return f"{said}; did you mean {' or '.join(repr(name) for name in self.near)}?"
        if self.known:
            shown = ", ".join(self.known[:12]) + (", ..." if len(self.known) > 12 else "")
            return f"{said}; there is {shown}"
        return said


class EncodingMismatch(UsageError):
    """The declared encoding is not what the column holds."""


class NoIdentity(UsageError):
    """The table has no key by which a row could be found again, so no change could be undone."""


class PlanChanged(UsageError):
    """An unfinished run was planned differently from what is asked for now."""


class ConfigurationError(UsageError):
    """The configuration file says something it cannot mean: names the file, the key and what was expected."""


class MissingExtra(UsageError):
    """An optional package is not installed; the message holds the command that installs it."""

    def __init__(self, extra: str, what: str) -> None:
        self.extra = extra
        super().__init__(f"{what} needs the extra {extra!r}: python -m pip install 'timestamp-guard[{extra}]'")


class StoreError(TimestampGuardError):
    """The store could not be read or written."""


class StoreMissing(StoreError):
    """There is no store at this address."""


class StoreLocked(StoreError):
    """Another process holds the store."""


class RunBusy(StoreLocked):
    """Another process works on this table; the message says which, and until when it is waited for."""


class StoreReadOnly(StoreError):
    """The store can be read and not written."""


class StoreFull(StoreError):
    """There is no room left to write."""


class StoreDamaged(StoreError):
    """What is stored cannot be read as a store of its kind."""


class LedgerError(StoreError):
    """The ledger is damaged, or of a version that this release does not know."""


class WriteFailed(StoreError):
    """The store refused a whole write, and nothing of it was made: the engine tries again with fewer records."""


class WriteUndone(StoreError):
    """The store does not keep what is written to it; the step was rolled back."""


class LeaseLost(StoreError):
    """Another process took the run over; this one wrote nothing after that."""


class StillBroken(TimestampGuardError):
    """Rows break what was to be proved of all of them."""


class TooManyFailures(TimestampGuardError):
    """Too large a share of the writes failed: the run stopped, with what it did recorded."""


def _near(name: str, known: Sequence[str]) -> list[str]:
    """The nearest names, whatever their case."""
    folded = {each.casefold(): each for each in reversed(known)}
    return [folded[each] for each in difflib.get_close_matches(name.casefold(), folded, n=3)]
