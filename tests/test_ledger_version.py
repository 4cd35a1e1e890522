"""
A ledger says of which version it is: a newer one is refused, an older one is read as it is and becomes one of this
version with the first write.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from attrs import frozen

from tests import servers, sqlite_files
from tests.test_mariadb import ask, using
from timestamp_guard import Repair, backfill, check, open_ledger, open_store, plan, rollback, runs, updated_at_guard
from timestamp_guard.errors import LedgerError
from timestamp_guard.ledger import Run
from timestamp_guard.stores.json import folder
from timestamp_guard.stores.sql import form
from timestamp_guard.stores.sql.form import CHANGES, RUNS, Added
from timestamp_guard.stores.sql.ledger import SqlLedger
from timestamp_guard.stores.sql.mysql.server import Server
from timestamp_guard.stores.sql.postgresql.ledger import BATCHES

NOW: Final = sqlite_files.NOW
GUARD: Final = updated_at_guard("updated", "created")
REPAIR: Final = Repair("updated", ("created",))
ROWS: Final = 6

OLDER: Final = (Added(RUNS, "sweep", before=1), Added(CHANGES, "field", "TEXT"))
"""What version 1 would have added, had there been a version 0."""

OLDER_SERVED: Final = (Added(RUNS, "sweep", before=1), Added(RUNS, "reason", "TEXT"))
"""The same for servers, whose changes have no column that could be missing."""


def without(older: tuple[Added, ...]) -> list[str]:
    """What makes a ledger an older one."""
    return [f"ALTER TABLE {each.table} DROP COLUMN {each.name}" for each in older]


@frozen
class Place:
    """Where a table of a database is, and how statements are run there past the library."""

    url: str
    sql: Callable[..., list[tuple[Any, ...]]]

    @property
    def older(self) -> tuple[Added, ...]:
        return OLDER if self.url.startswith("sqlite") else OLDER_SERVED

    def open(self, **how: Any) -> Any:
        return open_store(self.url, "t", encodings="epoch_ms", **how)

    def rows(self) -> list[tuple[Any, ...]]:
        return sorted(map(tuple, self.sql("SELECT id, created, updated FROM t")))

    def versions(self) -> set[int]:
        return {int(row[0]) for row in self.sql(f"SELECT version FROM {RUNS}")}

    def become_older(self) -> None:
        """Make of the ledger what it would have been in version 0."""
        self.sql(*without(self.older), f"UPDATE {RUNS} SET version = 0")


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with contextlib.ExitStack() as stack:
        if request.param == "sqlite":
            path = tmp_path / "app.db"

            def sql(*statements: str) -> list[tuple[Any, ...]]:
                sqlite_files.do(path, *statements[:-1])
                return sqlite_files.ask(path, statements[-1])

            path.touch()
            made = Place(f"sqlite:///{path}", sql)
        elif request.param == "postgresql":
            url = stack.enter_context(servers.database(servers.postgresql(15)))
            made = Place(url, lambda *statements: servers.sql(url, *statements))
        else:
            url = stack.enter_context(servers.database(servers.mariadb()))
            user = stack.enter_context(using(url))
            made = Place(url, lambda *statements: [ask(user, each) for each in statements][-1])
        values = ", ".join(f"({number}, {sqlite_files.MS - number}, NULL)" for number in range(ROWS))
        made.sql(
            "CREATE TABLE t (id bigint PRIMARY KEY, created bigint, updated bigint)", f"INSERT INTO t VALUES {values}"
        )
        yield made


def interrupted(place: Place) -> Run:
    """A run that was ended half-way."""

    class Killed(BaseException):
        pass

    def progress(_: object) -> None:
        raise Killed

    with place.open() as store:
        with contextlib.suppress(Killed):
            backfill(store, GUARD, REPAIR, now=NOW, pace=sqlite_files.slowly(2), progress=progress)
        return runs(store)[-1]


def test_older_is_read_as_it_is(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Looking at an older ledger works, also where nothing can be written, and leaves it as it is.
    """
    with place.open() as store:
        run = backfill(store, GUARD, REPAIR, now=NOW)
        changes = store.ledger.changes(run)
    place.become_older()
    monkeypatch.setitem(form.ADDED, 1, place.older)

    for read_only in (True, False):
        with place.open(read_only=read_only) as store:
            assert [run] == runs(store)
            assert changes == store.ledger.changes(run)
            assert [] == store.ledger.quarantined(run)
            assert check(store, GUARD, now=NOW).ok
            plan(store, GUARD, REPAIR, now=NOW)

    assert {0} == place.versions()


@pytest.mark.parametrize("act", ["go on", "take back", "begin another"])
def test_older_becomes_new(place: Place, act: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The first write makes an older ledger one of this version, with all that it knows; whatever that write is.
    """
    before = place.rows()
    with place.open() as store:
        backfill(store, GUARD, REPAIR, now=NOW)
        rollback(store, now=NOW)
    run = interrupted(place)
    place.become_older()
    monkeypatch.setitem(form.ADDED, 1, place.older)

    with place.open() as store:
        if act == "go on":
            assert (run.id, ROWS) == ((done := backfill(store, GUARD, REPAIR, now=NOW)).id, done.counts.changed)
        assert rollback(store, now=NOW).ok
        assert {1} == place.versions()
        if act == "begin another":
            assert backfill(store, GUARD, REPAIR, now=NOW).ok
            assert rollback(store, now=NOW).ok
        assert {1} == {each.sweep for each in runs(store)[:2]}  # which nobody wrote since

    assert before == place.rows()
    place.sql(*(f"SELECT {each.name} FROM {each.table}" for each in place.older))


def test_two_at_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Of two that come to an older ledger at once, one waits, and finds it done.
    """
    with place.open() as store:
        run = backfill(store, GUARD, REPAIR, now=NOW)
    place.become_older()
    monkeypatch.setitem(form.ADDED, 1, place.older)
    added, done = SqlLedger._added, list[Run]()

    def save() -> None:
        with place.open() as store:
            done.append(store.ledger.save(run))

    other = threading.Thread(target=save)

    def slowly(ledger: SqlLedger, each: Added) -> str:
        if other.ident is None:
            other.start()
            other.join(0.5)
        return added(ledger, each)

    monkeypatch.setattr(SqlLedger, "_added", slowly)
    save()
    other.join()

    assert [run, run] == done
    assert {1} == place.versions()


def test_altered_between_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    MariaDB ends a transaction where a table is made or altered, so neither is ever done inside of one.
    """
    inside: list[str] = []
    outside: list[str] = []
    driven = Server._driven

    def noted(server: Server, statement: Any, given: Any = None) -> Any:
        if str(statement).startswith(("CREATE", "ALTER")):
            (inside if server.in_transaction else outside).append(str(statement))
        return driven(server, statement, given)

    monkeypatch.setattr(Server, "_driven", noted)
    with servers.database(servers.mariadb()) as url, using(url) as user:
        ask(user, "CREATE TABLE t (a int, b int, created bigint, updated bigint, PRIMARY KEY (a, b))")
        ask(user, f"INSERT INTO t VALUES (1, 2, {sqlite_files.MS}, NULL)")
        place = Place(url, lambda *statements: [ask(user, each) for each in statements][-1])
        interrupted(place)
        place.become_older()
        monkeypatch.setitem(form.ADDED, 1, place.older)
        with place.open() as store:
            assert rollback(store, now=NOW).ok

    assert [] == inside
    assert 3 + 2 + len(place.older) == len(outside)


def test_older_that_is_empty(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A ledger in which no run is yet says by its columns of which version it is; a trial of a row leaves it so.
    """
    run = interrupted(place)
    place.become_older()
    kept = BATCHES if place.url.startswith("postgresql") else CHANGES
    place.sql(f"DELETE FROM {RUNS}", f"DELETE FROM {kept}", "UPDATE t SET updated = NULL")
    monkeypatch.setitem(form.ADDED, 1, place.older)

    with place.open() as store:
        assert [] == runs(store)
        done = backfill(store, GUARD, REPAIR, now=NOW)

    assert (ROWS, True) == (done.counts.changed, done.ok)
    assert {1} == place.versions()
    assert run.sweep == done.sweep


def test_cut_off(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where only some of it was done, as a server may leave it that commits each change of a table, the rest is.
    """
    before = place.rows()
    interrupted(place)
    place.sql(without(place.older)[0], f"UPDATE {RUNS} SET version = 0")
    monkeypatch.setitem(form.ADDED, 1, place.older)

    with place.open() as store:
        assert ROWS == backfill(store, GUARD, REPAIR, now=NOW).counts.changed
        assert rollback(store, now=NOW).ok

    assert {1} == place.versions()
    assert before == place.rows()


@pytest.mark.parametrize(("version", "said"), [
    (99, "is of version 99, and this release knows 1: upgrade timestamp_guard"),
    (-1, "is of version -1, and this release knows 1: open it once with a release between the two"),
])  # fmt: skip
def test_unknown(place: Place, version: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A ledger of a version that this release does not know is left alone, and said so, with what to do.
    """
    run = interrupted(place)
    place.sql(f"UPDATE {RUNS} SET version = {version}")
    before = place.rows()
    monkeypatch.setitem(form.ADDED, 1, place.older)

    with place.open() as store:
        for act in (
            lambda: runs(store),
            lambda: backfill(store, GUARD, REPAIR, now=NOW),
            lambda: rollback(store, run.id, now=NOW),
        ):
            with pytest.raises(LedgerError, match=said):
                act()
        assert ROWS == check(store, GUARD, now=NOW).records

    assert {version} == place.versions()
    assert before == place.rows()


def test_ledger_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A ledger in a file of its own becomes newer with its first write, too.
    """
    path = tmp_path / "runs.db"
    with open_ledger(path) as ledger:
        run = ledger.begin(Run(None, "backfill", "t", "{}", 0))
    sqlite_files.do(path, *without(OLDER), f"UPDATE {RUNS} SET version = 0")
    monkeypatch.setitem(form.ADDED, 1, OLDER)

    with open_ledger(path) as ledger:
        assert [run] == ledger.runs()
        assert [(0,)] == sqlite_files.ask(path, f"SELECT version FROM {RUNS}")
        assert [ledger.save(run)] == ledger.runs()
    assert [(1, 1)] == sqlite_files.ask(path, f"SELECT version, sweep FROM {RUNS}")


def test_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Each run in the folder of a file says its own version: an older one is read, and written as one of this version.
    """
    path = tmp_path / "t.json"
    path.write_text(json.dumps([{"_id": number, "created": sqlite_files.MS} for number in range(ROWS)]))
    content = path.read_bytes()

    def opened() -> Any:
        return open_store(f"json:{path}", encodings="epoch_ms")

    with opened() as store:
        run = backfill(store, GUARD, REPAIR, now=NOW)
    (file,) = (tmp_path / "t.json.timestamp-guard").glob("run-*.json")

    def become(version: int) -> bytes:
        said = json.loads(file.read_text())
        said["version"] = version
        said["run"]["state"] = said["run"].pop("status", said["run"].get("state"))
        file.write_text(json.dumps(said))
        return file.read_bytes()

    for version, said in ((99, "upgrade timestamp_guard"), (0, "open it once with a release between the two")):
        become(version)
        with opened() as store, pytest.raises(LedgerError, match=f"is of version {version}, and .* knows 1: {said}"):
            rollback(store, now=NOW)

    def named(said: dict[str, Any]) -> dict[str, Any]:
        return {**said, "run": {"status" if name == "state" else name: each for name, each in said["run"].items()}}

    monkeypatch.setitem(folder.UPGRADES, 0, named)
    older = become(0)
    with opened() as store:
        assert [run] == runs(store)
        assert older == file.read_bytes()
        assert rollback(store, now=NOW).ok
        assert 2 == len(runs(store))
    assert content == path.read_bytes()
