"""
PostgreSQL: a check against one hand-written SELECT, a backfill against one UPDATE, alone and beside a writer.

Every contender begins with a fresh copy of the same table, analyzed and in memory; keys are random text, a third of the
rows lacks the value. `TIMESTAMP_GUARD_TEST_POSTGRESQL_URL` names a server; else the one of the tests is started, which does
not wait for its disk (fsync off), for all contenders alike.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import random
import statistics
import sys
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from _measure import Goal, rounds, show, write_json

from timestamp_guard import Repair, backfill, check, rollback, updated_at_guard
from timestamp_guard.stores.sql.postgresql.store import PostgresStore

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests import servers

GUARD = updated_at_guard("updated_at", "created_at")
REPAIR = Repair("updated_at", ("created_at",))
OVER = Repair("updated_at", ("created_at",), ("too_early",))
LOW = "'2000-01-01 00:00:00+00'::timestamptz"
SOUND = f"created_at >= {LOW} AND created_at < now() + interval '5 s'"


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--version", type=int, default=15)
    parser.add_argument("--writes", type=int, default=200, help="a second, in the part under load")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with servers.database(servers.postgresql(given.version)) as url:
        Bench(url, given.rows).run(given.rounds, given.writes, given.json)


class Bench:
    """One table, and all that is done with it."""

    def __init__(self, url: str, rows: int) -> None:
        self.url, self.rows = url, rows
        self.holds: dict[str, list[float]] = {}
        self.found: dict[str, Any] = {}
        servers.sql(
            url,
            "CREATE TABLE made (id text, name text, slug text, created_at timestamptz, updated_at timestamptz, "
            "active boolean, price double precision, body text)",
            "SELECT setseed(0.5)",
            f"""INSERT INTO made SELECT md5(i::text), 'name ' || i, 'slug-' || i, at, CASE WHEN r < 0.3 THEN NULL
                ELSE at + r * interval '1 h' END, true, i / 7.0, repeat('x', 40)
                FROM (SELECT i, random() AS r, '2024-01-01'::timestamptz + i * interval '1 s' AS at
                      FROM generate_series(1, {rows}) i OFFSET 0) drawn""",
        )

    def run(self, n: int, writes: int, json: Path | None) -> None:
        """Measure, and print the table."""
        contenders: dict[str, Callable[[], object]] = {
            "one SELECT": self.select,
            "check": self.check,
            "one UPDATE": lambda: self.update("updated_at IS NULL"),
            "backfill": lambda: self.backfill("backfill", REPAIR),
            "backfill by two": self.by_two,
            "one UPDATE over values": lambda: self.update(f"updated_at < {LOW}"),
            "backfill over values": lambda: self.backfill("backfill over values", OVER),
            "rollback": self.rollback,
        }
        times = rounds(contenders, n, before=self.before)
        goals = [
            Goal("check", "one SELECT", 1.2),
            Goal("backfill", "one UPDATE", 1.25),
            Goal("backfill by two", "one UPDATE", 1.25),
            Goal("backfill over values", "one UPDATE over values", 2.1),
            Goal("rollback", "backfill", 1.2),
        ]
        print(f"{self.rows:,} rows, {n} rounds")
        print(show(times, goals))
        for name, holds in self.holds.items():
            print(f"{name}: transaction ms {spread(holds)}, goal p99 <= 50")
        self.before("backfill")
        statement = "UPDATE services SET updated_at = clock_timestamp() WHERE id = %s"
        late = beside(self.url, writes, lambda: self.backfill("", REPAIR), statement)
        print(f"a writer of {writes}/s beside a backfill: ms {late}, goal p99 <= 20")
        if json is not None:
            spreads = {name: spread(each) for name, each in self.holds.items()}
            write_json(json, times, goals, rows=self.rows, holds=spreads, writer=late)

    def before(self, name: str) -> None:
        """A fresh table; filled, where it is to be rolled back."""
        old = "updated_at" if "over" not in name else "coalesce(updated_at, '1990-01-01 00:00:00+00')"
        servers.sql(
            self.url,
            "DROP TABLE IF EXISTS services, timestamp_guard_runs, timestamp_guard_batches, timestamp_guard_quarantine CASCADE",
            f"CREATE TABLE services AS SELECT id, name, slug, created_at, {old} AS updated_at, active, price, body FROM made",
            "ALTER TABLE services ADD PRIMARY KEY (id)",
            "VACUUM ANALYZE services",
            "CHECKPOINT",
        )
        if name == "rollback":
            self.backfill("", REPAIR)
            # Dead versions of the rows make every update slower, also a plain one; the server takes them away by itself.
            servers.sql(self.url, "VACUUM ANALYZE services", "CHECKPOINT")

    def select(self) -> None:
        """What one would write by hand to have the same counts."""
        high = "now() + interval '5 s'"
        sound = (
            f"updated_at >= {LOW} AND updated_at < {high} AND created_at >= {LOW} AND created_at < {high} "
            f"AND created_at <= updated_at"
        )
        counts = ", ".join(
            f"count(*) FILTER (WHERE NOT coalesce({sound}, false) AND {said})"
            for said in (
                "updated_at IS NULL",
                "updated_at IN ('0001-01-01', '1970-01-01')",
                f"updated_at < {LOW}",
                f"updated_at >= {high}",
                f"created_at < {LOW}",
                f"created_at >= {high}",
                "created_at > updated_at",
            )
        )
        self.found["one SELECT"] = servers.sql(self.url, f"SELECT count(*), {counts} FROM services")[0][:2]

    def check(self) -> None:
        """Ours."""
        with PostgresStore(self.url, "services", encodings="datetime", read_only=True) as store:
            report = check(store, GUARD)
        self.found["check"] = (report.records, report.violations["null"])
        assert self.found.get("one SELECT", self.found["check"]) == self.found["check"]

    def update(self, where: str) -> None:
        """One statement."""
        servers.sql(self.url, f"UPDATE services SET updated_at = created_at WHERE {where} AND {SOUND}")

    def backfill(self, name: str, repair: Repair) -> None:
        """Ours: with ledger, checkpoints and the final survey."""
        held: list[float] = []
        with PostgresStore(self.url, "services", encodings="datetime") as store:
            run = backfill(store, GUARD, repair, progress=lambda step: held.append(step.held_ns / 1e6))
        assert run.ok, run
        if name:
            self.holds.setdefault(name, []).extend(each for each in held if each)

    def by_two(self) -> None:
        """Two processes that share one run."""
        context = multiprocessing.get_context("fork")
        both = [context.Process(target=shared, args=(self.url,)) for _ in range(2)]
        for each in both:
            each.start()
        for each in both:
            each.join()
        assert [each.exitcode for each in both] == [0, 0]

    def rollback(self) -> None:
        """Ours, of the backfill that *before* made."""
        held: list[float] = []
        with PostgresStore(self.url, "services", encodings="datetime") as store:
            run = rollback(store, progress=lambda step: held.append(step.held_ns / 1e6))
        assert run.ok
        self.holds.setdefault("rollback", []).extend(each for each in held if each)


def shared(url: str) -> None:
    """Begin a run, or join it, and stay until it is over."""
    with PostgresStore(url, "services", encodings="datetime") as store:
        assert backfill(store, GUARD, REPAIR, shared=True).ok


def beside(url: str, writes: int, work: Callable[[], object], statement: str) -> str:
    """How late a writer is that asks at fixed times, while *work* is done."""
    ids = [key for (key,) in servers.sql(url, "SELECT id FROM services LIMIT 100000")]
    stop: Event = multiprocessing.Event()
    results: Any = multiprocessing.SimpleQueue()
    writer = multiprocessing.Process(target=at_times, args=(url, ids, statement, writes, stop, results))
    writer.start()
    time.sleep(0.5)
    work()
    stop.set()
    late = results.get()
    writer.join()
    return spread(late)


def at_times(url: str, ids: list[str], statement: str, rate: int, stop: Event, results: Any) -> None:
    """Write at fixed times, whether the last write is done or not, and tell how late each was, in milliseconds."""
    draw, late = random.Random(1), []
    with contextlib.closing(servers.connect(url)) as user, contextlib.closing(user.cursor()) as cursor:
        due = time.perf_counter()
        while not stop.is_set():
            due += 1 / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            cursor.execute(statement, (draw.choice(ids),))
            late.append((time.perf_counter() - due) * 1000)
    results.put(late)


def spread(holds: list[float]) -> str:
    """Median, 99th percentile and maximum."""
    ordered = sorted(holds)
    return f"p50 {statistics.median(ordered):.1f}, p99 {ordered[int(len(ordered) * 0.99)]:.1f}, max {ordered[-1]:.1f}"


if __name__ == "__main__":
    main()
