"""
What a table of SQLite is like: its columns, how its rows are found again, and what watches them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from attrs import frozen

from ...errors import UnknownName, UsageError
from .database import Database, quoted
from .found import SqlTable

__all__ = ["Column", "Table", "Trigger", "reflect", "tables"]

OURS: Final = "timestamp_guard_"


@frozen
class Column:
    """A column: its name, declared type, whether it is computed or may not be null, and whether its table is STRICT."""

    name: str
    declared: str
    generated: bool
    not_null: bool
    strict: bool = False

    @property
    def affinity(self) -> str:
        """What the declared type does to values, by the rules of https://www.sqlite.org/datatype3.html#determination_of_column_affinity."""
        declared = self.declared.upper()
        if "INT" in declared:
            return "INTEGER"
        if any(each in declared for each in ("CHAR", "CLOB", "TEXT")):
            return "TEXT"
        if "BLOB" in declared or not declared or (self.strict and declared == "ANY"):
            return "BLOB"
        return "REAL" if any(each in declared for each in ("REAL", "FLOA", "DOUB")) else "NUMERIC"


@frozen
class Trigger:
    """A trigger of the user's own, as it was created."""

    name: str
    sql: str

    @property
    def on_update(self) -> bool:
        """Whether an UPDATE may set it off: it might be named so, or do so, and is counted then too."""
        return re.search("UPDATE", self.sql, re.IGNORECASE) is not None


@frozen
class Table(SqlTable[Column]):
    """
    A table: `place` are the columns in whose order it is stored: the rowid under a name that no column shadows, or the
    primary key of a WITHOUT ROWID table, by `collations`.
    """

    kind: str
    place: tuple[str, ...]
    collations: tuple[str, ...]
    triggers: tuple[Trigger, ...]

    @property
    def name(self) -> str:
        """Its name."""
        return self.called

    @property
    def source(self) -> str:
        """Its name as SQL has it."""
        return quoted(self.called)

    @property
    def has_rowid(self) -> bool:
        """Whether `place` is the rowid."""
        return len(self.place) == 1 and self.place[0] not in {column.name for column in self.columns}


def tables(database: Database) -> list[str]:
    """The names of the user's tables, in the order in which they were created."""
    rows = database.rows("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid")
    return [name for (name,) in rows if not name.startswith(("sqlite_", OURS))]


def reflect(database: Database, name: str, key: Sequence[str] | None) -> Table:
    """
    Look at the table *name*; *key* is the key that the user declares.

    Raises:
        UnknownName: there is no such table, or no such key column.
        UsageError: it is a view, a table of ours, or one whose rows cannot be told apart.
    """
    found = database.rows(
        "SELECT type, rootpage FROM sqlite_master WHERE name = ? AND type IN ('table', 'view')", (name,)
    )
    if not found:
        known = tables(database)
        raise UnknownName(
            "table", name, str(database.path) if known else f"{database.path}, which has no tables", known
        )
    if name.startswith(OURS):
        raise UsageError(f"{name} is part of the ledger of timestamp_guard")
    ((kind, page),) = found
    if kind == "view":
        raise UsageError(f"{name} is a view: name the table that its rows are stored in")
    if not page:
        kind = "virtual table"
    info = database.rows(f"PRAGMA table_xinfo({quoted(name)})")
    strict = any(row[5] for row in database.rows("PRAGMA table_list") if row[1] == name)
    columns = tuple(Column(row[1], row[2] or "", row[6] in {2, 3}, bool(row[3]), strict) for row in info if row[6] != 1)
    indexes = _indexes(database, name)
    without_rowid = any(index.clustered for index in indexes)
    primary = tuple(row[1] for row in sorted(info, key=lambda row: row[5]) if row[5])
    # No index of its own: then a primary key is the rowid, and never null.
    whole = len(primary) == 1 and not without_rowid and not any(index.primary for index in indexes)
    table = Table(name, columns, (), kind, (), (), triggers(database, name))
    if key:
        for each in key:
            table.column(each)
        chosen = tuple(key)
    else:
        sure = without_rowid or whole or all(table.column(each).not_null for each in primary)
        chosen = _key(database, table, primary if sure else (), primary, indexes)
    taken = {column.name.lower() for column in columns}
    free = [each for each in ("rowid", "_rowid_", "oid") if each not in taken]
    collations: tuple[str, ...] = ()
    if without_rowid:
        place = primary
        collations = next((index.collations for index in indexes if index.primary), ())
    elif free or whole:
        place = tuple(free[:1]) or primary
    else:
        raise UsageError(
            f"table {name} has columns named rowid, _rowid_ and oid, which hide the number of a row, and no INTEGER "
            f"PRIMARY KEY: rename one of them"
        )
    return Table(name, columns, chosen, kind, place, collations, table.triggers)


def triggers(database: Database, name: str) -> tuple[Trigger, ...]:
    """The triggers of the table *name*."""
    # `tbl_name` is as CREATE TRIGGER spelled it, in whatever case.
    found = database.rows(
        "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE ORDER BY rowid",
        (name,),
    )
    return tuple(Trigger(*row) for row in found)


@frozen
class _Index:
    """
    An index over all rows that holds every key once: that of the primary key, if it is; and if it ends without the
    rowid, it is the table itself.
    """

    primary: bool
    clustered: bool
    columns: tuple[str | None, ...]
    collations: tuple[str, ...]


def _indexes(database: Database, name: str) -> list[_Index]:
    found = []
    for _, index, unique, origin, partial in database.rows(f"PRAGMA index_list({quoted(name)})"):
        if unique and not partial:
            rows = database.rows(f"PRAGMA index_xinfo({quoted(index)})")
            keys = [row for row in rows if row[5]]
            primary, clustered = origin == "pk", origin == "pk" and all(row[1] != -1 for row in rows)
            found.append(_Index(primary, clustered, tuple(row[2] for row in keys), tuple(row[4] for row in keys)))
    return found


def _key(
    database: Database, table: Table, sure: tuple[str, ...], primary: tuple[str, ...], indexes: Sequence[_Index]
) -> tuple[str, ...]:
    """The primary key if it holds no null, else a unique index over columns that are not null."""
    if sure:
        return sure
    # A rowid table lets nulls into any primary key but INTEGER PRIMARY KEY: an old mistake that SQLite keeps.
    if primary and not _has_nulls(database, table.name, primary):
        return primary
    for index in indexes:
        columns = tuple(each for each in index.columns if each is not None)
        if columns == index.columns and all(table.column(each).not_null for each in columns):
            return columns
    return ()


def _has_nulls(database: Database, name: str, columns: Sequence[str]) -> bool:
    nulls = " OR ".join(f"{quoted(column)} IS NULL" for column in columns)
    return bool(database.rows(f"SELECT 1 FROM {quoted(name)} WHERE {nulls} LIMIT 1"))  # noqa: S608 - quoted names
