"""
The statements of a table of PostgreSQL: how rows are found, recorded, written, proved and given back.

Rows are walked by ranges of pages: in the order in which they are stored, whatever their keys are, and each page once.
A row that is written moves to another page, where it is met again and found sound. A range says nothing of what is
between two looks at it, so every write looks at its rows again: at the version that it read, or by its own condition.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from attrs import field, frozen
from sqlalchemy.dialects.postgresql import psycopg as dialect

from ....job import Job
from ....rules import Moment, Present
from ....targets.sql import SqlRepair
from ....targets.typed import TypedGuard
from ..connection import Prepared
from ..ledger import CHANGES, QUARANTINE
from .ledger import BATCHES, ServerLedger
from .server import quoted
from .table import Column, Table
from .values import wide

__all__ = ["Statements", "Writer", "by_server", "said"]

_DIALECT: Final = dialect.dialect(paramstyle="pyformat")  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it so
NEWEST: Final = '"timestamp_guard newest"'
"""A name in a statement that no column of the user's has."""

_TRIGGERS: Final = (
    "(SELECT coalesce(array_agg(tgname::text), '{}') FROM pg_catalog.pg_trigger "
    "WHERE tgrelid = ANY (%(oids)s::oid[]) AND NOT tgisinternal AND tgenabled <> 'D')"
)
"""
The triggers of what is written: no other one can be made then, for the statement locked the table before it looked.
"""

_RANGE: Final = "ctid > %(after)s::tid AND ctid <= %(last)s::tid"


def said(expression: sa.ClauseElement) -> str:
    """An expression as this server has it, every name quoted."""
    return str(expression.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True}))


def name_of(name: str) -> str:
    """A name in a statement that has parameters."""
    return quoted(name).replace("%", "%%")


def _texts(columns: Sequence[str], prefix: str = "") -> str:
    return ", ".join(f"{prefix}{name_of(name)}::text" for name in columns)


def _keys(count: int, prefix: str = "") -> str:
    return ", ".join(f"{prefix}key_{index}" for index in range(1, count + 1))


class Writer:
    """The statements that read and write rows of *table*, whoever judges them, with the ledger of *ledger*."""

    def __init__(self, table: Table, ledger: ServerLedger) -> None:
        self.table = table
        self.changes, self.batches, self.aside = (
            ledger.server.address(name).replace("%", "%%") for name in (CHANGES, BATCHES, QUARANTINE)
        )
        self.source = table.source.replace("%", "%%")
        self._first = ledger.numbered("%(first)s")
        self._within = ledger.within("%(undone)s", "%(bottom)s", "%(top)s", self.batches)

    def rows(self, names: Sequence[str], part: str, *, identity: Sequence[str], limit: bool) -> Prepared:
        """
        Rows between two places, in the order in which they are stored: place, version, key and columns.
        """
        columns = [f"{name_of(name)}" for name in names]
        keys = [*map(self._readable, identity)]
        what = ", ".join(["ctid::text", "xmin::text", *keys, *columns])
        end = " LIMIT %(limit)s" if limit else ""
        return Prepared(f"SELECT {what} FROM {part} AS t WHERE {_RANGE} ORDER BY t.ctid{end}")  # noqa: S608 - quoted

    def _readable(self, name: str) -> str:
        """A key column as the ledger's reader would have it."""
        return name_of(name) if self.table.column(name).kind != "other" else f"{name_of(name)}::text"

    def page(self, names: Sequence[str], *, after: bool) -> Prepared:
        """Some rows in the order of the key: for whoever reads all of them while others write."""
        key = self.table.key
        keys = [*map(self._readable, key)]
        what = ", ".join([*keys, *(f"{name_of(each)}::text" for each in key), *map(name_of, names)])
        where = ""
        if after:
            last = len(key) - 1
            marks = [f"%(after_{index})s::{self.table.column(name).base}" for index, name in enumerate(key)]
            where = f"{name_of(key[last])} > {marks[last]}"
            for index in range(last - 1, -1, -1):
                one, mark = name_of(key[index]), marks[index]
                where = f"{one} >= {mark} AND ({one} > {mark} OR ({one} = {mark} AND {where}))"
            where = f" WHERE {where}"
        order = ", ".join(f"t.{name_of(each)}" for each in key)  # a name alone would be that of a column of the result
        return Prepared(f"SELECT {what} FROM {self.source} AS t{where} ORDER BY {order} LIMIT %(limit)s")  # noqa: S608 - quoted

    def by_row(self, column: Column, part: str) -> Prepared:
        """
        Record and write rows that Python judged, if each is still the version that was read.

        Gives how many there were, how many of them are not what was written, the names of the triggers, and the number of
        the first change: *first*, where that is given.
        """
        name, kind = name_of(column.name), wide(column.kind, column.base)
        key = self.table.key
        given = (
            "unnest(%(places)s::text[], %(versions)s::text[], %(afters)s::text[], %(candidates)s::smallint[]) "
            "AS work (place, version, written, candidate)"
        )
        # A table that was rewritten meanwhile has other rows at its places, and a version may be that of many rows.
        same = "t.xmin::text = work.version AND pg_relation_filenode(t.tableoid) = %(file)s"
        new = f"work.written::{self._assigned(column)}"
        return Prepared(
            f"WITH work AS MATERIALIZED (SELECT place::tid AS place, version, written, candidate FROM {given}), "  # noqa: S608 - quoted
            f"old AS MATERIALIZED (SELECT t.ctid AS place, t.{name}::text AS held FROM work JOIN {part} t ON t.ctid = work.place "
            f"WHERE {same}), "
            f"made AS (UPDATE {part} AS t SET {name} = {new} FROM work JOIN old ON old.place = work.place "
            f"WHERE t.ctid = work.place AND {same} "
            f"RETURNING {_texts(key, 't.')}, t.ctid, old.held, t.{name}::text, work.candidate, "
            f"t.{name}::{kind} IS NOT DISTINCT FROM work.written::{kind}), " + self._recorded("made")
        )

    @staticmethod
    def _assigned(column: Column) -> str:
        """As what a value is given to a column: without its limits, or it would be cut to them silently."""
        return "float8" if column.kind == "float" else column.base

    def _recorded(self, made: str) -> str:
        """What a statement ends with that writes rows: of *made* come keys, place, before, after, candidate, kept."""
        keys = [f"key_{index}" for index in range(1, len(self.table.key) + 1)]
        kept = [*keys, "place", "before", "after", "candidate"]
        arrays = ", ".join(f"array_agg({name}) AS {name}" for name in kept)
        return (
            f"named ({', '.join(kept)}, kept) AS (SELECT * FROM {made}), "  # noqa: S608 - quoted
            f"batch AS (SELECT count(*) AS many, count(*) FILTER (WHERE NOT kept) AS lost, {arrays}, {self._first} AS first FROM named), "
            f"recorded AS (INSERT INTO {self.batches} (run, first, last, {', '.join(kept)}) "
            f"SELECT %(run)s, first, first + many - 1, {', '.join(kept)} FROM batch WHERE many > 0) "
            f"SELECT many, lost, {_TRIGGERS}, first FROM batch"
        )

    def proof(self, column: Column) -> Prepared:
        """How many of the changes of the batches *since* are not what their rows hold."""
        same = self._same("t", "c")
        return Prepared(
            f"SELECT count(*) FROM {self.changes} c LEFT JOIN {self.source} t ON {same} "  # noqa: S608 - quoted
            f"WHERE c.run = %(run)s AND c.first = ANY(%(since)s) AND t.{name_of(column.name)}::text IS DISTINCT FROM c.after"
        )

    def _same(self, rows: str, changes: str) -> str:
        """Whether a row and a change belong together: equal for the index, and alike in spelling."""
        pairs = []
        for index, name in enumerate(self.table.key, 1):
            held, kept = f"{rows}.{name_of(name)}", f"{changes}.key_{index}"
            pairs.append(f"{held} = {kept}::{self.table.column(name).base}")
            if self.table.column(name).kind in {"text", "other"}:
                pairs.append(f'{held}::text COLLATE "C" = {kept}')  # a collation may take two texts for one
        return " AND ".join(pairs)

    def _stretch(self) -> str:
        """The changes of the run *undone* from *bottom* to *top*."""
        return f"{self.changes} WHERE {self._within}"

    def undo(self, column: Column, *, by_place: bool) -> Prepared:
        """
        Give a stretch of changes back: how many there are, how many rows were, and how many of those are not so.

        Rows that stayed where they were written are found there, at a fraction of the price, and told by their keys.
        """
        name = name_of(column.name)
        there = "t.ctid = c.place AND " if by_place else ""
        return Prepared(
            f"WITH stretch AS MATERIALIZED (SELECT * FROM {self._stretch()}), "  # noqa: S608 - quoted
            f"back AS (UPDATE {self.source} AS t SET {name} = c.before::{self._assigned(column)} FROM stretch c "
            f"WHERE {there}{self._same('t', 'c')} AND t.{name}::text IS NOT DISTINCT FROM c.after "
            f"RETURNING t.{name}::text IS NOT DISTINCT FROM c.before AS kept) "
            f"SELECT (SELECT count(*) FROM stretch), count(*), count(*) FILTER (WHERE NOT kept), {_TRIGGERS} FROM back"
        )

    def undone(self, column: Column) -> Prepared:
        """How many rows of a stretch hold what they did before: looked at where a trigger could change it after."""
        return Prepared(
            f"SELECT count(*) FROM (SELECT * FROM {self._stretch()}) c JOIN {self.source} t ON {self._same('t', 'c')} "  # noqa: S608 - quoted
            f"WHERE t.{name_of(column.name)}::text IS NOT DISTINCT FROM c.before"
        )

    def twice(self) -> Prepared:
        """Whether a row was changed twice in a stretch, so that the order matters."""
        keys = _keys(len(self.table.key))
        return Prepared(
            f"SELECT 1 FROM {self._stretch()} GROUP BY {keys} HAVING count(*) > 1 LIMIT 1"  # noqa: S608 - ours
        )

    def overlap(self) -> Prepared:
        """Whether two runs changed the same row."""
        same = " AND ".join(f"a.key_{index} = b.key_{index}" for index in range(1, len(self.table.key) + 1))
        return Prepared(
            f"SELECT 1 FROM {self.changes} a JOIN {self.changes} b ON {same} "  # noqa: S608 - ours
            f"WHERE a.run = %(run)s AND b.run = %(other)s LIMIT 1"
        )

    def set_aside(self, part: str) -> Prepared:
        """Quarantine the row at a place; another worker may have met it before it moved there."""
        return Prepared(
            f"INSERT INTO {self.aside} (run, reason, {_keys(len(self.table.key))}) "  # noqa: S608 - quoted
            f"SELECT %(run)s, %(reason)s, {_texts(self.table.key)} FROM {part} WHERE ctid = %(last)s::tid AND {self.not_aside()}"
        )

    def change_aside(self) -> Prepared:
        """Quarantine the row of a change."""
        keys = _keys(len(self.table.key))
        return Prepared(
            f"INSERT INTO {self.aside} (run, reason, {keys}) SELECT %(run)s, %(reason)s, {keys} "  # noqa: S608 - ours
            f"FROM {self._stretch()}"
        )

    def not_aside(self) -> str:
        """Whether the run has not quarantined a row."""
        same = " AND ".join(f"q.key_{index} = {name_of(name)}::text" for index, name in enumerate(self.table.key, 1))
        return f"NOT EXISTS (SELECT 1 FROM {self.aside} q WHERE q.run = %(run)s AND {same})"  # noqa: S608 - quoted


@frozen
class Statements:
    """What SQL says of a job."""

    repair: SqlRepair = field(repr=False)
    work: str
    nulls: str | None
    others: str | None
    after: str
    chosen: str
    count: Prepared
    some: Prepared
    hopeless: Prepared

    def values(self, job: Job, moment: Moment) -> dict[str, Any]:
        """The parameters of bounds and candidates."""
        return dict(self.repair.limits(moment, job.pinned))

    def seek(self, part: str) -> Prepared:
        """The first place between two that holds work."""
        return Prepared(f"SELECT min(ctid)::text FROM {part} WHERE {_RANGE} AND ({self.work})")  # noqa: S608 - quoted

    def last_of(self, part: str) -> Prepared:
        """The place of the last of a few rows between two places that hold work."""
        return Prepared(
            f"SELECT max(place)::text FROM (SELECT ctid AS place FROM {part} WHERE {_RANGE} AND ({self.work}) "  # noqa: S608
            f"ORDER BY ctid LIMIT %(limit)s) few"
        )

    def write(self, writer: Writer, column: Column, part: str, *, others: bool) -> list[Prepared]:
        """
        Record and write the work between two places, in one statement where only nulls are overwritten: else in two,
        of which the second is for the *others*.

        Each gives how many rows there were, how many of them are not what was written, the names of the triggers, and the
        number of the first change.
        """
        name, kind, key = name_of(column.name), wide(column.kind, column.base), writer.table.key
        found = []
        if self.nulls is not None and not column.not_null:
            found.append(
                f"WITH made AS (UPDATE {part} SET {name} = {self.after} WHERE {_RANGE} AND ({self.nulls}) "  # noqa: S608
                f"RETURNING {_texts(key)}, ctid, NULL::text, {name}::text, {self.chosen}, "
                f"{name}::{kind} IS NOT DISTINCT FROM ({self.after})::{kind}), " + writer._recorded("made")  # noqa: SLF001 - one of us
            )
        if self.others is not None and (others or not found):
            found.append(
                f"WITH work AS MATERIALIZED (SELECT ctid AS place, xmin AS version, {name}::text AS held, {self.after} AS written, "  # noqa: S608
                f"{self.chosen} AS candidate FROM {part} WHERE {_RANGE} AND ({self.others})), "
                f"made AS (UPDATE {part} AS t SET {name} = work.written FROM work WHERE t.ctid = work.place "
                # Older servers do not look at the place again once they waited for a row.
                f"AND t.xmin = work.version RETURNING {_texts(key, 't.')}, t.ctid, work.held, t.{name}::text, work.candidate, "
                f"t.{name}::{kind} IS NOT DISTINCT FROM work.written::{kind}), " + writer._recorded("made")  # noqa: SLF001
            )
        return [Prepared(each) for each in found]

    def downstream(self, writer: Writer, name: str) -> Prepared:
        """How much of the work would lie below the newest value, all of it, that value, and the bytes of a row."""
        column = name_of(name)
        return Prepared(
            f"SELECT count(*) FILTER (WHERE {self.after} < {NEWEST}), count(*), max({NEWEST}), "  # noqa: S608 - quoted
            f"(SELECT coalesce(avg(pg_column_size(t.*)), 0)::bigint + 24 FROM (SELECT * FROM {writer.source} LIMIT 1000) t) "
            f"FROM {writer.source} CROSS JOIN (SELECT max({column}) AS {NEWEST} FROM {writer.source}) most "
            f"WHERE {self.work}"
        )

    def readable(self, writer: Writer, column: Column, job: Job) -> str:
        """The statement that writes, with its bounds, for people."""
        text = f"UPDATE {writer.table.source} SET {quoted(column.name)} = {self.after} WHERE {self.work}"  # noqa: S608
        for name, value in sorted(self.values(job, Moment.at(job.pinned)).items(), reverse=True):
            text = text.replace(f"%({name})s", repr(value) if isinstance(value, str) else str(value))
        return text.replace("%%", "%")


def by_server(writer: Writer, job: Job, *, skipping: bool) -> Statements:
    """The statements of *job*; *skipping* leaves out what the run has quarantined."""
    table = writer.table
    types = {name: table.column(name).typed for name in {*job.guard.fields, *job.encodings}}
    guard = TypedGuard(job.guard, job.encodings, types)
    repair = SqlRepair(guard, job.repair, job.encodings)
    skip = f" AND {writer.not_aside()}" if skipping else ""
    broken, mendable = said(repair.broken()), said(repair.mendable())
    fills = "null" in job.repair.codes and Present(job.field) in job.guard.rules
    name = name_of(job.field)
    more = set(job.repair.codes) - {"null", "missing"}
    nulls = f"{name} IS NULL AND ({mendable}){skip}" if fills else None
    others = f"{name} IS NOT NULL AND ({broken}) AND ({mendable}){skip}" if more else None
    several = len(job.repair.candidates) > 1
    after, chosen = said(repair.after()), said(repair.chosen()) if several else "0"
    identity = _texts(table.key) or "ctid::text"
    source = writer.source
    lost = f"({broken}){skip} AND NOT coalesce(({mendable}), false)"
    return Statements(
        repair,
        f"({broken}) AND ({mendable}){skip}",
        nulls,
        others,
        after,
        chosen,
        Prepared(
            f"SELECT candidate, count(*) FROM (SELECT {said(repair.chosen())} AS candidate FROM {source} "  # noqa: S608
            f"WHERE ({broken}){skip}) work GROUP BY candidate"
        ),
        Prepared(
            f"SELECT {name}, {after}, {said(repair.chosen())}, {identity} FROM {source} "  # noqa: S608 - quoted
            f"WHERE ({broken}) AND ({mendable}){skip} LIMIT %(limit)s"
        ),
        Prepared(f"SELECT {identity} FROM {source} WHERE {lost} LIMIT %(limit)s"),  # noqa: S608 - quoted
    )


class Look:
    """A look at every row at once: the statements of a check."""

    def __init__(self, table: Table, guard: TypedGuard) -> None:
        self.guard = guard
        source = table.source.replace("%", "%%")
        self._fields = ", ".join(map(name_of, guard.fields))
        # A select of the causes inside would be shorter, and would keep the server from using several processes.
        gate, signature = said(guard.gate()), said(guard.signature(guard.columns, guard.causes()))
        part, group = ("tableoid::bigint", "1, 2") if len(table.parts) != 1 else (str(table.parts[0].oid), "2")
        self.count = Prepared(f"SELECT count(*) FROM {source}")  # noqa: S608 - quoted
        self.survey = Prepared(
            f"SELECT {part}, {signature} AS signature, count(*), min(ctid)::text, max(ctid)::text FROM {source} "  # noqa: S608
            f"WHERE ({gate}) IS NOT TRUE GROUP BY {group}"
        )
        self._identity = _texts(table.key) or "ctid::text"

    def sample(self, part: str) -> Prepared:
        """The rows at two places."""
        return Prepared(
            f"SELECT {self._identity}, {self._fields} FROM {part} "  # noqa: S608 - quoted
            f"WHERE ctid IN (%(first)s::tid, %(last)s::tid)"
        )
