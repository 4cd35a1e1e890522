"""
What types of TypeScript and validators of Convex say of a value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ..convex import packages
from ..convex.names import Binding, Outside
from ..convex.schema import schema_file
from ..convex.typescript import Module, Piece, find, string, text, unwrap
from . import flow
from .values import (
    NOTHING,
    SCALAR,
    Anything,
    Context,
    Database,
    Entry,
    Frame,
    Ids,
    Later,
    Listed,
    Mapped,
    Maybe,
    Only,
    Partial,
    Record,
    Row,
    Scalar,
    Value,
    Without,
    either,
    texts,
)

if TYPE_CHECKING:
    from .reader import Reader

__all__ = ["document", "read", "validated"]

_SAME: Final = {"Awaited", "Promise", "Readonly", "WithoutSystemFields", "WithoutId", "DeepReadonly"}
_LISTS: Final = {"Array", "ReadonlyArray", "Set"}
_MAPS: Final = {"Map", "ReadonlyMap"}
_DEPTH: Final = 30
_TYPES: Final = {"interface_declaration", "type_alias_declaration"}
_NO_CONTEXT: Final = {"QueryCtx", "ActionCtx"}


def read(reader: Reader, piece: Piece, frame: Frame) -> Value:
    """What a type says of its values; :class:`Anything` where it says nothing that we need."""
    return _Types(reader, frame).read(piece)


def document(reader: Reader, table: str) -> Value:
    """What the validator of a table lets through."""
    module = reader.folder.module(schema_file(reader.folder.root))
    bound = reader.folder.exported(module, "default")
    made = reader.folder.follow(bound.value) if isinstance(bound, Binding) and bound.value is not None else bound
    tables = flow.argument_nodes(made.node) if isinstance(made, Piece) else []
    if not isinstance(made, Piece) or not tables:
        return Anything("its schema cannot be followed")
    return reader.get(validated(reader, made.at(tables[0]), {}), table, table)


class _Types:
    def __init__(self, reader: Reader, frame: Frame) -> None:
        self.reader = reader
        self.frame = frame
        self.depth = 0

    def read(self, piece: Piece) -> Value:
        if self.depth > _DEPTH:
            return Anything("its type goes too far to be followed")
        self.depth += 1
        try:
            return self._read(piece)
        finally:
            self.depth -= 1

    def _read(self, piece: Piece) -> Value:
        node = piece.node
        match node.type:
            case "type_annotation" | "parenthesized_type" | "readonly_type":
                return self.read(piece.at(node.named_children[-1]))
            case "literal_type":
                said = string(node.named_children[0]) if node.named_children else None
                if said is not None:
                    return Scalar(frozenset({said}))
                return NOTHING if piece.text in {"null", "undefined", "false"} else SCALAR
            case "union_type":
                return either(self.read(piece.at(each)) for each in node.named_children)
            case "intersection_type":
                return Record(tuple(Entry(self.read(piece.at(each)), spread=True) for each in node.named_children))
            case "array_type":
                return Listed(self.read(piece.at(node.named_children[0])))
            case "tuple_type":
                return Listed(either(self.read(piece.at(each)) for each in node.named_children))
            case "object_type" | "interface_body":
                return self._object(piece)
            case "lookup_type":
                return self._lookup(piece)
            case "type_query":
                return self.reader.value(piece.at(node.named_children[0]), self.frame)
            case "generic_type":
                return self._generic(piece)
            case "type_identifier" | "nested_type_identifier":
                return self._named(piece)
            case _:
                return Anything(f"its type `{' '.join(piece.text.split())[:40]}` does not say")

    def _object(self, piece: Piece) -> Value:
        entries: list[Entry] = []
        for node in piece.node.named_children:
            each = piece.at(node)
            name, said = each.child("name"), each.child("type")
            if node.type == "property_signature" and name is not None:
                value = SCALAR if said is None else self.read(said)
                optional = any(child.type == "?" for child in node.children)
                keys = frozenset({string(name.node) or name.text})
                entries.append(Entry(Maybe(value) if optional else value, keys))
            elif node.type == "index_signature":
                entries.append(Entry(Anything("any key may be it")))
        return Record(tuple(entries), str(piece))

    def _lookup(self, piece: Piece) -> Value:
        of, key = piece.node.named_children[0], piece.node.named_children[-1]
        if text(of).startswith("DataModel"):
            return self._of_model(piece)
        names = texts(self.read(piece.at(key)))
        if names is None:
            return Anything("which part of its type it is, is not written out")
        held = self.read(piece.at(of))
        return either(self.reader.get(held, each, piece.text) for each in sorted(names))

    def _of_model(self, piece: Piece) -> Value:
        """`DataModel["services"]["document"]`."""
        named = [string(each.node) for each in find(piece, "string")]
        if len(named) == 2 and named[0] and named[1] == "document":
            return Row(frozenset({named[0]}))
        return Anything(f"its type `{piece.text}` does not say")

    def _generic(self, piece: Piece) -> Value:
        name, given = piece.child("name"), piece.child("type_arguments")
        of = [] if given is None else [piece.at(each) for each in given.node.named_children]
        word = "" if name is None or not of else name.text.rpartition(".")[2]
        if word in {"Id", "GenericId", "Doc"}:
            tables = texts(self.read(of[0]))
            if tables is None:
                return Anything(f"its type `{piece.text}` names no table")
            return Row(tables) if word == "Doc" else Ids(tables)
        if word in {"Infer", "ObjectType"}:
            query = unwrap(of[0].node)
            return validated(self.reader, of[0].at(query.named_children[0]), self.frame)
        if word in _SAME:
            return self.read(of[0])
        if word in _LISTS:
            return Listed(self.read(of[0]))
        if word in _MAPS and len(of) == 2:
            return Mapped(self.read(of[0]), self.read(of[1]))
        if word == "Partial":
            return Partial(self.read(of[0]))
        if word in {"NonNullable", "Required"}:
            found = self.read(of[0])
            return found.of if isinstance(found, Maybe | Partial) else found
        if word in {"Omit", "Pick", "BetterOmit", "Expand"} and len(of) > 1:
            names = texts(self.read(of[1]))
            if names is not None:
                return (Only if word == "Pick" else Without)(self.read(of[0]), names)
        return self._named(piece if name is None else name)

    def _named(self, piece: Piece) -> Value:
        word = piece.text.rpartition(".")[2]
        if word in self.reader.stamping:
            return Context(stamped=True)
        if word.endswith(("DatabaseWriter", "DatabaseReader")):
            return Database()
        declared = _declaration(self.reader, piece.module, word)
        if declared is None:
            if word.endswith("Ctx") and word not in _NO_CONTEXT:
                return Context()
            return Anything(f"its type is {word}")
        value, body = declared.child("value"), declared.child("body")
        if value is not None:
            return self.read(value)
        own = [] if body is None else [Entry(self._object(body), spread=True)]
        return Record((*(Entry(each, spread=True) for each in self._bases(declared)), *own), str(declared))

    def _bases(self, interface: Piece) -> Iterator[Value]:
        for clause in interface.node.named_children:
            if clause.type in {"extends_type_clause", "extends_clause"}:
                for each in clause.named_children:
                    yield self.read(interface.at(each))


def _declaration(reader: Reader, module: Module, name: str, left: int = 8) -> Piece | None:
    """Where a type is declared, here or in a file that this one imports from."""
    if module.root.id not in reader.types:
        reader.types[module.root.id] = _types(module)
    own, others = reader.types[module.root.id]
    if name in own:
        return own[name]
    for statement, said in others if left else ():
        source = statement.child("source")
        if source is None or (name not in said and "*" not in said):
            continue
        wanted = name
        for each in find(statement, "import_specifier", "export_specifier"):
            real, alias = each.child("name"), each.child("alias")
            if alias is not None and alias.text == name and real is not None:
                wanted = real.text
        found = reader.folder.imported(module, string(source.node) or "")
        if isinstance(found, Module) and (there := _declaration(reader, found, wanted, left - 1)):
            return there
    return None


def _types(module: Module) -> tuple[dict[str, Piece], list[tuple[Piece, str]]]:
    """The types that a file declares, by name, and its imports and exports of others, with their source."""
    own: dict[str, Piece] = {}
    others: list[tuple[Piece, str]] = []
    for each in module.root.named_children:
        if each.child_by_field_name("source") is not None:
            others.append((Piece(module, each), text(each)))
        declared = each.child_by_field_name("declaration") or each
        name = declared.child_by_field_name("name") if declared.type in _TYPES else None
        if name is not None:
            own[text(name)] = Piece(module, declared)
    return own, others


# -- Validators --------------------------------------------------------------------------------------------------


def validated(reader: Reader, piece: Piece, frame: Frame, left: int = 24) -> Value:
    """What a validator lets through: `v.object({...})`, or the fields of one."""
    piece = piece.at(unwrap(piece.node))
    if left == 0:
        return Anything("its validator goes too far to be followed")
    match piece.node.type:
        case "object":
            entries = [
                Entry(Anything("a key of its validator is computed"))
                if each.key is None and not each.spread
                else Entry(
                    validated(reader, each.value, frame, left - 1)
                    if each.spread
                    else Later(each.value, frame, validator=True),
                    None if each.key is None else frozenset({each.key}),
                    each.spread,
                )
                for each in reader.folder.entries(piece)
            ]
            return Record(tuple(entries), str(piece))
        case "call_expression":
            return _validator(reader, piece, frame, left - 1)
        case "member_expression":
            owner, key = piece.child("object"), piece.child("property")
            word = "" if owner is None or key is None else key.text
            if owner is not None and word == "fields":
                return validated(reader, owner, frame, left - 1)
            if owner is not None and word in {"validator", "withoutSystemFields", "doc"}:
                return _of_table(reader, owner, frame, left - 1)
        case _:
            pass
    found = reader.folder.follow(piece)
    if isinstance(found, Piece) and found != piece:
        return validated(reader, found, frame, left - 1)
    if isinstance(found, Outside) and packages.constant(found) == packages.ANYTHING:
        return Maybe(Anything("any value may be it"))  # deprecated
    return Anything(f"its validator `{' '.join(piece.text.split())[:40]}` cannot be followed")


def _of_table(reader: Reader, owner: Piece, frame: Frame, left: int) -> Value:
    """`schema.tables.services.validator`, or the validator of a table that is a constant."""
    name = owner.child("property")
    if name is not None and ".tables." in owner.text:
        return Row(frozenset({name.text}))
    found = reader.folder.follow(owner)
    return validated(reader, found, frame, left) if isinstance(found, Piece) else Anything("its table is not known")


def _validator(reader: Reader, call: Piece, frame: Frame, left: int) -> Value:
    function = call.child("function") or call
    given = [call.at(each) for each in flow.argument_nodes(call.node)]
    owner, key = function.child("object"), function.child("property")
    word = function.text if key is None else key.text
    inner = [validated(reader, each, frame, left) for each in given[:1] if word in _ABOUT]
    match word:
        case "object" | "defineTable" | "defineEnt" if inner:
            return inner[0]
        case "id" | "zid" if given:
            tables = texts(reader.value(given[0], frame))
            return Ids(tables) if tables else Anything("the table of the id is not written out")
        case "optional" | "nullable" | "pretend" | "pretendRequired" if inner:
            return Maybe(inner[0])  # what is pretended is so for the type checker only
        case "vRequired" if inner:
            return inner[0].of if isinstance(inner[0], Maybe) else inner[0]
        case "addFieldsToValidator" if len(given) == 2:
            more = validated(reader, given[1], frame, left)
            return Record((Entry(more, spread=True), Entry(inner[0], spread=True)))
        case "withSystemFields" if len(given) == 2:
            fields = Entry(validated(reader, given[1], frame, left), spread=True)
            tables = texts(reader.value(given[0], frame))
            id_ = Ids(tables) if tables else Anything("the table of the id is not written out")
            return Record((fields, Entry(id_, frozenset({"_id"})), Entry(SCALAR, frozenset({"_creationTime"}))))
        case "partial" if inner:
            return Partial(inner[0])
        case "array" | "set" if inner:
            return Listed(inner[0])
        case "union":
            return either(validated(reader, each, frame, left) for each in given)
        case "literal" | "literals":
            found = [texts(reader.value(each, frame)) for each in given]
            return Scalar(None if None in found else frozenset().union(*(each for each in found if each is not None)))
        case "null":
            return NOTHING
        case "doc" if given:
            tables = texts(reader.value(given[-1], frame))
            return Row(tables) if tables else Anything("the table of the row is not written out")
        case "omit" | "pick" | "extend" | "index" | "optional" | "partial" | "searchIndex" | "staged" if owner:
            return _changed_validator(reader, owner, word, given, frame, left)
        case "Table" if len(given) == 2:
            return validated(reader, given[1], frame, left)
        case "omit" | "pick" if len(given) == 2:
            return _taken(reader, word, validated(reader, given[0], frame, left), given[1:], frame)
    return Anything(f"its validator is {' '.join(function.text.split())[:40]}(...)")  # v.number(), v.any() ...


_ABOUT: Final = {
    "addFieldsToValidator",
    "array",
    "defineEnt",
    "defineTable",
    "nullable",
    "object",
    "optional",
    "partial",
    "pretend",
    "pretendRequired",
    "set",
    "vRequired",
}


def _changed_validator(reader: Reader, owner: Piece, word: str, given: list[Piece], frame: Frame, left: int) -> Value:
    """`validator.omit("a")`, `.pick`, `.partial()`, `.optional()`, `.extend({...})`; `.index` changes nothing."""
    of = validated(reader, owner, frame, left)
    match word:
        case "omit" | "pick":
            return _taken(reader, word, of, given, frame)
        case "partial":
            return Partial(of)
        case "optional":
            return Maybe(of)
        case "extend" if given:
            more = validated(reader, given[0], frame, left)
            return Record((Entry(of, spread=True), Entry(more, spread=True)))
        case _:
            return of


def _taken(reader: Reader, word: str, of: Value, given: list[Piece], frame: Frame) -> Value:
    found: set[str] = set()
    for each in given:
        value = reader.value(each, frame)
        names = texts(reader.element(value) if isinstance(value, Listed) else value)
        if names is None:
            return Partial(of)
        found |= names
    return (Only if word == "pick" else Without)(of, frozenset(found))
