"""
The values and entries of objects, and objects that are made from entries.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..convex.names import Binding
from ..convex.typescript import Piece, text, unwrap
from . import calls, flow
from .values import (
    NOTHING,
    SCALAR,
    Anything,
    Entry,
    Frame,
    Later,
    Listed,
    Partial,
    Record,
    Several,
    Value,
    texts,
)

if TYPE_CHECKING:
    from tree_sitter import Node

    from .reader import Reader

__all__ = ["listed", "made"]


def listed(reader: Reader, name: str, of: Value) -> Value | None:
    """`Object.values(x)` and `.entries`; None where a part of the object is not known."""
    values = _values(reader, of)
    if values is None:
        return None
    each = values[0] if len(values) == 1 else Several(tuple(values), every=True)
    return Listed(each if name == "values" else Listed(Several((SCALAR, each), every=True)))


def _values(reader: Reader, of: Value) -> list[Value] | None:
    of = reader.look(of)
    if not isinstance(of, Record):
        return None
    found: list[Value] = []
    for entry in of.entries:
        inner = _values(reader, entry.value) if entry.spread else [reader.look(entry.value)]
        if inner is None:
            return None
        found += inner
    return found


def made(reader: Reader, given: Piece, frame: Frame) -> Value:
    """`Object.fromEntries`: of pairs that are written out, or of the entries of an object, some of them taken out."""
    node = unwrap(given.node)
    if node.type == "identifier":
        bound = reader.folder.binding(given.at(node))
        if isinstance(bound, Binding) and bound.value is not None and not bound.path:
            given, node = bound.value, unwrap(bound.value.node)
    if node.type == "array":
        entries: list[Entry] = []
        for each in node.named_children:
            pair = each.named_children if each.type == "array" else []
            if len(pair) == 2:
                names = texts(reader.value(given.at(pair[0]), frame))
                entries.append(Entry(Later(given.at(pair[1]), frame), names))
            elif each.type != "comment":
                entries.append(Entry(Anything("what is spread into the entries is known when it runs"), spread=True))
        return Record(tuple(entries), str(given))
    partly = False
    while node.type == "call_expression":
        function = calls.callee(given.at(node)).node
        name, owner = function.child_by_field_name("property"), function.child_by_field_name("object")
        if name is None or owner is None:
            break
        if text(owner) == "Object" and text(name) == "entries":
            inside = flow.argument_nodes(node)
            of = reader.value(given.at(inside[0]), frame) if inside else NOTHING
            return Partial(of) if partly else of
        if text(name) not in {"filter", "slice"} and not _keeps_keys(node, text(name)):
            break
        partly = partly or text(name) != "map"
        node = unwrap(owner)
    return Anything("the entries it is made from are known when it runs")


def _keeps_keys(call: Node, name: str) -> bool:
    """Whether entries are mapped so that each keeps its name: `.map(([key, value]) => [key, f(value)])`."""
    found = re.search(r"^\(?\s*\(?\s*\[\s*(\w+)\s*,[^=]*=>\s*\[\s*(\w+)\s*,", _arguments_text(call))
    return name == "map" and found is not None and found[1] == found[2]


def _arguments_text(call: Node) -> str:
    given = call.child_by_field_name("arguments")
    return "" if given is None else text(given)[1:]
