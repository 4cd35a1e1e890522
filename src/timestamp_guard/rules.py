"""
What must hold: which instants must be present, and in what order they may come.

The language is closed: two rules, three terms, one connective (`&`), one comparison (`<=`).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeAlias, assert_never

from attrs import evolve, field, frozen

from .errors import UsageError
from .instants import duration_ns, from_datetime, show, show_duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from .instants import Encodings
    from .targets.gate import Compiled

__all__ = [
    "NOW",
    "At",
    "Field",
    "Guard",
    "Moment",
    "Now",
    "Ordered",
    "Pair",
    "Present",
    "Rule",
    "Term",
    "in_order",
    "present",
    "updated_at_guard",
]


class _Shifted:
    """What the three terms share: `term + timedelta`, `term - timedelta`."""

    __slots__ = ()
    shift_ns: int

    def _shifted(self, by: timedelta, sign: int) -> _Shifted:
        if not isinstance(by, timedelta):
            return NotImplemented
        return evolve(self, shift_ns=self.shift_ns + sign * duration_ns(by))  # type: ignore[misc]  # all are attrs

    def _shown(self, name: str) -> str:
        if not self.shift_ns:
            return name
        return f"{name} {'-' if self.shift_ns < 0 else '+'} {show_duration(abs(self.shift_ns))}"


@frozen
class Field(_Shifted):
    """The instant that a field of the record holds."""

    name: str
    shift_ns: int = 0

    def __add__(self, by: timedelta) -> Field:
        return self._shifted(by, 1)  # type: ignore[return-value]  # evolve keeps the class

    def __sub__(self, by: timedelta) -> Field:
        return self._shifted(by, -1)  # type: ignore[return-value]  # evolve keeps the class

    def __str__(self) -> str:
        return self._shown(self.name)


@frozen
class At(_Shifted):
    """A fixed instant, in nanoseconds since 1970."""

    instant: int
    shift_ns: int = 0

    def __add__(self, by: timedelta) -> At:
        return self._shifted(by, 1)  # type: ignore[return-value]  # evolve keeps the class

    def __sub__(self, by: timedelta) -> At:
        return self._shifted(by, -1)  # type: ignore[return-value]  # evolve keeps the class

    def __str__(self) -> str:
        return self._shown(show(self.instant))


@frozen
class Now(_Shifted):
    """The present time."""

    shift_ns: int = 0

    def __add__(self, by: timedelta) -> Now:
        return self._shifted(by, 1)  # type: ignore[return-value]  # evolve keeps the class

    def __sub__(self, by: timedelta) -> Now:
        return self._shifted(by, -1)  # type: ignore[return-value]  # evolve keeps the class

    def __str__(self) -> str:
        return self._shown("NOW")


Term: TypeAlias = Field | At | Now
NOW: Final = Now()
"""The present time, as a term of a rule and as a candidate of a repair."""


@frozen
class Moment:
    """
    What NOW is as a bound: every instant from `earliest` to `latest`.

    A record is broken by NOW only if it is broken at both ends, so a run that pinned its NOW an hour ago does not
    take the value that a live writer just wrote for a fault.
    """

    earliest: int
    latest: int

    @classmethod
    def at(cls, now: int | Moment) -> Moment:
        """A single instant."""
        return now if isinstance(now, Moment) else cls(now, now)

    def and_at(self, now: int) -> Moment:
        """This moment, widened to *now*."""
        return Moment(min(self.earliest, now), max(self.latest, now))


@frozen
class Pair:
    """`earlier <= later`, at least one of them a field."""

    earlier: Term
    later: Term

    def __str__(self) -> str:
        return f"{self.earlier} <= {self.later}"

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that it compares, the earlier first."""
        return tuple(term.name for term in (self.earlier, self.later) if isinstance(term, Field))


@frozen
class Present:
    """The field holds an instant."""

    field: str

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that it mentions."""
        return (self.field,)

    def __str__(self) -> str:
        return f"present({self.field})"


@frozen
class Ordered:
    """Every term is at or before every later one; says nothing about fields that hold no instant."""

    terms: tuple[Term, ...]

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that it mentions."""
        return tuple(term.name for term in self.terms if isinstance(term, Field))

    def pairs(self) -> Iterator[Pair]:
        """Every two terms of which at least one is a field, in order."""
        for earlier, later in itertools.combinations(self.terms, 2):
            if isinstance(earlier, Field) or isinstance(later, Field):
                yield Pair(earlier, later)

    def __str__(self) -> str:
        return f"in_order({', '.join(map(str, self.terms))})"


Rule: TypeAlias = Present | Ordered


def _each_once(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    return tuple(dict.fromkeys(rules))


@frozen
class Guard:
    """What must hold of a record: all of its rules. Join guards with `&`."""

    rules: tuple[Rule, ...] = field(converter=_each_once)

    def __and__(self, other: Guard) -> Guard:
        return Guard(self.rules + other.rules)

    def __str__(self) -> str:
        return " & ".join(map(str, self.rules))

    @functools.cached_property
    def fields(self) -> tuple[str, ...]:
        """The fields that it mentions, each once, in order."""
        return tuple(dict.fromkeys(name for rule in self.rules for name in rule.fields))

    @property
    def required(self) -> tuple[str, ...]:
        """The fields that must be present."""
        return tuple(rule.field for rule in self.rules if isinstance(rule, Present))

    def pairs(self) -> tuple[Pair, ...]:
        """The pairs of all its order rules, each once."""
        return self._pairs

    @functools.cached_property
    def _pairs(self) -> tuple[Pair, ...]:
        ordered = (rule for rule in self.rules if isinstance(rule, Ordered))
        return tuple(dict.fromkeys(pair for rule in ordered for pair in rule.pairs()))

    def about(self, name: str) -> Guard:
        """What it says about the field *name* alone: whether it is present, and each pair it is in."""
        said: list[Rule] = []
        for rule in self.rules:
            match rule:
                case Present():
                    said += [rule] if rule.field == name else []
                case Ordered():
                    said += [Ordered((p.earlier, p.later)) for p in rule.pairs() if name in p.fields]
                case _:
                    assert_never(rule)
        return Guard(tuple(said))

    def undecidable(self) -> tuple[tuple[Pair, str], ...]:
        """
        The pairs that a field without an instant leaves undecided, with that field.

        A required field is not among them: there, the missing instant is a violation itself.
        A pair with a bound counts only for a field that no other field is compared with.
        """
        open_ = [(pair, name) for pair in self.pairs() for name in pair.fields if name not in self.required]
        compared = {name for pair, name in open_ if len(pair.fields) == 2}
        return tuple((p, name) for p, name in open_ if len(p.fields) == 2 or name not in compared)

    def compile(self, encodings: Encodings, *, now: int | Callable[[], int] | None = None) -> Compiled:
        """
        This guard as one fast function for records whose fields are written in *encodings*.

        *now* is an instant in nanoseconds, or a function that gives one; without it, the clock of this machine.

        Raises:
            UsageError: a field has no encoding, or an unknown one.
        """
        from .targets.gate import compiled

        return compiled(self, encodings, now=now)


def present(name: str) -> Guard:
    """The field *name* holds an instant."""
    return Guard((Present(_name(name)),))


def in_order(*terms: str | datetime | Term) -> Guard:
    """
    Each of *terms* is at or before all that follow it: fields, aware datetimes, NOW, each shifted by a timedelta or not.

    Every pair is compared, not only neighbours, so slack belongs at the ends.

    Raises:
        UsageError: fewer than two terms, no field, a field twice, a naive datetime, or two fixed instants out of order.
    """
    chain = Ordered(tuple(map(_term, terms)))
    if len(chain.terms) < 2:
        msg = f"in_order compares at least two terms, {len(chain.terms)} given"
        raise UsageError(msg)
    if not chain.fields:
        msg = f"{chain} names no field: there is nothing to judge"
        raise UsageError(msg)
    twice = [name for name in dict.fromkeys(chain.fields) if chain.fields.count(name) > 1]
    if twice:
        msg = f"{chain} compares {twice[0]!r} with itself"
        raise UsageError(msg)
    fixed = [term.instant + term.shift_ns for term in chain.terms if isinstance(term, At)]
    for earlier, later in itertools.pairwise(fixed):
        if earlier > later:
            msg = f"{chain} can never hold: {show(earlier)} comes after {show(later)}"
            raise UsageError(msg)
    return Guard((chain,))


def updated_at_guard(
    updated: str,
    created: str | None = None,
    *,
    skew: timedelta = timedelta(seconds=5),
    tolerance: timedelta = timedelta(0),
    earliest: datetime = datetime.fromisoformat("2000-01-01T00:00:00+00:00"),
) -> Guard:
    """
    The usual guard: *updated* is present, neither before *earliest* nor more than *skew* in the future,
    and not before *created*, give or take *tolerance*.

    Raises:
        UsageError: a negative *skew* or *tolerance*, a naive *earliest*, or one field for both.
    """
    for name, length in (("skew", skew), ("tolerance", tolerance)):
        if length < timedelta(0):
            msg = f"{name} is {length}, and cannot be negative"
            raise UsageError(msg)
    guard = present(updated) & in_order(earliest, updated, NOW + skew)
    if created is None:
        return guard
    return guard & in_order(earliest, created, NOW + skew) & in_order(Field(_name(created)) - tolerance, updated)


def _name(name: object) -> str:
    if not isinstance(name, str):
        msg = f"a field is named by text, not by {name!r}"
        raise UsageError(msg)
    return name


def _term(term: object) -> Term:
    match term:
        case str():
            return Field(term)
        case datetime():
            return At(from_datetime(term))
        case Field() | At() | Now():
            return term
        case _:
            msg = f"{term!r} is no term: name a field, or give an aware datetime or NOW"
            raise UsageError(msg)
