"""
A table of SQLite written anew under another definition, when nothing less changes it: by the twelve steps of
https://www.sqlite.org/lang_altertable.html#otheralter, and compared before and after.

The definition is edited as the text that it is: made from what SQLite tells of it, it would lose collations, generated
columns, checks, STRICT and AUTOINCREMENT.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from attrs import frozen

from ...errors import StoreError, UsageError
from .database import Database, quoted
from .table import Table

__all__ = ["added", "definition", "rebuild", "redefined", "removed", "steps"]

NEW: Final = "timestamp_guard_rebuilt"

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+|--[^\n]*\n?|/\*.*?(?:\*/|\Z))"""
    r"""|(?P<quoted>'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\])"""
    r"""|(?P<mark>[(),])|(?P<word>[^\s(),'"`\[]+)""",
    re.DOTALL,
)


@frozen
class _Item:
    """A column or a constraint of a definition: its first word, and where its last one ends."""

    first: str
    end: int


def _items(ddl: str) -> tuple[int, list[_Item]]:
    """Where the list of columns begins, and what is in it."""
    depth, begins = 0, -1
    items: list[_Item] = []
    first, end = "", 0
    for token in _TOKEN.finditer(ddl):
        if token["space"]:
            continue
        mark = token["mark"]
        if mark == "(":
            depth += 1
            if depth == 1 and begins < 0:
                begins = token.start()
                continue
        elif mark == ")":
            depth -= 1
            if depth == 0:
                return begins, [*items, _Item(first, end)]
        elif mark == "," and depth == 1:
            items.append(_Item(first, end))
            first = ""
            continue
        if depth >= 1:
            first = first or token[0]
            end = token.end()
    msg = f"cannot read the definition of the table: {ddl[:80]}"
    raise UsageError(msg)


def _named(token: str) -> str:
    if token[:1] in {'"', "`", "'"}:
        return token[1:-1].replace(token[0] * 2, token[0])
    return token[1:-1] if token[:1] == "[" else token


def added(ddl: str, columns: Mapping[str, str], constraint: str) -> str:
    """The definition *ddl* with a text more after some columns, and one after all of them."""
    _, items = _items(ddl)
    places = [(items[-1].end, constraint)]
    for name, text in columns.items():
        found = next((item for item in items if _named(item.first).casefold() == name.casefold()), None)
        if found is None:
            msg = f"cannot find the column {name} in the definition of the table"
            raise UsageError(msg)
        places.append((found.end, text))
    # From the end on; where a column is the last one, its own text comes before that of the table.
    for end, text in sorted(places, key=lambda place: (place[0], place[1] == constraint), reverse=True):
        ddl = ddl[:end] + text + ddl[end:]
    return ddl


def redefined(ddl: str, created: str) -> str:
    """The definition of the table of *ddl* as the first of :func:`steps` has it."""
    return ddl[: _items(ddl)[0]] + created.removeprefix(f"CREATE TABLE {NEW} ")


def removed(ddl: str, texts: Sequence[str]) -> str:
    """The definition without texts that were added to it."""
    for text in texts:
        ddl = ddl.replace(text, "", 1)
    return ddl


def definition(database: Database, table: Table) -> str:
    """The text of CREATE TABLE, as it is stored."""
    ((ddl,),) = database.rows("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", (table.name,))
    return str(ddl)


def steps(database: Database, table: Table, ddl: str) -> Iterator[str]:
    """The statements, in their order, that make *table* one that is defined by *ddl*."""
    begins, _ = _items(ddl)
    columns = [column.name for column in table.columns if not column.generated]
    if table.has_rowid:
        columns = [*table.place, *columns]
    names = ", ".join(map(quoted, columns))
    yield f"CREATE TABLE {NEW} {ddl[begins:]}"
    yield f"INSERT INTO {NEW} ({names}) SELECT {names} FROM {quoted(table.name)}"  # noqa: S608 - quoted
    # In this order: were the old one renamed first, the keys of others would follow it.
    yield f"DROP TABLE {quoted(table.name)}"
    yield f"ALTER TABLE {NEW} RENAME TO {quoted(table.name)}"
    for (sql,) in database.rows(
        "SELECT sql FROM sqlite_master WHERE tbl_name = ? COLLATE NOCASE AND type IN ('index', 'trigger') "
        "AND sql IS NOT NULL ORDER BY type, rowid",
        (table.name,),
    ):
        yield str(sql)


def rebuild(database: Database, table: Table, ddl: str) -> None:
    """
    Write the table anew, inside a transaction that began with foreign keys off; see :func:`steps`.

    Raises:
        StoreError: it is not the same table afterwards; the transaction must be rolled back.
    """
    if database.rows("PRAGMA foreign_keys")[0][0]:
        msg = f"{database.label}: foreign keys could not be switched off, and dropping the table would empty others"
        raise StoreError(msg)
    before = _seen(database, table)
    ((legacy,),) = database.rows("PRAGMA legacy_alter_table")
    sequence = (
        database.rows("SELECT seq FROM sqlite_sequence WHERE name = ?", (table.name,)) if _counts(database) else []
    )
    # Or renaming would stumble over views that name the table which is not there at this moment.
    database.run("PRAGMA legacy_alter_table = ON")
    try:
        for statement in list(steps(database, table, ddl)):
            database.run(statement)
    finally:
        database.run(f"PRAGMA legacy_alter_table = {legacy:d}")
    if sequence:
        database.run("DELETE FROM sqlite_sequence WHERE name = ?", (table.name,))
        database.run("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table.name, sequence[0][0]))
    after = _seen(database, table)
    for what, held in before.items():
        if after[what] != held:
            msg = f"{table.name} was not the same after it was written anew, in its {what}; it was left as it is"
            raise StoreError(msg)


def _counts(database: Database) -> bool:
    return bool(database.rows("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'"))


def _seen(database: Database, table: Table) -> dict[str, Any]:
    """What must be the same before and after."""
    objects = database.rows(
        "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name <> ? AND name NOT LIKE 'sqlite_autoindex_%' "
        "ORDER BY 1, 2",
        (table.name,),
    )
    names = [name for (name,) in database.rows("SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0")]
    children = [
        name
        for name in names
        if any(
            str(row[2]).casefold() == table.name.casefold()
            for row in database.rows(f"PRAGMA foreign_key_list({quoted(name)})")
        )
    ]
    rows = {
        name: database.rows(f"SELECT count(*) FROM {quoted(name)}")[0][0]  # noqa: S608 - quoted
        for name in dict.fromkeys((table.name, *children))
    }
    info = [
        (row[1], row[2], row[4], row[5], row[6]) for row in database.rows(f"PRAGMA table_xinfo({quoted(table.name)})")
    ]
    kind = [(row[2], *row[4:6]) for row in database.rows("PRAGMA table_list") if row[1] == table.name]
    return {
        "indexes, triggers and views": objects,
        "rows or those that refer to it": rows,
        "columns": (info, kind),
        "numbering": database.rows("SELECT name, seq FROM sqlite_sequence ORDER BY 1") if _counts(database) else [],
        "keys": database.rows("PRAGMA foreign_key_check"),
    }
