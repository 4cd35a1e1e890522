"""
How a table of SQLite comes to refuse what breaks a guard: by its own constraints where this SQLite can add them, else by
triggers, and by writing the table anew only where that is asked for. The schema is never edited behind its back.
"""

from __future__ import annotations

import functools
import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from attrs import evolve, frozen

from ...errors import StillBroken, StoreError, UsageError
from ...ledger import Run
from ...rules import Guard, Now, present
from ...targets.held import Division, HeldSql, divide
from ...targets.sql import speaks
from ..base import Clock, Stage, Survey, Tell, Wanted
from .database import prepare, quoted
from .rebuilding import added, definition, rebuild, redefined, removed, steps

if TYPE_CHECKING:
    from .sqlite import SqliteStore

__all__ = ["SqliteEnforcing", "native"]

LOCK: Final = "the file, for writers"
MOMENT: Final = "the schema is changed, and no row is looked at"
SHORT: Final = 0.001
ROWS_A_SECOND: Final = 8_000_000
REBUILT_A_SECOND: Final = 150_000
WITHOUT: Final = "-- the table is written anew without: "


@functools.cache
def native() -> bool:
    """Whether this SQLite adds constraints to a table that is there, tried on one in memory."""
    if sqlite3.sqlite_version_info < (3, 53):
        return False
    scratch = sqlite3.connect(":memory:")
    try:
        for statement in (
            "CREATE TABLE t (a)",
            "ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0)",
            "ALTER TABLE t ALTER COLUMN a SET NOT NULL",
            "ALTER TABLE t ALTER COLUMN a DROP NOT NULL",
            "ALTER TABLE t DROP CONSTRAINT c",
        ):
            scratch.execute(statement)
    except sqlite3.Error:
        return False
    else:
        return True
    finally:
        scratch.close()


def _text(expression: sa.ClauseElement) -> str:
    """An expression without parameters, as SQLite has it."""
    return prepare(expression).sql


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _new(name: str) -> str:
    return f"NEW.{quoted(name)}"


@frozen
class SqliteEnforcing:
    """The table of *store*."""

    store: SqliteStore

    # -- what is held

    def held(self, wanted: Wanted) -> Mapping[str, str]:
        """By what each rule is held."""
        parts = self._divided(wanted)
        by = (
            f"CHECK {self._name('check', wanted)}"
            if self._constrains(wanted)
            else f"triggers {self._name('check', wanted)}"
        )
        found = {str(rule): by for rule in parts.fixed.rules}
        for name in parts.bare:
            found[f"present({name})"] = (
                f"{by}, for null alone: SQL cannot read its values, so what they say is not held"
            )
        for rule in parts.clocked.rules:
            found[str(rule)] = (
                f"triggers {self._name('now', wanted)}"
                if wanted.hold_now
                else "nothing: a constraint may not look at a clock; triggers could, where hold_now asks for it"
            )
        found |= dict.fromkeys(parts.unsaid, "nothing: SQL cannot compare these values exactly")
        if wanted.keep_current:
            found[f"{wanted.fields[0]} is kept current"] = f"trigger {self._name('keep', wanted)}"
        return found

    def refused(self, wanted: Wanted, clock: Clock, samples: int) -> Survey:
        """Rows of which the condition is not true, counted by itself; why, by a survey."""
        parts, source = self._divided(wanted), quoted(self.store.table.name)
        found = self.store.survey(parts.fixed, clock, samples) if parts.fixed.rules else None
        said = self._condition(parts, wanted, quoted)
        with self.store.database.reading():
            ((records, broken),) = self.store.database.rows(
                f"SELECT count(*), coalesce(sum(NOT ({said})), 0) FROM {source}"  # noqa: S608 - quoted
            )
            faults = dict(found.faults) if found is not None else {}
            for name in parts.bare:
                ((count,),) = self.store.database.rows(f"SELECT count(*) FROM {source} WHERE {quoted(name)} IS NULL")  # noqa: S608
                if count:
                    faults["null", name, None] = count
        return Survey(records, broken, faults, {}, {}, found.samples if found is not None else ())

    def _divided(self, wanted: Wanted) -> Division:
        table = self.store.table
        if table.kind != "table":
            msg = f"{table.name} is a {table.kind}: enforce the table that its rows are stored in"
            raise UsageError(msg)
        if wanted.keep_current and not speaks(present(wanted.fields[0]), wanted.encodings):
            msg = f"{wanted.fields[0]} of {table.name} is {wanted.encodings[wanted.fields[0]]}, which no trigger of ours keeps current"
            raise UsageError(msg)
        return divide(wanted.guard, lambda guard: speaks(guard, wanted.encodings), wanted.encodings)

    def _constrains(self, wanted: Wanted) -> bool:
        return native() or wanted.rebuild

    def _guard(self, guard: Guard, wanted: Wanted, row: Callable[[str], str]) -> HeldSql:
        return HeldSql(guard, wanted.encodings, row)

    def _condition(self, parts: Division, wanted: Wanted, row: Callable[[str], str]) -> str:
        """What must be true of a row; never null."""
        said = [f"{row(name)} IS NOT NULL" for name in parts.bare]
        if parts.fixed.rules:
            said.append(f"ifnull({_text(sa.and_(*self._guard(parts.fixed, wanted, row).holds()))}, 0)")
        return " AND ".join(said) or "1"

    def _name(self, kind: str, wanted: Wanted) -> str:
        meant = [self.store.name, kind, str(wanted.guard), {k: repr(e) for k, e in wanted.encodings.items()}]
        return f"timestamp_guard_{kind}_{hashlib.sha256(json.dumps(meant, sort_keys=True).encode()).hexdigest()[:12]}"

    # -- the stages

    def stages(self, wanted: Wanted) -> Sequence[Stage]:
        """All stages, in their order."""
        parts = self._divided(wanted)
        found: list[Stage] = []
        if wanted.keep_current:
            found.append(self._keep(wanted))
        if wanted.hold_now and parts.clocked.rules:
            said = _text(sa.and_(*self._guard(parts.clocked, wanted, _new).timely(parts.clocked)))
            found.append(self._refusing("now", wanted, said, parts.clocked.fields, str(parts.clocked)))
        condition = self._condition(parts, wanted, quoted)
        if native():
            found += self._constraints(parts, wanted, condition)
        elif wanted.rebuild:
            found.append(self._rebuilt(parts, wanted, condition))
        elif condition != "1":
            rules = " & ".join([*(f"present({name})" for name in parts.bare), *map(str, parts.fixed.rules)])
            names = [*dict.fromkeys((*parts.bare, *parts.fixed.fields))]
            stage, rows = (
                self._refusing("check", wanted, self._condition(parts, wanted, _new), names, rules),
                self._rows(),
            )
            # One row may have come between the look and the triggers: so all are looked at once more behind them.
            proof = f"SELECT 1 FROM {quoted(self.store.table.name)} WHERE NOT ({condition}) LIMIT 1"  # noqa: S608 - quoted
            found.append(
                evolve(
                    stage,
                    statements=(*stage.statements, proof),
                    seconds=max(SHORT, rows / ROWS_A_SECOND),
                    why=f"{rows:,} rows are read; readers go on",
                )
            )
        return found

    def _required(self, parts: Division) -> list[str]:
        table = self.store.table
        return [name for name in (*parts.bare, *parts.fixed.required) if not table.column(name).generated]

    def _rows(self) -> int:
        ((most,),) = self.store.database.rows(f"SELECT count(*) FROM {quoted(self.store.table.name)}")  # noqa: S608 - quoted
        return int(most)

    def _constraints(self, parts: Division, wanted: Wanted, condition: str) -> Iterator[Stage]:
        """By this SQLite itself, which looks at all rows at once."""
        source, name, rows = quoted(self.store.table.name), self._name("check", wanted), self._rows()
        seconds, why = max(SHORT, rows / ROWS_A_SECOND), f"{rows:,} rows are read; readers go on"
        yield Stage(
            "check",
            (f"ALTER TABLE {source} ADD CONSTRAINT {quoted(name)} CHECK ({condition})",),
            LOCK,
            seconds,
            why,
            (f"ALTER TABLE {source} DROP CONSTRAINT {quoted(name)}",),
            name in definition(self.store.database, self.store.table),
            proves=True,
        )
        for column in self._required(parts):
            yield Stage(
                f"not null {column}",
                (f"ALTER TABLE {source} ALTER COLUMN {quoted(column)} SET NOT NULL",),
                LOCK,
                seconds,
                why,
                (f"ALTER TABLE {source} ALTER COLUMN {quoted(column)} DROP NOT NULL",),
                self._is_not_null(column),
                proves=True,
            )

    def _is_not_null(self, name: str) -> bool:
        info = self.store.database.rows(f"PRAGMA table_xinfo({quoted(self.store.table.name)})")
        return any(row[3] for row in info if row[1] == name)

    def _texts(self, parts: Division, wanted: Wanted, condition: str) -> tuple[dict[str, str], str]:
        """What is added to the definition: after columns, and after all of them."""
        check, required = self._name("check", wanted), self._name("required", wanted)
        columns = {
            name: f" CONSTRAINT {quoted(f'{required}_{number}')} NOT NULL"
            for number, name in enumerate(self._required(parts))
            if not self.store.table.column(name).not_null
        }
        return columns, f", CONSTRAINT {quoted(check)} CHECK ({condition})"

    def _rebuilt(self, parts: Division, wanted: Wanted, condition: str) -> Stage:
        database, table = self.store.database, self.store.table
        columns, constraint = self._texts(parts, wanted, condition)
        ddl, rows = definition(database, table), self._rows()
        there = self._name("check", wanted) in ddl
        return Stage(
            "rebuild",
            () if there else tuple(steps(database, table, added(ddl, columns, constraint))),
            LOCK,
            max(SHORT, rows / REBUILT_A_SECOND),
            f"{rows:,} rows are written anew, and nobody else writes meanwhile",
            tuple(f"{WITHOUT}{text}" for text in (*columns.values(), constraint)),
            there,
            proves=True,
        )

    # -- triggers

    def _refusing(self, kind: str, wanted: Wanted, said: str, names: Sequence[str], rules: str) -> Stage:
        """Triggers that refuse a row of which *said* is not true."""
        table, name = self.store.table, self._name(kind, wanted)
        told = _literal(f"timestamp_guard: a row of {table.name} breaks {rules}")
        columns = ", ".join(map(quoted, names))
        events = (("insert", "INSERT"), ("update", f"UPDATE OF {columns}"))
        made = tuple(
            f"CREATE TRIGGER {quoted(f'{name}_{word}')} BEFORE {event} ON {quoted(table.name)} FOR EACH ROW "
            f"WHEN NOT ({said}) BEGIN SELECT RAISE(ABORT, {told}); END"
            for word, event in events
        )
        return self._triggers("check" if kind == "check" else kind, [f"{name}_{word}" for word, _ in events], made)

    def _keep(self, wanted: Wanted) -> Stage:
        """
        Moves the field on after every change that leaves it as it is, never back; a value that is too far ahead is taken
        back to what the guard allows. A change that sets it, as ours do, is let be.
        """
        (name,) = wanted.fields
        table, guard = self.store.table, self._guard(present(name), wanted, quoted)
        encoding = guard.encodings[name]
        skew = max((t.shift_ns for p in wanted.guard.pairs() if isinstance(t := p.later, Now)), default=5 * 10**9)
        step = max(encoding.resolution_ns, encoding.unit or 1)
        one = step // (encoding.unit or 1)
        now, ahead = _text(guard.now(name)), _text(guard.now(name, skew - skew % step))
        column = quoted(name)
        moved = (
            f"CASE WHEN typeof(OLD.{column}) IN ('integer', 'real') "
            f"THEN max({now}, min(OLD.{column}, {ahead} - {one}) + {one}) ELSE {now} END"
        )
        others = " OR ".join(
            f"NEW.{quoted(each.name)} IS NOT OLD.{quoted(each.name)}"
            for each in table.columns
            if each.name != name and not each.generated
        )
        where = " AND ".join(f"{quoted(each)} IS NEW.{quoted(each)}" for each in table.place)
        called = self._name("keep", wanted)
        made = (
            f"CREATE TRIGGER {quoted(called)} AFTER UPDATE ON {quoted(table.name)} FOR EACH ROW "  # noqa: S608 - quoted
            f"WHEN NEW.{column} IS OLD.{column} AND ({others or '0'}) "
            f"BEGIN UPDATE {quoted(table.name)} SET {column} = {moved} WHERE {where}; END"
        )
        return self._triggers("keep", [called], (made,))

    def _triggers(self, stage: str, names: Sequence[str], made: tuple[str, ...]) -> Stage:
        marks = ", ".join("?" for _ in names)
        ((count,),) = self.store.database.rows(
            f"SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name IN ({marks})",  # noqa: S608 - marks
            tuple(names),
        )
        undo = tuple(f"DROP TRIGGER IF EXISTS {quoted(name)}" for name in reversed(names))
        return Stage(stage, made, LOCK, SHORT, MOMENT, undo, count == len(names))

    # -- making and taking back

    def apply(self, stage: Stage, run: Run, tell: Tell) -> None:  # noqa: ARG002 - the file is waited for by SQLite
        """One transaction, with its record."""
        try:
            if stage.name == "rebuild":
                self._anew(run, lambda ddl: self._with(ddl, stage))
            else:
                self._run(stage.statements, run)
        except sqlite3.IntegrityError as problem:
            raise StillBroken(f"{self.store.name} breaks what is to be enforced: {problem}") from None

    def undo(self, stage: Stage, run: Run, tell: Tell) -> None:  # noqa: ARG002 - as above
        """The same, backwards."""
        texts = [each.removeprefix(WITHOUT) for each in stage.undo if each.startswith(WITHOUT)]
        if texts:
            self._anew(run, lambda ddl: removed(ddl, texts))
        else:
            self._run(stage.undo, run)

    def _run(self, statements: Sequence[str], run: Run) -> None:
        database = self.store.database
        with database.durably(), database.writing():
            self.store.ledger.put(run)
            for statement in statements:
                if statement.startswith("SELECT") and database.rows(statement):
                    raise StillBroken(f"{self.store.name} breaks what is to be enforced")
                database.run(statement)

    def _with(self, ddl: str, stage: Stage) -> str:
        """
        The definition with what the stage adds.

        Raises:
            StoreError: it is not what the stage was made from.
        """
        new = redefined(ddl, stage.statements[0])
        if removed(new, [each.removeprefix(WITHOUT) for each in stage.undo]) != ddl:
            msg = f"{self.store.name} was altered meanwhile: call enforce again"
            raise StoreError(msg)
        return new

    def _anew(self, run: Run, edit: Callable[[str], str]) -> None:
        """Write the table anew, with foreign keys off, which they can only be outside of a transaction."""
        database, table = self.store.database, self.store.table
        ((keys,),) = database.rows("PRAGMA foreign_keys")
        database.run("PRAGMA foreign_keys = OFF")
        try:
            with database.durably(), database.writing():
                self.store.ledger.put(run)
                rebuild(database, table, edit(definition(database, table)))
        finally:
            database.run(f"PRAGMA foreign_keys = {keys:d}")
