"""
The write-ahead log of a database that is written in steps: copied back beside them, so that no step waits for it.

SQLite would copy the log back in the middle of a commit, every thousand pages. Here a second connection does it in a
thread of its own, while the next steps are written; and before the log has become long, the writer waits once for the
little that is left, so that the log begins anew. A checkpoint that is passive waits for nobody and blocks nobody.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from ...errors import StoreError
from .database import Database

__all__ = ["Log"]

PART: Final = 4 * 2**20
"""From so many bytes on they are copied back beside the steps."""

WHOLE: Final = 16 * 2**20
"""
From so many bytes on the log is to begin anew. All of them are then brought to the disk, and a writer of somebody
else's, who waits for the disk too, would wait for a longer log for longer.
"""

MOST: Final = 48 * 2**20
"""From so many bytes on readers who keep it from beginning anew are waited for."""


class Log:
    """The log of *database*, which is in the mode WAL; close it with the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        ((self._page_size,),) = database.rows("PRAGMA page_size")
        self._worker: ThreadPoolExecutor | None = None
        self._copying: Future[None] | None = None
        self._steps = 0
        # How many steps fill the log; unknown until it was full once, and its size tells until then. After that it
        # does not: the file keeps its size when the log begins anew.
        self._lap: int | None = None
        self._longest = 0
        self._asked_at = 0

    def stepped(self) -> float:
        """Be told of a step; say for how many seconds there should be none."""
        self._steps += 1
        if self._lap is None:
            size = self._size()
            part, whole = size - self._asked_at >= PART, size >= WHOLE
            here = size
        else:
            part = self._steps - self._asked_at >= max(1, self._lap * PART // WHOLE)
            # A file that grows again tells that steps have become larger.
            whole = self._steps >= self._lap or self._size() >= self._longest + PART
            here = self._steps
        if whole:
            return self._begin_anew()
        if part and (self._copying is None or self._copying.done()):
            self._asked_at = here
            self._worker = self._worker or ThreadPoolExecutor(1, "timestamp_guard-log")
            self._copying = self._worker.submit(self._copy)
        return 0.0

    def _begin_anew(self) -> float:
        self._wait()
        ((_, pages, copied),) = self._database.rows("PRAGMA wal_checkpoint(PASSIVE)")
        if copied < pages:
            # Somebody reads what is older than the end of the log.
            return 1.0 if self._size() > MOST else 0.0
        self._lap = max(1, self._steps * WHOLE // max(1, pages * self._page_size))
        self._longest = self._size()
        self._steps = self._asked_at = 0
        return 0.0

    def _copy(self) -> None:
        """In the thread: what cannot be copied back now will be later, by the writer."""
        try:
            other = Database(self._database.path)
            try:
                other.run("PRAGMA wal_checkpoint(PASSIVE)")
            finally:
                other.close()
        except StoreError:
            pass

    def _wait(self) -> None:
        if self._copying is not None:
            self._copying.result()

    def _size(self) -> int:
        try:
            return self._database.log.stat().st_size
        except FileNotFoundError:
            return 0

    def close(self) -> None:
        """Wait for what is being copied."""
        if self._worker is not None:
            self._worker.shutdown(wait=True)
