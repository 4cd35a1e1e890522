"""
Anyone's adapter, driven like a store that does whole batches itself: every step is made of `scan` and `write`.

Its ledger cannot be in one transaction with its records. So what is about to be written is durable before it is
written, and what became of it after; a run that goes on begins with the intents whose outcome nobody knows, and writes
them again: a compare-and-set that was made already is made.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from attrs import evolve

from .._faults import point, reach
from ..errors import NoIdentity, TimestampGuardError, UsageError
from ..frozen import freeze
from ..instants import Encodings
from ..job import Job
from ..ledger import Change, Counts, Cursor, Key, Ledger, Quarantined, Run
from ..rules import Guard
from ..stores.base import Assessment, Clock, Page, Step, Store, Survey, pages
from .tally import assess, change_of, survey

__all__ = ["Stepwise"]

INTENDED: Final = point("intended")
WRITTEN: Final = point("written")
SETTLED: Final = point("settled")
TAKEN_BACK: Final = point("taken back")

PATIENCE_NS: Final = 10**9
"""How long a step looks for work before it says where it stands."""


class Stepwise:
    """A :class:`~timestamp_guard.stores.base.Store` and a ledger, as a `BatchStore`."""

    target = 0.05
    typed = False

    def __init__(self, store: Store, ledger: Ledger) -> None:
        self.store = store
        self.ledger = ledger

    @property
    def name(self) -> str:
        """The name of the store."""
        return self.store.name

    @property
    def encodings(self) -> Encodings:
        """The encodings of the store."""
        return self.store.encodings

    def scan(self, after: Cursor, limit: int) -> Page:
        """The records of the store."""
        return self.store.scan(after, limit)

    def fields(self) -> Sequence[str]:
        """The fields of the first records: an adapter need not know more."""
        return list(dict.fromkeys(name for _, record in self.store.scan(None, 100).records for name in record))

    def survey(self, guard: Guard, clock: Clock, samples: int) -> Survey:
        """Look at every record once."""
        return survey(self.store, guard, clock, samples)

    def assess(self, job: Job, clock: Clock, samples: int, run: Run | None = None) -> Assessment:
        """Count what there is to do."""
        return assess(self.store, job, clock, samples, [] if run is None else self.ledger.quarantined(run))

    def statements(self, job: Job) -> Sequence[str]:
        """An adapter's own business."""
        return [f"{type(self.store).__name__}.write: compare-and-set of {job.field}"]

    def prepare(self, job: Job, clock: Clock) -> bool:
        """Whether there is anything to mend."""
        for page in pages(self.store):
            moment = job.moment(clock())
            for key, record in page.records:
                if job.broken(record, moment) and job.mend(record, moment) is not None:
                    _identity(key)
                    return True
        return False

    def step(self, job: Job, run: Run, clock: Clock, limit: int) -> Step:
        """Settle what was left open, or intend, write and settle the work of one page."""
        left = self.ledger.intents(run)
        if left:
            self.ledger.save(run)  # who was taken over must learn it before it writes
            return self._write(run, left, done=False)
        skipped = self._skipped(run)
        began = time.monotonic_ns()
        cursor = run.cursor
        while True:
            page = self.store.scan(cursor, limit)
            moment = job.moment(clock())
            changes: list[Change] = []
            unkept: list[Quarantined] = []
            for key, record in page.records:
                if not job.broken(record, moment) or (skipped and freeze(key) in skipped):
                    continue
                mend = job.mend(record, moment)
                if mend is None:
                    continue
                change = change_of(job, _identity(key), record, mend.after, mend.candidate)
                problem = _unkeepable(change)
                if problem is None:
                    changes.append(change)
                else:
                    unkept.append(Quarantined(key, problem))
            cursor, done = page.next, page.next is None
            if changes:
                self.ledger.intend(run, changes)
            if changes or unkept or done or time.monotonic_ns() - began > PATIENCE_NS:
                return self._write(evolve(run, cursor=cursor), changes, done=done, failed=unkept)

    def _write(self, run: Run, changes: Sequence[Change], *, done: bool, failed: Sequence[Quarantined] = ()) -> Step:
        reach(INTENDED)
        began = time.monotonic_ns()
        refused, broke = self._split(changes)
        held = time.monotonic_ns() - began
        reach(WRITTEN)
        failed = [*failed, *broke]
        counts = evolve(
            run.counts,
            changed=run.counts.changed + len(changes) - len(refused) - len(broke),
            refused=run.counts.refused + len(refused),
            quarantined=run.counts.quarantined + len(failed),
        )
        touched = len(changes) + len(failed) - len(broke)
        run = evolve(run, counts=counts, found=run.found + touched)
        run = self.ledger.settle(run, refused, failed)
        reach(SETTLED)
        return Step(run, done, touched, held)

    def _split(self, changes: Sequence[Change]) -> tuple[list[Change], list[Quarantined]]:
        """Write *changes*, in halves where that fails: what was refused, and what cannot be written at all."""
        if not changes:
            return [], []
        try:
            return list(self.store.write(changes)), []
        except TimestampGuardError:
            raise
        except Exception as problem:  # noqa: BLE001 - an adapter may raise anything; the breaker counts them
            if len(changes) == 1:
                return [], [Quarantined(changes[0].key, f"{type(problem).__name__}: {problem}")]
        middle = len(changes) // 2
        first, second = self._split(changes[:middle]), self._split(changes[middle:])
        return first[0] + second[0], first[1] + second[1]

    def undo(self, run: Run, undone: Run, clock: Clock, limit: int) -> Step:  # noqa: ARG002 - other stores ask it
        """Take changes back, from the newest."""
        page = self.ledger.changes(undone, run.cursor or 0, limit)
        if not page:
            return Step(run, done=True)
        self.ledger.save(run)  # as in `step`
        began = time.monotonic_ns()
        refused, failed = self._split([change.reverse() for _, change in page])
        held = time.monotonic_ns() - began
        reach(TAKEN_BACK)
        counts = Counts(
            changed=run.counts.changed + len(page) - len(refused) - len(failed),
            refused=run.counts.refused + len(refused),
            quarantined=run.counts.quarantined + len(failed),
        )
        run = self.ledger.settle(evolve(run, cursor=page[-1][0], counts=counts), (), failed)
        return Step(run, done=False, touched=len(page), held_ns=held)

    def ensure_undoable(self, run: Run) -> None:
        """Whatever a ledger holds can be written."""

    def overlap(self, run: Run, newer: Sequence[Run]) -> Run | None:
        """The first of *newer* that changed a record that *run* changed."""
        if not newer:
            return None
        keys = {freeze(change.key) for _, change in self.ledger.changes(run)}
        for other in newer:
            if any(freeze(change.key) in keys for _, change in self.ledger.changes(other)):
                return other
        return None

    def backup(self, path: Path) -> None:
        """Not an adapter's to give."""
        msg = f"{self.name} is kept by an adapter that makes no backups: copy it yourself to {path}"
        raise UsageError(msg)

    def throttle(self) -> float:
        """An adapter has no wishes."""
        return 0.0

    def _skipped(self, run: Run | None) -> set[str]:
        return set() if run is None else {freeze(each.key) for each in self.ledger.quarantined(run)}


def _identity(key: Key) -> Key:
    """
    The key, which a ledger can keep.

    Raises:
        NoIdentity: it cannot.
    """
    try:
        freeze(key)
    except (TypeError, ValueError) as problem:
        msg = f"no record could be found again by its key: {problem}; let scan() give keys of numbers and text"
        raise NoIdentity(msg) from None
    return key


def _unkeepable(change: Change) -> str | None:
    """Why the old value could not be given back from a ledger, if it could not."""
    try:
        for raw in (change.before, change.after):
            freeze(raw)
    except (TypeError, ValueError) as problem:
        return f"cannot be recorded, so could not be undone: {problem}"
    return None
