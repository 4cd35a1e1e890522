"""
The kill matrix: at every fault point a process is ended or frozen by the system, and a fresh one goes on.

The short form takes the first, a middle and the last time that a point is reached; `TIMESTAMP_GUARD_KILL=long` every
time, in both kinds of SQLite journal, and kills who goes on as well.
"""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from attrs import asdict, define, frozen

from tests import convex_server, served_tables
from tests.convex_snapshots import UNIFORM, snapshot
from tests.kill import worker
from timestamp_guard import _faults as faults
from timestamp_guard.engine.drive import drive
from timestamp_guard.frozen import freeze
from timestamp_guard.stores.base import pages

pytestmark = pytest.mark.kill

worker.every_module()
LONG: Final = os.environ.get("TIMESTAMP_GUARD_KILL") == "long"
ROOT: Final = Path(__file__).parents[2]
THEN: Final = worker.START // 10**6 - 86_400_000
ACTS: Final = ("backfill", "rollback")

BATCHES: Final = frozenset(
    {"step begun", "step recorded", "step written", "step saved", "step done", "undo written", "undo done"}
)
SERVED: Final = frozenset(name for name in faults.POINTS if name.startswith("server: "))
SHARED: Final = frozenset(name for name in faults.POINTS if name.startswith(("range ", "run ")))
ENFORCED: Final = frozenset(name for name in faults.POINTS if name.startswith(("enforce: ", "migrate: ")))
"""Those of other verbs, which have tests of their own."""

ATOMIC: Final = frozenset(name for name in faults.POINTS if name.startswith("json: "))
SIMPLE: Final = frozenset({"intended", "written", "settled", "taken back", worker.REPLACED})


@frozen
class Kind:
    """A kind of store: the points that only others reach, and those at which it holds a lock that others wait for."""

    elsewhere: frozenset[str]
    locked: frozenset[str]
    journal: str | None = None
    brief: bool = False
    """Whether the middle one of all occurrences will do in the short form."""

    shared: bool = False
    """Whether several workers could be at a run."""

    @property
    def points(self) -> list[str]:
        """All points there are, but those of others: a new one is missed by nobody."""
        return [name for name in faults.POINTS if name not in self.elsewhere | ENFORCED]


KINDS: Final[Mapping[str, Kind]] = {
    "folder": Kind(elsewhere=BATCHES | ATOMIC | SERVED | SHARED, locked=frozenset({worker.REPLACED})),
    "sqlite": Kind(
        elsewhere=SIMPLE | ATOMIC | SERVED | SHARED, locked=BATCHES - {"step done", "undo done"}, journal="delete"
    ),
    "wal": Kind(
        elsewhere=SIMPLE | ATOMIC | SERVED | SHARED,
        locked=BATCHES - {"step done", "undo done"},
        journal="wal",
        brief=True,
    ),
    "json": Kind(  # its lock is held for all of a run
        elsewhere=BATCHES | SERVED | SHARED | SIMPLE - {worker.REPLACED} | {"ledger saved"},
        locked=frozenset(faults.POINTS),
    ),
    "convex": Kind(elsewhere=BATCHES | ATOMIC | SERVED | SHARED | {worker.REPLACED}, locked=frozenset(), brief=True),
    "snapshot": Kind(
        elsewhere=BATCHES | SERVED | SHARED | SIMPLE - {worker.REPLACED} | {"ledger saved"},
        locked=frozenset(faults.POINTS),
    ),
    # The server ends the transaction of who is frozen, so nobody waits for its locks.
    **dict.fromkeys(
        served_tables.KINDS, Kind(elsewhere=BATCHES | SIMPLE | ATOMIC | SHARED, locked=frozenset(), brief=True)
    ),
    # Who lost a range, or the run, goes on with what is left.
    **{
        f"{kind} {worker.SHARED}": Kind(
            elsewhere=BATCHES | SIMPLE | ATOMIC, locked=frozenset(), brief=True, shared=True
        )
        for kind in served_tables.KINDS
    },
}
FILES: Final = ("json", "snapshot")
"""Those of which a run is one atomic step."""

MATRIX: Final = [(kind, point) for kind in KINDS for point in KINDS[kind].points]
FREEZES: Final = [(kind, point) for kind, point in MATRIX if LONG or kind != "wal"]


def rows(odd: Any = "soon", zero: Any = 0.0) -> list[dict[str, Any]]:
    """Sound ones, some to fill from one candidate or the other, some with values that are not to be touched."""
    found: list[dict[str, Any]] = [{"_id": f"k{n}", "createdAt": THEN + n, "updatedAt": None} for n in range(10)]
    found[2]["updatedAt"] = THEN + 7
    found[3]["updatedAt"] = 0
    found[4]["createdAt"] = None
    found[6]["updatedAt"] = odd
    found[8]["updatedAt"] = zero
    return found


def make(kind: str, folder: Path) -> Path:
    """A new store of that kind, and where it is."""
    if kind == "folder":
        path = folder / "records"
        path.mkdir(parents=True)
        for row in rows():
            (path / f"{row['_id']}.json").write_text(json.dumps(row), "utf-8")
        return path
    folder.mkdir(parents=True)
    if kind == "convex":
        deployment = convex_server.Deployment()
        for row in rows():
            deployment.database.put("records", row)
        return published(deployment, folder)
    server, _, how = kind.partition(" ")
    if server in served_tables.KINDS:
        DATABASES.append(served_tables.created(server, new_name()))
        # Few rows on a page: PostgreSQL divides a table by pages.
        pad = "ALTER TABLE records ALTER pad SET STORAGE PLAIN" if server == "postgresql" else "SELECT 1"
        served_tables.make(
            DATABASES[-1],
            'CREATE TABLE records (_id varchar(40) PRIMARY KEY, "createdAt" bigint, "updatedAt" bigint, pad text)',
            pad,
            rows=[[*row.values(), 3000 * "x"] for row in rows(odd=2**62, zero=0)],
            into="records",
        )
        path = folder / f"{how or 'app'}.url"
        path.write_text(DATABASES[-1], "utf-8")
        return path
    if kind == "json":
        path = folder / "records.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows()), "utf-8")
        return path
    if kind == "snapshot":
        path = folder / "snapshot.zip"
        others = {"_storage/kg2.png": bytes(5_000)}
        return snapshot(path, {"records": UNIFORM.dump(floated(rows()))}, others=others, numbered=False)
    path = folder / "app.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"PRAGMA journal_mode = {KINDS[kind].journal}")
        database.execute("CREATE TABLE records (_id TEXT PRIMARY KEY NOT NULL, createdAt, updatedAt)")
        database.executemany("INSERT INTO records VALUES (:_id, :createdAt, :updatedAt)", rows())
    return path


def published(deployment: convex_server.Deployment, folder: Path) -> Path:
    """A deployment that was not started, at an address in a file; the key is beside it, and so is the ledger."""
    (folder / "key").write_text(deployment.key, "utf-8")
    path = folder / "app.url"
    url = f"{deployment.start().url}?key=file:{folder / 'key'}&ledger={folder}"
    path.write_text(url, "utf-8")
    DEPLOYMENTS[str(path)] = deployment
    return path


DEPLOYMENTS: Final[dict[str, convex_server.Deployment]] = {}
"""Those of Convex, by the file with their address."""


def floated(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same with all numbers as v.number() has them."""
    return [{name: float(value) if isinstance(value, int) else value for name, value in row.items()} for row in rows]


DATABASES: Final[list[str]] = []
"""The addresses of those that were made, to be dropped in the end."""


def new_name() -> str:
    """That of a database which is not there yet."""
    return f"kill_{uuid.uuid4().hex}"


def copied(source: Path, folder: Path) -> Path:
    """A store like the one at *source*, in a new folder."""
    shutil.copytree(source.parent, folder)
    path = folder / source.name
    if str(source) in DEPLOYMENTS:
        old = DEPLOYMENTS[str(source)]
        deployment = convex_server.Deployment()
        for document in old.database.tables["records"].values():
            deployment.database.put("records", document)
        published(deployment, folder)
        for ledger in folder.glob("*.timestamp-guard"):
            ledger.rename(folder / f"127.0.0.1_{deployment.port}.timestamp-guard")
        return path
    if path.suffix == ".url":
        DATABASES.append(served_tables.copied(source.read_text("utf-8"), new_name()))
        path.write_text(DATABASES[-1], "utf-8")
    return path


@pytest.fixture(scope="module", autouse=True)
def tidy() -> Iterator[None]:
    """
    Nothing stays on a server that others use too.
    """
    yield
    while DATABASES:
        served_tables.dropped(DATABASES.pop())
    while DEPLOYMENTS:
        DEPLOYMENTS.popitem()[1].stop()


def records(path: Path) -> dict[Any, str]:
    """Every record, in value and type, by a fresh opening."""
    with worker.opened(path) as (store, _):
        return {key: freeze(dict(record)) for page in pages(store) for key, record in page.records}


def history(path: Path) -> list[Any]:
    """What the ledger says of every run: how it ended, what it counted, and every change."""
    with worker.opened(path) as (store, given):
        ledger = drive(store, given).ledger
        return [
            (
                run.action,
                run.status,
                run.undoes,
                asdict(run.counts),
                run.owner,
                Counter(freeze([c.key, c.before, c.after, c.candidate]) for _, c in ledger.changes(run)),
                ledger.intents(run),
            )
            for run in ledger.runs(store.name)
        ]


def state(path: Path) -> Any:
    """All that is to be equal."""
    return records(path), history(path)


@define
class Nursery:
    """Starts workers, waits for them, and wakes them."""

    process: "subprocess.Popen[str]"
    folder: Path
    _started: int = 0

    def _order(self, **order: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def start(self, act: str, path: Path, **how: Any) -> tuple[int, Path]:
        self._started += 1
        answer = self.folder / f"{self._started}.json"
        pid = self._order(do="start", act=act, path=str(path), answer=str(answer), **how)
        return pid, answer

    def wait(self, pid: int) -> str:
        return str(self._order(do="wait", pid=pid))

    def go_on(self, pid: int) -> str:
        self._order(do="go on", pid=pid)
        return self.wait(pid)

    def run(self, act: str, path: Path, **how: Any) -> str:
        """How a worker ended."""
        return self.wait(self.start(act, path, **how)[0])

    def asked(self, act: str, path: Path) -> Any:
        """What an undisturbed worker says."""
        pid, answer = self.start(act, path)
        assert "0" == self.wait(pid)
        return json.loads(answer.read_text("utf-8"))


@frozen
class Calm:
    """What comes of a store when nobody is disturbed: as it is at first, filled, and taken back."""

    first: Path
    filled: Path
    reached: Mapping[str, Counter[str]]
    states: Mapping[str, Any]

    def begin(self, act: str, folder: Path) -> Path:
        """A copy that is ready for that act."""
        source = self.first if act == "backfill" else self.filled
        return copied(source, folder / source.parent.name)


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """
    A process from which workers are forked.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "tests.kill.worker"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Nursery(process, tmp_path_factory.mktemp("answers"))
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="module")
def calm(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """
    What comes of a kind of store when nobody is disturbed.
    """

    @cache
    def of(kind: str) -> Calm:
        folder = tmp_path_factory.mktemp(kind)
        first = make(kind, folder / "first")
        path = make(kind, folder / "filled")
        reached: dict[str, Counter[str]] = {}
        states: dict[str, Any] = {"first": (records(first), [])}
        kept = path
        for act in ACTS:
            reached[act] = Counter(nursery.asked(act, path)["reached"])
            states[act] = state(path)
            if act == "backfill":
                kept = copied(path, folder / "kept")
        return Calm(first, kept, reached, states)

    return of


def chosen(kind: str, times: int) -> Sequence[int]:
    """At which occurrences to strike."""
    if times and KINDS[kind].brief and not LONG:
        return [(times + 1) // 2]
    return range(1, times + 1) if LONG or times < 3 else (1, (times + 1) // 2, times)


@pytest.mark.parametrize("kind", KINDS)
def test_scenario(calm: Any, kind: str) -> None:
    """
    The scenario passes every point there is, and does what it is made for.
    """
    said = calm(kind)
    passed = said.reached["backfill"] + said.reached["rollback"]

    assert set(KINDS[kind].points) == set(passed)
    first, filled, back = (said.states[name] for name in ("first", *ACTS))
    assert first[0] == back[0]
    assert 8 == sum(first[0][key] != filled[0][key] for key in first[0])
    (run,) = filled[1]
    assert ("backfill", "complete", 8) == (run[0], run[1], run[3]["changed"])


@pytest.mark.parametrize(("kind", "point"), MATRIX)
def test_killed(nursery: Nursery, calm: Any, tmp_path: Path, kind: str, point: str) -> None:
    """
    Killed at any point, a run that goes on ends as one that was not; and can be taken back, finished or not.
    """
    said = calm(kind)
    struck = 0

    for act in ACTS:
        for occurrence in chosen(kind, said.reached[act][point]):
            struck += 1
            where = tmp_path / f"{act} {occurrence}"
            path = said.begin(act, where / "resumed")
            assert "SIGKILL" == nursery.run(act, path, point=point, occurrence=occurrence)
            if LONG:
                assert nursery.run(act, path, point=point, occurrence=1) in {"SIGKILL", "0"}
            if not any(run[:2] == (act, "complete") for run in history(path)):
                nursery.asked(act, path)

            assert said.states[act] == state(path)

            if act == "backfill":
                nursery.asked("rollback", path)
                assert said.states["rollback"] == state(path)

                unfinished = said.begin(act, where / "unfinished")
                assert "SIGKILL" == nursery.run(act, unfinished, point=point, occurrence=occurrence)
                nursery.asked("rollback", unfinished)
                assert said.states["first"][0] == records(unfinished)

    assert struck


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("point", KINDS["json"].points)
def test_one_of_two(nursery: Nursery, calm: Any, tmp_path: Path, kind: str, point: str) -> None:
    """
    A file is what it was or what it becomes, whenever a run is killed: byte by byte, and never a third.
    """
    said = calm(kind)
    seen = set()

    for act in ACTS:
        two = [said.begin(each, tmp_path / f"{act} {each}").read_bytes() for each in ACTS]
        for occurrence in range(1, said.reached[act][point] + 1):
            path = said.begin(act, tmp_path / f"{act} {occurrence}")
            assert "SIGKILL" == nursery.run(act, path, point=point, occurrence=occurrence)
            seen.add(path.read_bytes() in two)

    assert {True} == seen


@pytest.mark.parametrize(("kind", "point"), FREEZES)
def test_frozen(nursery: Nursery, calm: Any, tmp_path: Path, kind: str, point: str) -> None:
    """
    Frozen until its lease ran out, a worker is taken over, and writes nothing when it wakes.

    Where it holds a lock of the store's own, others wait for that and go on after it.
    """
    said = calm(kind)
    struck = 0

    for act in ACTS:
        times = said.reached[act][point]
        for occurrence in chosen(kind, times)[: None if LONG else 1]:
            struck += 1
            path = said.begin(act, tmp_path / f"{act} {occurrence}")
            frozen_one, _ = nursery.start(act, path, point=point, occurrence=occurrence, signal="SIGSTOP", lease=1)
            assert "SIGSTOP" == nursery.wait(frozen_one)

            if point in KINDS[kind].locked:
                if kind != "folder":  # there, the lock of the system has no end
                    # Of a file, all may be recorded by then: who finds nothing to do needs no lock.
                    over = kind in FILES and any(run[:2] == (act, "complete") for run in history(path))
                    assert str(0 if over else worker.LOCKED) == nursery.run(act, path)
                assert "0" == nursery.go_on(frozen_one)
                assert said.states[act] == state(path)
                continue

            over = any(run[:2] == (act, "complete") for run in history(path))
            assert "0" == nursery.run(act, path)
            before = state(path)
            ends = {str(0 if over else worker.LEASE_LOST), *("0" for _ in range(KINDS[kind].shared))}
            assert nursery.go_on(frozen_one) in ends

            assert said.states[act] == before
            assert before == state(path)

    assert struck
