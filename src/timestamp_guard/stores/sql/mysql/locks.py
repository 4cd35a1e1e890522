"""
The metadata lock of MariaDB and MySQL that every ALTER and every trigger needs for a moment, and who is in its way.

Whoever has so much as read a table in a transaction holds it until the end of that. Who that is, is told by the
performance schema, which MySQL has on and MariaDB off, or by MariaDB's plugin `metadata_lock_info`. Without either all
transactions are suspects.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Final

from attrs import frozen

from ....errors import StoreError, StoreLocked, StoreReadOnly
from ..connection import Prepared
from .server import Server
from .table import Table

__all__ = ["OLD", "Blocker", "TableLock"]

OLD: Final = 0.5
"""Of suspects: nobody is made to queue while a transaction runs for longer, in seconds."""

_INSTRUMENT: Final = (
    "SELECT 1 FROM performance_schema.setup_instruments "
    "WHERE name = 'wait/lock/metadata/sql/mdl' AND enabled = 'YES' AND @@performance_schema = 1"
)
_PLUGIN: Final = (
    "SELECT 1 FROM information_schema.plugins WHERE plugin_name = 'METADATA_LOCK_INFO' AND plugin_status = 'ACTIVE'"
)
_TOLD: Final = {
    _INSTRUMENT: (
        "SELECT t.processlist_id FROM performance_schema.metadata_locks m JOIN performance_schema.threads t "
        "ON t.thread_id = m.owner_thread_id WHERE m.object_type = 'TABLE' AND m.object_schema = ? AND m.object_name = ?"
    ),
    _PLUGIN: "SELECT thread_id FROM information_schema.metadata_lock_info WHERE table_schema = ? AND table_name = ?",
}
"""Where it is told who holds what: whether there is such a place, and what it says of a table."""

_SESSIONS: Final = (
    # A transaction tells when it began, in whole seconds: it is as old as is sure.
    "SELECT p.id, p.user, p.command, greatest(0, coalesce(timestampdiff(second, x.trx_started, now()) - 1, 0)), "
    "left(coalesce(p.info, x.trx_query, ''), 60) FROM information_schema.processlist p "
    "LEFT JOIN information_schema.innodb_trx x ON x.trx_mysql_thread_id = p.id WHERE p.id <> connection_id() "
)


@frozen
class Blocker:
    """A session that holds the table, or one of which that is not known; for how many seconds its transaction has run."""

    pid: int
    user: str
    command: str
    seconds: float
    query: str
    sure: bool

    @property
    def age(self) -> float:
        """As old as counts: nobody is kept from trying by a suspect."""
        return self.seconds if self.sure else 0.0

    def __str__(self) -> str:
        doing = f": {' '.join(self.query.split())}" if self.query else ""
        return (
            f"{'' if self.sure else 'perhaps '}{self.pid} of {self.user} ({self.command}, {self.seconds:.0f} s){doing}"
        )


@frozen
class TableLock:
    """The lock of *table*; see :class:`~timestamp_guard.stores.sql.served.locks.Lock`."""

    server: Server
    table: Table

    name = "the metadata lock"
    ends = "KILL ID ends one"

    @property
    def label(self) -> str:
        """Where it is."""
        return f"{self.table.called} of {self.server.label}"

    def holders(self) -> Sequence[Blocker]:
        """Who is in the way, or may be; none where this user may not look."""
        place = (self.table.schema, self.table.name)
        for there, told in _TOLD.items():
            with contextlib.suppress(StoreError):
                if self.server.rows(there):
                    held = {pid for (pid,) in self.server.rows(told, place)}
                    return [each for each in self._sessions("", sure=True) if each.pid in held]
        with contextlib.suppress(StoreError):
            return self._sessions("AND x.trx_id IS NOT NULL ", sure=False)
        return []

    def _sessions(self, which: str, *, sure: bool) -> list[Blocker]:
        rows = self.server.rows(f"{_SESSIONS}{which}ORDER BY 4 DESC")
        return [
            Blocker(pid, str(user), str(command), float(age), str(query), sure)
            for pid, user, command, age, query in rows
        ]

    def wait(self, timeout: float) -> int:
        """
        For how many whole seconds the server may wait, set in this session: one is the longest, and the shortest of MySQL.

        As short as can be, where a transaction has run for long that may hold the table.
        """
        least = 0 if self.server.kind == "MariaDB" else 1
        suspects = any(not each.sure and each.seconds >= OLD for each in self.holders())
        seconds = least if suspects else max(least, min(1, int(timeout)))
        self._set(seconds)
        return seconds

    def ensure_free(self) -> None:
        """
        Make sure that the table can be had at once, where it can be asked, before work that ends with another wait; for
        both the server then waits for a second.

        Raises:
            StoreLocked: it cannot be had.
        """
        try:
            if self.server.kind == "MariaDB":
                self._set(0)
                with contextlib.suppress(StoreReadOnly):  # this user may not
                    self.server.run(Prepared(f"LOCK TABLES {self.table.source.replace('%', '%%')} WRITE"))
                    self.server.run("UNLOCK TABLES")
        finally:
            self._set(1)

    def over(self) -> None:
        """Wait as before."""
        self._set(max(1, round(self.server.timeout)))

    def _set(self, seconds: int) -> None:
        self.server.run(f"SET SESSION lock_wait_timeout = {seconds:d}")
        ((held,),) = self.server.rows("SELECT @@SESSION.lock_wait_timeout")
        if held != seconds:
            raise StoreLocked(f"{self.label}: lock_wait_timeout is {held} and not {seconds}, so nothing is tried")
