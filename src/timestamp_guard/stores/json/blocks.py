"""
The records of a file, stretch by stretch: what is read at once, and where each record begins and ends in it.

All stretches one after another are the file, so whoever writes them down again, with some bytes changed, has the file
with these bytes changed. JSON Lines and one array are read in constant memory; an object of records is read whole.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final, Literal, TypeAlias

import msgspec
from attrs import define

from .splice import NotJson, end_of, members, read, skip, value_of

__all__ = ["Block", "Shape", "Span", "blocks", "pass_over", "shape_of", "tables_of"]

Span: TypeAlias = tuple[int, int]
"""Where something begins and ends."""

Shape: TypeAlias = Literal["lines", "array", "members", "record", "tables"]
"""JSON Lines; an array of records; an object of records by their ids; one record; an object of such tables."""

SIZE: Final = 2**17
BOM: Final = b"\xef\xbb\xbf"

_LINE: Final = re.compile(rb"\n")
_RAWS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_VALUES: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
KEY: Final = re.compile(rb'[ \t\n\r,]*("(?:[^"\\]|\\.)*")[ \t\n\r]*:[ \t\n\r]*', re.DOTALL)
FEW: Final = 100


@define
class Block:
    """
    A stretch of a file that begins and ends between two records; `at` is where it begins in the file.

    Its records, and what separates them, are in its `body`; `names` are their ids where the file gives them.
    """

    data: bytes
    at: int
    shape: Shape
    body: Span
    names: Sequence[str] | None = None
    _spans: list[Span] | None = None
    lines: Sequence[bytes] | None = None
    """Its lines, where each was read as one record."""

    def spans(self) -> list[Span]:
        """
        Where each record is.

        Raises:
            NotJson: it cannot be told.
        """
        if self._spans is None:
            self._spans = self._lines() if self.shape == "lines" else list(self._elements())
        return self._spans

    def name(self, index: int) -> str | None:
        """The id of a record, where the file gives it one."""
        return None if self.names is None else self.names[index]

    def _lines(self) -> list[Span]:
        data, (here, end) = self.data, self.body
        ends = [found.start() for found in _LINE.finditer(data, here, end)]
        if not data.endswith(b"\n"):
            ends.append(end)
        starts = [here, *[stop + 1 for stop in ends[:-1]]]
        return [(start, stop) for start, stop in zip(starts, ends, strict=True) if data[start:stop].strip(b" \t\r")]

    def _elements(self) -> Iterator[Span]:
        data, (here, end) = self.data, self.body
        try:
            found = _RAWS.decode(b"[" + data[here:end] + b"]")
        except (msgspec.DecodeError, RecursionError):
            yield from _walk(data, here, end)
            return
        for raw in found:
            start = skip(data, here)
            stop = start + len(memoryview(raw))
            yield start, stop
            here = skip(data, stop) + 1


def _walk(data: bytes, here: int, end: int) -> Iterator[Span]:
    """The elements of an array, one after another."""
    here = skip(data, here)
    while here < end:
        stop = end_of(data, here)
        yield here, stop
        here = skip(data, stop)
        if here < end:
            if data[here : here + 1] != b",":
                raise NotJson(here, "a comma, or the end of the array")
            here = skip(data, here + 1)
            if here >= end:
                raise NotJson(here, "a record after the comma")


# -- what a file is ---------------------------------------------------------------------------------------------


def shape_of(file: BinaryIO) -> Shape:
    """
    How a file of JSON holds its records.

    Raises:
        NotJson: it is nothing that holds records.
    """
    head = file.read(64)
    while (start := _begin(head)) == len(head) and (more := file.read(SIZE)):
        head += more
    first = head[start : start + 1]
    if first == b"[":
        return "array"
    if first != b"{":
        found = repr(first.decode("latin-1")) if first else "the end"
        raise NotJson(start, f"an array, or an object of records, found {found}")
    data = head + file.read()
    there = _members(data, start)
    kinds = {data[at : at + 1] for _, at, _ in there}
    if not kinds <= {b"{", b"["}:
        return "record"  # whatever has a plain value is one
    # Of objects in objects a few tell: they hold records, or they are records.
    few = (
        data[at : at + 1] for _, here, _ in there[:FEW] for _, _, at, _ in itertools.islice(members(data, here), FEW)
    )
    return "tables" if b"[" in kinds or {*few} == {b"{"} else "members"


def _begin(data: bytes) -> int:
    return skip(data, len(BOM) if data.startswith(BOM) else 0)


def tables_of(data: bytes) -> dict[str, Span]:
    """The tables of an object of tables, and where the value of each is."""
    return {name: (at, end) for name, at, end in _members(data, _begin(data)) if data[at : at + 1] in (b"{", b"[")}


def _members(data: bytes, start: int) -> list[tuple[str, int, int]]:
    """
    The members of an object with which *data* ends: their names, and where their values are.

    Raises:
        NotJson: it is none, or something comes after it.
    """
    try:
        values = iter(_VALUES.decode(data[start:] if start else data).values())
        found, here = [], start + 1
        while value := next(values, None):
            key = KEY.match(data, here)
            if key is None:
                break
            end = key.end() + len(raw := memoryview(value))
            if data[key.end() : end] != raw:
                break  # a key is there twice
            found.append((str(value_of(key[1])), key.end(), end))
            here = end
        if data[here:].strip(b" \t\n\r") == b"}":  # else a key is there twice
            return found
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        pass
    try:
        read(data[start:], nonfinite=True)  # whether that is well is for the records to say
    except NotJson as problem:
        more = problem.wanted.startswith("the end") and data[start + problem.at : start + problem.at + 1] == b"{"
        hint = "; if these are JSON Lines, say jsonl: and not json:" if more else ""
        raise NotJson(start + problem.at, problem.wanted + hint) from None
    return [(str(value_of(key)), at, end) for _, key, at, end in members(data, start)]


# -- reading ----------------------------------------------------------------------------------------------------


def blocks(file: BinaryIO, shape: Shape, *, table: str | None = None, at: int = 0) -> Iterator[Block]:
    """
    The stretches of *file*, of which *at* bytes are passed over already.

    Raises:
        NotJson: it breaks off, or something else than records is there; with the byte of the file at which.
    """
    match shape:
        case "lines":
            return _read_lines(file, at)
        case "array":
            return _read_array(file, at)
        case _:
            return iter(()) if at else _read_whole(file.read(), shape, table)


def _first(file: BinaryIO) -> bytes:
    """The first bytes of a file: enough for a mark of its encoding."""
    found = b""
    while len(found) < len(BOM) and (more := file.read(len(BOM) - len(found))):
        found += more
    return found


def _read_lines(file: BinaryIO, at: int) -> Iterator[Block]:
    waiting = [b"" if at else _first(file)]  # joined once, however long a line is
    while True:
        more = file.read(SIZE)
        cut = more.rfind(b"\n") + 1
        if more and not cut:
            waiting.append(more)
            continue
        data = b"".join([*waiting, more[:cut]])
        waiting = [more[cut:]]
        if data:
            yield Block(data, at, "lines", (0 if at else len(data) - len(data.removeprefix(BOM)), len(data)))
            at += len(data)
        if not more:
            return


def _read_array(file: BinaryIO, at: int) -> Iterator[Block]:
    rest, size, passed = b"", SIZE, at
    cut_before = False
    if not at:
        rest = _first(file)
        while (start := _begin(rest)) == len(rest) and (more := file.read(SIZE)):
            rest += more
        if rest[start : start + 1] != b"[":
            raise NotJson(start, "an array")
        at = start + 1
        yield Block(rest[:at], 0, "array", (at, at))
        rest = rest[at:]
    while more := file.read(size):
        data = rest + more
        try:
            cut = _cut(data)
        except NotJson as problem:
            raise NotJson(at + problem.at, problem.wanted) from None
        if cut is None:  # one record that is longer than what was read
            rest, size = data, min(2 * size, 2**26)
            continue
        end, after = cut
        cut_before = True
        yield Block(data[:after], at, "array", (0, end))
        at, rest, size = at + after, data[after:], SIZE
    if passed and at == passed and not rest:
        return  # the last stretch was passed over, too
    try:
        end = _end_of_array(rest)
        if cut_before and skip(rest, 0) >= end:
            raise NotJson(end, "a record after the comma")
        yield Block(rest, at, "array", (0, end))
    except NotJson as problem:
        raise NotJson(at + problem.at, problem.wanted) from None


def _cut(data: bytes) -> tuple[int, int] | None:
    """
    Where the last whole record of *data* ends, and where the comma after it does; None where there is no whole record.

    Tried from the end: a place inside of a record cannot be taken for one between two, for then brackets do not match.
    """
    end = len(data)
    for _ in range(8):
        end = data.rfind(b"}", 0, end)
        if end < 0:
            break
        comma = skip(data, end + 1)
        if data[comma : comma + 1] == b",":
            try:
                _RAWS.decode(b"[" + data[: end + 1] + b"]")
            except (msgspec.DecodeError, RecursionError):
                continue
            return end + 1, comma + 1
    found: tuple[int, int] | None = None
    here = skip(data, 0)
    while here < len(data) and data[here : here + 1] != b"]":
        try:
            stop = end_of(data, here)
        except NotJson:
            break  # more of it may come
        comma = skip(data, stop)
        if data[comma : comma + 1] != b",":
            if found is None and comma < len(data) and data[comma : comma + 1] != b"]":
                raise NotJson(comma, "a comma, or the end of the array")
            break
        found, here = (stop, comma + 1), skip(data, comma + 1)
    return found


def _end_of_array(data: bytes) -> int:
    """
    Where an array ends of which *data* is the rest.

    Raises:
        NotJson: it does not, or something comes after it.
    """
    end = len(data.rstrip(b" \t\n\r"))
    if data[end - 1 : end] == b"]":
        return end - 1
    here = skip(data, 0)
    while here < len(data):
        if data[here : here + 1] == b"]":
            raise NotJson(skip(data, here + 1), "the end")
        here = skip(data, end_of(data, here))
        here = skip(data, here + 1) if data[here : here + 1] == b"," else here
    raise NotJson(len(data), "a comma, or the end of the array, found the end")


def _read_whole(data: bytes, shape: Shape, table: str | None) -> Iterator[Block]:
    start = _begin(data)
    found = _members(data, start)
    end = len(data.rstrip(b" \t\n\r"))
    if shape == "record":
        yield Block(data, 0, shape, (start, end), None, [(start, end)])
        return
    if shape == "tables":
        start, end = next((at, stop) for name, at, stop in reversed(found) if name == table)
        if data[start : start + 1] == b"[":
            yield Block(data, 0, "array", (start + 1, end - 1))
            return
        found = [(name, start + at, start + stop) for name, at, stop in _members(data[start:end], 0)]
    spans = [(at, stop) for _, at, stop in found]
    yield Block(data, 0, "members", (start + 1, end - 1), [name for name, _, _ in found], spans)


def pass_over(file: BinaryIO, at: int) -> None:
    """Pass over *at* bytes."""
    if at:
        try:
            file.seek(at)
        except (OSError, ValueError):  # a stream that cannot
            while at and (data := file.read(min(at, 2**20))):
                at -= len(data)
