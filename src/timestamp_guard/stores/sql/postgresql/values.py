"""
How values of PostgreSQL come to Python: exactly, or as text where Python has nothing that could hold them.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from psycopg import DataError
from psycopg.abc import Loader
from psycopg.types.datetime import TimestampLoader, TimestamptzLoader
from psycopg.types.numeric import FloatLoader
from psycopg.types.string import TextLoader

from ....instants import Raw
from ....targets.typed import Kind

__all__ = ["LOADERS", "text_of", "thawed", "wide"]


class Instants(TimestamptzLoader):
    """Instants in UTC; infinity, and years that no datetime can have, as text."""

    def load(self, data: Any) -> Any:
        """Read one."""
        try:
            return super().load(data).astimezone(UTC)
        except (DataError, OverflowError, ValueError):
            return bytes(data).decode()


class LocalTimes(TimestampLoader):
    """Local times; infinity, and years that no datetime can have, as text."""

    def load(self, data: Any) -> Any:
        """Read one."""
        try:
            return super().load(data)
        except (DataError, OverflowError, ValueError):
            return bytes(data).decode()


class Singles(FloatLoader):
    """Numbers of a `real` exactly: their text has as few digits as tell them apart, which a double reads as another."""

    def load(self, data: Any) -> Any:
        """Read one."""
        number = super().load(data)
        return struct.unpack("f", struct.pack("f", number))[0]


class Texts(TextLoader):
    """Text; where the database holds bytes that are none, with what is left of them, so that no row ends a look."""

    def load(self, data: Any) -> str:
        """Read one."""
        return bytes(data).decode("utf-8", "surrogateescape")


class Padded(Texts):
    """Text of `char(n)`, without the blanks that only fill it up."""

    def load(self, data: Any) -> str:
        """Read one."""
        return super().load(data).rstrip(" ")


LOADERS: Final[Mapping[str | int, type[Loader]]] = {
    "timestamptz": Instants, "timestamp": LocalTimes, "float4": Singles, "text": Texts, "varchar": Texts, "bpchar": Padded,
    "name": Texts, 0: Texts, 705: Texts,
}  # fmt: skip

WIDE: Final = {
    "whole": "numeric", "decimal": "numeric", "float": "float8", "text": "text",
    "instant": "timestamp with time zone", "local": "timestamp without time zone",
}  # fmt: skip


def wide(kind: Kind, own: str) -> str:
    """The type of a kind that loses nothing of any value of it: where a value is told to be kept by comparing it."""
    return WIDE.get(kind, own)


def text_of(raw: Raw) -> str | None:
    """
    A value as the server would read it.

    Raises:
        TypeError: it is of a type that no column of ours has.
    """
    if raw is None or isinstance(raw, str):
        return raw
    if isinstance(raw, bool) or not isinstance(raw, int | float | Decimal | datetime):
        msg = f"{raw!r} is of a type that cannot be written here"
        raise TypeError(msg)
    return raw.isoformat(" ") if isinstance(raw, datetime) else repr(raw) if isinstance(raw, float) else str(raw)


def thawed(text: Any, kind: Kind) -> Raw:
    """
    A value that the ledger holds as text.

    Raises:
        ValueError: it is none of that kind.
    """
    if text is None:
        return None
    match kind:
        case "whole":
            return int(text)
        case "decimal":
            return Decimal(text)
        case "float":
            return float(text)
        case "instant" | "local":
            try:
                when = datetime.fromisoformat(text)
            except ValueError:
                return str(text)
            return when.astimezone(UTC) if when.tzinfo else when
        case _:
            return str(text)
