"""
A migration goes the whole way beside live writers, goes on where it was stopped, and is taken back step by step.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests import servers
from timestamp_guard import Repair, check, migrate, rollback, runs, updated_at_guard
from timestamp_guard import _faults as faults
from timestamp_guard.engine.migrate import PHASES, Phase
from timestamp_guard.errors import PlanChanged, UsageError
from timestamp_guard.stores.memory import MemoryStore
from timestamp_guard.stores.sql.mysql.store import MysqlStore
from timestamp_guard.stores.sql.postgresql.store import PostgresStore

GUARD = updated_at_guard("updated_at", "created_at")
REPAIR = Repair("updated_at", ("created_at",))
COUNT = "SELECT count(*), count(updated_at) FROM services"


MADE = {
    "postgresql": (
        "CREATE TABLE services (id bigint PRIMARY KEY, name text, created_at timestamptz NOT NULL, updated_at timestamptz)",
        (
            "INSERT INTO services SELECT i, 'n', '2024-01-01'::timestamptz + i * interval '1 s', "
            "CASE WHEN i % 3 > 0 THEN '2024-06-01'::timestamptz END FROM generate_series(1, 3000) i"
        ),
    ),
    "mysql": (
        "CREATE TABLE services (id bigint PRIMARY KEY, name text, created_at datetime(6) NOT NULL, updated_at datetime(6))",
        (
            "INSERT INTO services SELECT seq, 'n', '2024-01-01' + INTERVAL seq SECOND, "
            "CASE WHEN seq % 3 > 0 THEN '2024-06-01' END FROM seq_1_to_3000"
        ),
    ),
}


@pytest.fixture(params=MADE)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    server = servers.postgresql(15) if request.param == "postgresql" else servers.mariadb()
    with servers.database(server) as url:
        servers.sql(url, *MADE[request.param])
        yield url


def opened(url: str) -> PostgresStore | MysqlStore:
    if url.startswith("postgresql"):
        return PostgresStore(url, "services", encodings="datetime")
    return MysqlStore(url, "services", encodings="datetime@UTC")


def required(url: str) -> bool:
    said = "SELECT is_nullable FROM information_schema.columns WHERE table_name = 'services' AND column_name = 'updated_at'"
    if not url.startswith("postgresql"):
        said += " AND table_schema = database()"
    return bool(servers.sql(url, said)[0][0] == "NO")


def objects(url: str) -> list[tuple[Any, ...]]:
    """Everything of ours that is not the ledger."""
    if not url.startswith("postgresql"):
        return servers.sql(
            url, "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = database()"
        )
    return servers.sql(
        url,
        "SELECT tgname::text FROM pg_trigger WHERE NOT tgisinternal UNION ALL SELECT conname::text FROM pg_constraint "
        "WHERE conrelid = 'services'::regclass AND contype = 'c' UNION ALL SELECT proname::text FROM pg_proc "
        "WHERE pronamespace = 'public'::regnamespace",
    )


def theirs(user: Any, number: int) -> None:
    """What somebody else writes who does not know the field, and then somebody who does."""
    now = "clock_timestamp()" if "psycopg" in type(user).__module__ else "utc_timestamp(6)"
    with contextlib.closing(user.cursor()) as cursor:
        try:
            cursor.execute(f"INSERT INTO services (id, created_at) VALUES (%s, {now})", (number,))
        finally:
            cursor.execute(
                f"UPDATE services SET updated_at = {now}, name = 'theirs' WHERE id = %s", (number % 3000 + 1,)
            )


def test_all_of_it(url: str) -> None:
    """
    From a look to a required field, each phase with its evidence; then back, exactly.
    """
    before = servers.sql(url, "SELECT * FROM services ORDER BY id")
    with opened(url) as store:
        done = migrate(store, GUARD, REPAIR)

        assert (True, list(PHASES)) == (done.complete, [each.phase for each in done.evidence])
        assert required(url)
        assert [(3000, 3000)] == servers.sql(url, COUNT)
        assert "complete" == done.run.status
        assert 1000 == done.evidence[0].numbers["broken"]
        assert 1000 == done.evidence[2].numbers["changed"]
        assert "all other fields are what they were before" in str(done)
        with pytest.raises(Exception, match="null value|violates|breaks present"):
            servers.sql(url, "INSERT INTO services (id, created_at) VALUES (0, '2024-01-01')")

        assert 1000 == rollback(store).counts.changed

    assert not required(url)
    assert [] == objects(url)
    assert before == servers.sql(url, "SELECT * FROM services ORDER BY id")


@pytest.mark.parametrize("until", PHASES)
def test_until(url: str, until: Phase) -> None:
    """
    It stops after the phase that was named, and the next call goes on with the next one.
    """
    with opened(url) as store:
        first = migrate(store, GUARD, REPAIR, until=until)
        assert until == first.evidence[-1].phase
        assert first.ok
        second = migrate(store, GUARD, REPAIR)

    assert second.complete
    assert first.run.id == second.run.id or until == PHASES[-1]
    assert required(url)


@pytest.mark.parametrize("phase", range(1, len(PHASES) + 1))
def test_killed_between_phases(url: str, phase: int) -> None:
    """
    Ended after any phase, it goes on with the next one, and ends as one that was not.
    """

    class Killed(BaseException):
        pass

    passed = []

    def hook(name: str) -> None:
        if name == "migrate: phase passed":
            passed.append(name)
            if len(passed) == phase:
                raise Killed

    faults.hook = hook
    try:
        with opened(url) as store, pytest.raises(Killed):
            migrate(store, GUARD, REPAIR)
    finally:
        faults.hook = None
    with opened(url) as store:
        done = migrate(store, GUARD, REPAIR)

    assert done.complete
    assert required(url)
    assert [(3000, 3000)] == servers.sql(url, COUNT)


def test_beside_writers(url: str) -> None:
    """
    While others insert rows without the field, change and delete, the field becomes required and nobody's write is lost.
    """
    stop = threading.Event()
    problems: list[str] = []
    written: dict[int, Any] = {}

    def write() -> None:
        with contextlib.closing(servers.connect(url)) as user, contextlib.closing(user.cursor()) as reader:
            number = 10_000
            while not stop.is_set():
                number += 1
                try:
                    theirs(user, number)
                except Exception as problem:  # noqa: BLE001 - once it is required, this is refused, and must be
                    problems.append(str(problem))
                target = number % 3000 + 1
                reader.execute("SELECT updated_at FROM services WHERE id = %s", (target,))
                written[target] = reader.fetchone()[0]
                time.sleep(0.002)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with opened(url) as store:
            done = migrate(store, GUARD, REPAIR)
            for _ in range(3):
                if done.complete:
                    break
                done = migrate(store, GUARD, REPAIR)
            time.sleep(0.05)
    finally:
        stop.set()
        writer.join()

    assert done.complete
    assert required(url)
    assert problems
    assert all("null value" in each or "violates" in each or "breaks present" in each for each in problems)
    held: dict[Any, Any] = dict(servers.sql(url, "SELECT id, updated_at FROM services WHERE name = 'theirs'"))
    assert written == held
    with opened(url) as store:
        assert check(store, GUARD).ok


def test_what_nothing_can_fill(url: str) -> None:
    """
    A row that no candidate can mend ends the way before anything is required, and says so.
    """
    servers.sql(url, "UPDATE services SET created_at = '1990-01-01', updated_at = NULL WHERE id = 6")
    with opened(url) as store:
        done = migrate(store, updated_at_guard("updated_at"), REPAIR)

        assert (False, "backfill") == (done.ok, done.evidence[-1].phase)
        assert "1 unrepairable" in done.evidence[-1].said
        assert not required(url)
        servers.sql(url, "UPDATE services SET updated_at = '2024-06-01' WHERE id = 6")
        assert migrate(store, updated_at_guard("updated_at"), REPAIR).complete


def test_another_plan(url: str) -> None:
    """
    An unfinished migration is gone on with as it began, or taken back.
    """
    with opened(url) as store:
        migrate(store, GUARD, REPAIR, until="backfill")
        with pytest.raises(PlanChanged, match="keep_gate was False, is True"):
            migrate(store, GUARD, REPAIR, keep_gate=True)
        assert 1000 == rollback(store).counts.changed
        assert migrate(store, GUARD, REPAIR, keep_gate=True).complete
        assert ["migrate", "migrate"] == [run.action for run in runs(store) if run.action == "migrate"]


def test_what_can_enforce_nothing() -> None:
    """
    Records in memory can be filled, and enforce nothing.
    """
    store = MemoryStore([{"id": 1, "created_at": 1, "updated_at": None}], key="id", encodings="epoch_ms")

    with pytest.raises(UsageError, match="can enforce nothing by itself"):
        migrate(store, GUARD, REPAIR)
