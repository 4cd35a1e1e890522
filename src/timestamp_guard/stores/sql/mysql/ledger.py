"""
The ledger in tables of MariaDB or MySQL.

A statement that makes a table commits what was done before it: so tables are made before any transaction.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from ....instants import Raw
from ....ledger import Run
from ....targets.typed import Kind
from ..form import CHANGES, QUARANTINE, RUNS, Type
from ..served.ledger import ServedLedger
from .server import Server
from .values import thawed

__all__ = ["ServerLedger"]

AS: Final = "ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
"""Whatever the server's own are: rows in transactions, and all text that there is."""


class ServerLedger(ServedLedger[Server]):
    """The ledger beside *table*."""

    types: ClassVar[Mapping[Type, str]] = {"INTEGER": "bigint", "TEXT": "longtext"}

    def prepare(self) -> None:
        """Make the tables, or make them those of this version, with room for the columns of a key; outside of any transaction."""
        if self.exists() and not self._older and not self._narrow():
            return
        with self.server.alone(f"ledger of {self.server.schema}"):
            identity = "bigint NOT NULL AUTO_INCREMENT"
            for name, said in (
                (
                    CHANGES,
                    (
                        "run bigint NOT NULL, id bigint NOT NULL, `before` longtext, `after` longtext, "
                        "candidate smallint, key_1 longtext, PRIMARY KEY (run, id)"
                    ),
                ),
                (
                    QUARANTINE,
                    (
                        f"id {identity}, run bigint NOT NULL, reason longtext, key_1 longtext, "
                        f"PRIMARY KEY (run, id), KEY (id)"
                    ),
                ),
                # The last one: each is committed by itself, and where this one is there is a ledger.
                (RUNS, f"id {identity} PRIMARY KEY, version bigint NOT NULL, `key` longtext, {self._declared()}"),
            ):
                if not self.server.columns(name):
                    self.server.run(f"CREATE TABLE IF NOT EXISTS {self.server.address(name)} ({said}) {AS}")
            self._upgrade()
            for name, each in self._narrow():
                self.server.run(f"ALTER TABLE {self.server.address(name)} ADD COLUMN {each} longtext")
        self.forget()

    def _narrow(self) -> list[tuple[str, str]]:
        """The columns that a key needs, and that are not there yet."""
        found = []
        for name in (CHANGES, QUARANTINE):
            have = self.server.columns(name)
            found += [(name, f"key_{i}") for i in range(1, len(self.key) + 1) if f"key_{i}" not in have]
        return found

    def create(self) -> None:
        """See :meth:`prepare`: nothing is made inside of a transaction."""

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        if self._older:
            self.prepare()
        with super()._writing():
            yield

    def begin(self, run: Run) -> Run:
        """See :class:`~timestamp_guard.ledger.Ledger`."""
        self.prepare()
        # Of two that begin at once, one waits here and then finds the other.
        with self.server.alone(f"begins in {self.server.schema}"):
            return super().begin(run)

    def _numbered(self, insert: str, values: dict[str, Any]) -> int:
        return self.server.run(insert, values).number

    def _value(self, text: Any, kind: Kind) -> Raw:
        return thawed(text, kind)
