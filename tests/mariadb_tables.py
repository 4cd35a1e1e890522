"""
Tables of MariaDB for tests: made by hand, and looked at past the library. The names are those of `postgresql_tables`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

from tests import servers
from timestamp_guard.stores.sql.mysql.store import MysqlStore

from .postgresql_tables import OURS, Dump, quoted


def name_of(url: str) -> str:
    """The name of a database."""
    return urlsplit(url).path[1:]


def fill(user: Any, table: str, rows: Iterable[Sequence[Any]], columns: Sequence[str] = ()) -> None:
    """Put rows into a table, all at once."""
    names = f" ({', '.join(map(quoted, columns))})" if columns else ""
    given = [tuple(row) for row in rows]
    if given:
        with user.cursor() as cursor:
            cursor.executemany(f"INSERT INTO {table}{names} VALUES ({', '.join(['%s'] * len(given[0]))})", given)


def make(url: str, *statements: str, rows: Iterable[Sequence[Any]] = (), into: str = "services") -> str:
    """What *statements* make in a database, and *rows* in the table *into*."""
    with servers.connect(url) as user:
        for statement in statements:
            user.execute(statement)
        fill(user, into, rows)
    return url


def opened(url: str, table: str = "services", **how: Any) -> MysqlStore:
    """The table as the library has it."""
    return MysqlStore(url, table, **({"encodings": "epoch_ms"} | how))


def dump(url: str) -> Dump:
    """All that is the user's: tables, columns, indexes, triggers, and every row exactly."""
    found: Dump = {}
    with servers.connect(url) as user:
        tables = [
            name for (name,) in user.execute("SHOW TABLES").fetchall() if name not in {*OURS, "timestamp_guard_changes"}
        ]
        for table in tables:
            # With its columns, indexes and constraints.
            found[f"made {table}"] = [str(user.execute(f"SHOW CREATE TABLE {quoted(table)}").fetchall())]
            found[table] = sorted(str(row) for row in user.execute(f"SELECT * FROM {quoted(table)}").fetchall())
        found["triggers"] = sorted(str(row[:6]) for row in user.execute("SHOW TRIGGERS").fetchall())
    return found


_PLAIN = "SET sql_mode = replace(@@sql_mode, 'ANSI_QUOTES', '')"
"""Names are shown as the server's own clients show them."""


def definitions(url: str) -> dict[str, Any]:
    """All definitions but those of the ledger, as the server shows them."""
    found: dict[str, Any] = {}
    for (name,) in servers.sql(url, "SHOW TABLES"):
        if not name.startswith("timestamp_guard_"):
            found[name] = servers.sql(url, _PLAIN, f"SHOW CREATE TABLE `{name.replace('`', '``')}`")[0][1]
    found["triggers"] = servers.sql(
        url,
        "SELECT trigger_name, event_manipulation, action_timing, action_order, action_statement, sql_mode "
        "FROM information_schema.triggers WHERE trigger_schema = database() ORDER BY 2, 3, 4",
    )
    return found


def copied(url: str, name: str) -> str:
    """A copy of the database at *url*, by that name: its address."""
    there = urlsplit(url)._replace(path=f"/{name}").geturl()
    servers.sql(url, f"CREATE DATABASE {name}")
    with servers.connect(there) as user:
        for (table,) in user.execute(f"SHOW TABLES FROM {name_of(url)}").fetchall():
            user.execute(f"CREATE TABLE {table} LIKE {name_of(url)}.{table}")
            user.execute(f"INSERT INTO {table} SELECT * FROM {name_of(url)}.{table}")
    return there


def cut_off(url: str) -> None:
    """End the connections of the library: all there are, for tests have none meanwhile."""
    others = f"SELECT id FROM information_schema.processlist WHERE db = '{name_of(url)}' AND id <> connection_id()"
    with servers.connect(url) as user:
        for (each,) in user.execute(others).fetchall():
            user.execute(f"KILL {each}")
        while user.execute(others).fetchall():
            pass


def locked(user: Any, table: str) -> None:
    """Keep everybody from a table."""
    user.execute(f"LOCK TABLES {table} WRITE")


def unlocked(user: Any) -> None:
    """Let it go."""
    user.execute("UNLOCK TABLES")


def rest(seconds: float) -> str:
    """A statement that takes so long."""
    return f"SELECT sleep({seconds})"
