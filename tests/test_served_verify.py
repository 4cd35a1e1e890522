"""
What a server proves by itself is what the library finds when it looks at every row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests import served_tables, servers
from tests.postgresql_tables import DAY, GUARD, MS, NOW, REPAIR
from tests.served_tables import KINDS, make, opened
from timestamp_guard import backfill, rollback
from timestamp_guard.engine.verify import _held, fingerprint, verify
from timestamp_guard.stores.base import Fingerprint, Held

TABLE = 'CREATE TABLE services (_id bigint PRIMARY KEY, name varchar(40), "createdAt" bigint, "updatedAt" bigint)'


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with servers.database(served_tables.server(request.param)) as url:
        yield make(url, TABLE, rows=[(n, f"n{n}", MS - DAY + n, None) for n in range(1, 51)])


class Slow:
    """A store that cannot prove anything by itself."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        if name in {"held", "fingerprint"}:
            raise AttributeError(name)
        return getattr(self._store, name)


def test_the_ledger_against_the_rows(url: str) -> None:
    """
    Of the records that a run changed it is said how many hold what it wrote, were written since, and are gone.
    """
    with opened(url) as store:
        before = fingerprint(store, "updatedAt")
        run = backfill(store, GUARD, REPAIR, now=NOW)
        servers.sql(url, 'UPDATE services SET "updatedAt" = "updatedAt" + 1 WHERE _id <= 3')
        quiet = verify(store, GUARD, "updatedAt", against=before, now=NOW)
        servers.sql(url, "DELETE FROM services WHERE _id = 50")
        found = verify(store, GUARD, "updatedAt", against=before, now=NOW)
        rollback(store, now=NOW)
        after = verify(store, GUARD, "updatedAt", now=NOW)

    assert quiet.ok
    assert {run.id: Held(50, 46, 3, 1)} == found.held
    assert (True, False, False) == (found.report.ok, found.same, found.ok)
    assert f"run {run.id}: 46 of 50 records hold what it wrote, 3 were written since, 1 are gone" in str(found)
    assert {} == after.held


KINDS_OF = {
    "postgresql": "a text, b numeric, c double precision, d timestamptz, e bytea, f date, g boolean",
    "mysql": "a longtext, b decimal(20,2), c float, d timestamp(6) NULL, e longblob, f time(6), g bit(3), h enum('x', 'y')",
}
CHANGES = (
    "a = 'x,y'", "a = 'x,Y'", "a = 'x,Y '", "a = ''", "a = '-'", "b = 1.50", "b = 1.51", "c = 0.1", "c = -0.1", "c = 0",
    "d = '2024-01-01 00:00:00.000001'", "d = '2024-01-01 00:00:00.000002'", "g = NULL", "e = NULL", "f = NULL",
    '"createdAt" = "createdAt" + 1', '"createdAt" = 23', '_id = 12, "createdAt" = 3',
)  # fmt: skip


def test_agreement(url: str) -> None:
    """
    Whatever is changed is seen by the server's own fingerprint as by the slow one; but not what the field holds.
    """
    scheme = url.partition(":")[0]
    odd = (
        "f = '2024-01-01', g = true, e = 'x'" if scheme == "postgresql" else "f = '-1:02:03.000004', g = 5, e = x'00ff'"
    )
    make(
        url,
        "DROP TABLE services",
        f'CREATE TABLE services (_id bigint PRIMARY KEY, "createdAt" bigint, "updatedAt" bigint, {KINDS_OF[scheme]})',
        f"INSERT INTO services (_id, \"createdAt\", a) VALUES (1, {MS - DAY}, 'x'), (2, {MS - DAY}, NULL)",
    )
    with opened(url) as store:

        def both() -> tuple[Fingerprint, Fingerprint]:
            return fingerprint(store, "updatedAt"), fingerprint(Slow(store), "updatedAt")

        found = [both()]
        for change in (odd, *CHANGES):
            servers.sql(url, f"UPDATE services SET {change} WHERE _id = 1")
            found.append(both())
        fast, slow = ({one for one, _ in found}, {other for _, other in found})
        run = backfill(store, GUARD, REPAIR, now=NOW)

        assert found[-1] == both()
        assert len(found) == len(fast) == len(slow)
        assert Held(1, 1, 0, 0) == _held(store, run) == _held(Slow(store), run)


def test_a_row_that_was_changed_twice(url: str) -> None:
    """
    Of a row that a run changed twice the newest change counts, for the server as for the slow way.
    """
    with opened(url) as store:

        def empty(_: Any) -> None:
            servers.sql(
                url, 'UPDATE services SET "updatedAt" = 0, "createdAt" = 5 + "createdAt" WHERE _id = 7 AND note IS NULL'
            )
            servers.sql(url, "UPDATE services SET note = 1 WHERE _id = 7")

        servers.sql(url, "ALTER TABLE services ADD COLUMN note int")
        run = backfill(store, GUARD, REPAIR, now=NOW, progress=empty)
        servers.sql(url, 'UPDATE services SET "updatedAt" = NULL WHERE _id = 8')

        assert 51 == run.counts.changed
        assert Held(50, 49, 1, 0) == _held(store, run) == _held(Slow(store), run)
