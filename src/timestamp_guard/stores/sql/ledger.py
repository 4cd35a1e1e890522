"""
The ledger in tables: beside the records in their own database, or in a file of its own for simple adapters.

`timestamp_guard_runs`, `timestamp_guard_changes` and `timestamp_guard_quarantine` are made by the first run, never by
a look. Columns of values have no declared type, so that SQLite stores what it is given, as it is given.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Final, Self

from attrs import evolve

from ..._faults import point, reach
from ...errors import LedgerError, RunBusy, StoreMissing
from ...frozen import freeze, thaw
from ...instants import Raw, brief
from ...ledger import PURGED, VERSION, Change, Counts, Quarantined, Run, lost
from .connection import Connection
from .database import Database
from .form import CHANGES, COLUMNS, COUNTS, QUARANTINE, RUNS, STATED, TYPES, Added, Form, Type

__all__ = ["CHANGES", "QUARANTINE", "RUNS", "FileLedger", "SqlLedger", "open_ledger"]

PAGE: Final = 10_000
"""How many changes are forgotten at a time."""

INTENT: Final = 0
MADE: Final = 1
REFUSED: Final = 2

PLACES: Final = ("cursor", "until")
"""What is recorded of a run as JSON."""

KEPT: Final = ("id", "field", "before", "after", "candidate", "row")

SAVED: Final = point("ledger saved")


class SqlLedger:
    """
    A ledger in the tables of *database*.

    *thawed* says how a value of the ledger becomes a raw value: in a store's own database they are what they are.
    *key* are the columns by which a row is found again; each run remembers those that it began with.
    """

    TABLES: ClassVar[Sequence[str]] = (CHANGES, QUARANTINE)
    """What there must be beside the runs."""

    STORED: ClassVar[tuple[str, str]] = (CHANGES, "id")
    """Where changes are kept, and what numbers them there."""

    types: ClassVar[Mapping[Type, str]] = {"INTEGER": "INTEGER", "TEXT": "TEXT"}

    def __init__(
        self, database: Connection, thawed: Callable[[Any], Raw] = lambda value: value, key: Sequence[str] = ()
    ) -> None:
        self.database = database
        self._runs, self._changed, self._aside = (database.address(name) for name in (RUNS, CHANGES, QUARANTINE))
        self.key = tuple(key)
        self._thawed = thawed
        self._form: Form | None = None

    # -- tables

    def exists(self) -> bool:
        """
        Whether there is a ledger.

        Raises:
            LedgerError: there is one that this release cannot use.
        """
        if self._form is None:
            self._form = Form.of(self.database, self.TABLES)
        return self._form is not None

    def create(self) -> None:
        """Make the tables, or make them those of this version, inside a transaction, with room for the columns of a key."""
        if not self.exists():
            columns = self._declared()
            self.database.run(
                f"CREATE TABLE {self._runs} (id INTEGER PRIMARY KEY, version INTEGER NOT NULL, key TEXT, {columns})"
            )
            self.database.run(
                f"CREATE TABLE {self._changed} (id INTEGER PRIMARY KEY, run INTEGER NOT NULL, field TEXT, "
                f"before, after, candidate, state INTEGER NOT NULL DEFAULT {MADE}, row, key_1)"
            )
            self.database.run(f"CREATE INDEX timestamp_guard_intents ON {self._changed} (run) WHERE state = {INTENT}")
            self.database.run(
                f"CREATE TABLE {self._aside} (id INTEGER PRIMARY KEY, run INTEGER NOT NULL, reason TEXT, key_1)"
            )
        self._upgrade()
        for table in (CHANGES, QUARANTINE):
            have = self.database.columns(table)
            for index in range(1, len(self.key) + 1):
                if f"key_{index}" not in have:
                    self.database.run(f"ALTER TABLE {table} ADD COLUMN key_{index}")

    @property
    def _older(self) -> bool:
        """Whether there is a ledger of an older version."""
        return self.exists() and self._form is not None and self._form.version < VERSION

    def _upgrade(self) -> None:
        """Make an older ledger one of this version, inside a transaction."""
        if not self._older:
            return
        self._begun()
        self.forget()  # another process may have done it meanwhile, or this transaction be taken back
        form = Form.of(self.database, self.TABLES)
        if form is None:
            return
        for each in form.added:
            if each.name not in form.columns[each.table]:
                self.database.run(self._added(each))
        self.database.run(f"UPDATE {self._runs} SET version = {VERSION} WHERE version < {VERSION}")  # noqa: S608 - ours

    def _declared(self) -> str:
        """The columns of a run, but for its number, key and version."""
        return ", ".join(f'"{name}" {self.types[TYPES.get(name, "INTEGER")]}' for name in COLUMNS if name != "id")

    def _added(self, each: Added) -> str:
        before = "" if each.before is None else f" DEFAULT {each.before:d}"
        address = self.database.address(each.table)
        return f'ALTER TABLE {address} ADD COLUMN "{each.name}" {self.types[each.kind]}{before}'

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """A transaction, on a ledger that is of this version."""
        self.exists()  # asked before: the look would hold a lock that another one waits for who is at it
        with self.database.writing():
            self._upgrade()
            yield

    def _selected(self, table: str, names: Sequence[str]) -> str:
        return self._form.selected(table, names) if self._form else ""

    def forget(self) -> None:
        """Look again whether there is a ledger: a transaction that made one was taken back."""
        self._form = None

    # -- runs

    def runs(self, table: str | None = None) -> list[Run]:
        """See :class:`~timestamp_guard.ledger.Ledger`."""
        if not self.exists():
            return []
        found = self._found("ORDER BY id")
        return [run for run in found if run.parent is None and (table is None or run.table == table)]

    def _found(self, which: str, values: tuple[Any, ...] = ()) -> list[Run]:
        """Runs and ranges, as they are recorded."""
        known = [name for name in COLUMNS if self._form is None or name in self._form.columns[RUNS]]
        names = ", ".join(f'"{name}"' for name in known)
        rows = self.database.rows(f"SELECT {names} FROM {self._runs} {which}", values)  # noqa: S608 - our own names
        return [self._run(dict(zip(known, row, strict=True))) for row in rows]

    def _run(self, row: dict[str, Any]) -> Run:
        number = row.get("id")
        try:
            counts = Counts(**{name: row.pop(name) for name in COUNTS if name in row})
            places = {name: row.pop(name) for name in PLACES if name in row}
            row |= {name: None if said is None else thaw(said) for name, said in places.items()}
            run = Run(**row, counts=counts)
            # Everything else relies on these being what they should.
            _ = run.generation + run.lease_until + run.sweep + run.found + counts.left + counts.changed
            _ = run.now + run.started + (run.finished or 0) + (run.first_change or 0) + (run.last_change or 0)
            _ = dict(json.loads(run.plan)), dict(json.loads(run.owner or "{}"))
        except (TypeError, ValueError, KeyError) as problem:
            raise self.damaged(number, problem) from None
        return run

    def damaged(self, run: Any, problem: object) -> LedgerError:
        """The error of who cannot use what is recorded of a run."""
        number = run.id if isinstance(run, Run) else run
        return LedgerError(f"the ledger in {self.database.label} is damaged: run {number} cannot be read ({problem})")

    def begin(self, run: Run) -> Run:
        """See :class:`~timestamp_guard.ledger.Ledger`."""
        with self._writing():
            self.create()
            self._begun()
            for other in self.runs(run.table):
                if other.open and not self._undone(other):
                    owner = json.loads(other.owner or "{}").get("pid")
                    msg = f"{run.table} is being worked on by process {owner}: {other.action} {other.id}"
                    raise RunBusy(msg)
            return self._inserted(run)

    def _inserted(self, run: Run) -> Run:
        """A run that begins, with its number."""
        run = evolve(run, generation=1)
        values = self._values(run)
        names = ", ".join(f'"{name}"' for name in values)
        marks = ", ".join(f":{name}" for name in values)
        number = self._numbered(
            f'INSERT INTO {self._runs} (version, "key", {names}) VALUES ({VERSION}, :key, {marks})',  # noqa: S608 - our own names
            {**values, "key": json.dumps(self._kept_key())},
        )
        return evolve(run, id=number)

    def _numbered(self, insert: str, values: dict[str, Any]) -> int:
        """Insert a row: the number that it was given."""
        ((number,),) = self.database.rows(f"{insert} RETURNING id", values)
        return int(number)

    def _begun(self) -> None:
        """Keep others from beginning meanwhile: nothing to do where there is one writer at a time."""

    def _kept_key(self) -> Any:
        """What a run remembers of the key, as JSON."""
        return self.key

    def key_of(self, run: Run) -> tuple[str, ...]:
        """The columns by which *run* finds rows again."""
        ((key,),) = self.database.rows(f"SELECT key FROM {self._runs} WHERE id = ?", (run.id,))  # noqa: S608 - our own name
        try:
            names = json.loads(key)
        except (TypeError, ValueError):
            names = None
        if not names or not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise self.damaged(run, f"key {brief(key)}")
        return tuple(names)

    def field_of(self, run: Run) -> str:
        """The field that *run* changed."""
        try:
            return run.field
        except (TypeError, LookupError):
            raise self.damaged(run, f"plan {run.plan}") from None

    def _undone(self, run: Run) -> bool:
        return bool(
            self.database.rows(
                f"SELECT 1 FROM {self._runs} WHERE action = 'rollback' AND undoes = ? AND status <> 'running'",  # noqa: S608
                (run.id,),
            )
        )

    def claim(self, run: Run, owner: str, until: int) -> Run:
        """See :class:`~timestamp_guard.ledger.Ledger`."""
        taken = {"owner": owner, "lease_until": until, "generation": run.generation + 1}
        with self._writing():
            self.put(run, only=taken)
            # Its owner may have come further since it was looked at.
            (found,) = self._found("WHERE id = ?", (run.id,))
        return found

    def save(self, run: Run) -> Run:
        """See :class:`~timestamp_guard.ledger.Ledger`."""
        with self.database.durably(), self._writing():
            self.put(run)
        reach(SAVED)
        return run

    def put(self, run: Run, held: int | None = None, only: Mapping[str, Any] | None = None) -> None:
        """
        Write the run down inside a transaction, or *only* some of it, if it is still its owner's.

        Raises:
            LeaseLost: it is not.
        """
        values = only if only is not None else self._values(run)
        assigned = ", ".join(f'"{name}" = :{name}' for name in values)
        changed = self.database.run(
            f"UPDATE {self._runs} SET {assigned} WHERE id = :id AND generation = :held",  # noqa: S608 - our own names
            {**values, "id": run.id, "held": run.generation if held is None else held},
        )
        if changed.rowcount != 1:
            raise lost(run)

    def fence(self, run: Run) -> None:
        """
        Check the lease by a write, inside a transaction and before anything else in it.

        Raises:
            LeaseLost: another process took the run over.
        """
        changed = self.database.run(
            f"UPDATE {self._runs} SET lease_until = ? WHERE id = ? AND generation = ?",  # noqa: S608 - our own names
            (run.lease_until, run.id, run.generation),
        )
        if changed.rowcount != 1:
            raise lost(run)

    @staticmethod
    def _values(run: Run) -> dict[str, Any]:
        values = {name: getattr(run, name) for name in STATED}
        values |= {name: None if values[name] is None else freeze(values[name]) for name in PLACES}
        return values | {name: getattr(run.counts, name) for name in COUNTS}

    # -- changes

    def changes(self, run: Run, after: int = 0, limit: int | None = None) -> list[tuple[int, Change]]:
        """See :class:`~timestamp_guard.ledger.Ledger`."""
        return self._changes(run, MADE, after, limit)

    def intents(self, run: Run) -> list[Change]:
        """See :class:`~timestamp_guard.ledger.Ledger`."""
        return [change for _, change in reversed(self._changes(run, INTENT, 0, None))]

    def _changes(self, run: Run, state: int, after: int, limit: int | None) -> list[tuple[int, Change]]:
        if not self.exists():
            return []
        keys = self._keys(CHANGES)
        first = run.first_change if state == MADE and run.first_change is not None else 0
        last = after - 1 if after else run.last_change if state == MADE and run.last_change is not None else 2**62
        rows = self.database.rows(
            f"SELECT {self._selected(CHANGES, KEPT)}, {keys} FROM {self._changed} "  # noqa: S608 - our own names
            f"WHERE run = ? AND state = {state} AND id BETWEEN ? AND ? ORDER BY id DESC LIMIT ?",
            (run.id, first, last, -1 if limit is None else limit),
        )
        return [
            (
                number,
                Change(
                    self._key(key),
                    self.field_of(run) if name is None else name,
                    self._raw(before),
                    self._raw(after),
                    self._name(run, candidate),
                    row,
                ),
            )
            for number, name, before, after, candidate, row, *key in rows
        ]

    def _keys(self, table: str) -> str:
        return ", ".join(name for name in self.database.columns(table) if name.startswith("key_"))

    def _key(self, columns: Sequence[Any]) -> Any:
        values = list(columns)
        # A table of fewer key columns than the widest leaves the rest null; a key column never is.
        while len(values) > 1 and values[-1] is None:
            values.pop()
        return self._raw(values[0]) if len(values) == 1 else tuple(self._raw(each) for each in values)

    def _raw(self, value: Any) -> Raw:
        try:
            return self._thawed(value)
        except (TypeError, ValueError) as problem:
            msg = (
                f"the ledger in {self.database.label} is damaged: it holds {value!r} where a value belongs ({problem})"
            )
            raise LedgerError(msg) from None

    def _name(self, run: Run, candidate: Any) -> str | None:
        try:
            return run.candidates[candidate] if isinstance(candidate, int) else candidate
        except (TypeError, LookupError) as problem:
            raise self.damaged(run, problem) from None

    def quarantined(self, run: Run) -> list[Quarantined]:
        """See :class:`~timestamp_guard.ledger.Ledger`."""
        if not self.exists():
            return []
        keys = self._keys(QUARANTINE)
        rows = self.database.rows(
            f"SELECT reason, {keys} FROM {self._aside} WHERE run = ? ORDER BY id",  # noqa: S608 - our own names
            (run.id,),
        )
        return [Quarantined(self._key(key), reason) for reason, *key in rows]

    def purge(self, run: Run) -> Run:
        """See :class:`~timestamp_guard.ledger.Ledger`; the changes go a few at a time, so that nobody waits for long."""
        run = self.save(evolve(run, reason=PURGED))
        top = run.last_change
        table, number = self.STORED
        kept = self.database.address(table)
        while top is not None and (top := self.newest(run, top)) is not None:
            with self._writing():
                self.database.run(
                    f"DELETE FROM {kept} WHERE run = ? AND {number} BETWEEN ? AND ?",  # noqa: S608 - our own names
                    (run.id, top - PAGE + 1, top),
                )
            top -= PAGE
        with self._writing():
            for each in (kept, self._aside):
                self.database.run(f"DELETE FROM {each} WHERE run = ?", (run.id,))  # noqa: S608 - our own names
        return run

    def newest(self, run: Run, top: int) -> int | None:
        """The number of the newest change of the run that is not beyond *top*: there may be gaps. None where there is none."""
        ((found,),) = self.database.rows(
            f"SELECT max(id) FROM {self._changed} WHERE run = ? AND id BETWEEN ? AND ?",  # noqa: S608 - our own names
            (run.id, run.first_change or 0, top),
        )
        return None if found is None else int(found)

    # -- of simple adapters

    def intend(self, run: Run, changes: Sequence[Change]) -> None:
        """See :class:`~timestamp_guard.ledger.Ledger`."""
        with self._writing():
            self.fence(run)
            for change in changes:
                self.database.run(
                    f"INSERT INTO {self._changed} (run, field, before, after, candidate, state, key_1) "  # noqa: S608 - ours
                    f"VALUES (?, ?, ?, ?, ?, {INTENT}, ?)",
                    (
                        run.id,
                        change.field,
                        freeze(change.before),
                        freeze(change.after),
                        change.candidate,
                        freeze(change.key),
                    ),
                )

    def settle(self, run: Run, refused: Sequence[Change], failed: Sequence[Quarantined]) -> Run:
        """See :class:`~timestamp_guard.ledger.Ledger`."""
        with self._writing():
            for key in (*(change.key for change in refused), *(bad.key for bad in failed)):
                self.database.run(
                    f"UPDATE {self._changed} SET state = {REFUSED} WHERE run = ? AND state = {INTENT} AND key_1 = ?",  # noqa: S608
                    (run.id, freeze(key)),
                )
            self.database.run(
                f"UPDATE {self._changed} SET state = {MADE} WHERE run = ? AND state = {INTENT}",  # noqa: S608 - our own names
                (run.id,),
            )
            for bad in failed:
                self.database.run(
                    f"INSERT INTO {self._aside} (run, reason, key_1) VALUES (?, ?, ?)",  # noqa: S608 - our own names
                    (run.id, bad.reason, _frozen_key(bad.key)),
                )
            self.put(run)
        reach(SAVED)
        return run


def _frozen_key(key: Any) -> str:
    try:
        return freeze(key)
    except TypeError:
        return freeze(repr(key))


class FileLedger(SqlLedger):
    """A ledger in a file of its own, open until it is closed; usable as a context manager."""

    def __init__(self, path: Path) -> None:
        if not path.parent.is_dir():
            msg = f"there is no folder {path.parent} for the ledger {path.name}"
            raise StoreMissing(msg)
        super().__init__(Database(path, create=True), thaw)

    def close(self) -> None:
        """Close the file."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_ledger(path: Path | str) -> FileLedger:
    """
    Open the ledger in the file at *path*, or begin one there: for stores that keep none of their own.

    Raises:
        StoreError: the file cannot be opened, or is no ledger.
    """
    return FileLedger(Path(path))
