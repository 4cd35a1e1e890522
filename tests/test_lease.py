"""
Who works on a run: one process at a time, and none that was taken for dead.
"""

import contextlib
import importlib
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from timestamp_guard.engine.lease import acquire, dead, me, release, renewed
from timestamp_guard.errors import LeaseLost, LedgerError, RunBusy
from timestamp_guard.ledger import MemoryLedger, Run

LEASE = importlib.import_module("timestamp_guard.engine.lease")
MINUTE = timedelta(minutes=1)
SHORT = timedelta(seconds=0.3)


@contextlib.contextmanager
def living() -> Iterator[str]:
    """The owner of another process, which lives and says nothing."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        yield owner(other.pid)
        other.kill()


@pytest.fixture
def alive() -> Iterator[str]:
    """
    Such an owner, for as long as a test runs.
    """
    with living() as whose:
        yield whose


def owner(pid: int, **other: Any) -> str:
    return json.dumps(json.loads(me()) | {"pid": pid, "started": LEASE._started(pid)} | other)


def begun(ledger: MemoryLedger, whose: str | None, lease: timedelta = MINUTE) -> Run:
    return ledger.begin(renewed(Run(None, "backfill", "t", "{}", 0, owner=whose), lease))


def never(seconds: float) -> None:
    pytest.fail(f"slept for {seconds} s")


def test_nobodys() -> None:
    """
    A run that was given up is taken at once.
    """
    ledger = MemoryLedger()
    run = begun(ledger, None)

    taken = acquire(ledger, run, MINUTE, sleep=never)

    assert (me(), run.generation + 1) == (taken.owner, taken.generation)
    assert 59 < (taken.lease_until - time.time_ns()) / 1e9 <= 60
    assert [taken] == ledger.runs()


def test_dead_owner() -> None:
    """
    That of a dead process too: whoever has its number now is another one.
    """
    with subprocess.Popen([sys.executable, "-c", ""]) as other:
        whose = owner(other.pid)
    ledger = MemoryLedger()

    assert dead(whose)
    assert dead(owner(os.getpid(), started="another time"))
    assert me() == acquire(ledger, begun(ledger, whose), MINUTE, sleep=never).owner


def test_zombie() -> None:
    """
    A process that ended and was not waited for is dead.
    """
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        whose = owner(other.pid)
        assert not dead(whose)
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)

        assert dead(whose)


def test_elsewhere() -> None:
    """
    Of a process on another machine nobody knows whether it is dead.
    """
    assert not dead(owner(2**22 + 1, host="another machine"))
    assert not dead(me())


def test_live_owner_is_waited_for(alive: str, caplog: pytest.LogCaptureFixture) -> None:
    """
    A lease of a process that lives is waited out, and it is said for whom and how long at most.
    """
    ledger = MemoryLedger()
    run = begun(ledger, alive, SHORT)
    began = time.time_ns()

    taken = acquire(ledger, run, MINUTE)

    assert me() == taken.owner
    assert began + 0.25e9 < time.time_ns()
    (said,) = caplog.messages
    assert f"t: waiting 0 s at most for process {json.loads(alive)['pid']} on " in said


def test_grace(alive: str) -> None:
    """
    Where a write may still land, a while more.
    """
    ledger = MemoryLedger()
    run = begun(ledger, alive, timedelta(0))
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        time.sleep(seconds)

    acquire(ledger, run, MINUTE, grace=SHORT, sleep=sleep)

    assert 0.25 < sum(slept) < 1


def test_busy(alive: str) -> None:
    """
    A process that lives and works is left alone, and named.
    """
    ledger = MemoryLedger()
    run = begun(ledger, alive)

    def works(_: float) -> None:
        ledger.save(renewed(run, 2 * MINUTE))

    with pytest.raises(RunBusy, match=f"t is being worked on by process {json.loads(alive)['pid']} on .*: backfill 1"):
        acquire(ledger, run, MINUTE, sleep=works)
    assert alive == ledger.runs()[0].owner


def test_given_up_meanwhile(alive: str) -> None:
    """
    What its owner gives up while we wait is taken.
    """
    ledger = MemoryLedger()
    run = begun(ledger, alive)

    assert me() == acquire(ledger, run, MINUTE, sleep=lambda _: release(ledger, run)).owner


def test_ended_meanwhile(alive: str) -> None:
    """
    What its owner ends while we wait is over, and nobody's.
    """
    ledger = MemoryLedger()
    run = begun(ledger, alive)
    over = evolve(run, status="complete", owner=None, lease_until=0)

    def end(_: float) -> None:
        ledger.save(over)

    assert over == acquire(ledger, run, MINUTE, sleep=end)
    assert [over] == ledger.runs()


def test_another_was_faster() -> None:
    """
    Of two that take a run over, one does.
    """
    ledger = MemoryLedger()
    run = begun(ledger, None)
    first = acquire(ledger, run, MINUTE)

    with pytest.raises(LeaseLost):
        acquire(ledger, run, MINUTE)
    assert [first] == ledger.runs()


def test_release() -> None:
    """
    A run is given up where it stands in the ledger, with a reason if there is one.
    """
    ledger = MemoryLedger()
    run = begun(ledger, me())
    further = ledger.save(evolve(run, cursor=7))

    release(ledger, run)
    assert [evolve(further, owner=None, lease_until=0)] == ledger.runs()
    release(ledger, run, "stopped", "no room")
    assert ("stopped", "no room", 7) == ((held := ledger.runs()[0]).status, held.reason, held.cursor)


def test_release_of_another() -> None:
    """
    What was taken over is not given up by whom it was taken from.
    """
    ledger = MemoryLedger()
    run = begun(ledger, None)
    taken = acquire(ledger, run, MINUTE)

    release(ledger, run)
    assert [taken] == ledger.runs()


def test_release_that_cannot_be_written(caplog: pytest.LogCaptureFixture) -> None:
    """
    What cannot be given up runs out: that is a warning, not an error over the one that is on its way.
    """

    class Broken(MemoryLedger):
        def save(self, run: Run) -> Run:
            msg = "no room"
            raise LedgerError(msg)

    ledger = Broken()
    run = begun(ledger, me())

    with caplog.at_level(logging.WARNING, "timestamp_guard"):
        release(ledger, run)
    assert ["t: could not give run 1 up: no room"] == caplog.messages


def test_without_proc(monkeypatch: pytest.MonkeyPatch, alive: str) -> None:
    """
    Where there is no /proc, `ps` says when a process began; none is asked of one that does not live.
    """
    asked: list[int] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(int(command[-1]))
        lives = asked[-1] in {os.getpid(), json.loads(alive)["pid"]}
        return subprocess.CompletedProcess(command, 0, "Sat Jun  1 12:00:00 2024\n" if lives else "", "")

    monkeypatch.setattr(LEASE, "Path", lambda place: Path("/nowhere" + str(place)))
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(LEASE, "_host", lambda: "host")

    there = owner(json.loads(alive)["pid"])
    assert not dead(there)
    assert dead(json.dumps(json.loads(there) | {"pid": 4_194_305}))
    assert asked[-1] == 4_194_305


def test_host_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Without /proc, a machine is known by its name.
    """
    monkeypatch.setattr(LEASE, "Path", lambda place: Path("/nowhere" + str(place)))

    assert LEASE.platform.node() == LEASE._host.__wrapped__()
