"""
How a table of MariaDB or MySQL comes to refuse what breaks a guard, while others go on reading and writing it.

Triggers hold it from one moment to the next; then NOT NULL is added by an ALTER that lets reads and writes go on. The
triggers stay: NOT NULL knows nothing of order, and a session that is not strict makes 0000-00-00 of a null where they
would refuse it. A CHECK would say the same as they do, but is added only while all writes wait.

A statement that changes a definition commits by itself. So what is to be made is recorded before it, what is to be taken
back is recorded after it, and either is looked at, before and after: ended anywhere, nothing is left that nobody knows of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from attrs import evolve, field, frozen

from ...._faults import point, reach
from ....errors import StillBroken, StoreError, UsageError
from ....ledger import Run, enforced_by, made_by
from ....rules import Guard, present
from ....targets.held import Division, divide
from ....targets.typed import mends_typed, speaks_typed
from ...base import Clock, Stage, Survey, Tell, Wanted
from ..connection import Prepared
from ..served.locks import Locks
from ..served.naming import name_for
from ..served.server import Refused
from . import definition
from .able import Able, ensure_strict
from .held import HeldMysql, plain
from .locks import TableLock
from .server import quoted
from .triggers import by_clock, filling, keeping, new, refusing

if TYPE_CHECKING:
    from .store import MysqlStore

__all__ = ["MysqlEnforcing"]

RECORDED: Final = point("enforce: recorded")
ALTERED: Final = point("enforce: altered")

EXCLUSIVE: Final = "exclusive, for a moment"
ONLINE: Final = "exclusive for a moment at both ends; reads and writes go on between"
COPIED: Final = "SHARED: writes wait"
IN_PLACE: Final = "ALGORITHM=INPLACE, LOCK=NONE"
COPY: Final = "ALGORITHM=COPY, LOCK=SHARED"
SHORT: Final = 0.02
READ_A_SECOND: Final = 1_000_000
ROWS_A_SECOND: Final = 300_000
BYTES_A_SECOND: Final = 30_000_000
MOMENT: Final = "the definition is changed, and no row is looked at"

KINDS: Final = ("gate", "keep", "now", "check")
"""Triggers in the order in which they fire: what fills comes before what looks."""


def _raw(statement: str) -> Prepared:
    """A statement without parameters, as the driver wants it."""
    return Prepared(statement.replace("%", "%%"))


@frozen
class MysqlEnforcing:
    """The table of *store*; `locks` is the policy by which its lock is taken."""

    store: MysqlStore
    locks: Locks = field(factory=lambda: Locks(most=2.0))

    # -- what is held

    def held(self, wanted: Wanted) -> Mapping[str, str]:
        """By what each rule is held."""
        parts = self._divided(wanted)
        by = f"triggers {self._name('check', wanted)}"
        able = self._able()
        later = [each.name for each in able.triggers if each.after_ours]
        if later:
            by += f"; {', '.join(later)} of yours fires after them, and what it writes is not looked at"
        found = {str(rule): by for rule in parts.fixed.rules}
        for name in self._required(parts):
            why = None if self._is_not_null(name) else able.hindrance(name)
            how = f"NOT NULL, and {by}"
            if why is not None and not (why[1] and wanted.rebuild):
                how = f"{by}; not by NOT NULL: {why[0]}{', which rebuild allows, while writes wait' if why[1] else ''}"
            if name in parts.bare:
                how += "; for null alone: SQL cannot read its values, so what they say is not held"
            found[f"present({name})"] = how
        for rule in parts.clocked.rules:
            found[str(rule)] = (
                f"triggers {self._name('now', wanted)}"
                if wanted.hold_now
                else "nothing: triggers could hold it by the clock, where hold_now asks for it"
            )
        found |= dict.fromkeys(parts.unsaid, "nothing: SQL cannot compare these values exactly")
        if wanted.keep_current:
            found[f"{wanted.fields[0]} is kept current"] = f"triggers {self._name('keep', wanted)}"
        return found

    def refused(self, wanted: Wanted, clock: Clock, samples: int) -> Survey:
        """Rows of which the condition is not true, counted by itself; why, by a survey."""
        return self.store._lasting(lambda: self._refused(wanted, clock, samples))  # noqa: SLF001 - of the same family

    def _refused(self, wanted: Wanted, clock: Clock, samples: int) -> Survey:
        parts, source, server = self._divided(wanted), self.store.table.source, self.store.server
        found = self.store.survey(parts.fixed, clock, samples) if parts.fixed.rules else None
        said = self._condition(parts, wanted, quoted)
        with server.reading():
            counted = f"SELECT count(*), count(IF(({said}) IS TRUE, NULL, 1)) FROM {source}"  # noqa: S608 - quoted
            ((records, broken),) = server.rows(_raw(counted))
            faults = dict(found.faults) if found is not None else {}
            for name in parts.bare:
                ((count,),) = server.rows(_raw(f"SELECT count(*) FROM {source} WHERE {quoted(name)} IS NULL"))  # noqa: S608
                if count:
                    faults["null", name, None] = count
        return Survey(records, broken, faults, {}, {}, found.samples if found is not None else ())

    def _able(self) -> Able:
        return Able(self.store.server, self.store.table)

    def _divided(self, wanted: Wanted) -> Division:
        self._refuse(wanted)
        return divide(wanted.guard, lambda guard: self._speaks(guard, wanted), wanted.encodings)

    def _speaks(self, guard: Guard, wanted: Wanted) -> bool:
        return speaks_typed(guard, wanted.encodings, self.store.table.types(guard.fields))

    def _refuse(self, wanted: Wanted) -> None:
        table = self.store.table
        self.store.ensure_transactional()
        computed = [name for name in wanted.guard.fields if table.column(name).computed]
        if computed:
            msg = (
                f"{', '.join(computed)} of {table.called} is computed by the server after triggers have run: enforce what "
                f"it is made of"
            )
            raise UsageError(msg)
        if wanted.keep_current and not self._speaks(present(wanted.fields[0]), wanted):
            (name,) = wanted.fields
            msg = f"{name} of {table.called} is {table.column(name).declared}, which no trigger of ours keeps current"
            raise UsageError(msg)

    def _guard(self, guard: Guard, wanted: Wanted, row: Callable[[str], str]) -> HeldMysql:
        names = {column.name for column in self.store.table.columns}
        held = self.store.table.held([each for each in (*guard.fields, *wanted.encodings) if each in names])
        return HeldMysql(guard, wanted.encodings, held, row)

    def _condition(self, parts: Division, wanted: Wanted, row: Callable[[str], str]) -> str:
        """What must be true of a row."""
        said = [f"{row(name)} IS NOT NULL" for name in parts.bare]
        if parts.fixed.rules:
            said.append(plain(sa.and_(*self._guard(parts.fixed, wanted, row).holds())))
        return " AND ".join(said)

    def _required(self, parts: Division) -> list[str]:
        return [*dict.fromkeys((*parts.bare, *parts.fixed.required))]

    def _name(self, kind: str, wanted: Wanted) -> str:
        return name_for(self.store.table, kind, wanted)

    # -- the stages

    def stages(self, wanted: Wanted) -> Sequence[Stage]:
        """All stages, in their order."""
        return self.store._lasting(lambda: self._stages(wanted))  # noqa: SLF001 - of the same family

    def _stages(self, wanted: Wanted) -> list[Stage]:
        parts, able = self._divided(wanted), self._able()
        gate, check = self._gate(parts, wanted, able), self._check(parts, wanted, able)
        held = [self._keep(wanted, able)] if wanted.keep_current else []
        if wanted.hold_now and parts.clocked.rules:
            held.append(self._by_clock(parts, wanted, able))
        held += [check, self._proof(parts, wanted, check, able)] if check is not None else []
        held += self._not_null(parts, wanted, able)
        done = all(stage.in_place for stage in held)
        found = held
        if gate is not None:
            found = [evolve(gate, in_place=gate.in_place or (done and not wanted.keep_gate)), *held]
        if any(not stage.in_place and not stage.proves for stage in found):
            able.ensure_triggers()
        if gate is not None and not wanted.keep_gate:
            over = done and not any(each.name.startswith(self._name("gate", wanted)) for each in able.triggers)
            found.append(Stage("gate removed", gate.undo, EXCLUSIVE, SHORT, MOMENT, (), over, removes="gate"))
        return found

    def _proof(self, parts: Division, wanted: Wanted, check: Stage, able: Able) -> Stage:
        """
        That no row breaks what the triggers hold from now on: one may have come between the look and them. The server has
        nothing that could remember it, so the ledger does: before it too, for whoever is killed then looks again first.
        """
        run = enforced_by(self.store.ledger.runs(self.store.name))
        made = made_by(run) if run is not None else []
        proved = "proof" in made and "check" not in made[made.index("proof") :]
        said = self._condition(parts, wanted, quoted)
        rows, _ = able.size
        return Stage(
            "proof",
            (f"SELECT 1 FROM {self.store.table.source} WHERE ({said}) IS NOT TRUE LIMIT 1",),  # noqa: S608 - quoted
            "none",
            max(SHORT, rows / READ_A_SECOND),
            f"about {rows:,} rows are read once, while reads and writes go on",
            (),
            check.in_place and proved,
            proves=True,
        )

    def _not_null(self, parts: Division, wanted: Wanted, able: Able) -> Iterator[Stage]:
        """The table is built anew beside itself, once for each column; by copy where that is asked for."""
        known = definition.columns(able.shown)
        rows, size = able.size
        seconds = max(SHORT, rows / ROWS_A_SECOND, size / BYTES_A_SECOND)
        for name in self._required(parts):
            text, there, why = known[name], self._is_not_null(name), able.hindrance(name)
            if not there and why is not None and not (why[1] and wanted.rebuild):
                continue
            was, made = (definition.nullable(text), text) if there else (text, definition.required(text))
            how, lock = (COPY, COPIED) if wanted.rebuild else (IN_PLACE, ONLINE)
            yield Stage(
                f"not null {name}",
                (self._modify(made, how),),
                lock,
                seconds,
                f"about {rows:,} rows, {size // 10**6:,} MB with all indexes, are written anew",
                (self._modify(was, how),),
                there,
                proves=True,
            )

    def _is_not_null(self, name: str) -> bool:
        table = self.store.table
        return bool(
            self.store.server.rows(
                "SELECT 1 FROM information_schema.columns WHERE table_schema = ? AND table_name = ? AND column_name = ? "
                "AND is_nullable = 'NO'",
                (table.schema, table.name, name),
            )
        )

    def _modify(self, text: str, how: str) -> str:
        return f"ALTER TABLE {self.store.table.source} MODIFY COLUMN {text}, {how}"

    # -- triggers

    def _trigger(self, kind: str, wanted: Wanted, able: Able, inserted: str, updated: str) -> Stage:
        """
        A trigger before each event: after those of the user that are there, and before those of ours that look at what it
        does.
        """
        schema = quoted(self.store.table.schema)
        later = tuple(f"timestamp_guard_{each}_" for each in KINDS[KINDS.index(kind) + 1 :])
        made, undo, there = [], [], True
        for event, body in (("INSERT", inserted), ("UPDATE", updated)):
            name = f"{self._name(kind, wanted)}_{event.lower()}"
            ours = [each.name for each in able.triggers if each.event == event and each.name.startswith(later)]
            place = f" PRECEDES {quoted(ours[0])}" if later and ours else ""
            made.append(
                f"CREATE TRIGGER {schema}.{quoted(name)} BEFORE {event} ON {self.store.table.source} FOR EACH ROW{place}\n"
                f"BEGIN\n{body}\nEND"
            )
            undo.append(f"DROP TRIGGER IF EXISTS {schema}.{quoted(name)}")
            there = there and any(each.name == name for each in able.triggers)
        return Stage(kind, tuple(made), EXCLUSIVE, SHORT, MOMENT, tuple(reversed(undo)), there)

    def _gate(self, parts: Division, wanted: Wanted, able: Able) -> Stage | None:
        """Fills what is null from the repair's candidates. None where SQL cannot say how."""
        repair, table = wanted.repair, self.store.table
        if repair is None or table.column(repair.field).computed or parts.bare or parts.unsaid:
            return None
        if not mends_typed(repair, wanted.encodings, table.types((*wanted.encodings, repair.field))):
            return None
        guard = self._guard(parts.fixed.about(repair.field), wanted, new)
        body = filling(guard, repair, parts.clocked)
        return self._trigger("gate", wanted, able, body, body)

    def _keep(self, wanted: Wanted, able: Able) -> Stage:
        (name,) = wanted.fields
        guard = self._guard(present(name), wanted, new)
        return self._trigger("keep", wanted, able, *keeping(guard, name, self.store.table.columns, wanted.guard))

    def _by_clock(self, parts: Division, wanted: Wanted, able: Able) -> Stage:
        told = f"timestamp_guard: a row of {self.store.name} breaks {parts.clocked}"
        guard = self._guard(parts.clocked, wanted, new)
        return self._trigger("now", wanted, able, *by_clock(guard, parts.clocked, told))

    def _check(self, parts: Division, wanted: Wanted, able: Able) -> Stage | None:
        condition = self._condition(parts, wanted, new)
        if not condition:
            return None
        rules = " & ".join([*(f"present({name})" for name in parts.bare), *map(str, parts.fixed.rules)])
        body = refusing(f"({condition}) IS NOT TRUE", f"timestamp_guard: a row of {self.store.name} breaks {rules}")
        return self._trigger("check", wanted, able, body, body)

    # -- making and taking back

    def apply(self, stage: Stage, run: Run, tell: Tell) -> None:
        """
        Record what is to be made, then make it; what is taken away is recorded after it.

        Each only while this worker is the one that may, which no other becomes meanwhile.
        """
        store = self.store
        with store.server.alone(f"enforces {store.name}"):
            if stage.removes is None:
                store.ledger.save(run)
            else:
                self._fence(run)
            reach(RECORDED)
            self._make(stage, tell)
            if stage.removes is not None:
                store.ledger.save(run)

    def _make(self, stage: Stage, tell: Tell) -> None:
        for statement in stage.statements:
            if statement.startswith("ALTER"):
                name = stage.name.removeprefix("not null ")
                self._alter(name, statement, tell, required=True)
            elif stage.name == "proof":
                if self.store.server.rows(_raw(statement)):
                    raise StillBroken(f"{self.store.name} breaks what is to be enforced")
            elif not self._is_there(statement):
                self._quickly(statement, tell)
            reach(ALTERED)

    def undo(self, stage: Stage, run: Run, tell: Tell) -> None:
        """Take back, then record it: what is taken back twice is gone all the same."""
        store = self.store
        with store.server.alone(f"enforces {store.name}"):
            self._fence(run)
            reach(RECORDED)
            for statement in stage.undo:
                if statement.startswith("ALTER"):
                    self._give_back(stage, statement, tell)
                else:
                    self._quickly(statement, tell)
                reach(ALTERED)
            store.ledger.save(run)

    def _fence(self, run: Run) -> None:
        with self.store.server.writing():
            self.store.ledger.fence(run)

    def _is_there(self, statement: str) -> bool:
        """Whether a trigger is there already, of a stage that was half made."""
        name = statement.split(" ", 3)[2]
        schema = f"{quoted(self.store.table.schema)}."
        return any(f"{schema}{quoted(each.name)}" == name for each in self._able().triggers)

    def _quickly(self, statement: str, tell: Tell) -> None:
        """What takes a moment, once it has its lock."""
        server = self.store.server
        lock = TableLock(server, self.store.table)

        def act(timeout: float) -> None:
            lock.wait(timeout)
            try:
                server.run(_raw(statement))
            finally:
                lock.over()

        self.locks.take(lock, act, tell)

    def _give_back(self, stage: Stage, statement: str, tell: Tell) -> None:
        """A column as it was before; where its definition was changed since, with nothing else undone."""
        name = stage.name.removeprefix("not null ")
        how = COPY if statement.endswith(COPY) else IN_PLACE
        text = definition.columns(self._able().shown).get(name)
        if text is None or not self._is_not_null(name):
            return
        if self._modify(text, how) != stage.statements[0]:
            statement = self._modify(definition.nullable(text), how)
        self._alter(name, statement, tell, required=False)

    def _alter(self, name: str, statement: str, tell: Tell, *, required: bool) -> None:
        """
        Alter a column, and see that nothing else of the table is altered.

        Raises:
            StillBroken: a row holds what the column may not.
            StoreError: something else was altered.
        """
        server = self.store.server
        lock = TableLock(server, self.store.table)

        def act(_: float) -> None:
            lock.ensure_free()
            ensure_strict(server)
            if required:
                self._ensure_whole(name)
            before = self._able().shown
            try:
                server.run(_raw(statement))
            finally:
                lock.over()
            self._compare(name, before, required=required)

        try:
            self.locks.take(lock, act, tell)
        except Refused as problem:
            raise StillBroken(f"{self.store.name} breaks what is to be proved: {problem}") from None

    def _ensure_whole(self, name: str) -> None:
        """
        Make sure that no row lacks a value, which the triggers see to from now on: a TIMESTAMP would be given the present
        time, in a strict session too, and anything else would be found out only when all has been written anew.

        Raises:
            StillBroken: one does.
        """
        said = f"SELECT 1 FROM {self.store.table.source} WHERE {quoted(name)} IS NULL LIMIT 1"  # noqa: S608 - quoted
        if self.store.server.rows(_raw(said)):
            raise StillBroken(f"{self.store.name} breaks what is to be proved: {name} is null in some row")

    def _compare(self, name: str, before: str, *, required: bool) -> None:
        after = self._able().shown
        was, held = (definition.columns(each)[name] for each in (before, after))
        if before.replace(was, held, 1) != after or (required and definition.required(was) != held):
            msg = (
                f"{self.store.name} was altered otherwise than it was meant to be: {name} is {held}, after {was}; unenforce "
                f"takes it back"
            )
            raise StoreError(msg)
