"""
A user writes while the engine runs, is killed, frozen, paused, resumed and taken back; a model says what must come of
that.

The engine runs in a thread of its own, from fault point to fault point, one turn at a time; all else happens between.
"""

import contextlib
import importlib
import itertools
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol
from unittest import mock

from attrs import define, field
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from timestamp_guard import (
    ABSENT,
    MISSING,
    NOW,
    MemoryStore,
    Pace,
    Repair,
    Run,
    UsageError,
    backfill,
    rollback,
    updated_at_guard,
)
from timestamp_guard import _faults as faults
from timestamp_guard.errors import LeaseLost
from timestamp_guard.frozen import freeze
from timestamp_guard.instants import parse_instant
from timestamp_guard.ledger import Ledger, MemoryLedger
from timestamp_guard.predicate import Code
from timestamp_guard.stores import open_store
from timestamp_guard.stores.base import BatchStore, Source, pages

BACKFILL = importlib.import_module("timestamp_guard.engine.backfill")
ROLLBACK = importlib.import_module("timestamp_guard.engine.rollback")
LEASE = importlib.import_module("timestamp_guard.engine.lease")

MS = 10**6
START = parse_instant("2024-06-01T12:00:00Z") // MS
DAY = 86_400_000
GUARD = updated_at_guard("u", "c", skew=timedelta(seconds=5))
CODES: frozenset[Code] = MISSING | {"in_future"}


class World(Protocol):
    """Records that a user and the engine work on."""

    absent: bool
    """Whether a record can lack a field."""
    locked: frozenset[str]
    """The points at which the engine keeps others from writing."""
    in_flight: frozenset[str]
    """The points after which a write may land although another took the run over."""

    def open(self) -> contextlib.AbstractContextManager[Source]:
        """The store, as the engine opens it."""
        ...

    def ledger(self, store: Source) -> Ledger | None:
        """The ledger to pass, for stores that keep none."""
        ...

    def put(self, key: str, record: dict[str, Any] | None) -> None:
        """Write a whole record, or delete it."""
        ...

    def close(self) -> None:
        """Clear up."""
        ...


class Memory:
    """A simple adapter."""

    absent = True
    locked = frozenset[str]()
    in_flight = frozenset({"intended"})

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.kept = MemoryLedger()

    def open(self) -> contextlib.AbstractContextManager[Source]:
        return contextlib.nullcontext(MemoryStore(self.records, key="k", encodings="epoch_ms"))

    def ledger(self, store: Source) -> Ledger | None:
        return self.kept

    def put(self, key: str, record: dict[str, Any] | None) -> None:
        for index, each in enumerate(self.records):
            if each["k"] == key:
                if record is None:
                    del self.records[index]
                else:
                    self.records[index] = {"k": key, **record}
                return
        assert record is not None
        self.records.append({"k": key, **record})

    def close(self) -> None:
        pass


class Sqlite:
    """A store that does whole batches."""

    absent = False
    locked = frozenset({"step begun", "step recorded", "step written", "step saved", "undo written"})
    in_flight = frozenset[str]()

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name, "app.db")
        self.user = sqlite3.connect(self.path, isolation_level=None)
        self.user.execute("PRAGMA journal_mode = WAL")
        self.user.execute("PRAGMA synchronous = OFF")
        self.user.execute("CREATE TABLE records (k TEXT PRIMARY KEY NOT NULL, c, u)")

    @contextlib.contextmanager
    def open(self) -> Iterator[Source]:
        with open_store(f"sqlite:///{self.path}", "records", encodings="epoch_ms") as store:
            yield store

    def ledger(self, store: Source) -> Ledger | None:
        return None

    def put(self, key: str, record: dict[str, Any] | None) -> None:
        if record is None:
            self.user.execute("DELETE FROM records WHERE k = ?", (key,))
        else:
            self.user.execute(
                "INSERT INTO records VALUES (?, ?, ?) ON CONFLICT (k) DO UPDATE SET c = excluded.c, u = excluded.u",
                (key, record.get("c"), record.get("u")),
            )

    def close(self) -> None:
        self.user.close()
        self.folder.cleanup()


class Killed(BaseException):
    """The process is no more."""


@define(eq=False)
class Worker:
    """The engine at work: it stands still at a point until it is told to go on."""

    act: Callable[[], Run]
    at: str | None = None
    result: Run | None = None
    error: BaseException | None = None
    dead: bool = False
    _order: BaseException | None = None
    _ours: threading.Semaphore = field(factory=lambda: threading.Semaphore(0))
    _its: threading.Semaphore = field(factory=lambda: threading.Semaphore(0))
    _thread: threading.Thread = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        self._wait()

    def _work(self) -> None:
        THREADS[threading.get_ident()] = self
        try:
            self.result = self.act()
        except BaseException as problem:  # noqa: BLE001 - looked at by whoever waits
            self.error = problem
        finally:
            del THREADS[threading.get_ident()]
            self.at = None
            self._ours.release()

    def reached(self, name: str) -> None:
        """Called at a point, in the thread."""
        self.at = name
        self._ours.release()
        self._its.acquire()
        order, self._order = self._order, None
        if order is not None:
            raise order

    def go(self, order: BaseException | None = None) -> None:
        """Let it go on to the next point; or not."""
        self._order = order
        self._its.release()
        self._wait()

    def _wait(self) -> None:
        assert self._ours.acquire(timeout=30), f"the engine hangs after {self.at}"

    def kill(self) -> None:
        """Nothing is cleaned up."""
        self.dead = True
        if self.at is not None:
            self.go(Killed())


THREADS: dict[int, Worker] = {}


def hook(name: str) -> None:
    """Stop the engine, and nobody else."""
    worker = THREADS.get(threading.get_ident())
    if worker is not None and not worker.dead:
        worker.reached(name)


def unless_dead(real: Callable[..., None]) -> Callable[..., None]:
    """A run is not given up by a process that is no more."""

    def release(*given: Any) -> None:
        worker = THREADS.get(threading.get_ident())
        if worker is None or not worker.dead:
            real(*given)

    return release


def same(one: Any, other: Any) -> bool:
    return freeze(one) == freeze(other)


class Machine(RuleBasedStateMachine):
    """A user, an engine and a model of what both did."""

    world_of: Callable[[], World]

    def __init__(self) -> None:
        super().__init__()
        self.world: World = self.world_of()
        self.patches = contextlib.ExitStack()
        for target, name, value in (
            (faults, "hook", hook),
            (LEASE, "dead", lambda _: True),  # whoever left a lease behind is dead, or frozen for long
            (BACKFILL, "release", unless_dead(BACKFILL.release)),
            (ROLLBACK, "release", unless_dead(ROLLBACK.release)),
        ):
            self.patches.enter_context(mock.patch.object(target, name, value))
        self.clock = START
        self.unique = itertools.count(1)
        self.repair = Repair("u", ("c",), CODES)
        self.model: dict[str, dict[str, Any]] = {}
        self.created: dict[str, list[int]] = {}
        self.filled: dict[str, tuple[int, Any]] = {}
        """What the engine wrote and nobody touched since: by which run, and what was there before."""
        self.surveyed: dict[str, dict[str, Any]] = {}
        self.worker: Worker | None = None
        self.frozen: tuple[Worker, Run] | None = None

    # -- the user

    def tick(self, length: int = 1) -> int:
        self.clock += length
        return self.clock

    def value(self, kind: str) -> Any:
        """A new value of `u`: no two sound ones are the same."""
        self.tick()
        match kind:
            case "absent":
                return ABSENT if self.world.absent else None
            case "null":
                return None
            case "placeholder":
                return 0
            case "future":
                return self.clock + 365 * DAY + next(self.unique)
            case "past":
                return START - 100 * DAY + next(self.unique)
            case _:
                return self.clock

    def store(self, key: str, record: dict[str, Any] | None) -> None:
        if record is not None:
            record = {name: raw for name, raw in record.items() if raw is not ABSENT}
        self.world.put(key, record)
        self.filled.pop(key, None)
        if record is None:
            del self.model[key]
        else:
            self.model[key] = record

    kinds = st.sampled_from(["absent", "null", "placeholder", "future", "past", "present", "present"])
    keys = st.sampled_from("abcdefgh")

    @initialize(now=st.booleans(), kinds=st.lists(kinds, max_size=8))
    def begin(self, now: bool, kinds: list[str]) -> None:
        if now:
            self.repair = Repair("u", ("c", NOW), CODES)
        for key, kind in zip("abcdefgh", kinds, strict=False):
            self.write(key, kind, created=True)

    def others_can_write(self) -> bool:
        return self.worker is None or self.worker.at not in self.world.locked

    @precondition(others_can_write)
    @rule(key=keys, kind=kinds, created=st.booleans())
    def write(self, key: str, kind: str, created: bool) -> None:
        """Insert a record, or update its `u`."""
        record = dict(self.model.get(key, {}))
        if key not in self.model:
            record["c"] = START - 200 * DAY + next(self.unique) if created else self.value("absent")
            self.created.setdefault(key, []).extend([record["c"]] if created else [])
        self.store(key, {**record, "u": self.value(kind)})

    @precondition(lambda self: self.model and self.others_can_write())
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        self.store(data.draw(st.sampled_from(sorted(self.model))), None)

    @rule(seconds=st.sampled_from([1, 4, 6, 3600]))
    def time_passes(self, seconds: int) -> None:
        self.tick(seconds * 1000)

    # -- the engine

    def runs(self) -> list[Run]:
        found: list[Run] = self.asked(lambda ledger, name: ledger.runs(name))
        return found

    def asked(self, question: Callable[[Ledger, str], Any]) -> Any:
        with self.world.open() as store:
            ledger = store.ledger if isinstance(store, BatchStore) else self.world.ledger(store)
            assert ledger is not None
            return question(ledger, store.name)

    def work(self, act: Callable[..., Run]) -> None:
        def acting() -> Run:
            with self.world.open() as store:
                return act(store, ledger=self.world.ledger(store), now=lambda: self.clock * MS, pace=Pace(0.0, 2))

        self.tick()
        self.worker = Worker(acting)
        self.absorb()

    @precondition(lambda self: self.worker is None)
    @rule()
    def start_backfill(self) -> None:
        self.work(lambda store, **how: backfill(store, GUARD, self.repair, **how))

    @precondition(lambda self: self.worker is None)
    @rule(number=st.none() | st.integers(1, 4))
    def start_rollback(self, number: int | None) -> None:
        self.work(lambda store, **how: rollback(store, number, **how))

    @precondition(lambda self: self.worker is not None)
    @rule(turns=st.integers(1, 6))
    def go_on(self, turns: int) -> None:
        for _ in range(turns):
            if self.worker is not None:
                self.worker.go()
                self.absorb()

    @precondition(lambda self: self.worker is not None)
    @rule()
    def finish(self) -> None:
        while self.worker is not None:
            self.go_on(1)

    @precondition(lambda self: self.worker is not None)
    @rule()
    def kill(self) -> None:
        assert self.worker is not None
        self.worker.kill()
        self.absorb()

    @precondition(lambda self: self.worker is not None)
    @rule()
    def pause(self) -> None:
        assert self.worker is not None
        self.worker.go(KeyboardInterrupt())
        self.absorb()

    @precondition(
        lambda self: (
            self.worker is not None
            and self.frozen is None
            and self.worker.at not in self.world.locked | self.world.in_flight
        )
    )
    @rule()
    def freeze(self) -> None:
        assert self.worker is not None
        newest = self.runs()[-1:]
        if newest:
            self.frozen, self.worker = (self.worker, newest[0]), None

    @precondition(lambda self: self.worker is None and self.frozen is not None)
    @rule()
    def thaw(self) -> None:
        """Who was taken over while it was frozen writes nothing; who was not goes on."""
        assert self.frozen is not None
        (worker, then), self.frozen = self.frozen, None
        now = next(run for run in self.runs() if run.id == then.id)
        self.worker = worker
        if now.generation == then.generation:
            return
        before = self.runs()
        while self.worker.at is not None:
            self.worker.go()
        assert isinstance(self.worker.error, LeaseLost), self.worker.error or self.worker.result
        self.worker = None
        assert before == self.runs()
        self.compare(None)

    # -- what must be true

    def absorb(self) -> None:
        """What the engine did in its turn is looked at, and becomes part of the model."""
        worker = self.worker
        assert worker is not None
        runs = self.runs()
        self.compare(runs[-1] if runs else None)
        if worker.at == "surveyed":
            self.surveyed = {key: dict(record) for key, record in self.model.items()}
        if worker.at is None:
            self.worker = None
            if isinstance(worker.error, Killed | KeyboardInterrupt | UsageError):
                return
            if worker.error is not None:
                raise worker.error
            assert worker.result is not None
            self.ended(worker.result)

    def compare(self, run: Run | None) -> None:
        """Each record holds what its user wrote last, or what *run* may have made of it."""
        with self.world.open() as store:
            there = {key: dict(record) for page in pages(store) for key, record in page.records}
        assert self.model.keys() == there.keys()
        for key, record in there.items():
            record.pop("k")
            was, is_ = self.model[key].get("u", ABSENT), record.get("u", ABSENT)
            assert {**self.model[key], "u": None} == {**record, "u": None}
            if same(was, is_):
                continue
            assert run is not None, f"{key} was changed by nobody"
            if run.action == "backfill":
                assert self.broken(was), f"{key}: {was} was no fault"
                assert is_ in {*self.created.get(key, ()), run.now // MS}
                self.filled[key] = (run.id or 0, was)
            else:
                number, before = self.filled.pop(key)
                assert (number, freeze(before)) == (run.undoes, freeze(is_))
            self.model[key] = record

    def broken(self, raw: Any) -> bool:
        """Whether it is a fault that the repair names, at any time: nobody waits for a year."""
        return raw is ABSENT or raw in {None, 0} or bool(raw > START + 360 * DAY)

    def mendable(self, record: dict[str, Any]) -> bool:
        return record.get("c") is not None or NOW in self.repair.candidates

    def ended(self, run: Run) -> None:
        if run.action == "rollback":
            assert run.id is None or run.undoes not in {number for number, _ in self.filled.values()}
            return
        found = self.model if run.id is None else self.surveyed
        broken = [record for record in found.values() if self.broken(record.get("u", ABSENT))]
        hopeless = [record for record in broken if not self.mendable(record)]
        counts = run.counts
        assert len(hopeless) == counts.unrepairable
        assert len(broken) - len(hopeless) == counts.refused + counts.arriving
        assert (not broken) is (run.status == "complete")
        if run.id is None:
            assert len(hopeless) == len(broken)
        else:
            made = self.asked(lambda ledger, _: ledger.changes(run))
            assert len(made) == counts.changed

    @invariant()
    def explained(self) -> None:
        """The ledger has what was there before, of all that is ours."""
        if not self.filled or not self.others_can_write():
            return

        def explain(ledger: Ledger, name: str) -> None:
            runs = {run.id: run for run in ledger.runs(name)}
            said = {
                (number, c.key, freeze(c.before), freeze(c.after))
                for number in {number for number, _ in self.filled.values()}
                for c in [*(c for _, c in ledger.changes(runs[number])), *ledger.intents(runs[number])]
            }
            for key, (number, before) in self.filled.items():
                assert (number, key, freeze(before), freeze(self.model[key]["u"])) in said

        self.asked(explain)

    def take_back(self) -> bool:
        """The newest run that changed anything is taken back; whether there was one."""
        with self.world.open() as store:
            back = rollback(store, ledger=self.world.ledger(store), now=self.tick() * MS)
        self.compare(back)
        self.ended(back)
        return back.id is not None

    def teardown(self) -> None:
        """Whatever happened: all that is ours can be taken back, run by run."""
        try:
            for worker in (self.frozen and self.frozen[0], self.worker):
                if worker is not None:
                    worker.kill()
            while self.take_back():
                pass
            assert {} == self.filled
        finally:
            self.patches.close()
            self.world.close()


def machine(world: Callable[[], World], name: str, examples: int) -> Any:
    """A test of *world*, with *examples* for every hundred that the profile asks for."""

    of_world: type[Machine] = type(name, (Machine,), {"world_of": staticmethod(world)})
    case = of_world.TestCase
    case.settings = settings(
        max_examples=max(5, settings.default.max_examples * examples // 100) if settings.default else examples,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    return case


TestMemory = machine(Memory, "MachineMemory", 200)
TestSqlite = machine(Sqlite, "MachineSqlite", 30)
