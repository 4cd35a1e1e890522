"""
Have the store itself refuse what the guard forbids, step by step, so that nobody has to wait; and take that back.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from attrs import evolve, frozen
from attrs import field as attribute

from .._faults import point, reach
from ..errors import PlanChanged, StillBroken, StoreError, UsageError
from ..instants import encodings_for
from ..job import Job
from ..ledger import Run, enforced_by, made_by
from ..predicate import Fault
from ..repairs import Repair, read_by
from ..rules import Guard
from ..stores.base import BatchStore, Clock, Enforceable, Enforcing, Guided, Sample, Source, Stage, Survey, Tell, Wanted
from .drive import clock_of, drive, known
from .lease import LEASE, acquire, me, release, renewed

__all__ = ["Enforcement", "enforce", "enforcement", "unenforce"]

BEGUN: Final = point("enforce: begun")
STAGED: Final = point("enforce: stage made")
UNSTAGED: Final = point("enforce: stage taken back")

UNFINISHED: Final = "not finished: call enforce again to go on, or unenforce to take it back"
TAKEN_BACK: Final = "taken back"

_log = logging.getLogger("timestamp_guard")


@frozen
class Enforcement:
    """
    What is enforced of a table: its stages as they now are, and by what each rule is held.

    `broken` records are in the way, `faults` say why; `made` and `undone` are the stages of this call. `run` is where it
    is recorded, None where nothing was to be done.
    """

    table: str
    run: Run | None
    stages: Sequence[Stage]
    held: Mapping[str, str]
    broken: int = 0
    faults: Mapping[Fault, int] = attribute(factory=dict)
    samples: Sequence[Sample] = ()
    made: Sequence[str] = ()
    undone: Sequence[str] = ()
    reason: str | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is left to do."""
        return not self.broken and self.reason is None

    def __str__(self) -> str:
        done = []
        if self.made:
            done.append(f"{', '.join(self.made)} done")
        if self.undone:
            done.append(f"{', '.join(self.undone)} taken back")
        if not done and self.ok:
            done.append("nothing to do")
        lines = [f"{self.table}: {'; '.join([*done, *([self.reason] if self.reason else [])])}"]
        lines += [f"  {count:>10,} {code} in {name}" for (code, name, _), count in self.faults.items()]
        lines += [f"    {each.key!r}: {each.violation}" for each in self.samples]
        lines += [f"  {rule}: {by}" for rule, by in self.held.items()]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "ok": self.ok,
            "run": None if self.run is None else self.run.id,
            "reason": self.reason,
            "broken": self.broken,
            "violations": [
                {"code": code, "field": name, "other": other, "count": count}
                for (code, name, other), count in self.faults.items()
            ],
            "made": list(self.made),
            "undone": list(self.undone),
            "held": dict(self.held),
            "stages": [described(stage) for stage in self.stages],
        }


def described(stage: Stage) -> dict[str, Any]:
    """A stage for JSON, and for the ledger."""
    return {
        "name": stage.name,
        "in_place": stage.in_place,
        "statements": list(stage.statements),
        "lock": stage.lock,
        "expected": stage.expected,
        "undo": list(stage.undo),
    }


def enforcement(
    store: Source,
    guard: Guard,
    field: str | None = None,
    *,
    repair: Repair | None = None,
    keep_current: bool = False,
    keep_gate: bool = False,
    hold_now: bool = False,
    rebuild: bool = False,
) -> Sequence[Stage]:
    """
    The stages that `enforce` with the same arguments goes through. Touches nothing.

    Raises:
        UsageError: a field is not there, or the store cannot hold a guard.
        StoreError: the store could not be read.
    """
    wanted = _wanted(store, guard, field, repair, keep_current, keep_gate, hold_now, rebuild)
    return _stages_of(store, _enforcing(store), wanted)


def enforce(
    store: Source,
    guard: Guard,
    field: str | None = None,
    *,
    repair: Repair | None = None,
    keep_current: bool = False,
    keep_gate: bool = False,
    hold_now: bool = False,
    rebuild: bool = False,
    report_only: bool = False,
    now: int | Callable[[], int] | None = None,
    samples: int = 10,
    progress: Tell | None = None,
) -> Enforcement:
    """
    Have *store* refuse whatever breaks *guard*: all of it, or what it says about *field*.

    Killed at any instant, call it again: what is in place is asked of the store. Called twice, it does nothing the
    second time. Records that break the guard are in the way: they are counted, and nothing is made that would hurt
    them; where new ones are filled by a gate, made of *repair*, that comes first and stays until the old ones are
    filled, by `backfill`, and proved, by calling this again.

    *keep_current* has each change of a record move the field on, never back; *hold_now* refuses values that break a
    rule with NOW; *keep_gate* keeps the gate for ever; *rebuild* lets a table of SQLite, MariaDB or MySQL
    be written anew; *report_only* counts what would be refused, and touches nothing; *progress* hears what is done and
    waited for.

    Raises:
        UsageError: a field is not there; the store cannot hold a guard; something else is enforced already.
        StoreLocked: others hold the table; they are named.
        StoreError: the store could not be read or written.
    """
    clock = clock_of(now, store, guard)
    wanted = _wanted(store, guard, field, repair, keep_current, keep_gate, hold_now, rebuild)
    enforcing, driven, tell = _enforcing(store), drive(store), progress or _log.info
    held, stages = enforcing.held(wanted), _stages_of(store, enforcing, wanted)
    if report_only:
        found = enforcing.refused(wanted, clock, samples)
        reason = f"{found.broken:,} of {found.records:,} records would be refused" if found.broken else None
        return Enforcement(driven.name, None, stages, held, found.broken, found.faults, found.samples, reason=reason)
    runs = driven.ledger.runs(driven.name)
    standing = _standing(runs, wanted)
    if all(stage.in_place for stage in stages) and (standing is None or standing.ok):
        return Enforcement(driven.name, standing, stages, held)
    found = enforcing.refused(wanted, clock, samples)
    fills = _fills(driven, wanted, stages, found, clock)
    if found.broken and not fills and standing is None:
        return _left(driven, None, enforcing, wanted, found, ())
    if standing is None:
        began = clock()
        plan = json.dumps(_plan(wanted, stages, ()))
        new = Run(None, "enforce", driven.name, plan, began, "incomplete", reason=UNFINISHED, started=began, owner=me())
        run = driven.ledger.begin(renewed(new, LEASE))
        reach(BEGUN)
    else:
        run = acquire(driven.ledger, standing, LEASE)
    return _Worker(driven, enforcing, wanted, tell, clock).work(run, found, fills=fills, samples=samples)


def unenforce(store: Source, *, progress: Tell | None = None) -> Enforcement:
    """
    Take back what `enforce` made of *store*, and nothing else. Killed at any instant, call it again.

    Raises:
        UsageError: the store cannot hold a guard.
        StoreLocked: others hold the table; they are named.
        StoreError: the store could not be read or written.
    """
    enforcing, driven, tell = _enforcing(store), drive(store), progress or _log.info
    run = enforced_by(driven.ledger.runs(driven.name))
    if run is None:
        return Enforcement(driven.name, None, (), {})
    run = acquire(driven.ledger, run, LEASE)
    undone: list[str] = []
    try:
        run = _take_back(driven, enforcing, run, tell, undone, TAKEN_BACK)
    except BaseException:
        release(driven.ledger, run)
        raise
    return Enforcement(driven.name, run, (), {}, undone=undone)


def _enforcing(store: Source) -> Enforcing:
    if isinstance(store, Guided):
        msg = f"{store.name} is held by the schema of its app, which is yours to change: migrate says what, and when"
        raise UsageError(msg)
    if not isinstance(store, Enforceable):
        msg = f"{store.name} has nothing that could refuse a write by itself: guard the writes, and check"
        raise UsageError(msg)
    return store.enforcing()


def _wanted(
    store: Source,
    guard: Guard,
    field: str | None,
    repair: Repair | None,
    keep_current: bool,  # noqa: FBT001 - as they come
    keep_gate: bool,  # noqa: FBT001 - as above
    hold_now: bool,  # noqa: FBT001 - as above
    rebuild: bool,  # noqa: FBT001 - as above
) -> Wanted:
    """
    What is asked for, with every name proved to be there.

    Raises:
        UsageError: it cannot be.
    """
    if field is None and repair is not None:
        field = repair.field
    if field is not None:
        if field not in guard.fields:
            msg = f"the guard says nothing about {field!r}, so there is nothing to enforce: {guard}"
            raise UsageError(msg)
        guard = guard.about(field)
    if repair is not None and repair.field != field:
        msg = f"the repair is of {repair.field!r}, and {field!r} is to be enforced"
        raise UsageError(msg)
    names = dict.fromkeys((*guard.fields, *(read_by(repair, guard) if repair else ())))
    known(store, names)
    fields = (field,) if field is not None else guard.required
    if keep_current and len(fields) != 1:
        msg = f"which field is to be kept current? {', '.join(guard.fields)}"
        raise UsageError(msg)
    encodings = encodings_for(tuple(names), store.encodings)
    return Wanted(guard, fields, encodings, repair, keep_current, keep_gate, hold_now, rebuild)


def _stages_of(store: Source, enforcing: Enforcing, wanted: Wanted) -> Sequence[Stage]:
    """
    All stages, in their order.

    Raises:
        UsageError: a gate is to be kept, and there is none.
    """
    stages = enforcing.stages(wanted)
    if wanted.keep_gate and not any(stage.name == "gate" for stage in stages):
        why = (
            "it is made of what fills the field: name that too"
            if wanted.repair is None
            else f"nothing there could fill {wanted.repair.field} from {', '.join(map(str, wanted.repair.candidates))}"
        )
        msg = f"{store.name} has no gate that could be kept: {why}, or leave keep_gate out"
        raise UsageError(msg)
    return stages


def _plan(wanted: Wanted, stages: Sequence[Stage], made: Sequence[str]) -> dict[str, Any]:
    """
    What a run remembers: what was asked for, the stages that were not there before it, and which of them stand.

    What was in place before is somebody else's, and never taken back.
    """
    return {
        "field": ", ".join(wanted.fields),
        "guard": str(wanted.guard),
        "repair": str(wanted.repair) if wanted.repair else "",
        "candidates": [],
        "encodings": {name: str(wanted.encodings[name]) for name in sorted(wanted.encodings)},
        "keep_current": wanted.keep_current,
        "keep_gate": wanted.keep_gate,
        "hold_now": wanted.hold_now,
        "rebuild": wanted.rebuild,
        "stages": [described(stage) for stage in stages if not stage.in_place],
        "made": list(made),
    }


def _standing(runs: Sequence[Run], wanted: Wanted) -> Run | None:
    """
    The enforcement to go on with.

    Raises:
        UsageError: another one stands, or a rollback is unfinished.
    """
    back = next((run for run in runs if run.open and run.action == "rollback"), None)
    if back is not None:
        msg = f"run {back.id} on {back.table}, a rollback, is unfinished: finish it first, with rollback"
        raise UsageError(msg)
    run = enforced_by(runs)
    if run is not None:
        was, is_ = json.loads(run.plan), _plan(wanted, (), ())
        differs = [
            f"{key} was {was[key]}, is {is_[key]}"
            for key in is_
            if key not in {"stages", "made"} and was[key] != is_[key]
        ]
        if differs:
            msg = f"{run.table} is enforced by run {run.id} in another way ({'; '.join(differs)}): unenforce it first"
            raise PlanChanged(msg)
    return run


def _fills(driven: BatchStore, wanted: Wanted, stages: Sequence[Stage], found: Survey, clock: Clock) -> bool:
    """Whether every record that is in the way is one that a gate fills as soon as it is written, as a backfill would."""
    repair = wanted.repair
    if repair is None or not any(stage.name == "gate" for stage in stages):
        return False
    if any((code, name) != ("null", repair.field) for code, name, _ in found.faults):
        return False
    job = Job.of(wanted.guard, evolve(repair, codes=frozenset({"null"})), driven.encodings, clock())
    return driven.assess(job, clock, 0).unrepairable == 0


def _left(
    driven: BatchStore,
    run: Run | None,
    enforcing: Enforcing,
    wanted: Wanted,
    found: Survey,
    made: Sequence[str],
    undone: Sequence[str] = (),
) -> Enforcement:
    rows = "record breaks" if found.broken == 1 else "records break"
    reason = f"{found.broken:,} {rows} what is to be enforced: run check and backfill first"
    if made or (run is not None and made_by(run)):
        reason += ", then enforce again; until then, new ones are held"
    return Enforcement(
        driven.name, run, enforcing.stages(wanted), enforcing.held(wanted), found.broken, found.faults, found.samples,
        made, undone, reason,
    )  # fmt: skip


class _Worker:
    """One process at work on one enforcement."""

    def __init__(self, driven: BatchStore, enforcing: Enforcing, wanted: Wanted, tell: Tell, clock: Clock) -> None:
        self.driven, self.enforcing, self.wanted = driven, enforcing, wanted
        self.tell, self.clock = tell, clock

    def work(self, run: Run, found: Survey, *, fills: bool, samples: int) -> Enforcement:
        """Go through the stages that are not in place; stop before a proof that would fail."""
        made: list[str] = []
        undone: list[str] = []
        try:
            if not found.broken or fills:
                try:
                    for stands in self._stages(run, made, proving=not found.broken):
                        run = stands
                except StillBroken as problem:
                    _log.info("%s", problem)
                    found = self.enforcing.refused(self.wanted, self.clock, samples)
                    fills = _fills(self.driven, self.wanted, self.enforcing.stages(self.wanted), found, self.clock)
                    if not found.broken:  # mended meanwhile, or not ours to see
                        raise StoreError(f"{self.driven.name}: {problem}; call enforce again") from None
            if not found.broken:
                run = self._saved(evolve(run, status="complete", reason=None, finished=self.clock()))
                return Enforcement(
                    self.driven.name,
                    run,
                    self.enforcing.stages(self.wanted),
                    self.enforcing.held(self.wanted),
                    made=made,
                )
            if not fills:
                run = _take_back(self.driven, self.enforcing, run, self.tell, undone, "records break it")
            run = self._saved(run)
            kept = [name for name in made if name not in undone]
            return _left(self.driven, run, self.enforcing, self.wanted, found, kept, undone)
        except BaseException:
            release(self.driven.ledger, run)
            raise

    def _stages(self, run: Run, made: list[str], *, proving: bool) -> Iterator[Run]:
        last = None
        while (
            stage := next((each for each in self.enforcing.stages(self.wanted) if not each.in_place), None)
        ) is not None:
            if stage.proves and not proving:
                return
            if stage.name == last:
                msg = f"{self.driven.name}: {stage.name} was made and is not in place; somebody else took it back"
                raise StoreError(msg)
            last = stage.name
            self.tell(f"{stage.name}: {stage.lock}, {stage.expected}")
            run = renewed(_with(run, stage), LEASE + timedelta(seconds=4 * stage.seconds))
            self.enforcing.apply(stage, run, self.tell)
            made.append(stage.name)
            yield run
            reach(STAGED)

    def _saved(self, run: Run) -> Run:
        return self.driven.ledger.save(evolve(run, owner=None, lease_until=0))


def _with(run: Run, stage: Stage) -> Run:
    """The run with a stage more that stands; or, if the stage takes one back, with one less."""
    plan = json.loads(run.plan)
    if stage.removes is not None:
        plan["made"] = [name for name in plan["made"] if name != stage.removes]
    else:
        plan["made"] = [*(name for name in plan["made"] if name != stage.name), stage.name]
        plan["stages"] = [*(each for each in plan["stages"] if each["name"] != stage.name), described(stage)]
    return evolve(run, plan=json.dumps(plan), status="incomplete", reason=UNFINISHED, finished=None)


def _take_back(driven: BatchStore, enforcing: Enforcing, run: Run, tell: Tell, undone: list[str], reason: str) -> Run:
    """Take back what stands of *run*, the last first, each with its record."""
    plan = json.loads(run.plan)
    order = {each["name"]: each for each in plan["stages"]}
    while plan["made"]:
        name = plan["made"].pop()
        recorded = order[name]
        stage = Stage(
            name, tuple(recorded["statements"]), recorded["lock"], 0.0, "", tuple(recorded["undo"]), in_place=True
        )
        run = renewed(evolve(run, plan=json.dumps(plan), status="incomplete", reason=reason), LEASE)
        tell(f"{name}: taken back")
        enforcing.undo(stage, run, tell)
        undone.append(name)
        reach(UNSTAGED)
    return driven.ledger.save(evolve(run, reason=reason, owner=None, lease_until=0))
