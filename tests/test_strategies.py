"""
The strategies that are shipped: what they draw is what they say, and of every kind.
"""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

from timestamp_guard.errors import UsageError
from timestamp_guard.instants import ABSENT, CAUSES, Encoding, Encodings, decode, encode
from timestamp_guard.predicate import CODES, Code, holds, violations
from timestamp_guard.rules import NOW, Field, Guard, Moment, in_order, present, updated_at_guard
from timestamp_guard.testing.strategies import Record, anything, broken, raws, records, spellings

AT = 1_700_000_000_123_456_789
SECOND = timedelta(seconds=1)
START = datetime(2000, 1, 1, tzinfo=UTC)
GUARDS = {
    "usual": updated_at_guard("u", "c"),
    "tolerance": updated_at_guard("u", "c", tolerance=SECOND),
    "chain": present("u")
    & in_order(START, "a", Field("b") + timedelta(milliseconds=3), "u", NOW + SECOND),
    "narrow": present("u") & present("c") & in_order(NOW - SECOND, Field("c") - SECOND, "u", NOW + SECOND),
    "unbounded": present("u") & in_order("c", "u"),
}  # fmt: skip
ENCODINGS: dict[str, Encodings] = {
    "epoch_ms": "epoch_ms",
    "epoch_s": "epoch_s",
    "epoch_us/ms": "epoch_us/ms",
    "rfc3339": "rfc3339",
    "region": "iso8601@Europe/Berlin",
    "datetime": "datetime",
    "naive": "datetime/s@+02:00",
    "mixed": {"u": "epoch_ms", "c": "rfc3339", "a": "epoch_s", "b": "datetime@UTC"},
    "steps": {"u": "epoch_ms/s", "c": "epoch_us", "a": "rfc3339/ms", "b": "epoch_ms"},
}
ALL = ["epoch_s", "epoch_ns", "epoch_ms/s", "rfc3339", "iso8601", "iso8601@Europe/Berlin", "datetime", "datetime@UTC"]
FEW = settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
"""Filtering too much stays an error: what is drawn is made to fit."""


def encoding_of(encodings: Encodings, name: str) -> Encoding:
    return Encoding.parse(encodings if isinstance(encodings, str | Encoding) else encodings[name])


def each_breaks(strategy: st.SearchStrategy[Record], guard: Guard, read: Encodings, code: Code) -> None:
    @settings(FEW, max_examples=12)
    @given(strategy)
    def check(record: Record) -> None:
        assert code in {violation.code for violation in violations(record, guard, read, AT)}

    check()


@pytest.mark.parametrize("encodings", ENCODINGS)
@pytest.mark.parametrize("name", GUARDS)
class TestRecords:
    def test_sound(self, name: str, encodings: str) -> None:
        """
        Every record satisfies the guard, by the word of the predicate.
        """
        guard, read = GUARDS[name], ENCODINGS[encodings]

        @FEW
        @given(records(guard, read, now=AT))
        def check(record: Record) -> None:
            assert [] == violations(record, guard, read, AT)

        check()

    def test_broken(self, name: str, encodings: str) -> None:
        """
        Every record breaks the guard in the code that was asked for, if it can be broken so at all.
        """
        guard, read = GUARDS[name], ENCODINGS[encodings]
        possible = set()
        for code in CODES:
            try:
                strategy = broken(guard, read, code, now=AT)
            except UsageError:
                continue
            possible.add(code)
            each_breaks(strategy, guard, read, code)
        u = encoding_of(read, "u")
        orders = {"out_of_order"} if name == "unbounded" else {"out_of_order", "too_early", "in_future"}
        number = (
            {"not_finite", "imprecise"}
            if u.is_number or (name == "narrow" and encoding_of(read, "c").is_number)
            else set()
        )
        text = {"unreadable"} if any(
            encoding_of(read, field).name in {"rfc3339", "iso8601"} for field in guard.required
        ) else set()  # fmt: skip

        assert {"missing", "null", "wrong_type", "placeholder"} | orders | number | text == possible


class TestVariety:
    @pytest.mark.parametrize(
        "wanted",
        [
            lambda record: "c" not in record,
            lambda record: record.get("c", 0) is None,
            lambda record: isinstance(record["u"], float) and record["u"] % 1,
            lambda record: isinstance(record["u"], Decimal),
            lambda record: record["u"] == AT // 10**6 + 5000,
            lambda record: record["u"] == 946684800000,
            lambda record: type(record.get("c")) is float and float(record["u"]) < record["c"],
        ],
        ids=["missing", "null", "fraction", "decimal", "highest", "lowest", "floored"],
    )
    def test_sound_records(self, wanted: Any) -> None:
        """
        Sound records come with holes, fractions, values at the very bounds, and pairs that only flooring puts in order.
        """
        guard = GUARDS["usual"]

        assert find(records(guard, "epoch_ms", now=AT), wanted, settings=settings(max_examples=20_000))

    @pytest.mark.parametrize(
        "kind",
        [
            bool, int, float, Decimal, str, bytes, type(None), type(ABSENT), list, dict, date, datetime,
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("encoding", ["epoch_ms", "rfc3339", "datetime"])
    def test_raws(self, encoding: str, kind: type) -> None:
        """
        Values of every kind are found, whatever the encoding.
        """
        found = find(raws(encoding), lambda raw: type(raw) is kind, settings=settings(max_examples=20_000))

        assert kind is type(found)

    @pytest.mark.parametrize("encoding", ALL)
    def test_raws_of_each_cause(self, encoding: str) -> None:
        """
        Instants are found, and every cause that the encoding knows.
        """
        read = Encoding.parse(encoding)
        number, text = read.is_number, read.name in {"rfc3339", "iso8601"}
        known = set(CAUSES) - ({"unreadable"} if number else {"not_finite", "imprecise"})
        known -= set() if number or text or read.zone == "Europe/Berlin" else {"unreadable"}
        seen = set()

        @settings(max_examples=500)
        @given(raws(read))
        def collect(raw: Any) -> None:
            instant = decode(raw, read)
            seen.add(instant if isinstance(instant, str) else "instant")

        collect()

        assert known | {"instant"} == seen

    @pytest.mark.parametrize(
        "wanted",
        [
            lambda raw: type(raw) is int and abs(raw) > 10**5000,
            lambda raw: type(raw) is float and raw != raw,  # noqa: PLR0124 - how NaN is found
            lambda raw: type(raw) is float and 2**52 < abs(raw) <= 2**53,
            lambda raw: type(raw) is float and raw % 1 == 0.5,
            lambda raw: type(raw) is Decimal and raw.is_snan(),
            lambda raw: type(raw) is Decimal and raw.is_finite() and raw.adjusted() > 10**6,
            lambda raw: type(raw).__module__ == "numpy",
            lambda raw: isinstance(raw, datetime) and raw.tzinfo is None,
        ],
        ids=["huge", "nan", "edge", "half", "snan", "exponent", "numpy", "naive"],
    )
    def test_hostile_raws(self, wanted: Any) -> None:
        """
        The values that break careless code are among them.
        """
        find(raws("epoch_ms"), wanted, settings=settings(max_examples=50_000))

    @given(st.sampled_from(ALL), st.integers(-(10**18), 4 * 10**18), st.data())
    def test_spellings(self, name: str, instant: int, data: st.DataObject) -> None:
        """
        A spelling reads as the instant, to the step of its encoding.
        """
        encoding = Encoding.parse(name)
        try:
            plain = decode(encode(instant, encoding), encoding)
        except UsageError:
            with pytest.raises(UsageError):
                spellings(instant, encoding)
            return
        if not isinstance(plain, int):
            return
        read = decode(data.draw(spellings(instant, encoding)), encoding)

        assert isinstance(read, int)
        assert 0 <= read - plain < max(encoding.resolution_ns, encoding.unit or 1000)

    def test_anything(self) -> None:
        """
        Sound and broken records both come often, each code among them.
        """
        guard, seen = GUARDS["usual"], []

        @settings(max_examples=500)
        @given(anything(guard, "epoch_ms", now=AT))
        def collect(record: Record) -> None:
            seen.append({violation.code for violation in violations(record, guard, "epoch_ms", AT)})

        collect()

        assert len(seen) // 5 < sum(not codes for codes in seen) < len(seen) * 4 // 5
        assert set(CODES) - {"unreadable"} == set().union(*seen)


class TestRefused:
    @pytest.mark.parametrize(
        ("guard", "encodings", "code"),
        [
            (present("u"), "epoch_ms", "out_of_order"),
            (present("u"), "epoch_ms", "in_future"),
            (present("u"), "epoch_ms", "too_early"),
            (present("u"), "epoch_ms", "unreadable"),
            (present("u"), "datetime", "unreadable"),
            (present("u"), "rfc3339", "not_finite"),
            (present("u"), "rfc3339", "imprecise"),
            (in_order("a", "b"), "epoch_ms", "missing"),
            (in_order(datetime(1, 1, 1, tzinfo=UTC), "a"), "rfc3339", "too_early"),
            (in_order("a", Field("b") + timedelta(days=10_000 * 366)), "rfc3339", "out_of_order"),
        ],
        ids=str,
    )
    def test_cannot_be_broken_so(self, guard: Guard, encodings: str, code: Code) -> None:
        """
        A code that no record of that guard could have is refused.
        """
        with pytest.raises(UsageError, match=f"cannot be broken by '{code}' in the encodings given"):
            broken(guard, encodings, code, now=AT)

    def test_unknown_code(self) -> None:
        """
        A code that is none is refused.
        """
        with pytest.raises(UsageError, match="unknown code 'late'; one of missing"):
            broken(present("u"), "epoch_ms", "late", now=AT)  # type: ignore[arg-type]  # on purpose

    def test_cannot_hold(self) -> None:
        """
        A guard that no record satisfies is refused; it can still be broken.
        """
        guard = present("u") & in_order(NOW + SECOND, "u", NOW - SECOND)
        with pytest.raises(UsageError, match="no record is found that satisfies"):
            records(guard, "epoch_ms", now=AT)

        assert find(broken(guard, "epoch_ms", "in_future", now=AT), bool)
        assert not holds(find(anything(guard, "epoch_ms", now=AT), bool), guard, "epoch_ms", AT)

    def test_no_encoding(self) -> None:
        """
        A field without an encoding is refused.
        """
        with pytest.raises(UsageError, match="no encoding is declared for 'c'"):
            records(GUARDS["usual"], {"u": "epoch_ms"}, now=AT)

    def test_what_need_not_be_there(self) -> None:
        """
        A field that could only be wrong is left out where it may be.
        """
        guard = present("u") & in_order(NOW + SECOND, "c", NOW - SECOND)

        @FEW
        @given(records(guard, "epoch_ms", now=AT))
        def check(record: Record) -> None:
            assert holds(record, guard, "epoch_ms", AT)

        check()


@given(records(updated_at_guard("u"), "epoch_ms", now=Moment(AT - 10**13, AT)))
def test_moment(record: Record) -> None:
    """
    The present time may be a moment.
    """
    assert holds(record, updated_at_guard("u"), "epoch_ms", Moment(AT - 10**13, AT))


def test_hypothesis_is_loaded_here_alone() -> None:
    """
    Whoever imports timestamp_guard, or its folder for tests, loads neither Hypothesis nor pytest.
    """
    said = (
        "import sys, timestamp_guard, timestamp_guard.testing; "
        "print({'hypothesis', 'pytest', '_pytest'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)

    assert "set()" == done.stdout.strip()
