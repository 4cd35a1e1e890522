"""
What a connection to a database must do, whichever it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

from attrs import field, frozen

__all__ = ["Connection", "Parameters", "Prepared", "TakenBack"]

Parameters: TypeAlias = Mapping[str, Any]


@frozen
class Prepared:
    """A statement as text, and the values of the parameters that it came with."""

    sql: str
    parameters: Parameters = field(factory=dict)


class TakenBack(Exception):
    """Ends the transaction of a trial, of which nothing is to stay."""


class Outcome(Protocol):
    """What a statement did."""

    @property
    def rowcount(self) -> int:
        """How many rows it made or changed."""
        ...


class Connection(Protocol):
    """
    One connection. A statement that is text has parameters `?` or `:name`, and a name that is ours alone.
    """

    @property
    def label(self) -> str:
        """What people call the database; without a password."""
        ...

    def address(self, table: str) -> str:
        """The name of one of our own tables, as SQL has it."""
        ...

    def columns(self, table: str) -> Sequence[str]:
        """The columns of one of our own tables; none where there is no such table."""
        ...

    def run(self, statement: Prepared | str, parameters: Parameters | tuple[Any, ...] = ()) -> Outcome:
        """Run a statement."""
        ...

    def rows(self, statement: Prepared | str, parameters: Parameters | tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run a statement and fetch all it gives."""
        ...

    def reading(self) -> AbstractContextManager[None]:
        """One view of the data, whatever is written meanwhile."""
        ...

    def writing(self) -> AbstractContextManager[int]:
        """A transaction: all of it, or nothing. Gives the nanoseconds that it waited for a lock."""
        ...

    def durably(self) -> AbstractContextManager[None]:
        """What is committed is on the disk, with all that was committed before, when this is over."""
        ...

    def close(self) -> None:
        """Close it."""
        ...
