"""
The guard and the repair as SQL, for columns of numbers in SQLite.

Written with SQLAlchemy Core, which quotes every name. Only what can be compared exactly is said in SQL:
:func:`speaks` and :func:`mends` tell; everything else is judged in Python, never approximately.

Columns may hold any storage class, and in SQLite `INTEGER < TEXT` is true: so a value is known to be a finite number
before anything is computed from it, and a unary plus takes the column's affinity away, by which SQLite would convert
what it is compared with.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final, TypeAlias, cast

import sqlalchemy as sa
from attrs import frozen
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import UnaryExpression

from ..instants import EXACT_FLOAT, Cause, Encoding, Raw, encode
from ..predicate import Code, Fault
from ..repairs import Candidate, Repair
from ..rules import At, Field, Guard, Moment, Now, Ordered, Pair, Present
from .python import native_bounds

__all__ = ["Decoded", "SqlGuard", "SqlRepair", "mends", "speaks"]

Expression: TypeAlias = sa.ColumnElement[Any]

LARGEST: Final = 2**63 - 1
CAUSES: Final[tuple[Cause | None, ...]] = (None, "null", "wrong_type", "not_finite", "imprecise", "placeholder")
"""The causes that a column of numbers can have, by the number that stands for them."""
_CAUSE_BITS: Final = 3


def speaks(guard: Guard, encodings: Mapping[str, Encoding]) -> bool:
    """
    Whether SQL can judge *guard* exactly: numbers, compared in whole steps of their units.

    A resolution finer than the unit, or a shift between two fields that is no multiple of the step, would need
    fractions that a double cannot hold.
    """
    for name in guard.fields:
        encoding = encodings[name]
        if encoding.unit is None or encoding.resolution_ns < encoding.unit:
            return False
    for pair in guard.pairs():
        if len(pair.fields) == 2:
            step = _step(pair, encodings)
            if pair.earlier.shift_ns % step or pair.later.shift_ns % step:
                return False
            if abs(pair.earlier.shift_ns - pair.later.shift_ns) // step >= 2**60:
                return False
    bits = _CAUSE_BITS * len(guard.fields) + 2 * len(guard.fields) + len(guard.pairs())
    return bits <= 60


def mends(repair: Repair, encodings: Mapping[str, Encoding]) -> bool:
    """Whether SQL can say what *repair* would write: columns copied as they are, fixed instants and NOW."""
    target = encodings[repair.field]
    return all(_plain(candidate, target, encodings) for candidate in repair.candidates)


def _plain(candidate: Candidate, target: Encoding, encodings: Mapping[str, Encoding]) -> bool:
    match candidate:
        case Field(name):
            # With other placeholders it would have to be asked whether the candidate is present by its own.
            return not candidate.shift_ns and encodings[name] == target
        case At() | Now():
            return bool(abs(encode(candidate.shift_ns + getattr(candidate, "instant", 0), target)) < 2**62)
        case _:
            return False


def _step(pair: Pair, encodings: Mapping[str, Encoding]) -> int:
    return max(encodings[name].resolution_ns for name in pair.fields)


def native(bound: Fraction) -> int | float:
    """
    The smallest number of SQLite that is not below *bound*: so that comparing with it is comparing with *bound*.

    An integer where there is one; beyond 2**53 integers are all that counts, and below it every integer is a double.
    """
    whole = -(-bound.numerator // bound.denominator)
    if abs(whole) > LARGEST:
        return math.inf if whole > 0 else -math.inf
    if bound.denominator == 1 or abs(bound) >= EXACT_FLOAT:
        return whole
    near = float(bound)
    return near if Fraction(near) >= bound else math.nextafter(near, math.inf)


def constant(value: float | str) -> Expression:
    """A constant of our own, written into the statement: never a name or value from outside."""
    if isinstance(value, str):
        return sa.literal_column(f"'{value}'", sa.types.NullType())
    if value in {math.inf, -math.inf}:
        return sa.literal_column("9e999" if value > 0 else "-9e999", sa.types.NullType())
    return sa.literal_column(repr(value), sa.types.NullType())


def bare(expression: Expression) -> Expression:
    """*expression* without the affinity of its column."""
    return UnaryExpression(expression, operator=operators.custom_op("+"), type_=sa.types.NullType())


def cause_of(value: Expression, encoding: Encoding) -> Expression:
    """The number of the cause why *value* is no instant, 0 where it is one."""
    kind: Expression = sa.func.typeof(value)
    usual = [(is_placeholder(value, encoding), constant(5))] if encoding.placeholders.numbers else []
    fine = sa.case(*usual, else_=constant(0)) if usual else constant(0)
    return sa.case(
        (kind == constant("null"), constant(1)),
        (kind == constant("integer"), fine),
        (
            kind == constant("real"),
            sa.case(
                (is_infinite(value), constant(3)),
                (sa.func.abs(value) > constant(float(EXACT_FLOAT)), constant(4)),
                *usual,
                else_=constant(0),
            ),
        ),
        else_=constant(2),
    )


def is_placeholder(value: Expression, encoding: Encoding) -> Expression:
    """Whether a number is a placeholder."""
    numbers = sorted(n for n in encoding.placeholders.numbers if -LARGEST - 1 <= n <= LARGEST)
    small = [constant(n) for n in numbers if abs(n) <= EXACT_FLOAT]
    large = [constant(n) for n in numbers if abs(n) > EXACT_FLOAT]
    # A double of that size is imprecise, whatever it equals. An empty list would become a parameter.
    said: list[Expression] = [bare(value).in_(small)] if small else []
    said += [sa.and_(sa.func.typeof(value) == constant("integer"), bare(value).in_(large))] if large else []
    return sa.or_(sa.false(), *said)


def is_infinite(value: Expression) -> Expression:
    """Whether a number is an infinity; SQLite stores a NaN as null."""
    return bare(value).in_([constant(math.inf), constant(-math.inf)])


def _one_if(test: Expression) -> Expression:
    """A test as the number that it is in SQLite."""
    return sa.type_coerce(test, sa.Integer())


def _floored(value: Expression, by: int) -> Expression:
    """A finite number divided by *by* and rounded down; CAST and `/` would round towards zero."""
    whole = sa.cast(value, sa.Integer())
    down = whole - _one_if(bare(value) < whole)
    if by == 1:
        return down
    # SQLAlchemy's own division would make a float of it. Nothing is subtracted before it, or the least integer would
    # become a float too.
    return down.op("/", precedence=8)(constant(by)) - _one_if(down % constant(by) < constant(0))


def _whole_steps(pair: Pair, encodings: Mapping[str, Encoding]) -> tuple[int, int, int]:
    """By how much each side is divided to be in steps, and the steps that are added to the earlier."""
    step = _step(pair, encodings)
    first, second = (cast("int", encodings[name].unit) for name in pair.fields)
    return step // first, step // second, (pair.earlier.shift_ns - pair.later.shift_ns) // step


def in_order(pair: Pair, earlier: Expression, later: Expression, encodings: Mapping[str, Encoding]) -> Expression:
    """Whether two present values are in the order of *pair*."""
    by_first, by_second, add = _whole_steps(pair, encodings)
    first, second = _floored(earlier, by_first), _floored(later, by_second)
    # A sum beyond 64 bits would silently become a float.
    if add > 0:
        exact: Expression = sa.and_(first <= constant(LARGEST - add), first + constant(add) <= second)
    elif add < 0:
        exact = sa.or_(second > constant(LARGEST + add), first <= second + constant(-add))
    else:
        exact = first <= second
    if by_first == by_second and add <= 0:
        return sa.or_(bare(earlier) <= bare(later), exact)  # the usual case, at a fraction of the price
    return exact


@frozen
class Decoded:
    """What the signature of a row says: as much as the predicate does, without the words."""

    faults: tuple[Fault, ...]
    causes: tuple[tuple[str, Cause], ...]
    undecided: tuple[tuple[Pair, Cause], ...]


class SqlGuard:
    """A guard over the columns of one table. Bounds are parameters, whose values :meth:`limits` gives for a moment."""

    def __init__(self, guard: Guard, encodings: Mapping[str, Encoding]) -> None:
        self.guard = guard
        self.encodings = encodings
        self.fields = guard.fields
        self.columns: dict[str, Expression] = {name: sa.column(name) for name in self.fields}
        self.pairs = [pair for pair in guard.pairs() if len(pair.fields) == 2]
        self._bounded = {
            name: tuple(each is not None for each in native_bounds(guard, name, encodings[name], Moment(0, 0)))
            for name in self.fields
        }

    # -- bounds

    def limits(self, moment: Moment) -> dict[str, Any]:
        """The values of the parameters."""
        said: dict[str, Any] = {}
        for index, name in enumerate(self.fields):
            low, high = native_bounds(self.guard, name, self.encodings[name], moment)
            if low is not None:
                said[f"low_{index}"] = self._native(name, low)
            if high is not None:
                said[f"high_{index}"] = self._native(name, high)
        return said

    def _low(self, name: str) -> Expression:
        return self.given(name, f"low_{self.fields.index(name)}")

    def _high(self, name: str) -> Expression:
        return self.given(name, f"high_{self.fields.index(name)}")

    # -- what another database says in another way

    def _native(self, name: str, bound: Fraction) -> Any:  # noqa: ARG002 - where columns have types it counts
        """The least value that the field *name* can hold and is not below *bound*."""
        return native(bound)

    def given(self, name: str, parameter: str) -> Expression:  # noqa: ARG002 - as above
        """A parameter that is compared with the field *name*, or written to it."""
        return sa.bindparam(parameter, None, type_=sa.types.NullType())

    def written(self, name: str, raw: Raw) -> Any:  # noqa: ARG002 - as above
        """A value for the field *name*, as a parameter."""
        return raw

    def _bare(self, name: str, value: Expression) -> Expression:  # noqa: ARG002 - as above
        return bare(value)

    def _cause(self, name: str, value: Expression) -> Expression:
        return cause_of(value, self.encodings[name])

    def _placeholder(self, name: str, value: Expression) -> Expression:
        return is_placeholder(value, self.encodings[name])

    def _ordered(self, pair: Pair, earlier: Expression, later: Expression) -> Expression:
        return in_order(pair, earlier, later, self.encodings)

    def _bit(self, test: Expression, bit: int) -> Expression:
        """The number in which *bit* alone is set where *test* holds, else 0."""
        return _one_if(test) * constant(1 << bit)

    def _weighed(self, number: Expression, bit: int) -> Expression:
        """A small number, moved up to *bit*."""
        return number * constant(1 << bit)

    # -- the gate

    def gate(self) -> Expression:
        """True only for rows in which every field holds an instant and nothing is wrong: the cheap way to know."""
        tests = [self._in_range(name, column) for name, column in self.columns.items()]
        tests += [self._in_order(pair) for pair in self.pairs]
        return sa.and_(*tests)

    def _in_range(self, name: str, value: Expression) -> Expression:
        """Whether *value* is an instant within the bounds of the field *name*; false or null where it is none."""
        low, high = self._bounded[name]
        tests: list[Expression] = []
        if low:
            tests.append(self._bare(name, value) >= self._low(name))
        if high:
            tests.append(self._bare(name, value) < self._high(name))
        if low and high:
            tests += self._between(name, value)
        else:
            tests.append(self._cause(name, value) == constant(0))
        return sa.and_(*tests)

    def _between(self, name: str, value: Expression) -> list[Expression]:
        """What must be tested of a value that lies between two bounds, for it to be an instant."""
        # Between two numbers lie only numbers; what is left is imprecise, an infinity too, or a placeholder.
        tests: list[Expression] = []
        if not self._positive(name) and self.encodings[name].placeholders.numbers:
            tests.append(sa.not_(self._placeholder(name, value)))
        near = bare(value) <= constant(EXACT_FLOAT)
        if not self._positive(name):
            near = sa.and_(near, bare(value) >= constant(-EXACT_FLOAT))
        return [*tests, sa.or_(near, sa.func.typeof(value) == constant("integer"))]

    def _positive(self, name: str) -> bool:
        """Whether a fixed bound keeps every placeholder out."""
        fixed = [
            pair.earlier.instant + pair.earlier.shift_ns - pair.later.shift_ns
            for pair in self.guard.pairs()
            if pair.fields == (name,) and isinstance(pair.earlier, At)
        ]
        encoding = self.encodings[name]
        largest = max(encoding.placeholders.numbers, default=0)
        step = encoding.resolution_ns + abs(cast("int", encoding.unit))
        return any(bound - step > max(largest, 0) * cast("int", encoding.unit) for bound in fixed)

    def _in_order(self, pair: Pair) -> Expression:
        first, second = pair.fields
        return self._ordered(pair, self.columns[first], self.columns[second])

    # -- one field with a value in place

    def allows(self, name: str, value: Expression) -> Expression:
        """Whether, with *value* in the field *name*, it holds an instant and nothing said about the field is broken."""
        tests = [self._in_range(name, value)]
        for pair in self.pairs:
            if name not in pair.fields:
                continue
            other = next(each for each in pair.fields if each != name)
            column = self.columns[other]
            if column is value or column.compare(value):
                # The field is compared with the value that it is given: true or false for every row.
                steps = (pair.earlier.shift_ns - pair.later.shift_ns) // _step(pair, self.encodings)
                tests += [] if steps <= 0 else [sa.false()]
                continue
            sides = (value, column) if pair.fields[0] == name else (column, value)
            unread = self._cause(other, column) != constant(0)
            tests.append(sa.or_(unread, self._ordered(pair, *sides)))
        return sa.and_(*tests)

    def broken(self, name: str, codes: Iterable[Code]) -> Expression:
        """Whether the field *name* is broken in one of *codes*."""
        value = self.columns[name]
        present = self._cause(name, value) == constant(0)
        required = name in self.guard.required
        low, high = self._bounded[name]
        tests: list[Expression] = []
        for code in codes:
            match code:
                case "null" | "wrong_type" | "not_finite" | "imprecise" | "placeholder":
                    tests += [self._lacks(name, code)] if required else []
                case "too_early" if low:
                    tests.append(sa.and_(present, self._bare(name, value) < self._low(name)))
                case "in_future" if high:
                    tests.append(sa.and_(present, self._bare(name, value) >= self._high(name)))
                case "out_of_order":
                    for pair in self.pairs:
                        if pair.fields[1] == name:
                            other = pair.fields[0]
                            there = self._cause(other, self.columns[other]) == constant(0)
                            tests.append(sa.and_(present, there, sa.not_(self._in_order(pair))))
                case _:
                    pass  # a column always has its key, a number is never unreadable, and nothing asks for the rest
        return sa.or_(*tests) if tests else sa.false()

    def _lacks(self, name: str, cause: Cause) -> Expression:
        """Whether the field *name* holds no instant, for that cause."""
        value = self.columns[name]
        match cause:
            case "null":
                return value.is_(None)
            case "wrong_type":
                kind: Expression = sa.func.typeof(value)
                return kind.in_([constant("text"), constant("blob")])
            case "not_finite":
                return is_infinite(value)
            case "placeholder":
                return self._placeholder(name, value)
            case _:
                return self._cause(name, value) == constant(CAUSES.index(cause))

    # -- all of it

    def causes(self) -> dict[str, Expression]:
        """The cause of each field, labelled, for the select that :meth:`signature` reads from."""
        return {name: self._cause(name, column) for name, column in self.columns.items()}

    def signature(self, columns: Mapping[str, Expression], causes: Mapping[str, Expression]) -> Expression:
        """One number that says all that is wrong with a row, given its columns and causes; see :meth:`decode`."""
        total: Expression = constant(0)
        bit = 0
        for name in self.fields:
            total = total + self._weighed(causes[name], bit)
            bit += _CAUSE_BITS
        for name in self.fields:
            low, high = self._bounded[name]
            value = self._bare(name, columns[name])
            said: Expression = constant(0)
            if low:
                said = said + self._bit(value < self._low(name), bit)
            if high:
                said = said + self._bit(value >= self._high(name), bit + 1)
            total = total + sa.case((causes[name] == constant(0), said), else_=constant(0))
            bit += 2
        for pair in self.pairs:
            first, second = pair.fields
            ordered = self._ordered(pair, columns[first], columns[second])
            both = sa.and_(causes[first] == constant(0), causes[second] == constant(0))
            broken = sa.case((sa.and_(both, sa.not_(ordered)), constant(1)), else_=constant(0))
            total = total + self._weighed(broken, bit)
            bit += 1
        return total

    @functools.lru_cache(maxsize=4096)  # noqa: B019 - a guard lives as long as its store
    def decode(self, signature: int) -> Decoded:
        """What a signature says."""
        causes: dict[str, Cause] = {}
        for index, name in enumerate(self.fields):
            cause = CAUSES[signature >> _CAUSE_BITS * index & 7]
            if cause is not None:
                causes[name] = cause
        bit = _CAUSE_BITS * len(self.fields)
        bounds = {name: signature >> bit + 2 * index & 3 for index, name in enumerate(self.fields)}
        bit += 2 * len(self.fields)
        disorder = {pair for index, pair in enumerate(self.pairs) if signature >> bit + index & 1}
        undecided: dict[Pair, Cause] = {}
        for pair, name in self.guard.undecidable():
            if name in causes:
                undecided.setdefault(pair, causes[name])
        return Decoded(tuple(self._faults(causes, bounds, disorder)), tuple(causes.items()), tuple(undecided.items()))

    def _faults(self, causes: Mapping[str, Cause], bounds: Mapping[str, int], disorder: set[Pair]) -> dict[Fault, None]:
        """The faults in the order of the rules, each once; of several bounds of a field only the tightest is known."""
        found: dict[Fault, None] = {}
        for rule in self.guard.rules:
            match rule:
                case Present(name) if name in causes:
                    found[causes[name], name, None] = None
                case Ordered():
                    for pair in rule.pairs():
                        if pair in disorder:
                            found["out_of_order", pair.fields[1], pair.fields[0]] = None
                        elif len(pair.fields) == 1:
                            (name,) = pair.fields
                            if isinstance(pair.later, Field) and bounds[name] & 1:
                                found["too_early", name, None] = None
                            elif isinstance(pair.earlier, Field) and bounds[name] & 2:
                                found["in_future", name, None] = None
                case _:
                    pass
        return found


class SqlRepair:
    """A repair over the columns of one table."""

    def __init__(self, guard: SqlGuard, repair: Repair, encodings: Mapping[str, Encoding]) -> None:
        self.guard = guard
        self.repair = repair
        self.encodings = encodings

    def limits(self, moment: Moment, pinned: int) -> dict[str, Any]:
        """The values of the parameters: bounds, and candidates that are the same for every row."""
        said, name = self.guard.limits(moment), self.repair.field
        for index, candidate in enumerate(self.repair.candidates):
            match candidate:
                case At(instant, shift_ns):
                    said[f"given_{index}"] = self.guard.written(name, encode(instant + shift_ns, self.encodings[name]))
                case Now(shift_ns):
                    said[f"given_{index}"] = self.guard.written(name, encode(pinned + shift_ns, self.encodings[name]))
                case _:
                    pass
        return said

    def values(self) -> Sequence[Expression]:
        """What each candidate would write."""
        return [
            sa.column(candidate.name)
            if isinstance(candidate, Field)
            else self.guard.given(self.repair.field, f"given_{index}")
            for index, candidate in enumerate(self.repair.candidates)
        ]

    def broken(self) -> Expression:
        """Whether a row is broken in a code that is to be mended."""
        return self.guard.broken(self.repair.field, sorted(self.repair.codes))

    def chosen(self) -> Expression:
        """The index of the candidate that a broken row is mended with; null where none holds."""
        allowed = [
            (self.guard.allows(self.repair.field, value), constant(index)) for index, value in enumerate(self.values())
        ]
        return sa.case(*allowed)

    def mendable(self) -> Expression:
        """Whether any candidate holds."""
        return sa.or_(*(self.guard.allows(self.repair.field, value) for value in self.values()))

    def after(self) -> Expression:
        """What a broken row would be given where a candidate holds."""
        allowed = [(self.guard.allows(self.repair.field, value), value) for value in self.values()]
        return allowed[0][1] if len(allowed) == 1 else sa.case(*allowed)
