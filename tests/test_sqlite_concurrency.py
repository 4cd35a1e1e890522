"""
Others write and read while a SQLite table is filled and given back: nothing of theirs is lost, and nobody waits long.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from timestamp_guard import backfill, check, rollback, runs
from timestamp_guard.errors import RunBusy
from timestamp_guard.stores.base import Step
from timestamp_guard.stores.sql import wal

from .others import Lived, begun, ends, heard, nothing_is_lost, said, writers
from .sqlite_files import DAY, GUARD, MS, NOW, REPAIR, ask, do, dump, make, opened, slowly, user

# -- history ----------------------------------------------------------------------------------------------------

READER: Final = """
    import json, os, random, sqlite3, sys, time
    path, name, stop = sys.argv[1:4]
    chance = random.Random(name)
    database = sqlite3.connect(path, isolation_level=None, timeout=20)
    log = 0
    print("ready", flush=True)
    while not os.path.exists(stop):
        database.execute("BEGIN")
        (first,) = database.execute("SELECT count(updatedAt) FROM services").fetchone()
        time.sleep(chance.random() * 0.03)
        (second,) = database.execute("SELECT count(updatedAt) FROM services").fetchone()
        database.execute("COMMIT")
        assert first == second
        if os.path.exists(path + "-wal"):
            log = max(log, os.path.getsize(path + "-wal"))
        time.sleep(chance.random() * float(sys.argv[4]) * 3)
    print(log)
"""


@contextlib.contextmanager
def readers(path: Path, stop: Path, logs: list[int], rest: float) -> Iterator[None]:
    """Two readers at work, who find that nothing changes under their eyes; how large the log was."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(READER), path, str(number), stop, str(rest)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    for process in processes:
        heard(process, "ready")
    try:
        yield
    finally:
        stop.touch()
        logs += [int(said(process)) for process in processes]


@pytest.mark.parametrize("encoding", ["epoch_ms", "epoch_ms/us"])
@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
@pytest.mark.parametrize("options", ["", "WITHOUT ROWID"], ids=["rowid", "without rowid"])
def test_nothing_is_lost(tmp_path: Path, options: str, mode: str, encoding: str) -> None:
    """
    What users write while a backfill and a rollback run is there at the end; what they do not touch is filled, and is
    as it was.
    """
    # Without a write-ahead log readers and writers wait for each other, so there is less of everything.
    count, rest = (2000, 0.02) if mode == "WAL" else (400, 0.02)
    path = make(
        tmp_path / "app.db",
        f"PRAGMA journal_mode = {mode}",
        f"CREATE TABLE services (_id TEXT PRIMARY KEY NOT NULL, createdAt, updatedAt, note) {options}",
        rows=[[f"k{n}", MS - DAY - n, None, "ours"] for n in range(count)],
    )
    logs: list[int] = []

    @contextlib.contextmanager
    def beside(lived: list[Lived]) -> Iterator[None]:
        stop = tmp_path / f"stop {len(lived)}"
        with readers(path, stop, logs, rest), writers(f"sqlite:///{path}", stop, lived, count, rest):
            yield

    def contents() -> dict[str, tuple[Any, Any]]:
        return {key: (at, note) for key, at, note in ask(path, "SELECT _id, updatedAt, note FROM services")}

    with opened(path, encodings=encoding, timeout=20) as store:
        lived = nothing_is_lost(store, contents, beside, size=count // 40, pause=rest)

    assert ask(path, "PRAGMA integrity_check") == [("ok",)]
    for each in lived:
        assert each.waits[int(len(each.waits) * 0.9)] < (0.5 if mode == "WAL" else 2)
    assert max(logs) < 8 * 2**20


# -- the write-ahead log ----------------------------------------------------------------------------------------


def test_log_does_not_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The write-ahead log is copied back on the way, and begun anew; a reader that keeps it from being is waited for.
    """
    for name, size in (("PART", 100_000), ("WHOLE", 300_000), ("MOST", 600_000)):
        monkeypatch.setattr(wal, name, size)
    rows = [[f"k{n}", MS - DAY - n, None, "note" * 20] for n in range(20_000)]
    table = "CREATE TABLE services (_id TEXT PRIMARY KEY, createdAt, updatedAt, note)"
    path = make(tmp_path / "app.db", "PRAGMA journal_mode = WAL", table, rows=rows)
    do(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    sizes: list[int] = []

    with opened(path) as store, user(path) as reader:

        def look(step: Step) -> None:
            sizes.append(store.database.log.stat().st_size)
            if len(sizes) == 10:
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM services").fetchone()
                threading.Timer(2.5, released.set).start()

        released = threading.Event()

        def waiting() -> float:
            # Asked beside the store's own: lets the reader go when its time is over.
            if released.is_set() and reader.in_transaction:
                reader.execute("COMMIT")
            return 0.0

        pace = slowly(100)
        pace.throttles = [waiting]
        run = backfill(store, GUARD, REPAIR, now=NOW, pace=pace, progress=look)

    assert ("complete", 20_000) == (run.status, run.counts.changed)
    assert max(sizes) < 1_200_000
    assert not (tmp_path / "app.db-wal").exists()


# -- several workers --------------------------------------------------------------------------------------------


def plain(path: Path, count: int = 100) -> Path:
    rows = [[f"k{n}", MS - DAY - n, None] for n in range(count)]
    return make(path, "CREATE TABLE services (_id TEXT PRIMARY KEY, createdAt, updatedAt)", rows=rows)


@pytest.mark.parametrize("what", ["backfill", "rollback"])
def test_busy(tmp_path: Path, what: str) -> None:
    """
    While one process works another one is told which it is, and changes nothing.
    """
    path = plain(tmp_path / "app.db", 50)
    if what == "rollback":
        with opened(path) as store:
            backfill(store, GUARD, REPAIR, now=NOW)
    worker = begun(f"sqlite:///{path}", 0.3, what)
    asked = time.monotonic()

    with opened(path) as store:
        with pytest.raises(
            RunBusy, match=rf"services is being worked on by process {worker.pid} on .*: {what} \d+; try again"
        ):
            backfill(store, GUARD, REPAIR, now=NOW) if what == "backfill" else rollback(store, now=NOW)
        assert time.monotonic() - asked < 10
        assert {"running"} == {run.status for run in runs(store)[-1:]}
    assert "complete 50" in said(worker)


def test_all_at_once(tmp_path: Path) -> None:
    """
    Of several processes that begin at the same instant one does the work.
    """
    path = plain(tmp_path / "app.db", 300)

    assert ["1 complete 300"] == ends(f"sqlite:///{path}", 4)
    with opened(path) as store:
        assert ["complete"] == [run.status for run in runs(store)]
        assert 300 == len({change.key for _, change in store.ledger.changes(runs(store)[0])})
        assert check(store, GUARD, now=NOW).ok


@pytest.mark.parametrize("what", ["backfill", "rollback"])
def test_killed(tmp_path: Path, what: str) -> None:
    """
    The run of a process that was killed is taken over at once.
    """
    path = plain(tmp_path / "app.db")
    before = dump(path)
    if what == "rollback":
        with opened(path) as store:
            backfill(store, GUARD, REPAIR, now=NOW)
    worker = begun(f"sqlite:///{path}", 0.2, what)
    os.kill(worker.pid, signal.SIGKILL)
    worker.communicate()
    asked = time.monotonic()

    with opened(path) as store:
        if what == "backfill":
            run = backfill(store, GUARD, REPAIR, now=NOW)
            assert (1, "complete", 100) == (run.id, run.status, run.counts.changed)
            assert 100 == len({change.key for _, change in store.ledger.changes(run)})
        back = rollback(store, now=NOW)

    assert time.monotonic() - asked < 10
    assert (2, "complete", 100) == (back.id, back.status, back.counts.changed)
    assert before == dump(path)


def test_two_threads(tmp_path: Path) -> None:
    """
    Two tables of one file are filled at the same time, each by a store of its own.
    """
    path = plain(tmp_path / "app.db", 2000)
    do(path, "PRAGMA journal_mode = WAL", "CREATE TABLE pages (_id INTEGER PRIMARY KEY, createdAt, updatedAt)")
    make(path, rows=[[n, MS - DAY, None] for n in range(2000)], into="pages")
    before = dump(path)
    problems: list[BaseException] = []

    def work(table: str) -> None:
        try:
            with opened(path, table, timeout=20) as store:
                assert 2000 == backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(50)).counts.changed
                assert 2000 == rollback(store, now=NOW, pace=slowly(50)).counts.changed
        except BaseException as problem:  # noqa: BLE001 - told below
            problems.append(problem)

    threads = [threading.Thread(target=work, args=(table,)) for table in ("services", "pages")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [] == problems
    assert before == dump(path)
