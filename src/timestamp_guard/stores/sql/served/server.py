"""
What a connection to a server must do, whichever it is, and what it raises.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from ....errors import StoreError
from ..connection import Connection

__all__ = ["ConnectionLost", "Refused", "ServedConnection"]


class ConnectionLost(StoreError):
    """The server is not there any more; what was not committed was not made."""


class Refused(Exception):
    """The server will not take what was to be written to a row; with the code of its error, where it gave one."""

    def __init__(self, said: str, state: str = "") -> None:
        super().__init__(said)
        self.state = state


class ServedConnection(Connection, Protocol):
    """A connection to a server: it can be lost and made again, and waits for the lock of a row no longer than it is told."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, which a new connection would not have."""
        ...

    def connect(self) -> None:
        """Reach the server, again where it was lost."""
        ...

    def now(self) -> int:
        """The server's clock, in nanoseconds since 1970."""
        ...

    def writing(self, lock_timeout: float | None = None) -> AbstractContextManager[int]:
        """A transaction: all of it, or nothing; waits for *lock_timeout* seconds for the lock of a row."""
        ...
