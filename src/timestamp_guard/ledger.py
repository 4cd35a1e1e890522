"""
What the runs did: old value, new value, which candidate it came from; kept beside the data.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import json
import operator
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, Protocol, TypeAlias, runtime_checkable

from attrs import asdict, evolve, fields, frozen

from .errors import LeaseLost, LedgerError, PlanChanged, RunBusy, UnknownName
from .frozen import freeze, tagged
from .instants import Raw, show
from .job import Job

__all__ = [
    "PURGED",
    "Action",
    "Change",
    "Counts",
    "Cursor",
    "Key",
    "Ledger",
    "MemoryLedger",
    "Quarantined",
    "Run",
    "SharedLedger",
    "Status",
]

Key: TypeAlias = Any
"""What identifies a record in its store: one raw value, or a tuple of them."""

Cursor: TypeAlias = Any
"""Where a scan stands: JSON, of the store's own making; None before the first record."""

Action: TypeAlias = Literal["backfill", "rollback", "enforce", "migrate"]
Status: TypeAlias = Literal["running", "complete", "incomplete", "stopped"]

PURGED: Final = "what it changed was purged"
"""Why a run cannot be taken back that could be once."""

SPACE: Final = 2**32
"""So many numbers the changes of a range have for themselves; those of a run of one worker lie below."""

VERSION: Final = 1
"""The version of the ledger's form."""


def ensure_known(version: object, where: object, oldest: int = VERSION) -> None:
    """
    Make sure that this release can use a ledger of that version; those from *oldest* on become one of its own.

    Raises:
        LedgerError: it cannot.
    """
    if isinstance(version, int) and oldest <= version <= VERSION:
        return
    older = isinstance(version, int) and version < oldest
    advice = "open it once with a release between the two" if older else "upgrade timestamp_guard"
    msg = f"the ledger in {where} is of version {str(version)[:40]}, and this release knows {VERSION}: {advice}"
    raise LedgerError(msg)


@frozen
class Change:
    """
    One field of one record, from `before` to `after`: raw values, `ABSENT` where there is no key.

    `candidate` says where the new value came from; `row` is a place where the store found the record, if it wants to
    remember one.
    """

    key: Key
    field: str
    before: Raw
    after: Raw
    candidate: str | None = None
    row: Any = None

    def reverse(self) -> Change:
        """The change that takes this one back."""
        return evolve(self, before=self.after, after=self.before)


@frozen
class Quarantined:
    """A record whose write failed, and why."""

    key: Key
    reason: str


@frozen
class Counts:
    """
    What a run did and left, in records.

    `changed` were written; `refused` held something else when they were to be written; `quarantined` could not be
    written. What a backfill leaves: `unrepairable`, where no candidate satisfies the guard, and `arriving`, which came
    or came back while it ran.
    """

    changed: int = 0
    refused: int = 0
    quarantined: int = 0
    unrepairable: int = 0
    arriving: int = 0

    @property
    def left(self) -> int:
        """All that a backfill did not mend."""
        return self.refused + self.quarantined + self.unrepairable + self.arriving


@frozen
class Run:
    """
    One backfill, rollback, enforcement or migration.

    An enforcement is never open: where it stands is asked of the store, and nobody else has to wait for it.
    `id` is None where there was nothing to do and nothing was recorded; `now` is the NOW that it pinned;
    `undoes` is the run that a rollback takes back. Times are instants in nanoseconds.

    A run that several workers share is given out in ranges: one is a run too, with a lease of its own, from its `cursor`
    to `until`, and `parent` is the run that it belongs to. Of a shared run, `cursor` is how far it was given out, and
    `until` where its sweep ends. A range lives until it is done: then what it did is added to its run.
    """

    id: int | None
    action: Action
    table: str
    plan: str
    now: int
    status: Status = "running"
    counts: Counts = Counts()
    undoes: int | None = None
    reason: str | None = None
    started: int = 0
    finished: int | None = None
    # What follows is the engine's: where the run stands, and who works on it.
    cursor: Cursor = None
    sweep: int = 1
    found: int = 0
    first_change: int | None = None
    last_change: int | None = None
    owner: str | None = None
    generation: int = 0
    lease_until: int = 0
    parent: int | None = None
    until: Cursor = None

    @property
    def ok(self) -> bool:
        """Whether nothing is left to do."""
        return self.status == "complete"

    @property
    def open(self) -> bool:
        """Whether it can be continued."""
        return self.status in {"running", "stopped"}

    @property
    def purged(self) -> bool:
        """Whether what it changed is not known any more."""
        return self.reason == PURGED

    @property
    def shared(self) -> bool:
        """Whether it is given out in ranges."""
        return self.parent is None and self.until is not None

    @property
    def whole(self) -> int | None:
        """The number of the run that it is, or is a range of: under which changes are recorded."""
        return self.id if self.parent is None else self.parent

    @property
    def next_change(self) -> int:
        """The number of the change that it makes next: those of a range are beyond those of ranges that began before."""
        return (self.last_change or (0 if self.parent is None else (self.id or 0) * SPACE)) + 1

    @property
    def touched(self) -> int:
        """How many records it changed, or could not."""
        return self.counts.changed + self.counts.refused + self.counts.quarantined

    @property
    def field(self) -> str:
        """The field that it changes."""
        return str(json.loads(self.plan)["field"])

    @property
    def candidates(self) -> list[str]:
        """Where values came from, as the plan numbers them."""
        return list(json.loads(self.plan)["candidates"])

    def same_plan(self, job: Job) -> None:
        """
        Make sure that *job* is what this run began.

        Raises:
            PlanChanged: it is not.
        """
        if digest(self.plan) != digest(job.plan()):
            was, is_ = json.loads(self.plan), json.loads(job.plan())
            differs = [f"{key} was {was[key]}, is {is_[key]}" for key in was if was[key] != is_.get(key)]
            msg = (
                f"run {self.id} on {self.table} is unfinished and was planned differently ({'; '.join(differs)}): "
                f"continue it with the plan it began with, or roll it back first"
            )
            raise PlanChanged(msg)

    def __str__(self) -> str:
        name = "nothing to do" if self.id is None else f"{self.action} {self.id}"
        of = f" of run {self.undoes}" if self.undoes is not None else ""
        word = "restored" if self.action == "rollback" else "filled"
        parts = (
            [f"{self.counts.changed:,} {word}"]
            if self.id is not None and self.action in {"backfill", "rollback"}
            else []
        )
        parts += [
            f"{count:,} {reason}"
            for reason, count in (
                ("unrepairable", self.counts.unrepairable),
                ("changed since" if self.action == "rollback" else "refused", self.counts.refused),
                ("quarantined", self.counts.quarantined),
                ("still arriving", self.counts.arriving),
            )
            if count
        ]
        said = f"{self.table}: {name}{of}, {self.status}"
        said += f": {', '.join(parts)}" if parts else ""
        return f"{said} ({self.reason})" if self.reason else said

    def to_dict(self) -> dict[str, Any]:
        """For JSON: what people and programs ask of a run; times in RFC 3339."""
        return {
            "id": self.id,
            "action": self.action,
            "table": self.table,
            "status": self.status,
            "ok": self.ok,
            "counts": asdict(self.counts),
            "undoes": self.undoes,
            "reason": self.reason,
            "now": show(self.now),
            "started": show(self.started),
            "finished": None if self.finished is None else show(self.finished),
            "plan": json.loads(self.plan),
        }


def digest(plan: str) -> str:
    """A plan's fingerprint."""
    return hashlib.sha256(plan.encode()).hexdigest()


class Ledger(Protocol):
    """
    Where runs are recorded. Every method is durable when it returns, and all or nothing.

    Methods that are given a run with a generation write only while the ledger holds that generation, and raise
    :class:`~timestamp_guard.errors.LeaseLost` otherwise: so a worker that was frozen while another took over cannot
    write.
    """

    def runs(self, table: str | None = None) -> list[Run]:
        """All runs, or those of one table, the oldest first; an empty list where nothing was ever recorded."""
        ...

    def begin(self, run: Run) -> Run:
        """
        Record a new run and give it its id.

        Raises:
            RunBusy: a run of this table is unfinished.
        """
        ...

    def claim(self, run: Run, owner: str, until: int) -> Run:
        """
        Take a run over if it still has the generation that was seen: its next generation belongs to *owner*.

        Raises:
            LeaseLost: somebody else was faster.
        """
        ...

    def save(self, run: Run) -> Run:
        """Record where the run stands."""
        ...

    def intend(self, run: Run, changes: Sequence[Change]) -> None:
        """Record what is about to be written."""
        ...

    def intents(self, run: Run) -> list[Change]:
        """What was to be written and of which the outcome is not recorded."""
        ...

    def settle(self, run: Run, refused: Sequence[Change], failed: Sequence[Quarantined]) -> Run:
        """Record that all intents were made but *refused* and *failed*, and where the run now stands: one step."""
        ...

    def changes(self, run: Run, after: int = 0, limit: int | None = None) -> list[tuple[int, Change]]:
        """What the run changed, numbered, from the newest back; *after* is the last number that was seen."""
        ...

    def quarantined(self, run: Run) -> list[Quarantined]:
        """The records that could not be written."""
        ...

    def purge(self, run: Run) -> Run:
        """Forget what the run, which is over, changed and could not write: it cannot be taken back then."""
        ...


@runtime_checkable
class SharedLedger(Ledger, Protocol):
    """A ledger that can give a run out in ranges, so that several workers share it."""

    def ranges(self, run: Run) -> list[Run]:
        """The ranges of the run that are not done, in the order in which they began."""
        ...

    def share(self, run: Run, begun: Run | None = None, ended: Sequence[Run] = ()) -> Run:
        """
        Record where a shared run stands, under its next generation, have the range *begun* begin and take those that
        *ended* away: one step. Gives the range that began, else the run.

        Raises:
            LeaseLost: somebody else was faster; nothing was recorded.
        """
        ...


def ranges_of(ledger: Ledger, run: Run) -> list[Run]:
    """The ranges of *run* that are not done; none where it is not shared."""
    return ledger.ranges(run) if isinstance(ledger, SharedLedger) and run.shared else []


def together(run: Run, ranges: Sequence[Run]) -> Run:
    """
    The run with what these ranges did: to be looked at, or recorded in the same step that takes them away.
    """
    every = [run, *ranges]
    firsts = [each.first_change for each in every if each.first_change is not None]
    lasts = [each.last_change for each in every if each.last_change is not None]
    names = [each.name for each in fields(Counts)]
    return evolve(
        run,
        counts=Counts(**{name: sum(getattr(each.counts, name) for each in every) for name in names}),
        found=sum(each.found for each in every),
        first_change=min(firsts, default=None),
        last_change=max(lasts, default=None),
    )


def standing(ledger: Ledger, run: Run) -> Run:
    """
    How a run, or a range of one, stands now.

    Raises:
        UnknownName: there is no such run.
        LeaseLost: the range is over.
    """
    if run.parent is None or not isinstance(ledger, SharedLedger):
        return find(ledger, run.id or 0, run.table)
    for each in ledger.ranges(run):
        if each.id == run.id:
            return each
    raise lost(run)


def changes_of(ledger: Ledger, run: Run) -> Iterator[tuple[int, Change]]:
    """All that *run* changed, numbered, from the newest back, read page by page."""
    after = 0
    while page := ledger.changes(run, after, 10_000):
        yield from page
        after = page[-1][0]


def find(ledger: Ledger, number: int, table: str | None = None) -> Run:
    """
    The run of that number.

    Raises:
        UnknownName: there is none.
    """
    runs = ledger.runs(table)
    for run in runs:
        if run.id == number:
            return run
    where = f"the ledger of {table}" if table else "the ledger"
    raise UnknownName("run", str(number), where, [str(run.id) for run in runs])


def undone_by(runs: Sequence[Run], run: Run) -> Run | None:
    """The rollback of *run*, if there was one that came to anything."""
    backs = (r for r in reversed(runs) if r.action == "rollback" and r.undoes == run.id)
    return next((r for r in backs if not (r.status == "incomplete" and r.reason and not r.touched)), None)


def made_by(run: Run) -> list[str]:
    """The names of the stages that stand of an enforcement."""
    return list(json.loads(run.plan).get("made", ())) if run.action == "enforce" else []


def enforced_by(runs: Sequence[Run]) -> Run | None:
    """The enforcement of which something stands, if there is one."""
    return next((run for run in reversed(runs) if made_by(run)), None)


# -- in memory --------------------------------------------------------------------------------------------------


class MemoryLedger:
    """A ledger in lists: for tests, and for records that live no longer than the process."""

    def __init__(self) -> None:
        self._runs: dict[int, Run] = {}
        self._intended: dict[int, list[Change]] = {}
        self._made: dict[int, list[tuple[int, Change]]] = {}
        self._quarantined: dict[int, list[Quarantined]] = {}
        self._numbers = itertools.count(1)

    def runs(self, table: str | None = None) -> list[Run]:
        """See :class:`Ledger`."""
        return [run for run in self._runs.values() if table is None or run.table == table]

    def begin(self, run: Run) -> Run:
        """See :class:`Ledger`."""
        for other in self.runs(run.table):
            if other.open:
                raise busy(other)
        run = evolve(run, id=len(self._runs) + 1, generation=1)
        self._runs[self._id(run)] = run
        return run

    def claim(self, run: Run, owner: str, until: int) -> Run:
        """See :class:`Ledger`."""
        self._fence(run)
        run = evolve(run, owner=owner, lease_until=until, generation=run.generation + 1)
        self._runs[self._id(run)] = run
        return run

    def save(self, run: Run) -> Run:
        """See :class:`Ledger`."""
        self._fence(run)
        self._runs[self._id(run)] = run
        return run

    def intend(self, run: Run, changes: Sequence[Change]) -> None:
        """See :class:`Ledger`."""
        self._fence(run)
        self._intended.setdefault(self._id(run), []).extend(changes)

    def intents(self, run: Run) -> list[Change]:
        """See :class:`Ledger`."""
        return list(self._intended.get(self._id(run), ()))

    def settle(self, run: Run, refused: Sequence[Change], failed: Sequence[Quarantined]) -> Run:
        """See :class:`Ledger`."""
        self._fence(run)
        lost = {freeze(each.key) for each in refused} | {freeze(each.key) for each in failed}
        made = [change for change in self._intended.pop(self._id(run), ()) if freeze(change.key) not in lost]
        self._made.setdefault(self._id(run), []).extend((next(self._numbers), change) for change in made)
        self._quarantined.setdefault(self._id(run), []).extend(failed)
        return self.save(run)

    def changes(self, run: Run, after: int = 0, limit: int | None = None) -> list[tuple[int, Change]]:
        """See :class:`Ledger`."""
        made = self._made.get(self._id(run), [])
        end = bisect.bisect_left(made, after, key=operator.itemgetter(0)) if after else len(made)
        return made[0 if limit is None else max(0, end - limit) : end][::-1]

    def quarantined(self, run: Run) -> list[Quarantined]:
        """See :class:`Ledger`."""
        return list(self._quarantined.get(self._id(run), ()))

    def purge(self, run: Run) -> Run:
        """See :class:`Ledger`."""
        run = self.save(evolve(run, reason=PURGED))
        self._made.pop(self._id(run), None)
        self._quarantined.pop(self._id(run), None)
        return run

    def _fence(self, run: Run) -> None:
        if self._runs[self._id(run)].generation != run.generation:
            raise lost(run)

    @staticmethod
    def _id(run: Run) -> int:
        if run.id is None:
            raise UnknownName("run", "None", "the ledger")
        return run.id


def busy(run: Run) -> RunBusy:
    """The error of a worker that would begin beside another one."""
    return RunBusy(f"run {run.id} on {run.table}, a {run.action}, is unfinished; another process may have begun it now")


def lost(run: Run) -> LeaseLost:
    """The error of a worker that was taken over."""
    return LeaseLost(f"run {run.whole} on {run.table} was taken over by another process; this one wrote nothing since")


def export(ledger: Ledger, run: Run) -> Iterator[str]:
    """The run and all its changes, from the newest back, as JSON Lines; raw values as :func:`~timestamp_guard.frozen.tagged` gives them."""
    yield json.dumps({"run": run.to_dict()})
    for number, change in changes_of(ledger, run):
        yield json.dumps(
            {
                "change": number,
                "key": tagged(change.key),
                "field": change.field,
                "before": tagged(change.before),
                "after": tagged(change.after),
                "candidate": change.candidate,
            }
        )
    for each in ledger.quarantined(run):
        yield json.dumps({"quarantined": tagged(each.key), "reason": each.reason})
