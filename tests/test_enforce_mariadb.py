"""
A table of MariaDB that refuses by itself what the guard forbids; how it gets there, and back, without anybody waiting.
"""

import contextlib
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pymysql
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import servers
from tests.served_tables import accepted
from timestamp_guard import (
    NOW,
    Guard,
    Repair,
    UsageError,
    backfill,
    check,
    enforce,
    enforcement,
    in_order,
    present,
    runs,
    unenforce,
    updated_at_guard,
)
from timestamp_guard.errors import LeaseLost, StoreError, StoreLocked, StoreReadOnly
from timestamp_guard.predicate import violations
from timestamp_guard.stores.sql.mysql import able, server
from timestamp_guard.stores.sql.mysql.definition import columns, nullable, required
from timestamp_guard.stores.sql.mysql.enforcing import MysqlEnforcing
from timestamp_guard.stores.sql.mysql.locks import TableLock
from timestamp_guard.stores.sql.mysql.store import MysqlStore
from timestamp_guard.stores.sql.served.locks import Locks

from .enforced import CHAIN, EARLIEST, FIXED, GUARD, LOOSE, MS, NEAR, REPAIR, Killed, hooked, longest_read
from .mariadb_tables import definitions

T0 = datetime(2024, 1, 1)
TABLE = "CREATE TABLE t (id bigint PRIMARY KEY, created datetime(6), updated datetime(6), note text)"
FILLED = "INSERT INTO t SELECT seq, '2024-01-01', '2024-01-02', NULL FROM seq_1_to_100"
DATETIME = "datetime@UTC"


@pytest.fixture
def url() -> Iterator[str]:
    with servers.database(servers.mariadb()) as url:
        yield url


@pytest.fixture(scope="module")
def shared() -> Iterator[str]:
    with servers.database(servers.mariadb()) as url:
        yield url


def opened(url: str, table: str = "t", encodings: Any = DATETIME, **how: Any) -> MysqlStore:
    return MysqlStore(url, table, encodings=encodings, **how)


def ask(user: Any, statement: str, values: Any = None) -> list[Any]:
    with contextlib.closing(user.cursor()) as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall()) if cursor.description else []


# -- what is enforced

ODD = st.sampled_from([
    "0000-00-00 00:00:00", "2024-00-07 00:00:00", "2024-02-31 00:00:00", "0001-01-01 00:00:00", "1970-01-01 00:00:00",
    "9999-12-31 05:00:00", "0000-01-01 00:00:00", "1999-12-31 23:59:59.999999", "2000-01-01 00:00:00",
])  # fmt: skip
DAYS = st.one_of(
    st.none(), ODD, st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(str),
    st.integers(-3_000_000, 3_000_000).map(lambda micro: str(T0 + timedelta(microseconds=micro))),
)  # fmt: skip
MOMENTS = st.one_of(
    st.sampled_from([None, "0000-00-00 00:00:00", "2000-01-01 00:00:00", "1999-12-31 23:59:59.999999", "2037-12-31 12:00:00"]),
    st.datetimes(datetime(1990, 1, 2), datetime(2037, 12, 31)).map(str),
    # The hour that comes twice in Berlin, and the one that does not come.
    st.integers(0, 7_200_000_000).map(lambda micro: str(datetime(2024, 10, 27) + timedelta(microseconds=micro))),
    st.integers(0, 7_200_000_000).map(lambda micro: str(datetime(2024, 3, 31) + timedelta(microseconds=micro))),
)  # fmt: skip
DECIMALS = st.one_of(NEAR, st.sampled_from(["0.5", f"{MS}.7", "1e45", "-0.001"]))
DOUBLES = st.one_of(
    NEAR.map(lambda n: n if n is None else float(n)), st.floats(allow_nan=False, allow_infinity=False)
).map(lambda n: None if n is None else n + 0.0)
SINGLES = st.floats(width=32, allow_nan=False, allow_infinity=False).map(
    lambda n: float(struct.unpack("=f", struct.pack("f", n))[0])
)
KINDS: dict[str, tuple[str, Any, st.SearchStrategy[Any]]] = {
    "whole": ("bigint", "epoch_ms", NEAR),
    "unsigned": ("bigint unsigned", "epoch_ms", NEAR.map(lambda n: n if n is None else abs(n))),
    "mixed": ("bigint", {"created": "epoch_ms/s", "updated": "epoch_ms"}, NEAR),
    "decimal": ("decimal(60,3)", "epoch_ms", DECIMALS),
    "float": ("double", "epoch_ms", DOUBLES),
    "single": ("float", "epoch_s", SINGLES),
    "instant": ("timestamp(6) NULL", "datetime", MOMENTS),
    "instant/s": ("timestamp(6) NULL", "datetime/s", MOMENTS),
    "local": ("datetime(6)", "datetime@+05:30", DAYS),
    "local/s": ("datetime(6)", "datetime/s@UTC", DAYS),
    "seconds": ("datetime", "datetime/s@UTC", DAYS),
}  # fmt: skip


@pytest.fixture(scope="module")
def zoned(shared: str) -> str:
    """A server that knows Berlin, where an hour comes twice."""
    if not servers.sql(shared, "SELECT CONVERT_TZ('2024-07-01', 'UTC', 'Europe/Berlin')")[0][0]:
        made = subprocess.run(
            ["mariadb-tzinfo-to-sql", "/usr/share/zoneinfo/Europe/Berlin", "Europe/Berlin"],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        with contextlib.closing(servers.connect(shared)) as user:
            user.select_db("mysql")
            for statement in made[made.index("INSERT INTO time_zone ") :].split(";"):
                if statement.strip().startswith(("INSERT", "SET @")):
                    ask(user, statement)
    return shared


@pytest.mark.parametrize("guard", [FIXED, CHAIN, LOOSE], ids=["fixed", "chain", "loose"])
@pytest.mark.parametrize("kind", KINDS)
def test_as_the_predicate_says(zoned: str, kind: str, guard: Guard) -> None:
    """
    An enforced table takes exactly the rows of which the predicate finds nothing wrong: in a session of any zone and mode,
    inserted or updated.
    """
    declared, encodings, values = KINDS[kind]
    servers.sql(zoned, "DROP TABLE IF EXISTS t, source, timestamp_guard_runs, timestamp_guard_changes, timestamp_guard_quarantine",
                *(f"CREATE TABLE {name} (id bigint PRIMARY KEY, created {declared}, updated {declared})" for name in ("t", "source")))  # fmt: skip
    fields = ("created", "updated")
    each = encodings if isinstance(encodings, dict) else dict.fromkeys(fields, encodings)
    with opened(zoned, encodings=encodings) as store, contextlib.closing(servers.connect(zoned)) as user:
        ask(user, "SET time_zone = 'Europe/Berlin', sql_mode = ''")
        at = "2024-01-01" if declared.startswith(("datetime", "timestamp")) else "1700000000000"
        if kind == "single":
            at = "1700000000"
        ask(user, "INSERT INTO t VALUES (1, %s, %s)", (at, at))
        assert enforce(store, guard).ok
        read = store.server  # values come to the predicate as the store reads them

        @settings(max_examples=60, deadline=None)
        @given(values, values)
        def agrees(created: Any, updated: Any) -> None:
            read.run("REPLACE INTO source VALUES (2, ?, ?)", (created, updated))
            (held,) = read.rows("SELECT created, updated FROM source")
            if "float" in declared or "double" in declared:
                (held,) = read.rows("SELECT created + 0e0, updated + 0e0 FROM source")
            sound = not violations(dict(zip(fields, held, strict=True)), guard, each, 0)

            assert sound is accepted(user, "INSERT INTO t SELECT * FROM source"), held
            said = "UPDATE t JOIN source SET t.created = source.created, t.updated = source.updated"
            assert sound is accepted(user, said), held

        agrees()


def test_text(url: str) -> None:
    """
    Of text that SQL cannot read, only that it is there is held, and that is said; in a session that is not strict too.
    """
    servers.sql(url, "CREATE TABLE t (id int PRIMARY KEY, created text, updated text)")
    with opened(url, encodings="rfc3339") as store, contextlib.closing(servers.connect(url)) as user:
        done = enforce(store, updated_at_guard("updated", "created"), "updated")

        assert done.ok
        assert "for null alone" in done.held["present(updated)"]
        assert done.held["created <= updated"].startswith("nothing")
        ask(user, "SET sql_mode = ''")
        assert not accepted(user, "INSERT INTO t VALUES (1, NULL, NULL)")
        assert accepted(user, "INSERT INTO t VALUES (1, NULL, 'soon')")


# -- the way there and back

RICH = """CREATE TABLE t (
  id int PRIMARY KEY AUTO_INCREMENT, created timestamp(3) NULL DEFAULT '2001-01-01' COMMENT 'it''s NOT NULL, `updated` datetime',
  updated datetime(6) DEFAULT current_timestamp(6) ON UPDATE current_timestamp(6) COMMENT 'the \\\\ ''last'' (one), DEFAULT NULL',
  note text CHARACTER SET latin1 COLLATE latin1_bin, packed varchar(20) COMPRESSED, hidden int INVISIBLE DEFAULT (1 + 1),
  kept int DEFAULT 5 CHECK (kept > 0), `we``ird, name` enum('a,b', 'DEFAULT NULL'), twice int AS (2 * kept) VIRTUAL,
  KEY (updated), UNIQUE (note(20)), CONSTRAINT mine CHECK (updated > '1999-01-01')
) ENGINE=InnoDB AUTO_INCREMENT=7 DEFAULT CHARSET=utf8mb4 COMMENT='of (mine)' ROW_FORMAT=DYNAMIC"""


def test_back_exactly(url: str) -> None:
    """
    What is taken back leaves all definitions as they were, byte by byte, with all that is the user's.
    """
    servers.sql(
        url, RICH, "CREATE TRIGGER mine BEFORE UPDATE ON t FOR EACH ROW SET NEW.kept = NEW.kept + 0",
        "CREATE TRIGGER after_mine AFTER INSERT ON t FOR EACH ROW SET @seen = NEW.id",
        "CREATE TABLE child (t int, FOREIGN KEY (t) REFERENCES t (id) ON DELETE CASCADE)",
        "INSERT INTO t (created, updated) VALUES ('2024-01-01', '2024-01-02')",
    )  # fmt: skip
    before = definitions(url)
    guard = updated_at_guard("updated", "created")
    with opened(url, encodings={"created": "datetime", "updated": DATETIME}) as store:
        done = enforce(store, guard, repair=Repair("updated", (NOW,)), keep_current=True, hold_now=True, keep_gate=True)
        held = definitions(url)
        back = unenforce(store)

    assert done.ok
    assert "`updated` datetime(6) NOT NULL DEFAULT current_timestamp(6) ON UPDATE current_timestamp(6)" in held["t"]
    assert before["t"].replace("`updated` datetime(6) DEFAULT", "`updated` datetime(6) NOT NULL DEFAULT") == held["t"]
    assert 8 == len(held["triggers"]) - len(before["triggers"])
    assert all(
        name.startswith("timestamp_guard_") and len(name) <= 64 for name, *_ in held["triggers"] if "mine" not in name
    )
    assert back.ok
    assert before == definitions(url)


@pytest.mark.parametrize("name", ["note", "hidden", "kept", "we`ird, name", "updated", "created"])
def test_modify_keeps_all(url: str, name: str) -> None:
    """
    A column that is made NOT NULL, and nullable again, is what it was: MODIFY would drop what is left out.
    """
    servers.sql(url, RICH)
    before = definitions(url)["t"]
    text = columns(before)[name]
    source = f"ALTER TABLE t MODIFY COLUMN {required(text)}, "
    servers.sql(url, source + ("ALGORITHM=COPY" if name == "created" else "ALGORITHM=INPLACE, LOCK=NONE"))
    held = definitions(url)["t"]
    servers.sql(url, f"ALTER TABLE t MODIFY COLUMN {nullable(columns(held)[name])}, ALGORITHM=INPLACE, LOCK=NONE")

    assert before.replace(text, required(text)) == held
    assert before == definitions(url)["t"]


def test_altered_meanwhile(url: str) -> None:
    """
    What the user changes of the column while it is enforced stays, when that is taken back.
    """
    servers.sql(url, TABLE, FILLED)
    with opened(url) as store:
        enforce(store, GUARD, "updated")
        servers.sql(url, "ALTER TABLE t MODIFY updated datetime(6) NOT NULL COMMENT 'theirs'")
        assert unenforce(store).ok

    assert "`updated` datetime(6) DEFAULT NULL COMMENT 'theirs'" in definitions(url)["t"]


def stop_after(stages: int, act: Callable[[], object]) -> None:
    """Enforce so many stages, and no more."""
    made: list[str] = []

    def hook(name: str) -> None:
        made.extend([name] if name == "enforce: stage made" else [])
        if len(made) == stages:
            raise Killed

    with hooked(hook):
        with pytest.raises(Killed):
            act()


def test_a_worker_that_lost_its_lease(url: str) -> None:
    """
    A worker whose run was taken over makes nothing any more.
    """
    servers.sql(url, TABLE, FILLED)

    def hook(name: str) -> None:
        if name == "enforce: stage made":
            servers.sql(url, "UPDATE timestamp_guard_runs SET generation = generation + 1")

    with opened(url) as store:
        with hooked(hook):
            with pytest.raises(LeaseLost):
                enforce(store, GUARD, "updated")

    assert "`updated` datetime(6) DEFAULT NULL" in definitions(url)["t"]


# -- what a MODIFY, and a session, would do to the rows


def test_a_session_that_is_not_strict(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    In a session that is not strict an ALTER would make 0000-00-00 of every null: nothing is altered there.
    """
    servers.sql(url, TABLE, FILLED)
    monkeypatch.setattr(server, "MODE", "")
    with opened(url) as store:
        with pytest.raises(StoreError, match="not strict .no sql_mode.: a null would become a zero date"):
            enforce(store, GUARD, "updated")

        assert "`updated` datetime(6) DEFAULT NULL" in definitions(url)["t"]
        unenforce(store)


def test_zero_dates_of_others(url: str) -> None:
    """
    A session of a user that is not strict makes 0000-00-00 of a null in a column that is NOT NULL, and says nothing: the
    triggers refuse it.
    """
    servers.sql(url, TABLE, FILLED, "CREATE TABLE plain (id int PRIMARY KEY, updated datetime(6) NOT NULL)",
                "INSERT INTO plain VALUES (1, '2024-01-01')")  # fmt: skip
    with opened(url) as store, contextlib.closing(servers.connect(url)) as user:
        assert enforce(store, GUARD, "updated").ok
        ask(user, "SET sql_mode = ''")
        assert accepted(user, "UPDATE plain SET updated = NULL")
        assert not accepted(user, "UPDATE t SET updated = NULL")
        assert not accepted(user, "INSERT IGNORE INTO t VALUES (200, NULL, '2024-01-01', ''), (201, NULL, NULL, '')")
        assert not accepted(user, "UPDATE IGNORE t SET updated = NULL WHERE id = 1")
        assert not accepted(user, "REPLACE INTO t VALUES (1, NULL, NULL, '')")
        assert not accepted(
            user, "INSERT INTO t (id, updated) VALUES (1, '2024-01-01') ON DUPLICATE KEY UPDATE updated = NULL"
        )


@pytest.mark.parametrize("value", ["NULL", "'1999-01-01'"])
@pytest.mark.parametrize("rebuild", [False, True], ids=["in place", "copied"])
@pytest.mark.parametrize(
    "declared", ["datetime(6)", "timestamp(6) NULL", "timestamp(6) NULL DEFAULT current_timestamp(6)"]
)
def test_broken_meanwhile(url: str, declared: str, value: str, *, rebuild: bool) -> None:
    """
    A row that is broken between the look and the triggers, or the ALTER, is not given a value, and what was made is taken
    back. A TIMESTAMP would be given the present time.
    """
    servers.sql(url, TABLE.replace("datetime(6)", declared), FILLED)
    before = definitions(url)

    def hook(name: str) -> None:
        if name == "enforce: begun":
            servers.sql(url, f"UPDATE t SET updated = {value} WHERE id = 7")

    with opened(url, encodings="datetime" if "stamp" in declared else DATETIME) as store:
        with hooked(hook):
            done = enforce(store, GUARD, "updated", rebuild=rebuild)

        assert (False, 1) == (done.ok, done.broken)
        assert "check" in done.undone
        assert before == definitions(url)
        assert [(1,)] == servers.sql(url, f"SELECT updated <=> {value} FROM t WHERE id = 7")
        assert [] == [run for run in runs(store) if run.ok]


def test_nulls_in_spite_of_all(url: str) -> None:
    """
    A null that comes by a trigger of the user's own, made while the table is enforced, is found before the ALTER gives it
    the present time.
    """
    servers.sql(url, TABLE.replace("datetime(6)", "timestamp(6) NULL"), FILLED)
    made: list[str] = []

    def hook(name: str) -> None:
        made.extend([name] if name == "enforce: stage made" else [])
        if len(made) == 2 and name == "enforce: stage made":  # check and proof
            servers.sql(url, "CREATE TRIGGER later BEFORE UPDATE ON t FOR EACH ROW SET NEW.updated = NULL",
                        "UPDATE t SET note = 'x' WHERE id = 7", "DROP TRIGGER later")  # fmt: skip

    with opened(url, encodings="datetime") as store:
        with hooked(hook):
            done = enforce(store, GUARD, "updated", rebuild=True)

    assert (False, 1) == (done.ok, done.broken)
    assert [(None,)] == servers.sql(url, "SELECT updated FROM t WHERE id = 7")


def test_altered_otherwise(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    An ALTER that did more than it was meant to is told, and can be taken back.
    """
    servers.sql(url, TABLE.replace("updated datetime(6)", "updated datetime(6) COMMENT 'mine'"), FILLED)
    before = definitions(url)
    whole = MysqlEnforcing._modify
    monkeypatch.setattr(
        MysqlEnforcing, "_modify", lambda self, text, how: whole(self, text.replace(" COMMENT 'mine'", ""), how)
    )
    with opened(url) as store:
        with pytest.raises(
            StoreError, match="was altered otherwise than it was meant to be: updated is `updated` datetime"
        ):
            enforce(store, GUARD, "updated")
        monkeypatch.undo()

        assert "COMMENT 'mine'" not in definitions(url)["t"]
        assert unenforce(store).ok
        assert before["triggers"] == definitions(url)["triggers"]


HINDRANCES = {
    "timestamp": (TABLE.replace("updated datetime(6)", "updated timestamp(6) NULL"), "makes a TIMESTAMP NOT NULL only by copying"),
    "stored": (TABLE.replace("note text", "note text, twice bigint AS (2 * id) STORED"), "twice is computed and kept"),
    "indexed": (TABLE.replace("note text", "note text, twice bigint AS (2 * id) VIRTUAL, KEY (twice)"), "twice is computed and kept"),
    "fulltext": (TABLE.replace("note text", "note text, FULLTEXT (note)"), "FULLTEXT or SPATIAL"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HINDRANCES)
def test_not_while_others_write(url: str, kind: str) -> None:
    """
    What can be made NOT NULL only while writes wait is held by triggers, and that is said; with rebuild it is made, by copy.
    """
    table, why = HINDRANCES[kind]
    names = "INSERT INTO t (id, created, updated) SELECT seq, '2024-01-01', '2024-01-02' FROM seq_1_to_100"
    servers.sql(url, table, names, "UPDATE t SET updated = NULL WHERE id < 4")
    before = definitions(url)
    encodings = {"created": DATETIME, "updated": "datetime" if kind == "timestamp" else DATETIME}
    repair = Repair("updated", (NOW,))
    with opened(url, encodings=encodings) as store, contextlib.closing(servers.connect(url)) as user:
        first = enforce(store, GUARD, repair=repair)
        assert (False, ["gate", "check"]) == (first.ok, list(first.made))
        ask(user, "UPDATE t SET note = 'filled by the gate' WHERE id = 1")
        assert backfill(store, GUARD, repair).ok
        done = enforce(store, GUARD, repair=repair)

        assert (True, ["proof", "gate removed"]) == (done.ok, list(done.made))
        assert "not by NOT NULL" in done.held["present(updated)"]
        assert why in done.held["present(updated)"]
        assert not accepted(user, "UPDATE t SET updated = NULL")
        assert before["t"] == definitions(url)["t"]
        unenforce(store)

        rebuilt = enforce(store, GUARD, "updated", rebuild=True)
        (stage,) = [stage for stage in rebuilt.stages if stage.name == "not null updated"]
        assert rebuilt.ok
        assert "ALGORITHM=COPY, LOCK=SHARED" in stage.statements[0]
        assert "writes wait" in stage.lock
        assert rebuilt.held["present(updated)"].startswith("NOT NULL, and triggers")
        assert [("NO",)] == servers.sql(
            url,
            "SELECT is_nullable FROM information_schema.columns WHERE table_schema = database() AND column_name = 'updated' AND table_name = 't'",
        )
        unenforce(store)

    assert before == definitions(url)


def test_what_a_server_refuses(url: str) -> None:
    """
    What INPLACE and LOCK=NONE are said not to do, and a CHECK without keeping writers waiting, this server does not do.
    """
    for table, _ in HINDRANCES.values():
        servers.sql(url, "DROP TABLE IF EXISTS t", table)
        text = required(columns(definitions(url)["t"])["updated"])
        with pytest.raises(pymysql.err.OperationalError, match="is not supported"):
            servers.sql(url, f"ALTER TABLE t MODIFY COLUMN {text}, ALGORITHM=INPLACE, LOCK=NONE")
    for how in ("ALGORITHM=INPLACE, LOCK=NONE", "ALGORITHM=INSTANT", "ALGORITHM=COPY, LOCK=NONE"):
        with pytest.raises(pymysql.err.OperationalError, match="is not supported|Try LOCK"):
            servers.sql(url, f"ALTER TABLE t ADD CONSTRAINT c CHECK (updated > '2000-01-01'), {how}")


def test_history(url: str) -> None:
    """
    A table that keeps the history of its rows is not altered, whatever is asked for.
    """
    servers.sql(url, f"{TABLE} WITH SYSTEM VERSIONING", "INSERT INTO t VALUES (1, '2024-01-01', '2024-01-02', NULL)")
    with opened(url) as store:
        done = enforce(store, GUARD, "updated", rebuild=True)

        assert (True, ["check", "proof"]) == (done.ok, list(done.made))
        assert "the history of its rows would be changed" in done.held["present(updated)"]
        unenforce(store)


def test_cascading_keys(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Rows that go by a cascade while the table is altered are gone after; MySQL refuses such an ALTER, and that is known.
    """
    servers.sql(
        url, "CREATE TABLE parent (id bigint PRIMARY KEY)", "INSERT INTO parent SELECT seq FROM seq_1_to_60000",
        TABLE.replace("note text", "note text, parent bigint, FOREIGN KEY (parent) REFERENCES parent (id) ON DELETE CASCADE"),
        "INSERT INTO t SELECT seq, '2024-01-01', '2024-01-02', repeat('x', 200), seq FROM seq_1_to_60000",
    )  # fmt: skip
    gone: list[int] = []
    stop = threading.Event()

    def delete() -> None:
        with contextlib.closing(servers.connect(url)) as user:
            while not stop.is_set():
                gone.append(60000 - len(gone))
                ask(user, "DELETE FROM parent WHERE id = %s", (gone[-1],))

    thread = threading.Thread(target=delete)
    with opened(url) as store:
        thread.start()
        try:
            done = enforce(store, GUARD, "updated")
        finally:
            stop.set()
            thread.join()
        monkeypatch.setattr(store.server, "kind", "MySQL")
        why = able.Able(store.server, store.table).hindrance("updated")

    assert done.ok
    assert gone
    assert [(60000 - len(gone), 60000 - len(gone))] == servers.sql(url, "SELECT count(*), max(id) FROM t")
    assert why is not None
    assert "cascades, and MySQL has no LOCK=NONE beside that" in why[0]


# -- rows that are in the way


def test_what_cannot_be_looked_at(url: str) -> None:
    """
    A column that the server computes after triggers have run, and a table that knows no transactions, are refused.
    """
    servers.sql(url, "CREATE TABLE t (id int PRIMARY KEY, created datetime(6), updated datetime(6) AS (created) VIRTUAL)",
                f"{TABLE.replace('TABLE t', 'TABLE m')} ENGINE = MyISAM")  # fmt: skip
    with opened(url) as store, pytest.raises(UsageError, match="computed by the server after triggers have run"):
        enforce(store, GUARD, "updated")
    with opened(url, "m") as store, pytest.raises(UsageError, match="knows no transactions"):
        enforce(store, GUARD, "updated")


# -- triggers


def now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


@pytest.mark.parametrize("declared", ["datetime(6)", "timestamp(6) NULL"])
def test_kept_current(zoned: str, declared: str) -> None:
    """
    A field that is kept current moves with every change, never back, not with a change of nothing, and not beyond the
    skew for ever; our own writes do not move it.
    """
    servers.sql(zoned, "DROP TABLE IF EXISTS t, timestamp_guard_runs, timestamp_guard_changes, timestamp_guard_quarantine",
                TABLE.replace("datetime(6)", declared), FILLED, "ALTER TABLE t ADD doc json, ADD twice bigint AS (2 * id) VIRTUAL",
                "UPDATE t SET updated = '2037-01-01', note = 'a' WHERE id = 2")  # fmt: skip
    with (
        opened(zoned, encodings="datetime" if "stamp" in declared else DATETIME) as store,
        contextlib.closing(servers.connect(zoned)) as user,
    ):
        enforce(store, GUARD, "updated", keep_current=True)
        ask(user, "SET time_zone = 'Europe/Berlin', sql_mode = ''")

        def updated(number: int) -> datetime:
            return servers.sql(zoned, "SET time_zone = '+00:00'", f"SELECT updated FROM t WHERE id = {number}")[0][0]  # type: ignore[no-any-return]

        ask(user, "UPDATE t SET note = note WHERE id = 1")
        assert datetime(2024, 1, 2) == updated(1)
        ask(user, "UPDATE t SET note = 'x', updated = '2020-01-01' WHERE id = 1")
        assert abs(now() - updated(1)) < timedelta(seconds=5)
        ask(user, "UPDATE t SET note = 'A' WHERE id = 2")  # the same, to a collation
        assert updated(2) < now() + timedelta(seconds=6)
        seen = updated(2)
        ask(user, "UPDATE t SET note = 'y' WHERE id = 2")
        assert timedelta(microseconds=1) == updated(2) - seen
        ask(user, "INSERT INTO t (id) VALUES (1000)")
        assert abs(now() - updated(1000)) < timedelta(seconds=5)
        ask(user, "SET @timestamp_guard_bypass = 1")
        ask(user, "UPDATE t SET updated = '2024-05-05 02:00' WHERE id = 3")
        assert updated(3).year == 2024
        ask(user, "SET @timestamp_guard_bypass = NULL")
        ask(user, "UPDATE t SET note = 'after' WHERE id = 3")
        assert updated(3).year > 2024


def test_judged_alike_in_all_zones(zoned: str) -> None:
    """
    In the hour that comes twice, what is first is first, though it may be called later.
    """
    servers.sql(zoned, "DROP TABLE IF EXISTS t, source, timestamp_guard_runs, timestamp_guard_changes, timestamp_guard_quarantine",
                *(f"CREATE TABLE {name} (id int PRIMARY KEY, created timestamp NULL, updated timestamp NULL)" for name in ("t", "source")),
                "SET time_zone = '+00:00'")  # fmt: skip
    with opened(zoned, encodings="datetime/s") as store, contextlib.closing(servers.connect(zoned)) as user:
        enforce(store, GUARD, "updated")
        store.server.run("INSERT INTO source VALUES (1, '2024-10-27 00:40:00', '2024-10-27 01:10:00')")  # 02:40, 02:10
        store.server.run("INSERT INTO source VALUES (2, '2024-10-27 01:10:00', '2024-10-27 00:40:00')")
        ask(user, "SET time_zone = 'Europe/Berlin'")

        assert accepted(user, "INSERT INTO t SELECT * FROM source WHERE id = 1")
        assert not accepted(user, "INSERT INTO t SELECT * FROM source WHERE id = 2")
        unenforce(store)


def test_the_hour_that_comes_twice(zoned: str) -> None:
    """
    In the hour that comes twice in the zone of a session, an instant is filled and kept current exactly, or left as it is.
    """
    servers.sql(zoned, "DROP TABLE IF EXISTS t, timestamp_guard_runs, timestamp_guard_changes, timestamp_guard_quarantine",
                TABLE.replace("datetime(6)", "timestamp(6) NULL"))  # fmt: skip
    second = 1_729_992_600  # 02:30 in Berlin, for the second time
    at = datetime(2024, 10, 27, 1, 30, tzinfo=UTC)
    guard = present("updated") & in_order(EARLIEST, "updated")
    read = "SELECT id, UNIX_TIMESTAMP(updated) FROM t ORDER BY id"
    with opened(zoned, encodings="datetime") as store, contextlib.closing(servers.connect(zoned)) as user:
        ask(user, "SET time_zone = 'Europe/Berlin'")
        ask(user, f"SET timestamp = {second}.25")
        enforce(store, guard, repair=Repair("updated", ("created", NOW)), keep_gate=True)
        ask(user, "INSERT INTO t (id) VALUES (1)")
        ask(user, f"SET timestamp = {second - 3600}.25")
        ask(user, "INSERT INTO t (id) VALUES (2)")
        assert [(1, second + 0.25), (2, second - 3600 + 0.25)] == [(n, float(t)) for n, t in ask(user, read)]
        unenforce(store)
        enforce(store, guard, repair=Repair("updated", (at,)), keep_gate=True)
        assert not accepted(user, "INSERT INTO t (id) VALUES (3)")  # a fixed instant that cannot be said there
        ask(user, "SET time_zone = '+00:00'")
        ask(user, "INSERT INTO t (id) VALUES (3)")
        assert [(3, second)] == ask(user, f"{read.replace('ORDER', 'WHERE id = 3 ORDER')}")
        unenforce(store)
        enforce(store, guard, keep_current=True)
        ask(user, "SET time_zone = 'Europe/Berlin'")
        ask(user, f"SET timestamp = {second - 1}.5")  # the clock went back
        before = dict(ask(user, read))
        ask(user, "UPDATE t SET note = 'x' WHERE id IN (1, 3)")
        after = dict(ask(user, read))
        assert all(before[number] <= after[number] <= before[number] + 1 for number in (1, 3))


@pytest.mark.parametrize(("declared", "encoding", "ahead"), [
    ("timestamp(6) NULL", "datetime", "now(6) + interval 1 hour"),
    ("timestamp(3) NULL", "datetime/ms", "now(6) + interval 1 hour"),
    ("datetime(6)", "datetime@+05:30", "utc_timestamp(6) + interval '5:31' hour_minute"),
    ("datetime", "datetime/s@UTC", "utc_timestamp(6) + interval 1 minute"),
    ("bigint", "epoch_s", "unix_timestamp() + 60"),
    ("bigint unsigned", "epoch_ns", "(unix_timestamp() + 60) * 1000000000"),
    ("decimal(30,3)", "epoch_ms", "1000 * unix_timestamp() + 60000"),
    ("double", "epoch_ms", "1000 * unix_timestamp() + 60000"),
])  # fmt: skip
def test_by_the_clock(zoned: str, declared: str, encoding: str, ahead: str) -> None:
    """
    Gate, clock and currency work in whatever way instants are written, and in any zone of a session.
    """
    servers.sql(zoned, "DROP TABLE IF EXISTS t, timestamp_guard_runs, timestamp_guard_changes, timestamp_guard_quarantine",
                f"CREATE TABLE t (id bigint PRIMARY KEY, created {declared}, updated {declared}, note text)")  # fmt: skip
    with opened(zoned, encodings=encoding) as store, contextlib.closing(servers.connect(zoned)) as user:
        assert enforce(store, GUARD, repair=REPAIR, keep_gate=True, keep_current=True, hold_now=True).ok
        ask(user, "SET time_zone = 'Europe/Berlin', sql_mode = ''")

        assert not accepted(user, f"INSERT INTO t VALUES (1, NULL, {ahead}, NULL)")
        ask(user, "INSERT INTO t (id) VALUES (1)")
        assert check(store, GUARD).ok
        ((before,),) = store.server.rows("SELECT updated FROM t")
        ask(user, "UPDATE t SET note = 'x'")
        ((after,),) = store.server.rows("SELECT updated FROM t")
        assert before < after
        ask(user, "UPDATE t SET note = 'y'")
        unenforce(store)


def test_order_of_triggers(url: str) -> None:
    """
    Ours fire after those of the user that are there, each before what looks at it; of one that is made later it is said
    that it comes after.
    """
    servers.sql(
        url, TABLE, FILLED, "CREATE TRIGGER theirs BEFORE INSERT ON t FOR EACH ROW SET NEW.updated = '2023-01-01'"
    )
    with opened(url) as store, contextlib.closing(servers.connect(url)) as user:
        enforce(store, GUARD, "updated", hold_now=True)
        assert not accepted(user, "INSERT INTO t VALUES (200, '2024-01-01', '2024-01-02', NULL)")  # theirs is looked at
        gate = MysqlEnforcing(store)
        made = enforcement(store, GUARD, "updated", repair=REPAIR, hold_now=True, keep_gate=True)[0]
        assert made.name == "gate"
        for statement in made.statements:
            gate._quickly(statement, lambda _: None)
        order = servers.sql(
            url,
            "SELECT trigger_name FROM information_schema.triggers WHERE event_manipulation = 'INSERT' AND trigger_schema = database() "
            "ORDER BY action_order",
        )
        assert ["theirs", "gate", "now", "check"] == [name.split("_")[2] if "_" in name else name for (name,) in order]
        servers.sql(url, "CREATE TRIGGER later BEFORE INSERT ON t FOR EACH ROW SET NEW.note = 'x'")
        done = enforce(store, GUARD, "updated", hold_now=True)
        assert "later of yours fires after them" in done.held["in_order(created, updated)"]


def test_rights() -> None:
    """
    In a binary log, where making triggers needs more than a user has, that is said before anything is made.
    """
    with servers.own_mariadb() as own:
        own.kill()
        own._command = tuple("--log-bin" if each == "--skip-log-bin" else each for each in own._command)
        own.start()
        with servers.database(own.url) as url:
            name = urlsplit(url).path[1:]
            servers.sql(url, TABLE, FILLED, "CREATE USER plain@localhost", f"GRANT ALL ON {name}.* TO plain@localhost")
            theirs = url.replace("root@", "plain@")
            with pytest.raises(pymysql.err.OperationalError, match="SUPER privilege"):
                servers.sql(theirs, "CREATE TRIGGER i BEFORE INSERT ON t FOR EACH ROW SET @i = 1")
            with opened(theirs) as store:
                with pytest.raises(StoreReadOnly, match="SET GLOBAL log_bin_trust_function_creators = 1"):
                    enforce(store, GUARD, "updated")
                assert [] == runs(store)
                servers.sql(url, "SET GLOBAL log_bin_trust_function_creators = 1")
                assert enforce(store, GUARD, "updated").ok
                assert unenforce(store).ok


# -- locks


@pytest.mark.parametrize("stage", [0, 1], ids=["triggers", "not null"])
def test_readers_do_not_wait(url: str, stage: int) -> None:
    """
    While a long transaction holds the table, those who come after us do not wait, at whatever stage; behind a plain ALTER
    they wait until it ends.
    """
    servers.sql(url, TABLE, FILLED, "UPDATE t SET note = ''")

    said: list[str] = []

    def ours() -> None:
        with opened(url) as store:
            assert enforce(store, GUARD, "updated", progress=said.append).ok

    def plain() -> None:
        servers.sql(url, "ALTER TABLE t MODIFY note text NOT NULL")

    theirs = longest_read(url, plain, before=2)
    if stage:
        stop_after(1, ours)
    mine = longest_read(url, ours, before=2)

    assert mine < 0.5  # nothing, and a machine that is busy
    assert theirs > 1
    assert any("held by perhaps" in each for each in said)


def test_blockers_are_named(url: str) -> None:
    """
    Who cannot be waited for is named, with what to do, and what was done stands.
    """
    servers.sql(url, TABLE, FILLED)
    with opened(url) as store, contextlib.closing(servers.connect(url)) as holder:
        store.enforcing = lambda: MysqlEnforcing(store, Locks(most=2, budget=0.6))  # type: ignore[method-assign]
        holder.begin()
        ask(holder, "SELECT 1 AS mine FROM t")
        with pytest.raises(StoreLocked) as found:
            enforce(store, GUARD, "updated")

        said = str(found.value)
        assert f"perhaps {holder.thread_id()} of root (Sleep" in said
        assert "KILL ID ends one" in said
        holder.commit()
        assert enforce(store, GUARD, "updated").ok


def test_no_try_without_timeout(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Every statement that changes a definition runs with a wait of a second at most, and with none while somebody has had a
    transaction open for long.
    """
    servers.sql(url, TABLE, FILLED)
    waits: list[int] = []
    with opened(url) as store, contextlib.closing(servers.connect(url)) as other:
        run = store.server.run

        def noted(statement: Any, *given: Any) -> Any:
            if str(getattr(statement, "sql", statement)).startswith(
                ("CREATE TRIGGER", "ALTER TABLE `", "DROP TRIGGER", "LOCK")
            ):
                ((wait,),) = store.server.rows("SELECT @@lock_wait_timeout")
                waits.append(wait)
            return run(statement, *given)

        monkeypatch.setattr(store.server, "run", noted)
        enforce(store, GUARD, repair=REPAIR, keep_current=True)
        unenforce(store)
        assert len(waits) > 12
        assert set(waits) <= {0, 1}
        lock = TableLock(store.server, store.table)
        assert [0, 0, 1, 1] == [lock.wait(timeout) for timeout in (0.1, 0.9, 1.1, 2.0)]
        servers.sql(url, "CREATE TABLE elsewhere (id int)")
        other.begin()
        ask(other, "INSERT INTO elsewhere VALUES (1)")
        time.sleep(2)
        assert 0 == lock.wait(2.0)
        store.server.kind = "MySQL"
        assert 1 == lock.wait(0.1)


def test_beside_writers(url: str) -> None:
    """
    While others insert, change and delete, the table is enforced, nobody waits for longer than a moment, and no write is
    lost: each is there, or was refused.
    """
    servers.sql(
        url, TABLE, "INSERT INTO t SELECT seq, '2024-01-01', '2024-01-02', repeat('x', 200) FROM seq_1_to_100000"
    )
    stop = threading.Event()
    waits: list[float] = []
    there: dict[int, str] = {}
    gone: set[int] = set()
    problems: list[str] = []

    def write(worker: int) -> None:
        number = 0
        with contextlib.closing(servers.connect(url)) as user:
            while not stop.is_set():
                number += 1
                old, new = 3 * number + worker, 1_000_000 + 3 * number + worker
                began = time.monotonic()
                try:
                    ask(user, "UPDATE t SET note = %s WHERE id = %s", (f"{worker} {number}", old))
                    there[old] = f"{worker} {number}"
                    ask(user, "INSERT INTO t VALUES (%s, '2024-01-01', '2024-01-02', 'new')", (new,))
                    there[new] = "new"
                    if number % 5 == 0:
                        ask(user, "DELETE FROM t WHERE id = %s", (old,))
                        gone.add(old)
                except pymysql.err.MySQLError as problem:
                    problems.append(str(problem))
                waits.append(time.monotonic() - began)

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(3)]
    for thread in threads:
        thread.start()
    try:
        with opened(url) as store:
            done = enforce(store, GUARD, repair=REPAIR, keep_gate=True)
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    assert done.ok
    assert [] == problems
    held: dict[int, str] = dict(servers.sql(url, "SELECT id, note FROM t WHERE note NOT LIKE 'xx%'"))
    assert {number: note for number, note in there.items() if number not in gone} == held
    assert max(waits) < 3


def test_print(url: str) -> None:
    """
    Every stage says its lock, how long it takes, and how it is taken back.
    """
    servers.sql(url, TABLE, FILLED)
    with opened(url, read_only=True) as store:
        stages = enforcement(store, GUARD, "updated", repair=REPAIR)

    assert ["gate", "check", "proof", "not null updated", "gate removed"] == [stage.name for stage in stages]
    assert all(stage.lock and stage.why and not stage.in_place for stage in stages)
    assert all(stage.undo for stage in stages if stage.name not in {"proof", "gate removed"})
    assert "ALGORITHM=INPLACE, LOCK=NONE" in stages[3].statements[0]
