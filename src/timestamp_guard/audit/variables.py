"""
What a variable is: where it is declared, and where it is used, after all that was done to it in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..convex.typescript import Piece, string, text
from . import calls, flow, typed
from . import given as given_to
from .values import (
    FUNCTIONS,
    SCALAR,
    Anything,
    Code,
    Context,
    Database,
    Entry,
    Frame,
    Later,
    Listed,
    Maybe,
    Only,
    Partial,
    Record,
    Several,
    Value,
    Without,
    either,
    is_vague,
    texts,
    with_default,
)

if TYPE_CHECKING:
    from tree_sitter import Node

    from .reader import Reader

__all__ = ["changed", "declares"]

_MAY_BE: Final = {"given", "pushed", "set", "spread"}
"""Changes that say of themselves if they are made in any case; what is pushed in one case counts like all others."""

_PATTERNS: Final = {
    "array_pattern",
    "assignment_pattern",
    "object_assignment_pattern",
    "object_pattern",
    "pair_pattern",
    "rest_pattern",
}


def declares(reader: Reader, declared: Piece, frame: Frame) -> Value:
    """What a name is where it is declared: a variable, a parameter, what a loop goes through, or a part of one."""
    node = declared.node
    steps: list[Node] = []
    while node.parent is not None and node.parent.type in _PATTERNS:
        node = node.parent
        steps.append(node)
    inner: Node = declared.node
    found = _origin(reader, declared.at(node), frame)
    path: list[tuple[Node, Node]] = []
    for step in steps:
        path.append((step, inner))
        inner = step
    for step, within in reversed(path):
        found = _step(reader, found, declared.at(step), within, frame)
    return found


def _step(reader: Reader, held: Value, step: Piece, within: Node, frame: Frame) -> Value:
    """One step of a destructuring: into an object or an array, past a default, or to the rest."""
    match step.node.type:
        case "object_pattern":
            match within.type:
                case "rest_pattern":
                    names = [_pattern_key(each) for each in step.node.named_children if each != within]
                    return Without(held, frozenset(name for name in names if name is not None))
                case "pair_pattern":
                    key = within.child_by_field_name("key")
                    names_of = None if key is None else reader.key(step.at(key), frame)
                    name = next(iter(names_of)) if names_of and len(names_of) == 1 else None
                case _:
                    name = _pattern_key(within)
            if name is None:
                return Anything("which part is taken is known when it runs")
            return reader.get(held, name, name)
        case "array_pattern":
            if within.type == "rest_pattern":
                return held
            held = reader.look(held)
            before = (each for each in step.node.children if each.end_byte <= within.start_byte)
            at = sum(each.type == "," for each in before)  # there may be holes: [, row]
            of = reader.look(held.of) if isinstance(held, Listed) else None
            if isinstance(of, Several) and of.every and at < len(of.values):
                return reader.look(of.values[at])
            return reader.element(held)
        case "assignment_pattern" | "object_assignment_pattern":
            default = step.child("right")
            return held if default is None else with_default(held, reader.value(default, frame))
        case _:
            return held


def _origin(reader: Reader, piece: Piece, frame: Frame) -> Value:
    """What a whole pattern stands for: a variable, a parameter, what a loop goes through, a function."""
    node, parent = piece.node, piece.node.parent or piece.node
    match parent.type:
        case "variable_declarator":
            return _variable(reader, piece.at(parent), frame)
        case "for_in_statement" if parent.child_by_field_name("left") == node:
            return _looped(reader, piece.at(parent), frame)
        case "required_parameter" | "optional_parameter":
            return given_to.parameter(reader, piece.at(parent), frame)
        case "arrow_function" if parent.child_by_field_name("parameter") == node:
            return given_to.parameter(reader, piece, frame)
        case _ if parent.type in {*FUNCTIONS, "generator_function_declaration"}:
            return Code(piece.at(parent), frame)
        case "enum_declaration":
            return _enum(reader, piece.at(parent), frame)
        case "export_statement":
            return reader.value(piece, frame)
        case _:
            return Anything(f"what `{calls.brief(piece)}` is, is known when it runs")


def _enum(reader: Reader, piece: Piece, frame: Frame) -> Value:
    """The members of an enum, as an object holds them; one without a value of its own is a number."""
    body = piece.child("body")
    entries: list[Entry] = []
    for node in () if body is None else body.node.named_children:
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        if node.type == "enum_assignment" and name is not None and value is not None:
            entries.append(Entry(Later(piece.at(value), frame), reader.key(piece.at(name), frame)))
        elif node.type != "comment":
            entries.append(Entry(SCALAR, reader.key(piece.at(node), frame)))
    return Record(tuple(entries), str(piece))


def _variable(reader: Reader, piece: Piece, frame: Frame) -> Value:
    given, said = piece.child("value"), piece.child("type")
    if given is None:
        return Several(())  # TypeScript sees to it that it is given something before it is used
    found = reader.value(given, frame)
    if said is not None and is_vague(found):
        declared = typed.read(reader, said, frame)
        return found if is_vague(declared) else declared
    return found


def _looped(reader: Reader, loop: Piece, frame: Frame) -> Value:
    right = loop.child("right")
    operator = loop.child("operator")
    if right is None or (operator is not None and operator.text == "in"):
        return SCALAR
    found = reader.value(right, frame)
    return calls.rows(found) or reader.element(found)


def changed(reader: Reader, found: Value, declared: Piece, use: Piece, frame: Frame) -> Value:
    """What became of a variable between its declaration and its use."""
    if isinstance(found, Code | Context | Database):
        return found
    for change in flow.changes(declared, use):
        after = _after(reader, found, change, frame)
        if after is not None:
            found = after if change.sure or change.what in _MAY_BE else either([found, after])
    return found


def _keys(reader: Reader, key: Piece | str | None, frame: Frame) -> frozenset[str] | None:
    if isinstance(key, str):
        return frozenset({key})
    return None if key is None else texts(reader.value(key, frame))


def _after(reader: Reader, found: Value, change: flow.Change, frame: Frame) -> Value | None:
    given = flow.argument_nodes(change.piece.node) if change.what in {"spread", "pushed"} else []
    before = Entry(found, spread=True)
    match change.what:
        case "replaced":
            return reader.value(change.piece, frame)
        case "set" | "unset":
            keys = _keys(reader, change.key, frame)
            if change.what == "unset":
                return Partial(found) if keys is None else Without(found, keys)
            return Record((before, Entry(Later(change.piece, frame), keys, sure=change.sure)), str(change.piece))
        case "spread":
            parts: list[Value] = [Later(change.piece.at(each), frame) for each in given[1:]]
            more = [Entry(each if change.sure else Maybe(each), spread=True) for each in parts]
            return Record((before, *more), str(change.piece))
        case "pushed":
            new = [
                reader.element(reader.value(change.piece.at(each.named_children[-1]), frame))
                if each.type == "spread_element"
                else Later(change.piece.at(each), frame)
                for each in given
            ]
            if not isinstance(found, Listed):
                return None
            old = reader.look(found.of)
            values = old.values if isinstance(old, Several) and old.every else (old,)
            held = (*values, *new)
            return Listed(held[0] if len(held) == 1 else Several(held, every=True))
        case "given":
            return _after_call(reader, found, change, frame)


def _after_call(reader: Reader, found: Value, change: flow.Change, frame: Frame) -> Value | None:
    """What becomes of an object that is given to a function; None where nothing does."""
    if change.piece.node.type == "augmented_assignment_expression":
        return Anything("it is put together from parts")
    if not isinstance(found, Record | Without | Only | Partial | Anything | Several | Maybe) or calls.tables_of(found):
        return None
    code = reader.value(calls.callee(change.piece), frame) if change.piece.node.type == "call_expression" else None
    if not isinstance(code, Code):
        at = change.piece.node.parent
        if at is not None and at.type == "await_expression":
            at = at.parent
        if at is None or at.type != "expression_statement":
            return None  # it is called for what it gives, not for what it does to others
        why = f"`{calls.brief(calls.callee(change.piece))}` is given it, and may change it"
        return Record((Entry(found, spread=True), Entry(Anything(why), spread=True)), str(change.piece))
    parameters, body = code.piece.child("parameters"), code.piece.child("body")
    given = [] if parameters is None else [each for each in parameters.node.named_children if each.type != "comment"]
    if body is None or change.place >= len(given) or body.node.type != "statement_block":
        return None
    pattern = given[change.place].child_by_field_name("pattern")
    if pattern is None or pattern.type != "identifier":
        return None
    inside = {**code.frame, code.piece.node.id: tuple(calls.argument(change.piece.at(each), frame) for each in
                                                     flow.argument_nodes(change.piece.node))}  # fmt: skip
    after = changed(reader, found, body.at(pattern), body.at(body.node.children[-1]), inside)
    return None if after is found else after


def _pattern_key(node: Node) -> str | None:
    match node.type:
        case "shorthand_property_identifier_pattern":
            return text(node)
        case "pair_pattern":
            key = node.child_by_field_name("key")
            return None if key is None else string(key) or text(key)
        case "object_assignment_pattern":
            left = node.child_by_field_name("left")
            return None if left is None else text(left)
        case _:
            return None
