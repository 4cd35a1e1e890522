"""
Proof after the fact: what stands is counted, what else was written is seen, and a table shows what it refuses.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.sqlite_files import DAY, MS, ask, do, make, opened
from timestamp_guard import MemoryStore, Repair, backfill, migrate, rollback, updated_at_guard
from timestamp_guard.engine.verify import fingerprint, verify
from timestamp_guard.errors import UsageError
from timestamp_guard.stores.base import Fingerprint
from timestamp_guard.stores.sql.mysql.store import MysqlStore
from timestamp_guard.stores.sql.postgresql.store import PostgresStore

GUARD = updated_at_guard("updatedAt", "createdAt")
REPAIR = Repair("updatedAt", ("createdAt",))
TABLE = 'CREATE TABLE services (id bigint PRIMARY KEY, name text, "createdAt" bigint, "updatedAt" bigint)'


@pytest.fixture
def url() -> Iterator[str]:
    with servers.database(servers.postgresql(15)) as url:
        servers.sql(
            url, TABLE, f"INSERT INTO services SELECT i, 'n' || i, {MS - DAY} + i FROM generate_series(1, 50) i"
        )
        yield url


def served(url: str) -> PostgresStore:
    return PostgresStore(url, "services", encodings="epoch_ms")


@pytest.mark.parametrize("kind", ["sqlite", "memory"])
def test_a_fingerprint_knows_all_but_the_field(tmp_path: Path, kind: str) -> None:
    """
    A fingerprint is the same after a backfill, in whatever order records are stored, and another after any other write.
    """
    path = make(tmp_path / "app.db", TABLE, rows=[(i, f"n{i}", MS - DAY + i, None) for i in range(1, 51)])
    records = [{"id": i, "name": f"n{i}", "createdAt": MS - DAY + i, "updatedAt": None} for i in range(1, 51)]
    memory = MemoryStore(records, key="id", encodings="epoch_ms")
    found = []

    def taken() -> None:
        match kind:
            case "sqlite":
                with opened(path) as file:
                    found.append(fingerprint(file, "updatedAt"))
            case _:
                found.append(fingerprint(memory, "updatedAt"))

    taken()
    match kind:
        case "sqlite":
            with opened(path) as file:
                backfill(file, GUARD, REPAIR)
        case _:
            backfill(memory, GUARD, REPAIR)
            records.reverse()
    taken()
    change = "UPDATE services SET name = 'other' WHERE id = 7"
    do(path, change)
    records[6]["name"] = "other"
    taken()

    assert found[0] == found[1] != found[2]
    assert [50, 50, 50] == [each.records for each in found]
    assert found[0] == Fingerprint.parse(str(found[0]))


def test_a_probe(url: str) -> None:
    """
    A probe says what a table does with a record that lacks the field, and leaves nothing behind.
    """
    with served(url) as store:
        backfill(store, GUARD, REPAIR)
        rows = servers.sql(url, "SELECT * FROM services ORDER BY id")
        loose = verify(store, GUARD, "updatedAt", probe=True)
        servers.sql(url, 'ALTER TABLE services ALTER "updatedAt" SET NOT NULL')
        strict = verify(store, GUARD, "updatedAt", probe=True)

    assert (False, True) == (loose.ok, strict.ok)
    assert loose.probe is not None
    assert strict.probe is not None
    assert ("accepted", "accepted") == (loose.probe.without, loose.probe.having)
    assert strict.probe.without.startswith('refused: null value in column "updatedAt"')
    assert "accepted" == strict.probe.having
    assert rows == servers.sql(url, "SELECT * FROM services ORDER BY id")


def test_a_probe_of_a_gate(url: str) -> None:
    """
    A trigger that fills what is missing is seen to.
    """
    with served(url) as store:
        backfill(store, GUARD, REPAIR)
        servers.sql(
            url,
            """CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $$
               BEGIN NEW."updatedAt" := coalesce(NEW."updatedAt", NEW."createdAt"); RETURN NEW; END $$""",
            "CREATE TRIGGER gate BEFORE INSERT OR UPDATE ON services FOR EACH ROW EXECUTE FUNCTION fill()",
        )
        found = verify(store, GUARD, "updatedAt", probe=True)

    assert found.probe is not None
    assert ("filled", "accepted", True) == (found.probe.without, found.probe.having, found.ok)


def test_a_probe_of_sqlite(tmp_path: Path) -> None:
    """
    A table of SQLite shows what its constraints refuse, and keeps nothing of that.
    """
    loose = make(tmp_path / "loose.db", TABLE, rows=[(i, f"n{i}", MS - DAY, MS - DAY) for i in range(1, 4)])
    strict = make(
        tmp_path / "strict.db",
        TABLE.replace('"updatedAt" bigint', '"updatedAt" bigint NOT NULL'),
        rows=[(i, f"n{i}", MS - DAY, MS - DAY) for i in range(1, 4)],
    )
    found = []
    for path in (loose, strict):
        before = path.read_bytes()
        with opened(path) as store:
            found.append(verify(store, GUARD, "updatedAt", probe=True, now=MS * 10**6))
        assert before == path.read_bytes()

    assert [False, True] == [each.ok for each in found]
    assert ["accepted", "refused: NOT NULL constraint failed: services.updatedAt"] == [
        each.probe.without for each in found if each.probe is not None
    ]


def test_migrate_on_sqlite(tmp_path: Path) -> None:
    """
    The whole way on SQLite: required by triggers where it cannot be altered, and back.
    """
    path = make(tmp_path / "app.db", TABLE, rows=[(i, f"n{i}", MS - DAY + i, None) for i in range(1, 51)])
    before = ask(path, "SELECT * FROM services ORDER BY id")
    with opened(path) as store:
        done = migrate(store, GUARD, REPAIR)
        assert done.complete, str(done)
        with pytest.raises(sqlite3.IntegrityError):
            do(path, f"INSERT INTO services VALUES (99, 'n', {MS - DAY}, NULL)")
        assert 50 == rollback(store).counts.changed

    assert before == ask(path, "SELECT * FROM services ORDER BY id")
    do(path, f"INSERT INTO services VALUES (99, 'n', {MS - DAY}, NULL)")


@pytest.fixture
def maria() -> Iterator[str]:
    with servers.database(servers.mariadb()) as url:
        servers.sql(
            url,
            TABLE.replace('"', ""),
            f"INSERT INTO services SELECT seq, concat('n', seq), {MS - DAY} + seq, NULL FROM seq_1_to_50",
        )
        yield url


KEYS = {
    "signed": "id bigint",
    "unsigned": "id int unsigned AUTO_INCREMENT",
    "text": "id varchar(40)",
    "two": "id int, other int DEFAULT 3",
    "none": "id int",
}


@pytest.mark.parametrize("kind", KEYS)
def test_a_probe_of_mariadb(maria: str, kind: str) -> None:
    """
    A table of MariaDB shows what it refuses, accepts and fills, whatever its key is, and keeps nothing of that.
    """
    key = {"two": ", PRIMARY KEY (id, other)", "none": ""}.get(kind, ", PRIMARY KEY (id)")
    servers.sql(
        maria, "DROP TABLE services", f"CREATE TABLE services ({KEYS[kind]}, createdAt bigint, updatedAt bigint {key})",
        f"INSERT INTO services (id, createdAt, updatedAt) SELECT seq, {MS - DAY}, {MS - DAY} FROM seq_1_to_5",
    )  # fmt: skip
    rows = servers.sql(maria, "SELECT * FROM services ORDER BY id")
    with MysqlStore(maria, "services", encodings="epoch_ms") as store:

        def probed() -> tuple[str, str, bool]:
            found = verify(store, GUARD, "updatedAt", probe=True)
            assert found.probe is not None
            assert rows == servers.sql(maria, "SELECT * FROM services ORDER BY id")
            return found.probe.without, found.probe.having, found.ok

        loose = probed()
        gate = "BEGIN IF NOT (@timestamp_guard_bypass <=> 1) THEN SET NEW.updatedAt = coalesce(NEW.updatedAt, NEW.createdAt); END IF; END"
        for event in ("INSERT", "UPDATE"):
            servers.sql(maria, f"CREATE TRIGGER g{event} BEFORE {event} ON services FOR EACH ROW {gate}")
        filled = probed()
        servers.sql(
            maria,
            "DROP TRIGGER gINSERT",
            "DROP TRIGGER gUPDATE",
            "ALTER TABLE services MODIFY updatedAt bigint NOT NULL",
        )
        strict = probed()

    assert ("accepted", "accepted", False) == loose
    assert ("filled", "accepted", True) == filled
    assert ("refused: Column 'updatedAt' cannot be null", "accepted", True) == strict


def test_migrate_on_mariadb(maria: str) -> None:
    """
    The whole way on MariaDB, with a gate that stays, and back: all other fields as they were.
    """
    before = servers.sql(maria, "SELECT * FROM services ORDER BY id")
    shown = servers.sql(maria, "SHOW CREATE TABLE services")
    with MysqlStore(maria, "services", encodings="epoch_ms") as store:
        done = migrate(store, GUARD, REPAIR, keep_gate=True, keep_current=True)
        assert done.complete, str(done)
        assert "a record without the field: filled; one with it: accepted" in str(done)
        assert "all other fields are what they were before" in str(done)
        assert 50 == rollback(store).counts.changed

    assert before == servers.sql(maria, "SELECT * FROM services ORDER BY id")
    assert shown == servers.sql(maria, "SHOW CREATE TABLE services")


def test_nothing_to_probe() -> None:
    """
    What refuses nothing by itself cannot be probed.
    """
    store = MemoryStore([{"id": 1, "createdAt": MS, "updatedAt": MS}], key="id", encodings="epoch_ms")

    with pytest.raises(UsageError, match="nothing to probe"):
        verify(store, GUARD, "updatedAt", probe=True, now=MS * 10**6)
