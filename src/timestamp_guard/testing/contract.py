"""
What every store promises, as tests to inherit: for the authors of adapters.

::

    from timestamp_guard.testing.contract import Make, StoreContract

    class TestFolder(StoreContract):
        @pytest.fixture
        def make(self, tmp_path_factory) -> Make:
            def make(rows):
                path = tmp_path_factory.mktemp("folder")
                for row in rows:
                    (path / f"{quote(row['_id'], safe='')}.json").write_text(json.dumps(row))
                return lambda: Folder(path, "epoch_ms")

            return make

A store that does whole batches itself inherits :class:`BatchStoreContract`: the same tests, but for `write`, which
only the simple kind has. One of which a run is a single step inherits :class:`AtomicStoreContract`.
"""
# ruff: noqa: SIM300 - these are tests: they assert that expected == actual

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, TypeAlias, cast

import pytest
from attrs import Factory, frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ..engine import Pace, backfill, check, plan, rollback, runs, violations
from ..engine.drive import drive
from ..engine.walk import Progress
from ..errors import LeaseLost, UsageError
from ..frozen import freeze, thaw
from ..instants import ABSENT, Encoding, Encodings, Raw, encode, encodings_for, parse_instant
from ..ledger import Change, Cursor, Key, MemoryLedger, Run
from ..predicate import CODES, Fault, undecided
from ..predicate import violations as judged
from ..repairs import MISSING, Repair
from ..rules import NOW as PRESENT
from ..rules import updated_at_guard
from ..stores.base import BatchStore, Page, Source, Step, Store, pages, same
from ..stores.memory import MemoryStore

__all__ = ["FIELDS", "AtomicStoreContract", "BatchStoreContract", "Make", "Opener", "Row", "StoreContract"]

Row: TypeAlias = dict[str, Raw]
Opener: TypeAlias = Callable[[], Source]
"""Opens the same store anew, as another process would; what has a `close` is closed after use."""

Make: TypeAlias = Callable[[Sequence[Row]], Opener]
"""Makes a new store of rows: fields as in :data:`FIELDS`, the key `_id` is text and always there."""

FIELDS: Final = ("_id", "createdAt", "updatedAt", "note")
"""The fields of the rows. A row that lacks one has no such key, not None."""

NOW: Final = parse_instant("2024-06-01T12:00:00Z")
GUARD: Final = updated_at_guard("updatedAt", "createdAt")
REPAIR: Final = Repair("updatedAt", ("createdAt",))
_SETTINGS: Final = settings(
    deadline=None,
    max_examples=max(25, settings.default.max_examples // 4) if settings.default else 25,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,  # `make` makes a new store each time
        HealthCheck.differing_executors,  # so it is with inherited tests
        HealthCheck.too_slow,
    ],
)


def _lookalikes() -> st.SearchStrategy[Raw]:
    """Values that are equal, or look it, in other types."""
    return st.sampled_from([0, 0.0, False, "0", "", 1, 1.0, True, "1", "1.0", "true", "null", None])


@frozen
class _Subject:
    """A store under test: opened anew for every act; its ledger is the test's unless it keeps one."""

    opener: Opener
    ledger: MemoryLedger = Factory(MemoryLedger)

    @contextlib.contextmanager
    def open(self) -> Iterator[Source]:
        store = self.opener()
        try:
            yield store
        finally:
            close = getattr(store, "close", None)
            if close is not None:
                close()

    def keeps(self, store: Source) -> MemoryLedger | None:
        return None if isinstance(store, BatchStore) else self.ledger

    def backfill(self, repair: Repair = REPAIR, **how: Any) -> Run:
        with self.open() as store:
            return backfill(store, GUARD, repair, **{"now": NOW, "ledger": self.keeps(store)} | how)

    def rollback(self, run: int | None = None, **how: Any) -> Run:
        with self.open() as store:
            return rollback(store, run, **{"now": NOW, "ledger": self.keeps(store)} | how)

    def runs(self) -> list[Run]:
        with self.open() as store:
            return runs(store, ledger=self.keeps(store))

    def changes(self, run: Run) -> Counter[str]:
        """What the ledger says that *run* changed, comparable in value and type."""
        with self.open() as store:
            made = drive(store, self.keeps(store)).ledger.changes(run)
        return Counter(freeze([c.key, c.field, c.before, c.after, c.candidate]) for _, c in made)

    def contents(self) -> dict[Key, dict[str, str]]:
        """Every record, comparable in value and type."""
        with self.open() as store:
            return {key: _frozen(record) for page in pages(store, 3) for key, record in page.records}

    def raw(self, key: Key) -> Raw:
        """What `updatedAt` of a record holds."""
        with self.open() as store:
            return next(dict(r) for page in pages(store) for k, r in page.records if k == key).get("updatedAt", ABSENT)


def _frozen(record: Mapping[str, Raw]) -> dict[str, str]:
    return {name: freeze(record.get(name, ABSENT)) for name in FIELDS}


class _Interrupted(Exception):
    """Ends a run between two steps."""


class _Contract:
    """What the engine promises on any store."""

    encoding: ClassVar[str] = "epoch_ms"
    """How the store is told that `createdAt` and `updatedAt` are written."""

    absent: ClassVar[bool] = True
    """Whether a record can lack a field that another one has; not so in tables."""

    values: ClassVar[st.SearchStrategy[Raw]] = st.one_of(
        _lookalikes(), st.booleans(), st.integers(), st.floats(), st.text()
    )
    """What can be in `updatedAt` and be read again, in value and type. None always can."""

    keys: ClassVar[st.SearchStrategy[str]] = st.text("abyz019 .%_-/'\"`[]", min_size=1, max_size=6)
    """What `_id` can be."""

    @pytest.fixture
    def make(self) -> Make:
        """To be given by whoever inherits."""
        raise NotImplementedError  # whoever tests an adapter says it

    def put(self, open_: Opener, key: Key, raw: Raw) -> None:
        """Write `updatedAt` as a user would, past the engine."""
        raise NotImplementedError  # whoever tests an adapter says it

    def held(self, raw: Raw) -> Raw:
        """How the store holds a value that is written to it: as it is, unless its columns have types."""
        return raw

    # -- what tests are made of

    def at(self, text: str) -> Raw:
        """An instant, as the store writes it."""
        return encode(parse_instant(text), Encoding.parse(self.encoding))

    def lacking(self) -> Raw:
        """What stands where nothing is known."""
        return ABSENT if self.absent else None

    def row(self, key: Key, created: Raw, updated: Raw, note: str = "ours") -> Row:
        """A row; ABSENT takes a key away."""
        row = {"_id": key, "createdAt": created, "updatedAt": updated, "note": note}
        return {name: raw for name, raw in row.items() if raw is not ABSENT}

    def rows(self) -> list[Row]:
        """Six rows: a sound one, and five without `updatedAt`."""
        there = [self.at(f"2024-01-0{day}T00:00:00Z") for day in range(1, 7)]
        lacking = [None, self.lacking()] * 3
        return [self.row("a", there[0], there[0])] + [
            self.row(key, created, raw) for key, created, raw in zip("bcdef", there[1:], lacking, strict=False)
        ]

    def anything(self) -> st.SearchStrategy[list[Row]]:
        """Rows of all sorts: sound ones, some to fill, some that cannot be, and some of anything."""
        instants = st.sampled_from(["2023-01-01T00:00:00Z", "2024-01-01T00:00:00.001Z", "2031-01-01T00:00:00Z"])
        nothing = st.sampled_from([None, self.lacking()])
        raws = st.one_of(instants.map(self.at), nothing, nothing, self.values)
        row = st.tuples(raws, raws)
        keyed = st.dictionaries(self.keys, row, max_size=12)
        return keyed.map(lambda found: [self.row(key, *raws) for key, raws in found.items()])

    def encodings(self) -> Encodings:
        return encodings_for(GUARD.fields, self.encoding)

    # -- reading

    @_SETTINGS
    @given(st.data())
    def test_scan(self, make: Make, data: st.DataObject) -> None:
        """
        Every record is on exactly one page, as it is, however large the pages; cursors are JSON and outlive a store.
        """
        rows = data.draw(self.anything())
        limit = data.draw(st.integers(1, len(rows) + 2))
        subject = _Subject(make(rows))

        found: list[tuple[Key, dict[str, str]]] = []
        after: Cursor = None
        while True:
            with subject.open() as store:
                page = store.scan(after, limit)
            assert limit >= len(page.records)
            found += [(key, _frozen(record)) for key, record in page.records]
            if page.next is None:
                break
            after = json.loads(json.dumps(page.next))

        assert len(rows) == len(found)
        assert {row["_id"]: _frozen(row) for row in rows} == dict(found)

    @_SETTINGS
    @given(st.data())
    def test_check(self, make: Make, data: st.DataObject) -> None:
        """
        A check counts what the predicate says of each record, and `violations` yields it.
        """
        rows = data.draw(self.anything())
        subject = _Subject(make(rows))
        wanted = {row["_id"]: [v.fault for v in judged(row, GUARD, self.encodings(), NOW)] for row in rows}
        faults: Counter[Fault] = Counter(fault for each in wanted.values() for fault in each)
        open_ = Counter(str(pair) for row in rows for pair, _ in undecided(row, GUARD, self.encodings()))

        with subject.open() as store:
            report = check(store, GUARD, now=NOW)
            streamed = [(each.key, each.violation.fault) for each in violations(store, GUARD, now=NOW)]

        assert len(rows) == report.records
        assert sum(map(bool, wanted.values())) == report.broken
        assert faults == Counter(report.faults)
        assert open_ == Counter({pair: sum(causes.values()) for pair, causes in report.undecided.items()})
        assert sorted((k, f) for k, each in wanted.items() for f in map(str, each)) == sorted(
            (key, str(fault)) for key, fault in streamed
        )

    def test_empty(self, make: Make) -> None:
        """
        A store without records has nothing to do.
        """
        rows: list[Row] = []
        subject = _Subject(make(rows))

        assert subject.backfill().id is None
        assert {} == subject.contents()

    # -- filling and taking back

    @_SETTINGS
    @given(st.data())
    def test_backfill(self, make: Make, data: st.DataObject) -> None:
        """
        The same rows have the same outcome on every store: in the records, in the ledger, in the counts.
        """
        rows = data.draw(self.anything())
        codes = data.draw(st.sampled_from([MISSING, frozenset(CODES)]))
        repair = Repair("updatedAt", data.draw(st.sampled_from([("createdAt",), ("createdAt", PRESENT)])), codes)
        memory = [dict(row) for row in rows]
        reference = _Subject(lambda: MemoryStore(memory, key="_id", encodings=self.encoding))
        subject = _Subject(make(rows))

        wanted = reference.backfill(repair)
        run = subject.backfill(repair, pace=Pace(start=data.draw(st.integers(1, 20))))

        assert (wanted.status, wanted.counts) == (run.status, run.counts)
        assert self._as_held(reference.contents()) == subject.contents()
        if wanted.id is None:
            assert run.id is None
        else:
            assert Counter(map(self._made, reference.changes(wanted).elements())) == subject.changes(run)

    def _as_held(self, contents: Mapping[Key, Mapping[str, str]]) -> dict[Key, dict[str, str]]:
        return {
            key: {**record, "updatedAt": freeze(self.held(thaw(record["updatedAt"])))}
            for key, record in contents.items()
        }

    def _made(self, change: str) -> str:
        key, name, before, after, candidate = thaw(change)
        return freeze([key, name, before, self.held(after), candidate])

    @_SETTINGS
    @given(st.data())
    def test_rollback(self, make: Make, data: st.DataObject) -> None:
        """
        A rollback gives every record back as it was, in value and type.
        """
        rows = data.draw(self.anything())
        codes = data.draw(st.sampled_from([MISSING, frozenset(CODES)]))
        subject = _Subject(make(rows))
        before = subject.contents()

        run = subject.backfill(Repair("updatedAt", ("createdAt", PRESENT), codes))
        back = subject.rollback(pace=Pace(start=data.draw(st.integers(1, 20))))

        assert before == subject.contents()
        assert back.ok
        assert (back.counts.changed, back.undoes) == (run.counts.changed, run.id)

    def test_plan(self, make: Make) -> None:
        """
        A plan says what a backfill does, and writes nothing.
        """
        subject = _Subject(make(self.rows()))
        before = subject.contents()

        with subject.open() as store:
            planned = plan(store, GUARD, REPAIR, now=NOW, ledger=subject.keeps(store))

        assert {"createdAt": 5} == dict(planned.by_candidate)
        assert before == subject.contents()
        assert [] == subject.runs()
        assert planned.work == subject.backfill().counts.changed

    def test_only_the_field(self, make: Make) -> None:
        """
        Nothing but the field changes, and only where it was broken.
        """
        subject = _Subject(make(self.rows()))
        before = subject.contents()

        run = subject.backfill()
        after = subject.contents()

        assert run.ok
        assert list("bcdef") == sorted(key for key in before if before[key] != after[key])
        assert {key: {**record, "updatedAt": record["createdAt"]} for key, record in before.items()} == after

    def test_nothing_to_do(self, make: Make) -> None:
        """
        A backfill that finds nothing records no run.
        """
        subject = _Subject(make(self.rows()[:1]))

        assert (None, "complete") == ((run := subject.backfill()).id, run.status)
        assert [] == subject.runs()

    def test_unrepairable(self, make: Make) -> None:
        """
        Where no candidate holds the run is incomplete and says how many; a check agrees.
        """
        rows = [*self.rows(), self.row("x", None, None), self.row("y", self.at("2031-01-01T00:00:00Z"), None)]
        subject = _Subject(make(rows))

        run = subject.backfill()

        assert ("incomplete", 5, 2, 2) == (run.status, run.counts.changed, run.counts.unrepairable, run.counts.left)
        with subject.open() as store:
            assert 2 == check(store, GUARD, now=NOW).violations["null"]

    def test_again(self, make: Make) -> None:
        """
        A second backfill has nothing to do.
        """
        subject = _Subject(make(self.rows()))
        first = subject.backfill()

        assert first.ok
        assert subject.backfill().id is None
        assert [first] == subject.runs()

    def test_never_twice(self, make: Make) -> None:
        """
        What was taken back is not taken back again; a rollback cannot be.
        """
        subject = _Subject(make(self.rows()))
        run = subject.backfill()
        back = subject.rollback()

        for number in (run.id, back.id):
            with pytest.raises(UsageError, match=f"run {number} "):
                subject.rollback(number)
        assert subject.rollback().id is None
        assert [run, back] == subject.runs()

    def test_purged(self, make: Make) -> None:
        """
        What a run changed can be forgotten: the run stays listed, and is taken back no more.
        """
        subject = _Subject(make(self.rows()))
        run = subject.backfill()
        after = subject.contents()

        with subject.open() as store:
            ledger = drive(store, subject.keeps(store)).ledger
            purged = ledger.purge(run)
            assert [] == ledger.changes(run)

        assert [purged] == subject.runs()
        assert (True, run.counts) == (purged.purged, purged.counts)
        with pytest.raises(UsageError, match=f"run {run.id} cannot be taken back"):
            subject.rollback(run.id)
        assert subject.rollback().id is None
        assert after == subject.contents()

    def test_newer_runs_first(self, make: Make) -> None:
        """
        A run is not taken back before a newer one that changed the same records.
        """
        opener = make(self.rows())
        subject = _Subject(opener)
        before = subject.contents()
        first = subject.backfill()
        self.put(opener, "b", None)
        second = subject.backfill()

        with pytest.raises(UsageError, match=f"take run {second.id} back first"):
            subject.rollback(first.id)
        assert second.id == subject.rollback().undoes
        assert first.id == subject.rollback().undoes
        assert before == subject.contents()

    def test_newer_runs_on_others(self, make: Make) -> None:
        """
        A newer run that changed other records stands.
        """
        opener = make(self.rows())
        subject = _Subject(opener)
        first = subject.backfill()
        self.put(opener, "a", None)
        second = subject.backfill()

        assert subject.rollback(first.id).ok
        assert freeze(self.at("2024-01-01T00:00:00Z")) == subject.contents()["a"]["updatedAt"]
        assert second.id == subject.rollback().undoes

    def test_rollback_keeps_later_writes(self, make: Make) -> None:
        """
        A rollback leaves alone what was written after the backfill, even if that is no instant, and counts it.
        """
        opener, theirs = make(self.rows()), self.at("2024-05-01T00:00:00Z")
        subject = _Subject(opener)
        before = subject.contents()
        subject.backfill()
        self.put(opener, "b", theirs)
        self.put(opener, "c", self.at("1980-01-01T00:00:00Z"))

        back = subject.rollback()
        after = subject.contents()

        assert ("incomplete", 3, 2) == (back.status, back.counts.changed, back.counts.refused)
        assert list("bc") == sorted(key for key in before if before[key] != after[key])
        assert same(theirs, subject.raw("b"))


class _StepContract(_Contract):
    """What the engine promises of a run that is many steps."""

    # -- interrupted

    @pytest.mark.parametrize("step", range(1, 6))
    def test_resumed(self, make: Make, step: int) -> None:
        """
        A backfill and a rollback that were interrupted between two steps end as if they had not been.
        """
        calm, subject = _Subject(make(self.rows())), _Subject(make(self.rows()))
        before, wanted = subject.contents(), calm.backfill()

        with pytest.raises(_Interrupted):
            subject.backfill(pace=_slowly(1), progress=_interrupt(step))
        run = subject.backfill()

        assert (wanted.status, wanted.counts) == (run.status, run.counts)
        assert calm.contents() == subject.contents()
        assert calm.changes(wanted) == subject.changes(run)

        with pytest.raises(_Interrupted):
            subject.rollback(pace=_slowly(1), progress=_interrupt(step))
        back = subject.rollback()

        assert before == subject.contents()
        assert ("complete", 5) == (back.status, back.counts.changed)

    def test_unfinished_is_taken_back(self, make: Make) -> None:
        """
        An unfinished run can be taken back, and is over then.
        """
        subject = _Subject(make(self.rows()))
        before = subject.contents()

        with pytest.raises(_Interrupted):
            subject.backfill(pace=_slowly(1), progress=_interrupt(3))
        interrupted = subject.contents()
        back = subject.rollback()

        assert before != interrupted
        assert before == subject.contents()
        assert back.ok
        assert [False, False] == [run.open for run in subject.runs()]
        assert 3 == subject.backfill().id

    def test_taken_over(self, make: Make) -> None:
        """
        A worker that was taken over writes nothing more.
        """
        subject = _Subject(make(self.rows()))
        seen: list[Any] = []

        def take_over(step: Step) -> None:
            with subject.open() as other:
                ledger = drive(other, subject.keeps(other)).ledger
                ledger.claim(step.run, "{}", 0)
            seen.append(subject.contents())

        with pytest.raises(LeaseLost):
            subject.backfill(pace=_slowly(2), progress=take_over)
        assert [subject.contents()] == seen

        subject.backfill()
        seen.clear()
        with pytest.raises(LeaseLost):
            subject.rollback(pace=_slowly(2), progress=take_over)
        assert [subject.contents()] == seen

    # -- among others

    @pytest.mark.parametrize("step", range(1, 6))
    @pytest.mark.parametrize("key", ["b", "d", "f"])
    def test_user_writes(self, make: Make, step: int, key: str) -> None:
        """
        What a user writes while a backfill runs stays, in a record that was filled as in one that was not yet.
        """
        opener, theirs = make(self.rows()), self.at("2024-05-01T00:00:00Z")
        subject = _Subject(opener)

        run = subject.backfill(pace=_slowly(1), progress=_at(step, lambda: self.put(opener, key, theirs)))

        assert run.ok
        assert same(theirs, subject.raw(key))

    def test_filled_twice(self, make: Make) -> None:
        """
        A record that a user emptied in another way, and that was filled again, is as its user left it.
        """
        opener, theirs = make(self.rows()), self.at("1970-01-01T00:00:00Z")
        subject = _Subject(opener)
        before = subject.contents()

        run = subject.backfill(pace=_slowly(2), progress=_at(1, lambda: self.put(opener, "b", theirs)))
        with subject.open() as store:
            filled = check(store, GUARD, now=NOW)
        subject.rollback()

        assert (True, 6) == (run.ok, run.counts.changed)
        assert filled.ok
        assert before | {"b": before["b"] | {"updatedAt": freeze(theirs)}} == subject.contents()

    def test_live_writer(self, make: Make) -> None:
        """
        The present time that a user writes is no fault, however long ago the run pinned its own.
        """
        opener = make(self.rows())
        subject = _Subject(opener)
        clock, theirs = [NOW], self.at("2024-06-01T13:00:00Z")

        def an_hour_later() -> None:
            clock[0] += 3600 * 10**9
            self.put(opener, "a", theirs)
            self.put(opener, "f", theirs)

        run = subject.backfill(
            Repair("updatedAt", ("createdAt",), CODES),
            now=lambda: clock[0],
            pace=_slowly(1),
            progress=_at(1, an_hour_later),
        )

        assert run.ok
        assert [True, True] == [same(theirs, subject.raw(key)) for key in "af"]

    def test_pinned(self, make: Make) -> None:
        """
        NOW as a value is the one that the run pinned, also after it was resumed.
        """
        subject = _Subject(make([self.row(key, None, None) for key in "abcd"]))
        later = NOW + 3600 * 10**9

        with pytest.raises(_Interrupted):
            subject.backfill(Repair("updatedAt", (PRESENT,)), pace=_slowly(1), progress=_interrupt(2))
        run = subject.backfill(Repair("updatedAt", (PRESENT,)), now=later)

        assert (NOW, 4) == (run.now, run.counts.changed)
        assert {freeze(self.at("2024-06-01T12:00:00Z"))} == {r["updatedAt"] for r in subject.contents().values()}


class AtomicStoreContract(_Contract):
    """
    For a store of which a run is one atomic step: nobody ever sees a half of it.

    Give a fixture `make`, and a method `put` with which a user writes past the engine.
    """


class BatchStoreContract(_StepContract):
    """
    For a store that does whole batches itself.

    Give a fixture `make`, and a method `put` with which a user writes past the engine.
    """


class StoreContract(_StepContract):
    """For anyone's adapter: give a fixture `make`."""

    def put(self, open_: Opener, key: Key, raw: Raw) -> None:
        """Write as a user would, with the adapter's own hand."""
        subject = _Subject(open_)
        held = subject.raw(key)
        with subject.open() as store:
            assert [] == list(cast("Store", store).write([Change(key, "updatedAt", held, raw)]))

    def pool(self) -> st.SearchStrategy[list[Raw]]:
        """A few values that are easily taken for one another."""
        there = st.sampled_from([None, self.lacking(), self.at("2024-01-01T00:00:00Z")])
        return st.lists(there | self.values, min_size=2, max_size=4)

    @_SETTINGS
    @given(st.data())
    def test_write(self, make: Make, data: st.DataObject) -> None:
        """
        Compare-and-set, in value and type, one change after the other: what is refused stops nobody.
        """
        pool = st.sampled_from(data.draw(self.pool()))
        held = {key: data.draw(pool) for key in "abc"}
        change = st.builds(Change, st.sampled_from("abcz"), st.just("updatedAt"), pool, pool)
        changes = data.draw(st.lists(change, max_size=6))
        subject = _Subject(make([self.row(key, None, raw) for key, raw in held.items()]))

        refused = []
        for each in changes:
            if each.key in held and (same(held[each.key], each.before) or same(held[each.key], each.after)):
                held[each.key] = each.after
            else:
                refused.append(each)
        with subject.open() as store:
            found = list(cast("Store", store).write(changes))

        assert list(map(_words, refused)) == list(map(_words, found))
        assert {key: freeze(raw) for key, raw in held.items()} == {
            key: record["updatedAt"] for key, record in subject.contents().items()
        }

    def test_write_nothing(self, make: Make) -> None:
        """
        No changes are no fault.
        """
        with _Subject(make(self.rows())).open() as store:
            assert [] == list(cast("Store", store).write([]))

    def test_already_made(self, make: Make) -> None:
        """
        A change that was made is made, however often it is written.
        """
        subject = _Subject(make(self.rows()))
        change = Change("b", "updatedAt", None, self.at("2024-02-01T00:00:00Z"))

        for _ in range(2):
            with subject.open() as store:
                assert [] == list(cast("Store", store).write([change]))
        assert same(change.after, subject.raw("b"))

    def test_gone_is_refused(self, make: Make) -> None:
        """
        A record that was deleted meanwhile is not brought back.
        """
        subject, ghost = _Subject(make(self.rows())), Change("z", "updatedAt", None, self.at("2024-02-01T00:00:00Z"))

        with subject.open() as store:
            assert [ghost] == list(cast("Store", store).write([ghost]))
        assert "z" not in subject.contents()

    @pytest.mark.parametrize("size", [1, 2, 20])
    def test_written_in_between(self, make: Make, size: int) -> None:
        """
        What a user writes between `scan` and `write` is refused, tried again, and never lost.
        """
        opener, theirs = make(self.rows()), self.at("2024-05-01T00:00:00Z")
        subject = _Subject(opener)

        def race() -> None:
            self.put(opener, "c", theirs)
            self.put(opener, "e", self.at("1970-01-01T00:00:00Z"))  # broken in another way: the next sweep's

        run = _Subject(lambda: _Racing(cast("Store", opener()), race), subject.ledger).backfill(pace=_slowly(size))

        assert run.ok
        assert same(theirs, subject.raw("c"))
        assert same(self.at("2024-01-05T00:00:00Z"), subject.raw("e"))

    @pytest.mark.parametrize("write", range(1, 4))
    @pytest.mark.parametrize("made", [False, True])
    def test_write_interrupted(self, make: Make, write: int, made: bool) -> None:  # noqa: FBT001 - a parameter
        """
        Nobody knows what became of a write that never came back; a run that goes on does not mind.
        """
        calm, opener = _Subject(make(self.rows())), make(self.rows())
        subject = _Subject(opener)
        wanted = calm.backfill(pace=_slowly(2))

        racing = _Subject(lambda: _Broken(cast("Store", opener()), write, made=made), subject.ledger)
        with pytest.raises(KeyboardInterrupt):
            racing.backfill(pace=_slowly(2))
        run = subject.backfill()

        assert (wanted.status, wanted.counts) == (run.status, run.counts)
        assert calm.contents() == subject.contents()
        assert calm.changes(wanted) == subject.changes(run)
        assert subject.rollback().ok


def _slowly(size: int) -> Pace:
    """At most *size* records in every step: no hold is short enough to take more."""
    return Pace(target=0.0, start=size)


def _words(change: Change) -> str:
    return freeze([change.key, change.field, change.before, change.after])


def _at(number: int, act: Callable[[], None]) -> Progress:
    """Do something after that step, once."""
    steps = iter(range(1, number + 1))

    def progress(_: Step) -> None:
        if next(steps, None) == number:
            act()

    return progress


def _interrupt(number: int) -> Progress:
    def stop() -> None:
        raise _Interrupted

    return _at(number, stop)


class _Proxy:
    """An adapter that does what another one does."""

    def __init__(self, store: Store) -> None:
        self.store, self.name, self.encodings = store, store.name, store.encodings

    def scan(self, after: Cursor, limit: int) -> Page:
        return self.store.scan(after, limit)

    def write(self, changes: Sequence[Change]) -> Sequence[Change]:
        return self.store.write(changes)

    def close(self) -> None:
        close = getattr(self.store, "close", None)
        if close is not None:
            close()


class _Racing(_Proxy):
    """Somebody else writes first, once."""

    def __init__(self, store: Store, race: Callable[[], None]) -> None:
        super().__init__(store)
        self.race: Callable[[], None] | None = race

    def write(self, changes: Sequence[Change]) -> Sequence[Change]:
        race, self.race = self.race, None
        if race is not None:
            race()
        return super().write(changes)


class _Broken(_Proxy):
    """Its user loses patience at one of its writes, which is made or not."""

    def __init__(self, store: Store, number: int, *, made: bool) -> None:
        super().__init__(store)
        self.left, self.made = number, made

    def write(self, changes: Sequence[Change]) -> Sequence[Change]:
        self.left -= 1
        if self.left == 0:
            if self.made:
                super().write(changes)
            raise KeyboardInterrupt
        return super().write(changes)
