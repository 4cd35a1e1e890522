"""
A table of SQLite that refuses by itself what the guard forbids; how it gets there, and back.
"""

import contextlib
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timestamp_guard import (
    Guard,
    Repair,
    backfill,
    enforce,
    enforcement,
    open_store,
    present,
    runs,
    unenforce,
    updated_at_guard,
)
from timestamp_guard.errors import StoreError, UsageError
from timestamp_guard.predicate import violations
from timestamp_guard.stores.sql import enforcing, rebuilding

from .enforced import CHAIN, FIXED, GUARD, LOOSE, MS, hooked, killed_at

TABLE = "CREATE TABLE t (id INTEGER PRIMARY KEY, created INTEGER, updated INTEGER, note TEXT)"
FILLED = f"INSERT INTO t SELECT value, {MS}, {MS + 1}, 'x' FROM generate_series"
RICH = """CREATE TABLE "t" ( -- hand-made, with (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  created INTEGER DEFAULT (strftime('%s', 'now') * 1000), /* , ) */
  'updated' INTEGER, -- last one was here
  name TEXT COLLATE NOCASE CHECK (name <> '),('),
  twice AS (2 * id) STORED,
  UNIQUE (name)
  -- the end
)"""
WAYS = pytest.mark.parametrize("rebuild", [False, True], ids=["triggers", "rebuild"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "app.db"


def sql(path: Path, *statements: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        found: list[tuple[Any, ...]] = []
        for statement in statements:
            found = database.execute(statement).fetchall()
        return found


def fill(path: Path, rows: int = 20) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.executemany("INSERT INTO t VALUES (?, ?, ?, 'x')", [(n, MS, MS + 1) for n in range(1, rows + 1)])


def schema(path: Path) -> list[tuple[Any, ...]]:
    return sql(path, "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'timestamp_guard_%' "
                     "AND tbl_name NOT LIKE 'timestamp_guard_%' OR type = 'trigger' ORDER BY 1, 2")  # fmt: skip


def opened(path: Path, encodings: Any = "epoch_ms", **how: Any) -> Any:
    return open_store(f"sqlite:///{path}", "t", encodings=encodings, **how)


def accepted(database: sqlite3.Connection, statement: str, values: tuple[Any, ...] = ()) -> bool:
    database.execute("SAVEPOINT here")
    try:
        database.execute(statement, values)
    except sqlite3.IntegrityError:
        return False
    finally:
        database.execute("ROLLBACK TO here")
        database.execute("RELEASE here")
    return True


ANY = st.one_of(
    st.sampled_from(
        [None, 0, -1, 1, 2**63 - 1, -(2**63), MS, MS + 1, MS - 1000, MS + 999, 946684800000, 946684799999, 0.0, -1.0]
    ),
    st.integers(MS - 3000, MS + 3000),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.floats(MS - 3000, MS + 3000),
    st.text(max_size=3).filter(lambda text: "\x00" not in text and text.isprintable()),
    st.binary(max_size=3),
    st.sampled_from(["soon", str(MS), b"x"]),
)


@WAYS
@pytest.mark.parametrize("guard", [FIXED, CHAIN, LOOSE], ids=["fixed", "chain", "loose"])
@pytest.mark.parametrize(("declared", "encodings"), [
    ("", "epoch_ms"), ("INTEGER", "epoch_ms"), ("REAL", "epoch_ms"), ("NUMERIC", {"created": "epoch_ms/s", "updated": "epoch_ms"}),
])  # fmt: skip
def test_as_the_predicate_says(path: Path, declared: str, encodings: Any, guard: Guard, *, rebuild: bool) -> None:
    """
    An enforced table takes exactly the rows of which the predicate finds nothing wrong: inserted or updated.
    """
    sql(path, f"CREATE TABLE t (id INTEGER PRIMARY KEY, created {declared}, updated {declared})",
        f"CREATE TABLE plain (id INTEGER PRIMARY KEY, created {declared}, updated {declared})",
        f"INSERT INTO t VALUES (1, {MS}, {MS})")  # fmt: skip
    each = encodings if isinstance(encodings, dict) else dict.fromkeys(("created", "updated"), encodings)
    with opened(path, encodings) as store:
        assert enforce(store, guard, rebuild=rebuild).ok

    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:

        @settings(max_examples=150, deadline=None)
        @given(ANY, ANY)
        def agrees(created: Any, updated: Any) -> None:
            row = (created, updated)
            database.execute("INSERT OR REPLACE INTO plain VALUES (1, ?, ?)", row)
            (held,) = database.execute("SELECT created, updated FROM plain").fetchall()
            sound = not violations(dict(zip(("created", "updated"), held, strict=True)), guard, each, 0)

            assert sound is accepted(database, "INSERT INTO t VALUES (2, ?, ?)", row), held
            assert sound is accepted(database, "UPDATE t SET created = ?, updated = ?", row), held

        agrees()


def test_cannot_be_enforced(path: Path) -> None:
    """
    What would need another way is refused before anything is made, with what to do.
    """
    sql(
        path,
        "CREATE TABLE texts (id INTEGER PRIMARY KEY, updated TEXT)",
        "CREATE VIRTUAL TABLE found USING fts4 (updated)",
    )
    before = schema(path)
    for table, encoding, said in (
        ("texts", "rfc3339", "updated of texts is rfc3339, which no trigger of ours keeps current"),
        ("found", "epoch_ms", "found is a virtual table: enforce the table that its rows are stored in"),
    ):
        with open_store(f"sqlite:///{path}", table, encodings=encoding) as store:
            with pytest.raises(UsageError, match=said):
                enforce(store, present("updated"), keep_current=True)

    assert before == schema(path)
    assert [] == sql(path, "SELECT name FROM sqlite_master WHERE name LIKE 'timestamp_guard%'")


@WAYS
def test_back_exactly(path: Path, *, rebuild: bool) -> None:
    """
    What is taken back leaves the schema as it was, with all that is the user's.
    """
    sql(path, RICH, "CREATE TABLE child (id INTEGER PRIMARY KEY, t INTEGER REFERENCES t (id) ON DELETE CASCADE)",
        "CREATE VIEW v AS SELECT * FROM t", "CREATE INDEX i ON t (updated)", "CREATE TABLE log (n)",
        "CREATE TRIGGER mine AFTER INSERT ON t BEGIN INSERT INTO log VALUES (NEW.id); END",
        "CREATE TRIGGER theirs AFTER INSERT ON child BEGIN UPDATE t SET name = NULL WHERE id = NEW.t; END",
        *(f"INSERT INTO t (created, updated, name) VALUES ({MS}, {MS}, 'n{n}')" for n in range(10)),
        "INSERT INTO child SELECT id, id FROM t", "DELETE FROM t WHERE id = 10", "DELETE FROM child WHERE id = 10")  # fmt: skip
    everything = (
        "SELECT * FROM t",
        "SELECT * FROM child",
        "SELECT * FROM log",
        "SELECT * FROM sqlite_sequence WHERE name = 't'",
    )
    before, rows = schema(path), [sql(path, each) for each in everything]
    with opened(path) as store:
        done = enforce(store, GUARD, "updated", keep_current=True, hold_now=True, rebuild=rebuild)
        held, there = schema(path), [sql(path, each) for each in everything]
        strict = sql(path, "SELECT \"notnull\" FROM pragma_table_info('t') WHERE name = 'updated'")
        back = unenforce(store)

    assert done.ok
    assert before != held
    assert rows == there
    assert [(1 if rebuild else 0,)] == strict
    assert back.ok
    assert before == schema(path)
    assert rows == [sql(path, each) for each in everything]
    assert [("ok",)] == sql(path, "PRAGMA integrity_check")


OTHERWISE = {
    "an index is lost": ("CREATE INDEX i", "SELECT 1", "indexes, triggers and views"),
    "a trigger is lost": ("CREATE TRIGGER mine", "SELECT 1", "indexes, triggers and views"),
    "a row is lost": ("INSERT INTO", "{} WHERE id > 1", "rows or those that refer to it"),
    "a row of another table is lost": (
        "DROP TABLE",
        "DELETE FROM child WHERE t = 2; {}",
        "rows or those that refer to it",
    ),
    "a default is lost": ("CREATE TABLE", " DEFAULT 7", "columns"),
    "STRICT is lost": ("CREATE TABLE", " STRICT", "columns"),
    "numbering begins anew": ("DROP TABLE", "UPDATE sqlite_sequence SET seq = 0 WHERE name = 'other'; {}", "numbering"),
    "a row refers to none": ("DROP TABLE", "UPDATE child SET t = 99; {}", "keys"),
}


@pytest.mark.parametrize("how", OTHERWISE)
def test_rebuilt_otherwise(path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """
    A table that would not be the same after it was written anew is left as it is, with all around it.
    """
    at, instead, said = OTHERWISE[how]
    sql(path, f"{TABLE.replace('note TEXT', 'note TEXT DEFAULT 7')} STRICT", "CREATE TABLE other (id INTEGER PRIMARY KEY AUTOINCREMENT)",
        "CREATE TABLE child (t REFERENCES t (id) ON DELETE CASCADE)", "CREATE INDEX i ON t (note)", "INSERT INTO other VALUES (9)",
        "CREATE TRIGGER mine AFTER DELETE ON t BEGIN DELETE FROM other; END")  # fmt: skip
    fill(path)
    sql(path, "INSERT INTO child SELECT id FROM t")
    everything = [f"SELECT * FROM {name}" for name in ("t", "child", "other", "sqlite_sequence WHERE name = 'other'")]
    before, rows, whole = schema(path), [sql(path, each) for each in everything], rebuilding.steps

    def steps(*given: Any) -> Any:
        for each in whole(*given):
            if not each.startswith(at):
                yield each
            elif instead.startswith(" "):
                yield each.replace(instead, "")
            else:
                yield from instead.format(each).split("; ") if "{}" in instead else [instead]

    with opened(path) as store:
        monkeypatch.setattr(rebuilding, "steps", steps)
        with pytest.raises(
            StoreError, match=f"t was not the same after it was written anew, in its {said}; it was left"
        ):
            enforce(store, GUARD, "updated", rebuild=True)
        settings = [store.database.rows(f"PRAGMA {name}") for name in ("foreign_keys", "legacy_alter_table")]

    assert (before, rows) == (schema(path), [sql(path, each) for each in everything])
    assert [[(1,)], [(0,)]] == settings


def test_settings_are_given_back(path: Path) -> None:
    """
    What a rebuild sets is set back, and read back before it is relied upon: it cannot be set inside of a transaction.
    """
    sql(path, TABLE, "CREATE TABLE child (t REFERENCES t (id) ON DELETE CASCADE)")
    fill(path)
    sql(path, "INSERT INTO child SELECT id FROM t")
    with opened(path) as store:
        database = store.database
        with pytest.raises(StoreError, match="foreign keys could not be switched off"), database.writing():
            database.run("PRAGMA foreign_keys = OFF")
            rebuilding.rebuild(database, store.table, rebuilding.definition(database, store.table))
        assert [(20,)] == sql(path, "SELECT count(*) FROM child")

        assert enforce(store, GUARD, "updated", rebuild=True).ok
        assert [(1,)] == database.rows("PRAGMA foreign_keys")
        assert [(0,)] == database.rows("PRAGMA legacy_alter_table")
    assert [(20,)] == sql(path, "SELECT count(*) FROM child")


def test_altered_meanwhile(path: Path) -> None:
    """
    A table that somebody alters while it is to be written anew keeps what they made of it.
    """
    sql(path, TABLE)
    fill(path)

    def altered(said: str) -> None:
        if said.startswith("rebuild: "):
            sql(path, "ALTER TABLE t ADD COLUMN mine DEFAULT 7")

    with opened(path) as store, pytest.raises(StoreError, match="altered meanwhile: call enforce again"):
        enforce(store, GUARD, "updated", rebuild=True, progress=altered)

    assert [(20 * 7,)] == sql(path, "SELECT sum(mine) FROM t")
    with opened(path) as store:
        assert enforce(store, GUARD, "updated", rebuild=True).ok
    assert [(20 * 7,)] == sql(path, "SELECT sum(mine) FROM t")


@pytest.mark.parametrize("table", [
    f"{TABLE.removesuffix(')')}) STRICT", f"{TABLE.removesuffix(')')}) WITHOUT ROWID",
    TABLE.replace("CREATE TABLE t", "create table [t]"), TABLE.replace("INTEGER PRIMARY KEY", "TEXT PRIMARY KEY NOT NULL"),
])  # fmt: skip
def test_rebuilds_every_kind(path: Path, table: str) -> None:
    """
    STRICT, WITHOUT ROWID and numbers of rows are kept.
    """
    sql(path, table)
    fill(path)
    sql(path, "DELETE FROM t WHERE id = 3")
    before = sql(path, "SELECT * FROM t")
    kind = sql(path, "SELECT type, wr, strict FROM pragma_table_list('t')")
    numbers = "SELECT * FROM t" if "WITHOUT ROWID" in table else "SELECT rowid FROM t"
    places = sql(path, numbers)
    with opened(path) as store:
        assert enforce(store, GUARD, "updated", rebuild=True).ok
        assert enforce(store, GUARD, "updated", rebuild=True).made == ()

    assert (before, kind, places) == (
        sql(path, "SELECT * FROM t"), sql(path, "SELECT type, wr, strict FROM pragma_table_list('t')"), sql(path, numbers),
    )  # fmt: skip


HOSTILE = ['we"ird', "o'clock", "per%cent %s", "a:b :c", "new\nline", "tick`tock", "[x]", "select", "?", "ü" * 20]


@WAYS
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names(path: Path, name: str, *, rebuild: bool) -> None:
    """
    Names are names, whatever is in them.
    """
    said = '"' + name.replace('"', '""') + '"'
    sql(
        path,
        f"CREATE TABLE {said} (id INTEGER PRIMARY KEY, created, {said})",
        f"INSERT INTO {said} VALUES (1, {MS}, {MS})",
    )
    before = schema(path)
    with open_store(f"sqlite:///{path}", name, encodings="epoch_ms") as store:
        guard = updated_at_guard(name, "created")
        assert enforce(store, guard, name, rebuild=rebuild, keep_current=True, hold_now=True).ok
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as user:
            assert not accepted(user, f"INSERT INTO {said} VALUES (2, {MS}, NULL)")
            assert accepted(user, f"INSERT INTO {said} VALUES (2, {MS}, {MS})")
        assert unenforce(store).ok

    after = schema(path)
    if rebuild:  # SQLite writes the name of a table that was renamed in its own way
        before, after = ([(*row[:3], row[3][row[3].index("(id") :]) for row in rows] for rows in (before, after))
    assert before == after


@WAYS
def test_killed_anywhere(path: Path, *, rebuild: bool) -> None:
    """
    Killed between any two stages and called again, it ends the same; and so does its way back.
    """
    sql(path, TABLE)
    fill(path)

    def there() -> None:
        with opened(path) as store:
            assert enforce(store, GUARD, "updated", keep_current=True, hold_now=True, rebuild=rebuild).ok

    def back() -> None:
        with opened(path) as store:
            unenforce(store)

    there()
    held = schema(path)
    back()
    before = schema(path)
    number = 0
    while killed_at(number, there):
        there()
        assert held == schema(path)
        killed_at(number, back)
        back()
        assert before == schema(path)
        number += 1
    assert number > 3


def test_in_the_way(path: Path) -> None:
    """
    Rows that break the guard are counted, and nothing is made until they are filled.
    """
    sql(path, TABLE)
    fill(path)
    sql(path, "UPDATE t SET updated = NULL WHERE id < 4")
    before = schema(path)
    with opened(path) as store:
        done = enforce(store, GUARD, "updated")

        assert (False, 3, before, []) == (done.ok, done.broken, schema(path), runs(store))
        assert 3 == enforce(store, GUARD, "updated", report_only=True).broken
        assert backfill(store, GUARD, Repair("updated", "created")).ok
        assert enforce(store, GUARD, "updated").ok


def test_kept_current(path: Path) -> None:
    """
    A change that leaves the field as it is moves it on, never back and never too far; one of nothing does not.
    """
    sql(path, TABLE, "PRAGMA journal_mode = WAL")
    fill(path)
    with opened(path) as store:
        assert enforce(store, present("updated"), "updated", keep_current=True).ok

    def updated(number: int = 1) -> int:
        return int(sql(path, f"SELECT updated FROM t WHERE id = {number}")[0][0])

    sql(path, "UPDATE t SET note = note")
    assert MS + 1 == updated()
    sql(path, "UPDATE t SET note = 'y' WHERE id = 1")
    assert abs(time.time() * 1000 - updated()) < 5000
    sql(path, "UPDATE t SET updated = 4070908800000 WHERE id = 2", "UPDATE t SET note = 'z' WHERE id = 2")
    assert updated(2) < time.time() * 1000 + 6000
    sql(path, "PRAGMA recursive_triggers = ON", "UPDATE t SET note = 'w' WHERE id = 1")
    ahead = int(time.time() * 1000) + 4000
    sql(
        path,
        f"UPDATE t SET updated = {ahead} WHERE id = 3",
        "UPDATE t SET note = 'by a clock that is behind' WHERE id = 3",
    )
    assert ahead < updated(3)
    sql(path, f"UPDATE t SET note = 'v', updated = {MS + 5} WHERE id = 4")
    assert MS + 5 == updated(4)


@pytest.mark.parametrize("table", [
    "CREATE TABLE t (a TEXT COLLATE NOCASE, b, updated INTEGER, note, PRIMARY KEY (a, b)) WITHOUT ROWID",
    "CREATE TABLE t (a TEXT, b, updated INTEGER, rowid, PRIMARY KEY (a, b))",
])  # fmt: skip
def test_kept_current_by_its_place(path: Path, table: str) -> None:
    """
    The row that was changed moves on, and no other, whatever it is found by.
    """
    sql(path, table, *(f"INSERT INTO t VALUES ('{a}', {b}, {MS}, 1)" for a, b in (("x", 1), ("x", 2), ("y", 1))))
    with opened(path) as store:
        assert enforce(store, present("updated"), "updated", keep_current=True).ok

    sql(path, f"UPDATE t SET {'note' if 'note' in table else 'rowid'} = 2 WHERE a = 'x' AND b = 2")
    assert [("x", 2)] == sql(path, f"SELECT a, b FROM t WHERE updated > {MS}")


def test_no_gate_to_keep(path: Path) -> None:
    """
    SQLite cannot fill a row before it is there, so no gate is promised.
    """
    sql(path, TABLE)
    with (
        opened(path) as store,
        pytest.raises(UsageError, match="t has no gate that could be kept: nothing there could fill"),
    ):
        enforce(store, GUARD, repair=Repair("updated", "created"), keep_gate=True)


def test_by_the_clock(path: Path) -> None:
    """
    Rules with NOW are held where that is asked for.
    """
    sql(path, TABLE)
    with opened(path) as store:
        loose = enforce(store, GUARD)
        unenforce(store)
        strict = enforce(store, GUARD, hold_now=True)
    ahead = int(time.time() * 1000)

    assert any(by.startswith("nothing: a constraint may not look at a clock") for by in loose.held.values())
    assert all(by.startswith("triggers") for by in strict.held.values())
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as user:
        assert accepted(user, f"INSERT INTO t VALUES (1, {MS}, {ahead + 2000}, '')")
        assert not accepted(user, f"INSERT INTO t VALUES (1, {MS}, {ahead + 60000}, '')")
        assert not accepted(user, f"INSERT INTO t VALUES (1, {ahead + 60000}, {MS}, '')")


def test_native(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A SQLite that adds constraints by itself is asked to, with a way back.
    """
    monkeypatch.setattr(enforcing, "native", lambda: True)
    sql(path, TABLE)
    with opened(path) as store:
        stages = enforcement(store, FIXED)

    assert ["check", "not null updated"] == [stage.name for stage in stages]
    assert stages[0].statements[0].startswith("ALTER TABLE `t` ADD CONSTRAINT `timestamp_guard_check_")
    assert ("ALTER TABLE `t` ALTER COLUMN `updated` DROP NOT NULL",) == stages[1].undo


def test_native_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    That a SQLite is new enough is not believed: it may be built without.
    """
    able = sqlite3.sqlite_version_info >= (3, 53)
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (99, 0, 0))

    assert able is enforcing.native.__wrapped__()


@pytest.mark.skipif(not enforcing.native(), reason="this SQLite is older than 3.53, of 2026")
def test_native_there_and_back(path: Path) -> None:
    """
    And it does so.
    """
    sql(path, TABLE)
    fill(path)
    before = schema(path)
    with opened(path) as store, contextlib.closing(sqlite3.connect(path, isolation_level=None)) as user:
        assert enforce(store, FIXED).ok
        assert not accepted(user, "INSERT INTO t VALUES (100, 1, NULL, '')")
        assert unenforce(store).ok

    assert before == schema(path)


@pytest.fixture(autouse=True)
def _older(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the tests of it do without what the newest SQLite can."""
    if "native" not in request.node.name:
        monkeypatch.setattr(enforcing, "native", lambda: False)


@WAYS
def test_broken_meanwhile(path: Path, *, rebuild: bool) -> None:
    """
    A row that is broken between the look and what is to hold it keeps it from being made, and nothing is left of it.
    """
    sql(path, TABLE)
    fill(path)
    before = schema(path)

    def hook(name: str) -> None:
        if name == "enforce: begun":
            sql(path, "UPDATE t SET updated = NULL WHERE id = 7")

    with opened(path) as store:
        with hooked(hook):
            done = enforce(store, GUARD, "updated", rebuild=rebuild)

        assert (False, 1) == (done.ok, done.broken)
        assert before == schema(path)
        assert [] == [run for run in runs(store) if run.ok]
