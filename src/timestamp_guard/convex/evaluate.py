"""
What an expression stands for, found without running it.

Names are followed over files; object literals, spreads, arrays and calls of plain functions are worked out; what Convex
and its helpers make is known by :mod:`.packages`. Everything else is :class:`~.names.Unknown`, with where and why.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from . import packages
from .names import Binding, Bound, Folder, Outside, Unknown, Whole
from .typescript import Piece, find, fragment, string, text, unwrap
from .values import (
    NOTHING,
    Array,
    Defined,
    Frame,
    Function,
    Made,
    Method,
    Nothing,
    Record,
    Text,
    Truth,
    Validator,
    Value,
    either,
)

__all__ = ["Evaluator"]

_DEPTH: Final = 40
"""How many functions may call each other."""

_CALLS: Final = 5_000
"""How many calls, and names inside of functions, are worked out: more of them are without end."""

_FUNCTIONS: Final = {"arrow_function", "function_declaration", "function_expression", "method_definition"}
_HARMLESS: Final = {
    "comment",
    "interface_declaration",
    "lexical_declaration",
    "type_alias_declaration",
    "function_declaration",
}


class Evaluator:
    """Works out expressions of the files of a folder."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self._calls = self._depth = self._circles = 0
        self._reading: set[tuple[str, int]] = set()
        self._read: dict[tuple[str, int], Value] = {}

    def value(self, piece: Piece, frame: Frame | None = None) -> Value:
        """What an expression stands for."""
        piece = piece.at(unwrap(piece.node))
        try:
            return self._value(piece, frame or {})
        except RecursionError:
            return Unknown(f"{piece}: {piece.brief} is too deep to be read")

    def bound(self, bound: Bound, frame: Frame | None = None) -> Value:
        """What a name stands for that is bound to something."""
        if not isinstance(bound, Binding):
            return bound
        where = _declared(bound.declared)
        given = (frame or {}).get(where)
        if given is not None:
            return given
        if not frame and where in self._read:
            return self._read[where]
        self._calls += bool(frame)
        if where in self._reading or self._calls > _CALLS:
            self._circles += 1
            return Unknown(f"{bound.declared}: {bound.declared.brief} goes in a circle")
        if bound.value is None:
            return Unknown(f"{bound.declared}: what {bound.declared.brief} is, is known when it runs")
        changed = self.folder.assignments(bound.declared)
        if changed:
            return Unknown(f"{changed[0]}: {bound.declared.text} is given another value here")
        circles = self._circles
        self._reading.add(where)
        try:
            value = self.value(bound.value, frame)
        finally:
            self._reading.remove(where)
        for key in bound.path:
            value = self.part(value, key, bound.declared)
        if not frame and circles == self._circles:  # in the midst of a circle, it is not known yet
            self._read[where] = value
        return value

    def part(self, owner: Value, key: str, asked: Piece) -> Value:
        """What `owner.key` stands for."""
        match owner:
            case Record():
                return owner.get(key)
            case Whole():
                return self.bound(self.folder.exported(owner.module, key))
            case Outside(package, name):
                return Outside(package, key if name == "*" else f"{name}.{key}")
            case Array() if key.isdigit():
                return owner.items[int(key)] if int(key) < len(owner.items) else NOTHING
            case Unknown():
                return owner
            case Array() | Made() | Validator() | Defined():
                known = packages.attribute(owner, key)
                return Method(owner, key) if known is None else known
            case Function() | Method() | Nothing() | Text() | Truth():
                return Unknown(f"{asked}: {asked.brief} is known when it runs")

    def called(self, function: Value, arguments: Sequence[Value], asked: Piece) -> Value:
        """What a call gives."""
        match function:
            case Function() if self._depth < _DEPTH and self._calls < _CALLS:
                self._calls += 1
                self._depth += 1
                try:
                    return self._applied(function, arguments, asked)
                finally:
                    self._depth -= 1
            case Method(Array() as array, "map") if len(arguments) == 1:
                return Array(tuple(self.called(arguments[0], [item], asked) for item in array.items))
            case Method():
                return packages.method(function, arguments, asked)
            case Outside():
                return packages.call(function, arguments, asked)
            case Unknown():
                return function
            case _:
                return Unknown(f"{asked}: what {asked.brief} gives is known when it runs")

    # -- Below -----------------------------------------------------------------

    def _value(self, piece: Piece, frame: Frame) -> Value:
        node = piece.node
        match node.type:
            case "object":
                return self._record(piece, frame)
            case "array":
                return Array(tuple(self._items(piece, frame)))
            case "identifier" | "shorthand_property_identifier":
                return _constant(self.bound(self.folder.binding(piece), frame))
            case "member_expression" | "subscript_expression":
                return _constant(self._member(piece, frame))
            case "call_expression":
                return self._call(piece, frame)
            case "ternary_expression":
                return self._either(piece, piece.child("consequence"), piece.child("alternative"), frame)
            case "binary_expression":
                return self._binary(piece, frame)
            case "string" | "template_string":
                return self._text(piece, frame)
            case "true" | "false":
                return Truth(node.type == "true")
            case "undefined":
                return NOTHING
            case "enum_declaration":
                return _enum(piece)
            case kind if kind in _FUNCTIONS:
                return Function(piece, frame)
            case _:
                return Unknown(f"{piece}: {piece.brief} is known when it runs")

    def _record(self, piece: Piece, frame: Frame) -> Record:
        made = Record()
        for entry in self.folder.entries(piece):
            if entry.spread:
                made = made.spread(self._spread(entry.value, frame))
                continue
            key = entry.key if entry.key is not None else self._key(entry.value, frame)
            if key is None:
                made = made.spread(Record(unread=(f"{entry.value}: a key is known when it runs",)))
            else:
                made = made.put(key, self.value(entry.value, frame))
        return made

    def _spread(self, piece: Piece, frame: Frame) -> Record:
        """What is spread, as an object."""
        inner = piece.at(unwrap(piece.node))
        said = f"{inner}: {inner.brief} is known when it runs"
        operator, right = inner.child("operator"), inner.child("right")
        if operator is not None and operator.text == "&&" and right is not None:
            return self._spread(right, frame).or_nothing(said)
        one, other = inner.child("consequence"), inner.child("alternative")
        if one is not None and other is not None:
            both = either(self._spread(one, frame), self._spread(other, frame), said)
            return both if isinstance(both, Record) else Record(unread=(said,))
        value = self.value(piece, frame)
        match value:
            case Record():
                return value
            case Whole(module):
                names, packages = self.folder.exports(module)
                unread = tuple(f"{piece}: {piece.brief} exports all of {package!r}" for package in packages)
                return Record({name: self.part(value, name, piece) for name in names}, unread)
            case Nothing():
                return Record()
            case Truth(true=False):
                return Record()
            case _:
                return Record(unread=(f"{_unread(value, piece)}",))

    def _key(self, value: Piece, frame: Frame) -> str | None:
        """A computed key that takes more than following names."""
        pair = value.node.parent
        key = None if pair is None else pair.child_by_field_name("key")
        if key is None or key.type != "computed_property_name":
            return None
        found = self.value(value.at(key.named_children[-1]), frame)
        return found.text if isinstance(found, Text) else None

    def _items(self, piece: Piece, frame: Frame) -> Iterator[Value]:
        """The items of an array, or the arguments of a call."""
        for node in piece.node.named_children:
            if node.type == "comment":
                continue
            if node.type != "spread_element":
                yield self.value(piece.at(node), frame)
                continue
            inner = piece.at(node.named_children[-1])
            spread = self.value(inner, frame)
            if isinstance(spread, Array):
                yield from spread.items
            else:
                yield Unknown(_unread(spread, inner))

    def _member(self, piece: Piece, frame: Frame) -> Value:
        owner, key = piece.child("object"), piece.child("property") or piece.child("index")
        if owner is None or key is None:
            return Unknown(f"{piece}: {piece.brief} cannot be read")
        if key.node.type == "property_identifier":
            return self.part(self.value(owner, frame), key.text, piece)
        if key.node.type == "number":
            return self.part(self.value(owner, frame), key.text, piece)
        name = self.value(key, frame)
        if isinstance(name, Text):
            return self.part(self.value(owner, frame), name.text, piece)
        return Unknown(f"{piece}: which part {piece.brief} is, is known when it runs")

    def _call(self, piece: Piece, frame: Frame) -> Value:
        function, arguments = piece.child("function"), piece.child("arguments")
        if function is None or arguments is None or arguments.node.type != "arguments":
            return Unknown(f"{piece}: {piece.brief} cannot be read")
        given = list(self._items(arguments, frame))
        if text(unwrap(function.node)).startswith("Object."):
            return packages.of_object(function.text.removeprefix("Object."), given, piece)
        return self.called(self.value(function, frame), given, piece)

    def _applied(self, function: Function, arguments: Sequence[Value], asked: Piece) -> Value:
        """A function whose body is an expression, or constants and a `return`."""
        piece = function.piece
        frame = dict(function.frame)
        for name, value in self._parameters(piece, arguments, function.frame):
            frame[_declared(name)] = value
        body = piece.child("body")
        plain = not {"async", "*"} & {child.type for child in piece.node.children}
        if body is None or not plain:
            return Unknown(f"{asked}: what {asked.brief} gives is known when it runs")
        if body.node.type != "statement_block":
            return self.value(body, frame)
        statements = [node for node in body.node.named_children if node.type not in _HARMLESS]
        if len(statements) != 1 or statements[0].type != "return_statement" or not statements[0].named_children:
            return Unknown(f"{asked}: what {asked.brief} gives is known when it runs")
        return self.value(body.at(statements[0].named_children[0]), frame)

    def _parameters(self, function: Piece, arguments: Sequence[Value], frame: Frame) -> Iterator[tuple[Piece, Value]]:
        single = function.child("parameter")
        if single is not None:
            yield single, arguments[0] if arguments else NOTHING
        parameters = function.child("parameters")
        for place, node in enumerate([] if parameters is None else parameters.node.named_children):
            parameter = function.at(node)
            pattern, default = parameter.child("pattern"), parameter.child("value")
            if pattern is None:
                continue
            given = arguments[place] if place < len(arguments) else NOTHING
            if given == NOTHING and default is not None:
                given = self.value(default, frame)
            if pattern.node.type == "rest_pattern":
                yield pattern.at(pattern.node.named_children[-1]), Array(tuple(arguments[place:]))
            else:
                yield from self._matched(pattern, given, frame)

    def _matched(self, pattern: Piece, value: Value, frame: Frame) -> Iterator[tuple[Piece, Value]]:
        """The names in a pattern, with the parts of the value that they take."""
        if pattern.node.type in {"identifier", "shorthand_property_identifier_pattern"}:
            yield pattern, value
        for node in pattern.node.named_children if pattern.node.type == "object_pattern" else ():
            each = pattern.at(node)
            if node.type == "shorthand_property_identifier_pattern":
                yield each, self.part(value, each.text, each)
            elif node.type == "pair_pattern":
                key, inner = each.child("key"), each.child("value")
                if key is not None and inner is not None:
                    yield from self._matched(inner, self.part(value, string(key.node) or key.text, each), frame)
            elif node.type == "object_assignment_pattern":
                left, right = each.child("left"), each.child("right")
                if left is not None and right is not None:
                    part = self.part(value, left.text, each)
                    yield left, self.value(right, frame) if part == NOTHING else part

    def _either(self, piece: Piece, one: Piece | None, other: Piece | None, frame: Frame) -> Value:
        if one is None or other is None:
            return Unknown(f"{piece}: {piece.brief} cannot be read")
        return either(self.value(one, frame), self.value(other, frame), f"{piece}: {piece.brief} is known when it runs")

    def _binary(self, piece: Piece, frame: Frame) -> Value:
        left, right, operator = piece.child("left"), piece.child("right"), piece.child("operator")
        if left is not None and right is not None and operator is not None:
            if operator.text == "+":
                one, other = self.value(left, frame), self.value(right, frame)
                if isinstance(one, Text) and isinstance(other, Text):
                    return Text(one.text + other.text)
            if operator.text in {"??", "||"}:
                return self._either(piece, left, right, frame)
        return Unknown(f"{piece}: {piece.brief} is known when it runs")

    def _text(self, piece: Piece, frame: Frame) -> Value:
        plain = string(piece.node)
        if plain is not None:
            return Text(plain)
        said = ""
        for node in piece.node.named_children:
            if node.type == "template_substitution":
                part = self.value(piece.at(node.named_children[-1]), frame)
                if not isinstance(part, Text):
                    return Unknown(f"{piece}: {piece.brief} is known when it runs")
                said += part.text
            else:
                said += fragment(text(node))
        return Text(said)


def _constant(value: Value) -> Value:
    return packages.constant(value) if isinstance(value, Outside) else value


def _enum(piece: Piece) -> Record:
    made = Record()
    for each in find(piece, "enum_assignment"):
        name, value = each.child("name"), each.child("value")
        said = None if value is None else string(value.node)
        if name is not None and said is not None:
            made = made.put(string(name.node) or name.text, Text(said))
    return made


def _declared(piece: Piece) -> tuple[str, int]:
    return (str(piece.module.path), piece.node.start_byte)


def _unread(value: Value, piece: Piece) -> str:
    """Why what is put into an object cannot be read."""
    match value:
        case Unknown(said):
            return said
        case Outside(package, _):
            return f"{piece}: {piece.brief} comes from the package {package!r}"
        case _:
            return f"{piece}: {piece.brief} is no object that could be read"
