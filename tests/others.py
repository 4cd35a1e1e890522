"""
Other processes beside the library, and what they must find: users who write, and workers of the library itself.

`python -m tests.others write|work|share ...`; a store is named by its address, one of SQLite too.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from tests import served_tables, servers, sqlite_files
from timestamp_guard import backfill, check, rollback
from timestamp_guard.errors import RunBusy
from timestamp_guard.stores.base import Step

from .postgresql_tables import DAY, GUARD, MS, NOW, REPAIR
from .sqlite_files import slowly

HERE: Final = Path(__file__).parent.parent
SQLITE: Final = "sqlite:///"

KINDS: Final = ("set", "null", "zero", "delete", "new", "note", "note", "later")
"""What users do: new rows come behind the cursor and before it."""


def spawn(*words: Any) -> subprocess.Popen[str]:
    """Another process."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.others", *map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=HERE,
        env={**os.environ, "PYTHONPATH": f"{HERE / 'src'}{os.pathsep}{HERE}"},
    )


def heard(process: subprocess.Popen[str], *lines: str) -> None:
    """Wait until it has printed these lines."""
    assert process.stdout is not None
    for line in lines:
        assert f"{line}\n" == process.stdout.readline()


def told(process: subprocess.Popen[str]) -> None:
    """Tell it to go."""
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def said(process: subprocess.Popen[str]) -> str:
    """What it printed, when it is done."""
    out, problems = process.communicate(timeout=120)
    assert process.returncode == 0, problems
    return out


# -- users ------------------------------------------------------------------------------------------------------


@frozen
class Lived:
    """
    What users did meanwhile: the last thing that was done to each key, what they noted there, how long they waited, and
    how much they did in a second.
    """

    last: dict[str, tuple[str, Any]]
    notes: dict[str, str]
    waits: list[float]
    rate: float


@contextlib.contextmanager
def writers(url: str, stop: Path, found: list[Lived], rows: int, rest: float) -> Iterator[None]:
    """Two users at work, who rest for at most so many seconds after each write."""
    processes = [spawn("write", url, number, stop, rows, rest) for number in range(2)]
    for process in processes:
        heard(process, "ready")
    try:
        yield
    finally:
        stop.touch()
        logs = [json.loads(said(process)) for process in processes]
    last = {key: (kind, value) for one in logs for key, kind, value in one["history"]}
    notes = {key: note for one in logs for key, note in one["notes"].items()}
    waits = sorted(wait for one in logs for wait in one["waits"])
    found.append(Lived(last, notes, waits, sum(len(one["waits"]) / one["took"] for one in logs)))


def write(url: str, number: int, stop: Path, rows: int, rest: float) -> None:
    """Write until *stop* is there; each user has rows of its own, so that it knows their order."""
    chance = random.Random(number)
    user = _user(url)
    history: list[tuple[str, str, Any]] = []
    notes: dict[str, str] = {}
    waits = []
    again = (
        'ON DUPLICATE KEY UPDATE "updatedAt" = VALUES("updatedAt"), note = VALUES(note)'
        if url.startswith("mysql")
        else 'ON CONFLICT (_id) DO UPDATE SET "updatedAt" = excluded."updatedAt", note = excluded.note'
    )

    def ask(sql: str, *given: Any) -> int:
        asked = time.monotonic()
        changed: int = user.execute(sql.replace("%s", "?") if url.startswith(SQLITE) else sql, given).rowcount
        waits.append(time.monotonic() - asked)
        return changed

    print("ready", flush=True)  # noqa: T201 - heard by who started it
    began = time.monotonic()
    while not stop.exists():
        key = f"k{chance.randrange(rows // 2) * 2 + number}"
        kind, at = chance.choice(KINDS), MS + len(history)
        match kind:
            case "note":
                if ask("UPDATE services SET note = %s WHERE _id = %s", str(at), key):
                    notes[key] = str(at)
            case "delete":
                ask("DELETE FROM services WHERE _id = %s", key)
                notes.pop(key, None)
                history.append((key, kind, None))
            case "new" | "later":
                key = chance.choice([key, f"{'a' if kind == 'new' else 'z'} {number} {chance.randrange(100)}"])
                value = chance.choice([None, at])
                ask(f"INSERT INTO services VALUES (%s, %s, %s, %s) {again}", key, MS - 5, value, str(at))
                notes[key] = str(at)
                history.append((key, "set" if value else "null", value))
            case _:
                value = {"set": at, "null": None, "zero": 0}[kind]
                if ask('UPDATE services SET "updatedAt" = %s WHERE _id = %s', value, key):
                    history.append((key, kind, value))
        time.sleep(rest * chance.random())
    log = {"history": history, "notes": notes, "waits": waits, "took": time.monotonic() - began}
    print(json.dumps(log))  # noqa: T201 - as above


def _user(url: str) -> Any:
    if url.startswith(SQLITE):
        return sqlite3.connect(url.removeprefix(SQLITE), isolation_level=None, timeout=20)
    return servers.connect(url)


Contents = Mapping[str, tuple[Any, Any]]
"""What every row holds: its time, and its note."""


def nothing_is_lost(
    store: Any,
    contents: Callable[[], Contents],
    beside: Callable[[list[Lived]], AbstractContextManager[Any]],
    *,
    size: int,
    pause: float,
    shared: bool = False,
) -> list[Lived]:
    """
    Fill a table and give it back while users write, and look at every row: what users wrote is there; what they did not
    touch is filled, and is as it was; and a run that is complete when nobody writes leaves nothing to do.
    """
    created = {key: MS - DAY - int(key[1:]) for key in contents()}
    lived: list[Lived] = []

    def pace() -> Any:
        found = slowly(size)
        found.throttles = [lambda: pause]
        return found

    with beside(lived):
        run = backfill(store, GUARD, REPAIR, now=NOW + 10**12, pace=pace(), shared=shared)
    filled = contents()
    made: dict[str, list[Any]] = {}
    for _, change in reversed(store.ledger.changes(run)):
        made.setdefault(change.key, []).append((change.before, change.after))
    _ensure_filled(created, filled, made, lived[0])
    assert run.counts.changed == sum(map(len, made.values()))
    assert run.counts.left == 0 or run.counts.arriving + run.counts.refused == run.counts.left

    with beside(lived):
        back = rollback(store, now=NOW, pace=pace())
    _ensure_given_back(filled, contents(), made, lived[1])
    assert back.counts.changed + back.counts.refused == run.counts.changed

    last = backfill(store, GUARD, REPAIR, now=NOW + 10**12)
    assert "complete" == last.status
    assert check(store, GUARD, now=NOW + 10**12).ok
    return lived


def _ensure_filled(created: Mapping[str, int], filled: Contents, made: Mapping[str, list[Any]], lived: Lived) -> None:
    assert len(lived.last) > 50
    for key in {*created, *filled, *lived.last}:
        match lived.last.get(key):
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
    assert all(note == filled[key][1] for key, note in lived.notes.items())


def _ensure_given_back(filled: Contents, after: Contents, made: Mapping[str, list[Any]], lived: Lived) -> None:
    for key in {*filled, *after}:
        match lived.last.get(key):
            case None if key in made and filled[key][0] == made[key][-1][1]:
                assert made[key][-1][0] == after[key][0]
            case None:
                assert filled[key][0] == after[key][0]
            case ("delete", _):
                assert key not in after
            case (_, value):
                assert value == after[key][0]
    assert all(note == after[key][1] for key, note in lived.notes.items())


# -- workers ----------------------------------------------------------------------------------------------------


def begun(url: str, pause: float, what: str = "backfill") -> subprocess.Popen[str]:
    """A worker of another process, in the middle of its work."""
    worker = spawn("work", url, pause, what)
    told(worker)
    heard(worker, "ready", "step", "step")
    return worker


def ends(url: str, count: int) -> list[str]:
    """How so many workers end that begin at the same instant: the last line of each that found something to do."""
    workers = [spawn("work", url, 0.02, "backfill") for _ in range(count)]
    for worker in workers:
        heard(worker, "ready")
    for worker in workers:
        told(worker)
    lines = [said(worker).splitlines()[-1] for worker in workers]
    return [line for line in lines if not line.startswith(("busy", "None complete"))]


def work(url: str, pause: float, what: str) -> None:
    """Fill a table or give it back in small steps, when told to go, and tell of each."""

    def told(_: Step) -> None:
        print("step", flush=True)  # noqa: T201 - heard by who started it

    pace = slowly(5)
    pace.throttles = [lambda: pause]
    opened = (
        sqlite_files.opened(Path(url.removeprefix(SQLITE)), timeout=20)
        if url.startswith(SQLITE)
        else served_tables.opened(url, timeout=20)
    )
    with opened as store:
        print("ready", flush=True)  # noqa: T201 - as above
        sys.stdin.readline()
        try:
            if what == "rollback":
                run = rollback(store, now=NOW, pace=pace, progress=told)
            else:
                run = backfill(store, GUARD, REPAIR, now=NOW, pace=pace, progress=told)
            print(run.id, run.status, run.counts.changed)  # noqa: T201 - as above
        except RunBusy as problem:
            print("busy", problem)  # noqa: T201 - as above


def share(url: str, pause: float, lease: float, now: int) -> None:
    """Fill a table in small steps beside others, when told to go, and tell of each."""

    def told(_: Step) -> None:
        print("step", flush=True)  # noqa: T201 - heard by who started it

    pace = slowly(3)
    pace.throttles = [lambda: pause]
    with served_tables.opened(url, timeout=20) as store:
        print("ready", flush=True)  # noqa: T201 - as above
        sys.stdin.readline()
        run = backfill(
            store, GUARD, REPAIR, now=now, pace=pace, progress=told, shared=True, lease=timedelta(seconds=lease)
        )
        print(run.id, run.status, run.counts.changed)  # noqa: T201 - as above


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write", url, number, stop, rows, rest]:
            write(url, int(number), Path(stop), int(rows), float(rest))
        case ["share", url, pause, lease, now]:
            share(url, float(pause), float(lease), int(now))
        case ["work", url, pause, what]:
            work(url, float(pause), what)
        case unknown:
            sys.exit(f"write, work or share, not {unknown}")
