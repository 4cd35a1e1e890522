"""
What a table is like, whichever database it is in: its columns, how its rows are found again, and what watches them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

from attrs import frozen

from ...errors import NoIdentity, UnknownName
from ...instants import brief
from .connection import Connection

__all__ = ["SqlColumn", "SqlTable", "Watching", "ensure_unique"]


class SqlColumn(Protocol):
    """A column, and its type as it was declared."""

    @property
    def name(self) -> str: ...  # noqa: D102 - see above
    @property
    def declared(self) -> str: ...  # noqa: D102


class Watching(Protocol):
    """A trigger of the user's own, and whether an UPDATE may set it off."""

    @property
    def name(self) -> str: ...  # noqa: D102 - see above
    @property
    def on_update(self) -> bool: ...  # noqa: D102


C = TypeVar("C", bound=SqlColumn)


@frozen
class SqlTable(Generic[C]):
    """A table: `called` is its name for people; `key` are the columns that identify a row, none where there are none."""

    called: str
    columns: tuple[C, ...]
    key: tuple[str, ...]

    @property
    def source(self) -> str:
        """Its name as SQL has it."""
        raise NotImplementedError  # a dialect says it

    def column(self, name: str) -> C:
        """
        The column of that name.

        Raises:
            UnknownName: there is none.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise UnknownName("field", name, f"table {self.called}", [column.name for column in self.columns])

    def held(self, names: Iterable[str]) -> dict[str, C]:
        """
        The columns of these names.

        Raises:
            UnknownName: there is none of a name.
        """
        return {name: self.column(name) for name in names}

    def identity(self) -> tuple[str, ...]:
        """
        The key.

        Raises:
            NoIdentity: there is none.
        """
        if not self.key:
            msg = (
                f"table {self.called} has no key by which a row could be found again, so no change could be undone: "
                f"give it a primary key, or a unique index over columns that are NOT NULL (CREATE UNIQUE INDEX ...)"
            )
            raise NoIdentity(msg)
        return self.key


def ensure_unique(connection: Connection, table: SqlTable[C], quoted: Callable[[str], str]) -> None:
    """
    Make sure that the key identifies every row.

    Raises:
        NoIdentity: a key is on two rows, or null.
    """
    names = ", ".join(quoted(name) for name in table.key)
    nulls = " OR ".join(f"{quoted(name)} IS NULL" for name in table.key)
    said = None
    ((empty,),) = connection.rows(f"SELECT count(*) FROM {table.source} WHERE {nulls}")  # noqa: S608 - quoted names
    if empty:
        said = f"it is null in {empty:,} rows"
    else:
        grouped = f"SELECT {names}, count(*) FROM {table.source} GROUP BY {names} HAVING count(*) > 1 LIMIT 1"  # noqa: S608
        for *held, count in connection.rows(grouped):
            said = f"{brief(held[0] if len(held) == 1 else tuple(held))} is in {count:,} rows"
    if said:
        msg = (
            f"the key {', '.join(table.key)} of {table.called} is not unique: {said}; name another key, or mend those "
            f"rows first"
        )
        raise NoIdentity(msg)
