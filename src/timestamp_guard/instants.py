"""
How a place writes an instant down, and the only parser of time.

Inside, an instant is an `int` of nanoseconds since the Unix epoch.
Outside, it is whatever a store or service holds: :class:`Encoding` says how to read that, exactly,
and what to call it when it cannot be read.
"""

from __future__ import annotations

import functools
import re
import sys
import zoneinfo
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from typing import Any, Final, Literal, TypeAlias, cast, get_args

from attrs import field, frozen

from .errors import UsageError

__all__ = [
    "ABSENT",
    "CAUSES",
    "Absent",
    "Cause",
    "Decoded",
    "Encoding",
    "Encodings",
    "Placeholders",
    "Raw",
    "brief",
    "decode",
    "decoder",
    "duration_ns",
    "encode",
    "encodings_for",
    "from_datetime",
    "hint",
    "offset_of",
    "parse_duration",
    "parse_instant",
    "show",
    "show_duration",
    "to_datetime",
]

Cause: TypeAlias = Literal["missing", "null", "wrong_type", "not_finite", "unreadable", "imprecise", "placeholder"]
"""Why a field holds no instant."""

CAUSES: Final[tuple[Cause, ...]] = get_args(Cause)

Raw: TypeAlias = Any
"""A value as its store holds it: the border to other people's data, so really anything."""

Decoded: TypeAlias = "int | Cause"
"""An instant, or why there is none."""

Name: TypeAlias = Literal["epoch_s", "epoch_ms", "epoch_us", "epoch_ns", "rfc3339", "iso8601", "datetime"]
Resolution: TypeAlias = Literal["s", "ms", "us", "ns"]

NAMES: Final[tuple[Name, ...]] = get_args(Name)
UNIT_NS: Final[Mapping[str, int]] = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
UNIT_WORDS: Final = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}

SECOND: Final = 10**9
DAY_S: Final = 86_400
DAY: Final = DAY_S * SECOND
EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
EXACT_FLOAT: Final = 2**53
"""Beyond it, a double no longer holds every integer."""

YEAR_1: Final = (date(1, 1, 1).toordinal() - EPOCH_ORDINAL) * DAY
YEAR_10000: Final = (date(9999, 12, 31).toordinal() - EPOCH_ORDINAL + 1) * DAY


class Absent(Enum):
    """The type of :data:`ABSENT`, which is not `None`: a key that is not there at all."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent.ABSENT


@frozen
class Placeholders:
    """
    Values that stand for "unknown" and look like an instant.

    `numbers` count in every epoch encoding; `spans` are half-open ranges of instants, in nanoseconds,
    for text and datetimes; `prefixes` are beginnings of text.
    """

    numbers: frozenset[int] = frozenset({0, -1})
    spans: tuple[tuple[int, int], ...] = (
        (YEAR_1, YEAR_1 + 1),
        (0, 1),
        (YEAR_10000 - DAY, YEAR_10000),
    )
    prefixes: tuple[str, ...] = ("0000-",)


PLACEHOLDERS: Final = Placeholders()


@frozen
class Encoding:
    """
    How a place writes an instant down: `NAME[/RESOLUTION][@ZONE]`, as in `epoch_ms`, `rfc3339/s` or `iso8601@UTC`.

    `zone` is `UTC`, an offset like `+02:00` or the name of a region, and says how to read a local time.
    Use :meth:`parse` to make one.
    """

    name: Name
    resolution: Resolution
    zone: str | None = None
    placeholders: Placeholders = field(default=PLACEHOLDERS, repr=False)

    @classmethod
    def parse(cls, text: str | Encoding) -> Encoding:
        """
        Read the written form.

        Raises:
            UsageError: it is not `NAME[/RESOLUTION][@ZONE]` with a known name, resolution and zone.
        """
        if isinstance(text, Encoding):
            return text
        return _parse_encoding(text)

    def __str__(self) -> str:
        usual = self.resolution == _usual_resolution(self.name)
        resolution = "" if usual else f"/{self.resolution}"
        return f"{self.name}{resolution}" + (f"@{self.zone}" if self.zone else "")

    @property
    def unit(self) -> int | None:
        """The nanoseconds of one unit, for numbers."""
        return UNIT_NS[self.name.removeprefix("epoch_")] if self.is_number else None

    @property
    def is_number(self) -> bool:
        """Whether instants are numbers here."""
        return self.name.startswith("epoch_")

    @property
    def resolution_ns(self) -> int:
        """The finest step that counts in a comparison, in nanoseconds."""
        return UNIT_NS[self.resolution]

    @property
    def wanted(self) -> str:
        """What a value should be, in words."""
        match self.name:
            case "rfc3339":
                return "RFC 3339 text with an offset, like 2023-11-14T22:13:20Z"
            case "iso8601":
                return "ISO 8601 text" + ("" if self.zone else " with an offset")
            case "datetime":
                return "a datetime" if self.zone else "a datetime with a time zone"
            case _:
                words = UNIT_WORDS[self.name.removeprefix("epoch_")]
                return f"a number of {words} since 1970"

    def same_form(self, other: Encoding) -> bool:
        """Whether a raw value of *other* can be copied as it is."""
        return (self.name, self.resolution, self.zone) == (other.name, other.resolution, other.zone)


Encodings: TypeAlias = "str | Encoding | Mapping[str, str | Encoding]"
"""One encoding for all fields, or one for each."""


def encodings_for(fields: Iterable[str], given: Encodings) -> dict[str, Encoding]:
    """
    The encoding of each of *fields*.

    Raises:
        UsageError: a field has none.
    """
    if isinstance(given, str | Encoding):
        one = Encoding.parse(given)
        return dict.fromkeys(fields, one)
    found = {}
    for name in fields:
        if name not in given:
            msg = f"no encoding is declared for {name!r}; one of {', '.join(NAMES)}"
            raise UsageError(msg)
        found[name] = Encoding.parse(given[name])
    return found


@functools.cache
def _parse_encoding(text: str) -> Encoding:
    match = re.fullmatch(r"([a-z0-9_]+)(?:/(\w+))?(?:@(.+))?", text)
    name, resolution, zone = match.groups() if match else (text, None, None)
    if name not in NAMES:
        msg = f"unknown encoding {text!r}; wanted NAME[/RESOLUTION][@ZONE], NAME one of {', '.join(NAMES)}"
        raise UsageError(msg)
    if resolution is not None and resolution not in UNIT_NS:
        msg = f"unknown resolution {resolution!r} in {text!r}; one of {', '.join(UNIT_NS)}"
        raise UsageError(msg)
    if zone is not None and name not in {"iso8601", "datetime"}:
        why = "is a number since 1970 in UTC" if name != "rfc3339" else "always carries its own offset"
        msg = f"{name} {why}: leave @{zone} out"
        raise UsageError(msg)
    if zone is not None:
        _zone(zone)
    return Encoding(cast("Name", name), cast("Resolution | None", resolution) or _usual_resolution(name), zone)


def _usual_resolution(name: str) -> Resolution:
    if name.startswith("epoch_"):
        return cast("Resolution", name.removeprefix("epoch_"))
    return "us" if name == "datetime" else "ns"


@functools.cache
def _zone(zone: str) -> tzinfo:
    """
    The zone of that name.

    Raises:
        UsageError: there is none.
    """
    if zone == "UTC":
        return UTC
    if match := re.fullmatch(r"([+-])([01]\d|2[0-3]):([0-5]\d)", zone):
        sign, hours, minutes = match.groups()
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        return timezone(-offset if sign == "-" else offset)
    try:
        return zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        msg = f"unknown time zone {zone!r}; wanted UTC, an offset like +02:00, or a region like Europe/Berlin"
        raise UsageError(msg) from None


def offset_of(zone: str) -> timedelta | None:
    """What clocks in *zone* are ahead of UTC, where that is always the same."""
    there = _zone(zone)
    return there.utcoffset(None) if isinstance(there, timezone) else None


# -- reading ----------------------------------------------------------------------------------------------------


def decode(raw: Raw, encoding: Encoding) -> Decoded:
    """Read *raw*: an instant in nanoseconds, or the cause why there is none."""
    return decoder(encoding)(raw)


@functools.cache
def decoder(encoding: Encoding) -> Callable[[Raw], Decoded]:
    """The function that reads values of *encoding*."""
    if encoding.is_number:
        return functools.partial(
            _read_number,
            unit=UNIT_NS[encoding.name.removeprefix("epoch_")],
            placeholders=encoding.placeholders,
        )
    if encoding.name == "datetime":
        return functools.partial(_read_datetime, encoding=encoding)
    return functools.partial(_read_text, encoding=encoding)


def _is_null(raw: Raw) -> bool:
    """Whether *raw* is None or one of the nulls of pandas and numpy, which know no common type."""
    if raw is None:
        return True
    kind = type(raw)
    if kind.__module__.partition(".")[0] not in {"pandas", "numpy"}:
        return False
    return kind.__name__ in {"NaTType", "NAType"} or (
        kind.__name__ in {"datetime64", "timedelta64"} and str(raw) == "NaT"
    )


def _read_number(raw: Raw, unit: int, placeholders: Placeholders) -> Decoded:
    if raw is ABSENT:
        return "missing"
    if _is_null(raw):
        return "null"
    ratio = _ratio(raw)
    if isinstance(ratio, str):
        return ratio
    numerator, denominator = ratio
    if denominator == 1 and numerator in placeholders.numbers:
        return "placeholder"
    return numerator * unit // denominator


def _ratio(raw: Raw) -> tuple[int, int] | Cause:
    """The exact value of a number, as a fraction."""
    if isinstance(raw, bool):
        return "wrong_type"
    if isinstance(raw, int):
        return int.__int__(raw), 1
    if isinstance(raw, float):
        return _float_ratio(float.__float__(raw), EXACT_FLOAT)
    if isinstance(raw, Decimal):
        return _decimal_ratio(raw)
    numpy = sys.modules.get("numpy")
    if numpy is None or isinstance(raw, numpy.timedelta64):
        return "wrong_type"
    if isinstance(raw, numpy.integer):
        return int(raw), 1
    if isinstance(raw, numpy.floating):
        # A float32 loses whole numbers beyond 2**24 already: two minutes of the seconds since 1970.
        return _float_ratio(raw, min(EXACT_FLOAT, 2 ** (int(numpy.finfo(type(raw)).nmant) + 1)))
    return "wrong_type"


def _float_ratio(raw: Any, exact: int) -> tuple[int, int] | Cause:
    if raw != raw or raw in (float("inf"), float("-inf")):  # noqa: PLR0124 - how NaN is told from numbers
        return "not_finite"
    if not -exact <= raw <= exact:
        return "imprecise"
    numerator, denominator = raw.as_integer_ratio()
    return int(numerator), int(denominator)


def _decimal_ratio(raw: Decimal) -> tuple[int, int] | Cause:
    if not raw.is_finite():
        return "not_finite"
    if raw == 0:
        return 0, 1
    # The exponent is anybody's to choose: 1E+999999999 is eight bytes of text and a gigabyte of integer.
    if raw.adjusted() > 40:
        return "imprecise"
    if raw.adjusted() < -40:
        return (-1 if raw < 0 else 1), 10**40
    return raw.as_integer_ratio()


def _read_datetime(raw: Raw, encoding: Encoding) -> Decoded:
    if raw is ABSENT:
        return "missing"
    if _is_null(raw):
        return "null"
    if not isinstance(raw, datetime):
        # A time that no datetime can be, as drivers give it: 0000-00-00 00:00:00.
        zero = isinstance(raw, str) and raw.startswith(encoding.placeholders.prefixes)
        return "placeholder" if zero else "wrong_type"
    offset = raw.utcoffset()
    if offset is None:
        if encoding.zone is None:
            return "wrong_type"
        local = datetime(raw.year, raw.month, raw.day, raw.hour, raw.minute, raw.second)  # noqa: DTZ001 - local
        offset = _offset(local, encoding.zone)
        if offset is None:
            return "unreadable"
    days = raw.toordinal() - EPOCH_ORDINAL
    seconds = days * DAY_S + raw.hour * 3600 + raw.minute * 60 + raw.second
    fraction = raw.microsecond * 1000 + int(getattr(raw, "nanosecond", 0))
    instant = seconds * SECOND + fraction - duration_ns(offset)
    return "placeholder" if _is_placeholder(instant, encoding.placeholders) else instant


def _offset(local: datetime, zone: str) -> timedelta | None:
    """What a clock in *zone* showing *local* is ahead of UTC; None where it shows that twice or never."""
    there = local.replace(tzinfo=_zone(zone))
    first, second = there.replace(fold=0).utcoffset(), there.replace(fold=1).utcoffset()
    return first if first == second else None


def _is_placeholder(instant: int, placeholders: Placeholders) -> bool:
    return any(start <= instant < end for start, end in placeholders.spans)


# RFC 3339, section 5.6 (https://www.rfc-editor.org/rfc/rfc3339#section-5.6); leap seconds as in its section 5.7.
_RFC3339: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt]([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60)(?:\.(\d+))?"
    r"([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)
# Our own grammar, the same on every Python: a date, or a date and a time, with an optional offset.
_ISO8601: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ]([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d|60)(?:[.,](\d+))?)?"
    r"([Zz]|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?)?",
    re.ASCII,
)


def _read_text(raw: Raw, encoding: Encoding) -> Decoded:
    if raw is ABSENT:
        return "missing"
    if _is_null(raw):
        return "null"
    if not isinstance(raw, str):
        return "wrong_type"
    if raw.startswith(encoding.placeholders.prefixes):
        return "placeholder"
    match = (_RFC3339 if encoding.name == "rfc3339" else _ISO8601).fullmatch(raw)
    if match is None:
        return "unreadable"
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    try:
        days = date(int(year), int(month), int(day)).toordinal() - EPOCH_ORDINAL
    except ValueError:
        return "unreadable"
    seconds = days * DAY_S + int(hour or 0) * 3600 + int(minute or 0) * 60 + int(second or 0)
    ahead = _text_offset(match, offset, encoding.zone)
    if ahead is None:
        return "unreadable"
    seconds -= ahead
    if second == "60" and seconds % DAY_S != 0:
        return "unreadable"
    instant = seconds * SECOND + int(fraction[:9].ljust(9, "0") if fraction else 0)
    return "placeholder" if _is_placeholder(instant, encoding.placeholders) else instant


def _text_offset(match: re.Match[str], offset: str | None, zone: str | None) -> int | None:
    """How many seconds the text is ahead of UTC; None where that cannot be known."""
    if offset is None:
        if zone is None:
            return None
        year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
        ahead = _offset(datetime(year, month, day, hour, minute, min(second, 59)), zone)  # noqa: DTZ001 - local
        # Offsets of whole seconds: the local mean times before standard time have them.
        return None if ahead is None else duration_ns(ahead) // SECOND
    if offset in {"Z", "z"}:
        return 0
    digits = offset[1:].replace(":", "").ljust(4, "0")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return -seconds if offset[0] == "-" else seconds


# -- writing ----------------------------------------------------------------------------------------------------


def encode(instant: int, encoding: Encoding) -> Raw:
    """
    Write *instant* down, floored to the resolution of *encoding*: the inverse of :func:`decode`.

    Raises:
        UsageError: *encoding* cannot hold it (text and datetimes end with year 9999; a local time that its zone
            repeats).
    """
    instant -= instant % encoding.resolution_ns
    if encoding.is_number:
        unit = UNIT_NS[encoding.name.removeprefix("epoch_")]
        return instant // unit
    if not YEAR_1 <= instant < YEAR_10000:
        msg = f"{encoding} cannot hold {show(instant)}"
        raise UsageError(msg)
    offset = 0
    if encoding.zone is not None:
        offset = _offset_at(instant, encoding)
    if encoding.name == "datetime":
        there = to_datetime(instant + offset)
        return there if encoding.zone is None else there.replace(tzinfo=None)
    digits = {"s": 0, "ms": 3, "us": 6, "ns": None}[encoding.resolution]
    return _civil(instant + offset, digits) + ("" if encoding.zone else "Z")


def _offset_at(instant: int, encoding: Encoding) -> int:
    """How many nanoseconds a clock in the encoding's zone is ahead of UTC at *instant*."""
    zone = cast("str", encoding.zone)
    there: datetime | None
    try:
        there = to_datetime(instant).astimezone(_zone(zone))
    except OverflowError:
        there = None
    if there is None or _offset(there.replace(tzinfo=None), zone) is None:
        msg = f"{encoding} cannot hold {show(instant)}: {zone} shows that local time twice, or never"
        raise UsageError(msg)
    return duration_ns(cast("timedelta", there.utcoffset()))


def duration_ns(duration: timedelta) -> int:
    """A timedelta in nanoseconds."""
    return (duration.days * DAY_S + duration.seconds) * SECOND + duration.microseconds * 1000


def from_datetime(moment: datetime) -> int:
    """
    An aware datetime as an instant.

    Raises:
        UsageError: it is naive: which instant it is depends on where it is read.
    """
    if not isinstance(moment, datetime) or moment.utcoffset() is None:  # type: ignore[redundant-expr]  # not all check types
        msg = f"{moment!r} is no datetime with a time zone: write datetime(..., tzinfo=UTC)"
        raise UsageError(msg)
    return cast("int", decode(moment, _ANY_DATETIME))


_ANY_DATETIME: Final = Encoding("datetime", "ns", None, Placeholders(frozenset(), (), ()))


def to_datetime(instant: int) -> datetime:
    """
    An instant as an aware datetime in UTC, floored to microseconds.

    Raises:
        OverflowError: it lies outside of the years 1 to 9999.
    """
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant // 1000)


def _civil(instant: int, digits: int | None = None) -> str:
    """Date and time of day, with *digits* of a fraction or as many as it takes, by threes."""
    days, rest = divmod(instant, DAY)
    seconds, fraction = divmod(rest, SECOND)
    # Whole cycles of 400 years (146,097 days) are set aside, so that datetime's years suffice for any instant.
    cycles, days = divmod(days, 146_097)
    there = date.fromordinal(days + EPOCH_ORDINAL)
    year = there.year + cycles * 400
    shown = f"{year:04}" if 0 <= year <= 9999 else f"{year:+06}"
    if digits is None:
        digits = next(d for d in (0, 3, 6, 9) if fraction % 10 ** (9 - d) == 0)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    tail = f".{fraction:09}"[: digits + 1] if digits else ""
    return f"{shown}-{there.month:02}-{there.day:02}T{clock}{tail}"


def show(instant: int) -> str:
    """An instant for people, in RFC 3339; years beyond 9999 with a sign, as in ISO 8601."""
    if abs(instant) > 10**40:
        # Python refuses to print integers of more than 4,300 digits, and nobody wants to read one.
        return f"{'-' if instant < 0 else '+'}10^{int(instant.bit_length() * 0.30103)} ns since 1970"
    return _civil(instant) + "Z"


def ensure_no_datetimes(given: Encodings, place: str) -> None:
    """
    Make sure that no field is declared a native datetime, for which *place* has no type.

    Raises:
        UsageError: one is.
    """
    each = [given] if isinstance(given, str | Encoding) else list(given.values())
    for encoding in map(Encoding.parse, each):
        if encoding.name == "datetime":
            msg = f"{place} has no type for datetimes: declare how they are written, as rfc3339, iso8601 or epoch_ms"
            raise UsageError(msg)


def brief(raw: Raw) -> str:
    """A raw value for people: its repr, cut where it is long, and safe for integers of any size."""
    if isinstance(raw, int) and not isinstance(raw, bool) and abs(raw) > 10**40:
        return f"{'-' if raw < 0 else ''}10^{int(raw.bit_length() * 0.30103)}"
    if type(raw) is datetime:
        return raw.isoformat(" ")
    try:
        shown = repr(raw[:80] if isinstance(raw, str | bytes) else raw)
    except Exception as problem:  # noqa: BLE001 - somebody else's repr may raise anything
        return f"<{type(raw).__name__} whose repr raises {type(problem).__name__}>"
    return shown if len(shown) <= 80 else shown[:77] + "..."


# -- words of people --------------------------------------------------------------------------------------------

_EARLY_ISO: Final = Encoding("iso8601", "ns", "UTC", Placeholders(frozenset(), (), ()))
_DURATION_UNITS: Final = {
    "ns": 1, "us": 10**3, "ms": 10**6, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND, "d": DAY,
}  # fmt: skip


def parse_instant(text: str) -> int:
    """
    An instant as people write it: `2000-01-01`, `2000-01-01T12:00:00Z`; UTC where no offset is given.

    Raises:
        UsageError: it is no date and no date with a time.
    """
    instant = decode(text, _EARLY_ISO)
    if isinstance(instant, str):
        msg = f"cannot read {text!r} as an instant; wanted a date like 2000-01-01, or 2000-01-01T12:00:00Z"
        raise UsageError(msg)
    return instant


def parse_duration(text: str) -> timedelta:
    """
    A duration as people write it: `5s`, `250ms`, `1h`, `-1d`.

    Raises:
        UsageError: it is not a whole number with a unit, in whole microseconds, or it is beyond timedelta.
    """
    match = re.fullmatch(r"([+-]?\d{1,20})(ns|us|ms|s|m|h|d)", text.strip(), re.ASCII)
    if match is None:
        if text.strip() in {"0", "+0", "-0"}:
            return timedelta(0)
        msg = f"cannot read {text!r} as a duration; wanted a number with a unit, like 5s, 250ms, 1h or 2d"
        raise UsageError(msg)
    length = int(match[1]) * _DURATION_UNITS[match[2]]
    if length % 1000:
        msg = f"{text!r} is finer than a microsecond, the finest step of a shift"
        raise UsageError(msg)
    try:
        return timedelta(microseconds=length // 1000)
    except OverflowError:
        msg = f"{text!r} is too long a duration"
        raise UsageError(msg) from None


def show_duration(length_ns: int) -> str:
    """A duration for people, in its largest whole unit: the inverse of :func:`parse_duration`."""
    if length_ns == 0:
        return "0s"
    unit = max((u for u in _DURATION_UNITS if length_ns % _DURATION_UNITS[u] == 0), key=_DURATION_UNITS.__getitem__)
    return f"{length_ns // _DURATION_UNITS[unit]}{unit}"


# -- hints ------------------------------------------------------------------------------------------------------

PLAUSIBLE_FROM: Final = parse_instant("2000-01-01")
_GUESSES: Final = tuple(Encoding.parse(name) for name in ("epoch_s", "epoch_ms", "epoch_us", "epoch_ns"))
_TEXT_GUESSES: Final = (*map(Encoding.parse, ("rfc3339", "iso8601", "iso8601@UTC")),)


def hint(raw: Raw, encoding: Encoding, now: int) -> str | None:
    """
    What *raw* would be in another encoding, if that is an instant between 2000 and a day after *now*.

    A hint never makes a violation and never converts.
    """
    guess = _guess(raw, encoding, now)
    if guess is None or (isinstance(raw, str) and isinstance(decode(raw, encoding), int)):
        return None
    likely, instant = guess
    shown = show(instant)
    seen = repr(raw) if isinstance(raw, str) else str(raw)
    if encoding.is_number and likely.is_number and not isinstance(raw, str):
        looks, holds = (UNIT_WORDS[each.name.removeprefix("epoch_")] for each in (likely, encoding))
        return f"{seen} looks like {looks} where {holds} are stored: {encode(instant, encoding)} is {shown}"
    if likely.is_number:
        words = UNIT_WORDS[likely.name.removeprefix("epoch_")]
        kind = "text of " if isinstance(raw, str) else ""
        return f"{seen} looks like {kind}{words} since 1970: {shown}"
    if likely.zone is not None:
        return f"{seen} has no offset: declare {likely.name}@ZONE if all are local times of one zone"
    return f"{seen} looks like {likely.name}: {shown}"


def _guess(raw: Raw, encoding: Encoding, now: int) -> tuple[Encoding, int] | None:
    number = raw
    guesses: tuple[Encoding, ...] = _GUESSES
    if isinstance(raw, str):
        if len(raw) > 64:
            return None
        if re.fullmatch(r"\d{1,20}", raw, re.ASCII):
            number = int(raw)
        else:
            guesses = _TEXT_GUESSES
    for likely in guesses:
        if number is raw and likely.name == encoding.name and (encoding.zone or not likely.zone):
            continue
        instant = decode(number, likely)
        if isinstance(instant, int) and PLAUSIBLE_FROM <= instant <= now + DAY:
            return likely, instant
    return None
