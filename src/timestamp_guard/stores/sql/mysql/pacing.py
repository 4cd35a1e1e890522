"""
What servers of MariaDB and MySQL tell of themselves, for runs that wait for them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from ....engine.pace import Brake
from ....errors import StoreError, UsageError
from ..connection import Prepared
from ..served.pacing import brakes
from .server import Server

__all__ = ["braking"]

TOLD: Final = (
    "SELECT 1 FROM information_schema.user_privileges WHERE privilege_type IN ('PROCESS', 'SUPER') AND grantee = "
    "concat('''', substring_index(current_user(), '@', 1), '''@''', substring_index(current_user(), '@', -1), '''')"
)
"""Whether this user is told what others do."""


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
    The brakes that are wanted of the server at *url*, as :func:`~..served.pacing.brakes` names them; *replicas* are the
    addresses of those that follow it.

    Raises:
        UsageError: the question cannot be asked, or is not answered with true or false; somebody follows, and it is not
            said who.
        StoreError: a server cannot be reached, or does not tell.
    """
    with contextlib.ExitStack() as opened:
        servers = []
        for each in (url, *replicas):
            servers.append(Server(each, read_only=True))
            opened.callback(servers[-1].close)
        yield brakes(_Gauges(*servers), lag=lag, active=active, log=log, while_=while_)


class _Gauges:
    log = "redo log"

    def __init__(self, server: Server, *replicas: Server) -> None:
        self.server, self.replicas = server, replicas
        self._told = False

    def behind(self) -> float:
        if not self.replicas:
            self._ensure_alone()
        return max((_behind(each) for each in self.replicas), default=0.0)

    def _ensure_alone(self) -> None:
        """
        Make sure that nobody follows: only who follows knows how far behind it is.

        Raises:
            UsageError: somebody does.
            StoreError: it is not told.
        """
        self._told = self._told or bool(self.server.rows(TOLD))
        if not self._told:
            msg = (
                f"who follows {self.server.label} is told only to those with the right PROCESS: name each replica with "
                f"--replica URL, or GRANT PROCESS ON *.* TO this user"
            )
            raise StoreError(msg)
        count = self._followers()
        if count:
            msg = (
                f"{count} replicas follow {self.server.label}, and only they know how far behind they are: name each with "
                f"--replica URL"
            )
            raise UsageError(msg)

    def active(self) -> int:
        # Those that feed replicas are always running, and so is this one.
        return int(self._status("Threads_running")) - self._followers() - 1

    def _followers(self) -> int:
        ((count,),) = self.server.rows(
            "SELECT count(*) FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'"
        )
        return int(count)

    def logged(self) -> int:
        return int(self._status("Innodb_os_log_written"))

    def _status(self, name: str) -> Any:
        ((_, found),) = self.server.rows("SHOW GLOBAL STATUS LIKE ?", (name,))
        return found

    def answers(self, question: str) -> Sequence[Sequence[Any]]:
        with self.server.reading():
            rows = self.server.rows(Prepared(question.replace("%", "%%")))
        # There, true is 1.
        return [[bool(each) if each in {0, 1} and isinstance(each, int) else each for each in row] for row in rows]


def _behind(replica: Server) -> float:
    """
    How many seconds a replica is behind, in the slowest of what it follows.

    Raises:
        StoreError: it follows nobody, or does not at the moment.
    """
    found = replica.named("SHOW ALL SLAVES STATUS" if replica.kind == "MariaDB" else "SHOW REPLICA STATUS")
    if not found:
        msg = f"{replica.label} follows nobody, so it is no replica"
        raise StoreError(msg)
    return max(_seconds(replica, row) for row in found)


def _seconds(replica: Server, row: Mapping[str, Any]) -> float:
    # Without a connection nothing more comes in, and what came in is soon applied: that is no sign of being near.
    names = ("Slave_IO_Running", "Slave_SQL_Running", "Seconds_Behind_Master", "Last_IO_Error", "Last_SQL_Error")
    if replica.kind != "MariaDB":
        names = (
            "Replica_IO_Running",
            "Replica_SQL_Running",
            "Seconds_Behind_Source",
            "Last_IO_Error",
            "Last_SQL_Error",
        )
    receives, applies, seconds, *problems = (row[name] for name in names)
    if receives != "Yes" or applies != "Yes" or seconds is None:
        why = " ".join(each for each in problems if each) or "its replication is stopped"
        msg = f"{replica.label} does not follow: {why}"
        raise StoreError(msg)
    return float(seconds)
