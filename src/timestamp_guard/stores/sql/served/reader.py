"""
A table on a server as it is read: judged by the server itself where SQL can say it exactly, else row by row in Python.
What a dialect must say is at the end.
"""

from __future__ import annotations

import functools
import random
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

from ....engine.tally import Tally
from ....engine.tally import assess as assess_pages
from ....engine.tally import survey as survey_pages
from ....errors import StoreError
from ....instants import Encoding, Raw, encodings_for
from ....job import Job
from ....ledger import Key, Run
from ....repairs import needs
from ....rules import Guard, Moment
from ....targets.typed import mends_typed, speaks_typed
from ...base import Assessment, Clock, Source, Survey
from ..looking import assess
from ..store import Saying, SqlStore
from .ledger import ServedLedger
from .server import ConnectionLost, ServedConnection
from .table import ServedColumn, ServedTable

__all__ = ["ServedReader"]

T = TypeVar("T")

TRIES: Final = 6
"""How often a lost connection is made again, each time after twice as long a rest."""


C = TypeVar("C", bound=ServedColumn)
S = TypeVar("S", bound=Saying)


class ServedReader(SqlStore[C, S], Generic[C, S]):
    """One table of a server; close it, or use it as a context manager."""

    server: ServedConnection
    table: ServedTable[C]
    ledger: ServedLedger[Any]

    def __init__(self) -> None:
        super().__init__()
        self._offset: tuple[float, int] | None = None

    # -- what it is

    def now(self) -> int:
        """The server's clock: asked now and then, and counted on from there."""
        here = time.monotonic()
        if self._offset is None or here - self._offset[0] > 10:
            asked = time.time_ns()
            there = self.server.now() if self.server.in_transaction else self._lasting(self.server.now)
            self._offset = here, there - (asked + time.time_ns()) // 2
        return time.time_ns() + self._offset[1]

    def close(self) -> None:
        """Close the connection."""
        self.server.close()

    def _lasting(self, act: Callable[[], T]) -> T:
        """Do something that can be done again where the connection is lost."""
        for tried in range(TRIES):
            try:
                return act()
            except ConnectionLost:
                if tried == TRIES - 1:
                    raise
                self._reconnect(tried)
        raise AssertionError  # pragma: no cover - the last try returns or raises

    def _reconnect(self, tried: int) -> None:
        """Make the connection again; with jitter, for all workers lost it at once."""
        for again in range(tried, TRIES):
            time.sleep(min(5.0, 0.05 * 2**again) * random.uniform(0.5, 1.5))  # noqa: S311 - not for secrecy
            try:
                self.server.close()
                self.server.connect()
            except StoreError:
                if again == TRIES - 1:
                    raise
            else:
                return

    # -- reading

    def survey(self, guard: Guard, clock: Clock, samples: int) -> Survey:
        """Look at every row once, in one view of the data."""
        return self._lasting(lambda: self._survey(guard, clock, samples))

    def _survey(self, guard: Guard, clock: Clock, samples: int) -> Survey:
        encodings = encodings_for(guard.fields, self.encodings)
        with self.server.reading():
            if speaks_typed(guard, encodings, self.table.types(guard.fields)):
                tally, moment = Tally(guard, encodings, samples), Moment.at(clock())
                self._count(tally, guard, encodings, moment, show=samples > 0)
                return tally.survey()
            source, clock = self._columns(guard.fields, clock)
            return survey_pages(source, guard, clock, samples)

    def assess(self, job: Job, clock: Clock, samples: int, run: Run | None = None) -> Assessment:
        """Count what there is to do, in one view of the data."""
        return self._lasting(lambda: self._assess(job, clock, samples, run))

    def _assess(self, job: Job, clock: Clock, samples: int, run: Run | None) -> Assessment:
        skipping = run is not None and run.counts.quarantined > 0
        skipped = self.ledger.quarantined(run) if run is not None and skipping else []
        with self.server.reading():
            if not self._sql(job):
                source, clock = self._columns(needs(job.repair, job.guard), clock)
                return assess_pages(source, self._as_held(job), clock, samples, skipped)
            said = self._statements(job, skipping=skipping)
            values = said.values(job, job.moment(clock())) | ({"run": run.id} if run is not None else {})
            raw = functools.partial(self._raw, job)
            return assess(self.server, said, values, job, samples, key=self._thawed_key, raw=raw)

    # -- statements

    def _speaks(self, job: Job) -> bool:
        types = self.table.types((*job.guard.fields, *job.encodings))
        return speaks_typed(job.guard, job.encodings, types) and mends_typed(job.repair, job.encodings, types)

    def _as_held(self, job: Job) -> Job:
        """The job as Python judges it, with what it generates for that."""
        return job

    # -- what a dialect says

    @abstractmethod
    def _count(
        self, tally: Tally, guard: Guard, encodings: Mapping[str, Encoding], moment: Moment, *, show: bool
    ) -> None:
        """Have the server count all rows by what is wrong with them; show some of them, if asked for."""

    @abstractmethod
    def _columns(self, names: Sequence[str] | None, clock: Clock) -> tuple[Source, Clock]:
        """The table with these columns, or with all, in one view of the data; and the clock for a walk through it."""

    @abstractmethod
    def _thawed_key(self, texts: Sequence[str]) -> Key:
        """A key that came as text."""

    @abstractmethod
    def _raw(self, job: Job, after: Any) -> Raw:
        """What would be written, as the column would give it back."""
