"""
MariaDB: a backfill against one UPDATE, and its rollback against the backfill, alone and beside a writer.

Every contender begins with a fresh copy of the same table, in memory; keys are random text, a third of the rows lacks the
value. `TIMESTAMP_GUARD_TEST_MARIADB_URL` names a server; else the one of the tests is started, with half a gigabyte for
its pages.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from _measure import Goal, rounds, show, write_json
from postgresql import beside, spread

from timestamp_guard import Repair, backfill, check, rollback, updated_at_guard
from timestamp_guard.stores.sql.mysql.store import MysqlStore

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests import servers

GUARD = updated_at_guard("updated_at", "created_at")
REPAIR = Repair("updated_at", ("created_at",))
PAGES = 100  # so few that are not written out yet make no difference
LOW, HIGH = "'2000-01-01'", "now(6) + interval 5 second"


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--writes", type=int, default=200, help="a second, in the part under load")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with servers.database(servers.mariadb()) as url:
        servers.sql(url, "SET GLOBAL innodb_buffer_pool_size = 512 * 1024 * 1024")
        Bench(url, given.rows).run(given.rounds, given.writes, given.json)


class Bench:
    """One table, and all that is done with it."""

    def __init__(self, url: str, rows: int) -> None:
        self.url, self.rows = url, rows
        self.holds: dict[str, list[float]] = {}
        servers.sql(
            url,
            "CREATE TABLE made (id char(32) PRIMARY KEY, name varchar(100), slug varchar(100), created_at datetime(6), "
            "updated_at datetime(6), active bool, price double, body text)",
            f"""INSERT INTO made SELECT md5(seq), concat('name ', seq), concat('slug-', seq),
                '2024-01-01' + interval seq second,
                CASE WHEN rand(seq) < 0.3 THEN NULL ELSE '2024-01-01' + interval seq + 60 second END,
                true, seq / 7.0, repeat('x', 40) FROM seq_1_to_{rows}""",
        )

    def run(self, n: int, writes: int, json: Path | None) -> None:
        """Measure, and print the table."""
        contenders: dict[str, Callable[[], object]] = {
            "one SELECT": self.select,
            "check": self.check,
            "one UPDATE": self.update,
            "backfill": lambda: self.backfill("backfill"),
            "rollback": self.rollback,
        }
        times = rounds(contenders, n, before=self.before)
        goals = [
            Goal("check", "one SELECT", 1.2),
            Goal("backfill", "one UPDATE", 1.8),
            Goal("rollback", "backfill", 1.2),
        ]
        print(f"{self.rows:,} rows, {n} rounds")
        print(show(times, goals))
        for name, holds in self.holds.items():
            print(f"{name}: transaction ms {spread(holds)}")
        self.before("backfill")
        late = beside(
            self.url, writes, lambda: self.backfill(""), "UPDATE services SET updated_at = now(6) WHERE id = %s"
        )
        print(f"a writer of {writes}/s beside a backfill: ms {late}")
        if json is not None:
            spreads = {name: spread(each) for name, each in self.holds.items()}
            write_json(json, times, goals, rows=self.rows, holds=spreads, writer=late)

    def before(self, name: str) -> None:
        """A fresh table; filled, where it is to be rolled back."""
        ours = ", ".join(f"timestamp_guard_{each}" for each in ("runs", "changes", "quarantine"))
        servers.sql(
            self.url,
            f"DROP TABLE IF EXISTS services, {ours}",
            "CREATE TABLE services LIKE made",
            "INSERT INTO services SELECT * FROM made",
            "ANALYZE TABLE services",
        )
        if name == "rollback":
            self.backfill("")
        self.settle()

    def settle(self) -> None:
        """Have the server write out what was made, so that no contender pays for its beginning."""
        dirty = "innodb_max_dirty_pages_pct"
        ((usual,),) = servers.sql(self.url, f"SELECT @@GLOBAL.{dirty}")
        servers.sql(self.url, f"SET GLOBAL {dirty} = 0")
        while int(servers.sql(self.url, "SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_pages_dirty'")[0][1]) > PAGES:
            time.sleep(0.1)
        servers.sql(self.url, f"SET GLOBAL {dirty} = {usual}")

    def select(self) -> None:
        """What one would write by hand to have the same counts."""
        sound = (
            f"updated_at >= {LOW} AND updated_at < {HIGH} AND created_at >= {LOW} AND created_at < {HIGH} "
            f"AND created_at <= updated_at"
        )
        counts = ", ".join(
            f"sum(NOT coalesce({sound}, false) AND {said})"
            for said in (
                "updated_at IS NULL",
                "updated_at IN ('0001-01-01', '1970-01-01')",
                f"updated_at < {LOW}",
                f"updated_at >= {HIGH}",
                f"created_at < {LOW}",
                f"created_at >= {HIGH}",
                "created_at > updated_at",
            )
        )
        servers.sql(self.url, f"SELECT count(*), {counts} FROM services")

    def check(self) -> None:
        """Ours."""
        with MysqlStore(self.url, "services", encodings="datetime@UTC", read_only=True) as store:
            check(store, GUARD)

    def update(self) -> None:
        """One statement."""
        sound = f"created_at >= {LOW} AND created_at < {HIGH}"
        servers.sql(self.url, f"UPDATE services SET updated_at = created_at WHERE updated_at IS NULL AND {sound}")

    def backfill(self, name: str) -> None:
        """Ours: with ledger, checkpoints and the final survey."""
        held: list[float] = []
        with MysqlStore(self.url, "services", encodings="datetime@UTC") as store:
            run = backfill(store, GUARD, REPAIR, progress=lambda step: held.append(step.held_ns / 1e6))
        assert run.ok, run
        if name:
            self.holds.setdefault(name, []).extend(each for each in held if each)

    def rollback(self) -> None:
        """Ours, of the backfill that *before* made."""
        with MysqlStore(self.url, "services", encodings="datetime@UTC") as store:
            assert rollback(store).ok


if __name__ == "__main__":
    main()
