"""
What becomes of a variable between its declaration and its use: `row.updatedAt = now`, `row = {...}`, `rows.push(row)`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from attrs import evolve, frozen

from ..convex.typescript import Piece, string, text, unwrap, words

if TYPE_CHECKING:
    from tree_sitter import Node

__all__ = ["Change", "argument_nodes", "changes", "occurrences", "outer"]

What: TypeAlias = Literal["replaced", "set", "unset", "spread", "pushed", "given"]

_BRANCHES: Final = {
    "arrow_function",
    "binary_expression",
    "catch_clause",
    "else_clause",
    "for_in_statement",
    "for_statement",
    "function_declaration",
    "function_expression",
    "if_statement",
    "method_definition",
    "program",
    "statement_block",
    "switch_case",
    "switch_default",
    "ternary_expression",
    "while_statement",
}
"""What stands inside one of these may not be run, or not where the variable is used."""

_LOOKS: Final = re.compile(
    r"^(console\.\w+|JSON\.stringify|Object\.(keys|values|entries|freeze|fromEntries)|structuredClone|Array\.isArray|"
    r"String|Number|Boolean|v\.\w+)$"
)
"""Functions that are known to leave alone what they are given."""

_WRAPPERS: Final = {"as_expression", "non_null_expression", "parenthesized_expression", "satisfies_expression"}


@frozen(eq=False)
class Change:
    """
    What happens to a variable at one place: `replaced` by a value, `set` or `unset` under a key (None: a computed one),
    `spread` into (`Object.assign`), `pushed` to, or `given` to a function, whose `place` it is among the arguments. `sure` where who comes to the use has come by it.
    """

    what: What
    piece: Piece
    key: Piece | str | None = None
    place: int = 0
    sure: bool = True


def changes(declared: Piece, use: Piece) -> Iterator[Change]:
    """The changes to the variable *declared* there, up to its *use*, in the order of the file."""
    for occurrence in occurrences(declared, use):
        at = outer(occurrence)
        found = _change(declared, at)
        if found is not None and not _holds(found.piece.node, use.node):
            yield found if _reaches(at, use.node) else evolve(found, sure=False)


def occurrences(declared: Piece, use: Piece) -> Iterator[Node]:
    """Where the name stands between its declaration and its use; another variable of that name is left to the caller."""
    root = declared.module.root
    source = root.text or b""
    start, end = declared.node.end_byte - root.start_byte, use.node.start_byte - root.start_byte
    for found in words(declared.text, before=r"\w$.").finditer(source[start:end]):
        low = found.start() + declared.node.end_byte
        node = root.descendant_for_byte_range(low, low + len(declared.text.encode()))
        if node is not None and node.type == "identifier" and text(node) == declared.text:
            yield node


def outer(node: Node) -> Node:
    """The expression with all that changes no value around it: parentheses, `as T`, `!`."""
    while node.parent is not None and node.parent.type in _WRAPPERS and unwrap(node.parent) == unwrap(node):
        node = node.parent
    return node


def argument_nodes(call: Node) -> list[Node]:
    """What a call is given."""
    given = call.child_by_field_name("arguments")
    return [] if given is None else [each for each in given.named_children if each.type != "comment"]


def _change(declared: Piece, node: Node) -> Change | None:
    parent = node.parent or node
    match parent.type:
        case "assignment_expression" if parent.child_by_field_name("left") == node:
            return Change("replaced", declared.at(parent.child_by_field_name("right") or parent))
        case "augmented_assignment_expression" if parent.child_by_field_name("left") == node:
            return Change("given", declared.at(parent))
        case "member_expression" | "subscript_expression" if parent.child_by_field_name("object") == node:
            return _member(declared, parent)
        case "arguments":
            return _argument(declared, parent, node)
        case _:
            return None


def _member(declared: Piece, member: Node) -> Change | None:
    key = _key(declared, member)
    at = outer(member)
    parent = at.parent or at
    if parent.type in {"assignment_expression", "augmented_assignment_expression"}:
        if parent.child_by_field_name("left") != at:
            return None
        right = declared.at(parent.child_by_field_name("right") or parent)
        return Change("set", right, key)
    if parent.type == "unary_expression" and any(child.type == "delete" for child in parent.children):
        return Change("unset", declared.at(parent), key)
    if parent.type == "call_expression" and key in {"push", "unshift"} and parent.child_by_field_name("function") == at:
        return Change("pushed", declared.at(parent))
    return None


def _key(declared: Piece, member: Node) -> Piece | str | None:
    index = member.child_by_field_name("index")
    if index is not None:
        return string(index) or declared.at(index)
    named = member.child_by_field_name("property")
    return None if named is None else text(named)


def _argument(declared: Piece, arguments: Node, node: Node) -> Change | None:
    call = arguments.parent or arguments
    called = call.child_by_field_name("function") or call.child_by_field_name("constructor")
    name = "" if called is None else text(called)
    given = argument_nodes(call)
    place = next((at for at, each in enumerate(given) if each == node), 0)
    if name == "Object.assign" and place == 0:
        return Change("spread", declared.at(call))
    if _LOOKS.match(name) or re.search(r"\.(insert|patch|replace|get|push)$", name) or name == "Object.assign":
        return None
    return Change("given", declared.at(call), place=place)


def _reaches(change: Node, use: Node) -> bool:
    """Whether who comes to the use has come by the change."""
    node, parent = change, change.parent
    while parent is not None and (parent.type not in _BRANCHES or _tested(parent, node)):
        node, parent = parent, parent.parent
    maybe = {"if_statement", "ternary_expression", "binary_expression"}
    return parent is None or (parent.type not in maybe and _holds(parent, use))


def _tested(branch: Node, inside: Node) -> bool:
    """Whether a part of a branch is run in any case: its condition."""
    return inside in {
        branch.child_by_field_name("condition"),
        branch.child_by_field_name("left"),
        branch.child_by_field_name("right") if branch.type == "for_in_statement" else None,
    }


def _holds(outside: Node, inside: Node) -> bool:
    return outside.start_byte <= inside.start_byte and inside.end_byte <= outside.end_byte
