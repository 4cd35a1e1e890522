"""
A store of MariaDB does what it promises beside users, triggers, odd tables and a server that dies.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tests import servers
from tests.mariadb_tables import cut_off
from tests.test_mariadb import GUARD, MS, NOW, REPAIR, ask, using
from timestamp_guard import Repair, backfill, by, check, open_store, rollback, updated_at_guard
from timestamp_guard.engine import Pace
from timestamp_guard.engine.plan import job_for
from timestamp_guard.errors import (
    NoIdentity,
    StoreError,
    StoreLocked,
    StoreMissing,
    StoreReadOnly,
    UnknownName,
    UsageError,
    WriteUndone,
)
from timestamp_guard.instants import Raw
from timestamp_guard.stores import tables
from timestamp_guard.stores.base import pages
from timestamp_guard.stores.sql.mysql import server as server_module
from timestamp_guard.stores.sql.mysql.server import Server
from timestamp_guard.stores.sql.mysql.statements import Writer
from timestamp_guard.stores.sql.mysql.store import MysqlStore
from timestamp_guard.stores.sql.served.server import ConnectionLost


@pytest.fixture
def url() -> Iterator[str]:
    """An empty database."""
    with servers.database(servers.mariadb()) as url:
        yield url


@pytest.fixture
def user(url: str) -> Iterator[Any]:
    """A user of it."""
    with using(url) as user:
        yield user


def opened(url: str, table: str = "services", **how: Any) -> MysqlStore:
    """The table as the library has it."""
    return MysqlStore(url, table, **({"encodings": "epoch_ms"} | how))


def services(user: Any, count: int = 6, more: str = "") -> None:
    """A table of which every row is to be filled."""
    ask(user, f"CREATE TABLE services (id int PRIMARY KEY, createdAt bigint, updatedAt bigint, note text{more})")
    ask(
        user,
        "INSERT INTO services (id, createdAt) VALUES (%s, %s)",
        *[(number, MS - number) for number in range(count)],
    )


def dump(user: Any, table: str = "services") -> list[tuple[Any, ...]]:
    """All rows, exactly."""
    return ask(user, f"SELECT * FROM {table} ORDER BY 1, 2")


def slowly(size: int) -> Pace:
    """At most *size* rows in every step."""
    return Pace(target=0.0, start=size)


def test_there_and_back(url: str, user: Any) -> None:
    """
    A table is found by its address, filled, and given back.
    """
    services(user)
    before = dump(user)

    with open_store(url, encodings="epoch_ms") as store:
        assert ["services"] == tables(url)
        assert ("id",) == store.key
        run = backfill(store, GUARD, REPAIR, now=NOW)
        assert check(store, GUARD, now=NOW).ok
    assert [(n, MS - n, MS - n, None) for n in range(6)] == dump(user)
    with open_store(url.replace("mysql://", "mariadb://"), "services", encodings="epoch_ms") as store:
        back = rollback(store, now=NOW)

    assert (6, 6, True) == (run.counts.changed, back.counts.changed, back.ok)
    assert before == dump(user)


def test_on_update(url: str, user: Any) -> None:
    """
    Columns that follow the present time keep what they hold; one that is filled keeps what is written to it.
    """
    ask(
        user,
        "CREATE TABLE services (id int PRIMARY KEY, createdAt datetime(6), "
        "updatedAt datetime(6) NULL ON UPDATE CURRENT_TIMESTAMP(6), "
        "seen timestamp(6) NOT NULL DEFAULT '2001-01-01' ON UPDATE CURRENT_TIMESTAMP(6))",
    )
    ask(user, "INSERT INTO services (id, createdAt) VALUES (1, '2024-01-02 03:04:05.000006'), (2, '2024-01-03')")
    before = dump(user)

    with opened(url, encodings="datetime@UTC") as store:
        run = backfill(store, GUARD, REPAIR, now=NOW)
        filled = dump(user)
        rollback(store, now=NOW)

    assert run.ok
    assert [(row[0], row[1], row[1], row[3]) for row in before] == filled
    assert before == dump(user)


@pytest.mark.parametrize("field", ["updatedAt", "note"])
def test_trigger(url: str, user: Any, field: str) -> None:
    """
    A trigger that changes what is written ends the run before anything is kept, and is named; one that does not, does not.
    """
    services(user)
    value = "1" if field == "updatedAt" else "'x'"
    ask(user, f"CREATE TRIGGER touch BEFORE UPDATE ON services FOR EACH ROW SET NEW.{field} = {value}")
    before = dump(user)

    with opened(url) as store:
        if field == "note":
            assert backfill(store, GUARD, REPAIR, now=NOW).ok
            return
        with pytest.raises(WriteUndone, match="touch"):
            backfill(store, GUARD, REPAIR, now=NOW)

    assert before == dump(user)


def test_refusing_trigger(url: str, user: Any) -> None:
    """
    A row that a trigger refuses is set aside with the reason, and the rest is filled.
    """
    services(user)
    ask(
        user,
        "CREATE TRIGGER no BEFORE UPDATE ON services FOR EACH ROW "
        "IF NEW.id = 3 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not three'; END IF",
    )

    with opened(url) as store:
        run = backfill(store, GUARD, REPAIR, now=NOW)
        aside = store.ledger.quarantined(run)

    assert (5, 1) == (run.counts.changed, run.counts.quarantined)
    assert [(3, True)] == [(each.key, "not three" in each.reason) for each in aside]


def test_keyless(url: str, user: Any) -> None:
    """
    A table without a key can be checked, by SQL and by Python; a backfill says what is missing.
    """
    ask(user, "CREATE TABLE services (createdAt bigint, updatedAt bigint, at varchar(40), UNIQUE (createdAt))")
    ask(user, f"INSERT INTO services VALUES (1, NULL, NULL), ({MS}, {MS}, '2024-01-01T00:00:00Z')")

    with opened(url) as store:
        assert (2, 1) == ((report := check(store, GUARD, now=NOW)).records, report.broken)
        with pytest.raises(NoIdentity, match="primary key"):
            backfill(store, GUARD, REPAIR, now=NOW)
        assert 2 == sum(len(page.records) for page in pages(store, 1))
    with opened(url, encodings="rfc3339") as store:
        assert 1 == check(store, updated_at_guard("at", None), now=NOW).broken
    with opened(url, key="createdAt") as store:
        assert (1,) == (backfill(store, GUARD, Repair("updatedAt", ("createdAt",)), now=NOW).counts.unrepairable,)


def test_unfit(url: str, user: Any) -> None:
    """
    What cannot be filled and given back is refused by name.
    """
    services(user)
    ask(user, "CREATE VIEW seen AS SELECT * FROM services")
    ask(user, "CREATE TABLE flat (id int PRIMARY KEY, createdAt bigint, updatedAt bigint) ENGINE = MyISAM")
    ask(user, f"INSERT INTO flat VALUES (1, {MS}, NULL)")
    ask(user, "CREATE TABLE made (id int PRIMARY KEY, createdAt bigint, updatedAt bigint AS (NULLIF(id, 1)))")
    ask(user, f"INSERT INTO made (id, createdAt) VALUES (1, {MS})")
    ask(user, "CREATE TABLE coarse (id int PRIMARY KEY, createdAt datetime(3), updatedAt datetime(3))")

    with pytest.raises(UsageError, match="seen is a view"):
        opened(url, "seen")
    with pytest.raises(UnknownName, match="services"):
        opened(url, "servces")
    with opened(url, "flat") as store, pytest.raises(UsageError, match="ENGINE = InnoDB"):
        backfill(store, GUARD, REPAIR, now=NOW)
    with opened(url, "made") as store, pytest.raises(UsageError, match="computed"):
        backfill(store, GUARD, REPAIR, now=NOW)
    with opened(url, "coarse", encodings="datetime@UTC") as store, pytest.raises(UsageError, match="datetime/ms@UTC"):
        backfill(store, GUARD, REPAIR, now=NOW)
    with opened(url, read_only=True) as store:
        assert not check(store, GUARD, now=NOW).ok
        with pytest.raises(StoreReadOnly):
            backfill(store, GUARD, REPAIR, now=NOW)


KEYS: dict[str, list[Any]] = {
    "varchar(20) COLLATE utf8mb4_general_ci": ["a", "B", "c%s", "d ", "é", "日本", "'", "\\"],
    "varchar(20) COLLATE utf8mb4_nopad_bin": ["a", "A", "a ", "A ", "é", "e"],
    "varchar(20) CHARACTER SET latin1": ["a", "B", "é", "ÿ"],
    "char(5) COLLATE utf8mb4_bin": ["a", "A", "b"],
    "varbinary(16)": [b"", b"\x00", b"\xff\xfe", b"a", b"A", b"%s'"],
    "binary(4)": [b"\x00\x00\x00\x01", b"\xff\xff\xff\xff"],
    "bigint unsigned": [0, 1, 2**63, 2**64 - 1],
    "bigint": [-(2**63), -1, 0, 2**63 - 1],
    "decimal(30,5)": ["-1.00000", "0.00001", "9999999999999999999999999.99999"],
    "double": [-1e300, 0.1, 0.10000000000000002, 1e300, 5e-324],
    "float": [-1e30, 0.1, 16777216.0, 1e30],
    "datetime(6)": ["0000-00-00 00:00:00", "2024-01-01 00:00:00.000001", "9999-12-31 23:59:59.999999"],
    "timestamp(3)": ["1970-01-01 00:00:01", "2024-01-01 00:00:00.001"],
    "date": ["2024-01-01", "2024-01-02"],
    "year": [1999, 2024],
}


@pytest.mark.parametrize("kind", [*KEYS])
@pytest.mark.parametrize("size", [1, 100])
def test_keys(url: str, user: Any, kind: str, size: int) -> None:
    """
    Rows are found again by keys of every kind, those that look alike too; alone, and beside another column.
    """
    ask(user, f"CREATE TABLE one (k {kind} NOT NULL PRIMARY KEY, createdAt bigint, updatedAt bigint) CHARSET utf8mb4")
    ask(user, "INSERT INTO one VALUES (%s, %s, NULL)", *[(each, MS - i) for i, each in enumerate(KEYS[kind])])
    ask(
        user,
        f"CREATE TABLE two (n int, `k%` {kind} NOT NULL, createdAt bigint, updatedAt bigint, at text, PRIMARY KEY (n, `k%`)) "
        f"CHARSET utf8mb4",
    )
    rows = [(n, each, MS - i, None, "2024-01-01T00:00:00Z") for n in (1, 2) for i, each in enumerate(KEYS[kind])]
    ask(user, "INSERT INTO two VALUES (%s, %s, %s, %s, %s)", *rows)

    for table in ("one", "two"):
        before = dump(user, table)
        with opened(url, table) as store:
            run = backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(size))
            assert (len(before), True) == (run.counts.changed, run.ok)
            assert len(before) == len({str(change.key) for _, change in store.ledger.changes(run)})
            assert all(row[-2 if table == "two" else -1] is not None for row in dump(user, table))
            assert rollback(store, now=NOW).ok
        assert before == dump(user, table)


def test_a_page_reads_what_it_gives(url: str, user: Any) -> None:
    """
    A page of a key of two columns is asked of the index: no rows are passed over to come to it.
    """
    ask(user, "CREATE TABLE services (a int, b int, createdAt bigint, updatedAt bigint, PRIMARY KEY (a, b))")
    ask(user, f"INSERT INTO services SELECT seq DIV 50, seq MOD 50, {MS}, NULL FROM seq_0_to_1999")

    with opened(url) as store:

        def passed() -> int:
            return sum(int(count) for _, count in store.server.rows("SHOW SESSION STATUS LIKE 'Handler_read%'"))

        before = passed()
        page = store.scan(["20", "25"], 10)
        after = passed()

    assert [(20, 26 + number) for number in range(10)] == [key for key, _ in page.records]
    assert after - before < 100


def test_a_trial_leaves_nothing(url: str, user: Any) -> None:
    """
    The row that is tried before a run is as it was: making the ledger, or widening it, commits nothing of the trial.
    """
    services(user)
    ask(user, "CREATE TABLE wide (a int, b int, createdAt bigint, updatedAt bigint, PRIMARY KEY (a, b))")
    ask(user, f"INSERT INTO wide VALUES (1, 2, {MS}, NULL)")

    for table in ("services", "wide"):
        before = dump(user, table)
        with opened(url, table) as store:
            assert store.prepare(job_for(store, GUARD, REPAIR, NOW), lambda: NOW)
        assert before == dump(user, table)


def test_the_instant_is_kept(url: str, user: Any) -> None:
    """
    A time of another zone that a function gives is written as the instant that it is: no offset is dropped.
    """
    ask(user, "CREATE TABLE services (id int PRIMARY KEY, createdAt timestamp(6) NULL, updatedAt timestamp(6) NULL)")
    ask(user, "INSERT INTO services VALUES (1, '2024-01-02 03:04:05.000006', NULL)")

    def elsewhere(record: Mapping[str, Raw]) -> datetime:
        created = record["createdAt"]
        assert isinstance(created, datetime)
        return created.astimezone(timezone(timedelta(hours=2)))

    with opened(url, encodings="datetime") as store:
        assert backfill(store, GUARD, Repair("updatedAt", (by("elsewhere", elsewhere),)), now=NOW).ok

    (row,) = dump(user)
    assert row[1] == row[2]


def test_judged_in_python(url: str, user: Any) -> None:
    """
    What SQL cannot say exactly is judged in Python, and written with the same care: by keys of two columns, too.
    """
    ask(
        user,
        "CREATE TABLE services (a int, b varchar(9), createdAt text, updatedAt varchar(40) CHARACTER SET latin1, PRIMARY KEY (a, b))",
    )
    rows = [(n % 3, str(n), f"2024-01-01T00:00:00.{n:09}Z", None) for n in range(1200)]
    ask(user, "INSERT INTO services VALUES (%s, %s, %s, %s)", *rows)
    before = dump(user)

    with opened(url, encodings="rfc3339") as store:
        run = backfill(store, GUARD, REPAIR, now=NOW)
        assert (1200, True) == (run.counts.changed, run.ok)
        assert [(*row[:3], row[2]) for row in before] == dump(user)
        assert rollback(store, now=NOW).ok
    assert before == dump(user)


def test_text_exactly(url: str, user: Any) -> None:
    """
    A text that differs from what was written in case or in spaces only is the user's, and stays.
    """
    ask(
        user,
        "CREATE TABLE services (id int PRIMARY KEY, createdAt varchar(40), updatedAt varchar(40)) COLLATE utf8mb4_general_ci",
    )
    ask(user, "INSERT INTO services VALUES (%s, '2024-01-01T00:00:00Z', NULL)", (1,), (2,), (3,))

    with opened(url, encodings="rfc3339") as store:
        backfill(store, GUARD, REPAIR, now=NOW)
        ask(user, "UPDATE services SET updatedAt = '2024-01-01t00:00:00z' WHERE id = 1")
        ask(user, "UPDATE services SET updatedAt = '2024-01-01T00:00:00Z ' WHERE id = 2")
        back = rollback(store, now=NOW)

    assert (1, 2) == (back.counts.changed, back.counts.refused)
    assert ["2024-01-01t00:00:00z", "2024-01-01T00:00:00Z ", None] == [row[2] for row in dump(user)]


def test_zero_dates(url: str, user: Any) -> None:
    """
    0000-00-00 stands for nothing: it is filled, and given back as it was.
    """
    ask(user, "CREATE TABLE services (id int PRIMARY KEY, createdAt datetime NOT NULL, updatedAt datetime NOT NULL)")
    ask(user, "INSERT INTO services VALUES (1, '2024-01-01', '0000-00-00'), (2, '0000-00-00', '0000-00-00')")
    before = dump(user)

    with opened(url, encodings="datetime/s@UTC") as store:
        report = check(store, GUARD, now=NOW)
        run = backfill(store, GUARD, REPAIR, now=NOW)
        rollback(store, now=NOW)

    assert {"placeholder": 2} == dict(report.violations)
    assert (1, 1) == (run.counts.changed, run.counts.unrepairable)
    assert before == dump(user)


def test_settings_of_the_server() -> None:
    """
    Whatever a server is set to, times are those of UTC, what does not fit is never cut to what does, and each write is kept.
    """
    table = "(id int PRIMARY KEY, createdAt {0}, updatedAt {1} NULL)"
    with servers.own_mariadb() as server:
        servers.sql(server.url, "CREATE DATABASE app")
        address = server.url.replace("/mysql", "/app")
        with using(address) as user:
            ask(user, f"CREATE TABLE at {table.format('datetime(6)', 'timestamp(6)')}")
            ask(user, "INSERT INTO at VALUES (1, '2024-03-31 02:30:00.000006', NULL)")
            ask(user, f"CREATE TABLE narrow {table.format('bigint', 'int')}")
            ask(user, f"INSERT INTO narrow VALUES (1, {MS}, NULL), (2, {MS}, NULL)")
            servers.sql(
                server.url,
                "SET GLOBAL time_zone = '+05:30', sql_mode = '', tx_isolation = 'SERIALIZABLE', autocommit = 0, "
                "sql_select_limit = 1, max_statement_time = 0.001, sql_safe_updates = 1, div_precision_increment = 0",
            )
            with opened(address, "at", encodings={"createdAt": "datetime@UTC", "updatedAt": "datetime"}) as store:
                assert backfill(store, GUARD, REPAIR, now=NOW).ok
            with opened(address, "narrow") as store:
                run = backfill(store, GUARD, REPAIR, now=NOW)
            user.commit()
            ((_, created, updated),) = dump(user, "at")
            held = [row[2] for row in dump(user, "narrow")]

    assert created == updated
    assert (0, [None, None]) == (run.counts.changed, held)


def test_required_since(url: str, user: Any) -> None:
    """
    Where nulls cannot be given back, nothing is: a column that is NOT NULL since does not get zeros for them.
    """
    services(user, 3)
    with opened(url) as store:
        assert backfill(store, GUARD, REPAIR, now=NOW).ok
    ask(user, "ALTER TABLE services MODIFY updatedAt bigint NOT NULL")
    before = dump(user)

    with opened(url) as store:
        back = rollback(store, now=NOW)

    assert (0, 3) == (back.counts.changed, back.counts.quarantined)
    assert before == dump(user)


def test_looking(url: str, user: Any) -> None:
    """
    A look is one view from its beginning, whatever others write, and cannot write itself.
    """
    services(user)
    with opened(url) as store:
        with store.server.reading():
            ask(user, "UPDATE services SET note = 'theirs'")
            assert [(0,)] == store.server.rows("SELECT count(note) FROM services")
        with pytest.raises(StoreReadOnly), store.server.reading():
            store.server.run("UPDATE services SET note = 'ours'")

    assert {"theirs"} == {row[3] for row in dump(user)}


def test_saved_as_it_is(url: str, user: Any) -> None:
    """
    A run that is saved as it was is still its owner's: a row counts that is found, not only one that changes.
    """
    services(user)
    with opened(url) as store:
        run = backfill(store, GUARD, REPAIR, now=NOW)

        assert run == store.ledger.save(store.ledger.save(run))


@pytest.mark.parametrize("encoding", ["epoch_ms", "epoch_ms/us"])
def test_written_after_it_was_recorded(url: str, user: Any, encoding: str) -> None:
    """
    Who writes to a row after its old value was recorded waits for the step, and so is not overwritten.
    """
    services(user)
    made, calls = Writer.made, [0]
    theirs = threading.Thread(target=servers.sql, args=(url, f"UPDATE services SET updatedAt = {MS} WHERE id = 3"))

    def later(self: Writer, *given: Any) -> Any:
        calls[0] += 1
        if calls[0] == 2:  # at first a row is tried, and taken back
            theirs.start()
            theirs.join(0.3)
        return made(self, *given)

    with pytest.MonkeyPatch.context() as patch, opened(url, encodings=encoding) as store:
        patch.setattr(Writer, "made", later)
        backfill(store, GUARD, REPAIR, now=NOW)
    theirs.join()

    assert [MS - n if n != 3 else MS for n in range(6)] == [row[2] for row in dump(user)]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_ledger_half_made(url: str, user: Any, number: int) -> None:
    """
    Who ends between two tables of the ledger, each of which is committed by itself, leaves one that the next makes whole.
    """
    services(user)
    run, made = Server.run, []

    def ending(self: Server, statement: Any, *given: Any) -> Any:
        if str(statement).startswith("CREATE TABLE"):
            made.append(statement)
            if len(made) == number:
                raise KeyboardInterrupt
        return run(self, statement, *given)

    with pytest.MonkeyPatch.context() as patch, opened(url) as store:
        patch.setattr(Server, "run", ending)
        with pytest.raises(KeyboardInterrupt):
            backfill(store, GUARD, REPAIR, now=NOW)

    assert number == len(made)
    with opened(url) as store:
        assert [] == store.ledger.runs()
        assert (6, True) == ((found := backfill(store, GUARD, REPAIR, now=NOW)).counts.changed, found.ok)
        assert rollback(store, now=NOW).ok


def test_nobody_is_waited_for_long(url: str, user: Any) -> None:
    """
    A table that another locks, and a row that another holds while it is to be given back, are waited for a second or so.
    """
    services(user)
    with using(url) as other, opened(url, timeout=1) as store:
        ask(other, "LOCK TABLES services WRITE")
        began = time.monotonic()
        with pytest.raises(StoreLocked, match="locked by another"):
            backfill(store, GUARD, REPAIR, now=NOW)
        ask(other, "UNLOCK TABLES")
        assert backfill(store, GUARD, REPAIR, now=NOW).ok
        other.begin()
        ask(other, "UPDATE services SET note = 'theirs' WHERE id = 2")
        with pytest.raises(StoreLocked, match="locked by another"):
            rollback(store, now=NOW)
        took = time.monotonic() - began
        other.rollback()
        assert rollback(store, now=NOW).ok

    assert took < 20


def test_frozen_worker(url: str, user: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A worker that is frozen in the middle of a step holds its rows no longer than the server lets it, and is told.
    """
    services(user)
    monkeypatch.setattr(server_module, "IDLE", 1)
    with opened(url) as store:
        with pytest.raises(ConnectionLost), store.server.writing():
            store.server.run("UPDATE services SET note = 'ours'")
            time.sleep(1.5)
            ask(user, "SET innodb_lock_wait_timeout = 1")
            ask(user, "UPDATE services SET note = 'theirs'")
            store.server.run("UPDATE services SET note = 'ours'")

    assert {"theirs"} == {row[3] for row in dump(user)}


def test_lost_while_alone(url: str) -> None:
    """
    Who keeps others out by its connection is told that it was lost, and does not go on with another one.
    """
    server = Server(url)
    try:
        with pytest.raises(ConnectionLost), server.alone("something"):
            cut_off(url)
            server.rows("SELECT 1")
        assert [(1,)] == server.rows("SELECT 1")
    finally:
        server.close()


def test_addresses(url: str) -> None:
    """
    An address that cannot be right is told so, without its password.
    """
    for address, kind in (
        ("mysql://u:hunter2@127.0.0.1:1/app", StoreMissing),
        ("mysql://u:hunter2@127.0.0.1/", UsageError),
        ("mysql://u:hunter2@127.0.0.1:x/app", UsageError),
        ("mysql://u:hunter2@127.0.0.1/app?charset=latin1", UsageError),
        ("mysql://u:hunter2@127.0.0.1/app?local_infile=1", UsageError),
        (servers.tcp(url).replace("root@", "root:hunter2@"), StoreError),
    ):
        with pytest.raises(kind) as problem:
            opened(address)
        assert "hunter2" not in str(problem.value)
