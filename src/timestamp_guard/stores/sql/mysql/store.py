"""
A table of MariaDB or MySQL: judged and mended by the server itself where SQL can say it exactly, else row by row in
Python, in the same transaction and with the same ledger.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from attrs import evolve, frozen

from ....engine.tally import Tally
from ....errors import NoIdentity, UsageError
from ....frozen import freeze
from ....instants import EXACT_FLOAT, Encoding, Encodings, Raw, encode
from ....job import Job
from ....ledger import Cursor, Key, Run
from ....repairs import Mend, needs
from ....rules import At, Field, Guard, Moment, Now
from ...base import Clock, Downstream, Fingerprint, Held, Page, Probe, Source, Step
from ..connection import Prepared
from ..found import SqlTable
from ..looking import Columns, key_of
from ..served.server import Refused
from ..served.store import ENOUGH, PATIENCE_NS, ServedStore
from .enforcing import MysqlEnforcing
from .guard import MysqlGuard, written
from .ledger import ServerLedger
from .probing import probe
from .proving import downstream, fingerprint, held
from .server import Server, quoted
from .statements import NUMBER, Look, Statements, Writer, by_server
from .table import Column, Table, reflect
from .values import given, kept, thawed

__all__ = ["MysqlStore"]

SEEK: Final = 20_000
"""How many rows one look for work passes at most."""

CHUNK: Final = 500
"""How many rows that Python judged go into one statement."""

TRANSACTIONAL: Final = frozenset({"innodb", "rocksdb", "tokudb", "ndbcluster"})

Place = tuple[str, ...]
"""The key of a row, as it is kept."""


@frozen
class Window:
    """
    A stretch of the table in the order of its key, from after one place to another, with so many rows of work: or no more
    than these, where it is `open`, and ends where the last of them is found when they are written.

    `rows` is None where SQL judges; else what Python judged: the key, the columns and the mend of each row.
    """

    after: Place | None
    last: Place
    count: int
    rows: Sequence[tuple[Sequence[Raw], Mapping[str, Raw], Mend]] | None = None
    open: bool = False

    @property
    def work(self) -> bool:
        """Whether there is any."""
        return self.count > 0


class MysqlStore(ServedStore[Column, Statements, Window]):
    """
    One table of MariaDB or MySQL; its ledger is in the database of the table. Close it, or use it as a context manager.

    *table* may be `database.table`; *key* names the columns that identify a row, where the table does not say.

    Raises:
        UsageError: there is no such table or column.
        StoreError: the server cannot be reached, or refuses.
    """

    pause_trigger = (
        "Drop the trigger for as long as the run takes (SHOW CREATE TRIGGER tells how it was made), and make it again "
        "after"
    )
    dump = "mysqldump or mariadb-dump"
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
            self.table = reflect(self.server, table, [key] if isinstance(key, str) else key)
            self._declared_key = key is not None
            self.server.schema = self.table.schema
            self.ledger = ServerLedger(self.server, self.table)
        except BaseException:
            self.server.close()
            raise
        self._writer = Writer(self.table, self.ledger)
        self._top: Place | None = None
        self._walked: int | None = None
        self._stretch: tuple[Place, Place] | None = None
        super().__init__()

    def enforcing(self) -> MysqlEnforcing:
        """How the table comes to hold a guard by itself."""
        return MysqlEnforcing(self)

    def probe(self, guard: Guard, field: str) -> Probe:
        """Try a row without *field*, and one with it, in a transaction that is taken back."""
        self.ensure_transactional()
        return probe(self.server, self.table, guard, field)

    # -- reading

    def scan(self, after: Cursor, limit: int) -> Page:
        """Rows in the order of their key, with all their columns; of a table without one, as they are stored."""
        return self._lasting(lambda: self._scan(self.fields(), after, limit))

    def _scan(self, names: Sequence[str], after: Cursor, limit: int) -> Page:
        width = len(self.table.key)
        if not width:
            passed = int(after or 0)
            rows = self.server.rows(self._writer.stored(names, paged=True), {"limit": limit, "passed": passed})
            numbered = [(passed + index, dict(zip(names, row, strict=True))) for index, row in enumerate(rows, 1)]
            return Page(numbered, passed + limit if len(rows) == limit else None)
        place = tuple(after) if after is not None else None
        values = {"limit": limit, **self._at("after", place)}
        rows = self.server.rows(self._writer.page(names, after=after is not None), values)
        records = [(key_of(row[:width]), dict(zip(names, row[width:], strict=True))) for row in rows]
        return Page(records, list(_place(rows[-1][:width])) if len(rows) == limit else None)

    def _at(self, mark: str, place: Place | None) -> dict[str, Any]:
        """A place as parameters."""
        if place is None:
            return {}
        kinds = [self.table.column(name).kind for name in self.table.key]
        return {
            f"{mark}_{index}": given(thawed(text, kind))
            for index, (text, kind) in enumerate(zip(place, kinds, strict=True))
        }

    def _count(
        self, tally: Tally, guard: Guard, encodings: Mapping[str, Encoding], moment: Moment, *, show: bool
    ) -> None:
        judged = MysqlGuard(guard, encodings, self.table.held(guard.fields))
        look, limits = Look(self._writer, judged), judged.limits(moment)
        for signature, count, *places in self.server.rows(look.survey, limits):
            said = judged.decode(int(signature))
            tally.count(count, said.faults, said.causes, said.undecided)
            if said.faults and show:
                for key, record in self._samples(look, places, {**limits, "signature": int(signature)}):
                    tally.show(key, record, moment)

    def _columns(self, names: Sequence[str] | None, clock: Clock) -> tuple[Source, Clock]:
        chosen = self.fields() if names is None else names
        if self.table.key:
            return Columns(self.name, self.encodings, lambda after, limit: self._scan(chosen, after, limit)), clock
        # Rows without a key have an order only as long as they are read at once, and meanwhile nothing else can be asked.
        now = clock()
        rows = enumerate(self.server.stream(self._writer.stored(chosen)), 1)

        def read(after: Cursor, limit: int) -> Page:  # noqa: ARG001 - they come in order
            page = [(number, dict(zip(chosen, row, strict=False))) for number, row in itertools.islice(rows, limit)]
            return Page(page, page[-1][0] if len(page) == limit else None)

        return Columns(self.name, self.encodings, read), lambda: now

    def _samples(
        self, look: Look, places: Sequence[Any], values: Mapping[str, Any]
    ) -> Iterator[tuple[Key, Mapping[str, Raw]]]:
        """The first and the last row of a kind; two of them, where a row has no key, and then no key."""
        width, fields = len(self.table.key), look.guard.fields
        if not width:
            for row in self.server.rows(look.sample_of(), values):
                yield "(no key)", dict(zip(fields, row, strict=True))
            return
        if width == 1:
            marks = [_place([each]) for each in places]
        else:
            marks = [tuple(bytes.fromhex(part).decode() for part in each.split(",")) for each in places]
        for row in self.server.rows(look.sample(), {**self._at("after", marks[0]), **self._at("last", marks[1])}):
            yield key_of(row[:width]), dict(zip(fields, row[width:], strict=True))

    def _thawed_key(self, texts: Sequence[str | None]) -> Key:
        """A key that came as text."""
        if not self.table.key:
            return "(no key)"
        return key_of([thawed(each, self.table.column(name).kind) for each, name in zip(texts, self.key, strict=True)])

    def _raw(self, job: Job, after: Any) -> Raw:
        return thawed(after, self.table.column(job.field).kind)

    def statements(self, job: Job) -> Sequence[str]:
        """What a step runs and locks, and the triggers that its writes set off."""
        said = []
        column = self.table.column(job.field)
        if self._sql(job):
            said.append(self._statements(job, skipping=False).readable(self._writer, column, job))
        else:
            said.append(f"{job.field} of {self.name} is judged row by row in Python, and written by compare-and-set")
        said.append(
            "locks: the rows of one step, for about 20 ms at a time; readers never wait, and rows that others hold are "
            "passed over and left for the next sweep"
        )
        kept_ = [each.name for each in self.table.columns if each.touched and each.name != job.field]
        if kept_:
            said.append(f"{', '.join(kept_)} would follow the present time (ON UPDATE), and is kept as it is")
        said += [f"trigger {each.name} will be set off by each write" for each in self.table.triggers if each.on_update]
        return said

    def downstream(self, job: Job) -> Downstream | None:
        """What a backfill means for replicas, change feeds, and who syncs by the field."""
        if not self._sql(job):
            return None
        said, column = self._statements(job, skipping=False), self.table.column(job.field)
        values = said.values(job, job.moment(self.now()))
        return self._lasting(lambda: downstream(self.server, self._writer, column, said, values))

    # -- proof

    def held(self, run: Run) -> Held:
        """What became of the rows that *run* changed."""
        writer = self._writer_of(self._as_it_was(run))
        return self._lasting(lambda: held(self.server, writer, run))

    def fingerprint(self, without: str) -> Fingerprint:
        """A sum over all rows, of all columns but one and those that are computed; the same in any order."""
        return self._lasting(lambda: fingerprint(self.server, self._writer, without))

    # -- finding

    def _quoted(self, name: str) -> str:
        return quoted(name)

    def ensure_transactional(self) -> None:
        """
        Make sure that a step can be taken back.

        Raises:
            UsageError: the table is stored by what knows no transactions.
        """
        if self.table.engine.lower() not in TRANSACTIONAL:
            msg = (
                f"{self.name} is stored by {self.table.engine or 'an engine'} that knows no transactions, so a step could "
                f"be half made: ALTER TABLE {self.table.source} ENGINE = InnoDB"
            )
            raise UsageError(msg)

    def _refuse_more(self, job: Job) -> None:  # noqa: ARG002 - see ServedStore
        self.ensure_transactional()
        for name in self.table.key:
            column = self.table.column(name)
            if column.kind == "other" and column.base != "date":
                msg = (
                    f"the key {name} of {self.name} is declared {column.declared}, and values of that type are not "
                    f"found again exactly: name another key"
                )
                raise NoIdentity(msg)

    def _cursor(self, found: Window) -> Cursor:
        return list(found.last)

    def _is_cursor(self, cursor: Cursor) -> bool:
        return (
            isinstance(cursor, list)
            and len(cursor) == len(self.table.key)
            and all(isinstance(each, str) for each in cursor)
        )

    def _fraction(self, found: Window) -> float | None:  # noqa: ARG002 - see ServedStore
        return None

    def end(self) -> Cursor:
        """See :class:`~timestamp_guard.stores.base.Divisible`."""
        place = self._lasting(self._end)
        return None if place is None else list(place)

    def _end(self) -> Place | None:
        rows = self.server.rows(self._writer.end())
        return _place(rows[0]) if rows else None

    def reach(self, after: Cursor, until: Cursor, records: int) -> Cursor:
        """See :class:`~timestamp_guard.stores.base.Divisible`; read from the index, from where it stands."""
        values = {**self._at("after", after), **self._at("last", until), "limit": records - 1}
        said = self._writer.further(after=after is not None)
        rows = self._lasting(lambda: self.server.rows(said, values))
        return list(_place(rows[0])) if rows else until

    def _find(self, job: Job, run: Run, clock: Clock, limit: int) -> Window | None:
        """The next window that may hold work; None at the end of the table."""
        writer, width = self._writer, len(self.table.key)
        after: Place | None = None
        if run.cursor is None or self._top is None or run.id != self._walked:
            # What is added since is for the next sweep.
            self._top = self._end() if run.until is None else tuple(run.until)
            self._without = self._without if run.parent is not None else 0
            self._dense, self._stretch, self._walked = False, None, run.id
        if run.cursor is not None:
            after = tuple(run.cursor)
        if self._top is None:
            return None
        began = time.monotonic_ns()
        while True:
            values = self._at("after", after)
            last = self._end_of_stretch(after, values)
            if last is None:
                return None
            if not self._sql(job):
                return self._judge(job, run, clock, limit, after, last)
            said = self._now(job, run)
            if self._dense and said.work == said.nulls and limit > 1:
                return Window(after, last, limit, open=True)
            values |= said.values(job, job.moment(clock())) | {"run": run.whole} | self._at("last", last)
            rows = self.server.rows(said.last_of(writer, after=after is not None), {**values, "limit": limit - 1})
            if rows:
                place = _place(rows[0][:width])
                self._stretch = (place, last) if place != last else None
                return Window(after, place, limit)
            ((count,),) = self.server.rows(said.left(writer, after=after is not None), values)
            if count or time.monotonic_ns() - began > PATIENCE_NS:
                return Window(after, last, count)
            after = last

    def _end_of_stretch(self, after: Place | None, values: Mapping[str, Any]) -> Place | None:
        """Where a look for work ends that begins after a place; None where nothing is left."""
        if self._stretch is not None and after is not None and after == self._stretch[0]:
            return self._stretch[1]
        there, top = after is not None, self._at("last", self._top)
        rows = self.server.rows(self._writer.further(after=there), {**values, **top, "limit": SEEK - 1})
        if rows:
            return _place(rows[0])
        rows = self.server.rows(self._writer.any_left(after=there), {**values, **top})
        return self._top if rows else None

    def _judge(self, job: Job, run: Run, clock: Clock, limit: int, after: Place | None, last: Place) -> Window:
        """The next rows that hold work, judged in Python, outside of any transaction that writes."""
        names = needs(job.repair, job.guard) or self.fields()
        skipped = {freeze(each.key) for each in self.ledger.quarantined(run)} if self._skipping(run) else set()
        width, chunk = len(self.table.key), max(limit, 100)
        values = {**self._at("after", after), **self._at("last", last), "limit": chunk}
        rows = self.server.rows(self._writer.page(names, after=after is not None, last=True), values)
        end = last
        if len(rows) == chunk:
            last = _place(rows[-1][:width])
        work: list[tuple[Sequence[Raw], Mapping[str, Raw], Mend]] = []
        moment = job.moment(clock())
        for row in rows:
            record = dict(zip(names, row[width:], strict=True))
            if not job.broken(record, moment) or (skipped and freeze(key_of(row[:width])) in skipped):
                continue
            mend = job.mend(record, moment)
            if mend is not None:
                work.append((row[:width], record, mend))
                if len(work) >= limit:
                    last = _place(row[:width])
                    break
        self._stretch = (last, end) if last != end else None
        return Window(after, last, len(work), work)

    # -- writing

    def _write(
        self, job: Job, run: Run, found: Window, clock: Clock
    ) -> tuple[Window, int, int, int | None, int | None]:
        """Lock and record the work of a window, then give the rows what was recorded, and prove it."""
        column = self.table.column(job.field)
        since = run.next_change
        if found.rows is None:
            made, refused = self._record(job, run, found, clock, column, since)
        else:
            made, refused = self._record_judged(job, run, found.rows, column, since)
        last = since + made - 1
        if found.open and made == found.count:
            found = self._ended(run, found, last)
        if not made:
            return found, 0, refused, None, None
        values = {"run": run.whole, "since": since, "last": last}
        found_again = self.server.run(self._writer.made(column), values).rowcount
        if made != found_again:
            raise Refused(f"of {made} rows that were locked {found_again} were found again by their key")
        if self._watched() or not self._sure(job, found):
            ((held,),) = self.server.rows(self._writer.proof(column), values)
            if held != made:
                raise self._not_held(column)
        return found, made, refused, since, last

    def _ended(self, run: Run, found: Window, last: int) -> Window:
        """An open window, up to the row that was recorded last."""
        ((*texts,),) = self.server.rows(self._writer.place_of(), {"run": run.whole, "last": last})
        kinds = [self.table.column(name).kind for name in self.table.key]
        place = _place([thawed(each, kind) for each, kind in zip(texts, kinds, strict=True)])
        self._stretch = (place, found.last) if place != found.last else None
        return evolve(found, last=place)

    def _sure(self, job: Job, found: Window) -> bool:
        """Whether a column is given only what a column of the same type held."""
        return found.rows is None and all(isinstance(each, Field) for each in job.repair.candidates)

    def _record(self, job: Job, run: Run, found: Window, clock: Clock, column: Column, since: int) -> tuple[int, int]:
        said = self._now(job, run)
        there = found.after is not None
        values = {"run": run.whole, **self._at("after", found.after), **self._at("last", found.last)}
        values |= said.values(job, job.moment(clock())) | {"limit": found.count}
        self.server.run(Prepared(f"SET {NUMBER} = {since - 1:d}"))
        made, refused = (
            self.server.run(said.record(self._writer, column, after=there, open=found.open), values).rowcount,
            0,
        )
        if said.nulls not in {None, said.work}:
            ((over,),) = self.server.rows(
                self._writer.over_values(), {"run": run.whole, "since": since, "last": since + made - 1}
            )
            self._without = 0 if over else self._without + 1
        if made < found.count and not found.open:
            # Others hold some of them, or have mended them meanwhile.
            ((count,),) = self.server.rows(said.left(self._writer, after=there), values)
            refused = max(0, count - made)
        return made, refused

    def _now(self, job: Job, run: Run) -> Statements:
        """The statements of the next step."""
        said = self._statements(job, skipping=self._skipping(run))
        return said.only(nulls=run.sweep == 1 and self._without >= ENOUGH)

    def _record_judged(
        self,
        job: Job,
        run: Run,
        rows: Sequence[tuple[Sequence[Raw], Mapping[str, Raw], Mend]],
        column: Column,
        since: int,
    ) -> tuple[int, int]:
        """Lock and record the rows that still are what was judged."""
        width = len(self.table.key)
        names = needs(job.repair, job.guard) or self.fields()
        made = 0
        for start in range(0, len(rows), CHUNK):
            judged = rows[start : start + CHUNK]
            keys = {
                f"k{number}_{index}": given(part)
                for number, (key, _, _) in enumerate(judged)
                for index, part in enumerate(key)
            }
            locked = {
                _place(row[:width]): row[width:]
                for row in self.server.rows(self._writer.locked(names, column, len(judged)), keys)
            }
            values: dict[str, Any] = {"run": run.whole, "first": since + made}
            count = 0
            for key, record, mend in judged:
                now = locked.get(_place(key))
                if now is None or _differs(record, dict(zip(names, now[width + 1 :], strict=True))):
                    continue
                values |= {f"k{count}_{index}": text for index, text in enumerate(now[:width])}
                values |= {
                    f"b{count}": now[width],
                    f"a{count}": written(column, mend.after),
                    f"c{count}": mend.candidate,
                }
                count += 1
            if count:
                self.server.run(self._writer.recorded(column, count), values)
                made += count
        return made, len(rows) - made

    def _quarantine(self, run: Run, found: Window, reason: str) -> Step:
        """Set the one row of a failed step aside, and go on after it."""
        place = _place(found.rows[0][0]) if found.rows else found.last
        if found.rows is None and self._prepared is not None:
            place = self._only(run, found) or place
        values = {"run": run.whole, "reason": reason, **self._at("last", place)}
        return self._set_aside(run, self._writer.set_aside(), values, list(found.last))

    def _only(self, run: Run, found: Window) -> Place | None:
        """Where the one row of a window is."""
        assert self._prepared is not None  # noqa: S101 - asked before
        job, _, said = self._prepared
        values = {"run": run.whole, **self._at("after", found.after), **self._at("last", found.last), "limit": 0}
        values |= said.values(job, job.moment(self.now()))
        rows = self._lasting(
            lambda: self.server.rows(said.last_of(self._writer, after=found.after is not None), values)
        )
        return _place(rows[0]) if rows else None

    # -- the way back

    def _restore(self, table: SqlTable[Column], column: Column, values: Mapping[str, Any]) -> tuple[int, int, int]:
        if values["bottom"] < values["top"]:
            # Of two that wait for each other the server ends the one with fewer rows, which is the user: so nobody is
            # waited for while others may wait for us.
            self.server.rows(self._writer_of(table).locked_at_once(), values)
        return super()._restore(table, column, values)

    def _counted(self, table: SqlTable[Column], column: Column, values: Mapping[str, Any]) -> tuple[int, int, int]:
        writer = self._writer_of(table)
        ((there,),) = self.server.rows(writer.there(), values)
        return there, self.server.run(writer.undo(column), values).rowcount, 0

    def _writer_of(self, table: SqlTable[Column]) -> Writer:
        assert isinstance(table, Table)  # noqa: S101 - ours is
        return Writer(table, self.ledger)

    # -- statements

    def _speaks(self, job: Job) -> bool:
        return super()._speaks(job) and (self.table.column(job.field).kind != "float" or _held_by_doubles(job))

    def _prepare_for(self, job: Job, *, skipping: bool) -> Statements:
        return by_server(self._writer, job, skipping=skipping)


def _held_by_doubles(job: Job) -> bool:
    """Whether what is the same for every row is a number that a double holds."""
    for candidate in job.repair.candidates:
        match candidate:
            case At(instant, shift_ns):
                number = encode(instant + shift_ns, job.encodings[job.field])
            case Now(shift_ns):
                number = encode(job.pinned + shift_ns, job.encodings[job.field])
            case _:
                continue
        if abs(number) > EXACT_FLOAT:
            return False
    return True


def _place(key: Sequence[Raw]) -> Place:
    return tuple(kept(part) for part in key)


def _differs(record: Mapping[str, Raw], other: Mapping[str, Raw]) -> bool:
    """Whether a row is not what it was: a float that is 0 may have become -0."""
    return any(
        type(value) is not type(other[name]) or repr(value) != repr(other[name]) for name, value in record.items()
    )
