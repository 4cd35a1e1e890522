"""
What a backfill would write. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen

from ..errors import UsageError
from ..instants import Raw, brief, show
from ..job import Job
from ..ledger import Change, Key, Ledger
from ..repairs import Repair, needs
from ..report import jsonable
from ..rules import Guard
from ..stores.base import BatchStore, Downstream, Followed, Source
from .drive import clock_of, drive, known

__all__ = ["Plan", "job_for", "plan"]


@frozen
class Plan:
    """
    What a backfill would do: `work` records would be filled, by candidate; `unrepairable` could not be.

    `statements` is what the store would run and lock; `samples` some of the changes.
    """

    table: str
    now: int
    repair: str
    guard: str
    by_candidate: Mapping[str, int]
    unrepairable: int
    samples: Sequence[Change]
    unrepairable_samples: Sequence[Key]
    statements: Sequence[str]
    downstream: Downstream | None = None

    @property
    def work(self) -> int:
        """How many records would be filled."""
        return sum(self.by_candidate.values())

    @property
    def ok(self) -> bool:
        """Whether there is nothing to do and nothing that could not be done."""
        return not self.work and not self.unrepairable

    def __str__(self) -> str:
        lines = [f"{self.table}: {self.work:,} to fill, {self.unrepairable:,} unrepairable", f"  {self.repair}"]
        lines += [f"  {count:>10,} from {name}" for name, count in self.by_candidate.items()]
        lines += [
            f"    {brief(each.key)}: {_raw(each.before)} -> {_raw(each.after)} from {each.candidate}"
            for each in self.samples
        ]
        if self.unrepairable:
            lines.append(f"  no candidate holds: {', '.join(map(brief, self.unrepairable_samples))}")
        if self.downstream is not None and self.work:
            down, field = self.downstream, f"{self.downstream.unseen:,} of the filled values"
            lines.append(
                f"  downstream: {field} would lie below the newest one ({brief(down.newest)}), where who syncs by this field "
                f"does not look any more; replicas and change feeds would carry {self.work:,} rows, about "
                f"{down.carried:,} bytes"
            )
        return "\n".join([*lines, *(f"  {statement}" for statement in self.statements)])

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "work": self.work,
            "unrepairable": self.unrepairable,
            "repair": self.repair,
            "guard": self.guard,
            "now": show(self.now),
            "candidates": dict(self.by_candidate),
            "samples": [
                {
                    "key": jsonable(each.key),
                    "field": each.field,
                    "before": jsonable(each.before),
                    "after": jsonable(each.after),
                    "candidate": each.candidate,
                }
                for each in self.samples
            ],
            "unrepairable_samples": [jsonable(key) for key in self.unrepairable_samples],
            "statements": list(self.statements),
            "downstream": None
            if self.downstream is None
            else {
                "unseen": self.downstream.unseen,
                "newest": jsonable(self.downstream.newest),
                "carried": self.downstream.carried,
            },
        }


def _raw(raw: Raw) -> str:
    return brief(raw)


def job_for(store: Source, guard: Guard, repair: Repair, pinned: int) -> Job:
    """
    The job, with every name proved to be there.

    Raises:
        UsageError: a field is not there or has no encoding, or the guard says nothing about the repaired one.
    """
    if repair.field not in guard.fields:
        msg = f"the guard says nothing about {repair.field!r}, so nothing of it can be broken: {guard}"
        raise UsageError(msg)
    known(store, (*guard.fields, *(needs(repair, guard) or ())))
    return Job.of(guard, repair, store.encodings, pinned)


def plan(
    store: Source,
    guard: Guard,
    repair: Repair,
    *,
    now: int | Callable[[], int] | None = None,
    samples: int = 10,
    ledger: Ledger | None = None,
) -> Plan:
    """
    What `backfill` with the same arguments would write. Writes nothing, and creates nothing.

    Raises:
        UsageError: a field is not there, or has no encoding.
        StoreError: the store could not be read.
    """
    clock = clock_of(now, store, guard)
    pinned = clock()
    job = job_for(store, guard, repair, pinned)
    driven: BatchStore = drive(store, ledger)
    found = driven.assess(job, clock, samples)
    names = [str(candidate) for candidate in repair.candidates]
    return Plan(
        driven.name,
        pinned,
        str(repair),
        str(guard),
        {name: found.mendable.get(index, 0) for index, name in enumerate(names)},
        found.unrepairable,
        found.samples,
        found.unrepairable_samples,
        driven.statements(job),
        driven.downstream(job) if isinstance(driven, Followed) and found.work else None,
    )
