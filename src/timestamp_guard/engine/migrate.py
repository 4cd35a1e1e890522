"""
The whole way of a table: looked at, held for new writes, filled, proved, enforced, proved again; and back.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, Literal, TypeAlias, get_args

from attrs import asdict, evolve, frozen

from .._faults import point, reach
from ..errors import PlanChanged, UsageError
from ..instants import show
from ..ledger import Run
from ..repairs import Repair
from ..rules import Guard
from ..stores.base import BatchStore, Enforceable, Fingerprint, Guided, Source, Tell
from .backfill import backfill
from .check import check
from .drive import clock_of, drive
from .enforce import enforce, enforcement
from .lease import LEASE, acquire, me, release, renewed
from .pace import Pace
from .plan import job_for
from .verify import fingerprint, verify
from .walk import Progress

__all__ = ["PHASES", "Evidence", "Migration", "Phase", "migrate"]

Phase: TypeAlias = Literal["check", "gate", "backfill", "verify", "enforce", "prove"]
PHASES: Final[tuple[Phase, ...]] = get_args(Phase)
"""
`check` looks, and keeps what it saw; `gate` holds new writes; `backfill` fills; `verify` looks again; `enforce` makes it
required; `prove` tries what is refused, and holds everything against what `check` saw.
"""

PASSED: Final = point("migrate: phase passed")
GOING: Final = "not finished: call migrate again to go on, or rollback to take it back"

_log = logging.getLogger("timestamp_guard")


@frozen
class Evidence:
    """What a phase came to: whether it is passed, in a sentence, with its numbers, and how many seconds it took."""

    phase: Phase
    ok: bool
    said: str
    seconds: float
    numbers: Mapping[str, Any]


@frozen
class Migration:
    """How far a migration has come, and what each phase came to."""

    table: str
    run: Run
    evidence: Sequence[Evidence]

    @property
    def ok(self) -> bool:
        """Whether every phase is passed that was asked for."""
        return all(each.ok for each in self.evidence)

    @property
    def complete(self) -> bool:
        """Whether all phases are."""
        return self.ok and len(self.evidence) == len(PHASES)

    def __str__(self) -> str:
        how = "complete" if self.complete else "as far as was asked for" if self.ok else "not complete"
        lines = [f"{self.table}: migration {self.run.id}, {how}"]
        lines += [
            f"  {each.phase:<8} {'ok ' if each.ok else 'NOT'} {each.seconds:>7.1f} s  {each.said}"
            for each in self.evidence
        ]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "ok": self.ok,
            "complete": self.complete,
            "run": self.run.id,
            "started": show(self.run.started),
            "phases": [asdict(each) for each in self.evidence],
        }


def migrate(
    store: Source,
    guard: Guard,
    repair: Repair,
    *,
    until: Phase = "prove",
    now: int | Callable[[], int] | None = None,
    pace: Pace | None = None,
    lease: timedelta = LEASE,
    keep_current: bool = False,
    keep_gate: bool = False,
    progress: Progress | None = None,
    tell: Tell | None = None,
) -> Migration:
    """
    Make the field of *repair* required on a table that others go on writing to, as far as the phase *until*.

    Where only a person can change what the store refuses, in the code of an app, `gate` and `enforce` end the call with
    what to change, until that is done: the next call sees it. Nothing is to be required before all records are proved.

    Every phase is recorded with what it came to. Killed or stopped, call it again: phases that are passed are not gone
    through again, and each of the others goes on where it stood. A phase that is not passed ends it, and says why; the
    way back is `rollback`, which takes the enforcement back first and then the values.

    Raises:
        UsageError: a field is not there, the store can enforce nothing, or another migration is unfinished.
        StoreError: the store could not be read or written.
    """
    if until not in PHASES:
        msg = f"there is no phase {until!r}; one of {', '.join(PHASES)}"
        raise UsageError(msg)
    if not isinstance(store, Enforceable | Guided):
        msg = f"{store.name} can enforce nothing by itself: use check and backfill, and guard the writes"
        raise UsageError(msg)
    clock = clock_of(now, store, guard)
    driven = drive(store)
    job_for(store, guard, repair, clock())
    if isinstance(store, Enforceable):
        enforcement(store, guard, repair.field, repair=repair, keep_current=keep_current, keep_gate=keep_gate)
    elif keep_current or keep_gate:
        msg = f"{store.name} has no triggers: what new records hold is for the code of the app to say"
        raise UsageError(msg)
    asked = {
        "field": repair.field, "guard": str(guard), "repair": str(repair), "candidates": [],
        "keep_current": keep_current, "keep_gate": keep_gate,
    }  # fmt: skip
    run = _begun(driven, asked, clock, lease)
    work = _Worker(store, driven, guard, repair, run, tell or _log.info)
    how = {"now": now, "pace": pace, "lease": lease, "progress": progress}
    enforced = {"keep_current": keep_current, "keep_gate": keep_gate, "now": now, "progress": work.tell}
    acts: Mapping[Phase, Callable[[], tuple[bool, str, dict[str, Any]]]] = {
        "check": lambda: work.check(now),
        "gate": lambda: work.gate(enforced),
        "backfill": lambda: work.backfill(how),
        "verify": lambda: work.verify(now),
        "enforce": lambda: work.enforce(enforced),
        "prove": lambda: work.prove(now),
    }
    try:
        for phase in PHASES[: PHASES.index(until) + 1]:
            if phase not in work.passed and not work.go(phase, acts[phase]):
                break
    except BaseException:
        release(driven.ledger, work.run)
        raise
    return work.over(clock)


def _begun(driven: BatchStore, asked: Mapping[str, Any], clock: Callable[[], int], lease: timedelta) -> Run:
    """
    The migration to go on with, or a new one.

    Raises:
        PlanChanged: another one is unfinished.
    """
    runs = driven.ledger.runs(driven.name)
    last = next((run for run in reversed(runs) if run.action == "migrate"), None)
    if last is not None and last.reason == GOING and not _taken_back(runs, last):
        was = json.loads(last.plan)
        differs = [f"{name} was {was.get(name)}, is {value}" for name, value in asked.items() if was.get(name) != value]
        if differs:
            msg = (
                f"migration {last.id} of {last.table} is unfinished and was asked for differently ({'; '.join(differs)}): "
                f"go on with what it began with, or take it back with rollback"
            )
            raise PlanChanged(msg)
        return acquire(driven.ledger, last, lease)
    began = clock()
    plan = json.dumps({**asked, "evidence": []})
    new = Run(None, "migrate", driven.name, plan, began, "incomplete", reason=GOING, started=began, owner=me())
    return driven.ledger.begin(renewed(new, lease))


def _taken_back(runs: Sequence[Run], migration: Run) -> bool:
    """Whether a rollback came after the migration began, which so begins anew."""
    return any(run.action == "rollback" and (run.id or 0) > (migration.id or 0) for run in runs)


class _Worker:
    """One process at work on one migration."""

    def __init__(self, store: Source, driven: BatchStore, guard: Guard, repair: Repair, run: Run, tell: Tell) -> None:
        self.store, self.driven, self.guard, self.repair = store, driven, guard, repair
        self.run, self.tell = run, tell
        self.evidence = [Evidence(**each) for each in json.loads(run.plan)["evidence"]]

    @property
    def passed(self) -> set[Phase]:
        """The phases that are passed."""
        return {each.phase for each in self.evidence if each.ok}

    def go(self, phase: Phase, act: Callable[[], tuple[bool, str, dict[str, Any]]]) -> bool:
        """Go through a phase, and record what it came to; whether it is passed."""
        self.tell(f"{phase} begins")
        began = time.monotonic()
        ok, said, numbers = act()
        found = Evidence(phase, ok, said, round(time.monotonic() - began, 3), numbers)
        # What came meanwhile is for another backfill.
        again = {phase} if ok or phase not in {"verify", "enforce"} else {phase, "backfill", "verify"}
        self.evidence = [*(each for each in self.evidence if each.phase not in again), found]
        plan = {**json.loads(self.run.plan), "evidence": [asdict(each) for each in self.evidence]}
        self.run = self.driven.ledger.save(renewed(evolve(self.run, plan=json.dumps(plan)), LEASE))
        self.tell(f"{phase}: {said}")
        reach(PASSED)
        return ok

    def over(self, clock: Callable[[], int]) -> Migration:
        """Give it up where it stands, or end it."""
        found = Migration(self.driven.name, self.run, tuple(self.evidence))
        run = evolve(self.run, owner=None, lease_until=0)
        if found.complete:
            run = evolve(run, status="complete", reason=None, finished=clock())
        self.run = self.driven.ledger.save(run)
        return evolve(found, run=self.run)

    # -- the phases

    def check(self, now: Any) -> tuple[bool, str, dict[str, Any]]:
        report = check(self.store, self.guard, now=now)
        taken = fingerprint(self.store, self.repair.field)
        numbers = {"records": report.records, "broken": report.broken, "fingerprint": str(taken)}
        return True, f"{report.records:,} records, {report.broken:,} broken", numbers

    def gate(self, how: Mapping[str, Any]) -> tuple[bool, str, dict[str, Any]]:
        """Where every broken record is one that a gate fills, new writes are held before the old ones are filled."""
        if isinstance(self.store, Guided):
            wanting = self.store.wanting(self.repair.field, required=False)
            return wanting is None, wanting or "the field has its place, and the functions of the app are there", {}
        found = enforce(self.store, self.guard, self.repair.field, repair=self.repair, **how)
        if found.made:
            return True, f"new writes are held: {', '.join(found.made)}", {"made": list(found.made)}
        why = (
            "nothing was in the way"
            if found.ok
            else "some records can be filled only by a backfill, so that comes first"
        )
        return True, f"no gate: {why}", {"made": []}

    def backfill(self, how: Mapping[str, Any]) -> tuple[bool, str, dict[str, Any]]:
        """Fill."""
        held = 0.0
        progress = how["progress"]

        def told(step: Any) -> None:
            nonlocal held
            held = max(held, step.held_ns / 1e6)
            if progress is not None:
                progress(step)

        run = backfill(self.store, self.guard, self.repair, **{**how, "progress": told})
        numbers = {"run": run.id, **asdict(run.counts), "longest_ms": round(held, 1)}
        return run.ok, f"{run}, longest transaction {held:.0f} ms", numbers

    def verify(self, now: Any) -> tuple[bool, str, dict[str, Any]]:
        """Look again: at the records, and at what the ledger says of them."""
        found = verify(self.store, self.guard, self.repair.field, now=now)
        broken = dict(found.report.violations)
        held = sum(each.held for each in found.held.values())
        since = sum(each.since + each.gone for each in found.held.values())
        codes = f" ({', '.join(f'{count:,} {code}' for code, count in broken.items())})" if broken else ""
        said = f"{found.report.records:,} records, {found.report.broken:,} broken{codes}; {held:,} hold what was filled"
        said += f", {since:,} were written or deleted since" if since else ""
        return (
            found.report.ok,
            said,
            {"records": found.report.records, "violations": broken, "held": held, "since": since},
        )

    def enforce(self, how: Mapping[str, Any]) -> tuple[bool, str, dict[str, Any]]:
        """Make it required."""
        if isinstance(self.store, Guided):
            wanting = self.store.wanting(self.repair.field, required=True)
            return wanting is None, wanting or f"the schema requires {self.repair.field}", {}
        found = enforce(self.store, self.guard, self.repair.field, repair=self.repair, **how)
        held = [rule for rule, by in found.held.items() if not by.startswith("nothing")]
        said = found.reason or f"in place: {', '.join(held) or 'nothing'}"
        if found.reason is None and len(held) < len(found.held):
            said += f"; {len(found.held) - len(held)} rules are held by nothing, see enforce --print"
        return found.ok, said, {"made": list(found.made), "held": dict(found.held)}

    def prove(self, now: Any) -> tuple[bool, str, dict[str, Any]]:
        """Try what is refused, and hold all other fields against what they were."""
        first = next(each for each in self.evidence if each.phase == "check")
        before = Fingerprint.parse(first.numbers["fingerprint"])
        found = verify(self.store, self.guard, self.repair.field, now=now, fingerprinted=True, probe=True)
        after = found.fingerprint
        if after == before:
            lost = "all other fields are what they were before"
        elif after is not None and after.records == before.records:
            lost = "others wrote to other fields meanwhile"
        else:
            lost = f"{before.records:,} records before, {after.records if after else 0:,} now: others wrote meanwhile"
        said = f"{found.report.broken:,} broken; {found.probe}; {lost}"
        return found.ok, said, {"records": found.report.records, "fingerprint": str(after), "same": after == before}
