"""
A table of SQLite keeps the contract of stores that do whole batches themselves.
"""

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from timestamp_guard.instants import Raw
from timestamp_guard.stores.sql.sqlite import SqliteStore
from timestamp_guard.testing.contract import FIELDS, BatchStoreContract, Make, Opener, Row


class TestSqlite(BatchStoreContract):
    absent = False
    values = st.one_of(
        st.sampled_from([0, 0.0, "0", "", 1, 1.0, "1", "1.0", b"1", "null", None]),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False),
        st.text(),
        st.binary(),
    )

    @pytest.fixture
    def make(self, tmp_path_factory: pytest.TempPathFactory) -> Make:
        def make(rows: Sequence[Row]) -> Opener:
            path = tmp_path_factory.mktemp("sqlite") / "app.db"
            with contextlib.closing(sqlite3.connect(path)) as database, database:
                database.execute("CREATE TABLE records (_id TEXT PRIMARY KEY NOT NULL, createdAt, updatedAt, note)")
                database.executemany(
                    "INSERT INTO records VALUES (?, ?, ?, ?)", [[row.get(name) for name in FIELDS] for row in rows]
                )
            return Table(path)

        return make

    def put(self, open_: Opener, key: Any, raw: Raw) -> None:
        assert isinstance(open_, Table)
        with contextlib.closing(sqlite3.connect(open_.path)) as database, database:
            database.execute("UPDATE records SET updatedAt = ? WHERE _id = ?", (raw, key))


class Table:
    """Opens a table."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self) -> SqliteStore:
        return SqliteStore(f"sqlite:///{self.path}", "records", encodings="epoch_ms")
