"""
SQLite under load: what a writer and a reader notice of a backfill, next to one UPDATE and to nobody at work.

The writer asks at fixed times, whether the last write is done or not, and its latency counts from the time it was
due: or one blocked write among hundreds would hide how long everybody waited.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from sqlite import GUARD, LOW, REPAIR, make, spread

from timestamp_guard import backfill
from timestamp_guard.stores import open_store


def main() -> None:
    """Run all three, a few times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--writes", type=int, default=200, help="a second")
    parser.add_argument("--reads", type=int, default=500, help="a second")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made, path = Path(folder, "made.db"), Path(folder, "used.db")
        make(made, given.rows, "integer")
        found: dict[str, list[dict[str, float]]] = {}
        for _ in range(given.rounds):
            for name, work in (("nobody", nobody), ("one UPDATE", update), ("backfill", fill)):
                shutil.copyfile(made, path)
                found.setdefault(name, []).append(measure(path, given.rows, work, given.writes, given.reads))
                for part in ("", "-wal", "-shm"):
                    path.with_name(path.name + part).unlink(missing_ok=True)
        table = {
            name: {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}
            for name, rounds in found.items()
        }
        for name, row in table.items():
            print(f"{name:12}", "  ".join(f"{key} {value:,.1f}" for key, value in row.items()))
        ours = table["backfill"]
        ratio = ours["seconds"] / table["one UPDATE"]["seconds"]
        print(f"backfill / one UPDATE, both under load: {ratio:.2f} (reported, not bounded)")
        print(
            f"writer p99 {ours['writer p99 ms']:.1f} ms, goal <= 25: {'pass' if ours['writer p99 ms'] <= 25 else 'MISS'}"
        )
        print(f"log {ours['log MB']:.0f} MB, goal <= 64: {'pass' if ours['log MB'] <= 64 else 'MISS'}")
        if given.json is not None:
            given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def nobody(path: Path) -> None:  # noqa: ARG001 - as the others
    """Nothing, for as long as the others may take."""
    time.sleep(4)


def update(path: Path) -> None:
    """One guarded statement."""
    database = sqlite3.connect(path, isolation_level=None, timeout=30)
    high = time.time_ns() // 10**6 + 5000
    database.execute(
        f"UPDATE services SET updatedAt = createdAt WHERE (updatedAt IS NULL OR updatedAt IN (0, -1)) "
        f"AND createdAt BETWEEN {LOW} AND {high}"
    )
    database.close()


def fill(path: Path) -> None:
    """Ours."""
    held: list[float] = []
    with open_store(f"sqlite:///{path}", "services", encodings="epoch_ms") as store:
        backfill(store, GUARD, REPAIR, progress=lambda step: held.append(step.held_ns / 1e6))
    print("  backfill holds ms:", spread(held), flush=True)


def measure(path: Path, rows: int, work: Callable[[Path], None], writes: int, reads: int) -> dict[str, float]:
    """Do *work* beside a writer and a reader."""
    stop = multiprocessing.Event()
    results: Any = multiprocessing.Queue()
    others = [
        multiprocessing.Process(target=at_times, args=(path, rows, writes, stop, results, True)),
        multiprocessing.Process(target=at_times, args=(path, rows, reads, stop, results, False)),
    ]
    for each in others:
        each.start()
    time.sleep(0.5)
    began = time.perf_counter()
    work(path)
    seconds = time.perf_counter() - began
    log = log_size(path)  # the last one to close the file takes the log away
    stop.set()
    told = dict(results.get() for _ in others)
    for each in others:
        each.join()
    return {
        "seconds": seconds,
        **{
            f"{who} {what} ms": value
            for who, late in told.items()
            for what, value in (
                ("p50", statistics.median(late)),
                ("p99", sorted(late)[int(len(late) * 0.99)]),
                ("max", max(late)),
            )
        },
        "log MB": log,
    }


def log_size(path: Path) -> float:
    """How large the log has become: its file never shrinks while it is open."""
    log = path.with_name(path.name + "-wal")
    return log.stat().st_size / 2**20 if log.exists() else 0.0


def at_times(path: Path, rows: int, rate: int, stop: Event, results: Any, writes: bool) -> None:  # noqa: FBT001
    """Write or read at fixed times, and tell how late each was done, in milliseconds."""
    database = sqlite3.connect(path, isolation_level=None, timeout=30)
    draw = random.Random(writes)
    late: list[float] = []
    due = time.perf_counter()
    while not stop.is_set():
        due += 1 / rate
        time.sleep(max(0.0, due - time.perf_counter()))
        row = draw.randrange(1, rows)
        if writes:
            database.execute("UPDATE services SET updatedAt = ? WHERE _id = ?", (time.time_ns() // 10**6, row))
        else:
            database.execute("SELECT * FROM services WHERE _id = ?", (row,)).fetchone()
        late.append((time.perf_counter() - due) * 1000)
    results.put(("writer" if writes else "reader", late))
    database.close()


if __name__ == "__main__":
    main()
