"""
The guard on one record: THE meaning.

Slow, short and obvious. Every target says the same in another language, and is tested to agree with this.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias, assert_never, get_args

import attrs
from attrs import frozen

from .instants import (
    ABSENT,
    CAUSES,
    Cause,
    Decoded,
    Encoding,
    Encodings,
    Raw,
    brief,
    decode,
    encodings_for,
    hint,
    show,
)
from .rules import At, Field, Guard, Moment, Now, Ordered, Pair, Present, Term

__all__ = ["CODES", "ORDER_CODES", "Code", "Fault", "Violation", "holds", "undecided", "violations"]

OrderCode: TypeAlias = Literal["too_early", "in_future", "out_of_order"]
Code: TypeAlias = Cause | OrderCode
"""What is wrong: a cause why a field holds no instant, or an order that is broken."""

ORDER_CODES: Final[tuple[OrderCode, ...]] = get_args(OrderCode)
CODES: Final[tuple[Code, ...]] = CAUSES + ORDER_CODES

Fault: TypeAlias = tuple[Code, str, str | None]
"""A violation without its words: code, field and the other field."""


@frozen
class Violation:
    """
    One rule broken by one record.

    `code` is stable, `field` is to blame, `other` is the field it was compared with, `seen` its raw value
    (`ABSENT` where the key is missing), `wanted` and `hint` are for people.
    """

    code: Code
    field: str
    other: str | None
    seen: Raw = attrs.field(eq=False)
    wanted: str = attrs.field(eq=False)
    hint: str | None = attrs.field(default=None, eq=False)

    @property
    def fault(self) -> Fault:
        """Code, field and other field: what targets agree on."""
        return self.code, self.field, self.other

    def __str__(self) -> str:
        name = self.field if self.field.isprintable() and self.field else repr(self.field)
        seen = "" if self.seen is ABSENT or self.seen is None else f" ({brief(self.seen)})"
        said = f"{name} is {self.code}{seen}: wanted {self.wanted}"
        return f"{said}; {self.hint}" if self.hint else said


def violations(record: Mapping[str, Raw], guard: Guard, encodings: Encodings, now: int | Moment) -> list[Violation]:
    """All that is wrong with *record*, in rule order, then pair order; the same code, field and other once."""
    judged = _Record(record, encodings_for(guard.fields, encodings), Moment.at(now))
    found: dict[Fault, Violation] = {}
    for rule in guard.rules:
        match rule:
            case Present(name):
                instant = judged.read(name)
                if not isinstance(instant, int):
                    found.setdefault((instant, name, None), judged.absent(instant, name))
            case Ordered():
                for pair in rule.pairs():
                    if judged.decided(pair) and not judged.in_order(pair):
                        violation = judged.disorder(pair)
                        found.setdefault(violation.fault, violation)
            case _:
                assert_never(rule)
    return list(found.values())


def holds(record: Mapping[str, Raw], guard: Guard, encodings: Encodings, now: int | Moment) -> bool:
    """Whether nothing is wrong with *record*."""
    return not violations(record, guard, encodings, now)


def undecided(record: Mapping[str, Raw], guard: Guard, encodings: Encodings) -> list[tuple[Pair, Cause]]:
    """The pairs that could not be judged, each with the cause why one of its fields holds no instant."""
    read = encodings_for(guard.fields, encodings)
    found: dict[Pair, Cause] = {}
    for pair, name in guard.undecidable():
        instant = decode(record.get(name, ABSENT), read[name])
        if not isinstance(instant, int):
            found.setdefault(pair, instant)
    return list(found.items())


@frozen
class _Record:
    """A record under judgement."""

    raw: Mapping[str, Raw]
    encodings: Mapping[str, Encoding]
    moment: Moment

    def read(self, name: str) -> Decoded:
        return decode(self.raw.get(name, ABSENT), self.encodings[name])

    def decided(self, pair: Pair) -> bool:
        return all(isinstance(self.read(name), int) for name in pair.fields)

    def in_order(self, pair: Pair) -> bool:
        step = max(self.resolution(pair.earlier), self.resolution(pair.later))
        earlier, later = self.instant(pair.earlier, "earlier"), self.instant(pair.later, "later")
        return earlier - earlier % step <= later - later % step

    def instant(self, term: Term, side: Literal["earlier", "later"]) -> int:
        """Where *term* lies; NOW at the end of the moment that lets the record hold."""
        match term:
            case Field(name):
                instant: Any = self.read(name)
            case At(instant):
                pass
            case Now():
                instant = self.moment.earliest if side == "earlier" else self.moment.latest
            case _:
                assert_never(term)
        return int(instant) + term.shift_ns

    def resolution(self, term: Term) -> int:
        """The finest step of *term*; fixed instants and NOW are exact."""
        return self.encodings[term.name].resolution_ns if isinstance(term, Field) else 1

    def absent(self, cause: Cause, name: str) -> Violation:
        seen, encoding = self.raw.get(name, ABSENT), self.encodings[name]
        return Violation(cause, name, None, seen, encoding.wanted, self.hint(name))

    def disorder(self, pair: Pair) -> Violation:
        """The later field is blamed, the earlier is named; a bound is never to blame."""
        blamed, bound = pair.later, pair.earlier
        code: Code = "out_of_order"
        if not isinstance(pair.earlier, Field):
            code = "too_early"
        elif not isinstance(pair.later, Field):
            blamed, bound, code = pair.earlier, pair.later, "in_future"
        assert isinstance(blamed, Field)  # noqa: S101 - a pair has a field, for the type checker
        side: Literal["earlier", "later"] = "later" if code == "in_future" else "earlier"
        limit = self.instant(bound, side) - blamed.shift_ns
        wanted = f"at {'most' if code == 'in_future' else 'least'} {show(limit)}"
        if isinstance(bound, Field):
            other, wanted = bound.name, f"{wanted} ({bound})"
        else:
            other = None
        return Violation(code, blamed.name, other, self.raw[blamed.name], wanted, self.hint(blamed.name))

    def hint(self, name: str) -> str | None:
        return hint(self.raw.get(name, ABSENT), self.encodings[name], self.moment.latest)
