"""
Where an app writes: every `insert`, `patch` and `replace` on a database of Convex, in whatever shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from attrs import frozen

from ..convex.typescript import Module, Piece, string, text, words
from . import calls, flow
from .findings import Site
from .values import Anything, Later, Value, texts
from .verdicts import Judge, Verdict, keys

if TYPE_CHECKING:
    from tree_sitter import Node

    from ..convex.schema import Schema
    from .reader import Reader
    from .settings import Settings

__all__ = ["Tracked", "named", "sites", "statement"]

_CALLS: Final = {"insert": 2, "patch": 3, "replace": 3}
"""How many arguments each takes when it is told the table."""


@frozen
class Tracked:
    """The tables that have the field."""

    schema: Schema
    settings: Settings

    @property
    def tables(self) -> frozenset[str]:
        """All of them."""
        updated = self.settings.updated
        own = {
            name
            for name, each in self.schema.tables.items()
            if updated in each.fields or updated in each.untyped or updated in (each.staged or {})
        }
        return frozenset(own | set(self.settings.track))

    def any_of(self, tables: frozenset[str]) -> bool:
        """Whether a write to one of *tables*, or to one that is not known, is a write to one that has the field."""
        return bool(self.tables & tables) if tables else self.schema.tables.keys() <= self.tables

    def demands(self, tables: frozenset[str]) -> bool:
        """Whether the schema demands that the field be there in one of *tables*, if only as null."""
        known = (self.schema.tables.get(each) for each in tables or self.tables)
        return any(
            each is not None and (own := each.fields.get(self.settings.updated)) is not None and not own.optional
            for each in known
        )


def named(module: Module, pattern: re.Pattern[bytes]) -> Iterator[Node]:
    """The nodes of a file whose text the *pattern* finds, without those in comments."""
    root = module.root
    for found in pattern.finditer(root.text or b""):
        node = root.descendant_for_byte_range(found.start() + root.start_byte, found.end() + root.start_byte)
        if node is not None and node.type != "comment":
            yield node


_NAMES: Final = words(*_CALLS)


def sites(reader: Reader, module: Module, tracked: Tracked) -> Iterator[tuple[Site, Piece]]:
    """The writes of a file, in its order, each with its call."""
    judge = Judge(tracked.settings.updated, tracked.schema, reader.look)
    for node in named(module, _NAMES):
        member = _member(node)
        if member is None:
            continue
        call, owner = _called(member), member.child_by_field_name("object")
        if call is None or owner is None:
            continue
        if text(node) == "replace" and not _may_be_database(owner):
            continue  # most of them are of texts, and most of these are told by their look
        reader.ask()
        base = calls.database(reader, Piece(module, owner), {})
        name = string(node.parent) if node.type == "string_fragment" and node.parent else text(node)
        given = [Piece(module, each) for each in flow.argument_nodes(call)]
        if (
            base is None
            or name not in _CALLS
            or not given
            or (name == "insert" and len(given) < 2 and not _spread(given))
        ):
            continue
        piece = Piece(module, call)
        tables = _tables(reader, name, given)
        verdict = Verdict("sets", "the database stamps it")
        names: frozenset[str] | None = None
        if not base.stamped:
            verdict, names = _judged(judge, name, _document(name, given))
        first, end = statement(call), call.end_point.row + 1
        yield (
            Site(
                module.name,
                member.start_point.row + 1,
                name,  # type: ignore[arg-type]  # one of _CALLS
                next(iter(tables)) if len(tables) == 1 else None,
                tracked.any_of(tables),
                verdict.word,
                verdict.why,
                tables,
                names,
                first.start_point.row + 1,
                end,
                re.sub(r"\s+", "", text(call)),
            ),
            piece,
        )


def _judged(judge: Judge, name: str, document: Value) -> tuple[Verdict, frozenset[str] | None]:
    try:
        return judge.verdict(document), keys(document, judge.look) if name == "patch" else None
    except RecursionError:
        return Verdict("indeterminate", "it is nested too deep to be followed"), None


def statement(node: Node) -> Node:
    """The statement that an expression stands in."""
    while node.parent is not None and not node.type.endswith(("_statement", "_declaration", "program")):
        node = node.parent
    return node


def _member(node: Node) -> Node | None:
    """`db.insert`, or `db["insert"]`."""
    if node.type == "string_fragment":
        node = node.parent or node
    parent = node.parent or node
    field = {"member_expression": "property", "subscript_expression": "index"}.get(parent.type)
    return parent if field is not None and parent.child_by_field_name(field) == node else None


def _called(member: Node) -> Node | None:
    """The call of a member; between them may be what changes nothing."""
    node, parent = member, member.parent
    while parent is not None and parent.type in {"await_expression", "parenthesized_expression", "non_null_expression"}:
        node, parent = parent, parent.parent
    if parent is None or parent.type != "call_expression" or parent.child_by_field_name("function") != node:
        return None
    return parent


def _may_be_database(owner: Node) -> bool:
    named = owner.child_by_field_name("property") if owner.type == "member_expression" else None
    return owner.type not in {"string", "template_string"} and (
        named is None or calls.DATABASE.match(text(named)) is not None
    )


def _spread(given: list[Piece]) -> bool:
    return any(each.node.type == "spread_element" for each in given)


def _document(name: str, given: list[Piece]) -> Value:
    if _spread(given):
        return Anything("the arguments are spread")
    if name != "insert" and len(given) < 2:
        return Anything("there is no document")
    return Later(given[-1] if len(given) <= _CALLS[name] else given[_CALLS[name] - 1], {})


def _tables(reader: Reader, name: str, given: list[Piece]) -> frozenset[str]:
    """The tables that are named, or that the id is of; none where it is not known."""
    if given[0].node.type == "spread_element":
        return frozenset()
    first = reader.value(given[0], {})
    if len(given) >= _CALLS[name]:
        return texts(first) or frozenset()
    return calls.tables_of(first) or frozenset()
