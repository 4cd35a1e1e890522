"""
Take a run back: exactly, and only where what it wrote is still there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from attrs import evolve

from .._faults import point, reach
from ..errors import LeaseLost, StoreError, StoreFull, StoreLocked, TooManyFailures, UsageError, WriteUndone
from ..ledger import Ledger, Run, Status, enforced_by, find, ranges_of, together, undone_by
from ..stores.base import BatchStore, Source
from . import sharing
from .drive import clock_of, drive
from .enforce import unenforce
from .lease import LEASE, acquire, me, release, renewed
from .pace import Pace
from .walk import Progress, breaker, walk

__all__ = ["rollback", "runs"]

BEGUN: Final = point("rollback begun")

GRACE: Final = timedelta(seconds=2)
"""How long after its lease a write of a worker that was taken over may still land in a store without transactions."""

UNFINISHED: Final = "taken back unfinished"
"""Why a run is incomplete that was ended by a rollback."""

_log = logging.getLogger("timestamp_guard")


def runs(store: Source, *, ledger: Ledger | None = None) -> list[Run]:
    """All runs of *store*, the oldest first. Creates nothing."""
    driven = drive(store, ledger)
    return [together(run, ranges_of(driven.ledger, run)) for run in driven.ledger.runs(driven.name)]


def rollback(
    store: Source,
    run: int | None = None,
    *,
    ledger: Ledger | None = None,
    now: int | Callable[[], int] | None = None,
    pace: Pace | None = None,
    lease: timedelta = LEASE,
    progress: Progress | None = None,
) -> Run:
    """
    Take back what a backfill changed: each record gets its old value where it still holds what the run wrote.

    What `enforce` made is taken back before that, for it would refuse old values.
    Records that were changed since keep what they hold, and are counted as `refused`. Killed at any instant, call it
    again: it goes on where it stood, and nothing is taken back twice.
    Without *run*, the newest backfill of the store that still has changes to undo; where there is none, nothing is
    recorded and the id of what is returned is None.

    Raises:
        UnknownName: there is no such run.
        UsageError: it was taken back already, is a rollback itself, or a newer run changed the same records.
        StoreError: the store could not be read or written, or another process works on it.
        TooManyFailures: too large a share of the writes failed.
    """
    clock = clock_of(now, store)
    driven = drive(store, ledger)
    known = driven.ledger.runs(driven.name)
    back = next((r for r in reversed(known) if r.action == "rollback" and r.open), None)
    if back is not None:
        undone = find(driven.ledger, back.undoes or 0, driven.name)
        if run not in {None, undone.id}:
            msg = f"run {back.id} on {back.table}, a rollback of run {undone.id}, is unfinished: finish it first"
            raise UsageError(msg)
        back = acquire(driven.ledger, back, lease)
        if not back.open:
            return back
        back = driven.ledger.save(evolve(back, status="running", reason=None))
        _log.info("%s: going on with run %s", back.table, back.id)
    else:
        chosen = _chosen(driven, known, run)
        if chosen is None:
            others = dict.fromkeys(r.table for r in driven.ledger.runs() if r.table != driven.name)
            hint = None if known or not others else f"the ledger knows only runs of {', '.join(others)}"
            return Run(
                None, "rollback", driven.name, "{}", clock(), "complete", reason=hint, started=clock(), finished=clock()
            )
        _opened(store, known)
        driven.ensure_undoable(chosen)
        undone = _closed(driven, chosen, lease)
        back = driven.ledger.begin(
            renewed(
                Run(
                    None,
                    "rollback",
                    driven.name,
                    undone.plan,
                    clock(),
                    undoes=undone.id,
                    started=clock(),
                    owner=me(),
                ),
                lease,
            )
        )
        reach(BEGUN)
    return _undo(driven, back, undone, clock, pace or Pace(), lease, progress)


def _chosen(driven: BatchStore, known: Sequence[Run], number: int | None) -> Run | None:
    """
    The run to take back.

    Raises:
        UsageError: it cannot be.
    """
    backfills = [r for r in known if r.action == "backfill" and not r.purged and undone_by(known, r) is None]
    if number is None:
        # One that was ended to be taken back, by a rollback killed before it began, is not finished.
        return next((r for r in reversed(backfills) if r.counts.changed or r.finished is None), None)
    run = find(driven.ledger, number, driven.name)
    if run.purged:
        msg = f"run {number} cannot be taken back: {run.reason}"
        raise UsageError(msg)
    if run.action == "enforce":
        msg = f"run {number} is an enforcement: unenforce takes it back"
        raise UsageError(msg)
    if run.action == "migrate":
        msg = f"run {number} is a migration: rollback without a number takes back what it did, step by step"
        raise UsageError(msg)
    if run.action == "rollback":
        msg = f"run {number} is a rollback itself; to have its values again, start a new backfill"
        raise UsageError(msg)
    earlier = undone_by(known, run)
    if earlier is not None:
        msg = f"run {number} was taken back by run {earlier.id}; start a new one"
        raise UsageError(msg)
    unfinished = next((r for r in backfills if r.open and r.id != number), None)
    if unfinished is not None:
        msg = f"run {unfinished.id} on {run.table} is unfinished: finish it, or take it back, before run {number}"
        raise UsageError(msg)
    newer = [r for r in backfills if (r.id or 0) > number and r.field == run.field]
    other = driven.overlap(run, newer)
    if other is not None:
        msg = f"run {other.id} changed records of run {number} later: take run {other.id} back first"
        raise UsageError(msg)
    return run


def _opened(store: Source, known: Sequence[Run]) -> None:
    """Have what is enforced taken back first: it would refuse the old values, row by row."""
    by = enforced_by(known)
    if by is not None:
        _log.info("%s: taking back enforcement %s first", by.table, by.id)
        unenforce(store)


def _closed(driven: BatchStore, run: Run, lease: timedelta) -> Run:
    """An unfinished run, taken from its worker and ended, so that nothing is written for it any more."""
    if not run.open:
        return run
    if run.shared:
        return sharing.closed(driven, run, lease, UNFINISHED)
    run = acquire(driven.ledger, run, lease, grace=GRACE)
    if not run.open:
        return run
    left = driven.ledger.intents(run)
    if left:
        # Nobody knows which of them were made. Taking back what was not made changes nothing, so all count as made.
        counts = evolve(run.counts, changed=run.counts.changed + len(left))
        run = driven.ledger.settle(evolve(run, counts=counts), (), ())
    return driven.ledger.save(evolve(run, status="incomplete", reason=UNFINISHED, owner=None, lease_until=0))


def _undo(
    driven: BatchStore,
    back: Run,
    undone: Run,
    clock: Callable[[], int],
    pace: Pace,
    lease: timedelta,
    progress: Progress | None,
) -> Run:
    began = back.counts
    try:
        for stands in walk(
            lambda run, limit: driven.undo(run, undone, clock, limit), back, driven, pace, lease, progress
        ):
            back = stands
            breaker(driven.ledger, back, began)
        left = back.counts.refused + back.counts.quarantined
        status: Status = "incomplete" if left else "complete"
        back = driven.ledger.save(evolve(back, status=status, finished=clock(), owner=None, lease_until=0))
    except LeaseLost:
        raise
    except (TooManyFailures, WriteUndone) as problem:
        release(driven.ledger, back, "stopped", str(problem))
        raise
    except (StoreLocked, StoreFull):
        release(driven.ledger, back)
        raise
    except (UsageError, StoreError) as problem:
        release(driven.ledger, back, *_come_to_nothing(driven.ledger, back, problem))
        raise
    except BaseException:
        release(driven.ledger, back)
        raise
    _log.info("%s", back)
    return back


def _come_to_nothing(ledger: Ledger, back: Run, problem: Exception) -> tuple[Status, str] | tuple[()]:
    """How a rollback ends that failed before it took anything back: it is in nobody's way then."""
    return () if find(ledger, back.id or 0, back.table).touched else ("incomplete", str(problem))
