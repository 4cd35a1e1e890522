"""
What every verb of the engine begins with: a clock, a store that can be driven, and names that are there.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Iterable
from typing import Final

from ..errors import StoreError, UnknownName, UsageError
from ..ledger import Ledger
from ..rules import Guard, Now
from ..stores.base import BatchStore, Clock, Clocked, Source, Store
from .stepwise import Stepwise

__all__ = ["clock_of", "drive", "known"]


SKEW_NS: Final = 5 * 10**9
"""So far two clocks may be apart where no guard says it."""

ALIKE: Final = 0.8
"""From this ratio of equal letters on, one of two names is likely to be a slip: `updated_at` and `updatedAt`."""


def clock_of(now: int | Callable[[], int] | None, store: object = None, guard: Guard | None = None) -> Clock:
    """
    The clock that *now* stands for: a caller's own, one that stands still, or that of *store* where it has one; else
    that of this machine.

    Raises:
        StoreError: the clock of the store is farther from this machine's than *guard* lets the present time be.
    """
    if now is None and isinstance(store, Clocked):
        _ensure_near(store, guard)
        return store.now
    if now is None:
        return time.time_ns
    if isinstance(now, int):
        return lambda: now
    return now


def _ensure_near(store: Clocked, guard: Guard | None) -> None:
    """Make sure that the clock of *store* and this machine's tell nearly the same time."""
    ahead = store.now() - time.time_ns()
    terms = (term for pair in (guard.pairs() if guard else ()) for term in (pair.earlier, pair.later))
    allowed = max((abs(term.shift_ns) for term in terms if isinstance(term, Now)), default=0) or SKEW_NS
    if abs(ahead) > allowed:
        msg = (
            f"the clock of the server is {abs(ahead) / 1e9:.1f} s {'ahead of' if ahead > 0 else 'behind'} this machine's: "
            f"set the clocks right, or pass now="
        )
        raise StoreError(msg)


def drive(store: Source, ledger: Ledger | None = None) -> BatchStore:
    """
    *store* as one that does whole batches.

    Raises:
        UsageError: it can only be read, it needs a ledger, or it is given one and has its own.
    """
    if isinstance(store, BatchStore):
        if ledger is not None:
            msg = f"{store.name} keeps its ledger beside its records: leave ledger= out"
            raise UsageError(msg)
        return store
    if not isinstance(store, Store):
        msg = f"{store.name} can only be read: a store that is to be repaired has a method write()"
        raise UsageError(msg)
    if ledger is None:
        ledger = getattr(store, "ledger", None)
    if ledger is None:
        msg = f"{store.name} keeps no ledger of its own: pass ledger=open_ledger(PATH)"
        raise UsageError(msg)
    return Stepwise(store, ledger)


def known(store: Source, names: Iterable[str]) -> None:
    """
    Make sure that a store which knows its fields has all of *names*.

    Where each record has fields of its own, a field may be missing from all of them: unless one is there that is called
    nearly the same.

    Raises:
        UnknownName: it lacks one.
    """
    if isinstance(store, BatchStore):
        fields = store.fields()
        for name in names:
            if name not in fields and (store.typed or difflib.get_close_matches(name, fields, 1, ALIKE)):
                raise UnknownName("field", name, store.name, fields)
