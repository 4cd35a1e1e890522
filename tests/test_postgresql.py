"""
Tables of PostgreSQL of every kind are checked, filled and given back exactly, and nothing else of the database changes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
import pytest

from tests import servers
from timestamp_guard import Repair, backfill, check, enforce, plan, present, rollback, runs, verify
from timestamp_guard import _faults as faults
from timestamp_guard.errors import (
    NoIdentity,
    PlanChanged,
    StoreError,
    StoreMissing,
    StoreReadOnly,
    TooManyFailures,
    UnknownName,
    UsageError,
    WriteUndone,
)
from timestamp_guard.rules import updated_at_guard
from timestamp_guard.stores import open_store, tables
from timestamp_guard.stores.base import Step
from timestamp_guard.stores.sql.postgresql import server as server_module
from timestamp_guard.stores.sql.postgresql.server import Server
from timestamp_guard.stores.sql.postgresql.store import PostgresStore
from timestamp_guard.stores.sql.served.server import ConnectionLost
from timestamp_guard.stores.sql.served.store import STEP_BEGUN

from .postgresql_tables import DAY, GUARD, MS, NOW, REPAIR, dump, fill, make, opened, quoted
from .sqlite_files import slowly
from .test_postgresql_target import NAMES

TABLE: Final = 'CREATE TABLE services (_id text PRIMARY KEY, "createdAt" bigint, "updatedAt" bigint, note text)'

ENCODINGS: Final = ("epoch_ms", "epoch_ms/us")
"""Judged by the server, and row by row in Python."""


@pytest.fixture
def url() -> Iterator[str]:
    """
    An empty database on the oldest server.
    """
    with servers.database(servers.postgresql(15)) as made:
        yield made


@pytest.fixture
def newest() -> Iterator[str]:
    """
    An empty database on the newest server.
    """
    with servers.database(servers.postgresql(18)) as made:
        yield made


def rows(count: int = 20) -> list[list[Any]]:
    """Rows to fill."""
    return [[f"k{n}", MS - DAY * (n + 1), None, "note"] for n in range(count)]


def plain(url: str, count: int = 20) -> str:
    """A table with rows to fill."""
    return make(url, TABLE, rows=rows(count))


def interrupted(url: str) -> str:
    """A table of which a backfill filled the first half."""

    def stop(step: Step) -> None:
        raise KeyboardInterrupt

    with opened(plain(url)) as store, pytest.raises(KeyboardInterrupt):
        backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(10), progress=stop)
    return url


def ask(url: str, sql: str) -> list[tuple[Any, ...]]:
    """What somebody else sees."""
    return servers.sql(url, sql)


def database_of(url: str) -> str:
    """The name of the database at an address."""
    return urlsplit(url).path[1:]


def ledgers(url: str) -> int:
    """How many tables of ours there are."""
    ((count,),) = ask(url, "SELECT count(*) FROM pg_class WHERE relname ~ '^timestamp_guard_'")
    return int(count)


# -- keys -------------------------------------------------------------------------------------------------------

ICU: Final = "CREATE COLLATION nd (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
KEYS: Final[Mapping[str, tuple[str, str, Sequence[str]]]] = {
    "text": ("k text PRIMARY KEY", "('k' || n)", ()),
    "two": ("a integer, b text, PRIMARY KEY (b, a)", "n % 3, 'x' || n", ()),
    "uuid": ("k uuid PRIMARY KEY", "md5(n::text)::uuid", ()),
    "char": ("k char(7) PRIMARY KEY", "('a' || n)", ()),
    "varchar": ("k varchar(9) PRIMARY KEY", "('a' || n)", ()),
    "icu": ("k text COLLATE nd PRIMARY KEY", "(chr(97 + n % 26) || n)", (ICU,)),
    "citext": ("k citext PRIMARY KEY", "('Key' || n)", ("CREATE EXTENSION citext",)),
    "instant": ("k timestamptz PRIMARY KEY", "'2024-03-31 00:30Z'::timestamptz + n * interval '7.000001 minutes'", ()),
    "date": ("k date PRIMARY KEY", "'2024-03-31'::date + n", ()),
    "numeric": ("k numeric PRIMARY KEY", "n::numeric / 7", ()),
    "double": ("k double precision PRIMARY KEY", "CASE n WHEN 1 THEN 'NaN' WHEN 2 THEN '-0' ELSE n / 7.0 END", ()),
    "real": ("k real PRIMARY KEY", "1700000000 + n * 128", ()),
    "interval": ("k interval PRIMARY KEY", "n * interval '1 day 7 minutes'", ()),
    "bytea": ("k bytea PRIMARY KEY", "decode(md5(n::text), 'hex')", ()),
    "boolean": ("k boolean, n int, PRIMARY KEY (k, n)", "n % 2 = 0, n", ()),
    "inet": ("k inet PRIMARY KEY", "'10.0.0.0'::inet + n", ()),
    "array": ("k integer[] PRIMARY KEY", "ARRAY[n, n]", ()),
    "enum": ("k mood, n int, PRIMARY KEY (k, n)", "'happy', n", ("CREATE TYPE mood AS ENUM ('sad', 'happy')",)),
    "domain": ("k name_of PRIMARY KEY", "'a' || n", ("CREATE DOMAIN name_of AS text CHECK (value <> '')",)),
    "given": ("k bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "", ()),
    "index": ("k text NOT NULL, UNIQUE (k)", "'a' || n", ()),
    "bit": ("k bit(12) PRIMARY KEY", "n::bit(12)", ()),
    "json": ("k jsonb PRIMARY KEY", "jsonb_build_object('a', n)", ()),
}  # fmt: skip

ODD: Final = (
    "default_transaction_isolation = 'serializable'", "\"DateStyle\" = 'SQL, DMY'", "\"TimeZone\" = 'Asia/Kathmandu'",
    "extra_float_digits = -10", "bytea_output = 'escape'", "\"IntervalStyle\" = 'sql_standard'", "client_encoding = 'LATIN1'",
    "default_transaction_deferrable = on", "statement_timeout = '20s'", "lock_timeout = '7s'", "row_security = off",
    "standard_conforming_strings = off", "backslash_quote = off", "enable_seqscan = off", "enable_tidscan = off",
    "search_path = 'odd ''schema', public", "plan_cache_mode = force_generic_plan", "quote_all_identifiers = on",
    "max_parallel_workers_per_gather = 0", "session_replication_role = origin", "default_toast_compression = pglz",
)  # fmt: skip


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", KEYS)
def test_keys(url: str, name: str, encoding: str) -> None:
    """
    Rows are found again by keys of every type, whatever settings the user has, which stay what they are.
    """
    sql, key, before = KEYS[name]
    odd = [f"ALTER DATABASE {database_of(url)} SET {each}" for each in ODD]
    values = f"{MS} - n, CASE WHEN n % 4 = 0 THEN 0 END, 'ü'"
    into = '(k, "createdAt", "updatedAt", note)' if key and "," not in key else ""
    into = '("createdAt", "updatedAt", note)' if not key else into
    servers.sql(
        url,
        *before,
        f'CREATE TABLE services ({sql}, "createdAt" bigint, "updatedAt" bigint, note text)',
        f"INSERT INTO services {into} SELECT {f'{key}, ' if key else ''}{values} FROM generate_series(1, 40) n",
        *odd,
    )
    first = dump(url)

    with opened(url, encodings=encoding) as store:
        report = check(store, GUARD, now=NOW)
        run = backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(7))
        changes = store.ledger.changes(run)

        assert {"null": 30, "placeholder": 10} == report.violations
        assert ("complete", 40) == (run.status, run.counts.changed)
        assert 40 == len({repr(change.key) for _, change in changes})
        assert check(store, GUARD, now=NOW).ok

        servers.sql(url, f'UPDATE services SET "updatedAt" = {MS} WHERE "createdAt" = {MS - 3}')
        back = rollback(store, now=NOW, pace=slowly(7))

    assert ("incomplete", 39, 1) == (back.status, back.counts.changed, back.counts.refused)
    servers.sql(url, f'UPDATE services SET "updatedAt" = NULL WHERE "createdAt" = {MS - 3}')
    assert first == dump(url)


@pytest.mark.parametrize("version", servers.POSTGRESQL)
def test_hostile_names(version: int) -> None:
    """
    Any name can be that of a schema, a table, a column and a key, declared or not, and none of them is executed.
    """
    hostile = [
        *NAMES,
        '"; DROP TABLE victims; --',
        "'); DROP TABLE victims; --",
        "%%",
        "%(x)s %s",
        "::",
        ":a::b",
        "\\'",
        '""',
    ]
    with servers.database(servers.postgresql(version)) as url, servers.connect(url) as user:
        user.execute("CREATE TABLE victims (x int)")
        for number, name in enumerate(hostile):
            schema, other, key = (f"{part}{name}"[: 63 - len(name.encode()) + len(name)] for part in "sok")
            table = f"{quoted(schema)}.{quoted(name)}"
            user.execute(f"CREATE SCHEMA {quoted(schema)}")
            user.execute(
                f"CREATE TABLE {table} ({quoted(key)} text PRIMARY KEY, {quoted(other)} bigint, {quoted(name)} bigint)"
            )
            fill(user, table, [["a", MS, None], ["b", MS, 0], ["c", MS + 10**9, None], ["d", MS, MS]])
            guard, repair = updated_at_guard(name, other), Repair(name, (other,))
            encoding, declared = ENCODINGS[number % 2], key if number % 3 else None

            with PostgresStore(url, f"{schema}.{name}", encodings=encoding, key=declared) as store:
                assert {"null": 2, "placeholder": 1, "in_future": 1} == check(store, guard, now=NOW).violations
                assert plan(store, guard, repair, now=NOW).statements
                run = backfill(store, guard, repair, now=NOW)
                assert (2, 1, 0) == (run.counts.changed, run.counts.unrepairable, run.counts.arriving)
                assert [(MS,), (MS,), (None,), (MS,)] == user.execute(
                    psycopg.sql.SQL("SELECT {} FROM {} ORDER BY {}").format(
                        psycopg.sql.Identifier(name), psycopg.sql.Identifier(schema, name), psycopg.sql.Identifier(key)
                    )
                ).fetchall()
                assert 2 == rollback(store, now=NOW).counts.changed
        assert [(0,)] == user.execute("SELECT count(*) FROM victims").fetchall()


@pytest.mark.parametrize(
    "sql",
    [
        "_id text",
        "_id text, UNIQUE (_id)",
        "_id text NOT NULL, UNIQUE (_id) DEFERRABLE",
        "_id text NOT NULL, EXCLUDE (_id WITH =)",
    ],
)
def test_no_identity(url: str, sql: str) -> None:
    """
    A table without a key can be checked; a backfill says what is needed, and takes the key that is declared.
    """
    make(url, f'CREATE TABLE services ({sql}, "createdAt" bigint, "updatedAt" bigint, note text)', rows=rows())
    servers.sql(
        url,
        "CREATE UNIQUE INDEX ON services (_id) WHERE note IS NOT NULL",
        "CREATE UNIQUE INDEX ON services (lower(_id))",
    )

    with opened(url) as store:
        report = check(store, GUARD, now=NOW)
        assert ({"null": 20}, 20) == (report.violations, report.records)
        with pytest.raises(NoIdentity, match="services has no key .*CREATE UNIQUE INDEX"):
            backfill(store, GUARD, REPAIR, now=NOW)
    with opened(url, key="_id") as store:
        assert 20 == backfill(store, GUARD, REPAIR, now=NOW).counts.changed
        assert 20 == rollback(store, now=NOW).counts.changed
    if sql == "_id text":
        again = "INSERT INTO services (_id) SELECT _id FROM services LIMIT 1"
        servers.sql(url, "DROP INDEX services_lower_idx, services__id_idx", again)
        with opened(url, key="_id") as store, pytest.raises(NoIdentity, match="not unique: 'k0' is in 2 rows"):
            backfill(store, GUARD, REPAIR, now=NOW)


def test_not_null_that_nobody_looked_at(newest: str) -> None:
    """
    Where NOT NULL was declared and not validated, nulls are filled like others, and no key is made of such a column.
    """
    make(newest, TABLE.replace("text PRIMARY KEY", "text UNIQUE"), rows=[*rows(), [None, MS - DAY, None, ""]])
    if servers.sql(newest, "SELECT current_setting('server_version_num')::int")[0][0] < 180000:
        pytest.skip("only from 18 on a NOT NULL can be declared so")
    servers.sql(
        newest,
        'ALTER TABLE services ADD CONSTRAINT later NOT NULL "updatedAt" NOT VALID',
        "ALTER TABLE services ADD CONSTRAINT never NOT NULL _id NOT VALID",
    )
    with opened(newest) as store, pytest.raises(NoIdentity):
        backfill(store, GUARD, REPAIR, now=NOW)
    servers.sql(newest, "DELETE FROM services WHERE _id IS NULL", "ALTER TABLE services VALIDATE CONSTRAINT never")

    with opened(newest) as store:
        run = backfill(store, GUARD, REPAIR, now=NOW)
        assert ("complete", 20) == (run.status, run.counts.changed)
    servers.sql(newest, "ALTER TABLE services VALIDATE CONSTRAINT later")


# -- tables -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ('bigint GENERATED ALWAYS AS ("createdAt" + 1) STORED', "computed by the server"),
        ("bigint GENERATED ALWAYS AS IDENTITY", "computed by the server"),
    ],
)
def test_computed(url: str, column: str, said: str) -> None:
    """
    A column that the server computes can be checked; that it cannot be filled is said before anything is written.
    """
    servers.sql(
        url,
        f'CREATE TABLE services (_id text PRIMARY KEY, "createdAt" bigint, "updatedAt" {column})',
        "INSERT INTO services VALUES ('a', 5)",
    )
    with opened(url) as store:
        assert 1 == check(store, GUARD, now=NOW).broken
        with pytest.raises(UsageError, match=said):
            backfill(store, GUARD, REPAIR, now=NOW)
    assert 0 == ledgers(url)


def test_beside_computed(url: str) -> None:
    """
    Computed columns beside the one that is filled follow it.
    """
    servers.sql(
        url,
        'CREATE TABLE services (_id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, "createdAt" bigint, '
        '"updatedAt" bigint, twice bigint GENERATED ALWAYS AS ("updatedAt" * 2) STORED)',
        f'INSERT INTO services ("createdAt") SELECT {MS} - n FROM generate_series(1, 20) n',
    )
    first = dump(url)
    with opened(url) as store:
        assert 20 == backfill(store, GUARD, REPAIR, now=NOW).counts.changed
        assert [(20,)] == ask(url, 'SELECT count(*) FROM services WHERE twice = "createdAt" * 2')
        assert 20 == rollback(store, now=NOW).counts.changed
    assert first == dump(url)


PARTS: Final = {
    "list": ("LIST (kind)", ["FOR VALUES IN (0)", "FOR VALUES IN (1)", "DEFAULT"]),
    "range": ("RANGE (kind)", ["FOR VALUES FROM (0) TO (1)", "FOR VALUES FROM (1) TO (2)", "FOR VALUES FROM (2) TO (9)"]),
    "hash": ("HASH (kind)", [f"FOR VALUES WITH (MODULUS 3, REMAINDER {n})" for n in range(3)]),
}  # fmt: skip


def partitioned(url: str, how: str) -> None:
    """A table in parts, the first of which is in parts itself."""
    by, bounds = PARTS[how]
    servers.sql(
        url,
        'CREATE TABLE services (_id int, kind int, "createdAt" bigint, "updatedAt" bigint, PRIMARY KEY (_id, kind)) '
        f"PARTITION BY {by}",
        f"CREATE TABLE p0 PARTITION OF services {bounds[0]} PARTITION BY HASH (_id)",
        *(f"CREATE TABLE p0_{n} PARTITION OF p0 FOR VALUES WITH (MODULUS 2, REMAINDER {n})" for n in range(2)),
        *(f"CREATE TABLE p{n} PARTITION OF services {bounds[n]}" for n in (1, 2)),
        f"INSERT INTO services SELECT n, n % 4, {MS} - n, CASE WHEN n % 5 = 0 THEN 0 END FROM generate_series(1, 60) n",
    )  # fmt: skip


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("how", PARTS)
def test_partitions(url: str, how: str, encoding: str) -> None:
    """
    A table in parts is one table, at whatever depth its rows are.
    """
    partitioned(url, how)
    first = dump(url)
    with opened(url, encodings=encoding) as store:
        report = check(store, GUARD, now=NOW)
        assert ({"null": 48, "placeholder": 12}, 60) == (report.violations, report.records)
        assert all(sample.key is not None for sample in report.samples)
        run = backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(7))
        assert ("complete", 60) == (run.status, run.counts.changed)
        assert [(0,)] == ask(url, 'SELECT count(*) FROM services WHERE "updatedAt" <> "createdAt"')
        assert ("complete", 60) == (rollback(store, now=NOW, pace=slowly(9)).status, 60)
    assert first == dump(url)


def test_no_parts(url: str) -> None:
    """
    A table that has no parts yet has no rows.
    """
    servers.sql(
        url,
        'CREATE TABLE services (_id int PRIMARY KEY, "createdAt" bigint, "updatedAt" bigint) PARTITION BY HASH (_id)',
    )
    with opened(url) as store:
        assert 0 == check(store, GUARD, now=NOW).records
        assert backfill(store, GUARD, REPAIR, now=NOW).id is None


@pytest.mark.parametrize("act", ["attach", "detach", "drop"])
def test_partitions_change(url: str, act: str) -> None:
    """
    A part that is attached while a run is at work is filled by its next sweep; one that is gone ends no run for good.
    """
    partitioned(url, "list")
    servers.sql(
        url,
        "ALTER TABLE services DETACH PARTITION p2",
        'CREATE TABLE p9 (_id int, kind int, "createdAt" bigint, "updatedAt" bigint, PRIMARY KEY (_id, kind))',
        f"INSERT INTO p9 SELECT n, 9, {MS} - n FROM generate_series(1, 9) n",
    )
    acts = {
        "attach": ["ALTER TABLE services ATTACH PARTITION p9 FOR VALUES IN (9)"],
        "detach": ["ALTER TABLE services DETACH PARTITION p1"],
        "drop": ["DROP TABLE p1"],
    }
    steps = []

    def meanwhile(step: Step) -> None:
        steps.append(step)
        if len(steps) == 2:
            servers.sql(url, *acts[act])

    with opened(url) as store:
        try:
            run = backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(3), progress=meanwhile)
        except StoreError:
            assert "drop" == act
            run = backfill(store, GUARD, REPAIR, now=NOW)
        assert "complete" == run.status
        assert check(store, present("updatedAt"), now=NOW).ok
    assert [(0,)] == ask(url, 'SELECT count(*) FROM services WHERE "updatedAt" IS NULL')


def test_moves_between_parts(url: str) -> None:
    """
    The column by which a table is divided is not filled: that would move rows.
    """
    servers.sql(
        url,
        'CREATE TABLE services (_id int, "createdAt" bigint, "updatedAt" bigint) PARTITION BY RANGE ("updatedAt")',
        "CREATE TABLE p PARTITION OF services DEFAULT",
        "INSERT INTO services VALUES (1, 1700000000000, NULL)",
    )
    with opened(url, key="_id") as store, pytest.raises(UsageError, match="updatedAt says in which partition"):
        backfill(store, GUARD, REPAIR, now=NOW)


def test_other_tables(url: str) -> None:
    """
    What is no table of its own is told by its kind; a table that others inherit from is checked and not filled.
    """
    plain(url)
    servers.sql(
        url,
        "CREATE VIEW seen AS SELECT * FROM services",
        "CREATE MATERIALIZED VIEW kept AS SELECT * FROM services",
        "CREATE FOREIGN DATA WRAPPER nothing",
        "CREATE SERVER there FOREIGN DATA WRAPPER nothing",
        "CREATE FOREIGN TABLE far (x int) SERVER there",
        "CREATE SEQUENCE counted",
        "CREATE TABLE heir () INHERITS (services)",
    )
    for name, said in (
        ("seen", "seen is a view"),
        ("kept", "kept is a materialized view"),
        ("far", "far is a foreign table"),
        ("counted", "counted is no table"),
    ):
        with pytest.raises(UsageError, match=said):
            opened(url, name)
    with opened(url) as store:
        assert 20 == check(store, GUARD, now=NOW).broken
        with pytest.raises(UsageError, match="other tables inherit from services"):
            backfill(store, GUARD, REPAIR, now=NOW)
    with pytest.raises(UnknownName, match="no table 'service' in .*; did you mean 'services'"):
        opened(url, "service")
    assert ["services", "heir"] == tables(url)


def test_rows_out_of_sight(url: str) -> None:
    """
    That row-level security hides rows is said in the plan, and the hidden ones stay as they are.
    """
    plain(url)
    role = f"app_{database_of(url)}"
    servers.sql(
        url,
        f"CREATE ROLE {role} LOGIN",
        "ALTER TABLE services ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY few ON services USING (_id < 'k2')",
        f"GRANT ALL ON services TO {role}",
        f"GRANT ALL ON SCHEMA public TO {role}",
    )
    try:
        with opened(as_user(url, role)) as store:
            said = plan(store, GUARD, REPAIR, now=NOW).statements
            run = backfill(store, GUARD, REPAIR, now=NOW)

        assert any("row-level security is on" in each for each in said)
        assert ("complete", 12) == (run.status, run.counts.changed)
        assert [(8,)] == ask(url, 'SELECT count(*) FROM services WHERE "updatedAt" IS NULL')
    finally:
        servers.sql(url, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def as_user(url: str, name: str) -> str:
    """The same database for somebody else."""
    return url.replace("postgres@", f"{name}@", 1)


# -- triggers, rules, constraints -------------------------------------------------------------------------------

TOUCH: Final = {
    "before": (
        'BEGIN NEW."updatedAt" := 7; RETURN NEW; END',
        "CREATE TRIGGER \"it's touch\" BEFORE UPDATE ON services FOR EACH ROW EXECUTE FUNCTION touch()",
    ),
    "only others": (
        'BEGIN IF NEW."updatedAt" IS NOT DISTINCT FROM OLD."updatedAt" THEN RETURN NEW; END IF; NEW."updatedAt" := 7; RETURN NEW; END',
        "CREATE TRIGGER \"it's touch\" BEFORE UPDATE OF \"updatedAt\" ON services FOR EACH ROW EXECUTE FUNCTION touch()",
    ),
    "after": (
        'BEGIN IF pg_trigger_depth() < 2 THEN UPDATE services SET "updatedAt" = 7 WHERE _id = NEW._id; END IF; RETURN NULL; END',
        "CREATE TRIGGER \"it's touch\" AFTER UPDATE ON services FOR EACH ROW EXECUTE FUNCTION touch()",
    ),
    "statement": (
        'BEGIN IF pg_trigger_depth() < 2 THEN UPDATE services SET "updatedAt" = 7; END IF; RETURN NULL; END',
        "CREATE TRIGGER \"it's touch\" AFTER UPDATE ON services FOR EACH STATEMENT EXECUTE FUNCTION touch()",
    ),
}  # fmt: skip


def watched(url: str, touch: str) -> list[str]:
    """The statements that make a trigger."""
    body, sql = TOUCH[touch]
    return [f"CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$", sql]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("touch", TOUCH)
def test_touched(url: str, touch: str, encoding: str) -> None:
    """
    A trigger that changes what is written is named before anything is written; once disabled, it is in nobody's way.
    """
    plain(url)
    servers.sql(url, *watched(url, touch))
    first = dump(url)

    with opened(url, encodings=encoding) as store:
        assert any("it's touch" in each for each in plan(store, GUARD, REPAIR, now=NOW).statements)
        with pytest.raises(WriteUndone, match="trigger it's touch changes it.*DISABLE TRIGGER"):
            backfill(store, GUARD, REPAIR, now=NOW)
    assert first == dump(url)
    assert 0 == ledgers(url)

    servers.sql(url, "ALTER TABLE services DISABLE TRIGGER ALL")
    with opened(url, encodings=encoding) as store:
        assert ("complete", 20) == (backfill(store, GUARD, REPAIR, now=NOW).status, 20)
        servers.sql(url, "ALTER TABLE services ENABLE TRIGGER ALL")
    with opened(url, encodings=encoding) as store:
        filled = dump(url)
        with pytest.raises(WriteUndone, match="it's touch"):
            rollback(store, now=NOW)
        assert filled == dump(url)
    servers.sql(url, "ALTER TABLE services DISABLE TRIGGER ALL")
    with opened(url, encodings=encoding) as store:
        assert 20 == rollback(store, now=NOW).counts.changed
    servers.sql(url, "ALTER TABLE services ENABLE TRIGGER ALL")
    assert first == dump(url)


@pytest.mark.parametrize("touch", TOUCH)
def test_touched_meanwhile(url: str, touch: str) -> None:
    """
    A trigger that is made while a run is at work stops it before the step that it spoils is kept.
    """
    plain(url)
    left = [1]

    def meanwhile(step: Step) -> None:
        if step.run.counts.changed == 6 and left and left.pop():
            servers.sql(url, *watched(url, touch))

    with opened(url) as store:
        with pytest.raises((WriteUndone, TooManyFailures)):
            backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(3), progress=meanwhile)
        assert [(6,)] == ask(url, 'SELECT count(*) FROM services WHERE "updatedAt" = "createdAt"')
        assert [(14,)] == ask(url, 'SELECT count(*) FROM services WHERE "updatedAt" IS NULL')


def test_audited(url: str) -> None:
    """
    A trigger that writes down elsewhere what changes is set off, and does no harm.
    """
    plain(url)
    servers.sql(
        url,
        "CREATE TABLE audit (key text)",
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit VALUES (NEW._id); RETURN NULL; END $$",
        "CREATE TRIGGER note AFTER UPDATE ON services FOR EACH ROW EXECUTE FUNCTION note()",
    )
    with opened(url) as store:
        assert "complete" == backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(3)).status
        assert "complete" == rollback(store, now=NOW).status
    assert [(40,)] == ask(url, "SELECT count(*) FROM audit")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_skipped(url: str, encoding: str) -> None:
    """
    What a trigger keeps from being written is not said to be done.
    """
    plain(url)
    servers.sql(
        url,
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW._id = 'k7' THEN RETURN NULL; END IF; RETURN NEW; END $$",
        "CREATE TRIGGER no BEFORE UPDATE ON services FOR EACH ROW EXECUTE FUNCTION no()",
    )
    with opened(url, encodings=encoding) as store:
        run = backfill(store, GUARD, REPAIR, now=NOW)

        assert ("incomplete", 19, 1) == (run.status, run.counts.changed, run.counts.left)
        assert 19 == len(store.ledger.changes(run))


@pytest.mark.parametrize("rule", ["INSTEAD NOTHING", "ALSO INSERT INTO log VALUES (NEW._id)"])
def test_rules(url: str, rule: str) -> None:
    """
    A rule that stands in for what is written is told, and nothing is changed.
    """
    plain(url)
    servers.sql(url, "CREATE TABLE log (key text)", f"CREATE RULE r AS ON UPDATE TO services DO {rule}")
    first = dump(url)
    with opened(url) as store:
        assert any("r will be set off" in each for each in plan(store, GUARD, REPAIR, now=NOW).statements)
        with pytest.raises(StoreError, match="(?i)rule"):
            backfill(store, GUARD, REPAIR, now=NOW)
    assert first == dump(url)


CONSTRAINTS: Final = {
    "check": ["ALTER TABLE services ADD CHECK (_id <> 'k7' OR \"updatedAt\" IS NULL)"],
    "unique": ['CREATE UNIQUE INDEX ON services ("updatedAt")', f"INSERT INTO services VALUES ('z', 1700000000000, {MS - 8 * DAY})"],
    "deferred": [
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW._id = 'k7' THEN RAISE 'not this one'; END IF; RETURN NULL; END $$",
        "CREATE CONSTRAINT TRIGGER no AFTER UPDATE ON services DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION no()",
    ],
    "trigger": [
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW._id = 'k7' THEN RAISE 'not this one'; END IF; RETURN NEW; END $$",
        "CREATE TRIGGER no BEFORE UPDATE ON services FOR EACH ROW EXECUTE FUNCTION no()",
    ],
}  # fmt: skip


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", CONSTRAINTS)
def test_quarantine(url: str, name: str, encoding: str) -> None:
    """
    A row that the server will not take is set aside with the reason, and all others are filled and given back.
    """
    plain(url)
    servers.sql(url, *CONSTRAINTS[name])
    first = dump(url)
    with opened(url, encodings=encoding) as store:
        run = backfill(store, GUARD, REPAIR, now=NOW)
        (aside,) = store.ledger.quarantined(run)

        assert ("incomplete", 19, 1) == (run.status, run.counts.changed, run.counts.quarantined)
        assert "k7" == aside.key
        assert aside.reason
        assert ("complete", 19) == ((back := rollback(store, now=NOW)).status, back.counts.changed)
    assert first == dump(url)


def test_quarantine_of_a_full_page(url: str) -> None:
    """
    Only the row that fails is set aside, also where the server believes that there is one row in each page.
    """
    plain(url)
    servers.sql(url, *CONSTRAINTS["check"])
    with servers.connect(url) as user:
        user.execute("SET allow_system_table_mods = on")
        user.execute("UPDATE pg_class SET reltuples = 1, relpages = 1 WHERE relname = 'services'")
    with opened(url) as store:
        run = backfill(store, GUARD, REPAIR, now=NOW)

        assert ("incomplete", 19, 1) == (run.status, run.counts.changed, run.counts.quarantined)


def test_too_many_failures(url: str) -> None:
    """
    Where too much fails the run stops, and says why.
    """
    plain(url, 100)
    servers.sql(url, 'ALTER TABLE services ADD CONSTRAINT never CHECK ("updatedAt" IS NULL)')
    with opened(url) as store, pytest.raises(TooManyFailures, match="11 of 11 writes failed.*never"):
        backfill(store, GUARD, REPAIR, now=NOW)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_not_null(url: str, encoding: str) -> None:
    """
    Placeholders in a column that may not be null are filled, and given back.
    """
    make(
        url,
        TABLE.replace('"updatedAt" bigint', '"updatedAt" bigint NOT NULL'),
        rows=[[key, at, -(n % 2), note] for n, (key, at, _, note) in enumerate(rows())],
    )
    first = dump(url)
    with opened(url, encodings=encoding) as store:
        assert ("complete", 20) == ((run := backfill(store, GUARD, REPAIR, now=NOW)).status, run.counts.changed)
        assert 20 == rollback(store, now=NOW).counts.changed
    assert first == dump(url)


NARROW: Final = {
    "integer": ("integer", "epoch_ms", "MS", 0),
    "char": ("char(40)", "rfc3339", "'2024-01-01T00:00:00Z'", 20),
    "varchar": ("varchar(5)", "rfc3339", "'2024-01-01T00:00:00Z'", 0),
    "domain": ("moment", "epoch_ms", "1700000000000", 20),
    "domain of a domain": ("fine_moment", "epoch_ms", "1700000000000", 20),
    "seconds": ("timestamptz(0)", "datetime/s", "'2024-01-01T00:00:00.5Z'", 20),
    "scaled": ("numeric(13,0)", "epoch_ms", "1700000000000.5", 20),
    "scaled down": ("numeric(15,-3)", "epoch_ms", "1700000000999", 20),
    "real": ("real", "epoch_ms", "1700000000000", 0),
}


@pytest.mark.parametrize("name", NARROW)
def test_narrow(url: str, name: str) -> None:
    """
    A column that cannot hold what is to be written refuses it, and nothing is cut or rounded silently.
    """
    kind, encoding, value, wanted = NARROW[name]
    servers.sql(
        url,
        "CREATE DOMAIN moment AS bigint CHECK (value > 0)",
        "CREATE DOMAIN fine_moment AS moment CHECK (value > 1)",
        f'CREATE TABLE services (_id text PRIMARY KEY, "createdAt" {kind}, "updatedAt" {kind}, note {WIDER.get(name, kind)})',
        f"INSERT INTO services SELECT 'k' || n, NULL, NULL, {value.replace('MS', str(MS))} FROM generate_series(1, 20) n",
    )
    first = dump(url)
    guard = updated_at_guard("updatedAt", created=None)
    with opened(url, encodings=encoding) as store:
        try:
            run = backfill(store, guard, Repair("updatedAt", ("note",)), now=NOW)
        except TooManyFailures:
            run = runs(store)[-1]
        assert wanted == run.counts.changed
        if wanted:
            assert "complete" == run.status
            assert check(store, guard, now=NOW).ok
        assert wanted == rollback(store, now=NOW).counts.changed
    assert first == dump(url)


WIDER: Final = {"integer": "bigint", "varchar": "text", "char": "text", "scaled": "numeric(13,0)", "real": "bigint"}


# -- meanwhile --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["half", "done"])
def test_another_key(url: str, moment: str) -> None:
    """
    A run that is unfinished goes on with the key that it began with, and is taken back by it whatever the key is now.
    """
    if moment == "half":
        interrupted(url)
    else:
        with opened(plain(url)) as store:
            backfill(store, GUARD, REPAIR, now=NOW)
    servers.sql(
        url, "ALTER TABLE services DROP CONSTRAINT services_pkey", "UPDATE services SET note = _id", "ALTER TABLE services ADD PRIMARY KEY (note)"
    )  # fmt: skip
    with opened(url) as store:
        if moment == "half":
            with pytest.raises(PlanChanged, match="tells rows apart by _id, not by note"):
                backfill(store, GUARD, REPAIR, now=NOW)
        assert (10 if moment == "half" else 20) == rollback(store, now=NOW).counts.changed
    assert [(20,)] == ask(url, 'SELECT count(*) FROM services WHERE "updatedAt" IS NULL')


@pytest.mark.parametrize(
    ("statement", "act"),
    [
        ("ALTER TABLE services RENAME TO others", "backfill"),
        ("DROP TABLE services", "backfill"),
        ('ALTER TABLE services DROP COLUMN "updatedAt"', "backfill"),
        ('ALTER TABLE services DROP COLUMN "createdAt"', "backfill"),
        ("ALTER TABLE services RENAME TO others", "rollback"),
        ('ALTER TABLE services DROP COLUMN "updatedAt"', "rollback"),
        ("ALTER TABLE services DROP COLUMN _id", "rollback"),
        ("DROP VIEW timestamp_guard_changes", "rollback"),
        ("DROP TABLE timestamp_guard_batches CASCADE", "rollback"),
    ],
)
def test_schema_changed_meanwhile(url: str, statement: str, act: str) -> None:
    """
    What is taken away from under a run ends it with a sentence of the library's own.
    """
    plain(url)
    with opened(url) as store:
        if act == "rollback":
            backfill(store, GUARD, REPAIR, now=NOW)

        def meanwhile(step: Step) -> None:
            if step.run.counts.changed == 6:
                servers.sql(url, statement)

        with pytest.raises((StoreError, UsageError), match="does not exist|no column|no field|no table"):
            if act == "backfill":
                backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(3), progress=meanwhile)
            else:
                rollback(store, now=NOW, pace=slowly(3), progress=meanwhile)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_rewritten_meanwhile(url: str, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A table that is written anew between the look at its rows and the write gets no value into another row.
    """
    plain(url)
    servers.sql(url, "DELETE FROM services WHERE _id = 'k0'")  # so that all others move
    left = [1]

    def hook(point: str) -> None:
        if point == STEP_BEGUN and left and left.pop():
            servers.sql(url, "VACUUM FULL services")

    monkeypatch.setattr(faults, "hook", hook)
    with opened(url, encodings=encoding) as store:
        run = backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(5))

    assert ("complete", 19) == (run.status, run.counts.changed)
    assert [(19,)] == ask(url, 'SELECT count(*) FROM services WHERE "updatedAt" = "createdAt"')


def test_place_taken_meanwhile(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A row that came to the place of another one after that was judged does not get its value.
    """
    plain(url)
    left = [1]
    judge = PostgresStore._judge

    def then(store: PostgresStore, *given: Any) -> Any:
        found = judge(store, *given)
        if left and given[3] > 1:
            left.pop()
            servers.sql(
                url,
                "DELETE FROM services WHERE _id = 'k3'",
                "VACUUM services",
                "INSERT INTO services VALUES ('new', 1, 5)",
            )
        return found

    monkeypatch.setattr(PostgresStore, "_judge", then)
    with opened(url, encodings="epoch_ms/us") as store:
        run = backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(5))

    assert ("complete", 19) == (run.status, run.counts.changed)
    assert [(1, 5)] == ask(url, 'SELECT "createdAt", "updatedAt" FROM services WHERE _id = \'new\'')


def test_steps(url: str) -> None:
    """
    A step takes about as many rows as it may, however many are sound, and whatever is where in the table.
    """
    make(url, TABLE, rows=[[f"k{n}", MS - DAY, None if n % 10 == 0 else MS, ""] for n in range(3000)])
    servers.sql(url, "ANALYZE services")
    taken = []
    with opened(url) as store:
        run = backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(20), progress=lambda step: taken.append(step.touched))

    assert ("complete", 300) == (run.status, run.counts.changed)
    assert max(taken) <= 20


# -- rights -----------------------------------------------------------------------------------------------------


@pytest.fixture
def app(url: str) -> Iterator[tuple[str, str]]:
    """
    A user with the right to read a table, and the address by which they come.
    """
    role = f"app_{database_of(url)}"
    plain(url)
    servers.sql(
        url, f"CREATE ROLE {role} LOGIN", "REVOKE CREATE ON SCHEMA public FROM public", f"GRANT SELECT ON services TO {role}"
    )  # fmt: skip
    yield role, as_user(url, role)
    servers.sql(url, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_rights(url: str, app: tuple[str, str]) -> None:
    """
    What this user may not do is said with what to grant, and is enough once it is granted.
    """
    role, theirs = app
    with opened(theirs, read_only=True) as store:
        assert 20 == check(store, GUARD, now=NOW).broken
        assert {"createdAt": 20} == plan(store, GUARD, REPAIR, now=NOW).by_candidate
    for wanted in (
        'GRANT USAGE, CREATE ON SCHEMA "public"',
        'GRANT SELECT, UPDATE ON TABLE "public"."services"',
    ):
        with opened(theirs) as store, pytest.raises(StoreReadOnly, match=f"permission denied.*{wanted} TO"):
            backfill(store, GUARD, REPAIR, now=NOW)
        assert 0 == ledgers(url)
        servers.sql(url, f"{wanted} TO {role}")
    with opened(theirs) as store:
        assert "complete" == backfill(store, GUARD, REPAIR, now=NOW).status

    servers.sql(url, "REVOKE ALL ON services FROM public", f"REVOKE ALL ON services FROM {role}")
    with opened(theirs, read_only=True) as store:
        with pytest.raises(StoreReadOnly, match='GRANT SELECT ON TABLE "public"."services" TO'):
            check(store, GUARD, now=NOW)


@pytest.mark.parametrize("how", ["database", "opened"])
def test_read_only(url: str, how: str) -> None:
    """
    What is to be read only is only read.
    """
    plain(url)
    if how == "database":
        servers.sql(url, f"ALTER DATABASE {database_of(url)} SET default_transaction_read_only = on")
    first = dump(url)
    with opened(url, read_only=how == "opened") as store:
        assert 20 == check(store, GUARD, now=NOW).broken
        with pytest.raises(StoreReadOnly, match="read"):
            backfill(store, GUARD, REPAIR, now=NOW)
        assert [] == runs(store)
    assert (first, 0) == (dump(url), ledgers(url))


def test_looking_changes_nothing(url: str) -> None:
    """
    A check, a plan and a list of runs make nothing, and a backfill that finds nothing neither.
    """
    plain(url)
    first = dump(url)
    with opened(url) as store:
        check(store, GUARD, now=NOW)
        plan(store, GUARD, REPAIR, now=NOW)
        assert [] == runs(store)
        assert rollback(store, now=NOW).id is None
        assert backfill(store, GUARD, Repair("updatedAt", ("createdAt",), codes={"in_future"}), now=NOW).id is None
    assert (first, 0) == (dump(url), ledgers(url))


# -- addresses --------------------------------------------------------------------------------------------------

SECRET: Final = "s3cr%40t%2F%20pass"
PLAIN: Final = "s3cr@t/ pass"


def everything(problem: BaseException) -> str:
    """All that an error could tell somebody."""
    behind = problem.__context__ or problem.__cause__
    said = [str(problem), repr(problem), repr(problem.args), repr(vars(problem))]
    return "\n".join([*said, everything(behind) if behind else ""])


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """
    A server that asks for a password.
    """
    with servers.own_postgresql(15) as server:
        ((file,),) = servers.sql(server.url, "SHOW hba_file")
        servers.sql(
            server.url,
            f"CREATE ROLE app LOGIN PASSWORD '{PLAIN}'",
            'CREATE TABLE services (_id text, "updatedAt" bigint)',
            "GRANT SELECT ON services TO app",
        )
        servers.sql(
            server.url,
            f"COPY (VALUES ('local all all trust'), ('host all postgres all trust'), ('host all app all scram-sha-256')) TO '{file}'",
            "SELECT pg_reload_conf()",
        )  # fmt: skip
        yield servers.tcp(server.url).split("@")[1]


@pytest.mark.parametrize(
    ("address", "kind", "said"),
    [
        ("postgresql://app:{secret}x@{place}", StoreMissing, "password authentication failed"),
        ("postgresql://nobody:{secret}@{place}", StoreMissing, "cannot be reached"),
        ("postgresql://app:{secret}@{place}x", StoreMissing, 'database "postgresx" does not exist'),
        ("postgresql://app:{secret}@localhost:1/postgres", StoreMissing, "cannot be reached.*refused"),
        ("postgresql://app:{secret}@nowhere.invalid/postgres", StoreMissing, "cannot be reached"),
        ("postgresql://app:{secret}@localhost:port/postgres", StoreMissing, "cannot be reached"),
        ("postgresql://app:{secret}@{place}?nonsense=1", UsageError, "cannot read the address"),
        ("postgresql://{place}?user=app&password={secret}x", StoreMissing, "password authentication failed"),
        ("postgresql://{place}?user=app&password={secret}&nonsense=1", UsageError, "cannot read the address"),
        ("postgresql://app:{secret}@{place}", UnknownName, "no table 'service'"),
        ("postgres://app:{secret}@{place}", UnknownName, "no table 'service'"),
    ],
)
def test_addresses(guarded: str, address: str, kind: type[Exception], said: str) -> None:
    """
    What is wrong with an address is said in one sentence, and the password is nowhere in it nor behind it.
    """
    url = address.format(secret=SECRET, place=guarded)
    acts: list[Callable[[], Any]] = [
        lambda: open_store(url, "service", encodings="epoch_ms"),
        lambda: opened(url, "service"),
    ]
    for act in acts:
        with pytest.raises(kind, match=said) as problem:
            act()
        told = everything(problem.value)

        assert SECRET not in told
        assert PLAIN not in told
        assert "\n" not in str(problem.value)


def test_too_old(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A server that is too old is told by its version.
    """
    monkeypatch.setattr(server_module, "OLDEST", 990000)
    with pytest.raises(StoreError, match=r"is PostgreSQL 1\d: .* is needed"):
        opened(url)


# -- connections ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_pooled(url: str, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Whoever gets another backend for every transaction notices nothing.
    """
    plain(url)
    first = dump(url)
    there = Server._there

    def pooled(server: Server) -> Any:
        if not server._inside:
            server._connection.close()
        return there(server)

    monkeypatch.setattr(Server, "_there", pooled)
    with opened(url, encodings=encoding) as store:
        assert 20 == check(store, GUARD, now=NOW).broken
        run = backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(7))
        assert ("complete", 20) == (run.status, run.counts.changed)
        assert 20 == rollback(store, now=NOW, pace=slowly(7)).counts.changed
    assert first == dump(url)


def test_nothing_rides_on_the_session(url: str) -> None:
    """
    Whoever gets a backend after us finds no setting of ours, no lock, no prepared statement and no temporary table.
    """
    plain(url)
    questions = (
        "SELECT name, setting FROM pg_settings WHERE source = 'session' OR name = 'timestamp_guard.bypass' ORDER BY 1",
        "SELECT coalesce(current_setting('timestamp_guard.bypass', true), '')",
        "SELECT locktype, mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'",
        "SELECT name FROM pg_prepared_statements",
        "SELECT relname FROM pg_class WHERE relpersistence = 't'",
    )
    with servers.connect(url) as user, opened(url, encodings="epoch_ms") as store:
        fresh = [user.execute(each).fetchall() for each in questions]
        for _ in range(2):  # and none of the driver's, which prepares what comes often
            check(store, GUARD, now=NOW)
            backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(3))
            enforce(store, GUARD, "updatedAt", keep_current=True)
            verify(store, GUARD, "updatedAt", probe=True)
            rollback(store, now=NOW, pace=slowly(3))

        assert fresh == [store.server.run_as_it_is(each) for each in questions]


def test_looking(url: str) -> None:
    """
    A look is one view from its beginning, whatever others write, and cannot write itself.
    """
    plain(url)
    with opened(url) as store:
        with store.server.reading():
            servers.sql(url, "UPDATE services SET note = 'theirs'")
            assert [(0,)] == store.server.rows("SELECT count(*) FROM services WHERE note = 'theirs'")
        with pytest.raises(StoreReadOnly, match="can only be read"), store.server.reading():
            store.server.run("UPDATE services SET note = 'ours'")

    assert [("theirs",)] == servers.sql(url, "SELECT DISTINCT note FROM services")


def test_clock(url: str) -> None:
    """
    The present time is the server's, when nobody says another.
    """
    make(url, TABLE, rows=[["a", MS, None, ""]])
    with opened(url) as store:
        here = servers.sql(url, "SELECT extract(epoch FROM clock_timestamp())")[0][0]

        assert abs(store.now() - int(here * 10**9)) < 5 * 10**9
        assert "complete" == backfill(store, GUARD, REPAIR).status


def test_bytes_that_are_no_text() -> None:
    """
    Where a database takes any bytes for text, those that are none are counted, and end nothing.
    """
    url = servers.postgresql(15)
    name = "raw_bytes"
    servers.sql(
        url,
        f"DROP DATABASE IF EXISTS {name}",
        f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0",
    )
    raw = url.replace("/postgres?", f"/{name}?", 1)
    try:
        servers.sql(
            raw,
            'CREATE TABLE services (_id text PRIMARY KEY, "createdAt" text, "updatedAt" text, note text)',
            "INSERT INTO services SELECT 'k' || n, '2024-01-01T00:00:00Z', NULL, 'x' FROM generate_series(1, 5) n",
            "INSERT INTO services VALUES ('bad', '2024-01-01T00:00:00Z', convert_from('\\xff80'::bytea, 'SQL_ASCII'), '')",
            "INSERT INTO services VALUES (convert_from('\\x6bff'::bytea, 'SQL_ASCII'), '2024-01-01T00:00:00Z', NULL, '')",
        )
        exactly = "SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM services t"
        first = ask(raw, exactly)
        with opened(raw, encodings="rfc3339") as store:
            assert {"null": 6, "unreadable": 1} == check(store, GUARD, now=NOW).violations
            run = backfill(store, GUARD, Repair("updatedAt", ("createdAt",), codes={"null", "unreadable"}), now=NOW)
            assert ("complete", 7) == (run.status, run.counts.changed)
            assert 7 == rollback(store, now=NOW).counts.changed
        assert first == ask(raw, exactly)
    finally:
        servers.sql(url, f"DROP DATABASE {name} WITH (FORCE)")


def test_frozen(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A worker that is frozen in the middle of a step holds its rows no longer than the server lets it, and is told.
    """
    plain(url)
    monkeypatch.setattr(server_module, "IDLE", "300ms")
    with opened(url) as store, pytest.raises(ConnectionLost), store.server.writing():
        store.server.run("UPDATE services SET note = 'ours'")
        time.sleep(0.6)
        servers.sql(url, "SET lock_timeout = '200ms'", "UPDATE services SET note = 'theirs'")
        store.server.run("UPDATE services SET note = 'ours'")

    assert [("theirs",)] == servers.sql(url, "SELECT DISTINCT note FROM services")
