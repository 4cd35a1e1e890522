"""
One record of JSON as bytes: where the values of named fields are, and what else may stand there.

Only the bytes of a value change; spelling, spacing, order, escapes and duplicate keys stay as they are. Of a key that
is there twice the last counts, as in every parser of Python. A record is known to be JSON before it comes here, so
what walks over it looks for ends, and judges nothing.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final, NoReturn, TypeAlias

import msgspec
from attrs import frozen

from ...errors import UsageError
from ...instants import ABSENT, Raw, brief

__all__ = ["Gap", "Member", "NotJson", "Path", "find", "path_of", "put", "read", "take", "value_of", "written"]

Path: TypeAlias = tuple[str, ...]
"""The keys that lead to a field, from the record down."""

_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SPACE: Final = re.compile(rb"[ \t\n\r]*")
_SCALAR: Final = re.compile(rb"[^ \t\n\r,\]}]+")
_MARK: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|["\[\]{}]', re.DOTALL)
_QUOTE, _OPEN, _LIST = b'"'[0], b"{"[0], b"["[0]
_OPENING: Final = (b"{", b"[")


class NotJson(ValueError):
    """What is wrong with a text of JSON: the byte at which, and what was wanted there."""

    def __init__(self, at: int, wanted: str) -> None:
        super().__init__(at, wanted)
        self.at, self.wanted = at, wanted


@frozen
class Member:
    """
    A field that is there: its value from `start` to `end`; and `out`, what is cut to take the whole member away: from
    the end of the value before it, or up to the key after it where it is the first.
    """

    start: int
    end: int
    out: tuple[int, int]


@frozen
class Gap:
    """A field that is not there, though the object is in which it would be: where it goes, and between what."""

    at: int
    before: bytes
    colon: bytes


# -- names ------------------------------------------------------------------------------------------------------


def path_of(name: str) -> Path:
    r"""
    The keys that a field's name stands for: `meta.updatedAt` is a field of the object `meta`, and `a\.b` one key.

    Raises:
        UsageError: a part of it is empty.
    """
    parts = [""]
    letters = iter(name)
    for letter in letters:
        if letter == ".":
            parts.append("")
        else:
            parts[-1] += next(letters, "") if letter == "\\" else letter
    if len(parts) > 1 and "" in parts:
        msg = f"cannot read the field {name!r}: a dot leads into an object, as in meta.updatedAt; \\. is a dot in a key"
        raise UsageError(msg)
    return tuple(parts)


# -- values -----------------------------------------------------------------------------------------------------


def _refuse_constant(word: str) -> NoReturn:
    raise NotJson(0, f"a number, found {word}, which is no JSON")


def _whole(digits: str) -> int | Decimal:
    try:
        return int(digits)
    except ValueError:  # Python reads no more than some thousand digits
        return Decimal(digits)


_STRICT: Final = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=_whole)
_LOOSE: Final = json.JSONDecoder(parse_int=_whole)
_encode: Final = msgspec.json.Encoder().encode


def read(text: bytes, *, nonfinite: bool = False) -> Any:
    """
    A whole text of JSON as Python's own parser reads it; *nonfinite* lets NaN and Infinity be.

    Raises:
        NotJson: it is none, with the byte at which.
    """
    try:
        chars = text.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise NotJson(problem.start, f"UTF-8, found the byte 0x{text[problem.start]:02x}") from None
    try:
        return (_LOOSE if nonfinite else _STRICT).decode(chars)
    except json.JSONDecodeError as problem:
        raise NotJson(len(chars[: problem.pos].encode()), _wanted(problem, chars)) from None
    except NotJson as problem:
        word = problem.wanted.split("found ")[-1].split(",", maxsplit=1)[0].encode()
        raise NotJson(_bare(text, word), problem.wanted) from None
    except RecursionError:
        raise NotJson(0, "a value that is not nested so deeply") from None


def _bare(text: bytes, word: bytes) -> int:
    """Where *word* stands outside of text."""
    for match in re.finditer(rb'"(?:[^"\\]|\\.)*"|' + re.escape(word), text, re.DOTALL):
        if match[0] == word:
            return match.start()
    return 0


def _wanted(problem: json.JSONDecodeError, chars: str) -> str:
    found = brief(chars[problem.pos : problem.pos + 20]) if problem.pos < len(chars) else "the end"
    said = {
        "Expecting value": "a value",
        "Expecting property name enclosed in double quotes": "a key in double quotes",
        "Expecting ',' delimiter": "a comma, or the end of the object or array",
        "Expecting ':' delimiter": "a colon",
        "Extra data": "the end",
        "Unterminated string starting at": "the end of the text that begins here",
        "Illegal trailing comma before end of object": "a key after the comma",
        "Illegal trailing comma before end of array": "a value after the comma",
    }
    wanted = said.get(problem.msg)
    before = chars[max(0, problem.pos - 1) : problem.pos]
    if chars.startswith("Bytes(", problem.pos) or (before.isdigit() and chars.startswith("n", problem.pos)):
        found += ", as npx convex data prints it, which is no JSON: take what npx convex export makes"
    return (
        f"{wanted}, found {found}"
        if wanted
        else f"valid text ({problem.msg[0].lower()}{problem.msg[1:]}), found {found}"
    )


def value_of(token: bytes) -> Raw:
    """A value as Python reads it; an object or array is a value like others."""
    value: Raw = _LOOSE.decode(token.decode("utf-8", "surrogatepass"))
    return value


def written(value: Raw) -> bytes:
    """
    A value as JSON.

    Raises:
        UsageError: JSON has no such value.
    """
    if type(value) is int or type(value) is str:
        try:
            return _encode(value)
        except (OverflowError, UnicodeEncodeError):
            pass
    if isinstance(value, Decimal):
        return str(value).encode()
    if isinstance(value, float) and not math.isfinite(value):
        msg = f"JSON has no number {value}"
        raise UsageError(msg)
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(value).encode()
    except (TypeError, ValueError) as problem:
        msg = f"JSON has no value {brief(value)}: {problem}"
        raise UsageError(msg) from None


# -- walking over bytes -----------------------------------------------------------------------------------------


def skip(data: bytes, at: int) -> int:
    """The next place that is no white space."""
    found = _SPACE.match(data, at)
    return found.end() if found else at


def end_of(data: bytes, at: int) -> int:
    """
    Where the value ends that begins at *at*.

    Raises:
        NotJson: it does not.
    """
    first = data[at : at + 1]
    if first in _OPENING:
        depth = 0
        for mark in _MARK.finditer(data, at):
            sign = mark[0]
            if sign in _OPENING:
                depth += 1
            elif sign in (b"}", b"]"):
                depth -= 1
                if not depth:
                    return mark.end()
            elif sign == b'"':  # a text that does not end
                break
        raise NotJson(len(data), f"the end of the {'object' if first == b'{' else 'array'} that begins at byte {at}")
    found = _STRING.match(data, at) if first == b'"' else _SCALAR.match(data, at)
    if found is None:
        raise NotJson(at, "a value")
    return found.end()


def members(data: bytes, at: int) -> Iterator[tuple[int, bytes, int, int]]:
    """
    The members of the object that begins at *at*: where each begins, its key as written, and its value from where to where.

    Raises:
        NotJson: it is none.
    """
    here = skip(data, at + 1)
    while data[here : here + 1] != b"}":
        key = _STRING.match(data, here)
        if key is None:
            raise NotJson(here, "a key in double quotes")
        colon = skip(data, key.end())
        if data[colon : colon + 1] != b":":
            raise NotJson(colon, "a colon")
        start = skip(data, colon + 1)
        end = end_of(data, start)
        yield here, key[0], start, end
        here = skip(data, end)
        if data[here : here + 1] == b",":
            here = skip(data, here + 1)
            if data[here : here + 1] == b"}":
                raise NotJson(here, "a key after the comma")
        elif data[here : here + 1] != b"}":
            raise NotJson(here, "a comma, or the end of the object")


def same_key(written_key: bytes, name: str) -> bool:
    """Whether a key as it is written, with its quotes, is *name*."""
    if b"\\" in written_key:
        return bool(json.loads(written_key.decode("utf-8", "surrogatepass"), strict=False) == name)
    return written_key[1:-1] == name.encode("utf-8", "surrogatepass")


def find(data: bytes, at: int, path: Sequence[str]) -> Member | Gap | None:
    """
    Where the field *path* of the object at *at* is, or would be; None where the object that it belongs to is not there.
    """
    for name in path[:-1]:
        found = _member(data, at, name)
        if not isinstance(found, Member) or data[found.start] != _OPEN:
            return None
        at = found.start
    return _member(data, at, path[-1])


def _member(data: bytes, at: int, name: str) -> Member | Gap:
    found: Member | None = None
    first = previous = at + 1
    gap = colon = b""
    count = 0
    open_ = False  # whether *found* is the first member and the next one has not been seen
    for begin, key, start, end in members(data, at):
        count += 1
        if count == 1:
            colon = data[begin + len(key) : start]
        if count <= 2:  # the style of the object: what stands before its second key, or its first where it has but one
            gap = data[_after_comma(data, previous) : begin]
        if open_ and found is not None:
            found, open_ = Member(found.start, found.end, (found.out[0], begin)), False
        if same_key(key, name):
            open_ = previous == first
            found = Member(start, end, (begin if open_ else previous, end))
        previous = end
    if found is not None:
        return found
    if not count:
        return Gap(first, b"", b":")
    if count == 1 and not gap and colon.endswith(b" "):
        gap = b" "
    return Gap(previous, b"," + gap, colon)


def _after_comma(data: bytes, at: int) -> int:
    here = skip(data, at)
    return here + 1 if data[here : here + 1] == b"," else at


def put(data: bytes, place: Member | Gap, name: str, value: bytes) -> bytes:
    """*data* with *value* at *place*; nothing else of it changes."""
    if isinstance(place, Member):
        return data[: place.start] + value + data[place.end :]
    member = place.before + written(name) + place.colon + value
    return data[: place.at] + member + data[place.at :]


def take(data: bytes, member: Member) -> bytes:
    """*data* without *member*, and without the comma that goes with it."""
    start, end = member.out
    return data[:start] + data[end:]


def held(data: bytes, place: Member | Gap | None) -> Raw:
    """What a field holds; ABSENT where it is not there."""
    return value_of(data[place.start : place.end]) if isinstance(place, Member) else ABSENT
