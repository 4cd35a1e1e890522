"""
The statements of a SQLite table: how rows are found, recorded, written, proved and given back.

Rows are walked in the order in which they are stored. Of an ordinary table that is the rowid, and a window is a range
of rowids: walking a random key would read every page many times. Of a WITHOUT ROWID table it is the primary key, and a
window is a range of keys, compared column by column: a row value, `(a, b) > (x, y)`, is slower in some databases.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import sqlalchemy as sa
from attrs import field, frozen

from ...instants import Raw
from ...job import Job
from ...repairs import Mend
from ...rules import Moment
from ...targets.sql import SqlGuard, SqlRepair, bare
from .connection import Prepared
from .database import Database, prepare, quoted
from .ledger import CHANGES, MADE, QUARANTINE
from .table import Table

__all__ = ["Place", "Statements", "Window", "by_sql"]

Expression: TypeAlias = sa.ColumnElement[Any]
ROWID_MOST: Final = 2**63 - 1


@frozen
class Window:
    """
    A stretch of a table, from `first` to `last`, both in it.

    `rows` is None where SQL judges; else what Python judged: where each row is, what was read of it, and its mend.
    """

    first: tuple[Any, ...]
    last: tuple[Any, ...]
    rows: Sequence[tuple[tuple[Any, ...], Mapping[str, Raw], Mend]] | None

    @property
    def work(self) -> bool:
        """Whether there is anything to write in it."""
        return self.rows is None or bool(self.rows)


@frozen
class Place:
    """Where rows are: the columns `names` of the table `table`, in whose order they are stored, by `collations`."""

    table: str
    names: tuple[str, ...]
    rowid: bool
    collations: tuple[str, ...] = ()

    @classmethod
    def of(cls, table: Table) -> Place:
        """The place of the rows of *table*."""
        return cls(table.name, table.place, table.has_rowid, table.collations)

    @property
    def source(self) -> sa.TableClause:
        """The table."""
        return sa.table(self.table)

    @property
    def columns(self) -> list[Expression]:
        """The columns in whose order rows are stored, which need not be the order of their own collations."""
        if self.collations:
            return [sa.collate(_of(name), how) for name, how in zip(self.names, self.collations, strict=True)]
        return [sa.column(name) for name in self.names]

    @staticmethod
    def values(kind: str, where: Sequence[Any] | None) -> dict[str, Any]:
        """The parameters of one place: `after_0`, `after_1` ..."""
        return {} if where is None else {f"{kind}_{index}": each for index, each in enumerate(where)}

    def window(self, first: Sequence[Any], last: Sequence[Any]) -> dict[str, Any]:
        """The parameters of a window."""
        return self.values("first", first) | self.values("last", last)

    def beyond(self, kind: str, *, or_at: bool = False) -> Expression:
        """Whether a row comes after the place *kind*, or at it; for several columns, `a >= x AND (a > x OR (a = x AND ...))`."""
        return self._side(kind, or_at=or_at, down=False)

    def until(self, kind: str) -> Expression:
        """Whether a row comes before the place *kind*, or at it."""
        return self._side(kind, or_at=True, down=True)

    def _side(self, kind: str, *, or_at: bool, down: bool) -> Expression:
        columns, marks = self.columns, [_mark(f"{kind}_{index}") for index in range(len(self.names))]
        last = len(columns) - 1

        def strictly(index: int) -> Expression:
            return columns[index] < marks[index] if down else columns[index] > marks[index]

        def at_or(index: int) -> Expression:
            return columns[index] <= marks[index] if down else columns[index] >= marks[index]

        said = at_or(last) if or_at else strictly(last)
        for index in range(last - 1, -1, -1):
            said = sa.and_(at_or(index), sa.or_(strictly(index), sa.and_(columns[index] == marks[index], said)))
        return said

    @property
    def exactly(self) -> str:
        """Whether a row is at the place `at`, as text."""
        how = [f" COLLATE {quoted(each)}" for each in self.collations] or [""] * len(self.names)
        return " AND ".join(f"{quoted(name)}{how[index]} = :at_{index}" for index, name in enumerate(self.names))

    @functools.lru_cache(maxsize=32)  # noqa: B019 - places are few and small
    def rows(self, names: tuple[str, ...], key: tuple[str, ...], after: bool) -> Prepared:  # noqa: FBT001 - cached by it
        """Some rows in order: their places, keys and columns."""
        said = sa.select(*self.columns, *map(sa.column, key), *map(sa.column, names)).select_from(self.source)
        if after:
            said = said.where(self.beyond("after"))
        return prepare(said.order_by(*self.columns).limit(_mark("limit")))

    def end(self, database: Database, first: Sequence[Any], limit: int, *, counted: bool) -> tuple[Any, ...]:
        """
        The last place of a window of at most *limit* rows that begins at *first*.

        Unless they are *counted*, that many rowids: where those are far apart, that is one row.
        """
        if self.rowid and not counted:
            return (min(first[0] + limit - 1, ROWID_MOST),)
        rows = database.rows(self._end(), {**self.values("first", first), "skip": limit - 1})
        rows = rows or database.rows(self._last())
        return max(tuple(rows[0]), tuple(first)) if rows and self.rowid else tuple(rows[0] if rows else first)

    @functools.lru_cache(maxsize=8)  # noqa: B019 - as above
    def _end(self) -> Prepared:
        said = sa.select(*self.columns).select_from(self.source).where(self.beyond("first", or_at=True))
        return prepare(said.order_by(*self.columns).limit(sa.literal_column("1")).offset(_mark("skip")))

    @functools.lru_cache(maxsize=8)  # noqa: B019 - as above
    def _last(self) -> Prepared:
        backwards = [column.desc() for column in self.columns]
        return prepare(
            sa.select(*self.columns).select_from(self.source).order_by(*backwards).limit(sa.literal_column("1"))
        )

    # -- a look at all rows

    def survey(self, guard: SqlGuard) -> Prepared:
        """The signatures of the rows that do not pass the gate, with counts and where the first and the last of each is."""
        columns: dict[str, sa.Label[Any]] = {
            name: sa.column(name).label(f"value_{i}") for i, name in enumerate(guard.fields)
        }
        causes = {name: said.label(f"cause_{i}") for i, (name, said) in enumerate(guard.causes().items())}
        places = [column.label("place") for column in self.columns] if self.rowid else []
        suspect = sa.select(*columns.values(), *causes.values(), *places).select_from(self.source)
        inner = suspect.where(_fails(guard.gate())).subquery()
        signature = guard.signature(
            {name: inner.c[f"value_{i}"] for i, name in enumerate(guard.fields)},
            {name: inner.c[f"cause_{i}"] for i, name in enumerate(guard.fields)},
        ).label("signature")
        ends = [sa.func.min(inner.c.place), sa.func.max(inner.c.place)] if self.rowid else []
        return prepare(sa.select(signature, sa.func.count(), *ends).select_from(inner).group_by("signature"))

    def sample(self, guard: SqlGuard, key: Sequence[str], *, exact: bool) -> Prepared:
        """The row at a place, or some rows of a signature."""
        columns: list[Expression] = [sa.column(name) for name in (*key, *guard.fields)]
        said = sa.select(*columns).select_from(self.source)
        if exact:
            return prepare(said.where(self.columns[0] == _mark("place")))
        signature = guard.signature(guard.columns, guard.causes())
        suspect = sa.and_(_fails(guard.gate()), signature == _mark("signature"))
        return prepare(said.where(suspect).limit(sa.literal_column("3")))

    # -- one row

    @functools.lru_cache(maxsize=8)  # noqa: B019 - as above
    def by_row(self, table: Table, name: str, read: tuple[str, ...]) -> RowStatements:
        """The statements that write one row which Python judged by the columns *read*."""
        at = sa.and_(*(column == _mark(f"at_{index}") for index, column in enumerate(self.columns)))
        same: list[Expression] = [
            sa.case(
                (
                    _mark(f"is_bytes_{i}") == sa.literal_column("1"),
                    sa.cast(sa.column(each), sa.LargeBinary()).is_(_mark(f"read_{i}")),
                ),
                else_=exact(sa.column(each)).is_(_mark(f"read_{i}")),
            )
            for i, each in enumerate(read)
        ]
        same += [sa.func.typeof(sa.column(each)) == _mark(f"type_{i}") for i, each in enumerate(read)]
        held = sa.select(
            _mark("run"), *_kept(self, table), sa.column(name), _mark("after"), _mark("candidate")
        ).select_from(self.source)
        into = _changes(table)
        update = sa.update(sa.table(self.table, sa.column(name))).values({name: _mark("after")}).where(at)
        return RowStatements(
            prepare(sa.insert(into).from_select(_named(table), held.where(at, *same))), prepare(update), read
        )

    # -- proof and way back

    def proof(self, table: Table, name: str) -> Prepared:
        """How many of the newest changes are not what their rows hold."""
        changes, rows = _changes(table).alias(CHANGE), self._rows_of(table, name)
        joined = changes.outerjoin(rows, self._same(table, changes, rows, row=True))
        kept = _holds(table, name, rows.c[name], changes.c.after)
        # Not `not_`: SQLAlchemy 2.1.9 makes `a IS b` of `not_(a.is_(b))`, silently.
        lost = sa.or_(kept == sa.literal_column("0"), rows.c[self.names[0]].is_(None))
        return prepare(sa.select(sa.func.count()).select_from(joined).where(changes.c.id > _mark("after"), lost))

    @functools.lru_cache(maxsize=8)  # noqa: B019 - as above
    def undo(self, table: Table, name: str) -> UndoStatements:
        """The statements that give a stretch of changes back."""
        changes, rows = _changes(table).alias(CHANGE), self._rows_of(table, name)
        stretch = sa.and_(
            changes.c.id.between(_mark("bottom"), _mark("top")),
            changes.c.run == _mark("undone"),
            changes.c.state == sa.literal_column(str(MADE)),
        )
        target = sa.table(self.table, *(sa.column(each) for each in dict.fromkeys((*self.names, *table.key, name))))
        ours = _holds(table, name, target.c[name], changes.c.after)

        def restore(*, row: bool) -> Restore:
            same = self._same(table, changes, target, row=row)
            by = [changes.c.row] if row else [changes.c[each] for each in _keys(table)]
            grouped: sa.Select[Any] = (
                sa.select(sa.literal_column("1")).select_from(changes).where(stretch).group_by(*by)
            )
            return Restore(
                prepare(sa.update(target).values({name: changes.c.before}).where(stretch, same, ours)),
                prepare(grouped.having(sa.func.count() > sa.literal_column("1")).limit(sa.literal_column("1"))),
            )

        held = changes.join(rows, self._same(table, changes, rows, row=False))
        back = _holds(table, name, rows.c[name], changes.c.before)
        return UndoStatements(
            prepare(sa.select(sa.func.count()).select_from(changes).where(stretch)),
            restore(row=True) if self.rowid else None,
            restore(row=False),
            prepare(sa.select(sa.func.count()).select_from(held).where(stretch, back)),
        )

    def overlap(self, table: Table) -> Prepared:
        """Whether two runs changed the same row."""
        one, two = _changes(table).alias("one"), _changes(table).alias("two")
        same = [one.c[each] == two.c[each] for each in _keys(table)]
        said: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(one.join(two, sa.and_(*same)))
        return prepare(said.where(one.c.run == _mark("run"), two.c.run == _mark("other")).limit(sa.literal_column("1")))

    def _rows_of(self, table: Table, name: str) -> Any:
        names = dict.fromkeys((*self.names, *table.key, name))
        return sa.table(self.table, *map(sa.column, names)).alias("t")

    def _same(self, table: Table, changes: Any, rows: Any, *, row: bool) -> Expression:
        """Whether a change and a row belong together: by key, and where the row is found faster so, by its place too."""
        pairs = [(rows.c[name], changes.c[each]) for name, each in zip(table.key, _keys(table), strict=True)]
        # A column's own collation may take two keys for one. It is that of the index, though.
        same = [exact(held).is_(key) for held, key in pairs]
        if row and self.rowid:
            return sa.and_(rows.c[self.names[0]] == changes.c.row, *same)
        return sa.and_(*(held == key for held, key in pairs), *same)


@frozen
class RowStatements:
    """Record and write one row, if it still holds what was read of it."""

    record: Prepared
    write: Prepared
    read: tuple[str, ...]

    def values(self, where: Sequence[Any], record: Mapping[str, Raw], mend: Mend) -> dict[str, Any]:
        """The parameters."""
        said = Place.values("at", where) | {"after": mend.after, "candidate": mend.candidate}
        for index, name in enumerate(self.read):
            raw = record[name]
            said[f"type_{index}"] = _class_of(raw)
            said[f"is_bytes_{index}"] = 0
            said[f"read_{index}"] = raw
            if isinstance(raw, str) and not _is_utf8(raw):
                # Text that is no UTF-8 cannot be given to the driver as text: its bytes can.
                said[f"is_bytes_{index}"] = 1
                said[f"read_{index}"] = raw.encode("utf-8", "surrogateescape")
        return said


@frozen
class Restore:
    """Give a stretch of changes back at once; and whether one row was changed twice in it, so that the order matters."""

    at_once: Prepared
    twice: Prepared


@frozen
class UndoStatements:
    """Count a stretch of changes, give it back by place or by key, and count the rows that hold what they did before."""

    count: Prepared
    by_row: Restore | None
    by_key: Restore
    proof: Prepared


@frozen
class Statements:
    """What SQL says of a job."""

    repair: SqlRepair = field(repr=False)
    first: Prepared
    seek: Prepared
    record: Prepared
    write: Prepared
    count: Prepared
    some: Prepared
    hopeless: Prepared

    def values(self, job: Job, moment: Moment) -> dict[str, Any]:
        """The parameters of bounds and candidates."""
        return dict(self.repair.limits(moment, job.pinned))

    def readable(self, job: Job) -> str:
        """The statement that writes, with its bounds."""
        said = self.write.sql.replace("\n", " ")
        values = self.values(job, Moment.at(job.pinned))
        for name in sorted(values, key=len, reverse=True):
            said = said.replace(f":{name}", str(values[name]))
        return said


def by_sql(table: Table, place: Place, job: Job, *, skipping: bool) -> Statements:
    """The statements of *job*; *skipping* leaves out what the run has quarantined."""
    guard = SqlGuard(job.guard, job.encodings)
    repair = SqlRepair(guard, job.repair, job.encodings)
    broken: Expression = repair.broken()
    if skipping:
        broken = sa.and_(broken, sa.not_(_set_aside(table)))
    work = sa.and_(broken, repair.mendable())
    several = len(job.repair.candidates) > 1
    chosen = repair.chosen() if several else sa.literal_column("0")
    within = sa.and_(place.beyond("first", or_at=True), place.until("last"))
    held: Expression = sa.column(job.field)
    places = sa.select(*place.columns).select_from(place.source).where(work)
    ordered = places.order_by(*place.columns).limit(sa.literal_column("1"))
    identity: list[Expression] = [sa.column(name) for name in (table.key or place.names)]
    source = sa.select(_mark("run"), *_kept(place, table), held, repair.after(), chosen).select_from(place.source)
    target = sa.update(sa.table(table.name, sa.column(job.field)))
    # What was recorded is what is written; by rowid, that is twice as fast as judging the window again.
    newest: sa.Select[Any] = (
        sa.select(sa.column("row")).select_from(_changes(table)).where(sa.column("id") > _mark("before"))
    )
    recorded = place.columns[0].in_(newest)
    candidate = repair.chosen().label("candidate")
    inner = sa.select(candidate).select_from(place.source).where(broken).subquery()
    return Statements(
        repair,
        prepare(ordered),
        prepare(places.where(place.beyond("after")).order_by(*place.columns).limit(sa.literal_column("1"))),
        prepare(sa.insert(_changes(table)).from_select(_named(table), source.where(within, work))),
        prepare(target.values({job.field: repair.after()}).where(recorded if place.rowid else sa.and_(within, work))),
        prepare(sa.select(inner.c.candidate, sa.func.count()).select_from(inner).group_by(inner.c.candidate)),
        prepare(
            sa.select(held, repair.after(), repair.chosen(), *identity)
            .select_from(place.source)
            .where(work)
            .limit(_mark("limit"))
        ),
        prepare(
            sa.select(*identity)
            .select_from(place.source)
            .where(broken, sa.not_(sa.func.coalesce(repair.mendable(), sa.literal_column("0"))))
            .limit(_mark("limit"))
        ),
    )


def _fails(gate: Expression) -> Expression:
    """
    Whether a gate is not true.

    `x IS NOT 1` computes all of x, while a CASE stops at the first test that fails; so does `x IS NOT TRUE`, but a
    column may have that name.
    """
    return sa.case((gate, sa.literal_column("0")), else_=sa.literal_column("1"))


def exact(value: Expression) -> Expression:
    """A value as it is: without the affinity and the collation of its column, by which 'A' may equal 'a' and '1' be 1."""
    return sa.collate(bare(value), "BINARY")


def _of(name: str) -> Expression:
    return sa.column(name, sa.types.NullType())


def _mark(name: str) -> Expression:
    return sa.bindparam(name, None, type_=sa.types.NullType())


CHANGE: Final = "timestamp_guard_change"
"""What a change is called in a statement: a name that no table of the user's has."""


def _holds(table: Table, name: str, held: Expression, value: Expression) -> Expression:
    """Whether a column holds *value*: of the same type too, unless it is the column that gives numbers their type."""
    same = exact(held).is_(value)
    return (
        sa.and_(same, sa.func.typeof(held) == sa.func.typeof(value)) if table.column(name).affinity == "BLOB" else same
    )


def _keys(table: Table) -> list[str]:
    return [f"key_{index}" for index in range(1, len(table.key) + 1)]


def _changes(table: Table) -> sa.TableClause:
    names = ("id", "run", "before", "after", "candidate", "state", "row", *_keys(table))
    return sa.table(CHANGES, *map(sa.column, names))


def _named(table: Table) -> list[str]:
    """The columns of a change that a statement fills, in its order."""
    row = ["row"] if table.has_rowid else []
    return ["run", *row, *_keys(table), "before", "after", "candidate"]


def _kept(place: Place, table: Table) -> list[Expression]:
    """What identifies a row, in the same order."""
    row = place.columns if place.rowid else []
    return [*row, *map(sa.column, table.key)]


def _set_aside(table: Table) -> Expression:
    """Whether the run has quarantined a row."""
    names = _keys(table)
    aside = sa.table(QUARANTINE, sa.column("run"), *map(sa.column, names))
    keys = sa.select(*(aside.c[name] for name in names)).where(aside.c.run == _mark("run"))
    held = [exact(sa.column(name)) for name in table.key]
    return held[0].in_(keys) if len(held) == 1 else sa.tuple_(*held).in_(keys)


def _class_of(raw: Raw) -> str:
    """The storage class of a value that the driver gave."""
    kinds = {type(None): "null", int: "integer", float: "real", str: "text", bytes: "blob"}
    return kinds[type(raw)]


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
