"""
The language of rules: what can be said, what it means in pairs, and what is refused.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from attrs.exceptions import FrozenInstanceError
from hypothesis import given
from hypothesis import strategies as st

from timestamp_guard.errors import UsageError
from timestamp_guard.instants import duration_ns, from_datetime
from timestamp_guard.rules import (
    NOW,
    At,
    Field,
    Guard,
    Moment,
    Now,
    Ordered,
    Pair,
    Present,
    in_order,
    present,
    updated_at_guard,
)

START = datetime(2000, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def pairs(guard: Guard) -> list[str]:
    return [str(pair) for pair in guard.pairs()]


class TestTerms:
    @given(st.sampled_from([Field("a"), At(5), NOW]), st.timedeltas(), st.timedeltas())
    def test_shifts_add_up(self, term: Any, one: timedelta, other: timedelta) -> None:
        """
        A term is shifted by any timedelta, exactly, as often as one likes.
        """
        assert duration_ns(one) - duration_ns(other) == (term + one - other).shift_ns
        assert term == term + one - one
        assert type(term) is type(term + one)

    @pytest.mark.parametrize("term", [Field("a"), At(5), NOW], ids=str)
    @pytest.mark.parametrize("by", [1, 1.5, "1s", None], ids=repr)
    def test_shift_is_a_timedelta(self, term: Any, by: object) -> None:
        """
        Nothing but a timedelta shifts a term: a bare number has no unit.
        """
        with pytest.raises(TypeError):
            term + by
        with pytest.raises(TypeError):
            term - by

    @pytest.mark.parametrize(
        ("value", "name"),
        [
            (Field("a"), "name"),
            (At(1), "instant"),
            (NOW, "shift_ns"),
            (Pair(Field("a"), NOW), "later"),
            (Present("a"), "field"),
            (Ordered((Field("a"), NOW)), "terms"),
            (present("a"), "rules"),
            (Moment(1, 2), "latest"),
        ],
        ids=lambda value: type(value).__name__ if not isinstance(value, str) else value,
    )
    def test_immutable(self, value: object, name: str) -> None:
        """
        Rules are values: nothing changes them, and equal ones are the same in a set.
        """
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, getattr(value, name))
        assert 1 == len({value, value})

    def test_a_shift_leaves_the_term_alone(self) -> None:
        """
        A shifted term is another term.
        """
        later = NOW + SECOND

        assert Now(0) == NOW
        assert Now(10**9) == later

    @pytest.mark.parametrize(
        ("said", "shown"),
        [
            (Field("a"), "a"),
            (Field("a") - SECOND, "a - 1s"),
            (Field("a") + timedelta(microseconds=1500), "a + 1500us"),
            (NOW, "NOW"),
            (NOW + timedelta(minutes=5), "NOW + 5m"),
            (At(from_datetime(START)) - timedelta(days=2), "2000-01-01T00:00:00Z - 2d"),
            (present("a"), "present(a)"),
            (in_order(START, "a", NOW), "in_order(2000-01-01T00:00:00Z, a, NOW)"),
            (present("a") & in_order("a", "b"), "present(a) & in_order(a, b)"),
            (Pair(Field("a") - SECOND, Field("b")), "a - 1s <= b"),
        ],
        ids=str,
    )
    def test_printed(self, said: object, shown: str) -> None:
        """
        Rules print as people write them.
        """
        assert shown == str(said)


class TestPresent:
    def test_fields(self) -> None:
        """
        It asks for one field, and compares none.
        """
        guard = present("a")

        assert ("a",) == guard.fields == guard.required
        assert () == guard.pairs()

    @pytest.mark.parametrize("name", [None, 1, b"a", NOW], ids=repr)
    def test_named_by_text(self, name: Any) -> None:
        """
        A field is named by text.
        """
        with pytest.raises(UsageError, match="a field is named by text"):
            present(name)


class TestInOrder:
    def test_every_pair(self) -> None:
        """
        Each term is compared with all that follow, not only with its neighbour, and each shift counts in every pair.
        """
        guard = in_order(START, "a", Field("b") + SECOND, NOW + 5 * SECOND)

        assert [
            "2000-01-01T00:00:00Z <= a",
            "2000-01-01T00:00:00Z <= b + 1s",
            "a <= b + 1s",
            "a <= NOW + 5s",
            "b + 1s <= NOW + 5s",
        ] == pairs(guard)

    @given(st.integers(1, 6), st.booleans(), st.booleans())
    def test_how_many(self, fields: int, start: bool, end: bool) -> None:
        """
        As many pairs as there are twos of fields, and one more for each field and bound; none of two bounds.
        """
        terms = [START] * start + [f"f{n}" for n in range(fields)] + [NOW] * end
        if len(terms) > 1:
            assert fields * (fields - 1) // 2 + fields * (start + end) == len(in_order(*terms).pairs())

    def test_fixed_instants(self) -> None:
        """
        Aware datetimes are fixed instants, a Timestamp to its nanosecond.
        """
        stamp = pd.Timestamp("2023-11-14T22:13:20.000000001Z")
        (rule,) = in_order(stamp, "a").rules

        assert Ordered((At(1_700_000_000_000_000_001), Field("a"))) == rule

    @pytest.mark.parametrize(
        ("terms", "said"),
        [
            ([], "at least two terms, 0 given"),
            (["a"], "at least two terms, 1 given"),
            ([START, NOW], "names no field"),
            (["a", "b", "a"], "compares 'a' with itself"),
            (["a", Field("a") + SECOND], "compares 'a' with itself"),
            ([datetime(2000, 1, 1), "a"], "is no datetime with a time zone"),
            (["a", 5], "5 is no term"),
            (["a", None], "None is no term"),
            (["a", SECOND], "is no term"),
            ([START, "a", START - SECOND], "can never hold"),
            ([START, START - SECOND, "a"], "can never hold"),
            ([At(5) + SECOND, "a", At(6)], "can never hold"),
            (["a", START, NOW, "b", START - SECOND], "can never hold"),
        ],
    )
    def test_refused(self, terms: list[Any], said: str) -> None:
        """
        What says nothing, or what can never hold, is refused when it is said.
        """
        with pytest.raises(UsageError) as caught:
            in_order(*terms)

        assert said in str(caught.value)

    def test_equal_bounds(self) -> None:
        """
        One instant may bound both sides.
        """
        assert 2 == len(in_order(START, "a", START).pairs())


class TestGuard:
    def test_joined(self) -> None:
        """
        Guards are joined by `&`; their rules keep their order, and each counts once.
        """
        one, two = present("b") & in_order("a", "b"), in_order("a", "b") & present("a")
        guard = one & two

        assert "present(b) & in_order(a, b) & present(a)" == str(guard)
        assert ("b", "a") == guard.fields == guard.required
        assert guard == guard & guard

    def test_the_same_pair_twice(self) -> None:
        """
        A pair that two rules share is a pair once.
        """
        guard = in_order("a", "b") & in_order("a", "b", "c")

        assert ["a <= b", "a <= c", "b <= c"] == pairs(guard)

    def test_about_a_field(self) -> None:
        """
        What a guard says about a field: whether it is present, and the pairs that it is in.
        """
        guard = present("a") & present("b") & in_order(START, "a", "b", "c", NOW)

        assert [
            "2000-01-01T00:00:00Z <= b",
            "a <= b",
            "b <= c",
            "b <= NOW",
        ] == pairs(guard.about("b"))
        assert ("b",) == guard.about("b").required
        assert Guard(()) == guard.about("d")

    def test_undecidable(self) -> None:
        """
        A pair is left undecided by a field that need not be present; a bound counts where no other field compares.
        """
        usual = updated_at_guard("u", "c")
        alone = in_order(START, "c", NOW)

        assert [("c <= u", "c")] == [(str(p), n) for p, n in usual.undecidable()]
        assert [("2000-01-01T00:00:00Z <= c", "c"), ("c <= NOW", "c")] == [(str(p), n) for p, n in alone.undecidable()]
        assert [("a <= b", "a"), ("a <= b", "b")] == [(str(p), n) for p, n in in_order("a", "b").undecidable()]


class TestUpdatedAtGuard:
    def test_usual(self) -> None:
        """
        It is the guard that design section 3 writes out.
        """
        expected = (
            present("u")
            & in_order(START, "u", NOW + 5 * SECOND)
            & in_order(START, "c", NOW + 5 * SECOND)
            & in_order(Field("c") - timedelta(0), "u")
        )

        assert expected == updated_at_guard("u", "c")
        assert expected == updated_at_guard("u", created="c")

    def test_without_created(self) -> None:
        """
        Without a field of creation, its parts are left out.
        """
        assert present("u") & in_order(START, "u", NOW + 5 * SECOND) == updated_at_guard("u")

    def test_options(self) -> None:
        """
        Skew, tolerance and the earliest instant can be chosen.
        """
        early = datetime(1990, 1, 1, tzinfo=UTC)
        guard = updated_at_guard("u", "c", skew=SECOND, tolerance=2 * SECOND, earliest=early)

        assert (
            "present(u) & in_order(1990-01-01T00:00:00Z, u, NOW + 1s) & in_order(1990-01-01T00:00:00Z, c, NOW + 1s)"
            " & in_order(c - 2s, u)"
        ) == str(guard)

    @pytest.mark.parametrize(
        ("fields", "options", "said"),
        [
            (["u"], {"skew": -SECOND}, "skew is -1 day, 23:59:59, and cannot be negative"),
            (["u", "c"], {"tolerance": -SECOND}, "tolerance is"),
            (["u"], {"earliest": datetime(2000, 1, 1)}, "is no datetime with a time zone"),
            (["u", "u"], {}, "compares 'u' with itself"),
            ([5], {}, "a field is named by text"),
            (["u", 5], {}, "5 is no term"),
        ],
    )
    def test_refused(self, fields: list[Any], options: dict[str, Any], said: str) -> None:
        """
        Negative slack, a naive bound and one field for both are refused.
        """
        with pytest.raises(UsageError) as caught:
            updated_at_guard(*fields, **options)

        assert said in str(caught.value)


class TestMoment:
    @given(st.integers(), st.integers(), st.integers())
    def test_widened(self, one: int, two: int, three: int) -> None:
        """
        A moment is every instant from its earliest to its latest, in whatever order they were added.
        """
        moment = Moment.at(one).and_at(two).and_at(three)

        assert Moment(min(one, two, three), max(one, two, three)) == moment
        assert moment == Moment.at(moment)
        assert Moment(one, one) == Moment.at(one)
