"""
Others write while a table of PostgreSQL is filled and given back: nothing of theirs is lost, and nobody waits long.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from attrs import frozen

from tests import servers
from timestamp_guard import _faults as faults
from timestamp_guard import backfill, check, rollback, runs
from timestamp_guard.errors import LeaseLost, RunBusy, StoreLocked
from timestamp_guard.stores.base import Step
from timestamp_guard.stores.sql.postgresql.store import PostgresStore
from timestamp_guard.stores.sql.served import store as served
from timestamp_guard.stores.sql.served.store import STEP_BEGUN, STEP_WRITTEN

from .postgresql_tables import DAY, GUARD, MS, NOW, REPAIR, dump, make, opened
from .sqlite_files import slowly
from .test_sqlite_concurrency import said, spawn

TABLE: Final = 'CREATE TABLE services (_id text PRIMARY KEY, "createdAt" bigint, "updatedAt" bigint, note text)'
ENCODINGS: Final = ("epoch_ms", "epoch_ms/us")
"""Judged by the server, and row by row in Python."""


@pytest.fixture
def url() -> Iterator[str]:
    """
    An empty database.
    """
    with servers.database(servers.postgresql(15)) as made:
        yield made


def plain(url: str, count: int = 100) -> str:
    """A table with rows to fill."""
    return make(url, TABLE, rows=[[f"k{n}", MS - DAY - n, None, "ours"] for n in range(count)])


def ask(url: str, sql: str) -> Any:
    """What somebody else sees: one value."""
    return servers.sql(url, sql)[0][0]


# -- history ----------------------------------------------------------------------------------------------------

WRITER: Final = """
    import json, os, random, sys, time
    import psycopg
    url, number, stop, now, rows = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
    chance = random.Random(number)
    user = psycopg.connect(url, autocommit=True)
    history, notes, waits = [], {}, []
    kinds = ["set", "null", "zero", "delete", "new", "note", "note", "later"]
    print("ready", flush=True)
    began = time.monotonic()
    while not os.path.exists(stop):
        # Every writer has rows of its own, so that it knows their order.
        key = f"k{chance.randrange(rows // 2) * 2 + number}"
        kind = chance.choice(kinds)
        at = now + len(history)
        asked = time.monotonic()
        if kind == "note":
            changed = user.execute("UPDATE services SET note = %s WHERE _id = %s", (str(at), key)).rowcount
            if changed:
                notes[key] = str(at)
        elif kind == "delete":
            user.execute("DELETE FROM services WHERE _id = %s", (key,))
            notes.pop(key, None)
            history.append((key, kind, None))
        elif kind in {"new", "later"}:
            key = chance.choice([key, f"{'a' if kind == 'new' else 'z'} {number} {chance.randrange(100)}"])
            value = chance.choice([None, at])
            user.execute(
                'INSERT INTO services VALUES (%s, %s, %s, %s) ON CONFLICT (_id) DO UPDATE SET '
                '"updatedAt" = excluded."updatedAt", note = excluded.note', (key, now - 5, value, str(at)))
            notes[key] = str(at)
            history.append((key, "set" if value else "null", value))
        else:
            value = {"set": at, "null": None, "zero": 0}[kind]
            changed = user.execute('UPDATE services SET "updatedAt" = %s WHERE _id = %s', (value, key)).rowcount
            if changed:
                history.append((key, kind, value))
        waits.append(time.monotonic() - asked)
        time.sleep(0.003 * chance.random())
    took = time.monotonic() - began
    print(json.dumps({"history": history, "notes": notes, "waits": waits, "took": took}))
"""


@frozen
class Lived:
    """What others did meanwhile: the last thing that was done to each key, what they noted there, how long they waited."""

    last: dict[str, tuple[str, Any]]
    notes: dict[str, str]
    waits: list[float]
    rate: float


@contextlib.contextmanager
def others(url: str, stop: Path, found: list[Lived], rows: int) -> Iterator[None]:
    """Two writers at work."""
    processes = [spawn(WRITER, url, number, stop, MS, rows) for number in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert "ready\n" == process.stdout.readline()
    try:
        yield
    finally:
        stop.touch()
        told = [json.loads(said(process)) for process in processes]
    last = {key: (kind, value) for one in told for key, kind, value in one["history"]}
    notes = {key: note for one in told for key, note in one["notes"].items()}
    waits = sorted(wait for one in told for wait in one["waits"])
    found.append(Lived(last, notes, waits, sum(len(one["waits"]) / one["took"] for one in told)))


def contents(url: str) -> dict[str, tuple[Any, Any]]:
    """What every row holds: its time, and its note."""
    return {key: (at, note) for key, at, note in servers.sql(url, 'SELECT _id, "updatedAt", note FROM services')}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_nothing_is_lost(url: str, tmp_path: Path, encoding: str) -> None:
    """
    What users write while a backfill and a rollback run is there at the end; what they do not touch is filled, and is
    as it was; and a run that is complete when nobody writes leaves nothing to do.
    """
    count = 2000
    plain(url, count)
    created = {f"k{n}": MS - DAY - n for n in range(count)}
    lived: list[Lived] = []

    def pace() -> Any:
        found = slowly(40)
        found.throttles = [lambda: 0.03]
        return found

    with opened(url, encodings=encoding, timeout=20) as store:
        with others(url, tmp_path / "stop 1", lived, count):
            run = backfill(store, GUARD, REPAIR, now=NOW + 10**12, pace=pace())
        filled = contents(url)
        made: dict[str, list[Any]] = {}
        for _, change in reversed(store.ledger.changes(run)):
            made.setdefault(change.key, []).append((change.before, change.after))
        (meanwhile,) = lived
        assert len(meanwhile.last) > 100
        for key in {*created, *filled, *meanwhile.last}:
            match meanwhile.last.get(key):
                case None:
                    assert created[key] == filled[key][0]
                    assert [(None, created[key])] == made[key]
                case ("set", value):
                    assert value == filled[key][0]
                case ("delete", _):
                    assert key not in filled
                case (_, value):
                    assert filled[key][0] in {value, created.get(key), MS - 5}
                    assert filled[key][0] == value or (value, filled[key][0]) in made[key]
        assert all(note == filled[key][1] for key, note in meanwhile.notes.items())
        assert run.counts.changed == sum(map(len, made.values()))

        with others(url, tmp_path / "stop 2", lived, count):
            back = rollback(store, now=NOW, pace=pace())
        after = contents(url)
        for key in {*filled, *after}:
            match lived[1].last.get(key):
                case None if key in made and filled[key][0] == made[key][-1][1]:
                    assert made[key][-1][0] == after[key][0]
                case None:
                    assert filled[key][0] == after[key][0]
                case ("delete", _):
                    assert key not in after
                case (_, value):
                    assert value == after[key][0]
        assert all(note == after[key][1] for key, note in lived[1].notes.items())
        assert back.counts.changed + back.counts.refused == run.counts.changed

        last = backfill(store, GUARD, REPAIR, now=NOW + 10**12)
        assert "complete" == last.status
        assert check(store, GUARD, now=NOW + 10**12).ok

    for each in lived:
        assert each.waits[int(len(each.waits) * 0.9)] < 0.5
    print("operations a second:", [round(each.rate) for each in lived])  # noqa: T201 - shown with -s


# -- locks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_row_locked(url: str, encoding: str) -> None:
    """
    A row that somebody keeps for long is left, and counted; all others are filled; it is filled when it is free.
    """
    plain(url)
    with servers.connect(url) as user, opened(url, encodings=encoding) as store:
        user.execute("BEGIN")
        user.execute("SELECT * FROM services WHERE _id = 'k50' FOR UPDATE")
        began = time.monotonic()
        run = backfill(store, GUARD, REPAIR, now=NOW)
        took = time.monotonic() - began

        assert ("incomplete", 99, 1) == (run.status, run.counts.changed, run.counts.left)
        assert took < 20
        user.execute("COMMIT")
        assert ("complete", 1) == ((again := backfill(store, GUARD, REPAIR, now=NOW)).status, again.counts.changed)


def test_row_locked_for_a_while(url: str) -> None:
    """
    A row that was left because somebody had it is filled by a later sweep of the same run.
    """
    plain(url)
    with servers.connect(url) as user, opened(url) as store:
        user.execute("BEGIN")
        user.execute("SELECT * FROM services WHERE _id = 'k50' FOR UPDATE")

        def free(step: Step) -> None:
            if step.run.counts.changed == 99:
                user.execute("COMMIT")

        run = backfill(store, GUARD, REPAIR, now=NOW, progress=free)

    assert ("complete", 100) == (run.status, run.counts.changed)


@pytest.mark.parametrize("act", ["backfill", "rollback", "check"])
def test_table_locked(url: str, act: str) -> None:
    """
    Where somebody keeps the whole table, nobody waits for longer than was said, and all goes on afterwards.
    """
    plain(url)
    acts: dict[str, Callable[[PostgresStore], Any]] = {
        "backfill": lambda store: backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(20)),
        "rollback": lambda store: rollback(store, now=NOW, pace=slowly(20)),
        "check": lambda store: check(store, GUARD, now=NOW),
    }
    with servers.connect(url) as user, opened(url, timeout=0.1) as store:
        if act == "rollback":
            acts["backfill"](store)
        user.execute("BEGIN")
        user.execute("LOCK TABLE services IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        with pytest.raises(StoreLocked, match="locked by another transaction"):
            acts[act](store)
        assert time.monotonic() - began < 10
        user.execute("ROLLBACK")
        acts[act](store)


def test_deadlock(url: str) -> None:
    """
    Who locks rows in another order than a step gets them: the step gives way.
    """
    plain(url)
    problems: list[BaseException] = []
    turns = [0]
    stop = threading.Event()

    def work() -> None:
        try:
            with servers.connect(url) as user:
                while not stop.is_set():
                    user.execute("BEGIN")
                    for key in ("k99", "k50", "k0"):
                        user.execute("UPDATE services SET note = 'theirs' WHERE _id = %s", (key,))
                        time.sleep(0.01)
                    user.execute("COMMIT")
                    turns[0] += 1
        except BaseException as problem:  # noqa: BLE001 - told below
            problems.append(problem)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        with opened(url) as store:
            for _ in range(5):
                assert backfill(store, GUARD, REPAIR, now=NOW).counts.changed > 90
                rollback(store, now=NOW)
    finally:
        stop.set()
        thread.join()

    assert [] == problems
    assert turns[0] > 3


@pytest.mark.parametrize("wait", [0.0, 0.05])
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("was", [None, 0])
def test_written_while_we_wait(url: str, was: int | None, encoding: str, wait: float) -> None:
    """
    What somebody commits between our look and our write, or while we wait for their row, is not overwritten.
    """
    make(url, TABLE, rows=[[f"k{n}", MS - DAY, was, ""] for n in range(10)])
    left = [1]
    with servers.connect(url) as user, opened(url, encodings=encoding) as store:

        def hook(point: str) -> None:
            if point == STEP_BEGUN and left and left.pop():
                user.execute("BEGIN")
                user.execute(f"UPDATE services SET \"updatedAt\" = {MS} WHERE _id = 'k5'")
                if wait:
                    threading.Timer(wait, user.execute, ["COMMIT"]).start()
                else:
                    user.execute("COMMIT")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(served, "LOCK", 5.0)
            patch.setattr(faults, "hook", hook)
            run = backfill(store, GUARD, REPAIR, now=NOW)

        assert ("complete", 9) == (run.status, run.counts.changed)
    assert MS == ask(url, "SELECT \"updatedAt\" FROM services WHERE _id = 'k5'")


@pytest.mark.parametrize("wait", [0.0, 0.05])
def test_written_before_it_is_given_back(url: str, wait: float) -> None:
    """
    What somebody commits while a rollback waits for their row stays.
    """
    plain(url, 10)
    left = [1]
    with servers.connect(url) as user, opened(url) as store:
        backfill(store, GUARD, REPAIR, now=NOW)

        def hook(point: str) -> None:
            if point == STEP_BEGUN and left and left.pop():
                user.execute("BEGIN")
                user.execute(f"UPDATE services SET \"updatedAt\" = {MS} WHERE _id = 'k5'")
                if wait:
                    threading.Timer(wait, user.execute, ["COMMIT"]).start()
                else:
                    user.execute("COMMIT")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(served, "LOCK", 5.0)
            patch.setattr(faults, "hook", hook)
            back = rollback(store, now=NOW)

    assert ("incomplete", 9, 1) == (back.status, back.counts.changed, back.counts.refused)
    assert MS == ask(url, "SELECT \"updatedAt\" FROM services WHERE _id = 'k5'")


# -- several workers --------------------------------------------------------------------------------------------

WORKER: Final = """
    import sys
    from timestamp_guard import backfill, rollback
    from timestamp_guard.errors import RunBusy
    from tests.postgresql_tables import GUARD, NOW, REPAIR, opened
    from tests.sqlite_files import slowly

    def told(step):
        print("step", flush=True)

    pace = slowly(5)
    pace.throttles = [lambda: float(sys.argv[2])]
    with opened(sys.argv[1], timeout=20) as store:
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


def begun(url: str, pause: float, what: str = "backfill") -> Any:
    """A worker of another process, in the middle of its work."""
    worker = spawn(WORKER, url, pause, what)
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write("go\n")
    worker.stdin.flush()
    for line in ("ready\n", "step\n", "step\n"):
        assert line == worker.stdout.readline()
    return worker


@pytest.mark.parametrize("what", ["backfill", "rollback"])
def test_busy(url: str, what: str) -> None:
    """
    While one process works another one is told which it is, and changes nothing.
    """
    plain(url, 50)
    if what == "rollback":
        with opened(url) as store:
            backfill(store, GUARD, REPAIR, now=NOW)
    worker = begun(url, 0.3, what)

    with opened(url) as store:
        with pytest.raises(RunBusy, match=rf"services is being worked on by process {worker.pid} on .*: {what} \d+"):
            backfill(store, GUARD, REPAIR, now=NOW) if what == "backfill" else rollback(store, now=NOW)
        assert {"running"} == {run.status for run in runs(store)[-1:]}
    assert "complete 50" in said(worker)


def test_all_at_once(url: str) -> None:
    """
    Of several processes that begin at the same instant, on a database without a ledger, one does the work.
    """
    plain(url, 200)
    workers = [spawn(WORKER, url, 0.02, "backfill") for _ in range(3)]
    for worker in workers:
        assert worker.stdout is not None
        assert "ready\n" == worker.stdout.readline()
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    ends = [said(worker).splitlines()[-1] for worker in workers]

    assert [end for end in ends if not end.startswith(("busy", "None complete"))] == ["1 complete 200"]
    with opened(url) as store:
        assert ["complete"] == [run.status for run in runs(store)]
        assert 200 == len({change.key for _, change in store.ledger.changes(runs(store)[0])})


@pytest.mark.parametrize("what", ["backfill", "rollback"])
def test_killed(url: str, what: str) -> None:
    """
    The run of a process that was killed is taken over at once.
    """
    plain(url)
    before = dump(url)
    if what == "rollback":
        with opened(url) as store:
            backfill(store, GUARD, REPAIR, now=NOW)
    worker = begun(url, 0.2, what)
    os.kill(worker.pid, signal.SIGKILL)
    worker.communicate()
    asked = time.monotonic()

    with opened(url) as store:
        if what == "backfill":
            run = backfill(store, GUARD, REPAIR, now=NOW)
            assert (1, "complete", 100) == (run.id, run.status, run.counts.changed)
        back = rollback(store, now=NOW)

    assert time.monotonic() - asked < 10
    assert (2, "complete", 100) == (back.id, back.status, back.counts.changed)
    assert before == dump(url)


@pytest.mark.parametrize("point", [STEP_BEGUN, STEP_WRITTEN, None])
@pytest.mark.parametrize("act", ["backfill", "rollback"])
def test_taken_over(url: str, act: str, point: str | None) -> None:
    """
    Who was taken over writes nothing more, and is told.
    """
    plain(url, 30)
    with opened(url) as store, opened(url) as other:
        if act == "rollback":
            backfill(store, GUARD, REPAIR, now=NOW)
        taken: list[int] = []

        def take() -> None:
            if not taken:
                run = other.ledger.runs("services")[-1]
                other.ledger.claim(run, run.owner or "", run.lease_until)
                taken.append(ask(url, 'SELECT count("updatedAt") FROM services'))

        def hook(name: str) -> None:
            # The run itself is locked in a step, so between two.
            if name == "server: step done" or name == "server: undo done":
                take()

        with pytest.MonkeyPatch.context() as patch, pytest.raises(LeaseLost):
            if point is None:
                patch.setattr(faults, "hook", hook)
            go: dict[str, Any] = {"now": NOW, "pace": slowly(7), "progress": lambda _: take() if point else None}
            backfill(store, GUARD, REPAIR, **go) if act == "backfill" else rollback(store, **go)

        assert taken == [ask(url, 'SELECT count("updatedAt") FROM services')]


def test_two_threads(url: str) -> None:
    """
    Two tables of one schema are filled at the same time, each by a store of its own.
    """
    plain(url, 1000)
    make(url, 'CREATE TABLE pages (_id bigint PRIMARY KEY, "createdAt" bigint, "updatedAt" bigint)',
         rows=[[n, MS - DAY, None] for n in range(1000)], into="pages")  # fmt: skip
    before = dump(url)
    problems: list[BaseException] = []

    def work(table: str) -> None:
        try:
            with opened(url, table, timeout=20) as store:
                assert 1000 == backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(50)).counts.changed
                assert 1000 == rollback(store, now=NOW, pace=slowly(50)).counts.changed
        except BaseException as problem:  # noqa: BLE001 - told below
            problems.append(problem)

    threads = [threading.Thread(target=work, args=(table,)) for table in ("services", "pages")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [] == problems
    assert before == dump(url)
