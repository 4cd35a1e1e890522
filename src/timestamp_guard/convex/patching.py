"""
Which lines of a schema to change so that a field may be there, or must: as a patch that a person applies.

A patch is tried first: the schema that comes of it differs in that field of that table, and in nothing else.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import evolve

from .fields import FieldType, Schema, Table
from .schema import functions_of, read_schema, schema_file
from .typescript import Piece, find, read, text

if TYPE_CHECKING:
    from tree_sitter import Node

__all__ = ["change", "stages"]

STAGED: Final = (1, 47, 0)
"""The version of the package `convex` from which on a table can have a validator that is staged."""

_LINE: Final = re.compile(r"[^\n]*\n|[^\n]+")


def change(folder: Path, table: str, field: str, *, required: bool, kind: str = "v.number()") -> str | None:
    """
    The change that makes *field* of *table* optional, where it is not there, or *required*, as a unified diff.

    Its paths are seen from this folder, in which `git apply` takes it.

    Empty where the schema in *folder* says so already; None where the lines to change could not be told, as where the
    field comes from something that several tables share.

    Raises:
        UsageError: there is no schema.
        MissingExtra: the extra `convex` is not installed.
    """
    before = read_schema(folder)
    there = before.tables.get(table)
    if there is None:
        return None
    if _says(there, field, required=required):
        return ""
    path = functions_of(schema_file(folder)).resolve() / there.file
    if not path.is_file():
        return None
    edited = _edited(path, there, field, required=required, kind=kind)
    if edited is None:
        return None
    after = read_schema(folder, instead={path: edited})
    return _patch(path, edited) if _as_wanted(before, after, there, field, required=required) else None


def stages(folder: Path) -> bool:
    """Whether the package `convex` that is installed for the app in *folder* knows `.staged(...)`."""
    for base in (folder, *folder.resolve().parents):
        try:
            said = json.loads((base / "node_modules/convex/package.json").read_text("utf-8"))["version"]
            return tuple(int(part) for part in said.partition("-")[0].split(".")) >= STAGED
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return False


def _patch(path: Path, edited: bytes) -> str | None:
    """The difference as git reads it, which knows no end of a line but the line feed; None where it is not all UTF-8."""
    try:
        was, made = (_LINE.findall(each.decode("utf-8")) for each in (path.read_bytes(), edited))
    except UnicodeDecodeError:
        return None
    name = Path(os.path.relpath(path)).as_posix()
    lines = difflib.unified_diff(was, made, f"a/{name}", f"b/{name}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _says(there: Table, field: str, *, required: bool) -> bool:
    """Whether a table has the field as it is wanted."""
    found = there.fields.get(field)
    if found is None:
        return not required and there.open
    return not required or found.required


def _as_wanted(before: Schema, after: Schema, there: Table, field: str, *, required: bool) -> bool:
    """Whether a schema is what is wanted, and otherwise what it was."""
    made = after.tables.get(there.name)
    return (
        made is not None
        and _says(made, field, required=required)
        and _rest(before, there, field) == _rest(after, there, field)
    )


def _rest(schema: Schema, there: Table, field: str) -> dict[str, dict[str, FieldType]]:
    """All fields of all tables, but for the one."""
    return {
        name: {
            each: evolve(said, staged=False)
            for each, said in table.fields.items()
            if (name, each) != (there.name, field)
        }
        for name, table in schema.tables.items()
    }


def _edited(path: Path, there: Table, field: str, *, required: bool, kind: str) -> bytes | None:
    """The file with the change made; None where what to change does not stand in it literally."""
    module = read(path)
    calls = [each for each in find(Piece(module, module.root), "call_expression") if each.line == there.line]
    for call in reversed(calls):  # the innermost is what makes the table, the others are .index(...) and so on
        arguments = call.child("arguments")
        objects = [node for node in arguments.node.named_children if node.type == "object"] if arguments else []
        if not objects or not text(call.node).partition("(")[0].rstrip().endswith(("defineTable", "defineEnt")):
            continue
        pairs = [node for node in objects[0].named_children if node.type == "pair"]
        held = next((node for node in pairs if _key(node) == field), None)
        if held is None:
            return None if required or not pairs else _inserted(path, pairs[-1], f"{field}: v.optional({kind})")
        value = held.child_by_field_name("value")
        made = _required(value) if required and value is not None else None
        return None if made is None or value is None else _replaced(path, value, made)
    return None


def _key(pair: Node) -> str:
    key = pair.child_by_field_name("key")
    return "" if key is None else text(key).strip("\"'")


def _required(value: Node) -> str | None:
    """The validator without what lets the field be absent; None where that is something else."""
    function, arguments = value.child_by_field_name("function"), value.child_by_field_name("arguments")
    if value.type != "call_expression" or function is None or arguments is None:
        return None
    given = [node for node in arguments.named_children if node.type != "comment"]
    called = text(function)
    if called == "v.optional" and len(given) == 1:
        return _required(given[0]) or text(given[0])
    if called.endswith(".optional") and not given:
        inner = function.child_by_field_name("object")
        return None if inner is None else _required(inner) or text(inner)
    if called == "v.union" and len(given) == 2 and sum(text(node) == "v.null()" for node in given) == 1:
        return next(text(node) for node in given if text(node) != "v.null()")
    return None


def _replaced(path: Path, node: Node, made: str) -> bytes:
    source, start = _source(path)
    return source[: start + node.start_byte] + made.encode() + source[start + node.end_byte :]


def _inserted(path: Path, last: Node, made: str) -> bytes:
    """The file with a member after the *last* one, on a line of its own where that has one."""
    source, start = _source(path)
    before, feed, alone = source[: start + last.start_byte].rpartition(b"\n")
    end = b"\r\n" if before.endswith(b"\r") else feed
    between = b"," + end + alone if feed and not alone.strip() else b", "
    return source[: start + last.end_byte] + between + made.encode() + source[start + last.end_byte :]


def _source(path: Path) -> tuple[bytes, int]:
    """The bytes of a file, and where in them its nodes begin to be counted."""
    source = path.read_bytes()
    return source, 3 if source.startswith(b"\xef\xbb\xbf") else 0
