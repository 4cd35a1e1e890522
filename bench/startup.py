"""What an import and a small check on the command line cost, as whole processes."""

from __future__ import annotations

import argparse
import functools
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

from _measure import Goal, rounds, show, write_json

CODE = "from timestamp_guard import timestamp, updated_at_guard"


def main() -> None:
    """Run all, a few times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "small.db")
        with sqlite3.connect(path) as database:
            database.execute(
                "CREATE TABLE services (_id TEXT PRIMARY KEY NOT NULL, createdAt INTEGER, updatedAt INTEGER)"
            )
            values = [(str(index), 1_700_000_000_000 + index, 1_700_000_000_000 + index) for index in range(1000)]
            database.executemany("INSERT INTO services VALUES (?, ?, ?)", values)
        database.close()
        url = f"sqlite:///{path}"
        words = ["--updated", "updatedAt", "--created", "createdAt", "--encoding", "epoch_ms"]
        contenders = {
            "python": [sys.executable, "-c", ""],
            "import attrs": [sys.executable, "-c", "import attrs"],
            "import timestamp_guard": [sys.executable, "-c", "import attrs, timestamp_guard"],
            "its validators": [sys.executable, "-c", f"import attrs; {CODE}"],
            "check of 1,000 rows": [sys.executable, "-m", "timestamp_guard", "check", url, *words],
        }
        times = rounds({name: functools.partial(run, command) for name, command in contenders.items()}, given.rounds)
    goals = [
        Goal("import timestamp_guard", "import attrs"),
        Goal("its validators", "import attrs"),
        Goal("check of 1,000 rows", "python"),
    ]
    print(show(times, goals))
    added = (times.median("import timestamp_guard") - times.median("import attrs")) * 1000
    more = (times.median("its validators") - times.median("import attrs")) * 1000
    whole = times.median("check of 1,000 rows")
    print(
        f"import timestamp_guard: + {added:.0f} ms, goal <= 25: {'pass' if added <= 25 else 'MISS'} (with the validators + {more:.0f} ms)"
    )
    print(f"check of 1,000 rows: {whole:.2f} s, goal <= 0.60: {'pass' if whole <= 0.6 else 'MISS'}")
    if given.json is not None:
        write_json(given.json, times, goals)


def run(command: list[str]) -> None:
    """Run a command to its end."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
