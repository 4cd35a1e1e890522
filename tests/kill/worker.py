"""
Workers that end or freeze at a fault point: `python -m tests.kill.worker`.

A line of JSON on standard input is an order; one line on standard output answers it. Every worker is a process of its
own, forked from this one, so that none has to begin by importing.
"""

import contextlib
import importlib
import itertools
import json
import os
import pkgutil
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import timestamp_guard
from examples.folder import Folder
from timestamp_guard import _faults as faults
from timestamp_guard import backfill, rollback, runs, updated_at_guard
from timestamp_guard.engine import sharing
from timestamp_guard.engine.pace import Pace
from timestamp_guard.errors import LeaseLost, StoreLocked
from timestamp_guard.instants import parse_instant
from timestamp_guard.ledger import Ledger
from timestamp_guard.repairs import Repair
from timestamp_guard.rules import NOW
from timestamp_guard.stores import open_ledger, open_store
from timestamp_guard.stores.base import Source

REPLACED = faults.point("example: a file replaced")
"""Between two files of one write of the example adapter."""

LEASE_LOST, LOCKED = 75, 76
IDLE: dict[str, Any] = {"postgresql": "700ms", "mysql": 1}
"""How long a server lets a transaction be whose worker is frozen: no longer than a lease, here too."""

SHARED = "shared"
"""What a store is called that is filled by one worker at first, and then shared."""

START = parse_instant("2024-06-01T12:00:00Z")
GUARD = updated_at_guard("updatedAt", "createdAt")
REPAIR = Repair("updatedAt", ("createdAt", NOW))


def every_module() -> None:
    """Import all that may declare a point."""
    for found in pkgutil.walk_packages(timestamp_guard.__path__, "timestamp_guard."):
        if not found.name.endswith("__main__"):
            with contextlib.suppress(ImportError):  # an extra is not installed
                importlib.import_module(found.name)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[Source, Ledger | None]]:
    """The store at *path*, and the ledger to pass."""
    if path.suffix == ".jsonl":
        with open_store(f"jsonl:{path}", encodings="epoch_ms", key="_id") as store:
            yield store, None
    elif path.suffix == ".zip":
        with open_store(f"convex:{path}", "records", encodings="epoch_ms") as store:
            yield store, None
    elif path.suffix == ".url":
        with open_store(path.read_text("utf-8"), "records", encodings="epoch_ms") as store:
            yield store, None
    elif path.is_dir():
        with open_ledger(path.parent / "ledger.db") as ledger:
            yield Folder(path, "epoch_ms"), ledger
    else:
        with open_store(f"sqlite:///{path}", "records", encodings="epoch_ms", timeout=0.2) as store:
            yield store, None


def work(order: dict[str, Any]) -> dict[str, Any]:
    """Do what is ordered; the points that were reached, and what the run says of itself."""
    reached: Counter[str] = Counter()
    number = getattr(signal, order.get("signal", "SIGKILL"))

    def hook(name: str) -> None:
        reached[name] += 1
        if (name, reached[name]) == (order.get("point"), order.get("occurrence")):
            os.kill(os.getpid(), number)

    faults.hook = hook
    replace = Path.replace

    def replaced(file: Path, target: Path) -> Path:
        made = replace(file, target)
        faults.reach(REPLACED)
        return made

    Path.replace = replaced  # type: ignore[method-assign, assignment]  # the fault
    for name, idle in IDLE.items():
        if (server := sys.modules.get(f"timestamp_guard.stores.sql.{name}.server")) is not None:
            server.IDLE = idle  # type: ignore[attr-defined]  # a constant otherwise
    how: dict[str, Any] = {
        "now": START,
        "pace": Pace(target=0.0, start=2),  # two records in every step: no hold is short enough for more
        "lease": timedelta(seconds=order.get("lease", 60)),
    }
    sharing.STEPS = sharing.PATIENCE = 1  # type: ignore[misc]  # constants otherwise: small ranges, of which there are many
    with opened(Path(order["path"])) as (store, ledger):
        if order["act"] == "backfill" and Path(order["path"]).stem == SHARED:
            if not runs(store):
                backfill(store, GUARD, REPAIR, most=2, **how)
            run = backfill(store, GUARD, REPAIR, shared=True, **how)
        elif order["act"] == "backfill":
            run = backfill(store, GUARD, REPAIR, ledger=ledger, **how)
        else:
            run = rollback(store, ledger=ledger, **how)
    return {"reached": reached, "run": run.to_dict()}


def child(order: dict[str, Any]) -> int:
    """Work, and say in a file what came of it; the exit code says how it ended."""
    try:
        said = work(order)
    except LeaseLost:
        return LEASE_LOST
    except StoreLocked:
        return LOCKED
    except BaseException:  # noqa: BLE001 - nothing may come back from here
        traceback.print_exc()
        return 1
    Path(order["answer"]).write_text(json.dumps(said), "utf-8")
    return 0


def ended(pid: int) -> str:
    """Wait until a worker ends or is stopped, and say how."""
    _, status = os.waitpid(pid, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        return signal.Signals(os.WSTOPSIG(status)).name
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return str(os.WEXITSTATUS(status))


def main() -> None:
    """Take orders until there are no more."""
    every_module()
    for number in itertools.count():
        line = sys.stdin.readline()
        if not line:
            return
        order = json.loads(line)
        match order["do"]:
            case "start":
                pid = os.fork()
                if pid == 0:
                    os._exit(child(order))
                said: Any = pid
            case "wait":
                said = ended(order["pid"])
            case "go on":
                os.kill(order["pid"], signal.SIGCONT)
                said = None
            case unknown:
                said = f"{unknown} is no order ({number})"
        print(json.dumps(said), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
