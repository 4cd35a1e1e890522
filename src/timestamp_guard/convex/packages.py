"""
What the functions of Convex and of its helpers make: those of the packages convex, convex-helpers and convex-ents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from attrs import evolve

from . import ents
from .names import Outside, Unknown
from .typescript import Piece
from .values import (
    NOTHING,
    Array,
    Defined,
    Made,
    Method,
    Nothing,
    Record,
    Text,
    Truth,
    Validator,
    Value,
    fields_of,
    object_of,
    optional,
    why,
)

__all__ = ["ANYTHING", "attribute", "call", "constant", "method", "of_object"]

Arguments: TypeAlias = "Sequence[Value]"

_PLAIN: Final = {
    "any": "any",
    "bigint": "bigint",
    "boolean": "boolean",
    "bytes": "bytes",
    "commitTs": "commitTs",
    "float64": "number",
    "int64": "bigint",
    "null": "null",
    "number": "number",
    "string": "string",
    "array": "array",
    "id": "id",
    "literal": "literal",
    "record": "record",
}
"""What `v.NAME(...)` is called by `schema.export()`; what stands inside of these is no field of a table."""

_NULL: Final = Validator("null")
ANYTHING: Final = Validator("any", optional=True)
"""What lets anything through, and nothing too."""

_SYSTEM: Final = Record({"_id": Validator("id"), "_creationTime": Validator("number")})


def call(function: Outside, arguments: Arguments, asked: Piece) -> Value:
    """What a function of a package gives."""
    package, _, entry = function.package.partition("/")
    if package == "convex" and function.name.startswith("v."):
        return _validator(function.name[2:], arguments, asked)
    known = _KNOWN.get((package, function.name))
    if known is None or (package == "convex" and entry not in {"server", "values"}):
        return Unknown(f"{asked}: {asked.brief} comes from the package {function.package!r}")
    try:
        return known(arguments, asked)
    except IndexError:
        return Unknown(f"{asked}: {asked.brief} is given too little")


def constant(name: Outside) -> Value:
    """What a name of a package stands for, that is no function."""
    return _CONSTANTS.get((name.package.partition("/")[0], name.name), name)


def method(called: Method, arguments: Arguments, asked: Piece) -> Value:
    """What a method of a validator or a table gives."""
    match called.owner:
        case Validator() as validator:
            return _of_validator(validator, called.name, arguments, asked)
        case Made() as table:
            return _of_table(table, called.name, arguments, asked)
        case _:
            return Unknown(f"{asked}: {asked.brief} is known when it runs")


def attribute(owner: Value, name: str) -> Value | None:
    """What a value has under a *name*; None for what is a method, or unknown."""
    match owner:
        case Validator() if name == "fields" and owner.kind == "object":
            return owner.fields
        case Validator() if name == "members" and owner.kind == "union":
            return Array(owner.members)
        case Validator() if name == "kind":
            return Text({"number": "float64", "bigint": "int64"}.get(owner.kind, owner.kind))
        case Made() if name == "validator":
            return owner.document
        case Defined() if name == "tables":
            return owner.tables
        case _:
            return None


def of_object(name: str, arguments: Arguments, asked: Piece) -> Value:
    """What `Object.NAME(...)` gives."""
    match name, arguments:
        case "freeze" | "seal", [first, *_]:
            return first
        case "assign", [*_]:
            made = Record()
            for each in arguments:
                made = made.spread(each if isinstance(each, Record) else Record(unread=(why(each, asked),)))
            return made
        case _:
            return Unknown(f"{asked}: {asked.brief} is known when it runs")


# -- convex/values ---------------------------------------------------------------


def _validator(name: str, arguments: Arguments, asked: Piece) -> Value:
    if name in _PLAIN:
        return Validator(_PLAIN[name])
    match name, arguments:
        case "object", [first, *_]:
            return Validator("object", fields=fields_of(first, asked))
        case "union", _:
            return Validator("union", members=tuple(arguments))
        case "optional", [first, *_]:
            return optional(first, asked)
        case "nullable", [first, *_]:
            return Validator("union", members=(first, _NULL))
        case _:
            return Unknown(f"{asked}: {asked.brief} is no validator that is known")


def _of_validator(validator: Validator, name: str, arguments: Arguments, asked: Piece) -> Value:
    match name, arguments:
        case "optional" | "asOptional", _:
            return evolve(validator, optional=True)
        case "partial", _ if validator.kind == "object":
            return evolve(validator, fields=_partial(validator.fields, asked))
        case "extend", [first, *_] if validator.kind == "object":
            return evolve(validator, fields=validator.fields.spread(fields_of(first, asked)))
        case "pick" | "omit", names if validator.kind == "object":
            return evolve(validator, fields=_some(validator.fields, names, asked, kept=name == "pick"))
        case _:
            return Unknown(f"{asked}: {asked.brief} cannot be read")


def _partial(fields: Record, asked: Piece) -> Record:
    return evolve(fields, entries={key: optional(value, asked) for key, value in fields.entries.items()})


def _some(fields: Record, names: Arguments, asked: Piece, *, kept: bool) -> Record:
    known = {each.text for each in names if isinstance(each, Text)}
    entries = {key: value for key, value in fields.entries.items() if (key in known) == kept}
    if len(known) < len(names):
        said = f"{asked}: which fields {asked.brief} has is known when it runs"
        return Record(entries if kept else dict.fromkeys(entries, Unknown(said)), (said,))
    if kept:  # nothing else than what is named
        entries |= {key: fields.get(key) for key in known - set(entries) if fields.unread}
        return Record(entries)
    return Record(entries, fields.unread)


# -- convex/server ---------------------------------------------------------------


def table(arguments: Arguments, asked: Piece) -> Value:
    return Made(
        asked, object_of(arguments[0], asked) if arguments else Unknown(f"{asked}: defineTable is given nothing")
    )


def schema(arguments: Arguments, asked: Piece) -> Defined:
    tables = fields_of(arguments[0], asked) if arguments else Record()
    validates: Value = Truth(true=True)
    if len(arguments) > 1 and not isinstance(arguments[1], Nothing):
        options = arguments[1]
        given = options.get("schemaValidation") if isinstance(options, Record) else Unknown(why(options, asked))
        validates = validates if given == NOTHING else given
    return Defined(asked, tables, validates)


def _of_table(made: Made, name: str, arguments: Arguments, asked: Piece) -> Value:
    match name, arguments:
        case "index" | "searchIndex" | "vectorIndex", _:
            return made
        case "staged", [first, *_]:
            return evolve(made, staged=_staged(made.document, first, asked))
        case "field", [Text(field), validator, *options]:
            if options and isinstance(options[0], Record) and options[0].get("default") != NOTHING:
                validator = optional(validator, asked)
            return evolve(made, document=ents.added(made.document, field, validator))
        case "deletion", [Text(), *_]:
            return evolve(made, document=ents.added(made.document, "deletionTime", Validator("number", optional=True)))
        case "edge", [Text(edge), *options]:
            return ents.edge(made, edge, options[0] if options else Record())
        case "edges", [Text(edge), *options]:
            return ents.edges(made, edge, options[0] if options else Record())
        case _:
            return evolve(made, document=Unknown(f"{asked}: {asked.brief} cannot be read"))


def _staged(document: Value, changes: Value, asked: Piece) -> Value:
    """The document that is to come: a validator as it is, or the fields of now with some of them changed."""
    if not isinstance(changes, Record):
        return object_of(changes, asked)
    if not isinstance(document, Validator):
        return Unknown(why(document, asked))
    if document.kind not in {"object", "any"}:
        return Unknown(f"{asked}: changes to a union are not staged by field, but by a whole validator")
    merged = (document.fields if document.kind == "object" else Record()).spread(changes)
    kept = {key: value for key, value in merged.entries.items() if value != NOTHING}
    return Validator("object", fields=evolve(merged, entries=kept))


# -- convex-helpers ----------------------------------------------------------------


def _helper_partial(value: Value, asked: Piece) -> Value:
    match value:
        case Record():
            return _partial(value, asked)
        case Validator(kind="object"):
            return evolve(value, fields=_partial(value.fields, asked))
        case Validator(kind="union"):
            return evolve(value, members=tuple(_helper_partial(member, asked) for member in value.members))
        case _:
            return Unknown(why(value, asked))


def _with_fields(value: Value, more: Value, asked: Piece) -> Value:
    """A validator with more fields; of two of one name, the first holds unless only the other is required."""
    made = object_of(value, asked)
    if not isinstance(made, Validator):
        return made
    if made.kind == "union":
        return evolve(made, members=tuple(_with_fields(member, more, asked) for member in made.members), optional=False)
    fields = made.fields
    added = fields_of(more, asked)
    for key, validator in added.entries.items():
        there = fields.entries.get(key)
        if isinstance(there, Validator) and not (there.optional and _is_required(validator)):
            continue
        fields = fields.put(key, validator)
    return Validator("object", fields=evolve(fields, unread=(*fields.unread, *added.unread)))


def _helper_table(arguments: Arguments, asked: Piece) -> Value:
    fields = fields_of(arguments[1], asked) if len(arguments) > 1 else Record()
    name = arguments[0] if arguments else NOTHING
    return Record(
        {
            "name": name,
            "table": table([fields], asked),
            "doc": Validator("object", fields=fields.spread(_SYSTEM)),
            "withoutSystemFields": fields,
            "withSystemFields": fields.spread(_SYSTEM),
            "systemFields": _SYSTEM,
            "_id": Validator("id"),
        }
    )


def _is_required(value: Value) -> bool:
    return isinstance(value, Validator) and not value.optional


def _required(value: Value, asked: Piece) -> Value:
    return evolve(value, optional=False) if isinstance(value, Validator) else Unknown(why(value, asked))


_KNOWN: Final[Mapping[tuple[str, str], Callable[[Arguments, Piece], Value]]] = {
    ("convex", "asObjectValidator"): lambda given, asked: object_of(given[0], asked),
    ("convex", "defineSchema"): schema,
    ("convex", "defineTable"): table,
    ("convex-ents", "defineEnt"): table,
    ("convex-ents", "defineEntFromTable"): lambda given, asked: ents.from_table(given[0], asked),
    ("convex-ents", "defineEntSchema"): lambda given, asked: ents.with_tables_between(schema(given, asked)),
    ("convex-ents", "defineEntsFromTables"): lambda given, asked: ents.from_tables(given[0], asked),
    ("convex-helpers", "Table"): _helper_table,
    ("convex-helpers", "addFieldsToValidator"): lambda given, asked: _with_fields(given[0], given[1], asked),
    ("convex-helpers", "brandedString"): lambda *_: Validator("string"),
    ("convex-helpers", "literals"): lambda given, _: Validator("union", members=(Validator("literal"),) * len(given)),
    ("convex-helpers", "nullable"): lambda given, _: Validator("union", members=(_NULL, given[0])),
    ("convex-helpers", "partial"): lambda given, asked: _helper_partial(given[0], asked),
    ("convex-helpers", "pretend"): lambda *_: ANYTHING,
    ("convex-helpers", "pretendRequired"): lambda given, asked: optional(given[0], asked),
    ("convex-helpers", "systemFields"): lambda *_: _SYSTEM,
    ("convex-helpers", "vRequired"): lambda given, asked: _required(given[0], asked),
    ("convex-helpers", "withSystemFields"): lambda given, asked: fields_of(given[1], asked).spread(_SYSTEM),
}
"""What a function makes of its arguments; where there are too few of them, nothing is known."""

_CONSTANTS: Final[Mapping[tuple[str, str], Value]] = {
    ("convex-helpers", "deprecated"): ANYTHING,
    ("convex-helpers", "vSessionId"): Validator("string"),
}
