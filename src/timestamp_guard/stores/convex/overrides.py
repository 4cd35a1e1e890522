"""
What an older export says of single documents, where the shape of all leaves open what their text stands for.

There may be as many such documents as there are at all, so what is said of them is in a temporary file and not in memory.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from ...ledger import Key
from ..json.scratch import scratch, told

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Overrides"]

WHAT: Final = "what is said of single documents"
_ASKED: Final = 500
"""So many documents are asked for in one query: older builds of SQLite take 999."""


class Overrides:
    """
    By the ids of documents, what is said of their fields: the last of what is said of one.

    The ids may come in any order. The temporary file has no name, and is gone with the process.
    """

    def __init__(self, said: Iterable[tuple[str, Mapping[str, Any]]] = ()) -> None:
        self._database: sqlite3.Connection | None = None
        rows = ((ascii(key), json.dumps(about)) for key, about in said)  # an id may hold what is no UTF-8
        first = next(rows, None)
        if first is None:
            return
        with told(WHAT):
            self._database = scratch()
            weakref.finalize(self, self._database.close)  # nobody else knows when it is not asked any more
            self._database.execute("CREATE TABLE overrides (key TEXT PRIMARY KEY, about TEXT) WITHOUT ROWID")
            self._database.execute("BEGIN")
            put = "INSERT OR REPLACE INTO overrides VALUES (?, ?)"
            self._database.execute(put, first)
            self._database.executemany(put, rows)
            self._database.execute("COMMIT")

    def __bool__(self) -> bool:
        return self._database is not None

    def of(self, keys: Iterable[Key]) -> Mapping[Key, Mapping[str, Any]]:
        """What is said of those of the documents *keys* of which anything is."""
        found: dict[Key, Mapping[str, Any]] = {}
        if self._database is None:
            return found
        asked = {ascii(key): key for key in keys if isinstance(key, str)}
        names = list(asked)
        with told(WHAT):
            for some in (names[at : at + _ASKED] for at in range(0, len(names), _ASKED)):
                marks = ",".join("?" * len(some))
                query = f"SELECT key, about FROM overrides WHERE key IN ({marks})"  # noqa: S608 - marks alone
                found |= {asked[key]: json.loads(about) for key, about in self._database.execute(query, some)}
        return found
