"""
What an expression is: :class:`Reader` says so, without running anything, from literals, names, types and validators.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import evolve

from ..convex.names import Binding, Folder, Outside, Whole
from ..convex.typescript import Piece, string, text
from . import calls, flow, typed, variables
from .values import (
    FUNCTIONS,
    NOTHING,
    SCALAR,
    Anything,
    Code,
    Context,
    Database,
    Entry,
    Frame,
    Ids,
    Later,
    Listed,
    Mapped,
    Maybe,
    Nothing,
    Only,
    Partial,
    Record,
    Row,
    Scalar,
    Several,
    Value,
    Without,
    either,
    is_vague,
    texts,
)

if TYPE_CHECKING:
    from tree_sitter import Node

    from ..convex.schema import Schema

__all__ = ["Reader"]

_SCALARS: Final = {"number", "true", "regex", "template_string", "update_expression"}
_DEPTH: Final = 60
_STEPS: Final = 4_000
"""How far one question is followed: code can be built so that it would take for ever."""


class Reader:
    """Reads the expressions of a folder; *stamping* are the names of functions that wrap a `db` so that it stamps."""

    def __init__(self, folder: Folder, schema: Schema, stamping: frozenset[str] = frozenset({"stamped"})) -> None:
        self.folder = folder
        self.schema = schema
        self.stamping = stamping
        self.builders: dict[tuple[Path, str], bool] = {}
        self.types: dict[int, tuple[dict[str, Piece], list[tuple[Piece, str]]]] = {}
        self._documents: dict[str, Value] = {}
        self._depth = 0
        self._steps = 0
        self._too_far = False
        self._declared: dict[int, Value] = {}
        self._named: dict[int, Value] = {}

    def ask(self) -> None:
        """Begin a new question, with all the steps that one may take."""
        self._steps = 0
        self._too_far = False

    def look(self, value: Value) -> Value:
        """The value itself, if it is one that was not looked at yet."""
        while isinstance(value, Later):
            if value.validator:
                value = typed.validated(self, value.piece, value.frame)
            else:
                value = self.value(value.piece, value.frame)
        return value

    def value(self, piece: Piece, frame: Frame) -> Value:
        """What an expression is."""
        self._steps += 1
        if self._depth > _DEPTH or self._steps > _STEPS:
            self._too_far = True
            return Anything(f"`{calls.brief(piece)}` goes too far to be followed")
        self._depth += 1
        try:
            return self._value(piece, frame)
        finally:
            self._depth -= 1

    def _value(self, piece: Piece, frame: Frame) -> Value:
        node = piece.node
        match node.type:
            case "parenthesized_expression" | "non_null_expression" | "await_expression":
                inner = self.value(piece.at(_first(node)), frame)
                return inner.of if node.type == "non_null_expression" and isinstance(inner, Maybe) else inner
            case "as_expression" | "satisfies_expression" | "type_assertion":
                return self._cast(piece, frame)
            case "object":
                return self._object(piece, frame)
            case "array":
                return self._array(piece, frame)
            case "string":
                return Scalar(frozenset({string(node) or ""}))
            case "template_string" if string(node) is not None:
                return Scalar(frozenset({string(node) or ""}))
            case "null" | "undefined" | "false":
                return NOTHING
            case "identifier" | "shorthand_property_identifier":
                return NOTHING if text(node) == "undefined" else self.name(piece, frame)
            case "member_expression" | "subscript_expression":
                return self._member(piece, frame)
            case "ternary_expression":
                return either(self._parts(piece, frame, "consequence", "alternative"))
            case "binary_expression":
                return self._binary(piece, frame)
            case "unary_expression":
                return NOTHING if text(node).startswith("void") else SCALAR
            case "call_expression":
                return calls.called(self, piece, frame)
            case "new_expression":
                return self._new(piece, frame)
            case _ if node.type in FUNCTIONS:
                return Code(piece, frame)
            case _ if node.type in _SCALARS:
                return SCALAR
            case _:
                return Anything(f"`{calls.brief(piece)}` cannot be followed")

    def _parts(self, piece: Piece, frame: Frame, *names: str) -> list[Value]:
        found = [piece.child(name) for name in names]
        return [self.value(each, frame) for each in found if each is not None]

    def _binary(self, piece: Piece, frame: Frame) -> Value:
        operator = piece.child("operator")
        left, right = piece.child("left"), piece.child("right")
        if operator is None or left is None or right is None:
            return SCALAR
        match operator.text:
            case "&&":
                return either([NOTHING, self.value(right, frame)])
            case "||" | "??":
                first = self.value(left, frame)
                if isinstance(first, Nothing):
                    return self.value(right, frame)
                return either([first.of if isinstance(first, Maybe) else first, self.value(right, frame)])
            case _:
                return SCALAR

    def _cast(self, piece: Piece, frame: Frame) -> Value:
        """`x as T`: what `x` is, but where nothing is known of it, what T says; `as any` says nothing."""
        parts = [each for each in piece.node.named_children if each.type != "comment"]
        if piece.node.type == "type_assertion":
            parts.reverse()
        inner = self.value(piece.at(parts[0]), frame)
        if len(parts) < 2:
            return inner
        said = typed.read(self, piece.at(parts[1]), frame)
        narrower = (texts(said) or frozenset()) < (texts(inner) or frozenset())
        if is_vague(inner) or narrower or (isinstance(said, Ids) and not isinstance(inner, Ids)):
            return inner if is_vague(said) else said
        return inner

    def _new(self, piece: Piece, frame: Frame) -> Value:
        """`new Set(list)`: what is in the list, each once; `new Map(pairs)`."""
        made, types = piece.child("constructor"), piece.child("type_arguments")
        given = [piece.at(each) for each in flow.argument_nodes(piece.node)]
        word = "" if made is None else made.text
        if word == "Set" and len(given) == 1:
            return self.value(given[0], frame)
        if word == "Map" and types is not None and len(types.node.named_children) == 2:
            key, of = (typed.read(self, types.at(each), frame) for each in types.node.named_children)
            return Mapped(key, of)
        pair = self.element(self.value(given[0], frame)) if word == "Map" and len(given) == 1 else None
        parts = self.look(pair.of) if isinstance(pair, Listed) else None
        if isinstance(parts, Several) and parts.every and len(parts.values) == 2:
            return Mapped(self.look(parts.values[0]), self.look(parts.values[1]))
        return Anything(f"`{calls.brief(piece)}` cannot be followed")

    def _object(self, piece: Piece, frame: Frame) -> Value:
        entries: list[Entry] = []
        for node in piece.node.named_children:
            match node.type:
                case "comment":
                    continue
                case "spread_element":
                    entries.append(Entry(Later(piece.at(_first(node)), frame), spread=True))
                case "shorthand_property_identifier":
                    entries.append(Entry(Later(piece.at(node), frame), frozenset({text(node)})))
                case "pair":
                    key, value = node.child_by_field_name("key"), node.child_by_field_name("value")
                    if key is not None and value is not None:
                        entries.append(Entry(Later(piece.at(value), frame), self.key(piece.at(key), frame)))
                case "method_definition":
                    named = node.child_by_field_name("name")
                    entries.append(Entry(Code(piece.at(node), frame), named and self.key(piece.at(named), frame)))
                case _:
                    entries.append(Entry(Anything("it cannot be parsed"), spread=True))
        return Record(tuple(entries), str(piece))

    def _array(self, piece: Piece, frame: Frame) -> Value:
        found: list[Value] = []
        for node in piece.node.named_children:
            if node.type == "spread_element":
                found.append(self.element(self.value(piece.at(_first(node)), frame)))
            elif node.type != "comment":
                found.append(Later(piece.at(node), frame))
        return Listed(found[0] if len(found) == 1 else Several(tuple(found), every=True))

    def key(self, piece: Piece, frame: Frame) -> frozenset[str] | None:
        """The names that a key of an object can be."""
        match piece.node.type:
            case "computed_property_name":
                return texts(self.value(piece.at(_first(piece.node)), frame))
            case "string":
                return frozenset({string(piece.node) or ""})
            case _:
                return frozenset({piece.text})

    def _member(self, piece: Piece, frame: Frame) -> Value:
        owner, key = piece.child("object"), piece.child("property")
        if owner is None:
            return Anything(f"`{calls.brief(piece)}` cannot be parsed")
        if owner.node.type == "identifier" and key is not None:
            bound = self.folder.binding(owner)
            if isinstance(bound, Whole):
                return self._bound(self.folder.exported(bound.module, key.text), piece, frame)
            held = self._bound(bound, owner, frame)
        else:
            held = self.value(owner, frame)
        if key is not None:
            return self.get(held, key.text, calls.brief(piece))
        index = piece.child("index")
        names = None if index is None else texts(self.value(index, frame))
        if names is not None:
            return either(self.get(held, name, calls.brief(piece)) for name in sorted(names))
        if isinstance(held, Listed):
            return self.element(held)
        return self._any_of(held, piece)

    def _any_of(self, held: Value, piece: Piece) -> Value:
        """`TABLE_OF[kind]`: some value of an object that is written out."""
        if isinstance(held, Record) and held.entries and not any(each.spread for each in held.entries):
            return either(self.look(each.value) for each in held.entries)
        return Anything(f"which part `{calls.brief(piece)}` is, is known when it runs")

    # -- Parts of values -------------------------------------------------------

    def get(self, held: Value, key: str, asked: str) -> Value:
        """What an object holds under a *key*."""
        held = self.look(held)
        self._steps += 1
        if self._steps > _STEPS:
            self._too_far = True
            return Anything(f"`{asked}` goes too far to be followed")
        match held:
            case Record(entries):
                return self._from(entries, key, asked)
            case Row(tables):
                if key == "_id":
                    return Ids(tables)
                return either(self.get(self._document(each), key, asked) for each in sorted(tables))
            case Maybe(of) | Partial(of):
                found = self.get(of, key, asked)
                return found if isinstance(held, Maybe) or isinstance(found, Anything) else Maybe(found)
            case Several(values):
                return either(self.get(each, key, asked) for each in values)
            case Without(of, keys):
                return NOTHING if key in keys else self.get(of, key, asked)
            case Only(of, keys):
                return self.get(of, key, asked) if key in keys else NOTHING
            case Context(stamped):
                return Database(stamped) if calls.DATABASE.match(key) else Anything(f"`{asked}` is given by Convex")
            case Anything() if key == "db":
                return Database()
            case _:
                return Anything(f"what `{asked}` is, is known when it runs")

    def _document(self, table: str) -> Value:
        """What the schema says of the documents of a table."""
        if table not in self._documents:
            self._documents[table] = Anything(f"{table} is read when it runs")  # a row that is asked for in a circle
            self._documents[table] = typed.document(self, table)
        return self._documents[table]

    def _from(self, entries: tuple[Entry, ...], key: str, asked: str) -> Value:
        unsure: list[Value] = []
        for entry in reversed(entries):
            if entry.spread:
                inner = self.look(entry.value)
                found = self.get(inner, key, asked)
                if isinstance(inner, Record | Without | Only) and isinstance(found, Nothing):
                    continue
                return either([*unsure, found])
            if entry.keys is None:
                return Anything(f"a computed key may be `{key}`")
            if key in entry.keys:
                unsure.append(self.look(entry.value))
                if entry.sure:
                    return either(unsure)
        return either([*unsure, NOTHING])

    def element(self, held: Value) -> Value:
        """What stands in an array."""
        held = self.look(held)
        match held:
            case Listed(of):
                found = self.look(of)
                return (
                    evolve(found, values=tuple(map(self.look, found.values))) if isinstance(found, Several) else found
                )
            case Mapped(key, of):
                return Listed(Several((key, of), every=True))
            case Maybe(of):
                return self.element(of)
            case Several(values):
                return either(self.element(each) for each in values)
            case _:
                return Anything("what the array holds is known when it runs")

    # -- Names -----------------------------------------------------------------

    def name(self, piece: Piece, frame: Frame) -> Value:
        """What a variable is where it is used: what it was given, and what was changed since."""
        if frame or piece.node.id not in self._named:
            found = self._bound(self.folder.binding(piece), piece, frame)
            if frame or self._too_far:
                return found
            self._named[piece.node.id] = found
        return self._named[piece.node.id]

    def _bound(self, bound: object, piece: Piece, frame: Frame) -> Value:
        match bound:
            case Binding(declared):
                found = self.declared(declared, frame)
                same = declared.module.path == piece.module.path
                return variables.changed(self, found, declared, piece, frame) if same else found
            case Outside(package, _):
                return Anything(f"`{calls.brief(piece)}` comes from {package}")
            case Whole():
                return Anything(f"`{calls.brief(piece)}` is a module")
            case _:
                return Anything(f"what `{calls.brief(piece)}` is, is not in these files")

    def declared(self, declared: Piece, frame: Frame) -> Value:
        """What a name is where it is declared; without a frame it is always the same, and kept."""
        if frame or declared.node.id not in self._declared:
            found = variables.declares(self, declared, frame)
            if frame or self._too_far:
                return found
            self._declared[declared.node.id] = found
        return self._declared[declared.node.id]


def _first(node: Node) -> Node:
    """What a prefix or a pair of parentheses is about."""
    return next((each for each in node.named_children if each.type != "comment"), node)
