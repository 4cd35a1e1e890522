"""
Hypothesis strategies: records that satisfy a guard, records that break it, and values of every kind.

::

    from timestamp_guard.testing.strategies import broken, raws, records

    @given(records(guard, "epoch_ms", now=NOW))
    def test_accepts(record): ...

    @given(broken(guard, "epoch_ms", "out_of_order", now=NOW))
    def test_refuses(record): ...

Each record is proved by :mod:`timestamp_guard.predicate` before it is given away.
Records are made to fit, not searched for: the pairs of a guard are differences, so how far any two fields may lie
apart is known before the first value is drawn.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from types import ModuleType
from typing import Any, Final, TypeAlias, cast

from attrs import frozen
from hypothesis import reject
from hypothesis import strategies as st

from ..errors import UsageError
from ..instants import (
    ABSENT,
    CAUSES,
    DAY,
    EXACT_FLOAT,
    SECOND,
    YEAR_1,
    YEAR_10000,
    Cause,
    Encoding,
    Encodings,
    Raw,
    decode,
    encode,
    encodings_for,
    from_datetime,
    show,
    to_datetime,
)
from ..predicate import CODES, Code, holds, violations
from ..rules import At, Field, Guard, Moment, Now, Pair

__all__ = ["Record", "anything", "broken", "raws", "records", "spellings"]

Record: TypeAlias = dict[str, Raw]
HOUR: Final = 3600 * SECOND
USUAL: Final = (from_datetime(datetime(2001, 9, 9, tzinfo=UTC)), from_datetime(datetime(2033, 5, 18, tzinfo=UTC)))
"""The years in which nearly all timestamps lie."""


# -- records ----------------------------------------------------------------------------------------------------


def records(guard: Guard, encodings: Encodings, *, now: int | Moment) -> st.SearchStrategy[Record]:
    """
    Records that satisfy *guard*, in all spellings that the encodings allow.

    Fields that need not be present are sometimes without an instant.

    Raises:
        UsageError: a field has no encoding, or no record is found that could satisfy the guard.
    """
    space = _Space.of(guard, encodings, now)
    if space.limits(guard.required) is None:
        msg = f"no record is found that satisfies {guard} at {show(space.moment.latest)}"
        raise UsageError(msg)
    return _sound(space)


def broken(guard: Guard, encodings: Encodings, code: Code, *, now: int | Moment) -> st.SearchStrategy[Record]:
    """
    Records with at least one violation of *code*; the rest of the record mostly is sound.

    Raises:
        UsageError: an unknown code, a field without an encoding, or a guard that cannot be broken in that way.
    """
    if code not in CODES:
        msg = f"unknown code {code!r}; one of {', '.join(CODES)}"
        raise UsageError(msg)
    space = _Space.of(guard, encodings, now)
    ways = _causes(space, code) if code in CAUSES else _disorders(space, code)
    if not ways:
        msg = f"{guard} cannot be broken by {code!r} in the encodings given"
        raise UsageError(msg)

    def breaks(record: Record) -> bool:
        return any(code == each.code for each in violations(record, guard, space.encodings, space.moment))

    return st.builds(_joined, _base(space), st.one_of(ways)).filter(breaks)


def anything(guard: Guard, encodings: Encodings, *, now: int | Moment) -> st.SearchStrategy[Record]:
    """
    Records sound, nearly sound and hostile, for tests that two ways of judging agree.

    Many lie within a few steps of a bound of the guard, or of each other.

    Raises:
        UsageError: a field has no encoding.
    """
    space = _Space.of(guard, encodings, now)
    feasible = space.limits(guard.required) is not None
    near, wild = _near(space), _wild(space)
    mixed = st.builds(_joined, _base(space), _some(wild))
    return st.one_of(near, near, mixed, _sound(space) if feasible else near, wild)


def _joined(base: Record, changed: Record) -> Record:
    """*base* with what was *changed*; ABSENT takes a key away."""
    return {name: raw for name, raw in {**base, **changed}.items() if raw is not ABSENT}


@frozen
class _Space:
    """A guard, its encodings and its present time."""

    guard: Guard
    encodings: Mapping[str, Encoding]
    moment: Moment

    @classmethod
    def of(cls, guard: Guard, encodings: Encodings, now: int | Moment) -> _Space:
        return cls(guard, encodings_for(guard.fields, encodings), Moment.at(now))

    def holds(self, record: Record) -> bool:
        return holds(record, self.guard, self.encodings, self.moment)

    def bound(self, pair: Pair) -> int | None:
        """The instant that a field is compared with; None where it is another field."""
        for term, instant in ((pair.earlier, self.moment.earliest), (pair.later, self.moment.latest)):
            match term:
                case At(fixed):
                    return fixed + term.shift_ns
                case Now(shift_ns):
                    return instant + shift_ns
                case _:
                    pass
        return None

    def step(self, pair: Pair) -> int:
        return max(self.encodings[name].resolution_ns for name in pair.fields)

    def range(self, pair: Pair, bound: int) -> tuple[int, int]:
        """From where to where the field of *pair* may lie, both inclusive, for its bound to hold."""
        (name,), step = pair.fields, self.step(pair)
        lowest, highest = _domain(self.encodings[name])
        floor = bound - bound % step
        if isinstance(pair.later, Field):
            return max(lowest, floor - pair.later.shift_ns), highest
        return lowest, min(highest, floor + step - 1 - pair.earlier.shift_ns)

    def limits(self, fields: Sequence[str]) -> _Limits | None:
        """How far any two of *fields* may lie apart; None where they cannot satisfy the guard."""
        quanta = {name: _quantum(self.encodings[name]) for name in fields}
        most: dict[tuple[str | None, str | None], int] = {}

        def at_most(first: str | None, second: str | None, apart: int) -> bool:
            """Note that *first* lies at most *apart* after *second*; whether that is news."""
            apart -= apart % min(quanta[name] for name in (first, second) if name is not None)
            if apart >= most.get((first, second), apart + 1):
                return False
            most[first, second] = apart
            return True

        for name in fields:
            lowest, highest = _domain(self.encodings[name])
            at_most(name, None, highest)
            at_most(None, name, -lowest)
        for pair in self.guard.pairs():
            if not set(pair.fields) <= set(fields):
                continue
            bound = self.bound(pair)
            if bound is not None:
                lowest, highest = self.range(pair, bound)
                at_most(pair.fields[0], None, highest)
                at_most(None, pair.fields[0], -lowest)
                continue
            first, second = pair.fields
            shift, other, step = pair.earlier.shift_ns, pair.later.shift_ns, self.step(pair)
            if quanta[first] % step == quanta[second] % step == 0:
                shift, other = shift - shift % step, other - other % step
            at_most(first, second, other - shift)
        nodes: list[str | None] = [None, *fields]
        for _ in range(len(nodes) + 3):
            news = [
                at_most(i, j, most[i, k] + most[k, j])
                for k in nodes
                for i in nodes
                for j in nodes
                if (i is not None or j is not None) and (i, k) in most and (k, j) in most
            ]
            if any(most.get((name, name), 0) < 0 for name in fields):
                return None
            if not any(news):
                return _Limits(quanta, most)
        return None


@frozen
class _Limits:
    """In what steps each field moves, and how far one may lie after another; None is 1970."""

    quanta: Mapping[str, int]
    most: Mapping[tuple[str | None, str | None], int]


@st.composite
def _sound(draw: st.DrawFn, space: _Space) -> Record:
    """A record that satisfies the guard."""
    required = space.guard.required
    without = [name for name in space.guard.fields if name not in required and not draw(st.integers(0, 5))]
    fields = [name for name in space.guard.fields if name not in without]
    limits = space.limits(fields)
    if limits is None:  # something that need not be there cannot be there
        without = [name for name in space.guard.fields if name not in required]
        fields = list(dict.fromkeys(required))
        limits = cast("_Limits", space.limits(fields))
    instants: dict[str | None, int] = {None: 0}
    for name in sorted(fields, key=lambda name: -limits.quanta[name]):
        lowest = max(
            placed - limits.most[other, name] for other, placed in instants.items() if (other, name) in limits.most
        )
        highest = min(
            placed + limits.most[name, other] for other, placed in instants.items() if (name, other) in limits.most
        )
        instants[name] = draw(_instants(lowest, highest, space.encodings[name]))
    lacking = {name: draw(_lacking(space.encodings[name])) for name in without}
    plain = _joined(lacking, {name: encode(instants[name], space.encodings[name]) for name in fields})
    record = plain
    if fields and not draw(st.integers(0, 2)):  # floored, two fields may be in order that are not, exactly
        moved = draw(st.sampled_from(fields))
        by = draw(st.integers(-3, 3)) * limits.quanta[moved]
        raw = _written(instants[moved] + by, space.encodings[moved])
        if isinstance(decode(raw, space.encodings[moved]), int):
            record = _if_sound(space, record, {moved: raw})
    for name in fields:
        if draw(st.booleans()):
            instant = decode(record[name], space.encodings[name])
            spelled = draw(spellings(cast("int", instant), space.encodings[name]))
            record = _if_sound(space, record, {name: spelled})
    return record if space.holds(record) else reject()


def _if_sound(space: _Space, record: Record, changed: Record) -> Record:
    other = _joined(record, changed)
    return other if space.holds(other) else record


def _base(space: _Space) -> st.SearchStrategy[Record]:
    """What a broken record is made of: a sound one, or anything where there is none."""
    return _wild(space) if space.limits(space.guard.required) is None else _sound(space)


def _wild(space: _Space) -> st.SearchStrategy[Record]:
    values = {name: raws(space.encodings[name]) for name in space.guard.fields}
    return st.fixed_dictionaries(values).map(lambda record: _joined(record, {}))


def _some(drawn: st.SearchStrategy[Record]) -> st.SearchStrategy[Record]:
    """A part of a record."""

    def part(record: Record, keep: int) -> Record:
        return {name: raw for index, (name, raw) in enumerate(record.items()) if keep >> (index % 6) & 1}

    return st.builds(part, drawn, st.integers(1, 63))


@st.composite
def _near(draw: st.DrawFn, space: _Space) -> Record:
    """A record whose fields lie close to a bound and to each other, on whichever side."""
    anchors = [bound for pair in space.guard.pairs() if (bound := space.bound(pair)) is not None]
    shifts = sorted({term.shift_ns for pair in space.guard.pairs() for term in (pair.earlier, pair.later)} | {0})
    anchor = draw(st.sampled_from([*anchors, USUAL[1] // 2]))
    record: Record = {}
    for name in space.guard.fields:
        encoding = space.encodings[name]
        if not draw(st.integers(0, 15)):
            record[name] = draw(_lacking(encoding))
            continue
        unit = draw(st.sampled_from((_quantum(encoding), encoding.resolution_ns, 1, 10**6)))
        instant = anchor + draw(st.sampled_from(shifts)) * draw(st.sampled_from((0, 0, 1, -1)))
        instant += draw(st.integers(-3, 3)) * unit
        plain = _written(instant, encoding)
        record[name] = plain if plain is ABSENT or draw(st.booleans()) else draw(spellings(instant, encoding))
    return _joined(record, {})


def _written(instant: int, encoding: Encoding) -> Raw:
    """The canonical spelling; ABSENT where there is none."""
    try:
        return encode(instant, encoding)
    except UsageError:
        return ABSENT


# -- ways to break ----------------------------------------------------------------------------------------------


def _causes(space: _Space, cause: Cause) -> list[st.SearchStrategy[Record]]:
    """Each required field without an instant, for that cause."""
    ways = []
    for name in space.guard.required:
        values = _raws_of(cause, space.encodings[name])
        if values is not None:
            ways.append(st.fixed_dictionaries({name: values}))
    return ways


def _disorders(space: _Space, code: Code) -> list[st.SearchStrategy[Record]]:
    """Each pair whose breach has that code, broken."""
    ways = []
    for pair in space.guard.pairs():
        bound = space.bound(pair)
        if bound is None:
            if code == "out_of_order" and _room(space, pair) is not None:
                ways.append(_swapped(space, pair))
            continue
        (name,) = pair.fields
        early = isinstance(pair.later, Field)
        if code != ("too_early" if early else "in_future"):
            continue
        inside, outside = space.range(pair, bound), _domain(space.encodings[name])
        lowest, highest = (outside[0], inside[0] - 1) if early else (inside[1] + 1, outside[1])
        if _has_multiple(lowest, highest, space.encodings[name]):
            ways.append(_alone(name, lowest, highest, space.encodings[name]))
    return ways


@st.composite
def _alone(draw: st.DrawFn, name: str, lowest: int, highest: int, encoding: Encoding) -> Record:
    instant = draw(_instants(lowest, highest, encoding))
    return {name: _spelled_inside(draw, instant, lowest, highest, encoding)}


def _spelled_inside(draw: st.DrawFn, instant: int, lowest: int, highest: int, encoding: Encoding) -> Raw:
    raw = draw(st.one_of(st.just(encode(instant, encoding)), spellings(instant, encoding)))
    read = decode(raw, encoding)
    return raw if isinstance(read, int) and lowest <= read <= highest else encode(instant, encoding)


def _room(space: _Space, pair: Pair) -> tuple[int, int, int] | None:
    """By how much the earlier field must lie after the later to be out of order, and where the later may lie then."""
    first, second = (space.encodings[name] for name in pair.fields)
    gap = pair.later.shift_ns - pair.earlier.shift_ns + space.step(pair)
    lowest, highest = _domain(second)
    lowest, highest = max(lowest, _domain(first)[0] - gap), min(highest, _domain(first)[1] - gap - 2 * SECOND)
    return (gap, lowest, highest) if _has_multiple(lowest, highest, second) else None


@st.composite
def _swapped(draw: st.DrawFn, space: _Space, pair: Pair) -> Record:
    """The earlier field after the later one, by more than the coarser step."""
    first, second = pair.fields
    gap, lowest, highest = cast("tuple[int, int, int]", _room(space, pair))
    later = draw(_instants(lowest, highest, space.encodings[second]))
    earlier_range = later + gap, _domain(space.encodings[first])[1]
    earlier = draw(_instants(*earlier_range, space.encodings[first]))
    return {
        first: _spelled_inside(draw, earlier, *earlier_range, space.encodings[first]),
        second: _spelled_inside(draw, later, lowest, later, space.encodings[second]),
    }


# -- instants ---------------------------------------------------------------------------------------------------


def _quantum(encoding: Encoding) -> int:
    """The step in which canonical values move."""
    return max(encoding.resolution_ns, encoding.unit or (1000 if encoding.name == "datetime" else 1))


def _domain(encoding: Encoding) -> tuple[int, int]:
    """The lowest and highest instant that is drawn; numbers reach beyond every timedelta."""
    if encoding.is_number:
        return -(10**30), 10**30
    margin = DAY if encoding.zone else 0
    return YEAR_1 + 1 + margin, YEAR_10000 - DAY - 1 - margin


def _has_multiple(lowest: int, highest: int, encoding: Encoding) -> bool:
    return highest // _quantum(encoding) * _quantum(encoding) >= lowest


@st.composite
def _instants(draw: st.DrawFn, lowest: int, highest: int, encoding: Encoding) -> int:
    """An instant of the canonical step that can be written and read, often close to a limit."""
    step = _quantum(encoding)
    low, high = -(-lowest // step), highest // step
    usual = max(low, USUAL[0] // step), min(high, USUAL[1] // step)
    if low > high:
        reject()
    ways = [st.integers(low, min(high, low + 2)), st.integers(max(low, high - 2), high), st.integers(low, high)]
    if usual[0] <= usual[1]:
        ways += [st.integers(*usual)] * 2
    instant = draw(st.one_of(ways)) * step
    for aside in (0, step, -step, 3 * HOUR, -3 * HOUR, 2 * DAY, -2 * DAY):
        there = instant + aside
        if lowest <= there <= highest and decode(_written(there, encoding), encoding) == there:
            return there
    return reject()


# -- spellings --------------------------------------------------------------------------------------------------


def spellings(instant: int, encoding: Encoding) -> st.SearchStrategy[Raw]:
    """
    Ways to write *instant* down that are read as that instant, or as one less than a step of *encoding* later.

    Raises:
        UsageError: *encoding* cannot hold it.
    """
    plain = encode(instant, encoding)
    if encoding.is_number:
        written = _numbers(instant, encoding)
    elif encoding.name == "datetime":
        written = _datetimes(instant)
    else:
        written = _texts(instant, encoding)
    step = max(encoding.resolution_ns, _quantum(encoding))
    wanted = instant // step

    def right(raw: Raw) -> Raw:
        read = decode(raw, encoding)
        return raw if isinstance(read, int) and read // step == wanted else plain

    return written.map(right)


def _numbers(instant: int, encoding: Encoding) -> st.SearchStrategy[Raw]:
    whole, rest = divmod(instant, cast("int", encoding.unit))
    ways: list[st.SearchStrategy[Raw]] = [
        st.just(whole),
        st.just(Decimal(whole)),
        st.integers(0, 999_999).map(lambda part: Decimal(f"{whole}.{part:06}") if whole >= 0 else Decimal(whole)),
        st.just(Decimal(whole) + Decimal(rest) / Decimal(encoding.unit or 1)),
    ]
    if abs(whole) < EXACT_FLOAT:
        ways += [st.just(float(whole)), st.floats(0, 1, exclude_max=True).map(lambda part: whole + part)]
        ways += [st.just(whole + rest / cast("int", encoding.unit))]
    numpy = _optional("numpy")
    if numpy is not None and abs(whole) < EXACT_FLOAT:
        ways += [st.sampled_from((numpy.int64(whole), numpy.float64(whole)))]
    return st.one_of(ways)


_OFFSETS: Final = (0, 60, -60, 120, 330, -210, 345, 1439, -1439)
"""Minutes ahead of UTC."""


@st.composite
def _texts(draw: st.DrawFn, instant: int, encoding: Encoding) -> str:
    # Years 1 and 9999 have no room for an offset.
    minutes = draw(st.sampled_from(_OFFSETS)) if YEAR_1 + 2 * DAY < instant < YEAR_10000 - 2 * DAY else 0
    text = cast("str", encode(instant + minutes * 60 * SECOND, Encoding("rfc3339", "ns")))[:-1]
    day, _, clock = text.partition("T")
    clock, _, fraction = clock.partition(".")
    fraction += "0" * draw(st.sampled_from((0, 0, 1, 6, 12))) + draw(st.sampled_from(("", "", "", "9"))) * (
        len(fraction) >= 9
    )
    hours, rest = divmod(abs(minutes), 60)
    sign = "-" if minutes < 0 else "+"
    zones = ["Z", "z", "+00:00", "-00:00"] if not minutes else [f"{sign}{hours:02}:{rest:02}"]
    if encoding.name == "rfc3339":
        point = f".{fraction}" if fraction else ""
        return f"{day}{draw(st.sampled_from('Tt'))}{clock}{point}{draw(st.sampled_from(zones))}"
    zones += [f"{sign}{hours:02}{rest:02}"] + ([f"{sign}{hours:02}"] if not rest else [])
    point = draw(st.sampled_from(".,")) + fraction if fraction else ""
    if not fraction and clock.endswith(":00") and draw(st.booleans()):
        clock = clock[:-3]
    if encoding.zone is not None and draw(st.booleans()):
        local = cast("str", encode(instant, Encoding("iso8601", "ns", encoding.zone)))
        return local.removesuffix("T00:00:00") if draw(st.booleans()) else local.replace("T", " ")
    return f"{day}{draw(st.sampled_from('Tt '))}{clock}{point}{draw(st.sampled_from(zones))}"


@st.composite
def _datetimes(draw: st.DrawFn, instant: int) -> datetime:
    there = to_datetime(instant)
    if not YEAR_1 + 2 * DAY < instant < YEAR_10000 - 2 * DAY:
        return there
    aware = there.astimezone(timezone(timedelta(minutes=draw(st.sampled_from(_OFFSETS)))))
    pandas = _optional("pandas")
    if pandas is not None and 0 < instant < 2**62 and draw(st.booleans()):
        stamp: datetime = pandas.Timestamp(instant, unit="ns", tz="UTC")
        return stamp
    return aware


# -- raw values of every kind -----------------------------------------------------------------------------------


def raws(encoding: str | Encoding) -> st.SearchStrategy[Raw]:
    """
    Values of every kind that may be found where *encoding* was declared, the hostile ones included.

    ABSENT stands for a key that is not there.
    """
    return _raws(Encoding.parse(encoding))


@functools.cache
def _raws(read: Encoding) -> st.SearchStrategy[Raw]:
    lacking = st.one_of([way for cause in CAUSES if (way := _raws_of(cause, read)) is not None])
    lowest, highest = _domain(read)
    instants = st.one_of(st.integers(*USUAL), st.integers(lowest, highest), st.integers(-2 * SECOND, 2 * SECOND))
    spelled = instants.flatmap(lambda instant: _any_spelling(instant, read))
    own = _any_number() if read.is_number else _any_datetime() if read.name == "datetime" else _any_text()
    return st.one_of(spelled, spelled, own, own, lacking, _everything())


def _any_spelling(instant: int, encoding: Encoding) -> st.SearchStrategy[Raw]:
    return st.just(ABSENT) if _written(instant, encoding) is ABSENT else spellings(instant, encoding)


@functools.cache
def _everything() -> st.SearchStrategy[Raw]:
    return st.one_of(_constants(), _any_number(), _any_datetime(), _any_text())


@functools.cache
def _constants() -> st.SearchStrategy[Raw]:
    values: list[Raw] = [
        ABSENT, None, True, False, b"", b"1700000000000", b"2023-11-14T22:13:20Z", [], [1700000000000], {}, (),
        {"$date": {"$numberLong": "1700000000000"}}, {"a": {"b": [None, {}]}}, object(), int, 1j, range(3),
        date(2023, 11, 14), time(22, 13, 20), timedelta(0), timedelta(days=1), bytearray(b"x"), frozenset(), Ellipsis,
    ]  # fmt: skip
    numpy, pandas = _optional("numpy"), _optional("pandas")
    if numpy is not None:
        values += [
            numpy.bool_(1), numpy.datetime64("NaT", "ns"), numpy.timedelta64("NaT", "ns"), numpy.timedelta64(5, "s"),
            numpy.datetime64("2023-11-14T22:13:20"), numpy.array([1700000000000]), numpy.array(1700000000000),
            numpy.str_("2023-11-14T22:13:20Z"),
        ]  # fmt: skip
    if pandas is not None:
        values += [pandas.NaT, pandas.NA, pandas.Timedelta(5, "s")]
    return st.sampled_from(values)


@functools.cache
def _any_number() -> st.SearchStrategy[Raw]:
    around = [EXACT_FLOAT + by for by in range(-2, 3)]
    ways: list[st.SearchStrategy[Raw]] = [
        st.integers(-3, 3),
        st.integers(-(2**80), 2**80),
        st.sampled_from((*around, *(-n for n in around), 2**63 - 1, 2**63, -(2**63), 2**64)),
        # Made on the spot: Python refuses to print them, and Hypothesis prints what a strategy is made of.
        st.sampled_from((1, -1)).map(lambda sign: sign * 10**5001),
        st.sampled_from([float(n) for n in (*around, *(-n for n in around))]),
        st.floats(),
        st.floats(-(2.0**54), 2.0**54),
        st.sampled_from((0.0, -0.0, -1.0, 0.5, -0.5, 5e-324, 1700000000000.5, 1.7e308)),
        st.decimals(),
        st.sampled_from(
            [
                Decimal(text)
                for text in (
                    "0", "-0", "0E+10", "-1", "-1.000", "-1E+0", "1700000000000.123456789012345678901234567890",
                    "NaN", "sNaN", "-NaN123", "Infinity", "-Infinity", "1E+999999999999999999", "1E-999999999999999999",
                    "-1E+999999999999999999", "-1E-999999999999999999", "1E+999999999", "9007199254740993", "1E+40",
                    "1E+41",
                )
            ]
        ),
    ]  # fmt: skip
    numpy = _optional("numpy")
    if numpy is not None:
        ways += [
            st.integers(-(2**63), 2**63 - 1).map(numpy.int64),
            st.sampled_from((1700000000000, 0, -1)).map(numpy.int64),
            st.integers(0, 2**64 - 1).map(numpy.uint64),
            st.integers(-128, 127).map(numpy.int8),
            st.floats().map(numpy.float64),
            st.floats(width=32).map(numpy.float32),
            st.floats(width=16).map(numpy.float16),
            st.sampled_from((2**24 - 1, 2**24, 2**24 + 2, -(2**24))).map(numpy.float32),
            st.sampled_from((1.5, 0.0, -1.0, 1700000000000.5)).map(numpy.longdouble),
        ]
    return st.one_of(ways)


@functools.cache
def _any_datetime() -> st.SearchStrategy[Raw]:
    offsets: st.SearchStrategy[Any] = st.sampled_from(
        [None, UTC, *(timezone(timedelta(minutes=minutes)) for minutes in _OFFSETS)]
    )
    seconds: st.SearchStrategy[Any] = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone)
    ways: list[st.SearchStrategy[Raw]] = [
        st.datetimes(timezones=st.one_of(offsets, seconds)),
        st.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 1), timezones=offsets),  # noqa: DTZ001 - naive, as bounds must be
        st.sampled_from(
            [
                at.replace(tzinfo=zone)
                for zone in (None, UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12)))
                for at in (
                    datetime.min, datetime.max, datetime(1970, 1, 1),  # noqa: DTZ001, DTZ901 - the zone follows
                    datetime(9999, 12, 31), datetime(2023, 10, 29, 2, 30),  # noqa: DTZ001 - the zone follows
                    datetime(2023, 3, 26, 2, 30), datetime(2023, 10, 29, 2, 30, fold=1),  # noqa: DTZ001 - the zone follows
                )
            ]
        ),
    ]  # fmt: skip
    pandas = _optional("pandas")
    if pandas is not None:
        stamps = st.integers(-(2**62), 2**62)
        ways += [
            stamps.map(lambda ns: pandas.Timestamp(ns, unit="ns", tz="UTC")),
            stamps.map(lambda ns: pandas.Timestamp(ns, unit="ns")),
        ]
    return st.one_of(ways)


_PARTS: Final = (
    ("2023", "2024", "1970", "0000", "0001", "9999", "1998", "20", "+12023", "२०२३"),
    ("-", "-", "-", "", "/"),
    ("11", "12", "06", "01", "02", "13", "00", "1"),
    ("-", "-", "-", "", "/"),
    ("14", "31", "30", "01", "29", "00", "32", "1"),
    ("T", "T", "t", " ", "", "_", "  "),
    ("22", "23", "00", "24", "2"),
    (":", ":", ":", ""),
    ("13", "59", "00", "60"),
    (":", ":", ":", ""),
    ("20", "59", "60", "61", "00", ""),
    ("", "", ".5", ".123456789", ".1234567891", ",5", ".", ".000", ".٣"),
    ("Z", "Z", "z", "", "+00:00", "-08:00", "+23:59", "+24:00", "+01:60", "+0100", "+01", " Z", "UTC", "Z\n", "[UTC]"),
)


@functools.cache
def _any_text() -> st.SearchStrategy[Raw]:
    ways: list[st.SearchStrategy[Raw]] = [
        st.text(),
        st.text("0123456789-:TZtz+., ", max_size=30),
        st.tuples(*map(st.sampled_from, _PARTS)).map("".join),
        st.sampled_from(
            (
                "", " ", "null", "NULL", "NaN", "NaT", "0", "-1", "1700000000", "1700000000000", "1.7e12", "now",
                "20231114",
                "0000-00-00", "0000-00-00 00:00:00", "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1970-01-01",
                "1970-01-01T00:00:00.000Z", "9999-12-31", "9999-12-31T23:59:59Z", "9999-12-31T23:59:60Z",
                "9999-12-31T23:59:59-01:00",
                "1998-12-31T23:59:60Z", "1998-12-31T15:59:60.123-08:00", "1998-12-31T22:59:60Z", "2023-11-14",
                "2023-W46-2",
                "2023-11-14T22:13:20Z", "2023-11-14 22:13:20", "2023-10-29T02:30", "2023-03-26T02:30:00",
                "0001-01-01T00:00:00+01:00",
                "2023-11-14T22:13:20." + "1" * 5000 + "Z", "1" * 5000, "9" * 21, "2023-11-14T22:13:20Z\x00",
            )
        ),
    ]  # fmt: skip
    return st.one_of(ways)


# -- values that are no instant ---------------------------------------------------------------------------------


@functools.cache
def _lacking(encoding: Encoding) -> st.SearchStrategy[Raw]:
    """Raw values that hold no instant."""
    return st.one_of([way for cause in CAUSES if (way := _raws_of(cause, encoding)) is not None])


@functools.cache
def _raws_of(cause: Cause, encoding: Encoding) -> st.SearchStrategy[Raw] | None:
    """Raw values that hold no instant for that cause; None where the encoding knows no such value."""
    ways = [_those(values, cause, encoding) for values in _fitting(cause, encoding)]
    some = [way for way in ways if way is not None]
    return st.one_of(some) if some else None


def _those(
    values: Iterable[Raw] | st.SearchStrategy[Raw], cause: Cause, encoding: Encoding
) -> st.SearchStrategy[Raw] | None:
    """Those of *values* that really lack an instant for that cause."""

    def fits(raw: Raw) -> bool:
        return decode(raw, encoding) == cause

    if isinstance(values, st.SearchStrategy):
        return values.filter(fits)
    fitting = [raw for raw in values if fits(raw)]
    return st.sampled_from(fitting) if fitting else None


def _fitting(cause: Cause, encoding: Encoding) -> list[Iterable[Raw] | st.SearchStrategy[Raw]]:
    number = encoding.is_number
    text = not number and encoding.name != "datetime"
    match cause:
        case "missing":
            return [[ABSENT]]
        case "null":
            numpy, pandas = _optional("numpy"), _optional("pandas")
            others = ([pandas.NaT, pandas.NA] if pandas else []) + ([numpy.datetime64("NaT", "ns")] if numpy else [])
            return [[None], others]
        case "wrong_type":
            naive: list[Raw] = [datetime(2023, 11, 14), date(2023, 11, 14), datetime(2023, 11, 14, tzinfo=UTC)]  # noqa: DTZ001 - naive on purpose
            return [
                [True, False, b"1700000000000", [], {}, 1j, 1700000000000, 1.5, "2023-11-14T22:13:20Z", "1", *naive]
            ]
        case "not_finite":
            numbers: list[Raw] = [
                float("nan"),
                float("inf"),
                float("-inf"),
                Decimal("NaN"),
                Decimal("sNaN"),
                Decimal("-Infinity"),
            ]
            return [numbers]
        case "imprecise":
            if not number:
                return []
            return [[Decimal("1E+999999999")], st.floats(2.0**53 + 2, 1e300), st.floats(-1e300, -(2.0**53) - 2)]
        case "unreadable":
            local = _unknown_local(encoding.zone) if encoding.zone else []
            if not text:
                return [local]
            mangled = st.tuples(*map(st.sampled_from, _PARTS)).map("".join)
            return [
                ["", "soon", "1700000000000", "2023-13-01T00:00:00Z", "2023-11-14T22:13:20Z "],
                st.one_of(st.text(max_size=20), mangled),
                [at.isoformat() for at in local],
            ]
        case "placeholder":
            return _placeholders(encoding)


def _placeholders(encoding: Encoding) -> list[Iterable[Raw] | st.SearchStrategy[Raw]]:
    known = encoding.placeholders
    if encoding.is_number:
        kinds: list[Callable[[int], Raw]] = [int, float, Decimal]
        return [[kind(number) for number in sorted(known.numbers) for kind in kinds]]
    ends = [at for start, end in known.spans for at in (start, (start + end) // 2, end - 1)]
    written = [raw for at in ends if (raw := _written(at, encoding)) is not ABSENT]
    if encoding.name == "datetime":
        return [written]
    return [written, [prefix + rest for prefix in known.prefixes for rest in ("", "00-00", "00-00T00:00:00Z", "x")]]


@functools.cache
def _unknown_local(zone: str) -> list[datetime]:
    """Some local times that a clock in *zone* shows twice or never."""
    half_hours = (datetime(2021, 1, 1) + timedelta(minutes=30 * n) for n in range(3 * 366 * 48))  # noqa: DTZ001 - local on purpose
    read = Encoding("datetime", "us", zone)
    found = []
    for at in half_hours:
        if decode(at, read) == "unreadable":
            found.append(at)
            if len(found) == 8:
                break
    return found


@functools.cache
def _optional(name: str) -> ModuleType | Any | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
