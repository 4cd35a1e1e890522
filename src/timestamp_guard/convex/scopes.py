"""
The names that a piece of TypeScript declares, and what each is declared as; other files are not looked into.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

from attrs import frozen

from .typescript import Piece, string, text

__all__ = ["DECLARATIONS", "NAMES", "SCOPES", "Binding", "Declared", "Imported", "declared", "exports"]

DECLARATIONS: Final = {
    "abstract_class_declaration",
    "class_declaration",
    "enum_declaration",
    "function_declaration",
    "generator_function_declaration",
    "internal_module",
}
"""What has a name of its own."""

_HOLDING: Final = {"ambient_declaration", "export_statement", "expression_statement"}
_DECLARING: Final = {*DECLARATIONS, *_HOLDING, "import_statement", "lexical_declaration", "variable_declaration"}
"""The statements that declare names, and those that may hold one that does."""

NAMES: Final = {"identifier", "shorthand_property_identifier", "shorthand_property_identifier_pattern"}

SCOPES: Final = {
    "arrow_function",
    "catch_clause",
    "for_in_statement",
    "for_statement",
    "function_declaration",
    "function_expression",
    "generator_function",
    "generator_function_declaration",
    "method_definition",
    "program",
    "statement_block",
}
"""What declares names for what stands inside it."""


@frozen
class Binding:
    """
    What a name is bound to, in a file of ours.

    `declared` is the name where it is declared: a variable, a parameter, a function, a class or an enum.
    `value` is what it is given there: the initialiser, or the declaration of a function, class or enum; None where
    there is none, as for a parameter. `path` says which part of it, by the keys of a destructuring.
    """

    declared: Piece
    value: Piece | None
    path: tuple[str, ...] = ()


@frozen
class Imported:
    """What comes from elsewhere: `name` is `default` for a default, `*` for all that is exported there."""

    source: str
    name: str


Declared: TypeAlias = Binding | Imported


def declared(scope: Piece) -> dict[str, Declared]:
    """The names that a node of one of :data:`SCOPES` declares for what stands inside it."""
    return dict(_declared(scope))


def exports(statement: Piece) -> Iterator[tuple[str, Declared | str]]:
    """
    The names that a statement exports; `*` for all of another module.

    A text is the name by which the module itself knows what is exported.
    """
    if statement.node.type != "export_statement":
        return
    source, value, declaration = (statement.child(name) for name in ("source", "value", "declaration"))
    words = {child.type for child in statement.node.children}
    if "type" in words:
        return
    origin = None if source is None else string(source.node) or ""
    for local, other in _specified(statement):
        yield other, local if origin is None else Imported(origin, local)
    if origin is not None and "*" in words:
        yield "*", Imported(origin, "*")
    given = value or declaration
    if "default" in words and given is not None:
        yield "default", Binding(given, given)
    elif declaration is not None:
        yield from _statement(declaration)


def _declared(piece: Piece) -> Iterator[tuple[str, Declared]]:
    node = piece.node
    if node.type in {"program", "statement_block"}:
        for statement in node.named_children:
            if statement.type in _DECLARING:  # most do not
                yield from _statement(piece.at(statement))
        return
    first, own, parameters = (piece.child(name) for name in ("initializer", "name", "parameters"))
    if first is not None:
        yield from _statement(first)
    if node.type == "function_expression" and own is not None:
        yield own.text, Binding(own, piece)
    for each in ("parameter", "left"):  # of an arrow or a `catch`, and of `for ... of`
        pattern = piece.child(each)
        if pattern is not None:
            yield from _bound(pattern, None)
    for parameter in [] if parameters is None else parameters.node.named_children:
        yield from _bound(piece.at(parameter), None)


def _statement(piece: Piece) -> Iterator[tuple[str, Declared]]:
    node = piece.node
    if node.type in _HOLDING:
        for inner in node.named_children:
            if inner.type in _DECLARING:
                yield from _statement(piece.at(inner))
    elif node.type in {"lexical_declaration", "variable_declaration"}:
        for each in node.named_children:
            pattern = piece.at(each).child("name")
            if each.type == "variable_declarator" and pattern is not None:
                yield from _bound(pattern, piece.at(each).child("value"))
    elif node.type in DECLARATIONS:
        name = piece.child("name")
        if name is not None:
            yield name.text, Binding(name, piece)
    elif node.type == "import_statement":
        yield from _import(piece)


def _import(piece: Piece) -> Iterator[tuple[str, Imported]]:
    source = piece.child("source")
    clause = next((each for each in piece.node.named_children if each.type == "import_clause"), None)
    if source is None or clause is None:
        return
    origin = string(source.node) or ""
    for each in clause.named_children:
        if each.type == "identifier":
            yield text(each), Imported(origin, "default")
        elif each.type == "namespace_import":
            yield text(each.named_children[-1]), Imported(origin, "*")
        for one in each.named_children if each.type == "named_imports" else ():
            name = one.child_by_field_name("name")
            if name is not None:
                local = one.child_by_field_name("alias") or name
                yield text(local), Imported(origin, string(name) or text(name))


def _specified(statement: Piece) -> Iterator[tuple[str, str]]:
    """The names in `export {local as other}` and `export * as other`; those of types are left out."""
    for clause in statement.node.named_children:
        if clause.type == "namespace_export":
            yield "*", text(clause.named_children[-1])
        for each in clause.named_children if clause.type == "export_clause" else ():
            name = each.child_by_field_name("name")
            if name is not None and not any(child.type == "type" for child in each.children):
                alias = each.child_by_field_name("alias") or name
                yield text(name), string(alias) or text(alias)


def _bound(pattern: Piece, value: Piece | None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Binding]]:
    """The names in a pattern, each with the part of the value that it takes; what has a default has no known value."""
    node = pattern.node
    match node.type:
        case "identifier" | "shorthand_property_identifier_pattern":
            yield pattern.text, Binding(pattern, value, path)
        case "object_pattern" | "array_pattern":
            for place, each in enumerate(node.named_children):
                part = str(place) if node.type == "array_pattern" else text(each)
                yield from _bound(pattern.at(each), value, path if each.type == "pair_pattern" else (*path, part))
        case "pair_pattern":
            key, inner = pattern.child("key"), pattern.child("value")
            if key is not None and inner is not None:
                named = key.text if key.node.type == "property_identifier" else string(key.node)
                yield from _bound(inner, None if named is None else value, (*path, named or ""))
        case "object_assignment_pattern" | "assignment_pattern":
            left = pattern.child("left")
            if left is not None:
                yield from _bound(left, None)
        case "rest_pattern":
            yield from _bound(pattern.at(node.named_children[-1]), None)
        case "required_parameter" | "optional_parameter":
            inner = pattern.child("pattern")
            if inner is not None:
                yield from _bound(inner, None)
        case _:
            return
