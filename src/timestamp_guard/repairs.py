"""
Which faults of a field may be mended, and where the right value may be found.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final, TypeAlias, assert_never

import attrs
from attrs import frozen

from .errors import UsageError
from .instants import (
    ABSENT,
    EXACT_FLOAT,
    Encoding,
    Encodings,
    Raw,
    decode,
    encode,
    encodings_for,
    from_datetime,
    show,
)
from .predicate import CODES, Code, violations
from .rules import At, Field, Guard, Moment, Now

__all__ = [
    "MISSING",
    "By",
    "Candidate",
    "Earliest",
    "Latest",
    "Mend",
    "Repair",
    "Reread",
    "by",
    "earliest",
    "latest",
    "mend",
    "needs",
    "reread",
]

MISSING: Final[frozenset[Code]] = frozenset({"missing", "null", "placeholder"})
"""The codes that a repair mends unless it names others: nothing that is present is replaced."""


@frozen
class Latest:
    """The latest of several candidates, of those that can be read."""

    of: tuple[Candidate, ...]

    def __str__(self) -> str:
        return f"latest({', '.join(map(str, self.of))})"


@frozen
class Earliest:
    """The earliest of several candidates, of those that can be read."""

    of: tuple[Candidate, ...]

    def __str__(self) -> str:
        return f"earliest({', '.join(map(str, self.of))})"


@frozen
class Reread:
    """A field's own value, read in another encoding: seconds stored where milliseconds belong hold the truth."""

    name: str
    encoding: Encoding

    def __str__(self) -> str:
        return f"reread({self.name}, {self.encoding})"


@frozen
class By:
    """What a function of the record says: an aware datetime, or None where it knows none."""

    name: str
    function: Callable[[Mapping[str, Raw]], datetime | None] = attrs.field(eq=False, repr=False)

    def __str__(self) -> str:
        return f"by({self.name})"


Candidate: TypeAlias = Field | At | Now | Latest | Earliest | Reread | By


def _candidate(given: object) -> Candidate:
    match given:
        case str():
            return Field(given)
        case datetime():
            return At(from_datetime(given))
        case Field() | At() | Now() | Latest() | Earliest() | Reread() | By():
            return given
        case _:
            msg = f"{given!r} is no candidate: name a field, or give an aware datetime, NOW, latest(), reread() ..."
            raise UsageError(msg)


def latest(*candidates: str | datetime | Candidate) -> Latest:
    """The latest of *candidates*, of those that can be read."""
    return Latest(_several("latest", candidates))


def earliest(*candidates: str | datetime | Candidate) -> Earliest:
    """The earliest of *candidates*, of those that can be read."""
    return Earliest(_several("earliest", candidates))


def _several(name: str, given: tuple[str | datetime | Candidate, ...]) -> tuple[Candidate, ...]:
    if not given:
        msg = f"{name}() needs at least one candidate"
        raise UsageError(msg)
    return tuple(map(_candidate, given))


def reread(name: str, encoding: str | Encoding) -> Reread:
    """The value of the field *name* itself, read in another *encoding*."""
    return Reread(name, Encoding.parse(encoding))


def by(name: str, function: Callable[[Mapping[str, Raw]], datetime | None]) -> By:
    """What *function* says of the record; *name* is what the ledger calls it."""
    return By(name, function)


def _candidates(given: Iterable[str | datetime | Candidate] | str) -> tuple[Candidate, ...]:
    if isinstance(given, str):
        given = (given,)
    return tuple(map(_candidate, given))


def _codes(given: Code | Iterable[Code]) -> frozenset[Code]:
    codes = frozenset[Code]([given] if isinstance(given, str) else given)
    for code in codes:
        if code not in CODES:
            msg = f"unknown code {code!r}; one of {', '.join(CODES)}"
            raise UsageError(msg)
    return codes


@frozen
class Repair:
    """
    Mend `field` where it is broken in one of `codes`, with the first of `candidates` that satisfies the guard.

    Raises:
        UsageError: an unknown code, no candidate, or a candidate that is none.
    """

    field: str
    candidates: tuple[Candidate, ...] = attrs.field(converter=_candidates)
    codes: frozenset[Code] = attrs.field(default=MISSING, converter=_codes)

    def __attrs_post_init__(self) -> None:
        if not self.candidates:
            msg = f"a repair of {self.field!r} needs at least one candidate"
            raise UsageError(msg)
        if Field(self.field) in self.candidates:
            msg = f"{self.field!r} cannot be filled from itself; reread() reads it in another encoding"
            raise UsageError(msg)

    def __str__(self) -> str:
        codes = ", ".join(code for code in CODES if code in self.codes)
        return f"{self.field} <- {', '.join(map(str, self.candidates))} where {codes}"


@frozen
class Mend:
    """The value that a repair found, as it will be written, and the index of the candidate it came from."""

    after: Raw
    candidate: int


def needs(repair: Repair, guard: Guard) -> tuple[str, ...] | None:
    """The fields that judging and mending a record reads; None for all, where a function is asked."""
    names = dict.fromkeys((*guard.fields, repair.field))
    pending = list(repair.candidates)
    while pending:
        match pending.pop(0):
            case Field(name) | Reread(name):
                names[name] = None
            case Latest(of) | Earliest(of):
                pending += of
            case By():
                return None
            case At() | Now():
                pass
            case other:
                assert_never(other)
    return tuple(names)


def read_by(repair: Repair, guard: Guard) -> tuple[str, ...]:
    """The fields that need an encoding: those of the guard, and those that a candidate reads."""
    names = dict.fromkeys((*guard.fields, repair.field))
    pending = list(repair.candidates)
    while pending:
        match pending.pop(0):
            case Field(name):
                names[name] = None
            case Latest(of) | Earliest(of):
                pending += of
            case _:
                pass
    return tuple(names)


def mend(
    record: Mapping[str, Raw],
    repair: Repair,
    guard: Guard,
    encodings: Encodings,
    moment: Moment,
    pinned: int,
) -> Mend | None:
    """
    The first candidate with which nothing that the guard says about the field is broken, in its written form.

    *pinned* is the NOW of the run as a value. None where no candidate holds.
    Whether the record needs mending is not asked.
    """
    read = encodings_for(read_by(repair, guard), encodings)
    asked = guard.about(repair.field)
    return first_sound(record, repair, read, pinned, lambda tried: not violations(tried, asked, read, moment))


def first_sound(
    record: Mapping[str, Raw],
    repair: Repair,
    read: Mapping[str, Encoding],
    pinned: int,
    sound: Callable[[Mapping[str, Raw]], bool],
    number: type[int | float] | None = None,
) -> Mend | None:
    """
    What :func:`mend` does, with any function that says whether the guard holds of the field: a faster one, say.

    *number* is what numbers are written as: a candidate that cannot be is passed over.
    """
    target = read[repair.field]
    for index, candidate in enumerate(repair.candidates):
        written = _as(number, _written(record, candidate, read, target, pinned))
        if written is ABSENT:
            continue
        if isinstance(decode(written, target), int) and sound({**record, repair.field: written}):
            return Mend(written, index)
    return None


def _written(
    record: Mapping[str, Raw],
    candidate: Candidate,
    read: Mapping[str, Encoding],
    target: Encoding,
    pinned: int,
) -> Raw:
    """What would be written for *candidate*; ABSENT where it has nothing."""
    if isinstance(candidate, Field) and not candidate.shift_ns and read[candidate.name].same_form(target):
        raw = record.get(candidate.name, ABSENT)
        return raw if isinstance(decode(raw, read[candidate.name]), int) else ABSENT
    if isinstance(candidate, Latest | Earliest):
        chosen = _extreme(record, candidate, read, pinned)
        return ABSENT if chosen is None else _written(record, chosen, read, target, pinned)
    instant = _instant(record, candidate, read, pinned)
    if instant is None:
        return ABSENT
    try:
        return encode(instant, target)
    except UsageError:
        return ABSENT


def _as(number: type[int | float] | None, written: Raw) -> Raw:
    """A number as one of that kind, an integer without its fraction; ABSENT where a float would be another."""
    if number is int and isinstance(written, float):
        return math.floor(written) if math.isfinite(written) else ABSENT
    if number is float and type(written) is int:
        return float(written) if abs(written) <= EXACT_FLOAT else ABSENT
    return written


def _extreme(
    record: Mapping[str, Raw], candidate: Latest | Earliest, read: Mapping[str, Encoding], pinned: int
) -> Candidate | None:
    """The inner candidate with the latest or earliest instant; the first of equals."""
    known = [(i, c) for c in candidate.of if (i := _instant(record, c, read, pinned)) is not None]
    if not known:
        return None
    pick = max if isinstance(candidate, Latest) else min
    best = pick(instant for instant, _ in known)
    return next(inner for instant, inner in known if instant == best)


def _instant(record: Mapping[str, Raw], candidate: Candidate, read: Mapping[str, Encoding], pinned: int) -> int | None:
    match candidate:
        case Field(name, shift_ns):
            found = decode(record.get(name, ABSENT), read[name])
            return found + shift_ns if isinstance(found, int) else None
        case At(instant, shift_ns):
            return instant + shift_ns
        case Now(shift_ns):
            return pinned + shift_ns
        case Reread(name, encoding):
            found = decode(record.get(name, ABSENT), encoding)
            return found if isinstance(found, int) else None
        case Latest() | Earliest():
            inner = _extreme(record, candidate, read, pinned)
            return None if inner is None else _instant(record, inner, read, pinned)
        case By(name, function):
            said = function(record)
            if said is None:
                return None
            try:
                return from_datetime(said)
            except UsageError as problem:
                msg = f"candidate {name!r} said {said!r}: {problem}"
                raise UsageError(msg) from None
        case _:
            assert_never(candidate)


def describe(candidate: Candidate, pinned: int) -> str:
    """A candidate for people and ledgers; NOW with the instant that it stands for."""
    return f"{candidate} = {show(pinned + candidate.shift_ns)}" if isinstance(candidate, Now) else str(candidate)
