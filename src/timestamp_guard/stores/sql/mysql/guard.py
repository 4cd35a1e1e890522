"""
The guard as SQL of MariaDB and MySQL.

Times are compared as the numbers that the server makes of them, `20231114221320.123456`: so no text is read as a time,
whatever the session's settings are, 0000-00-00 is less than every time that is one, and there is a number after the last
one. Orders of times are those of microseconds since the year 0, as integers. Nothing is divided but integers by what
divides them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, Inexact
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.mysql import DATETIME

from ....instants import EXACT_FLOAT, YEAR_1, YEAR_10000, Cause, Encoding, Raw
from ....rules import Guard, Pair
from ....targets.sql import CAUSES, Expression, constant
from ....targets.typed import MICROSECOND, NUMBERS, Kind, TypedGuard, _ahead
from ..served.server import Refused
from .table import Column

__all__ = ["MysqlGuard", "written"]

LAST: Final = Decimal(100000101000000)
"""The number of the first time that no column can hold."""

DAY_NS: Final = 86_400 * 10**9
"""More than any zone is ahead or behind."""

EXACTLY: Final = Context(prec=80, traps=[Inexact])


class MysqlGuard(TypedGuard):
    """A guard over *held*, the columns of one table."""

    def __init__(self, guard: Guard, encodings: Mapping[str, Encoding], held: Mapping[str, Column]) -> None:
        super().__init__(guard, encodings, {name: column.typed for name, column in held.items()})
        self.held = held

    # -- parameters

    def _low(self, name: str) -> Expression:
        return _parameter(f"low_{self.fields.index(name)}")

    def _high(self, name: str) -> Expression:
        return _parameter(f"high_{self.fields.index(name)}")

    def given(self, name: str, parameter: str) -> Expression:
        """A parameter that is written to the field *name*."""
        given = _parameter(parameter)
        if self._kind(name) in NUMBERS:
            return given
        return sa.cast(given, DATETIME(fsp=self.held[name].digits or None))

    def written(self, name: str, raw: Raw) -> Any:
        """A value for the field *name*, as a parameter."""
        return written(self.held[name], raw)

    def _stamp(self, name: str, instant: int) -> Any:
        """The number of the first microsecond that is not before an instant."""
        kept = -(-max(YEAR_1, min(YEAR_10000, instant)) // MICROSECOND)
        if self._kind(name) == "local":
            kept += (_ahead(self.encodings[name]) or 0) // MICROSECOND
        kept = max(YEAR_1 // MICROSECOND, kept)
        if kept >= YEAR_10000 // MICROSECOND:
            return LAST
        there = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=kept)
        return Decimal(f"{there.year:04}{there:%m%d%H%M%S.%f}")

    def _at(self, name: str, instant: int) -> Expression:
        return sa.literal_column(str(self._stamp(name, instant)), sa.types.NullType())

    # -- values

    def _bare(self, name: str, value: Expression) -> Expression:
        return value if self._kind(name) in NUMBERS else value.op("+", precedence=7)(constant(0))

    def _cause(self, name: str, value: Expression) -> Expression:
        if self._kind(name) in NUMBERS:
            return super()._cause(name, value)
        tests: list[tuple[Expression, Expression]] = [(value.is_(None), constant(1))]
        datable = self._datable(name, value)
        # A time that is none comes as text.
        for prefix in self.encodings[name].placeholders.prefixes:
            if re.fullmatch(r"[-0-9:. ]*", prefix):
                begins = sa.func.left(_text(value), constant(len(prefix))) == constant(prefix)
                tests.append((sa.and_(sa.not_(datable), begins), constant(5)))
        tests.append((sa.not_(datable), constant(2)))
        if self._holds_places(name):
            tests.append((self._placeholder(name, value), constant(5)))
        return sa.case(*tests, else_=constant(0))

    def _datable(self, name: str, value: Expression) -> Expression:  # noqa: ARG002 - the signature is that of all guards
        # Not so for 0000-00-00, 2024-00-07, 2024-02-31, and the year 0, all of which a column can hold.
        return sa.func.coalesce(sa.func.from_days(sa.func.to_days(value)) == sa.func.date(value), sa.false())

    @staticmethod
    def _infinite(value: Expression) -> Expression:  # noqa: ARG004 - as above
        return sa.false()

    def _placeholder(self, name: str, value: Expression) -> Expression:
        if self._kind(name) in NUMBERS:
            numbers = sorted(self.encodings[name].placeholders.numbers)
            # One by one: a list of numbers is compared as its first one is.
            return sa.or_(sa.false(), *(value == constant(number) for number in numbers))
        return super()._placeholder(name, self._bare(name, value))

    def _between(self, name: str, value: Expression) -> list[Expression]:
        if self._kind(name) in NUMBERS:
            return super()._between(name, value)
        # Of what an instant can be, only 0000-00-00 is none, which lies below every bound.
        datable = [] if self._kind(name) == "instant" else [self._datable(name, value)]
        return [*datable, *self._beside_spans(name, self._bare(name, value))]

    def _lacks(self, name: str, cause: Cause) -> Expression:
        if self._kind(name) in NUMBERS or cause == "null":
            return super()._lacks(name, cause)
        because = self._cause(name, self.columns[name]) == constant(CAUSES.index(cause))
        return sa.and_(sa.not_(self._between_spans(name)), because) if cause == "placeholder" else because

    def _between_spans(self, name: str) -> Expression:
        """That a time is where no placeholder is, most likely: quickly seen, for two times are compared as they are."""
        placeholders = self.encodings[name].placeholders
        last = YEAR_10000 - 1
        edges = [YEAR_1, *(min(edge, last) for span in sorted(placeholders.spans) for edge in span), last]
        low, high = max(itertools.pairwise(edges), key=lambda gap: gap[1] - gap[0])
        if not all(prefix.startswith("0000") for prefix in placeholders.prefixes) or edges != sorted(edges):
            return sa.false()
        value = self.columns[name]
        return sa.and_(value > _literal(low + DAY_NS), value < _literal(high - DAY_NS))

    # -- order

    def _apart(self, first: Expression, second: Expression, steps: int) -> Expression:
        # A sum that is nothing may be less than nothing, -0, and so must not be compared with it.
        return _decimal(first) - _decimal(second) <= constant(-steps)

    def _floored(self, kind: Kind, value: Expression, by: int) -> Expression:
        match kind:
            case "whole":
                finite: Expression = value
            case "decimal":
                finite = sa.case((sa.func.abs(value) < constant(10**41), sa.func.floor(value)))
            case _:
                near = sa.func.abs(value) <= constant(float(EXACT_FLOAT))
                finite = sa.case((near, sa.cast(sa.func.floor(value), sa.BigInteger())))
        if by == 1:
            return finite
        # As a decimal, for an unsigned integer may not become negative; and divided by what divides it, for `/` rounds.
        number = _decimal(finite)
        rest: Expression = sa.func.mod(number, constant(by))
        # Not `< 0`: what is left of a negative number may be -0, which is less than 0 there.
        down = number - rest - sa.case((rest <= constant(-1), constant(by)), else_=constant(0))
        return down.op("/", precedence=8)(constant(by))

    def _times_ordered(self, pair: Pair, earlier: Expression, later: Expression, step: int, added: int) -> Expression:
        by = max(step, MICROSECOND) // MICROSECOND
        sides = []
        for name, value in zip(pair.fields, (earlier, later), strict=True):
            there = self._microseconds(name, value)
            sides.append(there if by == 1 else there.op("DIV", precedence=8)(constant(by)))
        steps = added // (by * MICROSECOND)
        first, second = sides
        if steps > 0:
            exact: Expression = first.op("+", precedence=7)(constant(steps)) <= second
        elif steps < 0:
            exact = first <= second.op("+", precedence=7)(constant(-steps))
        else:
            exact = first <= second
        names = pair.fields
        alike = len({(self._kind(name), self.encodings[name].zone) for name in names}) == 1
        return (
            sa.or_(self._bare(names[0], earlier) <= self._bare(names[1], later), exact)
            if alike and steps <= 0
            else exact
        )

    def _microseconds(self, name: str, value: Expression) -> Expression:
        """A time of UTC in microseconds since the year 0; null where it is none that Python has."""
        whole = sa.func.to_seconds(value).op("*", precedence=8)(constant(10**6))
        there = whole.op("+", precedence=7)(sa.func.microsecond(value))
        ahead = (_ahead(self.encodings[name]) or 0) // MICROSECOND if self._kind(name) == "local" else 0
        if ahead:
            there = there.op("-", precedence=7)(constant(ahead))
        return sa.case((self._datable(name, value), there))

    # -- numbers of the signature

    def _weighed(self, number: Expression, bit: int) -> Expression:
        return number.op("*", precedence=8)(constant(1 << bit))


def written(column: Column, raw: Raw) -> Any:
    """
    A value for *column*, as a parameter that the server writes as it would write what the column holds.

    Raises:
        Refused: the column cannot hold it.
    """
    try:
        match column.kind:
            case "whole" if not isinstance(raw, str | datetime | bool):
                if raw == int(raw):
                    return int(raw)
            case "decimal" if isinstance(raw, int | float | Decimal):
                return Decimal(raw).quantize(Decimal(1).scaleb(-column.scale), context=EXACTLY)
            case "float" if isinstance(raw, int | float | Decimal):
                if raw == float(raw):
                    return float(raw)
            case "instant" if isinstance(raw, datetime) and raw.tzinfo is not None:
                return raw.astimezone(UTC).replace(tzinfo=None).isoformat(" ")
            case "local" if isinstance(raw, datetime):
                return raw.replace(tzinfo=None).isoformat(" ")
            case "text" if isinstance(raw, str):
                return raw
            case _:
                pass
    except (ArithmeticError, ValueError, TypeError):
        pass
    raise Refused(f"{column.name} is declared {column.declared}, which cannot hold {raw!r} as it is")


def _literal(instant: int) -> Expression:
    """A time of UTC, to the second, as a constant."""
    there = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=instant // 10**9)
    return sa.literal_column(f"TIMESTAMP'{there:%Y-%m-%d %H:%M:%S}'", sa.types.NullType())


def _parameter(name: str) -> Expression:
    return sa.bindparam(name, None, type_=sa.types.NullType())


def _decimal(value: Expression) -> Expression:
    return sa.cast(value, sa.Numeric(65, 0))


def _text(value: Expression) -> Expression:
    return sa.cast(value, sa.String())
