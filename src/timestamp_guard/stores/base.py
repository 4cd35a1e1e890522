"""
What a store must do: all that the author of an adapter reads.

Implement :class:`Source` to have records checked, and :class:`Store`, with its one more method, to have them repaired
and undone. The engine keeps the ledger: pass `ledger=open_ledger(PATH)` to `backfill` and `rollback`.
Prove an adapter with `timestamp_guard.testing.StoreContract`.

A store that can do a whole batch in one transaction of its own, with its ledger inside, implements
:class:`BatchStore`; the engine drives both kinds in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeAlias, runtime_checkable

from attrs import frozen

from ..frozen import freeze
from ..instants import Cause, Encoding, Encodings, Raw
from ..job import Job
from ..ledger import Change, Cursor, Key, Ledger, Run
from ..predicate import Fault, Violation
from ..repairs import Repair
from ..rules import Guard, Pair

__all__ = [
    "Assessment",
    "BatchStore",
    "Change",
    "Clock",
    "Clocked",
    "Cursor",
    "Divisible",
    "Downstream",
    "Enforceable",
    "Enforcing",
    "Exported",
    "Fingerprint",
    "Followed",
    "Guided",
    "Held",
    "Key",
    "OpenStore",
    "Page",
    "Probe",
    "Probed",
    "Record",
    "Sample",
    "Source",
    "Stage",
    "Step",
    "Store",
    "Survey",
    "Tell",
    "Verifiable",
    "Wanted",
    "same",
]

Record: TypeAlias = Mapping[str, Raw]
"""A record as its store holds it; a key that is not there is a field that is missing."""

Clock: TypeAlias = Callable[[], int]
"""Gives the present time, in nanoseconds since 1970."""


@frozen
class Page:
    """
    Some records, each with its key, and the cursor that the next page comes after; None where there is none.

    A key is one value or a tuple of values, unique and unchanging. A cursor is JSON of the store's own making: the
    engine stores it and gives it back, and never looks inside.
    """

    records: Sequence[tuple[Key, Record]]
    next: Cursor = None


@runtime_checkable
class Source(Protocol):
    """Records that can be read."""

    @property
    def name(self) -> str:
        """What reports and the ledger call it: the same whenever it is the same store."""
        ...

    @property
    def encodings(self) -> Encodings:
        """How instants are written in its fields: one encoding for all, or one for each."""
        ...

    def scan(self, after: Cursor, limit: int) -> Page:
        """
        At most *limit* records in an order of the store's own, beginning after the cursor *after* (None: at the start).

        Every record that is there from the first page to the last is on exactly one page, whatever is written
        meanwhile; a page may be empty and still have a next one.
        """
        ...


@runtime_checkable
class Store(Source, Protocol):
    """Records that can also be repaired, and undone."""

    def write(self, changes: Sequence[Change]) -> Sequence[Change]:
        """
        Make *changes* in their order, each by compare-and-set, and return those that were refused.

        Where the field of the record with this key holds `before`, exactly and in its type, put `after`; where it
        holds `after` already, it is made; else, or where the record is gone, refuse it and go on with the next.
        `ABSENT` stands for a key that is not there: compared as such, and put by removing the key.
        When this returns, all that was not refused is durable; when it raises, nothing was made.
        """
        ...


@frozen
class Sample:
    """A broken record: its key, and one thing that is wrong with it."""

    key: Key
    violation: Violation


@frozen
class Survey:
    """What a look at every record found; counts of records, and of violations by fault."""

    records: int
    broken: int
    faults: Mapping[Fault, int]
    undecided: Mapping[tuple[Pair, Cause], int]
    causes: Mapping[tuple[str, Cause], int]
    samples: Sequence[Sample] = ()


@frozen
class Assessment:
    """
    What a repair would find to do: records by the index of the candidate that they would be filled from, those that
    no candidate can mend, and some changes as samples.
    """

    mendable: Mapping[int, int]
    unrepairable: int
    samples: Sequence[Change] = ()
    unrepairable_samples: Sequence[Key] = ()

    @property
    def work(self) -> int:
        """How many records can be mended."""
        return sum(self.mendable.values())


@frozen
class Step:
    """
    What a step did: the run as it now stands in the ledger, whether the sweep is over, how many records the step
    changed or was refused, for how long it held and waited for a lock, and how far through the store it came.
    """

    run: Run
    done: bool
    touched: int = 0
    held_ns: int = 0
    waited_ns: int = 0
    fraction: float | None = None


@runtime_checkable
class BatchStore(Source, Protocol):
    """
    A store that judges and mends a whole batch itself, and keeps its ledger where its records are.

    Each `step` and `undo` is one transaction: the lease is checked by a write inside it, old and new values are
    recorded, every record is proved to hold what was written, and the run's new standing is saved. It raises
    :class:`~timestamp_guard.errors.LeaseLost` where another took the run over.
    """

    @property
    def ledger(self) -> Ledger:
        """Its ledger; reading it never creates it."""
        ...

    @property
    def target(self) -> float:
        """For how many seconds, in the median, a step may hold what others wait for."""
        ...

    @property
    def typed(self) -> bool:
        """Whether all its records have the same fields."""
        ...

    def fields(self) -> Sequence[str]:
        """The fields that its records can have; where it is not typed, those of some of them."""
        ...

    def survey(self, guard: Guard, clock: Clock, samples: int) -> Survey:
        """Look at every record once; the clock is read after the view of the data is fixed."""
        ...

    def assess(self, job: Job, clock: Clock, samples: int, run: Run | None = None) -> Assessment:
        """Count what *job* would find to do; of *run*, what is quarantined is not counted."""
        ...

    def statements(self, job: Job) -> Sequence[str]:
        """What a step runs, for people to read, and what it locks."""
        ...

    def prepare(self, job: Job, clock: Clock) -> bool:
        """
        Whether there is anything to mend; if so, try it on one record and take that back. Records nothing.

        Raises:
            NoIdentity: no record could be found again.
            WriteUndone: the store would not keep what is written.
        """
        ...

    def step(self, job: Job, run: Run, clock: Clock, limit: int) -> Step:
        """
        Mend at most *limit* records after the run's cursor; sound ones are passed over by a read.

        Where the write fails, a step of one record quarantines it.

        Raises:
            WriteFailed: the write of several records failed, and nothing was made.
        """
        ...

    def undo(self, run: Run, undone: Run, clock: Clock, limit: int) -> Step:
        """Take back at most *limit* changes of the run *undone*, from the newest, for the rollback *run*."""
        ...

    def ensure_undoable(self, run: Run) -> None:
        """
        Make sure that *run* can be taken back, before a rollback of it begins.

        Raises:
            TimestampGuardError: it cannot, and why.
        """
        ...

    def overlap(self, run: Run, newer: Sequence[Run]) -> Run | None:
        """The first of *newer* runs that changed a record that *run* changed."""
        ...

    def backup(self, path: Path) -> None:
        """Make a verified copy at *path*, which must not be there."""
        ...

    def throttle(self) -> float:
        """How many seconds the store wants to be left alone for."""
        ...


@runtime_checkable
class Divisible(Protocol):
    """
    A store in which several workers can do steps at once, each in a range of its own, and whose ledger is a
    :class:`~timestamp_guard.ledger.SharedLedger`. A step of a range begins at its cursor and ends at its `until`.
    """

    def end(self) -> Cursor:
        """The cursor after the last record that there is now; None where there is none."""
        ...

    def reach(self, after: Cursor, until: Cursor, records: int) -> Cursor:
        """The cursor about so many *records* further on than *after*; in the end it gives *until*, and never beyond."""
        ...


@frozen
class Downstream:
    """
    What a backfill means for those that follow a table: how many of the filled values would lie below the newest one,
    where who syncs by the field does not look any more, and about how many bytes replicas and change feeds would carry.
    """

    unseen: int
    newest: Raw
    carried: int


@runtime_checkable
class Followed(Protocol):
    """A store that others may follow: replicas, change feeds, syncs by the field."""

    def downstream(self, job: Job) -> Downstream | None:
        """What *job* would mean for them; None where that cannot be told."""
        ...


@frozen
class Held:
    """
    What became of the records that a run changed: how many there were, how many hold what it wrote, how many were written
    since, and how many are gone.
    """

    changed: int
    held: int
    since: int
    gone: int


@frozen
class Fingerprint:
    """How many records there are, and a sum over all of them that does not know their order."""

    records: int
    total: int

    def __str__(self) -> str:
        return f"{self.records}:{self.total:016x}"

    @classmethod
    def parse(cls, text: str) -> Fingerprint:
        """
        Read the written form.

        Raises:
            ValueError: it is none.
        """
        records, _, total = text.partition(":")
        return cls(int(records), int(total, 16))


@runtime_checkable
class Verifiable(Protocol):
    """A store that can hold its ledger against its data, and take a fingerprint of it, by itself."""

    def held(self, run: Run) -> Held:
        """What became of the records that *run* changed."""
        ...

    def fingerprint(self, without: str) -> Fingerprint:
        """A fingerprint of all records but for one field."""
        ...


@frozen
class Probe:
    """What a store does with a record that lacks a field, and with one that has it: whether it refuses, fills, accepts."""

    without: str
    having: str

    @property
    def ok(self) -> bool:
        """Whether no record without the field gets in, and one with it does."""
        return self.without.startswith(("refused", "filled")) and self.having == "accepted"

    def __str__(self) -> str:
        return f"a record without the field: {self.without}; one with it: {self.having}"


@runtime_checkable
class Probed(Protocol):
    """A store that can try what it refuses, and take that back."""

    def probe(self, guard: Guard, field: str) -> Probe:
        """Try a record without *field*, and one with it, in a transaction that is taken back."""
        ...


@runtime_checkable
class Clocked(Protocol):
    """A store that has a clock of its own, as servers do: it says what the present time is."""

    def now(self) -> int:
        """The present time, in nanoseconds since 1970."""
        ...


Tell: TypeAlias = Callable[[str], None]
"""Is told, in a sentence, what is going on."""


@frozen
class Wanted:
    """
    What a store is to hold by itself: the guard, all of it or what it says about one field, and how.

    `repair` says what new rows without the value are filled from while the old ones are not proved yet, and with
    `keep_gate` ever after. `keep_current` has every change of a row move the field on; `hold_now` holds rules with NOW
    for new values; `rebuild` allows the table to be written anew where nothing less changes it.
    """

    guard: Guard
    fields: tuple[str, ...]
    encodings: Mapping[str, Encoding]
    repair: Repair | None = None
    keep_current: bool = False
    keep_gate: bool = False
    hold_now: bool = False
    rebuild: bool = False


@frozen
class Stage:
    """
    One step towards an enforced table, done in one transaction: its statements, the lock that they take, for about how
    many seconds and why so, and the statements that take it back.

    `in_place` is what the store answered when it was asked. `proves` says that all rows are looked at; `removes` names
    the stage that this one takes back.
    """

    name: str
    statements: tuple[str, ...]
    lock: str
    seconds: float
    why: str
    undo: tuple[str, ...]
    in_place: bool
    proves: bool = False
    removes: str | None = None

    @property
    def expected(self) -> str:
        """How long it is expected to take, in words."""
        long = f"{self.seconds:,.1f} s" if self.seconds >= 0.1 else f"{max(1, round(self.seconds * 1000))} ms"
        return f"about {long}: {self.why}"


class Enforcing(Protocol):
    """
    How one store comes to hold a guard by itself. Everything it makes has a name that begins with `timestamp_guard_`
    and is the same whenever the same is wanted, so that what is in place can be found again.
    """

    def held(self, wanted: Wanted) -> Mapping[str, str]:
        """By what each rule would be held, or why it would not; looks at nothing but the columns."""
        ...

    def stages(self, wanted: Wanted) -> Sequence[Stage]:
        """All stages in their order, each asked whether it is in place. Touches nothing."""
        ...

    def refused(self, wanted: Wanted, clock: Clock, samples: int) -> Survey:
        """The records that would be refused if they were written now; `faults` counts why."""
        ...

    def apply(self, stage: Stage, run: Run, tell: Tell) -> None:
        """
        Make *stage*, and write *run* to the ledger, in one transaction; *tell* hears of what is waited for.

        Where a definition commits by itself, what is made is recorded before it, and what is taken away after it: so the
        ledger knows of all that is there, and may know of more.

        Raises:
            StillBroken: it proves something that does not hold.
            StoreLocked: others hold what it needs; names them.
            LeaseLost: another process took the run over.
        """
        ...

    def undo(self, stage: Stage, run: Run, tell: Tell) -> None:
        """Take *stage* back, and write *run* to the ledger, in one transaction; nothing where it is gone."""
        ...


@runtime_checkable
class Enforceable(Protocol):
    """A store that can hold a guard by itself."""

    def enforcing(self) -> Enforcing:
        """How."""
        ...


@runtime_checkable
class Guided(Protocol):
    """A store whose rules only a person can change, in the code of an app: it says what to change, and sees when that is done."""

    def wanting(self, field: str, *, required: bool) -> str | None:
        """
        What a person has to do so that *field* can be filled and new records are held or, *required*, so that a record
        without it is refused: a sentence, and a patch where there is one; None where nothing is left to do.
        """
        ...


@runtime_checkable
class Exported(Protocol):
    """A store that is a copy of another, to which it is to be brought back."""

    def remarks(self) -> Sequence[str]:
        """What is odd about the copy, a sentence each."""
        ...

    def left_out(self, field: str) -> str | None:
        """Why a table may have a field that none of its first records has; None where it is known that it has not."""
        ...

    def part(self, path: Path) -> Sequence[str]:
        """
        Make a copy at *path* of those tables alone that runs have changed, and give their names.

        Raises:
            UsageError: there is something at *path* already.
        """
        ...

    def following(self, part: Path | None = None) -> Sequence[str]:
        """How it is brought back, and what is to be known before; *part* is what :meth:`part` made."""
        ...


class OpenStore(BatchStore, Protocol):
    """What `open_store` gives: a store at an address, to be closed or used as a context manager."""

    @property
    def key(self) -> tuple[str, ...]:
        """The fields that identify a record; none where nothing is known that does."""
        ...

    def declared(self) -> Mapping[str, str]:
        """The types that its fields are declared with, where it has any."""
        ...

    def close(self) -> None:
        """Close it."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def same(held: Raw, other: Raw) -> bool:
    """
    Whether two raw values are the same, as `write` compares them: in type and spelling too.

    1 is not 1.0 and not True, 12:00+00:00 is not 13:00+01:00, and NaN is NaN.
    """
    if type(held) is not type(other):
        return False
    if held is other:
        return True
    if isinstance(held, int | str):
        return bool(held == other)
    try:
        return freeze(held) == freeze(other)
    except (TypeError, ValueError):
        return bool(held == other)


def pages(source: Source, limit: int = 1000) -> Iterator[Page]:
    """All pages of a source."""
    after: Cursor = None
    while True:
        page = source.scan(after, limit)
        yield page
        if page.next is None:
            return
        after = page.next
