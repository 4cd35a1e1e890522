"""
What every store that is a table of SQL does in the same way. What a dialect must say is at the end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

from attrs import evolve

from ...errors import PlanChanged, WriteUndone
from ...instants import Encodings
from ...job import Job
from ...ledger import Run
from ...rules import Moment
from .connection import Prepared
from .found import SqlColumn, SqlTable, Watching
from .ledger import SqlLedger
from .looking import Asking

__all__ = ["Saying", "SqlStore"]

T = TypeVar("T")


class Saying(Asking, Protocol):
    """What SQL says of a job."""

    def values(self, job: Job, moment: Moment) -> dict[str, Any]:
        """The parameters of bounds and candidates."""
        ...


C = TypeVar("C", bound=SqlColumn)
S = TypeVar("S", bound=Saying)


class SqlStore(ABC, Generic[C, S]):
    """One table of a database, with its ledger in it; close it, or use it as a context manager."""

    typed = True

    pause_trigger: ClassVar[str]
    """What is said of how to switch a trigger off."""

    encodings: Encodings
    table: SqlTable[C]
    ledger: SqlLedger

    def __init__(self) -> None:
        self._keys: dict[int, tuple[str, ...]] = {0: self.table.key}
        self._said: tuple[Job, bool] | None = None
        self._prepared: tuple[Job, bool, S] | None = None

    # -- what it is

    @property
    def name(self) -> str:
        """The name of the table; with its schema, where that is not the current one."""
        return self.table.called

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that identify a row; none where nothing does."""
        return self.table.key

    def fields(self) -> Sequence[str]:
        """The names of the columns."""
        return [column.name for column in self.table.columns]

    def declared(self) -> Mapping[str, str]:
        """The declared types of the columns."""
        return {column.name: column.declared for column in self.table.columns}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- statements

    def _sql(self, job: Job) -> bool:
        """Whether SQL says exactly what the job is."""
        if self._said is None or self._said[0] is not job:
            self._said = (job, self._speaks(job))
        return self._said[1]

    def _statements(self, job: Job, *, skipping: bool) -> S:
        """What SQL says of the job, *skipping* what is in quarantine."""
        if self._prepared is None or self._prepared[0] is not job or self._prepared[1] != skipping:
            self._prepared = (job, skipping, self._prepare_for(job, skipping=skipping))
        return self._prepared[2]

    # -- runs, and the rows that they know

    def _key_of(self, run: Run) -> tuple[str, ...]:
        """The key by which *run* remembers rows, which does not change."""
        if run.id not in self._keys and run.id is not None:
            self._keys[run.id] = self._lasting(lambda: self.ledger.key_of(run))
        return self._keys[run.id or 0]

    def _same_key(self, run: Run) -> None:
        """
        Make sure that the run finds rows by the key that it began with.

        Raises:
            PlanChanged: it would not.
        """
        if (was := self._key_of(run)) != self.table.key:
            names = [", ".join(key) or "nothing" for key in (was, self.table.key)]
            raise PlanChanged(
                f"run {run.id} on {self.name} is unfinished and tells rows apart by {names[0]}, not by {names[1]}: open "
                f"the table with that key, or roll the run back first"
            )

    def _as_it_was(self, run: Run) -> SqlTable[C]:
        """
        The table with the key by which *run* remembers rows, whatever it is opened with now.

        Raises:
            UnknownName: a column that the run knows is not there any more.
        """
        key = self._key_of(run)
        for name in (*key, self.ledger.field_of(run)):
            self.table.column(name)
        return evolve(self.table, key=key)

    def ensure_undoable(self, run: Run) -> None:
        """
        Make sure that the columns are there which the run knows.

        Raises:
            UnknownName: one is not.
        """
        self._as_it_was(run)

    def overlap(self, run: Run, newer: Sequence[Run]) -> Run | None:
        """The first of *newer* that changed a row that *run* changed, or remembers rows by another key."""
        table = self._as_it_was(run) if newer else self.table
        said = self._overlap(table)
        for other in newer:
            numbers = {"run": run.id, "other": other.id}
            found = self._lasting(lambda numbers=numbers: self.ledger.database.rows(said, numbers))  # type: ignore[misc]  # bound at once
            if found or self._key_of(other) != table.key:
                return other
        return None

    def _undone_by_a_trigger(self, name: str) -> WriteUndone:
        names = [each.name for each in self._watching() if each.on_update]
        return WriteUndone(
            f"what is written to {name} of {self.name} does not stay: trigger {' or '.join(names)} changes it; nothing of "
            f"this step was kept. {self.pause_trigger.format(source=self.table.source)}"
        )

    def _lasting(self, act: Callable[[], T]) -> T:
        """Do something that can be done again where a connection is lost; a file has none."""
        return act()

    # -- what a dialect says

    @abstractmethod
    def close(self) -> None:
        """Close what was opened."""

    @abstractmethod
    def _speaks(self, job: Job) -> bool:
        """Whether SQL says exactly what the job is; asked once for a job."""

    @abstractmethod
    def _prepare_for(self, job: Job, *, skipping: bool) -> S:
        """Make the statements of a job."""

    @abstractmethod
    def _overlap(self, table: SqlTable[C]) -> Prepared | str:
        """Whether two runs changed the same row."""

    @abstractmethod
    def _watching(self) -> Sequence[Watching]:
        """The triggers of the table, as far as they are known."""
