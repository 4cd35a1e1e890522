"""
The guard in service code: values, attributes, instances, and what cattrs reads and writes.
"""

from __future__ import annotations

import copy
import math
import pickle
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Optional, TypedDict

import attrs
import cattrs
import pytest
from cattrs.preconf.json import make_converter
from hypothesis import given
from hypothesis import strategies as st

from timestamp_guard import validators
from timestamp_guard.errors import InvalidTimestamps, UnknownName, UsageError
from timestamp_guard.instants import ABSENT, Encoding, Placeholders, Raw, encode, to_datetime
from timestamp_guard.predicate import Violation, violations
from timestamp_guard.rules import NOW, Field, Guard, in_order, present, updated_at_guard
from timestamp_guard.validators import (
    Timestamp,
    explain,
    follows,
    guarded,
    located,
    register_timestamps,
    timestamp,
)

SECOND = 10**9
MS = 10**6
T = 1_700_000_000 * SECOND  # 2023-11-14T22:13:20Z
A, B, C = (datetime(2023, 1, day, tzinfo=UTC) for day in (1, 2, 3))
GUARD = updated_at_guard("updated_at", "created_at")


def codes(caught: pytest.ExceptionInfo[InvalidTimestamps]) -> list[tuple[str, str, str | None]]:
    """What is wrong, without words."""
    return [violation.fault for violation in caught.value.violations]


# -- one value --------------------------------------------------------------------------------------------------


class Loud(int):
    """A number of somebody else's."""


HOSTILE: list[Any] = [
    None, True, False, 0, -1, 1, 2**53, 2**53 + 1, 2**64, 10**400, -(10**400), 0.5, -0.0, math.nan, math.inf,
    -math.inf, 1e300, float(2**53), float(2**53 + 2), Decimal("NaN"), Decimal("1E+999999"),
    Decimal("1700000000000.5"), Fraction(1, 3), Loud(T // MS), "", "0000-00-00", "2023-11-14T22:13:20Z",
    "1700000000000", "x" * 100_000, b"1", [], {}, object, ABSENT, A, A.replace(tzinfo=None), A.date(),
    datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC), timedelta(1),
]  # fmt: skip

ENCODINGS = [
    "epoch_s", "epoch_ms", "epoch_us", "epoch_ns", "epoch_ms/s", "epoch_s/ms",
    "rfc3339", "iso8601@UTC", "datetime", "datetime/s",
]  # fmt: skip


@st.composite
def values(draw: st.DrawFn, encoding: Encoding) -> Raw:
    """Values around the bounds of a timestamp at T, and all that people put in their place."""
    if draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from(HOSTILE))
    near = draw(st.sampled_from([T, T + 5 * SECOND, 946_684_800 * SECOND, 0, 2**53 * (encoding.unit or 1)]))
    instant = near + draw(st.integers(-3 * 10**9, 3 * 10**9))
    if encoding.unit is None:
        return encode(instant, encoding)
    whole = instant // encoding.unit
    kind = draw(st.sampled_from(["int", "float", "fraction", "decimal"]))
    if kind == "int":
        return whole
    if kind == "decimal":
        return Decimal(instant) / encoding.unit
    return float(whole) if kind == "float" else instant / encoding.unit


class TestTimestamp:
    def test_sound(self) -> None:
        """
        A sound value is nothing to speak of.
        """
        fresh = timestamp("epoch_ms")

        assert fresh(1700000000000) is None  # type: ignore[func-returns-value]  # that is what is tested
        assert fresh.holds(1700000000000)
        assert [] == fresh.violations(1700000000000)

    def test_hint(self) -> None:
        """
        Seconds for milliseconds are refused, and called seconds.
        """
        with pytest.raises(
            InvalidTimestamps, match="1700000000 looks like seconds where milliseconds are stored"
        ) as caught:
            timestamp("epoch_ms")(1700000000)

        assert [("too_early", "value", None)] == codes(caught)

    def test_is_a_value_error(self) -> None:
        """
        Frameworks that catch ValueError catch it.
        """
        with pytest.raises(ValueError, match="value is null: wanted RFC 3339 text"):
            timestamp("rfc3339")(None)

    @pytest.mark.parametrize("encoding", ENCODINGS)
    @given(data=st.data())
    def test_agrees(self, encoding: str, data: st.DataObject) -> None:
        """
        Its verdict and its violations are those of the predicate, whatever the value and whichever the clock.
        """
        guard = present("value") & in_order(to_datetime(946_684_800 * SECOND), "value", NOW + timedelta(seconds=5))
        value = data.draw(values(Encoding.parse(encoding)))
        wanted = violations({"value": value}, guard, encoding, T)

        for fresh in (timestamp(encoding, now=T), timestamp(encoding, now=lambda: T)):
            assert wanted == fresh.violations(value)
            assert (not wanted) == fresh.holds(value)
            if wanted:
                with pytest.raises(InvalidTimestamps) as caught:
                    fresh(value)
                assert tuple(wanted) == caught.value.violations
            else:
                fresh(value)

    @pytest.mark.parametrize("earliest", [datetime(1960, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC), A])
    @given(
        value=st.integers(-(10**12), 2 * 10**12)
        | st.floats(-1e12, 2e12)
        | st.sampled_from([0, -1, -1.0, -1.5, 5, 1672531200000])
    )
    def test_earliest(self, earliest: datetime, value: float) -> None:
        """
        Instants before 1970 and placeholders are told apart by the same rules.
        """
        guard = updated_at_guard("value", skew=timedelta(0), earliest=earliest)
        placeholders = Placeholders(numbers=frozenset({0, -1, 5, 1672531200000}))

        for encoding in (
            Encoding.parse("epoch_ms"),
            attrs.evolve(Encoding.parse("epoch_ms"), placeholders=placeholders),
        ):
            fresh = timestamp(encoding, skew=timedelta(0), earliest=earliest, now=T)
            assert (not violations({"value": value}, guard, encoding, T)) == fresh.holds(value)

    def test_no_placeholders(self) -> None:
        """
        An encoding may have none.
        """
        encoding = attrs.evolve(Encoding.parse("epoch_ms"), placeholders=Placeholders(frozenset(), (), ()))

        assert timestamp(encoding).holds(1700000000000)

    @pytest.mark.parametrize(
        ("value", "wanted"),
        [
            (946684800000, True),
            (946684799999, False),
            (946684800000.0, True),
            (946684799999.9, False),
            (1700000005000, True),
            (1700000005001, False),
            (1700000005000.9, True),  # floored to the millisecond
            (1700000005001.0, False),
        ],
    )
    def test_bounds(self, value: float, wanted: bool) -> None:
        """
        Both bounds are themselves sound.
        """
        fresh = timestamp("epoch_ms", now=T)

        assert wanted == fresh.holds(value)
        assert wanted == (not fresh.violations(value))

    def test_time_goes_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        With the clock of this machine, what was in the future holds when its time has come; then nobody asks again.
        """
        now, readings = T, 0

        def clock() -> int:
            nonlocal readings
            readings += 1
            return now

        monkeypatch.setattr(time, "time_ns", clock)
        fresh = timestamp("epoch_ms", skew=timedelta(0))
        later = T // MS + 1000

        assert not fresh.holds(later)
        now += SECOND
        assert fresh.holds(later)
        assert not fresh.holds(later + 1)
        readings = 0
        assert fresh.holds(later)
        assert 0 == readings

    def test_clock_runs_back(self) -> None:
        """
        A clock of one's own is asked each time.
        """
        moments = iter([T + 10 * SECOND, T])
        fresh = timestamp("epoch_s", skew=timedelta(0), now=lambda: next(moments))

        assert [True, False] == [fresh.holds(1_700_000_005) for _ in range(2)]

    def test_became_present(self) -> None:
        """
        A value whose time comes between two readings of the clock is not refused.
        """
        moments = iter([T, T + 10 * SECOND])

        timestamp("epoch_s", skew=timedelta(0), now=lambda: next(moments))(1_700_000_005)

    def test_repr(self) -> None:
        """
        It prints what it wants.
        """
        assert "<timestamp epoch_ms: 2000-01-01T00:00:00Z <= value <= NOW + 5s>" == repr(timestamp("epoch_ms"))

    def test_equal(self) -> None:
        """
        Two that want the same are equal.
        """
        assert timestamp("epoch_ms") == timestamp("epoch_ms")
        assert timestamp("epoch_ms") != timestamp("epoch_s")
        assert 1 == len({timestamp("epoch_ms"), timestamp("epoch_ms")})

    def test_frozen(self) -> None:
        """
        It cannot be changed.
        """
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            timestamp("epoch_ms").encoding = Encoding.parse("epoch_s")  # type: ignore[misc]

    @pytest.mark.parametrize(
        ("encoding", "how", "said"),
        [
            ("epoch", {}, "unknown encoding 'epoch'"),
            ("epoch_ms", {"skew": timedelta(-1)}, "skew is -1 day, 0:00:00, and cannot be negative"),
            ("epoch_ms", {"earliest": datetime(2000, 1, 1)}, "is no datetime with a time zone"),
        ],
    )
    def test_usage(self, encoding: str, how: dict[str, Any], said: str) -> None:
        """
        What cannot be meant is refused when it is made.
        """
        with pytest.raises(UsageError, match=said):
            timestamp(encoding, **how)

    def test_on_an_attribute(self) -> None:
        """
        On a field of an attrs class it judges what is assigned, and names the attribute.
        """

        @attrs.define
        class Service:
            updated_ms: int = attrs.field(validator=timestamp("epoch_ms"))
            seen: datetime | None = attrs.field(
                default=None, validator=attrs.validators.optional(timestamp("datetime"))
            )

        service = Service(1700000000000)
        with pytest.raises(InvalidTimestamps) as made:
            Service(1700000000)
        with pytest.raises(InvalidTimestamps) as assigned:
            service.updated_ms = None  # type: ignore[assignment]
        with pytest.raises(InvalidTimestamps) as optional:
            Service(1700000000000, seen=datetime(2023, 1, 1))

        assert [("too_early", "updated_ms", None)] == codes(made)
        assert [("null", "updated_ms", None)] == codes(assigned)
        assert [("wrong_type", "seen", None)] == codes(optional)
        assert 1700000000000 == service.updated_ms


# -- attrs: follows ---------------------------------------------------------------------------------------------


@attrs.define
class Followed:
    created_at: Any = None
    updated_at: Any = attrs.field(default=None, validator=follows("created_at", tolerance=timedelta(seconds=1)))


class TestFollows:
    @pytest.mark.parametrize("updated", [B, A, A - timedelta(seconds=1), B.astimezone(timezone(timedelta(hours=14)))])
    def test_after(self, updated: datetime) -> None:
        """
        At the same time, later, or earlier within the tolerance.
        """
        assert updated == Followed(A, updated).updated_at

    def test_before(self) -> None:
        """
        Earlier is refused, with both names.
        """
        with pytest.raises(
            InvalidTimestamps, match=r"wanted at least 2022-12-31T23:59:59Z \(created_at - 1s\)"
        ) as caught:
            Followed(A, A - timedelta(seconds=1, microseconds=1))

        assert [("out_of_order", "updated_at", "created_at")] == codes(caught)

    def test_assigned(self) -> None:
        """
        An assignment of its own field is judged, and leaves things as they were.
        """
        service = Followed(B, C)

        with pytest.raises(InvalidTimestamps):
            service.updated_at = A
        assert Followed(B, C) == service

    @pytest.mark.parametrize(
        ("created", "updated"), [(None, A), (A, None), (None, None), (datetime(1970, 1, 1, tzinfo=UTC), A)]
    )
    def test_unknown(self, created: datetime | None, updated: datetime | None) -> None:
        """
        Where one is unknown there is nothing to compare.
        """
        Followed(created, updated)

    def test_cannot_be_read(self) -> None:
        """
        A naive datetime on either side is refused, because nothing could be compared.
        """
        naive = datetime(2023, 1, 1)

        with pytest.raises(InvalidTimestamps) as caught:
            Followed(naive, naive)

        assert [("wrong_type", "created_at", None), ("wrong_type", "updated_at", None)] == codes(caught)

    def test_other_encoding(self) -> None:
        """
        It reads what it is told.
        """

        @attrs.define
        class Service:
            created: int
            updated: int = attrs.field(validator=follows("created", encoding="epoch_ms/s"))

        Service(1700000000999, 1700000000000)  # the same second
        with pytest.raises(InvalidTimestamps):
            Service(1700000000000, 1699999999999)

    def test_not_set_yet(self) -> None:
        """
        An attribute that is not set is unknown; one that the class has not is a mistake.
        """

        @attrs.define
        class Late:
            created_at: datetime = attrs.field(init=False)
            updated_at: datetime = attrs.field(validator=follows("created_at"))

        @attrs.define
        class Wrong:
            created_at: datetime
            updated_at: datetime = attrs.field(validator=follows("createdAt"))

        Late(A)
        with pytest.raises(
            UnknownName, match=r"no attribute 'createdAt' in the class .*Wrong; did you mean 'created_at'"
        ) as caught:
            Wrong(A, B)

        assert "created_at" == caught.value.near[0]

    def test_repr(self) -> None:
        """
        It prints what it wants.
        """
        assert "<follows 'created_at' as datetime>" == repr(follows("created_at"))
        assert "<follows 'c' as epoch_ms, tolerance 1s>" == repr(
            follows("c", tolerance=timedelta(seconds=1), encoding="epoch_ms")
        )

    def test_usage(self) -> None:
        """
        What cannot be meant is refused when it is made.
        """
        with pytest.raises(UsageError, match="tolerance is -1 day, 0:00:00, and cannot be negative"):
            follows("created_at", tolerance=timedelta(-1))
        with pytest.raises(UsageError, match="unknown encoding 'soon'"):
            follows("created_at", encoding="soon")


# -- attrs: guarded ---------------------------------------------------------------------------------------------


@guarded(GUARD)
@attrs.define
class Slotted:
    created_at: datetime | None
    updated_at: datetime
    name: str = ""


@guarded(GUARD)
@attrs.define(slots=False)
class Plain:
    created_at: datetime | None
    updated_at: datetime
    name: str = ""


@guarded(GUARD)
@attrs.define(slots=False, on_setattr=attrs.setters.NO_OP)
class Unhooked:
    created_at: datetime | None
    updated_at: datetime
    name: str = ""


@attrs.define
class Sub(Slotted):
    more: int = 0


@attrs.define(slots=False)
class PlainSub(Plain):
    more: int = attrs.field(default=0, validator=attrs.validators.instance_of(int))


class Ordinary(Slotted):
    """A subclass that attrs does not know."""


@guarded(updated_at_guard("updated_at"))
@guarded(in_order("created_at", "updated_at"))
@attrs.define
class Twice:
    created_at: datetime | None
    updated_at: datetime
    name: str = ""


@guarded(GUARD)
@attrs.frozen
class Frozen:
    created_at: datetime | None
    updated_at: datetime
    name: str = ""


@guarded(GUARD)
@attrs.frozen(slots=False)
class PlainFrozen:
    created_at: datetime | None
    updated_at: datetime
    name: str = ""


@attrs.define
class FrozenSub(Frozen):
    more: int = 0


MUTABLE = [Slotted, Plain, Unhooked, Sub, PlainSub, Ordinary, Twice]
FROZEN = [Frozen, PlainFrozen, FrozenSub]


class TestGuarded:
    @pytest.mark.parametrize("make", MUTABLE + FROZEN)
    def test_made(self, make: Any) -> None:
        """
        A sound instance is made, an unsound one is not.
        """
        assert (A, B) == attrs.astuple(make(A, B))[:2]
        assert (None, B) == attrs.astuple(make(None, B))[:2]
        with pytest.raises(InvalidTimestamps) as caught:
            make(B, A)
        assert [("out_of_order", "updated_at", "created_at")] == codes(caught)

    def test_all_that_is_wrong(self) -> None:
        """
        Everything is reported at once.
        """
        with pytest.raises(InvalidTimestamps) as caught:
            Slotted(B, datetime(1999, 1, 1, tzinfo=UTC))

        assert [("too_early", "updated_at", None), ("out_of_order", "updated_at", "created_at")] == codes(caught)

    @pytest.mark.parametrize("make", MUTABLE)
    def test_assigned(self, make: Any) -> None:
        """
        Moving either attribute past the other is refused, and leaves the instance as it was.
        """
        service = make(A, B)
        for name, value in [
            ("created_at", C),
            ("updated_at", A - timedelta(1)),
            ("updated_at", None),
            ("updated_at", "x"),
        ]:
            with pytest.raises(InvalidTimestamps):
                setattr(service, name, value)
            assert make(A, B) == service
        service.created_at = B
        service.updated_at = C
        service.created_at = None
        service.name = "other"
        assert make(None, C, "other") == service

    @pytest.mark.parametrize("make", FROZEN)
    def test_frozen(self, make: Any) -> None:
        """
        A frozen class stays frozen, and so do its subclasses.
        """
        service = make(A, B)

        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            service.updated_at = C
        assert make(A, B) == service

    @pytest.mark.parametrize("make", MUTABLE + FROZEN)
    def test_evolve(self, make: Any) -> None:
        """
        Both can be moved at once, where the result is sound.
        """
        assert make(B, C) == attrs.evolve(make(A, B), created_at=B, updated_at=C)
        with pytest.raises(InvalidTimestamps):
            attrs.evolve(make(A, B), created_at=C)

    @pytest.mark.parametrize("make", [Slotted, Plain, Sub, Frozen])
    def test_copies(self, make: Any) -> None:
        """
        Copies and pickles come back as they went.
        """
        service = make(A, B)

        assert service == copy.copy(service)
        assert service == copy.deepcopy(service)
        assert service == pickle.loads(pickle.dumps(service))

    def test_same_class(self) -> None:
        """
        The class itself is kept, with its signature and its fields.
        """
        bare: Any = attrs.make_class("Bare", ["updated_at"])

        assert bare is guarded(present("updated_at"))(bare)
        assert "__init__" == bare.__init__.__name__
        assert bare(updated_at=A) == bare(A)

    def test_converters_run_first(self) -> None:
        """
        What is judged is what the converters and hooks made, and what a hook of the user's refuses is refused.
        """
        seen = []

        def note(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> Any:
            seen.append((attribute.name, value))
            return value

        @guarded(GUARD)
        @attrs.define(on_setattr=[attrs.setters.convert, attrs.setters.validate, note])
        class Service:
            created_at: datetime = attrs.field(converter=datetime.fromisoformat)  # type: ignore[misc, unused-ignore]
            updated_at: datetime = attrs.field(
                converter=datetime.fromisoformat,  # type: ignore[misc, unused-ignore]
                validator=attrs.validators.lt(C),
            )

        service = Service("2023-01-01T00:00Z", "2023-01-02T00:00Z")
        service.updated_at = "2023-01-01T00:00Z"  # type: ignore[assignment]
        with pytest.raises(InvalidTimestamps):
            service.created_at = "2023-01-02T00:00Z"  # type: ignore[assignment]
        with pytest.raises(ValueError, match="must be <"):
            service.updated_at = "2023-01-03T00:00Z"  # type: ignore[assignment]

        assert (A, A) == (service.created_at, service.updated_at)
        assert [("updated_at", A), ("created_at", B)] == seen

    def test_hook_that_changes_more(self) -> None:
        """
        A hook that moved another attribute before the assignment was refused is taken back as well.
        """

        def touch(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> Any:
            instance.updated_at = C
            instance.seen_at = C
            return value

        @guarded(in_order("created_at", "updated_at") & in_order("created_at", "seen_at"))
        @attrs.define
        class Service:
            created_at: datetime = attrs.field(on_setattr=touch)
            updated_at: datetime
            seen_at: datetime = attrs.field(init=False)

        service = Service(A, B)
        with pytest.raises(InvalidTimestamps):
            service.created_at = C + timedelta(1)

        assert (A, B, False) == (service.created_at, service.updated_at, hasattr(service, "seen_at"))

    def test_post_init(self) -> None:
        """
        What __attrs_post_init__ puts right is right.
        """

        @guarded(GUARD)
        @attrs.define
        class Service:
            created_at: datetime
            updated_at: datetime | None = None

            def __attrs_post_init__(self) -> None:
                self.created_at = max(A, self.created_at)
                self.updated_at = self.updated_at or self.created_at

        assert (A, A) == attrs.astuple(Service(A - timedelta(1)))

    def test_own_init(self) -> None:
        """
        An __init__ of one's own is judged when it is done, in subclasses too.
        """

        @guarded(GUARD)
        @attrs.define(init=False)
        class Service:
            created_at: datetime
            updated_at: datetime

            def __init__(self, at: datetime) -> None:
                self.__attrs_init__(at, at - timedelta(1))
                self.updated_at = at

        class Later(Service):
            def __init__(self) -> None:
                super().__init__(A)
                self.updated_at = B

        @attrs.define(init=False)
        class Wrong(Service):
            def __init__(self) -> None:
                super().__init__(A)
                object.__setattr__(self, "updated_at", A - timedelta(1))

        assert (A, A) == attrs.astuple(Service(A))
        assert (A, B) == attrs.astuple(Later())
        with pytest.raises(InvalidTimestamps):
            Wrong()

    def test_failed_init(self) -> None:
        """
        An instance whose __init__ raised is not taken for one that is being made for ever.
        """

        @guarded(GUARD)
        @attrs.define
        class Service:
            created_at: datetime
            updated_at: datetime = attrs.field(validator=attrs.validators.instance_of(datetime))

        service = Service(A, B)
        with pytest.raises(TypeError):
            Service.__init__(service, A, "x")  # type: ignore[arg-type]
        with pytest.raises(InvalidTimestamps):
            service.created_at = C

    def test_not_set(self) -> None:
        """
        An attribute that is not set is missing, where it must be present.
        """

        @guarded(present("updated_at"))
        @attrs.define
        class Service:
            updated_at: datetime = attrs.field(init=False)

        with pytest.raises(InvalidTimestamps) as caught:
            Service()

        assert [("missing", "updated_at", None)] == codes(caught)

    def test_subclass_hook_of_the_user(self) -> None:
        """
        An __attrs_init_subclass__ that was there before still runs.
        """
        made = []

        @guarded(GUARD)
        @attrs.define
        class Base:
            created_at: datetime
            updated_at: datetime

            @classmethod
            def __attrs_init_subclass__(cls) -> None:
                made.append(cls.__name__)

        @attrs.define
        class Below(Base):
            pass

        @guarded(in_order("updated_at", NOW - timedelta(days=1)))
        @attrs.define
        class Deeper(Below):
            pass

        assert ["Below", "Deeper"] == made
        with pytest.raises(InvalidTimestamps):
            Deeper(B, A)
        with pytest.raises(InvalidTimestamps) as caught:
            Deeper(B, datetime.now(UTC))
        assert [("in_future", "updated_at", None)] == codes(caught)

    def test_init_that_calls_another(self) -> None:
        """
        What a subclass puts right after the __init__ of its base is right.
        """

        @attrs.define(init=False)
        class Below(Slotted):
            def __init__(self) -> None:
                super().__init__(B, A)
                self.updated_at = C

        assert (B, C, "") == attrs.astuple(Below())

    def test_inherited_init(self) -> None:
        """
        A subclass that takes over how its base is made is judged once, and by the same guard.
        """

        @attrs.define(init=False)
        class Below(Slotted):
            pass

        assert Below.__init__ is Slotted.__init__
        with pytest.raises(InvalidTimestamps):
            Below(B, A)

    def test_base_is_left_alone(self) -> None:
        """
        A guarded subclass does not guard its base.
        """

        @attrs.define
        class Base:
            created_at: datetime
            updated_at: datetime

        @guarded(GUARD)
        @attrs.define
        class Below(Base):
            pass

        assert (B, A) == attrs.astuple(Base(B, A))
        with pytest.raises(InvalidTimestamps):
            Below(B, A)

    def test_disabled(self) -> None:
        """
        Switching off the validators of attrs switches it off.
        """
        with attrs.validators.disabled():
            service = Slotted(B, A)
            service.created_at = C

        with pytest.raises(InvalidTimestamps):
            service.created_at = B
        assert (C, A) == (service.created_at, service.updated_at)

    def test_encodings_and_clock(self) -> None:
        """
        Attributes may be raw values, each in its encoding, and the clock may be given.
        """
        guard = updated_at_guard("updated", "created")

        @guarded(guard, {"created": "rfc3339", "updated": "epoch_ms"}, now=T)
        @attrs.define
        class Row:
            created: str
            updated: int

        row = Row("2023-11-14T22:13:20Z", 1700000000000)
        with pytest.raises(InvalidTimestamps, match="updated is in_future") as caught:
            row.updated = 1700000005001

        assert [("in_future", "updated", None)] == codes(caught)

    def test_fields_that_need_quoting(self) -> None:
        """
        Names never become code.
        """
        name = "ünïcode_ _"
        made = attrs.make_class("Made", {"ünïcode": attrs.field()})

        with pytest.raises(UnknownName):
            guarded(present(name))(made)
        with pytest.raises(UnknownName):
            guarded(present("'); import os #"))(made)

    def test_unknown_name(self) -> None:
        """
        A field that the class has not is a mistake, with the nearest names.
        """
        with pytest.raises(
            UnknownName, match=r"no attribute 'updatedAt' in the class .*; did you mean 'updated_at'"
        ) as caught:

            @guarded(updated_at_guard("updatedAt"))
            @attrs.define
            class Service:
                updated_at: datetime

        assert ("updated_at",) == caught.value.near

    def test_not_an_attrs_class(self) -> None:
        """
        Dataclasses, ordinary classes, and classes that attrs has not finished are refused.
        """

        @dataclass
        class Data:
            updated_at: datetime

        class Below(Slotted):
            pass

        wrong: Any
        for wrong in (Data, Below, int, "text", lambda: None):
            with pytest.raises(UsageError, match=r"is no attrs class: @guarded goes above @attrs.define"):
                guarded(GUARD)(wrong)

    def test_wrong_order(self) -> None:
        """
        Below @attrs.define it would be overwritten, so it is refused there.
        """
        with pytest.raises(UsageError, match=r"above @attrs.define"):

            @attrs.define
            @guarded(GUARD)
            class Service(Slotted):
                more: int = 0

    def test_no_guard(self) -> None:
        """
        Without a guard, or without the encoding of a field, there is nothing to judge by.
        """
        with pytest.raises(UsageError, match="guarded takes a guard, not <class"):
            guarded(Slotted)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="no encoding is declared for 'created_at'"):
            guarded(GUARD, {"updated_at": "datetime"})

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["created_at", "updated_at"]),
                st.sampled_from([A, B, C, None, "x", A.replace(tzinfo=None)]),
            ),
            max_size=6,
        )
    )
    def test_always_holds(self, changes: list[tuple[str, Any]]) -> None:
        """
        Whatever is assigned, the instance satisfies the guard and is what the sound assignments made it.
        """
        service, model = Slotted(A, B), {"created_at": A, "updated_at": B}
        for name, value in changes:
            wanted = {**model, name: value}
            if violations(wanted, GUARD, "datetime", time.time_ns()):
                with pytest.raises(InvalidTimestamps):
                    setattr(service, name, value)
            else:
                setattr(service, name, value)
                model = wanted

            assert model == {"created_at": service.created_at, "updated_at": service.updated_at}


# -- cattrs -----------------------------------------------------------------------------------------------------

SECONDS = Encoding.parse("epoch_s")


@attrs.define
class Page:
    updatedAt: datetime  # noqa: N815 - as on the wire
    seen: Annotated[datetime, SECONDS] = A
    gone: datetime | None = None
    old: Optional[Annotated[datetime, SECONDS]] = None  # noqa: UP045 - both spellings are tested
    new: Annotated[datetime | None, "a note", timestamp("epoch_s")] = None
    note: Annotated[str, "nothing of ours"] = ""
    plain: Annotated[datetime, "nothing of ours"] = A


@attrs.define
class Site:
    services: list[Page] = attrs.Factory(list)
    times: dict[str, datetime] = attrs.Factory(dict)


class Row(TypedDict):
    updatedAt: datetime


def converters(*, detailed: bool = True) -> list[cattrs.Converter]:
    """A bare one, and one that has hooks for datetimes already."""
    made = [cattrs.Converter(detailed_validation=detailed), make_converter(detailed_validation=detailed)]
    for converter in made:
        register_timestamps(converter, "epoch_ms")
    return made


@pytest.fixture(params=[0, 1], ids=["plain", "json"])
def converter(request: pytest.FixtureRequest) -> cattrs.Converter:
    """Each of them."""
    number: int = request.param
    return converters()[number]


def refused(converter: cattrs.Converter, raw: Any, kind: Any) -> Exception:
    """What structuring raises."""
    with pytest.raises((cattrs.BaseValidationError, InvalidTimestamps)) as caught:
        converter.structure(raw, kind)
    return caught.value


PAGE = {
    "updatedAt": 1700000000000, "seen": 1700000000, "gone": None, "old": 1700000000, "new": 1700000000, "note": "x",
    "plain": 1700000000000,
}  # fmt: skip


class TestCattrs:
    @pytest.mark.parametrize("detailed", [True, False])
    def test_there_and_back(self, detailed: bool) -> None:
        """
        Raw values become aware datetimes, each by its encoding, and the same raw values again.
        """
        at = to_datetime(T)
        for converter in converters(detailed=detailed):
            page = converter.structure(PAGE, Page)

            assert Page(at, at, None, at, at, "x", at) == page
            assert UTC == page.updatedAt.tzinfo
            assert PAGE == converter.unstructure(page)

    @pytest.mark.parametrize(
        ("encoding", "raw", "wanted", "back"),
        [
            ("epoch_s", 1700000000.75, T + 750 * MS, 1700000000),
            ("epoch_s/ms", 1700000000, T, 1700000000),
            ("epoch_ms", 1700000000000.5, T + 500_000, 1700000000000),
            ("epoch_ms", Decimal("1700000000000.5"), T + 500_000, 1700000000000),
            ("epoch_us", 1700000000000001, T + 1000, 1700000000000001),
            ("epoch_ns", T + 1999, T + 1000, T + 1000),
            ("rfc3339", "2023-11-14T22:13:20.123456789Z", T + 123_456_000, "2023-11-14T22:13:20.123456Z"),
            ("rfc3339/s", "2023-11-15T00:13:20.5+02:00", T + 500 * MS, "2023-11-14T22:13:20Z"),
            ("iso8601@+02:00", "2023-11-15 00:13:20", T, "2023-11-15T00:13:20"),
            ("datetime", datetime(2023, 11, 15, 0, 13, 20, tzinfo=timezone(timedelta(hours=2))), T, to_datetime(T)),
            ("datetime@UTC", datetime(2023, 11, 14, 22, 13, 20), T, datetime(2023, 11, 14, 22, 13, 20)),
            ("epoch_ms", -1000, -1000 * MS, -1000),
            ("epoch_s", 253402300799, 253402300799 * SECOND, 253402300799),
            ("epoch_s", -62135596800, -62135596800 * SECOND, -62135596800),
        ],
    )
    def test_every_encoding(self, encoding: str, raw: Raw, wanted: int, back: Raw) -> None:
        """
        Reading floors to microseconds, writing to the resolution of the encoding.
        """
        converter = cattrs.Converter()
        register_timestamps(converter, encoding)

        read = converter.structure(raw, datetime)
        assert to_datetime(wanted) == read
        assert back == converter.unstructure(read)

    def test_default(self) -> None:
        """
        Without a word, datetimes are written as RFC 3339.
        """
        converter = cattrs.Converter()
        register_timestamps(converter)

        assert "2023-01-01T00:00:00Z" == converter.unstructure(A)

    @given(st.integers(-62135596800 * 10**6, 253402300799 * 10**6))
    def test_nothing_is_lost(self, micros: int) -> None:
        """
        What a datetime holds comes back from microseconds, nanoseconds and text, but for what stands for "unknown".
        """
        at = to_datetime(micros * 1000)
        for encoding in ("epoch_us", "epoch_ns", "rfc3339", "iso8601", "datetime"):
            converter = cattrs.Converter()
            register_timestamps(
                converter, attrs.evolve(Encoding.parse(encoding), placeholders=Placeholders(frozenset(), (), ()))
            )

            assert at == converter.structure(converter.unstructure(at), datetime)

    @pytest.mark.parametrize(
        "raw", [pytest.param(raw, id=str(at)) for at, raw in enumerate(HOSTILE) if raw is not ABSENT]
    )
    def test_hostile(self, converter: cattrs.Converter, raw: Raw) -> None:
        """
        Whatever comes, it is an instant that a datetime holds, or a violation of the code that the predicate says.
        """
        found = violations({"x": raw}, present("x"), "epoch_ms", T)
        try:
            error, read = None, converter.structure({"updatedAt": raw}, Row)
        except cattrs.ClassValidationError as caught:
            error, read = caught, None

        if error is None:
            assert not found
            assert read is not None
            assert UTC == read["updatedAt"].tzinfo
            return
        ((path, violation),) = located(error)
        beyond = "in_future" if not found and raw > 0 else "too_early"
        assert ("$.updatedAt", "updatedAt") == (path, violation.field)
        assert (found[0].code if found else beyond) == violation.code
        assert explain(error)[0].startswith("$.updatedAt: updatedAt is ")

    @pytest.mark.parametrize(
        ("raw", "code"), [(253402300800000, "in_future"), (-62135596800001, "too_early"), (10**400, "in_future")]
    )
    def test_beyond_datetime(self, converter: cattrs.Converter, raw: int, code: str) -> None:
        """
        An instant that no datetime holds is a violation.
        """
        ((_, violation),) = located(refused(converter, [raw], list[datetime]))

        assert code == violation.code
        assert (
            "an instant that a datetime holds, from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999Z"
            == violation.wanted
        )

    def test_unit_hint(self, converter: cattrs.Converter) -> None:
        """
        A hint comes along, where the number would be plausible in another unit.
        """
        error = refused(converter, {"services": [PAGE, {**PAGE, "updatedAt": T}]}, Site)

        assert [
            (
                "$.services[1].updatedAt: updatedAt is in_future (1700000000000000000): "
                "wanted an instant that a datetime holds, from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999Z; "
                "1700000000000000000 looks like nanoseconds where milliseconds are stored: "
                "1700000000000 is 2023-11-14T22:13:20Z"
            )
        ] == explain(error)

    def test_paths(self, converter: cattrs.Converter) -> None:
        """
        Everything that is wrong is listed with its path.
        """
        bad = {"seen": None, "gone": 0, "old": "x", "new": 1700000000000, "plain": True}
        error = refused(converter, {"services": [PAGE, bad], "times": {"a.b": None, "c": 1700000000000}}, Site)

        assert [
            ("$.services[1].updatedAt", ("missing", "updatedAt", None)),
            ("$.services[1].seen", ("null", "seen", None)),
            ("$.services[1].gone", ("placeholder", "gone", None)),
            ("$.services[1].old", ("wrong_type", "old", None)),
            ("$.services[1].new", ("in_future", "new", None)),
            ("$.services[1].plain", ("wrong_type", "plain", None)),
            ("$.times['a.b']", ("null", "times['a.b']", None)),
        ] == [(path, violation.fault) for path, violation in located(error)]

    def test_missing(self, converter: cattrs.Converter) -> None:
        """
        An absent key says what was wanted, as far as that is known.
        """

        @attrs.define
        class Needy:
            one: datetime
            two: Annotated[datetime, SECONDS]
            three: Annotated[datetime, timestamp("rfc3339")]
            four: int

        error = refused(converter, {}, Needy)

        assert [
            "$.one: one is missing: wanted a timestamp",
            "$.two: two is missing: wanted a number of seconds since 1970",
            "$.three: three is missing: wanted RFC 3339 text with an offset, like 2023-11-14T22:13:20Z",
            "$.four: required field missing",
        ] == explain(error)
        assert ["missing"] * 3 == [violation.code for _, violation in located(error)]

    def test_other_problems(self, converter: cattrs.Converter) -> None:
        """
        What is none of ours is explained in the words of cattrs, and not located.
        """

        @attrs.define
        class Mixed:
            number: int
            at: datetime

            def __attrs_post_init__(self) -> None:
                raise ValueError

        error = refused(converter, {"number": "x", "at": 1700000000000}, Mixed)
        whole = refused(converter, {"number": 1, "at": 1700000000000}, Mixed)
        scalar = refused(converter, {"services": 5}, Site)

        assert ["$.number: invalid value for type, expected int"] == explain(error)
        assert ["$: invalid value"] == explain(whole)
        assert ["$.services: invalid value for type, expected list"] == explain(scalar)
        assert ["$: invalid value"] == explain(ValueError("nothing of cattrs"))
        assert [] == located(error) + located(whole) + located(scalar)

    def test_guarded_inside(self, converter: cattrs.Converter) -> None:
        """
        A guarded class that refuses the instance is located by the attribute to blame.
        """
        raw = [{"created_at": 1700000000000, "updated_at": 1600000000000}]
        error = refused(converter, raw, list[Slotted])

        assert [("$[0].updated_at", ("out_of_order", "updated_at", "created_at"))] == [
            (path, violation.fault) for path, violation in located(error)
        ]

    def test_without_details(self) -> None:
        """
        Without detailed validation the first problem is raised as it is, and nobody knows where it was.
        """
        for converter in converters(detailed=False):
            error = refused(converter, {"services": [{"updatedAt": None}]}, Site)
            whole = refused(converter, [{"created_at": 1700000000000, "updated_at": 1600000000000}], list[Slotted])

            assert isinstance(error, InvalidTimestamps)
            assert ["$: value is null: wanted a number of milliseconds since 1970"] == explain(error)
            assert ["$"] == [path for path, _ in located(whole)]

    def test_error_in_a_group_of_its_own(self) -> None:
        """
        An error of the elements together keeps the path of what holds them.
        """
        found = Violation("null", "value", None, None, "text")
        error = cattrs.IterableValidationError("While structuring", [InvalidTimestamps([found])], list)

        assert [("$", found)] == located(error)

    def test_judged_on_reading(self) -> None:
        """
        A timestamp in place of the encoding refuses what lies in the future or too early.
        """
        converter = cattrs.Converter()
        register_timestamps(converter, timestamp("epoch_ms", now=T))

        assert to_datetime(T) == converter.structure(1700000000000, datetime)
        assert 1700000000000 == converter.unstructure(to_datetime(T))
        for raw, code in ((1700000000, "too_early"), (1700000005001, "in_future")):
            with pytest.raises(InvalidTimestamps) as caught:
                converter.structure(raw, datetime)
            assert [(code, "value", None)] == codes(caught)

    @pytest.mark.parametrize(
        ("value", "code"), [(datetime(2023, 1, 1), "wrong_type"), (None, "null"), ("x", "wrong_type")]
    )
    def test_writing(self, converter: cattrs.Converter, value: Any, code: str) -> None:
        """
        What is no aware datetime is not written.
        """
        with pytest.raises(InvalidTimestamps, match="wanted a datetime with a time zone") as caught:
            converter.unstructure(Page(value))

        assert [(code, "value", None)] == codes(caught)

    def test_writing_is_not_judging(self, converter: cattrs.Converter) -> None:
        """
        What stands for "unknown" is written as it is.
        """
        assert 0 == converter.unstructure(datetime(1970, 1, 1, tzinfo=UTC))

    def test_optional_inside_the_annotation(self, converter: cattrs.Converter) -> None:
        """
        `Annotated[datetime | None, ...]` may be null as well, both ways.
        """
        page = converter.structure({**PAGE, "new": None}, Page)

        assert page.new is None
        assert converter.unstructure(page)["new"] is None

    def test_registered_again(self, converter: cattrs.Converter) -> None:
        """
        The last registration counts, also for classes that were structured before.
        """
        assert 1700000000000 == converter.unstructure(Page(to_datetime(T)))["updatedAt"]
        register_timestamps(converter, "rfc3339")

        assert "2023-11-14T22:13:20Z" == converter.unstructure(Page(to_datetime(T)))["updatedAt"]

    def test_usage(self) -> None:
        """
        An unknown encoding is refused at once.
        """
        with pytest.raises(UsageError, match="unknown encoding"):
            register_timestamps(cattrs.Converter(), "milliseconds")


def test_imports_attrs_alone() -> None:
    """
    Importing the validators loads neither cattrs nor anything heavier.
    """
    heavy = ["cattrs", "msgspec", "sqlalchemy", "pydantic", "pandas", "numpy"]
    code = f"import sys, timestamp_guard.validators; print([name for name in {heavy} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]\n" == ran.stdout


def test_public_names() -> None:
    """
    Everything that is listed is there.
    """
    assert [] == [name for name in validators.__all__ if not hasattr(validators, name)]
    assert isinstance(timestamp("epoch_ms"), Timestamp)
    assert isinstance(GUARD & in_order(Field("a"), "b"), Guard)
