"""
What makes a run wait for a server of PostgreSQL: its replicas, its log, its other users, or a question of the user's.

Each is asked between two steps, on a connection of its own, so that it is answered while the run rests. What cannot be
answered is a reason to wait, and nothing ends a run.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from ....engine.pace import PAUSE, Brake
from ....errors import StoreError, UsageError
from ....instants import duration_ns, show_duration
from .server import Refused, Server

__all__ = ["braking"]

OFTEN = 0.5
"""So many seconds an answer is good for."""


@contextlib.contextmanager
def braking(
    url: str,
    *,
    lag: timedelta | None = None,
    active: int | None = None,
    log: int | None = None,
    while_: str | None = None,
) -> Iterator[list[Brake]]:
    """
    The brakes that are wanted: *lag* is how far replicas may be behind, *active* how many sessions may be at work beside
    ours, *log* how many bytes the write-ahead log may grow in a second, *while_* a question in SQL that is answered with
    true while the run is to wait.

    Raises:
        UsageError: the question cannot be asked, or is not answered with true or false.
        StoreError: the server cannot be reached, or does not tell.
    """
    server = Server(url, read_only=True)
    try:
        found = []
        if lag is not None:
            found.append(_brake(f"a replica is more than {show_duration(duration_ns(lag))} behind", _Lag(server, lag)))
        if active is not None:
            found.append(_brake(f"more than {active} other sessions are at work", _Active(server, active)))
        if while_ is not None:
            asked = while_.strip().rstrip(";").rstrip()
            found.append(_brake(f"{asked!r} is true", _Question(server, asked)))
        if log is not None:
            found.append(Brake(f"the write-ahead log grows by more than {log:,} bytes a second", _Log(server, log)))
        for each in found:
            each()  # what can never be answered is told at once
        yield found
    finally:
        server.close()


def _brake(reason: str, wait: Callable[[], bool]) -> Brake:
    """A brake that is either on or off; asked now and then."""
    asked = -OFTEN
    on = False

    def read() -> float:
        nonlocal asked, on
        if on or time.monotonic() - asked >= OFTEN:
            on, asked = wait(), time.monotonic()
        return PAUSE if on else 0.0

    return Brake(reason, read)


def _ask(server: Server, sql: str, parameters: tuple[Any, ...] = ()) -> Any:
    try:
        ((found,),) = server.rows(sql, parameters)
    except StoreError:
        with contextlib.suppress(StoreError):  # asked again in a second
            server.close()
            server.connect()
        raise
    return found


def _ensure_told(server: Server, what: str) -> None:
    """
    Make sure that the server tells this user about others: it would say nothing, and not that it does.

    Raises:
        StoreError: it does not.
    """
    said = "SELECT pg_has_role(current_user, 'pg_monitor', 'MEMBER') OR (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)"
    if not _ask(server, said):
        msg = f"{what} is told only to members of pg_monitor: GRANT pg_monitor TO this user"
        raise StoreError(msg)


class _Lag:
    """Whether a replica has not replayed what is older than so long; one that follows nothing has no lag."""

    def __init__(self, server: Server, most: timedelta) -> None:
        self.server, self.most = server, most
        _ensure_told(server, "how far replicas are behind")

    def __call__(self) -> bool:
        seconds = _ask(
            self.server,
            "SELECT coalesce(max(extract(epoch FROM replay_lag)), 0)::float8 FROM pg_catalog.pg_stat_replication",
        )
        return bool(seconds > self.most.total_seconds())


class _Active:
    """Whether more sessions than so many are at work."""

    def __init__(self, server: Server, most: int) -> None:
        self.server, self.most = server, most
        _ensure_told(server, "what other sessions do")

    def __call__(self) -> bool:
        count = _ask(
            self.server,
            "SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE state = 'active' AND backend_type = 'client backend' "
            "AND application_name <> 'timestamp_guard' AND pid <> pg_backend_pid()",
        )
        return bool(count > self.most)


class _Question:
    """Whether a question of the user's is answered with true; nothing is not true."""

    def __init__(self, server: Server, sql: str) -> None:
        self.server, self.sql = server, sql

    def __call__(self) -> bool:
        with self.server.reading():
            try:
                rows = self.server.run_as_it_is(self.sql.replace("%", "%%"))
            except (StoreError, Refused) as problem:
                msg = f"{self.sql!r} cannot be asked: {problem}"
                raise UsageError(msg) from None
        if len(rows) != 1 or len(rows[0]) != 1 or not isinstance(rows[0][0], bool | None):
            msg = f"{self.sql!r} is not answered with one true or false"
            raise UsageError(msg)
        return rows[0][0] is True


class _Log:
    """For how long to wait so that the log does not grow faster than so many bytes a second."""

    def __init__(self, server: Server, most: int) -> None:
        self.server, self.most = server, most
        self._last: tuple[float, int] | None = None

    def __call__(self) -> float:
        here = int(_ask(self.server, "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint"))
        now = time.monotonic()
        if self._last is None:
            self._last = now, here
            return 0.0
        began, there = self._last
        wanted = (here - there) / self.most - (now - began)
        if now - began > 10:
            self._last = now, here  # what was saved long ago is not spent at once
        return max(0.0, min(PAUSE, wanted))
