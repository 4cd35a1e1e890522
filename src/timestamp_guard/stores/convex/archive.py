"""
A ZIP as its members lie in it: found by its directory, each read as a stream, none of them believed.

Only what is needed to have one member written anew and all others copied as they are: their bytes are never unpacked.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final

from attrs import frozen

from ...errors import StoreDamaged, UsageError

__all__ = ["Archive", "Entry", "Packed", "at"]

STORED, DEFLATED = 0, 8
END: Final = struct.Struct("<4s4H2LH")
END64: Final = struct.Struct("<4sQ2H2L4Q")
LOCATOR: Final = struct.Struct("<4sLQL")
RECORD: Final = struct.Struct("<4s6H3L5H2L")
LOCAL: Final = struct.Struct("<4s5H3L2H")
FULL, FULL_SHORT = 2**32 - 1, 2**16 - 1
STREAMED, ENCRYPTED, UTF8 = 0x8, 0x1 | 0x40 | 0x2000, 0x800

CHUNK: Final = 2**18
BOMB: Final = 500
"""Documents with ids never shrink so far: a member that unpacks to so many times its size is made to fill a memory."""
BOMB_FROM: Final = 2**26


@frozen
class Entry:
    """
    A member as the directory has it: `record` is what stands there, `offset` where its header begins.

    `packed` and `size` are its bytes as they lie there and unpacked.
    """

    name: str
    record: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int


@frozen
class Archive:
    """
    Where the directory of a ZIP is, what comes after it, and how many members it names.

    `end64` is the end that large ones have before the usual one; empty where there is none.
    """

    name: str
    start: int
    size: int
    count: int
    end64: bytes
    tail: bytes

    @classmethod
    def of(cls, name: str, raw: BinaryIO) -> Archive:
        """
        Find the directory of the open file *raw*, which people call *name*.

        Raises:
            StoreDamaged: it is no ZIP, or is cut.
        """
        length = raw.seek(0, 2)
        head = at(raw, 0, 4)
        last = at(raw, max(0, length - END.size - FULL_SHORT), END.size + FULL_SHORT)
        place = last.rfind(b"PK\5\6")
        if place < 0 or len(last) - place < END.size:
            if not head.startswith(b"PK"):
                raise StoreDamaged(
                    f"{name} is no ZIP: wanted what npx convex export makes, or a folder unpacked from it"
                )
            raise StoreDamaged(f"{name} is a ZIP without its end: it was cut, so get it anew")
        _, disk, first, here, count, size, start, comment = END.unpack_from(last, place)
        tail, end = last[place:], length - len(last) + place
        if len(tail) != END.size + comment:
            raise StoreDamaged(f"{name} does not end where it says: it was cut, or something was added to it")
        end64 = b""
        located = at(raw, end - LOCATOR.size, LOCATOR.size) if end >= LOCATOR.size else b""
        if located.startswith(b"PK\6\7"):
            _, _, place, _ = LOCATOR.unpack(located)
            end64 = at(raw, place, end - place)
            if len(end64) < END64.size + LOCATOR.size or not end64.startswith(b"PK\6\6"):
                raise StoreDamaged(f"{name} has no directory where it says: it was cut, or something was added to it")
            _, _, _, _, disk, first, here, count, size, start = END64.unpack_from(end64)
            end = place
        if disk or first or here != count:
            raise StoreDamaged(f"{name} is one part of a ZIP in several files: join them first")
        if start + size != end:
            raise StoreDamaged(f"{name} has no directory where it says: it was cut, or something was added to it")
        return cls(name, start, size, count, end64, tail)

    def entries(self, raw: BinaryIO) -> Iterator[Entry]:
        """
        The members, in the order of the directory.

        Raises:
            StoreDamaged: the directory is not what it says.
        """
        data, read = b"", 0
        for _ in range(self.count):
            while (size := _record_size(data)) is None or len(data) < size:
                more = at(raw, self.start + read, min(CHUNK, self.size - read))
                if not more:
                    raise self.damaged("its directory breaks off")
                data, read = data + more, read + len(more)
            yield self._entry(data[:size])
            data = data[size:]
        if data or read != self.size:
            raise self.damaged("its directory has more members than it says")

    def _entry(self, record: bytes) -> Entry:
        values = RECORD.unpack_from(record)
        if values[0] != b"PK\1\2":
            raise self.damaged("its directory is not one")
        flags, method, crc, packed, size = values[3], values[4], *values[7:10]
        length, extra, disk, offset = values[10], values[11], values[13], values[16]
        raw_name = record[RECORD.size : RECORD.size + length]
        name = raw_name.decode("utf-8" if flags & UTF8 else "cp437", "replace")
        large = large_of(record[RECORD.size + length : RECORD.size + length + extra])
        wide = iter(struct.unpack(f"<{len(large) // 8}Q", large[: len(large) // 8 * 8]))
        try:
            size, packed, offset = (
                next(wide) if value == FULL and large else value for value in (size, packed, offset)
            )
        except (RuntimeError, StopIteration):
            raise self.damaged(f"{name!r} says that it is large, and not how large") from None
        if disk not in {0, FULL_SHORT}:
            raise self.damaged(f"{name!r} lies in another file")
        return Entry(name, record, flags, method, crc, packed, size, offset)

    def checked(self, raw: BinaryIO) -> Iterator[Entry]:
        """
        The members, of a ZIP that can be trusted not to be made to harm.

        Raises:
            UsageError: one is encrypted.
            StoreDamaged: one is there twice, has a name that leads out of the folder it is unpacked in, or shares its
                bytes with others.
        """
        seen: set[int] = set()
        total = 0
        for entry in self.entries(raw):
            name = entry.name
            if entry.flags & ENCRYPTED:
                msg = f"{self.name} is encrypted ({name}): take an export that is not, or make one of what is in it"
                raise UsageError(msg)
            if name.startswith("/") or "\\" in name or "\0" in name or ":" in name[:2] or ".." in name.split("/"):
                raise self.damaged(f"the name {name!r} leads out of the folder that it is unpacked in")
            if hash(name) in seen:
                raise self.damaged(f"{name} is there twice, and which one counts depends on who reads it")
            seen.add(hash(name))
            total += LOCAL.size + len(name) + entry.packed
            if total > self.start:
                raise self.damaged("its members lie in each other, or are longer than it")
            yield entry

    def data(self, raw: BinaryIO, entry: Entry) -> tuple[bytes, int]:
        """
        The header of a member, and where its bytes begin.

        Raises:
            StoreDamaged: it is not there.
        """
        head = at(raw, entry.offset, LOCAL.size)
        if len(head) < LOCAL.size or not head.startswith(b"PK\3\4"):
            raise self.damaged(f"{entry.name} is not where its directory says")
        name, extra = LOCAL.unpack(head)[-2:]
        head = at(raw, entry.offset, LOCAL.size + name + extra)
        length = RECORD.unpack_from(entry.record)[10]
        if head[LOCAL.size : LOCAL.size + name] != entry.record[RECORD.size : RECORD.size + length]:
            raise self.damaged(f"{entry.name} has another name where it lies than in the directory")
        start = entry.offset + len(head)
        if start + entry.packed > self.start:
            raise self.damaged(f"{entry.name} is longer than what is there")
        return head, start

    def damaged(self, why: str) -> StoreDamaged:
        """What is wrong with it."""
        return StoreDamaged(f"{self.name} is damaged, or made to harm: {why}; get it anew")


def at(raw: BinaryIO, place: int, length: int) -> bytes:
    """The bytes of a file from *place* on, at most *length* of them."""
    raw.seek(place)
    found = b""
    while len(found) < length and (more := raw.read(length - len(found))):
        found += more
    return found


def _record_size(data: bytes) -> int | None:
    """How long the record is with which *data* begins."""
    if len(data) < RECORD.size:
        return None
    values = RECORD.unpack_from(data)
    return RECORD.size + int(values[10] + values[11] + values[12])


def extras(data: bytes) -> Iterator[tuple[int, bytes]]:
    """What a header says beside the usual: each kind, and its bytes; what is no such thing comes as kind -1."""
    here = 0
    while here + 4 <= len(data):
        kind, size = struct.unpack_from("<2H", data, here)
        if here + 4 + size > len(data):
            break
        yield kind, data[here + 4 : here + 4 + size]
        here += 4 + size
    if here < len(data):
        yield -1, data[here:]


def large_of(extra: bytes) -> bytes:
    """The numbers that are too large for their usual place."""
    return next((data for kind, data in extras(extra) if kind == 1), b"")


class Packed:
    """A member, unpacked as it is read; at its end its length and its checksum must be right."""

    def __init__(self, archive: Archive, entry: Entry, raw: BinaryIO) -> None:
        if entry.method not in {STORED, DEFLATED}:
            raise StoreDamaged(
                f"{archive.name}: {entry.name} is packed by method {entry.method}, which no export has: unpack it, and "
                f"say convex:FOLDER"
            )
        if entry.size > BOMB_FROM and entry.size > BOMB * entry.packed:
            raise archive.damaged(f"{entry.name} unpacks to {entry.size // max(1, entry.packed):,} times its size")
        self._archive, self._entry, self._raw = archive, entry, raw
        _, self._at = archive.data(raw, entry)
        self._end = self._at + entry.packed
        self._size = self._crc = 0
        self._unpack = zlib.decompressobj(-15) if entry.method == DEFLATED else None
        self._over = False

    def seekable(self) -> bool:
        """Never: a part of it can only be read after all before it."""
        return False

    def seek(self, place: int) -> int:
        """
        Refused.

        Raises:
            OSError: always.
        """
        raise OSError(place)

    def read(self, size: int = -1) -> bytes:
        """
        The next bytes; none at the end.

        Raises:
            StoreDamaged: it is not what its directory says.
        """
        if size < 0:
            return b"".join(iter(lambda: self.read(CHUNK), b""))
        found: list[bytes] = []
        wanted = size
        while wanted and not self._over and (data := self._some(wanted)):
            found.append(data)
            wanted -= len(data)
        return found[0] if len(found) == 1 else b"".join(found)

    def _some(self, size: int) -> bytes:
        data = self._inflated(size)
        self._size += len(data)
        self._crc = zlib.crc32(data, self._crc)
        if self._size > self._entry.size:
            raise self._archive.damaged(f"{self._entry.name} is longer than its directory says")
        if not data:
            self._over = True
            if self._size != self._entry.size or self._crc != self._entry.crc:
                raise self._archive.damaged(f"{self._entry.name} is not what it was when it was packed (its checksum)")
        return data

    def _packed(self, size: int) -> bytes:
        self._raw.seek(self._at)
        data = self._raw.read(min(size, self._end - self._at))
        self._at += len(data)
        return data

    def _inflated(self, size: int) -> bytes:
        unpack = self._unpack
        if unpack is None:
            return self._packed(size)
        while not unpack.eof:
            rest = unpack.unconsumed_tail or self._packed(2**16)
            data = unpack.decompress(rest, size)
            if data:
                return data
            if not rest:
                break
        if not unpack.eof or unpack.unused_data or self._at < self._end:
            raise self._archive.damaged(f"{self._entry.name} breaks off, or something follows it")
        return b""
