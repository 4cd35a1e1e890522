"""
A table of PostgreSQL that refuses by itself what the guard forbids; how it gets there, and back, without anybody waiting.
"""

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import servers
from tests.served_tables import accepted
from timestamp_guard import (
    Guard,
    Repair,
    Run,
    UsageError,
    backfill,
    check,
    enforce,
    enforcement,
    present,
    rollback,
    runs,
    unenforce,
    updated_at_guard,
    verify,
)
from timestamp_guard.errors import StoreLocked
from timestamp_guard.predicate import violations
from timestamp_guard.stores.base import Stage
from timestamp_guard.stores.sql.postgresql import enforcing
from timestamp_guard.stores.sql.postgresql.enforcing import PostgresEnforcing
from timestamp_guard.stores.sql.postgresql.locks import TableLock, blockers
from timestamp_guard.stores.sql.postgresql.server import Server
from timestamp_guard.stores.sql.postgresql.store import PostgresStore
from timestamp_guard.stores.sql.served.locks import Locks

from .enforced import CHAIN, EARLIEST, FIXED, GUARD, LOOSE, MS, NEAR, REPAIR, hooked, longest_read
from .postgresql_tables import definitions

T0 = datetime(2024, 1, 1, tzinfo=UTC)
TABLE = "CREATE TABLE t (id bigint PRIMARY KEY, created timestamptz, updated timestamptz, note text)"
FILLED = "INSERT INTO t SELECT g, '2024-01-01', '2024-01-02' FROM generate_series(1, 100) g"


@pytest.fixture(params=servers.POSTGRESQL)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with servers.database(servers.postgresql(request.param)) as url:
        yield url


def opened(url: str, table: str = "t", encodings: Any = "datetime", **how: Any) -> PostgresStore:
    return PostgresStore(url, table, encodings=encodings, **how)


# -- what is enforced

DAYS = st.one_of(
    st.none(),
    st.datetimes(timezones=st.just(UTC)),
    st.sampled_from(
        [
            T0,
            EARLIEST,
            datetime(1970, 1, 1, tzinfo=UTC),
            datetime(9999, 12, 31, 5, tzinfo=UTC),
            EARLIEST - timedelta(microseconds=1),
        ]
    ),
    st.builds(lambda micro: T0 + timedelta(microseconds=micro), st.integers(-3_000_000, 3_000_000)),
    st.sampled_from(["infinity", "-infinity", "0044-03-15 BC", "200000-01-01"]),
)
KINDS: dict[str, tuple[str, Any, st.SearchStrategy[Any]]] = {
    "whole": ("bigint", "epoch_ms", NEAR),
    "mixed": ("bigint", {"created": "epoch_ms/s", "updated": "epoch_ms"}, NEAR),
    "decimal": ("numeric", "epoch_ms", st.one_of(NEAR, st.sampled_from(["NaN", "Infinity", "-Infinity", "0.5", f"{MS}.7", "1e45"]))),
    "float": ("float8", "epoch_ms", st.one_of(NEAR.map(lambda n: n if n is None else float(n)), st.floats())),
    "instant": ("timestamptz", "datetime", DAYS),
    "instant/s": ("timestamptz", "datetime/s", DAYS),
    "local": ("timestamp", "datetime@+05:30", DAYS.map(lambda at: at.replace(tzinfo=None) if isinstance(at, datetime) else at)),
}  # fmt: skip


@pytest.fixture(scope="module", params=servers.POSTGRESQL)
def shared(request: pytest.FixtureRequest) -> Iterator[str]:
    with servers.database(servers.postgresql(request.param)) as url:
        yield url


@pytest.mark.parametrize("guard", [FIXED, CHAIN, LOOSE], ids=["fixed", "chain", "loose"])
@pytest.mark.parametrize("kind", KINDS)
def test_as_the_predicate_says(shared: str, kind: str, guard: Guard) -> None:
    """
    An enforced table takes exactly the rows of which the predicate finds nothing wrong.
    """
    declared, encodings, values = KINDS[kind]
    servers.sql(shared, "DROP TABLE IF EXISTS t, timestamp_guard_runs, timestamp_guard_batches, timestamp_guard_quarantine CASCADE",
                f"CREATE TABLE t (id bigint PRIMARY KEY, created {declared}, updated {declared})")  # fmt: skip
    with opened(shared, encodings=encodings) as store, servers.connect(shared) as user:
        assert enforce(store, guard).ok
        read = store.server  # values come to the predicate as the store reads them

        @settings(max_examples=60, deadline=None)
        @given(st.lists(st.tuples(values, values), min_size=1, max_size=5))
        def agrees(rows: list[tuple[Any, Any]]) -> None:
            for row in rows:
                with read.reading():
                    (held,) = read.rows(
                        f"SELECT ?::text::{declared}, ?::text::{declared}",
                        tuple(None if v is None else str(v) for v in row),
                    )
                record = dict(zip(("created", "updated"), held, strict=True))
                each = encodings if isinstance(encodings, dict) else dict.fromkeys(("created", "updated"), encodings)
                sound = not violations(record, guard, each, 0)

                texts = tuple(None if v is None else str(v) for v in row)
                said = f"INSERT INTO t VALUES (1, %s::text::{declared}, %s::text::{declared})"
                assert sound is accepted(user, said, texts), record

        agrees()


def test_text(url: str) -> None:
    """
    Of text that SQL cannot read, only that it is there is held, and that is said.
    """
    servers.sql(url, "CREATE TABLE t (id int PRIMARY KEY, created text, updated text)")
    with opened(url, encodings="rfc3339") as store, servers.connect(url) as user:
        done = enforce(store, updated_at_guard("updated", "created"), "updated")

        assert done.ok
        assert done.held["present(updated)"].startswith("NOT NULL alone")
        assert done.held["createdAt <= updatedAt".replace("At", "")].startswith("nothing")
        assert not accepted(user, "INSERT INTO t VALUES (1, NULL, NULL)")
        assert accepted(user, "INSERT INTO t VALUES (1, NULL, 'soon')")


def test_cannot_be_enforced(url: str) -> None:
    """
    What would need another way is refused before anything is made, with what to do.
    """
    servers.sql(
        url,
        TABLE,
        "CREATE TABLE heir () INHERITS (t)",
        "CREATE TABLE texts (id int PRIMARY KEY, updated text)",
        "CREATE TABLE computed (id bigint PRIMARY KEY, updated bigint GENERATED ALWAYS AS (id + 1) STORED)",
        "CREATE FOREIGN DATA WRAPPER nothing",
        "CREATE SERVER there FOREIGN DATA WRAPPER nothing",
        "CREATE TABLE far (id bigint, updated timestamptz) PARTITION BY RANGE (id)",
        "CREATE FOREIGN TABLE further PARTITION OF far FOR VALUES FROM (0) TO (9) SERVER there",
    )
    before = definitions(url)
    guard = present("updated")
    with opened(url) as store, pytest.raises(UsageError, match="other tables inherit from t: enforce each of them"):
        enforce(store, guard)
    with opened(url, "texts", "rfc3339") as store, pytest.raises(UsageError, match="is text, which no trigger of ours"):
        enforce(store, guard, keep_current=True)
    with opened(url, "computed", "epoch_ms") as store, pytest.raises(UsageError, match="no trigger of ours keeps"):
        enforce(store, guard, keep_current=True)
    with pytest.raises(UsageError, match="partition further is a foreign table: fill it where its rows are"):
        opened(url, "far")

    assert before == definitions(url)
    assert [(None,)] == servers.sql(url, "SELECT to_regclass('timestamp_guard_runs')")


def test_domains(url: str) -> None:
    """
    A column of a type of the user's own keeps that type, and its rules beside ours.
    """
    servers.sql(url, "CREATE DOMAIN moment AS timestamptz CHECK (VALUE > '2010-01-01')", TABLE.replace("updated timestamptz", "updated moment"),
                FILLED, "UPDATE t SET updated = NULL WHERE id < 4")  # fmt: skip
    before = definitions(url)
    with opened(url) as store, servers.connect(url) as user:
        assert backfill(store, GUARD, REPAIR).ok
        assert enforce(store, GUARD, "updated").ok
        assert not accepted(user, "INSERT INTO t VALUES (1000, '2005-01-01', '2005-01-01')")
        assert not accepted(user, "INSERT INTO t VALUES (1000, '2024-01-02', '2024-01-01')")
        assert not accepted(user, "INSERT INTO t VALUES (1000, '2024-01-01')")
        assert accepted(user, "INSERT INTO t VALUES (1000, '2024-01-01', '2024-01-02')")
        assert 3 == rollback(store).counts.changed

    assert before == definitions(url)


# -- the way there and back


def test_back_exactly(url: str) -> None:
    """
    What is taken back leaves the catalogue as it was, with all that is the user's.
    """
    servers.sql(
        url, TABLE, FILLED, "ALTER TABLE t ADD CHECK (note <> '') NOT VALID, ADD CONSTRAINT mine CHECK (updated > '1999-01-01')",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE TRIGGER mine BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()",
    )  # fmt: skip
    before = definitions(url)
    with opened(url) as store:
        done = enforce(store, GUARD, repair=REPAIR, keep_current=True, hold_now=True, keep_gate=True)
        held = definitions(url)
        back = unenforce(store)

    assert done.ok
    assert before != held
    assert back.ok
    assert before == definitions(url)
    ours = {row[1] for row in [*held["constraints"], *held["triggers"]]} - {
        row[1] for row in [*before["constraints"], *before["triggers"]]
    }
    assert ours
    assert all(name.startswith("timestamp_guard_") and len(name) <= 63 for name in ours)


def test_partitions(url: str) -> None:
    """
    A partitioned table is enforced part by part, and all of it then, without another look at the rows.
    """
    servers.sql(
        url,
        "CREATE TABLE t (id bigint, created timestamptz, updated timestamptz, PRIMARY KEY (id)) PARTITION BY RANGE (id)",
        "CREATE TABLE low PARTITION OF t FOR VALUES FROM (MINVALUE) TO (50)",
        "CREATE TABLE high PARTITION OF t FOR VALUES FROM (50) TO (MAXVALUE)",
        FILLED,
        "ALTER TABLE low ALTER updated SET NOT NULL",
    )
    before = definitions(url)
    with opened(url) as store, servers.connect(url) as user:
        done = enforce(store, GUARD, repair=REPAIR)
        valid = servers.sql(
            url,
            "SELECT bool_and(convalidated), count(*) FROM pg_constraint WHERE conname LIKE 'timestamp_guard_check%'",
        )

        assert done.ok
        assert [(True, 3)] == valid
        assert not accepted(user, "INSERT INTO t VALUES (1000)")
        assert not accepted(user, "INSERT INTO low VALUES (-1)")
        assert [(3,)] == servers.sql(url, "SELECT count(*) FROM pg_attribute WHERE attname = 'updated' AND attnotnull")
        assert enforce(store, GUARD, repair=REPAIR).made == ()
        unenforce(store)

    assert before == definitions(url)


# -- rows that are in the way


def test_broken_meanwhile(url: str) -> None:
    """
    A row that is broken between the look and the check fails the proof, and then what was made is taken back.
    """
    servers.sql(url, TABLE, FILLED)
    before = definitions(url)

    def hook(name: str) -> None:
        if name == "enforce: begun":
            servers.sql(url, "UPDATE t SET updated = '1999-01-01' WHERE id = 7")

    with opened(url) as store:
        with hooked(hook):
            done = enforce(store, GUARD, "updated")

        assert (False, 1, ["check"]) == (done.ok, done.broken, list(done.undone))
        assert before == definitions(url)
        assert [] == [run for run in runs(store) if run.ok]


# -- triggers


def test_kept_current(url: str) -> None:
    """
    A field that is kept current moves with every change, never back, not with a change of nothing, and not beyond the
    skew for ever; our own writes do not move it.
    """
    servers.sql(url, TABLE, FILLED, "ALTER TABLE t ADD doc json, ADD twice bigint GENERATED ALWAYS AS (2 * id) STORED")
    servers.sql(url, "UPDATE t SET updated = '2999-01-01' WHERE id = 2")
    with opened(url) as store, servers.connect(url) as user:
        enforce(store, GUARD, "updated", keep_current=True)

        def updated(number: int) -> datetime:
            return servers.sql(url, f"SELECT updated FROM t WHERE id = {number}")[0][0]  # type: ignore[no-any-return]

        user.execute("UPDATE t SET note = note WHERE id = 1")
        assert datetime(2024, 1, 2, tzinfo=UTC) == updated(1)
        user.execute("UPDATE t SET note = 'x', updated = '2020-01-01' WHERE id = 1")
        assert abs(datetime.now(UTC) - updated(1)) < timedelta(seconds=5)
        user.execute("UPDATE t SET note = 'x' WHERE id = 2")
        assert updated(2) < datetime.now(UTC) + timedelta(seconds=6)
        seen = updated(2)
        user.execute("UPDATE t SET note = 'y' WHERE id = 2")
        assert seen < updated(2)
        user.execute("INSERT INTO t (id) VALUES (1000)")
        assert abs(datetime.now(UTC) - updated(1000)) < timedelta(seconds=5)
        with user.transaction():
            user.execute("SET LOCAL timestamp_guard.bypass = 'on'")
            user.execute("UPDATE t SET updated = '2024-05-05' WHERE id = 3")
            user.execute("UPDATE t SET updated = clock_timestamp() + interval '4 seconds' WHERE id = 4")
        seen = updated(4)
        user.execute("UPDATE t SET note = 'by a clock that is behind' WHERE id = 4")
        assert seen < updated(4)
        assert datetime(2024, 5, 5, tzinfo=UTC) == updated(3)
        user.execute("UPDATE t SET note = 'after' WHERE id = 3")  # the setting is '' now, not null
        assert updated(3).year > 2024


@pytest.mark.parametrize(("declared", "encoding", "ahead"), [
    ("timestamptz", "datetime", "now() + interval '1 hour'"),
    ("timestamp", "datetime@+05:30", "now() AT TIME ZONE 'UTC' + interval '5 hours 31 minutes'"),
    ("bigint", "epoch_s", "extract(epoch FROM now()) + 60"),
    ("numeric", "epoch_ms", "1000 * extract(epoch FROM now()) + 60000"),
    ("float8", "epoch_ms", "1000 * extract(epoch FROM now()) + 60000"),
])  # fmt: skip
def test_numbers_by_the_clock(url: str, declared: str, encoding: str, ahead: str) -> None:
    """
    Gate, clock and currency work in whatever way instants are written.
    """
    servers.sql(url, f"CREATE TABLE t (id bigint PRIMARY KEY, created {declared}, updated {declared}, note text)")
    with opened(url, encodings=encoding) as store, servers.connect(url) as user:
        assert enforce(store, GUARD, repair=REPAIR, keep_gate=True, keep_current=True, hold_now=True).ok

        assert not accepted(user, f"INSERT INTO t VALUES (1, NULL, {ahead})")
        user.execute("INSERT INTO t VALUES (1)")
        (before,) = user.execute("SELECT updated FROM t").fetchone()
        user.execute("UPDATE t SET note = 'x'")
        (after,) = user.execute("SELECT updated FROM t").fetchone()
        assert before < after
        assert check(store, GUARD).ok


def test_no_gate_to_keep(url: str) -> None:
    """
    Where no gate can be made, keeping one is not promised: by a trigger that could not copy a value as it is, or of nothing.
    """
    servers.sql(url, "CREATE TABLE t (id bigint PRIMARY KEY, created timestamp, updated timestamptz)")
    encodings = {"created": "datetime@UTC", "updated": "datetime"}
    with opened(url, encodings=encodings) as store:
        with pytest.raises(
            UsageError, match="t has no gate that could be kept: nothing there could fill updated from created"
        ):
            enforce(store, GUARD, repair=Repair("updated", ("created",)), keep_gate=True)
        with pytest.raises(UsageError, match="name that too, or leave keep_gate out"):
            enforcement(store, GUARD, "updated", keep_gate=True)

        assert enforce(store, GUARD, repair=Repair("updated", ("created",))).ok


# -- locks


def test_readers_do_not_wait(url: str) -> None:
    """
    While a long transaction holds the table, those who come after us wait for less than 200 ms; behind a plain ALTER they
    wait until it ends.
    """
    servers.sql(url, TABLE, FILLED)

    said: list[str] = []

    def ours() -> None:
        with opened(url) as store:
            assert enforce(store, GUARD, "updated", progress=said.append).ok

    def plain() -> None:
        servers.sql(url, "ALTER TABLE t ALTER note SET NOT NULL")

    servers.sql(url, "UPDATE t SET note = ''")
    theirs = longest_read(url, plain)
    mine = longest_read(url, ours)

    assert mine < 0.3  # 0.2, and a machine that is busy
    assert theirs > 1
    assert any("held by" in each and "SELECT 1 FROM t" in each for each in said)


def test_blockers_are_named(url: str) -> None:
    """
    Who cannot be waited for is named, with what to do, and what was done stands.
    """
    servers.sql(url, TABLE, FILLED)
    with opened(url) as store, servers.connect(url) as holder:
        store.enforcing = lambda: PostgresEnforcing(store, Locks(old=0.1, budget=0.6))  # type: ignore[method-assign]
        holder.execute("BEGIN")
        holder.execute("SELECT 1 AS mine FROM t")
        time.sleep(0.15)
        with pytest.raises(StoreLocked) as found:
            enforce(store, GUARD, "updated")

        said = str(found.value)
        assert f"{holder.info.backend_pid} of postgres (idle in transaction" in said
        assert "SELECT 1 AS mine FROM t" in said
        assert "pg_terminate_backend" in said
        holder.execute("COMMIT")
        assert enforce(store, GUARD, "updated").ok


def test_no_try_behind_an_old_one(url: str) -> None:
    """
    Nobody is waited for who holds the table for long already: so nobody queues behind us.
    """
    servers.sql(url, TABLE)
    tries: list[float] = []
    with opened(url) as store, servers.connect(url) as holder:
        holder.execute("BEGIN")
        holder.execute("SELECT 1 FROM t")
        time.sleep(0.15)
        with pytest.raises(StoreLocked):
            lock = TableLock(store.server, [store.table.oid], "ACCESS EXCLUSIVE")
            Locks(old=0.1, budget=0.5).take(lock, tries.append, lambda _: None)

    assert [] == tries


def test_who_waits_is_in_the_way(url: str) -> None:
    """
    One that only waits for a lock keeps us waiting as well: it is named, with whom it waits for.
    """
    servers.sql(url, TABLE)
    with opened(url) as store, servers.connect(url) as holder, servers.connect(url) as waiter:
        holder.execute("BEGIN")
        holder.execute("SELECT 1 FROM t")
        other = threading.Thread(target=lambda: waiter.execute("LOCK TABLE t"))
        waiter.execute("BEGIN")
        other.start()
        time.sleep(0.3)
        found = blockers(store.server, [store.table.oid], "ACCESS EXCLUSIVE")
        holder.execute("COMMIT")
        other.join()
        waiter.execute("ROLLBACK")

        assert {holder.info.backend_pid, waiter.info.backend_pid} == {each.pid for each in found}
        assert f"waiting for {holder.info.backend_pid}" in "; ".join(map(str, found))


def test_no_try_without_timeout(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Each try has a timeout, at most twice as long as the longest before, and the rest after it is longer.
    """
    tries: list[float] = []
    rests: list[float] = []
    servers.sql(url, TABLE)

    def act(timeout: float) -> None:
        tries.append(timeout)
        if len(tries) < 12:
            raise StoreLocked("held")

    monkeypatch.setattr(time, "sleep", rests.append)
    with opened(url) as store:
        lock = TableLock(store.server, [store.table.oid], "ACCESS EXCLUSIVE")
        Locks(budget=1e6).take(lock, act, lambda _: None)

    assert all(0.1 <= each <= min(5, 0.1 * 2**number) for number, each in enumerate(tries))
    assert all(rest > each for rest, each in zip(rests, tries, strict=False))


def test_what_takes_long_is_ended(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A stage that should look at no row, and does, is ended before others have waited for long.
    """
    servers.sql(url, TABLE)
    monkeypatch.setattr(enforcing, "SLACK", 0.2)
    stage = Stage("slow", ("LOCK TABLE t", "SELECT pg_sleep(20)"), "ACCESS EXCLUSIVE", 0.0, "", (), in_place=False)
    with opened(url) as store:
        run = store.ledger.begin(Run(None, "enforce", "t", "{}", 0, "incomplete"))
        began = time.monotonic()
        with pytest.raises(StoreLocked, match="was not to be had"):
            PostgresEnforcing(store, Locks(budget=0.5)).apply(stage, run, lambda _: None)

    assert time.monotonic() - began < 10


PARTED = (
    "CREATE TABLE t (id bigint, created timestamptz, updated timestamptz, note text, PRIMARY KEY (id)) PARTITION BY RANGE (id)",
    "CREATE TABLE low PARTITION OF t FOR VALUES FROM (MINVALUE) TO (50)",
    "CREATE TABLE high PARTITION OF t FOR VALUES FROM (50) TO (MAXVALUE)",
)


@pytest.mark.parametrize("made", [(TABLE,), PARTED], ids=["whole", "parted"])
def test_rows_are_read_beside_readers(url: str, made: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """
    No transaction that looks at rows has the lock that keeps readers away: neither of the whole nor of a part.
    """
    servers.sql(url, *made, FILLED)
    seen: list[tuple[bool, int]] = []
    mine = "relname NOT LIKE 'timestamp_guard%'"
    read = f"SELECT coalesce(sum(seq_tup_read), 0)::int FROM pg_stat_xact_user_tables WHERE {mine}"
    held = (
        "SELECT EXISTS (SELECT 1 FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE l.pid = pg_backend_pid() "
        f"AND l.mode = 'AccessExclusiveLock' AND c.relkind IN ('r', 'p') AND {mine})"
    )

    def finish(server: Server, statements: Sequence[str]) -> None:
        def ask(question: str) -> Any:
            return server._connection.execute(question).fetchall()[0][0]

        before = ask(read)
        for statement in statements:
            server._connection.execute(statement)
        seen.append((ask(held), ask(read) - before))
        server._connection.execute("COMMIT")

    monkeypatch.setattr(Server, "finish", finish)
    with opened(url) as store:
        assert enforce(store, GUARD, "updated").ok

    assert 100 == sum(rows for _, rows in seen)
    assert [] == [rows for heavy, rows in seen if heavy and rows]
    assert any(heavy for heavy, _ in seen)


def test_proved_for_good(url: str) -> None:
    """
    A reader who stays is not in the way of the proof, and what is proved stays so, though the last lock is not to be had.
    """
    servers.sql(url, TABLE, FILLED)

    def hook(name: str) -> None:
        if name == "enforce: stage made" and not reader.info.transaction_status:
            reader.execute("BEGIN")
            reader.execute("SELECT 1 FROM t")

    with opened(url) as store, servers.connect(url) as reader:
        store.enforcing = lambda: PostgresEnforcing(store, Locks(old=0.1, budget=0.6))  # type: ignore[method-assign]
        with hooked(hook):
            with contextlib.suppress(StoreLocked):
                enforce(store, GUARD, "updated")

        assert {(True,)} == {
            *servers.sql(url, "SELECT convalidated FROM pg_constraint WHERE conname LIKE 'timestamp_guard%'")
        }
        reader.execute("COMMIT")
        assert enforce(store, GUARD, "updated").ok


def test_pooled(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Whoever gets another backend for every transaction is enforced all the same.
    """
    servers.sql(url, TABLE, FILLED, "UPDATE t SET updated = NULL WHERE id < 4")
    before = definitions(url)
    there = Server._there

    def pooled(server: Server) -> Any:
        if not server._inside:
            server._connection.close()
        return there(server)

    monkeypatch.setattr(Server, "_there", pooled)
    with opened(url) as store:
        assert not enforce(store, GUARD, repair=REPAIR, keep_current=True).ok
        assert backfill(store, GUARD, REPAIR).ok
        assert enforce(store, GUARD, repair=REPAIR, keep_current=True).ok
        assert verify(store, GUARD, "updated", probe=True).ok
        assert 3 == rollback(store).counts.changed

    assert before == definitions(url)


def test_proof_lets_writers_write(url: str) -> None:
    """
    Reads and writes go on while the old rows are read.
    """
    servers.sql(url, TABLE, FILLED, "UPDATE t SET updated = NULL WHERE id = 1")
    with opened(url) as store, servers.connect(url) as prover, servers.connect(url) as user:
        enforce(store, GUARD, repair=REPAIR)
        servers.sql(url, "UPDATE t SET updated = created")
        (proof,) = [stage for stage in enforcement(store, GUARD, repair=REPAIR) if stage.proves]
        prover.execute("BEGIN")
        for statement in proof.statements:
            prover.execute(statement)
        user.execute("SET lock_timeout = '200ms'")
        user.execute("INSERT INTO t VALUES (1000, '2024-01-01', '2024-01-02')")
        user.execute("UPDATE t SET note = 'x' WHERE id = 5")
        prover.execute("ROLLBACK")


def test_proof_is_used(url: str) -> None:
    """
    NOT NULL looks at no row: the valid check proves it, or it was proved beside it.
    """
    servers.sql(url, TABLE, FILLED)
    with opened(url) as store:
        stages = enforcement(store, GUARD, "updated")
        last = [stage for stage in stages if stage.name.startswith("not null")]
        if not last:
            assert any("NOT NULL" in each and "NOT VALID" in each for each in stages[0].statements)
            return
        with servers.connect(url) as user:
            told: list[str] = []
            user.add_notice_handler(lambda notice: told.append(notice.message_primary or ""))
            for stage in stages[:-1]:
                user.execute(stage.statements[0])
            user.execute("SET client_min_messages = debug1")
            user.execute(last[0].statements[0])

        assert any("are sufficient to prove" in each for each in told)
