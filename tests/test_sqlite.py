"""
SQLite tables of every kind are checked, filled and given back exactly, and nothing else of the file changes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from attrs import frozen

from timestamp_guard import NOW as PRESENT
from timestamp_guard import Repair, backfill, by, check, in_order, plan, present, reread, rollback, runs, violations
from timestamp_guard.errors import NoIdentity, PlanChanged, TooManyFailures, UnknownName, UsageError, WriteUndone
from timestamp_guard.instants import Encoding, Raw, encode, parse_instant
from timestamp_guard.predicate import violations as judged
from timestamp_guard.repairs import mend
from timestamp_guard.rules import Moment, updated_at_guard
from timestamp_guard.stores import tables
from timestamp_guard.stores.base import Step
from timestamp_guard.stores.sql import sqlite as sqlite_store

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

TIMES: Final = {
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
