"""
How values of MariaDB and MySQL come to Python: exactly, or as text where Python has nothing that could hold them; and
how they are kept as text.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from ....instants import Raw
from ....targets.typed import Kind

if TYPE_CHECKING:
    from .table import Column

__all__ = ["compared", "decoders", "put", "read", "text", "thawed"]


def decoders() -> dict[Any, Any]:
    """What the driver does with values of each type."""
    from pymysql.constants import FIELD_TYPE
    from pymysql.converters import conversions

    return conversions | {FIELD_TYPE.TIMESTAMP: _instant, FIELD_TYPE.DATETIME: _local, FIELD_TYPE.TIME: str}


def _local(said: str) -> Raw:
    """A local time; as text where it is none, like 0000-00-00 00:00:00."""
    try:
        return datetime.fromisoformat(said)
    except ValueError:
        return said


def _instant(said: str) -> Raw:
    """An instant: the session is in UTC."""
    found = _local(said)
    return found.replace(tzinfo=UTC) if isinstance(found, datetime) else found


# -- as SQL has them

READ: Final = {"float": "{} + 0e0"}
TEXT: Final[dict[str, str]] = {
    "whole": "CAST({} AS CHAR)", "decimal": "CAST({} AS CHAR)", "float": "CAST({} + 0e0 AS CHAR)",
    "text": "CONVERT({} USING utf8mb4)", "instant": "CAST({} AS CHAR)", "local": "CAST({} AS CHAR)",
    "binary": "HEX({})",
}  # fmt: skip


def read(kind: Kind, expression: str) -> str:
    """A value as it is read: a FLOAT as the double that it is, for as text it would lose digits."""
    return READ.get(kind, "{}").format(expression)


def text(kind: Kind, expression: str) -> str:
    """A value as the text that loses nothing of it."""
    return TEXT.get(kind, "CONVERT({} USING utf8mb4)").format(expression)


def put(kind: Kind, kept: str) -> str:
    """What a column is given so that it holds a value that is kept as text."""
    return f"UNHEX({kept})" if kind == "binary" else kept


def compared(column: Column, kept: str) -> str:
    """A value that is kept as text, as the type of *column*: what an index can be asked for."""
    match column.kind:
        case "whole":
            return f"CAST({kept} AS {'UNSIGNED' if column.unsigned else 'SIGNED'})"
        case "decimal":
            return f"CAST({kept} AS DECIMAL({column.precision},{column.scale}))"
        case "float":
            return f"({kept} + 0e0)"
        case "instant" | "local":
            return f"CAST({kept} AS DATETIME({column.digits or 0}))"
        case "text":
            return f"CONVERT({kept} USING {column.charset}) COLLATE {column.collation}"
        case "binary":
            return f"UNHEX({kept})"
        case _:
            return f"CAST({kept} AS DATE)"


def kept(raw: Raw) -> str:
    """
    A value of a key as the text that a cursor is made of.

    Raises:
        TypeError: it is of a type that no key has.
    """
    match raw:
        case bytes():
            return raw.hex()
        case float():
            return repr(raw)
        case datetime():
            return raw.replace(tzinfo=None).isoformat(" ")
        case str() | int() | Decimal() | date():
            return str(raw)
        case _:
            msg = f"{raw!r} is of a type that no key can have"
            raise TypeError(msg)


def given(value: Raw) -> Raw:
    """A value as a parameter: a time as text, which the server reads in UTC."""
    return value.replace(tzinfo=None).isoformat(" ") if isinstance(value, datetime) else value


def thawed(said: Any, kind: Kind) -> Raw:
    """
    A value that the ledger or a cursor holds as text.

    Raises:
        ValueError: it is none of that kind.
    """
    if said is None:
        return None
    match kind:
        case "whole":
            return int(said)
        case "decimal":
            return Decimal(said)
        case "float":
            return float(said)
        case "instant":
            return _instant(str(said))
        case "local":
            return _local(str(said))
        case "binary":
            return bytes.fromhex(said)
        case _:
            return str(said)
