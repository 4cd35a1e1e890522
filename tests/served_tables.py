"""
Tables of any server for tests: the address says which it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
import pymysql

from tests import servers
from timestamp_guard.stores.base import BatchStore

from . import mariadb_tables, postgresql_tables
from .postgresql_tables import Dump

KINDS: Final = ("postgresql", "mariadb")


def server(kind: str) -> str:
    """The address of a server of that kind."""
    return servers.postgresql(15) if kind == "postgresql" else servers.mariadb()


def own_server(kind: str) -> AbstractContextManager[servers.Server]:
    """One that no other test knows."""
    return servers.own_postgresql(15) if kind == "postgresql" else servers.own_mariadb()


def _tables(url: str) -> Any:
    return postgresql_tables if url.startswith("postgresql") else mariadb_tables


def fill(url: str, table: str, rows: Iterable[Sequence[Any]]) -> None:
    """Put rows into a table, all at once."""
    with servers.connect(url) as user:
        _tables(url).fill(user, table, rows)


def make(url: str, *statements: str, rows: Iterable[Sequence[Any]] = (), into: str = "services") -> str:
    """What *statements* make in a database, and *rows* in the table *into*."""
    _tables(url).make(url, *statements, rows=rows, into=into)
    return url


def opened(url: str, table: str = "services", **how: Any) -> Any:
    """The table as the library has it."""
    store: BatchStore = _tables(url).opened(url, table, **how)
    return store


def dump(url: str) -> Dump:
    """All that is the user's."""
    found: Dump = _tables(url).dump(url)
    return found


def definitions(url: str) -> dict[str, Any]:
    """All that the server knows of the user's tables, but their rows."""
    found: dict[str, Any] = _tables(url).definitions(url)
    return found


def accepted(user: Any, statement: str, values: Any = None) -> bool:
    """Whether a write is taken; it is taken back."""
    user.execute("BEGIN")
    try:
        user.execute(statement, values)
    except psycopg.errors.IntegrityError:
        return False
    except pymysql.err.MySQLError as problem:
        assert problem.args[0] in {1644, 1048, 1364}, (
            problem
        )  # a trigger says no, null in NOT NULL, and no value for it
        return False
    finally:
        user.execute("ROLLBACK")
    return True


def created(kind: str, name: str) -> str:
    """A new database on a server of that kind: its address."""
    servers.sql(server(kind), f"CREATE DATABASE {name}")
    return urlsplit(server(kind))._replace(path=f"/{name}").geturl()


def copied(url: str, name: str) -> str:
    """A copy of the database at *url*, by that name: its address."""
    return str(_tables(url).copied(url, name))


def dropped(url: str) -> None:
    """Drop a database, whoever still uses it."""
    kind, force = ("postgresql", " WITH (FORCE)") if url.startswith("postgresql") else ("mariadb", "")
    servers.sql(server(kind), f"DROP DATABASE {urlsplit(url).path[1:]}{force}")


def cut_off(url: str) -> None:
    """End the connections of the library."""
    _tables(url).cut_off(url)


def locked(user: Any, url: str, table: str) -> None:
    """Keep everybody from a table."""
    _tables(url).locked(user, table)


def unlocked(user: Any, url: str) -> None:
    """Let it go."""
    _tables(url).unlocked(user)


def by_way_of(url: str, port: int) -> str:
    """The same database through a proxy, in clear."""
    parts = urlsplit(servers.tcp(url))
    netloc = f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{port}"
    clear = "sslmode=disable&gssencmode=disable" if url.startswith("postgresql") else "ssl_disabled=true"
    return parts._replace(netloc=netloc, query=clear).geturl()


def rest(url: str, seconds: float) -> str:
    """A statement that takes so long."""
    return str(_tables(url).rest(seconds))
