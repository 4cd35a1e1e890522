"""
What a table of MariaDB or MySQL refuses: tried, in a transaction that is taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from ....rules import Guard
from ...base import Probe
from ..connection import Prepared, TakenBack
from ..served.server import Refused
from .server import Server, name_of
from .table import Column, Table
from .values import given

__all__ = ["probe"]

UNIQUE: Final = frozenset({"1062", "1169", "1586"})
"""What comes after triggers, NOT NULL and CHECK have let a row through."""


def probe(server: Server, table: Table, guard: Guard, field: str) -> Probe:
    """
    Try to insert a copy of a row without *field*, and one with it, and to empty the field of a row; all is taken back.

    A copy has a key of its own where one can be made up. Where another unique column is in its way, all that could refuse
    it has let it through before.
    """
    without = _inserted(server, table, field, "NULL")
    if not without.startswith("refused") and field in guard.required:
        emptied = _emptied(server, table, field)
        without = emptied if emptied.startswith("refused") or without == "accepted" else without
    return Probe(without, _inserted(server, table, field, f"t.{name_of(field)}"))


def _source(table: Table) -> str:
    return table.source.replace("%", "%%")


def _inserted(server: Server, table: Table, field: str, value: str) -> str:
    """What becomes of a copy of a sound row in which *field* holds *value*."""
    columns = [column for column in table.columns if not column.computed]
    names = ", ".join(name_of(column.name) for column in columns)
    own = [_own(table, table.column(name)) for name in table.key]
    keys = ", ".join(f"{each} AS key_{index}" for index, each in enumerate(own))
    held = ", ".join(
        value if column.name == field
        else f"%(key_{table.key.index(column.name)})s" if column.name in table.key
        else f"t.{name_of(column.name)}"
        for column in columns
    )  # fmt: skip
    sound = f"FROM {_source(table)} AS t WHERE t.{name_of(field)} IS NOT NULL LIMIT 1"

    def act() -> Mapping[str, Any] | None:
        key = _first(server, f"SELECT {keys or '1'} {sound}")
        if key is not None:
            server.run(Prepared(f"INSERT INTO {_source(table)} ({names}) SELECT {held} {sound}"), key)
        return key

    return _attempt(server, table, field, act, whole=value != "NULL")


def _emptied(server: Server, table: Table, field: str) -> str:
    """What becomes of a row whose *field* is emptied."""
    name = name_of(field)
    keys = ", ".join(f"t.{name_of(each)} AS key_{index}" for index, each in enumerate(table.key))

    def act() -> Mapping[str, Any] | None:
        key = _first(server, f"SELECT {keys or '1'} FROM {_source(table)} AS t WHERE t.{name} IS NOT NULL LIMIT 1")  # noqa: S608
        if key is not None:
            where = _where(table) if table.key else f"t.{name} IS NOT NULL LIMIT 1"
            server.run(Prepared(f"UPDATE {_source(table)} AS t SET t.{name} = NULL WHERE {where}"), key)  # noqa: S608 - quoted
        return key

    return _attempt(server, table, field, act, whole=False)


def _attempt(
    server: Server, table: Table, field: str, act: Callable[[], Mapping[str, Any] | None], *, whole: bool
) -> str:
    outcome = "not tried: there is no row to copy"
    server.run("SET @timestamp_guard_bypass = NULL")  # as a user would
    try:
        with server.writing():
            before = 0 if whole or table.key else _nulls(server, table, field, {})
            key = act()
            if key is not None:
                filled = not whole and _nulls(server, table, field, key) == before
                outcome = "filled" if filled else "accepted"
            raise TakenBack
    except TakenBack:
        return outcome
    except Refused as problem:
        return "accepted" if problem.state in UNIQUE else f"refused: {problem}"
    finally:
        server.run("SET @timestamp_guard_bypass = 1")


def _nulls(server: Server, table: Table, field: str, key: Mapping[str, Any]) -> int:
    """In how many rows of that key *field* is null; in all of them, where a row has no key."""
    where = f"t.{name_of(field)} IS NULL AND {_where(table) or 'TRUE'}"
    ((count,),) = server.rows(Prepared(f"SELECT count(*) FROM {_source(table)} AS t WHERE {where}"), key)  # noqa: S608 - quoted
    return int(count)


def _first(server: Server, said: str) -> Mapping[str, Any] | None:
    """The key of a row, as parameters; None where there is no row."""
    rows = server.rows(Prepared(said))
    return {f"key_{index}": given(part) for index, part in enumerate(rows[0])} if rows else None


def _where(table: Table) -> str:
    return " AND ".join(f"t.{name_of(each)} = %(key_{index})s" for index, each in enumerate(table.key))


def _own(table: Table, column: Column) -> str:
    """What a copy holds in a column of the key: something that no row has, and that moves no counter where it can."""
    name = name_of(column.name)
    match column.kind:
        case "whole" if not column.unsigned:
            return f"(SELECT least(min({name}), 0) - 1 FROM {_source(table)})"  # noqa: S608 - quoted
        case "whole" | "decimal" | "float":
            return f"(SELECT max({name}) + 1 FROM {_source(table)})"  # noqa: S608 - quoted
        case "text":
            return "uuid()"
        case _:
            return f"t.{name}"
