"""
Whatever is wrong with a SQLite file is said in one sentence, nothing is lost, and nothing is half-written.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from timestamp_guard import NOW as PRESENT
from timestamp_guard import Repair, backfill, check, open_ledger, plan, rollback, runs
from timestamp_guard.engine.profile import ensure_fits
from timestamp_guard.errors import (
    EncodingMismatch,
    LedgerError,
    PlanChanged,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreMissing,
    StoreReadOnly,
    TimestampGuardError,
    UnknownName,
    UsageError,
)
from timestamp_guard.stores import open_store, tables
from timestamp_guard.stores.base import Step
from timestamp_guard.stores.sql.sqlite import SqliteStore

from .sqlite_files import DAY, GUARD, MS, NOW, REPAIR, ask, do, dump, make, opened, slowly, user

TABLE: Final = "CREATE TABLE services (_id TEXT PRIMARY KEY, createdAt, updatedAt, note)"


def plain(path: Path, count: int = 20, note: str = "note") -> Path:
    """A table with rows to fill."""
    return make(path, TABLE, rows=[[f"k{n}", MS - DAY * (n + 1), None, note] for n in range(count)])


def interrupted(path: Path) -> Path:
    """A table of which a backfill filled the first half."""

    def stop(step: Step) -> None:
        raise KeyboardInterrupt

    with opened(plain(path)) as store, pytest.raises(KeyboardInterrupt):
        backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(10), progress=stop)
    return path


BRIEF: Final = timedelta(seconds=0.2)
"""A lease that could not be given up, because the store is locked or full, runs out soon."""

ACTS: Final[dict[str, Callable[[SqliteStore], Any]]] = {
    "check": lambda store: check(store, GUARD, now=NOW),
    "plan": lambda store: plan(store, GUARD, REPAIR, now=NOW),
    "backfill": lambda store: backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(3), lease=BRIEF),
    "rollback": lambda store: rollback(store, now=NOW, pace=slowly(3), lease=BRIEF),
    "runs": runs,
}


# -- no store ---------------------------------------------------------------------------------------------------


def test_no_store(tmp_path: Path) -> None:
    """
    What is not there, or is no SQLite file, is said with its name; nothing is made of it.
    """
    (tmp_path / "empty.db").touch()
    (tmp_path / "text.db").write_text("Dear diary,\n" * 100)
    (tmp_path / "folder").mkdir()
    plain(tmp_path / "header.db")
    with (tmp_path / "header.db").open("r+b") as file:
        file.write(b"SQLite format 4\x00")
    plain(tmp_path / "short.db")
    os.truncate(tmp_path / "short.db", 50)
    os.mkfifo(tmp_path / "pipe")
    before = sorted(tmp_path.iterdir())

    for name, kind, said in (
        ("none.db", StoreMissing, "there is no file .*none.db"),
        ("folder", StoreMissing, "folder is a folder, not a SQLite database"),
        ("pipe", StoreMissing, "pipe is no file, not a SQLite database"),
        ("text.db/app.db", StoreMissing, "there is no file .*text.db/app.db"),
        ("x" * 300, StoreError, "xxx cannot be looked at: File name too long"),
        ("no\x00name", StoreMissing, "there is no file"),
        ("text.db", StoreDamaged, "text.db is not a SQLite database"),
        ("header.db", StoreDamaged, "header.db is not a SQLite database"),
        ("short.db", StoreDamaged, "short.db is damaged"),
        ("empty.db", UnknownName, "no table 'services' in .*empty.db, which has no tables"),
    ):
        for read_only in (False, True):
            with pytest.raises(kind, match=said):
                opened(tmp_path / name, read_only=read_only)
    assert before == sorted(tmp_path.iterdir())
    assert [] == tables(f"sqlite:///{tmp_path}/empty.db")


def test_key_of_no_text(tmp_path: Path) -> None:
    """
    A key that is text but no UTF-8, where rows are found by it, is told, and nothing is written.
    """
    rows = [[f"k{n}", MS - DAY, None] for n in range(3)]
    path = make(
        tmp_path / "app.db",
        "CREATE TABLE services (_id TEXT PRIMARY KEY, createdAt, updatedAt) WITHOUT ROWID",
        rows=rows,
    )
    do(path, "INSERT INTO services VALUES (CAST(X'6BFF' AS TEXT), 1700000000000, NULL)")

    with opened(path) as store:
        assert {"null": 4} == check(store, GUARD, now=NOW).violations
        with pytest.raises(StoreError, match=r"cannot be asked for 'k\\udcff', which is text that is not UTF-8"):
            backfill(store, GUARD, REPAIR, now=NOW)

    assert 4 == ask(path, "SELECT count(*) FROM services WHERE updatedAt IS NULL")[0][0]


@pytest.mark.parametrize("url", ["app.db", "sqlite:app.db", "sqlite://app.db", "sqlite:///", "oracle://x/y", ""])
def test_addresses(url: str) -> None:
    """
    An address that cannot be read is quoted, with what was wanted.
    """
    for act in (tables, lambda url: open_store(url, "services", encodings="epoch_ms")):
        with pytest.raises(UsageError, match=rf"cannot read the address '{url}': wanted sqlite:///FILE"):
            act(url)


def test_names(tmp_path: Path) -> None:
    """
    A table or field that is not there comes with the nearest names; several tables, and none named, with all.
    """
    path = plain(tmp_path / "app.db")

    with pytest.raises(UnknownName, match=r"no table 'Service' in .*app.db; did you mean 'services'"):
        opened(path, "Service")
    with pytest.raises(UnknownName, match="no table 'SERVICES' in .*; did you mean 'services'"):
        opened(path, "SERVICES")
    with (
        opened(path) as store,
        pytest.raises(UnknownName, match="no field 'created_at' in services; did you mean 'createdAt'"),
    ):
        backfill(store, GUARD, Repair("updatedAt", ("created_at",)), now=NOW)
    with open_store(f"sqlite:///{path}", encodings="epoch_ms") as store:
        assert "services" == store.name
    do(path, "CREATE TABLE pages (x)")
    with pytest.raises(UsageError, match="which table of .*app.db. there is services, pages"):
        open_store(f"sqlite:///{path}", encodings="epoch_ms")


def test_encoding(tmp_path: Path) -> None:
    """
    An encoding that is not the column's is named, with the share that does not fit and what would.
    """
    path = make(
        tmp_path / "app.db", TABLE, rows=[[f"k{n}", MS // 1000 - n, "2024-01-01T00:00:00Z", ""] for n in range(100)]
    )

    with (
        opened(path) as store,
        pytest.raises(EncodingMismatch, match=r"updatedAt of services is declared epoch_ms.*100%.*rfc3339"),
    ):
        ensure_fits(store, GUARD, now=NOW)
    with opened(path, encodings={"updatedAt": "rfc3339", "createdAt": "epoch_ms"}) as store:
        with pytest.raises(EncodingMismatch, match="declare createdAt=epoch_s"):
            ensure_fits(store, GUARD, now=NOW)
    with opened(path, encodings={"updatedAt": "rfc3339", "createdAt": "epoch_s"}) as store:
        ensure_fits(store, GUARD, now=NOW)


# -- locks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
@pytest.mark.parametrize("act", ACTS)
def test_locked(tmp_path: Path, act: str, mode: str) -> None:
    """
    A file that another process keeps to itself is said to be locked, and is as it was; afterwards all goes on.
    """
    path = interrupted(tmp_path / "app.db")
    do(path, f"PRAGMA journal_mode = {mode}")
    before, ledger = dump(path), ask(path, "SELECT * FROM timestamp_guard_changes")

    with opened(path, timeout=0.05) as store:
        with user(path) as other:
            other.execute("BEGIN EXCLUSIVE")
            if mode == "WAL" and act in {"check", "plan", "runs"}:
                ACTS[act](store)  # readers go on
            else:
                with pytest.raises(
                    StoreLocked, match=r"app.db is locked by another process; try again when it is done"
                ):
                    ACTS[act](store)
            other.execute("ROLLBACK")
        assert (before, ledger) == (dump(path), ask(path, "SELECT * FROM timestamp_guard_changes"))
        ACTS[act](store)


def test_locked_at_opening(tmp_path: Path) -> None:
    """
    A file that is locked cannot be opened either.
    """
    path = plain(tmp_path / "app.db")
    with user(path) as other:
        other.execute("BEGIN EXCLUSIVE")
        for read_only in (False, True):
            with pytest.raises(StoreLocked, match="app.db is locked"):
                opened(path, timeout=0.05, read_only=read_only)


@pytest.mark.parametrize("number", range(1, 5))
@pytest.mark.parametrize("lock", ["BEGIN EXCLUSIVE", "BEGIN IMMEDIATE", "BEGIN; SELECT * FROM services"])
def test_locked_meanwhile(tmp_path: Path, lock: str, number: int) -> None:
    """
    A lock that comes while a run is at work, also one of a reader at the end of a step, stops it between two steps.
    """
    path, steps = plain(tmp_path / "app.db"), iter(range(1, 100))
    calm = plain(tmp_path / "calm.db")
    with opened(calm) as store:
        backfill(store, GUARD, REPAIR, now=NOW)

    with user(path) as other:

        def locked(step: Step) -> None:
            if next(steps) == number:
                for statement in lock.split("; "):
                    other.execute(statement).fetchone()

        with opened(path, timeout=0.05) as store:
            with pytest.raises(StoreLocked):
                backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(4), progress=locked, lease=BRIEF)
            other.execute("ROLLBACK")
            made = ask(path, "SELECT count(*) FROM timestamp_guard_changes")
            assert made == ask(path, "SELECT count(*) FROM services WHERE updatedAt IS NOT NULL")
            run = backfill(store, GUARD, REPAIR, now=NOW, lease=BRIEF)

    assert ("complete", 20, 1) == (run.status, run.counts.changed, run.id)
    assert dump(calm) == dump(path)


# -- what cannot be written -------------------------------------------------------------------------------------

NOBODY: Final = 65534

CHILD: Final = """
import os, sqlite3, sys
from pathlib import Path
from timestamp_guard import backfill, check, plan, rollback, runs
from tests.sqlite_files import GUARD, NOW, REPAIR, opened
from tests.test_sqlite_bad import ACTS, plain

with opened(plain(Path(sys.argv[1]) / f"{{os.getpid()}}.db")) as store:  # all that is loaded late
    for act in ACTS.values():
        act(store)
if os.geteuid() == 0:
    os.setgid({nobody})
    os.setuid({nobody})
os.umask(0)
path = Path(sys.argv[2])
for name in sys.argv[3:]:
    try:
        with opened(path, read_only=name in {{"check", "runs"}}) as store:
            said = ACTS[name](store)
            print(name, "fine", getattr(said, "broken", ""))
    except Exception as problem:
        print(name, type(problem).__name__, problem)
"""


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that everybody can see into."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path
        for each in (path, *path.rglob("*")):
            if each.is_dir():
                each.chmod(0o755)


def as_nobody(tmp_path: Path, path: Path, *acts: str) -> dict[str, str]:
    """What a process without rights gets for each act."""
    script = textwrap.dedent(CHILD.format(nobody=NOBODY))
    here = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), str(path), *acts],
        capture_output=True,
        text=True,
        check=True,
        cwd=here,
        env={**os.environ, "PYTHONPATH": f"{here / 'src'}:{here}"},
    )
    return {name: said for name, _, said in (line.partition(" ") for line in done.stdout.splitlines())}


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
@pytest.mark.parametrize(("file", "folder"), [(0o444, 0o555), (0o666, 0o555), (0o444, 0o777)])
def test_read_only(tmp_path: Path, public: Path, mode: str, file: int, folder: int) -> None:
    """
    A file or folder that cannot be written to is named, with what to do; it can still be checked, where SQLite can.
    """
    path = plain(public / "inner.db")
    (public / "data").mkdir()
    path = path.rename(public / "data" / "app.db")
    do(path, f"PRAGMA journal_mode = {mode}")
    before = dump(path)
    path.chmod(file)
    path.parent.chmod(folder)

    said = as_nobody(tmp_path, path, "check", "runs", "backfill", "rollback")

    if mode == "WAL" and folder == 0o555:
        # SQLite keeps the index of its log in a file beside it, and cannot read without.
        assert all(each.startswith("Store") and "folder" in each for each in said.values()), said
    else:
        assert ("fine 20", "fine ") == (said["check"], said["runs"]), said
        assert "StoreReadOnly" in said["backfill"], said
        assert "make the file and its folder writable" in said["backfill"]
        assert said["rollback"].startswith("fine")
    path.parent.chmod(0o755)
    left = {each.name for each in path.parent.iterdir()}
    # Who may write beside the file, and not to it, cannot take the files of the log away again; they are empty.
    assert {"app.db"} == left or (mode == "WAL" and file == 0o444 and path.with_name("app.db-wal").stat().st_size == 0)
    assert before == dump(path)


def test_not_ours(tmp_path: Path, public: Path) -> None:
    """
    A file that may not be read, or in a folder that may not be looked into, is named.
    """
    path = plain(public / "app.db")
    (public / "hidden").mkdir()
    (public / "hidden").chmod(0o700)
    path.chmod(0o600)

    assert "StoreError " in (said := as_nobody(tmp_path, path, "check")["check"]), said
    assert "app.db cannot be opened" in said
    assert "Permission denied" in (said := as_nobody(tmp_path, public / "hidden" / "app.db", "check")["check"]), said


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_killed_writer(tmp_path: Path, public: Path, mode: str) -> None:
    """
    What a killed writer left half-written is taken back by whoever comes next, also to look; where that cannot be
    written, it is said.
    """
    path = plain(public / "app.db", 2000, "note" * 100)
    do(path, f"PRAGMA journal_mode = {mode}")
    before = dump(path)
    killed_while_writing(path)
    beside = path.with_name(f"app.db-{'wal' if mode == 'WAL' else 'journal'}")
    assert beside.stat().st_size > 100_000

    path.chmod(0o444)
    path.parent.chmod(0o555)
    said = as_nobody(tmp_path, path, "check", "backfill")
    path.parent.chmod(0o755)
    path.chmod(0o644)
    if mode == "DELETE":
        assert all("left half-written by a process that was killed" in each for each in said.values()), said
    else:
        assert said["backfill"].startswith("StoreReadOnly"), said

    with opened(path, read_only=True) as store:
        assert 2000 == check(store, GUARD, now=NOW).violations["null"]
        with pytest.raises(StoreReadOnly):
            backfill(store, GUARD, REPAIR, now=NOW)
    with opened(path) as store:
        assert backfill(store, GUARD, REPAIR, now=NOW).ok
        rollback(store, now=NOW)
    assert before == dump(path)


def killed_while_writing(path: Path) -> None:
    """A process is killed in a transaction of which a part is in the file already."""
    script = """
        import os, signal, sqlite3, sys
        database = sqlite3.connect(sys.argv[1], isolation_level=None)
        database.execute("PRAGMA cache_size = 5")
        database.execute("BEGIN")
        database.execute("UPDATE services SET updatedAt = 5, note = note || 'x'")
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(path)], check=False)
    assert -signal.SIGKILL == done.returncode


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_full(tmp_path: Path, mode: str) -> None:
    """
    Where there is no room left the run stops, says so, and goes on when there is; nothing is lost.
    """
    path, calm = plain(tmp_path / "app.db", 3000), plain(tmp_path / "calm.db", 3000)
    for each in (path, calm):
        do(each, f"PRAGMA journal_mode = {mode}")
    before = dump(path)
    with opened(calm) as store:
        backfill(store, GUARD, REPAIR, now=NOW)

    with opened(path) as store:
        ((pages,),) = store.database.rows("PRAGMA page_count")
        for room in (0, 1, 4, 10, 20):
            store.database.run(f"PRAGMA max_page_count = {pages + room}")
            with pytest.raises(
                StoreFull, match=r"no room left to write to .*app.db: make room, and call again to go on"
            ):
                backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(50), lease=BRIEF)
            made = sum(run.counts.changed for run in runs(store))
            assert [(made,)] == ask(path, "SELECT count(*) FROM services WHERE updatedAt IS NOT NULL")
        store.database.run("PRAGMA max_page_count = 1000000")
        run = backfill(store, GUARD, REPAIR, now=NOW)

    assert ("complete", 3000, 1) == (run.status, run.counts.changed, run.id)
    assert dump(calm) == dump(path)
    with opened(path) as store:
        rollback(store, now=NOW)
    assert before == dump(path)


def test_really_full(tmp_path: Path) -> None:
    """
    A disk that is full, really.
    """
    made_elsewhere, small = plain(tmp_path / "app.db", 4000), tmp_path / "small"
    do(made_elsewhere, "PRAGMA journal_mode = WAL")
    small.mkdir()
    room = made_elsewhere.stat().st_size // 1024 + 150  # for the index of the log, and a little of the log
    mount = ["mount", "-t", "tmpfs", "-o", f"size={room}k", "none", str(small)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount, and not everywhere")
    try:
        path = Path(shutil.copy(made_elsewhere, small))
        before = dump(path)
        with opened(path) as store, pytest.raises(StoreFull, match="make room, and call again"):
            backfill(store, GUARD, REPAIR, now=NOW, lease=BRIEF)
        with opened(path) as store:
            with pytest.raises(StoreError, match="app.bak"):
                store.backup(small / "app.bak")
            assert [] == [each.name for each in small.iterdir() if "bak" in each.name]
            made = sum(run.counts.changed for run in runs(store))
            assert [(made,)] == ask(path, "SELECT count(*) FROM services WHERE updatedAt IS NOT NULL")
        subprocess.run(["mount", "-o", "remount,size=60m", str(small)], check=True)
        with opened(path) as store:
            assert backfill(store, GUARD, REPAIR, now=NOW, lease=BRIEF).ok
            assert 4000 == rollback(store, now=NOW).counts.changed
        assert before == dump(path)
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


# -- damage -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_damaged(tmp_path: Path, seed: int) -> None:
    """
    Whatever page of a file is damaged, what comes is one of our errors, or it does not matter; and looking changes
    nothing.
    """
    chance = random.Random(seed)
    path = plain(tmp_path / "good.db", 150, "note" * 20)
    with opened(path) as store:
        backfill(store, GUARD, REPAIR, now=NOW, pace=slowly(100))
    content = path.read_bytes()
    said = []
    for number in range(len(content) // 4096):
        start = 100 if number == 0 else 0
        page = bytearray(content[number * 4096 : number * 4096 + 4096])
        if seed % 2:
            for _ in range(20):
                page[chance.randrange(start, 4096)] = chance.randrange(256)
        else:
            page[start:] = chance.randbytes(4096 - start)
        damaged = content[: number * 4096] + page + content[number * 4096 + 4096 :]
        for name, act in ACTS.items():
            bad = tmp_path / f"{name}.db"
            bad.write_bytes(damaged)
            looking = name in {"check", "plan", "runs"}
            try:
                with opened(bad, read_only=looking) as store:
                    act(store)
            except TimestampGuardError as problem:
                said.append(str(problem))
            assert not looking or damaged == bad.read_bytes()

    assert any(".db is damaged (" in each and "restore it from a backup" in each for each in said)


# -- the ledger -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", ["backfill", "rollback", "runs"])
@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (
            ["UPDATE timestamp_guard_runs SET version = 99"],
            "the ledger in .*app.db is of version 99, and this release knows 1: upgrade",
        ),
        (["UPDATE timestamp_guard_runs SET version = 'x'"], "is of version x"),
        (
            ["ALTER TABLE timestamp_guard_runs DROP COLUMN plan"],
            "the ledger in .*app.db is damaged: plan missing; restore it",
        ),
        (["DROP TABLE timestamp_guard_changes"], "damaged: timestamp_guard_changes missing"),
        (["DROP TABLE timestamp_guard_quarantine"], "damaged: timestamp_guard_quarantine missing"),
        (
            ["DROP TABLE timestamp_guard_runs", "CREATE TABLE timestamp_guard_runs (mine)"],
            "the table timestamp_guard_runs of .*app.db is no ledger of timestamp_guard: rename or drop it",
        ),
        (
            ["DROP TABLE timestamp_guard_runs", "CREATE VIEW timestamp_guard_runs AS SELECT 1 AS mine"],
            "timestamp_guard_runs of .* is no ledger",
        ),
    ],
)
def test_unknown_ledger(tmp_path: Path, act: str, statements: list[str], said: str) -> None:
    """
    A ledger that is not one of this release is left alone, and named; the table can still be checked.
    """
    path = interrupted(tmp_path / "app.db")
    do(path, *statements)
    before = path.read_bytes()

    with opened(path) as store:
        with pytest.raises(LedgerError, match=said):
            ACTS[act](store)
        assert 10 == check(store, GUARD, now=NOW).broken
    assert before == path.read_bytes()


COLUMNS: Final = (
    "key", "action", "table", "plan", "now", "status", "undoes", "reason", "started", "finished", "cursor", "sweep", "found",
    "first_change", "last_change", "owner", "generation", "lease_until", "changed", "refused", "quarantined", "unrepairable",
    "arriving",
)  # fmt: skip


@pytest.mark.parametrize("junk", ["'junk'", "NULL", "x'00ff'", "'[]'", "'{}'", "'[1, 2]'", "7", "-1"])
@pytest.mark.parametrize("column", COLUMNS)
def test_damaged_ledger(tmp_path: Path, column: str, junk: str) -> None:
    """
    Whatever stands in a ledger, what comes is one of our errors, or it does not matter; and no field is made worse.
    """
    path = interrupted(tmp_path / "app.db")
    do(path, f'UPDATE timestamp_guard_runs SET "{column}" = {junk}')

    for act in ("runs", "backfill", "rollback"):
        try:
            with opened(path) as store:
                ACTS[act](store)
        except TimestampGuardError as problem:
            assert str(problem)
    values = {updated for (updated,) in ask(path, "SELECT updatedAt FROM services")}
    assert values <= {None, *(MS - DAY * (n + 1) for n in range(20))}


@pytest.mark.parametrize("column", ["run", "field", "before", "after", "candidate", "state", "row", "key_1"])
@pytest.mark.parametrize("junk", ["'junk'", "NULL", "99", "x'00'"])
def test_damaged_changes(tmp_path: Path, column: str, junk: str) -> None:
    """
    A change that was tampered with is not taken back where its row holds something else.
    """
    path = interrupted(tmp_path / "app.db")
    do(path, f"UPDATE OR IGNORE timestamp_guard_changes SET {column} = {junk} WHERE id = 3")

    try:
        with opened(path) as store:
            run = runs(store)[0]
            store.ledger.changes(run)
            rollback(store, now=NOW)
    except TimestampGuardError as problem:
        assert str(problem)
    left = ask(path, "SELECT count(*) FROM services WHERE updatedAt IS NOT NULL")
    assert left in [[(0,)], [(1,)], [(10,)]]


def test_changed_plan(tmp_path: Path) -> None:
    """
    An unfinished run is not continued with another plan: what differs is said.
    """
    path = interrupted(tmp_path / "app.db")
    before = dump(path)

    with opened(path) as store:
        said = r"run 1 on services is unfinished and was planned differently \(.*createdAt.*NOW"
        with pytest.raises(PlanChanged, match=said):
            backfill(store, GUARD, Repair("updatedAt", ("createdAt", PRESENT)), now=NOW)
    assert before == dump(path)
    with opened(path, encodings="epoch_s") as store:
        with pytest.raises(PlanChanged, match="encodings was .*epoch_ms.* is .*epoch_s"):
            backfill(store, GUARD, REPAIR, now=NOW)
    assert before == dump(path)


def test_ledger_file(tmp_path: Path) -> None:
    """
    A ledger in a file of its own says what is wrong with it, too.
    """
    (tmp_path / "text.db").write_text("Dear diary,\n" * 100)

    with pytest.raises(StoreMissing, match="there is no folder .*nowhere for the ledger runs.db"):
        open_ledger(tmp_path / "nowhere" / "runs.db")
    with pytest.raises(StoreDamaged, match="text.db is not a SQLite database"):
        open_ledger(tmp_path / "text.db")
