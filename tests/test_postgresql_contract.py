"""
A table of PostgreSQL keeps the contract of stores that do whole batches themselves, whatever its columns hold.
"""

import itertools
from collections.abc import Iterator, Sequence
from datetime import UTC
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st

from tests import servers
from timestamp_guard.instants import Raw
from timestamp_guard.stores.sql.postgresql.store import PostgresStore
from timestamp_guard.testing.contract import FIELDS, BatchStoreContract, Make, Opener, Row

WHOLE = st.one_of(st.sampled_from([0, 1, -1, None]), st.integers(-(2**63), 2**63 - 1))
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))


class _Postgres(BatchStoreContract):
    absent = False
    version: ClassVar[int] = 15
    column: ClassVar[str] = "bigint"

    @pytest.fixture(scope="class")
    @classmethod
    def url(cls) -> Iterator[str]:
        with servers.database(servers.postgresql(cls.version)) as url:
            yield url

    @pytest.fixture
    def make(self, url: str) -> Iterator[Make]:
        turn = itertools.cycle(["one", "two", "three"])  # a schema each, so a ledger each; no test has more stores
        with servers.connect(url) as user:
            for schema in ("one", "two", "three"):
                user.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
                user.execute(f"CREATE SCHEMA {schema}")
                user.execute(
                    f'CREATE TABLE {schema}.records (_id text PRIMARY KEY, "createdAt" {self.column}, '
                    f'"updatedAt" {self.column}, note text)'
                )

            def make(rows: Sequence[Row]) -> Opener:
                schema = next(turn)
                for table in (
                    "records",
                    "timestamp_guard_runs",
                    "timestamp_guard_batches",
                    "timestamp_guard_quarantine",
                ):
                    user.execute(f"DO 'BEGIN TRUNCATE {schema}.{table}; EXCEPTION WHEN undefined_table THEN END'")
                with user.cursor() as cursor:
                    cursor.executemany(
                        f"INSERT INTO {schema}.records VALUES (%s, %s, %s, %s)",
                        [[row.get(name) for name in FIELDS] for row in rows],
                    )
                return Table(url, f"{schema}.records", self.encoding)

            yield make

    def put(self, open_: Opener, key: Any, raw: Raw) -> None:
        assert isinstance(open_, Table)
        with servers.connect(open_.url) as user:
            user.execute(f'UPDATE {open_.table} SET "updatedAt" = %s WHERE _id = %s', (raw, key))


class Table:
    """Opens a table."""

    def __init__(self, url: str, table: str, encoding: str) -> None:
        self.url, self.table, self.encoding = url, table, encoding

    def __call__(self) -> PostgresStore:
        return PostgresStore(self.url, self.table, encodings=self.encoding)


class TestWhole(_Postgres):
    values = WHOLE


class TestNewest(_Postgres):
    version = 18
    values = WHOLE


class TestDecimal(_Postgres):
    column = "numeric"
    values = st.one_of(
        st.none(),
        st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**20), max_value=10**20),
        st.sampled_from([Decimal("NaN"), Decimal("Infinity"), Decimal("-Infinity"), Decimal(0), Decimal(10**45)]),
    )

    def at(self, text: str) -> Raw:
        return Decimal(super().at(text))

    def held(self, raw: Raw) -> Raw:
        return Decimal(raw) if isinstance(raw, int) else raw


class TestDouble(_Postgres):
    column = "double precision"
    values = st.one_of(st.none(), st.floats(), st.sampled_from([0.0, -0.0, -1.0, 2.0**53, 2.0**53 + 2]))

    def at(self, text: str) -> Raw:
        return float(super().at(text))

    def held(self, raw: Raw) -> Raw:
        return float(raw) if isinstance(raw, int) else raw


class TestText(_Postgres):
    column = "text"
    encoding = "rfc3339"
    values = st.one_of(st.none(), TEXT)


class TestInstants(_Postgres):
    column = "timestamptz"
    encoding = "datetime"
    values = st.one_of(st.none(), st.datetimes(timezones=st.just(UTC)).map(lambda at: at.replace(fold=0)))


class TestLocal(_Postgres):
    column = "timestamp"
    encoding = "datetime@+05:30"
    values = st.one_of(st.none(), st.datetimes().map(lambda at: at.replace(fold=0)))
