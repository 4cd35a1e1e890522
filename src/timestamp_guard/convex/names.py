"""
Where a name of TypeScript comes from: over the scopes of a file, its imports and re-exports, and other files.

:meth:`Folder.binding` says what one name is bound to, :meth:`Folder.follow` goes on from name to name until it stands
before an expression, :func:`Folder.entries` lists what an object literal holds.
What cannot be known is an :class:`Unknown` with its reason, and never a guess.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from attrs import evolve, frozen

from ..errors import UsageError
from .modules import Aliases, locate
from .scopes import DECLARATIONS, NAMES, SCOPES, Binding, Declared, Imported, declared, exports
from .typescript import Module, Piece, find, parse, read, string, text, unwrap

if TYPE_CHECKING:
    from tree_sitter import Node

__all__ = ["Binding", "Bound", "Entry", "Folder", "Outside", "Unknown", "Whole"]

_STEPS: Final = 64
"""How far names are followed: what is farther goes in a circle."""

_ASSIGNMENTS: Final = (
    "assignment_expression",
    "augmented_assignment_expression",
    "call_expression",
    "unary_expression",
    "update_expression",
)
_CHANGING: Final = {"copyWithin", "fill", "pop", "push", "reverse", "shift", "sort", "splice", "unshift"}


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
    """The files below a folder, each read once, and those that they import; *instead* of some, what is said there."""

    def __init__(self, root: Path, instead: Mapping[Path, bytes] | None = None) -> None:
        self.root = root
        self._instead = {path.resolve(): source for path, source in (instead or {}).items()}
        self._top = root.resolve()
        self._folders: dict[Path, Path] = {}
        self._modules: dict[Path, Module] = {}
        self._located: dict[tuple[str, str], Path | None] = {}
        self._aliases: dict[Path, Aliases] = {}
        self._scopes: dict[int, Mapping[str, Declared]] = {}
        self._assignments: dict[Path, Mapping[str, list[tuple[Piece, Piece]]]] = {}

    @property
    def modules(self) -> list[Module]:
        """The files that were read."""
        return list(self._modules.values())

    def module(self, path: Path) -> Module:
        """
        Read a file.

        Raises:
            UsageError: it cannot be read.
        """
        path = self._resolved(path)
        if path not in self._modules:
            source, name = self._instead.get(path), self._name(path)
            self._modules[path] = read(path, name) if source is None else parse(source, path, name)
        return self._modules[path]

    def binding(self, name: Piece) -> Bound:
        """What the name that stands there is bound to."""
        if name.node.type not in NAMES:
            return Unknown(f"{name}: {name.brief} is no name")
        wanted = name.text
        node: Node | None = name.node
        while node is not None:
            found = self._scope(name.at(node)).get(wanted) if node.type in SCOPES else None
            if found is not None:
                return self._reached(name.module, found)
            node = node.parent
        return Unknown(f"{name}: {wanted} is declared nowhere")

    def exported(self, module: Module, name: str) -> Bound:
        """What a module exports under a *name*."""
        return self._exported(module, name)

    def exports(self, module: Module) -> tuple[list[str], list[str]]:
        """The names that a module exports, in the order of the alphabet, and the packages of which it exports all."""
        names, packages, left = set[str](), set[str](), [module]
        for each in left:
            for name, what in self._exports(each):
                if name != "*" or not isinstance(what, Imported):
                    names |= {name} if name != "default" or each is module else set()
                    continue
                found = self.imported(each, what.source)
                if not isinstance(found, Module):
                    packages.add(what.source)
                elif found not in left:
                    left.append(found)
        return sorted(names), sorted(packages)

    def imported(self, module: Module, source: str) -> Module | Outside | Unknown:
        """The module that is meant by the text after `from` in a *module*."""
        found = self.located(module, source)
        if found is not None:
            try:
                return self.module(found)
            except UsageError as problem:
                return Unknown(f"{module.name}: {problem}")
        return (
            Unknown(f"{module.name}: there is no file {source!r}") if source.startswith(".") else Outside(source, "*")
        )

    def located(self, module: Module, source: str) -> Path | None:
        """The file that is meant by the text after `from` in a *module*; None for a package, and for what is not there."""
        key = (os.path.dirname(module.path), source)  # noqa: PTH120  # asked for often, and a Path is made of parts
        if key not in self._located:
            self._located[key] = locate(module.path, source, self._aliases)
        return self._located[key]

    def follow(self, piece: Piece) -> Piece | Whole | Outside | Unknown:
        """
        Go from name to name, and along `.key` of object literals, enums and modules, to an expression.

        A parameter, and a variable that is given another value later, are Unknown.
        """
        return self._follow(piece, _STEPS)

    def assignments(self, declared: Piece) -> list[Piece]:
        """
        What changes a name, or what it holds, as expressions.

        Assignments (`name = ...`, `name.key = ...`), `delete name.key`, `name.push(...)`, `Object.assign(name, ...)`.
        """
        found = []
        for name, each in self._assigned(declared.module).get(declared.text, ()):
            bound = self.binding(name)
            if isinstance(bound, Binding) and bound.declared == declared:
                found.append(each)
        return found

    def _assigned(self, module: Module) -> Mapping[str, list[tuple[Piece, Piece]]]:
        """All assignments of a module by the name that stands first on their left, each with that name."""
        if module.path not in self._assignments:
            found: dict[str, list[tuple[Piece, Piece]]] = {}
            for each in find(Piece(module, module.root), *_ASSIGNMENTS):
                left = _changed(each)
                while left is not None and unwrap(left.node).type in {"member_expression", "subscript_expression"}:
                    left = left.at(unwrap(left.node)).child("object")
                if left is not None:
                    name = left.at(unwrap(left.node))
                    found.setdefault(name.text, []).append((name, each))
            self._assignments[module.path] = found
        return self._assignments[module.path]

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

    def _resolved(self, path: Path) -> Path:
        """A path without links in it; what its folder is, is asked for once for all files in it."""
        folder = path.parent
        if folder not in self._folders:
            self._folders[folder] = folder.resolve()
        path = self._folders[folder] / path.name
        return path.resolve() if path.is_symlink() else path

    def _name(self, path: Path) -> str:
        """A path as people are told it: from the folder, upwards too."""
        name = os.path.relpath(path, self._top)
        return name if os.sep == "/" else Path(name).as_posix()

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
            return Unknown(f"{piece}: {piece.brief} goes in a circle")
        if piece.node.type in NAMES:
            return self._value(self.binding(piece), piece, left - 1)
        if piece.node.type not in {"member_expression", "subscript_expression"}:
            return piece
        owner, key = piece.child("object"), piece.child("property") or piece.child("index")
        if owner is None or key is None:
            return piece
        name = key.text if key.node.type == "property_identifier" else self.constant(key)
        if name is None:
            return Unknown(f"{piece}: which part {piece.brief} is, is known when it runs")
        return self._part(self._follow(owner, left - 1), name, piece, left - 1)

    def _value(self, bound: Bound, asked: Piece, left: int) -> Piece | Whole | Outside | Unknown:
        if not isinstance(bound, Binding):
            return bound
        if bound.value is None:
            return Unknown(f"{asked}: what {asked.brief} is, is known when it runs")
        if bound.value.node.type in DECLARATIONS:
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

    # -- Scopes and exports ----------------------------------------------------

    def _scope(self, piece: Piece) -> Mapping[str, Declared]:
        """The names that a node declares for what stands inside it."""
        key = piece.node.id
        if key not in self._scopes:
            self._scopes[key] = declared(piece)
        return self._scopes[key]

    def _reached(self, module: Module, what: Declared, seen: Seen = frozenset()) -> Bound:
        """What a declaration of a *module* leads to, into other files."""
        if isinstance(what, Binding):
            return what
        found = self.imported(module, what.source)
        match found:
            case Module():
                return Whole(found) if what.name == "*" else self._exported(found, what.name, seen)
            case Outside():
                return Outside(found.package, what.name)
            case Unknown():
                return found

    def _exported(self, module: Module, name: str, seen: Seen = frozenset()) -> Bound:
        if (module.path, name) in seen:
            return Unknown(f"{module.name}: {name} is exported in a circle")
        seen |= {(module.path, name)}
        starred: Bound | None = None
        for exported, what in self._exports(module):
            if exported == name:
                return self._reached(module, what, seen)
            if exported == "*" and name != "default" and isinstance(what, Imported):
                found = self._reached(module, evolve(what, name=name), seen)
                starred = found if starred is None or isinstance(starred, Unknown) else starred
        return starred or Unknown(f"{module.name}: exports no {name}")

    def _exports(self, module: Module) -> Iterator[tuple[str, Declared]]:
        """What a module exports, by name; those that it takes over from others by `*`."""
        top = Piece(module, module.root)
        for statement in module.root.named_children:
            for name, what in exports(top.at(statement)):
                if not isinstance(what, str):
                    yield name, what
                elif what in self._scope(top):
                    yield name, self._scope(top)[what]


Seen: TypeAlias = frozenset[tuple[Path, str]]


def _changed(piece: Piece) -> Piece | None:
    """What an expression changes, if it changes anything."""
    if piece.node.type == "unary_expression":
        operator = piece.child("operator")
        return piece.child("argument") if operator is not None and operator.text == "delete" else None
    if piece.node.type != "call_expression":
        return piece.child("left") or piece.child("argument")
    function, arguments = piece.child("function"), piece.child("arguments")
    if function is None or arguments is None or function.node.type != "member_expression":
        return None
    if function.text == "Object.assign":
        return next((arguments.at(node) for node in arguments.node.named_children if node.type != "comment"), None)
    method = function.child("property")
    return function.child("object") if method is not None and method.text in _CHANGING else None


def _number(written: str) -> str | None:
    """A number as a key, as JavaScript writes it; None for one that it writes with an exponent."""
    written = written.replace("_", "").removesuffix("n")
    try:
        return str(int(written, 0))
    except ValueError:
        pass
    try:
        value = float(written)
    except ValueError:
        return None
    if value.is_integer() and value < 1e21:
        return str(int(value))
    return repr(value) if 1e-4 <= value < 1e16 else None
