"""
A member of a ZIP as a file that can be read, and replaced: all else in the ZIP stays as it lies there.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from ...errors import StoreDamaged, StoreError
from ..json.content import Content
from ..json.replace import Identity, identity_of
from .archive import (
    CHUNK,
    DEFLATED,
    END,
    END64,
    FULL,
    FULL_SHORT,
    LOCAL,
    LOCATOR,
    RECORD,
    STREAMED,
    Archive,
    Entry,
    Packed,
    extras,
    large_of,
)
from .archive import at as bytes_at

__all__ = ["Member", "Repacked", "copy"]

AHEAD: Final = 8
"""So many stretches may wait to be packed."""

LEVELS: Final = (6, 9, 1, 5, 4, 3, 2, 7, 8)
"""How hard a member may have been packed, the most usual first."""


class Member(Content):
    """
    The member *inner* of the ZIP at *path*, which people call *name*.

    Raises:
        StoreError: there is no such file.
    """

    def __init__(self, path: Path, inner: str, name: str) -> None:
        super().__init__(str(path))
        self.name, self.inner = name, inner
        self._known: tuple[Identity, Archive, Entry] | None = None

    def unpacked(self, raw: BinaryIO) -> BinaryIO:
        """A reader of the member."""
        return cast("BinaryIO", Packed(*self._place(raw), raw))

    def packer(self, raw: BinaryIO, source: BinaryIO) -> BinaryIO:
        """A writer of the whole ZIP into *raw*, whose member is what is written to it; all else comes from *source*."""
        return cast("BinaryIO", Repacked(*self._place(source), source, raw))

    def _place(self, raw: BinaryIO) -> tuple[Archive, Entry]:
        """Where the member is in the open ZIP, which may be another than the one before."""
        identity = identity_of(os.fstat(raw.fileno()))
        if self._known is None or self._known[0] != identity:
            archive = Archive.of(str(self.path), raw)
            entry = next((each for each in archive.entries(raw) if each.name == self.inner), None)
            if entry is None:
                raise StoreDamaged(f"{self.path} has no {self.inner} any more: somebody else changed it")
            self._known = identity, archive, entry
        return self._known[1:]


class Repacked:
    """A ZIP on its way into another file, with one member written anew: in the form, and as hard packed, as it was."""

    def __init__(self, archive: Archive, entry: Entry, source: BinaryIO, out: BinaryIO) -> None:
        self._archive, self._entry, self._source, self._out = archive, entry, source, out
        self._head, self._data = archive.data(source, entry)
        self._wide = bool(large_of(self._head[LOCAL.size + LOCAL.unpack_from(self._head)[-2] :]))
        self._size = self._packed = self._crc = 0
        self._begun = False
        self._trailer = 0
        self._pack: Any = None
        # What takes the time is packing, so it goes on while others are read; it touches no file, so it can be left.
        self._other = ThreadPoolExecutor(1, "timestamp-guard packs")
        self._packing: deque[Future[bytes]] = deque()

    def write(self, data: bytes | memoryview) -> int:
        """Have some more of the member."""
        view = memoryview(data)
        if not self._begun:
            self._begin()
        self._size += len(view)
        self._crc = zlib.crc32(view, self._crc)
        if self._pack is None:
            self._put(view)
            return len(view)
        self._packing.append(self._other.submit(self._pack.compress, view))
        while len(self._packing) > AHEAD:
            self._put(self._packing.popleft().result())
        return len(view)

    def _begin(self) -> None:
        self._begun = True
        self._ensure_alone()
        copy(self._source, 0, self._data, self._out)
        if self._entry.method == DEFLATED:
            self._pack = zlib.compressobj(self._level(), zlib.DEFLATED, -15)

    def _ensure_alone(self) -> None:
        """Make sure that no other member has some of its bytes, or that one would not be what it was."""
        entry, end = self._entry, self._data + self._entry.packed
        for each in self._archive.entries(self._source):
            over = each.offset < end and each.offset + LOCAL.size + len(each.name) + each.packed > entry.offset
            if over and each.name != entry.name:
                raise self._archive.damaged(f"{each.name} and {entry.name} lie in each other")

    def _put(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        self._packed += len(view)
        _write(self._out, view)

    def _level(self) -> int:
        """How hard the member was packed: the level that gives the same first bytes, so that a way back can, too."""
        sample = Packed(self._archive, self._entry, self._source).read(CHUNK)
        whole = len(sample) == self._entry.size
        for level in LEVELS:
            pack = zlib.compressobj(level, zlib.DEFLATED, -15)
            data = pack.compress(sample) + (pack.flush() if whole else b"")
            if data and bytes_at(self._source, self._data, len(data)) == data:
                return level
        return LEVELS[0]

    def close(self) -> None:
        """
        Write the rest of the ZIP.

        Raises:
            StoreError: the member has become too large for its header.
        """
        if not self._begun:
            self._begin()
        for packed in self._packing:
            self._put(packed.result())
        self._other.shutdown()
        if self._pack is not None:
            self._put(self._pack.flush())
        if not self._wide and max(self._size, self._packed) >= FULL:
            raise StoreError(
                f"{self._entry.name} would be larger than 4 GiB, for which its header in {self._archive.name} has no room: "
                f"unpack it, and say convex:FOLDER; nothing was written"
            )
        self._describe()
        after = self._data + self._entry.packed
        if self._entry.flags & STREAMED:
            after += self._after(after)
        moved = self._data + self._packed + self._trailer - after
        copy(self._source, after, self._archive.start, self._out)
        self._direct(moved)

    def _after(self, place: int) -> int:
        """How long what comes after a member is, in which its size is said again."""
        sizes = self._entry.crc, self._entry.packed, self._entry.size
        found = bytes_at(self._source, place, 24)
        for form in ("<4s3L", "<4sL2Q", "<3L", "<L2Q"):
            values = struct.unpack(form, found[: struct.calcsize(form)]) if len(found) >= struct.calcsize(form) else ()
            if values[-3:] == sizes and (len(values) == 3 or values[0] == b"PK\7\x08"):
                said = (self._crc, self._packed, self._size)
                _write(self._out, struct.pack(form, *values[:-3], *said))
                self._trailer = struct.calcsize(form)
                return self._trailer
        raise self._archive.damaged(f"nothing after {self._entry.name} says how long it is")

    def _describe(self) -> None:
        """Say in the header of the member what it is now, where that is said there."""
        values = list(LOCAL.unpack_from(self._head))
        if self._entry.flags & STREAMED and {0, FULL}.issuperset(values[6:9]):
            return  # it is said after it
        name = self._head[LOCAL.size : LOCAL.size + values[-2]]
        extra = self._head[LOCAL.size + values[-2] :]
        values[6] = self._crc
        sizes = [("packed", values[7], self._packed), ("size", values[8], self._size)]
        values[7], values[8] = (FULL if was == FULL and self._wide else now for _, was, now in sizes)
        if self._wide:
            extra = _large(extra, struct.pack("<2Q", self._size, self._packed) + large_of(extra)[16:])
        _write_at(self._out, self._entry.offset, LOCAL.pack(*values) + name + extra)

    def _direct(self, moved: int) -> None:
        """Write the directory, and the end."""
        size, start = 0, self._archive.start + moved
        for each in self._archive.entries(self._source):
            if each.offset == self._entry.offset:
                record = directed(each, self._crc, self._packed, self._size, each.offset)
            else:
                offset = each.offset + moved if each.offset > self._entry.offset else each.offset
                record = directed(each, each.crc, each.packed, each.size, offset)
            size += len(record)
            _write(self._out, record)
        _write(self._out, ended(self._archive, start, size, self._archive.count))


def directed(entry: Entry, crc: int, packed: int, size: int, offset: int) -> bytes:
    """What the directory says of a member that has become another, or has moved."""
    values = list(RECORD.unpack_from(entry.record))
    name_end = RECORD.size + values[10]
    name, extra = entry.record[RECORD.size : name_end], entry.record[name_end : name_end + values[11]]
    comment = entry.record[name_end + values[11] :]
    large = b""
    was = large_of(extra)
    for place, value in ((9, size), (8, packed), (16, offset)):
        if (was and values[place] == FULL) or value >= FULL:
            values[place] = FULL
            large += struct.pack("<Q", value)
        else:
            values[place] = value
    values[7] = crc
    if large or was:
        known = 8 * sum(RECORD.unpack_from(entry.record)[place] == FULL for place in (8, 9, 16))
        extra = _large(extra, large + was[known:])
        values[11] = len(extra)
        values[2] = max(values[2], 45)
    return RECORD.pack(*values) + name + extra + comment


def ended(archive: Archive, start: int, size: int, count: int) -> bytes:
    """The end of a ZIP whose directory is at *start*."""
    values = list(END.unpack_from(archive.tail))
    large = archive.end64
    if not large and (start >= FULL or size >= FULL):
        large = END64.pack(b"PK\6\6", END64.size - 12, 45, 45, 0, 0, count, count, size, start)
        large += LOCATOR.pack(b"PK\6\7", 0, 0, 1)
        values[6] = FULL
    if large:
        many = list(END64.unpack_from(large))
        many[6:] = [count, count, size, start]
        locator = list(LOCATOR.unpack_from(large, len(large) - LOCATOR.size))
        locator[2] = start + size
        large = END64.pack(*many) + large[END64.size : -LOCATOR.size] + LOCATOR.pack(*locator)
    for place, value, full in ((3, count, FULL_SHORT), (4, count, FULL_SHORT), (5, size, FULL), (6, start, FULL)):
        if not (large and (values[place] == full or value >= full)):
            values[place] = value
        else:
            values[place] = full
    return large + END.pack(*values) + archive.tail[END.size :]


def _large(extra: bytes, data: bytes) -> bytes:
    """What a header says beside the usual, with other large numbers: in the place of the old ones, or first."""
    said = b"" if not data else struct.pack("<2H", 1, len(data)) + data
    parts = []
    for kind, each in extras(extra):
        if kind == 1:
            parts.append(said)
            said = b""
        else:
            parts.append(each if kind == -1 else struct.pack("<2H", kind, len(each)) + each)
    return said + b"".join(parts)


def copy(source: BinaryIO, start: int, end: int, out: BinaryIO) -> None:
    """Copy the bytes of a file from *start* to *end* as they are."""
    while start < end:
        data = bytes_at(source, start, min(2**20, end - start))
        if not data:
            raise StoreDamaged("the file became shorter while it was read: nothing was written")
        _write(out, data)
        start += len(data)


def _write(out: BinaryIO, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[out.write(view) or 0 :]


def _write_at(out: BinaryIO, place: int, data: bytes) -> None:
    """Write over what is there, and go on at the end."""
    end = out.tell()
    out.seek(place)
    _write(out, data)
    out.seek(end)
