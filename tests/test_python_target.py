"""
The generated Python agrees with the predicate: on every verdict, on every side of every bound.
"""

from __future__ import annotations

import functools
import operator
from collections import ChainMap, UserDict, defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from timestamp_guard import predicate
from timestamp_guard.errors import InvalidTimestamps, UsageError
from timestamp_guard.instants import (
    EXACT_FLOAT,
    Encoding,
    Encodings,
    Placeholders,
    decode,
    encodings_for,
    from_datetime,
)
from timestamp_guard.predicate import Fault
from timestamp_guard.rules import (
    NOW,
    Field,
    Guard,
    Moment,
    in_order,
    present,
    updated_at_guard,
)
from timestamp_guard.targets import gate
from timestamp_guard.targets import python as target
from timestamp_guard.targets.gate import Compiled
from timestamp_guard.targets.python import native_bounds
from timestamp_guard.testing.strategies import Record, anything

S = 10**9
AT = 1_700_000_000_123_456_789
"""The present time, at no round number of anything."""
T = AT // 10**6
SECOND, MS, US = timedelta(seconds=1), timedelta(milliseconds=1), timedelta(microseconds=1)
START = datetime(2000, 1, 1, tzinfo=UTC)
ODD = datetime(2000, 1, 1, 0, 0, 0, 500_001, tzinfo=UTC)
FAR = datetime(3000, 1, 1, tzinfo=UTC)

EXECUTED: list[str] = []
HOSTILE = [
    "",
    "'",
    '"""',
    "a\nimport os\n",
    "a\x00b",
    "__import__('os').abort()",
    "{EXECUTED}",
    '"] or EXECUTED.append(1) or record["',
    "K0",
    "v0",
    "record",
    "\\",
    "\ud800",
    "a" * 10**6,
]

GUARDS = {
    "present": present("u"),
    "usual": updated_at_guard("u", "c"),
    "tolerance": updated_at_guard("u", "c", tolerance=SECOND),
    "slack": updated_at_guard("u", "c", tolerance=1500 * US, skew=1500 * US, earliest=ODD),
    "alone": updated_at_guard("u"),
    "chain": present("a") & in_order(START, "a", Field("b") + 3 * MS, Field("u") - 2 * SECOND, NOW + SECOND),
    "halves": present("a") & in_order(START, Field("a") + 500 * US, Field("b") + 900 * US),
    "negative": in_order(Field("a") - 1700 * US, Field("b") - 300 * US) & in_order("b", NOW - SECOND),
    "lower": present("u") & in_order(NOW - SECOND, "u", NOW + SECOND),
    "far": present("u") & in_order(Field("u") + timedelta(days=1), FAR) & in_order("c", FAR),
    "twice": in_order("c", "u") & in_order(Field("c") - SECOND, "u") & present("u") & in_order(ODD, "u"),
    "odd": present("u") & in_order(ODD, "u", NOW) & in_order("c", "u"),
    "apart": present("u") & in_order("c", FAR) & in_order("c", "u") & in_order(ODD, "u"),
    "shifted": in_order(START, Field("u") + 700 * US, NOW) & present("u"),
    "hostile": functools.reduce(
        operator.and_, [present(name) & in_order(START, name, NOW) for name in HOSTILE[4:]]
    ),
    "hostile order": in_order(*HOSTILE[:6], NOW),
}  # fmt: skip
OTHERS = evolve(Encoding.parse("epoch_ms"), placeholders=Placeholders(frozenset({T, 5}), (), ("-",)))
MIXED = {"u": "epoch_ms", "c": "rfc3339", "a": "epoch_s", "b": "datetime@UTC"}
UNITS = {"u": "epoch_ms", "c": "epoch_s", "a": "epoch_us", "b": "epoch_ms"}
STEPS = {"u": "epoch_ms/s", "c": "epoch_ms", "a": "epoch_ms", "b": "epoch_ms/s"}
CASES: list[tuple[str, Encodings]] = [
    *((name, "epoch_ms") for name in GUARDS),
    *((name, "epoch_ns") for name in ("usual", "slack", "halves", "far", "shifted")),
    *((name, "epoch_us") for name in ("tolerance", "chain", "halves", "far", "lower")),
    *((name, "epoch_s") for name in ("usual", "slack", "chain", "negative")),
    *((name, "epoch_ms/s") for name in ("usual", "halves", "shifted")),
    *((name, "epoch_s/ns") for name in ("usual", "halves", "slack")),
    *((name, "rfc3339") for name in ("usual", "chain", "lower", "hostile order")),
    *((name, "iso8601/s@Europe/Berlin") for name in ("tolerance", "negative")),
    *((name, "datetime") for name in ("usual", "chain", "twice")),
    *((name, "datetime/ms@UTC") for name in ("slack", "halves")),
    *((name, OTHERS) for name in ("present", "usual")),
    *((name, MIXED) for name in ("usual", "chain", "halves", "twice")),
    *((name, UNITS) for name in ("usual", "chain", "halves")),
    *((name, STEPS) for name in ("usual", "chain", "halves", "slack")),
]
RECORDS_PER_EXAMPLE = 2
cases = pytest.mark.parametrize(
    ("name", "encodings"),
    CASES,
    ids=[f"{name}-{n}-{str(encodings)[:30]}" for n, (name, encodings) in enumerate(CASES)],
)


def meant(record: Mapping[str, Any], guard: Guard, encodings: Encodings, now: int | Moment) -> tuple[Fault, ...]:
    """What the predicate finds."""
    return tuple(each.fault for each in predicate.violations(record, guard, encodings, now))


def agree(compiled: Compiled, records: list[Record], now: int) -> None:
    """All four ways to ask say what the predicate says."""
    found = [meant(record, compiled.guard, compiled.encodings, now) for record in records]
    codes = [(n, tuple(code for code, *_ in faults)) for n, faults in enumerate(found) if faults]
    assert codes == list(compiled.many(records))
    for record, faults in zip(records, found, strict=True):
        assert (not faults) is compiled.holds(record)
        assert faults == tuple(each.fault for each in compiled.violations(record))
        if faults:
            with pytest.raises(InvalidTimestamps) as caught:
                compiled(record)
            assert faults == tuple(each.fault for each in caught.value.violations)
        else:
            compiled(record)


class TestAgreement:
    def test_enough(self) -> None:
        """
        In CI, with 100 examples for each case, the test below sees more than 10,000 records.
        """
        assert len(CASES) * 100 * RECORDS_PER_EXAMPLE > 10_000

    @cases
    def test_all(self, name: str, encodings: Encodings) -> None:
        """
        The judge finds the faults of the predicate, in the same order, for a moment of any length; a compiled guard
        says the same in all its ways, with a pinned clock and with a caller's.
        """
        guard = GUARDS[name]
        read = encodings_for(guard.fields, encodings)
        judge = target.judge(guard, read)
        pinned = guard.compile(encodings, now=AT)
        clock = [AT]
        called = guard.compile(encodings, now=lambda: clock[0])

        @given(
            st.lists(
                anything(guard, encodings, now=AT),
                min_size=RECORDS_PER_EXAMPLE,
                max_size=RECORDS_PER_EXAMPLE,
            ),
            st.sampled_from((0, 1, 10**6, 2 * S, 10**30)),
            st.integers(-3 * S, 3 * S),
        )
        def check(records: list[Record], length: int, later: int) -> None:
            for record in records:
                expected = meant(record, guard, read, Moment(AT - length, AT))
                assert expected == judge(record, AT - length, AT)
            agree(pinned, records, AT)
            clock[0] = AT + later  # a caller's clock may go backwards
            agree(called, records, AT + later)

        check()

    @pytest.mark.parametrize("name", ["usual", "slack", "lower", "chain", "alone"])
    def test_machine_clock(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        With the clock of the machine, which goes on, each record is judged by the time at which it is judged.
        """
        guard, clock = GUARDS[name], [AT]
        monkeypatch.setattr(gate, "time", SimpleNamespace(time_ns=lambda: clock[0]))
        compiled = guard.compile("epoch_ms")

        @given(anything(guard, "epoch_ms", now=AT), st.sampled_from((0, 1, 10**6, S, 3 * S)))
        def check(record: Record, passed: int) -> None:
            clock[0] += passed
            moved = {
                key: value + (clock[0] - AT) // 10**6 if type(value) is int else value for key, value in record.items()
            }
            for each in (record, moved):
                agree(compiled, [each], clock[0])

        check()


def numbers_around(bound: Fraction) -> Iterator[Any]:
    """Values on both sides of a bound, in every kind of number."""
    whole = bound.numerator // bound.denominator
    for n in range(whole - 2, whole + 3):
        yield n
        yield Decimal(n)
        yield Decimal(n) + Decimal("0.000001")
        yield float(n)
        if abs(n) < EXACT_FLOAT:
            yield from (n + 0.25, n + 0.5, n + 0.75)


def bounds_of(guard: Guard, name: str, encoding: Encoding) -> list[Fraction]:
    return [bound for bound in native_bounds(guard, name, encoding, Moment.at(AT)) if bound is not None]


GATED = [
    "usual",
    "tolerance",
    "slack",
    "chain",
    "halves",
    "far",
    "twice",
    "shifted",
    "present",
    "negative",
    "odd",
    "apart",
]
NUMBERS = ["epoch_s", "epoch_ms", "epoch_us", "epoch_ns", "epoch_ms/s", "epoch_s/ns"]


def only_the_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the gate does not let pass fails the test."""
    monkeypatch.setattr(gate, "judge", lambda *_: lambda *_: pytest.fail("judged in full"))
    monkeypatch.setattr(gate._Gate, "codes", lambda _: [])


class TestGate:
    @pytest.mark.parametrize("encoding", NUMBERS)
    @pytest.mark.parametrize("name", GATED)
    def test_both_sides_of_each_bound(self, name: str, encoding: str) -> None:
        """
        Just below, at and just above each bound, in every kind of number, the verdict is the predicate's.
        """
        guard, read = GUARDS[name], Encoding.parse(encoding)
        compiled = guard.compile(encoding, now=AT)
        unit = read.unit or 1
        sound = {field: from_datetime(FAR) // 2 // unit for field in guard.fields}
        exact = [Fraction(n) for n in (0, EXACT_FLOAT, -EXACT_FLOAT)]
        for field in guard.fields:
            for bound in (*bounds_of(guard, field, read), *exact):
                values = list(numbers_around(bound))
                agree(compiled, [{**sound, field: value} for value in values], AT)
                agree(compiled, [dict.fromkeys(guard.fields, value) for value in values], AT)

    @pytest.mark.parametrize("encoding", NUMBERS)
    @pytest.mark.parametrize("name", GATED)
    def test_both_sides_of_each_order(self, name: str, encoding: str) -> None:
        """
        Two fields just before, at and just after each other, shifted as the guard shifts them, likewise.
        """
        guard, unit = GUARDS[name], Encoding.parse(encoding).unit or 1
        compiled = guard.compile(encoding, now=AT)
        start = from_datetime(datetime(2010, 1, 1, tzinfo=UTC)) // unit
        for pair in guard.pairs():
            if len(pair.fields) < 2:
                continue
            first, second = pair.fields
            apart = Fraction(pair.earlier.shift_ns - pair.later.shift_ns, unit)
            records = [
                {**dict.fromkeys(guard.fields), first: a, second: b}
                for a in (start, float(start), start + 0.5, start + 0.625)
                for b in numbers_around(start + apart)
            ]
            agree(compiled, records, AT)

    @pytest.mark.parametrize("encoding", NUMBERS)
    @pytest.mark.parametrize("name", GATED)
    def test_native_bounds(self, name: str, encoding: str) -> None:
        """
        Between its native bounds a number breaks no bound, and beyond them it breaks one: exactly.
        """
        guard, read = GUARDS[name], Encoding.parse(encoding)
        for field in guard.fields:
            lower, upper = native_bounds(guard, field, read, Moment.at(AT))
            for bound in bounds_of(guard, field, read):
                for value in numbers_around(bound):
                    if isinstance(decode(value, read), str):
                        continue
                    # In nanoseconds, floored, as an instant is.
                    at = Fraction(Fraction(value) * (read.unit or 1) // 1, read.unit or 1)
                    inside = (lower is None or lower <= at) and (upper is None or at < upper)
                    faults = meant({field: value}, guard.about(field), encoding, AT)
                    assert inside is not bool({code for code, *_ in faults} & {"too_early", "in_future"})

    @pytest.mark.parametrize(
        ("name", "record"),
        [
            ("usual", {"u": T, "c": T}),
            ("usual", {"u": 946684800000, "c": 946684800000}),
            ("usual", {"u": T + 5000, "c": T + 5000}),
            ("usual", {"u": float(T), "c": T - 0.5}),
            ("usual", {"u": T, "c": T + 0.75}),
            ("usual", {"u": T + 5000.0, "c": 946684800000.0}),
            ("tolerance", {"u": T - 1000, "c": T}),
            ("chain", {"a": T, "b": T - 3, "u": T + 2000}),
            ("present", {"u": 1}),
            ("present", {"u": 1.0}),
            ("present", {"u": EXACT_FLOAT}),
        ],
    )
    def test_lets_the_sound_pass(self, name: str, record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A usual sound record never reaches the full judgement: the gate alone accepts it, at its bounds too.
        """
        only_the_gate(monkeypatch)
        compiled = GUARDS[name].compile("epoch_ms", now=AT)

        assert compiled.holds(record)
        assert [] == list(compiled.many([record]))
        compiled(record)
        with pytest.raises(pytest.fail.Exception):
            compiled.holds({})

    def test_nanoseconds_pass(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Integers of nanoseconds lie beyond 2**53 and pass all the same.
        """
        only_the_gate(monkeypatch)

        assert GUARDS["usual"].compile("epoch_ns", now=AT).holds({"u": AT, "c": AT})

    def test_a_clock_that_was_set_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Where the machine's clock is set back, the future is refused again once a record was judged in full.
        """
        clock = [AT + 3600 * S]
        monkeypatch.setattr(gate, "time", SimpleNamespace(time_ns=lambda: clock[0]))
        compiled = GUARDS["usual"].compile("epoch_ms")
        clock[0] = AT

        assert not compiled.holds({"u": True})
        assert not compiled.holds({"u": T + 5001, "c": T})
        assert compiled.holds({"u": T + 5000, "c": T})

    def test_the_gate_follows_the_clock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        The clock is read when a record seems to lie in the future, and then no more until the next one does.
        """
        clock, readings = [AT], []

        def time_ns() -> int:
            readings.append(clock[0])
            return clock[0]

        monkeypatch.setattr(gate, "time", SimpleNamespace(time_ns=time_ns))
        compiled = GUARDS["usual"].compile("epoch_ms")
        readings.clear()

        assert compiled.holds({"u": T + 5000})
        assert [] == readings
        assert compiled.holds({"u": T + 5000, "c": T})
        assert not compiled.holds({"u": T + 5001, "c": T})
        clock[0] += 3600 * S
        readings.clear()
        assert compiled.holds({"u": T + 3600_000, "c": T})
        assert compiled.holds({"u": T + 3600_000, "c": T})
        assert [(1, ("in_future",))] == list(compiled.many([{"u": T + 3605_000, "c": T}, {"u": T + 3605_001, "c": T}]))
        assert 2 == len(readings)


class TestTeeth:
    @pytest.mark.parametrize(
        ("right", "wrong"),
        [
            (" > ", " >= "),
            ("if h1 and h0 and", "if h0 and"),
            ("if not h0:", "if h0:"),
            (" // 1000000 > ", " > "),
            ("+ -1000000000", "+ 1000000000"),
            ("+ 5000000000", "+ 4999000000"),
            ("(latest", "(earliest"),
            ("tuple(dict.fromkeys(found))", "tuple(found[::-1])"),
            ("v0 != 0", "v0 != 1"),
            ("v0 != -1", "v0 != -2"),
            ("type(v0) is int and v0", "v0"),
            ("946684800000 <= v0", "946684799999 <= v0"),
            ("v0 <= {HIGH}", "v0 <= {HIGH} + 1"),
            ("v1 <= {HIGH}", "v1 <= {HIGH} + 1"),
            ("v1 + -1000 <= v0", "v1 + -1001 <= v0"),
            (" and v1 + -1000 <= v0", ""),
            ("946684800000 <= v0 <= {HIGH} and ", ""),
            ("type(v1) is int and ", ""),
            ("index += 1", "index += 2"),
            ("return not full(record)", "return True"),
            ("p0c = 'null'", "p0c = 'missing'"),
            ("p0c = 'missing'", "p0c = 'null'"),
            ("p0c = 'placeholder'", "p0c = 'null'"),
            ("p0c = 'wrong_type'", "p0c = 'null'"),
            ("v1 = int(v1)", "v1 = int(v1) + 1"),
            ("1 <= v1 <= {HIGH}", "-1 <= v1 <= {HIGH}"),
            ("946684800000 <= v1 <= {HIGH}", "946684800000 <= v1"),
            ("is int and v0 > 0", "is int and v0 > -2"),
            (" > v0:", " >= v0:"),
            ("v0 > {HIGH}:", "v0 >= {HIGH}:"),
            ("v1 > {HIGH}:", "v1 >= {HIGH}:"),
            ("p1 and p0 and", "p0 and"),
            ("p1 and p0 and", "p1 and"),
            ("if not p0:", "if p0:"),
            ("return found", "return found[::-1]"),
            ("0 < v0 and 0 < v1", "True"),
            ("if v0 is None or type(v0) is str:", "if v1 is None:"),
            ("return not found", "return True"),
            ("    else:", "    elif False:"),
        ],
    )
    def test_a_changed_line_is_noticed(self, right: str, wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Each part of the generated code is there for a reason: changed, it disagrees with the predicate.
        """
        guard = GUARDS["tolerance"]
        right, wrong = (text.replace("{HIGH}", str(T + 5000)) for text in (right, wrong))
        build, changed = target.Code.build, []

        def changing(code: target.Code, name: str) -> Any:
            lines = [line.replace(right, wrong) for line in code.lines]
            changed.append(lines != code.lines)
            code.lines = lines
            return build(code, name)

        monkeypatch.setattr(target.Code, "build", changing)
        with pytest.raises((AssertionError, NameError, TypeError)):
            check_corpus(guard)
        assert any(changed)

    def test_unchanged(self) -> None:
        """
        Unchanged, it agrees on the same records.
        """
        check_corpus(GUARDS["tolerance"])


def check_corpus(guard: Guard) -> None:
    """A few hundred records around each bound and order of the guard with a tolerance of a second."""
    read = encodings_for(guard.fields, "epoch_ms")
    judge, compiled = target.judge(guard, read), guard.compile("epoch_ms", now=AT)
    ends = [n for end in (946684800000, T, T + 5000) for n in (end - 1, end, end + 1)]
    odd = [None, "x", True, 0, -1, 0.0, float("nan"), 1e300, 1.5, 1, 5, Decimal(T), 2 * T]
    records: list[Record] = [{}]
    for u in (*ends, *odd):
        records.append({"u": u})
        records += [{"u": u, "c": c} for c in (*ends, *odd)]
        if type(u) is int:
            records += [{"u": u, "c": u + by} for by in (999, 999.5, 1000, 1000.5, 1001)]
    fallback: defaultdict[str, Any] = defaultdict(lambda: T)
    for moment in (Moment.at(AT), Moment(AT - S, AT)):
        for record in records:
            expected = meant(record, guard, read, moment)
            assert expected == judge(record, moment.earliest, moment.latest)
    agree(compiled, [*records, fallback], AT)


class TestNames:
    def test_nothing_is_executed(self) -> None:
        """
        Names of fields reach the generated functions as constants, whatever they spell.
        """
        for name in HOSTILE:
            guard = updated_at_guard(name, name + "!")
            compiled = guard.compile("epoch_ms", now=AT)
            agree(compiled, [{name: T, name + "!": T}, {name: T - 1, name + "!": T}, {name: None}, {}], AT)

        assert [] == EXECUTED

    @given(st.text(max_size=30), st.text(max_size=30))
    def test_any_name(self, one: str, other: str) -> None:
        """
        Any text is a name.
        """
        if one == other:
            return
        guard = present(one) & in_order(one, other)

        agree(guard.compile("epoch_ms", now=AT), [{one: 1, other: 2}, {one: 2, other: 1}, {other: 1}], AT)


class TestRecords:
    @pytest.mark.parametrize(
        "make",
        [dict, UserDict, ChainMap, lambda record: defaultdict(lambda: T, record)],
        ids=["dict", "UserDict", "ChainMap", "defaultdict"],
    )
    def test_any_mapping(self, make: Callable[[Record], Mapping[str, Any]]) -> None:
        """
        Any mapping is judged, and is left as it was: asking for a key does not put it there.
        """
        guard = GUARDS["usual"]
        compiled = guard.compile("epoch_ms", now=AT)
        for raw in ({"u": T, "c": T}, {"u": T}, {}, {"u": T - 1, "c": T}, {"u": None, "c": 5}):
            record = make(dict(raw))
            faults = meant(raw, guard, "epoch_ms", AT)
            codes = tuple(code for code, *_ in faults)

            assert (not faults) is compiled.holds(record)
            assert ([(0, codes)] if faults else []) == list(compiled.many([record]))
            assert raw == dict(record)

    def test_many_is_lazy(self) -> None:
        """
        Records are asked for one by one, as answers are wanted.
        """
        asked: list[int] = []

        def records() -> Iterator[Record]:
            for n in range(10):
                asked.append(n)
                yield {"u": T if n % 2 else None}

        broken = GUARDS["alone"].compile("epoch_ms", now=AT).many(records())

        assert (0, ("null",)) == next(broken)
        assert [0] == asked
        assert (2, ("null",)) == next(broken)
        assert [4, 6, 8] == [index for index, _ in broken]

    def test_no_rules(self) -> None:
        """
        A guard without rules holds of everything.
        """
        compiled = Guard(()).compile({}, now=AT)

        agree(compiled, [{}, {"a": None}], AT)
        assert compiled.holds({})


class TestCompiled:
    def test_printed(self) -> None:
        """
        A compiled guard says what it judges.
        """
        assert repr(present("u").compile("epoch_ms")).startswith("<function compiled present(u) at ")

    def test_refused(self) -> None:
        """
        A field without an encoding is refused before anything is judged.
        """
        with pytest.raises(UsageError, match="no encoding is declared for 'c'"):
            GUARDS["usual"].compile({"u": "epoch_ms"})

    def test_between_two_readings(self) -> None:
        """
        What became right between the verdict and the list of faults is not raised with nothing to say.
        """
        times = iter([AT, AT, AT + 3600 * S])
        compiled = in_order("u", NOW).compile("epoch_ms", now=lambda: next(times, AT + 3600 * S))

        assert not compiled.holds({"u": T + 1})
        compiled({"u": T + 1})

    def test_present_time(self) -> None:
        """
        Without `now` it is the machine's clock that counts.
        """
        compiled = updated_at_guard("u").compile("rfc3339")

        assert compiled.holds({"u": datetime.now(UTC).isoformat()})
        assert not compiled.holds({"u": (datetime.now(UTC) + timedelta(minutes=1)).isoformat()})
