"""
Connections that are cut and servers that end: a run goes on by itself or on the next call, and ends as if nothing had been.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from attrs import asdict

from tests import servers
from tests.proxy import Proxy, proxy
from timestamp_guard import _faults as faults
from timestamp_guard import backfill, check, rollback
from timestamp_guard.errors import LeaseLost, StoreError, TimestampGuardError
from timestamp_guard.frozen import freeze

from .postgresql_tables import DAY, GUARD, MS, NOW, OURS, REPAIR
from .served_tables import KINDS, by_way_of, cut_off, dump, fill, make, opened, own_server, server
from .sqlite_files import slowly

TABLE: Final = 'CREATE TABLE services (_id varchar(40) PRIMARY KEY, "createdAt" bigint, "updatedAt" bigint, note text)'
ROWS: Final = [[f"k{n}", MS - DAY * n, None if n % 3 else 0, "note"] for n in range(1, 17)]
SIZE: Final = 5
LEASE: Final = timedelta(seconds=2)
"""What is waited for where a run could not be given up, since its owner lives."""

ENCODINGS: Final = ("epoch_ms", "epoch_ms/us")
"""Judged by the server, and row by row in Python."""

LONG: Final = os.environ.get("TIMESTAMP_GUARD_KILL") == "long"
CUTS: Final = 200 if LONG else 12

POINTS: Final = [name for name in faults.POINTS if name.startswith("server: ")]


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """
    A database with a table to fill.
    """
    with servers.database(server(request.param)) as made:
        yield make(made, TABLE, rows=ROWS)


def afresh(url: str) -> None:
    """All as it was at first."""
    with servers.connect(url) as user:
        ours = OURS if url.startswith("postgresql") else [*OURS, "timestamp_guard_changes"]  # there it is a view
        user.execute(f"DROP TABLE IF EXISTS {', '.join(ours)} CASCADE")
        user.execute("TRUNCATE services")
    fill(url, "services", ROWS)


def state(url: str) -> Any:
    """All that is to be equal: rows, and what the ledger says."""
    with opened(url) as store:
        history = [
            (
                run.action, run.status, asdict(run.counts), run.owner,
                Counter(freeze([c.key, c.before, c.after, c.candidate]) for _, c in store.ledger.changes(run)),
            )
            for run in store.ledger.runs("services")
        ]  # fmt: skip
    return sorted(servers.sql(url, "SELECT * FROM services")), history


def act(url: str, name: str, encoding: str) -> None:
    """A backfill or a rollback in some steps, over a connection of its own."""
    with opened(url, encodings=encoding) as store:
        if name == "backfill":
            backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(SIZE), lease=LEASE)
        else:
            rollback(store, now=NOW, pace=slowly(SIZE), lease=LEASE)


ACTS: Final = ("backfill", "rollback")


def calm(url: str, encoding: str) -> list[Any]:
    """What comes of it when nobody is disturbed: after each act."""
    found = []
    for name in ACTS:
        act(url, name, encoding)
        found.append(state(url))
    afresh(url)
    return found


def in_the_end(url: str, name: str, encoding: str, again: Callable[[], str] | None = None) -> int:
    """Call until it is done; how many calls it took."""
    for calls in range(1, 8):
        try:
            act(again() if again else url, name, encoding)
        except StoreError as problem:
            assert not isinstance(problem, LeaseLost)
        else:
            return calls
    raise AssertionError(name)


# -- one backend ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("point", POINTS)
def test_terminated(url: str, point: str, encoding: str) -> None:
    """
    A backend that is ended at any point, each time that it is reached, is no end of the run.
    """
    wanted = calm(url, encoding)
    struck = 0
    for number in range(1, 5):
        for name, end in zip(ACTS, wanted, strict=True):
            reached = [0]

            def hook(at: str, name: str = name, reached: list[int] = reached, number: int = number) -> None:
                if at == point:
                    reached[0] += 1
                    if reached[0] == number:
                        cut_off(url)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(faults, "hook", hook)
                assert 1 == in_the_end(url, name, encoding)
            struck += reached[0] >= number

            assert end == state(url)
        afresh(url)

    assert struck >= 3


def test_terminated_now_and_then(url: str) -> None:
    """
    A run goes on by itself however often its connection is ended.
    """
    fill(url, "services", [[f"x{n}", MS - n, None, None] for n in range(400)])
    first = dump(url)
    stop = threading.Event()
    times = [0]

    def cutting() -> None:
        chance = random.Random(1)
        while not stop.wait(0.1 + 0.3 * chance.random()):
            cut_off(url)
            times[0] += 1

    thread = threading.Thread(target=cutting)
    thread.start()
    try:
        pace = slowly(10)
        pace.throttles = [lambda: 0.02]
        with opened(url) as store:
            run = None
            for _ in range(10):
                with contextlib.suppress(StoreError):
                    run = backfill(store, GUARD, REPAIR, now=NOW, pace=pace)
                    break
            back = None
            for _ in range(10):
                with contextlib.suppress(StoreError):
                    back = rollback(store, now=NOW, pace=pace)
                    break
    finally:
        stop.set()
        thread.join()

    assert run is not None
    assert back is not None
    assert (("complete", 416), ("complete", 416)) == (
        (run.status, run.counts.changed), (back.status, back.counts.changed)
    )  # fmt: skip
    assert first == dump(url)
    assert times[0] > 3


def test_same_store_goes_on(url: str) -> None:
    """
    A store whose connection was ended while nobody used it makes another.
    """
    with opened(url) as store:
        for name in ACTS:
            cut_off(url)
            run = backfill(store, GUARD, REPAIR, now=NOW) if name == "backfill" else rollback(store, now=NOW)
            cut_off(url)

            assert ("complete", 16) == (run.status, run.counts.changed)
            assert check(store, GUARD, now=NOW).ok == (name == "backfill")
    assert sorted(map(tuple, ROWS)) == sorted(servers.sql(url, "SELECT * FROM services"))


# -- the wire ---------------------------------------------------------------------------------------------------


@pytest.fixture
def wire(url: str) -> Iterator[tuple[Proxy, str]]:
    """
    The database through a proxy, and the address for that.
    """
    parts = urlsplit(servers.tcp(url))
    with proxy((parts.hostname or "127.0.0.1", parts.port or 5432)) as made:
        yield made, by_way_of(url, made.port)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", ACTS)
def test_cut(url: str, wire: tuple[Proxy, str], name: str, encoding: str) -> None:
    """
    A connection that is cut after any number of bytes, and the next ones too, is no end of the run: it goes on by itself
    or on the next call, and ends as if nothing had been.
    """
    between, theirs = wire
    wanted = calm(url, encoding)[ACTS.index(name)]
    if name == "rollback":
        act(url, "backfill", encoding)
    between.begin()
    act(theirs, name, encoding)
    (length,) = between.passed
    chance = random.Random(7)
    calls = Counter[int]()
    for turn in range(CUTS):
        afresh(url)
        if name == "rollback":
            act(url, "backfill", encoding)
        cuts = [chance.randrange(length), *(chance.randrange(length) for _ in range(turn % 3))]
        between.begin(cuts)

        calls[in_the_end(theirs, name, encoding)] += 1

        assert wanted == state(url), cuts
    assert calls[1] >= CUTS // 5


# -- the server -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=KINDS)
def own(request: pytest.FixtureRequest) -> Iterator[tuple[servers.Server, str]]:
    """
    A server that may end, and a database there.
    """
    # By TCP, for PyMySQL never closes a Unix socket that it could not connect.
    with own_server(request.param) as made, servers.database(servers.tcp(made.url)) as url:
        yield made, make(url, TABLE, rows=ROWS)


@pytest.mark.parametrize("point", POINTS)
def test_server_killed(own: tuple[servers.Server, str], point: str) -> None:
    """
    A server that ends at once and comes again during a run is no end of the run.
    """
    made, url = own
    afresh(url)
    wanted = calm(url, "epoch_ms")
    struck = []

    def hook(at: str) -> None:
        reached.append(at)
        if at == point and reached.count(point) == 2:
            made.kill()
            made.start()
            struck.append(at)

    for name, end in zip(ACTS, wanted, strict=True):
        reached: list[str] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(faults, "hook", hook)
            assert 1 == in_the_end(url, name, "epoch_ms")
        assert end == state(url)
    assert struck


def test_server_away(own: tuple[servers.Server, str]) -> None:
    """
    Where the server stays away that is said, and the run goes on when it is there again.
    """
    made, url = own
    afresh(url)
    wanted = calm(url, "epoch_ms")
    left = [1]

    def hook(at: str) -> None:
        if at == "server: step saved" and left and left.pop():
            made.kill()

    with opened(url) as store:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(faults, "hook", hook)
            began = time.monotonic()
            with pytest.raises(TimestampGuardError, match="cannot be reached|was lost"):
                backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(SIZE))
            assert time.monotonic() - began < 30
        made.start()
        with pytest.MonkeyPatch.context() as patch:
            # Its owner is this process, which lives: so its lease is waited out.
            patch.setattr("timestamp_guard.engine.lease.dead", lambda _: True)
            backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(SIZE))
    assert wanted[0] == state(url)
