"""
What calls give, and what functions are given: helpers of the app, arrays, Convex's `db`, handlers and their arguments.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from attrs import evolve

from ..convex.names import Binding, Outside
from ..convex.typescript import Piece, find, text, unwrap
from . import entries, flow, typed
from .values import (
    FUNCTIONS,
    NOTHING,
    SCALAR,
    Anything,
    Code,
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
    Query,
    Record,
    Row,
    Several,
    Value,
    Without,
    either,
    is_vague,
    texts,
)

if TYPE_CHECKING:
    from tree_sitter import Node

    from .reader import Reader

__all__ = ["BY_INDEX", "DATABASE", "EACH", "argument", "brief", "called", "callee", "database", "rows", "tables_of"]

DATABASE: Final = re.compile(r"^(db|\w+(Db|DB))$")
"""How people call a database, where nothing else says that it is one."""


EACH: Final = {"every", "filter", "find", "findLast", "flatMap", "forEach", "map", "some", "sort", "toSorted"}
BY_INDEX: Final = {"withIndex", "withSearchIndex"}
_SAME: Final = {"concat", "filter", "reverse", "slice", "sort", "splice", "toReversed", "toSorted", "toSpliced"}
_ONE: Final = {"at", "find", "findLast", "pop", "shift"}
_HELPERS: Final = {
    "asyncMap",
    "getAll",
    "getAllOrThrow",
    "getManyFrom",
    "getOneFrom",
    "getOneFromOrThrow",
    "omit",
    "pick",
}
_PARTS: Final = {"omitBy", "pickBy", "withoutSystemFields"}
_SYSTEM: Final = frozenset({"_creationTime", "_id"})
_NUMBERS: Final = {"BigInt", "Boolean", "Date", "Math", "Number", "String", "crypto", "performance"}


def callee(call: Piece) -> Piece:
    """What is called; `await f<T>(x)` is parsed as a call of `await f`, which nobody means."""
    node = call.node.child_by_field_name("function") or call.node
    while node.type in {"await_expression", "parenthesized_expression", "non_null_expression"}:
        node = node.named_children[-1]
    return call.at(node)


def called(reader: Reader, call: Piece, frame: Frame) -> Value:
    """What a call gives back."""
    function = callee(call)
    given = [call.at(each) for each in flow.argument_nodes(call.node)]
    owner, name = function.child("object"), function.child("property")
    if function.node.type == "member_expression" and owner is not None and name is not None:
        found = _known(reader, owner.text, name.text, given, frame)
        if found is None:
            found = _method(reader, owner, name.text, given, frame)
        if found is not None:
            return found
    elif function.node.type == "identifier":
        found = _helper(reader, function, given, frame)
        if found is not None:
            return found
    code = reader.value(function, frame)
    if isinstance(code, Code):
        return apply(reader, code, tuple(argument(each, frame) for each in given))
    return Anything(f"what `{brief(function)}(...)` gives is not in these files")


def apply(reader: Reader, code: Code, given: tuple[Value, ...]) -> Value:
    """What a function of ours gives back."""
    body = code.piece.child("body")
    frame = {**code.frame, code.piece.node.id: given}
    if body is None:
        return Anything(f"`{brief(code.piece)}` has no body here")
    if body.node.type == "statement_block":
        found = either(_returned(reader, code.piece.node, body, frame))
    else:
        found = reader.value(body, frame)
    said = code.piece.child("return_type")
    if said is not None and is_vague(found):
        declared = typed.read(reader, said, code.frame)
        return found if is_vague(declared) else declared
    return found


def _returned(reader: Reader, function: Node, body: Piece, frame: Frame) -> list[Value]:
    found: list[Value] = []
    for each in find(body, "return_statement"):
        node = each.node.parent
        while node is not None and node.type not in FUNCTIONS:
            node = node.parent
        if node == function:
            inner = [child for child in each.node.named_children if child.type != "comment"]
            found.append(reader.value(each.at(inner[0]), frame) if inner else NOTHING)
    return found


def argument(piece: Piece, frame: Frame) -> Value:
    """What a function is given at one place."""
    return Anything("what is given is spread") if piece.node.type == "spread_element" else Later(piece, frame)


# -- What is known of others' functions --------------------------------------------------------------------------


def _known(reader: Reader, owner: str, name: str, given: list[Piece], frame: Frame) -> Value | None:
    """Of JavaScript's own objects."""
    if owner in _NUMBERS:
        return SCALAR
    if not given:
        return None
    match owner, name:
        case "Object", "fromEntries":
            return entries.made(reader, given[0], frame)
        case "Object", "assign":
            return Record(tuple(Entry(Later(each, frame), spread=True) for each in given), str(given[0]))
        case ("Object", "freeze") | ("Promise", "all" | "resolve"):
            return reader.value(given[0], frame)
        case "Object", "entries" | "values":
            return entries.listed(reader, name, reader.value(given[0], frame))
        case "Array", "from":
            of = reader.element(reader.value(given[0], frame))
            return Listed(_with(reader, given[1], frame, of) if len(given) > 1 else of)
        case _:
            return None


def _helper(reader: Reader, function: Piece, given: list[Piece], frame: Frame) -> Value | None:
    """Of functions that packages give, by their names, and of those that stamp."""
    name = function.text
    if name in reader.stamping:
        return Database(stamped=True)
    if not given:
        return None
    if name in {"structuredClone", "nullThrows"}:
        found = reader.value(given[0], frame)
        return found.of if isinstance(found, Maybe) else found
    if name in _PARTS and isinstance(reader.folder.binding(function), Outside):
        whole = reader.value(given[0], frame)
        return Partial(whole) if name.endswith("By") else Without(whole, _SYSTEM)
    if name in _HELPERS and len(given) > 1:
        if not isinstance(reader.folder.binding(function), Outside):
            return None  # a function of their own
        second = reader.value(given[1], frame)
        if name in {"getAll", "getAllOrThrow"}:
            tables = tables_of(reader.element(second))
            row: Value = Row(tables) if tables else Anything("it is a row of a table that is not known")
            return Listed(row if name == "getAllOrThrow" else Maybe(row))
        if name == "asyncMap":
            return Listed(_with(reader, given[1], frame, reader.element(reader.value(given[0], frame))))
        if name in {"pick", "omit"}:
            names = texts(reader.element(second))
            if names is None:
                return Partial(reader.value(given[0], frame))
            return (Only if name == "pick" else Without)(reader.value(given[0], frame), names)
        tables = texts(second)
        if tables is not None:
            return Listed(Row(tables)) if name == "getManyFrom" else Row(tables)
    return None


def _with(reader: Reader, function: Piece, frame: Frame, *given: Value) -> Value:
    """What a function gives for each of some values: it is given their places too."""
    code = reader.value(function, frame)
    if not isinstance(code, Code):
        return Anything("what the function gives is not known")
    return apply(reader, code, (*given, SCALAR))


def _method(reader: Reader, owner: Piece, name: str, given: list[Piece], frame: Frame) -> Value | None:
    if given and name in {"get", "insert", "normalizeId", "query"} and database(reader, owner, frame) is not None:
        return _of_database(reader, name, given, frame)
    held = reader.value(owner, frame)
    match held:
        case Query():
            return _of_query(held, name, given)
        case Listed() | Maybe(Listed()):
            return _of_list(reader, held, name, given, frame)
        case Mapped():
            return _of_map(reader, held, name)
        case _ if name == "then" and given:
            return _with(reader, given[0], frame, held)
        case _ if name in {"catch", "finally"}:
            return held
        case _:
            return None


def _of_database(reader: Reader, name: str, given: list[Piece], frame: Frame) -> Value | None:
    first = reader.value(given[0], frame)
    tables = texts(first)
    match name:
        case "query":
            return Query(tables)
        case "insert":
            return None if tables is None else Ids(tables)
        case "normalizeId":
            return None if tables is None else Maybe(Ids(tables))
        case _:
            if len(given) == 1:
                tables = tables_of(first)
            return Maybe(Row(tables)) if tables else Anything("it is a row of a table that is not known")


def _of_query(query: Query, name: str, given: list[Piece]) -> Value | None:
    row: Value = Row(query.tables) if query.tables else Anything("it is a row of a table that is not known")
    match name:
        case "filter" | "fullTableScan" | "order":
            return query
        case _ if name in BY_INDEX:
            return evolve(query, bounded=query.bounded or len(given) > 1)
        case "collect" | "take":
            return Listed(row)
        case "first" | "unique":
            return Maybe(row)
        case "paginate":
            return Record(
                (
                    Entry(Listed(row), frozenset({"page"})),
                    Entry(Anything("it is where a page ends"), frozenset({"continueCursor", "isDone"})),
                )
            )
        case _:
            return None


def _of_list(reader: Reader, held: Value, name: str, given: list[Piece], frame: Frame) -> Value | None:
    of = reader.element(held)
    if name in {"map", "flatMap"} and given:
        values = of.values if isinstance(of, Several) and of.every else (of,)
        found: list[Value] = [_with(reader, given[0], frame, each) for each in values]
        if name == "flatMap":
            found = [reader.element(each) if isinstance(each, Listed) else each for each in found]
        return Listed(found[0] if len(found) == 1 else Several(tuple(found), every=True))
    if name in _SAME:
        more = [reader.element(reader.value(each, frame)) for each in given] if name == "concat" else []
        return Listed(Several((of, *more), every=True)) if more else Listed(of)
    if name == "entries":
        return Listed(Listed(Several((SCALAR, of), every=True)))  # pairs of a place and what stands there
    if name == "values":
        return Listed(of)
    if name == "flat":
        return Listed(reader.element(of))
    if name in _ONE:
        return Maybe(evolve(of, every=False) if isinstance(of, Several) else of)
    return None


def _of_map(reader: Reader, held: Mapped, name: str) -> Value | None:
    match name:
        case "get":
            return Maybe(held.of)
        case "keys":
            return Listed(held.key)
        case "values":
            return Listed(held.of)
        case "entries":
            return Listed(reader.element(held))
        case _:
            return None


def rows(found: Value) -> Value | None:
    """What one goes through with `for await (const row of ctx.db.query(...))`."""
    if not isinstance(found, Query):
        return None
    return Row(found.tables) if found.tables else Anything("it is a row of a table that is not known")


def tables_of(value: Value) -> frozenset[str] | None:
    """The tables that an id may be of; None where they are not known."""
    match value:
        case Ids(tables):
            return tables
        case Maybe(of):
            return tables_of(of)
        case Several(values):
            found = [tables_of(each) for each in values]
            return None if None in found else frozenset().union(*(each for each in found if each is not None))
        case _:
            return None


# -- What is a database ------------------------------------------------------------------------------------------


def database(reader: Reader, piece: Piece, frame: Frame) -> Database | None:
    """The database that an expression is; None for what is none, like a mock, a `Map` or a text."""
    node = unwrap(piece.node)
    found = reader.value(piece.at(node), frame)
    if isinstance(found, Maybe):
        found = found.of
    if isinstance(found, Database):
        return found
    if not isinstance(found, Anything):
        return None
    if node.type == "identifier":
        bound = reader.folder.binding(piece.at(node))
        other = isinstance(bound, Outside) or (isinstance(bound, Binding) and _of_own_class(reader, bound))
        return None if other or not DATABASE.match(text(node)) else Database()
    name = node.child_by_field_name("property")
    return Database() if name is not None and DATABASE.match(text(name)) else None


def _of_own_class(reader: Reader, bound: Binding) -> bool:
    """Whether a name is given an object of a class of these files, which says itself what its methods do."""
    value = None if bound.value is None else bound.value.at(unwrap(bound.value.node))
    made = value.child("constructor") if value is not None and value.node.type == "new_expression" else None
    found = None if made is None else reader.folder.follow(made)
    return isinstance(found, Piece) and found.node.type.endswith("class_declaration")


def brief(piece: Piece) -> str:
    """The source of an expression, short enough for a sentence."""
    said = " ".join(text(unwrap(piece.node)).split())
    return said if len(said) <= 40 else said[:37] + "..."
