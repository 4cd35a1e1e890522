"""
Proof after the fact: the ledger against the rows, a fingerprint of everything else, and what the table refuses.
"""

from __future__ import annotations

from typing import Any, Final

from ....ledger import Run
from ....rules import Guard
from ...base import Fingerprint, Held, Probe
from ..connection import Prepared, TakenBack
from .server import Refused, Server
from .statements import Writer, name_of
from .table import Column, Table

__all__ = ["fingerprint", "held", "probe"]

UNIQUE: Final = "23505"


def held(server: Server, writer: Writer, run: Run) -> Held:
    """What became of the rows that *run* changed: the newest change of each counts."""
    table = writer.table
    name, key = name_of(run.field), name_of(table.key[0])
    keys = ", ".join(f"key_{index}" for index in range(1, len(table.key) + 1))
    with server.reading():
        ((changed, kept, gone),) = server.rows(
            Prepared(
                f"SELECT count(*), count(*) FILTER (WHERE t.{key} IS NOT NULL AND t.{name}::text IS NOT DISTINCT FROM c.after), "  # noqa: S608 - quoted
                f"count(*) FILTER (WHERE t.{key} IS NULL) FROM (SELECT DISTINCT ON ({keys}) * FROM {writer.changes} "
                f"WHERE run = %(run)s ORDER BY {keys}, id DESC) c "
                f"LEFT JOIN {writer.source} t ON {writer._same('t', 'c')}"  # noqa: SLF001 - one of us
            ),
            {"run": run.id},
        )
    return Held(changed, kept, changed - kept - gone, gone)


def fingerprint(server: Server, table: Table, without: str) -> Fingerprint:
    """A sum over all rows, of all columns but one and those that are computed."""
    names = [name_of(column.name) for column in table.columns if column.name != without and not column.generated]
    source = table.source.replace("%", "%%")
    row = f"ROW({', '.join(names)})::text"
    with server.reading():
        ((records, total),) = server.rows(
            Prepared(f"SELECT count(*), coalesce(sum(hashtextextended({row}, 0)::numeric), 0) FROM {source}")  # noqa: S608 - quoted
        )
    return Fingerprint(records, int(total) % 2**64)


def probe(server: Server, table: Table, guard: Guard, field: str) -> Probe:
    """
    Try to insert a copy of a row without *field*, and one with it, and take both back.

    A copy has a key of its own where one can be made up. Where another unique column is in its way, its constraints have
    let it through before: that is as good.
    """
    without = _tried(server, table, field, "NULL")
    if not without.startswith("refused") and field in guard.required:
        updated = _updated(server, table, field)
        without = updated if updated.startswith("refused") or without == "accepted" else without
    having = _tried(server, table, field, None)
    return Probe(without, having)


def _tried(server: Server, table: Table, field: str, value: str | None) -> str:
    """What becomes of a copy of a sound row in which *field* holds *value*; its own where there is none."""
    columns = [column for column in table.columns if not column.generated]
    names = ", ".join(name_of(column.name) for column in columns)
    name = name_of(field)
    held = ", ".join(value if column.name == field and value is not None else _own(table, column) for column in columns)
    source = table.source.replace("%", "%%")
    said = (
        f"INSERT INTO {source} ({names}) OVERRIDING SYSTEM VALUE SELECT {held} FROM "  # noqa: S608 - quoted
        f"(SELECT * FROM {source} WHERE {name} IS NOT NULL LIMIT 1) t RETURNING {name} IS NOT NULL"
    )
    return _attempt(server, said, given=value is None)


def _updated(server: Server, table: Table, field: str) -> str:
    """What becomes of a row whose *field* is emptied."""
    source, name = table.parts[0].name.replace("%", "%%"), name_of(field)
    said = (
        f"UPDATE {source} SET {name} = NULL WHERE ctid = (SELECT ctid FROM {source} WHERE {name} IS NOT NULL LIMIT 1) "  # noqa: S608
        f"RETURNING {name} IS NOT NULL"
    )
    return _attempt(server, said, given=False)


def _attempt(server: Server, said: str, *, given: bool) -> str:
    outcome = "not tried: there is no row to copy"
    try:
        with server.writing():
            server.run("SET LOCAL timestamp_guard.bypass = 'off'")  # as a user would
            rows: list[tuple[Any, ...]] = server.rows(Prepared(said))
            if rows:
                outcome = "accepted" if given or not rows[0][0] else "filled"
            raise TakenBack
    except TakenBack:
        return outcome
    except Refused as problem:
        if problem.state == UNIQUE:
            return "accepted"
        return f"refused: {problem}"


def _own(table: Table, column: Column) -> str:
    """What a copy holds in a column: in one of the key, something that no row has."""
    name = f"t.{name_of(column.name)}"
    if column.name not in table.key:
        return name
    match column.kind:
        case "whole" | "decimal":
            return f"(SELECT max({name_of(column.name)}) + 1 FROM {table.source.replace('%', '%%')})"  # noqa: S608 - quoted
        case "text":
            return "left('timestamp_guard ' || md5(random()::text), 36)"
        case _:
            return "gen_random_uuid()" if column.base == "uuid" else name
