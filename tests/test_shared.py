"""
Several workers share one run on a server: what they do together is what one would have done, whatever becomes of them.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
import pymysql
import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import servers, sqlite_files
from timestamp_guard import backfill, check, rollback, runs, verify
from timestamp_guard.engine import sharing
from timestamp_guard.engine.care import origins
from timestamp_guard.engine.lease import me
from timestamp_guard.errors import LeaseLost, RunBusy, TooManyFailures, UsageError
from timestamp_guard.ledger import Run, changes_of
from timestamp_guard.stores.base import Step

from .others import Lived, heard, nothing_is_lost, said, spawn, told, writers
from .postgresql_tables import DAY, GUARD, MS, NOW, REPAIR
from .served_tables import KINDS, dump, make, opened, server
from .sqlite_files import slowly

TABLE: Final = 'CREATE TABLE services (_id varchar(40) PRIMARY KEY, "createdAt" bigint, "updatedAt" bigint, note text)'
ENCODINGS: Final = ("epoch_ms", "epoch_ms/us")
"""Judged by the server, and row by row in Python."""

PARTED: Final = {
    "postgresql": (
        (
            'CREATE TABLE services (id int, kind int, "createdAt" bigint, "updatedAt" bigint, note text, '
            "PRIMARY KEY (id, kind)) PARTITION BY LIST (kind)"
        ),
        *(f"CREATE TABLE services_{n} PARTITION OF services FOR VALUES IN ({n})" for n in range(5)),
    ),
    "mariadb": (
        (
            'CREATE TABLE services (id int, kind int, "createdAt" bigint, "updatedAt" bigint, note text, '
            "PRIMARY KEY (id, kind)) PARTITION BY HASH (kind) PARTITIONS 5"
        ),
    ),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """
    The kind of server.
    """
    return str(request.param)


@pytest.fixture
def url(kind: str) -> Iterator[str]:
    """
    An empty database.
    """
    with servers.database(server(kind)) as made:
        yield made


def plain(url: str, count: int = 300) -> str:
    """A table with rows to fill, and some that need nothing."""
    rows = [[f"k{n}", MS - DAY - n, MS - n if n % 7 == 0 else None, "ours"] for n in range(count)]
    return make(url, TABLE, rows=rows)


def ask(url: str, sql: str) -> Any:
    """What somebody else sees: one value."""
    return servers.sql(url, sql)[0][0]


def made(store: Any, run: Run) -> list[Any]:
    """What a run changed, in the order of keys."""
    return sorted((c.key, c.before, c.after, c.candidate) for _, c in changes_of(store.ledger, run))


def ranges(url: str) -> int:
    """How many ranges the ledger holds."""
    return int(ask(url, "SELECT count(*) FROM timestamp_guard_runs WHERE parent IS NOT NULL"))


def users(url: str) -> Any:
    """All that is the users'."""
    return {what: rows for what, rows in dump(url).items() if "timestamp_guard" not in what}


def workers(url: str, count: int, *, pause: float = 0.02, lease: float = 30, now: int = NOW) -> list[Any]:
    """So many workers, who are told to go at the same instant."""
    processes = [spawn("share", url, pause, lease, now) for _ in range(count)]
    for each in processes:
        heard(each, "ready")
    for each in processes:
        told(each)
    return processes


def last(process: Any) -> str:
    """How a worker ended."""
    return said(process).splitlines()[-1]


class Left(BaseException):
    """A worker is gone, at once."""


def leave(after: int) -> Any:
    """Is told of steps, and leaves after so many."""
    steps = iter(range(after))

    def progress(_: Step) -> None:
        if next(steps, None) is None:
            raise Left

    return progress


def begin(store: Any, steps: int = 30, **how: Any) -> Run:
    """A shared run that a worker left half-way."""
    with contextlib.suppress(Left):
        backfill(
            store, GUARD, REPAIR, **{"now": NOW, "pace": slowly(2), "shared": True, "progress": leave(steps)} | how
        )
    return runs(store)[-1]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_as_one(url: str, encoding: str) -> None:
    """
    A shared run ends as a run of one worker does, with the same changes; it is shown as one, and is taken back exactly.
    """
    plain(url)
    before = users(url)
    with opened(url, encodings=encoding) as store:
        one = backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(2))
        filled, changes = users(url), made(store, one)
        rollback(store, now=NOW)

        run = backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(2), shared=True)

        assert (one.status, one.counts) == (run.status, run.counts)
        assert filled == users(url)
        assert changes == made(store, run)
        assert run == runs(store)[-1]
        assert 0 == ranges(url)
        assert verify(store, GUARD, "updatedAt", now=NOW).ok
        ((origin, change, back), *_) = origins(store.ledger, store.name, changes[0][0])
        assert (run, changes[0][0], None) == (origin, change.key, back)

        back = rollback(store, now=NOW, pace=slowly(30))

        assert ("complete", run.counts.changed) == (back.status, back.counts.changed)
        assert before == users(url)


@pytest.mark.parametrize("count", [2, 4])
def test_several(url: str, count: int) -> None:
    """
    Workers who begin at the same instant work on one run, all at once, and change every row that needs it once.
    """
    plain(url)
    before = users(url)

    ends = [last(each) for each in workers(url, count)]

    with opened(url) as store:
        (run,) = runs(store)
        assert {f"{run.id} complete 257"} == set(ends)
        assert 257 == len({key for key, *_ in made(store, run)}) == run.counts.changed
        assert check(store, GUARD, now=NOW).ok
        assert 0 == ranges(url)
        rollback(store, now=NOW)
        assert before == users(url)


def test_at_once(url: str) -> None:
    """
    They do not wait for one another: two steps of two workers are under way at the same time.
    """
    plain(url)
    processes = workers(url, 2, pause=0.05)
    for each in processes:
        heard(each, "step", "step")

    assert 2 <= ask(url, "SELECT count(DISTINCT owner) FROM timestamp_guard_runs WHERE parent IS NOT NULL")

    assert 1 == len({last(each) for each in processes})


def test_killed(url: str) -> None:
    """
    What a worker leaves that was killed is taken over by another one, at once where they share a host.
    """
    plain(url)
    before = users(url)
    one, other = workers(url, 2)
    heard(one, "step", "step", "step")

    os.kill(one.pid, signal.SIGKILL)
    one.communicate()

    assert last(other).endswith("complete 257")
    with opened(url) as store:
        assert 257 == len(made(store, runs(store)[-1]))
        rollback(store, now=NOW)
        assert before == users(url)


def test_frozen(url: str) -> None:
    """
    A worker that is frozen until its lease ran out is taken over, and writes nothing when it wakes: it finds the run at its
    end.
    """
    plain(url)
    one, other = workers(url, 2, lease=1)
    heard(one, "step", "step", "step")

    os.kill(one.pid, signal.SIGSTOP)
    try:
        assert last(other).endswith("complete 257")
        ended = dump(url), ranges(url)
    finally:
        os.kill(one.pid, signal.SIGCONT)

    assert last(one).endswith("complete 257")
    assert ended == (dump(url), ranges(url))


def test_range_is_lost(url: str) -> None:
    """
    A worker whose range was taken over writes nothing to it, and goes on with what is left.
    """
    plain(url)
    taken: list[Run] = []

    def take(_: Step) -> None:
        if not taken:
            with opened(url) as other:
                (run,) = other.ledger.runs()
                (part,) = other.ledger.ranges(run)
                taken.append(other.ledger.claim(part, me(), 0))

    with opened(url) as store:
        run = backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(2), progress=take, shared=True)

        assert ("complete", 257) == (run.status, run.counts.changed)
        assert 257 == len({key for key, *_ in made(store, run)})
        with pytest.raises(LeaseLost):
            store.ledger.save(taken[0])


def test_joined_by_who_says_so(url: str) -> None:
    """
    Who does not say that the work is to be shared is refused while others are at it, and told how to join.
    """
    plain(url)
    (worker,) = workers(url, 1)
    heard(worker, "step", "step")

    with opened(url) as store:
        with pytest.raises(
            RunBusy, match=r"process \d+ on .*: backfill 1; share the work with .*shared=True.*--workers"
        ):
            backfill(store, GUARD, REPAIR, now=NOW)
        run = backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(2), shared=True)

    assert f"{run.id} complete 257" == last(worker)


def test_alone_after_all(url: str) -> None:
    """
    What workers left that are gone is finished by one that was not asked to share.
    """
    plain(url)
    with opened(url) as store:
        run = begin(store)
        assert 0 < run.counts.changed < 257

        done = backfill(store, GUARD, REPAIR, now=NOW)

        assert (run.id, "complete", 257) == (done.id, done.status, done.counts.changed)
        assert 257 == len({key for key, *_ in made(store, done)})


def test_shared_after_all(url: str) -> None:
    """
    A run that one worker began, like a canary, is gone on with by several; its changes are in one order.
    """
    plain(url)
    before = users(url)
    with opened(url) as store:
        canary = backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(2), most=20)
        assert "stopped" == canary.status

        ends = [last(each) for each in workers(url, 2)]

        assert {f"{canary.id} complete 257"} == set(ends)
        (run,) = runs(store)
        assert 257 == len({key for key, *_ in made(store, run)})
        numbers = [number for number, _ in changes_of(store.ledger, run)]
        assert sorted(numbers, reverse=True) == numbers
        assert [*range(1, 21)] == numbers[:-21:-1]
        rollback(store, now=NOW, pace=slowly(7))
        assert before == users(url)


def test_shown_as_one(url: str) -> None:
    """
    An unfinished run is shown with what all of its ranges did, and what they changed can be listed.
    """
    plain(url)
    with opened(url) as store:
        run = begin(store)

        assert 1 == ranges(url)
        assert [run] == runs(store)
        assert run.counts.changed == len(made(store, run))
        assert [number for number, _ in store.ledger.changes(run, 0, 1)] == [run.last_change]


@pytest.mark.parametrize("parts", [1, 60])
def test_rollback_of_unfinished(url: str, parts: int) -> None:
    """
    A run that was left half-way is taken back with all of its ranges; not while somebody works on one.
    """
    plain(url)
    before = users(url)
    (worker,) = workers(url, 1)
    heard(worker, *["step"] * parts)
    with opened(url) as store:
        with pytest.raises(RunBusy):
            rollback(store, now=NOW, lease=timedelta(seconds=1))
        worker.kill()
        worker.communicate()
        run = runs(store)[-1]

        back = rollback(store, now=NOW)

        assert (run.id, "complete", run.counts.changed) == (back.undoes, back.status, back.counts.changed)
        assert 0 == ranges(url)
        assert before == users(url)
        assert "incomplete" == runs(store)[0].status


def test_partitions(url: str, kind: str) -> None:
    """
    A table in parts, with a key of two columns, is filled by several workers, wherever its rows are.
    """
    rows = [[n, n * n % 4, MS - DAY - n, None, "ours"] for n in range(200)]
    make(url, *PARTED[kind], rows=rows)
    before = users(url)

    ends = {last(each) for each in workers(url, 2)}

    assert {"1 complete 200"} == ends
    with opened(url) as store:
        assert sorted((n, n * n % 4) for n in range(200)) == [key for key, *_ in made(store, runs(store)[-1])]
        rollback(store, now=NOW)
        assert before == users(url)


@pytest.mark.parametrize("count", [0, 1])
def test_few_rows(url: str, count: int) -> None:
    """
    Workers of an empty table, or of fewer rows than there are of them, have nothing to do, and end.
    """
    plain(url, 2)
    servers.sql(url, f"DELETE FROM services WHERE _id <> '{'k1' * count}'")

    with opened(url) as store:
        run = backfill(store, GUARD, REPAIR, now=NOW, shared=True)

        assert (count, "complete") == (run.counts.changed, run.status)
        assert "complete" == backfill(store, GUARD, REPAIR, now=NOW, shared=True).status


def test_emptied(url: str) -> None:
    """
    A table that is emptied meanwhile leaves nothing to do.
    """
    plain(url)
    with opened(url) as store:
        canary = backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(2), most=20)
        servers.sql(url, "DELETE FROM services")

        run = backfill(store, GUARD, REPAIR, now=NOW, shared=True)

        assert (canary.id, "complete", canary.counts.changed) == (run.id, run.status, run.counts.changed)


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_once(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Whatever the keys are and wherever a range ends, every row is in one range: one sweep changes each of them once.
    """
    monkeypatch.setattr(sharing, "STEPS", 1)
    texts = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs"]), min_size=1, max_size=6)
    collated = {"postgresql": "", "mariadb": " COLLATE utf8mb4_bin"}[kind]
    with servers.database(server(kind)) as url:
        make(
            url,
            f'CREATE TABLE services (a varchar(9){collated}, b int, "createdAt" bigint, "updatedAt" bigint, '
            f"PRIMARY KEY (a, b))",
        )

        @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(keys=st.sets(st.tuples(texts, st.integers(-3, 3)), max_size=40), size=st.integers(1, 9))
        def tried(keys: set[tuple[str, int]], size: int) -> None:
            servers.sql(url, "TRUNCATE TABLE services")
            make(url, rows=[[*key, MS - DAY, None] for key in sorted(keys)])
            with opened(url) as store:
                run = backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(size), shared=True)

                assert ("complete", 1) == (run.status, run.sweep)
                assert sorted(keys) == ([key for key, *_ in made(store, run)] if run.id else [])
                rollback(store, now=NOW)

        tried()


def test_nothing_is_lost(url: str, tmp_path: Path) -> None:
    """
    What users write beside several workers is there at the end, and all else is filled, and is as it was.
    """
    count = 1500
    plain(url, 0)
    make(url, rows=[[f"k{n}", MS - DAY - n, None, "ours"] for n in range(count)])

    def contents() -> dict[str, tuple[Any, Any]]:
        return {key: (at, note) for key, at, note in servers.sql(url, 'SELECT _id, "updatedAt", note FROM services')}

    @contextlib.contextmanager
    def beside(lived: list[Lived]) -> Iterator[None]:
        with writers(url, tmp_path / f"stop {len(lived)}", lived, count, 0.003):
            processes = [] if lived else workers(url, 2, now=NOW + 10**12)
            yield
            for each in processes:
                assert last(each)

    def besides(lived: list[Lived]) -> AbstractContextManager[None]:
        return beside(lived)

    with opened(url, timeout=20) as store:
        nothing_is_lost(store, contents, besides, size=20, pause=0.02, shared=True)


def test_quarantined_once(url: str) -> None:
    """
    A row that cannot be written is set aside once, also where another sweep follows.
    """
    plain(url)
    servers.sql(url, "ALTER TABLE services ADD CONSTRAINT odd CHECK (note <> 'bad' OR \"updatedAt\" IS NULL)")
    servers.sql(url, "UPDATE services SET note = 'bad' WHERE _id = 'k123'")
    come: list[None] = []

    def meanwhile(step: Step) -> None:
        if step.run.counts.quarantined and not come:
            come.append(None)
            # Where the sweep has been; in PostgreSQL they come at the end, where it does not come by any more.
            rows = ", ".join(f"('a{n}', {MS - DAY}, NULL, 'new')" for n in range(400))
            servers.sql(url, f"INSERT INTO services VALUES {rows}")

    with opened(url) as store:
        run = backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(2), progress=meanwhile, shared=True)

        assert ("incomplete", 2) == (run.status, run.sweep)
        assert (656, 1) == (run.counts.changed, run.counts.quarantined)
        assert ["k123"] == [each.key for each in store.ledger.quarantined(run)]


def test_breaker(url: str) -> None:
    """
    Where too many writes fail, whoever sees it stops the run, for all; it goes on when the cause is mended.
    """
    plain(url)
    servers.sql(url, 'UPDATE services SET note = NULL WHERE "updatedAt" IS NOT NULL')
    servers.sql(url, "ALTER TABLE services ADD CONSTRAINT odd CHECK (\"updatedAt\" IS NULL OR note <> 'ours')")
    with opened(url) as store:
        with pytest.raises(TooManyFailures, match=r"run 1 on services stopped: \d+ of \d+ writes failed"):
            backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(2), shared=True)
        run = runs(store)[-1]
        assert ("stopped", 0) == (run.status, run.counts.changed)
        assert run.reason is not None
        servers.sql(url, "ALTER TABLE services DROP CONSTRAINT odd")

        done = backfill(store, GUARD, REPAIR, now=NOW, shared=True)

        assert (257, run.counts.quarantined) == (done.counts.changed + done.counts.quarantined, done.counts.quarantined)


def test_stopped_for_all(url: str) -> None:
    """
    A worker that finds the run stopped by another one ends after its range.
    """
    plain(url)
    stopped: list[Run] = []

    def stop(_: Step) -> None:
        if not stopped:
            with opened(url) as other:
                (run,) = other.ledger.runs()
                stopped.append(other.ledger.share(evolve(run, status="stopped", reason="enough")))

    with opened(url) as store:
        run = backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(2), progress=stop, shared=True)

        assert ("stopped", "enough", 0) == (run.status, run.reason, ranges(url))
        assert 0 < run.counts.changed < 257
        assert "complete" == backfill(store, GUARD, REPAIR, now=NOW, shared=True).status


def test_moved_to_another_range(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A row that moves from the range of one worker to that of another, and is changed by both, is given back what it held
    last: in PostgreSQL a row is where there is room for it.
    """
    monkeypatch.setattr(sharing, "STEPS", 8)  # the first range is one of many pages
    with servers.database(server("postgresql")) as url:
        plain(url, 3000)
        servers.sql(url, "DELETE FROM services WHERE ctid >= '(3,0)' AND ctid < '(11,0)'", "VACUUM services")
        met: list[Any] = []

        def other_worker(_: Step) -> None:
            if met:
                return
            met.append(None)
            with opened(url) as other:
                begin(other, 3, pace=slowly(100))
                (_, change), *_ = other.ledger.changes(runs(other)[-1], 0, 1)
                key = met[0] = change.key
            created = ask(url, f"SELECT \"createdAt\" FROM services WHERE _id = '{key}'")
            servers.sql(url, f"DELETE FROM services WHERE _id = '{key}'")
            servers.sql(url, f"INSERT INTO services VALUES ('{key}', {created}, 0, 'moved')")
            assert ask(url, f"SELECT (ctid::text::point)[0] FROM services WHERE _id = '{key}'") in range(3, 11)

        with opened(url) as store:
            run = backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(100), progress=other_worker, shared=True)
            assert [0, None] == [c.before for _, c in changes_of(store.ledger, run) if c.key == met[0]]

            back = rollback(store, now=NOW)

            assert 1 == back.counts.refused
            assert 0 == ask(url, f"SELECT \"updatedAt\" FROM services WHERE _id = '{met[0]}'")


def test_purged(url: str) -> None:
    """
    What a shared run changed is forgotten, all of it.
    """
    plain(url)
    with opened(url) as store:
        run = backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(2), shared=True)

        store.ledger.purge(run)

        assert 0 == ask(url, "SELECT count(*) FROM timestamp_guard_changes")


def test_refused_elsewhere(tmp_path: Path) -> None:
    """
    Where there is one writer at a time, nothing can be shared.
    """
    path = sqlite_files.make(tmp_path / "app.db", "CREATE TABLE services (_id TEXT PRIMARY KEY, createdAt, updatedAt)")

    with sqlite_files.opened(path) as store, pytest.raises(UsageError, match="one writer at a time"):
        backfill(store, GUARD, REPAIR, now=NOW, shared=True)


def test_canary_is_not_shared(url: str) -> None:
    """
    A run that is to be looked at is filled by one worker.
    """
    plain(url)

    with opened(url) as store, pytest.raises(UsageError, match="leave it out where several share the run"):
        backfill(store, GUARD, REPAIR, now=NOW, most=5, shared=True)


def command(*words: str) -> subprocess.Popen[str]:
    """The command line."""
    return subprocess.Popen(
        [sys.executable, "-m", "timestamp_guard", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent / "src")},
        # Who starts the tests may have made itself deaf to it, like a job in the background, and so all its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - there are no threads
    )


MEANT: Final = (  # noqa: SIM905 - as it is typed
    "--table services --updated updatedAt --created createdAt --encoding epoch_ms --fill createdAt --pace 1ms"
).split()


def at_work(url: str, filling: subprocess.Popen[str], count: int) -> None:
    """Wait until so many processes are at it."""
    while filling.poll() is None:
        with contextlib.suppress(psycopg.Error, pymysql.Error):  # the ledger is not there yet
            if ask(url, "SELECT count(DISTINCT owner) FROM timestamp_guard_runs WHERE parent IS NOT NULL") == count:
                return
        time.sleep(0.02)
    pytest.fail(f"it ended before there were {count}: {filling.communicate()}")


def test_on_the_command_line(url: str) -> None:
    """
    `--workers` has several processes fill a table, of which `runs` tells; they end with it, and say one thing.
    """
    plain(url, 20_000)
    filling = command("backfill", url, *MEANT, "--pause-unless", "sleep 0.1", "--workers", "3")
    at_work(url, filling, 3)

    asked = command("runs", url), command("runs", "show", "1", url)
    refused = command("backfill", url, *MEANT)
    listed, shown = (each.communicate()[0] for each in asked)
    answer = refused.communicate()

    assert "backfill 1, running" in listed
    assert re.search(", [123] at work", listed)
    assert "filled so far: process" in shown
    assert 3 == refused.returncode
    assert "share the work with" in answer[1]
    out, err = filling.communicate()
    assert "services: backfill 1, complete: 17,142 filled\n" == out
    assert re.fullmatch(r"(services: nothing is left to take in sweep \d; waiting for .*\n)*", err)
    assert 0 == filling.returncode


def test_interrupted(url: str) -> None:
    """
    Ctrl-C ends all of them; the same command goes on.
    """
    plain(url, 20_000)
    filling = command("backfill", url, *MEANT, "--pause-unless", "sleep 0.1", "--workers", "2")
    at_work(url, filling, 2)

    filling.send_signal(signal.SIGINT)

    assert "call the same command again" in filling.communicate()[1]
    assert 130 == filling.returncode
    assert 0 == ask(url, "SELECT count(*) FROM timestamp_guard_runs WHERE owner IS NOT NULL")
    again = command("backfill", url, *MEANT, "--workers", "2")
    assert "services: backfill 1, complete: 17,142 filled\n" == again.communicate()[0]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--workers", "0"), "--workers: wanted 1 or more, found 0"),
        (("--workers", "2", "--canary"), "--canary is filled by one process: leave --workers out"),
    ],
)
def test_wrong_words(url: str, words: tuple[str, ...], problem: str) -> None:
    """
    What cannot be meant is refused before anything is written.
    """
    plain(url, 10)

    refused = command("backfill", url, *MEANT, *words)

    assert problem in refused.communicate()[1]
    assert 2 == refused.returncode
