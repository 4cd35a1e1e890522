"""
What a server of PostgreSQL tells of itself, for runs that wait for it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from ....engine.pace import Brake
from ....errors import StoreError, UsageError
from ..served.pacing import brakes
from .server import Server

__all__ = ["braking"]


@contextlib.contextmanager
def braking(
    url: str,
    *,
    lag: timedelta | None = None,
    active: int | None = None,
    log: int | None = None,
    while_: str | None = None,
    replicas: Sequence[str] = (),
) -> Iterator[list[Brake]]:
    """
    The brakes that are wanted of the server at *url*, as :func:`~..served.pacing.brakes` names them.

    Raises:
        UsageError: the question cannot be asked, or is not answered with true or false; replicas are named, which the
            server knows.
        StoreError: the server cannot be reached, or does not tell.
    """
    if replicas:
        msg = "a server of PostgreSQL knows how far its replicas are behind: leave out --replica"
        raise UsageError(msg)
    server = Server(url, read_only=True)
    try:
        yield brakes(_Gauges(server), lag=lag, active=active, log=log, while_=while_)
    finally:
        server.close()


class _Gauges:
    log = "write-ahead log"

    def __init__(self, server: Server) -> None:
        self.server = server
        self._told = False

    def behind(self) -> float:
        self._ensure_told("how far replicas are behind")
        return float(
            self._ask(
                "SELECT coalesce(max(extract(epoch FROM replay_lag)), 0)::float8 FROM pg_catalog.pg_stat_replication"
            )
        )

    def active(self) -> int:
        self._ensure_told("what other sessions do")
        return int(
            self._ask(
                "SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE state = 'active' AND backend_type = 'client backend' "
                "AND application_name <> 'timestamp_guard' AND pid <> pg_backend_pid()"
            )
        )

    def logged(self) -> int:
        return int(self._ask("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint"))

    def answers(self, question: str) -> Sequence[Sequence[Any]]:
        with self.server.reading():
            return self.server.run_as_it_is(question.replace("%", "%%"))

    def _ask(self, sql: str) -> Any:
        try:
            ((found,),) = self.server.rows(sql)
        except StoreError:
            with contextlib.suppress(StoreError):  # asked again in a second
                self.server.close()
                self.server.connect()
            raise
        return found

    def _ensure_told(self, what: str) -> None:
        """
        Make sure that the server tells this user about others: it would say nothing, and not that it does.

        Raises:
            StoreError: it does not.
        """
        self._told = self._told or self._ask(
            "SELECT pg_has_role(current_user, 'pg_monitor', 'MEMBER') OR "
            "(SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)"
        )
        if not self._told:
            msg = f"{what} is told only to members of pg_monitor: GRANT pg_monitor TO this user"
            raise StoreError(msg)
