"""
SQLite files for tests: made by hand, and looked at past the library.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from timestamp_guard import Repair, updated_at_guard
from timestamp_guard.engine import Pace
from timestamp_guard.instants import parse_instant
from timestamp_guard.stores.sql.sqlite import SqliteStore

Dump: TypeAlias = dict[str, Any]

NOW: Final = parse_instant("2024-06-01T12:00:00Z")
MS: Final = NOW // 10**6
DAY: Final = 86_400_000
GUARD: Final = updated_at_guard("updatedAt", "createdAt")
REPAIR: Final = Repair("updatedAt", ("createdAt",))


@contextlib.contextmanager
def user(path: Path, **how: Any) -> Iterator[sqlite3.Connection]:
    """Somebody else, with a connection of their own, who commits at the end."""
    database = sqlite3.connect(path, isolation_level=None, **how)
    # Bytes of text that is no UTF-8 are shown as they are.
    database.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    try:
        yield database
    finally:
        database.close()


def make(path: Path, *statements: str, rows: Iterable[Sequence[Any]] = (), into: str = "services") -> Path:
    """A file with what *statements* make in it, and *rows* in the table *into*."""
    with user(path) as database:
        for statement in statements:
            database.execute(statement)
        database.execute("BEGIN")
        for row in rows:
            database.execute(f'INSERT INTO "{into}" VALUES ({", ".join("?" * len(row))})', row)
        database.execute("COMMIT")
    return path


def opened(path: Path, table: str = "services", **how: Any) -> SqliteStore:
    """The table as the library has it."""
    return SqliteStore(f"sqlite:///{path}", table, **({"encodings": "epoch_ms"} | how))


def ask(path: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """What somebody else sees."""
    with user(path) as database:
        return database.execute(sql, values).fetchall()


def do(path: Path, *statements: str) -> None:
    """What somebody else does."""
    with user(path) as database:
        for statement in statements:
            database.execute(statement)


def dump(path: Path) -> Dump:
    """All that is the user's: schema, settings, and every value exactly, with its storage class."""
    found: Dump = {}
    with user(path) as database:
        for setting in ("user_version", "application_id", "journal_mode", "auto_vacuum", "page_size", "encoding"):
            found[setting] = database.execute(f"PRAGMA {setting}").fetchone()
        schema = database.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name").fetchall()
        found["schema"] = [row for row in schema if "timestamp_guard" not in row[1]]
        for kind, name, _, sql in found["schema"]:
            if kind == "table" and not sql.upper().startswith("CREATE VIRTUAL"):
                table = '"' + name.replace('"', '""') + '"'
                columns = [row[1].replace('"', '""') for row in database.execute(f"PRAGMA table_xinfo({table})")]
                exact = ", ".join(f'typeof("{each}"), quote("{each}"), hex("{each}")' for each in columns)
                found[name] = sorted(database.execute(f"SELECT {exact} FROM {table}").fetchall())
    return found


class _Fixed(Pace):
    def held(self, held_ns: int, target: float) -> None:
        pass


def slowly(size: int = 1) -> Pace:
    """At most *size* records in every step."""
    return _Fixed(start=size)
