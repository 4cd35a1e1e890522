"""
Where records live. Who writes an adapter reads :mod:`timestamp_guard.stores.base` and nothing else.
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import StoreMissing, UsageError
from .address import resolved, shown

if TYPE_CHECKING:
    from ..convex.schema import Schema
    from ..engine.pace import Brake
    from ..instants import Encodings
    from .base import OpenStore
    from .sql.ledger import FileLedger

__all__ = [
    "addresses",
    "braking",
    "is_file",
    "is_snapshot",
    "keepers",
    "ledger_folder",
    "open_ledger",
    "open_store",
    "tables",
]

POSTGRESQL: Final = ("postgresql://", "postgres://")
MYSQL: Final = ("mysql://", "mariadb://")
CONVEX: Final = ("convex+https://", "convex+http://")

STDIN: Final = "-"
"""The address of what comes in: JSON Lines, or one array."""


def open_store(
    url: str,
    table: str | None = None,
    *,
    encodings: Encodings | None = None,
    key: str | Sequence[str] | None = None,
    read_only: bool = False,
    timeout: float = 5.0,
    nonfinite: bool = False,
    schema: Schema | Path | str | None = None,
) -> OpenStore:
    """
    Open a store by its address: `sqlite:///app.db`, `postgresql://host/app`, `mysql://host/app`,
    `json:records.json`, `jsonl:records.jsonl`, `convex:snapshot.zip` or `convex+https://name.convex.cloud`; `env:NAME`
    stands for the one in that variable of the environment, `file:PATH` for the one in the first line of that file.

    *table* may be left out where there is only one; *encodings* says how instants are written, one for all columns or
    one for each; *key* names the columns that identify a row, where the table does not say; *timeout* is for how many
    seconds a lock is waited for; *nonfinite* lets the words NaN and Infinity be, which are no JSON; *schema* is where the
    schema of a snapshot of Convex is, and says the encodings too where there are none.
    Close it, or use it as a context manager.

    Raises:
        UsageError: the address cannot be read; there is no such table or schema; no table or encodings are given.
        StoreError: there is no store, it is locked, or it cannot be read.
    """
    url = resolved(url)
    if (snapshot := _snapshot(url)) is not None:
        from .convex.store import ConvexStore

        return ConvexStore(snapshot, table, encodings=encodings, key=key, read_only=read_only, schema=schema)
    if schema is not None:
        msg = (
            f"a schema goes with a snapshot of Convex, like convex:snapshot.zip, and {shown(url)} is none: leave it out"
        )
        raise UsageError(msg)
    if encodings is None:
        msg = f"how are instants written in {shown(url)}? give encodings, like epoch_ms"
        raise UsageError(msg)
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
    if url.startswith(MYSQL):
        from .sql.mysql.store import MysqlStore

        return MysqlStore(url, table, encodings=encodings, key=key, read_only=read_only, timeout=timeout)
    if url.startswith(CONVEX):
        from .convex.online import OnlineStore

        return OnlineStore(url, table, encodings=encodings, key=key, read_only=read_only)
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
    url = resolved(url)
    file = _file(url)
    if file is not None:
        from .json.store import tables_in

        path, lines = file
        return tables_in(path, lines=lines)
    if (snapshot := _snapshot(url)) is not None:
        from .convex.store import tables_in as in_snapshot

        return in_snapshot(snapshot)
    if url.startswith(POSTGRESQL):
        from .sql.postgresql.server import Server
        from .sql.postgresql.table import tables as listed

        server = Server(url, read_only=True)
        try:
            return listed(server)
        finally:
            server.close()
    if url.startswith(MYSQL):
        from .sql.mysql.server import Server as MysqlServer
        from .sql.mysql.table import tables as in_mysql

        there = MysqlServer(url, read_only=True)
        try:
            return in_mysql(there)
        finally:
            there.close()
    if url.startswith(CONVEX):
        from .convex.online import tables as of_convex

        return of_convex(url)
    if not url.startswith("sqlite:"):
        msg = (
            f"cannot read the address {shown(url)!r}: wanted sqlite:///FILE, postgresql://HOST/DATABASE, "
            f"mysql://HOST/DATABASE, json:FILE, jsonl:FILE, convex:SNAPSHOT or convex+https://NAME.convex.cloud"
        )
        raise UsageError(msg)
    from .sql.database import Database, path_of
    from .sql.table import tables as named

    database = Database(path_of(url), read_only=True)
    try:
        return named(database)
    finally:
        database.close()


def keepers(url: str, chosen: Sequence[str] = ()) -> list[str]:
    """
    The names of tables of which each has a ledger of its own: of a database of several schemas, one of each, or of those
    of the tables *chosen*; of all other stores, the first.

    Raises:
        UsageError: the address cannot be read.
        StoreError: there is no store, or it cannot be read.
    """
    names = tables(url)
    if not resolved(url).startswith(POSTGRESQL):
        return names[:1]
    from .sql.postgresql.server import Server
    from .sql.postgresql.table import reflect

    server = Server(resolved(url), read_only=True)
    try:
        schemas: dict[str, str] = {}
        for name in [name for name in names if name in chosen] or names:
            schemas.setdefault(reflect(server, name, None).schema, name)
        return list(schemas.values())
    finally:
        server.close()


def ledger_folder(url: str) -> Path | None:
    """
    Where the ledger of the store at *url* is looked for, if that depends on the current folder: as of a deployment of
    Convex, which has no place for one.

    Raises:
        UsageError: the address cannot be read.
    """
    address = resolved(url)
    if not address.startswith(CONVEX):
        return None
    from .convex.http import Address

    return Address.parse(address).folder


def braking(url: str, *, replicas: Sequence[str] = (), **wanted: Any) -> AbstractContextManager[list[Brake]]:
    """
    What makes a run on the server at *url* wait, by the names that :func:`~.sql.served.pacing.brakes` gives it;
    *replicas* are the addresses of those that follow it, where it does not know.

    Raises:
        UsageError: the store is no server, or cannot be asked so.
        StoreError: it cannot be reached, or does not tell.
    """
    if replicas and "lag" not in wanted:
        msg = "--replica says who is asked for --max-lag: say how far it may be behind, like --max-lag 5s"
        raise UsageError(msg)
    if not wanted:
        return nullcontext([])
    address, asked = resolved(url), [resolved(each) for each in replicas]
    if address.startswith(POSTGRESQL):
        from .sql.postgresql import pacing as postgresql

        return postgresql.braking(address, replicas=asked, **wanted)
    if address.startswith(MYSQL):
        from .sql.mysql import pacing as mysql

        return mysql.braking(address, replicas=asked, **wanted)
    msg = f"only a server can be asked so, and {shown(url)} is none: leave out {', '.join(map(_option, wanted))}"
    raise UsageError(msg)


def _option(name: str) -> str:
    return {"while_": "--pause-while"}.get(name, f"--max-{name}")


def is_file(url: str) -> bool:
    """Whether a store is a file that is replaced as a whole, and no database."""
    return _file(resolved(url)) is not None or _snapshot(resolved(url)) is not None


def is_snapshot(url: str) -> bool:
    """Whether a store is a snapshot of Convex."""
    return _snapshot(resolved(url)) is not None


def _snapshot(url: str) -> str | None:
    """The snapshot of Convex that an address names."""
    scheme, _, path = url.partition(":")
    if scheme != "convex":
        return None
    if not path or path == STDIN:
        msg = f"cannot read the address {url!r}: wanted convex:snapshot.zip, or convex:FOLDER"
        raise UsageError(msg)
    return path


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
