"""
Who works on a run: one process at a time, and none that was taken for dead.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import platform
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

from attrs import evolve

from ..errors import RunBusy, TimestampGuardError
from ..instants import duration_ns
from ..ledger import Ledger, Run, Status, standing

__all__ = ["LEASE", "acquire", "dead", "free", "me", "release", "renewed", "who"]

LEASE: Final = timedelta(seconds=30)
"""For how long a worker that says nothing is believed to be alive."""

_log = logging.getLogger("timestamp_guard")


@functools.cache
def _host() -> str:
    """This machine, since it was started, and the space its process numbers count in."""
    parts = [platform.node()]
    for place in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        try:
            path = Path(place)
            parts.append(str(path.stat().st_ino) if path.is_symlink() else path.read_text("ascii").strip())
        except OSError:  # not Linux: the name and the start time of the process must do
            continue
    return " ".join(parts)


def _started(pid: int) -> str | None:
    """When the process began, as its system tells it; None where it does not live. A number alone may be used again."""
    try:
        # Field 22 of proc(5); the second field is a name in parentheses that may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
    import subprocess

    answer = subprocess.run(  # noqa: S603 - a number, and no shell
        ["ps", "-o", "lstart=", "-p", str(pid)],  # noqa: S607 - where ps is differs between systems
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout.strip() or None


def me() -> str:
    """The owner of this process's leases."""
    pid = os.getpid()
    return json.dumps({"host": _host(), "pid": pid, "started": _started(pid)})


def dead(owner: str) -> bool:
    """Whether *owner* is known to live no more: only a process of this host can be."""
    said = json.loads(owner)
    return bool(said["host"] == _host() and _started(said["pid"]) != said["started"])


def renewed(run: Run, lease: timedelta) -> Run:
    """The run with its lease as long as it can be, to be saved with the next step."""
    return evolve(run, lease_until=time.time_ns() + duration_ns(lease))


def free(run: Run, grace: timedelta = timedelta(0)) -> bool:
    """Whether nobody works on *run*, as far as can be known."""
    over = run.lease_until + duration_ns(grace) <= time.time_ns()
    return run.owner is None or over or dead(run.owner)


def acquire(
    ledger: Ledger,
    run: Run,
    lease: timedelta,
    *,
    grace: timedelta = timedelta(0),
    sleep: Callable[[float], None] = time.sleep,
) -> Run:
    """
    Make *run* this process's own.

    A lease whose owner is dead is taken at once; another is waited out, and *grace* more.
    A run that its owner ended meanwhile comes back as it ended, and is nobody's.

    Raises:
        RunBusy: its owner is alive and works.
        LeaseLost: somebody else took it first.
    """
    said = False
    while True:
        now = time.time_ns()
        left = run.lease_until + duration_ns(grace) - now
        if free(run, grace):
            return ledger.claim(run, me(), now + duration_ns(lease))
        if not said:
            _log.warning("%s: waiting %.0f s at most for %s", run.table, left / 1e9, who(run))
            said = True
        sleep(min(left / 1e9, 0.2))
        current = standing(ledger, run)
        if not current.open:
            return current
        if (current.generation, current.lease_until) != (run.generation, run.lease_until):
            if current.owner is None:
                run = current
                continue
            msg = (
                f"{run.table} is being worked on by {who(current)}: {run.action} {run.whole}; try again when it is done"
            )
            raise RunBusy(msg)


def release(ledger: Ledger, run: Run, status: Status | None = None, reason: str | None = None) -> None:
    """
    Give the run up where it stands in the ledger, so that nobody has to wait; with a status and reason, if given.

    Says nothing where that cannot be written: the lease will run out, or its owner be dead.
    """
    try:
        current = standing(ledger, run)
        if current.generation == run.generation:
            ended = evolve(current, status=status or current.status, reason=reason or current.reason)
            ledger.save(evolve(ended, owner=None, lease_until=0))
    except TimestampGuardError as problem:
        _log.warning("%s: could not give run %s up: %s", run.table, run.id, problem)


def who(run: Run) -> str:
    """The owner of a lease, for people."""
    said = json.loads(run.owner or "{}")
    return f"process {said.get('pid')} on {str(said.get('host')).partition(' ')[0]}"
