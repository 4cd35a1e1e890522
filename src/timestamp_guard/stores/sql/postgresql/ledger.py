"""
The ledger in tables of PostgreSQL.

What a step changed is one row of `timestamp_guard_batches`, with an array for each thing that is remembered of a change:
a row for each would cost a third of what the change itself costs. `timestamp_guard_changes` is a view that shows them one
by one. The changes of a run are numbered from 1, without a gap. A run that is shared has gaps: a batch takes its numbers
from a sequence, when it holds all the rows that it writes. So of two changes of one row, which may move from the range of
one worker to that of another, the later one has the higher number, without the workers waiting for each other.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

from ....instants import Raw
from ....ledger import SPACE, Run, lost
from ....targets.typed import Kind
from ..form import CHANGES, QUARANTINE, RUNS, Type
from ..served.ledger import ServedLedger
from .server import Server
from .values import thawed

__all__ = ["BATCHES", "ServerLedger"]

BATCHES: Final = "timestamp_guard_batches"
NUMBERS: Final = "timestamp_guard_numbers"

WIDE: Final = 26
"""A batch of a shared run has so many bits of numbers for itself: it is one step, which is far smaller."""

_ARRAYS: Final = ("place", "before", "after", "candidate")


class ServerLedger(ServedLedger[Server]):
    """The ledger beside *table*."""

    TABLES: ClassVar = (CHANGES, QUARANTINE, BATCHES)
    STORED: ClassVar = (BATCHES, "first")
    types: ClassVar[Mapping[Type, str]] = {"INTEGER": "bigint", "TEXT": "text"}

    def create(self) -> None:
        """Make the tables, with room for the columns of a key; in a transaction, or another process may be first."""
        new = not self.exists()
        if new:
            identity = "bigint GENERATED ALWAYS AS IDENTITY"
            # Who comes second waits here until the first one is done, and finds the tables.
            self.server.run(f"SELECT pg_advisory_xact_lock(hashtextextended('{RUNS}', 0))")
            for said in (
                (
                    f"CREATE TABLE IF NOT EXISTS {self._runs} "
                    f"(id {identity} PRIMARY KEY, version bigint NOT NULL, key text, {self._declared()})"
                ),
                (
                    f"CREATE TABLE IF NOT EXISTS {self._batches} (run bigint NOT NULL, first bigint NOT NULL, "
                    f"last bigint NOT NULL, place tid[], before text[], after text[], candidate smallint[], key_1 text[], "
                    f"PRIMARY KEY (run, first))"
                ),
                # Small enough as they are: to make them smaller costs more than to write them.
                f"ALTER TABLE {self._batches} "
                + ", ".join(f"ALTER {name} SET STORAGE EXTERNAL" for name in (*_ARRAYS, "key_1")),
                (
                    f"CREATE TABLE IF NOT EXISTS {self._aside} "
                    f"(id {identity}, run bigint NOT NULL, reason text, key_1 text, PRIMARY KEY (run, id))"
                ),
                f"CREATE SEQUENCE IF NOT EXISTS {self._numbers}",
            ):
                self.server.run(said)
        new |= self._widen(self._aside, self.server.columns(QUARANTINE), "text")
        new |= self._widen(self._batches, self.server.columns(BATCHES), "text[]")
        if new:
            self._show()
        self._upgrade()

    def _widen(self, address: str, have: Sequence[str], kind: str) -> bool:
        """Make room for the columns of the key: whether there was too little."""
        missing = [f"key_{index}" for index in range(1, len(self.key) + 1) if f"key_{index}" not in have]
        for name in missing:
            self.server.run(f"ALTER TABLE {address} ADD COLUMN {name} {kind}")
            if kind.endswith("[]"):
                self.server.run(f"ALTER TABLE {address} ALTER {name} SET STORAGE EXTERNAL")
        return bool(missing)

    def _show(self) -> None:
        """Make the view that shows changes one by one."""
        names = [*_ARRAYS, *(name for name in self.server.columns(BATCHES) if name.startswith("key_"))]
        arrays, ones = (", ".join(f"{source}.{name}" for name in names) for source in ("batch", "one"))
        self.server.run(
            f"CREATE OR REPLACE VIEW {self._changed} AS "  # noqa: S608 - ours
            f"SELECT batch.run, batch.first, batch.first + number - 1 AS id, {ones} FROM {self._batches} batch "
            f"CROSS JOIN LATERAL unnest({arrays}) WITH ORDINALITY AS one ({', '.join(names)}, number)"
        )

    @property
    def _batches(self) -> str:
        return self.server.address(BATCHES)

    @property
    def _numbers(self) -> str:
        return self.server.address(NUMBERS)

    def numbered(self, given: str) -> str:
        """The number of the first change of a batch, in a statement: the one that is *given*, or, where it is null, the next."""
        drawn = "(nextval('" + self._numbers.replace("'", "''").replace("%", "%%") + f"') << {WIDE})"
        return f"coalesce({given}::bigint, {SPACE} + {drawn})"

    def within(self, run: str, bottom: str, top: str, batches: str | None = None) -> str:
        """
        See :class:`~timestamp_guard.stores.sql.served.ledger.ServedLedger`; without a look at all *batches* of the run,
        which are called so in statements with parameters.
        """
        first = f"SELECT max(first) FROM {batches or self._batches} WHERE run = {run} AND first <= {bottom}"  # noqa: S608 - ours
        return f"run = {run} AND first >= coalesce(({first}), {bottom}) AND first <= {top} AND id BETWEEN {bottom} AND {top}"

    def _newest(self, run: Run, top: int) -> int | None:
        found = self.server.rows(
            f"SELECT least(last, ?) FROM {self._batches} WHERE run = ? AND first <= ? ORDER BY first DESC LIMIT 1",  # noqa: S608
            (top, run.id, top),
        )
        return int(found[0][0]) if found else None

    @contextlib.contextmanager
    def owned(self, run: Run, lock_timeout: float | None = None) -> Iterator[None]:
        """See :class:`~timestamp_guard.stores.sql.served.ledger.ServedLedger`; begun and fenced in one message."""
        # A lock is as good as a write, and leaves no dead row behind.
        fence = f"SELECT 1 FROM {self._runs} WHERE id = {run.id or 0:d} AND generation = {run.generation:d} FOR NO KEY UPDATE"  # noqa: S608
        with self.server.writing(lock_timeout, fence) as held:
            if held != 1:
                raise lost(run)
            yield

    def begin(self, run: Run) -> Run:
        """See :class:`~timestamp_guard.ledger.Ledger`."""
        self.prepare()
        with self.server.writing():
            self.create()
        return super().begin(run)

    def _begun(self) -> None:
        # Of two that begin at once, one waits here and then finds the other.
        self.server.run(f"LOCK TABLE {self._runs} IN SHARE ROW EXCLUSIVE MODE")

    def _value(self, text: Any, kind: Kind) -> Raw:
        return thawed(text, kind)
