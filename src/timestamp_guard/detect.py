"""
What the tables of a store look like: which fields say when a record was made and changed, and how they are written.

Guesses, each with the share of the values that it rests on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Final

from attrs import frozen

from .engine.drive import clock_of
from .engine.profile import GUESSES, plausible, sampled, shares
from .instants import (
    DAY,
    PLAUSIBLE_FROM,
    Encoding,
    Raw,
    decode,
    hint,
    to_datetime,
)
from .stores.base import Source

__all__ = ["Detected", "Look", "detect", "likely_key"]

SAMPLE: Final = 10_000
"""How many records are looked at."""

UPDATED: Final = (
    "updatedat", "updated", "updatedon", "updateddate", "updatedtime", "updatetime", "updatedate", "updatets",
    "dateupdated", "lastupdated", "lastupdatedat", "lastupdate", "lastupdatetime", "modifiedat", "modified",
    "modifiedon", "modifieddate", "modifiedtime", "datemodified", "lastmodified", "lastmodifiedat", "lastmodifieddate",
    "lastmodifiedtime", "modificationtime", "modificationdate", "mtime", "changedat", "changed", "changedon",
    "lastchanged", "lastchangedat", "editedat", "lastedited", "lasteditedat", "gmtmodified",
)  # fmt: skip
CREATED: Final = (
    "createdat", "created", "createdon", "createddate", "createdtime", "createtime", "createdate", "creationtime",
    "creationdate", "datecreated", "insertedat", "insertedon", "inserted", "addedat", "dateadded", "publishedat",
    "published", "datepublished", "publicationdate", "ctime", "birthtime", "registeredat", "gmtcreate",
)  # fmt: skip
"""Names, small and without marks; the first that is there is taken."""

_NUMBER: Final = Encoding.parse("epoch_ms")
_TEXT: Final = Encoding.parse("iso8601@UTC")

STRING: Final = "string"
"""Text, as the schema of a Convex app has it, and means it."""
_ISO_STRING: Final = Encoding.parse("rfc3339/ms")
"""What `toISOString` writes; JavaScript reads a time without an offset as a local one."""

LIKELY: Final = 0.95
"""The strictest encoding that this share of the values fits is taken."""

FEW: Final = 20
"""From fewer values nothing is concluded about what all of them have in common."""


@frozen
class Look:
    """
    A field that holds instants: its encoding, and the share of `values` that fits it.

    `values` counts what was sampled and present; where it is 0, the encoding is a guess by other fields and the
    declared type. `strays` counts values that would be plausible in another encoding.
    """

    name: str
    encoding: Encoding
    share: float
    values: int
    strays: Mapping[str, int]

    def __str__(self) -> str:
        if not self.values:
            return f"{self.name}: {self.encoding}, a guess: no value to look at"
        return f"{self.name}: {self.encoding}, {_percent(self.share)} of {self.values:,} sampled values"


@frozen
class Detected:
    """What a table looks like; `created` is the first of `sources`, from which the updated field may be filled."""

    table: str
    updated: Look
    sources: tuple[Look, ...]
    earliest: date
    sampled: int
    key: tuple[str, ...]

    @property
    def created(self) -> Look | None:
        """When a record was made."""
        return self.sources[0] if self.sources else None

    @property
    def looks(self) -> tuple[Look, ...]:
        """All fields that it found."""
        return (self.updated, *self.sources)


def detect(
    source: Source,
    fields: Sequence[str],
    *,
    declared: Mapping[str, str] | None = None,
    key: Iterable[str] = (),
    now: int | Callable[[], int] | None = None,
    sample: int = SAMPLE,
) -> Detected | None:
    """
    What *source*, whose records have *fields*, looks like; None where nothing in it looks like an updated field.

    *declared* are the types that its columns have by name, where it has any.
    """
    clock = clock_of(now, source)()
    updated, created = _named(fields, UPDATED), _named(fields, CREATED)
    if not updated:
        return None
    values = sampled(source, [*updated, *created], sample)
    types = declared or {}
    sources = [look for name in created if (look := _look(name, values[name], types.get(name), clock)) is not None]
    # A field without a value says nothing of itself, and whoever has one is likely to be written like its neighbour.
    neighbour = next((look.encoding for look in sources if look.values), None)
    for name in updated:
        found = _look(name, values[name], types.get(name), clock, neighbour)
        if found is not None:
            sources = [_like(look, neighbour or found.encoding) for look in sources]
            everything = [(look, values[look.name]) for look in (found, *sources)]
            earliest = _earliest(everything, clock)
            return Detected(source.name, found, tuple(sources), earliest, len(values[name]), tuple(key))
    return None


KEYS: Final = ("_id", "id", "uuid", "guid", "key", "slug", "name")
"""Fields that may identify a record, the most usual first."""


def likely_key(source: Source, sample: int = SAMPLE) -> tuple[str, ...]:
    """The field that may identify a record: one with such a name, with another value in each of the first records."""
    for name, values in sampled(source, KEYS, sample).items():
        if values and all(type(value) in {int, str} for value in values) and len(set(values)) == len(values):
            return (name,)
    return ()


def _named(fields: Sequence[str], known: Sequence[str]) -> list[str]:
    """The fields with one of these names, the most usual first."""
    plain = {name: re.sub(r"[^a-z0-9]", "", name.casefold()) for name in fields}
    return sorted((name for name in fields if plain[name] in known), key=lambda name: known.index(plain[name]))


def _look(
    name: str, raws: Sequence[Raw], declared: str | None, now: int, neighbour: Encoding | None = None
) -> Look | None:
    """What a field is written in; None where most of its values are no instants at all."""
    present = [raw for raw in raws if not _says_nothing(raw)]
    if not present:
        if declared == STRING and neighbour is not None and neighbour.is_number:
            neighbour = None
        return Look(name, neighbour or _by_type(declared), 0.0, 0, {})
    fits = shares(present, now)
    chosen = next((name for name in map(str, GUESSES) if fits.get(name, 0) >= LIKELY), None)
    if chosen is None and fits:
        chosen = max(fits, key=lambda each: fits[each])
    if chosen is None or fits[chosen] < 0.5:
        return None
    encoding = _resolved(Encoding.parse(chosen), present)
    strays = {str(each): 0 for each in GUESSES}
    for raw in present:
        if not plausible(raw, encoding, now) and hint(raw, encoding, now) is not None:
            other = next((each for each in GUESSES if plausible(raw, each, now)), None)
            if other is not None:
                strays[str(other)] += 1
    return Look(name, encoding, fits[chosen], len(present), {k: count for k, count in strays.items() if count})


def _says_nothing(raw: Raw) -> bool:
    """Whether a value is missing in whatever encoding, or stands for that."""
    return decode(raw, _TEXT if isinstance(raw, str) else _NUMBER) in {"missing", "null", "placeholder"}


def _by_type(declared: str | None) -> Encoding:
    """A guess where there is no value: by the column's type, as databases with one type for many things have it."""
    if declared == STRING:
        return _ISO_STRING
    said = (declared or "").upper()
    text = any(word in said for word in ("CHAR", "TEXT", "CLOB", "DATE", "TIME"))
    return Encoding.parse("iso8601@UTC" if text else "epoch_ms")


def _like(look: Look, other: Encoding) -> Look:
    """A field without a value, written like its neighbour."""
    return look if look.values else Look(look.name, other, 0.0, 0, {})


MILLISECONDS: Final = 3
"""So many digits a fraction has that ends with them."""

_FRACTION: Final = re.compile(r":\d\d[.,](\d+)", re.ASCII)


def _resolved(encoding: Encoding, present: Sequence[Raw]) -> Encoding:
    """Text at the coarsest resolution that loses nothing of the values."""
    if encoding.is_number or encoding.name == "datetime":
        return encoding
    # "12:00:00.000" keeps milliseconds, even where all of them are 0.
    readable = (raw for raw in present if isinstance(raw, str) and isinstance(decode(raw, encoding), int))
    found = [_FRACTION.search(raw) for raw in readable]
    lengths = {len(match[1]) if match else 0 for match in found}
    # Three digits in each are what `toISOString` writes: others among them would not be sorted as text any more.
    if len(present) < FEW and lengths != {MILLISECONDS}:
        return encoding
    digits = max(lengths, default=0)
    resolution = "s" if digits == 0 else "ms" if digits <= MILLISECONDS else "us" if digits <= 6 else "ns"
    name = f"{encoding.name}/{resolution}" + (f"@{encoding.zone}" if encoding.zone else "")
    return Encoding.parse(name)


def _earliest(fields: Sequence[tuple[Look, Sequence[Raw]]], now: int) -> date:
    """The first of January before the year in which the data begins; what is likely to be a fault does not count."""
    instants = []
    for look, raws in fields:
        for raw in raws:
            instant = decode(raw, look.encoding)
            if not isinstance(instant, int) or instant > now + DAY:
                continue
            if instant >= PLAUSIBLE_FROM or hint(raw, look.encoding, now) is None:
                instants.append(instant)
    usual = [instant for instant in instants if instant >= PLAUSIBLE_FROM]
    if not usual:
        return date(2000, 1, 1)
    before = sorted(instant for instant in instants if instant < PLAUSIBLE_FROM)
    # One in a hundred from the last century is history; fewer are faults.
    least = before[0] if len(before) > len(instants) // 100 else min(usual)
    try:
        return date(max(to_datetime(least).year - 1, 1), 1, 1)
    except OverflowError:
        return date(2000, 1, 1)


def _percent(share: float) -> str:
    shown = f"{share:.1%}"
    return "99.9%" if shown == "100.0%" and share < 1 else shown.replace(".0%", "%")
