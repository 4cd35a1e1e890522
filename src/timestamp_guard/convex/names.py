"""
Where a name of TypeScript comes from: over the scopes of a file, its imports and re-exports, and other files.

:meth:`Folder.binding` says what one name is bound to, :meth:`Folder.follow` goes on from name to name until it stands
before an expression, :func:`Folder.entries` lists what an object literal holds.
What cannot be known is an :class:`Unknown` with its reason, and never a guess.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from attrs import frozen

from ..errors import UsageError
from .modules import locate
from .typescript import Module, Piece, find, read, string, text, unwrap

if TYPE_CHECKING:
    from tree_sitter import Node

__all__ = ["Binding", "Bound", "Entry", "Folder", "Outside", "Unknown", "Whole"]

_FUNCTIONS: Final = {
    "arrow_function",
    "function_declaration",
    "function_expression",
    "generator_function",
    "generator_function_declaration",
    "method_definition",
}
_NAMED: Final = {
    "abstract_class_declaration",
    "class_declaration",
    "enum_declaration",
    "function_declaration",
    "generator_function_declaration",
    "internal_module",
}
_NAMES: Final = {"identifier", "shorthand_property_identifier", "shorthand_property_identifier_pattern"}
_STARS = 64  # how far names are followed before they go in a circle


@frozen
class Unknown:
    """What cannot be known without running the code, and why: a sentence that begins with where."""

    said: str


@frozen
class Outside:
    """What comes from a package: `name` is `default` for a default import, `*` for all of it."""

    package: str
    name: str


@frozen
class Whole:
    """All that a module exports, as `import * as name` gives it."""

    module: Module


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


Bound: TypeAlias = Binding | Whole | Outside | Unknown


@frozen
class Entry:
    """
    One entry of an object literal, in its order.

    `key` is None for a spread, and for a computed key that cannot be known.
    `value` is the expression; of a spread, what is spread; of `{name}` the name; of a method, the method.
    """

    key: str | None
    value: Piece
    spread: bool = False


class Folder:
    """The files below a folder, each read once, and those that they import."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._modules: dict[Path, Module] = {}
        self._scopes: dict[tuple[Path, int], Mapping[str, Bound]] = {}

    def module(self, path: Path) -> Module:
        """
        Read a file.

        Raises:
            UsageError: it cannot be read.
        """
        path = path.resolve()
        if path not in self._modules:
            self._modules[path] = read(path, self._name(path))
        return self._modules[path]

    def binding(self, name: Piece) -> Bound:
        """What the name that stands there is bound to."""
        if name.node.type not in _NAMES:
            return Unknown(f"{name}: {_brief(name)} is no name")
        wanted = name.text
        node: Node | None = name.node
        while node is not None:
            found = self._scope(name.at(node)).get(wanted)
            if found is not None:
                return found
            node = node.parent
        return Unknown(f"{name}: {wanted} is declared nowhere")

    def exported(self, module: Module, name: str) -> Bound:
        """What a module exports under a *name*."""
        return self._exported(module, name, frozenset())

    def imported(self, module: Module, source: str) -> Module | Outside | Unknown:
        """The module that is meant by the text after `from` in a *module*."""
        found = locate(module.path, source)
        if found is not None:
            try:
                return self.module(found)
            except UsageError as problem:
                return Unknown(f"{module.name}: {problem}")
        return (
            Unknown(f"{module.name}: there is no file {source!r}") if source.startswith(".") else Outside(source, "*")
        )

    def follow(self, piece: Piece) -> Piece | Whole | Outside | Unknown:
        """
        Go from name to name, and along `.key` of object literals, enums and modules, to an expression.

        A parameter, and a variable that is given another value later, are Unknown.
        """
        return self._follow(piece, _STARS)

    def assignments(self, declared: Piece) -> list[Piece]:
        """The assignments to a name, or to a part of what it holds (`name.key = ...`), as expressions."""
        top = declared.at(declared.module.root)
        found = []
        for each in find(top, "assignment_expression", "augmented_assignment_expression", "update_expression"):
            left = each.node.child_by_field_name("left") or each.node.child_by_field_name("argument")
            while left is not None and unwrap(left).type in {"member_expression", "subscript_expression"}:
                left = unwrap(left).child_by_field_name("object")
            if left is None or text(unwrap(left)) != declared.text:
                continue
            bound = self.binding(each.at(unwrap(left)))
            if isinstance(bound, Binding) and bound.declared == declared:
                found.append(each)
        return found

    def entries(self, literal: Piece) -> list[Entry]:
        """What an object literal holds, in its order; computed keys are followed to their text."""
        found = []
        for node in literal.node.named_children:
            match node.type:
                case "comment":
                    continue
                case "spread_element":
                    found.append(Entry(None, literal.at(node.named_children[-1]), spread=True))
                case "shorthand_property_identifier":
                    found.append(Entry(text(node), literal.at(node)))
                case "pair" | "method_definition":
                    key = node.child_by_field_name("key") or node.child_by_field_name("name")
                    value = node.child_by_field_name("value") or node
                    found.append(Entry(None if key is None else self._key(literal.at(key)), literal.at(value)))
                case _:  # what could not be parsed
                    found.append(Entry(None, literal.at(node)))
        return found

    def constant(self, piece: Piece) -> str | None:
        """The text that an expression is known to be: a literal, a constant, a member of an enum, a key of a literal."""
        found = self.follow(piece)
        return string(found.node) if isinstance(found, Piece) else None

    # -- Below -----------------------------------------------------------------

    def _name(self, path: Path) -> str:
        try:
            return path.relative_to(self.root.resolve()).as_posix()
        except ValueError:
            return path.as_posix()

    def _key(self, key: Piece) -> str | None:
        match key.node.type:
            case "computed_property_name":
                return self.constant(key.at(key.node.named_children[-1]))
            case "string":
                return string(key.node)
            case "number":
                return _number(key.text)
            case _:
                return key.text

    def _follow(self, piece: Piece, left: int) -> Piece | Whole | Outside | Unknown:
        piece = piece.at(unwrap(piece.node))
        if left == 0:
            return Unknown(f"{piece}: {_brief(piece)} goes in a circle")
        if piece.node.type in _NAMES:
            return self._value(self.binding(piece), piece, left - 1)
        if piece.node.type not in {"member_expression", "subscript_expression"}:
            return piece
        owner, key = piece.child("object"), piece.child("property") or piece.child("index")
        if owner is None or key is None:
            return piece
        name = key.text if key.node.type == "property_identifier" else self.constant(key)
        if name is None:
            return Unknown(f"{piece}: which part {_brief(piece)} is, is known when it runs")
        return self._part(self._follow(owner, left - 1), name, piece, left - 1)

    def _value(self, bound: Bound, asked: Piece, left: int) -> Piece | Whole | Outside | Unknown:
        if not isinstance(bound, Binding):
            return bound
        if bound.value is None:
            return Unknown(f"{asked}: what {_brief(asked)} is, is known when it runs")
        if bound.value.node.type in _NAMED:
            return bound.value
        changed = self.assignments(bound.declared)
        if changed:
            return Unknown(f"{changed[0]}: {bound.declared.text} is given another value here")
        found = self._follow(bound.value, left)
        for key in bound.path:
            found = self._part(found, key, asked, left)
        return found

    def _part(
        self, owner: Piece | Whole | Outside | Unknown, key: str, asked: Piece, left: int
    ) -> Piece | Whole | Outside | Unknown:
        """One part of what is already followed."""
        match owner:
            case Unknown():
                return owner
            case Whole():
                return self._value(self.exported(owner.module, key), asked, left)
            case Outside(package, "*"):
                return Outside(package, key)
            case Outside(package, name):
                return Outside(package, f"{name}.{key}")
            case Piece():
                pass
        if owner.node.type == "enum_declaration":
            return self._member(owner, key)
        if owner.node.type != "object":
            return asked  # the caller may know what to make of a call, or of a validator
        for entry in reversed(self.entries(owner)):
            if entry.key == key and not entry.spread:
                return self._follow(entry.value, left)
            if entry.key is None:
                if not entry.spread:
                    return Unknown(f"{entry.value}: a key that is computed may be {key!r}")
                spread = self._follow(entry.value, left)
                if not isinstance(spread, Piece) or spread.node.type != "object":
                    return Unknown(f"{entry.value}: what is spread here may hold {key!r}")
                inner = self._part(spread, key, asked, left)
                if not isinstance(inner, Unknown) or "there is no key" not in inner.said:
                    return inner
        return Unknown(f"{owner}: there is no key {key!r}")

    def _member(self, enum: Piece, key: str) -> Piece | Unknown:
        for each in find(enum, "enum_assignment"):
            name, value = each.child("name"), each.child("value")
            if name is not None and value is not None and (string(name.node) or name.text) == key:
                return value
        return Unknown(f"{enum}: {key!r} of the enum has no value of its own")

    # -- Scopes ----------------------------------------------------------------

    def _scope(self, piece: Piece) -> Mapping[str, Bound]:
        """The names that a node declares for what stands inside it."""
        node = piece.node
        if node.type not in _SCOPES:
            return {}
        key = (piece.module.path, node.id)
        if key not in self._scopes:
            self._scopes[key] = dict(self._declared(piece))
        return self._scopes[key]

    def _declared(self, piece: Piece) -> Iterator[tuple[str, Bound]]:
        node = piece.node
        if node.type in {"program", "statement_block"}:
            for statement in node.named_children:
                yield from self._statement(piece.at(statement))
            return
        if node.type == "for_statement":
            first = piece.child("initializer")
            if first is not None:
                yield from self._statement(first)
            return
        own = piece.child("name")
        if node.type == "function_expression" and own is not None:
            yield own.text, Binding(own, piece)
        for each in ("parameter", "left"):
            pattern = piece.child(each)
            if pattern is not None:
                yield from _bound(pattern, None)
        parameters = piece.child("parameters")
        for parameter in [] if parameters is None else parameters.node.named_children:
            pattern = piece.at(parameter).child("pattern") or piece.at(parameter)
            yield from _bound(pattern, None)

    def _statement(self, piece: Piece) -> Iterator[tuple[str, Bound]]:
        node = piece.node
        if node.type in {"export_statement", "ambient_declaration", "expression_statement"}:
            for inner in node.named_children:
                yield from self._statement(piece.at(inner))
        elif node.type in {"lexical_declaration", "variable_declaration"}:
            for each in node.named_children:
                pattern = piece.at(each).child("name")
                if each.type == "variable_declarator" and pattern is not None:
                    yield from _bound(pattern, piece.at(each).child("value"))
        elif node.type in _NAMED:
            name = piece.child("name")
            if name is not None:
                yield name.text, Binding(name, piece)
        elif node.type == "import_statement":
            yield from self._import(piece)

    def _import(self, piece: Piece) -> Iterator[tuple[str, Bound]]:
        source = piece.child("source")
        clause = next((each for each in piece.node.named_children if each.type == "import_clause"), None)
        if source is None or clause is None:
            return
        found = self.imported(piece.module, string(source.node) or "")
        for each in clause.named_children:
            if each.type == "identifier":
                yield text(each), self._of(found, "default")
            elif each.type == "namespace_import":
                yield text(each.named_children[-1]), self._of(found, "*")
            for one in each.named_children if each.type == "named_imports" else ():
                name = one.child_by_field_name("name")
                if name is not None:
                    local = one.child_by_field_name("alias") or name
                    yield text(local), self._of(found, string(name) or text(name))

    def _of(
        self, found: Module | Outside | Unknown, name: str, seen: frozenset[tuple[Path, str]] = frozenset()
    ) -> Bound:
        match found:
            case Module():
                return Whole(found) if name == "*" else self._exported(found, name, seen)
            case Outside():
                return Outside(found.package, name)
            case Unknown():
                return found

    # -- Exports ---------------------------------------------------------------

    def _exported(self, module: Module, name: str, seen: frozenset[tuple[Path, str]]) -> Bound:
        if (module.path, name) in seen:
            return Unknown(f"{module.name}: {name} is exported in a circle")
        seen |= {(module.path, name)}
        starred: Bound | None = None
        for statement in module.root.named_children:
            if statement.type != "export_statement":
                continue
            piece = Piece(module, statement)
            source = piece.child("source")
            words = {child.type for child in statement.children}
            if source is None:
                found = self._exported_here(piece, name, words)
                if found is not None:
                    return found
                continue
            for local, other in _specified(piece, words):
                if other == name:
                    return self._of(self.imported(module, string(source.node) or ""), local, seen)
            if "*" in words and name != "default":
                found = self._of(self.imported(module, string(source.node) or ""), name, seen)
                if starred is None or isinstance(starred, Unknown):
                    starred = found
        return starred or Unknown(f"{module.name}: exports no {name}")

    def _exported_here(self, piece: Piece, name: str, words: set[str]) -> Bound | None:
        for local, other in _specified(piece, words):
            if other == name:
                top = self._scope(piece.at(piece.module.root))
                return top.get(local) or Unknown(f"{piece}: {local} is declared nowhere")
        value, declaration = piece.child("value"), piece.child("declaration")
        if "default" in words:
            given = value or declaration
            return Binding(given, given) if name == "default" and given is not None else None
        return None if declaration is None else dict(self._statement(declaration)).get(name)


_SCOPES: Final = {"program", "statement_block", "for_statement", "for_in_statement", "catch_clause", *_FUNCTIONS}


def _specified(piece: Piece, words: set[str]) -> Iterator[tuple[str, str]]:
    """The names in `export {local as other}` and `export * as other`."""
    for clause in piece.node.named_children:
        if clause.type == "namespace_export":
            yield "*", text(clause.named_children[-1])
        for each in clause.named_children if clause.type == "export_clause" and "type" not in words else ():
            name = each.child_by_field_name("name")
            if name is not None:
                alias = each.child_by_field_name("alias") or name
                yield text(name), string(alias) or text(alias)


def _bound(pattern: Piece, value: Piece | None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Bound]]:
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
                known = value if named is not None else None
                yield from _bound(inner, known, (*path, named or ""))
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


def _number(written: str) -> str | None:
    """A number as a key, as JavaScript writes it."""
    try:
        value = int(written.replace("_", ""), 0)
    except ValueError:
        return None
    return str(value)


def _brief(piece: Piece) -> str:
    words = " ".join(piece.text.split())
    return words if len(words) <= 40 else f"{words[:37]}..."
