"""
What a table of PostgreSQL is like: its columns, how its rows are found again, its parts, and what watches them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import evolve, frozen

from ....errors import StoreError, UnknownName, UsageError
from ....targets.typed import Kind, TypedColumn
from ..served.table import ServedTable, Trigger
from .server import Server, quoted

__all__ = ["Column", "Part", "Table", "parts_of", "reflect", "tables", "triggers_of"]

OURS: Final = "timestamp_guard_"

_SURE: Final = (
    "(a.attnotnull AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_constraint u WHERE u.conrelid = a.attrelid "
    "AND u.contype = 'n' AND u.conkey = ARRAY[a.attnum] AND NOT u.convalidated))"
)
"""Whether no row of a column is null."""

KINDS: Final[dict[str, Kind]] = {
    "int2": "whole", "int4": "whole", "int8": "whole", "numeric": "decimal", "float4": "float", "float8": "float",
    "text": "text", "varchar": "text", "bpchar": "text", "timestamptz": "instant", "timestamp": "local",
}  # fmt: skip


@frozen
class Column:
    """
    A column: its type as it was declared and without its limits, its kind, whether it is computed, may not be null,
    or is given by the server; `digits` are those of the fractions of a second that it keeps.
    """

    name: str
    declared: str
    base: str
    kind: Kind
    generated: bool
    not_null: bool
    always: bool
    digits: int | None = None

    @property
    def computed(self) -> bool:
        """Whether nobody may write it."""
        return self.generated or self.always

    @property
    def typed(self) -> TypedColumn:
        """What it holds."""
        return TypedColumn(self.kind, self.declared)


@frozen
class Part:
    """A table that holds rows itself: the whole, or one of its partitions."""

    oid: int
    name: str


@frozen
class Table(ServedTable[Column]):
    """A table: `parts` hold the rows."""

    oid: int
    parts: tuple[Part, ...]
    partition_key: tuple[str, ...]
    inherited: bool
    guarded: bool

    @property
    def source(self) -> str:
        """Its name as SQL has it."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"


def tables(server: Server) -> list[str]:
    """The names of the user's tables: those of other schemas than the current one with their schema."""
    found = server.rows(
        "SELECT n.nspname, c.relname, n.nspname = current_schema() FROM pg_catalog.pg_class c "
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname <> 'information_schema' "
        "AND n.nspname !~ '^pg_' ORDER BY n.nspname = current_schema() DESC, n.nspname, c.oid"
    )
    return [name if current else f"{schema}.{name}" for schema, name, current in found if not name.startswith(OURS)]


def reflect(server: Server, name: str, key: Sequence[str] | None) -> Table:
    """
    Look at the table *name*, which may have its schema before a dot; *key* is the key that the user declares.

    Raises:
        UnknownName: there is no such table, or no such key column.
        UsageError: it is no table whose rows are here.
    """
    found = _find(server, name)
    if found is None:
        known = tables(server)
        raise UnknownName("table", name, server.label if known else f"{server.label}, which has no tables", known)
    oid, schema, relation, kind, guarded, current = found
    called = relation if current else f"{schema}.{relation}"
    if relation.startswith(OURS):
        msg = f"{called} is part of the ledger of timestamp_guard"
        raise UsageError(msg)
    if kind not in {"r", "p"}:
        what = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}.get(kind, "no table")
        msg = f"{called} is {what}: name the table that its rows are stored in"
        raise UsageError(msg)
    columns = _columns(server, oid)
    table = Table(
        called, columns, (), schema, relation, triggers_of(server, oid), oid, parts_of(server, oid),
        _partition_key(server, oid), _inherited(server, oid, kind), guarded,
    )  # fmt: skip
    for each in key or ():
        table.column(each)
    chosen = tuple(key) if key else _key(server, oid)
    return evolve(table, key=chosen)


def _find(server: Server, name: str) -> tuple[int, str, str, str, bool, bool] | None:
    said = (
        "SELECT c.oid::bigint, n.nspname, c.relname, c.relkind::text, c.relrowsecurity, "
        "n.nspname = current_schema() FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.oid = to_regclass(?)"
    )
    dots = [place for place, letter in enumerate(name) if letter == "." and 0 < place < len(name) - 1]
    for each in (quoted(name), *(f"{quoted(name[:dot])}.{quoted(name[dot + 1 :])}" for dot in dots)):
        rows = server.rows(said, (each,))
        if rows:
            oid, where, relation, kind, guarded, current = rows[0]
            return oid, where, relation, kind, guarded, bool(current)
    return None


def _columns(server: Server, oid: int) -> tuple[Column, ...]:
    rows = server.rows(
        # Without a limit, -1 and not NULL: `character` alone is a single one. From 18 on a column may be declared NOT NULL
        # while nobody has looked yet whether it is.
        "SELECT a.attname, format_type(a.atttypid, a.atttypmod), format_type(a.atttypid, -1), "  # noqa: S608
        "CASE WHEN t.typtype = 'd' THEN b.typname ELSE t.typname END, a.attgenerated <> '', "
        f"{_SURE}, "
        "a.attidentity = 'a', CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END "
        "FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid "
        "LEFT JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype "
        "WHERE a.attrelid = ? AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
        (oid,),
    )
    found = []
    for name, declared, base, kind, generated, not_null, always, limit in rows:
        is_time = KINDS.get(kind) in {"instant", "local"}
        digits = (6 if limit < 0 else limit) if is_time else None
        found.append(Column(name, declared, base, KINDS.get(kind, "other"), generated, not_null, always, digits))
    return tuple(found)


def parts_of(server: Server, oid: int) -> tuple[Part, ...]:
    """The tables that hold the rows of a table: of one that is not partitioned, itself."""
    rows = server.rows(
        "SELECT p.relid::oid::bigint, c.relkind::text, p.relid::text, p.isleaf "
        "FROM pg_partition_tree((?::bigint)::oid::regclass) p "
        "JOIN pg_catalog.pg_class c ON c.oid = p.relid ORDER BY 1",
        (oid,),
    )
    if not rows:
        return (Part(oid, _full(server, oid)),)
    for _, kind_of, name, _ in rows:
        if kind_of not in {"r", "p"}:
            msg = f"partition {name} is a foreign table: fill it where its rows are"
            raise UsageError(msg)
    return tuple(Part(part, _full(server, part)) for part, kind_of, _, leaf in rows if leaf and kind_of == "r")


def _full(server: Server, oid: int) -> str:
    found = server.rows(
        "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c "
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ?",
        (oid,),
    )
    if not found:
        msg = f"a table of {server.label} does not exist any more: it was dropped meanwhile"
        raise StoreError(msg)
    ((schema, name),) = found
    return f"{quoted(schema)}.{quoted(name)}"


def triggers_of(server: Server, oid: int) -> tuple[Trigger, ...]:
    """The triggers and rules of a table and of its parts that an UPDATE may set off."""
    rows = server.rows(
        "SELECT t.tgname, t.tgtype & 16 <> 0 FROM pg_catalog.pg_trigger t WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' "
        "AND (t.tgrelid = ? OR t.tgrelid IN (SELECT relid FROM pg_partition_tree((?::bigint)::oid::regclass))) "
        "UNION SELECT r.rulename, true FROM pg_catalog.pg_rewrite r WHERE r.ev_class = ? AND r.ev_type = '2' ORDER BY 1",
        (oid, oid, oid),
    )
    return tuple(Trigger(name, on_update) for name, on_update in rows)


def _partition_key(server: Server, oid: int) -> tuple[str, ...]:
    """The columns that say in which part a row belongs, at any depth; all of them where an expression does."""
    rows = server.rows(
        "SELECT DISTINCT a.attname FROM pg_catalog.pg_partitioned_table p "
        "JOIN pg_catalog.pg_attribute a ON a.attrelid = p.partrelid "
        "WHERE p.partrelid IN (SELECT relid FROM pg_partition_tree((?::bigint)::oid::regclass)) "
        "AND a.attnum > 0 AND (a.attnum = ANY (p.partattrs::int2[]) OR 0 = ANY (p.partattrs::int2[]))",
        (oid,),
    )
    return tuple(name for (name,) in rows)


def _inherited(server: Server, oid: int, kind: str) -> bool:
    return kind == "r" and bool(server.rows("SELECT 1 FROM pg_catalog.pg_inherits WHERE inhparent = ? LIMIT 1", (oid,)))


def _key(server: Server, oid: int) -> tuple[str, ...]:
    """The primary key, else a unique index over whole columns that are not null."""
    rows = server.rows(
        "SELECT i.indexrelid::bigint, i.indisprimary, "  # noqa: S608
        f"array_agg(a.attname::text ORDER BY k.place), bool_and(coalesce({_SURE}, false)) "
        "FROM pg_catalog.pg_index i CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place) "
        "LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number AND k.number > 0 "
        "WHERE i.indrelid = ? AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL "
        "AND k.place <= i.indnkeyatts GROUP BY 1, 2 ORDER BY 2 DESC, 1",
        (oid,),
    )
    for _, _, names, sure in rows:
        if sure:
            return tuple(names)
    return ()
