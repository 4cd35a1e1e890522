"""
Whether the tables of a schema agree about a timestamp field: required, of one type, and really so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

from attrs import frozen

from ..errors import UnknownName
from .fields import Schema, Table, encodings_of

__all__ = ["Agreement", "Standing", "agreement", "standing"]

Standing: TypeAlias = Literal["required", "optional", "mixed", "absent", "unknown"]
"""
How a table has a field: `required` of a type that can hold an instant; `optional`, so left out or null now and then;
`mixed`, of several types or of one that holds no instant; `absent`; or `unknown`, because it could not be read.
"""


def standing(table: Table, field: str) -> Standing:
    """How a *table* has a *field*."""
    type_ = table.fields.get(field)
    if type_ is None:
        # A table of `v.any()` promises nothing, and that is known of it.
        return "unknown" if field in table.untyped or (table.open and table.unknown) else "absent"
    if not type_.instant:
        return "mixed"
    return "required" if type_.required else "optional"


@frozen
class Agreement:
    """
    What the tables of a schema say of some fields.

    `tracked` are the tables that are judged: those that were named, or else those that have one of the fields, or may
    have one. `faults` says what keeps the fields from being required, of one type and really so: a sentence each.
    """

    schema: Schema
    fields: tuple[str, ...]
    tracked: tuple[Table, ...]
    faults: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every tracked table requires the fields, of one type, and the deployment refuses what lacks them."""
        return not self.faults

    def to_dict(self) -> dict[str, Any]:
        """The agreement for programs."""
        tracked = {table.name for table in self.tracked}
        return {
            "ok": self.ok,
            "schema": self.schema.file,
            "validates": self.schema.validates,
            "tables": {
                name: {
                    "file": table.file,
                    "line": table.line,
                    "tracked": name in tracked,
                    "open": table.open,
                    "fields": {field: _field(table, field) for field in self.fields},
                    "unknown": list(table.unknown),
                }
                for name, table in self.schema.tables.items()
            },
            "faults": list(self.faults),
            "problems": [{"file": each.file, "line": each.line, "message": each.said} for each in self.schema.problems],
        }

    def __str__(self) -> str:
        names = ", ".join(self.fields)
        have = sum(any(_concerns(table, field) for field in self.fields) for table in self.tracked)
        lines = [f"{self.schema.file}: {have} of {len(self.schema.tables)} tables have {names}"]
        width = max((len(table.name) for table in self.tracked), default=0)
        for table in self.tracked:
            place = f"{table.file}:{table.line}"
            lines += [f"  {table.name:<{width}}  {field} {_said(table, field)}  {place}" for field in self.fields]
            lines += [f"  {'':<{width}}  cannot be read: {said}" for said in table.unknown]
        lines += [f"  {problem}" for problem in self.schema.problems]
        lines += self.faults or [f"every one requires {names}, all of one type"]
        return "\n".join(lines)


def agreement(schema: Schema, fields: Sequence[str], tables: Sequence[str] = ()) -> Agreement:
    """
    Judge whether *tables*, or all that have one of the *fields*, agree about them.

    Raises:
        UnknownName: there is no such table, or no table has such a field.
    """
    for name in tables:
        if name not in schema.tables:
            raise UnknownName("table", name, schema.file, schema.tables)
    chosen = [schema.tables[name] for name in dict.fromkeys(tables)] or list(schema.tables.values())
    for field in fields:
        if not any(_concerns(table, field) for table in chosen):
            known = sorted({name for table in chosen for name in table.fields})
            raise UnknownName("field", field, f"the tables of {schema.file}", known)
    if not tables:
        chosen = [table for table in chosen if any(_concerns(table, field) for field in fields)]
    faults = [f"{each}" for each in schema.problems if not each.partial]
    if not schema.validates:
        faults.append("schemaValidation is off: the deployment refuses nothing, whatever the schema says")
    for field in fields:
        for table in chosen:
            how = standing(table, field)
            if how != "required":
                faults.append(f"{table.name}: {field} is {_said(table, field)}")
        types: dict[str, list[str]] = {}
        for table in chosen:
            kind = table.fields[field].kind if field in table.fields else None
            if kind is not None:
                types.setdefault(kind, []).append(table.name)
        if len(types) > 1:
            parts = "; ".join(f"{kind} in {', '.join(names)}" for kind, names in types.items())
            faults.append(f"{field} is not of one type: {parts}")
    return Agreement(schema, tuple(fields), tuple(chosen), tuple(faults))


def _concerns(table: Table, field: str) -> bool:
    """Whether a table has a field, may have it, or is about to have it."""
    return standing(table, field) != "absent" or field in (table.staged or {})


def _said(table: Table, field: str) -> str:
    how = standing(table, field)
    type_, next_ = table.fields.get(field), (table.staged or {}).get(field)
    said: str = how
    if type_ is not None:
        said = f"{how} {type_.said}" if how == "required" else f"{how} ({type_.said})"
    if next_ is not None and (type_ is None or type_.staged):
        said = f"{said}, staged to be {next_}"
    return said


def _field(table: Table, field: str) -> dict[str, Any]:
    type_, next_ = table.fields.get(field), (table.staged or {}).get(field)
    return {
        "standing": standing(table, field),
        "kinds": None if type_ is None else sorted(type_.kinds),
        "optional": None if type_ is None else type_.optional,
        "staged": None if next_ is None else {"kinds": sorted(next_.kinds), "optional": next_.optional},
        "encoding": encodings_of(table).get(field),
    }
