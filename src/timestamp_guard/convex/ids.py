"""
The ids of Convex documents, read without asking a deployment.

An id is the number of its table, 16 bytes that tell the document from others, and a checksum of both, in lower case
Crockford base32.
"""

from __future__ import annotations

from typing import Final

from attrs import frozen

__all__ = ["Id", "NotAnId", "decode", "encode"]

ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
INTERNAL: Final = 16
LENGTHS: Final = range(31, 38)
"""Of how many letters an id can be: its table's number takes one to five bytes."""

_PYTHONS: Final = str.maketrans(ALPHABET, "0123456789abcdefghijklmnopqrstuv")
_OTHERS: Final = frozenset("ilou")


class NotAnId(ValueError):
    """A text is no id; says why."""


@frozen
class Id:
    """The document that an id names: the number of its table, and its own 16 bytes."""

    table: int
    internal: bytes


def decode(text: str) -> Id:
    """
    The document that *text* names.

    Raises:
        NotAnId: it names none: it has another length or other letters, or its checksum is wrong.
    """
    if len(text) not in LENGTHS:
        msg = f"it has {len(text)} letters, and an id {LENGTHS.start} to {LENGTHS.stop - 1}"
        raise NotAnId(msg)
    if not text.isascii() or not text.isalnum() or text != text.lower() or not _OTHERS.isdisjoint(text):
        msg = "it has letters that no id has"
        raise NotAnId(msg)
    size, spare = divmod(len(text) * 5, 8)
    bits = int(text.translate(_PYTHONS), 32)
    if bits & ((1 << spare) - 1):
        msg = "its last letter says more than an id does"
        raise NotAnId(msg)
    data = (bits >> spare).to_bytes(size, "big")
    table, at = _number(data)
    if len(data) != at + INTERNAL + 2:
        msg = f"it has {len(text)} letters, and an id of table {table} has another number of them"
        raise NotAnId(msg)
    if _checksum(data[:-2]) != data[-2:]:
        msg = "its checksum is wrong"
        raise NotAnId(msg)
    return Id(table, data[at:-2])


def encode(one: Id) -> str:
    """The text that names a document; the inverse of :func:`decode`."""
    number, head = one.table, bytearray()
    while number > 0x7F:
        head.append(number & 0x7F | 0x80)
        number >>= 7
    data = bytes([*head, number]) + one.internal
    data += _checksum(data)
    letters = -(-len(data) * 8 // 5)
    bits = int.from_bytes(data, "big") << (letters * 5 - len(data) * 8)
    return "".join(ALPHABET[bits >> shift & 31] for shift in range(5 * (letters - 1), -1, -5))


def _number(data: bytes) -> tuple[int, int]:
    """The number with which *data* begins, seven bits in a byte from the lowest on, and where it ends."""
    number = 0
    for at, byte in enumerate(data[:5]):
        number |= (byte & 0x7F) << 7 * at
        if byte < 0x80:
            if not 0 < number < 2**32:
                break
            return number, at + 1
    msg = "it begins with no number of a table"
    raise NotAnId(msg)


def _checksum(data: bytes) -> bytes:
    """Fletcher's checksum of 16 bits, its sums modulo 256, the plain sum first."""
    return bytes([sum(data) % 256, sum(byte * (len(data) - at) for at, byte in enumerate(data)) % 256])
