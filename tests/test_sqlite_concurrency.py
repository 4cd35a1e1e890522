"""
Others write and read while a SQLite table is filled and given back: nothing of theirs is lost, and nobody waits long.
"""

from __future__ import annotations

import contextlib
import json
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
from attrs import frozen

from timestamp_guard import Pace, backfill, check, rollback, runs
from timestamp_guard.errors import RunBusy
from timestamp_guard.stores.base import Step
from timestamp_guard.stores.sql import wal

from .sqlite_files import DAY, GUARD, MS, NOW, REPAIR, ask, do, dump, make, opened, slowly, user

HERE: Final = Path(__file__).parent.parent


def spawn(script: str, *arguments: Any) -> subprocess.Popen[str]:
    """Another process, which knows the library and these tests."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{HERE / 'src'}{os.pathsep}{HERE}"},
    )


def said(process: subprocess.Popen[str]) -> str:
    """What it printed, when it is done."""
    out, problems = process.communicate(timeout=120)
    assert process.returncode == 0, problems
    return out


# -- history ----------------------------------------------------------------------------------------------------

WRITER: Final = """
    import json, random, sqlite3, sys, time
    path, name, stop, now = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    import os
    chance = random.Random(name)
    database = sqlite3.connect(path, isolation_level=None, timeout=20)
    (rows,) = database.execute("SELECT count(*) FROM services").fetchone()
    history, waits = [], []
    print("ready", flush=True)
    while not os.path.exists(stop):
        key = f"k{chance.randrange(rows)}" if chance.random() < 0.8 else f"{name} {chance.randrange(50)}"
        asked = time.monotonic()
        database.execute("BEGIN IMMEDIATE")
        waits.append(time.monotonic() - asked)
        ((number,),) = database.execute("UPDATE clock SET number = number + 1 RETURNING number").fetchall()
        kind = chance.choice(["set", "set", "set", "null", "zero", "delete"])
        value = {"set": now + number, "null": None, "zero": 0, "delete": None}[kind]
        if kind == "delete":
            database.execute("DELETE FROM services WHERE _id = ?", (key,))
        else:
            database.execute(
                "INSERT INTO services VALUES (?1, ?2, ?3, 'theirs') "
                "ON CONFLICT DO UPDATE SET updatedAt = ?3", (key, now - 5, value))
        database.execute("COMMIT")
        history.append((number, key, kind, value))
        time.sleep(chance.random() * float(sys.argv[5]))
    print(json.dumps({"history": history, "waits": waits}))
"""

READER: Final = """
    import json, os, random, sqlite3, sys, time
    path, name, stop = sys.argv[1:4]
    chance = random.Random(name)
    database = sqlite3.connect(path, isolation_level=None, timeout=20)
    log, waits = 0, []
    print("ready", flush=True)
    while not os.path.exists(stop):
        asked = time.monotonic()
        database.execute("BEGIN")
        (first,) = database.execute("SELECT count(updatedAt) FROM services").fetchone()
        waits.append(time.monotonic() - asked)
        time.sleep(chance.random() * 0.03)
        (second,) = database.execute("SELECT count(updatedAt) FROM services").fetchone()
        database.execute("COMMIT")
        assert first == second
        if os.path.exists(path + "-wal"):
            log = max(log, os.path.getsize(path + "-wal"))
        time.sleep(chance.random() * float(sys.argv[5]) * 3)
    print(json.dumps({"log": log, "waits": waits}))
"""


@frozen
class Lived:
    """What others did meanwhile, in the order in which it was committed, and how long they waited."""

    history: list[tuple[int, str, str, Any]]
    waits: list[float]
    log: int

    def last(self, key: str) -> tuple[int, str, str, Any] | None:
        return next((each for each in reversed(self.history) if each[1] == key), None)


@contextlib.contextmanager
def others(path: Path, found: list[Lived], pause: float) -> Iterator[None]:
    """Two writers and two readers at work."""
    stop = path.with_name(f"stop {len(found)}")
    names = [f"{kind} {number} {len(found)}" for kind in ("writer", "reader") for number in range(2)]
    scripts = {"writer": WRITER, "reader": READER}
    processes = [spawn(scripts[name.split()[0]], path, name, stop, MS, pause) for name in names]
    for process in processes:
        assert process.stdout is not None
        assert "ready\n" == process.stdout.readline()
    try:
        yield
    finally:
        stop.touch()
        told = [json.loads(said(process)) for process in processes]
    history = sorted(tuple(each) for one in told for each in one.get("history", ()))
    waits = sorted(wait for one in told for wait in one["waits"])
    found.append(Lived(history, waits, max(one.get("log", 0) for one in told)))


@pytest.mark.parametrize("encoding", ["epoch_ms", "epoch_ms/us"])
@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
@pytest.mark.parametrize("options", ["", "WITHOUT ROWID"], ids=["rowid", "without rowid"])
def test_nothing_is_lost(tmp_path: Path, options: str, mode: str, encoding: str) -> None:
    """
    What users write while a backfill and a rollback run is there at the end; what they do not touch is filled, and is
    as it was.
    """
    # Without a write-ahead log readers and writers wait for each other, so there is less of everything.
    count, pause = (2000, 0.02) if mode == "WAL" else (400, 0.02)
    rows = [[f"k{n}", MS - DAY - n, None, "ours"] for n in range(count)]
    path = make(
        tmp_path / "app.db",
        f"PRAGMA journal_mode = {mode}",
        f"CREATE TABLE services (_id TEXT PRIMARY KEY NOT NULL, createdAt, updatedAt, note) {options}",
        "CREATE TABLE clock (number INTEGER)",
        "INSERT INTO clock VALUES (0)",
        rows=rows,
    )
    created = {key: at for key, at, _, _ in rows}
    lived: list[Lived] = []
    steps: list[Step] = []

    def pace() -> Pace:
        found = slowly(count // 40)
        found.throttles = [lambda: pause]
        return found

    with opened(path, encodings=encoding, timeout=20) as store:
        with others(path, lived, pause):
            run = backfill(store, GUARD, REPAIR, now=NOW + 10**12, pace=pace(), progress=steps.append)
        filled = dict(ask(path, "SELECT _id, updatedAt FROM services"))
        made: dict[str, list[Any]] = {}
        for _, change in reversed(store.ledger.changes(run)):
            made.setdefault(change.key, []).append((change.before, change.after))
        (meanwhile,) = lived
        assert len(meanwhile.history) > 50
        for key in {*created, *filled, *(each[1] for each in meanwhile.history)}:
            match meanwhile.last(key):
                case None:
                    assert created[key] == filled[key]
                    assert [(None, created[key])] == made[key]
                case (_, _, "set", value):
                    assert value == filled[key]
                case (_, _, "delete", _):
                    assert key not in filled
                case (_, _, _, value):
                    assert filled[key] in {value, created.get(key), MS - 5}
                    assert filled[key] == value or (value, filled[key]) in made[key]
        assert run.counts.changed == sum(map(len, made.values()))
        assert run.status in {"complete", "incomplete"}
        assert run.counts.left == 0 or run.counts.arriving + run.counts.refused == run.counts.left

        with others(path, lived, pause):
            back = rollback(store, now=NOW, pace=pace())
        after = dict(ask(path, "SELECT _id, updatedAt FROM services"))
        for key in {*filled, *after}:
            match lived[1].last(key):
                case None if key in made and filled[key] == made[key][-1][1]:
                    assert made[key][-1][0] == after[key]
                case None:
                    assert filled[key] == after[key]
                case (_, _, "delete", _):
                    assert key not in after
                case (_, _, _, value):
                    assert value == after[key]
        assert back.counts.changed + back.counts.refused == run.counts.changed

    assert ask(path, "PRAGMA integrity_check") == [("ok",)]
    for each in lived:
        assert each.waits[int(len(each.waits) * 0.9)] < (0.5 if mode == "WAL" else 2)
        assert each.log < 8 * 2**20


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

WORKER: Final = """
    import sys
    from pathlib import Path
    from timestamp_guard import Pace, backfill, rollback
    from timestamp_guard.errors import RunBusy
    from tests.sqlite_files import GUARD, NOW, REPAIR, opened, slowly

    def told(step):
        print("step", flush=True)

    pace = slowly(5)
    pace.throttles = [lambda: float(sys.argv[2])]
    with opened(Path(sys.argv[1]), timeout=20) as store:
        print("ready", flush=True)
        sys.stdin.readline()
        try:
            if sys.argv[3] == "rollback":
                run = rollback(store, now=NOW, pace=pace, progress=told)
            else:
                run = backfill(store, GUARD, REPAIR, now=NOW, pace=pace, progress=told)
            print(run.id, run.status, run.counts.changed)
        except RunBusy as problem:
            print("busy", problem)
"""


def plain(path: Path, count: int = 100) -> Path:
    rows = [[f"k{n}", MS - DAY - n, None] for n in range(count)]
    return make(path, "CREATE TABLE services (_id TEXT PRIMARY KEY, createdAt, updatedAt)", rows=rows)


def begun(path: Path, pause: float, what: str = "backfill") -> subprocess.Popen[str]:
    """A worker of another process, in the middle of its work."""
    worker = spawn(WORKER, path, pause, what)
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write("go\n")
    worker.stdin.flush()
    for line in ("ready\n", "step\n", "step\n"):
        assert line == worker.stdout.readline()
    return worker


@pytest.mark.parametrize("what", ["backfill", "rollback"])
def test_busy(tmp_path: Path, what: str) -> None:
    """
    While one process works another one is told which it is, and changes nothing.
    """
    path = plain(tmp_path / "app.db", 50)
    if what == "rollback":
        with opened(path) as store:
            backfill(store, GUARD, REPAIR, now=NOW)
    worker = begun(path, 0.3, what)
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
    workers = [spawn(WORKER, path, 0.02, "backfill") for _ in range(4)]
    for worker in workers:
        assert worker.stdout is not None
        assert "ready\n" == worker.stdout.readline()
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    ends = [said(worker).splitlines()[-1] for worker in workers]

    assert [end for end in ends if not end.startswith(("busy", "None complete"))] == ["1 complete 300"]
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
    worker = begun(path, 0.2, what)
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
