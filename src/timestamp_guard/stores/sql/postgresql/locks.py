"""
The locks of PostgreSQL that are not to be waited for, and who is in their way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import frozen

from .server import Server

__all__ = ["ACCESS_EXCLUSIVE", "SHARE_ROW_EXCLUSIVE", "SHARE_UPDATE_EXCLUSIVE", "Blocker", "TableLock"]

ACCESS_EXCLUSIVE: Final = "ACCESS EXCLUSIVE"
SHARE_ROW_EXCLUSIVE: Final = "SHARE ROW EXCLUSIVE"
SHARE_UPDATE_EXCLUSIVE: Final = "SHARE UPDATE EXCLUSIVE"

_ABOVE: Final = ("ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock")
CONFLICTS: Final = {
    SHARE_UPDATE_EXCLUSIVE: ("ShareUpdateExclusiveLock", *_ABOVE),
    SHARE_ROW_EXCLUSIVE: ("RowExclusiveLock", "ShareUpdateExclusiveLock", *_ABOVE),
    ACCESS_EXCLUSIVE: ("AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", *_ABOVE),
}
"""What each lock must wait for: https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES."""


@frozen
class Blocker:
    """A session whose transaction holds, or waits for, a lock that is in the way."""

    pid: int | None
    user: str | None
    state: str | None
    age: float
    query: str
    waits_for: Sequence[int]

    def __str__(self) -> str:
        if self.pid is None:
            return "a prepared transaction (see pg_prepared_xacts)"
        waits = f", waiting for {', '.join(map(str, self.waits_for))}" if self.waits_for else ""
        return f"{self.pid} of {self.user or '?'} ({self.state or '?'}, {self.age:.1f} s{waits}): {self.query}"


@frozen
class TableLock:
    """A lock of tables by their numbers; see :class:`~timestamp_guard.stores.sql.served.locks.Lock`."""

    server: Server
    tables: Sequence[int]
    name: str

    ends = "SELECT pg_terminate_backend(PID) ends one"

    @property
    def label(self) -> str:
        """Where it is."""
        return self.server.label

    def holders(self) -> Sequence[Blocker]:
        """Who is in the way."""
        return blockers(self.server, self.tables, self.name)


def blockers(server: Server, tables: Sequence[int], mode: str) -> list[Blocker]:
    """
    Who holds or waits for what is in the way, the oldest first.

    Not autovacuum: it gives way to whoever waits for a second.
    """
    rows = server.rows(
        "SELECT l.pid, a.usename, a.state, coalesce(extract(epoch FROM clock_timestamp() - max(a.xact_start)), 0)::float8, "
        "left(regexp_replace(coalesce(a.query, ''), '\\s+', ' ', 'g'), 60), "
        "CASE WHEN bool_and(l.granted) THEN '{}' ELSE pg_blocking_pids(l.pid) END "
        "FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid "
        "WHERE l.locktype = 'relation' AND l.relation::bigint = ANY (?) AND l.mode = ANY (?) "
        "AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) "
        "AND l.pid IS DISTINCT FROM pg_backend_pid() AND coalesce(a.backend_type, '') <> 'autovacuum worker' "
        "GROUP BY 1, 2, 3, 5 ORDER BY 4 DESC",
        (list(tables), list(CONFLICTS[mode])),
    )
    return [Blocker(*row) for row in rows]
