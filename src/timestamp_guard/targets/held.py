"""
The guard as a database holds it by itself: of rows that are about to be stored, with constants in place of parameters
and the server's clock in place of NOW.

A constraint may not look at a clock, so the rules are divided: what is always the same goes into a CHECK, what is about
NOW into a trigger. What SQL cannot say exactly is not held at all, and is told so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, Protocol

import sqlalchemy as sa
from attrs import frozen

from ..instants import EXACT_FLOAT, YEAR_1, YEAR_10000, Encoding, encode
from ..repairs import Candidate, Repair
from ..rules import At, Field, Guard, Moment, Now, Ordered, Pair, Present, Rule
from .python import native_bounds
from .sql import Expression, SqlGuard, _floored, constant
from .typed import MICROSECOND, NUMBERS, TypedColumn, TypedGuard, _ahead

__all__ = ["Division", "HeldSql", "HeldTyped", "divide"]

NEVER: Final = Moment(0, 0)
"""For a guard without NOW."""


@frozen
class Division:
    """
    A guard in parts: what can be said of a row alone, what needs a clock, fields of which only null can be refused, and
    rules that cannot be said.
    """

    fixed: Guard
    clocked: Guard
    bare: tuple[str, ...]
    unsaid: tuple[str, ...]


def divide(guard: Guard, speaks: Callable[[Guard], bool], encodings: Mapping[str, Encoding]) -> Division:
    """Divide *guard*, of which *speaks* says what SQL can judge exactly."""
    fixed: list[Rule] = []
    clocked: list[Rule] = []
    bare: list[str] = []
    unsaid: list[str] = []
    for rule in guard.rules:
        if isinstance(rule, Present):
            if speaks(Guard((rule,))):
                fixed.append(rule)
            else:
                bare.append(rule.field)
            continue
        for pair in rule.pairs():
            one = Ordered((pair.earlier, pair.later))
            about_now = isinstance(pair.earlier, Now) or isinstance(pair.later, Now)
            if not speaks(Guard((one,))) or (about_now and not _whole(pair, encodings)):
                unsaid.append(str(pair))
            else:
                (clocked if about_now else fixed).append(one)
    return Division(Guard(tuple(fixed)), Guard(tuple(clocked)), tuple(bare), tuple(unsaid))


def _step(name: str, encodings: Mapping[str, Encoding]) -> int:
    encoding = encodings[name]
    return encoding.resolution_ns if encoding.is_number else max(encoding.resolution_ns, MICROSECOND)


def _whole(pair: Pair, encodings: Mapping[str, Encoding]) -> bool:
    """Whether the shifts are whole steps: then what is rounded down can be shifted after."""
    step = _step(pair.fields[0], encodings)
    return not pair.earlier.shift_ns % step and not pair.later.shift_ns % step


class _Guarded(Protocol):
    """What is asked of a guard in SQL."""

    guard: Guard
    fields: tuple[str, ...]
    columns: dict[str, Expression]
    pairs: list[Pair]
    _bounded: dict[str, tuple[bool, ...]]

    def _unread(self, name: str, value: Expression) -> Expression: ...
    def _in_range(self, name: str, value: Expression) -> Expression: ...
    def _in_order(self, pair: Pair) -> Expression: ...


def _holds(guard: _Guarded) -> list[Expression]:
    """
    What must be true of a row, each part by itself; false where it is not, and never null for a row that is broken.

    That a required column is not null is said by itself and first: from that, PostgreSQL proves NOT NULL.
    """
    required = [name for name in guard.fields if name in guard.guard.required]
    parts: list[Expression] = [guard.columns[name].is_not(None) for name in required]
    for name in guard.fields:
        value = guard.columns[name]
        if name in required:
            parts.append(guard._in_range(name, value))  # noqa: SLF001 - of the same family
        elif any(guard._bounded[name]):  # noqa: SLF001 - as above
            parts.append(sa.or_(guard._unread(name, value), guard._in_range(name, value)))  # noqa: SLF001 - as above
    for pair in guard.pairs:
        unread_of = [guard._unread(name, guard.columns[name]) for name in pair.fields if name not in required]  # noqa: SLF001
        parts.append(sa.or_(*unread_of, guard._in_order(pair)) if unread_of else guard._in_order(pair))  # noqa: SLF001
    return parts


class HeldTyped(TypedGuard):
    """
    The fixed part of a guard over typed columns, with its bounds as constants; `row` says how a column is named where
    the expressions are used.
    """

    def __init__(
        self,
        guard: Guard,
        encodings: Mapping[str, Encoding],
        columns: Mapping[str, TypedColumn],
        row: Callable[[str], str],
    ) -> None:
        super().__init__(guard, encodings, columns)
        self._row = row
        self._limits = self.limits(NEVER)
        self.columns = {name: self._column(name) for name in self.fields}

    def _column(self, name: str) -> Expression:
        return sa.literal_column(self._row(name), sa.types.NullType())

    def given(self, name: str, parameter: str) -> Expression:
        """A bound, as a constant of the column's type."""
        return self._constant(name, self._limits[parameter])

    def _constant(self, name: str, value: Any) -> Expression:
        wide = {"whole": "numeric", "decimal": "numeric", "float": "float8"}.get(self._kind(name))
        plain = value if self._kind(name) == "whole" and abs(value) < 2**31 else None
        if plain is not None or (self._kind(name) == "whole" and abs(value) < 2**63):
            return constant(value)  # the server compares it with integers of any width, and by an index
        text = format(value, "f") if isinstance(value, Decimal) else repr(value) if isinstance(value, float) else value
        return self._cast(constant(str(text)), wide or self._time(name))

    def holds(self) -> list[Expression]:
        """What must be true of a row; see :func:`_holds`."""
        return _holds(self)

    # -- in fewer words: these are tested at every write

    def _unread(self, name: str, value: Expression) -> Expression:
        """Whether *value* is no instant; true where it is null."""
        return sa.or_(value.is_(None), sa.not_(sa.and_(sa.true(), *self._instant(name, value, None))))

    def _instant(self, name: str, value: Expression, low: int | None) -> list[Expression]:
        """What must be true of a value that is not null, nor before *low*, for it to be an instant."""
        kind = self._kind(name)
        if kind in NUMBERS:
            tests = [sa.not_(self._placeholder(name, value))] if self._holds_places(name) else []
            if low is not None and self._positive(name):
                tests = []
            if kind != "whole":
                tests.append(sa.not_(self._infinite(value)))
                most = constant(10**41) if kind == "decimal" else constant(float(EXACT_FLOAT))
                size = sa.func.abs(value)
                tests.append(size < most if kind == "decimal" else size <= most)
            return tests
        first, end = YEAR_1, YEAR_10000
        spans = sorted(self.encodings[name].placeholders.spans)
        while spans and spans[-1][1] >= end:
            end = spans.pop()[0]
        spans = [(start, stop) for start, stop in spans if low is None or stop > low]
        tests = [value < self._at(name, end)]
        if low is None:
            tests.append(value >= self._at(name, first))
        return tests + [
            sa.not_(sa.and_(value >= self._at(name, start), value < self._at(name, stop)))
            for start, stop in spans
            if -(-start // MICROSECOND) < -(-stop // MICROSECOND)
        ]

    def _in_range(self, name: str, value: Expression) -> Expression:
        low, high = self._bounded[name]
        least = native_bounds(self.guard, name, self.encodings[name], NEVER)[0] if low else None
        tests = [value >= self._low(name)] if low else []
        tests += [value < self._high(name)] if high else []
        known = int(least) if least is not None and self._kind(name) not in NUMBERS else None
        if known is None and low and self._kind(name) in NUMBERS:
            known = 0
        return sa.and_(sa.true(), *tests, *self._instant(name, value, known))

    def _times_ordered(self, pair: Pair, earlier: Expression, later: Expression, step: int, added: int) -> Expression:
        kinds = {self._kind(name) for name in pair.fields}
        if added or kinds != {"instant"}:
            return super()._times_ordered(pair, earlier, later, step, added)
        if step <= MICROSECOND:
            return earlier <= later
        # Nothing is added, so no sum can leave its range.
        first, second = (each.op("AT TIME ZONE", precedence=9)(constant("UTC")) for each in (earlier, later))
        return self._truncated(first, step) <= self._truncated(second, step)

    # -- the clock

    def now(self, name: str, shift_ns: int = 0) -> Expression:
        """The server's clock as the field *name* would hold it, moved by *shift_ns*."""
        step = _step(name, self.encodings)
        if self._kind(name) in NUMBERS:
            steps = self._steps_now(step)
            moved = steps + constant(shift_ns // step) if shift_ns // step else steps
            by = step // (self.encodings[name].unit or 1)
            return moved * constant(by) if by != 1 else moved
        utc = self._moved(self._truncated(self._clock(), step), shift_ns)
        if self._kind(name) == "instant":
            return utc.op("AT TIME ZONE", precedence=9)(constant("UTC"))
        ahead = (_ahead(self.encodings[name]) or 0) // MICROSECOND
        return utc + self._interval(ahead) if ahead else utc

    @staticmethod
    def _clock() -> Expression:
        return sa.literal_column("(clock_timestamp() AT TIME ZONE 'UTC')", sa.types.NullType())

    @staticmethod
    def _steps_now(step: int) -> Expression:
        """The clock in steps of so many nanoseconds, rounded down; a decimal, so that no sum leaves its range."""
        return sa.literal_column(
            f"div(floor(extract(epoch FROM clock_timestamp()) * 1000000) * 1000, {step})", sa.types.NullType()
        )

    def in_time(self, pair: Pair, value: Expression) -> Expression:
        """Whether *value*, which is present, is in the order of *pair* with the clock."""
        (name,) = pair.fields
        step = _step(name, self.encodings)
        added = pair.earlier.shift_ns - pair.later.shift_ns
        first = isinstance(pair.earlier, Field)
        if self._kind(name) in NUMBERS:
            held = self._floored(self._kind(name), value, step // (self.encodings[name].unit or 1))
            now = self._steps_now(step)
            steps = -added // step if first else added // step
            now = now + constant(steps) if steps else now
        else:
            utc = value.op("AT TIME ZONE", precedence=9)(constant("UTC"))
            held = self._truncated(utc if self._kind(name) == "instant" else self._utc(name, value), step)
            now = self._moved(self._truncated(self._clock(), step), -added if first else added)
        return held <= now if first else now <= held

    def timely(self, clocked: Guard) -> list[Expression]:
        """What must be true of a row by the clock."""
        found = []
        for pair in clocked.pairs():
            (name,) = pair.fields
            value = self._column(name)
            found.append(sa.or_(self._unread(name, value), self.in_time(pair, value)))
        return found

    # -- filling

    def choices(self, repair: Repair, clocked: Guard) -> list[tuple[Expression, Expression]]:
        """What each candidate of *repair* would put into its field, and whether the guard holds with it."""
        found = []
        for candidate in repair.candidates:
            value = self._value(repair.field, candidate)
            timely = [self.in_time(pair, value) for pair in clocked.pairs() if pair.fields == (repair.field,)]
            found.append((sa.and_(self.allows(repair.field, value), *timely), value))
        return found

    def _value(self, name: str, candidate: Candidate) -> Expression:
        match candidate:
            case Field(other):
                return self._column(other)
            case At(instant, shift_ns):
                return self._constant(name, self.written(name, encode(instant + shift_ns, self.encodings[name])))
            case Now(shift_ns):
                return self.now(name, shift_ns)
            case _:
                msg = f"{candidate} is not said in SQL"
                raise TypeError(msg)


class HeldSql(SqlGuard):
    """The fixed part of a guard over columns of SQLite, with its bounds as constants."""

    def __init__(self, guard: Guard, encodings: Mapping[str, Encoding], row: Callable[[str], str]) -> None:
        super().__init__(guard, encodings)
        self._row = row
        self._limits = self.limits(NEVER)
        self.columns = {name: self._column(name) for name in self.fields}

    def _column(self, name: str) -> Expression:
        return sa.literal_column(self._row(name), sa.types.NullType())

    def given(self, name: str, parameter: str) -> Expression:  # noqa: ARG002 - the signature is that of all guards
        """A bound, as a constant."""
        return constant(self._limits[parameter])

    def _unread(self, name: str, value: Expression) -> Expression:
        return self._cause(name, value) != constant(0)

    def holds(self) -> list[Expression]:
        """What must be true of a row; see :func:`_holds`."""
        return _holds(self)

    # -- the clock, to the millisecond that SQLite knows

    @staticmethod
    def _steps_now(step: int) -> Expression:
        return sa.literal_column(
            f"(CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER) * 1000000 / {step})", sa.types.NullType()
        )

    def now(self, name: str, shift_ns: int = 0) -> Expression:
        """The clock as the field *name* would hold it, moved by *shift_ns*."""
        step = _step(name, self.encodings)
        steps = self._steps_now(step)
        moved = steps + constant(shift_ns // step) if shift_ns // step else steps
        by = step // (self.encodings[name].unit or 1)
        return moved * constant(by) if by != 1 else moved

    def timely(self, clocked: Guard) -> list[Expression]:
        """What must be true of a row by the clock."""
        found = []
        for pair in clocked.pairs():
            (name,) = pair.fields
            value, step = self._column(name), _step(name, self.encodings)
            held = _floored(value, step // (self.encodings[name].unit or 1))
            first = isinstance(pair.earlier, Field)
            # Only the clock is moved: a value could leave the range of integers.
            steps = (pair.earlier.shift_ns - pair.later.shift_ns) // step * (-1 if first else 1)
            now = self._steps_now(step)
            now = now + constant(steps) if steps else now
            found.append(sa.or_(self._unread(name, value), held <= now if first else now <= held))
        return found
