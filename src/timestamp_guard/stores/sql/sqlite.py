"""
A table of SQLite: judged and mended by the database itself where SQL can say it exactly, else row by row in Python, in
the same transaction and with the same ledger.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

from attrs import evolve

from ..._faults import point, reach
from ...engine.tally import Tally
from ...engine.tally import assess as assess_pages
from ...engine.tally import survey as survey_pages
from ...errors import UsageError, WriteFailed, WriteUndone
from ...frozen import freeze, thaw
from ...instants import Encodings, brief, encodings_for, ensure_no_datetimes
from ...job import Job
from ...ledger import Cursor, Key, Run
from ...repairs import needs
from ...rules import Guard, Moment
from ...targets.sql import SqlGuard, mends, speaks
from ..base import Assessment, Clock, Page, Probe, Step, Survey
from .connection import Prepared, TakenBack
from .database import Database, path_of, quoted
from .enforcing import SqliteEnforcing
from .found import SqlTable, ensure_unique
from .ledger import CHANGES, QUARANTINE, SqlLedger
from .looking import Columns, assess, key_of
from .probing import probe
from .statements import Place, Restore, Statements, UndoStatements, Window, by_sql
from .store import SqlStore
from .table import Column, Table, Trigger, reflect, triggers
from .wal import Log

__all__ = ["SqliteStore"]

STEP_BEGUN: Final = point("step begun")
STEP_RECORDED: Final = point("step recorded")
STEP_WRITTEN: Final = point("step written")
STEP_SAVED: Final = point("step saved")
STEP_DONE: Final = point("step done")
UNDO_WRITTEN: Final = point("undo written")
UNDO_DONE: Final = point("undo done")

ROOM: Final = 0.005
"""For so many seconds a step leaves the file to others, where there are any."""

ALONE: Final = 0.005
"""For so many seconds a step may hold the file where nobody else writes."""

AMONG_OTHERS: Final = 0.002
"""
And where others do: a writer that finds the file locked looks again 1 and 3 ms after, and the next time after 8 and 18.
"""

CROWD: Final = 100
"""So many steps after the last commit of somebody else, there is nobody."""

SENSE: Final = 20
"""In one of so many steps there is a little room for somebody who may be waiting."""

PATIENCE_NS: Final = 10**9


class SqliteStore(SqlStore[Column, Statements]):
    """
    One table of a SQLite file; its ledger is in the same file. Close it, or use it as a context manager.

    *key* names the columns that identify a row, where the table does not say.

    Raises:
        UsageError: there is no such table or column, or an encoding that SQLite cannot hold.
        StoreError: the file is not there, is no database, or cannot be read.
    """

    pause_trigger = "Drop the trigger for as long as the run takes, and create it again after"
    table: Table

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
        ensure_no_datetimes(encodings, "SQLite")
        self.database = Database(path_of(url), read_only=read_only, timeout=timeout)
        self._log: Log | None = None
        try:
            self.table = reflect(self.database, table, [key] if isinstance(key, str) else key)
            self._declared_key = key is not None
            self.ledger = SqlLedger(self.database, key=self.table.key)
            if not read_only:
                self._settle_in()
        except BaseException:
            self.database.close()
            raise
        self._place = Place.of(self.table)
        self._span: tuple[int, int] | None = None
        self._plain: dict[int | None, bool] = {}
        self._sparse = False
        self._schema: int | None = None
        self._busy = 0.0
        self._others: int | None = None
        self._crowd = 3  # until it is known
        self._since_room = 0
        super().__init__()

    def _settle_in(self) -> None:
        """Settings of this connection alone; none of them is stored in the file."""
        self.database.run("PRAGMA foreign_keys = ON")  # what the user's schema forbids, we do not do either
        ((mode,),) = self.database.rows("PRAGMA journal_mode")
        if mode == "wal":
            # Copying the log back is ours to do between two steps, so that no step is held up by it. A step need not
            # be on the disk when the next begins: should the power fail, the log ends with a whole step, its ledger
            # included. What a run says at its end is: see SqlLedger.save.
            self.database.run("PRAGMA wal_autocheckpoint = 0")
            self._log = Log(self.database)
            self.database.run("PRAGMA synchronous = NORMAL")

    # -- what it is

    @property
    def target(self) -> float:
        """How long a step may hold the file, in seconds."""
        return AMONG_OTHERS if self._crowd else ALONE

    def probe(self, guard: Guard, field: str) -> Probe:  # noqa: ARG002 - others ask what is required
        """Try a row without *field*, and one with it, in a transaction that is taken back."""
        return probe(self.database, self.table, field)

    def enforcing(self) -> SqliteEnforcing:
        """How the table comes to hold a guard by itself."""
        return SqliteEnforcing(self)

    def close(self) -> None:
        """Close the file."""
        if self._log is not None:
            self._log.close()
        self.database.close()

    # -- reading

    def scan(self, after: Cursor, limit: int) -> Page:
        """Rows in the order in which they are stored, with all their columns."""
        return self._scan(self.fields(), after, limit)

    def _scan(self, names: Sequence[str], after: Cursor, limit: int) -> Page:
        rows = self._rows(names, None if after is None else thaw(after), limit)
        records = [(key, record) for _, key, record in rows]
        return Page(records, freeze(rows[-1][0]) if len(rows) == limit else None)

    def _rows(
        self, names: Sequence[str], after: Cursor, limit: int
    ) -> list[tuple[tuple[Any, ...], Key, dict[str, Any]]]:
        """Some rows: where each is stored, its key, and the columns *names*."""
        place, key = self._place, self.table.key
        said = place.rows(tuple(names), key, after is not None)
        width = len(place.names)
        found = []
        for row in self.database.rows(said, {"limit": limit, **place.values("after", after)}):
            where, held = row[:width], row[width : width + len(key)]
            record = dict(zip(names, row[width + len(key) :], strict=True))
            found.append((where, key_of(held if key else where), record))
        return found

    def _columns(self, names: Sequence[str] | None) -> Columns:
        """This table, of which only some columns are read."""
        chosen = self.fields() if names is None else names
        return Columns(self.name, self.encodings, lambda after, limit: self._scan(chosen, after, limit))

    def survey(self, guard: Guard, clock: Clock, samples: int) -> Survey:
        """Look at every row once, in one view of the data."""
        encodings = encodings_for(guard.fields, self.encodings)
        with self.database.reading():
            if not speaks(guard, encodings):
                return survey_pages(self._columns(guard.fields), guard, clock, samples)
            moment = Moment.at(clock())
            return self._survey(SqlGuard(guard, encodings), moment, samples)

    def _survey(self, guard: SqlGuard, moment: Moment, samples: int) -> Survey:
        limits = guard.limits(moment)
        ((records,),) = self.database.rows(f"SELECT count(*) FROM {quoted(self.table.name)}")  # noqa: S608 - quoted
        tally = Tally(guard.guard, guard.encodings, samples)
        for signature, count, *places in self.database.rows(self._place.survey(guard), limits):
            said = guard.decode(signature)
            tally.count(count, said.faults, said.causes, said.undecided)
            records -= count
            for key, record in self._samples(guard, signature, places, limits) if samples and said.faults else ():
                tally.show(key, record, moment)
        tally.sound(records)
        return tally.survey()

    def _samples(
        self, guard: SqlGuard, signature: int, places: Sequence[int], limits: Mapping[str, Any]
    ) -> Iterator[tuple[Key, Mapping[str, Any]]]:
        """Some rows of that signature: the first and the last, where the survey told which those are."""
        key = self.table.key or self._place.names
        for place in dict.fromkeys(places) if places else (None,):
            said = self._place.sample(guard, key, exact=place is not None)
            values = {**limits, "signature": signature, "place": place}
            for row in self.database.rows(said, values):
                yield key_of(row[: len(key)]), dict(zip(guard.fields, row[len(key) :], strict=True))

    def assess(self, job: Job, clock: Clock, samples: int, run: Run | None = None) -> Assessment:
        """Count what there is to do, in one view of the data."""
        skipping = run is not None and run.counts.quarantined > 0
        with self.database.reading():
            if not self._sql(job):
                skipped = self.ledger.quarantined(run) if run is not None else []
                return assess_pages(self._columns(needs(job.repair, job.guard)), job, clock, samples, skipped)
            said = self._statements(job, skipping=skipping)
            values = said.values(job, job.moment(clock())) | ({"run": run.id} if run is not None else {})
            return assess(self.database, said, values, job, samples, key=key_of, raw=lambda after: after)

    def statements(self, job: Job) -> Sequence[str]:
        """What a step runs and locks, and the triggers that its writes set off."""
        said = []
        if self._sql(job):
            statements = self._statements(job, skipping=False)
            said.append(statements.readable(job))
        else:
            said.append(f"{job.field} of {self.name} is judged row by row in Python, and written by compare-and-set")
        said.append(
            "locks: the file, for writers, for about 5 ms at a time; readers go on (in a rollback journal they wait)"
        )
        said += [f"trigger {each.name} will be set off by each write" for each in self.table.triggers if each.on_update]
        return said

    # -- writing

    def prepare(self, job: Job, clock: Clock) -> bool:
        """Whether there is anything to mend; if so, try one row, and take that back."""
        self._refuse(job)
        probe = Run(0, "backfill", self.name, job.plan(), job.pinned, generation=0)
        while (found := self._find(job, probe, clock, 1)) is not None and not found.work:
            probe = evolve(probe, cursor=list(found.last))
        if found is None:
            return False
        try:
            with self.database.writing():
                self.ledger.create()
                self._write(job, probe, found, clock)
                raise TakenBack
        except TakenBack:
            return True
        except _UNWRITABLE:
            return True  # this row cannot be written; whether others can is for the run to find out
        finally:
            self.ledger.forget()

    def _refuse(self, job: Job) -> None:
        if self.table.kind != "table":
            msg = f"{self.name} is a {self.table.kind}: fill the table that its rows are stored in"
            raise UsageError(msg)
        column = self.table.column(job.field)
        if column.generated:
            msg = f"{job.field} of {self.name} is computed from other columns and cannot be written: fill those"
            raise UsageError(msg)
        self.table.identity()
        if self._declared_key:
            ensure_unique(self.database, self.table, quoted)
        if job.field in self.table.key or job.field in self._place.names:
            msg = f"{job.field} is part of the key of {self.name}: a row that was filled could not be found again"
            raise UsageError(msg)
        if job.encodings[job.field].is_number and column.affinity == "TEXT":
            msg = (
                f"{job.field} of {self.name} is declared {column.declared}, so SQLite would store a number as text: "
                f"declare an encoding of text, or change the type of the column"
            )
            raise UsageError(msg)

    def step(self, job: Job, run: Run, clock: Clock, limit: int) -> Step:
        """Find work by a read, then judge, record, write, prove and save in one transaction."""
        self._same_key(run)
        if run.cursor is not None and not (isinstance(run.cursor, list) and len(run.cursor) == len(self._place.names)):
            raise self.ledger.damaged(run, f"cursor {brief(run.cursor)}")
        found = self._find(job, run, clock, limit)
        if found is None:
            return Step(self.ledger.save(evolve(run, cursor=None)), done=True)
        if not found.work:
            return Step(self.ledger.save(evolve(run, cursor=list(found.last))), done=False)
        asked = time.monotonic_ns()
        waited = asked
        try:
            with self.database.writing() as waited_ns:
                waited = asked + waited_ns
                self.ledger.fence(run)
                reach(STEP_BEGUN)
                made, refused, last_change = self._write(job, run, found, clock)
                reach(STEP_WRITTEN)
                counts = evolve(run.counts, changed=run.counts.changed + made, refused=run.counts.refused + refused)
                after = evolve(
                    run,
                    cursor=list(found.last),
                    counts=counts,
                    found=run.found + made + refused,
                    first_change=last_change - made + 1 if made and run.first_change is None else run.first_change,
                    last_change=last_change if made else run.last_change,
                )
                self.ledger.put(after)
                reach(STEP_SAVED)
        except _UNWRITABLE as problem:
            if limit > 1:
                raise WriteFailed(f"a write to {self.name} failed: {problem}") from None
            return self._quarantine(run, found, str(problem))
        held = time.monotonic_ns() - waited
        reach(STEP_DONE)
        if found.rows is None and self.table.has_rowid:
            # Few rows in so many numbers: they may be far apart. Counting them costs a little, so look again now and then.
            self._sparse = made < limit // 8 if not self._sparse else found.last[0] - found.first[0] > 2 * limit
        self._busy = held / 2e9 if waited - asked > 2_000_000 else 0.0
        fraction = self._fraction(found.last)
        return Step(
            after, done=False, touched=made + refused, held_ns=held, waited_ns=waited - asked, fraction=fraction
        )

    def _find(self, job: Job, run: Run, clock: Clock, limit: int) -> Window | None:
        """The next window that holds work; None at the end of the table."""
        skipping = run.counts.quarantined > 0
        if self._sql(job):
            said = self._statements(job, skipping=skipping)
            values = said.values(job, job.moment(clock())) | {"run": run.id}
            place = self._place
            rows = self.database.rows(
                said.seek if run.cursor is not None else said.first, {**values, **place.values("after", run.cursor)}
            )
            if not rows:
                return None
            first = rows[0]
            return Window(first, place.end(self.database, first, limit, counted=self._sparse), None)
        return self._judge(job, run, clock, limit)

    def _judge(self, job: Job, run: Run, clock: Clock, limit: int) -> Window | None:
        """The next rows that hold work, judged in Python, outside of any transaction."""
        names = needs(job.repair, job.guard) or [column.name for column in self.table.columns]
        skipped = {each.key for each in self.ledger.quarantined(run)} if run.counts.quarantined else set()
        after = run.cursor
        began = time.monotonic_ns()
        while True:
            # A step of one record is one that failed: look at no more rows than it takes to find it.
            rows = self._rows(names, after, max(limit, 100))
            if not rows:
                return None
            moment = job.moment(clock())
            work = []
            last = rows[-1][0]
            for where, key, record in rows:
                if not job.broken(record, moment) or key in skipped:
                    continue
                mend = job.mend(record, moment)
                if mend is not None:
                    work.append((where, record, mend))
                    if len(work) >= limit:
                        last = where
                        break
            if work or time.monotonic_ns() - began > PATIENCE_NS:
                return Window(work[0][0] if work else last, last, work)
            after = list(last)

    def _write(self, job: Job, run: Run, found: Window, clock: Clock) -> tuple[int, int, int]:
        """Record and write the work of a window, inside a transaction: made, refused, and the last change."""
        (before,) = self.database.rows(f"SELECT coalesce(max(id), 0) FROM {CHANGES}")[0]  # noqa: S608 - our own name
        if found.rows is None:
            said = self._statements(job, skipping=run.counts.quarantined > 0)
            values = (
                said.values(job, job.moment(clock()))
                | self._place.window(found.first, found.last)
                | {
                    "run": run.id,
                    "before": before,
                }
            )
            made = self.database.run(said.record, values).rowcount
            reach(STEP_RECORDED)
            written = self.database.run(said.write, values).rowcount if made else 0
            refused = 0
        else:
            made = written = refused = 0
            for where, record, mend in found.rows:
                row = self._place.by_row(self.table, job.field, tuple(record))
                values = row.values(where, record, mend) | {"run": run.id}
                if self.database.run(row.record, values).rowcount == 1:
                    made += 1
                    written += self.database.run(row.write, values).rowcount
                else:
                    refused += 1
            reach(STEP_RECORDED)
        if made != written or (made and not self._kept(job, before)):
            raise self._undone_by_a_trigger(job.field)
        return made, refused, before + made

    def _kept(self, job: Job, after: int) -> bool:
        """Whether every row holds what was written: by looking, where anything could have changed it since."""
        watched = any(each.on_update for each in self._watching())
        if not watched and self.table.column(job.field).affinity != "REAL":
            # No trigger, so the row holds what the statement said; only a REAL column would change a number.
            return True
        ((lost,),) = self.database.rows(self._place.proof(self.table, job.field), {"after": after})
        if lost and not watched:
            raise _NotHeld(
                f"{job.field} is declared {self.table.column(job.field).declared}, which cannot hold the number"
            )
        return not lost

    def _watching(self) -> Sequence[Trigger]:
        """The triggers of the table, looked at again when the schema has changed."""
        ((version,),) = self.database.rows("PRAGMA schema_version")
        if version != self._schema:
            self.table = evolve(self.table, triggers=triggers(self.database, self.table.name))
            self._schema = version
        return self.table.triggers

    def _quarantine(self, run: Run, found: Window, reason: str) -> Step:
        """Set the one row of a failed step aside, and go on after it."""
        columns = ", ".join(quoted(name) for name in self.table.key)
        rows = f"SELECT :run, :reason, {columns} FROM {quoted(self.table.name)} WHERE {self._place.exactly}"  # noqa: S608
        return self._set_aside(run, rows, self._place.values("at", found.first), list(found.first), reason)

    def _set_aside(self, run: Run, rows: str, values: Mapping[str, Any], cursor: Cursor, reason: str) -> Step:
        names = ", ".join(f"key_{index}" for index in range(1, len(self.table.key) + 1))
        with self.database.writing():
            self.ledger.fence(run)
            sql = f"INSERT INTO {QUARANTINE} (run, reason, {names}) {rows}"
            aside = self.database.run(sql, {"run": run.id, "reason": reason, **values}).rowcount  # 0 if gone meanwhile
            counts = evolve(run.counts, quarantined=run.counts.quarantined + aside)
            run = evolve(run, cursor=cursor, counts=counts, found=run.found + aside)
            self.ledger.put(run)
        return Step(run, done=False, touched=aside)

    def undo(self, run: Run, undone: Run, clock: Clock, limit: int) -> Step:  # noqa: ARG002 - other stores ask it
        """Take changes back where the row still holds what was written, in one transaction."""
        table = cast("Table", self._as_it_was(undone))
        if not isinstance(run.cursor, int | None):
            raise self.ledger.damaged(run, f"cursor {brief(run.cursor)}")
        top = (run.cursor if run.cursor is not None else (undone.last_change or 0) + 1) - 1
        first = undone.first_change or 0
        if undone.last_change is None or top < first:
            return Step(self.ledger.save(run), done=True)
        bottom = max(first, top - limit + 1)
        values = {"undone": undone.id, "bottom": bottom, "top": top}
        said = self._place.undo(table, undone.field)
        converts = self._converts(undone)
        asked = time.monotonic_ns()
        waited = asked
        try:
            with self.database.writing() as waited_ns:
                waited = asked + waited_ns
                self.ledger.fence(run)
                reach(STEP_BEGUN)
                ((there,),) = self.database.rows(said.count, values)
                watched = any(each.on_update for each in self._watching())
                unsure = watched or converts
                back = self._held_before(said, values) if unsure else 0
                restored = self._restore(said.by_row, values, once=undone.sweep == 1) if said.by_row else 0
                if restored < there:  # rows may have other places since: VACUUM gives them new ones
                    restored += self._restore(said.by_key, values, once=False)
                reach(UNDO_WRITTEN)
                if unsure and self._held_before(said, values) < back + restored:
                    raise self._undone_by_a_trigger(undone.field) if watched else self._undone_by_its_type(undone.field)
                counts = evolve(
                    run.counts,
                    changed=run.counts.changed + restored,
                    refused=run.counts.refused + there - restored,
                )
                after = evolve(run, cursor=bottom, counts=counts)
                self.ledger.put(after)
                reach(STEP_SAVED)
        except _UNWRITABLE as problem:
            if limit > 1:
                raise WriteFailed(f"a write to {self.name} failed: {problem}") from None
            names = ", ".join(f"key_{index}" for index in range(1, len(table.key) + 1))
            rows = f"SELECT :run, :reason, {names} FROM {CHANGES} WHERE id = :bottom AND run = :undone"  # noqa: S608
            return self._set_aside(run, rows, values, bottom, str(problem))
        held_ns = time.monotonic_ns() - waited
        reach(UNDO_DONE)
        span = max(1, (undone.last_change or 0) - first)
        fraction = 1 - (bottom - first) / span
        return Step(after, done=False, touched=there, held_ns=held_ns, waited_ns=waited - asked, fraction=fraction)

    def _converts(self, undone: Run) -> bool:
        """Whether the column may not hold an old value as it is: its type may be another one since."""
        if undone.id not in self._plain:
            kinds = f"SELECT 1 FROM {CHANGES} WHERE run = ? AND typeof(before) <> 'null' LIMIT 1"  # noqa: S608 - ours
            self._plain[undone.id] = not self.database.rows(kinds, (undone.id,))
        return not self._plain[undone.id] and self.table.column(undone.field).affinity != "BLOB"

    def _undone_by_its_type(self, name: str) -> WriteUndone:
        return WriteUndone(
            f"{name} of {self.name} is declared {self.table.column(name).declared} now, so an old value would not stay "
            f"as it was; nothing of this step was taken back. Give the column the type back that it had"
        )

    def _held_before(self, said: UndoStatements, values: Mapping[str, Any]) -> int:
        ((count,),) = self.database.rows(said.proof, values)
        return int(count)

    def _restore(self, said: Restore, values: Mapping[str, Any], *, once: bool) -> int:
        """
        Give a stretch of changes back, and say how many rows are.

        A run that went through the table more than once may have changed a row twice: then from the newest, one by one.
        """
        if once or not self.database.rows(said.twice, values):
            return self.database.run(said.at_once, values).rowcount
        numbers = range(values["top"], values["bottom"] - 1, -1)
        return sum(self.database.run(said.at_once, {**values, "bottom": n, "top": n}).rowcount for n in numbers)

    def _overlap(self, table: SqlTable[Column]) -> Prepared | str:
        return self._place.overlap(cast("Table", table))

    def backup(self, path: Path) -> None:
        """A verified copy of the whole file."""
        self.database.backup(path)

    def throttle(self) -> float:
        """Keep the write-ahead log short, and leave room for those who wait for the lock."""
        wanted = 0.0 if self._log is None else self._log.stepped()
        return max(wanted, self._busy, self._room())

    def _room(self) -> float:
        """
        How long to stay away, so that others come to write.

        A writer that finds the file locked looks again after 1, 2, 5, 10 ... ms: steps that follow each other at once
        would keep it out for long. So where others write, there is room after every step; and now and then there is a
        little, so that those who have not come in yet are seen.
        """
        ((version,),) = self.database.rows("PRAGMA data_version")  # changes with the commits of others alone
        self._crowd = CROWD if version != self._others and self._others is not None else max(0, self._crowd - 1)
        self._others = version
        self._since_room += 1
        if self._crowd:
            return ROOM
        if self._since_room < SENSE:
            return 0.0
        self._since_room = 0
        return ROOM / 4

    # -- statements

    def _speaks(self, job: Job) -> bool:
        return speaks(job.guard, job.encodings) and mends(job.repair, job.encodings)

    def _prepare_for(self, job: Job, *, skipping: bool) -> Statements:
        return by_sql(self.table, self._place, job, skipping=skipping)

    def _fraction(self, last: Sequence[Any]) -> float | None:
        if not self.table.has_rowid:
            return None
        if self._span is None:
            (name,) = self._place.names
            source, rowid = quoted(self.table.name), quoted(name)
            # Asked for in one select, SQLite would read the whole table; alone, each is at an end of it.
            ((least,),) = self.database.rows(f"SELECT min({rowid}) FROM {source}")  # noqa: S608 - quoted names
            ((most,),) = self.database.rows(f"SELECT max({rowid}) FROM {source}")  # noqa: S608 - quoted names
            self._span = (least or 0, most or 0)
        least, most = self._span
        return float(min(1.0, max(0.0, (last[0] - least) / max(1, most - least))))


class _NotHeld(Exception):
    """A column cannot hold what was written to it."""


_UNWRITABLE: Final = (sqlite3.IntegrityError, OverflowError, _NotHeld)
"""A write that this row or table will never take: an integer beyond 64 bits, too."""
