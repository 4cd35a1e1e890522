"""
What functions are given: handlers their arguments, callbacks what is in an array, helpers what they are called with.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..convex.names import Binding
from ..convex.typescript import Piece, string, text, words
from . import calls, flow, typed
from .calls import callee
from .values import (
    NOTHING,
    Anything,
    Context,
    Entry,
    Frame,
    Ids,
    Mapped,
    Maybe,
    Record,
    Row,
    Value,
    either,
    is_vague,
    texts,
    with_default,
)

if TYPE_CHECKING:
    from tree_sitter import Node

    from .reader import Reader

__all__ = ["parameter"]


def parameter(reader: Reader, piece: Piece, frame: Frame) -> Value:
    """What a parameter is: what the function is called with, as far as that can be seen, or what its type says."""
    node, place = piece.node, 0
    function = node.parent or node
    if function.type == "formal_parameters":
        place = [each for each in function.named_children if each.type != "comment"].index(node)
        function = function.parent or node
    found = _given(reader, piece.at(function), place, frame)
    pattern = piece.child("pattern")
    if pattern is not None and pattern.node.type == "rest_pattern":
        found = Anything("it is given when it runs")
    said, default = piece.child("type"), piece.child("value")
    if said is not None and is_vague(found):
        declared = typed.read(reader, said, frame)
        if not is_vague(declared):
            found = Maybe(declared) if node.type == "optional_parameter" else declared
        elif found_by := _from_callers(reader, piece.at(function), place):
            found = found_by
    elif is_vague(found):
        found = _from_callers(reader, piece.at(function), place) or found
    if default is not None:
        return with_default(found, reader.value(default, frame))
    return found


def _given(reader: Reader, function: Piece, place: int, frame: Frame) -> Value:
    if function.node.id in frame:
        given = frame[function.node.id]
        return reader.look(given[place]) if place < len(given) else NOTHING
    at = flow.outer(function.node)
    parent = at.parent or at
    if parent.type == "arguments" and parent.parent is not None:
        return _to_callback(reader, function.at(parent.parent), at, place, frame)
    named = parent.child_by_field_name("key") or function.node.child_by_field_name("name")
    if parent.type == "pair":
        parent = parent.parent or parent
    if named is not None and parent.type == "object":
        return _to_handler(reader, function.at(parent), text(named), place, frame)
    return Anything("it is given when it runs")


def _to_callback(reader: Reader, call: Piece, function: Node, place: int, frame: Frame) -> Value:
    """What `list.map(f)`, `promise.then(f)`, `triggers.register(table, f)` or `mutation(f)` give a function."""
    called_ = callee(call)
    name, owner = called_.child("property"), called_.child("object")
    given = flow.argument_nodes(call.node)
    if name is not None and owner is not None:
        if name.text == "forEach" and isinstance(held := reader.value(owner, frame), Mapped):
            return held.of if place == 0 else held.key
        if name.text in calls.EACH and place == 0:
            return reader.element(reader.value(owner, frame))
        if name.text == "reduce":
            return reader.element(reader.value(owner, frame)) if place == 1 else Anything("it is what was reduced")
        if name.text == "then":
            return reader.value(owner, frame)
        if name.text == "register" and given[0].type == "string" and place == 1:
            tables = frozenset({string(given[0]) or ""})
            change: dict[str, Value] = {"id": Ids(tables), "newDoc": Maybe(Row(tables)), "oldDoc": Maybe(Row(tables))}
            return Record(tuple(Entry(value, frozenset({key})) for key, value in change.items()))
    if called_.text in {"asyncMap", "Array.from"} and len(given) > 1 and given[1] == function and place == 0:
        return reader.element(reader.value(call.at(given[0]), frame))
    return Context(_stamps(reader, called_)) if place == 0 else Anything("it is given when it runs")


def _to_handler(reader: Reader, literal: Piece, key: str, place: int, frame: Frame) -> Value:
    """What Convex gives the `handler` of a function, or the migrations component its `migrateOne`."""
    parent = literal.node.parent
    call = parent.parent if parent is not None and parent.type == "arguments" else None
    if call is None:
        return Anything("it is given when it runs")
    if place == 0:
        return Context(_stamps(reader, callee(literal.at(call))))
    entries = {each.key: each.value for each in reader.folder.entries(literal)}
    if key == "handler" and place == 1 and "args" in entries:
        return typed.validated(reader, entries["args"], frame)
    if key == "migrateOne" and place == 1 and "table" in entries:
        tables = texts(reader.value(entries["table"], frame))
        return Row(tables) if tables else Anything("it is a row of a table that is not known")
    return Anything("it is given when it runs")


def _stamps(reader: Reader, builder: Piece) -> bool:
    """Whether functions that are made with *builder* get a `db` that stamps: it, or what it is made of, says so."""
    if builder.text in reader.stamping:
        return True
    if builder.node.type != "identifier":
        return False
    key = (builder.module.path, builder.text)
    if key not in reader.builders:
        reader.builders[key] = False  # for what is made of itself
        bound = reader.folder.binding(builder)
        made = bound.value if isinstance(bound, Binding) else None
        if made is not None:
            names = "|".join(map(re.escape, sorted(reader.stamping)))
            given = map(made.at, flow.argument_nodes(made.node)) if made.node.type == "call_expression" else ()
            reader.builders[key] = (
                re.search(rf"\b({names})\s*\(", made.text) is not None
                or any(_stamps(reader, each) for each in given if each.node.type == "identifier")
            )  # fmt: skip
    return reader.builders[key]


def _from_callers(reader: Reader, function: Piece, place: int) -> Value | None:
    """What a function that is not exported is given by all who call it; None where not all of them can be seen."""
    node = function.node
    named = node.child_by_field_name("name")
    if node.type == "arrow_function" and node.parent is not None and node.parent.type == "variable_declarator":
        named = node.parent.child_by_field_name("name")
        node = node.parent.parent or node
    if named is None or named.type != "identifier" or (node.parent and node.parent.type == "export_statement"):
        return None
    root = function.module.root
    source = root.text or b""
    found: list[Value] = []
    for match in words(text(named), before=r"\w$.").finditer(source):
        at = root.descendant_for_byte_range(match.start() + root.start_byte, match.end() + root.start_byte)
        if at is None or at == named or at.type != "identifier":
            continue
        call = at.parent
        while call is not None and call.type == "await_expression":
            call = call.parent
        if call is None or call.type != "call_expression" or callee(function.at(call)).node != at:
            return None
        given = flow.argument_nodes(call)
        if any(each.type == "spread_element" for each in given):
            return None
        found.append(reader.value(function.at(given[place]), {}) if place < len(given) else NOTHING)
    return either(found) if found else None
