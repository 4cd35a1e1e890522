"""
What a table of MariaDB or MySQL is like: its columns, how its rows are found again, and what watches them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import evolve, frozen

from ....errors import UnknownName, UsageError
from ....targets.typed import Kind, TypedColumn
from ..served.table import ServedTable, Trigger
from .server import Server, quoted

__all__ = ["Column", "Table", "reflect", "tables"]

OURS: Final = "timestamp_guard_"

KINDS: Final[dict[str, Kind]] = {
    "tinyint": "whole", "smallint": "whole", "mediumint": "whole", "int": "whole", "bigint": "whole", "year": "whole",
    "decimal": "decimal", "float": "float", "double": "float",
    "char": "text", "varchar": "text", "tinytext": "text", "text": "text", "mediumtext": "text", "longtext": "text",
    "timestamp": "instant", "datetime": "local",
    "binary": "binary", "varbinary": "binary", "tinyblob": "binary", "blob": "binary", "mediumblob": "binary",
    "longblob": "binary",
}  # fmt: skip

SYSTEM: Final = ("information_schema", "mysql", "performance_schema", "sys")


@frozen
class Column:
    """
    A column: `declared` is its whole type; `digits` are those of its seconds, `precision` and `scale` those of a decimal;
    `touched` if the server sets it to the present time whenever a row changes.
    """

    name: str
    declared: str
    kind: Kind
    computed: bool
    not_null: bool
    touched: bool
    digits: int | None = None
    precision: int = 0
    scale: int = 0
    charset: str = ""
    collation: str = ""
    base: str = ""

    @property
    def unsigned(self) -> bool:
        """Whether it holds no negative numbers."""
        return "unsigned" in self.declared or self.base == "year"

    @property
    def typed(self) -> TypedColumn:
        """What it holds."""
        return TypedColumn(self.kind, f"{self.declared} {self.collation}".strip())


@frozen
class Table(ServedTable[Column]):
    """A table: `engine` stores it; `index` is the one that its rows are walked by, if that can be said by name."""

    engine: str
    index: str | None

    @property
    def source(self) -> str:
        """Its name as SQL has it."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"


def tables(server: Server) -> list[str]:
    """The names of the user's tables in the database of the address."""
    found = server.rows(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = ? "
        "AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY create_time, table_name",
        (server.schema,),
    )
    return [name for (name,) in found if not name.startswith(OURS)]


def reflect(server: Server, name: str, key: Sequence[str] | None) -> Table:
    """
    Look at the table *name*, which may have its database before a dot; *key* is the key that the user declares.

    Raises:
        UnknownName: there is no such table, or no such key column.
        UsageError: it is no table whose rows are here.
    """
    found = _find(server, name)
    if found is None:
        known = tables(server)
        raise UnknownName("table", name, server.label if known else f"{server.label}, which has no tables", known)
    schema, relation, kind, engine = found
    called = relation if schema == server.schema else f"{schema}.{relation}"
    if relation.startswith(OURS):
        msg = f"{called} is part of the ledger of timestamp_guard"
        raise UsageError(msg)
    if kind not in {"BASE TABLE", "SYSTEM VERSIONED"}:
        what = "a view" if "VIEW" in kind else f"a {kind.lower()}"
        msg = f"{called} is {what}: name the table that its rows are stored in"
        raise UsageError(msg)
    columns = _columns(server, schema, relation)
    table = Table(called, columns, (), schema, relation, _triggers(server, schema, relation), engine, None)
    for each in key or ():
        table.column(each)
    index, chosen = _key(server, table)
    if key and tuple(key) != chosen:
        index, chosen = None, tuple(key)
    return evolve(table, key=chosen, index=index)


def _find(server: Server, name: str) -> tuple[str, str, str, str] | None:
    schema, dot, rest = name.partition(".")
    places = [(server.schema, name), *([(schema, rest)] if dot and schema and rest else [])]
    for place in places:
        rows = server.rows(
            "SELECT table_schema, table_name, table_type, engine FROM information_schema.tables "
            "WHERE table_schema = ? AND table_name = ?",
            place,
        )
        # The names of schemas are compared without regard to case there, if those of files are.
        exact = [row for row in rows if row[1] == place[1]] or rows
        if exact:
            where, relation, kind, engine = exact[0]
            return str(where), str(relation), str(kind), str(engine or "")
    return None


def _columns(server: Server, schema: str, name: str) -> tuple[Column, ...]:
    rows = server.rows(
        "SELECT column_name, column_type, data_type, extra, is_nullable, datetime_precision, numeric_precision, "
        "numeric_scale, character_set_name, collation_name, generation_expression FROM information_schema.columns "
        "WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position",
        (schema, name),
    )
    found = []
    for column, declared, base, extra, nullable, digits, precision, scale, charset, collation, expression in rows:
        kind = KINDS.get(str(base).lower(), "other")
        found.append(
            Column(
                column,
                str(declared),
                kind,
                bool(expression),
                nullable == "NO",
                "on update" in str(extra).lower(),
                int(digits or 0) if kind in {"instant", "local"} else None,
                int(precision or 0),
                int(scale or 0),
                str(charset or ""),
                str(collation or ""),
                str(base).lower(),
            )
        )
    return tuple(found)


def _triggers(server: Server, schema: str, name: str) -> tuple[Trigger, ...]:
    """The triggers of a table."""
    rows = server.rows(
        "SELECT trigger_name, event_manipulation FROM information_schema.triggers "
        "WHERE event_object_schema = ? AND event_object_table = ? ORDER BY trigger_name",
        (schema, name),
    )
    return tuple(Trigger(trigger, event == "UPDATE") for trigger, event in rows)


def _key(server: Server, table: Table) -> tuple[str | None, tuple[str, ...]]:
    """The primary key, else a unique index over whole columns that are not null."""
    rows = server.rows(
        "SELECT index_name, column_name, sub_part FROM information_schema.statistics "
        "WHERE table_schema = ? AND table_name = ? AND non_unique = 0 "
        "ORDER BY index_name <> 'PRIMARY', index_name, seq_in_index",
        (table.schema, table.name),
    )
    indexes: dict[str, list[tuple[str | None, object]]] = {}
    for index, column, part in rows:
        indexes.setdefault(index, []).append((column, part))
    for index, parts in indexes.items():
        names = tuple(name for name, part in parts if name is not None and part is None)
        if len(names) == len(parts) and all(table.column(each).not_null for each in names):
            # Another index may be hidden from the optimizer, and could not be asked for by name.
            return index if index == "PRIMARY" else None, names
    return None, ()
