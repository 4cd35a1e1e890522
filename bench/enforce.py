"""
enforce on PostgreSQL: for how long the heaviest lock is held against a plain SET NOT NULL, and how long a reader waits
behind either while a long transaction is open. On PostgreSQL, MariaDB and SQLite: what the enforced state costs those who
write, with each trigger that can be asked for, against the same table without.

Every contender works on the same table, analyzed and in memory. `TIMESTAMP_GUARD_TEST_POSTGRESQL_URL` and
`TIMESTAMP_GUARD_TEST_MARIADB_URL` name servers; else those of the tests are started, which do not wait for their disks,
for all contenders alike.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from _measure import Goal, Times, rounds, show, write_json
from attrs import frozen

from timestamp_guard import NOW, Repair, enforce, open_store, unenforce, updated_at_guard
from timestamp_guard.stores.base import Tell
from timestamp_guard.stores.sql.postgresql.enforcing import PostgresEnforcing
from timestamp_guard.stores.sql.postgresql.locks import ACCESS_EXCLUSIVE, TableLock
from timestamp_guard.stores.sql.postgresql.store import PostgresStore
from timestamp_guard.stores.sql.served.locks import Lock, Locks

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests import servers

GUARD = updated_at_guard("updated_at", "created_at")
REPAIR = Repair("updated_at", ("created_at", NOW))
STATES: dict[str, dict[str, Any]] = {
    "constraint": {},
    "constraint, gate": {"keep_gate": True},
    "constraint, clock": {"hold_now": True},
    "constraint, current": {"keep_current": True},
}


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--writes", type=int, default=100_000, help="rows that are inserted, and updated, at once")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--version", type=int, default=15)
    parser.add_argument(
        "--on", nargs="*", choices=PLACES, default=[*PLACES], help="where; the locks on PostgreSQL only"
    )
    parser.add_argument("--json", type=Path, help="for locks; what writes cost is in files beside it")
    given = parser.parse_args()
    if "postgresql" in given.on:
        with servers.database(servers.postgresql(given.version)) as url:
            Bench(url, given.rows).run(given.rounds, given.json)
    for name in given.on:
        with place(name, given.version) as at:
            times, goals = costs(at, given.writes, given.rounds)
        print(f"{name}: {given.writes:,} rows written at once")
        print(show(times, goals))
        if given.json is not None:
            write_json(given.json.with_stem(f"{given.json.stem}-{name}"), times, goals, rows=given.writes)


class Timed(Locks):
    """The policy, with a note of how long each lock was held: from when it is asked for until after the commit."""

    held: list[tuple[str, float]] = []  # noqa: RUF012 - of the bench, not of one object

    def take(self, lock: Lock, act: Callable[[float], None], tell: Tell) -> None:
        """Take it, and time it."""
        assert isinstance(lock, TableLock)
        server, finish = lock.server, lock.server.finish

        def timed(statements: Sequence[str]) -> None:
            began = time.perf_counter()
            finish(statements)
            Timed.held.append((lock.name, time.perf_counter() - began))

        server.finish = timed  # type: ignore[method-assign]
        try:
            super().take(lock, act, tell)
        finally:
            server.finish = finish  # type: ignore[method-assign]


class Bench:
    """One table, and all that is done with it."""

    def __init__(self, url: str, rows: int) -> None:
        self.url, self.rows = url, rows
        self.heaviest: list[float] = []
        servers.sql(
            url,
            "CREATE TABLE services (id bigint PRIMARY KEY, name text, created_at timestamptz, updated_at timestamptz, body text)",
            f"""INSERT INTO services SELECT i, 'name ' || i, at, at + interval '1 h', repeat('x', 40)
                FROM (SELECT i, '2024-01-01'::timestamptz + i * interval '1 s' AS at FROM generate_series(1, {rows}) i) made""",
            "VACUUM ANALYZE services",
            "CHECKPOINT",
        )

    def run(self, n: int, json: Path | None) -> None:
        """Measure, and print the tables."""
        times = rounds({"SET NOT NULL": self.plainly, "enforce": self.enforce}, n, before=self.before)
        goals = [Goal("enforce", "SET NOT NULL")]
        ours = statistics.median(self.heaviest[-n:]) * 1000
        theirs = times.median("SET NOT NULL") * 1000
        print(f"{self.rows:,} rows, {n} rounds")
        print(show(times, goals))
        met = "pass" if ours <= 5 else "MISS"
        print(
            f"under ACCESS EXCLUSIVE: {ours:.1f} ms in all (goal <= 5.0: {met}), SET NOT NULL {theirs:.1f} ms: 1/{theirs / ours:.0f}"
        )
        waits = {name: self.longest(act) for name, act in (("ours", self.enforce), ("a plain ALTER", self.plainly))}
        print(
            "a reader's longest wait beside a transaction of 1 s: "
            + ", ".join(f"{k} {v:.0f} ms" for k, v in waits.items())
        )
        if json is not None:
            write_json(json, times, goals, rows=self.rows, heaviest_ms=ours, waits_ms=waits)

    def before(self, _: str) -> None:
        """A table that nothing is enforced of."""
        with PostgresStore(self.url, "services", encodings="datetime") as store:
            unenforce(store)
        servers.sql(self.url, "ALTER TABLE services ALTER updated_at DROP NOT NULL")

    def plainly(self) -> None:
        """What one would write by hand."""
        servers.sql(self.url, "ALTER TABLE services ALTER updated_at SET NOT NULL")

    def enforce(self, **how: Any) -> None:
        """Ours: with the survey before it, the ledger, a gate that comes and goes, and the order of two columns."""
        Timed.held.clear()
        with PostgresStore(self.url, "services", encodings="datetime") as store:
            store.enforcing = lambda: PostgresEnforcing(store, Timed())  # type: ignore[method-assign]
            assert enforce(store, GUARD, repair=REPAIR, **how).ok
        self.heaviest.append(sum(held for mode, held in Timed.held if mode == ACCESS_EXCLUSIVE))

    def longest(self, act: Callable[[], None]) -> float:
        """The longest wait of a reader, in ms, while *act* would have the table and a long transaction has it."""
        self.before("")
        waited, over = [0.0], threading.Event()

        def read() -> None:
            with servers.connect(self.url) as reader:
                while not over.is_set():
                    began = time.perf_counter()
                    reader.execute("SELECT 1 FROM services LIMIT 1")
                    waited.append(time.perf_counter() - began)
                    time.sleep(0.005)

        with servers.connect(self.url) as holder:
            holder.execute("BEGIN")
            holder.execute("SELECT 1 FROM services LIMIT 1")
            reader, actor = threading.Thread(target=read), threading.Thread(target=act)
            reader.start()
            actor.start()
            time.sleep(1)
            holder.execute("COMMIT")
            actor.join()
            over.set()
            reader.join()
        return max(waited) * 1000


@frozen
class Place:
    """
    A database in which writes are measured: how its tables are made, filled with so many rows and emptied, and how an
    instant is written.
    """

    url: str
    encoding: str
    columns: str
    rows: str
    empty: str
    states: Sequence[str]

    def sql(self, *statements: str) -> None:
        """What a user does, each statement by itself."""
        if not self.url.startswith("sqlite"):
            servers.sql(self.url, *statements)
            return
        with contextlib.closing(sqlite3.connect(self.url[10:], isolation_level=None)) as file:
            for statement in statements:
                file.execute(statement)


def _postgresql(url: str) -> Place:
    return Place(
        url, "datetime", "created_at timestamptz, updated_at timestamptz",
        "SELECT i, 'name', at, at + interval '1 h', repeat('x', 40) "
        "FROM (SELECT i, '2024-01-01'::timestamptz + i * interval '1 s' AS at FROM generate_series(1, {rows}) i) made",
        "TRUNCATE {table}", [*STATES],
    )  # fmt: skip


def _mariadb(url: str) -> Place:
    return Place(
        url, "datetime@UTC", "created_at datetime(6), updated_at datetime(6)",
        "SELECT seq, 'name', '2024-01-01' + INTERVAL seq SECOND, '2024-01-01' + INTERVAL seq + 3600 SECOND, repeat('x', 40) "
        "FROM seq_1_to_{rows}",
        "TRUNCATE {table}", [*STATES],
    )  # fmt: skip


def _sqlite(url: str) -> Place:
    return Place(
        url, "epoch_ms", "created_at integer, updated_at integer",
        "WITH RECURSIVE made (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM made WHERE i < {rows}) "
        "SELECT i, 'name', 1704067200000 + i, 1704070800000 + i, printf('%.40c', 'x') FROM made",
        "DELETE FROM {table}", [name for name in STATES if "gate" not in name],
    )  # fmt: skip


PLACES: dict[str, Callable[[str], Place]] = {"postgresql": _postgresql, "mariadb": _mariadb, "sqlite": _sqlite}


@contextlib.contextmanager
def place(name: str, version: int) -> Iterator[Place]:
    """An empty database of that kind."""
    if name == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            sqlite3.connect(f"{folder}/app.db").close()
            yield PLACES[name](f"sqlite:///{folder}/app.db")
        return
    with servers.database(servers.mariadb() if name == "mariadb" else servers.postgresql(version)) as url:
        yield PLACES[name](url)


def costs(at: Place, writes: int, n: int) -> tuple[Times, list[Goal]]:
    """What writes cost in each state, against a table without it."""
    tables = {"plain": "plain", **{name: f"state{number}" for number, name in enumerate(at.states)}}
    columns = f"id integer PRIMARY KEY, name varchar(100), {at.columns}, body varchar(100)"
    at.sql(f"CREATE TABLE source ({columns})", f"INSERT INTO source {at.rows.format(rows=writes)}")
    for name, table in tables.items():
        at.sql(f"CREATE TABLE {table} ({columns})")
        if at.url.startswith("postgresql"):
            at.sql(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
        if name != "plain":
            with open_store(at.url, table, encodings=at.encoding) as store:
                assert enforce(store, GUARD, "updated_at", repair=REPAIR, **STATES[name]).ok
    every: dict[str, Callable[[], object]] = {}
    for name, table in tables.items():
        every[f"insert, {name}"] = functools.partial(at.sql, f"INSERT INTO {table} SELECT * FROM source")
        every[f"update, {name}"] = functools.partial(at.sql, f"UPDATE {table} SET name = body")

    def before(name: str) -> None:
        table = tables[name.partition(", ")[2]]
        at.sql(at.empty.format(table=table))
        if name.startswith("update"):
            at.sql(f"INSERT INTO {table} SELECT * FROM source")
            if at.url.startswith("postgresql"):
                at.sql(f"VACUUM {table}")

    goals = [Goal(f"{what}, {name}", f"{what}, plain") for what in ("insert", "update") for name in at.states]
    return rounds(every, n, before=before), goals


if __name__ == "__main__":
    main()
