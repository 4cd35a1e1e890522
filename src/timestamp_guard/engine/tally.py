"""
What a look at records finds, counted: what is wrong with them, and what a job would find to do. Either as they come by one
by one, or by who has counted those that are alike.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from ..frozen import freeze
from ..instants import ABSENT, Cause, Encoding, Raw, decode, encodings_for
from ..job import Job
from ..ledger import Change, Key, Quarantined
from ..predicate import Fault, violations
from ..repairs import Mend
from ..rules import Guard, Moment, Pair
from ..stores.base import Assessment, Clock, Sample, Source, Survey, pages
from ..targets.python import Judge, judge

__all__ = ["Estimate", "Tally", "assess", "change_of", "survey"]


class Tally:
    """What is wrong with records: how often, and a few samples of each fault."""

    def __init__(self, guard: Guard, encodings: Mapping[str, Encoding], samples: int) -> None:
        self._guard, self._encodings, self._limit = guard, encodings, samples
        self._open = guard.undecidable()
        self._faults: Counter[Fault] = Counter()
        self._undecided: Counter[tuple[Pair, Cause]] = Counter()
        self._causes: Counter[tuple[str, Cause]] = Counter()
        self._kept: dict[Fault, list[Sample]] = {}
        self._records = self._broken = 0

    def sound(self, records: int) -> None:
        """So many came by in which every field holds an instant and nothing is wrong."""
        self._records += records

    def see(self, key: Key, record: Mapping[str, Raw], now: int, times: int = 1) -> None:
        """One came by, or several that are all alike."""
        found = self._judge(record, now, now)
        if any(len(self._kept.get(fault, ())) < self._limit for fault in found):
            self.show(key, record, now)
        absent: dict[str, Cause] = {}
        for name in self._guard.fields:
            instant = decode(record.get(name, ABSENT), self._encodings[name])
            if not isinstance(instant, int):
                absent[name] = instant
        undecided: dict[Pair, Cause] = {}
        if absent:
            for pair, name in self._open:
                if name in absent:
                    undecided.setdefault(pair, absent[name])
        self.count(times, found, absent.items(), undecided.items())

    def count(
        self,
        records: int,
        faults: Collection[Fault],
        causes: Iterable[tuple[str, Cause]],
        undecided: Iterable[tuple[Pair, Cause]],
    ) -> None:
        """So many came by that are alike: which are their faults, which fields hold no instant, what is not judged."""
        self._records += records
        if faults:
            self._broken += records
        for fault in faults:
            self._faults[fault] += records
        for cause in causes:
            self._causes[cause] += records
        for pair in undecided:
            self._undecided[pair] += records

    def show(self, key: Key, record: Mapping[str, Raw], now: int | Moment) -> None:
        """Keep a record as a sample of its faults; those that have enough of them are passed over."""
        for violation in violations(record, self._guard, self._encodings, now):
            kept = self._kept.setdefault(violation.fault, [])
            if len(kept) < self._limit and all(key != other.key for other in kept):
                kept.append(Sample(key, violation))

    def survey(self) -> Survey:
        """All that was found."""
        samples = fairly(self._kept, self._limit) if self._limit else ()
        return Survey(self._records, self._broken, self._faults, self._undecided, self._causes, samples)

    @functools.cached_property
    def _judge(self) -> Judge:
        return judge(self._guard, self._encodings)


def survey(source: Source, guard: Guard, clock: Clock, samples: int) -> Survey:
    """Look at every record of *source* once; NOW is read again for every page."""
    tally = Tally(guard, encodings_for(guard.fields, source.encodings), samples)
    for page in pages(source):
        now = clock()
        for key, record in page.records:
            tally.see(key, record, now)
    return tally.survey()


class Estimate:
    """What a job would find to do; of those that come by one by one, what is in *aside* is not counted."""

    def __init__(self, job: Job, samples: int, aside: Sequence[Quarantined] = ()) -> None:
        self._job, self._limit = job, samples
        self._aside = {freeze(each.key) for each in aside}
        self._mendable: Counter[int] = Counter()
        self._unrepairable = 0
        self._shown: list[Change] = []
        self._hopeless: list[Key] = []

    def see(self, key: Key, record: Mapping[str, Raw], moment: Moment, *, mendable: bool = True) -> Mend | None:
        """One came by: what it would be given, if it is to be mended and can be; not where it is not *mendable*."""
        job = self._job
        if not job.broken(record, moment) or (self._aside and freeze(key) in self._aside):
            return None
        mend = job.mend(record, moment) if mendable else None
        if mend is None:
            self.count(None, 1)
            self.give_up(key)
            return None
        self.count(mend.candidate, 1)
        if len(self._shown) < self._limit:
            self.show(change_of(job, key, record, mend.after, mend.candidate))
        return mend

    def count(self, candidate: int | None, records: int) -> None:
        """So many came by that are to be given that candidate; None where no candidate holds."""
        if candidate is None:
            self._unrepairable += records
        else:
            self._mendable[candidate] += records

    def show(self, change: Change) -> None:
        """Keep a change as a sample; not if there are enough."""
        if len(self._shown) < self._limit:
            self._shown.append(change)

    def give_up(self, key: Key) -> None:
        """Keep a record that cannot be mended as a sample; not if there are enough."""
        if len(self._hopeless) < self._limit:
            self._hopeless.append(key)

    def assessment(self) -> Assessment:
        """All that was found."""
        return Assessment(self._mendable, self._unrepairable, self._shown, self._hopeless)


def assess(source: Source, job: Job, clock: Clock, samples: int, skipped: Sequence[Quarantined] = ()) -> Assessment:
    """Count what *job* would find to do in *source*, but for what is *skipped*; NOW is read again for every page."""
    estimate = Estimate(job, samples, skipped)
    for page in pages(source):
        moment = job.moment(clock())
        for key, record in page.records:
            estimate.see(key, record, moment)
    return estimate.assessment()


def change_of(job: Job, key: Key, record: Mapping[str, Raw], after: Raw, candidate: int) -> Change:
    """The change that a mend is."""
    before = record.get(job.field, ABSENT)
    return Change(key, job.field, before, after, str(job.repair.candidates[candidate]))


def fairly(kept: Mapping[Fault, Sequence[Sample]], samples: int) -> list[Sample]:
    """Some samples of every fault, the first of each first."""
    chosen = []
    for index in range(samples):
        chosen += [rows[index] for rows in kept.values() if index < len(rows)]
    return chosen[:samples] if len(kept) <= samples else [rows[0] for rows in kept.values()]
