"""
enforce on PostgreSQL: for how long the heaviest lock is held against a plain SET NOT NULL, how long a reader waits behind
either while a long transaction is open, and what the enforced state costs those who write.

Every contender works on the same table, analyzed and in memory. `TIMESTAMP_GUARD_TEST_POSTGRESQL_URL` names a server;
else the one of the tests is started, which does not wait for its disk (fsync off), for all contenders alike.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from _measure import Goal, rounds, show, write_json

from timestamp_guard import NOW, Repair, enforce, unenforce, updated_at_guard
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
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with servers.database(servers.postgresql(given.version)) as url:
        Bench(url, given.rows, given.writes).run(given.rounds, given.json)


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

    def __init__(self, url: str, rows: int, writes: int) -> None:
        self.url, self.rows, self.writes = url, rows, writes
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
        costs, dear = self.costs(n)
        print(f"{self.writes:,} rows written at once")
        print(show(costs, dear))
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

    def costs(self, n: int) -> tuple[Any, list[Goal]]:
        """What writes cost in each state, against a table without it."""
        tables = {"plain": "plain", **{name: f"state{number}" for number, name in enumerate(STATES)}}
        for name, table in tables.items():
            servers.sql(
                self.url,
                f"CREATE TABLE {table} (LIKE services)",
                f"ALTER TABLE {table} ADD PRIMARY KEY (id), ALTER updated_at DROP NOT NULL, SET (autovacuum_enabled = off)",
            )
            if name != "plain":
                with PostgresStore(self.url, table, encodings="datetime") as store:
                    assert enforce(store, GUARD, repair=REPAIR, **STATES[name]).ok
        every: dict[str, Callable[[], object]] = {}
        for name, table in tables.items():
            rows = f"SELECT * FROM services WHERE id <= {self.writes}"
            every[f"insert, {name}"] = functools.partial(servers.sql, self.url, f"INSERT INTO {table} {rows}")
            every[f"update, {name}"] = functools.partial(servers.sql, self.url, f"UPDATE {table} SET name = body")

        def before(name: str) -> None:
            table = tables[name.partition(", ")[2]]
            servers.sql(self.url, f"TRUNCATE {table}")
            if name.startswith("update"):
                servers.sql(
                    self.url, f"INSERT INTO {table} SELECT * FROM services WHERE id <= {self.writes}", f"VACUUM {table}"
                )

        goals = [Goal(f"{what}, {name}", f"{what}, plain") for what in ("insert", "update") for name in STATES]
        return rounds(every, n, before=before), goals


if __name__ == "__main__":
    main()
