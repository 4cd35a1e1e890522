"""
Repairs: which faults are mended, from where, and how the value is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timestamp_guard.errors import UsageError
from timestamp_guard.instants import Encodings, decode, encodings_for
from timestamp_guard.predicate import CODES, violations
from timestamp_guard.repairs import (
    MISSING,
    By,
    Mend,
    Repair,
    by,
    describe,
    earliest,
    latest,
    mend,
    needs,
    read_by,
    reread,
)
from timestamp_guard.rules import (
    NOW,
    At,
    Field,
    Guard,
    Moment,
    in_order,
    present,
    updated_at_guard,
)
from timestamp_guard.testing.strategies import anything

S = 10**9
AT = 1_700_000_000 * S
T = AT // 10**6
PINNED = AT - 60 * S
BETWEEN = Moment(PINNED, AT)
USUAL = updated_at_guard("u", "c")
SECOND = timedelta(seconds=1)
THEN = datetime(2023, 11, 1, tzinfo=UTC)
THEN_MS = 1_698_796_800_000


def mended(
    record: Mapping[str, Any],
    *candidates: Any,
    guard: Guard = USUAL,
    encodings: Encodings = "epoch_ms",
    moment: Moment = BETWEEN,
) -> Mend | None:
    return mend(record, Repair("u", candidates), guard, encodings, moment, PINNED)


class TestRepair:
    def test_default_codes(self) -> None:
        """
        What is present is never replaced, unless its code is named.
        """
        assert {"missing", "null", "placeholder"} == MISSING == Repair("u", "c").codes
        assert {"null"} == Repair("u", "c", codes="null").codes
        assert MISSING | {"in_future"} == Repair("u", ["c"], codes=MISSING | {"in_future"}).codes

    def test_candidates(self) -> None:
        """
        Candidates keep their order: names are fields, datetimes are fixed instants.
        """
        repair = Repair("u", ("c", THEN, NOW, latest("a", earliest("b", THEN))))

        assert (Field("c"), At(THEN_MS * 10**6), NOW) == repair.candidates[:3]
        assert Repair("u", "c") == Repair("u", ("c",)) == Repair("u", (Field("c"),))

    @pytest.mark.parametrize(
        ("candidates", "options", "said"),
        [
            ((), {}, "a repair of 'u' needs at least one candidate"),
            (("u",), {}, "'u' cannot be filled from itself; reread()"),
            (("c", Field("u")), {}, "cannot be filled from itself"),
            ((5,), {}, "5 is no candidate"),
            ((None,), {}, "None is no candidate"),
            ((datetime(2023, 1, 1),), {}, "is no datetime with a time zone"),
            (("c",), {"codes": {"late"}}, "unknown code 'late'; one of missing, null"),
            (("c",), {"codes": "late"}, "unknown code 'late'"),
        ],
    )
    def test_refused(self, candidates: tuple[Any, ...], options: dict[str, Any], said: str) -> None:
        """
        What could mend nothing is refused.
        """
        with pytest.raises(UsageError) as caught:
            Repair("u", candidates, **options)

        assert said in str(caught.value)

    def test_refused_inside(self) -> None:
        """
        latest() and earliest() need something to choose from, reread() an encoding.
        """
        for make in (latest, earliest):
            with pytest.raises(UsageError, match="needs at least one candidate"):
                make()
            with pytest.raises(UsageError, match="is no candidate"):
                make(5)  # type: ignore[arg-type]  # on purpose
        with pytest.raises(UsageError, match="unknown encoding 'unix'"):
            reread("u", "unix")

    def test_printed(self) -> None:
        """
        A repair prints as what it does, its codes in the order in which they are listed everywhere.
        """
        repair = Repair(
            "u",
            ("c", latest("a", "b"), earliest("a", THEN), NOW, reread("u", "epoch_s"), by("log", lambda _: None)),
            codes={"placeholder", "in_future", "null"},
        )

        assert (
            "u <- c, latest(a, b), earliest(a, 2023-11-01T00:00:00Z), NOW, reread(u, epoch_s), by(log)"
            " where null, placeholder, in_future"
        ) == str(repair)

    def test_described(self) -> None:
        """
        NOW is described with the instant that it stood for.
        """
        assert "NOW - 1s = 2023-11-14T22:12:19Z" == describe(NOW - SECOND, PINNED)
        assert "c" == describe(Field("c"), PINNED)

    def test_needs(self) -> None:
        """
        The fields that are read: of the guard, of the candidates at any depth; all where a function is asked.
        """
        repair = Repair("u", (latest("a", earliest("b", NOW)), reread("d", "epoch_s"), THEN))

        assert ("u", "c", "d", "a", "b") == needs(repair, USUAL)
        assert ("u", "c", "a", "b") == read_by(repair, USUAL)
        assert None is needs(Repair("u", ("c", latest(by("log", lambda _: None)))), USUAL)


class TestCandidates:
    @pytest.mark.parametrize(
        ("record", "candidates", "expected"),
        [
            ({"c": T - 5}, ["c"], Mend(T - 5, 0)),
            ({"c": T}, [Field("c") - SECOND, "c"], Mend(T, 1)),
            ({"c": T - 2000}, [Field("c") + SECOND], Mend(T - 1000, 0)),
            ({}, ["c", THEN], Mend(THEN_MS, 1)),
            ({}, ["c", NOW], Mend(PINNED // 10**6, 1)),
            ({}, [NOW - SECOND], Mend(PINNED // 10**6 - 1000, 0)),
            ({}, [At(AT - S)], Mend(T - 1000, 0)),
            ({"a": T - 3, "b": T - 2}, [latest("a", "b")], Mend(T - 2, 0)),
            ({"a": T - 3, "b": T - 2}, [earliest("a", "b")], Mend(T - 3, 0)),
            ({"a": "x", "b": T - 2}, [latest("a", "b")], Mend(T - 2, 0)),
            ({"a": None}, [latest("a", "b"), "c"], None),
            ({"a": T - 3}, [latest("a", earliest(THEN, NOW))], Mend(T - 3, 0)),
            ({"a": 1}, [latest("a", earliest(THEN, NOW))], Mend(THEN_MS, 0)),
            ({"u": T // 1000}, [reread("u", "epoch_s")], Mend(T // 1000 * 1000, 0)),
            ({"u": str(T)}, [reread("u", "epoch_s"), "c"], None),
            ({"u": "2023-11-01T00:00:00Z"}, [reread("u", "rfc3339")], Mend(THEN_MS, 0)),
            ({"u": 0, "a": THEN_MS // 1000}, [reread("a", "epoch_s")], Mend(THEN_MS, 0)),
            ({"log": THEN}, [by("log", lambda record: record["log"])], Mend(THEN_MS, 0)),
            ({}, [by("log", lambda _: None), THEN], Mend(THEN_MS, 1)),
            ({"a": T - 3}, [latest("a", by("log", lambda _: THEN))], Mend(T - 3, 0)),
        ],
    )  # fmt: skip
    def test_each(self, record: dict[str, Any], candidates: list[Any], expected: Mend | None) -> None:
        """
        A field, a fixed instant, NOW, the latest, the earliest, the value read again, a function: each gives its value.
        """
        assert expected == mended(record, *candidates)

    @pytest.mark.parametrize("c", [None, "soon", 0, -1, True, float("nan"), 1e300, []], ids=repr)
    def test_what_is_not_present_is_skipped(self, c: object) -> None:
        """
        A candidate without an instant is passed over.
        """
        assert Mend(THEN_MS, 1) == mended({"c": c}, "c", THEN)

    def test_the_first_that_helps(self) -> None:
        """
        A candidate with which the field would break a rule is passed over too.
        """
        early = datetime(1999, 1, 1, tzinfo=UTC)
        record = {"c": T - 1000, "a": T + 6000, "b": T - 1001, "d": T - 999}

        assert Mend(T - 999, 3) == mended(record, "a", "b", early, "d", NOW)
        assert None is mended(record, "a", "b", early)

    def test_now_is_pinned(self) -> None:
        """
        As a value NOW is that of the run; as a bound, also the present time.
        """
        assert Mend(PINNED // 10**6, 0) == mended({}, NOW)
        assert Mend(T + 5000, 0) == mended({"a": T + 5000}, "a")
        assert None is mended({"a": T + 5000}, "a", moment=Moment.at(PINNED))

    def test_now_before_the_created(self) -> None:
        """
        A pinned NOW does not go before what was created since.
        """
        assert None is mended({"c": T}, NOW)

    def test_other_faults_do_not_count(self) -> None:
        """
        Only what the guard says about the field is asked: a record that is broken elsewhere can be mended here.
        """
        guard = USUAL & present("d") & in_order("a", "b")
        record = {"c": T - 5, "a": 9, "b": 5}

        assert 3 == len(violations(record, guard, "epoch_ms", AT))
        assert Mend(T - 5, 0) == mended(record, "c", guard=guard)

    def test_every_pair_of_the_field_counts(self) -> None:
        """
        In a chain, the pairs of the field count, and those of its neighbours among themselves do not.
        """
        guard = in_order("a", "u", "b") & present("u")

        assert Mend(7, 1) == mended({"a": 7, "b": 9, "c": 10, "d": 7}, "c", "d", guard=guard)
        assert None is mended({"a": 9, "b": 7, "c": 8}, "c", guard=guard)

    def test_a_field_that_no_rule_mentions(self) -> None:
        """
        Where the guard says nothing of the field, any instant will do.
        """
        assert Mend(10**15, 0) == mended({"c": 10**15}, "c", guard=present("c"))

    def test_a_naive_answer(self) -> None:
        """
        A function that answers with a local time is told which it was.
        """
        with pytest.raises(UsageError, match=r"candidate 'log' said datetime\.datetime"):
            mended({}, by("log", lambda _: datetime(2023, 1, 1)))

    def test_functions_are_equal_by_name(self) -> None:
        """
        What counts of a function is its name: a resumed run makes a new one.
        """
        assert By("log", lambda _: None) == by("log", lambda _: THEN)

    def test_no_encoding(self) -> None:
        """
        A candidate field without an encoding is refused.
        """
        with pytest.raises(UsageError, match="no encoding is declared for 'a'"):
            mended({"a": 1}, "a", encodings={"u": "epoch_ms", "c": "epoch_ms"})


class TestWrittenForm:
    @pytest.mark.parametrize(
        ("raw", "encoding"),
        [
            (T - 0.25, "epoch_ms"),
            (Decimal(f"{T}.25") - 1, "epoch_ms"),
            (float(T), "epoch_ms"),
            ("2023-11-14t22:13:20.10z", "rfc3339"),
            ("2023-11-14 22:13:20,5+00", "iso8601"),
            ("2023-11-14", "iso8601@UTC"),
            (THEN.astimezone(), "datetime"),
        ],
    )
    def test_same_encoding_is_copied(self, raw: object, encoding: str) -> None:
        """
        Where both are written alike, the raw value is copied as it is: its type, its spelling, its fraction.
        """
        actual = mended({"c": raw}, "c", encodings=encoding)

        assert Mend(raw, 0) == actual
        assert raw is actual.after

    @pytest.mark.parametrize(
        ("raw", "source", "target", "written"),
        [
            (T - 0.25, "epoch_ms", "epoch_s", T // 1000 - 1),
            (T // 1000, "epoch_s", "epoch_ms", T),
            (T - 1, "epoch_ms", "epoch_ms/s", T - 1000),
            (T - 1000, "epoch_ms/s", "epoch_ms", T - 1000),
            ("2023-11-14T22:13:19.9Z", "rfc3339", "rfc3339/s", "2023-11-14T22:13:19Z"),
            ("2023-11-14 23:13:19.25+01", "iso8601", "rfc3339", "2023-11-14T22:13:19.250Z"),
            (T, "epoch_ms", "rfc3339/ms", "2023-11-14T22:13:20.000Z"),
            (T, "epoch_ms", "iso8601@+02:00", "2023-11-15T00:13:20"),
            (T, "epoch_ms", "datetime", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
            (T, "epoch_ms", "datetime@UTC", datetime(2023, 11, 14, 22, 13, 20)),
            ("2023-11-14T22:13:20", "iso8601@UTC", "iso8601@+01:00", "2023-11-14T23:13:20"),
        ],
    )  # fmt: skip
    def test_another_encoding_is_floored(self, raw: object, source: str, target: str, written: object) -> None:
        """
        Otherwise the instant is floored to the target's resolution and written in canonical form.
        """
        actual = mended({"c": raw}, "c", encodings={"c": source, "u": target})

        assert Mend(written, 0) == actual
        assert type(written) is type(actual.after)

    def test_latest_is_copied(self) -> None:
        """
        What latest() chose is copied like any field; the first of equals is chosen.
        """
        record = {"a": T - 5, "b": T - 0.5, "d": Decimal(T) - Decimal("0.5")}
        actual = mended(record, latest("a", "b", "d"))

        assert actual is not None
        assert record["b"] is actual.after

    def test_floored_below_a_bound(self) -> None:
        """
        It is the written value that is judged: floored, it may come to lie before a bound.
        """
        guard = present("u") & in_order(datetime(2023, 11, 14, 22, 13, 20, 500_000, tzinfo=UTC), "u")
        encodings = {"u": "epoch_ms/s", "c": "epoch_ms"}

        assert Mend(T, 0) == mended({"c": T + 700}, "c", guard=guard, encodings=encodings)
        chain = present("u") & in_order("a", "u")
        encodings = {"u": "epoch_ms/s", "c": "epoch_ms", "a": "epoch_ms"}
        assert Mend(T, 0) == mended({"c": T + 700, "a": T + 500}, "c", guard=chain, encodings=encodings)
        assert None is mended({"c": T + 700, "a": T + 1000}, "c", guard=chain, encodings=encodings)

    @pytest.mark.parametrize(
        ("c", "target"),
        [
            (10**18, "rfc3339"),
            (10**5000, "datetime"),
            (-(10**15), "iso8601@UTC"),
            (1_698_539_400_000, "datetime@Europe/Berlin"),
        ],
        ids=["late", "huge", "early", "repeated"],
    )
    def test_what_cannot_be_written_is_skipped(self, c: int, target: str) -> None:
        """
        An instant that the target cannot hold is passed over.
        """
        encodings = {"c": "epoch_ms", "u": target}

        assert None is mended({"c": c}, "c", guard=present("u"), encodings=encodings)
        assert isinstance(mended({"c": c}, "c", THEN, guard=present("u"), encodings=encodings), Mend)

    def test_a_placeholder_is_not_written(self) -> None:
        """
        What would be read as a placeholder again mends nothing.
        """
        assert None is mended(
            {"c": "1970-01-01T00:00:00.5Z"}, "c", guard=present("u"), encodings={"c": "rfc3339", "u": "epoch_s"}
        )


CANDIDATES = st.lists(
    st.sampled_from(
        ["c", Field("c") + SECOND, THEN, NOW, latest("c", THEN), earliest("c", NOW), reread("u",
        "epoch_s"), reread("u", "rfc3339")]
    ),
    min_size=1,
)  # fmt: skip


@given(
    st.sampled_from(["epoch_ms", "epoch_s", "rfc3339", "datetime@Europe/Berlin"]),
    st.sampled_from(["epoch_ms", "rfc3339/s", "iso8601@UTC"]),
    CANDIDATES,
    st.data(),
)
def test_the_field_holds_afterwards(target: str, source: str, candidates: list[Any], data: st.DataObject) -> None:
    """
    With the value in place the guard says nothing against the field, whatever the record was; nothing else is touched.
    """
    encodings = {"u": target, "c": source}
    record = data.draw(anything(USUAL, encodings, now=AT))
    before = dict(record)
    found = mended(record, *candidates, encodings=encodings)
    assert before == record or record != record  # noqa: PLR0124 - a NaN differs from itself
    if found is None:
        return
    broken = violations({**record, "u": found.after}, USUAL.about("u"), encodings, Moment(PINNED, AT))

    assert [] == broken
    assert isinstance(decode(found.after, encodings_for("u", encodings)["u"]), int)
    for skipped in candidates[: found.candidate]:
        assert None is mended(record, skipped, encodings=encodings)


def test_codes_are_known() -> None:
    """
    Every code can be named in a repair.
    """
    assert set(CODES) == Repair("u", "c", codes=CODES).codes
