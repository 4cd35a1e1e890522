"""
What is wrong with the records of a store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..instants import encodings_for
from ..predicate import violations as judged
from ..report import Report
from ..rules import Guard
from ..stores.base import BatchStore, Clock, Sample, Source, pages
from ..targets.python import judge
from .drive import clock_of, known
from .tally import survey

__all__ = ["check", "violations"]


def check(
    source: Source,
    guard: Guard,
    *,
    now: int | Callable[[], int] | None = None,
    samples: int = 10,
    strict: bool = False,
) -> Report:
    """
    Look at every record of *source* once, and count what is wrong.

    `report.ok` says whether all is well: no record is broken and, if *strict*, none was left undecided.
    *samples* are kept, at least one of every fault; `violations` gives all.

    Raises:
        UsageError: a field is not there, or has no encoding.
        StoreError: the store could not be read.
    """
    known(source, guard.fields)
    encodings_for(guard.fields, source.encodings)
    clock = clock_of(now, source, guard)
    began = clock()
    if isinstance(source, BatchStore):
        found = source.survey(guard, clock, samples)
    else:
        found = survey(source, guard, clock, samples)
    return Report.of(source.name, guard, found, began, strict=strict)


def violations(source: Source, guard: Guard, *, now: int | Callable[[], int] | None = None) -> Iterator[Sample]:
    """
    Everything that is wrong with every record of *source*, one at a time, with the record's key: in constant memory.

    Raises:
        UsageError: a field is not there, or has no encoding.
        StoreError: the store could not be read.
    """
    known(source, guard.fields)
    encodings_for(guard.fields, source.encodings)
    return _violations(source, guard, clock_of(now, source, guard))


def _violations(source: Source, guard: Guard, clock: Clock) -> Iterator[Sample]:
    encodings = encodings_for(guard.fields, source.encodings)
    faults_of = judge(guard, encodings)
    for page in pages(source):
        now = clock()
        for key, record in page.records:
            if faults_of(record, now, now):
                for violation in judged(record, guard, encodings, now):
                    yield Sample(key, violation)
