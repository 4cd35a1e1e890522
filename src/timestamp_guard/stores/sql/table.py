"""
What a table of SQLite is like: its columns, how its rows are found again, and what watches them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from attrs import frozen

from ...errors import NoIdentity, UnknownName, UsageError
from ...instants import brief
from .database import Database, quoted

__all__ = ["Column", "Table", "Trigger", "ensure_unique", "reflect", "tables"]

OURS: Final = "timestamp_guard_"


@frozen
class Column:
    """A column: its name, declared type, and whether it is computed or may not be null."""

    name: str
    declared: str
    generated: bool
    not_null: bool

    @property
    def affinity(self) -> str:
        """What the declared type does to values, by the rules of https://www.sqlite.org/datatype3.html#determination_of_column_affinity."""
        declared = self.declared.upper()
        if "INT" in declared:
            return "INTEGER"
        if any(each in declared for each in ("CHAR", "CLOB", "TEXT")):
            return "TEXT"
        if "BLOB" in declared or not declared or declared == "ANY":
            return "BLOB"
        return "REAL" if any(each in declared for each in ("REAL", "FLOA", "DOUB")) else "NUMERIC"


@frozen
class Trigger:
    """A trigger of the user's own, as it was created."""

    name: str
    sql: str

    @property
    def on_update(self) -> bool:
        """Whether an UPDATE can set it off."""
        head = re.split(r"\bBEGIN\b", self.sql, maxsplit=1, flags=re.IGNORECASE)[0]
        return re.search(r"\bUPDATE\b", head, re.IGNORECASE) is not None


@frozen
class Table:
    """
    A table: `key` are the columns that identify a row, none where there are none; `place` those in whose order it is
    stored: the rowid under a name that no column shadows, or the primary key of a WITHOUT ROWID table.
    """

    name: str
    kind: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    place: tuple[str, ...]
    triggers: tuple[Trigger, ...]
    strict: bool

    @property
    def has_rowid(self) -> bool:
        """Whether `place` is the rowid."""
        return len(self.place) == 1 and self.place[0] not in {column.name for column in self.columns}

    def column(self, name: str) -> Column:
        """
        The column of that name.

        Raises:
            UnknownName: there is none.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise UnknownName("field", name, f"table {self.name}", [column.name for column in self.columns])

    def identity(self) -> tuple[str, ...]:
        """
        The key.

        Raises:
            NoIdentity: there is none.
        """
        if not self.key:
            msg = (
                f"table {self.name} has no key by which a row could be found again, so no change could be undone: give "
                f"it a primary key, or a unique index over columns that are NOT NULL (CREATE UNIQUE INDEX ...)"
            )
            raise NoIdentity(msg)
        return self.key


def tables(database: Database) -> list[str]:
    """The names of the user's tables, in the order in which they were created."""
    rows = database.rows("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid")
    return [name for (name,) in rows if not name.startswith(("sqlite_", OURS))]


def reflect(database: Database, name: str, key: Sequence[str] | None) -> Table:
    """
    Look at the table *name*; *key* is the key that the user declares.

    Raises:
        UnknownName: there is no such table, or no such key column.
        UsageError: it is a table of ours, or the declared key is not unique.
    """
    rows = database.rows("SELECT type, name, sql FROM sqlite_master WHERE name = ? AND type IN ('table', 'view')", (name,))
    if not rows:
        raise UnknownName("table", name, str(database.path), tables(database))
    if name.startswith(OURS):
        msg = f"{name} is part of the ledger of timestamp_guard"
        raise UsageError(msg)
    kind, name, sql = rows[0]
    info = database.rows(f"PRAGMA table_xinfo({quoted(name)})")
    columns = tuple(
        Column(row[1], row[2] or "", row[6] in {2, 3}, bool(row[3])) for row in info if row[6] != 1
    )
    listed = {row[1]: row for row in database.rows("PRAGMA table_list")} if _version(database) >= (3, 37) else {}
    without_rowid = bool(listed[name][4]) if name in listed else _says(sql, "WITHOUT ROWID")
    strict = bool(listed[name][5]) if name in listed else _says(sql, "STRICT")
    if name in listed and listed[name][2] in {"virtual", "shadow"}:
        kind = listed[name][2]
    primary = tuple(row[1] for row in sorted(info, key=lambda row: row[5]) if row[5])
    place = primary if without_rowid else _rowid(columns, info)
    triggers = tuple(
        Trigger(row[0], row[1])
        for row in database.rows("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?", (name,))
    )
    table = Table(name, kind, columns, (), place, triggers, strict)
    if key:
        for each in key:
            table.column(each)
        chosen = tuple(key)
    else:
        chosen = _key(database, table, primary, info, without_rowid=without_rowid)
    return Table(name, kind, columns, chosen, place, triggers, strict)


def ensure_unique(database: Database, table: Table) -> None:
    """
    Make sure that the key identifies every row.

    Raises:
        UsageError: a key is on two rows, or null.
    """
    names = ", ".join(quoted(name) for name in table.key)
    nulls = " OR ".join(f"{quoted(name)} IS NULL" for name in table.key)
    source = quoted(table.name)
    said = None
    ((empty,),) = database.rows(f"SELECT count(*) FROM {source} WHERE {nulls}")  # noqa: S608 - quoted names
    if empty:
        said = f"it is null in {empty:,} rows"
    else:
        grouped = f"SELECT {names}, count(*) FROM {source} GROUP BY {names} HAVING count(*) > 1 LIMIT 1"  # noqa: S608
        for *held, count in database.rows(grouped):
            said = f"{brief(held[0] if len(held) == 1 else tuple(held))} is in {count:,} rows"
    if said:
        key = ", ".join(table.key)
        msg = f"the key {key} of {table.name} is not unique: {said}; name another key, or mend those rows first"
        raise NoIdentity(msg)


def _version(database: Database) -> tuple[int, ...]:
    ((said,),) = database.rows("SELECT sqlite_version()")
    return tuple(int(part) for part in said.split(".")[:2])


def _says(sql: str, words: str) -> bool:
    tail = sql.rpartition(")")[2]
    return re.search(words.replace(" ", r"\s+"), tail, re.IGNORECASE) is not None


def _rowid(columns: Sequence[Column], info: Sequence[tuple[object, ...]]) -> tuple[str, ...]:
    taken = {column.name.lower() for column in columns}
    for name in ("rowid", "_rowid_", "oid"):
        if name not in taken:
            return (name,)
    # All three names are columns: only an INTEGER PRIMARY KEY, which is the rowid, can tell rows apart.
    whole = [str(row[1]) for row in info if row[5] == 1 and str(row[2]).upper() == "INTEGER"]
    return tuple(whole[:1])


def _key(
    database: Database,
    table: Table,
    primary: tuple[str, ...],
    info: Sequence[tuple[object, ...]],
    *,
    without_rowid: bool,
) -> tuple[str, ...]:
    """The primary key if it holds no null, else a unique index over columns that are not null."""
    if primary:
        # A rowid table lets nulls into any primary key but INTEGER PRIMARY KEY: an old mistake that SQLite keeps.
        sure = without_rowid or all(table.column(name).not_null for name in primary)
        whole = len(primary) == 1 and table.column(primary[0]).declared.upper() == "INTEGER"
        if sure or whole or not _has_nulls(database, table.name, primary):
            return primary
    for row in database.rows(f"PRAGMA index_list({quoted(table.name)})"):
        name, unique, partial = row[1], row[2], row[4]
        if not unique or partial:
            continue
        indexed = [each[2] for each in database.rows(f"PRAGMA index_info({quoted(name)})")]
        if indexed and all(each is not None and table.column(each).not_null for each in indexed):
            return tuple(indexed)
    return ()


def _has_nulls(database: Database, name: str, columns: Sequence[str]) -> bool:
    nulls = " OR ".join(f"{quoted(column)} IS NULL" for column in columns)
    return bool(database.rows(f"SELECT 1 FROM {quoted(name)} WHERE {nulls} LIMIT 1"))  # noqa: S608 - quoted names
