"""
Others write while a table of a server is filled and given back: nothing of theirs is lost, and nobody waits long.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

import pytest

from tests import servers
from timestamp_guard import _faults as faults
from timestamp_guard import backfill, check, rollback, runs
from timestamp_guard.errors import LeaseLost, RunBusy, StoreLocked
from timestamp_guard.stores.base import Step
from timestamp_guard.stores.sql.postgresql import server as server_module
from timestamp_guard.stores.sql.served import store as served
from timestamp_guard.stores.sql.served.server import ConnectionLost
from timestamp_guard.stores.sql.served.store import STEP_BEGUN, STEP_WRITTEN

from .others import Lived, begun, ends, nothing_is_lost, said, writers
from .postgresql_tables import DAY, GUARD, MS, NOW, REPAIR
from .served_tables import KINDS, dump, locked, make, opened, server, unlocked
from .sqlite_files import slowly

TABLE: Final = 'CREATE TABLE services (_id varchar(40) PRIMARY KEY, "createdAt" bigint, "updatedAt" bigint, note text)'
ENCODINGS: Final = ("epoch_ms", "epoch_ms/us")
"""Judged by the server, and row by row in Python."""


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """
    An empty database.
    """
    with servers.database(server(request.param)) as made:
        yield made


def plain(url: str, count: int = 100) -> str:
    """A table with rows to fill."""
    return make(url, TABLE, rows=[[f"k{n}", MS - DAY - n, None, "ours"] for n in range(count)])


def ask(url: str, sql: str) -> Any:
    """What somebody else sees: one value."""
    return servers.sql(url, sql)[0][0]


# -- history ----------------------------------------------------------------------------------------------------


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

    def beside(lived: list[Lived]) -> AbstractContextManager[None]:
        return writers(url, tmp_path / f"stop {len(lived)}", lived, count, 0.003)

    with opened(url, encodings=encoding, timeout=20) as store:
        lived = nothing_is_lost(store, lambda: contents(url), beside, size=40, pause=0.03)

    for each in lived:
        assert each.waits[int(len(each.waits) * 0.9)] < 0.5
        assert each.rate >= 200, "operations a second"


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
    acts: dict[str, Callable[[Any], Any]] = {
        "backfill": lambda store: backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(20)),
        "rollback": lambda store: rollback(store, now=NOW, pace=slowly(20)),
        "check": lambda store: check(store, GUARD, now=NOW),
    }
    with servers.connect(url) as user, opened(url, timeout=0.1) as store:
        if act == "rollback":
            acts["backfill"](store)
        locked(user, url, "services")
        began = time.monotonic()
        with pytest.raises(StoreLocked, match="locked by another transaction"):
            acts[act](store)
        assert time.monotonic() - began < 10
        unlocked(user, url)
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
            rounds = 0
            while rounds < 5 or (turns[0] < 10 and not problems):
                assert backfill(store, GUARD, REPAIR, now=NOW).counts.changed > 90
                rollback(store, now=NOW)
                rounds += 1
    finally:
        stop.set()
        thread.join()

    assert [] == problems


def test_gives_way(url: str) -> None:
    """
    Who has a row that a rollback wants, and then wants one that it has, gets it.
    """
    plain(url, 10)
    problems: list[BaseException] = []

    def wants() -> None:
        try:
            user.execute("UPDATE services SET note = 'theirs' WHERE _id = 'k0'")
            user.execute("COMMIT")
        except BaseException as problem:  # noqa: BLE001 - told below
            problems.append(problem)

    later = threading.Timer(0.3, wants)
    with servers.connect(url) as user, opened(url) as store:
        backfill(store, GUARD, REPAIR, now=NOW)
        user.execute("BEGIN")
        user.execute("UPDATE services SET note = 'theirs' WHERE _id = 'k9'")
        later.start()
        back = rollback(store, now=NOW)
        later.join()

    assert [] == problems
    assert ("complete", 10) == (back.status, back.counts.changed)


@pytest.mark.parametrize("wait", [0.0, 0.05])
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("was", [None, 0])
def test_written_while_we_wait(url: str, was: int | None, encoding: str, wait: float) -> None:
    """
    What somebody commits between our look and our write, or while we wait for their row, is not overwritten.
    """
    make(url, TABLE, rows=[[f"k{n}", MS - DAY, was, ""] for n in range(10)])
    commit = threading.Timer(wait, lambda: user.execute("COMMIT"))
    with servers.connect(url) as user, opened(url, encodings=encoding) as store:

        def hook(point: str) -> None:
            if point == STEP_BEGUN and commit.ident is None:
                user.execute("BEGIN")
                user.execute(f"UPDATE services SET \"updatedAt\" = {MS} WHERE _id = 'k5'")
                commit.start()
                if not wait:
                    commit.join()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(served, "LOCK", 5.0)
            patch.setattr(faults, "hook", hook)
            run = backfill(store, GUARD, REPAIR, now=NOW)
        commit.join()

        assert 9 == run.counts.changed
        assert run.ok or run.counts.left == run.counts.refused == 1  # passed over, where nobody is waited for
        assert ("complete", 0) == ((again := backfill(store, GUARD, REPAIR, now=NOW)).status, again.counts.changed)
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

    assert ["1 complete 200"] == ends(url, 3)
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


def test_frozen(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A worker that is frozen in the middle of a step holds its rows no longer than the server lets it, and is told.
    """
    plain(url)
    monkeypatch.setattr(server_module, "IDLE", "300ms")
    with opened(url) as store, pytest.raises(ConnectionLost), store.server.writing():
        store.server.run("UPDATE services SET note = 'ours'")
        time.sleep(0.6)
        servers.sql(url, "SET lock_timeout = '200ms'", "UPDATE services SET note = 'theirs'")
        store.server.run("UPDATE services SET note = 'ours'")

    assert [("theirs",)] == servers.sql(url, "SELECT DISTINCT note FROM services")


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
