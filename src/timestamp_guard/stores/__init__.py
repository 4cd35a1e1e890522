"""
Where records live. Who writes an adapter reads :mod:`timestamp_guard.stores.base` and nothing else.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import StoreMissing, UsageError

if TYPE_CHECKING:
    from ..instants import Encodings
    from .base import OpenStore
    from .sql.ledger import FileLedger

__all__ = ["addresses", "open_ledger", "open_store", "tables"]

POSTGRESQL: Final = ("postgresql://", "postgres://")

STDIN: Final = "-"
"""The address of what comes in: JSON Lines, or one array."""


def open_store(
    url: str,
    table: str | None = None,
    *,
    encodings: Encodings,
    key: str | Sequence[str] | None = None,
    read_only: bool = False,
    timeout: float = 5.0,
    nonfinite: bool = False,
) -> OpenStore:
    """
    Open a store by its address: `sqlite:///app.db`, `postgresql://host/app`, `json:records.json` or
    `jsonl:records.jsonl`.

    *table* may be left out where there is only one; *encodings* says how instants are written, one for all columns or
    one for each; *key* names the columns that identify a row, where the table does not say; *timeout* is for how many
    seconds a lock is waited for; *nonfinite* lets the words NaN and Infinity be, which are no JSON.
    Close it, or use it as a context manager.

    Raises:
        UsageError: the address cannot be read, there is no such table, or it is not said which.
        StoreError: there is no store, it is locked, or it cannot be read.
    """
    file = _file(url)
    if file is not None:
        from .json.store import JsonStore

        path, lines = file
        return JsonStore(
            path, table, encodings=encodings, key=key, lines=lines, read_only=read_only, nonfinite=nonfinite
        )
    if table is None:
        known = tables(url)
        if len(known) != 1:
            msg = f"which table of {shown(url)}? there is {', '.join(known) or 'none'}"
            raise UsageError(msg)
        (table,) = known
    if url.startswith(POSTGRESQL):
        from .sql.postgresql.store import PostgresStore

        return PostgresStore(url, table, encodings=encodings, key=key, read_only=read_only, timeout=timeout)
    from .sql.sqlite import SqliteStore

    return SqliteStore(url, table, encodings=encodings, key=key, read_only=read_only, timeout=timeout)


def addresses(url: str) -> list[str]:
    """
    The stores that *url* stands for: files of JSON can be named by a pattern, as in `json:advisories/*.json`.

    Raises:
        StoreMissing: no file is called so.
    """
    file = _file(url)
    if file is None or Path(file[0]).exists() or not glob.has_magic(file[0]):
        return [url]
    scheme = url.partition(":")[0]
    files = (Path(path) for path in glob.iglob(file[0], recursive=True))  # noqa: PTH207 - a pattern may be absolute
    ours = ".timestamp-guard"  # what a ledger holds is no data
    found = sorted(str(path) for path in files if path.is_file() and not path.parent.name.endswith(ours))
    if not found:
        msg = f"no file is called {file[0]}"
        raise StoreMissing(msg)
    return [f"{scheme}:{path}" for path in found]


def tables(url: str) -> list[str]:
    """
    The names of the tables of the store at *url*, without those of the ledger.

    Raises:
        UsageError: the address cannot be read.
        StoreError: there is no store, or it cannot be read.
    """
    file = _file(url)
    if file is not None:
        from .json.store import tables_in

        path, lines = file
        return tables_in(path, lines=lines)
    if url.startswith(POSTGRESQL):
        from .sql.postgresql.server import Server
        from .sql.postgresql.table import tables as listed

        server = Server(url, read_only=True)
        try:
            return listed(server)
        finally:
            server.close()
    if not url.startswith("sqlite:"):
        msg = (
            f"cannot read the address {shown(url)!r}: wanted sqlite:///FILE, postgresql://HOST/DATABASE, json:FILE or "
            f"jsonl:FILE"
        )
        raise UsageError(msg)
    from .sql.database import Database, path_of
    from .sql.table import tables as named

    database = Database(path_of(url), read_only=True)
    try:
        return named(database)
    finally:
        database.close()


def shown(url: str) -> str:
    """An address as it may be shown: without a password."""
    return re.sub(r"(?<=://)([^/@]*):[^/@]*@", r"\1@", url)


def _file(url: str) -> tuple[str, bool] | None:
    """The file that an address of JSON names, and whether it is JSON Lines."""
    if url == STDIN:
        return url, not _begins_an_array()
    scheme, colon, path = url.partition(":")
    if scheme not in {"json", "jsonl"} or not colon:
        return None
    if not path:
        msg = f"cannot read the address {url!r}: wanted {scheme}:FILE, or {scheme}:- for what comes in"
        raise UsageError(msg)
    return path, scheme == "jsonl"


def _begins_an_array() -> bool:
    """Whether what comes in is one array, and not JSON Lines."""
    from .json.content import incoming

    incoming().seek(0)
    return bytes(incoming().read(64)).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["


def open_ledger(path: Path | str) -> FileLedger:
    """
    Open the ledger in the file at *path*, or begin one there: for stores that keep none of their own.

    Raises:
        StoreError: the file cannot be opened, or is no ledger.
    """
    from .sql.ledger import open_ledger as opened

    return opened(path)
