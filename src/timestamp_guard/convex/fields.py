"""
The tables of a Convex app and their fields, as a schema has them; :mod:`.schema` reads them from TypeScript.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from attrs import frozen

from ..instants import Encoding, decode

__all__ = ["FieldType", "Problem", "Schema", "Table", "encodings_of"]


@frozen
class FieldType:
    """
    The type of one field of a table.

    `kinds` are the types that a value may have, as `schema.export()` names them: `number`, `bigint` (of `v.int64()`),
    `commitTs`, `string`, `null`, `any`, `object`, `literal` and so on; more than one for a union.
    `optional` says whether the field may be left out, `staged` whether `.staged(...)` is about to change it.
    """

    kinds: frozenset[str]
    optional: bool
    staged: bool = False

    def __str__(self) -> str:
        said = " or ".join(sorted(self.kinds)) or "never"
        return f"{'optional ' if self.optional else ''}{said}"


@frozen
class Table:
    """
    A table: its fields without `_id` and `_creationTime`, and where it is defined.

    `staged` are the fields that are to come, where `.staged(...)` says so.
    `open` says that other fields may be there: the table is `v.any()`, or something of it could not be read.
    `untyped` are the fields that are there, of a type that could not be read; `unknown` says all that could not be.
    """

    name: str
    fields: Mapping[str, FieldType]
    file: str
    line: int
    unknown: Sequence[str] = ()
    open: bool = False
    untyped: frozenset[str] = frozenset()
    staged: Mapping[str, FieldType] | None = None


@frozen
class Problem:
    """
    What is wrong with a schema, or could not be read of it.

    `partial` says that all of what was read holds, and that there may be more of it.
    """

    file: str
    line: int
    said: str
    partial: bool = False

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.said}"


@frozen
class Schema:
    """
    The tables of an app; `problems` are files that do not parse and tables that could not be read.

    `validates` is what `schemaValidation` says: without it, the deployment refuses nothing.
    """

    tables: Mapping[str, Table]
    problems: Sequence[Problem]
    validates: bool
    file: str


_TIMES: Final = {"number": "epoch_ms", "commitTs": "epoch_ns"}


def encodings_of(table: Table, sample: Mapping[str, Iterable[Any]] | None = None) -> dict[str, str]:
    """
    How the fields of a *table* write instants down, where its schema says it.

    A number is of milliseconds, as `Date.now()` is; a commit timestamp of nanoseconds. Text is `rfc3339` where the
    *sample* has values of that field and all of them are; nothing is said of an int64, whose unit the schema does not
    tell, and of what may be of several types. Which of the fields hold instants is for the caller to know.
    """
    found = {"_creationTime": "epoch_ms"}
    rfc3339 = Encoding.parse("rfc3339")
    for name, type_ in table.fields.items():
        kinds = type_.kinds - {"null"}
        if len(kinds) != 1:
            continue
        (kind,) = kinds
        if kind in _TIMES:
            found[name] = _TIMES[kind]
        elif kind == "string":
            values = [value for value in (sample or {}).get(name, ()) if value is not None]
            if values and all(isinstance(decode(value, rfc3339), int) for value in values):
                found[name] = "rfc3339"
    return found
