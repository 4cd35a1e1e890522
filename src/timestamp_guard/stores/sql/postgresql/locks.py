"""
How a lock of a table is taken that others would have to queue behind.

Whoever waits for a lock keeps all who come later waiting too, readers as well. So nobody is waited for who is known to
hold the table for long; a try is short; and after each there is a rest that is longer, in which the queue drains.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Final

from attrs import frozen

from ....errors import StoreLocked
from ...base import Tell
from .server import Server

__all__ = ["ACCESS_EXCLUSIVE", "SHARE_ROW_EXCLUSIVE", "SHARE_UPDATE_EXCLUSIVE", "Blocker", "Locks"]

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
class Locks:
    """
    The policy, in seconds: tries that last from `first` on, at most twice as long each time and never longer than
    `most`; transactions that are older than `old` are not waited for; after `budget` it is given up.
    """

    first: float = 0.1
    most: float = 5.0
    old: float = 0.5
    budget: float = 120.0

    def take(self, server: Server, tables: Sequence[int], mode: str, act: Callable[[float], None], tell: Tell) -> None:
        """
        Have *act* done, which is given for how many seconds it may wait for *mode* of *tables*.

        Raises:
            StoreLocked: the budget is used up; says by whom.
        """
        ends = time.monotonic() + self.budget
        longest, said = self.first, ""
        while True:
            holders = blockers(server, tables, mode)
            old = [each for each in holders if each.age >= self.old]
            if not old:
                timeout = random.uniform(self.first, longest)  # noqa: S311 - not for secrecy
                try:
                    act(timeout)
                except StoreLocked:
                    holders = blockers(server, tables, mode) or holders
                else:
                    return
                longest = min(self.most, 2 * longest)
                rest = timeout * random.uniform(1.1, 2.0)  # noqa: S311 - as above
            else:
                holders, rest = old, self.old * random.uniform(0.5, 1.0)  # noqa: S311 - as above
            names = "; ".join(map(str, holders)) or "transactions that come and go"
            if time.monotonic() + rest >= ends:
                raise StoreLocked(
                    f"{server.label}: {mode} was not to be had in {self.budget:.0f} s, because of {names}. Have them end "
                    f"(SELECT pg_terminate_backend(PID) ends one), or come back when it is quiet; what was done stands"
                )
            who = ", ".join(str(each.pid) for each in holders)
            if who != said:
                tell(f"waiting for {mode}, without keeping others from the table: held by {names}")
                said = who
            time.sleep(rest)


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
