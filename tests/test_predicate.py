"""
The guard on one record: all codes, their order, and what cannot be decided.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from timestamp_guard.errors import InvalidTimestamps
from timestamp_guard.instants import ABSENT, UNIT_NS, Encodings, from_datetime
from timestamp_guard.predicate import CODES, Fault, Violation, holds, undecided, violations
from timestamp_guard.rules import (
    NOW,
    Field,
    Guard,
    Moment,
    in_order,
    present,
    updated_at_guard,
)
from timestamp_guard.testing.strategies import anything

MS = 10**6
S = 10**9
AT = 1_700_000_000 * S
"""The present time: 2023-11-14T22:13:20Z."""
T = AT // MS
EARLIEST = 946_684_800_000
USUAL = updated_at_guard("u", "c")
START = datetime(2000, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
UTC_14 = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


def faults(
    record: dict[str, Any],
    guard: Guard = USUAL,
    encodings: Encodings = "epoch_ms",
    now: int | Moment = AT,
) -> list[Fault]:
    return [violation.fault for violation in violations(record, guard, encodings, now)]


class TestCodes:
    @pytest.mark.parametrize(
        ("u", "code"),
        [
            (ABSENT, "missing"),
            (None, "null"),
            ("soon", "wrong_type"),
            (True, "wrong_type"),
            (float("nan"), "not_finite"),
            (1e300, "imprecise"),
            (0, "placeholder"),
        ],
    )
    def test_causes(self, u: object, code: str) -> None:
        """
        A required field without an instant is a violation, with its cause as the code, and of no order rule.
        """
        record = {"c": T} if u is ABSENT else {"c": T, "u": u}

        assert [(code, "u", None)] == faults(record)

    @pytest.mark.parametrize("c", [None, "soon", float("nan"), 1e300, 0, -1], ids=repr)
    def test_not_required(self, c: object) -> None:
        """
        An order rule says nothing about what is not present.
        """
        assert [] == faults({"u": T, "c": c})
        assert [] == faults({"u": T})

    @pytest.mark.parametrize(
        ("record", "expected"),
        [
            ({"u": T, "c": T}, []),
            ({"u": EARLIEST, "c": EARLIEST}, []),
            ({"u": T + 5_000, "c": T + 5_000}, []),
            ({"u": EARLIEST - 1}, [("too_early", "u", None)]),
            ({"u": T + 5_001}, [("in_future", "u", None)]),
            ({"u": T - 1, "c": T}, [("out_of_order", "u", "c")]),
            ({"u": T, "c": EARLIEST - 1}, [("too_early", "c", None)]),
            ({"u": T, "c": T + 5_001}, [("in_future", "c", None), ("out_of_order", "u", "c")]),
            (
                {"u": EARLIEST - 2, "c": EARLIEST - 1},
                [("too_early", "u", None), ("too_early", "c", None), ("out_of_order", "u", "c")],
            ),
            ({"u": 10**5000, "c": T}, [("in_future", "u", None)]),
            ({"u": -(10**5000), "c": T}, [("too_early", "u", None), ("out_of_order", "u", "c")]),
        ],
    )
    def test_orders(self, record: dict[str, Any], expected: list[Fault]) -> None:
        """
        A field before a bound is too early, after one in the future, and of two fields the later one is to blame.
        """
        assert expected == faults(record)

    def test_fixed_upper_bound(self) -> None:
        """
        A field after a fixed instant has the code of one after NOW.
        """
        assert [("in_future", "u", None)] == faults({"u": EARLIEST + 1}, in_order("u", START))

    def test_tolerance(self) -> None:
        """
        Tolerance lets the created field lie that much later, and no more.
        """
        guard = updated_at_guard("u", "c", tolerance=SECOND)

        assert [] == faults({"u": T - 1000, "c": T}, guard)
        assert [("out_of_order", "u", "c")] == faults({"u": T - 1001, "c": T}, guard)


class TestOrderOfViolations:
    def test_rules_then_pairs(self) -> None:
        """
        All that is wrong is listed: in the order of the rules, then of the pairs.
        """
        guard = in_order("b", "a", START) & present("d") & in_order(START, "c", "b") & present("e")
        record = {"a": EARLIEST + 1, "b": EARLIEST + 2, "c": EARLIEST - 1, "d": None}

        assert [
            ("out_of_order", "a", "b"),
            ("in_future", "b", None),
            ("in_future", "a", None),
            ("null", "d", None),
            ("too_early", "c", None),
            ("missing", "e", None),
        ] == faults(record, guard)

    def test_once(self) -> None:
        """
        The same code, field and other field count once, as the first rule that is broken puts it.
        """
        guard = in_order(START, "u") & in_order(START + SECOND, "u", NOW) & in_order("u", NOW - SECOND)
        early = violations({"u": EARLIEST - 1}, guard, "epoch_ms", AT)
        late = violations({"u": T + 1}, guard, "epoch_ms", AT)

        assert [("too_early", "u", None)] == [violation.fault for violation in early]
        assert "at least 2000-01-01T00:00:00Z" == early[0].wanted
        assert [("in_future", "u", None)] == [violation.fault for violation in late]
        assert "at most 2023-11-14T22:13:20Z" == late[0].wanted

    def test_the_same_pair_with_two_slacks(self) -> None:
        """
        Two fields compared twice are out of order once.
        """
        guard = in_order(Field("c") - SECOND, "u") & in_order("c", "u")

        assert [("out_of_order", "u", "c")] == faults({"c": T, "u": T - 5000}, guard)
        assert [("out_of_order", "u", "c")] == faults({"c": T, "u": T - 500}, guard)

    def test_every_pair_of_a_chain(self) -> None:
        """
        In a chain, each pair is judged, and a hole in its middle hides nothing.
        """
        guard = in_order("a", "b", "c")

        assert [("out_of_order", "c", "a")] == faults({"a": 5, "b": None, "c": 3}, guard)
        assert [
            ("out_of_order", "b", "a"),
            ("out_of_order", "c", "a"),
            ("out_of_order", "c", "b"),
        ] == faults({"a": 5, "b": 4, "c": 3}, guard)


class TestResolution:
    @pytest.mark.parametrize(
        ("c", "u", "sound"),
        [
            (T + 0.75, T, True),
            (T + 0.75, T + 0.25, True),
            (T + 1.0, T + 0.75, False),
            (T + 0.999, T + 0.001, True),
            (Decimal(T) + Decimal("0.999999"), T, True),
            (-1500.25, -1500.75, True),
            (-1500.25, -1501, True),
            (-1500.25, -1502, False),
            (-1500, -1500.75, False),
        ],
    )
    def test_floored_to_the_unit(self, c: Any, u: Any, sound: bool) -> None:
        """
        A fraction of the unit does not count: a created of Convex and a floored `Date.now()` compare at 1 ms.
        """
        assert sound is holds({"c": c, "u": u}, in_order("c", "u"), "epoch_ms", AT)

    @pytest.mark.parametrize(
        ("c", "u", "sound"),
        [
            (T + 999, T // 1000, True),
            (T + 1000, T // 1000, False),
            (T, T // 1000, True),
            (T - 1, T // 1000, True),
        ],
    )
    def test_the_coarser_counts(self, c: int, u: int, sound: bool) -> None:
        """
        Two resolutions compare at the coarser one.
        """
        encodings = {"c": "epoch_ms", "u": "epoch_s"}

        assert sound is holds({"c": c, "u": u}, in_order("c", "u"), encodings, AT)

    def test_declared(self) -> None:
        """
        The resolution is what was declared, never what the value looks like.
        """
        record = {"c": "2023-11-14T22:13:20.9Z", "u": "2023-11-14T22:13:20Z"}

        assert not holds(record, in_order("c", "u"), "rfc3339", AT)
        assert holds(record, in_order("c", "u"), "rfc3339/s", AT)
        assert holds(record, in_order("c", "u"), {"c": "rfc3339", "u": "rfc3339/s"}, AT)

    def test_bounds_are_exact(self) -> None:
        """
        A bound is floored only for the comparison: at the resolution of the field.
        """
        bound = datetime(2000, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)

        assert holds({"u": EARLIEST // 1000}, in_order(bound, "u"), "epoch_s", AT)
        assert not holds({"u": EARLIEST // 1000 - 1}, in_order(bound, "u"), "epoch_s", AT)
        assert not holds({"u": EARLIEST}, in_order(bound, "u"), "epoch_ms", AT)
        assert holds({"u": T // 1000}, in_order("u", NOW), "epoch_s", AT)
        assert holds({"u": T // 1000}, in_order("u", NOW), "epoch_s", AT + S - 1)
        assert not holds({"u": T // 1000}, in_order("u", NOW), "epoch_s", AT - 1)

    def test_nanoseconds(self) -> None:
        """
        One nanosecond counts where nanoseconds are stored.
        """
        assert holds({"u": AT}, in_order("u", NOW), "epoch_ns", AT)
        assert not holds({"u": AT + 1}, in_order("u", NOW), "epoch_ns", AT)

    @given(
        st.sampled_from(["epoch_s", "epoch_ms", "epoch_us", "epoch_ns", "epoch_ms/s", "epoch_us/ms"]),
        st.sampled_from(["epoch_s", "epoch_ms", "epoch_us", "epoch_ns", "epoch_ms/s", "epoch_us/ms"]),
        st.integers(-(10**15), 10**15),
        st.fractions(-2, 2, max_denominator=2**10),
        st.integers(-(10**9), 10**9),
        st.integers(-(10**9), 10**9),
    )
    @example("epoch_ms", "epoch_ms", 10**9, Fraction(1, 2), 500, 500)
    def test_against_fractions(self, one: str, two: str, start: int, apart: Fraction, shift: int, other: int) -> None:
        """
        `a <= b` holds when floor(a + shift, r) <= floor(b + shift, r): said again with fractions.
        """
        (unit, step), (unit2, step2) = (
            (UNIT_NS[name[6:].partition("/")[0]], UNIT_NS[name[6:].rpartition("/")[2]]) for name in (one, two)
        )
        a = float(start) if abs(start) < 2**52 else float(2**52)
        b = float(Fraction(a) * unit // unit2 + apart) if abs(a * unit / unit2) < 2**52 else a
        if {a, b} & {0.0, -1.0} or abs(b) > 2**53:
            return
        guard = in_order(Field("a") + timedelta(microseconds=shift), Field("b") + timedelta(microseconds=other))
        r = max(step, step2)
        left = (Fraction(a) * unit // 1 + shift * 1000) // r
        right = (Fraction(b) * unit2 // 1 + other * 1000) // r

        assert (left <= right) is holds({"a": a, "b": b}, guard, {"a": one, "b": two}, AT)

    @given(
        st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),
        st.timedeltas(-5 * SECOND, 5 * SECOND),
        st.timedeltas(-SECOND, SECOND),
    )
    def test_against_datetimes(self, there: datetime, apart: timedelta, slack: timedelta) -> None:
        """
        Datetimes compare as datetimes do, with the slack that was given.
        """
        a, b = there.replace(tzinfo=UTC), (there + apart).replace(tzinfo=UTC)
        guard = in_order(Field("a") - slack, "b")

        assert (a - slack <= b) is holds({"a": a, "b": b}, guard, "datetime", AT)
        texts = {"a": a.isoformat(), "b": b.isoformat()}
        assert (a - slack <= b) is holds(texts, guard, "rfc3339", AT)
        assert (a <= b) is holds({"a": a}, in_order("a", NOW), "datetime", from_datetime(b))
        assert (b <= a) is holds({"a": a}, in_order(b, "a"), "datetime", AT)


class TestNow:
    MOMENT = Moment(AT - 3600 * S, AT)

    def test_upper_bound_is_the_latest(self) -> None:
        """
        A value that a live writer wrote after NOW was pinned is no fault.
        """
        assert [] == faults({"u": T}, USUAL, now=self.MOMENT)
        assert [("in_future", "u", None)] == faults({"u": T + 5001}, USUAL, now=self.MOMENT)

    def test_lower_bound_is_the_earliest(self) -> None:
        """
        A value that was fresh enough when NOW was pinned is no fault.
        """
        guard = in_order(NOW - SECOND, "u")

        assert [] == faults({"u": T - 3_601_000}, guard, now=self.MOMENT)
        assert [("too_early", "u", None)] == faults({"u": T - 3_601_001}, guard, now=self.MOMENT)

    @given(anything(in_order(NOW - SECOND, "a", "b", NOW + SECOND), "epoch_ms", now=AT), st.integers(-5, 5))
    def test_broken_at_both_ends(self, record: dict[str, Any], later: int) -> None:
        """
        What is broken within a moment is broken at both of its ends; with one NOW in a rule, also the reverse.
        """
        present_time = AT + later * S
        for guard in (in_order(NOW - SECOND, "a", "b"), in_order("a", "b", NOW + SECOND)):
            moment = Moment.at(AT).and_at(present_time)
            pinned, fresh, both = (faults(record, guard, now=now) for now in (AT, present_time, moment))

            assert [fault for fault in pinned if fault in fresh] == both


class TestUndecided:
    @pytest.mark.parametrize(
        ("record", "expected"),
        [
            ({"u": T, "c": T}, []),
            ({"u": T}, [("c <= u", "missing")]),
            ({"u": T, "c": None}, [("c <= u", "null")]),
            ({"u": T, "c": "x"}, [("c <= u", "wrong_type")]),
            ({"u": T, "c": 0}, [("c <= u", "placeholder")]),
            ({"u": None, "c": T}, []),
            ({}, [("c <= u", "missing")]),
        ],
    )
    def test_usual(self, record: dict[str, Any], expected: list[tuple[str, str]]) -> None:
        """
        A pair that could not be judged is counted, by the cause of the field that need not be present.
        """
        actual = undecided(record, USUAL, "epoch_ms")

        assert expected == [(str(pair), cause) for pair, cause in actual]

    def test_chain(self) -> None:
        """
        Every pair of a hole is undecided, each once.
        """
        actual = undecided({"a": T, "b": None}, in_order("a", "b", "c"), "epoch_ms")

        assert [("a <= b", "null"), ("a <= c", "missing"), ("b <= c", "null")] == [
            (str(pair), cause) for pair, cause in actual
        ]

    def test_bound_alone(self) -> None:
        """
        A field that only bounds compare is undecided there.
        """
        actual = undecided({}, in_order("a", NOW), "epoch_ms")

        assert [("a <= NOW", "missing")] == [(str(pair), cause) for pair, cause in actual]

    @given(anything(in_order("a", "b", "c") & present("b"), "rfc3339", now=AT))
    def test_decided_or_counted(self, record: dict[str, Any]) -> None:
        """
        No pair of two fields is silent: it is judged, or undecided, or a required field of it is broken.
        """
        guard = in_order("a", "b", "c") & present("b")
        open_ = {pair for pair, _ in undecided(record, guard, "rfc3339")}
        lacking = {field for code, field, other in faults(record, guard, "rfc3339") if other is None}
        for pair in guard.pairs():
            judged = not any(violations(record, present(name), "rfc3339", AT) for name in pair.fields)
            assert judged is (pair not in open_ and not lacking & set(pair.fields))


class TestViolation:
    def test_words(self) -> None:
        """
        A violation says what was seen, what was wanted and, where it can, what is probably meant.
        """
        (violation,) = violations({"u": 1_700_000_000}, USUAL, "epoch_ms", AT)

        assert (
            "u is too_early (1700000000): wanted at least 2000-01-01T00:00:00Z; "
            "1700000000 looks like seconds where milliseconds are stored: 1700000000000 is 2023-11-14T22:13:20Z"
        ) == str(violation)

    @pytest.mark.parametrize(
        ("record", "said"),
        [
            ({}, "u is missing: wanted a number of milliseconds since 1970"),
            ({"u": None}, "u is null: wanted a number of milliseconds since 1970"),
            ({"u": "soon"}, "u is wrong_type ('soon'): wanted a number of milliseconds since 1970"),
            ({"u": T - 1, "c": T}, f"u is out_of_order ({T - 1}): wanted at least 2023-11-14T22:13:20Z (c)"),
            ({"u": T + 5001}, f"u is in_future ({T + 5001}): wanted at most 2023-11-14T22:13:25Z"),
            ({"u": 10**5000}, "u is in_future (10^5000): wanted at most 2023-11-14T22:13:25Z"),
        ],
        ids=["missing", "null", "wrong_type", "out_of_order", "in_future", "huge"],
    )
    def test_each(self, record: dict[str, Any], said: str) -> None:
        """
        Each code has its sentence.
        """
        (violation,) = violations(record, USUAL, "epoch_ms", AT)

        assert said == str(violation)

    def test_shifted(self) -> None:
        """
        The limit that is named takes the shifts of both sides into account.
        """
        guard = in_order(Field("c") - SECOND, Field("u") + 2 * SECOND)
        (violation,) = violations({"c": T, "u": T - 3001}, guard, "epoch_ms", AT)

        assert "at least 2023-11-14T22:13:17Z (c - 1s)" == violation.wanted

    def test_out_of_order_has_a_hint(self) -> None:
        """
        A number of another unit says so, whichever rule it breaks.
        """
        (violation,) = violations({"c": T, "u": T // 1000}, in_order("c", "u"), "epoch_ms", AT)

        assert "1700000000 looks like seconds" in str(violation.hint)

    def test_values(self) -> None:
        """
        A violation carries its data; what was seen does not make it another one.
        """
        (one,) = violations({"u": None}, USUAL, "epoch_ms", AT)
        (two,) = violations({}, present("u"), "epoch_ms", AT)

        assert ("null", "u", None, None) == (one.code, one.field, one.other, one.seen)
        assert ABSENT is two.seen
        assert Violation("null", "u", None, 5, "other words") == one
        assert one != two

    @pytest.mark.parametrize("name", ["", "a\nb", "a\x00b"], ids=["empty", "newline", "nul"])
    def test_odd_names(self, name: str) -> None:
        """
        A name that would not print is quoted.
        """
        (violation,) = violations({}, present(name), "epoch_ms", AT)

        assert str(violation).startswith(f"{name!r} is missing")

    def test_raised_together(self) -> None:
        """
        The error carries all violations, and prints one on each line.
        """
        found = violations({"u": EARLIEST - 2, "c": EARLIEST - 1}, USUAL, "epoch_ms", AT)
        error = InvalidTimestamps(found)

        assert tuple(found) == error.violations
        assert 3 == len(str(error).splitlines())
        assert isinstance(error, ValueError)

    @given(anything(USUAL, {"u": "epoch_ms", "c": "rfc3339"}, now=AT))
    def test_never_fails(self, record: dict[str, Any]) -> None:
        """
        Every rule is true or false of every record, and every violation prints.
        """
        found = violations(record, USUAL, {"u": "epoch_ms", "c": "rfc3339"}, AT)

        assert {violation.code for violation in found} <= set(CODES)
        assert len(found) == len({violation.fault for violation in found})
        assert all(len(str(violation)) < 400 for violation in found)
        assert (not found) is holds(record, USUAL, {"u": "epoch_ms", "c": "rfc3339"}, AT)


def test_the_record_is_left_alone() -> None:
    """
    Judging asks a record for its fields and changes nothing in it.
    """
    record: defaultdict[str, Any] = defaultdict(int, u=T)

    assert [] == violations(record, USUAL, "epoch_ms", AT)
    assert {"u": T} == record
    assert UTC_14 == datetime.fromtimestamp(AT // S, UTC)
