"""
A guard as a trigger of MariaDB or MySQL says it: with its bounds as constants, and the server's clock in place of NOW.

A trigger runs in the session of whoever writes, and so in their time zone. A local time is a number, whatever that is;
an instant is asked for its seconds since 1970, which are the same everywhere. What is made of such seconds goes through
local time, and an hour that comes twice is one of two: so it is looked at again, or not made at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

import sqlalchemy as sa
from attrs import evolve, frozen

from ....instants import EXACT_FLOAT, Encoding, encode
from ....repairs import Candidate, Repair
from ....rules import At, Field, Guard, Now, Pair
from ....targets.held import NEVER, _holds, _step
from ....targets.sql import Expression, constant
from ....targets.typed import MICROSECOND, NUMBERS, _ahead
from .guard import MysqlGuard
from .statements import said
from .table import Column

__all__ = ["Choice", "HeldMysql", "plain"]

SINCE_0: Final = 62_167_219_200 * 10**6
"""Microseconds from the year 0, where the server begins to count days, to 1970."""

CLOCK: Final = "(TO_SECONDS(UTC_TIMESTAMP(6)) * 1000000 + MICROSECOND(UTC_TIMESTAMP(6)))"
"""The clock in microseconds since the year 0: at the beginning of the statement, and the same for all of its rows."""


class _Seconds(sa.types.NullType):
    """Seconds since 1970, where an instant is judged."""


@frozen
class Choice:
    """
    What a candidate writes into its field, on which condition; `again` is what the field must hold then, in seconds, where
    the way into it could have changed it.
    """

    condition: Expression
    value: Expression
    again: Expression | None = None


class HeldMysql(MysqlGuard):
    """A guard over columns of one table; `row` says how a column is named where the expressions are used."""

    def __init__(
        self, guard: Guard, encodings: Mapping[str, Encoding], held: Mapping[str, Column], row: Callable[[str], str]
    ) -> None:
        super().__init__(
            guard, {name: _within(each, held[name]) for name, each in encodings.items() if name in held}, held
        )
        self._row = row
        self._limits = self.limits(NEVER)
        self.columns = {name: self._column(name) for name in self.fields}

    def _column(self, name: str) -> Expression:
        return _said(self._row(name))

    def _low(self, name: str) -> Expression:
        return _number(self._limits[f"low_{self.fields.index(name)}"])

    def _high(self, name: str) -> Expression:
        return _number(self._limits[f"high_{self.fields.index(name)}"])

    def holds(self) -> list[Expression]:
        """What must be true of a row, each part by itself; see :mod:`~timestamp_guard.targets.held`."""
        return _holds(self)

    # -- instants, in whatever zone

    def _is_instant(self, name: str) -> bool:
        return self._kind(name) == "instant"

    def _stamp(self, name: str, instant: int) -> Any:
        if not self._is_instant(name):
            return super()._stamp(name, instant)
        return Decimal(-(-instant // MICROSECOND)).scaleb(-6)

    def _bare(self, name: str, value: Expression) -> Expression:
        if not self._is_instant(name):
            return super()._bare(name, value)
        # Null for 0000-00-00 too.
        return value if isinstance(value.type, _Seconds) else sa.func.unix_timestamp(value)

    def _datable(self, name: str, value: Expression) -> Expression:
        return self._bare(name, value).is_not(None) if self._is_instant(name) else super()._datable(name, value)

    def _microseconds(self, name: str, value: Expression) -> Expression:
        if not self._is_instant(name):
            return super()._microseconds(name, value)
        there = self._bare(name, value).op("*", precedence=8)(constant(10**6))
        return sa.cast(there, sa.BigInteger()).op("+", precedence=7)(constant(SINCE_0))

    def _times_ordered(self, pair: Pair, earlier: Expression, later: Expression, step: int, added: int) -> Expression:
        alike = len({(self._kind(name), self.encodings[name].zone) for name in pair.fields}) == 1
        if added == 0 and step <= MICROSECOND and alike:
            return self._bare(pair.fields[0], earlier) <= self._bare(pair.fields[1], later)
        return super()._times_ordered(pair, earlier, later, step, added)

    # -- in few words: these are tested at every write

    def _unread(self, name: str, value: Expression) -> Expression:
        """Whether *value* is no instant; true where it is null."""
        tests: list[Expression] = [value.is_(None)]
        match self._kind(name):
            case "decimal":
                tests.append(sa.func.abs(value) >= constant(10**41))
            case "float":
                tests.append(sa.func.abs(value) > constant(float(EXACT_FLOAT)))
            case "instant" | "local":
                tests.append(sa.not_(self._datable(name, value)))
            case _:
                pass
        return sa.or_(*tests, *([self._placeholder(name, value)] if self._holds_places(name) else []))

    def _in_range(self, name: str, value: Expression) -> Expression:
        low, high = self._bounded[name]
        bare = self._bare(name, value)
        tests = [bare >= self._low(name)] if low else []
        tests += [bare < self._high(name)] if high else []
        match self._kind(name):
            case "decimal":
                tests.append(sa.func.abs(value) < constant(10**41))
            case "float":
                tests.append(sa.func.abs(value) <= constant(float(EXACT_FLOAT)))
            case "local":
                return sa.and_(*tests, self._datable(name, value), *self._beside_spans(name, bare))
            case "instant":
                return sa.and_(*(tests or [self._datable(name, value)]), *self._beside_spans(name, bare))
            case _:
                pass
        if self._holds_places(name) and not (low and self._positive(name)):
            tests.append(sa.not_(self._placeholder(name, value)))
        return sa.and_(sa.true(), *tests)

    # -- steps: of the resolution of a field, counted from the year 0 for times and from 1970 for numbers

    def now(self, name: str, shift_ns: int = 0) -> Expression:
        """The clock, moved."""
        step = _step(name, self.encodings)
        micro = _said(CLOCK if self._kind(name) not in NUMBERS else f"({CLOCK} - {SINCE_0})")
        many = MICROSECOND // step
        now = micro.op("*", precedence=8)(constant(many)) if many > 1 else _divided(micro, step)
        return now.op("+", precedence=7)(constant(shift_ns // step)) if shift_ns // step else now

    def steps(self, name: str, value: Expression) -> Expression:
        """*value*, rounded down; null where it is no instant."""
        step = _step(name, self.encodings)
        if self._kind(name) in NUMBERS:
            return self._floored(self._kind(name), value, step // (self.encodings[name].unit or 1))
        return _divided(self._microseconds(name, value), step)

    def made(self, name: str, steps: Expression) -> tuple[Expression, Expression | None]:
        """What a field holds that is so many steps; and the seconds that it must hold then, as in :class:`Choice`."""
        step = _step(name, self.encodings)
        if self._kind(name) in NUMBERS:
            return steps.op("*", precedence=8)(constant(step // (self.encodings[name].unit or 1))), None
        by = step // MICROSECOND
        micro = steps.op("*", precedence=8)(constant(by)) if by > 1 else steps
        since = micro.op("-", precedence=7)(constant(SINCE_0))
        if self._is_instant(name):
            # Not divided: how many digits that has is a setting of the session.
            seconds = _said(f"({plain(since)}) * 0.000001", _Seconds())
            return sa.func.from_unixtime(seconds), seconds
        ahead = (_ahead(self.encodings[name]) or 0) // MICROSECOND
        return _said(f"(TIMESTAMP'1970-01-01 00:00:00' + INTERVAL ({plain(since)} + {ahead}) MICROSECOND)"), None

    def present(self, name: str) -> Expression:
        """The present time as the field holds it: said so that an instant never goes through a local time."""
        digits = {10**9: 0, 10**6: 3}.get(_step(name, self.encodings), 6)
        return _said(f"NOW({digits})") if self._is_instant(name) else self.made(name, self.now(name))[0]

    def timely(self, clocked: Guard) -> list[Expression]:
        """What must be true of a row by the clock."""
        found = []
        for pair in clocked.pairs():
            (name,) = pair.fields
            value = self._column(name)
            found.append(sa.or_(self._unread(name, value), self._in_time(pair, self.steps(name, value))))
        return found

    def _in_time(self, pair: Pair, steps: Expression) -> Expression:
        """Whether a field that holds so many steps is in the order of *pair* with the clock."""
        (name,) = pair.fields
        added = pair.earlier.shift_ns - pair.later.shift_ns
        if isinstance(pair.earlier, Field):
            return steps <= self.now(name, -added)
        return self.now(name, added) <= steps

    # -- filling

    def choices(self, repair: Repair, clocked: Guard) -> list[Choice]:
        """What each candidate of *repair* would put into its field."""
        found = []
        for candidate in repair.candidates:
            value, judged, again = self._value(repair.field, candidate)
            steps = self.steps(repair.field, judged)
            timely = [self._in_time(pair, steps) for pair in clocked.pairs() if pair.fields == (repair.field,)]
            found.append(Choice(sa.and_(self.allows(repair.field, judged), *timely), value, again))
        return found

    def _value(self, name: str, candidate: Candidate) -> tuple[Expression, Expression, Expression | None]:
        """What a candidate writes, the same as it is judged, and what must be there then."""
        match candidate:
            case Field(other):
                column = self._column(other)
                return column, column, None
            case Now(0):
                return self.present(name), self._judged(name, self.now(name))[0], None
            case Now(shift_ns):
                steps = self.now(name, shift_ns)
            case At(instant, shift_ns) if self._kind(name) in NUMBERS:
                number = _number(encode(instant + shift_ns, self.encodings[name]))
                return number, number, None
            case At(instant, shift_ns):
                step = _step(name, self.encodings)
                steps = constant((instant + shift_ns + SINCE_0 * MICROSECOND) // step)
            case _:
                msg = f"{candidate} is not said in SQL"
                raise TypeError(msg)
        judged, again = self._judged(name, steps)
        return self.made(name, steps)[0], judged, again

    def _judged(self, name: str, steps: Expression) -> tuple[Expression, Expression | None]:
        value, again = self.made(name, steps)
        return (value if again is None else again), again


def _within(encoding: Encoding, column: Column) -> Encoding:
    """*encoding* with only those placeholders that *column* can hold: a TIMESTAMP is after 1970, and ends in 2106."""
    if column.kind != "instant":
        return encoding
    spans = [span for span in encoding.placeholders.spans if span[1] > MICROSECOND and span[0] < 2**32 * 10**9]
    return evolve(encoding, placeholders=evolve(encoding.placeholders, spans=tuple(spans)))


def _divided(micro: Expression, step: int) -> Expression:
    return micro.op("DIV", precedence=8)(constant(step // MICROSECOND)) if step > MICROSECOND else micro


def plain(expression: sa.ClauseElement) -> str:
    """An expression as the server has it, in a statement without parameters."""
    return said(expression).replace("%%", "%")


def _said(text: str, kind: sa.types.TypeEngine[Any] | None = None) -> Expression:
    return sa.literal_column(text, kind if kind is not None else sa.types.NullType())


def _number(value: Any) -> Expression:
    """A number as a constant: one with a point is a decimal there, if it has no exponent."""
    if isinstance(value, float):
        return _said(f"{value!r}" if "e" in repr(value) else f"{value!r}e0")
    return _said(format(value, "f")) if isinstance(value, Decimal) else constant(value)
