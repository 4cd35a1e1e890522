"""
Where records live. Who writes an adapter reads :mod:`timestamp_guard.stores.base` and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError

if TYPE_CHECKING:
    from ..instants import Encodings
    from .sql.ledger import FileLedger
    from .sql.sqlite import SqliteStore

__all__ = ["open_ledger", "open_store", "tables"]


def open_store(
    url: str,
    table: str | None = None,
    *,
    encodings: Encodings,
    key: str | Sequence[str] | None = None,
    read_only: bool = False,
    timeout: float = 5.0,
) -> SqliteStore:
    """
    Open a store by its address: `sqlite:///app.db`.

    *table* may be left out where there is only one; *encodings* says how instants are written, one for all columns or
    one for each; *key* names the columns that identify a row, where the table does not say; *timeout* is for how many
    seconds a lock is waited for. Close it, or use it as a context manager.

    Raises:
        UsageError: the address cannot be read, there is no such table, or it is not said which.
        StoreError: there is no store, it is locked, or it cannot be read.
    """
    from .sql.sqlite import SqliteStore

    if table is None:
        known = tables(url)
        if len(known) != 1:
            msg = f"which table of {url}? there is {', '.join(known) or 'none'}"
            raise UsageError(msg)
        (table,) = known
    return SqliteStore(url, table, encodings=encodings, key=key, read_only=read_only, timeout=timeout)


def tables(url: str) -> list[str]:
    """
    The names of the tables of the store at *url*, without those of the ledger.

    Raises:
        UsageError: the address cannot be read.
        StoreError: there is no store, or it cannot be read.
    """
    if not url.startswith("sqlite:"):
        msg = f"cannot read the address {url!r}: wanted sqlite:///FILE"
        raise UsageError(msg)
    from .sql.database import Database, path_of
    from .sql.table import tables as named

    database = Database(path_of(url), read_only=True)
    try:
        return named(database)
    finally:
        database.close()


def open_ledger(path: Path | str) -> FileLedger:
    """
    Open the ledger in the file at *path*, or begin one there: for stores that keep none of their own.

    Raises:
        StoreError: the file cannot be opened, or is no ledger.
    """
    from .sql.ledger import open_ledger as opened

    return opened(path)
