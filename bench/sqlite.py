"""
SQLite: a check against one hand-written SELECT, a backfill against one UPDATE, a rollback against its backfill.

Every contender begins with a fresh copy of the same file, whose pages are in memory, and ends with its write-ahead log
copied back. A third of the rows lacks the value.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from _measure import Goal, rounds, show, write_json

from timestamp_guard import Guard, Repair, backfill, check, present, rollback, updated_at_guard
from timestamp_guard.stores.sql.sqlite import SqliteStore

LOW = 946_684_800_000
GUARD = updated_at_guard("updatedAt", "createdAt")
REPAIR = Repair("updatedAt", ("createdAt",))


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--key", choices=["text", "integer"], default="text")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the files go; a temporary folder by default")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        Bench(Path(folder), given.rows, given.key).run(given.rounds, given.json)


class Bench:
    """One table, and all that is done with it."""

    def __init__(self, folder: Path, rows: int, key: str) -> None:
        self.made, self.path = folder / "made.db", folder / "used.db"
        self.rows, self.key = rows, key
        self.holds: dict[str, list[float]] = {}
        self.found: dict[str, Any] = {}
        make(self.made, rows, key)

    def run(self, n: int, json: Path | None) -> None:
        """Measure, and print the table."""
        plain = present("updatedAt")
        contenders: dict[str, Callable[[], object]] = {
            "one SELECT": self.select,
            "check": self.check,
            "IS NULL UPDATE": lambda: self.update("updatedAt IS NULL"),
            "guarded UPDATE": self.guarded,
            "backfill": lambda: self.backfill("backfill", GUARD),
            "backfill, present alone": lambda: self.backfill("backfill, present alone", plain),
            "rollback": self.rollback,
        }
        times = rounds(contenders, n, before=self.before)
        goals = [
            Goal("check", "one SELECT", 1.2),
            Goal("backfill", "guarded UPDATE", 1.15),
            Goal("backfill", "IS NULL UPDATE", 1.4),
            Goal("backfill, present alone", "IS NULL UPDATE", 1.15),
            Goal("rollback", "backfill", 1.2),
        ]
        print(f"{self.rows:,} rows, {self.key} key, {n} rounds")
        print(show(times, goals))
        for name, holds in self.holds.items():
            print(f"{name}: hold ms {spread(holds)}, goal p99 <= 15, max <= 30")
        if json is not None:
            write_json(
                json, times, goals, rows=self.rows, key=self.key, holds={k: spread(v) for k, v in self.holds.items()}
            )

    def before(self, name: str) -> None:
        """A fresh file, read once; filled, where it is to be rolled back."""
        for part in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + part).unlink(missing_ok=True)
        shutil.copyfile(self.made, self.path)
        with sqlite3.connect(self.path) as database:
            database.execute("SELECT sum(length(body)) FROM services").fetchall()
        database.close()
        if name == "rollback":
            self.backfill("", GUARD)

    def select(self) -> None:
        """What one would write by hand to have the same counts: the gate first, as we do."""
        database = sqlite3.connect(self.path)
        high = time.time_ns() // 10**6 + 5000

        def holds(column: str) -> str:
            return f"typeof({column}) IN ('integer', 'real') AND {column} NOT IN (0, -1)"

        sound = f"updatedAt BETWEEN {LOW} AND {high} AND createdAt BETWEEN {LOW} AND {high} AND createdAt <= updatedAt"
        counts = ", ".join(
            f"sum({said})"
            for said in (
                "updatedAt IS NULL",
                "typeof(updatedAt) IN ('text', 'blob')",
                "updatedAt IN (0, -1)",
                f"{holds('updatedAt')} AND updatedAt < {LOW}",
                f"{holds('updatedAt')} AND updatedAt > {high}",
                f"{holds('createdAt')} AND createdAt < {LOW}",
                f"{holds('createdAt')} AND createdAt > {high}",
                f"{holds('updatedAt')} AND {holds('createdAt')} AND createdAt > updatedAt",
            )
        )
        self.found["one SELECT"] = (
            database.execute("SELECT count(*) FROM services").fetchone()[0],
            database.execute(f"SELECT {counts} FROM services WHERE NOT ifnull({sound}, 0)").fetchone()[0],
        )
        database.close()

    def check(self) -> None:
        """Ours."""
        with SqliteStore(f"sqlite:///{self.path}", "services", encodings="epoch_ms", read_only=True) as store:
            report = check(store, GUARD)
        self.found["check"] = (report.records, report.violations["null"])
        assert self.found.get("one SELECT", self.found["check"]) == self.found["check"]

    def update(self, where: str, value: str = "createdAt") -> None:
        """One statement, and what it left in the log."""
        database = sqlite3.connect(self.path, isolation_level=None)
        database.execute(f"UPDATE services SET updatedAt = {value} WHERE {where}")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()

    def guarded(self) -> None:
        """One statement that judges what it writes, as a backfill does."""
        high = time.time_ns() // 10**6 + 5000
        holds = f"(createdAt BETWEEN {LOW} AND {high})"
        self.update(f"(updatedAt IS NULL OR updatedAt IN (0, -1)) AND {holds}", f"CASE WHEN {holds} THEN createdAt END")

    def backfill(self, name: str, guard: Guard) -> None:
        """Ours: with ledger, checkpoints and the final survey."""
        held: list[float] = []
        with SqliteStore(f"sqlite:///{self.path}", "services", encodings="epoch_ms") as store:
            run = backfill(store, guard, REPAIR, progress=lambda step: held.append(step.held_ns / 1e6))
            store.database.run("PRAGMA wal_checkpoint(TRUNCATE)")
        assert run.ok
        if name:
            self.holds.setdefault(name, []).extend(each for each in held if each)

    def rollback(self) -> None:
        """Ours, of the backfill that *before* made."""
        held: list[float] = []
        with SqliteStore(f"sqlite:///{self.path}", "services", encodings="epoch_ms") as store:
            run = rollback(store, progress=lambda step: held.append(step.held_ns / 1e6))
            store.database.run("PRAGMA wal_checkpoint(TRUNCATE)")
        assert run.ok
        self.holds.setdefault("rollback", []).extend(each for each in held if each)


def spread(holds: Sequence[float]) -> str:
    """Median, 99th percentile and maximum."""
    ordered = sorted(holds)
    last = ordered[int(len(ordered) * 0.99)]
    return f"p50 {statistics.median(ordered):.1f}, p99 {last:.1f}, max {ordered[-1]:.1f}"


def make(path: Path, rows: int, key: str) -> None:
    """The table: eight columns, a third of them without the value."""
    draw = random.Random(1)
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode = WAL")
    kind = "TEXT PRIMARY KEY NOT NULL" if key == "text" else "INTEGER PRIMARY KEY"
    database.execute(
        f"CREATE TABLE services (_id {kind}, name TEXT, slug TEXT, createdAt INTEGER, updatedAt INTEGER, "
        f"active INTEGER, price REAL, body TEXT)"
    )

    def values() -> Any:
        for index in range(rows):
            created = 1_700_000_000_000 + index * 10
            updated = None if draw.random() < 0.3 else created + draw.randrange(10**6)
            identity: Any = index + 1
            if key == "text":
                identity = hashlib.md5(str(index).encode(), usedforsecurity=False).hexdigest()
            yield identity, f"name {index}", f"slug-{index}", created, updated, 1, index / 7, "x" * 40

    database.executemany("INSERT INTO services VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values())
    database.commit()
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()


if __name__ == "__main__":
    main()
