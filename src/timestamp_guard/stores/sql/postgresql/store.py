"""
A table of PostgreSQL: judged and mended by the server itself where SQL can say it exactly, else row by row in Python,
in the same transaction and with the same ledger.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

from attrs import evolve, frozen

from ....engine.tally import Tally
from ....errors import StoreError, UsageError
from ....instants import Encoding, Encodings, Raw
from ....job import Job
from ....ledger import Cursor, Key, Run
from ....repairs import Mend, needs
from ....rules import Guard, Moment
from ....targets.typed import TypedGuard
from ...base import Clock, Downstream, Fingerprint, Held, Page, Probe, Source, Step
from ..found import SqlTable
from ..looking import Columns, key_of
from ..served.held import as_held
from ..served.server import Refused
from ..served.store import ENOUGH, LOCK, PATIENCE_NS, ServedStore
from .enforcing import PostgresEnforcing
from .ledger import ServerLedger
from .proving import fingerprint, held, probe
from .server import Server, quoted
from .statements import Look, Statements, Writer, by_server
from .table import Column, Table, parts_of, reflect, triggers_of
from .values import text_of, thawed

__all__ = ["PostgresStore"]

FIRST: Final = 64
SEEK: Final = 4096
"""How many pages the first look for work passes, and how many at most: 32 MB."""

LAST: Final = 65535


@frozen
class Window:
    """
    A stretch of a part of the table, from after one place to another, both as `(page,row)`.

    `rows` is None where SQL judges; else what Python judged: the place, the version, and the mend of each row, and the
    number of the `file` in which these places were.
    """

    part: int
    after: str
    last: str
    rows: Sequence[tuple[str, str, Mend]] | None = None
    work: bool = True
    file: int | None = None


class PostgresStore(ServedStore[Column, Statements, Window]):
    """
    One table of a PostgreSQL database; its ledger is in the schema of the table. Close it, or use it as a context manager.

    *table* may be `schema.table`; *key* names the columns that identify a row, where the table does not say.

    Raises:
        UsageError: there is no such table or column.
        StoreError: the server cannot be reached, or refuses.
    """

    pause_trigger = (
        "Disable the trigger for as long as the run takes (ALTER TABLE {source} DISABLE TRIGGER ...), and enable it "
        "again after"
    )
    dump = "pg_dump"
    server: Server
    table: Table
    ledger: ServerLedger

    def __init__(
        self,
        url: str,
        table: str,
        *,
        encodings: Encodings,
        key: str | Sequence[str] | None = None,
        read_only: bool = False,
        timeout: float = 5.0,
    ) -> None:
        self.encodings = encodings
        self.server = Server(url, read_only=read_only, timeout=timeout)
        try:
            with self.server.reading():
                self.table = reflect(self.server, table, [key] if isinstance(key, str) else key)
            self._declared_key = key is not None
            self.server.schema = self.table.schema
            self.ledger = ServerLedger(self.server, self.table)
        except BaseException:
            self.server.close()
            raise
        self._writer = Writer(self.table, self.ledger)
        self._held: tuple[Job, Job] | None = None
        self._tops: dict[int, int] = {}
        self._stale = False
        self._walked: int | None = None
        self._seek = FIRST
        self._per_page = 50.0
        super().__init__()

    def enforcing(self) -> PostgresEnforcing:
        """How the table comes to hold a guard by itself."""
        return PostgresEnforcing(self)

    # -- reading

    def scan(self, after: Cursor, limit: int) -> Page:
        """Rows in the order of their key, with all their columns."""
        return self._lasting(lambda: self._scan(self.fields(), after, limit))

    def _scan(self, names: Sequence[str], after: Cursor, limit: int) -> Page:
        if not self.table.key:
            return self._stored(names, after, limit)
        width = len(self.table.key)
        values: dict[str, Any] = {"limit": limit}
        if after is not None:
            values |= {f"after_{index}": text for index, text in enumerate(after)}
        with self.server.reading():
            rows = self.server.rows(self._writer.page(names, after=after is not None), values)
        records = [(key_of(row[:width]), dict(zip(names, row[2 * width :], strict=True))) for row in rows]
        return Page(records, list(rows[-1][width : 2 * width]) if len(rows) == limit else None)

    def _stored(self, names: Sequence[str], after: Cursor, limit: int) -> Page:
        """Rows in the order in which they are stored: of a table without a key, or in one view of the data."""
        part, place = after if after is not None else (0, "(0,0)")
        while part < len(self.table.parts):
            rows = list(self._read(names, part, place, f"(4294967294,{LAST})", limit))
            if rows:
                records = [(key, record) for _, _, key, record in rows]
                return Page(records, [part, rows[-1][0]])
            part, place = part + 1, "(0,0)"
        return Page([], None)

    def _read(
        self, names: Sequence[str], part: int, after: str, last: str, limit: int | None = None
    ) -> Iterator[tuple[str, str, Key, Mapping[str, Raw]]]:
        """Rows between two places: place, version, key and columns."""
        identity = self.table.key
        said = self._writer.rows(names, self._part(part), identity=identity, limit=limit is not None)
        width = 2 + len(identity)
        for row in self.server.rows(said, {"after": after, "last": last, "limit": limit}):
            key = key_of(row[2:width]) if identity else row[0]
            yield row[0], row[1], key, dict(zip(names, row[width:], strict=True))

    def _part(self, part: int) -> str:
        return self.table.parts[part].name.replace("%", "%%")

    def _count(
        self, tally: Tally, guard: Guard, encodings: Mapping[str, Encoding], moment: Moment, *, show: bool
    ) -> None:
        typed = TypedGuard(guard, encodings, self.table.types(guard.fields))
        look = Look(self.table, typed)
        ((records,),) = self.server.rows(look.count)
        # There are few kinds of broken rows, which the planner cannot know: it would sort them all.
        self.server.run("SET LOCAL enable_sort = off")
        for oid, signature, count, *places in self.server.rows(look.survey, typed.limits(moment)):
            said = typed.decode(signature)
            tally.count(count, said.faults, said.causes, said.undecided)
            records -= count
            if said.faults and show:
                for key, record in self._samples(look, oid, places):
                    tally.show(key, record, moment)
        tally.sound(records)

    def _samples(self, look: Look, oid: int, places: Sequence[str]) -> Iterator[tuple[Key, Mapping[str, Raw]]]:
        """The first and the last row of a kind."""
        part = next((index for index, each in enumerate(self.table.parts) if each.oid == oid), None)
        if part is None:
            return  # made since the table was looked at
        width = len(self.table.key) or 1
        for row in self.server.rows(look.sample(self._part(part)), {"first": places[0], "last": places[1]}):
            yield self._thawed_key(row[:width]), dict(zip(look.guard.fields, row[width:], strict=True))

    def _columns(self, names: Sequence[str] | None, clock: Clock) -> tuple[Source, Clock]:
        chosen = self.fields() if names is None else names
        return Columns(self.name, self.encodings, lambda after, limit: self._stored(chosen, after, limit)), clock

    def _thawed_key(self, texts: Sequence[str]) -> Key:
        """A key that came as text."""
        if not self.table.key:
            return texts[0]
        return key_of([thawed(text, self.table.column(name).kind) for text, name in zip(texts, self.key, strict=True)])

    def _raw(self, job: Job, after: Any) -> Raw:
        return int(after) if self.table.column(job.field).kind == "whole" else cast("Raw", after)

    def statements(self, job: Job) -> Sequence[str]:
        """What a step runs and locks, and the triggers that its writes set off."""
        said = []
        if self._sql(job):
            statements = self._statements(job, skipping=False)
            said.append(statements.readable(self._writer, self.table.column(job.field), job))
        else:
            said.append(f"{job.field} of {self.name} is judged row by row in Python, and written by compare-and-set")
        said.append(
            "locks: ROW EXCLUSIVE on the table and the rows of one step, for about 20 ms at a time; readers never wait, "
            f"and a step waits for no row longer than {LOCK * 1000:.0f} ms"
        )
        said += [f"trigger {each.name} will be set off by each write" for each in self.table.triggers if each.on_update]
        if self.table.guarded:
            said.append("row-level security is on: rows that this user does not see are neither counted nor filled")
        return said

    def downstream(self, job: Job) -> Downstream | None:
        """What a backfill means for replicas, change feeds, and who syncs by the field."""
        if not self._sql(job):
            return None
        said = self._statements(job, skipping=False)
        values = said.values(job, job.moment(self.now()))
        with self.server.reading():
            ((unseen, work, newest, size),) = self.server.rows(said.downstream(self._writer, job.field), values)
        return Downstream(unseen, newest, work * size)

    # -- writing

    def _quoted(self, name: str) -> str:
        return quoted(name)

    def _refuse_more(self, job: Job) -> None:
        if job.field in self.table.partition_key:
            msg = (
                f"{job.field} says in which partition of {self.name} a row belongs, so filling it would move rows "
                f"between tables: fill it before the table is partitioned by it, or move the rows by hand"
            )
            raise UsageError(msg)
        if self.table.inherited:
            msg = f"other tables inherit from {self.name}: fill each of them by its own name"
            raise UsageError(msg)

    def _top(self, part: int) -> int:
        """How many pages a part had when it was begun: what is added since is for the next sweep."""
        if part not in self._tops:
            oid = self.table.parts[part].oid
            with self.server.reading():  # waits for a lock as well
                found = self.server.rows(
                    "SELECT pg_relation_size((?::bigint)::oid::regclass) / current_setting('block_size')::bigint, "
                    "reltuples::float8, relpages FROM pg_catalog.pg_class WHERE oid = ?",
                    (oid, oid),
                )
            size, rows, pages = found[0] if found else (0, 0, 0)  # a partition that is gone holds nothing
            self._tops[part] = size
            if pages and rows > 0:
                self._per_page = max(1.0, rows / pages)
        return self._tops[part]

    def end(self) -> Cursor:
        """See :class:`~timestamp_guard.stores.base.Divisible`."""
        return self._lasting(self._end)

    def _end(self) -> Cursor:
        self._tops.clear()
        with self.server.reading():
            self.table = evolve(self.table, parts=parts_of(self.server, self.table.oid))
        tops = [(part, self._top(part)) for part in range(len(self.table.parts))]
        return next(([part, f"({top - 1},{LAST})"] for part, top in reversed(tops) if top), None)

    def reach(self, after: Cursor, until: Cursor, records: int) -> Cursor:
        """See :class:`~timestamp_guard.stores.base.Divisible`; in pages, of which one may hold many rows or few."""
        part, place = after if after is not None else (0, "(0,0)")
        while part < min(until[0], len(self.table.parts)):
            self._tops.pop(part, None)
            top = self._lasting(lambda part=part: self._top(part))  # type: ignore[misc]  # bound at once
            last = min(_page(place) + self._pages(records), top)
            if _page(place) < top:
                return [part, f"({last - 1},{LAST})"]
            part, place = part + 1, "(0,0)"
        last = _page(place) + self._pages(records)
        return [part, f"({last - 1},{LAST})"] if part == until[0] and last < _page(until[1]) else until

    def _pages(self, records: int) -> int:
        return max(1, int(records / self._per_page))

    def _find(self, job: Job, run: Run, clock: Clock, limit: int) -> Window | None:
        """The next window that may hold work; None at the end of the table."""
        if run.cursor is None or self._stale or run.id != self._walked:
            self._tops.clear()
            self._stale, self._walked = False, run.id
            self._without = self._without if run.parent is not None else 0
            with self.server.reading():  # who asks for the parts waits for their locks
                self.table = evolve(self.table, parts=parts_of(self.server, self.table.oid))
        part, after = run.cursor if run.cursor is not None else (0, "(0,0)")
        began = time.monotonic_ns()
        while part < len(self.table.parts) and (run.until is None or part <= run.until[0]):
            top = self._top(part)
            if run.until is not None and part == run.until[0]:
                top = _page(run.until[1])
            page = _page(after)
            if page >= top:
                part, after = part + 1, "(0,0)"
                continue
            pages = self._pages(limit)
            if not self._sql(job):
                return self._judge(job, run, clock, limit, part, after, min(page + pages, top) - 1)
            if self._dense and limit >= max(2, self._per_page):
                return Window(part, after, f"({min(page + pages, top) - 1},{LAST})")
            end = min(page + self._seek, top) - 1
            said = self._statements(job, skipping=self._skipping(run))
            values = said.values(job, job.moment(clock())) | {
                "run": run.whole,
                "after": after,
                "last": f"({end},{LAST})",
            }
            with self.server.reading():
                ((first,),) = self.server.rows(said.seek(self._part(part)), values)
                if first is not None:
                    self._seek = FIRST
                    return self._around(said, values, part, first, limit, min(_page(first) + pages, top) - 1)
            after = f"({end},{LAST})"
            self._seek = min(SEEK, 2 * self._seek)
            if time.monotonic_ns() - began > PATIENCE_NS:
                return Window(part, after, after, work=False)
        return None

    def _around(
        self, said: Statements, values: Mapping[str, Any], part: int, first: str, limit: int, last_page: int
    ) -> Window:
        """The window that begins with the work at *first*: some pages, or a few rows of one."""
        before = f"({_page(first)},{_item(first) - 1})"
        last = f"({last_page},{LAST})"
        if limit < max(2, self._per_page):
            bounds = {**values, "after": before, "last": last, "limit": limit}
            ((found,),) = self.server.rows(said.last_of(self._part(part)), bounds)
            last = found or first
        return Window(part, before, last)

    def _judge(
        self, job: Job, run: Run, clock: Clock, limit: int, part: int, after: str, last_page: int
    ) -> Window | None:
        """The next rows that hold work, judged in Python, outside of any transaction that writes."""
        names = needs(job.repair, job.guard) or self.fields()
        skipped = {each.key for each in self.ledger.quarantined(run)} if self._skipping(run) else set()
        last = f"({last_page},{LAST})"
        work = []
        job = self._as_held(job)
        moment = job.moment(clock())
        with self.server.reading():
            for place, version, key, record in self._read(names, part, after, last):
                if not job.broken(record, moment) or key in skipped:
                    continue
                mend = job.mend(record, moment)
                if mend is not None:
                    work.append((place, version, mend))
                    if len(work) >= limit:
                        last = place
                        break
            ((file,),) = self.server.rows(
                "SELECT pg_relation_filenode((?::bigint)::oid::regclass)::bigint", (self.table.parts[part].oid,)
            )
        return Window(part, after, last, work, bool(work), file)

    def _write(
        self, job: Job, run: Run, found: Window, clock: Clock
    ) -> tuple[Window, int, int, int | None, int | None]:
        column, part = self.table.column(job.field), self._part(found.part)
        oids = [self.table.parts[found.part].oid]
        values: dict[str, Any] = {"run": run.whole, "oids": oids, "after": found.after, "last": found.last}
        if found.rows is None:
            said = self._statements(job, skipping=self._skipping(run))
            statements = said.write(self._writer, column, part, others=run.sweep > 1 or self._without < ENOUGH)
            values |= said.values(job, job.moment(clock()))
        else:
            statements = [self._writer.by_row(column, part)]
            values |= _given(found.rows) | {"file": found.file}
        batches: list[tuple[int, int]] = []
        made = count = 0
        for each in statements:
            first = run.next_change + made if run.parent is None else None
            ((count, lost, triggers, first),) = self.server.rows(each, {**values, "first": first})
            batches += [(first, count)] if count else []
            made += count
            self._seen(triggers)
            if lost:
                raise self._not_held(column)
        if len(statements) > 1:
            self._without = 0 if count else self._without + 1
        if made and self._watched():
            since = [first for first, _ in batches]
            ((lost,),) = self.server.rows(self._writer.proof(column), {"run": run.whole, "since": since})
            if lost:
                raise self._undone_by_a_trigger(column.name)
        refused = 0 if found.rows is None else len(found.rows) - made
        if not made:
            return found, 0, refused, None, None
        return found, made, refused, batches[0][0], sum(batches[-1]) - 1

    def _seen(self, triggers: Sequence[str]) -> None:
        """Learn of triggers made since the table was looked at."""
        if not {*triggers} <= {each.name for each in self.table.triggers}:
            self._look_for_triggers()

    def _look_for_triggers(self) -> None:
        self.table = evolve(self.table, triggers=triggers_of(self.server, self.table.oid))

    def step(self, job: Job, run: Run, clock: Clock, limit: int) -> Step:
        """See :class:`~timestamp_guard.stores.base.BatchStore`."""
        try:
            return super().step(job, run, clock, limit)
        except StoreError:
            self._stale = True  # perhaps a partition is gone
            raise

    def _quarantine(self, run: Run, found: Window, reason: str) -> Step:
        """Set the one row of a failed step aside, and go on after it."""
        values = {"run": run.whole, "reason": reason, "last": found.rows[0][0] if found.rows else found.last}
        aside = self._writer.set_aside(self._part(found.part))
        return self._set_aside(run, aside, values, [found.part, values["last"]])

    # -- the way back

    def _writer_of(self, table: SqlTable[Column]) -> Writer:
        return Writer(cast("Table", table), self.ledger)

    def _restore(self, table: SqlTable[Column], column: Column, values: Mapping[str, Any]) -> tuple[int, int, int]:
        """
        Rows that stayed where they were written are given back there: of two changes of a row, only the newer one finds it.
        """
        there, restored, lost = self._counted(table, column, values)
        if restored < there:  # some have moved since
            _, moved, others = super()._restore(table, column, {**values, "by_place": False})
            restored, lost = restored + moved, lost + others
        return there, restored, lost

    def _counted(self, table: SqlTable[Column], column: Column, values: Mapping[str, Any]) -> tuple[int, int, int]:
        undo = self._writer_of(table).undo(column, by_place=values.get("by_place", True))
        oids = [self.table.oid, *(part.oid for part in self.table.parts)]
        ((there, restored, lost, triggers),) = self.server.rows(undo, {**values, "oids": oids})
        self._seen(triggers)
        return there, restored, lost

    # -- proof

    def held(self, run: Run) -> Held:
        """What became of the rows that *run* changed."""
        return self._lasting(lambda: held(self.server, self._writer_of(self._as_it_was(run)), run))

    def fingerprint(self, without: str) -> Fingerprint:
        """A fingerprint of all rows but for one column."""
        return self._lasting(lambda: fingerprint(self.server, self.table, without))

    def probe(self, guard: Guard, field: str) -> Probe:
        """Try a row without *field*, and one with it, in a transaction that is taken back."""
        return probe(self.server, self.table, guard, field)

    # -- statements

    def _as_held(self, job: Job) -> Job:
        """The job as Python judges it, with what it generates for that."""
        if self._held is None or self._held[0] is not job:
            self._held = (job, as_held(job, self.table.column(job.field).kind))
        return self._held[1]

    def _prepare_for(self, job: Job, *, skipping: bool) -> Statements:
        return by_server(self._writer, job, skipping=skipping)

    # -- places

    def _cursor(self, found: Window) -> Cursor:
        return [found.part, found.last]

    def _is_cursor(self, cursor: Cursor) -> bool:
        return (
            isinstance(cursor, list) and len(cursor) == 2 and isinstance(cursor[0], int) and isinstance(cursor[1], str)
        )

    def _fraction(self, found: Window) -> float | None:
        """How far through the parts a window is, in pages."""
        top = self._tops.get(found.part, 0)
        share = min(1.0, (_page(found.last) + 1) / max(1, top))
        return (found.part + share) / len(self.table.parts)


def _page(place: str) -> int:
    """The page after which a place is: the next one, after the last row of a page."""
    page, item = place[1:-1].split(",")
    return int(page) + (int(item) >= LAST)


def _item(place: str) -> int:
    return int(place[1:-1].split(",")[1])


def _given(rows: Sequence[tuple[str, str, Mend]]) -> dict[str, Any]:
    """
    What Python judged, as parameters.

    Raises:
        Refused: a value is of a type that no column has.
    """
    try:
        return {
            "places": [place for place, _, _ in rows],
            "versions": [version for _, version, _ in rows],
            "afters": [text_of(mend.after) for _, _, mend in rows],
            "candidates": [mend.candidate for _, _, mend in rows],
        }
    except TypeError as problem:
        raise Refused(str(problem)) from None
