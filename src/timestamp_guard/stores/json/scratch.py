"""
A temporary file to look things up in that may be too many for memory: it has no name, and is gone with the process.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ...errors import StoreError, StoreFull

if TYPE_CHECKING:
    import sqlite3

__all__ = ["scratch", "told"]


def scratch() -> sqlite3.Connection:
    """A database in such a file, of which 2 MB at most are in memory."""
    import sqlite3

    made = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    for setting in ("cache_size = -2000", "temp_store = file", "synchronous = off", "journal_mode = off"):
        made.execute(f"PRAGMA {setting}")
    return made


@contextmanager
def told(what: str) -> Iterator[None]:
    """
    Tell of a temporary file that *what* cannot be kept in.

    Raises:
        StoreFull: there is no room for it.
        StoreError: it fails in another way.
    """
    import sqlite3

    try:
        yield
    except sqlite3.Error as problem:
        where = "the folder for temporary files, which TMPDIR names"
        if getattr(problem, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
            raise StoreFull(f"there is no room left in {where}, for {what}: make room there, and call again") from None
        raise StoreError(f"{what} cannot be kept in {where}: {problem}") from None
