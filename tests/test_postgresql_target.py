"""
A real server says of its own values what the predicate says, whatever they are: and no row, however odd, ends a look.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import random
import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Final, TypeAlias

import pytest
from attrs import field, frozen
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests import servers
from tests.postgresql_tables import fill, quoted
from tests.test_sql_target import BOUNDS, LATER, MOMENT, NUMBERS, PINNED, TEXTS, Rows, encoded, guards, repairs
from timestamp_guard import Field, Guard, Repair, backfill, check, in_order, rollback, updated_at_guard
from timestamp_guard import violations as streamed_by
from timestamp_guard.errors import TooManyFailures, UsageError
from timestamp_guard.instants import Encoding, Raw, decode, to_datetime
from timestamp_guard.job import Job
from timestamp_guard.predicate import Fault, undecided
from timestamp_guard.predicate import violations as judged
from timestamp_guard.repairs import Mend, mend
from timestamp_guard.rules import At, Moment
from timestamp_guard.stores.base import pages
from timestamp_guard.stores.sql.postgresql.store import PostgresStore

Record: TypeAlias = dict[str, Raw]

NAMES: Final = (
    "updatedAt", 'quo"te', "it's", "back`tick", "[bracket]", "new\nline", "__import__('os')", "select", "percent%s",
    "%(low_0)s", ":low_0", "a:b", "?1", "?", "%", "@at", "$d", "$1", "semi;--", "/*", "日本", " ", "a.b", "x" * 63, "é" * 31,
    "value_0", "cause_1", "signature", "place", "run", "key_1", "c", "t", "q", "work", "made", "old", "held", "written",
    "version", "candidate", "before", "kept", "returning", "nothing", "true", "current_timestamp", "oid", "count(*)",
    "__[POSTCOMPILE_x]", "\\", "timestamp_guard value 0",
)  # fmt: skip


def single(number: float) -> float:
    """What a `real` makes of a number."""
    try:
        return float(struct.unpack("f", struct.pack("f", number))[0])
    except OverflowError:
        return math.copysign(3e38, number)


WHOLE_EDGES: Final = (None, 0, -1, 1, -2, 2**15 - 1, -(2**15), 2**31 - 1, -(2**31), 2**53, 2**53 + 1, -(2**53) - 1, 2**62,
                      2**63 - 1, -(2**63), 2**63 - 2)  # fmt: skip
DOUBLE_EDGES: Final = (None, 0.0, -0.0, -1.0, 0.5, -0.5, 1e-40, 5e-324, 1e300, -1e300, math.nan, math.inf, -math.inf,
                       2.0**53, -(2.0**53), 2.0**53 + 2, 2.0**53 - 1, 1.7e9, 1.7e12, 1.7e18, 16777217.0)  # fmt: skip
DECIMAL_EDGES: Final = (
    *WHOLE_EDGES, *map(Decimal, ("NaN", "Infinity", "-Infinity", "0.0", "-0.000", "0.5", "-0.5", "-1.000", "1e-50", "-1e-50",
    "1e40", "9" * 41, "-" + "9" * 41, "1e41", "-1e41", "1" * 40, "1e1000", "1e-1000", "1234567890123456789012345678901234567890.123")),
)  # fmt: skip
SCALED_EDGES: Final = (
    None,
    0,
    -1,
    Decimal("NaN"),
    Decimal("-0.001"),
    Decimal("0.999"),
    Decimal("9" * 17),
    -Decimal("9" * 17),
)
TIME_EDGES: Final = (
    None, "infinity", "-infinity", "4713-01-01 00:00:00 BC", "0001-12-31 23:59:59.999999 BC", "0001-01-01 00:00:00",
    "0001-01-01 00:00:00.000001", "0001-01-02 00:00:00", "1970-01-01 00:00:00", "1970-01-01 00:00:00.000001", "1969-12-31 23:59:59.999999",
    "9998-12-31 23:59:59.999999", "9999-12-30 23:59:59.999999", "9999-12-31 00:00:00", "9999-12-31 23:59:59.999999",
    "10000-01-01 00:00:00", "12345-06-07 08:09:10", "294276-12-31 23:59:59.999999",
)  # fmt: skip
TEXT_EDGES: Final = (
    None, "", " ", "0", "1700000000000", "2023-11-14T22:13:20Z", "2023-11-14t22:13:20.123456789z", "2016-12-31T23:59:60Z",
    "0000-00-00", "0000-01-01T00:00:00Z", "9999-12-31T00:00:00Z", "infinity", "now", "NaN", "\\N", "\t", "a\nb", "'; DROP TABLE t; --", "é",
    "日本", "x" * 5000,
)  # fmt: skip
WHOLE: Final = {"smallint": 15, "integer": 31, "bigint": 63}
ZONED: Final = ("datetime@+05:30", "datetime@UTC", "datetime/ms@-03:00", "datetime/s@+14:00")


@frozen
class Kind:
    """A type of columns: the encodings that suit it, and its oddest values."""

    forms: Sequence[str]
    edges: Sequence[Raw] = field(repr=False)


KINDS: Final[Mapping[str, Kind]] = {
    **{name: Kind(NUMBERS, [e for e in WHOLE_EDGES if e is None or -(2**bits) <= e < 2**bits]) for name, bits in WHOLE.items()},
    "numeric": Kind(NUMBERS, DECIMAL_EDGES),
    "numeric(20,3)": Kind(NUMBERS, SCALED_EDGES),
    "real": Kind(NUMBERS, [None if e is None else single(e) for e in DOUBLE_EDGES]),
    "double precision": Kind(NUMBERS, DOUBLE_EDGES),
    "timestamptz": Kind(("datetime", "datetime/ms", "datetime/s", "datetime/us"), TIME_EDGES),
    "timestamptz(3)": Kind(("datetime/ms", "datetime/s"), TIME_EDGES[:-1]),  # the last would be rounded out of range
    "timestamp": Kind(ZONED, TIME_EDGES),
    "text": Kind(TEXTS, TEXT_EDGES),
}  # fmt: skip


@frozen
class Columns(Rows):
    """Makes rows out of a seed, of values that their columns can hold."""

    kinds: Mapping[str, str] = field(kw_only=True)

    def _value(self, name: str, row: Record) -> Raw:
        kind, pick = self.kinds[name], self.chance.random()
        if pick < 0.2:
            return self.chance.choice(KINDS[kind].edges)
        if pick < 0.25 and (alike := [row[each] for each in row if self.kinds[each] == kind]):
            return self.chance.choice(alike)
        if pick < 0.3 and kind in WHOLE:
            return self._fitted(kind, self.chance.randrange(-(2**63), 2**63) >> self.chance.randrange(64))
        return self._held(kind, self._instant(name, row), self.encodings[name])

    def _fitted(self, kind: str, number: int) -> int:
        most = 1 << WHOLE[kind]
        return max(-most, min(most - 1, number))

    def _held(self, kind: str, instant: int, encoding: Encoding) -> Raw:
        unit = encoding.unit
        if unit is None:
            try:
                when = to_datetime(instant)
            except OverflowError:
                return None
            if kind == "text":
                return self._spelled(instant, encoding)
            zone = encoding.zone if encoding.zone not in {None, "UTC"} else "+00:00"
            minutes = int(f"{zone[0]}1") * (int(zone[1:3]) * 60 + int(zone[4:6])) if zone else 0
            try:
                return (
                    when
                    if kind != "timestamp"
                    else when.astimezone(timezone(timedelta(minutes=minutes))).replace(tzinfo=None)
                )
            except OverflowError:
                return None
        exact = Decimal(instant) / unit
        if kind in WHOLE:
            return self._fitted(kind, instant // unit + self.chance.choice([0, 0, 1]))
        if kind == "numeric":
            return self.chance.choice([exact, Decimal(instant // unit), exact.normalize()])
        if kind == "numeric(20,3)":
            return max(min(exact, Decimal(10) ** 16), -(Decimal(10) ** 16)).quantize(Decimal("0.001"))
        number = self.chance.choice([instant // unit, instant / unit, instant // unit + 0.5])
        return single(number) if kind == "real" else float(number)


@frozen
class Case:
    """A guard, a repair, and rows."""

    guard: Guard
    encodings: Mapping[str, Encoding]
    kinds: Mapping[str, str]
    repair: Repair
    table: str
    rows: Sequence[Record] = field(repr=False)


HOW_MANY: Final = 80


@st.composite
def cases(draw: st.DrawFn, kind: str) -> Case:
    """Anything that a server might be asked about, over columns of that kind; or of any, where it is `mixed`."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    kinds = {name: draw(st.sampled_from([*KINDS])) if kind == "mixed" else kind for name in names}
    guard = draw(guards(names))
    encodings: dict[str, Encoding] = {}
    one = draw(encoded(names, KINDS[kind].forms)) if kind != "mixed" else {}
    for name in names:
        encodings[name] = one.get(name) or draw(encoded([name], KINDS[kinds[name]].forms))[name]
    target = draw(st.sampled_from(guard.fields))
    repair = draw(repairs(names, target, KINDS[kinds[target]].forms))
    chance = random.Random(draw(st.integers(0, 2**32)))
    rows = Columns(guard, encodings, chance, kinds=kinds).make(HOW_MANY, names)
    return Case(guard, encodings, kinds, repair, draw(st.sampled_from(NAMES)), rows)


@pytest.fixture(scope="module")
def places() -> Iterator[Mapping[int, tuple[str, Any]]]:
    """A database on each server, and a user of it."""
    with contextlib.ExitStack() as stack:
        found = {}
        for version in servers.POSTGRESQL:
            url = stack.enter_context(servers.database(servers.postgresql(version)))
            found[version] = (url, stack.enter_context(servers.connect(url)))
            found[version][1].execute("SET TIME ZONE 'UTC'")
        yield found


_NUMBER: Final = itertools.count()


@contextlib.contextmanager
def table(place: tuple[str, Any], case: Case) -> Iterator[tuple[PostgresStore, str]]:
    """The table of a case, opened, and its name as SQL has it; its schema is its own, so its ledger is."""
    url, user = place
    schema = f"%s ?{next(_NUMBER)} :x"
    name = f"{quoted(schema)}.{quoted(case.table)}"
    columns = ", ".join(f"{quoted(each)} {kind}" for each, kind in case.kinds.items())
    user.execute(f"CREATE SCHEMA {quoted(schema)}")
    user.execute(f'CREATE TABLE {name} ("the key" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, {columns})')
    fill(user, name, [[row[each] for each in case.kinds] for row in case.rows], list(case.kinds))
    try:
        with PostgresStore(url, f"{schema}.{case.table}", encodings=case.encodings) as store:
            yield store, name
    finally:
        user.execute(f"DROP SCHEMA {quoted(schema)} CASCADE")


def rows_of(store: PostgresStore) -> dict[Any, Record]:
    """Every row as Python has it."""
    return {key: {**record} for page in pages(store) for key, record in page.records}


def alike(one: Raw, other: Raw) -> bool:
    """Whether a column cannot tell two values apart: 5, 5.0 and Decimal(5) are one to a column of numbers."""
    if isinstance(one, float) and isinstance(other, float):
        return struct.pack("d", one) == struct.pack("d", other)
    if isinstance(one, Decimal) and isinstance(other, Decimal) and one.is_nan():
        return other.is_nan()
    return bool(one == other)


@pytest.mark.parametrize("kind", [*KINDS, "mixed"])
def test_agrees(places: Mapping[int, tuple[str, Any]], kind: str) -> None:
    """
    A check counts what the predicate says of each row, an assessment what would be mended, a backfill mends exactly that,
    and a rollback gives back every byte.
    """

    @settings(
        max_examples=max(20, settings().max_examples // 4),
        phases=(Phase.explicit, Phase.generate),  # rows come from a seed, which does not shrink
        suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
    )
    @given(case=cases(kind), version=st.sampled_from(servers.POSTGRESQL))
    def run(case: Case, version: int) -> None:
        with table(places[version], case) as (store, name):
            rows = rows_of(store)
            looked(store, case, rows)
            mended(store, case, rows, places[version][1], name)

    run()


def best(case: Case, record: Record, job: Job, moment: Moment) -> Mend | None:
    """What the predicate would write: in a column of doubles as a double, if it is one."""
    if case.kinds[case.repair.field] not in {"real", "double precision"}:
        return mend(record, case.repair, case.guard, job.encodings, moment, PINNED)
    for index, candidate in enumerate(case.repair.candidates):
        alone = Repair(case.repair.field, (candidate,), case.repair.codes)
        found = mend(record, alone, case.guard, job.encodings, moment, PINNED)
        if found is not None and abs(found.after) <= 2**53:
            return Mend(float(found.after), index)
    return None


def looked(store: PostgresStore, case: Case, rows: Mapping[Any, Record]) -> None:
    """What is said of the rows is what the predicate says."""
    verdicts = {key: judged(record, case.guard, case.encodings, LATER) for key, record in rows.items()}
    faults: Counter[Fault] = Counter(v.fault for each in verdicts.values() for v in each)
    open_ = Counter(
        (str(pair), why) for record in rows.values() for pair, why in undecided(record, case.guard, case.encodings)
    )
    causes = Counter(
        (name, why)
        for record in rows.values()
        for name in case.guard.fields
        if isinstance(why := decode(record[name], case.encodings[name]), str)
    )
    job = Job.of(case.guard, case.repair, case.encodings, PINNED)
    broken = {key: record for key, record in rows.items() if job.broken(record, MOMENT)}
    mends = {key: best(case, record, job, MOMENT) for key, record in broken.items()}

    report = check(store, case.guard, now=LATER)
    streamed = Counter((each.key, each.violation.fault) for each in streamed_by(store, case.guard, now=LATER))
    found = store.assess(job, lambda: LATER, 1000)

    assert HOW_MANY == report.records == len(rows)
    assert faults == Counter(report.faults)
    assert sum(map(bool, verdicts.values())) == report.broken
    assert open_ == Counter({(p, why): n for p, whys in report.undecided.items() for why, n in whys.items()})
    assert causes == Counter({(f, why): n for f, whys in report.fields.items() for why, n in whys.items()})
    assert Counter((key, v.fault) for key, each in verdicts.items() for v in each) == streamed
    assert all(each.violation.fault in {v.fault for v in verdicts[each.key]} for each in report.samples)
    assert Counter(m.candidate for m in mends.values() if m is not None) == Counter(found.mendable)
    assert {key for key, m in mends.items() if m is None} == set(found.unrepairable_samples)
    assert {key for key, m in mends.items() if m is not None} == {each.key for each in found.samples}
    for each in found.samples:
        wanted = mends[each.key]
        assert wanted is not None
        assert alike(wanted.after, each.after)
        assert str(case.repair.candidates[wanted.candidate]) == each.candidate


def mended(store: PostgresStore, case: Case, rows: Mapping[Any, Record], user: Any, name: str) -> None:
    """What is written is what the predicate would have, and can be taken back."""
    job = Job.of(case.guard, case.repair, case.encodings, PINNED)
    moment = Moment.at(PINNED)
    wanted = {
        key: found.after
        for key, record in rows.items()
        if job.broken(record, moment) and (found := best(case, record, job, moment)) is not None
    }
    before = user.execute(f"SELECT t::text FROM {name} t ORDER BY 1").fetchall()
    target = case.repair.field
    try:
        run = backfill(store, case.guard, case.repair, now=PINNED)
    except TooManyFailures:
        run = store.ledger.runs(store.name)[-1]
    except UsageError:  # the encoding is finer than the column: said before anything is written
        assert case.kinds[target] == "timestamptz(3)"
        return
    after = rows_of(store)
    aside = {each.key for each in store.ledger.quarantined(run)} if run.id is not None else set()
    for key, record in rows.items():
        assert all(alike(record[each], after[key][each]) for each in record if each != target)
        if key in wanted and key not in aside and run.finished:
            assert alike(wanted[key], after[key][target]), (record, wanted[key], after[key][target])
        elif key not in wanted or key in aside:
            assert alike(record[target], after[key][target])
    assert not wanted or run.counts.changed + len(aside) == len(wanted) or not run.finished
    if not run.counts.changed:
        return
    assert run.counts.changed == len(store.ledger.changes(run))
    assert "real" == case.kinds[target] or all(
        alike(rows[change.key][target], change.before) and alike(after[change.key][target], change.after)
        for _, change in store.ledger.changes(run)
    )

    back = rollback(store, now=PINNED)

    assert ("complete", run.counts.changed) == (back.status, back.counts.changed)
    assert before == user.execute(f"SELECT t::text FROM {name} t ORDER BY 1").fetchall()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "text"])
def test_spoken(places: Mapping[int, tuple[str, Any]], kind: str) -> None:
    """
    The usual guard is judged by the server itself, over columns of every kind but text.
    """
    guard, encodings = updated_at_guard("updatedAt", "createdAt"), Encoding.parse(KINDS[kind].forms[0])
    names = ("updatedAt", "createdAt")
    repair = Repair("updatedAt", ("createdAt",))
    case = Case(guard, dict.fromkeys(names, encodings), dict.fromkeys(names, kind), repair, "t", [])
    with table(places[15], case) as (store, _):
        assert store._sql(Job.of(guard, repair, encodings, PINNED))


def test_first_year(places: Mapping[int, tuple[str, Any]]) -> None:
    """
    A bound before the first year is before every local time, also where that is ahead of UTC.
    """
    guard = in_order(At(BOUNDS[0]), Field("a") + timedelta(days=10**8))
    rows: list[Record] = [{"a": f"0001-01-01 {time}"} for time in ("00:00:00", "05:29:59", "05:30:00.000001")]
    for zone in ("+05:30", "-05:30"):
        encodings = {"a": Encoding.parse(f"datetime@{zone}")}
        case = Case(guard, encodings, {"a": "timestamp"}, Repair("a", (BOUNDS_AT,)), "t", rows)
        with table(places[15], case) as (store, _):
            assert {} == check(store, guard, now=LATER).violations


def test_real_is_exact(places: Mapping[int, tuple[str, Any]]) -> None:
    """
    Python has the number that a `real` holds, not the shorter one that it is written as.
    """
    numbers = [1700000064.0, 0.1, 16777217.0, 1e10]
    case = Case(
        updated_at_guard("a", None), {"a": Encoding.parse("epoch_s")}, {"a": "real"}, Repair("a", (BOUNDS_AT,)), "t",
        [{"a": each} for each in numbers],
    )  # fmt: skip
    with table(places[15], case) as (store, name):
        exact = [each for (each,) in places[15][1].execute(f"SELECT a::float8 FROM {name} ORDER BY 1")]

        assert sorted(single(each) for each in numbers) == exact
        assert exact == sorted(record["a"] for record in rows_of(store).values())


BOUNDS_AT: Final = datetime.fromtimestamp(BOUNDS[0] // 10**9, UTC)
