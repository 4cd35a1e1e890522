"""
Each protection, switched off, makes a named test fail: so none of them is there in vain, and none goes unwatched.
"""

import contextlib
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from attrs import evolve

from tests import test_engine as engine
from tests import test_lease as leases
from tests.test_engine import BACKFILL, LEASE
from timestamp_guard import ABSENT, Change, MemoryStore, Run, TimestampGuardError
from timestamp_guard.engine.stepwise import Stepwise
from timestamp_guard.job import Job
from timestamp_guard.ledger import MemoryLedger, Quarantined
from timestamp_guard.rules import Moment
from timestamp_guard.stores.base import Page

Switch = Callable[[pytest.MonkeyPatch], None]
Scenario = Callable[..., None]


def no_compare(patch: pytest.MonkeyPatch) -> None:
    """`write` sets without comparing."""

    def write(store: MemoryStore, changes: Sequence[Change]) -> Sequence[Change]:
        place = {store._key_of(record): record for record in store._records}
        for change in changes:
            if change.key in place:
                place[change.key].pop(change.field, None)
                if change.after is not ABSENT:
                    place[change.key][change.field] = change.after
        return []

    patch.setattr(MemoryStore, "write", write)


def no_compare_in_rollback(patch: pytest.MonkeyPatch) -> None:
    """A rollback restores whatever is there now."""
    undo = Stepwise.undo

    def careless(driven: Stepwise, *given: Any) -> Any:
        with pytest.MonkeyPatch.context() as inner:
            no_compare(inner)
            return undo(driven, *given)

    patch.setattr(Stepwise, "undo", careless)


def intents_come_late(patch: pytest.MonkeyPatch) -> None:
    """What is to be written is recorded after it was written."""
    held: list[Change] = []
    intend, settle = MemoryLedger.intend, MemoryLedger.settle

    def later(ledger: MemoryLedger, run: Run, changes: Sequence[Change]) -> None:
        held.extend(changes)

    def now(ledger: MemoryLedger, run: Run, refused: Sequence[Change], failed: Sequence[Quarantined]) -> Run:
        intend(ledger, run, held)
        held.clear()
        return settle(ledger, run, refused, failed)

    patch.setattr(MemoryLedger, "intend", later)
    patch.setattr(MemoryLedger, "settle", now)


def no_fence(patch: pytest.MonkeyPatch) -> None:
    """The generation of a run is not looked at."""
    patch.setattr(MemoryLedger, "_fence", lambda *_: None)


def no_fence_before_undo(patch: pytest.MonkeyPatch) -> None:
    """A rollback writes before it looks at the generation."""
    undo = Stepwise.undo

    def undo_unfenced(driven: Stepwise, *given: Any) -> Any:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(driven.ledger, "save", lambda run: run)
            return undo(driven, *given)

    patch.setattr(Stepwise, "undo", undo_unfenced)


def now_is_pinned(patch: pytest.MonkeyPatch) -> None:
    """As a bound, NOW is what the run pinned and nothing else."""
    patch.setattr(Job, "moment", lambda job, _: Moment.at(job.pinned))


def now_is_present(patch: pytest.MonkeyPatch) -> None:
    """As a bound, NOW is the present time and nothing else."""
    patch.setattr(Job, "moment", lambda _, now: Moment.at(now))


def no_survey(patch: pytest.MonkeyPatch) -> None:
    """A run is over, and complete, when its sweep is."""

    def judge(_: Any, run: Run) -> Run:
        return evolve(run, status="complete", owner=None, lease_until=0)

    patch.setattr(BACKFILL._Worker, "_judge", judge)


def one_sweep(patch: pytest.MonkeyPatch) -> None:
    """Nobody goes back for what came or was refused meanwhile."""
    patch.setattr(BACKFILL, "SWEEPS", 1)


def no_split(patch: pytest.MonkeyPatch) -> None:
    """A write that fails sets all its records aside."""

    def split(driven: Stepwise, changes: Sequence[Change]) -> tuple[list[Change], list[Quarantined]]:
        try:
            return list(driven.store.write(changes)), []
        except OSError as problem:
            return [], [Quarantined(each.key, str(problem)) for each in changes]

    patch.setattr(Stepwise, "_split", split)


def no_breaker(patch: pytest.MonkeyPatch) -> None:
    """A run goes on however much fails."""
    patch.setattr(BACKFILL, "breaker", lambda *_: None)


def nobody_waits(patch: pytest.MonkeyPatch) -> None:
    """Every owner of a lease is taken for dead."""
    patch.setattr(LEASE, "dead", lambda _: True)


def leases_of_the_dead(patch: pytest.MonkeyPatch) -> None:
    """No owner of a lease is known to be dead."""
    patch.setattr(LEASE, "dead", lambda _: False)


def anything_can_be_recorded(patch: pytest.MonkeyPatch) -> None:
    """What a ledger cannot keep is written all the same."""
    patch.setattr("timestamp_guard.engine.stepwise._unkeepable", lambda _: None)


def places_are_counted(patch: pytest.MonkeyPatch) -> None:
    """A cursor is a place in the list, whoever moved what is there."""

    def scan(store: MemoryStore, after: int | None, limit: int) -> Page:
        end = (after or 0) + limit
        chosen = [(store._key_of(record), dict(record)) for record in store._records[after or 0 : end]]
        return Page(chosen, end if end < len(store._records) else None)

    patch.setattr(MemoryStore, "scan", scan)


def any_plan(patch: pytest.MonkeyPatch) -> None:
    """An unfinished run goes on with whatever plan."""
    patch.setattr(Run, "same_plan", lambda *_: None)


def two_runs(patch: pytest.MonkeyPatch) -> None:
    """A run begins beside another."""
    begin = MemoryLedger.begin

    def beside(ledger: MemoryLedger, run: Run) -> Run:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(ledger, "runs", lambda _: [])
            return begin(ledger, run)

    patch.setattr(MemoryLedger, "begin", beside)


TEETH: list[tuple[Switch, Scenario]] = [
    (no_compare, engine.test_user_between_scan_and_write),
    (no_compare_in_rollback, engine.test_rollback_only_where_ours),
    (intents_come_late, engine.test_killed_with_a_write_in_flight),
    (no_fence, functools.partial(engine.test_frozen, name="settled")),
    (no_fence, leases.test_another_was_faster),
    (no_fence_before_undo, engine.test_frozen_rollback),
    (now_is_pinned, engine.test_live_writer),
    (now_is_present, engine.test_pinned_now),
    (no_survey, engine.test_survey_decides),
    (one_sweep, engine.test_what_comes_meanwhile),
    (one_sweep, engine.test_refused_is_tried_again),
    (no_split, engine.test_quarantine),
    (no_breaker, engine.test_circuit_breaker),
    (nobody_waits, leases.test_busy),
    (leases_of_the_dead, leases.test_dead_owner),
    (anything_can_be_recorded, engine.test_what_a_ledger_cannot_keep),
    (places_are_counted, engine.test_deleted_meanwhile),
    (any_plan, engine.test_plan_changed),
    (two_runs, engine.test_two_begin_at_once),
]


def play(scenario: Scenario, patch: pytest.MonkeyPatch) -> None:
    """Call a test with the fixtures that it asks for."""
    asked = inspect.signature(scenario).parameters
    with contextlib.ExitStack() as stack:
        given: dict[str, Any] = {}
        if "monkeypatch" in asked:
            given["monkeypatch"] = patch
        if "alive" in asked:
            given["alive"] = stack.enter_context(leases.living())
        scenario(**given)


def name_of(each: Any) -> str:
    return str(getattr(each, "func", each).__name__)


@pytest.mark.parametrize(("switch", "scenario"), TEETH, ids=name_of)
def test_bites(switch: Switch, scenario: Scenario) -> None:
    """
    With the protection the test passes, without it the test fails.
    """
    with pytest.MonkeyPatch.context() as patch:
        play(scenario, patch)

    with pytest.MonkeyPatch.context() as patch:
        switch(patch)
        with pytest.raises((AssertionError, TimestampGuardError, pytest.fail.Exception)):
            play(scenario, patch)
