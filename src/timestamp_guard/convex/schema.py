"""
The schema of a Convex app, read from its TypeScript without running it.

What cannot be read is said (`Table.unknown`, `Schema.problems`), and never guessed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from attrs import Factory, define, evolve

from ..errors import UsageError
from .evaluate import Evaluator
from .fields import FieldType, Problem, Schema, Table, common, encodings_of
from .names import Folder, Outside, Unknown
from .values import NOTHING, Defined, Made, Record, Truth, Validator, Value

__all__ = [
    "FieldType",
    "Problem",
    "Schema",
    "Table",
    "encodings_of",
    "functions_folder",
    "functions_of",
    "read_schema",
    "schema_file",
]

_NAMES: Final = ("schema.ts", "schema.js", "schema/index.ts", "schema/index.js")


def read_schema(folder: Path, *, instead: Mapping[Path, bytes] | None = None) -> Schema:
    """
    Read the schema of the app in *folder*: the `convex` folder (or what convex.json calls so), the one that holds it,
    or the file of the schema itself. *instead* of what some files hold, what is said there is read.

    Raises:
        UsageError: there is no schema.
        MissingExtra: the extra `convex` is not installed.
    """
    path = schema_file(folder)
    files = Folder(functions_of(path), instead)
    module = files.module(path)
    evaluator = Evaluator(files)
    found = evaluator.bound(files.exported(module, "default"))
    problems: list[Problem] = []
    tables: dict[str, Table] = {}
    validates = True
    if isinstance(found, Defined):
        validates = found.validates != Truth(true=False)
        if not isinstance(found.validates, Truth):
            problems.append(_problem(module.name, found.validates, "whether it is validated is not known: "))
        for said in found.tables.unread:
            problem = _problem(module.name, Unknown(said), "more tables may be there: ")
            problems.append(evolve(problem, partial=True))
        for name, value in found.tables.entries.items():
            if isinstance(value, Made):
                tables[name] = _table(name, value)
            else:
                problems.append(_problem(module.name, value, f"table {name} could not be read: "))
    else:
        problems.append(_problem(module.name, found, "the schema could not be read: "))
    for each in files.modules:
        problems += each.problems
    return Schema(tables, tuple(problems), validates, module.name)


def functions_of(schema: Path) -> Path:
    """The folder of the functions, by the file of the schema in it."""
    return schema.parent.parent if schema.stem == "index" else schema.parent


def schema_file(folder: Path) -> Path:
    """
    The file of the schema of the app in *folder*, which is what :func:`read_schema` says.

    Raises:
        UsageError: there is none, or convex.json, which says where, cannot be read.
    """
    if folder.is_file():
        return folder
    if not folder.exists():
        raise UsageError(f"there is no folder {folder}")
    found = _schema_in(folder) or _schema_in(functions := functions_folder(folder))
    if found is None:
        raise UsageError(f"no schema.ts in {folder}, nor in {functions}: name the folder of the functions")
    return found


def functions_folder(app: Path) -> Path:
    """
    Where the *app* keeps its functions: convex.json in it may say another folder than `convex`.

    Raises:
        UsageError: convex.json cannot be read.
    """
    said = app / "convex.json"
    if not said.is_file():
        return app / "convex"
    try:
        named: str = json.loads(said.read_bytes()).get("functions", "convex")
        return app / named
    except (AttributeError, OSError, TypeError, ValueError) as problem:
        msg = f"cannot read {said}: {problem}; name the folder of the functions"
        raise UsageError(msg) from None


def _schema_in(folder: Path) -> Path | None:
    return next((path for name in _NAMES if (path := folder / name).is_file()), None)


def _table(name: str, made: Made) -> Table:
    now = _document(made.document)
    unknown, fields, staged = now.unknown, dict(now.fields), None
    if made.staged != NOTHING:
        next_ = _document(made.staged)
        unknown += [f"staged: {said}" for said in next_.unknown if said not in unknown]
        staged = next_.fields
        for key, type_ in fields.items():
            gone = key not in staged and not next_.open and key not in next_.untyped
            if gone or staged.get(key, type_) != type_:
                fields[key] = evolve(type_, staged=True)
    file, line = made.piece.module.name, made.piece.line
    return Table(name, fields, file, line, tuple(unknown), now.open, frozenset(now.untyped), staged)


@define
class _Document:
    """The fields of a document, as far as they could be read."""

    fields: dict[str, FieldType] = Factory(dict)
    untyped: set[str] = Factory(set)
    unknown: list[str] = Factory(list)
    open: bool = False


def _document(value: Value) -> _Document:
    """What every document has that fits a validator: of a union, what its members have in common."""
    if not isinstance(value, Validator):
        return _Document(unknown=[_said(value)], open=True)
    members = [_member(each) for each in value.objects()]
    if len(members) == 1:
        return members[0]
    made = _Document(open=any(each.open for each in members))
    made.unknown = list(dict.fromkeys(said for each in members for said in each.unknown))
    made.untyped = {name for each in members for name in each.untyped}
    for name, type_ in common([each.fields for each in members]).items():
        if name in made.untyped:
            continue
        if made.open and any(name not in each.fields for each in members):
            made.untyped.add(name)
            made.unknown.append(f"{name}: a member of the union may have it, of whatever type")
        else:
            made.fields[name] = type_
    return made


def _member(value: Validator | Unknown) -> _Document:
    if isinstance(value, Unknown):
        return _Document(unknown=[value.said], open=True)
    if value.kind != "object":
        return _Document(open=True)
    made = _Document(unknown=list(value.fields.unread), open=bool(value.fields.unread))
    for name, each in value.fields.entries.items():
        kinds = each.kinds if isinstance(each, Validator) else Unknown(_said(each))
        if isinstance(each, Validator) and not isinstance(kinds, Unknown):
            made.fields[name] = FieldType(kinds, each.optional)
        elif isinstance(kinds, Unknown):
            made.untyped.add(name)
            made.unknown.append(f"{name}: {kinds.said}")
    return made


def _said(value: Value) -> str:
    match value:
        case Unknown(said):
            return said
        case Outside(package, name):
            return f"{name} comes from the package {package!r}"
        case Record():
            return "an object stands where a validator belongs"
        case _:
            return "what stands there is no validator"


def _problem(file: str, value: Value, what: str) -> Problem:
    """A problem, at the place that its words begin with."""
    said = _said(value)
    place, colon, rest = said.partition(": ")
    name, _, line = place.rpartition(":")
    if colon and line.isdigit():
        return Problem(name, int(line), what + rest)
    return Problem(file, 1, what + said)
