"""
What a table of SQLite refuses: tried, in a transaction that is taken back.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from ..base import Probe
from .connection import Prepared, TakenBack
from .database import Database, quoted
from .table import Column, Table

__all__ = ["probe"]

UNIQUE: Final = frozenset({"SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_ROWID"})
"""What comes after all other constraints have let a row through."""


def probe(database: Database, table: Table, field: str) -> Probe:
    """
    Try to insert a copy of a row without *field*, and one with it, and to empty the field of a row; all is taken back.
    """
    without = _attempt(database, _copy(table, field, "NULL"))
    if not without.startswith("refused"):
        name, source = quoted(field), quoted(table.name)
        emptied = _attempt(
            database,
            f"UPDATE {source} SET {name} = NULL WHERE {quoted(table.place[0])} = (SELECT {quoted(table.place[0])} FROM {source} "  # noqa: S608 - quoted names
            f"WHERE {name} IS NOT NULL LIMIT 1)",
        )
        without = without if without.startswith("not tried") else emptied
    return Probe(without, _attempt(database, _copy(table, field, None)))


def _copy(table: Table, field: str, value: str | None) -> str:
    """The insert of a copy of a sound row in which *field* holds *value*; its own where there is none."""
    columns = [column for column in table.columns if not column.generated]
    names = ", ".join(quoted(column.name) for column in columns)
    held = ", ".join(value if column.name == field and value else _own(table, column) for column in columns)
    source = quoted(table.name)
    return f"INSERT INTO {source} ({names}) SELECT {held} FROM {source} WHERE {quoted(field)} IS NOT NULL LIMIT 1"  # noqa: S608


def _own(table: Table, column: Column) -> str:
    """What a copy holds in a column: in one of the key, something that no row has."""
    name = quoted(column.name)
    if column.name not in table.key:
        return name
    if column.affinity == "INTEGER":
        return f"(SELECT max({name}) + 1 FROM {quoted(table.name)})"  # noqa: S608 - quoted names
    return "'timestamp_guard ' || hex(randomblob(8))"


def _attempt(database: Database, said: str) -> str:
    outcome = "not tried: there is no row to copy"
    try:
        with database.writing():
            if database.run(Prepared(said)).rowcount:
                outcome = "accepted"
            raise TakenBack
    except TakenBack:
        return outcome
    except sqlite3.IntegrityError as problem:
        return "accepted" if problem.sqlite_errorname in UNIQUE else f"refused: {problem}"
