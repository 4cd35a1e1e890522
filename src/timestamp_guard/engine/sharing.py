"""
Several workers at one run: each takes a range of the store, does it under a lease of its own, and takes the next one.

A range is given out by a write to the run, under its next generation; so no two workers get the same one, and none waits
for another within a range. What a range did is added to the run in the step that takes the range away. Whoever finds that
nothing is left to be given out or done has the survey made, and begins the next sweep; the others wait for it.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from attrs import evolve

from .._faults import point, reach
from ..errors import LeaseLost, RunBusy, StoreFull, StoreLocked, TooManyFailures, UsageError, WriteUndone
from ..ledger import Counts, Cursor, Run, SharedLedger, find, lost, ranges_of, standing, together
from ..stores.base import BatchStore, Divisible, Step
from .lease import acquire, free, me, release, renewed, who
from .pace import Pace
from .walk import Progress, breaker, walk

__all__ = ["Sharing", "closed", "end_of", "ensure_alone", "ensure_divisible", "shared"]

STEPS: Final = 4
"""So many steps are a range at first, where every record is to be mended: wider ones come of themselves, see below."""

SHORT: Final = 1.0
LONG: Final = 4.0
"""A range is meant to take so many seconds, at least and at most: to take one costs about as much as a step."""

WIDEST: Final = 256
"""A range is at most so many times as wide as the first one."""

PATIENCE: Final = 20
"""
For so many leases whoever has the survey made is believed to be alive: it says nothing meanwhile. Who finds that this was
too short takes twice as many, so that one comes to its end.
"""

TRIES: Final = 10

LOOK: Final = 0.2
"""How many seconds a worker that has nothing to do waits before it looks again."""

QUIET: Final = 5.0
"""So many seconds it waits without a word."""

RANGE_BEGUN: Final = point("range begun")
RANGE_DONE: Final = point("range done")
RANGE_ENDED: Final = point("range ended")
DIVIDED: Final = point("run divided")

_log = logging.getLogger("timestamp_guard")


def ensure_divisible(store: BatchStore) -> None:
    """
    Make sure that several workers can share a run on *store*.

    Raises:
        UsageError: they cannot.
    """
    if not isinstance(store, Divisible):
        msg = f"{store.name} has one writer at a time, so nothing is gained by several workers: let one fill it"
        raise UsageError(msg)


def shared(store: BatchStore, run: Run, lease: timedelta) -> Run:
    """
    A run as one that is given out in ranges, and goes on.

    One that a single worker began is given out from the start of the store: what is done there is soon passed over.

    Raises:
        RunBusy: that worker is alive and works.
    """
    while run.open and not (run.shared and run.status == "running"):
        try:
            if run.shared:
                run = _ledger(store).share(evolve(run, status="running", reason=None))
            else:
                run = acquire(store.ledger, run, lease)
                given = evolve(run, status="running", reason=None, cursor=None, until=end_of(store))
                given = evolve(given, owner=None, lease_until=0)
                run = store.ledger.save(given)
                reach(DIVIDED)
                return run  # an empty store has no end
        except LeaseLost:
            run = find(store.ledger, run.id or 0, run.table)
    return run


def end_of(store: BatchStore) -> Cursor:
    """Where a sweep ends that begins now."""
    return store.end() if isinstance(store, Divisible) else None


def ensure_alone(store: BatchStore, run: Run) -> None:
    """
    Make sure that nobody works on a shared run.

    Raises:
        RunBusy: somebody does, and how to join.
    """
    at_it = [each for each in (*ranges_of(store.ledger, run), run) if not free(each)]
    if at_it:
        others = f" and {len(at_it) - 1} more" if len(at_it) > 1 else ""
        msg = (
            f"{run.table} is being worked on by {who(at_it[0])}{others}: backfill {run.id}; share the work with "
            f"backfill(..., shared=True) or --workers 1, or try again when it is done"
        )
        raise RunBusy(msg)


def closed(store: BatchStore, run: Run, lease: timedelta, reason: str) -> Run:
    """
    End a shared run, taken from all its workers and put together, so that nothing is written for it any more.

    Raises:
        RunBusy: a worker is alive and works.
    """
    ledger = _ledger(store)
    held: list[Run] = []
    try:
        # First those that are at work: who has the run itself keeps them from taking the next range.
        held += [acquire(ledger, each, lease) for each in ledger.ranges(run)]
        run = acquire(ledger, run, lease)
        parts = held.copy()
        held.append(run)
        known = {each.id for each in held}
        for each in ledger.ranges(run):
            if each.id not in known:
                parts.append(acquire(ledger, each, lease))
                held.append(parts[-1])
        ended = evolve(together(run, parts), status="incomplete", reason=reason, cursor=None, until=None)
        return ledger.share(evolve(ended, owner=None, lease_until=0), ended=parts)
    except BaseException as problem:
        for each in held:
            release(ledger, each)
        if isinstance(problem, LeaseLost):
            msg = f"{run.table} is being worked on by several: backfill {run.id}; try again when it is done"
            raise RunBusy(msg) from None
        raise


def _ledger(store: BatchStore) -> SharedLedger:
    assert isinstance(store.ledger, SharedLedger)  # noqa: S101 - asked before
    return store.ledger


class Sharing:
    """
    One of the workers at a run: *take* does a step, *judge* has the survey made and says what becomes of the run.
    """

    def __init__(
        self,
        store: BatchStore,
        take: Callable[[Run, int], Step],
        judge: Callable[[Run], Run],
        pace: Pace,
        lease: timedelta,
        progress: Progress | None,
    ) -> None:
        self.store, self.take, self.judge = store, take, judge
        self.pace, self.lease, self.progress = pace, lease, progress
        self.ledger = _ledger(store)
        self._width = 1
        self._did = Counts()
        self._patience = PATIENCE
        self._waited, self._said = 0.0, False

    def work(self, run: Run) -> Run:
        """Take ranges until the run is over, or stopped."""
        while (run := find(self.ledger, run.id or 0, run.table)).status == "running":
            ranges = self.ledger.ranges(run)
            try:
                if (mine := self._next(run, ranges)) is not None:
                    self._mend(run, mine, ranges)
                elif ranges or not free(run):
                    self._wait(run, ranges)
                else:
                    self._end_sweep(run)
            except LeaseLost as problem:
                _log.info("%s; looking again", problem)  # what it stood for is somebody else's now
        _log.info("%s", run)
        return together(run, self.ledger.ranges(run))

    def _next(self, run: Run, ranges: Sequence[Run]) -> Run | None:
        """A range that nobody works on, left by another worker or given out now; None where there is none."""
        for each in ranges:
            if free(each):
                with contextlib.suppress(
                    StoreLocked
                ):  # by a transaction of who was frozen in it: the server will end it
                    return self.ledger.claim(each, me(), renewed(each, self.lease).lease_until)
        if run.cursor == run.until or not free(run) or not isinstance(self.store, Divisible):
            return None
        until = self.store.reach(run.cursor, run.until, STEPS * self.pace.size * self._width)
        begun = evolve(
            Run(None, run.action, run.table, run.plan, run.now, started=time.time_ns(), parent=run.id, owner=me()),
            sweep=run.sweep,
            cursor=run.cursor,
            until=until,
        )
        mine = self.ledger.share(evolve(run, cursor=until, owner=None, lease_until=0), renewed(begun, self.lease))
        reach(RANGE_BEGUN)
        return mine

    def _mend(self, run: Run, mine: Run, ranges: Sequence[Run]) -> None:
        """Do a range, and add it to the run."""
        self._waited, self._said = 0.0, False
        began, since = mine.counts, time.monotonic()
        before = evolve(
            began,
            changed=began.changed - self._did.changed,
            quarantined=began.quarantined - self._did.quarantined,
        )
        told = self._told(run, [each for each in ranges if each.id != mine.id])
        try:
            for stands in walk(self.take, mine, self.store, self.pace, self.lease, told):
                mine = stands
                breaker(self.ledger, mine, before)
            reach(RANGE_DONE)
            self._add(mine)
        except LeaseLost:
            raise
        except (TooManyFailures, WriteUndone, StoreFull) as problem:
            release(self.ledger, mine)
            self._stop(run, str(problem))
            raise
        except BaseException:
            release(self.ledger, mine)
            raise
        did = mine.counts
        self._did = Counts(changed=did.changed - before.changed, quarantined=did.quarantined - before.quarantined)
        took = time.monotonic() - since
        if took < SHORT:
            self._width = min(WIDEST, 2 * self._width)
        elif took > LONG:
            self._width = max(1, self._width // 2)

    def _add(self, mine: Run) -> None:
        """
        Add a range that is done to its run.

        Raises:
            LeaseLost: it was taken over.
        """
        while True:
            run = find(self.ledger, mine.parent or 0, mine.table)
            if standing(self.ledger, mine).generation != mine.generation:
                raise lost(mine)
            if not free(run):  # a rollback is about to end it
                time.sleep(LOOK)
                continue
            try:
                self.ledger.share(together(run, [mine]), ended=[mine])
            except LeaseLost:
                continue
            reach(RANGE_ENDED)
            return

    def _stop(self, run: Run, reason: str) -> None:
        """Have all workers stop, each after its range."""
        for _ in range(TRIES):
            run = find(self.ledger, run.id or 0, run.table)
            with contextlib.suppress(LeaseLost):
                self.ledger.share(evolve(run, status="stopped", reason=reason))
                return

    def _wait(self, run: Run, ranges: Sequence[Run]) -> None:
        """Give the others time; where it takes longer, say so once."""
        self._waited += LOOK
        if not self._said and self._waited > QUIET:
            names = ", ".join(sorted({who(each) for each in (*ranges, run) if each.owner is not None}))
            _log.warning("%s: nothing is left to take in sweep %s; waiting for %s", run.table, run.sweep, names)
            self._said = True
        time.sleep(LOOK)

    def _end_sweep(self, run: Run) -> None:
        """Have the survey made, while the others wait, and record what becomes of the run."""
        if run.owner is not None:
            self._patience *= 2
        run = acquire(self.ledger, run, self._patience * self.lease)
        try:
            if self.progress is not None:
                self.progress(Step(run, done=True))
            following = self.judge(run)
            end = end_of(self.store) if following.open else None
            self.ledger.save(evolve(following, until=end, owner=None, lease_until=0))
        except LeaseLost:
            self._patience *= 2
            raise
        except BaseException:
            release(self.ledger, run)
            raise

    def _told(self, run: Run, others: Sequence[Run]) -> Progress | None:
        """Tells of a step as one of the whole run."""
        progress = self.progress
        if progress is None:
            return None
        return lambda step: progress(evolve(step, run=_seen(run, [*others, step.run]), done=False))


def _seen(run: Run, ranges: Sequence[Run]) -> Run:
    """The run as it was when a range began, with what was done in it since; and why that rests."""
    return evolve(together(run, ranges), reason=ranges[-1].reason)
