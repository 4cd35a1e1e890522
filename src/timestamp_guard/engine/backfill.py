"""
Fill what is missing: one loop over steps, for every kind of store.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

from attrs import evolve

from .._faults import point, reach
from ..errors import LeaseLost, RunBusy, StoreFull, TooManyFailures, UsageError, WriteUndone
from ..job import Job
from ..ledger import Counts, Ledger, Run, Status, find, undone_by
from ..repairs import Repair
from ..rules import Guard
from ..stores.base import BatchStore, Clock, Source, Step
from . import sharing
from .drive import clock_of, drive
from .lease import LEASE, acquire, me, release, renewed
from .pace import Pace
from .plan import job_for
from .sharing import end_of, ensure_alone, ensure_divisible
from .walk import Progress, breaker, walk

__all__ = ["WAITING", "backfill", "join"]

SWEEPS: Final = 3
"""How often a run goes through the store for what came or was refused meanwhile."""

WAITING: Final = "waits to be looked at"
"""Why a run is stopped that filled as many records as it was asked to."""

BEGUN: Final = point("begun")
SWEPT: Final = point("swept")
SURVEYED: Final = point("surveyed")

_log = logging.getLogger("timestamp_guard")


def backfill(
    store: Source,
    guard: Guard,
    repair: Repair,
    *,
    now: int | Callable[[], int] | None = None,
    ledger: Ledger | None = None,
    pace: Pace | None = None,
    lease: timedelta = LEASE,
    backup: Path | str | None = None,
    most: int | None = None,
    shared: bool = False,
    progress: Progress | None = None,
) -> Run:
    """
    Fill the field of *repair* where it is broken in one of its codes, and prove it.

    Killed at any instant, call it again: it goes on where it stood. Every change is recorded with the old value, and
    `rollback` takes it back. Other writers go on; what they write is never overwritten.
    `run.ok` says whether a survey after the last sweep found nothing left; otherwise `run.counts` says what is left,
    by reason. Where there is nothing to fill, nothing is recorded and `run.id` is None.

    *now* pins the present time, in nanoseconds; *ledger* is for stores that keep none; *backup* is where a verified
    copy is made first; after *most* records or a few more the run is stopped, to be looked at and called again;
    *progress* is told of every step.

    With *shared*, every process that makes this call, on whatever host, works on the same run: each takes a range of the
    table after the other. What a worker leaves that was killed or lost its lease, the others take over. Each returns when
    the run is over. Only servers can have several writers at a time.

    Raises:
        UsageError: a field is missing or has no encoding; an unfinished run has another plan; the store cannot be shared.
        StoreError: the store could not be read or written, or another process works on it.
        TooManyFailures: too large a share of the writes failed.
    """
    clock = clock_of(now, store, guard)
    driven = drive(store, ledger)
    job = job_for(store, guard, repair, clock())
    run = _unfinished(driven)
    if shared:
        ensure_divisible(driven)
    if most is not None and (shared or (run is not None and run.shared)):
        msg = "most= stops a run that one worker fills, to be looked at: leave it out where several share the run"
        raise UsageError(msg)
    if run is None:
        if not driven.prepare(job, clock):
            return _nothing(driven, job, clock)
        if backup is not None:
            driven.backup(Path(backup))
        run = _begin(driven, job, clock, lease, shared=shared)
        reach(BEGUN)
    else:
        run.same_plan(job)
        if run.shared and not shared:
            ensure_alone(driven, run)
        run = sharing.shared(driven, run, lease) if shared or run.shared else acquire(driven.ledger, run, lease)
        if not run.open:
            return run
        if backup is not None and not Path(backup).exists():
            driven.backup(Path(backup))
        if not shared and not run.shared:
            run = driven.ledger.save(evolve(run, status="running", reason=None))
        _log.info("%s: going on with run %s", run.table, run.id)
    job = evolve(job, pinned=run.now)
    worker = _Worker(driven, job, clock, pace or Pace(), lease, progress, most)
    return worker.share(run) if shared or run.shared else worker.work(run)


def join(
    store: Source, guard: Guard, repair: Repair, number: int, *, pace: Pace | None = None, lease: timedelta = LEASE
) -> Run:
    """
    Work on the shared run of that number, which another process began, until it is over.

    Raises:
        UnknownName: there is no such run.
        PlanChanged: it was planned differently.
        StoreError: the store could not be read or written.
        TooManyFailures: too large a share of the writes failed.
    """
    clock = clock_of(None, store, guard)
    driven = drive(store)
    ensure_divisible(driven)
    run = find(driven.ledger, number, driven.name)
    job = job_for(store, guard, repair, run.now)
    run.same_plan(job)
    return _Worker(driven, job, clock, pace or Pace(), lease, None, None).share(run)


def _begin(driven: BatchStore, job: Job, clock: Clock, lease: timedelta, *, shared: bool) -> Run:
    """A new run; a shared one may have been begun by another worker meanwhile."""
    new = Run(None, "backfill", driven.name, job.plan(), job.pinned, started=clock())
    if not shared:
        return driven.ledger.begin(renewed(evolve(new, owner=me()), lease))
    try:
        return driven.ledger.begin(evolve(new, until=end_of(driven)))
    except RunBusy:
        run = _unfinished(driven)
        if run is None:
            raise
        run.same_plan(job)
        return sharing.shared(driven, run, lease)


def _unfinished(driven: BatchStore) -> Run | None:
    """
    The backfill to go on with.

    Raises:
        UsageError: a rollback must be finished first.
    """
    runs = driven.ledger.runs(driven.name)
    for run in reversed(runs):
        if run.open and run.action == "rollback":
            msg = f"run {run.id} on {run.table}, a rollback, is unfinished: finish it first, with rollback"
            raise UsageError(msg)
        if run.open and undone_by(runs, run) is None:
            return run
    return None


def _nothing(driven: BatchStore, job: Job, clock: Clock) -> Run:
    """A run that was none, because nothing could be filled."""
    found = driven.assess(job, clock, 0)
    counts = Counts(unrepairable=found.unrepairable, arriving=found.work)
    status: Status = "incomplete" if counts.left else "complete"
    return Run(
        None, "backfill", driven.name, job.plan(), job.pinned, status, counts, started=job.pinned, finished=clock()
    )


class _Worker:
    """One process at work on one run."""

    def __init__(
        self,
        driven: BatchStore,
        job: Job,
        clock: Clock,
        pace: Pace,
        lease: timedelta,
        progress: Progress | None,
        most: int | None,
    ) -> None:
        self.driven, self.job, self.clock = driven, job, clock
        self.pace, self.lease, self.progress, self.most = pace, lease, progress, most

    def work(self, run: Run) -> Run:
        """Sweep until a survey finds nothing, or no fewer."""
        began = run.counts
        try:
            while True:
                run, swept = self._sweep(run, began)
                if not swept:
                    stopped = evolve(run, status="stopped", reason=WAITING, owner=None, lease_until=0)
                    return self.driven.ledger.save(stopped)
                run = self.driven.ledger.save(self._surveyed(run))
                if not run.open:
                    _log.info("%s", run)
                    return run
        except LeaseLost:
            raise
        except (TooManyFailures, WriteUndone, StoreFull) as problem:
            release(self.driven.ledger, run, "stopped", str(problem))
            raise
        except BaseException:
            release(self.driven.ledger, run)
            raise

    def share(self, run: Run) -> Run:
        """Work beside others, each in a range of its own, until a survey finds nothing, or no fewer."""
        return sharing.Sharing(self.driven, self._step, self._surveyed, self.pace, self.lease, self.progress).work(run)

    def _step(self, run: Run, limit: int) -> Step:
        return self.driven.step(self.job, run, self.clock, limit)

    def _surveyed(self, run: Run) -> Run:
        """What becomes of a run whose sweep is over."""
        reach(SWEPT)
        following = self._judge(run)
        reach(SURVEYED)
        return following

    def _sweep(self, run: Run, began: Counts) -> tuple[Run, bool]:
        """Go through the store once, from where the run stands; whether that came to its end."""
        for stands in walk(self._step, run, self.driven, self.pace, self.lease, self.progress):
            run = stands
            breaker(self.driven.ledger, run, began)
            if self.most is not None and run.counts.changed - began.changed >= self.most:
                return run, False
        return run, True

    def _judge(self, run: Run) -> Run:
        """What the survey after a sweep makes of the run: the next sweep, or its end."""
        found = self.driven.assess(self.job, self.clock, 0, run)
        fewer = run.sweep == 1 or found.work < run.found  # what was refused is tried again at least once
        if found.work and run.sweep < SWEEPS and fewer:
            counts = evolve(run.counts, refused=0)
            return renewed(evolve(run, sweep=run.sweep + 1, found=0, cursor=None, counts=counts), self.lease)
        refused = min(run.counts.refused, found.work)
        counts = evolve(run.counts, refused=refused, arriving=found.work - refused, unrepairable=found.unrepairable)
        return evolve(
            run,
            status="incomplete" if counts.left else "complete",
            counts=counts,
            cursor=None,
            finished=self.clock(),
            owner=None,
            lease_until=0,
        )
