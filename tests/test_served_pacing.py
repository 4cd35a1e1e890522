"""
A run waits for a server that has too much to do, says why, and goes on by itself.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from tests import served_tables, servers
from tests.postgresql_tables import DAY, GUARD, MS, NOW, REPAIR
from tests.served_tables import KINDS, fill, make, opened
from timestamp_guard import Pace, backfill, plan
from timestamp_guard.cli._options import Pacing
from timestamp_guard.cli._pacing import paced
from timestamp_guard.engine.pace import PAUSE, Brake
from timestamp_guard.errors import StoreError, UsageError
from timestamp_guard.stores import braking
from timestamp_guard.stores.base import Step
from timestamp_guard.stores.sql.served.pacing import brakes

TABLE = 'CREATE TABLE services (_id bigint PRIMARY KEY, "createdAt" bigint, "updatedAt" bigint)'


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with servers.database(served_tables.server(request.param)) as url:
        yield make(
            url,
            TABLE,
            "CREATE TABLE busy (now boolean)",
            "INSERT INTO busy VALUES (true)",
            rows=[(n, MS - DAY + n, None) for n in range(2000)],
        )


def test_a_question(url: str) -> None:
    """
    While the user's question is answered with true the run rests and says so, in its progress and in the ledger.
    """
    said: list[str | None] = []
    in_ledger: list[str | None] = []

    def told(step: Step) -> None:
        said.append(step.run.reason)
        if step.run.reason is not None:
            in_ledger.append(servers.sql(url, "SELECT reason FROM timestamp_guard_runs")[0][0])
            servers.sql(url, "UPDATE busy SET now = false")

    with braking(url, while_="SELECT now FROM busy;") as brakes, opened(url) as store:
        run = backfill(store, GUARD, REPAIR, now=NOW, pace=Pace(start=100, throttles=brakes), progress=told)

    assert (True, None) == (run.ok, run.reason)
    assert ["paused: 'SELECT now FROM busy' is true"] == [reason for reason in said if reason is not None]
    assert ["paused: 'SELECT now FROM busy' is true"] == in_ledger


@pytest.mark.parametrize(
    "question", ["SELECT", "SELECT 2", "SELECT true, true", "SELECT true WHERE false", "DROP TABLE busy"]
)
def test_no_question(url: str, question: str) -> None:
    """
    A question that can never be answered is told of before anything is written.
    """
    with pytest.raises(UsageError, match="SELECT|DROP"):
        with braking(url, while_=question):
            pass

    assert [(1,)] == servers.sql(url, "SELECT now FROM busy")


def test_active_sessions(url: str) -> None:
    """
    Sessions of others that are at work count, ours do not.
    """
    with braking(url, active=0) as (brake,):
        assert 0.0 == brake()
        other = threading.Thread(target=servers.sql, args=(url, served_tables.rest(url, 2)))
        other.start()
        try:
            until = time.monotonic() + 5
            while brake() != PAUSE and time.monotonic() < until:
                time.sleep(0.1)
            assert PAUSE == brake()
        finally:
            other.join()
        assert 0.0 == brake()

    assert "more than 0 other sessions are at work" == brake.reason


def test_lag_without_replicas(url: str) -> None:
    """
    Who is followed by nobody has no lag.
    """
    with braking(url, lag=timedelta(seconds=5)) as (brake,):
        assert (0.0, "a replica is more than 5s behind") == (brake(), brake.reason)


@pytest.mark.parametrize(
    ("kind", "made", "wanted"),
    [
        ("postgresql", "CREATE ROLE {} LOGIN", "GRANT pg_monitor"),
        ("mariadb", "CREATE USER {0}; GRANT SELECT ON *.* TO {0}", "GRANT PROCESS"),
    ],
)
def test_who_may_not_know(kind: str, made: str, wanted: str) -> None:
    """
    Who may not know how far replicas are behind is told what to grant, and does not run blindly.
    """
    url, role = served_tables.server(kind), f"joe_{time.time_ns()}"
    servers.sql(url, *made.format(role).split("; "))
    try:
        with pytest.raises(StoreError, match=wanted):
            with braking(url.replace("postgres@", f"{role}@").replace("root@", f"{role}@"), lag=timedelta(seconds=5)):
                pass
    finally:
        servers.sql(url, f"DROP {'ROLE' if kind == 'postgresql' else 'USER'} {role}")


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[str, str]]:
    """
    A server of MariaDB, and one that follows it.
    """
    with (
        servers.own_mariadb("--log-bin=binlog", "--server-id=1") as first,
        servers.own_mariadb("--server-id=2") as second,
    ):
        port = servers.tcp(first.url).rpartition(":")[2].partition("/")[0]
        servers.sql(
            second.url,
            f"CHANGE MASTER TO master_host = '127.0.0.1', master_port = {port}, master_user = 'root', "
            "master_use_gtid = slave_pos, master_connect_retry = 1",
            "START SLAVE",
        )
        servers.sql(first.url, "CREATE DATABASE app")
        yield first.url.replace("/mysql", "/app"), second.url


def soon(brake: Brake, wanted: float) -> float:
    """What a brake says, when it says what is wanted, or after some seconds."""
    until = time.monotonic() + 20
    while (found := brake()) != wanted and time.monotonic() < until:
        time.sleep(0.1)
    return found


def test_a_replica(pair: tuple[str, str]) -> None:
    """
    A replica that is named is asked how far it is behind; one that does not follow cannot tell, which is said.
    """
    first, second = pair
    make(first, "CREATE TABLE t (id int PRIMARY KEY)")
    while not servers.sql(second, "SHOW DATABASES LIKE 'app'"):
        time.sleep(0.05)

    with braking(first, lag=timedelta(seconds=1), replicas=[second]) as (brake,):
        assert 0.0 == soon(brake, 0.0)
        servers.sql(second, "STOP SLAVE", "CHANGE MASTER TO master_delay = 60", "START SLAVE")
        time.sleep(0.5)
        assert 0.0 == soon(brake, 0.0)
        servers.sql(first, "INSERT INTO t VALUES (1)")
        assert PAUSE == soon(brake, PAUSE)
        servers.sql(second, "STOP SLAVE")
        with pytest.raises(StoreError, match="does not follow: its replication is stopped"):
            brake()
        servers.sql(second, "CHANGE MASTER TO master_delay = 0", "START SLAVE")
        time.sleep(0.5)
        assert 0.0 == soon(brake, 0.0)

    assert "a replica is more than 1s behind" == brake.reason


def test_replicas_are_to_be_named(pair: tuple[str, str]) -> None:
    """
    Where somebody follows a server that does not know how far behind they are, they must be named; and be followers.
    """
    first, second = pair
    until = time.monotonic() + 20
    while (
        not servers.sql(first, "SELECT 1 FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'")
        and time.monotonic() < until
    ):
        time.sleep(0.1)

    with braking(first, active=0) as (brake,):
        assert 0.0 == brake()
    with pytest.raises(UsageError, match=r"1 replicas follow .*: name each with --replica URL"):
        with braking(first, lag=timedelta(seconds=1)):
            pass
    with pytest.raises(StoreError, match="follows nobody, so it is no replica"):
        with braking(first, lag=timedelta(seconds=1), replicas=[second, first]):
            pass
    with pytest.raises(UsageError, match="--replica says who is asked for --max-lag"):
        with braking(first, replicas=[second]):
            pass


def test_options(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    On the command line every server has the same options, and its address may be in the environment.
    """
    monkeypatch.setenv("HERE", url)
    said = Pacing(pace="10ms", max_lag="5s", max_active=100, max_log=10_000_000, pause_while="SELECT NOT now FROM busy")

    with paced("env:HERE", said) as pace, opened(url) as store:
        run = backfill(store, GUARD, REPAIR, now=NOW, pace=pace)

    assert (0.01, 4, True) == (pace.target, len(pace.throttles), run.ok)


def test_the_log_has_a_budget(url: str) -> None:
    """
    What was written to the log is waited for, until it is within the budget.
    """
    with braking(url, log=1_000_000) as (brake,):
        assert 0.0 == brake()
        fill(url, "services", [(n, None, None) for n in range(10_000, 60_000)])
        waits = [brake()]
        time.sleep(waits[0])
        waits.append(brake())

    assert PAUSE == waits[0]


def test_a_log_that_begins_anew() -> None:
    """
    Where a server was started again, and counts from nothing, its log has the same budget.
    """

    class Counting:
        log = "log"
        counts = iter([5000, 10, 5010])

        def logged(self) -> int:
            return next(self.counts)

        def behind(self) -> float:
            raise NotImplementedError

        def active(self) -> int:
            raise NotImplementedError

        def answers(self, question: str) -> Sequence[Sequence[Any]]:
            raise NotImplementedError

    (brake,) = brakes(Counting(), lag=None, active=None, log=1000, while_=None)

    assert [0.0, PAUSE] == [brake(), brake()]


def test_what_cannot_be_read_means_pause(url: str) -> None:
    """
    A brake that fails keeps the run waiting and says why; when it answers again the run goes on.
    """
    answers = iter([OSError("no route"), OSError("no route")])
    reasons = []

    def read() -> float:
        problem = next(answers, None)
        if problem is not None:
            raise problem
        return 0.0

    with opened(url) as store:
        run = backfill(
            store,
            GUARD,
            REPAIR,
            now=NOW,
            pace=Pace(throttles=[Brake("the queue is long", read)]),
            progress=lambda step: reasons.append(step.run.reason),
        )

    assert run.ok
    assert ["paused: it cannot be told whether the queue is long: no route"] * 2 == [each for each in reasons if each]


def test_a_plan_looks_downstream(url: str) -> None:
    """
    A plan says what replicas would carry, and how many of the filled values are where no sync looks any more.
    """
    servers.sql(url, f'UPDATE services SET "updatedAt" = {MS - DAY + 600} WHERE _id < 10')

    with opened(url) as store:
        planned = plan(store, GUARD, REPAIR, now=NOW)

    assert planned.downstream is not None
    assert 1990 == planned.work
    assert (590, MS - DAY + 600) == (planned.downstream.unseen, planned.downstream.newest)
    assert 1990 * 40 < planned.downstream.carried < 1990 * 150
    assert f"590 of the filled values would lie below the newest one ({MS - DAY + 600})" in str(planned)
