"""
The ledger in tables of a server, in the schema of the table that it is about.

Old and new values, and keys, are kept as the text that the server itself reads and writes, so they lose nothing; a run
remembers of what kind they are.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

from attrs import evolve, fields

from ....instants import Raw, brief
from ....ledger import SPACE, Change, Counts, Quarantined, Run, lost
from ....targets.typed import Kind
from ..ledger import MADE, SqlLedger
from .server import ServedConnection
from .table import ServedColumn, ServedTable

__all__ = ["ServedLedger"]

S = TypeVar("S", bound=ServedConnection)

_MOVED: Final = (
    "cursor", "reason", "found", "first_change", "last_change", "lease_until", *(each.name for each in fields(Counts))
)  # fmt: skip
"""What a step changes of its run."""


class ServedLedger(SqlLedger, Generic[S]):
    """The ledger beside *table*; a dialect says how its tables are made, and how values are read."""

    def __init__(self, server: S, table: ServedTable[Any]) -> None:
        super().__init__(server, key=table.key)
        self.server: S = server
        self.table: ServedTable[ServedColumn] = table

    def prepare(self) -> None:
        """Do what cannot be done inside of a transaction, or not without waiting for each other: look, or make the tables."""
        self.exists()

    def _value(self, text: Any, kind: Kind) -> Raw:
        """
        A value that is kept as text.

        Raises:
            ValueError: it is none of that kind.
        """
        raise NotImplementedError  # a dialect says it

    # -- steps

    @contextlib.contextmanager
    def owned(self, run: Run, lock_timeout: float | None = None) -> Iterator[None]:
        """
        A transaction of the owner of *run*: nobody can take the run over before its end.

        Raises:
            LeaseLost: another process took it over.
        """
        with self.server.writing(lock_timeout):
            self.fence(run)
            yield

    def advance(self, run: Run) -> None:
        """
        Write down how far a step came, in its transaction.

        Raises:
            LeaseLost: another process took the run over.
        """
        values = self._values(run)
        self.put(run, only={name: values[name] for name in _MOVED})

    # -- ranges

    def ranges(self, run: Run) -> list[Run]:
        """See :class:`~timestamp_guard.ledger.SharedLedger`."""
        return self._found("WHERE parent = ? ORDER BY id", (run.whole,)) if self.exists() else []

    def share(self, run: Run, begun: Run | None = None, ended: Sequence[Run] = ()) -> Run:
        """See :class:`~timestamp_guard.ledger.SharedLedger`."""
        after = evolve(run, generation=run.generation + 1)
        with self._writing():
            self.put(after, held=run.generation)
            for each in ended:
                gone = self.server.run(
                    f"DELETE FROM {self._runs} WHERE id = ? AND generation = ?",  # noqa: S608 - our own name
                    (each.id, each.generation),
                )
                if gone.rowcount != 1:
                    raise lost(each)
            if begun is not None:
                after = self._inserted(begun)
        return after

    # -- what a run remembers of its rows

    def _kept_key(self) -> Any:
        kinds = {column.name: column.kind for column in self.table.columns}
        return {"key": list(self.key), "kinds": kinds}

    def _remembered(self, run: Run) -> tuple[tuple[str, ...], Mapping[str, Kind]]:
        ((text,),) = self.server.rows(f'SELECT "key" FROM {self._runs} WHERE id = ?', (run.whole,))  # noqa: S608 - our own name
        try:
            said = json.loads(text)
            key, kinds = said["key"], dict(said["kinds"])
        except (TypeError, ValueError, KeyError):
            raise self.damaged(run, f"key {brief(text)}") from None
        if not isinstance(key, list) or not key or not all(isinstance(name, str) for name in key):
            raise self.damaged(run, f"key {brief(text)}")
        return tuple(key), kinds

    def key_of(self, run: Run) -> tuple[str, ...]:
        """The columns by which *run* finds rows again."""
        return self._remembered(run)[0]

    # -- changes

    def _changes(self, run: Run, state: int, after: int, limit: int | None) -> list[tuple[int, Change]]:
        if not self.exists() or run.action != "backfill" or state != MADE:
            return []  # what a server is asked to write is written in the same transaction: there are no intents
        key, kinds = self._remembered(run)
        names = ", ".join(f"key_{index}" for index in range(1, len(key) + 1))
        top = self.newest(run, after - 1 if after else run.last_change or 0)
        if top is None:
            return []
        values = {"run": run.id, "bottom": 1 if limit is None else max(1, top - limit + 1), "top": top}
        rows = self.server.rows(
            f'SELECT id, "before", "after", candidate, {names} FROM {self._changed} '  # noqa: S608 - ours
            f"WHERE {self.within(':run', ':bottom', ':top')} ORDER BY id DESC",
            values,
        )
        field = self.field_of(run)
        return [
            (
                number,
                Change(
                    self._thaw_key(held, key, kinds),
                    field,
                    self._thaw(before, kinds.get(field, "other")),
                    self._thaw(made, kinds.get(field, "other")),
                    self._name(run, int(candidate)),
                ),
            )
            for number, before, made, candidate, *held in rows
        ]

    def newest(self, run: Run, top: int) -> int | None:
        """See :class:`~timestamp_guard.stores.sql.ledger.SqlLedger`; only ranges leave gaps."""
        if top < SPACE:
            return top if top >= (run.first_change or 1) else None
        return self._newest(run, top)

    def _newest(self, run: Run, top: int) -> int | None:
        return super().newest(run, top)

    def within(self, run: str, bottom: str, top: str) -> str:
        """Which changes: those of a run between two numbers."""
        return f"run = {run} AND id BETWEEN {bottom} AND {top}"

    def _thaw(self, text: Any, kind: Kind) -> Raw:
        try:
            return self._value(text, kind)
        except (TypeError, ValueError, ArithmeticError) as problem:
            raise self.damaged(None, problem) from None

    def _thaw_key(self, held: Sequence[Any], key: Sequence[str], kinds: Mapping[str, Kind]) -> Any:
        found = tuple(self._thaw(text, kinds.get(name, "other")) for text, name in zip(held, key, strict=True))
        return found[0] if len(found) == 1 else found

    def quarantined(self, run: Run) -> list[Quarantined]:
        """See :class:`~timestamp_guard.ledger.Ledger`."""
        if not self.exists():
            return []
        key, kinds = self._remembered(run)
        names = ", ".join(f"key_{index}" for index in range(1, len(key) + 1))
        rows = self.server.rows(f"SELECT reason, {names} FROM {self._aside} WHERE run = ? ORDER BY id", (run.whole,))  # noqa: S608
        return [Quarantined(self._thaw_key(held, key, kinds), reason) for reason, *held in rows]
