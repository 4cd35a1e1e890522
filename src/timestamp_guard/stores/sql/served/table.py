"""
What a table of a server is like, whichever it is: its columns, how its rows are found again, and what watches them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

from attrs import frozen

from ....targets.typed import Kind, TypedColumn
from ..found import SqlColumn, SqlTable

__all__ = ["ServedColumn", "ServedTable", "Trigger"]


class ServedColumn(SqlColumn, Protocol):
    """A column: its kind, whether it is computed; `digits` are those of its seconds."""

    @property
    def kind(self) -> Kind: ...  # noqa: D102 - see above
    @property
    def computed(self) -> bool: ...  # noqa: D102
    @property
    def digits(self) -> int | None: ...  # noqa: D102
    @property
    def typed(self) -> TypedColumn: ...  # noqa: D102


C = TypeVar("C", bound=ServedColumn)


@frozen
class Trigger:
    """A trigger of the user's own."""

    name: str
    on_update: bool


@frozen
class ServedTable(SqlTable[C], Generic[C]):
    """A table of a schema."""

    schema: str
    name: str
    triggers: tuple[Trigger, ...]

    def types(self, names: Iterable[str]) -> dict[str, TypedColumn]:
        """What the columns of these names hold; raises as :meth:`held`."""
        return {name: column.typed for name, column in self.held(names).items()}
