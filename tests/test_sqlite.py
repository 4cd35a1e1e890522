"""
SQLite tables of every kind are checked, filled and given back exactly, and nothing else of the file changes.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from attrs import frozen

from timestamp_guard import NOW as PRESENT
from timestamp_guard import Repair, backfill, by, check, in_order, plan, present, reread, rollback, runs, violations
from timestamp_guard.errors import (
    NoIdentity,
    PlanChanged,
    StoreError,
    TooManyFailures,
    UnknownName,
    UsageError,
    WriteUndone,
)
from timestamp_guard.instants import Encoding, Raw, encode, parse_instant
from timestamp_guard.predicate import violations as judged
from timestamp_guard.repairs import MISSING, mend
from timestamp_guard.rules import Moment, updated_at_guard
from timestamp_guard.stores import tables
from timestamp_guard.stores.base import Step
from timestamp_guard.stores.sql import sqlite as sqlite_store
from timestamp_guard.stores.sql.connection import TakenBack

from .sqlite_files import DAY, GUARD, MS, NOW, REPAIR, Dump, ask, do, dump, make, opened, slowly, user


@frozen
class Kind:
    """A kind of table: how it is made, the key of its nth row, and by which columns rows are told apart."""

    sql: str
    key: Callable[[int], tuple[Any, ...]]
    known_by: tuple[str, ...]
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    options: str = ""


def text(number: int) -> tuple[str]:
    return (f"k{number * 7919 % 1009}",)


REST: Final = "createdAt, updatedAt, note"
KINDS: Final = {
    "text": Kind(f"_id TEXT PRIMARY KEY, {REST}", text, ("_id",)),
    "integer": Kind(f"_id INTEGER PRIMARY KEY, {REST}", lambda n: (n * 3 - 100,), ("_id",)),
    "descending": Kind(f"_id INTEGER PRIMARY KEY DESC, {REST}", lambda n: (n * 3 - 100,), ("_id",)),
    "huge": Kind(f"_id INTEGER PRIMARY KEY, {REST}", lambda n: (2**63 - 1 - n * n,), ("_id",)),
    "sparse": Kind(f"_id INTEGER PRIMARY KEY, {REST}", lambda n: (n * 10**16 - 10**18,), ("_id",)),
    "real": Kind(f"_id REAL PRIMARY KEY, {REST}", lambda n: (n + 0.5,), ("_id",)),
    "blob": Kind(f"_id BLOB PRIMARY KEY, {REST}", lambda n: (bytes([n, 0, 255]),), ("_id",)),
    "untyped": Kind(
        f"_id PRIMARY KEY, {REST}", lambda n: ([n, str(n), n + 0.25, str(n).encode()][n % 4],), ("_id",)
    ),
    "nocase": Kind(f"_id TEXT PRIMARY KEY COLLATE NOCASE, {REST}", text, ("_id",)),
    "exact in a nocase column": Kind(
        f"_id TEXT COLLATE NOCASE NOT NULL, {REST}",
        lambda n: (f"{'kK'[n % 2]}{n // 2}",),
        ("_id",),
        after=("CREATE UNIQUE INDEX exactly ON services (_id COLLATE BINARY)",),
    ),
    "composite": Kind(f"a TEXT, b INTEGER, {REST}, PRIMARY KEY (b, a)", lambda n: (f"a{n % 3}", n // 3), ("b", "a")),
    "unique index": Kind(
        f"_id TEXT NOT NULL, {REST}", text, ("_id",), after=("CREATE UNIQUE INDEX u ON services (_id)",)
    ),
    "unique beside null keys": Kind(
        f"_id TEXT PRIMARY KEY, other INTEGER NOT NULL UNIQUE, {REST}",
        lambda n: (None if n % 5 == 0 else f"k{n}", n),
        ("other",),
    ),
    "without rowid": Kind(f"_id TEXT PRIMARY KEY, {REST}", text, ("_id",), options="WITHOUT ROWID"),
    "without rowid, composite": Kind(
        f"a TEXT, b INTEGER, {REST}, PRIMARY KEY (b, a)", lambda n: (f"a{n % 3}", n // 3), ("b", "a"),
        options="WITHOUT ROWID",
    ),
    "without rowid, descending": Kind(
        f"_id INTEGER, {REST}, PRIMARY KEY (_id DESC)", lambda n: (n * 3 - 100,), ("_id",),
        options="WITHOUT ROWID",
    ),
    "without rowid, exact in nocase columns": Kind(
        f"a TEXT COLLATE NOCASE, b TEXT COLLATE NOCASE, {REST}, PRIMARY KEY (a COLLATE BINARY, b)",
        lambda n: ("kK"[n % 2], f"b{n // 2}"),
        ("a", "b"),
        options="WITHOUT ROWID",
    ),
    "without rowid, of blobs": Kind(
        f"_id BLOB PRIMARY KEY, {REST}", lambda n: (bytes([n, 255]),), ("_id",),
        options="WITHOUT ROWID",
    ),
    "strict": Kind("_id TEXT PRIMARY KEY, createdAt ANY, updatedAt ANY, note ANY", text, ("_id",), options="STRICT"),
    "strict without rowid": Kind(
        "_id INT PRIMARY KEY, createdAt ANY, updatedAt ANY, note ANY", lambda n: (n,), ("_id",),
        options="STRICT, WITHOUT ROWID",
    ),
    "shadowed rowid": Kind(f"rowid TEXT PRIMARY KEY, _ROWID_, {REST}", lambda n: (f"k{n}", n), ("rowid",)),
    "hidden rowid": Kind(
        f"rowid TEXT, oid TEXT, _rowid_ INTEGER PRIMARY KEY, {REST}", lambda n: ("same", "same", n), ("_rowid_",)
    ),
    "generated": Kind(
        f"_id TEXT PRIMARY KEY, {REST}, twice AS (updatedAt * 2), kept AS (coalesce(updatedAt, 'none')) STORED", text, ("_id",)
    ),
    "utf-16": Kind(f"_id TEXT PRIMARY KEY, {REST}", lambda n: (f"日本{n}",), ("_id",), before=("PRAGMA encoding = 'UTF-16'",)),
    "wal": Kind(f"_id TEXT PRIMARY KEY, {REST}", text, ("_id",), before=("PRAGMA journal_mode = WAL",)),
    "truncate": Kind(f"_id TEXT PRIMARY KEY, {REST}", text, ("_id",), before=("PRAGMA journal_mode = TRUNCATE",)),
    "auto vacuum": Kind(
        f"_id TEXT PRIMARY KEY, {REST}", text, ("_id",), before=("PRAGMA auto_vacuum = FULL", "PRAGMA user_version = 7")
    ),
    "indexed": Kind(
        f"_id TEXT PRIMARY KEY, {REST}",
        text,
        ("_id",),
        after=(
            "CREATE INDEX by_time ON services (updatedAt)",
            "CREATE INDEX by_part ON services (note) WHERE updatedAt IS NULL",
            "CREATE INDEX by_sum ON services (updatedAt + 1, note)",
            "CREATE VIEW seen AS SELECT * FROM services",
            "CREATE TABLE child (parent REFERENCES services (_id), updatedAt)",
            "ANALYZE",
        ),
    ),
}  # fmt: skip

TIMES: Final[dict[str, tuple[Callable[[int], Any], list[Any]]]] = {
    "epoch_ms": (lambda ms: ms, [None, 0, "soon", b"\x00\xff", 1.5, -1.0, 2.0**60, MS + DAY, "é", 5]),
    "rfc3339": (
        lambda ms: encode(ms * 10**6, Encoding.parse("rfc3339/ms")),
        [None, "", "soon", 0, b"2024", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "2034-01-01T00:00:00+01:00"],
    ),
    "epoch_us/ns": (lambda ms: ms * 1000, [None, 0, "soon", 1.5, b"", (MS + DAY) * 1000]),
}  # fmt: skip
"""How instants are written; the first by SQL, the others row by row in Python. And faults to put among them."""


def filled(path: Path, kind: Kind, encoding: str, count: int = 60) -> Path:
    """A table of that kind: half of the rows are sound, some cannot be mended."""
    write, faults = TIMES[encoding]
    rows: list[list[Raw]] = []
    for number in range(count):
        created: Raw = write(MS - DAY * (number + 1)) if number % 11 else [None, "never"][number % 2]
        updated = faults[number // 2 % len(faults)] if number % 2 else write(MS - DAY * number - DAY // 2)
        rows.append([*kind.key(number), created, updated, f"note {number}"])
    return make(path, *kind.before, f"CREATE TABLE services ({kind.sql}) {kind.options}", *kind.after, rows=rows)


@pytest.mark.parametrize("encoding", TIMES)
@pytest.mark.parametrize("name", KINDS)
def test_kinds(tmp_path: Path, name: str, encoding: str) -> None:
    """
    A table of any kind is filled as the predicate says, nothing else changes, and a rollback gives back every byte.
    """
    kind = KINDS[name]
    path = filled(tmp_path / "app.db", kind, encoding)
    codes = {"null", "placeholder", "wrong_type", "unreadable", "imprecise"}
    repair = Repair("updatedAt", ("createdAt",), codes)  # type: ignore[arg-type]  # all are codes
    before = dump(path)

    with opened(path, encodings=encoding) as store:
        keys = store.key
        records = [(key, dict(record)) for page in [store.scan(None, 1000)] for key, record in page.records]
        wanted: dict[Any, Raw] = {}
        for key, record in records:
            broken = {v.code for v in judged(record, GUARD, encoding, NOW) if v.field == "updatedAt"} & codes
            found = mend(record, repair, GUARD, encoding, Moment.at(NOW), NOW) if broken else None
            if broken:
                wanted[key] = None if found is None else found.after
        run = backfill(store, GUARD, repair, now=NOW, pace=slowly(7))
        changes = {change.key: change for _, change in store.ledger.changes(run)}
        after = {key: dict(record) for key, record in store.scan(None, 1000).records}

    assert kind.known_by == keys
    assert len({key for key, _ in records}) == len(records) == 60
    assert sum(value is not None for value in wanted.values()) == run.counts.changed > 5
    assert sum(value is None for value in wanted.values()) == run.counts.unrepairable > 0
    assert {key for key, value in wanted.items() if value is not None} == set(changes)
    for key, record in records:
        held = wanted.get(key)
        if held is None:
            assert repr(record) == repr(after[key])
        else:
            changed = {k for k in record if repr(record[k]) != repr(after[key][k])}

            assert (type(held), held) == (type(after[key]["updatedAt"]), after[key]["updatedAt"])
            assert {"updatedAt"} <= changed <= {"updatedAt", "twice", "kept"}
            assert repr(record["updatedAt"]) == repr(changes[key].before)
            assert repr(held) == repr(changes[key].after)
            assert "createdAt" == changes[key].candidate

    with opened(path, encodings=encoding) as store:
        back = rollback(store, now=NOW, pace=slowly(9))

    assert ("complete", run.counts.changed) == (back.status, back.counts.changed)
    assert before == dump(path)


HOSTILE: Final = (
    'quo"te', "back`tick", "a]b[c", "new\nline", "select", "percent%s", ":low_0", "?", "", "c", "t", "one", "two", "value_0",
    "candidate", "before", "changes", "__[POSTCOMPILE_x]", "'; DROP TABLE services; --", "日本", "timestamp_guard", "y" * 2000,
)  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("encoding", ["epoch_ms", "rfc3339"])
def test_hostile_names(tmp_path: Path, name: str, encoding: str) -> None:
    """
    A table, its key and its fields can be called anything.
    """
    write, _ = TIMES[encoding]
    key, updated, created = f"{name} key", name, f"created {name}"
    quoted = [each.replace('"', '""') for each in (name or "empty", key, updated, created)]
    path = make(
        tmp_path / "app.db",
        'CREATE TABLE "{}" ("{}" TEXT PRIMARY KEY, "{}", "{}", CHECK ("{}" <> 13))'.format(*quoted, quoted[2]),
        rows=[[f"k{n}", None, write(MS - n)] for n in range(5)],
        into=quoted[0],
    )
    before = dump(path)
    guard, repair = updated_at_guard(updated, created), Repair(updated, (created,))

    with opened(path, name or "empty", encodings=encoding) as store:
        run = backfill(store, guard, repair, now=NOW, pace=slowly(2))
        assert (5, ()) == (run.counts.changed, tuple(check(store, guard, now=NOW).violations))
        assert "5 to fill" not in str(plan(store, guard, repair, now=NOW))
        rollback(store, now=NOW)
        assert 5 == plan(store, guard, repair, now=NOW).work

    assert before == dump(path)


# -- who is who -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "keys"),
    [
        (f"x, {REST}", [("a",), ("b",)]),
        (f"_id TEXT PRIMARY KEY, {REST}", [(None,), (None,)]),
        (f"_id TEXT UNIQUE, {REST}", [("a",), ("b",)]),
        (f"_id TEXT NOT NULL, {REST}); CREATE UNIQUE INDEX part ON services (_id) WHERE note > 1 --", [("a",), ("b",)]),
        (f"_id TEXT NOT NULL, {REST}); CREATE UNIQUE INDEX lowered ON services (lower(_id)) --", [("a",), ("b",)]),
        (f"_id TEXT NOT NULL, {REST}); CREATE INDEX slow ON services (_id) --", [("a",), ("b",)]),
    ],
    ids=["none", "null keys", "nullable", "partial", "expression", "not unique"],
)
def test_no_identity(tmp_path: Path, sql: str, keys: list[tuple[Any]]) -> None:
    """
    Where no row could be found again a check works, and a backfill is refused with what would help.
    """
    path = make(tmp_path / "app.db")
    with user(path) as database:
        database.executescript(f"CREATE TABLE services ({sql}\n)".replace("--\n)", ""))
    make(path, rows=[[*key, MS, None, "note"] for key in keys])
    before = dump(path)

    with opened(path) as store:
        report = check(store, GUARD, now=NOW)

        assert {"null": 2} == report.violations
        assert 2 == plan(store, GUARD, REPAIR, now=NOW).work
        with pytest.raises(NoIdentity, match=r"table services has no key .*CREATE UNIQUE INDEX"):
            backfill(store, GUARD, REPAIR, now=NOW)
        assert [] == runs(store)
    assert before == dump(path)


def plain(path: Path, count: int = 10, key: str = "_id TEXT PRIMARY KEY", **faults: Raw) -> Path:
    """A table of *count* rows to fill, `k0` and so on; *faults* are values of `updatedAt` in some of them."""
    rows = [[f"k{n}", MS - DAY * (n + 1), faults.get(f"k{n}"), f"note {n}"] for n in range(count)]
    return make(path, f"CREATE TABLE services ({key}, {REST})", rows=rows)


def test_declared_key(tmp_path: Path) -> None:
    """
    A key that the user names is taken, if it is one.
    """
    path = plain(tmp_path / "app.db", key="_id")
    before = dump(path)

    with opened(path, key="_id") as store:
        assert 10 == backfill(store, GUARD, REPAIR, now=NOW).counts.changed
    with opened(path) as store:  # the ledger remembers the key
        assert 10 == rollback(store, now=NOW).counts.changed
    assert before == dump(path)

    do(path, "UPDATE services SET _id = 'same' WHERE _id > 'k7'")
    with (
        opened(path, key="_id") as store,
        pytest.raises(NoIdentity, match="_id of services is not unique: 'same' is in 2 rows"),
    ):
        backfill(store, GUARD, REPAIR, now=NOW)
    do(path, "UPDATE services SET _id = NULL WHERE _id = 'same'")
    with opened(path, key=["_id"]) as store, pytest.raises(NoIdentity, match="it is null in 2 rows"):
        backfill(store, GUARD, REPAIR, now=NOW)
    with pytest.raises(UnknownName, match="no field 'id' in table services; did you mean '_id'"):
        opened(path, key="id")


def test_another_key(tmp_path: Path) -> None:
    """
    An unfinished run goes on only by the key that it began with, and is taken back by it whatever the key is now.
    """
    rows = [[f"k{n}", n, MS - DAY, None] for n in range(6)]
    path = make(
        tmp_path / "app.db", "CREATE TABLE services (a TEXT PRIMARY KEY, b INT, createdAt, updatedAt)", rows=rows
    )
    before = dump(path)

    with opened(path) as store, pytest.raises(KeyboardInterrupt):
        backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(2), progress=interrupt)
    with opened(path, key=["b"]) as store:
        with pytest.raises(PlanChanged, match="tells rows apart by a, not by b: open the table with that key"):
            backfill(store, GUARD, REPAIR, now=NOW)
        assert 2 == rollback(store, now=NOW).counts.changed
    assert before == dump(path)


def interrupt(step: Step) -> None:
    raise KeyboardInterrupt


def test_null_keys_come(tmp_path: Path) -> None:
    """
    Keys that become null after a backfill do not make the ledger point at other rows.
    """
    rows = [[f"k{n}", n, MS - DAY, None] for n in range(6)]
    path = make(
        tmp_path / "app.db",
        "CREATE TABLE services (a TEXT PRIMARY KEY, b INT NOT NULL UNIQUE, createdAt, updatedAt)",
        rows=rows,
    )
    with opened(path) as store:
        assert ("a",) == store.key
        backfill(store, GUARD, REPAIR, now=NOW)
    do(path, "UPDATE services SET a = NULL WHERE b = 3")

    with opened(path) as store:
        assert ("b",) == store.key
        back = rollback(store, now=NOW)

    assert (5, 1) == (back.counts.changed, back.counts.refused)
    assert [(3, MS - DAY)] == ask(path, "SELECT b, updatedAt FROM services WHERE updatedAt IS NOT NULL")


def test_refused(tmp_path: Path) -> None:
    """
    What cannot be filled is refused by name: views, virtual tables, computed columns, keys, the ledger, text columns.
    """
    path = make(
        tmp_path / "app.db",
        "CREATE TABLE services (_id TEXT PRIMARY KEY, createdAt, updatedAt, at AS (updatedAt), words TEXT, time VARCHAR(20))",
        "CREATE VIEW seen AS SELECT * FROM services",
        "CREATE VIRTUAL TABLE boxes USING rtree(_id, low, high)",
        f"INSERT INTO services (_id, createdAt) VALUES ('a', {MS})",
        "INSERT INTO boxes VALUES (1, 2, 3)",
    )
    before = dump(path)

    with pytest.raises(UsageError, match="seen is a view: name the table"):
        opened(path, "seen")
    with opened(path, "boxes") as store, pytest.raises(UsageError, match="boxes is a virtual table: fill the table"):
        backfill(store, updated_at_guard("low", "high"), Repair("low", ("high",), {"too_early"}), now=3 * 10**6)
    with opened(path) as store:
        for name, said in (
            ("at", "at of services is computed from other columns"),
            ("_id", "_id is part of the key of services"),
            ("words", "words of services is declared TEXT, so SQLite would store a number as text"),
            ("time", r"time of services is declared VARCHAR\(20\)"),
        ):
            with pytest.raises(UsageError, match=said):
                backfill(store, present(name), Repair(name, ("createdAt",), {"null", "wrong_type"}), now=NOW)
        with pytest.raises(UnknownName, match="no field 'updated_at' in services; did you mean 'updatedAt'"):
            check(store, updated_at_guard("updated_at"), now=NOW)
        backfill(store, GUARD, REPAIR, now=NOW)
    with pytest.raises(UsageError, match="timestamp_guard_runs is part of the ledger"):
        opened(path, "timestamp_guard_runs")
    with pytest.raises(UsageError, match="SQLite has no type for datetimes"):
        opened(path, encodings={"updatedAt": "datetime"})
    assert before["schema"] == dump(path)["schema"]
    assert ["services", "boxes"] == [name for name in tables(f"sqlite:///{path}") if "_" not in name]


# -- triggers and constraints of the user's own -----------------------------------------------------------------

TOUCHES: Final = {
    "after": "CREATE TRIGGER {} AFTER UPDATE ON services BEGIN UPDATE services SET updatedAt = 5 WHERE _id = NEW._id; END",
    "of": "CREATE TRIGGER {} AFTER UPDATE OF updatedAt ON services BEGIN UPDATE services SET updatedAt = 5 WHERE _id = NEW._id; END",
    "other case": "CREATE TRIGGER {} AFTER UPDATE ON SerVices BEGIN UPDATE services SET updatedAt = 5 WHERE _id = NEW._id; END",
    "ignored": "CREATE TRIGGER {} BEFORE UPDATE ON services BEGIN SELECT RAISE(IGNORE); END",
    "deleted": "CREATE TRIGGER {} AFTER UPDATE ON services BEGIN DELETE FROM services WHERE _id = NEW._id; END",
    "some rows": "CREATE TRIGGER {} AFTER UPDATE ON services WHEN NEW._id = 'k0' "
    "BEGIN UPDATE services SET updatedAt = CAST(updatedAt AS REAL) WHERE _id = 'k0'; END",
}  # fmt: skip


@pytest.mark.parametrize("encoding", ["epoch_ms", "epoch_ms/us"])
@pytest.mark.parametrize("name", ["touch", '"x BEGIN y"', '"AFTER BEGIN"', '"日 `"'])
@pytest.mark.parametrize("touch", TOUCHES)
def test_touched(tmp_path: Path, touch: str, name: str, encoding: str) -> None:
    """
    A trigger that changes what is written is found by trying, and named; nothing is changed, nothing is recorded.
    """
    path = plain(tmp_path / "app.db")
    do(path, TOUCHES[touch].format(name))
    before = dump(path)

    with opened(path, encodings=encoding) as store:
        assert any("will be set off" in said for said in plan(store, GUARD, REPAIR, now=NOW).statements)
        with pytest.raises(WriteUndone, match=rf"trigger {name.strip(chr(34))} changes it.*Drop the trigger"):
            backfill(store, GUARD, REPAIR, now=NOW)
        assert [] == runs(store)
    assert before == dump(path)
    assert [] == ask(path, "SELECT name FROM sqlite_master WHERE name LIKE 'timestamp_guard%'")


def test_touched_later(tmp_path: Path) -> None:
    """
    A trigger for some rows only, or one that comes while a run is at work, stops the run; without it, it goes on.
    """
    path = plain(tmp_path / "app.db")
    do(path, TOUCHES["some rows"].format("touch").replace("k0", "k5"))

    with opened(path) as store:
        with pytest.raises(WriteUndone, match="trigger touch"):
            backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(2))
        (stopped,) = runs(store)
        assert ("stopped", 4) == (stopped.status, stopped.counts.changed)
        assert "trigger touch" in (stopped.reason or "")
        assert 4 == sum(updated is not None for (updated,) in ask(path, "SELECT updatedAt FROM services"))

        do(path, "DROP TRIGGER touch")

        def touched(step: Step) -> None:
            do(path, TOUCHES["other case"].format("again").replace("CREATE TRIGGER", "CREATE TRIGGER IF NOT EXISTS"))

        with pytest.raises(WriteUndone, match="trigger again"):
            backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(2), progress=touched)
        do(path, "DROP TRIGGER again")
        run = backfill(store, GUARD, REPAIR, now=NOW)

    assert (stopped.id, "complete", 10) == (run.id, run.status, run.counts.changed)


def test_touched_on_the_way_back(tmp_path: Path) -> None:
    """
    A rollback, too, makes sure that what it gives back stays; what others set to the same counts for nothing.
    """
    path = plain(tmp_path / "app.db")
    before = dump(path)
    with opened(path) as store:
        backfill(store, GUARD, REPAIR, now=NOW)
        do(path, "UPDATE services SET updatedAt = NULL WHERE _id < 'k8'")
        filled_ = dump(path)
        do(
            path,
            "CREATE TRIGGER touch AFTER UPDATE ON services BEGIN UPDATE services SET updatedAt = 5 WHERE _id = NEW._id; END",
        )

        with pytest.raises(WriteUndone, match="trigger touch"):
            rollback(store, now=NOW)
        do(path, "DROP TRIGGER touch")
        assert filled_ == dump(path)
        back = rollback(store, now=NOW)

    assert ("incomplete", 2, 8) == (back.status, back.counts.changed, back.counts.refused)
    assert before == dump(path)


def test_audited(tmp_path: Path) -> None:
    """
    Triggers that do not touch the field do their work, in both directions.
    """
    path = plain(tmp_path / "app.db")
    do(
        path,
        "CREATE TABLE audit (said)",
        "CREATE TRIGGER log AFTER UPDATE OF updatedAt ON services BEGIN INSERT INTO audit VALUES (OLD.updatedAt || '>' || NEW._id); END",
        "CREATE TRIGGER stamp AFTER INSERT ON services BEGIN UPDATE services SET updatedAt = 5 WHERE _id = NEW._id; END",
        "CREATE TRIGGER count BEFORE UPDATE ON services WHEN NEW.updatedAt < 0 BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    with opened(path) as store:
        assert 10 == backfill(store, GUARD, REPAIR, now=NOW).counts.changed
        assert 10 == rollback(store, now=NOW).counts.changed
    assert [(20,)] == ask(path, "SELECT count(*) FROM audit")
    assert [(10,)] == ask(path, "SELECT count(*) FROM services WHERE updatedAt IS NULL")


FAILS: Final = {
    "check": ("CHECK (updatedAt IS NULL OR _id NOT IN ('k3', 'k4', 'k9'))", ""),
    "trigger": ("", "CREATE TRIGGER no BEFORE UPDATE ON services WHEN OLD._id IN ('k3', 'k4', 'k9') BEGIN SELECT RAISE({}, 'no'); END"),
    "unique": ("UNIQUE (updatedAt)", ""),
}  # fmt: skip


@pytest.mark.parametrize("encoding", ["epoch_ms", "epoch_ms/us"])
@pytest.mark.parametrize("rowid", ["", "WITHOUT ROWID"])
@pytest.mark.parametrize("how", ["check", "ABORT", "FAIL", "ROLLBACK", "unique"])
def test_quarantine(tmp_path: Path, how: str, rowid: str, encoding: str) -> None:
    """
    Rows that the user's own constraints refuse are set aside with the reason; all others are filled, and given back.
    """
    constraint, trigger = FAILS[how if how in FAILS else "trigger"]
    constraint = f", {constraint}" if constraint else ""
    created = {3: MS - 77, 4: MS - 77, 9: MS - 77} if how == "unique" else {}
    rows: list[list[Raw]] = [[f"k{n}", created.get(n, MS - DAY * (n + 1)), None] for n in range(40)]
    rows.append(["sound", MS - DAY, MS - 77])
    path = make(
        tmp_path / "app.db",
        f"CREATE TABLE services (_id TEXT PRIMARY KEY NOT NULL, createdAt, updatedAt {constraint}) {rowid}",
        trigger.format(how),
        rows=rows,
    )
    before = dump(path)

    with opened(path, encodings=encoding) as store:
        run = backfill(store, GUARD, REPAIR, now=NOW)
        aside = {each.key: each.reason for each in store.ledger.quarantined(run)}
        assert ("incomplete", 37, 3) == (run.status, run.counts.changed, run.counts.quarantined)
        assert {"k3", "k4", "k9"} == set(aside)
        assert all(
            {"check": "CHECK constraint", "unique": "UNIQUE constraint"}.get(how, "no") in said
            for said in aside.values()
        )
        assert 37 == len(store.ledger.changes(run))
        assert {"null": 3} == check(store, GUARD, now=NOW).violations

        back = rollback(store, now=NOW)

    assert ("complete", 37) == (back.status, back.counts.changed)
    assert before == dump(path)


def test_too_many_failures(tmp_path: Path) -> None:
    """
    Where nearly all writes fail the run stops, saying why, and can go on when the cause is mended.
    """
    path = plain(tmp_path / "app.db", 50)
    do(path, "CREATE TRIGGER no BEFORE UPDATE ON services BEGIN SELECT RAISE(ABORT, 'frozen for the audit'); END")

    with opened(path) as store:
        with pytest.raises(TooManyFailures, match="11 of 11 writes failed.*frozen for the audit"):
            backfill(store, GUARD, REPAIR, now=NOW)
        do(path, "DROP TRIGGER no")
        run = backfill(store, GUARD, REPAIR, now=NOW)

    assert (39, 11) == (run.counts.changed, run.counts.quarantined)


def test_quarantined_on_the_way_back(tmp_path: Path) -> None:
    """
    What a constraint of later does not let back is set aside too, with the reason.
    """
    path = plain(tmp_path / "app.db")
    with opened(path) as store:
        backfill(store, GUARD, REPAIR, now=NOW)
        do(
            path,
            "CREATE TRIGGER keep BEFORE UPDATE ON services WHEN NEW.updatedAt IS NULL AND OLD._id = 'k4' BEGIN SELECT RAISE(ABORT, 'kept'); END",
        )
        back = rollback(store, now=NOW)
        aside = store.ledger.quarantined(back)

    assert ("incomplete", 9, 1) == (back.status, back.counts.changed, back.counts.quarantined)
    assert [("k4", "kept")] == [(each.key, each.reason) for each in aside]


def test_another_type_since(tmp_path: Path) -> None:
    """
    An old value that the column would change, because its type is another one since, is not given back.
    """
    path = make(
        tmp_path / "app.db",
        "CREATE TABLE services (_id TEXT PRIMARY KEY, createdAt, updatedAt)",
        rows=[["k", MS - DAY, "17"], ["null", MS - DAY, None]],
    )
    with opened(path) as store:
        run = backfill(store, GUARD, Repair("updatedAt", ("createdAt",), MISSING | {"wrong_type"}), now=NOW)
    do(
        path,
        "CREATE TABLE new (_id TEXT PRIMARY KEY, createdAt, updatedAt INTEGER)",
        "INSERT INTO new SELECT * FROM services",
    )
    do(path, "DROP TABLE services", "ALTER TABLE new RENAME TO services")
    before = dump(path)

    with opened(path) as store:
        with pytest.raises(
            WriteUndone, match="updatedAt of services is declared INTEGER now, .* Give the column the type"
        ):
            rollback(store, now=NOW)
        assert before == dump(path)
        do(path, "ALTER TABLE services DROP COLUMN updatedAt", "ALTER TABLE services ADD COLUMN updatedAt")
        do(path, "UPDATE services SET updatedAt = createdAt")
    with opened(path) as store:
        back = rollback(store, now=NOW)

    assert (2, ("complete", 2)) == (run.counts.changed, (back.status, back.counts.changed))
    assert [("17",), (None,)] == ask(path, "SELECT updatedAt FROM services ORDER BY _id")


def test_nothing_of_a_renamed_table(tmp_path: Path) -> None:
    """
    Where a table has no runs, a rollback names those that have.
    """
    path = plain(tmp_path / "app.db")
    with opened(path) as store:
        backfill(store, GUARD, REPAIR, now=NOW)
    do(path, "ALTER TABLE services RENAME TO offers")

    with opened(path, "offers") as store:
        back = rollback(store, now=NOW)

    assert (None, "the ledger knows only runs of services") == (back.id, back.reason)


@pytest.mark.parametrize("deferred", ["", "DEFERRABLE INITIALLY DEFERRED"])
def test_foreign_keys(tmp_path: Path, deferred: str) -> None:
    """
    A value that a foreign key of the user's refuses, at once or at the end, is not written, though SQLite would.
    """
    path = make(
        tmp_path / "app.db",
        "CREATE TABLE days (day INTEGER PRIMARY KEY)",
        f"CREATE TABLE services (_id TEXT PRIMARY KEY, createdAt, updatedAt REFERENCES days {deferred})",
        *(f"INSERT INTO days VALUES ({MS - DAY * n})" for n in range(5)),
        rows=[[f"k{n}", MS - DAY * n, None] for n in range(10)],
    )
    with opened(path) as store:
        run = backfill(store, GUARD, REPAIR, now=NOW)

        assert (5, 5) == (run.counts.changed, run.counts.quarantined)
        assert 5 == len(store.ledger.changes(run))
    assert [] == ask(path, "PRAGMA foreign_key_check")


@pytest.mark.parametrize("encoding", ["epoch_ns", "epoch_ns/us"])
def test_real_column(tmp_path: Path, encoding: str) -> None:
    """
    A REAL column takes the numbers that it can hold, and its rows get their old ones back; others are not written.
    """
    rows = [["small", 2**52 - 1, None], ["odd", 2**60 + 1, None], ["even", 2**60, 5.0]]
    path = make(
        tmp_path / "app.db",
        "CREATE TABLE services (_id TEXT PRIMARY KEY, createdAt INTEGER, updatedAt REAL)",
        rows=rows,
    )
    before = dump(path)
    guard, repair = in_order("createdAt", "updatedAt") & present("updatedAt"), Repair("updatedAt", ("createdAt",))

    with opened(path, encodings=encoding) as store:
        run = backfill(store, guard, repair, now=NOW)
        (aside,) = store.ledger.quarantined(run)

        assert (1, 1) == (run.counts.changed, run.counts.quarantined)
        assert ("odd", "updatedAt is declared REAL, which cannot hold the number") == (aside.key, aside.reason)
        assert 1 == rollback(store, now=NOW).counts.changed
    assert before == dump(path)


def test_beyond_64_bits(tmp_path: Path) -> None:
    """
    A number that SQLite cannot hold is set aside.
    """
    path = make(
        tmp_path / "app.db",
        "CREATE TABLE services (_id TEXT PRIMARY KEY, createdAt, updatedAt)",
        rows=[["a", 2**62, None], ["b", MS, None]],
    )
    encodings = {"createdAt": "epoch_s", "updatedAt": "epoch_ms"}

    with opened(path, encodings=encodings) as store:
        run = backfill(store, present("updatedAt"), REPAIR, now=NOW)
        (aside,) = store.ledger.quarantined(run)

        assert (1, 1, "a") == (run.counts.changed, run.counts.quarantined, aside.key)
        assert "too large" in aside.reason


# -- what the ledger holds --------------------------------------------------------------------------------------


def test_storage_classes(tmp_path: Path) -> None:
    """
    The ledger holds old and new values in their storage class, and so they come back.
    """
    before = [None, 0, -1, "0", "", "soon", b"", b"\x00", 0.0, -1.0, 2.0**60, -(2.0**60)]
    rows = [[f"k{n}", [MS, MS + 0.5][n % 2], raw] for n, raw in enumerate(before)]
    path = make(tmp_path / "app.db", "CREATE TABLE services (_id TEXT PRIMARY KEY, createdAt, updatedAt)", rows=rows)
    there = dump(path)
    repair = Repair("updatedAt", ("createdAt",), {"null", "placeholder", "wrong_type", "imprecise"})

    with opened(path) as store:
        assert 12 == backfill(store, GUARD, repair, now=NOW).counts.changed
    held = ask(
        path, "SELECT key_1, typeof(before), before, typeof(after), after FROM timestamp_guard_changes ORDER BY id"
    )
    kinds = {type(None): "null", int: "integer", float: "real", str: "text", bytes: "blob"}

    assert [(key, kinds[type(raw)], repr(raw), kinds[type(to)], to) for key, to, raw in rows] == [
        (key, kind, repr(raw), kind_to, to) for key, kind, raw, kind_to, to in held
    ]
    with opened(path) as store:
        rollback(store, now=NOW)
    assert there == dump(path)


def test_transactions(tmp_path: Path) -> None:
    """
    A transaction is all or nothing, with tables and savepoints in it; a view is one from its beginning; and nothing is
    left open, whatever the driver thinks of the statement.
    """
    path = plain(tmp_path / "app.db")
    do(path, "PRAGMA journal_mode = WAL")
    before = dump(path)
    with opened(path) as store, user(path, timeout=0) as other:
        database = store.database
        with contextlib.suppress(TakenBack), database.writing():
            database.run("CREATE TABLE made (n)")
            database.run("SAVEPOINT here")
            database.run("UPDATE services SET note = 'x'")
            database.run("RELEASE here")
            raise TakenBack
        assert before == dump(path)

        with database.reading():
            other.execute("UPDATE services SET note = 'theirs'")
            assert [(0,)] == database.rows("SELECT sum(note = 'theirs') FROM services")
        database.run("UPDATE services SET note = 'ours'")
        other.execute("UPDATE services SET note = note || '!'")

    assert [("ours!",)] == ask(path, "SELECT DISTINCT note FROM services")


@pytest.mark.parametrize("encoding", ["epoch_ms", "epoch_ms/us"])
def test_strict_any(tmp_path: Path, encoding: str) -> None:
    """
    A column of any type in a STRICT table converts nothing: a number that was made a real one since is the user's.
    """
    sql = "CREATE TABLE services (_id TEXT PRIMARY KEY, createdAt ANY, updatedAt ANY) STRICT"
    path = make(tmp_path / "app.db", sql, rows=[[f"k{n}", MS, [None, "0", "soon"][n % 3]] for n in range(6)])
    before = dump(path)

    with opened(path, encodings=encoding) as store:
        assert {"null": 2, "wrong_type": 4} == check(store, GUARD, now=NOW).violations
        repair = Repair("updatedAt", ("createdAt",), {"null", "wrong_type"})
        assert 6 == backfill(store, GUARD, repair, now=NOW).counts.changed
        do(path, "UPDATE services SET updatedAt = CAST(updatedAt AS REAL) WHERE _id = 'k0'")
        back = rollback(store, now=NOW)

    assert (5, 1) == (back.counts.changed, back.counts.refused)
    assert [("real",)] == ask(path, "SELECT typeof(updatedAt) FROM services WHERE _id = 'k0'")
    do(path, "UPDATE services SET updatedAt = NULL WHERE _id = 'k0'")
    assert before == dump(path)


@pytest.mark.parametrize("declared", ["TIMESTAMP", "DATETIME", "DATE", "BOOLEAN"])
@pytest.mark.parametrize("encoding", ["epoch_ms", "epoch_ms/us", "rfc3339"])
def test_garbage(tmp_path: Path, declared: str, encoding: str) -> None:
    """
    What a column is declared to hold says nothing: whatever is there is read as it is, judged, and given back.
    """
    good: Raw = MS if encoding.startswith("epoch") else "2024-05-01T00:00:00Z"
    values = [None, "soon", "2024-13-45 99:00", b"\x00\xff", 1.5, -1, "", "12:00", 2**62]
    sql = f"CREATE TABLE services (_id TEXT PRIMARY KEY, createdAt {declared}, updatedAt {declared})"
    path = make(tmp_path / "app.db", sql, rows=[[f"k{n}", good, raw] for n, raw in enumerate(values)])
    before = dump(path)
    held = ask(path, "SELECT createdAt, updatedAt FROM services")
    encodings = dict.fromkeys(("createdAt", "updatedAt"), encoding)
    wrong = [judged({"createdAt": c, "updatedAt": u}, GUARD, encodings, NOW) for c, u in held]

    with opened(path, encodings=encoding) as store:
        report = check(store, GUARD, now=NOW)
        assert (len([each for each in wrong if each]), 9) == (report.broken, report.records)
        repair = Repair("updatedAt", ("createdAt",), {"null", "wrong_type", "unreadable", "placeholder", "imprecise"})
        changed = backfill(store, GUARD, repair, now=NOW).counts.changed
        assert changed >= 5
        assert changed == rollback(store, now=NOW).counts.changed
    assert before == dump(path)


@pytest.mark.parametrize("encoding", ["epoch_ms", "epoch_ms/us", "rfc3339"])
def test_not_utf8(tmp_path: Path, encoding: str) -> None:
    """
    Text that is no UTF-8 is a fault like others: shown, replaced, recorded byte for byte and given back.
    """
    created = TIMES.get(encoding, TIMES["epoch_ms"])[0](MS)
    path = make(tmp_path / "app.db", "CREATE TABLE services (_id TEXT PRIMARY KEY, createdAt, updatedAt)")
    with user(path) as database:
        for key, raw in (("a", b"\xff\xfe"), ("b", b"a\x00\x80"), ("c\udcff", b"ok")):
            held = key.encode("utf-8", "surrogateescape")
            database.execute("INSERT INTO services VALUES (CAST(? AS TEXT), ?, CAST(? AS TEXT))", (held, created, raw))
    before = dump(path)
    repair = Repair("updatedAt", ("createdAt",), {"wrong_type", "unreadable"})

    with opened(path, encodings=encoding) as store:
        report = check(store, GUARD, now=NOW)
        assert 3 == report.broken
        assert str(report).encode()
        assert {"a", "b", "c\udcff"} == {each.key for each in violations(store, GUARD, now=NOW)}
        run = backfill(store, GUARD, repair, now=NOW)
        assert ("complete", 3) == (run.status, run.counts.changed)
        assert {"a", "b", "c\udcff"} == {change.key for _, change in store.ledger.changes(run)}
        assert 3 == rollback(store, now=NOW).counts.changed
    assert before == dump(path)


# -- between a backfill and its rollback ------------------------------------------------------------------------

KEYS: Final = {"rowid": "", "without rowid": "WITHOUT ROWID"}


def between(path: Path, options: str = "") -> Dump:
    """Ten rows, filled; returns what they were."""
    rows = [[f"k{n * 7 % 10}", MS - DAY * (n + 1), None if n % 2 else 0] for n in range(10)]
    make(path, f"CREATE TABLE services (_id TEXT PRIMARY KEY NOT NULL, createdAt, updatedAt) {options}", rows=rows)
    before = dump(path)
    with opened(path) as store:
        assert backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(3)).ok
    return before


@pytest.mark.parametrize("options", KEYS.values(), ids=KEYS)
def test_vacuum(tmp_path: Path, options: str) -> None:
    """
    Rows that have other places since are found by their keys.
    """
    path = tmp_path / "app.db"
    before = between(path, options)
    do(
        path,
        "DELETE FROM services WHERE _id = 'k0'",
        "VACUUM",
        f"INSERT INTO services VALUES ('k0', {MS - DAY}, {MS - DAY})",
    )

    with opened(path) as store:
        back = rollback(store, now=NOW, pace=slowly(4))

    # The row that was deleted and came back holds what the run wrote, so it cannot be told from it.
    assert ("complete", 10) == (back.status, back.counts.changed)
    assert before == dump(path)


def test_renumbered(tmp_path: Path) -> None:
    """
    Where no index holds rows in their places VACUUM moves them all, each to where another one was.
    """
    path = plain(tmp_path / "app.db", key="_id")
    do(path, "DELETE FROM services WHERE _id IN ('k0', 'k4')")
    before = dump(path)
    with opened(path, key="_id") as store:
        backfill(store, GUARD, REPAIR, now=NOW)
    do(path, "VACUUM")

    with opened(path, key="_id") as store:
        assert ("complete", 8) == ((back := rollback(store, now=NOW)).status, back.counts.changed)
    assert before == dump(path)


@pytest.mark.parametrize("moved", [False, True])
def test_keys_that_look_alike(tmp_path: Path, moved: bool) -> None:
    """
    Two keys that the column takes for one, and its index does not, are two, wherever their rows are since.
    """
    rows = [[key, MS - DAY, raw] for key, raw in (("a", None), ("A", 0), ("B", 0), ("b", None))]
    path = make(
        tmp_path / "app.db",
        "CREATE TABLE services (_id TEXT COLLATE NOCASE NOT NULL, createdAt, updatedAt)",
        "CREATE UNIQUE INDEX exactly ON services (_id COLLATE BINARY)",
        rows=rows,
    )
    with opened(path) as store:
        backfill(store, GUARD, REPAIR, now=NOW)
    if moved:
        do(path, "UPDATE services SET rowid = 50 - rowid")
    with opened(path) as store:
        back = rollback(store, now=NOW)

    assert ("complete", 4) == (back.status, back.counts.changed)
    assert {key: raw for key, _, raw in rows} == dict(ask(path, "SELECT _id, updatedAt FROM services"))


@pytest.mark.parametrize("options", KEYS.values(), ids=KEYS)
def test_lived_on(tmp_path: Path, options: str) -> None:
    """
    Rows that came, went or were changed since are left as they are, and counted.
    """
    path = tmp_path / "app.db"
    before = between(path, options)
    do(
        path,
        "DELETE FROM services WHERE _id = 'k1'",
        f"INSERT INTO services VALUES ('new', {MS}, {MS})",
        f"UPDATE services SET updatedAt = {MS} WHERE _id = 'k2'",
        "UPDATE services SET updatedAt = CAST(updatedAt AS REAL) WHERE _id = 'k3'",
        "UPDATE services SET updatedAt = CAST(updatedAt AS TEXT) WHERE _id = 'k4'",
        "UPDATE services SET updatedAt = NULL WHERE _id = 'k5'",
        "UPDATE services SET _id = 'renamed' WHERE _id = 'k6'",
        "UPDATE services SET createdAt = 5 WHERE _id = 'k7'",
    )
    with opened(path) as store:
        back = rollback(store, now=NOW)
    after = {row[1]: row[-2] for row in dump(path)["services"]}

    assert ("incomplete", 4, 6) == (back.status, back.counts.changed, back.counts.refused)
    assert {"'k0'", "'k7'", "'k8'", "'k9'"} == {
        row[1] for row in before["services"] if after.get(row[1]) == row[-2]
    } - {"'k5'"}
    assert (f"{MS}", f"{MS}") == (after["'new'"], after["'k2'"])
    assert after["'k4'"].startswith("'")


@pytest.mark.parametrize("encoding", ["epoch_ms", "epoch_ms/us"])
@pytest.mark.parametrize("options", KEYS.values(), ids=KEYS)
def test_filled_twice(tmp_path: Path, options: str, encoding: str) -> None:
    """
    A row that a run filled twice goes back to what its user wrote in between: from the newest change.
    """
    path = tmp_path / "app.db"
    rows = [[f"k{n}", MS - DAY * (n + 1), None] for n in range(10)]
    make(path, f"CREATE TABLE services (_id TEXT PRIMARY KEY NOT NULL, createdAt, updatedAt) {options}", rows=rows)

    def again(step: Step) -> None:
        if step.run.counts.changed == 6 and step.run.sweep == 1:
            do(path, "UPDATE services SET updatedAt = 0 WHERE _id IN ('k1', 'k3')")

    with opened(path, encodings=encoding) as store:
        run = backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(3), progress=again)
        back = rollback(store, now=NOW)

    assert ("complete", 12, 2) == (run.status, run.counts.changed, run.sweep)
    assert (10, 2) == (back.counts.changed, back.counts.refused)
    assert [("k1", 0), ("k3", 0)] == ask(
        path, "SELECT _id, updatedAt FROM services WHERE updatedAt IS NOT NULL ORDER BY 1"
    )


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "ALTER TABLE services RENAME COLUMN updatedAt TO updated_at",
            "no field 'updatedAt' in table services; did you mean 'updated_at'",
        ),
        ("ALTER TABLE services DROP COLUMN updatedAt", "no field 'updatedAt' in table services"),
        ("ALTER TABLE services RENAME COLUMN _id TO id", "no field '_id' in table services; did you mean 'id'"),
        ("ALTER TABLE services RENAME TO service", "no table 'services' in .*app.db; did you mean 'service'"),
        ("DROP TABLE services", "no table 'services' in .*app.db, which has no tables"),
    ],
)
def test_schema_changed(tmp_path: Path, statement: str, said: str) -> None:
    """
    A rollback after the schema was changed says what is not there any more, and writes nothing.
    """
    path = tmp_path / "app.db"
    between(path)
    do(path, statement)
    before = dump(path)

    for _ in range(2):
        with pytest.raises(UnknownName, match=said), opened(path) as store:
            rollback(store, now=NOW)
    assert before == dump(path)


def test_schema_changed_meanwhile(tmp_path: Path) -> None:
    """
    A column that is dropped under an open store is not taken for a text of its name.
    """
    path = plain(tmp_path / "app.db")
    with opened(path) as store:
        do(path, "ALTER TABLE services DROP COLUMN updatedAt")

        with pytest.raises(StoreError, match="no such column: updatedAt"):
            check(store, GUARD, now=NOW)


# -- several at once --------------------------------------------------------------------------------------------


def test_two_tables(tmp_path: Path) -> None:
    """
    Tables of one file have one ledger; runs that take turns are taken back each for itself, in any order.
    """
    path = plain(tmp_path / "app.db")
    do(path, "CREATE TABLE pages (a TEXT, b INTEGER, createdAt, updatedAt, PRIMARY KEY (a, b)) WITHOUT ROWID")
    make(path, rows=[["a", n, MS - DAY, None] for n in range(10)], into="pages")
    before = dump(path)

    with opened(path) as services, opened(path, "pages") as pages:

        def other(step: Step) -> None:
            if not runs(pages):
                backfill(pages, GUARD, REPAIR, now=NOW, pace=slowly(3))

        first = backfill(services, GUARD, REPAIR, now=NOW, pace=slowly(2), progress=other)
        (second,) = runs(pages)

        assert (10, 10) == (first.counts.changed, second.counts.changed)
        assert [first] == runs(services)
        assert {f"k{n}" for n in range(10)} == {change.key for _, change in services.ledger.changes(first)}
        assert {("a", n) for n in range(10)} == {change.key for _, change in pages.ledger.changes(second)}
        assert 10 == rollback(services, now=NOW, pace=slowly(4)).counts.changed
        assert 10 == rollback(pages, now=NOW, pace=slowly(4)).counts.changed
    assert before == dump(path)


@pytest.mark.parametrize("mode", ["DELETE", "WAL", "PERSIST"])
def test_only_looking(tmp_path: Path, mode: str) -> None:
    """
    Looking creates nothing, in the file or beside it; nor does a store that was opened to write, until it does.
    """
    path = plain(tmp_path / "app.db")
    do(path, f"PRAGMA journal_mode = {mode}")
    before, bytes_, beside = dump(path), path.read_bytes(), sorted(tmp_path.iterdir())

    for read_only in (True, False):
        with opened(path, read_only=read_only) as store:
            check(store, GUARD, now=NOW)
            plan(store, GUARD, REPAIR, now=NOW)
            assert [] == runs(store)
            assert rollback(store, now=NOW).id is None
        assert tables(f"sqlite:///{path}") == ["services"]
    with opened(path, read_only=True) as store, pytest.raises(StoreError, match="can only be read"):
        backfill(store, GUARD, REPAIR, now=NOW)

    assert (before, bytes_, beside) == (dump(path), path.read_bytes(), sorted(tmp_path.iterdir()))


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_backup(tmp_path: Path, mode: str) -> None:
    """
    A backup is the file as it was before the first change; what is called nearly so is left alone.
    """
    path = plain(tmp_path / "app.db")
    do(path, f"PRAGMA journal_mode = {mode}")
    before = dump(path)
    (tmp_path / "copy.db.part").write_bytes(b"somebody's")

    with opened(path) as store:
        backfill(store, GUARD, REPAIR, now=NOW, backup=tmp_path / "copy.db")
        with pytest.raises(UsageError, match="there is a file .*copy.db already"):
            store.backup(tmp_path / "copy.db")
        with pytest.raises(StoreError, match="there is no folder .*nowhere for the backup"):
            store.backup(tmp_path / "nowhere" / "copy.db")

    assert before != dump(path)
    assert before["services"] == dump(tmp_path / "copy.db")["services"]
    assert {"app.db", "copy.db", "copy.db.part"} == {each.name for each in tmp_path.iterdir()}
    assert b"somebody's" == (tmp_path / "copy.db.part").read_bytes()


@pytest.mark.parametrize(
    "name", ["a b.db", "100%25.db", "what?mode=ro.db", "#1.db", "日本.db", "new\nline.db", ":memory:", "\udcff.db"]
)
def test_file_names(tmp_path: Path, name: str) -> None:
    """
    A file can be called anything.
    """
    path = plain(tmp_path / name)

    with opened(path) as store:
        assert backfill(store, GUARD, REPAIR, now=NOW).ok
    assert [name] == [each.name for each in tmp_path.iterdir()]


def test_link(tmp_path: Path) -> None:
    """
    A link is followed, to the write-ahead log too.
    """
    (tmp_path / "there").mkdir()
    path = plain(tmp_path / "there" / "app.db")
    do(path, "PRAGMA journal_mode = WAL")
    (tmp_path / "link.db").symlink_to(path)

    with opened(tmp_path / "link.db") as store:
        assert backfill(store, GUARD, REPAIR, now=NOW).ok
        assert store.database.log.exists()
    assert ["link.db", "there"] == sorted(each.name for each in tmp_path.iterdir())


# -- the way through --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["epoch_ms", "rfc3339"])
def test_patience(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    """
    Work is found however long it takes to come to it.
    """
    write = TIMES[encoding][0]
    rows = [[f"k{n}", write(MS), None if n == 900 else write(MS)] for n in range(1000)]
    path = make(tmp_path / "app.db", "CREATE TABLE services (_id TEXT PRIMARY KEY, createdAt, updatedAt)", rows=rows)
    monkeypatch.setattr(sqlite_store, "PATIENCE_NS", 0)

    with opened(path, encodings=encoding) as store:
        run = backfill(store, GUARD, REPAIR, now=NOW)

    assert ("complete", 1) == (run.status, run.counts.changed)


@pytest.mark.parametrize(
    "numbers",
    [lambda n: n, lambda n: n << 40, lambda n: -n * 1009, lambda n: 2**63 - 1 - n * 7919],
    ids=["dense", "far apart", "negative", "huge"],
)
def test_steps(tmp_path: Path, numbers: Callable[[int], int]) -> None:
    """
    Rows whose numbers are far apart take hardly more steps than others.
    """
    rows = [[numbers(n), MS, None if n % 3 else MS] for n in range(3000)]
    path = make(tmp_path / "app.db", "CREATE TABLE services (_id INTEGER PRIMARY KEY, createdAt, updatedAt)", rows=rows)
    steps: list[Step] = []

    with opened(path) as store:
        run = backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(100), progress=steps.append)

    assert ("complete", 2000) == (run.status, run.counts.changed)
    assert len(steps) < 50
    assert all(step.fraction is None or 0 <= step.fraction <= 1 for step in steps)
    assert max(step.touched for step in steps) <= 100


@pytest.mark.parametrize("options", KEYS.values(), ids=KEYS)
@pytest.mark.parametrize("encoding", ["epoch_ms", "epoch_ms/us"])
def test_emptied(tmp_path: Path, options: str, encoding: str) -> None:
    """
    A table that is emptied under a run has nothing left to do.
    """
    path = tmp_path / "app.db"
    rows = [[f"k{n}", MS, None] for n in range(10)]
    make(path, f"CREATE TABLE services (_id TEXT PRIMARY KEY NOT NULL, createdAt, updatedAt) {options}", rows=rows)

    with opened(path, encodings=encoding) as store:
        run = backfill(
            store, GUARD, REPAIR, now=NOW, pace=slowly(2), progress=lambda step: do(path, "DELETE FROM services")
        )
        back = rollback(store, now=NOW)

    assert ("complete", 2) == (run.status, run.counts.changed)
    assert (0, 2) == (back.counts.changed, back.counts.refused)


def test_any_candidate(tmp_path: Path) -> None:
    """
    A function sees the whole row, and a value is read again in another encoding; the ledger says which it was.
    """
    rows: list[list[Raw]] = [["seconds", 5, MS // 1000], ["named", 5, None], ["2024-01-02", 5, None]]
    path = make(tmp_path / "app.db", "CREATE TABLE services (_id TEXT PRIMARY KEY, createdAt, updatedAt)", rows=rows)

    def named(record: Any) -> Any:
        from datetime import datetime

        return datetime.fromisoformat(record["_id"] + "T00:00:00+00:00") if record["_id"].startswith("2024") else None

    repair = Repair(
        "updatedAt", (reread("updatedAt", "epoch_s"), by("its name", named), PRESENT), {"null", "too_early"}
    )
    with opened(path) as store:
        run = backfill(store, updated_at_guard("updatedAt"), repair, now=NOW)
        said = {change.key: (change.after, change.candidate) for _, change in store.ledger.changes(run)}

    assert {
        "seconds": (MS // 1000 * 1000, "reread(updatedAt, epoch_s)"),
        "named": (MS, "NOW"),
        "2024-01-02": (parse_instant("2024-01-02") // 10**6, "by(its name)"),
    } == said
    assert sqlite3.sqlite_version_info >= (3, 35)
