"""
The engine's guarantees, on records in memory; a function without a class is a scenario that `test_teeth` uses too.
"""

import importlib
import itertools
import json
import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from timestamp_guard import (
    ABSENT,
    NOW,
    Change,
    Field,
    MemoryStore,
    Pace,
    Repair,
    Run,
    UsageError,
    backfill,
    check,
    in_order,
    plan,
    present,
    profile,
    rollback,
    runs,
    updated_at_guard,
    violations,
)
from timestamp_guard import _faults as faults
from timestamp_guard.engine.profile import ensure_fits
from timestamp_guard.errors import (
    EncodingMismatch,
    LeaseLost,
    NoIdentity,
    PlanChanged,
    RunBusy,
    StoreFull,
    StoreLocked,
    TooManyFailures,
    UnknownName,
)
from timestamp_guard.instants import Encoding, Placeholders, parse_instant
from timestamp_guard.ledger import Counts, MemoryLedger, export
from timestamp_guard.predicate import CODES
from timestamp_guard.stores.base import Page, Step

SECOND = 10**9
BACKFILL = importlib.import_module("timestamp_guard.engine.backfill")  # the function of that name hides it
ROLLBACK = importlib.import_module("timestamp_guard.engine.rollback")
LEASE = importlib.import_module("timestamp_guard.engine.lease")
START = parse_instant("2024-06-01T12:00:00Z")
THEN = START // 10**6 - 86_400_000
"""A day before, in milliseconds."""

GUARD = updated_at_guard("u", "c")
REPAIR = Repair("u", ("c",))


class Table(MemoryStore):
    """Records with a field `k` as key; `before_write` and `after_write` are somebody else's turn."""

    def __init__(self, records: list[dict[str, Any]]) -> None:
        super().__init__(records, key="k", encodings="epoch_ms", name="table")
        self.records = records
        self.before_write: Callable[[Sequence[Change]], None] = lambda changes: None
        self.writes: list[int] = []

    def write(self, changes: Sequence[Change]) -> Sequence[Change]:
        self.writes.append(len(changes))
        self.before_write(changes)
        return super().write(changes)

    def of(self, key: Any) -> dict[str, Any]:
        return next(record for record in self.records if record["k"] == key)


def row(key: Any, updated: Any = None, created: Any = THEN) -> dict[str, Any]:
    return {"k": key, "c": created, "u": updated}


def table(count: int) -> Table:
    """Records 0, 1, 2 ... that all are to be filled."""
    return Table([row(key) for key in range(count)])


def slowly(size: int = 1) -> Pace:
    """At most so many records in every step: no hold is short enough to take more."""
    return Pace(target=0.0, start=size)


class Killed(BaseException):
    """The process is no more."""


def reached(monkeypatch: pytest.MonkeyPatch, name: str, act: Callable[[], object], occurrence: int = 1) -> None:
    """Do something when that point is reached for the n-th time."""
    count = itertools.count(1)

    def hook(at: str) -> None:
        if at == name and next(count) == occurrence:
            act()

    monkeypatch.setattr(faults, "hook", hook)


def killed(monkeypatch: pytest.MonkeyPatch, name: str, act: Callable[[], object], occurrence: int = 1) -> None:
    """Do *act* until it is killed at that point: nothing is cleaned up, and the owner of the lease is dead."""

    def kill() -> None:
        raise Killed

    with monkeypatch.context() as patch:
        for module in (BACKFILL, ROLLBACK):
            patch.setattr(module, "release", lambda *_: None)
        reached(patch, name, kill, occurrence)
        with pytest.raises(Killed):
            act()
    monkeypatch.setattr(LEASE, "dead", lambda _: True)


def at_step(number: int, act: Callable[[], object]) -> Callable[[Step], None]:
    """Do something after the n-th step."""
    count = itertools.count(1)

    def progress(_: Step) -> None:
        if next(count) == number:
            act()

    return progress


def changed(run: Run, store: Table) -> list[Change]:
    return [change for _, change in store.ledger.changes(run)]


# -- other writers ------------------------------------------------------------------------------------------------


def test_user_between_scan_and_write() -> None:
    """
    What a user writes between the look at a record and its write is never lost.
    """
    rows = table(4)
    rows.before_write = lambda _: rows.of(2).update(u=THEN + 7)

    run = backfill(rows, GUARD, REPAIR, now=START)

    assert THEN + 7 == rows.of(2)["u"]
    assert run.ok
    assert 3 == run.counts.changed


def test_refused_is_tried_again() -> None:
    """
    What was refused and is still broken is tried again by the next sweep, even if it is all there is.
    """
    rows = table(1)
    rows.before_write = lambda _: rows.of(0).update(u=-1) if len(rows.writes) == 1 else None

    run = backfill(rows, GUARD, REPAIR, now=START)

    assert ("complete", Counts(changed=1), 2) == (run.status, run.counts, run.sweep)
    assert [-1] == [change.before for change in changed(run, rows)]


def test_live_writer() -> None:
    """
    The present time that somebody writes is no fault, however long ago the run pinned its NOW.
    """
    rows = table(6)
    clock = [START]

    def an_hour_later() -> None:
        clock[0] += 3600 * SECOND
        rows.of(0)["u"] = rows.of(5)["u"] = clock[0] // 10**6

    run = backfill(
        rows,
        GUARD,
        Repair("u", ("c",), CODES),
        now=lambda: clock[0],
        pace=slowly(),
        progress=at_step(3, an_hour_later),
    )

    assert [START // 10**6 + 3_600_000] * 2 == [rows.of(0)["u"], rows.of(5)["u"]]
    assert run.ok


def test_pinned_now() -> None:
    """
    As a bound, NOW is also what the run pinned: what was sound when it began is not taken for a fault later.
    """
    guard = present("u") & in_order(NOW - timedelta(hours=1), "u")
    rows = Table([row(0), row(1, START // 10**6), row(2)])
    clock = [START]

    def two_hours_later() -> None:
        clock[0] += 7200 * SECOND

    run = backfill(
        rows,
        guard,
        Repair("u", (NOW,), CODES),
        now=lambda: clock[0],
        pace=slowly(),
        progress=at_step(1, two_hours_later),
    )

    assert [START // 10**6] * 3 == [record["u"] for record in rows.records]
    assert ("complete", 2) == (run.status, run.counts.changed)


def test_deleted_meanwhile() -> None:
    """
    Records that somebody takes out of the list do not hide others from a sweep.
    """
    rows = table(6)

    run = backfill(rows, GUARD, REPAIR, now=START, pace=slowly(), progress=at_step(2, lambda: rows.records.pop(0)))

    assert ("complete", 6, 1) == (run.status, run.counts.changed, run.sweep)
    assert [THEN] * 5 == [record["u"] for record in rows.records]


# -- done means measured ------------------------------------------------------------------------------------------


def test_what_comes_meanwhile() -> None:
    """
    What comes behind a sweep is found by the next one.
    """
    rows = table(4)

    run = backfill(
        rows, GUARD, REPAIR, now=START, pace=slowly(), progress=at_step(3, lambda: rows.of(0).update(u=None))
    )

    assert ("complete", 5, 2) == (run.status, run.counts.changed, run.sweep)


@pytest.mark.parametrize(
    ("arrivals", "sweeps", "arriving"),
    [([], 1, 0), ([3], 2, 0), ([3, 2], 3, 0), ([3, 2, 1], 3, 1), ([3, 3], 2, 3), ([9, 9], 2, 9), ([9, 8, 7], 3, 7)],
)
def test_sweeps(arrivals: list[int], sweeps: int, arriving: int) -> None:
    """
    Sweeps go on while each finds fewer, three at most; then what is there is counted.
    """
    rows = table(5)
    left = iter(arrivals)

    def arrive(step: Step) -> None:
        if step.done:
            for _ in range(next(left, 0)):
                rows.records.append(row(len(rows.records)))

    run = backfill(rows, GUARD, REPAIR, now=START, progress=arrive)

    assert (sweeps, Counts(changed=5 + sum(arrivals) - arriving, arriving=arriving)) == (run.sweep, run.counts)
    assert run.ok is not bool(arriving)


def test_survey_decides() -> None:
    """
    A store that says it wrote, and did not, does not make a run complete.
    """

    class Liar(Table):
        def write(self, changes: Sequence[Change]) -> Sequence[Change]:
            return super().write([change for change in changes if change.key != 3])

    rows = Liar([row(key) for key in range(5)])

    run = backfill(rows, GUARD, REPAIR, now=START)

    assert rows.of(3)["u"] is None
    assert ("incomplete", 1) == (run.status, run.counts.arriving)


def test_refused_for_good() -> None:
    """
    What is refused by the last sweep too is counted so.
    """
    rows = table(3)
    other = itertools.cycle([0, None])
    rows.before_write = lambda _: rows.of(1).update(u=next(other))

    run = backfill(rows, GUARD, REPAIR, now=START)

    assert ("incomplete", Counts(changed=2, refused=1)) == (run.status, run.counts)
    assert "1 refused" in str(run)


def test_unrepairable() -> None:
    """
    Where no candidate holds nothing is written, and that is no failure but not complete either.
    """
    rows = Table([row(0), row(1, None, None), row(2, None, "soon"), row(3, None, 1)])

    run = backfill(rows, GUARD, REPAIR, now=START)

    assert ("incomplete", Counts(changed=1, unrepairable=3)) == (run.status, run.counts)
    assert [THEN, None, None, None] == [record["u"] for record in rows.records]


def test_only_unrepairable() -> None:
    """
    A run that could fill nothing is not recorded, and not complete.
    """
    rows = Table([row(0, None, None)])

    run = backfill(rows, GUARD, REPAIR, now=START)

    assert (None, "incomplete", Counts(unrepairable=1)) == (run.id, run.status, run.counts)
    assert [] == runs(rows)


def test_present_values_stay() -> None:
    """
    A value that is there is replaced only if its code is named.
    """
    late = START // 10**6 + 999_999
    rows = Table([row(0, late), row(1, "soon"), row(2)])

    backfill(rows, GUARD, REPAIR, now=START)
    assert [late, "soon", THEN] == [record["u"] for record in rows.records]

    backfill(rows, GUARD, Repair("u", ("c",), {"in_future"}), now=START)
    assert [THEN, "soon", THEN] == [record["u"] for record in rows.records]


# -- writes that fail ---------------------------------------------------------------------------------------------


class Poisoned(Table):
    """Some records cannot be written."""

    def __init__(self, records: list[dict[str, Any]], poison: Sequence[Any]) -> None:
        super().__init__(records)
        self.poison = set(poison)

    def write(self, changes: Sequence[Change]) -> Sequence[Change]:
        self.writes.append(len(changes))
        for change in changes:
            if change.key in self.poison:
                msg = f"no {change.key}"
                raise OSError(msg)
        return MemoryStore.write(self, changes)


def test_quarantine() -> None:
    """
    A record that cannot be written is found by halves, and stops nobody else; a new run tries it again.
    """
    rows = Poisoned([row(key) for key in range(64)], [41])

    run = backfill(rows, GUARD, REPAIR, now=START)

    assert ("incomplete", Counts(changed=63, quarantined=1)) == (run.status, run.counts)
    assert [(41, "OSError: no 41")] == [(each.key, each.reason) for each in rows.ledger.quarantined(run)]
    assert 13 == len(rows.writes)  # 64, and two of each half

    rows.poison.clear()
    again = backfill(rows, GUARD, REPAIR, now=START)

    assert (True, 1) == (again.ok, again.counts.changed)


def test_quarantine_of_a_rollback() -> None:
    """
    So it is with a rollback.
    """
    rows = Poisoned([row(key) for key in range(9)], [])
    backfill(rows, GUARD, REPAIR, now=START)
    rows.poison = {4}

    back = rollback(rows, now=START)

    assert ("incomplete", Counts(changed=8, quarantined=1)) == (back.status, back.counts)
    assert [4] == [record["k"] for record in rows.records if record["u"] is not None]


def test_circuit_breaker() -> None:
    """
    Where too large a share fails the run stops, says why, and can be called again.
    """
    rows = Poisoned([row(key) for key in range(100)], range(50, 100))

    with pytest.raises(TooManyFailures, match=r"stopped: 1\d of \d+ writes failed, the last of them \d+: OSError: no "):
        backfill(rows, GUARD, REPAIR, now=START, pace=slowly())
    (run,) = runs(rows)
    assert ("stopped", 50, True) == (run.status, run.counts.changed, run.open)
    assert "writes failed" in str(run)
    assert max(rows.writes) == 1
    assert 50 + 11 == len(rows.writes)

    rows.poison.clear()
    again = backfill(rows, GUARD, REPAIR, now=START)

    assert (run.id, 89, 11) == (again.id, again.counts.changed, again.counts.quarantined)


def test_circuit_breaker_on_the_way_back() -> None:
    """
    A rollback stops too where too large a share of its writes fails, and goes on when it is called again.
    """
    rows = Poisoned([row(key) for key in range(100)], ())
    backfill(rows, GUARD, REPAIR, now=START)
    rows.poison = set(range(50))

    with pytest.raises(TooManyFailures, match=r"11 of 61 writes failed.* mend the cause and call rollback again"):
        rollback(rows, now=START, pace=slowly())
    stopped = runs(rows)[-1]
    assert ("stopped", 50, True) == (stopped.status, stopped.counts.changed, stopped.open)

    rows.poison.clear()
    back = rollback(rows, now=START)

    assert (stopped.id, None, "incomplete") == (back.id, back.reason, back.status)
    assert Counts(changed=89, quarantined=11) == back.counts


def test_breaker_stays_closed() -> None:
    """
    Many failures among very many writes do not stop a run.
    """
    rows = Poisoned([row(key) for key in range(300)], range(0, 300, 20))

    run = backfill(rows, GUARD, REPAIR, now=START)

    assert Counts(changed=285, quarantined=15) == run.counts


@pytest.mark.parametrize("problem", [StoreLocked("later"), StoreFull("no room"), KeyboardInterrupt()], ids=repr)
def test_not_the_record(problem: BaseException) -> None:
    """
    What is not the fault of a record quarantines none: it ends the call, and the next one goes on.
    """
    rows = table(5)

    def fail(_: Sequence[Change]) -> None:
        if len(rows.writes) >= 2:
            raise problem

    rows.before_write = fail
    with pytest.raises(type(problem)):
        backfill(rows, GUARD, REPAIR, now=START, pace=slowly())
    (run,) = runs(rows)
    assert (True, None, 0) == (run.open, run.owner, run.counts.quarantined)

    rows.before_write = lambda _: None
    again = backfill(rows, GUARD, REPAIR, now=START)
    assert (run.id, "complete", Counts(changed=5)) == (again.id, again.status, again.counts)


def test_what_a_ledger_cannot_keep() -> None:
    """
    A value that could not be given back is left alone, and said so.
    """
    rows = Table([row(0, object()), row(1)])

    run = backfill(rows, GUARD, Repair("u", ("c",), CODES), now=START)

    assert Counts(changed=1, quarantined=1) == run.counts
    assert "cannot be recorded, so could not be undone" in rows.ledger.quarantined(run)[0].reason
    assert not isinstance(rows.of(0)["u"], int)


def test_key_that_a_ledger_cannot_keep() -> None:
    """
    A key that could not be given back refuses the backfill before it begins; a check does not mind.
    """
    rows = Table([row(frozenset({1}))])

    assert not check(rows, GUARD, now=START).ok
    with pytest.raises(NoIdentity, match="no record could be found again by its key"):
        backfill(rows, GUARD, REPAIR, now=START)
    assert [] == runs(rows)


# -- killed, frozen, resumed --------------------------------------------------------------------------------------


def test_killed_with_a_write_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A write whose outcome was never recorded is taken back with the rest.
    """
    rows = table(5)
    killed(monkeypatch, "written", lambda: backfill(rows, GUARD, REPAIR, now=START, pace=slowly(2)), 2)
    written = [record["u"] for record in rows.records]

    back = rollback(rows, now=START)

    assert [THEN] * 3 + [None] * 2 == written
    assert [None] * 5 == [record["u"] for record in rows.records]
    assert ("complete", 3) == (back.status, back.counts.changed)


@pytest.mark.parametrize("name", ["begun", "intended", "written", "settled", "swept", "surveyed"])
@pytest.mark.parametrize("again", [False, True])
def test_killed(monkeypatch: pytest.MonkeyPatch, name: str, again: bool) -> None:
    """
    A run that was killed, even twice, ends as one that was not.
    """
    calm, rows = table(5), table(5)
    wanted = backfill(calm, GUARD, REPAIR, now=START, pace=slowly(2))

    killed(monkeypatch, name, lambda: backfill(rows, GUARD, REPAIR, now=START, pace=slowly(2)))
    if again and name != "begun":
        killed(monkeypatch, name, lambda: backfill(rows, GUARD, REPAIR, now=START, pace=slowly(2)))
    run = backfill(rows, GUARD, REPAIR, now=START)

    assert calm.records == rows.records
    assert (wanted.id, wanted.status, wanted.counts) == (run.id, run.status, run.counts)
    assert sorted(map(repr, changed(wanted, calm))) == sorted(map(repr, changed(run, rows)))


@pytest.mark.parametrize("name", ["rollback begun", "taken back"])
def test_killed_rollback(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """
    So it is with a rollback; a backfill waits until it is finished.
    """
    rows = table(5)
    backfill(rows, GUARD, REPAIR, now=START)

    killed(monkeypatch, name, lambda: rollback(rows, now=START, pace=slowly(2)))
    with pytest.raises(UsageError, match="run 2 on table, a rollback, is unfinished: finish it first"):
        backfill(rows, GUARD, REPAIR, now=START)
    with pytest.raises(UsageError, match="a rollback of run 1, is unfinished: finish it first"):
        rollback(rows, 2, now=START)
    back = rollback(rows, 1, now=START)

    assert [None] * 5 == [record["u"] for record in rows.records]
    assert (2, "complete", Counts(changed=5)) == (back.id, back.status, back.counts)


def test_rollback_killed_before_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A rollback that was killed when it had only ended the unfinished run takes back that one, not an older one.
    """
    rows = table(2)
    first = backfill(rows, GUARD, REPAIR, now=START)
    rows.records.append(row(2))
    killed(monkeypatch, "begun", lambda: backfill(rows, GUARD, REPAIR, now=START))

    with monkeypatch.context() as patch:
        patch.setattr(MemoryLedger, "begin", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            rollback(rows, now=START)
    back = rollback(rows, now=START)

    assert (2, 0) == (back.undoes, back.counts.changed)
    assert [THEN, THEN, None] == [record["u"] for record in rows.records]
    assert first.id == rollback(rows, now=START).undoes


def test_older_run_beside_an_unfinished_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    An older run is not taken back while a newer one is unfinished.
    """
    rows = table(2)
    first = backfill(rows, GUARD, REPAIR, now=START)
    rows.records.append(row(2))
    killed(monkeypatch, "begun", lambda: backfill(rows, GUARD, REPAIR, now=START))

    with pytest.raises(UsageError, match="run 2 on table is unfinished: finish it, or take it back, before run 1"):
        rollback(rows, first.id, now=START)


@pytest.mark.parametrize("name", ["begun", "settled", "swept", "surveyed"])
def test_frozen(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """
    A worker that was frozen until its lease ran out, while others finished the run and took it back, writes nothing.
    """
    rows = table(5)
    monkeypatch.setattr(ROLLBACK, "GRACE", timedelta(0))
    seen: list[Any] = []

    def others() -> None:
        monkeypatch.setattr(faults, "hook", None)
        seen.append(backfill(rows, GUARD, REPAIR, now=START).status)
        seen.append(rollback(rows, now=START).status)

    reached(monkeypatch, name, others)
    with pytest.raises(LeaseLost, match="run 1 on table was taken over by another process"):
        backfill(rows, GUARD, REPAIR, now=START, pace=slowly(2), lease=timedelta(0))

    assert ["complete", "complete"] == seen
    assert [None] * 5 == [record["u"] for record in rows.records]
    assert ["complete", "complete"] == [run.status for run in runs(rows)]


def test_frozen_rollback(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    So it is with a rollback: the values that a later run wrote again are not taken for its own.
    """
    rows = table(5)
    backfill(rows, GUARD, REPAIR, now=START)

    def others() -> None:
        monkeypatch.setattr(faults, "hook", None)
        rollback(rows, now=START)
        backfill(rows, GUARD, REPAIR, now=START)

    reached(monkeypatch, "rollback begun", others)
    with pytest.raises(LeaseLost):
        rollback(rows, now=START, lease=timedelta(0))

    assert [THEN] * 5 == [record["u"] for record in rows.records]


def test_intents_of_a_frozen_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Nor does one that was about to write intents that it had found open.
    """
    rows = table(5)
    killed(monkeypatch, "intended", lambda: backfill(rows, GUARD, REPAIR, now=START))
    monkeypatch.setattr(ROLLBACK, "GRACE", timedelta(0))
    intents = rows.ledger.intents

    def frozen(run: Run) -> list[Change]:
        found = intents(run)
        rows.ledger.intents = intents  # type: ignore[method-assign]  # the fault
        rollback(rows, now=START)
        return found

    rows.ledger.intents = frozen  # type: ignore[method-assign]  # the fault
    with pytest.raises(LeaseLost):
        backfill(rows, GUARD, REPAIR, now=START, lease=timedelta(0))

    assert [None] * 5 == [record["u"] for record in rows.records]


def ended_meanwhile(ledger: MemoryLedger, run: Run, *_: object, **__: object) -> Run:
    """Wait for the owner of a run, who ends it."""
    return ledger.save(evolve(run, status="complete", owner=None, finished=START))


def test_ended_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A run that another process ends while we wait for it is not begun again.
    """
    rows = table(3)
    killed(monkeypatch, "settled", lambda: backfill(rows, GUARD, REPAIR, now=START, pace=slowly()))
    with monkeypatch.context() as patch:
        patch.setattr(BACKFILL, "acquire", ended_meanwhile)
        run = backfill(rows, GUARD, REPAIR, now=START)

    assert (1, "complete", [run]) == (run.id, run.status, runs(rows))
    assert [THEN, None, None] == [record["u"] for record in rows.records]


@pytest.mark.parametrize("name", ["settled", "taken back"])
def test_ended_meanwhile_by_a_rollback(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """
    So it is with a rollback; and with a run that ends while it is waited for to be taken back.
    """
    rows = table(3)

    def both() -> None:
        backfill(rows, GUARD, REPAIR, now=START, pace=slowly())
        rollback(rows, now=START, pace=slowly())

    killed(monkeypatch, name, both)
    with monkeypatch.context() as patch:
        patch.setattr(ROLLBACK, "acquire", ended_meanwhile)
        back = rollback(rows, now=START)

    assert ("complete", 1) == (back.status, back.undoes)
    assert ["complete"] * 2 == [run.status for run in runs(rows)]


def test_locked_for_a_while() -> None:
    """
    A store that is locked for a while is tried again; for good, the run is given up, and goes on later.
    """
    rows = table(4)
    locked = [2]

    def refuse(_: Sequence[Change]) -> None:
        if locked[0]:
            locked[0] -= 1
            msg = "somebody holds it"
            raise StoreLocked(msg)

    rows.before_write = refuse
    assert backfill(rows, GUARD, REPAIR, now=START).ok

    rows.of(0)["u"] = None
    locked[0] = 10
    with pytest.raises(StoreLocked, match="somebody holds it"):
        backfill(rows, GUARD, REPAIR, now=START)
    locked[0] = 0
    assert (2, True) == ((run := backfill(rows, GUARD, REPAIR, now=START)).id, run.ok)


def test_plan_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    An unfinished run goes on only as it was planned; or is taken back, and another begins.
    """
    rows = table(3)
    other = Repair("u", (NOW,))
    killed(monkeypatch, "settled", lambda: backfill(rows, GUARD, REPAIR, now=START, pace=slowly()))

    with pytest.raises(PlanChanged, match=r"run 1 on table is unfinished and was planned differently \(repair was"):
        backfill(rows, GUARD, other, now=START)
    assert [THEN, None, None] == [record["u"] for record in rows.records]

    assert rollback(rows, now=START).ok
    assert 3 == backfill(rows, GUARD, other, now=START).id
    assert [START // 10**6] * 3 == [record["u"] for record in rows.records]


def test_pauses(caplog: pytest.LogCaptureFixture) -> None:
    """
    Ctrl-C between two steps gives the run up, so that it can go on at once.
    """
    rows = table(4)

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backfill(rows, GUARD, REPAIR, now=START, pace=slowly(), progress=at_step(2, stop))
    with caplog.at_level(logging.INFO, "timestamp_guard"):
        run = backfill(rows, GUARD, REPAIR, now=START)

    assert (1, "complete", 4) == (run.id, run.status, run.counts.changed)
    assert ["table: going on with run 1", str(run)] == caplog.messages


# -- taking back --------------------------------------------------------------------------------------------------


def test_rollback_only_where_ours() -> None:
    """
    A rollback leaves alone what somebody wrote after us, and counts it.
    """
    rows = table(4)
    backfill(rows, GUARD, REPAIR, now=START)
    rows.of(1)["u"] = THEN + 1
    rows.of(2)["u"] = float(THEN)

    back = rollback(rows, now=START)

    assert [None, THEN + 1, float(THEN), None] == [record["u"] for record in rows.records]
    assert ("incomplete", Counts(changed=2, refused=2)) == (back.status, back.counts)
    assert "2 restored, 2 changed since" in str(back)


def test_rollback_gone() -> None:
    """
    A record that was deleted since is not brought back.
    """
    rows = table(3)
    backfill(rows, GUARD, REPAIR, now=START)
    del rows.records[1]

    assert Counts(changed=2, refused=1) == rollback(rows, now=START).counts
    assert [0, 2] == [record["k"] for record in rows.records]


def test_rollback_of_a_record_filled_twice() -> None:
    """
    A record that was filled, emptied in another way and filled again is as its user left it.
    """
    rows = Table([{"k": 0, "c": THEN}, row(1)])
    run = backfill(
        rows, GUARD, REPAIR, now=START, pace=slowly(), progress=at_step(1, lambda: rows.of(0).update(u=None))
    )

    back = rollback(rows, now=START)

    assert (2, 3) == (run.sweep, run.counts.changed)
    assert [None, None] == [record["u"] for record in rows.records]
    assert Counts(changed=2, refused=1) == back.counts


def test_nothing_to_take_back() -> None:
    """
    Where no run changed anything, none is recorded.
    """
    rows = table(0)

    back = rollback(rows, now=START)

    assert (None, "rollback", "complete") == (back.id, back.action, back.status)
    assert [] == runs(rows)


def test_rollback_of_another_field() -> None:
    """
    A newer run on another field of the same records is no hindrance.
    """
    rows = Table([{"k": 0, "c": THEN}])
    first = backfill(rows, GUARD, REPAIR, now=START)
    backfill(rows, present("v"), Repair("v", ("c",)), now=START)

    assert rollback(rows, first.id, now=START).ok
    assert {"k": 0, "c": THEN, "v": THEN} == rows.of(0)


def test_unknown_run() -> None:
    """
    A run that is not there is said to be so, with those that are.
    """
    rows = table(1)
    backfill(rows, GUARD, REPAIR, now=START)

    with pytest.raises(UnknownName, match="no run '7' in the ledger of table; there is 1"):
        rollback(rows, 7, now=START)


# -- what can be asked --------------------------------------------------------------------------------------------


def test_candidates_are_recorded() -> None:
    """
    The ledger says where each value came from.
    """
    rows = Table([row(0), row(1, None, None)])

    run = backfill(rows, GUARD, Repair("u", (Field("c") + timedelta(seconds=1), NOW)), now=START)

    assert {0: "c + 1s", 1: "NOW"} == {change.key: change.candidate for change in changed(run, rows)}
    assert [1, 2] == [json.loads(line).get("change", 0) for line in export(rows.ledger, run)][:0:-1]


def test_plan() -> None:
    """
    A plan says what a backfill would do, and writes nothing.
    """
    rows = Table([row(0), {"k": 1, "c": THEN}, row(2, None, None), row(3, THEN), row(4, 0, 5)])
    before = [dict(record) for record in rows.records]

    planned = plan(rows, GUARD, Repair("u", ("c", NOW)), now=START)

    assert before == rows.records
    assert [] == runs(rows)
    assert (4, 0, True) == (planned.work, planned.unrepairable, not planned.ok)
    assert {"c": 2, "NOW": 2} == planned.by_candidate
    assert [(0, None, THEN, "c"), (1, ABSENT, THEN, "c")] == [
        (each.key, each.before, each.after, each.candidate) for each in planned.samples[:2]
    ]
    assert "table: 4 to fill, 0 unrepairable" in str(planned)
    assert "1: ABSENT -> " in str(planned)
    json.dumps(planned.to_dict())


def test_plan_of_the_unrepairable() -> None:
    """
    It names those that no candidate can mend.
    """
    planned = plan(Table([row(7, None, None)]), GUARD, REPAIR, now=START)

    assert (0, 1, False, [7]) == (planned.work, planned.unrepairable, planned.ok, planned.unrepairable_samples)
    assert "no candidate holds: 7" in str(planned)
    assert plan(Table([row(7, THEN)]), GUARD, REPAIR, now=START).ok


def test_check() -> None:
    """
    A check counts, keeps samples and, if strict, does not pass what it could not judge.
    """
    rows = Table([row(key) for key in range(30)] + [row(99, 5)] + [row(100, THEN, "soon")])

    report = check(rows, GUARD, now=START, samples=5)

    assert {"null": 30, "too_early": 1, "out_of_order": 1} == report.violations
    assert (32, 31) == (report.records, report.broken)
    assert [(0, "null"), (99, "too_early"), (99, "out_of_order"), (1, "null"), (2, "null")] == [
        (sample.key, sample.violation.code) for sample in report.samples
    ]
    assert {"c <= u": {"wrong_type": 1}} == report.undecided

    undecided = Table([row(100, THEN, "soon")])
    assert check(undecided, GUARD, now=START).ok
    assert not check(undecided, GUARD, now=START, strict=True).ok


def test_present_time_of_a_check() -> None:
    """
    NOW is read again for every page, so that a long check does not take fresh values for faults.
    """
    rows = Table([row(key, THEN) for key in range(1000)] + [row(1000, START // 10**6 + 60_000)])
    clock = itertools.count(START, 30 * SECOND)

    assert check(rows, GUARD, now=lambda: next(clock)).ok
    assert not check(rows, GUARD, now=START).ok


def test_violations_stream() -> None:
    """
    Violations are found as they are asked for.
    """
    rows = table(5000)
    scans = []

    class Counting(Table):
        def scan(self, after: Any, limit: int) -> Page:
            scans.append(limit)
            return super().scan(after, limit)

    found = violations(Counting(rows.records), GUARD, now=START)
    first = next(found)

    assert (0, "null") == (first.key, first.violation.code)
    assert 1 == len(scans)
    assert 4999 == sum(1 for _ in found)


def test_profile() -> None:
    """
    A profile describes what is there, in the encodings that would fit.
    """
    rows = Table([row(key, THEN // 1000) for key in range(50)] + [row(50), {"k": 51, "c": THEN}, row(52, "soon")])

    found = profile(rows, ["u", "c"], now=START)

    assert (53, 51, {"null": 1, "missing": 1, "wrong_type": 1}) == (
        found["u"].sampled,
        found["u"].present,
        found["u"].causes,
    )
    assert (THEN // 1000, 50) == found["u"].common
    assert 50 / 51 == found["u"].fits["epoch_s"]
    assert "epoch_ms" not in found["u"].fits
    assert {"epoch_ms": 1.0} == found["c"].fits
    assert 10 == profile(rows, ["u"], now=START, sample=10)["u"].sampled
    json.dumps([each.to_dict() for each in found.values()])
    with pytest.raises(EncodingMismatch, match="98% are epoch_s: declare u=epoch_s"):
        ensure_fits(rows, GUARD, now=START)


def test_profile_of_nothing() -> None:
    """
    There is nothing to say about no records.
    """
    found = profile(Table([]), ["u"], now=START)["u"]

    assert (0, None, None, {}) == (found.sampled, found.least, found.common, found.fits)
    ensure_fits(Table([]), GUARD, now=START)


# -- wrong usage --------------------------------------------------------------------------------------------------


class Looking:
    """A source that can only be read, and keeps nothing."""

    name = "looking"
    encodings = "epoch_ms"

    def scan(self, after: Any, limit: int) -> Page:
        return Page([("a", {"c": THEN, "u": None})])


class Writing(Looking):
    """A store without a ledger."""

    def write(self, changes: Sequence[Change]) -> Sequence[Change]:
        return []


def test_needs_a_store() -> None:
    """
    What can only be read can be checked and not filled; who keeps no ledger is to be given one.
    """
    assert not check(Looking(), GUARD, now=START).ok
    with pytest.raises(UsageError, match=r"looking can only be read: .* write\(\)"):
        backfill(Looking(), GUARD, REPAIR, now=START)
    with pytest.raises(UsageError, match=r"keeps no ledger of its own: pass ledger=open_ledger\(PATH\)"):
        backfill(Writing(), GUARD, REPAIR, now=START)
    assert backfill(Writing(), GUARD, REPAIR, now=START, ledger=MemoryLedger()).id == 1


def test_field_of_no_rule() -> None:
    """
    A field that the guard says nothing about cannot be broken.
    """
    with pytest.raises(UsageError, match="the guard says nothing about 'v'"):
        backfill(table(1), GUARD, Repair("v", ("c",)), now=START)


def test_backup(tmp_path: Path) -> None:
    """
    An adapter makes no backups, and nothing is begun.
    """
    rows = table(1)

    with pytest.raises(UsageError, match="makes no backups"):
        backfill(rows, GUARD, REPAIR, now=START, backup=tmp_path / "copy")
    assert [] == runs(rows)


def test_two_begin_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Of two workers that begin at once, one does.
    """
    rows = table(3)
    monkeypatch.setattr(BACKFILL, "_unfinished", lambda _: None)
    seen: list[str] = []

    def other() -> None:
        monkeypatch.setattr(faults, "hook", None)
        with pytest.raises(RunBusy, match="run 1 on table, a backfill, is unfinished"):
            backfill(rows, GUARD, REPAIR, now=START)
        seen.append("refused")

    reached(monkeypatch, "begun", other)
    assert backfill(rows, GUARD, REPAIR, now=START).ok
    assert ["refused"] == seen


def test_the_clock_of_this_machine() -> None:
    """
    Without *now* it is this machine's present time.
    """
    rows = table(1)

    run = backfill(rows, GUARD, REPAIR)

    assert START < run.now
    assert run.now <= (run.finished or 0)
    assert evolve(run, reason=None) == runs(rows)[0]


def test_placeholders_are_part_of_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A run whose placeholders were changed means something else, and does not go on.
    """
    rows = table(3)
    killed(monkeypatch, "settled", lambda: backfill(rows, GUARD, REPAIR, now=START, pace=slowly()))
    rows.encodings = evolve(Encoding.parse("epoch_ms"), placeholders=Placeholders(frozenset({5}), (), ()))

    with pytest.raises(PlanChanged, match="placeholders"):
        backfill(rows, GUARD, REPAIR, now=START)
