"""
The flow of a store that is a table on a server: judged and mended by the server itself where SQL can say it exactly,
else row by row in Python, in the same transaction and with the same ledger. What a dialect must say is at the end.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

from attrs import evolve

from ...._faults import point, reach
from ....errors import StoreLocked, UsageError, WriteFailed
from ....instants import brief
from ....job import Job
from ....ledger import Cursor, Run, standing
from ...base import Clock, Step
from ..connection import Prepared, TakenBack
from ..found import SqlTable, Watching, ensure_unique
from ..store import Saying
from .reader import ServedReader
from .server import ConnectionLost, Refused
from .table import ServedColumn

__all__ = ["ENOUGH", "LOCK", "PATIENCE_NS", "ServedStore"]

STEP_BEGUN: Final = point("server: step begun")
STEP_WRITTEN: Final = point("server: step written")
STEP_SAVED: Final = point("server: step saved")
STEP_DONE: Final = point("server: step done")
UNDO_WRITTEN: Final = point("server: undo written")
UNDO_DONE: Final = point("server: undo done")

PATIENCE_NS: Final = 10**9
"""How long a step looks for work before it says where it stands."""

LOCK: Final = 0.1
"""
For so many seconds a step waits for the lock of a row: meanwhile others wait for those that it has. If it is not enough
the step is taken again with half as many rows, and a single one that stays locked is left for the next sweep.
"""

ENOUGH: Final = 16
"""
After so many steps in a row that found only nulls to overwrite, the first sweep looks for nothing else: a look costs a
tenth of a step, and what there is after all is found by the survey, and mended by the next sweep.
"""


class Found(Protocol):
    """A window of the table, and whether there may be work in it."""

    @property
    def work(self) -> bool: ...


class WayBack(Protocol):
    """The statements of a table as a run knows it; a stretch of changes is *bottom* to *top* of the run *undone*."""

    def change_aside(self) -> Prepared:
        """Quarantine the row of the change *bottom*."""
        ...

    def undone(self, column: Any) -> Prepared:
        """How many rows of a stretch of changes hold what they did before."""
        ...

    def twice(self) -> Prepared:
        """Whether a row was changed twice in a stretch, so that the order matters."""
        ...

    def overlap(self) -> Prepared:
        """Whether two runs changed the same row."""
        ...


W = TypeVar("W", bound=Found)
C = TypeVar("C", bound=ServedColumn)
S = TypeVar("S", bound=Saying)


class ServedStore(ServedReader[C, S], Generic[C, S, W]):
    """One table of a server; close it, or use it as a context manager."""

    target = 0.02

    dump: ClassVar[str]
    """The program that makes backups."""

    _declared_key: bool

    def __init__(self) -> None:
        super().__init__()
        self._dense, self._without = False, 0

    # -- writing

    def prepare(self, job: Job, clock: Clock) -> bool:
        """Whether there is anything to mend; if so, try one row, and take that back."""
        return self._lasting(lambda: self._prepare(job, clock))

    def _prepare(self, job: Job, clock: Clock) -> bool:
        self._refuse(job)
        probe = Run(0, "backfill", self.name, job.plan(), job.pinned, generation=0)
        while (found := self._find(job, probe, clock, 1)) is not None and not found.work:
            probe = evolve(probe, cursor=self._cursor(found))
        if found is None:
            return False
        self.ledger.prepare()
        try:
            with self.server.writing():
                self.ledger.create()
                self._write(job, probe, found, clock)
                raise TakenBack
        except (TakenBack, Refused, StoreLocked):
            return True  # whether this row can be written now is for the run to find out
        finally:
            self.ledger.forget()

    def _refuse(self, job: Job) -> None:
        """
        Make sure that the field can be written, and given back.

        Raises:
            UsageError: it cannot.
        """
        column = self.table.column(job.field)
        if column.computed:
            msg = f"{job.field} of {self.name} is computed by the server and cannot be written: fill what it is made of"
            raise UsageError(msg)
        self.table.identity()
        if self._declared_key:
            with self.server.reading():
                ensure_unique(self.server, self.table, self._quoted)
        if job.field in self.table.key:
            msg = f"{job.field} is part of the key of {self.name}: a row that was filled could not be found again"
            raise UsageError(msg)
        self._refuse_more(job)
        encoding = job.encodings[job.field]
        digits = {"s": 0, "ms": 3, "us": 6, "ns": 6}[encoding.resolution]
        if column.digits is not None and encoding.name == "datetime" and column.digits < digits:
            step = "s" if column.digits < 3 else "ms"
            msg = (
                f"{job.field} of {self.name} is {column.declared}, which rounds what it is given: declare its encoding "
                f"as datetime/{step}" + (f"@{encoding.zone}" if encoding.zone else "")
            )
            raise UsageError(msg)

    def step(self, job: Job, run: Run, clock: Clock, limit: int) -> Step:
        """Find work by a read, then judge, record, write, prove and save in one transaction."""
        self._same_key(run)
        if run.cursor is not None and not self._is_cursor(run.cursor):
            raise self.ledger.damaged(run, f"cursor {brief(run.cursor)}")
        try:
            return self._step(job, run, clock, limit)
        except ConnectionLost:
            return self._found_again(run)

    def _found_again(self, run: Run) -> Step:
        """
        Where a run stands after the connection was lost.

        Whether its last transaction was committed is in the ledger, which was written in it.
        """
        self._reconnect(0)
        current = self._lasting(lambda: standing(self.ledger, run))
        if current.generation != run.generation:
            self.ledger.put(run)  # tells that it is lost
        return Step(current, done=False, touched=0)

    def _step(self, job: Job, run: Run, clock: Clock, limit: int) -> Step:
        found = self._find(job, run, clock, limit)
        if found is None:
            return Step(self.ledger.save(evolve(run, cursor=run.until)), done=True)
        cursor = self._cursor(found)
        if not found.work:
            return Step(self.ledger.save(evolve(run, cursor=cursor)), done=False, fraction=self._fraction(found))
        began = time.monotonic_ns()
        try:
            with self.ledger.owned(run, LOCK):
                reach(STEP_BEGUN)
                found, made, refused, first, last = self._write(job, run, found, clock)
                cursor = self._cursor(found)
                reach(STEP_WRITTEN)
                counts = evolve(run.counts, changed=run.counts.changed + made, refused=run.counts.refused + refused)
                after = evolve(
                    run,
                    cursor=cursor,
                    counts=counts,
                    found=run.found + made + refused,
                    first_change=run.first_change if run.first_change is not None else first,
                    last_change=last if last is not None else run.last_change,
                )
                self.ledger.advance(after)
                reach(STEP_SAVED)
        except Refused as problem:
            if limit > 1:
                raise WriteFailed(f"a write to {self.name} failed: {problem}") from None
            return self._quarantine(run, found, str(problem))
        except StoreLocked as problem:
            if limit > 1:
                raise WriteFailed(f"a write to {self.name} failed: {problem}") from None
            # Its transaction may take for long: the next sweep comes by again.
            counts = evolve(run.counts, refused=run.counts.refused + 1)
            passed = evolve(run, cursor=cursor, counts=counts, found=run.found + 1)
            return Step(self.ledger.save(passed), done=False, touched=1)
        held = time.monotonic_ns() - began
        reach(STEP_DONE)
        self._made(made)
        return Step(after, done=False, touched=made + refused, held_ns=held, fraction=self._fraction(found))

    @staticmethod
    def _skipping(run: Run) -> bool:
        """Whether the run may have quarantined rows: those of an earlier sweep are not known to a range."""
        return run.counts.quarantined > 0 or (run.parent is not None and run.sweep > 1)

    def _watching(self) -> Sequence[Watching]:
        return self.table.triggers

    def _watched(self) -> bool:
        return any(each.on_update for each in self._watching())

    def _not_held(self, column: ServedColumn) -> Exception:
        if self._watched():
            return self._undone_by_a_trigger(column.name)
        return Refused(f"{column.name} is declared {column.declared}, which cannot hold the value as it is")

    def _set_aside(self, run: Run, said: Prepared, values: Mapping[str, Any], cursor: Cursor) -> Step:
        """Quarantine a row, and go on after it."""
        with self.ledger.owned(run):
            aside = self.server.run(said, values).rowcount  # 0 if gone meanwhile
            counts = evolve(run.counts, quarantined=run.counts.quarantined + aside)
            run = evolve(run, cursor=cursor, counts=counts, found=run.found + aside)
            self.ledger.advance(run)
        return Step(run, done=False, touched=aside)

    # -- the way back

    def undo(self, run: Run, undone: Run, clock: Clock, limit: int) -> Step:  # noqa: ARG002 - other stores ask it
        """Take changes back where the row still holds what was written, in one transaction."""
        if not isinstance(run.cursor, int | None):
            raise self.ledger.damaged(run, f"cursor {brief(run.cursor)}")
        try:
            return self._undo(run, undone, limit)
        except ConnectionLost:
            return self._found_again(run)

    def _undo(self, run: Run, undone: Run, limit: int) -> Step:
        table = self._as_it_was(undone)
        column = self.table.column(undone.field)
        before = run.cursor if run.cursor is not None else (undone.last_change or 0) + 1
        top = self._lasting(lambda: self.ledger.newest(undone, before - 1))
        if top is None:
            return Step(self.ledger.save(run), done=True)
        bottom = max(undone.first_change or 0, top - limit + 1)
        values: dict[str, Any] = {"undone": undone.id, "bottom": bottom, "top": top}
        began = time.monotonic_ns()
        try:
            with self.ledger.owned(run, LOCK if limit > 1 else None):
                reach(STEP_BEGUN)
                there, restored = self._give_back(table, column, values)
                counts = evolve(
                    run.counts,
                    changed=run.counts.changed + restored,
                    refused=run.counts.refused + there - restored,
                )
                after = evolve(run, cursor=bottom, counts=counts)
                self.ledger.advance(after)
                reach(STEP_SAVED)
        except (Refused, StoreLocked) as problem:
            if limit > 1:
                raise WriteFailed(f"a write to {self.name} failed: {problem}") from None
            if isinstance(problem, StoreLocked):
                raise
            values |= {"run": run.id, "reason": str(problem)}
            return self._set_aside(run, self._writer_of(table).change_aside(), values, bottom)
        held = time.monotonic_ns() - began
        reach(UNDO_DONE)
        fraction = min(1.0, after.touched / max(1, undone.counts.changed))
        return Step(after, done=False, touched=there, held_ns=held, fraction=fraction)

    def _give_back(self, table: SqlTable[C], column: C, values: Mapping[str, Any]) -> tuple[int, int]:
        """Give a stretch of changes back, and prove it: how many there are, and how many rows were given back."""
        watched = self._watched()
        back = self._as_before(table, column, values) if watched else 0
        there, restored, lost = self._restore(table, column, values)
        if self._watched() and not watched:
            raise StoreLocked(f"a trigger of {self.name} was made meanwhile")
        reach(UNDO_WRITTEN)
        if watched and self._as_before(table, column, values) < back + restored:
            raise self._undone_by_a_trigger(column.name)
        if lost:
            raise self._not_held(column)
        return there, restored

    def _as_before(self, table: SqlTable[C], column: C, values: Mapping[str, Any]) -> int:
        """How many rows of a stretch of changes hold what they did before."""
        return int(self.server.rows(self._writer_of(table).undone(column), values)[0][0])

    def _restore(self, table: SqlTable[C], column: C, values: Mapping[str, Any]) -> tuple[int, int, int]:
        """
        Give a stretch of changes back: how many there are, how many rows were, how many of those hold something else.

        A row may be met and written again: such changes are taken back from the newest, one by one.
        """
        if not self.server.rows(self._writer_of(table).twice(), values):
            return self._counted(table, column, values)
        total = [0, 0, 0]
        for number in range(values["top"], values["bottom"] - 1, -1):
            found = self._counted(table, column, {**values, "bottom": number, "top": number})
            total = [one + other for one, other in zip(total, found, strict=True)]
        return total[0], total[1], total[2]

    def _overlap(self, table: SqlTable[C]) -> Prepared:
        return self._writer_of(table).overlap()

    def backup(self, path: Path) -> None:
        """Not ours to make."""
        msg = f"{self.name} is on a server: make the backup {path} with {self.dump}, or where you make those of the server"
        raise UsageError(msg)

    def throttle(self) -> float:
        """A server has no wishes of its own."""
        return 0.0

    # -- what a dialect says

    @abstractmethod
    def _quoted(self, name: str) -> str:
        """A name as SQL has it."""

    @abstractmethod
    def _refuse_more(self, job: Job) -> None:
        """
        What else keeps a field from being written.

        Raises:
            UsageError: something does.
        """

    @abstractmethod
    def _find(self, job: Job, run: Run, clock: Clock, limit: int) -> W | None:
        """The next window that may hold work; None at the end of the table. A read, outside of a write."""

    @abstractmethod
    def _cursor(self, found: W) -> Cursor:
        """The cursor after a window."""

    @abstractmethod
    def _is_cursor(self, cursor: Cursor) -> bool:
        """Whether this is a cursor of ours."""

    @abstractmethod
    def _fraction(self, found: W) -> float | None:
        """How far through the table a window is."""

    @abstractmethod
    def _write(self, job: Job, run: Run, found: W, clock: Clock) -> tuple[W, int, int, int | None, int | None]:
        """
        Record and write the work of a window, in a transaction: the window as far as it was worked on, made, refused, and
        the first and the last change.
        """

    def _made(self, made: int) -> None:
        """Learn from a step that so much was made of a window."""
        self._dense = made > 0

    @abstractmethod
    def _quarantine(self, run: Run, found: W, reason: str) -> Step:
        """Set the one row of a failed step aside, and go on after it."""

    @abstractmethod
    def _writer_of(self, table: SqlTable[C]) -> WayBack:
        """The statements of the table as a run knows it."""

    @abstractmethod
    def _counted(self, table: SqlTable[C], column: C, values: Mapping[str, Any]) -> tuple[int, int, int]:
        """Give a stretch of changes back: how many there are, how many rows were, how many of those hold something else."""
