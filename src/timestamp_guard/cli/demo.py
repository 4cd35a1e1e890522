"""`timestamp-guard demo`: all of it, on a database made for the purpose."""

from __future__ import annotations

import contextlib
import hashlib
import random
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

from attrs import Factory, define
from cyclopts import Parameter

from ..config import FILE, Table, load
from ..engine import Pace, backfill, check, plan, rollback
from ..errors import UsageError
from ..ledger import Run
from ..stores import open_store
from ..stores.base import BatchStore
from ._options import Form
from ._output import say, say_json, tell

__all__ = ["demo"]

SEED: Final = 20_231_114
TABLES: Final = {"services": 20_000, "pillarPages": 5_000, "clusterPages": 25_000}
FIRST: Final = int(datetime(2023, 1, 1, tzinfo=UTC).timestamp() * 1000)
LAST: Final = int(datetime(2025, 12, 31, tzinfo=UTC).timestamp() * 1000)
FUTURE: Final = int(datetime(2099, 1, 1, tzinfo=UTC).timestamp() * 1000)
HOUR: Final = 3_600_000

FAULTS: Final = 0.45
"""The share of the records that are given a fault."""

HOLD: Final = 0.25
"""Nobody else waits for this database, so a batch may hold it for longer than it usually would, in seconds."""

SCHEMA: Final = """
CREATE TABLE services (_id TEXT PRIMARY KEY, _creationTime REAL NOT NULL, title TEXT NOT NULL, updatedAt) WITHOUT ROWID;
CREATE TABLE pillarPages (_id TEXT NOT NULL, _creationTime REAL NOT NULL, title TEXT NOT NULL, updatedAt);
CREATE UNIQUE INDEX pillarPages_by_id ON pillarPages (_id);
CREATE TABLE clusterPages (id INTEGER PRIMARY KEY, _creationTime REAL NOT NULL, title TEXT NOT NULL, updatedAt);
CREATE INDEX clusterPages_by_update ON clusterPages (updatedAt);
CREATE VIEW recent AS SELECT title, updatedAt FROM clusterPages ORDER BY updatedAt DESC LIMIT 10;
"""

CONFIGURATION: Final = """\
# What must hold of the three tables of the demo, and how they may be mended.

[[store]]
url = "sqlite:///demo.db"
"""
SECTION: Final = """
[[store.table]]
name = "{name}"
updated = "updatedAt"
created = "_creationTime"
encoding = "epoch_ms"
# Seconds and text are read as what they are; whatever is still not sound gets the time of its creation.
fill = ["reread(updatedAt, epoch_s)", "reread(updatedAt, rfc3339)", "_creationTime"]
also = ["wrong_type", "too_early", "in_future", "out_of_order"]
"""


def demo(
    *,
    keep: Annotated[
        Path | None, Parameter(help="Leave the database and its configuration in this folder, to play with.")
    ] = None,
    form: Form = "text",
) -> int:
    """See all of it, on a database made for the purpose.

    Makes one with every fault there is, checks, plans, fills, checks again, and
    takes it all back. Proves at the end that every record and every object of
    the schema is what it was; exits 1 if not.

      timestamp-guard demo --keep demo
    """
    with contextlib.ExitStack() as stack:
        if keep is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="timestamp-guard-")))
        else:
            folder = keep
            folder.mkdir(parents=True, exist_ok=True)
            for name in ("demo.db", FILE):
                if (folder / name).exists():
                    msg = f"{folder / name} is there already: name another folder with --keep"
                    raise UsageError(msg)
        story = _Story(folder, quiet=form == "json")
        proved = story.told()
    if form == "json":
        say_json({"ok": proved, "steps": story.steps})
    elif keep is not None and proved:
        say(f"\nleft in {keep}: demo.db and {FILE}; try: cd {keep} && timestamp-guard plan")
    if not proved:
        tell("the demo could not prove what it promises: please report it")
    return 0 if proved else 1


@define
class _Story:
    """The steps of the demo, each told in a few lines."""

    folder: Path
    quiet: bool
    steps: list[dict[str, Any]] = Factory(list)
    proved: bool = True
    _began: float = 0.0

    def told(self) -> bool:
        """Tell the story; whether all of it came out as it should."""
        path = self.folder / "demo.db"
        with self._step("made"):
            faults = _make(path)
            (self.folder / FILE).write_text(
                CONFIGURATION + "".join(SECTION.format(name=name) for name in TABLES), "utf-8"
            )
            before, schema = _rows(path), _schema(path)
            self._say(
                "made",
                f"demo.db with {sum(TABLES.values()):,} records in {len(TABLES)} tables, seeded: {_listed(faults)}",
            )
        tables = load(self.folder / FILE)
        self._check("check", tables, sound=False)
        with self._step("plan"):
            work = sum(self._each("plan", tables, _planned, write=False))
        self._promised("the plan finds every record that check calls broken", work == sum(faults.values()))
        with self._step("backfill"):
            changed = sum(self._each("backfill", tables, _filled))
        self._promised("the backfill filled what was planned", changed == work)
        self._promised("no other field was touched", _rows(path, "_creationTime, title") == _of_others(before))
        self._check("check", tables, sound=True)
        with self._step("runs"):
            self._each("runs", tables, _ledger, write=False)
        with self._step("rollback"):
            restored = sum(self._each("rollback", tables, _restored))
        self._promised("the rollback restored all of it", restored == changed)
        after = _rows(path)
        self._promised(
            f"all {sum(TABLES.values()):,} records are what they were, to the type of each value",
            before.keys() == after.keys() and all(before[name] == after[name] for name in before),
        )
        self._promised(f"all {len(schema)} objects of the schema are what they were", schema == _schema(path))
        return self.proved

    def _check(self, name: str, tables: tuple[Table, ...], *, sound: bool) -> None:
        with self._step(name):
            broken = self._each(name, tables, _checked, write=False)
        self._promised(
            "all is sound now" if sound else "check finds the faults", all((not each) == sound for each in broken)
        )

    def _each(
        self,
        step: str,
        tables: tuple[Table, ...],
        do: Callable[[BatchStore, Table], tuple[int, str]],
        *,
        write: bool = True,
    ) -> list[int]:
        """Do something with each table, and tell of it in a line each."""
        numbers = []
        for table in tables:
            with open_store(table.url, table.name, encodings=table.encodings, read_only=not write) as store:
                number, line = do(store, table)
            numbers.append(number)
            self._say(step, line)
        return numbers

    @contextlib.contextmanager
    def _step(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        self.steps.append({"step": name, "said": []})
        yield
        self.steps[-1]["seconds"] = round(time.perf_counter() - began, 3)

    def _promised(self, what: str, kept: bool) -> None:  # noqa: FBT001 - it is what the function is about
        self.steps[-1].setdefault("proved", {})[what] = kept
        self.proved = self.proved and kept
        if not self.quiet:
            say(f"{'':10}{'ok' if kept else 'NOT SO'}: {what} ({self.steps[-1]['seconds']:.2f} s)")

    def _say(self, step: str, line: str) -> None:
        said = self.steps[-1]["said"]
        said.append(line)
        if not self.quiet:
            say(f"{step if len(said) == 1 else '':10}{line}")


# -- what is done with each table -------------------------------------------------------------------------------


def _checked(store: BatchStore, table: Table) -> tuple[int, str]:
    report = check(store, table.guard)
    if report.ok:
        return 0, f"{table.name}: {report.records:,} records, all sound"
    return report.broken, f"{table.name}: {report.broken:,} of {report.records:,} broken: {_listed(report.violations)}"


def _planned(store: BatchStore, table: Table) -> tuple[int, str]:
    assert table.repair is not None  # noqa: S101 - the demo's own file says it
    foreseen = plan(store, table.guard, table.repair, samples=0)
    sources = ", ".join(f"{count:,} from {name}" for name, count in foreseen.by_candidate.items())
    return foreseen.work, f"{table.name}: {foreseen.work:,} to fill: {sources}"


def _filled(store: BatchStore, table: Table) -> tuple[int, str]:
    assert table.repair is not None  # noqa: S101 - as above
    run = backfill(store, table.guard, table.repair, pace=Pace(target=HOLD, start=5000))
    return run.counts.changed, str(run)


def _restored(store: BatchStore, _: Table) -> tuple[int, str]:
    run = rollback(store, pace=Pace(target=HOLD, start=5000))
    return run.counts.changed, str(run)


def _ledger(store: BatchStore, table: Table) -> tuple[int, str]:
    """One change of each candidate, as the ledger has it."""
    run: Run = store.ledger.runs(table.name)[-1]
    shown: dict[str | None, str] = {}
    after = 0
    while len(shown) < len(run.candidates) and (page := store.ledger.changes(run, after, 1000)):
        for _, change in page:
            shown.setdefault(change.candidate, f"{change.before!r} -> {change.after!r} from {change.candidate}")
        after = page[-1][0]
    return run.counts.changed, f"{table.name}: run {run.id}, for example {'; '.join(shown.values())}"


def _listed(counts: Any) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


# -- the database -----------------------------------------------------------------------------------------------


def _make(path: Path) -> Counter[str]:
    """Write the database, and count what was put wrong."""
    chance = random.Random(SEED)  # noqa: S311 - made-up data needs no cryptography
    faults: Counter[str] = Counter()
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript(SCHEMA)
        for name, records in TABLES.items():
            marks = "?, ?, ?, ?"
            database.executemany(
                f"INSERT INTO {name} VALUES ({marks})",  # noqa: S608 - our own names
                (_record(chance, name, number, faults) for number in range(1, records + 1)),
            )
        database.commit()
    return Counter(dict(faults.most_common()))


def _record(chance: random.Random, table: str, number: int, faults: Counter[str]) -> tuple[Any, ...]:
    key = number if table == "clusterPages" else f"{chance.getrandbits(64):016x}{number:05}"
    # As Convex has it: milliseconds with a fraction.
    created = chance.randrange(FIRST, LAST) + chance.randrange(10_000) / 10_000
    updated: Any = int(created) + chance.randrange(HOUR, 300 * HOUR)
    if chance.random() < FAULTS:
        fault = chance.choices(list(_FAULTS), [weight for weight, _ in _FAULTS.values()])[0]
        faults[fault] += 1
        updated = _FAULTS[fault][1](chance, int(created), updated)
    return key, created, f"{table} {number}", updated


_Wrong = Callable[[random.Random, int, int], Any]
_FAULTS: Final[dict[str, tuple[int, _Wrong]]] = {
    "null": (60, lambda _, __, ___: None),
    "zero": (8, lambda _, __, ___: 0),
    "minus one": (2, lambda _, __, ___: -1),
    "in seconds": (8, lambda _, __, updated: updated // 1000),
    "as RFC 3339 text": (6, lambda _, __, updated: datetime.fromtimestamp(updated // 1000, UTC).isoformat()),
    "in words": (3, lambda chance, _, __: chance.choice(["soon", "", "yesterday"])),
    "in the future": (5, lambda chance, _, __: FUTURE + chance.randrange(HOUR)),
    "before creation": (8, lambda chance, created, _: created - chance.randrange(1, 1000 * HOUR)),
}


def _rows(path: Path, columns: str = "*") -> dict[str, list[Any]]:
    """Every record of every table, as SQLite itself writes values down, so that 1 is not 1.0 and not '1'."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        found = {}
        for name in TABLES:
            every = [row[1] for row in database.execute(f"PRAGMA table_info({name})")]
            chosen = every if columns == "*" else columns.split(", ")
            quoted = ", ".join(f"quote({column}), typeof({column})" for column in chosen)
            found[name] = database.execute(f"SELECT {quoted} FROM {name} ORDER BY {every[0]}").fetchall()  # noqa: S608 - ours
        return found


def _of_others(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """What :func:`_rows` gives for the two fields between the key and the updated one."""
    return {name: [row[2:6] for row in each] for name, each in rows.items()}


def _schema(path: Path) -> dict[tuple[str, str], str]:
    """A digest of every object of the schema that is not ours."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        return {
            (kind, name): hashlib.sha256(repr((table, sql)).encode()).hexdigest()
            for kind, name, table, sql in database.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")
            if not table.startswith("timestamp_guard_")
        }
