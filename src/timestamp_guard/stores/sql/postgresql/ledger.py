"""
The ledger in tables of PostgreSQL, in the schema of the table that it is about.

Old and new values, and keys, are kept as the text that the server itself reads and writes, so they lose nothing; a run
remembers of what kind they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ....instants import Raw, brief
from ....ledger import Change, Quarantined, Run
from ....targets.typed import Kind
from ..ledger import _COLUMNS, _TYPES, CHANGES, INTENT, MADE, QUARANTINE, RUNS, SqlLedger
from .server import Server
from .table import Table
from .values import thawed

__all__ = ["ServerLedger"]

_SQL_TYPES: Final[Mapping[str, str]] = {"TEXT": "text"}


class ServerLedger(SqlLedger):
    """The ledger beside *table*."""

    def __init__(self, server: Server, table: Table) -> None:
        super().__init__(server, key=table.key)
        self.server = server
        self.table = table

    def create(self) -> None:
        """Make the tables, with room for the columns of a key; in a transaction, or another process may be first."""
        if not self.exists():
            columns = ", ".join(
                f'"{name}" {_SQL_TYPES.get(_TYPES.get(name, ""), "bigint")}' for name in _COLUMNS if name != "id"
            )
            identity = "bigint GENERATED ALWAYS AS IDENTITY"
            # Who comes second waits here until the first one is done, and finds the tables.
            self.server.run(f"SELECT pg_advisory_xact_lock(hashtextextended('{RUNS}', 0))")
            for said in (
                f"CREATE TABLE IF NOT EXISTS {self._runs} "
                f"(id {identity} PRIMARY KEY, version bigint NOT NULL, key text, {columns})",
                f"CREATE TABLE IF NOT EXISTS {self._changed} (id {identity}, run bigint NOT NULL, field text, "
                f"before text, after text, candidate text, state smallint NOT NULL DEFAULT {MADE}, key_1 text, "
                f"PRIMARY KEY (run, id))",
                f"CREATE INDEX IF NOT EXISTS timestamp_guard_intents ON {self._changed} (run) WHERE state = {INTENT}",
                f"CREATE TABLE IF NOT EXISTS {self._aside} "
                f"(id {identity}, run bigint NOT NULL, reason text, key_1 text, PRIMARY KEY (run, id))",
            ):
                self.server.run(said)
        for name, address in ((CHANGES, self._changed), (QUARANTINE, self._aside)):
            have = self.server.columns(name)
            for index in range(1, len(self.key) + 1):
                if f"key_{index}" not in have:
                    self.server.run(f"ALTER TABLE {address} ADD COLUMN key_{index} text")

    def begin(self, run: Run) -> Run:
        """See :class:`~timestamp_guard.ledger.Ledger`."""
        with self.server.writing():
            self.create()
        return super().begin(run)

    def _begun(self) -> None:
        # Of two that begin at once, one waits here and then finds the other.
        self.server.run(f"LOCK TABLE {self._runs} IN SHARE ROW EXCLUSIVE MODE")

    # -- what a run remembers of its rows

    def _kept_key(self) -> Any:
        kinds = {column.name: column.kind for column in self.table.columns}
        return {"key": list(self.key), "kinds": kinds}

    def _remembered(self, run: Run) -> tuple[tuple[str, ...], Mapping[str, Kind]]:
        ((text,),) = self.server.rows(f"SELECT key FROM {self._runs} WHERE id = ?", (run.id,))
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
        rows = self.server.rows(
            f"SELECT id, before, after, candidate, {names} FROM {self._changed} WHERE run = ? AND state = {state} "  # noqa: S608 - ours
            f"AND id < ? ORDER BY id DESC LIMIT ?",
            (run.id, after or 2**62, limit),
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
            return thawed(text, kind)
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
