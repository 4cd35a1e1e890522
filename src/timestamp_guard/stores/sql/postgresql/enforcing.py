"""
How a table of PostgreSQL comes to refuse what breaks a guard, while others go on reading and writing it.

A gate fills new rows; a CHECK that is not valid yet holds them; its validation reads the old ones under a lock that lets
reads and writes go on; and from a valid CHECK the server knows without looking that no value is null. Each of these is a
transaction of its own, or the heaviest lock of all would be held until the last of them is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from attrs import evolve, field, frozen
from sqlalchemy.dialects.postgresql import psycopg as dialect

from ....errors import StillBroken, UsageError
from ....ledger import Run
from ....rules import Guard, Now, present
from ....targets.held import Division, HeldTyped, divide
from ....targets.sql import Expression, constant
from ....targets.typed import mends_typed, speaks_typed
from ...base import Clock, Stage, Survey, Tell, Wanted
from ..connection import Prepared
from ..served.locks import Locks
from ..served.naming import name_for
from ..served.server import Refused
from .locks import ACCESS_EXCLUSIVE, SHARE_ROW_EXCLUSIVE, SHARE_UPDATE_EXCLUSIVE, TableLock
from .server import quoted
from .table import Part

if TYPE_CHECKING:
    from .store import PostgresStore

__all__ = ["PostgresEnforcing"]

_DIALECT: Final = dialect.dialect(paramstyle="named")  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it so
NAMED_NOT_NULL: Final = 180000
"""From this version on, NOT NULL is a constraint that can be proved later."""

SHORT: Final = 0.001
ROWS_A_SECOND: Final = 4_000_000
PAGES_A_SECOND: Final = 50_000
MOMENT: Final = "the catalogue is changed, and no row is looked at"
SLACK: Final = 2.0
"""For so many seconds a stage that should look at no row may run, once it has its lock."""

BYPASS: Final = "coalesce(current_setting('timestamp_guard.bypass', true), '') = 'on'"


def _text(expression: sa.ClauseElement) -> str:
    """An expression without parameters, as this server has it."""
    return str(expression.compile(dialect=_DIALECT))


def _literal(text: str) -> str:
    """A text in SQL, whatever `standard_conforming_strings` says."""
    plain = text.replace("'", "''")
    return f"E'{plain.replace(chr(92), 2 * chr(92))}'" if "\\" in plain else f"'{plain}'"


def _new(name: str) -> str:
    return f"NEW.{quoted(name)}"


@frozen
class PostgresEnforcing:
    """The table of *store*; `locks` is the policy by which its locks are taken."""

    store: PostgresStore
    locks: Locks = field(factory=Locks)

    # -- what is held

    def held(self, wanted: Wanted) -> Mapping[str, str]:
        """By what each rule is held."""
        parts = self._divided(wanted)
        check = f"CHECK {self._name('check', wanted)}"
        found = {str(rule): check for rule in parts.fixed.rules}
        for name in parts.bare:
            found[f"present({name})"] = "NOT NULL alone: SQL cannot read its values, so what they say is not held"
        for rule in parts.clocked.rules:
            found[str(rule)] = (
                f"trigger {self._name('now', wanted)}"
                if wanted.hold_now
                else "nothing: a CHECK may not look at a clock; a trigger could, where hold_now asks for it"
            )
        found |= dict.fromkeys(parts.unsaid, "nothing: SQL cannot compare these values exactly")
        if wanted.keep_current:
            found[f"{wanted.fields[0]} is kept current"] = f"trigger {self._name('keep', wanted)}"
        return found

    def refused(self, wanted: Wanted, clock: Clock, samples: int) -> Survey:
        """Rows of which the CHECK is not true, counted by itself; why, by a survey."""
        parts = self._divided(wanted)
        found = self.store.survey(parts.fixed, clock, samples) if parts.fixed.rules else None
        said = self._condition(parts, wanted, quoted)
        with self.store.server.reading():
            ((records, broken),) = self.store.server.rows(
                _raw(f"SELECT count(*), count(*) FILTER (WHERE NOT ({said})) FROM {self.store.table.source}")  # noqa: S608 - quoted
            )
            faults = dict(found.faults) if found is not None else {}
            for name in parts.bare:
                ((count,),) = self.store.server.rows(
                    _raw(f"SELECT count(*) FROM {self.store.table.source} WHERE {quoted(name)} IS NULL")  # noqa: S608 - quoted
                )
                if count:
                    faults["null", name, None] = count
        return Survey(records, broken, faults, {}, {}, found.samples if found is not None else ())

    def _divided(self, wanted: Wanted) -> Division:
        self._refuse(wanted)
        return divide(wanted.guard, lambda guard: self._speaks(guard, wanted), wanted.encodings)

    def _speaks(self, guard: Guard, wanted: Wanted) -> bool:
        return speaks_typed(guard, wanted.encodings, self.store.table.types(guard.fields))

    def _refuse(self, wanted: Wanted) -> None:
        table = self.store.table
        if table.inherited:
            msg = f"other tables inherit from {table.called}: enforce each of them by its own name"
            raise UsageError(msg)
        if wanted.rebuild:
            msg = f"{table.called} need not be written anew to be enforced: leave rebuild out"
            raise UsageError(msg)
        if wanted.keep_current:
            (name,) = wanted.fields
            if table.column(name).generated or not self._speaks(present(name), wanted):
                msg = (
                    f"{name} of {table.called} is {table.column(name).declared}, which no trigger of ours keeps current"
                )
                raise UsageError(msg)

    def _guard(self, guard: Guard, wanted: Wanted, row: Callable[[str], str]) -> HeldTyped:
        repair = wanted.repair
        others = [each for each in wanted.encodings if repair is None or each in self._names()]
        return HeldTyped(guard, wanted.encodings, self.store.table.types((*guard.fields, *others)), row)

    def _names(self) -> set[str]:
        return {column.name for column in self.store.table.columns}

    def _condition(self, parts: Division, wanted: Wanted, row: Callable[[str], str]) -> str:
        """What must be true of a row for the CHECK."""
        said = [f"{row(name)} IS NOT NULL" for name in parts.bare]
        if parts.fixed.rules:
            said.append(_text(sa.and_(*self._guard(parts.fixed, wanted, row).holds())))
        return " AND ".join(said) or "true"

    def _name(self, kind: str, wanted: Wanted) -> str:
        return name_for(self.store.table, kind, wanted)

    # -- the stages

    def stages(self, wanted: Wanted) -> Sequence[Stage]:
        """All stages, in their order."""
        return self.store._lasting(lambda: self._stages(wanted))  # noqa: SLF001 - of the same family

    def _stages(self, wanted: Wanted) -> list[Stage]:
        parts = self._divided(wanted)
        proved = [*self._constrained(parts, wanted)]
        done = all(stage.in_place for stage in proved)
        gate = self._gate(parts, wanted)
        found: list[Stage] = []
        if gate is not None:
            there = gate.in_place
            found.append(evolve(gate, in_place=there or (done and not wanted.keep_gate)))
        if wanted.keep_current:
            found.append(self._keep(wanted))
        if wanted.hold_now and parts.clocked.rules:
            found.append(self._by_clock(parts, wanted))
        found += proved
        if gate is not None and not wanted.keep_gate:
            found.append(
                Stage(
                    "gate removed",
                    gate.undo,
                    ACCESS_EXCLUSIVE,
                    SHORT,
                    MOMENT,
                    (),
                    done and not gate.in_place,
                    removes="gate",
                )
            )
        return found

    def _constrained(self, parts: Division, wanted: Wanted) -> Iterator[Stage]:
        """
        The CHECK, its proof, and NOT NULL: of each partition by itself first, so that the whole finds all of it proved.
        """
        table, version = self.store.table, self.store.server.version
        check = self._name("check", wanted)
        condition = self._condition(parts, wanted, quoted)
        required = [name for name in (*parts.bare, *parts.fixed.required) if not table.column(name).generated]
        whole = Part(table.oid, table.source)
        divided = [each for each in table.parts if each.oid != table.oid]
        checked = [(check, f"CHECK ({condition})")] if condition != "true" else []
        later = [] if version >= NAMED_NOT_NULL else required
        taken = {} if later else self._not_null([whole, *divided])

        def named(part: Part) -> list[tuple[str, str]]:
            """Where a column is NOT NULL already, by the user's own constraint, there cannot be another one."""
            found = {name: self._null_name(name, wanted) for name in required if name not in later}
            return checked + [
                (each, f"NOT NULL {quoted(name)}")
                for name, each in found.items()
                if taken.get((part.oid, name), each) == each
            ]

        where = divided or [whole]
        known = self._constraints([whole, *divided], [name for part in (whole, *where) for name, _ in named(part)])
        for part in where:
            yield self._added(part, named(part), known, "check" if part is whole else f"check {part.name}", valid=False)
            yield self._proof(part, named(part), known, "proof" if part is whole else f"proof {part.name}")
        if divided or not table.parts:
            yield self._added(whole, named(whole), known, "check", valid=True)
        for name in later:
            yield self._set_not_null(name, [whole, *divided])

    def _null_name(self, name: str, wanted: Wanted) -> str:
        number = wanted.guard.fields.index(name)
        return self._name(f"required{number}" if number else "required", wanted)

    def _constraints(self, parts: Sequence[Part], names: Sequence[str]) -> Mapping[tuple[int, str], bool]:
        """Which of them are there, and whether they are valid."""
        rows = self.store.server.rows(
            "SELECT conrelid::bigint, conname, convalidated FROM pg_catalog.pg_constraint "
            "WHERE conrelid::bigint = ANY (?) AND conname = ANY (?)",
            ([part.oid for part in parts], list(names)),
        )
        return {(oid, name): valid for oid, name, valid in rows}

    def _not_null(self, parts: Sequence[Part]) -> Mapping[tuple[int, str], str]:
        """The constraints by which columns are NOT NULL: `attnotnull` is set by those too that are not proved."""
        rows = self.store.server.rows(
            "SELECT c.conrelid::bigint, a.attname, c.conname FROM pg_catalog.pg_constraint c "
            "JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1] "
            "WHERE c.contype = 'n' AND c.conrelid::bigint = ANY (?)",
            ([part.oid for part in parts],),
        )
        return {(oid, name): constraint for oid, name, constraint in rows}

    def _added(
        self,
        part: Part,
        named: Sequence[tuple[str, str]],
        known: Mapping[tuple[int, str], bool],
        name: str,
        *,
        valid: bool,
    ) -> Stage:
        missing = [each for each in named if (part.oid, each[0]) not in known]
        end = "" if valid else " NOT VALID"
        added = ", ".join(f"ADD CONSTRAINT {quoted(each)} {said}{end}" for each, said in missing or named)
        dropped = ", ".join(f"DROP CONSTRAINT IF EXISTS {quoted(each)}" for each, _ in reversed(named))
        statements = (f"ALTER TABLE {part.name} {added}",) if named else ()
        why = "its partitions have proved it" if valid else MOMENT
        return Stage(
            name,
            statements,
            ACCESS_EXCLUSIVE,
            SHORT,
            why,
            (f"ALTER TABLE {part.name} {dropped}",) if named else (),
            not missing,
        )

    def _proof(
        self, part: Part, named: Sequence[tuple[str, str]], known: Mapping[tuple[int, str], bool], name: str
    ) -> Stage:
        rows, pages = self._size(part)
        seconds = max(SHORT, rows / ROWS_A_SECOND, pages / PAGES_A_SECOND)
        why = f"about {rows:,} rows on {pages:,} pages are read once, while reads and writes go on"
        proved = ", ".join(f"VALIDATE CONSTRAINT {quoted(each)}" for each, _ in named)
        done = all(known.get((part.oid, each)) for each, _ in named)
        statements = (f"ALTER TABLE {part.name} {proved}",) if named else ()
        return Stage(name, statements, SHARE_UPDATE_EXCLUSIVE, seconds, why, (), done, proves=True)

    def _size(self, part: Part) -> tuple[int, int]:
        ((rows, pages),) = self.store.server.rows(
            "SELECT greatest(reltuples, 0)::bigint, "
            "(pg_relation_size(oid) / current_setting('block_size')::bigint)::bigint FROM pg_catalog.pg_class WHERE oid = ?",
            (part.oid,),
        )
        return rows, pages

    def _set_not_null(self, name: str, parts: Sequence[Part]) -> Stage:
        rows = self.store.server.rows(
            "SELECT attrelid::bigint, attnotnull FROM pg_catalog.pg_attribute WHERE attrelid::bigint = ANY (?) AND attname = ?",
            ([part.oid for part in parts], name),
        )
        whole, *divided = parts
        there = dict(rows)
        column = quoted(name)
        # What a partition had before is given back: the CHECK still proves it then.
        again = tuple(
            f"ALTER TABLE {part.name} ALTER COLUMN {column} SET NOT NULL" for part in divided if there[part.oid]
        )
        return Stage(
            f"not null {name}",
            (f"ALTER TABLE {whole.name} ALTER COLUMN {column} SET NOT NULL",),
            ACCESS_EXCLUSIVE,
            SHORT,
            "the valid CHECK proves it, and no row is looked at",
            (f"ALTER TABLE {whole.name} ALTER COLUMN {column} DROP NOT NULL", *again),
            there[whole.oid],
        )

    # -- triggers

    def _trigger(self, kind: str, wanted: Wanted, body: str, events: Sequence[tuple[str, str]]) -> Stage:
        """
        A function, and a trigger for each of *events*: when, and on what condition.

        Triggers go by the alphabet: what fills comes before what looks.
        """
        table, name = self.store.table, self._name(kind, wanted)
        function = f"{quoted(table.schema)}.{quoted(name)}"
        lines = f"BEGIN\n  IF {BYPASS} THEN RETURN NEW; END IF;\n{body}\n  RETURN NEW;\nEND"
        tag = next(tag for number in range(10**6) if (tag := f"$timestamp_guard_{number}$") not in lines)
        names = [name if index == 0 else f"{name}_{index}" for index in range(len(events))]
        made = tuple(
            f"CREATE TRIGGER {quoted(each)} BEFORE {when} ON {table.source} FOR EACH ROW{condition} EXECUTE FUNCTION {function}()"
            for each, (when, condition) in zip(names, events, strict=True)
        )
        undo = tuple(f"DROP TRIGGER IF EXISTS {quoted(each)} ON {table.source}" for each in reversed(names))
        ((count,),) = self.store.server.rows(
            "SELECT count(*) FROM pg_catalog.pg_trigger WHERE tgrelid = ? AND tgname = ANY (?) AND tgenabled <> 'D'",
            (table.oid, names),
        )
        return Stage(
            kind,
            (f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS {tag}{lines}{tag}", *made),
            SHARE_ROW_EXCLUSIVE,
            SHORT,
            "the catalogue is changed; reads go on, writes wait for that long",
            (*undo, f"DROP FUNCTION IF EXISTS {function}()"),
            count == len(names),
        )

    def _gate(self, parts: Division, wanted: Wanted) -> Stage | None:
        """Fills what is null from the repair's candidates; never anything else. None where SQL cannot say how."""
        repair, table = wanted.repair, self.store.table
        if repair is None or table.column(repair.field).generated:
            return None
        types = table.types((*wanted.encodings, repair.field))
        if parts.bare or parts.unsaid or not mends_typed(repair, wanted.encodings, types):
            return None
        name = repair.field
        guard = self._guard(parts.fixed.about(name), wanted, _new)
        said = "".join(
            f"    {'IF' if not index else 'ELSIF'} ({_text(condition)}) THEN {_new(name)} := {_text(value)};\n"
            for index, (condition, value) in enumerate(guard.choices(repair, parts.clocked))
        )
        body = f"  IF {_new(name)} IS NULL THEN\n{said}    END IF;\n  END IF;"
        return self._trigger("gate", wanted, body, [("INSERT OR UPDATE", f" WHEN ({_new(name)} IS NULL)")])

    def _keep(self, wanted: Wanted) -> Stage:
        """
        Moves the field on with every change of a row, never back; a value that is too far ahead is taken back to what the
        guard allows, or it would stay for ever.
        """
        (name,) = wanted.fields
        guard = self._guard(present(name), wanted, _new)
        skew = max((t.shift_ns for p in wanted.guard.pairs() if isinstance(t := p.later, Now)), default=5 * 10**9)
        step = max(guard.encodings[name].resolution_ns, guard.encodings[name].unit or 1000)
        now, ahead = guard.now(name), guard.now(name, skew - skew % step)
        one: Expression = (
            constant(step // (guard.encodings[name].unit or 1))
            if guard.encodings[name].is_number
            else sa.literal_column(f"interval '{step // 1000} microseconds'", sa.types.NullType())
        )
        old = f"OLD.{quoted(name)}"
        moved = f"greatest({_text(now)}, least({old}, {_text(ahead)} - {_text(one)}) + {_text(one)})"
        body = (
            f"  IF TG_OP = 'INSERT' OR {old} IS NULL THEN\n"
            f"    {_new(name)} := CASE WHEN TG_OP = 'INSERT' THEN coalesce({_new(name)}, {_text(now)}) ELSE {_text(now)} END;\n"
            f"  ELSE\n    {_new(name)} := {moved};\n  END IF;"
        )
        columns = [column.name for column in self.store.table.columns if not column.generated]
        rows = [f"ROW({', '.join(f'{row}.{quoted(each)}' for each in columns)})" for row in ("OLD", "NEW")]
        # Compared byte by byte: not every type has an equality.
        return self._trigger(
            "keep", wanted, body, [("INSERT", ""), ("UPDATE", f" WHEN (record_image_ne({rows[0]}, {rows[1]}))")]
        )

    def _by_clock(self, parts: Division, wanted: Wanted) -> Stage:
        guard = self._guard(parts.clocked, wanted, _new)
        said = _text(sa.and_(*guard.timely(parts.clocked)))
        told = _literal(f"timestamp_guard: a row of {self.store.name} breaks {parts.clocked}")
        body = f"  IF NOT ({said}) THEN\n    RAISE check_violation USING MESSAGE = {told};\n  END IF;"
        names = ", ".join(quoted(name) for name in parts.clocked.fields)
        return self._trigger("now", wanted, body, [(f"INSERT OR UPDATE OF {names}", "")])

    # -- making and taking back

    def apply(self, stage: Stage, run: Run, tell: Tell) -> None:
        """One transaction: the ledger first, so that the lock is held for as short as can be."""
        self._do(stage, stage.statements, run, tell)

    def undo(self, stage: Stage, run: Run, tell: Tell) -> None:
        """The same, backwards."""
        # All of it is short, and drops take the heaviest lock.
        self._do(evolve(stage, lock=ACCESS_EXCLUSIVE, proves=False), stage.undo, run, tell)

    def _do(self, stage: Stage, statements: Sequence[str], run: Run, tell: Tell) -> None:
        server, table = self.store.server, self.store.table
        tables = [*dict.fromkeys((table.oid, *(part.oid for part in table.parts)))]

        def act(timeout: float) -> None:
            with server.writing(timeout):
                self.store.ledger.put(run)
                if not stage.proves:
                    # The lock is held until the commit is on the disk, here or on a standby: that can wait. What is
                    # saved at the end of a run is durable, and with it all that was committed before.
                    server.run("SET LOCAL synchronous_commit = off")
                    server.run(f"SET LOCAL statement_timeout = {round(1000 * (timeout + SLACK))}")
                server.finish(statements)

        try:
            if statements:
                self.locks.take(TableLock(server, tables, stage.lock), act, tell)
            else:
                self.store.ledger.save(run)
        except Refused as problem:
            raise StillBroken(f"{self.store.name} breaks what is to be proved: {problem}") from None


def _raw(statement: str) -> Prepared:
    """A statement without parameters, as this driver wants it."""
    return Prepared(statement.replace("%", "%%"))
