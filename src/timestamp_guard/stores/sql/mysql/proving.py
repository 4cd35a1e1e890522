"""
Looks at a whole table of MariaDB or MySQL: the ledger against the rows, a fingerprint of everything else, and what a
backfill means for those who follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....ledger import Run
from ...base import Downstream, Fingerprint, Held
from ..connection import Prepared
from .server import Server, name_of
from .statements import Statements, Writer
from .table import Column
from .values import compared, read, text

__all__ = ["downstream", "fingerprint", "held"]

SAMPLE = 1000
"""So many rows are weighed."""


def held(server: Server, writer: Writer, run: Run) -> Held:
    """What became of the rows that *run* changed: the newest change of each counts."""
    column = writer.table.column(run.field)
    there = f"t.{name_of(writer.table.key[0])} IS NOT NULL"
    holds, hashes, same = writer._holds(column, "c.`after`"), writer._hashes(), writer._same()  # noqa: SLF001 - one of us
    with server.reading():
        ((changed, kept, gone),) = server.rows(
            Prepared(
                f"SELECT count(*), coalesce(sum({there} AND {holds}), 0), "  # noqa: S608 - quoted
                f"coalesce(sum(NOT ({there})), 0) FROM (SELECT max(c.id) AS id FROM {writer.changes} AS c "
                f"WHERE c.run = %(run)s GROUP BY {hashes}) AS newest "
                f"STRAIGHT_JOIN {writer.changes} AS c ON c.run = %(run)s AND c.id = newest.id "
                f"LEFT JOIN {writer.plain} ON {same}"
            ),
            {"run": run.id},
        )
    return Held(changed, int(kept), changed - int(kept) - int(gone), int(gone))


def fingerprint(server: Server, writer: Writer, without: str) -> Fingerprint:
    """A sum over all rows, of all columns but one and those that are computed."""
    columns = [column for column in writer.table.columns if column.name != without and not column.computed]
    row = f"CONCAT_WS(',', '', {', '.join(map(_said, columns))})" if columns else "''"
    with server.reading():
        ((records, total),) = server.rows(
            Prepared(
                f"SELECT count(*), coalesce(sum(CAST(CONV(LEFT(SHA1({row}), 16), 16, 10) AS UNSIGNED)), 0) "  # noqa: S608 - quoted
                f"FROM {writer.plain}"
            )
        )
    return Fingerprint(records, int(total) % 2**64)


def _said(column: Column) -> str:
    """A value as a short text without a comma: a long one would make the row longer than the server makes any."""
    name = f"t.{name_of(column.name)}"
    match column.kind:
        case "text" | "binary":
            found = f"SHA1({name})"
        case "whole" | "decimal" | "float" | "instant" | "local":
            found = text(column.kind, name)
        case _:
            found = f"SHA1(CAST({name} AS BINARY))"
    return f"coalesce({found}, '-')"


def downstream(
    server: Server, writer: Writer, column: Column, said: Statements, values: Mapping[str, Any]
) -> Downstream:
    """How much of the work would lie below the newest value, that value, and the bytes that the binary log would carry."""
    name = f"t.{name_of(column.name)}"
    weight = " + ".join(
        f"coalesce(length(t.{name_of(each.name)}), 0)" if each.kind != "other" else "8" for each in writer.table.columns
    )
    with server.reading():
        ((unseen, work, newest, size),) = server.rows(
            Prepared(
                f"SELECT coalesce(sum({compared(column, said.after)} < most.newest), 0), count(*), "  # noqa: S608 - quoted
                f"{read(column.kind, 'max(most.newest)')}, "
                f"(SELECT coalesce(avg({weight}), 0) + 24 FROM (SELECT * FROM {writer.plain} LIMIT {SAMPLE}) AS t) "
                f"FROM {writer.source} CROSS JOIN (SELECT max({name}) AS newest FROM {writer.plain}) AS most "
                f"WHERE {said.work}"
            ),
            values,
        )
    # A change carries the row as it was and as it is.
    return Downstream(int(unseen), newest, int(work * size * 2))
