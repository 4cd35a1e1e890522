"""
The statements of a table of MariaDB or MySQL: how rows are found, recorded, written, proved and given back.

Rows are walked in the order of their key. What is to be written is recorded first, by a statement that locks the rows it
reads; then the rows are given what was recorded. Nobody can change them in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from attrs import evolve, field, frozen
from sqlalchemy.dialects.mysql import pymysql as dialect
from sqlalchemy.sql.compiler import IdentifierPreparer

from ....job import Job
from ....rules import Moment, Present
from ....targets.sql import Expression, SqlRepair
from ..connection import Prepared
from .guard import MysqlGuard
from .ledger import ServerLedger
from .server import name_of, quoted
from .table import Column, Table
from .values import compared, put, read, text

__all__ = ["Look", "Statements", "Writer", "by_server"]


NUMBER: Final = "@timestamp_guard_number"
"""The number of the change that was recorded last: set before each statement that records some."""


class _Names(IdentifierPreparer):
    """Every name in backticks, for which words are reserved differs; and of the one table that is called `t`."""

    def __init__(self, dialect: sa.Dialect) -> None:
        super().__init__(dialect, initial_quote="`", escape_quote="`")

    def quote(self, ident: str, force: Any = None) -> str:  # noqa: ARG002 - the signature is SQLAlchemy's
        return f"t.{name_of(ident)}"


_DIALECT: Final = dialect.dialect(paramstyle="pyformat")
_DIALECT.identifier_preparer = _Names(_DIALECT)  # type: ignore[assignment]  # all that is asked of one


def said(expression: sa.ClauseElement) -> str:
    """An expression as the server has it, every name quoted."""
    return str(expression.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True}))


def exact(kept: str) -> str:
    """A text as its bytes: no collation takes it for another one."""
    return f"CAST({kept} AS BINARY)"


def _keys(count: int, prefix: str = "") -> str:
    return ", ".join(f"{prefix}key_{index}" for index in range(1, count + 1))


class Writer:
    """The statements that read and write rows of *table*, whoever judges them, with the ledger of *ledger*."""

    def __init__(self, table: Table, ledger: ServerLedger) -> None:
        self.table = table
        self.columns = [table.column(name) for name in table.key]
        self.changes = ledger.server.address("timestamp_guard_changes").replace("%", "%%")
        self.aside = ledger.server.address("timestamp_guard_quarantine").replace("%", "%%")
        index = f" FORCE INDEX ({table.index})" if table.index else ""
        self.plain = f"{table.source.replace('%', '%%')} AS t"
        self.source = self.plain + index

    # -- places

    def key(self) -> str:
        """The key, to be read."""
        return ", ".join(read(each.kind, f"t.{name_of(each.name)}") for each in self.columns)

    def key_texts(self) -> str:
        """The key as it is kept."""
        return ", ".join(text(each.kind, f"t.{name_of(each.name)}") for each in self.columns)

    def _order(self, how: str = "") -> str:
        return ", ".join(f"t.{name_of(each.name)}{how}" for each in self.columns)

    def _side(self, mark: str, *, beyond: str, last: str) -> str:
        """Rows on one side of a place: said so that an index is asked, which it would not be for `(a, b) > (x, y)`."""
        marks = [f"%({mark}_{index})s" for index in range(len(self.columns))]
        names = [f"t.{name_of(each.name)}" for each in self.columns]
        where = f"{names[-1]} {last} {marks[-1]}"
        for one, each in zip(names[-2::-1], marks[-2::-1], strict=True):
            where = f"{one} {beyond}= {each} AND ({one} {beyond} {each} OR ({one} = {each} AND {where}))"
        return where

    def between(self, *, after: bool, last: bool = True) -> str:
        """Rows after a place, up to another one."""
        tests = [self._side("after", beyond=">", last=">")] if after else []
        tests += [self._side("last", beyond="<", last="<=")] if last else []
        return " AND ".join(f"({each})" for each in tests) or "TRUE"

    def is_at(self, mark: str) -> str:
        """The row at a place."""
        return " AND ".join(f"t.{name_of(each.name)} = %({mark}_{index})s" for index, each in enumerate(self.columns))

    def end(self) -> Prepared:
        """The last place."""
        return Prepared(f"SELECT {self.key()} FROM {self.source} ORDER BY {self._order(' DESC')} LIMIT 1")  # noqa: S608

    def further(self, *, after: bool) -> Prepared:
        """The place so many rows further on, but not beyond the last one."""
        where = self.between(after=after)
        return Prepared(
            f"SELECT {self.key()} FROM {self.source} WHERE {where} ORDER BY {self._order()} LIMIT 1 OFFSET %(limit)s"  # noqa: S608
        )

    def any_left(self, *, after: bool) -> Prepared:
        """Whether there is a row between two places."""
        return Prepared(f"SELECT 1 FROM {self.source} WHERE {self.between(after=after)} LIMIT 1")  # noqa: S608 - quoted

    # -- reading

    def page(self, names: Sequence[str], *, after: bool, last: bool = False) -> Prepared:
        """Some rows in the order of the key: key and columns."""
        what = ", ".join([self.key(), *self._read(names)])
        where = self.between(after=after, last=last)
        return Prepared(f"SELECT {what} FROM {self.source} WHERE {where} ORDER BY {self._order()} LIMIT %(limit)s")  # noqa: S608

    def stored(self, names: Sequence[str], *, paged: bool = False) -> Prepared:
        """All rows in the order in which they are stored; or so many, passing over others."""
        what = ", ".join(self._read(names)) or "1"
        end = " LIMIT %(limit)s OFFSET %(passed)s" if paged else ""
        return Prepared(f"SELECT {what} FROM {self.plain}{end}")  # noqa: S608 - quoted

    def _read(self, names: Sequence[str]) -> list[str]:
        return [read(self.table.column(name).kind, f"t.{name_of(name)}") for name in names]

    # -- writing

    def locked(self, names: Sequence[str], column: Column, count: int) -> Prepared:
        """So many rows by their keys, locked: key, what is kept of the key and of the field, and columns."""
        what = ", ".join(
            [self.key(), self.key_texts(), text(column.kind, f"t.{name_of(column.name)}"), *self._read(names)]
        )
        if len(self.columns) == 1:
            marks = ", ".join(f"%(k{number}_0)s" for number in range(count))
            where = f"t.{name_of(self.columns[0].name)} IN ({marks})"
        else:
            where = " OR ".join(f"({self.is_at(f'k{number}')})" for number in range(count))
        return Prepared(f"SELECT {what} FROM {self.source} WHERE {where} FOR UPDATE SKIP LOCKED")  # noqa: S608 - quoted

    def recorded(self, column: Column, count: int) -> Prepared:
        """Record so many changes that Python found."""
        width = len(self.columns)
        rows = []
        for number in range(count):
            keys = ", ".join(f"%(k{number}_{index})s" for index in range(width))
            after = text(column.kind, _as(column, f"%(a{number})s"))
            rows.append(f"(%(run)s, %(first)s + {number}, %(b{number})s, {after}, %(c{number})s, {keys})")
        return Prepared(
            f"INSERT INTO {self.changes} (run, id, `before`, `after`, candidate, {_keys(width)}) VALUES {', '.join(rows)}"  # noqa: S608
        )

    def place_of(self) -> Prepared:
        """The key of the row of a change."""
        keys = _keys(len(self.columns))
        return Prepared(f"SELECT {keys} FROM {self.changes} WHERE run = %(run)s AND id = %(last)s")  # noqa: S608 - ours

    def over_values(self) -> Prepared:
        """How many changes of a stretch overwrite a value."""
        return Prepared(
            f"SELECT count(`before`) FROM {self.changes} WHERE run = %(run)s AND id BETWEEN %(since)s AND %(last)s"  # noqa: S608 - ours
        )

    def made(self, column: Column) -> Prepared:
        """Give rows what was recorded."""
        return Prepared(
            f"UPDATE {self.changes} AS c STRAIGHT_JOIN {self.plain} ON {self._same()} "  # noqa: S608 - quoted
            f"SET {self._set(column, 'c.`after`')} WHERE c.run = %(run)s AND c.id BETWEEN %(since)s AND %(last)s"
        )

    def _set(self, column: Column, kept: str) -> str:
        """The assignments; other columns that follow the present time stay as they are."""
        others = [each for each in self.table.columns if each.touched and each.name != column.name]
        said = [f"t.{name_of(column.name)} = {put(column.kind, kept)}"]
        return ", ".join([*said, *(f"t.{name_of(each.name)} = t.{name_of(each.name)}" for each in others)])

    def _same(self) -> str:
        """Whether a row and a change belong together: equal for the index, and alike in spelling."""
        pairs = []
        for index, each in enumerate(self.columns, 1):
            held, kept = f"t.{name_of(each.name)}", f"c.key_{index}"
            pairs.append(f"{held} = {compared(each, kept)}")
            if each.kind == "text":
                pairs.append(f"{exact(text('text', held))} = {exact(kept)}")
        return " AND ".join(pairs)

    def _holds(self, column: Column, kept: str) -> str:
        return f"{exact(text(column.kind, f't.{name_of(column.name)}'))} <=> {exact(kept)}"

    def proof(self, column: Column) -> Prepared:
        """How many rows hold what was recorded in a stretch."""
        return Prepared(
            f"SELECT count(*) FROM {self.changes} AS c STRAIGHT_JOIN {self.plain} ON {self._same()} "  # noqa: S608 - quoted
            f"WHERE c.run = %(run)s AND c.id BETWEEN %(since)s AND %(last)s AND {self._holds(column, 'c.`after`')}"
        )

    # -- the way back

    @property
    def _stretch(self) -> str:
        return "c.run = %(undone)s AND c.id BETWEEN %(bottom)s AND %(top)s"

    def there(self) -> Prepared:
        """How many changes are in a stretch."""
        return Prepared(f"SELECT count(*) FROM {self.changes} AS c WHERE {self._stretch}")  # noqa: S608 - ours

    def locked_at_once(self) -> Prepared:
        """Lock the rows of a stretch, or fail where somebody else has one."""
        return Prepared(
            f"SELECT count(*) FROM {self.changes} AS c STRAIGHT_JOIN {self.plain} ON {self._same()} "  # noqa: S608 - quoted
            f"WHERE {self._stretch} FOR UPDATE NOWAIT"
        )

    def undo(self, column: Column) -> Prepared:
        """Give a stretch of changes back, where the row still holds what was written."""
        return Prepared(
            f"UPDATE {self.changes} AS c STRAIGHT_JOIN {self.plain} ON {self._same()} "  # noqa: S608 - quoted
            f"SET {self._set(column, 'c.`before`')} WHERE {self._stretch} AND {self._holds(column, 'c.`after`')}"
        )

    def undone(self, column: Column) -> Prepared:
        """How many rows of a stretch hold what they did before."""
        return Prepared(
            f"SELECT count(*) FROM {self.changes} AS c STRAIGHT_JOIN {self.plain} ON {self._same()} "  # noqa: S608 - quoted
            f"WHERE {self._stretch} AND {self._holds(column, 'c.`before`')}"
        )

    def _hashes(self) -> str:
        # Long texts are grouped by their beginnings only.
        return ", ".join(f"sha1(c.key_{index})" for index in range(1, len(self.columns) + 1))

    def twice(self) -> Prepared:
        """Whether a row was changed twice in a stretch."""
        return Prepared(
            f"SELECT 1 FROM {self.changes} AS c WHERE {self._stretch} GROUP BY {self._hashes()} "  # noqa: S608 - ours
            f"HAVING count(*) > 1 LIMIT 1"
        )

    def overlap(self) -> Prepared:
        """Whether two runs changed the same row."""
        return Prepared(
            f"SELECT 1 FROM {self.changes} AS c WHERE c.run IN (%(run)s, %(other)s) GROUP BY {self._hashes()} "  # noqa: S608
            f"HAVING count(DISTINCT c.run) > 1 LIMIT 1"
        )

    # -- quarantine

    def set_aside(self) -> Prepared:
        """Quarantine the row at a place."""
        return Prepared(
            f"INSERT INTO {self.aside} (run, reason, {_keys(len(self.columns))}) "  # noqa: S608 - quoted
            f"SELECT %(run)s, %(reason)s, {self.key_texts()} FROM {self.source} WHERE {self.is_at('last')}"
        )

    def change_aside(self) -> Prepared:
        """Quarantine the row of a change."""
        keys = _keys(len(self.columns))
        return Prepared(
            f"INSERT INTO {self.aside} (run, reason, {keys}) SELECT %(run)s, %(reason)s, {_keys(len(self.columns), 'c.')} "  # noqa: S608
            f"FROM {self.changes} AS c WHERE c.id = %(bottom)s AND c.run = %(undone)s"
        )

    def not_aside(self) -> str:
        """Whether the run has not quarantined a row."""
        same = " AND ".join(
            f"{exact(f'q.key_{index}')} = {exact(text(each.kind, f't.{name_of(each.name)}'))}"
            for index, each in enumerate(self.columns, 1)
        )
        return f"NOT EXISTS (SELECT 1 FROM {self.aside} AS q WHERE q.run = %(run)s AND {same})"  # noqa: S608 - quoted


def _as(column: Column, parameter: str) -> str:
    """A parameter of the column's type, where it could be taken for another one."""
    return f"CAST({parameter} AS DATETIME({column.digits or 0}))" if column.digits is not None else parameter


@frozen
class Statements:
    """What SQL says of a job."""

    repair: SqlRepair = field(repr=False)
    work: str
    nulls: str | None
    after: str
    chosen: str
    count: Prepared
    some: Prepared
    hopeless: Prepared

    def values(self, job: Job, moment: Moment) -> dict[str, Any]:
        """The parameters of bounds and candidates."""
        return dict(self.repair.limits(moment, job.pinned))

    def only(self, *, nulls: bool) -> Statements:
        """The same where there is nothing to overwrite but nulls, which is quickly seen."""
        return evolve(self, work=self.nulls) if nulls and self.nulls is not None else self

    def last_of(self, writer: Writer, *, after: bool) -> Prepared:
        """The place of the last of so many rows between two places that hold work."""
        return Prepared(
            f"SELECT {writer.key()} FROM {writer.source} WHERE {writer.between(after=after)} AND ({self.work}) "  # noqa: S608
            f"ORDER BY {writer._order()} LIMIT 1 OFFSET %(limit)s"  # noqa: SLF001 - one of us
        )

    def left(self, writer: Writer, *, after: bool) -> Prepared:
        """How many rows between two places hold work."""
        return Prepared(
            f"SELECT count(*) FROM {writer.source} WHERE {writer.between(after=after)} AND ({self.work})"  # noqa: S608
        )

    def record(self, writer: Writer, column: Column, *, after: bool, open: bool) -> Prepared:  # noqa: A002 - as of a window
        """Lock and record the work between two places, or the first of it; what others hold is passed over."""
        end = " LIMIT %(limit)s" if open else ""
        held = text(column.kind, f"t.{name_of(column.name)}")
        return Prepared(
            f"INSERT INTO {writer.changes} (run, id, `before`, `after`, candidate, {_keys(len(writer.columns))}) "  # noqa: S608
            f"SELECT %(run)s, {NUMBER} := {NUMBER} + 1, {held}, {self.after}, {self.chosen}, {writer.key_texts()} FROM {writer.source} "
            f"WHERE {writer.between(after=after)} AND ({self.work}) ORDER BY {writer._order()}{end} FOR UPDATE SKIP LOCKED"  # noqa: SLF001
        )

    def readable(self, writer: Writer, column: Column, job: Job) -> str:
        """The statement that writes, with its bounds, for people."""
        said = f"UPDATE {writer.plain} SET t.{quoted(column.name)} = {self.after} WHERE {self.work}"  # noqa: S608
        for name, value in sorted(self.values(job, Moment.at(job.pinned)).items(), reverse=True):
            said = said.replace(f"%({name})s", repr(value) if isinstance(value, str) else str(value))
        return said.replace("%%", "%")


def by_server(writer: Writer, job: Job, *, skipping: bool) -> Statements:
    """The statements of *job*; *skipping* leaves out what the run has quarantined."""
    table = writer.table
    column = table.column(job.field)
    guard = MysqlGuard(job.guard, job.encodings, table.held([*job.guard.fields, *job.encodings]))
    repair = SqlRepair(guard, job.repair, job.encodings)
    skip = f" AND {writer.not_aside()}" if skipping else ""
    broken, mendable = said(repair.broken()), said(repair.mendable())
    fills = "null" in job.repair.codes and Present(job.field) in job.guard.rules
    # Each value as it is kept before one of them is chosen, for a choice would be of a type that suits them all.
    values = [text(column.kind, said(value)) for value in repair.values()]
    tests = [said(guard.allows(job.field, value)) for value in repair.values()]
    several = len(values) > 1
    after = f"CASE {' '.join(f'WHEN {one} THEN {each}' for one, each in zip(tests, values, strict=True))} END"
    chosen = said(repair.chosen())
    identity = writer.key_texts() or "NULL"
    held = read(column.kind, f"t.{name_of(column.name)}")
    return Statements(
        repair,
        f"({broken}) AND ({mendable}){skip}",
        f"t.{name_of(job.field)} IS NULL AND ({mendable}){skip}" if fills and not column.not_null else None,
        after if several else values[0],
        chosen if several else "0",
        Prepared(f"SELECT {chosen}, count(*) FROM {writer.plain} WHERE ({broken}){skip} GROUP BY 1"),  # noqa: S608 - quoted
        Prepared(
            f"SELECT {held}, {after}, {chosen}, {identity} FROM {writer.source} "  # noqa: S608 - quoted
            f"WHERE ({broken}) AND ({mendable}){skip} LIMIT %(limit)s"
        ),
        Prepared(
            f"SELECT {identity} FROM {writer.source} "  # noqa: S608 - quoted
            f"WHERE ({broken}){skip} AND NOT coalesce(({mendable}), FALSE) LIMIT %(limit)s"
        ),
    )


class Look:
    """A look at every row at once: the statements of a check."""

    def __init__(self, writer: Writer, guard: MysqlGuard) -> None:
        self.guard = guard
        self._writer = writer
        columns: dict[str, Expression] = guard.columns
        signature = said(guard.signature(columns, guard.causes()))
        # A sound row is counted as soon as the gate lets it through.
        self._signature = f"CASE WHEN {said(guard.gate())} THEN 0 ELSE {signature} END"
        places = ""
        if len(writer.columns) == 1:
            (column,) = writer.columns
            name = f"t.{name_of(column.name)}"
            places = "".join(f", {read(column.kind, f'{each}({name})')}" for each in ("min", "max"))
        elif writer.columns:
            parts = ", ".join(f"HEX({text(each.kind, f't.{name_of(each.name)}')})" for each in writer.columns)
            places = f", min(CONCAT_WS(',', {parts})), max(CONCAT_WS(',', {parts}))"
        self.survey = Prepared(
            f"SELECT {self._signature}, count(*){places} FROM {writer.plain} GROUP BY 1"  # noqa: S608 - quoted
        )

    def sample(self) -> Prepared:
        """The rows at two places."""
        writer = self._writer
        what = ", ".join([writer.key(), *writer._read(self.guard.fields)])  # noqa: SLF001 - one of us
        where = f"({writer.is_at('after')}) OR ({writer.is_at('last')})"
        return Prepared(f"SELECT {what} FROM {writer.source} WHERE {where}")  # noqa: S608 - quoted

    def sample_of(self) -> Prepared:
        """Some rows of a kind, of a table without a key."""
        what = ", ".join(self._writer._read(self.guard.fields))  # noqa: SLF001 - one of us
        return Prepared(
            f"SELECT {what} FROM {self._writer.plain} WHERE {self._signature} = %(signature)s LIMIT 2"  # noqa: S608
        )
