"""
A run waits for a server that has too much to do, says why, and goes on by itself.
"""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests import servers
from timestamp_guard import Pace, Repair, backfill, plan, updated_at_guard
from timestamp_guard.engine.pace import PAUSE, Brake
from timestamp_guard.errors import StoreError, UsageError
from timestamp_guard.stores.base import Step
from timestamp_guard.stores.sql.postgresql.pacing import braking
from timestamp_guard.stores.sql.postgresql.store import PostgresStore

GUARD = updated_at_guard("updated_at", "created_at")
REPAIR = Repair("updated_at", ("created_at",))


@pytest.fixture
def url() -> Iterator[str]:
    with servers.database(servers.postgresql(15)) as url:
        servers.sql(
            url,
            "CREATE TABLE services (id bigint PRIMARY KEY, created_at timestamptz, updated_at timestamptz)",
            "INSERT INTO services SELECT i, '2024-01-01'::timestamptz + i * interval '1 s' FROM generate_series(1, 2000) i",
            "CREATE TABLE busy (now boolean)",
            "INSERT INTO busy VALUES (true)",
        )
        yield url


def opened(url: str) -> PostgresStore:
    return PostgresStore(url, "services", encodings="datetime")


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
        run = backfill(store, GUARD, REPAIR, pace=Pace(start=100, throttles=brakes), progress=told)

    assert (True, None) == (run.ok, run.reason)
    assert ["paused: 'SELECT now FROM busy' is true"] == [reason for reason in said if reason is not None]
    assert ["paused: 'SELECT now FROM busy' is true"] == in_ledger


@pytest.mark.parametrize(
    "question", ["SELECT", "SELECT 1", "SELECT true, true", "SELECT true WHERE false", "DROP TABLE busy"]
)
def test_no_question(url: str, question: str) -> None:
    """
    A question that can never be answered is told of before anything is written.
    """
    with pytest.raises(UsageError, match="SELECT|DROP"):
        with braking(url, while_=question):
            pass

    assert [(True,)] == servers.sql(url, "SELECT now FROM busy")


def test_active_sessions(url: str) -> None:
    """
    Sessions of others that are at work count, ours do not.
    """
    with braking(url, active=0) as (brake,):
        assert 0.0 == brake()
        other = threading.Thread(target=servers.sql, args=(url, "SELECT pg_sleep(2)"))
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


def test_who_may_not_know(url: str) -> None:
    """
    Who may not know how far replicas are behind is told what to grant, and does not run blindly.
    """
    role = f"joe_{time.time_ns()}"
    servers.sql(url, f"CREATE ROLE {role} LOGIN")
    try:
        with pytest.raises(StoreError, match="GRANT pg_monitor"):
            with braking(url.replace("postgres@", f"{role}@"), lag=timedelta(seconds=5)):
                pass
    finally:
        servers.sql(url, f"DROP ROLE {role}")


def test_the_log_has_a_budget(url: str) -> None:
    """
    What was written to the log is waited for, until it is within the budget.
    """
    with braking(url, log=1_000_000) as (brake,):
        assert 0.0 == brake()
        servers.sql(url, "INSERT INTO services SELECT i FROM generate_series(10000, 40000) i")
        waits = [brake()]
        time.sleep(waits[0])
        waits.append(brake())

    assert PAUSE == waits[0]


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
            pace=Pace(throttles=[Brake("the queue is long", read)]),
            progress=lambda step: reasons.append(step.run.reason),
        )

    assert run.ok
    assert ["paused: it cannot be told whether the queue is long: no route"] * 2 == [each for each in reasons if each]


def test_a_plan_looks_downstream(url: str) -> None:
    """
    A plan says what replicas would carry, and how many of the filled values are where no sync looks any more.
    """
    servers.sql(url, "UPDATE services SET updated_at = '2024-01-01 00:10:00+00' WHERE id <= 10")

    with opened(url) as store:
        planned = plan(store, GUARD, REPAIR)

    assert planned.downstream is not None
    assert 1990 == planned.work
    assert (589, datetime(2024, 1, 1, 0, 10, tzinfo=UTC)) == (planned.downstream.unseen, planned.downstream.newest)
    assert 1990 * 40 < planned.downstream.carried < 1990 * 100
    assert "589 of the filled values would lie below the newest one (2024-01-01 00:10:00+00:00)" in str(planned)
