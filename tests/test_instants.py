"""
Reading and writing instants: every cause, every encoding, exactly.
"""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st

from timestamp_guard.errors import UsageError
from timestamp_guard.instants import (
    ABSENT,
    CAUSES,
    NAMES,
    Encoding,
    Placeholders,
    brief,
    decode,
    duration_ns,
    encode,
    encodings_for,
    from_datetime,
    hint,
    parse_duration,
    parse_instant,
    show,
    show_duration,
    to_datetime,
)
from timestamp_guard.testing.strategies import raws, spellings

S = 10**9
DAY = 86_400 * S
MOMENT = 1_700_000_000 * S
"""2023-11-14T22:13:20Z"""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNITS = {"epoch_s": 10**9, "epoch_ms": 10**6, "epoch_us": 10**3, "epoch_ns": 1}
NUMBERS = list(UNITS)
TEXTS = ["rfc3339", "iso8601"]
BERLIN = ZoneInfo("Europe/Berlin")
ODD_ZONE = timezone(timedelta(hours=-5, microseconds=-1))
YEAR_10000 = from_datetime(datetime(9999, 12, 31, tzinfo=UTC)) + DAY
ALL = [*NAMES, "epoch_ms/s", "epoch_s/ns", "rfc3339/s", "rfc3339/ms", "rfc3339/us", "datetime/s"]
ALL += ["datetime/ms", "datetime@UTC", "datetime@-03:30", "datetime@Europe/Berlin"]
ALL += ["iso8601@UTC", "iso8601/s@+05:45", "iso8601@Europe/Berlin", "iso8601@America/New_York"]


def read(raw: object, encoding: str) -> int | str:
    return decode(raw, Encoding.parse(encoding))


def moment(text: str) -> int:
    """An instant by way of datetime alone: an oracle."""
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1) * 1000


class Aware(datetime):
    """A datetime of somebody else's class."""


class Level(IntEnum):
    """An int of somebody else's class."""

    HIGH = 1_700_000_000


class TestEncoding:
    @pytest.mark.parametrize("text", ALL)
    def test_written_form(self, text: str) -> None:
        """
        An encoding is printed as it is written.
        """
        assert text == str(Encoding.parse(text))

    @pytest.mark.parametrize(
        ("text", "short"),
        [
            ("epoch_ms/ms", "epoch_ms"),
            ("rfc3339/ns", "rfc3339"),
            ("datetime/us@UTC", "datetime@UTC"),
        ],
    )
    def test_usual_resolution_is_left_out(self, text: str, short: str) -> None:
        """
        The resolution that goes without saying is not printed.
        """
        assert short == str(Encoding.parse(text))
        assert Encoding.parse(short) == Encoding.parse(text)

    @pytest.mark.parametrize(
        ("text", "resolution_ns"),
        [
            ("epoch_s", 10**9),
            ("epoch_ms", 10**6),
            ("epoch_us", 10**3),
            ("epoch_ns", 1),
            ("epoch_ms/s", 10**9),
            ("rfc3339", 1),
            ("iso8601", 1),
            ("rfc3339/s", 10**9),
            ("datetime", 1000),
            ("datetime/ms", 10**6),
        ],
    )
    def test_resolution(self, text: str, resolution_ns: int) -> None:
        """
        Numbers count in their unit, datetimes in microseconds, text in nanoseconds, unless declared otherwise.
        """
        assert resolution_ns == Encoding.parse(text).resolution_ns

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "unknown encoding ''"),
            ("epoch", "unknown encoding 'epoch'"),
            ("EPOCH_MS", "unknown encoding 'EPOCH_MS'"),
            ("epoch_ms ", "unknown encoding"),
            ("unix/ms", "unknown encoding 'unix/ms'; wanted NAME[/RESOLUTION][@ZONE], NAME one of"),
            ("epoch_ms/m", "unknown resolution 'm' in 'epoch_ms/m'; one of s, ms, us, ns"),
            ("epoch_ms@UTC", "leave @UTC out"),
            ("rfc3339@UTC", "rfc3339 always carries its own offset: leave @UTC out"),
            ("datetime@Mars/Base", "unknown time zone 'Mars/Base'"),
            ("datetime@../../etc/passwd", "unknown time zone"),
            ("datetime@+24:00", "unknown time zone"),
            ("datetime@Europe", "unknown time zone"),
        ],
    )
    def test_refused(self, text: str, said: str) -> None:
        """
        What is no encoding is refused, with what was wanted.
        """
        with pytest.raises(UsageError) as caught:
            Encoding.parse(text)

        assert said in str(caught.value)

    def test_for_fields(self) -> None:
        """
        One encoding serves all fields, or each has its own; a field without one is refused.
        """
        ms, text = Encoding.parse("epoch_ms"), Encoding.parse("rfc3339")

        assert {"a": ms, "b": ms} == encodings_for(["a", "b"], "epoch_ms")
        assert {"a": ms, "b": ms} == encodings_for(["a", "b"], ms)
        assert {"a": ms, "b": text} == encodings_for(["a", "b"], {"a": ms, "b": "rfc3339", "c": ms})
        with pytest.raises(UsageError, match="no encoding is declared for 'b'"):
            encodings_for(["a", "b"], {"a": ms})

    @pytest.mark.parametrize(
        ("text", "wanted"),
        [
            ("epoch_s", "a number of seconds since 1970"),
            ("epoch_ns", "a number of nanoseconds since 1970"),
            ("rfc3339", "RFC 3339 text with an offset, like 2023-11-14T22:13:20Z"),
            ("iso8601", "ISO 8601 text with an offset"),
            ("iso8601@UTC", "ISO 8601 text"),
            ("datetime", "a datetime with a time zone"),
            ("datetime@UTC", "a datetime"),
        ],
    )
    def test_wanted(self, text: str, wanted: str) -> None:
        """
        An encoding says in words what a value should be.
        """
        assert wanted == Encoding.parse(text).wanted

    @pytest.mark.parametrize(
        ("one", "other", "same"),
        [
            ("epoch_ms", "epoch_ms", True),
            ("epoch_ms", "epoch_s", False),
            ("epoch_ms", "epoch_ms/s", False),
            ("rfc3339", "iso8601", False),
            ("iso8601@UTC", "iso8601", False),
        ],
    )
    def test_same_form(self, one: str, other: str, *, same: bool) -> None:
        """
        A value can be copied only where name, resolution and zone are the same.
        """
        assert same is Encoding.parse(one).same_form(Encoding.parse(other))


class TestLacking:
    @pytest.mark.parametrize("encoding", ALL)
    def test_missing(self, encoding: str) -> None:
        """
        A key that is not there is missing.
        """
        assert "missing" == read(ABSENT, encoding)
        assert "ABSENT" == repr(ABSENT)

    @pytest.mark.parametrize("encoding", ALL)
    @pytest.mark.parametrize(
        "raw", [None, pd.NaT, pd.NA, np.datetime64("NaT", "ns"), np.timedelta64("NaT", "ns")], ids=repr
    )
    def test_null(self, raw: object, encoding: str) -> None:
        """
        None is null, and so are the nulls of pandas and numpy, before their type is asked for.
        """
        assert "null" == read(raw, encoding)

    @pytest.mark.parametrize("encoding", [*NUMBERS, "epoch_ms/s"])
    @pytest.mark.parametrize(
        "raw",
        [
            True, False, "1700000000000", "", b"1", [], [1700000000000], {}, {"$numberLong": "1"}, (), 1j, ...,
            date(2023, 11, 14), datetime(2023, 11, 14, tzinfo=UTC), timedelta(seconds=1), Fraction(1),
            np.bool_(True), np.datetime64("2023-11-14"), np.timedelta64(5, "s"), np.array(5), np.array([5]),
            pd.Timestamp("2023-11-14", tz="UTC"), int,
        ],
        ids=repr,
    )  # fmt: skip
    def test_wrong_type_for_numbers(self, raw: object, encoding: str) -> None:
        """
        A number field holds int, float, Decimal and numpy's numbers; a bool is none.
        """
        assert "wrong_type" == read(raw, encoding)

    @pytest.mark.parametrize("encoding", ["datetime", "datetime@UTC", "datetime/s@Europe/Berlin"])
    @pytest.mark.parametrize(
        "raw",
        [date(2023, 11, 14), "2023-11-14T22:13:20Z", 1700000000, 1.5, True, b"", [], np.datetime64("2023-11-14")],
        ids=repr,
    )  # fmt: skip
    def test_wrong_type_for_datetimes(self, raw: object, encoding: str) -> None:
        """
        A datetime field holds datetimes; a date is none.
        """
        assert "wrong_type" == read(raw, encoding)

    @pytest.mark.parametrize("raw", [datetime(2023, 11, 14), pd.Timestamp("2023-11-14")], ids=repr)
    def test_naive(self, raw: datetime) -> None:
        """
        A naive datetime is of the wrong type, unless a zone is declared.
        """
        assert "wrong_type" == read(raw, "datetime")
        assert moment("2023-11-14T00:00+00:00") == read(raw, "datetime@UTC")

    @pytest.mark.parametrize("encoding", [*TEXTS, "iso8601@UTC", "rfc3339/s"])
    @pytest.mark.parametrize(
        "raw",
        [1700000000, 1.5, Decimal(1), float("nan"), True, b"2023-11-14T22:13:20Z", [], {}, date(2023, 11, 14),
         datetime(2023, 11, 14, tzinfo=UTC), np.int64(1)],
        ids=repr,
    )  # fmt: skip
    def test_wrong_type_for_text(self, raw: object, encoding: str) -> None:
        """
        A text field holds text.
        """
        assert "wrong_type" == read(raw, encoding)

    @pytest.mark.parametrize("encoding", NUMBERS)
    @pytest.mark.parametrize(
        "raw",
        [float("nan"), float("inf"), float("-inf"), Decimal("NaN"), Decimal("sNaN"), Decimal("-NaN7"),
         Decimal("Infinity"), np.float64("nan"), np.float32("inf"), np.float16("nan"), np.longdouble("-inf")],
        ids=repr,
    )  # fmt: skip
    def test_not_finite(self, raw: object, encoding: str) -> None:
        """
        NaN and the infinities are not finite, whoever made them.
        """
        assert "not_finite" == read(raw, encoding)

    @pytest.mark.parametrize("encoding", NUMBERS)
    @pytest.mark.parametrize(
        "raw",
        [2.0**53 + 2, -(2.0**53) - 2, 1.7e308, np.float64(2.0**60), np.float32(2**24 + 2), np.float16(2050),
         Decimal("1E+999999999"), Decimal("-1E+999999999999999999")],
        ids=repr,
    )  # fmt: skip
    def test_imprecise(self, raw: object, encoding: str) -> None:
        """
        A float beyond the whole numbers that it can tell apart is imprecise.
        """
        assert "imprecise" == read(raw, encoding)

    @pytest.mark.parametrize("raw", [2**53, 2.0**53, -(2.0**53), 2**53 + 1, 2**52 - 0.5], ids=repr)
    def test_precise(self, raw: float) -> None:
        """
        2**53 still is exact as a float, and any int is.
        """
        assert int(Fraction(raw) * 10**6 // 1) == read(raw, "epoch_ms")

    @pytest.mark.parametrize("encoding", NUMBERS)
    @pytest.mark.parametrize(
        "raw",
        [0, -1, 0.0, -0.0, -1.0, Decimal(0), Decimal("-0"), Decimal("0E+10"), Decimal("-1.000"),
         np.int64(0), np.int8(-1), np.float32(0), np.float64(-1)],
        ids=repr,
    )  # fmt: skip
    def test_placeholder_numbers(self, raw: object, encoding: str) -> None:
        """
        0 and -1 stand for "unknown" in every unit and in every type of number.
        """
        assert "placeholder" == read(raw, encoding)

    @pytest.mark.parametrize("raw", [1, -2, 0.5, -0.5, -1.5, Decimal("1E-999999999"), 5e-324])
    def test_beside_placeholder_numbers(self, raw: Any) -> None:
        """
        What only comes close to 0 and -1 is an instant.
        """
        assert isinstance(read(raw, "epoch_s"), int)

    @pytest.mark.parametrize(
        "text",
        [
            "0001-01-01T00:00:00Z",
            "0001-01-01T00:00:00.000Z",
            "1970-01-01T00:00:00Z",
            "1970-01-01T01:00:00+01:00",
            "1969-12-31T16:00:00-08:00",
            "9999-12-31T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "9999-12-31T23:59:59.999999999Z",
            "9999-12-30T23:59:59.999-01:00",
            "0000-00-00T00:00:00Z",
            "0000-00-00",
            "0000-00-00 00:00:00",
            "0000-01-01T00:00:00Z",
            "0000-",
        ],
    )
    @pytest.mark.parametrize("encoding", TEXTS)
    def test_placeholder_text(self, text: str, encoding: str) -> None:
        """
        The year 1, 1970, the last day of 9999 and a year 0000 stand for "unknown" in text.
        """
        assert "placeholder" == read(text, encoding)

    @pytest.mark.parametrize(
        "text",
        [
            "0001-01-01T00:00:00.000000001Z",
            "1970-01-01T00:00:00.000000001Z",
            "1969-12-31T23:59:59Z",
            "9999-12-30T23:59:59.999999999Z",
            "9999-12-31T23:59:59-01:00",
        ],
    )
    def test_beside_placeholder_text(self, text: str) -> None:
        """
        What lies beside a placeholder is an instant.
        """
        assert isinstance(read(text, "rfc3339"), int)

    @pytest.mark.parametrize(
        "raw",
        [
            datetime(1, 1, 1, tzinfo=UTC),
            EPOCH,
            datetime(1970, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))),
            datetime(9999, 12, 31, tzinfo=UTC),
            datetime.max.replace(tzinfo=UTC),
            pd.Timestamp(0, tz="UTC"),
            datetime(1970, 1, 1),
        ],
        ids=repr,
    )
    def test_placeholder_datetimes(self, raw: datetime) -> None:
        """
        The same instants stand for "unknown" as datetimes.
        """
        assert "placeholder" == read(raw, "datetime@UTC")

    def test_placeholder_is_judged_as_an_instant(self) -> None:
        """
        A placeholder without an offset is one of the zone that is declared.
        """
        assert "placeholder" == read("1970-01-01T02:00:00", "iso8601@+02:00")
        assert -7200 * S == read("1970-01-01", "iso8601@+02:00")

    def test_changed_placeholders(self) -> None:
        """
        The set can be changed: others take the place of the usual ones.
        """
        other = Placeholders(frozenset({99}), ((MOMENT, MOMENT + 1),), ("n/a",))
        number, text = (evolve(Encoding.parse(n), placeholders=other) for n in ("epoch_s", "rfc3339"))

        assert "placeholder" == decode(99, number)
        assert [0, -S] == [decode(0, number), decode(-1, number)]
        assert "placeholder" == decode("n/a", text)
        assert "placeholder" == decode("2023-11-14T22:13:20Z", text)
        assert 0 == decode("1970-01-01T00:00:00Z", text)
        assert "unreadable" == decode("0000-01-01T00:00:00Z", text)

    def test_no_placeholders(self) -> None:
        """
        Without placeholders every instant counts.
        """
        none = Placeholders(frozenset(), (), ())

        assert -1 == decode(-1, evolve(Encoding.parse("epoch_ns"), placeholders=none))
        assert "unreadable" == decode("0000-", evolve(Encoding.parse("iso8601"), placeholders=none))

    def test_numbers_know_no_spans(self) -> None:
        """
        In numbers, the last day of 9999 is an instant like others.
        """
        assert YEAR_10000 - DAY == read((YEAR_10000 - DAY) // S, "epoch_s")


class TestNumbers:
    @given(
        st.one_of(
            st.integers(),
            st.integers(0, 9).map(lambda digit: 10**5000 + digit),
            st.floats(-(2.0**53), 2.0**53),
            st.decimals(allow_nan=False, allow_infinity=False, places=12, max_value=10**28, min_value=-(10**28)),
        ),
        st.sampled_from(NUMBERS),
    )
    @example(-0.5, "epoch_ms")
    @example(-1700000000000.25, "epoch_ms")
    @example(0.1, "epoch_s")
    def test_exact(self, raw: float | Decimal, encoding: str) -> None:
        """
        A number is read exactly, floored to the nanosecond, before 1970 as after.
        """
        exact = Fraction(raw)
        expected = "placeholder" if exact in {0, -1} else int(exact * UNITS[encoding] // 1)

        assert expected == read(raw, encoding)

    @given(st.integers(-(2**63), 2**63 - 1))
    def test_numpy_integers(self, number: int) -> None:
        """
        numpy's integers read as the numbers that they are.
        """
        assert read(number, "epoch_us") == read(np.int64(number), "epoch_us")

    @given(st.floats(-(2.0**24), 2.0**24, width=32))
    def test_numpy_floats(self, number: float) -> None:
        """
        numpy's floats read as the numbers that they are.
        """
        assert read(number, "epoch_s") == read(np.float32(number), "epoch_s")
        assert read(number, "epoch_s") == read(np.float64(number), "epoch_s")
        assert read(number, "epoch_s") == read(np.longdouble(number), "epoch_s")

    @pytest.mark.parametrize(
        ("raw", "expected"),
        [
            (Decimal("1700000000.123456789999"), MOMENT + 123_456_789),
            (Decimal("-0.0000000001"), -1),
            (Decimal("1E-999999999999999999"), 0),
            (Decimal("-1E-999999999999999999"), -1),
            (Decimal("1.7E+9"), MOMENT),
            (Level.HIGH, MOMENT),
            (np.uint64(2**64 - 1), (2**64 - 1) * S),
        ],
        ids=repr,
    )
    def test_odd_ones(self, raw: Any, expected: int) -> None:
        """
        Decimals of any size and the numbers of other classes are read exactly too.
        """
        actual = read(raw, "epoch_s")

        assert expected == actual
        assert int is type(actual)

    def test_float_is_read_as_it_is(self) -> None:
        """
        A float of seconds stands for the binary fraction that it is, not for the decimal that is printed.
        """
        assert int(Fraction(1700000000.123) * S // 1) == read(1700000000.123, "epoch_s")
        assert 1_700_000_000_122_999_906 == read(1700000000.123, "epoch_s")


VALID = {
    "1985-04-12T23:20:50.52Z": "1985-04-12T23:20:50.520000+00:00",
    "1996-12-19T16:39:57-08:00": "1996-12-20T00:39:57+00:00",
    "1937-01-01T12:00:27.87+00:20": "1937-01-01T11:40:27.870000+00:00",
    "1990-12-31T23:59:60Z": "1991-01-01T00:00:00+00:00",
    "1990-12-31T15:59:60-08:00": "1991-01-01T00:00:00+00:00",
    "2016-12-31T23:59:60.25Z": "2017-01-01T00:00:00.250000+00:00",
    "2017-01-01T05:44:60+05:45": "2017-01-01T00:00:00+00:00",
    "2023-11-14t22:13:20z": "2023-11-14T22:13:20+00:00",
    "2023-11-14T22:13:20z": "2023-11-14T22:13:20+00:00",
    "2023-11-14t22:13:20+00:00": "2023-11-14T22:13:20+00:00",
    "2023-11-14T22:13:20-00:00": "2023-11-14T22:13:20+00:00",
    "2023-11-14T22:13:20+23:59": "2023-11-13T22:14:20+00:00",
    "2023-11-14T22:13:20-23:59": "2023-11-15T22:12:20+00:00",
    "2023-11-14T22:13:20.0000000000000000Z": "2023-11-14T22:13:20+00:00",
    "2024-02-29T12:00:00Z": "2024-02-29T12:00:00+00:00",
    "2000-02-29T12:00:00Z": "2000-02-29T12:00:00+00:00",
    "2023-11-14T00:00:00Z": "2023-11-14T00:00:00+00:00",
    "2023-11-14T23:59:59.999999Z": "2023-11-14T23:59:59.999999+00:00",
    "0002-01-01T00:00:00Z": "0002-01-01T00:00:00+00:00",
}
INVALID = [
    "", " ", "now", "Z", "T", "2023-11-14", "2023-11-14Z", "22:13:20Z", "2023-11-14T22:13:20", "2023-11-14T22:13Z",
    "2023-11-14 22:13:20Z", "2023-11-14_22:13:20Z", "2023-11-14T22:13:20 Z", " 2023-11-14T22:13:20Z",
    "2023-11-14T22:13:20Z ",
    "2023-11-14T22:13:20Z\n", "2023-11-14T22:13:20Z\x00", "\ufeff2023-11-14T22:13:20Z", "2023-11-14T22:13:20.Z",
    "2023-11-14T22:13:20,5Z", "2023-11-14T22:13:20.5.5Z", "2023-11-14T22:13:20+0100", "2023-11-14T22:13:20+01",
    "2023-11-14T22:13:20+1:00", "2023-11-14T22:13:20+24:00", "2023-11-14T22:13:20-24:00", "2023-11-14T22:13:20+01:60",
    "2023-11-14T22:13:20+01:00:00", "2023-11-14T22:13:20Z+01:00", "2023-11-14T22:13:20\u221201:00",
    "2023-11-14T22:13:20UTC",
    "2023-11-14T22:13:20[UTC]", "2023-11-14T22:13:20Z[Europe/Berlin]", "2023-00-14T22:13:20Z", "2023-13-14T22:13:20Z",
    "2023-11-00T22:13:20Z", "2023-11-31T22:13:20Z", "2023-02-29T00:00:00Z", "1900-02-29T00:00:00Z",
    "2023-11-14T24:00:00Z",
    "2023-11-14T22:60:20Z", "2023-11-14T22:13:61Z", "2023-11-14T22:13:60Z", "1998-12-31T22:59:60Z",
    "1998-12-31T23:58:60Z",
    "1998-12-31T23:59:60+01:00", "1998-12-31T23:59:61Z", "23-11-14T22:13:20Z", "12023-11-14T22:13:20Z",
    "+2023-11-14T22:13:20Z",
    "+012023-11-14T22:13:20Z", "-2023-11-14T22:13:20Z", "2023-1-14T22:13:20Z", "2023-11-4T22:13:20Z",
    "2023-11-14T2:13:20Z",
    "2023-11-14T22:3:20Z", "2023-11-14T22:13:0Z", "20231114T221320Z", "2023-318T22:13:20Z", "2023-W46-2T22:13:20Z",
    "14/11/2023 22:13:20", "Tue, 14 Nov 2023 22:13:20 GMT", "2023-11-1\u09ea T22:13:20Z",
    "\u0968\u0966\u0968\u0969-11-14T22:13:20Z",
    "2023-11-14T22:13:2\u0663Z", "2023-11-14T22:13:20.\u0663Z", "\uff12023-11-14T22:13:20Z",
    "1700000000", "1700000000000", "20231114", "0", "-1", "1.7e9", "null", "NaN", "NaT", "None",
]  # fmt: skip


class TestRfc3339:
    @pytest.mark.parametrize(("text", "same"), VALID.items())
    @pytest.mark.parametrize("encoding", TEXTS)
    def test_accepted(self, text: str, same: str, encoding: str) -> None:
        """
        What RFC 3339 allows is read, a leap second as the second after it; ISO 8601 allows all of that.
        """
        assert moment(same) == read(text, encoding)

    @pytest.mark.parametrize("text", INVALID)
    def test_refused(self, text: str) -> None:
        """
        What RFC 3339 does not allow cannot be read.
        """
        assert "unreadable" == read(text, "rfc3339")

    @given(st.datetimes(datetime(2, 1, 1), datetime(9999, 12, 30)), st.text("0123456789"), st.integers(-1439, 1439))
    def test_exact(self, there: datetime, fraction: str, minutes: int) -> None:
        """
        Any number of digits is read, floored to the nanosecond, in any offset.
        """
        there = there.replace(microsecond=0)
        sign, ahead = "-" if minutes < 0 else "+", abs(minutes)
        text = f"{there:%H:%M:%S}" + (f".{fraction}" if fraction else "")
        text = f"{there.date().isoformat()}T{text}{sign}{ahead // 60:02}:{ahead % 60:02}"
        seconds = (there.replace(tzinfo=UTC) - EPOCH) // timedelta(seconds=1) - 60 * minutes
        expected = seconds * S + int(Fraction(int(fraction or 0), 10 ** len(fraction)) * S // 1)

        assert ("placeholder" if expected == 0 else expected) == read(text, "rfc3339")

    def test_a_megabyte_of_digits(self) -> None:
        """
        A fraction of a million digits is read, and a million digits are not.
        """
        assert MOMENT + 111_111_111 == read(f"2023-11-14T22:13:20.{'1' * 10**6}Z", "rfc3339")
        assert "unreadable" == read("1" * 10**6, "rfc3339")

    def test_text_of_another_class(self) -> None:
        """
        numpy's text is text.
        """
        assert MOMENT == read(np.str_("2023-11-14T22:13:20Z"), "rfc3339")


class TestIso8601:
    @pytest.mark.parametrize(
        ("text", "same"),
        [
            ("2023-11-14", "2023-11-14T00:00:00+00:00"),
            ("2023-11-14T22:13", "2023-11-14T22:13:00+00:00"),
            ("2023-11-14T22:13:20", "2023-11-14T22:13:20+00:00"),
            ("2023-11-14 22:13:20", "2023-11-14T22:13:20+00:00"),
            ("2023-11-14t22:13:20,5", "2023-11-14T22:13:20.500000+00:00"),
            ("2023-11-14 22:13:20.123456", "2023-11-14T22:13:20.123456+00:00"),
            ("2023-11-14 22:13z", "2023-11-14T22:13:00+00:00"),
            ("2023-11-14T22:13:20+02", "2023-11-14T20:13:20+00:00"),
            ("2023-11-14T22:13:20+0230", "2023-11-14T19:43:20+00:00"),
            ("2023-11-14T22:13:20-02:30", "2023-11-15T00:43:20+00:00"),
            ("2016-12-31T23:59:60", "2017-01-01T00:00:00+00:00"),
        ],
    )
    def test_accepted(self, text: str, same: str) -> None:
        """
        A date, or a date and a time, with a space, a comma, a short offset or none.
        """
        assert moment(same) == read(text, "iso8601@UTC")

    @pytest.mark.parametrize(
        "text",
        [
            "", "now", "2023", "2023-11", "20231114", "20231114T221320Z", "20231114T22:13:20Z", "2023-11-14T",
            "2023-11-14Z",
            "2023-11-14+01:00", "2023-11-14T22", "2023-11-14T2213", "2023-11-14T221320Z", "2023-11-14T22:13.5",
            "2023-11-14T24:00:00", "2023-11-14T22:13:20.", "2023-11-14T22:13:20,", "2023-11-14  22:13:20",
            "2023-11-14_22:13:20",
            "2023-11-14T22:13:20 Z", "2023-11-14T22:13:20+1", "2023-11-14T22:13:20+010", "2023-11-14T22:13:20+01:0",
            "2023-11-14T22:13:20+24", "2023-11-14T22:13:20+0160", "2023-11-14T22:13:20+01:00:00", "2023-318",
            "2023-W46-2", "2023W46",
            "2023-W46", "2023-02-29", "2023-11-31", "2023-11-14T22:13:60", "2023-11-14T22:13:20\n", "2023-11-14\n",
            "+002023-11-14",
            "P1D", "2023-11-14/2023-11-15", "R/2023-11-14", "1700000000", "1700000000000", "0",
        ],
    )  # fmt: skip
    def test_refused(self, text: str) -> None:
        """
        Week dates, ordinal dates, basic forms, durations and digits alone are not of our grammar.
        """
        assert "unreadable" == read(text, "iso8601@UTC")

    @pytest.mark.parametrize("text", ["2023-11-14", "2023-11-14T22:13:20", "2023-11-14 22:13"])
    def test_local_time_without_a_zone(self, text: str) -> None:
        """
        A local time cannot be read unless a zone is declared.
        """
        assert "unreadable" == read(text, "iso8601")

    def test_offset_beats_zone(self) -> None:
        """
        The zone is for local times only: an offset in the text is what counts.
        """
        assert MOMENT == read("2023-11-14T22:13:20Z", "iso8601@Europe/Berlin")
        assert MOMENT - 3600 * S == read("2023-11-14T22:13:20", "iso8601@Europe/Berlin")


def spans(year: int, zone: tzinfo) -> list[tuple[datetime, list[int]]]:
    """Each quarter of an hour of a year, with the instants at which a clock there shows it: an oracle."""
    shown: dict[datetime, list[int]] = {}
    start = datetime(year, 1, 1, tzinfo=UTC) - timedelta(days=2)
    for n in range(370 * 96):
        at = start + timedelta(minutes=15 * n)
        shown.setdefault(at.astimezone(zone).replace(tzinfo=None), []).append(from_datetime(at))
    local = [datetime(year, 1, 1) + timedelta(minutes=15 * n) for n in range(365 * 96)]
    return [(at, shown.get(at, [])) for at in local]


class TestZones:
    @pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
    def test_region(self, zone: str) -> None:
        """
        A local time that its zone shows once is read; one that it repeats or skips is unreadable.
        """
        as_text, as_datetime = Encoding.parse(f"iso8601@{zone}"), Encoding.parse(f"datetime@{zone}")
        counts = {0: 0, 1: 0, 2: 0}
        for local, instants in spans(2023, ZoneInfo(zone)):
            counts[len(instants)] += 1
            expected = instants[0] if len(instants) == 1 else "unreadable"
            assert expected == decode(local, as_datetime)
            assert expected == decode(local.replace(fold=1), as_datetime)
            assert expected == decode(local.isoformat(), as_text)

        assert counts[0] > 0
        assert counts[0] == counts[2]

    @pytest.mark.parametrize(
        ("zone", "ahead"), [("UTC", 0), ("+02:00", 7200), ("-03:30", -12600), ("Asia/Kolkata", 19800)]
    )
    def test_fixed(self, zone: str, ahead: int) -> None:
        """
        A zone that never changes reads every local time.
        """
        local = datetime(2023, 11, 14, 22, 13, 20)

        assert MOMENT - ahead * S == read(local, f"datetime@{zone}")
        assert MOMENT - ahead * S == read(local.isoformat(), f"iso8601@{zone}")

    @pytest.mark.parametrize("local", ["0001-01-01T00:00:00", "9999-12-31T23:59:59", "1890-01-01T00:00:00"])
    def test_ends_of_the_calendar(self, local: str) -> None:
        """
        The first and last day, and local mean time, are read without an error.
        """
        for zone in ("Europe/Berlin", "America/New_York", "Pacific/Kiritimati", "+23:59", "-23:59"):
            at = datetime.fromisoformat(local)

            assert read(at, f"datetime@{zone}") == read(local, f"iso8601@{zone}")

    def test_leap_second_in_a_region(self) -> None:
        """
        A leap second is where UTC has one, whatever the clock on the wall shows.
        """
        assert moment("2017-01-01T00:00+00:00") == read("2017-01-01T00:59:60", "iso8601@Europe/Berlin")
        assert "unreadable" == read("2016-12-31T23:59:60", "iso8601@Europe/Berlin")


class TestDatetimes:
    @given(
        st.datetimes(
            datetime(1, 1, 1, 0, 0, 1),
            datetime(9999, 12, 30),
            timezones=st.sampled_from([UTC, BERLIN, ODD_ZONE, timezone(timedelta(hours=14))]),
        )
    )  # fmt: skip
    @example(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))))
    @example(datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-12))))
    @example(datetime(2023, 10, 29, 2, 30, fold=1, tzinfo=BERLIN))
    def test_exact(self, there: datetime) -> None:
        """
        An aware datetime is read exactly, where its own arithmetic would overflow too.
        """
        offset = there.utcoffset() or timedelta(0)
        apart = there.replace(tzinfo=None) - datetime(1970, 1, 1) - offset

        assert ("placeholder" if not apart else apart // timedelta(microseconds=1) * 1000) == read(there, "datetime")
        assert read(there, "datetime") == read(there, "datetime@Europe/Berlin")

    def test_other_classes(self) -> None:
        """
        A subclass of datetime is a datetime.
        """
        assert MOMENT == read(Aware(2023, 11, 14, 22, 13, 20, tzinfo=UTC), "datetime")

    @given(st.integers(-(2**62), 2**62))
    def test_pandas(self, instant: int) -> None:
        """
        A Timestamp of pandas is read to its nanosecond, aware or local.
        """
        expected = "placeholder" if instant == 0 else instant
        aware, naive = pd.Timestamp(instant, tz="UTC"), pd.Timestamp(instant)

        assert expected == read(aware, "datetime/ns")
        assert expected == read(aware.tz_convert("America/New_York"), "datetime")
        assert expected == read(naive, "datetime@UTC")
        assert int is type(read(aware, "datetime")) or instant == 0

    def test_without_pandas(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Where numpy is not loaded, what is no number of Python's is of the wrong type.
        """
        monkeypatch.delitem(sys.modules, "numpy")

        assert "wrong_type" == read(object(), "epoch_ms")
        assert "wrong_type" == read(Fraction(1), "epoch_ms")


class TestWriting:
    @pytest.mark.parametrize(
        ("encoding", "instant", "raw"),
        [
            ("epoch_s", MOMENT + 999_999_999, 1700000000),
            ("epoch_ms", MOMENT + 999_999_999, 1700000000999),
            ("epoch_us", MOMENT + 999_999_999, 1700000000999999),
            ("epoch_ns", MOMENT + 999_999_999, 1700000000999999999),
            ("epoch_ms/s", MOMENT + 999_999_999, 1700000000000),
            ("epoch_s", -1, -1),
            ("epoch_ms", -S - 1, -1001),
            ("rfc3339", MOMENT, "2023-11-14T22:13:20Z"),
            ("rfc3339", MOMENT + 500_000_000, "2023-11-14T22:13:20.500Z"),
            ("rfc3339", MOMENT + 1_000, "2023-11-14T22:13:20.000001Z"),
            ("rfc3339", MOMENT + 1, "2023-11-14T22:13:20.000000001Z"),
            ("rfc3339/s", MOMENT + 999_999_999, "2023-11-14T22:13:20Z"),
            ("rfc3339/ms", MOMENT + 999_999_999, "2023-11-14T22:13:20.999Z"),
            ("rfc3339/ms", MOMENT, "2023-11-14T22:13:20.000Z"),
            ("rfc3339/us", MOMENT, "2023-11-14T22:13:20.000000Z"),
            ("rfc3339", -1, "1969-12-31T23:59:59.999999999Z"),
            ("iso8601", MOMENT, "2023-11-14T22:13:20Z"),
            ("iso8601@UTC", MOMENT, "2023-11-14T22:13:20"),
            ("iso8601/ms@-03:30", MOMENT, "2023-11-14T18:43:20.000"),
            ("iso8601@Europe/Berlin", MOMENT, "2023-11-14T23:13:20"),
            ("datetime", MOMENT + 1_999, datetime(2023, 11, 14, 22, 13, 20, 1, tzinfo=UTC)),
            ("datetime/s", MOMENT + 999_999_999, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
            ("datetime@Europe/Berlin", MOMENT, datetime(2023, 11, 14, 23, 13, 20)),
        ],
    )
    def test_floored(self, encoding: str, instant: int, raw: object) -> None:
        """
        An instant is floored to the resolution and written in its canonical form.
        """
        actual = encode(instant, Encoding.parse(encoding))

        assert raw == actual
        assert type(raw) is type(actual)

    @given(st.sampled_from(ALL), st.integers(-62135510400 * S, YEAR_10000 - 2 * DAY), st.data())
    def test_inverse(self, name: str, instant: int, data: st.DataObject) -> None:
        """
        What was written reads as the same instant, floored, whoever spells it; and writes again as the same.
        """
        encoding = Encoding.parse(name)
        step = max(encoding.resolution_ns, encoding.unit or 1, 1000 if encoding.name == "datetime" else 1)
        try:
            raw = encode(instant, encoding)
        except UsageError:
            assert encoding.zone in {"Europe/Berlin", "America/New_York"}
            return
        actual = decode(raw, encoding)
        if actual == "placeholder":
            return

        assert instant - instant % step == actual
        assert raw == encode(actual, encoding)
        spelled = decode(data.draw(spellings(instant, encoding)), encoding)
        assert isinstance(spelled, int)
        assert instant - instant % step == spelled - spelled % step

    @given(st.sampled_from(ALL), st.data())
    def test_inverse_of_reading(self, name: str, data: st.DataObject) -> None:
        """
        Whatever is read as an instant can be written and read again, floored, where its encoding reaches so far.
        """
        encoding = Encoding.parse(name)
        instant = decode(data.draw(raws(encoding)), encoding)
        if not isinstance(instant, int):
            assert instant in CAUSES
            return
        try:
            again = decode(encode(instant, encoding), encoding)
        except UsageError:
            assert not encoding.is_number
            return

        assert again == "placeholder" or (isinstance(again, int) and again <= instant)

    @pytest.mark.parametrize("encoding", [*TEXTS, "datetime", "iso8601@+02:00", "datetime@Europe/Berlin"])
    @pytest.mark.parametrize(
        "instant", [YEAR_10000, -62135596800 * S - 1, 10**30, -(10**5000)], ids=["late", "early", "later", "earlier"]
    )
    def test_out_of_reach(self, instant: int, encoding: str) -> None:
        """
        Text and datetimes end with the year 9999 and begin with the year 1.
        """
        with pytest.raises(UsageError, match="cannot hold"):
            encode(instant, Encoding.parse(encoding))

    @pytest.mark.parametrize("encoding", ["iso8601@+02:00", "datetime@+02:00"])
    def test_local_year_10000(self, encoding: str) -> None:
        """
        An instant whose local year has five digits cannot be held.
        """
        with pytest.raises(UsageError, match="cannot hold"):
            encode(YEAR_10000 - 1, Encoding.parse(encoding))

    @pytest.mark.parametrize("text", ["2023-10-29T00:30:00Z", "2023-10-29T01:30:00Z"])
    def test_repeated_hour(self, text: str) -> None:
        """
        An instant that its zone would write like another one is refused, rather than moved.
        """
        with pytest.raises(UsageError, match="Europe/Berlin shows that local time twice, or never"):
            encode(moment(text), Encoding.parse("datetime@Europe/Berlin"))


class TestPeople:
    @pytest.mark.parametrize(
        ("instant", "shown"),
        [
            (MOMENT, "2023-11-14T22:13:20Z"),
            (MOMENT + 120_000_000, "2023-11-14T22:13:20.120Z"),
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59.999999999Z"),
            (YEAR_10000, "+10000-01-01T00:00:00Z"),
            (1700000000000 * S, "+55840-11-08T22:13:20Z"),
            (-62135596800 * S - S, "0000-12-31T23:59:59Z"),
            (-62167219200 * S - S, "-00001-12-31T23:59:59Z"),
        ],
    )
    def test_show(self, instant: int, shown: str) -> None:
        """
        An instant is shown in RFC 3339, with a sign and five digits outside of its years.
        """
        assert shown == show(instant)

    @given(st.integers(-62135596800 * S, YEAR_10000 - 1))
    def test_show_and_datetime(self, instant: int) -> None:
        """
        What is shown is what datetime says.
        """
        assert to_datetime(instant) == datetime.fromisoformat(show(instant)[:26].rstrip("Z")).replace(tzinfo=UTC)
        assert instant - instant % 1000 == from_datetime(to_datetime(instant))

    @given(st.integers(-(10**60), 10**60))
    @example(10**5000)
    @example(-(10**5000))
    def test_show_never_fails(self, instant: int) -> None:
        """
        Any instant can be shown, in a few words.
        """
        assert 0 < len(show(instant)) < 60

    @pytest.mark.parametrize(
        ("raw", "shown"),
        [
            (1700000000, "1700000000"),
            ("soon", "'soon'"),
            (10**5000, "10^5000"),
            (-(10**5000), "-10^5000"),
            (True, "True"),
            ("x" * 100, "'" + "x" * 76 + "..."),
            ([10**5000], "<list whose repr raises ValueError>"),
        ],
        ids=["int", "text", "huge", "negative", "bool", "long", "nested"],
    )
    def test_brief(self, raw: object, shown: str) -> None:
        """
        A raw value is shown in at most 80 characters, whatever it is.
        """
        assert shown == brief(raw)

    @pytest.mark.parametrize(
        ("text", "length"),
        [
            ("5s", timedelta(seconds=5)),
            ("250ms", timedelta(milliseconds=250)),
            ("-1d", timedelta(days=-1)),
            ("+2h", timedelta(hours=2)),
            (" 3m ", timedelta(minutes=3)),
            ("7us", timedelta(microseconds=7)),
            ("3000ns", timedelta(microseconds=3)),
            ("0", timedelta(0)),
        ],
    )
    def test_duration(self, text: str, length: timedelta) -> None:
        """
        A duration is a whole number with a unit.
        """
        assert length == parse_duration(text)

    @pytest.mark.parametrize(
        "text", ["", "5", "s", "5 s", "1.5s", "5 seconds", "5S", "1ns", "999999999999999d", "٥s", "1h30m"]
    )
    def test_no_duration(self, text: str) -> None:
        """
        What is no duration, or none that a timedelta can hold, is refused.
        """
        with pytest.raises(UsageError):
            parse_duration(text)

    @given(st.timedeltas())
    def test_show_duration(self, length: timedelta) -> None:
        """
        A duration is shown as it can be read again.
        """
        shown = show_duration(duration_ns(length))

        assert length == parse_duration(shown)

    @pytest.mark.parametrize(
        ("text", "instant"),
        [
            ("2023-11-14T22:13:20Z", MOMENT),
            ("2023-11-14 22:13:20", MOMENT),
            ("1970-01-01", 0),
            ("2000-01-01", 946684800 * S),
        ],
    )
    def test_parse_instant(self, text: str, instant: int) -> None:
        """
        People write a date, or a date and a time, in UTC where they say nothing else.
        """
        assert instant == parse_instant(text)

    def test_no_instant(self) -> None:
        """
        What is no date is refused, with what was wanted.
        """
        with pytest.raises(UsageError, match="cannot read 'soon' as an instant; wanted a date like 2000-01-01"):
            parse_instant("soon")

    def test_naive_datetime(self) -> None:
        """
        A naive datetime is no instant.
        """
        with pytest.raises(UsageError, match="is no datetime with a time zone"):
            from_datetime(datetime(2023, 11, 14))

    @pytest.mark.parametrize("instant", [YEAR_10000, -62135596800 * S - 1, 10**5000], ids=["late", "early", "huge"])
    def test_no_datetime(self, instant: int) -> None:
        """
        What datetime cannot hold overflows.
        """
        with pytest.raises(OverflowError):
            to_datetime(instant)


NOW = MOMENT + DAY


class TestHints:
    @pytest.mark.parametrize(
        ("raw", "encoding", "said"),
        [
            (
                1700000000,
                "epoch_ms",
                "1700000000 looks like seconds where milliseconds are stored: 1700000000000 is 2023-11-14T22:13:20Z",
            ),
            (
                1700000000000,
                "epoch_s",
                "1700000000000 looks like milliseconds where seconds are stored: 1700000000 is 2023-11-14T22:13:20Z",
            ),
            (
                1700000000000000,
                "epoch_ms",
                ("1700000000000000 looks like microseconds where milliseconds are stored: "
                "1700000000000 is 2023-11-14T22:13:20Z"),
            ),
            (
                1.7e18,
                "epoch_ms",
                None,
            ),
            (
                1700000000000000000,
                "epoch_us",
                ("1700000000000000000 looks like nanoseconds where microseconds are stored: "
                "1700000000000000 is 2023-11-14T22:13:20Z"),
            ),
            (
                1700000000.5,
                "epoch_ms",
                ("1700000000.5 looks like seconds where milliseconds are stored: "
                "1700000000500 is 2023-11-14T22:13:20.500Z"),
            ),
            (
                "1700000000",
                "epoch_ms",
                "'1700000000' looks like text of seconds since 1970: 2023-11-14T22:13:20Z",
            ),
            (
                "1700000000000",
                "epoch_ms",
                "'1700000000000' looks like text of milliseconds since 1970: 2023-11-14T22:13:20Z",
            ),
            (
                "1700000000000",
                "rfc3339",
                "'1700000000000' looks like text of milliseconds since 1970: 2023-11-14T22:13:20Z",
            ),
            (1700000000, "rfc3339", "1700000000 looks like seconds since 1970: 2023-11-14T22:13:20Z"),
            (1700000000, "datetime", "1700000000 looks like seconds since 1970: 2023-11-14T22:13:20Z"),
            (
                "2023-11-14T22:13:20Z",
                "epoch_ms",
                "'2023-11-14T22:13:20Z' looks like rfc3339: 2023-11-14T22:13:20Z",
            ),
            (
                "2023-11-14 22:13:20Z",
                "rfc3339",
                "'2023-11-14 22:13:20Z' looks like iso8601: 2023-11-14T22:13:20Z",
            ),
            (
                "2023-11-14 22:13:20",
                "rfc3339",
                "'2023-11-14 22:13:20' has no offset: declare iso8601@ZONE if all are local times of one zone",
            ),
            (
                "2023-11-14",
                "iso8601",
                "'2023-11-14' has no offset: declare iso8601@ZONE if all are local times of one zone",
            ),
        ],
    )  # fmt: skip
    def test_given(self, raw: object, encoding: str, said: str | None) -> None:
        """
        A value that would be plausible in another encoding says so.
        """
        assert said == hint(raw, Encoding.parse(encoding), NOW)

    @pytest.mark.parametrize(
        ("raw", "encoding"),
        [
            (1700000000000, "epoch_ms"),
            (1700000000000, "epoch_ms/s"),
            (1700000000, "epoch_s/ns"),
            ("2023-11-14T22:13:20Z", "rfc3339"),
            ("2023-11-14T22:13:20Z", "rfc3339/s"),
            ("2023-11-14T22:13:20Z", "iso8601"),
            ("2023-10-29T02:30:00", "iso8601@Europe/Berlin"),
            ("2023-11-14", "iso8601@UTC"),
            (900000000, "epoch_ms"),
            (1900000000, "epoch_ms"),
            (5, "epoch_ms"),
            (0, "epoch_ms"),
            (None, "epoch_ms"),
            (ABSENT, "rfc3339"),
            (True, "epoch_ms"),
            (float("nan"), "epoch_ms"),
            (Decimal("sNaN"), "epoch_ms"),
            (10**5000, "epoch_ms"),
            ("1" * 5000, "epoch_ms"),
            ("soon", "epoch_ms"),
            ("", "rfc3339"),
            (b"1700000000", "epoch_ms"),
        ],
        ids=lambda raw: brief(raw)[:30],
    )
    def test_none(self, raw: object, encoding: str) -> None:
        """
        What is right as it is, or plausible nowhere, has no hint.
        """
        assert None is hint(raw, Encoding.parse(encoding), NOW)

    @given(st.sampled_from(ALL), st.data())
    def test_never_fails(self, name: str, data: st.DataObject) -> None:
        """
        Any value at all can be asked for a hint, and be shown.
        """
        encoding = Encoding.parse(name)
        raw = data.draw(raws(encoding))

        assert isinstance(hint(raw, encoding, NOW), str | None)
        assert len(brief(raw)) <= 80


def test_zero_dates() -> None:
    """
    What a driver gives as text, for no datetime can be it, is a placeholder where it begins as one; other text is no datetime.
    """
    encoding = Encoding.parse("datetime@UTC")
    usual = [decode(raw, encoding) for raw in ("0000-00-00 00:00:00", "0000-03-01", "2024-00-07", "2024-06-01", "")]
    bare = Encoding("datetime", "us", "UTC", Placeholders(prefixes=()))

    assert ["placeholder", "placeholder", "wrong_type", "wrong_type", "wrong_type"] == usual
    assert "wrong_type" == decode("0000-00-00 00:00:00", bare)
