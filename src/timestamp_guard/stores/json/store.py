"""
Records in a file of JSON or JSON Lines.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import UnknownName, UsageError
from ...instants import Encodings
from .blocks import Shape, shape_of, tables_of
from .codec import Codec
from .content import Content
from .file import FileStore
from .folder import FolderLedger
from .rewriting import told

__all__ = ["JsonStore", "tables_in"]


class JsonStore(FileStore):
    """
    The records of a file, which is an array of them, an object of records by their ids, one record, an object of such
    tables, or JSON Lines. Close it, or use it as a context manager.

    *table* names one of several tables; *key* the fields that identify a record, where its id in the file does not:
    by it a change is found again in a file that others have changed since; *nonfinite* lets NaN and Infinity be.

    Raises:
        UsageError: there is no such table.
        StoreError: the file is not there, or holds no records.
    """

    def __init__(
        self,
        path: str,
        table: str | None = None,
        *,
        encodings: Encodings,
        key: str | Sequence[str] | None = None,
        lines: bool = False,
        read_only: bool = False,
        nonfinite: bool = False,
    ) -> None:
        content = Content(path)
        self.nonfinite = nonfinite
        shape, known = _look(content, lines=lines, table=table)
        name = _named(content, table, known)
        ledger = FolderLedger(content.path, None if shape == "tables" else name)
        keys = (key,) if isinstance(key, str) else tuple(key or ())
        super().__init__(content, shape, name, ledger, encodings=encodings, key=keys, read_only=read_only)

    def codec(self, names: Sequence[str] | None, key: Sequence[str] = (), also: Sequence[str] = ()) -> Codec:
        """What reads these fields."""
        return Codec(names, key, also=also, nonfinite=self.nonfinite)


def _named(content: Content, table: str | None, known: Sequence[str]) -> str:
    if table is None:
        if len(known) != 1:
            msg = f"which table of {content.name}? there is {', '.join(known) or 'none'}"
            raise UsageError(msg)
        return known[0]
    if table not in known:
        raise UnknownName("table", table, content.name, known)
    return table


def tables_in(path: str, *, lines: bool) -> list[str]:
    """
    The names of the tables of a file: of one that holds records, its own without what is said of its form.

    Raises:
        StoreError: it is not there, or holds no records.
    """
    return _look(Content(path), lines=lines)[1]


def _look(content: Content, *, lines: bool, table: str | None = None) -> tuple[Shape, list[str]]:
    """
    How a file holds its records, and the names of its tables.

    What is wrapped in an object, as in `{"count": 2, "items": [...]}`, is a table where it is asked for by name.
    """
    if lines:
        return "lines", [content.stem]
    with told(content), content.open() as file:
        shape = shape_of(file)
    if shape == "tables" or (shape in {"record", "members"} and table not in {None, content.stem}):
        with told(content), content.open() as file:
            known = list(tables_of(file.read()))
        if shape == "tables" or table in known:
            return "tables", known
    return shape, [content.stem]
