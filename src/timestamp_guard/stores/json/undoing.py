"""
A run taken back: byte by byte where the file is what the run made of it, and record by record where it is not.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final

from ...errors import UsageError
from ...instants import ABSENT
from ..base import same
from .blocks import Block
from .codec import Codec
from .folder import Record
from .patching import written_key
from .replace import Replacement
from .scratch import scratch, told
from .splice import Gap, Member, find, path_of, put, skip, take, value_of

__all__ = ["by_key", "exactly"]

SIZE: Final = 2**18


def exactly(file: BinaryIO, spans: Iterator[tuple[int, int, bytes]], new: Replacement) -> int:
    """
    Put back what stood there, and say in how many places; *spans* are in the order of the file.

    Only bytes are moved, nothing is parsed.
    """
    restored = at = 0
    rest = b""
    following = next(spans, None)
    while data := rest + file.read(SIZE):
        parts: list[bytes] = []
        done = 0
        more = len(data) > len(rest)
        while following is not None and following[0] + following[1] <= at + len(data):
            start = following[0] - at
            parts.append(data[done:start])
            parts.append(following[2])
            done = start + following[1]
            restored += 1
            following = next(spans, None)
        # What belongs to a change that is not all there stays for the next stretch.
        end = len(data) if following is None else max(done, min(len(data), following[0] - at))
        if not more:
            end = len(data)
        parts.append(data[done:end])
        new.write(b"".join(parts), data[:end])
        at, rest = at + end, data[end:]
    return restored


def by_key(
    stretches: Callable[[], Iterator[tuple[Block, list[object]]]],
    codec: Codec,
    name: str,
    records: Iterator[Record],
    new: Replacement,
) -> tuple[int, int]:
    """
    Give each record its old value that is found by its key, once, and still holds what the run wrote: how many were,
    and how many not.
    """
    path = path_of(name)
    with told("what is taken back"), contextlib.closing(scratch()) as database:
        database.execute("BEGIN")
        database.execute("CREATE TABLE changes (key PRIMARY KEY, before, after, seen DEFAULT 0) WITHOUT ROWID")
        total = 0
        for record in records:
            total += 1
            database.execute(
                "INSERT INTO changes (key, before, after) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET seen = 2",
                (record.key, record.before, record.after),
            )
        for number, block, found in _numbered(stretches()):
            keys = [(key,) for key in _keys(codec, number, block, found)]
            database.executemany("UPDATE changes SET seen = seen + 1 WHERE key = ?", keys)
        restored = 0
        for number, block, found in _numbered(stretches()):
            parts: list[bytes] = []
            done = 0
            for index, key in enumerate(_keys(codec, number, block, found)):
                hit = database.execute(
                    "SELECT before, after FROM changes WHERE key = ? AND seen = 1", (key,)
                ).fetchone()
                if hit is None:
                    continue
                start, stop = block.spans()[index]
                text = block.data[start:stop]
                back = _given_back(text, path, *hit)
                if back is not None:
                    parts += (block.data[done:start], back)
                    done = stop
                    restored += 1
            parts.append(block.data[done:])
            new.write(b"".join(parts), block.data)
        return restored, total - restored


def _given_back(text: bytes, path: tuple[str, ...], before: bytes | None, after: bytes) -> bytes | None:
    """A record with its old value, if it holds what was written."""
    place: Member | Gap | None = find(text, skip(text, 0), path)
    if not isinstance(place, Member) or not same(value_of(text[place.start : place.end]), value_of(after)):
        return None
    if before is not None:
        return put(text, place, path[-1], before)
    while isinstance(place, Member):  # of a key that is there twice the earlier would count, were only the last taken
        text = take(text, place)
        place = find(text, skip(text, 0), path)
    return text


def _numbered(stretches: Iterator[tuple[Block, list[object]]]) -> Iterator[tuple[int, Block, list[object]]]:
    number = 0
    for block, found in stretches:
        yield number, block, found
        number += len(found)


def _keys(codec: Codec, number: int, block: Block, found: list[object]) -> Iterator[bytes]:
    """The keys of records as the ledger has them; of one that no ledger could have, nothing."""
    for index, record in enumerate(found):
        key = codec.key(record, number + index, block.name(index))
        try:
            yield b"" if key is ABSENT else written_key(key)
        except UsageError:
            yield b""
