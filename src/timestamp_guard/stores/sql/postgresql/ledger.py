"""
The ledger in tables of PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ....instants import Raw
from ....ledger import Run
from ....targets.typed import Kind
from ..form import CHANGES, QUARANTINE, RUNS, Type
from ..ledger import INTENT, MADE
from ..served.ledger import ServedLedger
from .server import Server
from .values import thawed

__all__ = ["ServerLedger"]


class ServerLedger(ServedLedger[Server]):
    """The ledger beside *table*."""

    types: ClassVar[Mapping[Type, str]] = {"INTEGER": "bigint", "TEXT": "text"}

    def create(self) -> None:
        """Make the tables, with room for the columns of a key; in a transaction, or another process may be first."""
        if not self.exists():
            identity = "bigint GENERATED ALWAYS AS IDENTITY"
            # Who comes second waits here until the first one is done, and finds the tables.
            self.server.run(f"SELECT pg_advisory_xact_lock(hashtextextended('{RUNS}', 0))")
            for said in (
                (
                    f"CREATE TABLE IF NOT EXISTS {self._runs} "
                    f"(id {identity} PRIMARY KEY, version bigint NOT NULL, key text, {self._declared()})"
                ),
                (
                    f"CREATE TABLE IF NOT EXISTS {self._changed} (id {identity}, run bigint NOT NULL, field text, "
                    f"before text, after text, candidate text, state smallint NOT NULL DEFAULT {MADE}, place tid, key_1 text, "
                    f"PRIMARY KEY (run, id))"
                ),
                f"CREATE INDEX IF NOT EXISTS timestamp_guard_intents ON {self._changed} (run) WHERE state = {INTENT}",
                (
                    f"CREATE TABLE IF NOT EXISTS {self._aside} "
                    f"(id {identity}, run bigint NOT NULL, reason text, key_1 text, PRIMARY KEY (run, id))"
                ),
            ):
                self.server.run(said)
        self._upgrade()
        for name, address in ((CHANGES, self._changed), (QUARANTINE, self._aside)):
            have = self.server.columns(name)
            for index in range(1, len(self.key) + 1):
                if f"key_{index}" not in have:
                    self.server.run(f"ALTER TABLE {address} ADD COLUMN key_{index} text")

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
