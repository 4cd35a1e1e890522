"""
A table of a server that refuses by itself what the guard forbids: what is true of every server.

How each of them gets there without anybody waiting is in the tests of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import psycopg
import pymysql
import pytest

from tests import served_tables, servers
from tests.served_tables import accepted, definitions, make
from timestamp_guard import (
    NOW,
    Repair,
    UsageError,
    backfill,
    enforce,
    rollback,
    runs,
    unenforce,
    updated_at_guard,
)
from timestamp_guard.errors import PlanChanged

from .enforced import FIXED, GUARD, REPAIR, killed_at
from .postgresql_tables import quoted

INSTANT: Final = {"postgresql": "timestamptz", "mysql": "datetime(6)"}
ENCODING: Final = {"postgresql": "datetime", "mysql": "datetime@UTC"}
T0: Final = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["postgresql 15", "postgresql 18", "mariadb"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    kind, _, version = request.param.partition(" ")
    with servers.database(servers.postgresql(int(version)) if version else served_tables.server(kind)) as url:
        yield url


def typed(url: str) -> str:
    """The type of a column of instants."""
    return INSTANT[url.partition(":")[0]]


def filled(url: str, *statements: str, rule: str = "") -> None:
    """The table `t`, with a hundred sound rows, and then what *statements* do."""
    table = f"CREATE TABLE t (id bigint PRIMARY KEY, created {typed(url)}, updated {typed(url)} {rule}, note text)"
    make(url, table, rows=[(n, "2024-01-01", "2024-01-02", None) for n in range(1, 101)], into="t")
    servers.sql(url, *statements)


def opened(url: str, table: str = "t", **how: Any) -> Any:
    return served_tables.opened(url, table, encodings=ENCODING[url.partition(":")[0]], **how)


def instants(url: str, table: str = "t", field: str = "updated") -> dict[int, datetime | None]:
    """What a field holds, by id."""
    found = servers.sql(url, f"SELECT id, {quoted(field)} FROM {quoted(table)}")
    return {number: at and (at if at.tzinfo else at.replace(tzinfo=UTC)) for number, at in found}


def has_ledger(url: str) -> bool:
    try:
        servers.sql(url, "SELECT 1 FROM timestamp_guard_runs")
    except (psycopg.errors.UndefinedTable, pymysql.err.ProgrammingError):
        return False
    return True


# -- the way there and back


def test_not_null_of_the_user(url: str) -> None:
    """
    A column that was NOT NULL before stays so when the enforcement is taken back.
    """
    filled(url, rule="NOT NULL")
    before = definitions(url)
    with opened(url) as store:
        assert enforce(store, GUARD, "updated").ok
        assert before != definitions(url)
        assert unenforce(store).ok

    assert before == definitions(url)


def test_twice(url: str) -> None:
    """
    The second time there is nothing to do, for either.
    """
    filled(url)
    with opened(url) as store:
        first = enforce(store, GUARD, repair=REPAIR)
        held = definitions(url)
        again = enforce(store, GUARD, repair=REPAIR)

        assert first.made
        assert (True, ()) == (again.ok, again.made)
        assert held == definitions(url)
        assert 1 == len(runs(store))
        assert unenforce(store).undone
        assert (True, ()) == ((back := unenforce(store)).ok, back.undone)


def test_otherwise(url: str) -> None:
    """
    Another guard, or other options, want the first ones taken back before.
    """
    filled(url)
    with opened(url) as store:
        enforce(store, GUARD, "updated")
        held = definitions(url)

        with pytest.raises(PlanChanged, match="unenforce it first"):
            enforce(store, FIXED, "updated")
        with pytest.raises(PlanChanged, match="unenforce it first"):
            enforce(store, GUARD, "updated", keep_current=True)
        assert held == definitions(url)


def test_killed_anywhere(url: str) -> None:
    """
    Killed between any two steps, it is taken back entirely, or called again ends the same; and so does its way back.
    """
    filled(url)
    before = definitions(url)

    def there() -> None:
        with opened(url) as store:
            assert enforce(store, GUARD, repair=REPAIR, keep_current=True).ok

    def back() -> None:
        with opened(url) as store:
            unenforce(store)

    there()
    held = definitions(url)
    back()
    for number in range(100):
        if not killed_at(number, there):
            break
        back()
        assert before == definitions(url)
        killed_at(number, there)
        there()
        assert held == definitions(url)
        assert killed_at(number, back) or number > 2
        back()
        assert before == definitions(url)
    else:
        raise AssertionError
    assert number > 5


HOSTILE = [
    'we"ird', "we`ird", "o'clock", "o\\'clock", "per%cent %s", "a:b :c", "new\nline", "back\\slash", "$1 $$ //", "select",
    "ü" * 20, "a), b",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names(url: str, name: str) -> None:
    """
    Names are names, whatever is in them.
    """
    said, type_ = quoted(name), typed(url)
    servers.sql(url, f"CREATE TABLE {said} (id bigint PRIMARY KEY, created {type_}, {said} {type_})",
                f"INSERT INTO {said} VALUES (1, '2024-01-01', '2024-01-02')")  # fmt: skip
    before = definitions(url)
    repair = Repair(name, ("created", NOW))
    guard = updated_at_guard(name, "created")
    with opened(url, name) as store, servers.connect(url) as user:
        assert enforce(store, guard, repair=repair, keep_gate=True, keep_current=True, hold_now=True).ok
        user.execute(f"INSERT INTO {said} (id, created) VALUES (2, '2024-01-01')")
        assert T0 == instants(url, name, name)[2]
        assert not accepted(user, f"INSERT INTO {said} VALUES (3, '2024-01-01', '1970-01-01')")
        assert unenforce(store).ok

    assert before == definitions(url)


# -- rows that are in the way


def test_in_the_way(url: str) -> None:
    """
    Rows that break the guard and are filled by no gate: they are counted, and nothing is made.
    """
    filled(url, "UPDATE t SET updated = NULL WHERE id < 4")
    before = definitions(url)
    with opened(url) as store:
        done = enforce(store, GUARD, "updated")

        assert not done.ok
        assert 3 == done.broken
        assert "3 records break what is to be enforced: run check and backfill first" in str(done)
        assert before == definitions(url)
        assert [] == runs(store)


def test_gate_first(url: str) -> None:
    """
    With a gate, new rows are held at once and old ones can be written, until a backfill fills them and they are proved.
    """
    filled(url, "UPDATE t SET updated = NULL WHERE id < 4")
    with opened(url) as store, servers.connect(url) as user:
        first = enforce(store, GUARD, repair=REPAIR)

        assert (False, ["gate", "check"]) == (first.ok, list(first.made))
        user.execute("UPDATE t SET note = 'touched' WHERE id = 1")
        assert {1: T0, 2: None} == {number: at for number, at in instants(url).items() if number < 3}
        assert not accepted(user, "INSERT INTO t VALUES (1000, '2024-01-01', '1999-01-01', NULL)")
        assert backfill(store, GUARD, REPAIR).ok
        assert enforce(store, GUARD, repair=REPAIR).ok
        assert not accepted(user, "INSERT INTO t VALUES (1000, '2024-01-01', NULL, NULL)")


def test_gate_would_hurt(url: str) -> None:
    """
    Where a row is broken in a way that no gate mends, a check would refuse every write to it: nothing is made.
    """
    filled(url, "UPDATE t SET updated = '1999-01-01' WHERE id = 4", "UPDATE t SET updated = NULL WHERE id = 5")
    with opened(url) as store, servers.connect(url) as user:
        done = enforce(store, GUARD, repair=REPAIR)

        assert (False, 2, ()) == (done.ok, done.broken, done.made)
        assert accepted(user, "UPDATE t SET note = 'x' WHERE id = 4")


def test_gate_has_nothing_to_fill_with(url: str) -> None:
    """
    Where a row is null and no candidate of it holds, the gate would leave it null, and a check refuse every write to it.
    """
    filled(url, "UPDATE t SET created = NULL, updated = NULL WHERE id = 4")
    with opened(url) as store, servers.connect(url) as user:
        done = enforce(store, GUARD, repair=Repair("updated", ("created",)))

        assert (False, 1, ()) == (done.ok, done.broken, done.made)
        assert accepted(user, "UPDATE t SET note = 'x' WHERE id = 4")


def test_gate_takes_candidates_in_order(url: str) -> None:
    """
    The gate takes the first candidate with which the guard holds, and leaves what is there.
    """
    type_, fixed = typed(url), datetime(2024, 6, 7, 8, 9, tzinfo=UTC)
    servers.sql(url, f"CREATE TABLE t (id bigint PRIMARY KEY, created {type_}, seen {type_}, updated {type_})")
    with opened(url) as store, servers.connect(url) as user:
        enforce(store, GUARD, repair=Repair("updated", ("seen", "created", fixed)), keep_gate=True)
        user.execute("INSERT INTO t VALUES (1, '2024-01-02', '2024-01-03', NULL), (2, '2024-01-02', '2024-01-01', NULL), "
                     "(3, '2024-01-02', '2024-01-03', '2024-01-04'), (4, NULL, NULL, NULL)")  # fmt: skip

        days = {number: datetime(2024, 1, day, tzinfo=UTC) for number, day in ((1, 3), (2, 2), (3, 4))}
        assert {**days, 4: fixed} == instants(url)
        assert not accepted(user, "INSERT INTO t VALUES (5, '2999-01-01', NULL, NULL)")


def test_report_only(url: str) -> None:
    """
    A report counts what would be refused, and touches nothing.
    """
    filled(
        url,
        "UPDATE t SET updated = NULL WHERE id < 4",
        "UPDATE t SET updated = created - INTERVAL '1' DAY WHERE id = 9",
    )
    before = definitions(url)
    with opened(url, read_only=True) as store:
        done = enforce(store, GUARD, "updated", report_only=True)

    assert (False, 4) == (done.ok, done.broken)
    assert {("null", "updated", None): 3, ("out_of_order", "updated", "created"): 1} == dict(done.faults)
    assert before == definitions(url)
    assert not has_ledger(url)


def test_rollback_takes_it_back_first(url: str) -> None:
    """
    An enforcement would refuse the old values: so a rollback takes it back before them.
    """
    filled(url, "UPDATE t SET updated = NULL WHERE id < 4")
    before = definitions(url)
    with opened(url) as store:
        backfill(store, GUARD, REPAIR)
        done = enforce(store, GUARD, repair=REPAIR)
        assert done.run is not None
        assert has_ledger(url)

        with pytest.raises(UsageError, match="unenforce takes it back"):
            rollback(store, done.run.id)
        assert before != definitions(url)
        assert 3 == rollback(store).counts.changed

    assert before == definitions(url)
    assert {1, 2, 3} == {number for number, at in instants(url).items() if at is None}
