"""
A table of MariaDB keeps the contract of stores that do whole batches themselves, whatever its columns hold.
"""

import itertools
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st

from tests import servers
from timestamp_guard.instants import Raw
from timestamp_guard.stores.sql.mysql.store import MysqlStore
from timestamp_guard.testing.contract import FIELDS, BatchStoreContract, Make, Opener, Row

ZERO = "0000-00-00 00:00:00.000000"
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


class _Mariadb(BatchStoreContract):
    absent = False
    column: ClassVar[str] = "bigint"

    @pytest.fixture(scope="class")
    @classmethod
    def urls(cls) -> Iterator[list[str]]:
        server = servers.mariadb()
        with servers.database(server) as one, servers.database(server) as two, servers.database(server) as three:
            for url in (one, two, three):  # a ledger each; no test has more stores
                servers.sql(
                    url,
                    f"CREATE TABLE records (_id varchar(40) COLLATE utf8mb4_nopad_bin PRIMARY KEY, "
                    f"createdAt {cls.column} NULL, updatedAt {cls.column} NULL, note text) CHARACTER SET utf8mb4",
                )
            yield [one, two, three]

    @pytest.fixture
    def make(self, urls: list[str]) -> Iterator[Make]:
        turn = itertools.cycle(urls)
        users = {url: servers.connect(url) for url in urls}
        for each in users.values():
            each.query("SET sql_mode = 'STRICT_ALL_TABLES,ALLOW_INVALID_DATES', time_zone = '+00:00'")

        def make(rows: Sequence[Row]) -> Opener:
            url = next(turn)
            with users[url].cursor() as cursor:
                cursor.execute("SHOW TABLES")
                for (table,) in list(cursor.fetchall()):
                    cursor.execute(f"TRUNCATE {table}")
                cursor.executemany(
                    "INSERT INTO records VALUES (%s, %s, %s, %s)",
                    [[_given(row.get(name)) for name in FIELDS] for row in rows],
                )
            return Table(url, self.encoding)

        yield make
        for user in users.values():
            user.close()

    def put(self, open_: Opener, key: Any, raw: Raw) -> None:
        assert isinstance(open_, Table)
        with servers.connect(open_.url) as user, user.cursor() as cursor:
            cursor.execute("SET time_zone = '+00:00'")
            cursor.execute("UPDATE records SET updatedAt = %s WHERE _id = %s", (_given(raw), key))


def _given(raw: Raw) -> Raw:
    return raw.replace(tzinfo=None) if isinstance(raw, datetime) else raw


class Table:
    """Opens a table."""

    def __init__(self, url: str, encoding: str) -> None:
        self.url, self.encoding = url, encoding

    def __call__(self) -> MysqlStore:
        return MysqlStore(self.url, "records", encodings=self.encoding)


class TestWhole(_Mariadb):
    values = st.one_of(st.sampled_from([0, 1, -1, None]), st.integers(-(2**63), 2**63 - 1))


class TestUnsigned(_Mariadb):
    column = "bigint unsigned"
    values = st.one_of(st.sampled_from([0, 1, None, 2**64 - 1]), st.integers(0, 2**64 - 1))


class TestDecimal(_Mariadb):
    column = "decimal(50,3)"
    values = st.one_of(
        st.none(),
        st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**20), max_value=10**20),
        st.sampled_from([Decimal("0.000"), Decimal("1.000"), Decimal(10**45) + Decimal("0.000")]),
    ).map(lambda raw: raw if raw is None else _scaled(raw))

    def at(self, text: str) -> Raw:
        return _scaled(super().at(text))

    def held(self, raw: Raw) -> Raw:
        return _scaled(raw) if isinstance(raw, int | Decimal) else raw


def _scaled(raw: Any) -> Decimal:
    with localcontext(prec=60):
        return Decimal(raw).quantize(Decimal("0.001")) + 0


class TestDouble(_Mariadb):
    column = "double"
    values = st.one_of(
        st.none(),
        st.floats(allow_nan=False, allow_infinity=False).map(lambda raw: raw + 0.0),
        st.sampled_from([0.0, -1.0, 2.0**53, 2.0**53 + 2, 0.1, 1e300, 5e-324]),
    )

    def at(self, text: str) -> Raw:
        return float(super().at(text))

    def held(self, raw: Raw) -> Raw:
        return float(raw) if isinstance(raw, int) else raw


class TestText(_Mariadb):
    column = "longtext"
    encoding = "rfc3339"
    values = st.one_of(st.none(), TEXT)


def _times(earliest: datetime, latest: datetime) -> st.SearchStrategy[datetime]:
    return st.datetimes(earliest, latest).map(lambda at: at.replace(fold=0))


class TestInstants(_Mariadb):
    column = "timestamp(6)"
    encoding = "datetime"
    values = st.one_of(
        st.none(),
        _times(datetime(1970, 1, 1, 0, 0, 1), datetime(2038, 1, 19, 3, 14, 7)).map(lambda at: at.replace(tzinfo=UTC)),
        st.just(ZERO),
    )

    def at(self, text: str) -> Raw:
        # 1970 begins a second too early for this type, and what stands for nothing is this.
        return ZERO if text == "1970-01-01T00:00:00Z" else super().at(text)


class TestLocal(_Mariadb):
    column = "datetime(6)"
    encoding = "datetime@+05:30"
    values = st.one_of(
        st.none(),
        _times(datetime(1, 1, 1), datetime.max),
        st.sampled_from([f"{day} 00:00:00.000000" for day in ("0000-00-00", "2024-00-07", "2024-02-31", "0000-03-01")]),
    )
