"""
The ledger in tables of a server, in the schema of the table that it is about.

Old and new values, and keys, are kept as the text that the server itself reads and writes, so they lose nothing; a run
remembers of what kind they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from ....instants import Raw, brief
from ....ledger import Change, Quarantined, Run
from ....targets.typed import Kind
from ..ledger import SqlLedger
from .server import ServedConnection
from .table import ServedColumn, ServedTable

__all__ = ["ServedLedger"]

S = TypeVar("S", bound=ServedConnection)


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
        raise NotImplementedError

    # -- what a run remembers of its rows

    def _kept_key(self) -> Any:
        kinds = {column.name: column.kind for column in self.table.columns}
        return {"key": list(self.key), "kinds": kinds}

    def _remembered(self, run: Run) -> tuple[tuple[str, ...], Mapping[str, Kind]]:
        ((text,),) = self.server.rows(f'SELECT "key" FROM {self._runs} WHERE id = ?', (run.id,))  # noqa: S608 - our own name
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
        if not self.exists() or run.action != "backfill":
            return []
        key, kinds = self._remembered(run)
        names = ", ".join(f"key_{index}" for index in range(1, len(key) + 1))
        end = "" if limit is None else f" LIMIT {limit:d}"
        rows = self.server.rows(
            f'SELECT id, "before", "after", candidate, {names} FROM {self._changed} '  # noqa: S608 - ours
            f"WHERE run = ? AND state = {state} AND id < ? ORDER BY id DESC{end}",
            (run.id, after or 2**62),
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
        rows = self.server.rows(f"SELECT reason, {names} FROM {self._aside} WHERE run = ? ORDER BY id", (run.id,))  # noqa: S608
        return [Quarantined(self._thaw_key(held, key, kinds), reason) for reason, *held in rows]
