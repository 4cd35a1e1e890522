"""
The guard and the repair as SQL over columns that hold values of one type each: those of PostgreSQL.

What a column can hold is known there, so less must be asked of a value than in SQLite; but a number that does not fit
is an error, and an error in one row would end the statement for all: so everything is in range before it is computed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, Literal, TypeAlias

import sqlalchemy as sa
from attrs import frozen

from ..errors import UsageError
from ..instants import DAY, EXACT_FLOAT, YEAR_1, YEAR_10000, Cause, Encoding, Raw, duration_ns, encode, offset_of
from ..repairs import Repair
from ..rules import At, Field, Guard, Now, Pair
from .sql import CAUSES, Expression, SqlGuard, constant

__all__ = ["Kind", "TypedColumn", "TypedGuard", "mends_typed", "speaks_typed"]

Kind: TypeAlias = Literal["whole", "decimal", "float", "text", "instant", "local", "binary", "other"]
"""What a column holds: integers, decimals, doubles, text, instants, local times, bytes; anything else."""

NUMBERS: Final = frozenset({"whole", "decimal", "float"})
MICROSECOND: Final = 1000
NEAR: Final = 1_500 * 365 * DAY
"""So far from NOW every time can be written."""

FARTHEST: Final = 100_000 * 365 * DAY
"""No shift is longer where the database adds it to a time: the sum must be one too."""


@frozen
class TypedColumn:
    """A column: its kind, and its type as SQL has it."""

    kind: Kind
    type: str


def speaks_typed(guard: Guard, encodings: Mapping[str, Encoding], columns: Mapping[str, TypedColumn]) -> bool:
    """Whether SQL can judge *guard* over such columns exactly; what it cannot is judged in Python."""
    for name in guard.fields:
        encoding, kind = encodings[name], columns[name].kind
        if encoding.is_number:
            if kind not in NUMBERS or encoding.resolution_ns < (encoding.unit or 0):
                return False
        elif encoding.name != "datetime" or not (
            kind == "instant" or (kind == "local" and _ahead(encoding) is not None)
        ):
            return False
    for pair in guard.pairs():
        if len(pair.fields) == 2:
            first, second = (encodings[name] for name in pair.fields)
            step = max(first.resolution_ns, second.resolution_ns)
            if not first.is_number:
                step = max(step, MICROSECOND)
            added = abs(pair.earlier.shift_ns - pair.later.shift_ns)
            if first.is_number != second.is_number or pair.earlier.shift_ns % step or pair.later.shift_ns % step:
                return False
            if added >= (2**60 * step if first.is_number else FARTHEST):
                return False
    return 3 * len(guard.fields) + 2 * len(guard.fields) + len(guard.pairs()) <= 60


def mends_typed(repair: Repair, encodings: Mapping[str, Encoding], columns: Mapping[str, TypedColumn]) -> bool:
    """Whether SQL can say what *repair* would write: columns of the same type copied as they are, fixed instants, NOW."""
    target = encodings[repair.field]
    for candidate in repair.candidates:
        match candidate:
            case Field(name) if not candidate.shift_ns:
                if encodings[name] != target or columns[name] != columns[repair.field]:
                    return False
            case At(instant, shift_ns):
                if not _writable(instant + shift_ns, target):
                    return False
            case Now(shift_ns):
                if not target.is_number and abs(shift_ns) > NEAR:
                    return False
            case _:
                return False
    return True


def _writable(instant: int, encoding: Encoding) -> bool:
    try:
        encode(instant, encoding)
    except UsageError:
        return False
    return True


def _ahead(encoding: Encoding) -> int | None:
    """How many nanoseconds a local time is ahead of UTC, where that is always the same."""
    if encoding.zone is None:
        return None
    fixed = offset_of(encoding.zone)
    return None if fixed is None else duration_ns(fixed)


class TypedGuard(SqlGuard):
    """A guard over the columns of one table of PostgreSQL."""

    def __init__(self, guard: Guard, encodings: Mapping[str, Encoding], columns: Mapping[str, TypedColumn]) -> None:
        super().__init__(guard, encodings)
        self.types = columns

    def _kind(self, name: str) -> Kind:
        return self.types[name].kind

    # -- parameters

    def _native(self, name: str, bound: Fraction) -> Any:
        whole = -(-bound.numerator // bound.denominator)
        match self._kind(name):
            case "whole":
                return whole
            case "decimal":
                return Decimal(bound.numerator) / Decimal(bound.denominator)  # of a power of ten
            case "float":
                near = float(max(min(bound, Fraction(10**300)), Fraction(-(10**300))))
                return near if Fraction(near) >= bound else math.nextafter(near, math.inf)
            case _:
                return self._stamp(name, int(whole))

    def given(self, name: str, parameter: str) -> Expression:
        """A parameter of the column's type."""
        # Not of a narrower one: a bound may be beyond what the column can hold.
        wide = {"whole": "numeric", "decimal": "numeric", "float": "float8"}.get(self._kind(name))
        return self._cast(sa.bindparam(parameter, None, type_=sa.types.NullType()), wide or self._time(name))

    def written(self, name: str, raw: Raw) -> Any:  # noqa: ARG002 - the signature is that of all guards
        """A value as a parameter: a time as text."""
        if isinstance(raw, datetime):
            return raw.isoformat(" ")
        return raw

    @staticmethod
    def _cast(value: Expression, kind: str) -> Expression:
        return sa.cast(value, _Type(kind))

    def _time(self, name: str) -> str:
        return "timestamp with time zone" if self._kind(name) == "instant" else "timestamp without time zone"

    def _stamp(self, name: str, instant: int) -> str:
        """An instant as the column would have it: the first microsecond that is not before it."""
        kept = -(-instant // MICROSECOND)
        local = self._kind(name) == "local"
        if local:
            kept += (_ahead(self.encodings[name]) or 0) // MICROSECOND
        kept = max(YEAR_1 // MICROSECOND, kept)  # its own first year, which begins before or after that of UTC
        if kept >= YEAR_10000 // MICROSECOND:
            text = "10000-01-01 00:00:00"
        else:
            text = (datetime(1970, 1, 1) + timedelta(microseconds=kept)).isoformat(" ")  # noqa: DTZ001 - written as UTC
        return text if local else text + "+00"

    def _at(self, name: str, instant: int) -> Expression:
        """An instant of our own as a constant of the column's type."""
        return self._cast(constant(self._stamp(name, instant)), self._time(name))

    # -- values

    def _bare(self, name: str, value: Expression) -> Expression:  # noqa: ARG002 - the signature is that of all guards
        return value

    def _cause(self, name: str, value: Expression) -> Expression:
        tests: list[tuple[Expression, Expression]] = [(value.is_(None), constant(1))]
        match self._kind(name):
            case "decimal":
                tests.append((self._infinite(value), constant(3)))
                tests.append((sa.func.abs(value) >= constant(10**41), constant(4)))
            case "float":
                tests.append((self._infinite(value), constant(3)))
                tests.append((sa.func.abs(value) > constant(float(EXACT_FLOAT)), constant(4)))
            case "instant" | "local":
                # Python has no datetime for it, so it is read as text.
                tests.append((sa.not_(self._datable(name, value)), constant(2)))
            case _:
                pass
        if self._holds_places(name):
            tests.append((self._placeholder(name, value), constant(5)))
        return sa.case(*tests, else_=constant(0))

    def _lacks(self, name: str, cause: Cause) -> Expression:
        value, numbers = self.columns[name], self._kind(name) in NUMBERS
        match cause:
            case "null":
                return value.is_(None)
            case "placeholder":
                return self._placeholder(name, value) if self._holds_places(name) else sa.false()
            case "wrong_type":
                return sa.false() if numbers else sa.not_(self._datable(name, value))
            case "not_finite":
                return self._infinite(value) if self._kind(name) in {"decimal", "float"} else sa.false()
            case _:
                return self._cause(name, value) == constant(CAUSES.index(cause))

    def _datable(self, name: str, value: Expression) -> Expression:
        first, last = "0001-01-01 00:00:00", "10000-01-01 00:00:00"
        zone = "+00" if self._kind(name) == "instant" else ""
        kind = self._time(name)
        return sa.and_(
            value >= self._cast(constant(first + zone), kind), value < self._cast(constant(last + zone), kind)
        )

    @staticmethod
    def _infinite(value: Expression) -> Expression:
        return value.in_([constant("NaN"), constant("Infinity"), constant("-Infinity")])

    def _holds_places(self, name: str) -> bool:
        """Whether any value is a placeholder."""
        placeholders = self.encodings[name].placeholders
        return bool(placeholders.numbers if self._kind(name) in NUMBERS else placeholders.spans)

    def _placeholder(self, name: str, value: Expression) -> Expression:
        placeholders = self.encodings[name].placeholders
        if self._kind(name) in NUMBERS:
            numbers = [constant(number) for number in sorted(placeholders.numbers)]
            return value.in_(numbers) if numbers else sa.false()
        spans = [
            sa.and_(value >= self._at(name, start), value < self._at(name, end))
            for start, end in placeholders.spans
            if -(-start // MICROSECOND) < -(-end // MICROSECOND)
        ]
        return sa.or_(sa.false(), *spans)

    def _between(self, name: str, value: Expression) -> list[Expression]:
        tests: list[Expression] = []
        if self._kind(name) not in NUMBERS:
            tests += self._beside_spans(name, value)
        elif self._holds_places(name) and not self._positive(name):
            tests.append(sa.not_(self._placeholder(name, value)))
        match self._kind(name):
            case "float":
                tests.append(sa.func.abs(value) <= constant(float(EXACT_FLOAT)))
            case "decimal":
                tests.append(sa.func.abs(value) < constant(10**41))
            case _:
                pass  # bounds are never beyond what Python has a datetime for
        return tests

    def _beside_spans(self, name: str, value: Expression) -> list[Expression]:
        """That a time between two bounds is no placeholder: of most of those, the lower bound has seen to it."""
        lowest = max(
            (
                pair.earlier.instant + pair.earlier.shift_ns - pair.later.shift_ns
                for pair in self.guard.pairs()
                if pair.fields == (name,) and isinstance(pair.earlier, At)
            ),
            default=YEAR_1,
        )
        tests: list[Expression] = []
        for start, end in self.encodings[name].placeholders.spans:
            if end <= lowest - self.encodings[name].resolution_ns or -(-start // MICROSECOND) >= -(-end // MICROSECOND):
                continue
            before = value < self._at(name, start)
            tests.append(before if end >= YEAR_10000 else sa.or_(before, value >= self._at(name, end)))
        return tests

    # -- order

    def _ordered(self, pair: Pair, earlier: Expression, later: Expression) -> Expression:
        first, second = pair.fields
        added = pair.earlier.shift_ns - pair.later.shift_ns
        step = max(self.encodings[name].resolution_ns for name in pair.fields)
        if self._kind(first) not in NUMBERS:
            return self._times_ordered(pair, earlier, later, step, added)
        sides = [
            self._floored(self._kind(name), value, step // (self.encodings[name].unit or 1))
            for name, value in ((first, earlier), (second, later))
        ]
        steps = added // step
        exact = self._apart(sides[0], sides[1], steps) if steps else sides[0] <= sides[1]
        alike = self._kind(first) == self._kind(second) and self.encodings[first].unit == self.encodings[second].unit
        return sa.or_(earlier <= later, exact) if alike and steps <= 0 else exact

    def _apart(self, first: Expression, second: Expression, steps: int) -> Expression:
        """Whether *first* and so many steps are no more than *second*; computed as decimals, whose range no sum leaves."""
        return self._cast(first, "numeric") + constant(steps) <= self._cast(second, "numeric")

    def _floored(self, kind: Kind, value: Expression, by: int) -> Expression:
        """A finite number divided by *by* and rounded down, exactly; null where it is none."""
        match kind:
            case "whole":
                if by == 1:
                    return value
                # Integers are divided towards zero.
                down = value.op("/", precedence=8)(constant(by))
                return down - sa.case(
                    (value.op("%", precedence=8)(constant(by)) < constant(0), constant(1)), else_=constant(0)
                )
            case "decimal":
                finite: Expression = sa.case((sa.func.abs(value) < constant(10**41), sa.func.floor(value)))
            case _:
                # A cast to a decimal would keep only 15 digits.
                near = sa.func.abs(value) <= constant(float(EXACT_FLOAT))
                finite = sa.case((near, self._cast(sa.func.floor(value), "bigint")))
        if by == 1:
            return finite
        # `/` of decimals rounds; div() does not, but goes towards zero.
        number = self._cast(finite, "numeric")
        quotient: Expression = sa.func.div(number, constant(by))
        return quotient - sa.case((sa.func.mod(number, constant(by)) < constant(0), constant(1)), else_=constant(0))

    def _times_ordered(self, pair: Pair, earlier: Expression, later: Expression, step: int, added: int) -> Expression:
        if added == 0 and step <= MICROSECOND and self._alike(*pair.fields):
            return earlier <= later
        sides = [
            self._truncated(self._utc(name, value), step)
            for name, value in zip(pair.fields, (earlier, later), strict=True)
        ]
        return self._moved(sides[0], max(0, added)) <= self._moved(sides[1], max(0, -added))

    def _alike(self, first: str, second: str) -> bool:
        """Whether two times can be compared as they are."""
        if self._kind(first) != self._kind(second):
            return False
        return self._kind(first) == "instant" or _ahead(self.encodings[first]) == _ahead(self.encodings[second])

    def _utc(self, name: str, value: Expression) -> Expression:
        """A time as a local one of UTC, null where it is none that Python has: so that what is added to it is one too."""
        known = sa.case((self._datable(name, value), value))
        if self._kind(name) == "instant":
            return known.op("AT TIME ZONE", precedence=9)(constant("UTC"))
        ahead = (_ahead(self.encodings[name]) or 0) // MICROSECOND
        return known - self._interval(ahead) if ahead else known

    @staticmethod
    def _interval(microseconds: int) -> Expression:
        return sa.literal_column(f"interval '{microseconds} microseconds'", sa.types.NullType())

    def _moved(self, value: Expression, by: int) -> Expression:
        return value + self._interval(by // MICROSECOND) if by else value

    @staticmethod
    def _truncated(value: Expression, step: int) -> Expression:
        words = {10**6: "milliseconds", 10**9: "second"}
        return sa.func.date_trunc(constant(words[step]), value) if step in words else value

    # -- numbers of the signature

    def _bit(self, test: Expression, bit: int) -> Expression:
        return self._weighed(sa.case((test, constant(1)), else_=constant(0)), bit)

    def _weighed(self, number: Expression, bit: int) -> Expression:
        # A product of small integers is a small integer, or an error.
        return self._cast(number, "bigint") * constant(1 << bit)


class _Type(sa.types.UserDefinedType[Any]):
    """A type by its name."""

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_: Any) -> str:
        """As SQL has it."""
        return self.name
