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

import pymysql
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import servers
from timestamp_guard import (
    NOW,
    Field,
    Guard,
    Repair,
    UsageError,
    _faults,
    backfill,
    check,
    enforce,
    enforcement,
    in_order,
    present,
    rollback,
    runs,
    unenforce,
    updated_at_guard,
)
from timestamp_guard.errors import LeaseLost, PlanChanged, StoreError, StoreLocked, StoreReadOnly
from timestamp_guard.predicate import violations
from timestamp_guard.stores.base import Stage
from timestamp_guard.stores.sql.mysql import able, enforcing, locks, server
from timestamp_guard.stores.sql.mysql.definition import columns, nullable, required
from timestamp_guard.stores.sql.mysql.enforcing import MysqlEnforcing
from timestamp_guard.stores.sql.mysql.locks import TableLock
from timestamp_guard.stores.sql.mysql.store import MysqlStore
from timestamp_guard.stores.sql.served.locks import Locks

T0 = datetime(2024, 1, 1)  # noqa: DTZ001 - as a column holds it
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
GUARD = updated_at_guard("updated", "created")
REPAIR = Repair("updated", ("created", NOW))
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


def schema(url: str) -> dict[str, Any]:
    """All definitions but those of the ledger, as the server shows them."""
    found: dict[str, Any] = {}
    for (name,) in servers.sql(url, "SHOW TABLES"):
        if not name.startswith("timestamp_guard_"):
            found[name] = servers.sql(url, f"SHOW CREATE TABLE `{name.replace('`', '``')}`")[0][1]
    found["triggers"] = servers.sql(
        url,
        "SELECT trigger_name, event_manipulation, action_timing, action_order, action_statement, sql_mode "
        "FROM information_schema.triggers WHERE trigger_schema = database() ORDER BY 2, 3, 4",
    )
    return found


def accepted(user: Any, statement: str, values: Any = None) -> bool:
    """Whether a write is taken; it is taken back."""
    user.begin()
    try:
        ask(user, statement, values)
    except (pymysql.err.OperationalError, pymysql.err.IntegrityError, pymysql.err.DataError) as problem:
        assert problem.args[0] in {1644, 1048, 1364}, problem
        return False
    finally:
        user.rollback()
    return True


# -- what is enforced

FIXED = (
    present("updated") & in_order(EARLIEST, "updated") & in_order(Field("created") - timedelta(seconds=1), "updated")
)
CHAIN = present("updated") & in_order(EARLIEST, "created", "updated", datetime(2100, 1, 1, tzinfo=UTC))
LOOSE = in_order("created", "updated") & present("created")
MS = 1_700_000_000_000
NEAR = st.one_of(
    st.sampled_from([None, 0, -1, 1, 2**63 - 1, -(2**63), MS, MS + 1, MS - 1000, MS + 999, 946684800000, 946684799999]),
    st.integers(MS - 3000, MS + 3000),
    st.integers(-(2**63), 2**63 - 1),
)
ODD = st.sampled_from([
    "0000-00-00 00:00:00", "2024-00-07 00:00:00", "2024-02-31 00:00:00", "0001-01-01 00:00:00", "1970-01-01 00:00:00",
    "9999-12-31 05:00:00", "0000-01-01 00:00:00", "1999-12-31 23:59:59.999999", "2000-01-01 00:00:00",
])  # fmt: skip
DAYS = st.one_of(
    st.none(), ODD, st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(str),  # noqa: DTZ001 - local
    st.integers(-3_000_000, 3_000_000).map(lambda micro: str(T0 + timedelta(microseconds=micro))),
)  # fmt: skip
MOMENTS = st.one_of(
    st.sampled_from([None, "0000-00-00 00:00:00", "2000-01-01 00:00:00", "1999-12-31 23:59:59.999999", "2037-12-31 12:00:00"]),
    st.datetimes(datetime(1990, 1, 2), datetime(2037, 12, 31)).map(str),  # noqa: DTZ001 - in UTC
    # The hour that comes twice in Berlin, and the one that does not come.
    st.integers(0, 7_200_000_000).map(lambda micro: str(datetime(2024, 10, 27) + timedelta(microseconds=micro))),  # noqa: DTZ001
    st.integers(0, 7_200_000_000).map(lambda micro: str(datetime(2024, 3, 31) + timedelta(microseconds=micro))),  # noqa: DTZ001
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
                if statement.strip() and "INSERT" in statement or statement.strip().startswith("SET @"):
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
        assert done.held["in_order(created, updated)"].startswith("nothing")
        ask(user, "SET sql_mode = ''")
        assert not accepted(user, "INSERT INTO t VALUES (1, NULL, NULL)")
        assert accepted(user, "INSERT INTO t VALUES (1, NULL, 'soon')")


# -- the way there and back

RICH = """CREATE TABLE t (
  id int PRIMARY KEY AUTO_INCREMENT, created timestamp(3) NULL DEFAULT '2001-01-01' COMMENT 'it''s NOT NULL, `updated` datetime',
  updated datetime(6) DEFAULT current_timestamp(6) ON UPDATE current_timestamp(6) COMMENT 'the \\\\ ''last'' (one), DEFAULT NULL',
  note text CHARACTER SET latin1 COLLATE latin1_bin, packed varchar(20) COMPRESSED, hidden int INVISIBLE DEFAULT (1 + 1),
  kept int DEFAULT 5 CHECK (kept > 0), `we``ird, name` enum('a,b', 'DEFAULT NULL'), twice int AS (2 * kept) STORED,
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
    before = schema(url)
    guard = updated_at_guard("updated", "created")
    with opened(url, encodings={"created": "datetime", "updated": DATETIME}) as store:
        done = enforce(store, guard, repair=Repair("updated", (NOW,)), keep_current=True, hold_now=True, keep_gate=True)
        held = schema(url)
        back = unenforce(store)

    assert done.ok
    assert "`updated` datetime(6) NOT NULL DEFAULT current_timestamp(6) ON UPDATE current_timestamp(6)" in held["t"]
    assert before["t"].replace("`updated` datetime(6) DEFAULT", "`updated` datetime(6) NOT NULL DEFAULT") == held["t"]
    assert 8 == len(held["triggers"]) - len(before["triggers"])
    assert all(
        name.startswith("timestamp_guard_") and len(name) <= 64 for name, *_ in held["triggers"] if "mine" not in name
    )
    assert back.ok
    assert before == schema(url)


@pytest.mark.parametrize("name", ["note", "packed", "hidden", "kept", "we`ird, name", "updated", "created"])
def test_modify_keeps_all(url: str, name: str) -> None:
    """
    A column that is made NOT NULL, and nullable again, is what it was: MODIFY would drop what is left out.
    """
    servers.sql(url, RICH)
    before = schema(url)["t"]
    text = columns(before)[name]
    source = f"ALTER TABLE t MODIFY COLUMN {required(text)}, "
    servers.sql(url, source + ("ALGORITHM=COPY" if name == "created" else "ALGORITHM=INPLACE, LOCK=NONE"))
    held = schema(url)["t"]
    servers.sql(url, f"ALTER TABLE t MODIFY COLUMN {nullable(columns(held)[name])}, ALGORITHM=INPLACE, LOCK=NONE")

    assert before.replace(text, required(text)) == held
    assert before == schema(url)["t"]


def test_not_null_of_the_user(url: str) -> None:
    """
    A column that was NOT NULL before stays so when the enforcement is taken back.
    """
    servers.sql(url, TABLE, FILLED, "ALTER TABLE t MODIFY updated datetime(6) NOT NULL")
    before = schema(url)
    with opened(url) as store:
        assert enforce(store, GUARD, "updated").ok
        assert unenforce(store).ok

    assert before == schema(url)


def test_altered_meanwhile(url: str) -> None:
    """
    What the user changes of the column while it is enforced stays, when that is taken back.
    """
    servers.sql(url, TABLE, FILLED)
    with opened(url) as store:
        enforce(store, GUARD, "updated")
        servers.sql(url, "ALTER TABLE t MODIFY updated datetime(6) NOT NULL COMMENT 'theirs'")
        assert unenforce(store).ok

    assert "`updated` datetime(6) DEFAULT NULL COMMENT 'theirs'" in schema(url)["t"]


def test_twice(url: str) -> None:
    """
    The second time there is nothing to do, for either.
    """
    servers.sql(url, TABLE, FILLED)
    with opened(url) as store:
        first = enforce(store, GUARD, repair=REPAIR)
        held = schema(url)
        again = enforce(store, GUARD, repair=REPAIR)

        assert ["gate", "check", "not null updated", "gate removed"] == list(first.made)
        assert (True, ()) == (again.ok, again.made)
        assert held == schema(url)
        assert 1 == len(runs(store))
        assert unenforce(store).undone
        assert unenforce(store).undone == ()


def test_otherwise(url: str) -> None:
    """
    Another guard, or other options, want the first ones taken back before.
    """
    servers.sql(url, TABLE, FILLED)
    with opened(url) as store:
        enforce(store, GUARD, "updated")
        with pytest.raises(PlanChanged, match="unenforce it first"):
            enforce(store, GUARD, "updated", keep_current=True)


class Killed(BaseException):
    """The end of a process."""


def killed_at(number: int, act: Callable[[], object]) -> bool:
    """Do something that ends at the fault point of that number; whether there was one."""
    left = [number]

    def hook(name: str) -> None:
        if name.startswith("enforce"):
            left[0] -= 1
            if left[0] < 0:
                raise Killed

    _faults.hook = hook
    try:
        act()
    except Killed:
        return True
    finally:
        _faults.hook = None
    return False


def test_killed_anywhere(url: str) -> None:
    """
    Killed between any two statements, it is taken back entirely, or called again ends the same; and so does its way back.
    """
    servers.sql(url, TABLE, FILLED)
    before = schema(url)

    def there() -> None:
        with opened(url) as store:
            assert enforce(store, GUARD, repair=REPAIR, keep_current=True).ok

    def back() -> None:
        with opened(url) as store:
            unenforce(store)

    there()
    held = schema(url)
    back()
    for number in range(100):
        if not killed_at(number, there):
            break
        back()
        assert before == schema(url)
        killed_at(number, there)
        there()
        assert held == schema(url)
        killed_at(number, back)
        back()
        assert before == schema(url)
    else:
        raise AssertionError
    assert number > 12


def test_a_worker_that_lost_its_lease(url: str) -> None:
    """
    A worker whose run was taken over makes nothing any more.
    """
    servers.sql(url, TABLE, FILLED)

    def hook(name: str) -> None:
        if name == "enforce: stage made":
            servers.sql(url, "UPDATE timestamp_guard_runs SET generation = generation + 1")

    with opened(url) as store:
        _faults.hook = hook
        try:
            with pytest.raises(LeaseLost):
                enforce(store, GUARD, "updated")
        finally:
            _faults.hook = None

    assert "`updated` datetime(6) DEFAULT NULL" in schema(url)["t"]


HOSTILE = [
    "we`ird",
    "o'clock",
    'quo"te',
    "per%cent %s",
    "a:b :c",
    "new\nline",
    "back\\slash",
    "$1 $$ //",
    "select",
    "ü" * 20,
    "a), b",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names(shared: str, name: str) -> None:
    """
    Names are names, whatever is in them.
    """
    said = "`" + name.replace("`", "``") + "`"
    servers.sql(shared, "DROP TABLE IF EXISTS t, timestamp_guard_runs, timestamp_guard_changes, timestamp_guard_quarantine",
                f"DROP TABLE IF EXISTS {said}", f"CREATE TABLE {said} (id bigint PRIMARY KEY, created datetime(6), {said} datetime(6))",
                f"INSERT INTO {said} VALUES (1, '2024-01-01', '2024-01-02')")  # fmt: skip
    before = schema(shared)
    repair = Repair(name, ("created", NOW))
    with opened(shared, name) as store, contextlib.closing(servers.connect(shared)) as user:
        assert enforce(
            store, updated_at_guard(name, "created"), repair=repair, keep_gate=True, keep_current=True, hold_now=True
        ).ok
        ask(user, f"INSERT INTO {said} (id, created) VALUES (2, '2024-01-01')")
        assert [(T0,)] == ask(user, f"SELECT {said} FROM {said} WHERE id = 2")
        assert not accepted(user, f"INSERT INTO {said} VALUES (3, '2024-01-01', '1970-01-01')")
        assert unenforce(store).ok

    assert before == schema(shared)
    servers.sql(shared, f"DROP TABLE {said}")
