"""
The tables of a Convex app and their fields, as a schema has them; :mod:`.schema` reads them from TypeScript.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import NoneType
from typing import Any, Final

from attrs import frozen

from ..instants import ABSENT, Encoding, Raw, decode

__all__ = ["FieldType", "Problem", "Schema", "Table", "common", "encodings_of"]

_NUMBERS: Final[Mapping[str, type[int | float]]] = {"number": float, "bigint": int}
_COMMITTED: Final = "commitTs"
"""An integer of 64 bits that the deployment itself writes, and nobody else."""


_KINDS: Final[Mapping[type, Sequence[str]]] = {
    NoneType: ("null",),
    bool: ("boolean", "literal"),
    float: ("number", "literal"),
    int: ("bigint", "literal"),
    str: ("string", "id", "literal"),
    bytes: ("bytes",),
    list: ("array",),
    dict: ("object", "record"),
}


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

    @property
    def kind(self) -> str | None:
        """The one type of all values but null; None where there are several."""
        kinds = self.kinds - {"null"}
        return min(kinds) if len(kinds) == 1 else None

    @property
    def required(self) -> bool:
        """Whether there is always a value: the field may not be left out, and not be null either."""
        return not self.takes(ABSENT) and not self.takes(None)

    @property
    def number(self) -> type[int | float] | None:
        """Of which kind numbers are, floats or integers of 64 bits; None where that is not said."""
        found = [] if "any" in self.kinds else [number for kind, number in _NUMBERS.items() if kind in self.kinds]
        return found[0] if len(found) == 1 else None

    @property
    def instant(self) -> bool:
        """Whether all values but null are of one type, and of one that can hold instants."""
        return self.kind in {*_NUMBERS, _COMMITTED, "string"}

    def holds(self, encoding: Encoding) -> bool:
        """Whether there can be instants that are written so."""
        return self.writable(encoding) or (encoding.is_number and _COMMITTED in self.kinds)

    def writable(self, encoding: Encoding) -> bool:
        """Whether instants can be put there that are written so; what `v.commitTs()` holds, the deployment stamps."""
        return not self.kinds.isdisjoint({"any", *(_NUMBERS if encoding.is_number else ("string",))})

    def takes(self, raw: Raw) -> bool:
        """Whether a value can be put there, by its kind; of texts, whether one of them can be, is not looked at."""
        if raw is ABSENT:
            return self.optional
        return not self.kinds.isdisjoint(("any", *_KINDS.get(type(raw), ())))

    @property
    def said(self) -> str:
        """The types, in words."""
        return " or ".join(sorted(self.kinds)) or "never"

    def __str__(self) -> str:
        return f"optional {self.said}" if self.optional else self.said


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
    What is wrong with code, or could not be read of it; *line* is 1-based, and 0 for all of a file.

    `partial` says that all of what was read holds, and that there may be more of it.
    """

    file: str
    line: int
    said: str
    partial: bool = False

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.said}" if self.line else f"{self.file}: {self.said}"


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


def common(members: Sequence[Mapping[str, FieldType]]) -> dict[str, FieldType]:
    """The fields of what may be any of several objects: optional where one of them lacks it, or may."""
    found: dict[str, FieldType] = {}
    for name in dict.fromkeys(name for each in members for name in each):
        there = [each[name] for each in members if name in each]
        kinds = frozenset[str]().union(*(each.kinds for each in there))
        found[name] = FieldType(kinds, len(there) < len(members) or any(each.optional for each in there))
    return found


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
        if type_.kind in _TIMES:
            found[name] = _TIMES[type_.kind]
        elif type_.kind == "string":
            values = [value for value in (sample or {}).get(name, ()) if value is not None]
            if values and all(isinstance(decode(value, rfc3339), int) for value in values):
                found[name] = "rfc3339"
    return found
