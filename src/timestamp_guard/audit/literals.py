"""
Instants that are written out in code: `0`, `"1970-01-01"`, `new Date(0).getTime()`.

What is a placeholder is for :func:`timestamp_guard.instants.decode` to say.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ..convex.typescript import string, text, unwrap
from ..instants import Encoding, decode
from . import flow

if TYPE_CHECKING:
    from tree_sitter import Node

__all__ = ["placeholder"]

_NUMBER: Final = Encoding.parse("epoch_ms")
_TEXT: Final = Encoding.parse("iso8601@UTC")
_SAME: Final = {"getTime", "toISOString", "toJSON", "valueOf"}
"""Methods of a date that tell the same instant in another way."""

_OF_TEXT: Final = {"BigInt", "Date.parse", "Number"}
_OCTAL: Final = re.compile(r"0[0-7]+")


def placeholder(node: Node) -> str | None:
    """The placeholder that an expression is in some case, as it is written; None where it is none."""
    node = unwrap(node)
    match node.type:
        case "ternary_expression":
            return _first(node, "consequence", "alternative")
        case "binary_expression" if any(each.type == "??" for each in node.children):
            return _first(node, "left", "right")
        case "binary_expression" if any(each.type == "||" for each in node.children):
            return _first(node, "right")  # 0 on its left is passed over
        case _:
            value = _value(node)
    if value is None or decode(value, _TEXT if isinstance(value, str) else _NUMBER) != "placeholder":
        return None
    return value if node.type == "string" and isinstance(value, str) else text(node)


def _first(node: Node, *names: str) -> str | None:
    parts = (node.child_by_field_name(name) for name in names)
    return next((found for each in parts if each is not None and (found := placeholder(each))), None)


def _value(node: Node) -> int | float | str | None:
    """The number or the text that an expression is; a date is the one that it is made of."""
    node = unwrap(node)
    match node.type:
        case "number":
            return _number(text(node))
        case "string" | "template_string":
            return string(node)
        case "unary_expression":
            return _signed(node)
        case "new_expression":
            made = node.child_by_field_name("constructor")
            return _only(node) if made is not None and text(made) == "Date" else None
        case "call_expression":
            return _called(node)
        case _:
            return None


def _signed(node: Node) -> int | float | str | None:
    operator, of = node.child_by_field_name("operator"), node.child_by_field_name("argument")
    value = None if of is None else _value(of)
    if operator is None or text(operator) not in {"+", "-"}:
        return None
    if text(operator) == "-":
        return None if isinstance(value, str) or value is None else -value
    return value


def _called(call: Node) -> int | float | str | None:
    function = unwrap(call.child_by_field_name("function") or call)
    name, owner = function.child_by_field_name("property"), function.child_by_field_name("object")
    if text(function) in _OF_TEXT:
        return _only(call)
    return _value(owner) if owner is not None and name is not None and text(name) in _SAME else None


def _only(call: Node) -> int | float | str | None:
    given = flow.argument_nodes(call)
    return _value(given[0]) if len(given) == 1 else None


def _number(written: str) -> int | float | None:
    """A number of JavaScript: `0x0`, `1_000`, `0n`, `.5`."""
    written = written.replace("_", "").removesuffix("n")
    try:
        return int(written, 8 if _OCTAL.fullmatch(written) else 0)
    except ValueError:
        pass
    try:
        return float(written)
    except ValueError:
        return None
