"""
What an expression of TypeScript can be, as far as the audit must know: documents, rows, ids, texts.

Nothing is run: a value here is what is known of it before, and :class:`Anything` with its reason where nothing is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

from attrs import field, frozen

if TYPE_CHECKING:
    from ..convex.typescript import Piece

__all__ = [
    "FUNCTIONS",
    "NOTHING",
    "SCALAR",
    "Anything",
    "Code",
    "Context",
    "Database",
    "Entry",
    "Frame",
    "Ids",
    "Later",
    "Listed",
    "Mapped",
    "Maybe",
    "Nothing",
    "Only",
    "Partial",
    "Query",
    "Record",
    "Row",
    "Scalar",
    "Several",
    "Value",
    "Without",
    "either",
    "is_vague",
    "texts",
    "with_default",
]

Frame: TypeAlias = "Mapping[int, tuple[Value, ...]]"
"""What the functions that are being called were given, by the id of their nodes."""


@frozen
class Anything:
    """Nothing is known of it; *why* is the end of a sentence that begins with the expression."""

    why: str


@frozen
class Nothing:
    """`undefined`, `null` or `false`: spread, it adds no field."""


@frozen
class Scalar:
    """A number, a text, a flag; `texts` where it is one of these."""

    texts: frozenset[str] | None = None


@frozen(eq=False)
class Later:
    """An expression that was not looked at yet, or what a `validator` lets through."""

    piece: Piece
    frame: Frame = field(repr=False)
    validator: bool = False


@frozen
class Entry:
    """
    One entry of an object: one of some `keys` (None: any), or the fields of another one (`spread`).

    One that is not `sure` is there in one case and not in the other.
    """

    value: Value
    keys: frozenset[str] | None = None
    spread: bool = False
    sure: bool = True


@frozen
class Record:
    """An object whose entries are known, in their order; `place` is where it stands."""

    entries: tuple[Entry, ...]
    place: str = ""


@frozen
class Row:
    """A whole document of one of some tables."""

    tables: frozenset[str]


@frozen
class Ids:
    """The id of a document of one of some tables."""

    tables: frozenset[str]


@frozen
class Several:
    """One of some values; or each of them in turn (`every`), as when one loops over an array that is written out."""

    values: tuple[Value, ...]
    every: bool = False


@frozen
class Listed:
    """An array of such values."""

    of: Value


@frozen
class Mapped:
    """A `Map` from such keys to such values."""

    key: Value
    of: Value


@frozen
class Maybe:
    """A value, or undefined or null."""

    of: Value


@frozen
class Partial:
    """An object with some of the fields of another one."""

    of: Value


@frozen
class Without:
    """An object without some fields."""

    of: Value
    keys: frozenset[str]


@frozen
class Only:
    """An object with no other fields than these."""

    of: Value
    keys: frozenset[str]


@frozen(eq=False)
class Code:
    """A function, and what the functions around it were given."""

    piece: Piece
    frame: Frame = field(repr=False)


@frozen
class Context:
    """What Convex gives a function first: `ctx`. `stamped` where its `db` sets the field by itself."""

    stamped: bool = False


@frozen
class Database:
    """`ctx.db`, or a wrapper of it."""

    stamped: bool = False


@frozen
class Query:
    """A query on one of some tables (None: unknown); `bounded` where an index says which part of it."""

    tables: frozenset[str] | None
    bounded: bool = False


Value: TypeAlias = (
    Anything
    | Code
    | Context
    | Database
    | Ids
    | Later
    | Listed
    | Mapped
    | Maybe
    | Nothing
    | Only
    | Partial
    | Query
    | Record
    | Row
    | Scalar
    | Several
    | Without
)

_SIMPLE: Final = (Anything, Context, Database, Ids, Nothing, Query, Row, Scalar)
NOTHING: Final = Nothing()
FUNCTIONS: Final = {"arrow_function", "function_declaration", "function_expression", "method_definition"}
"""The nodes that are functions."""

SCALAR: Final = Scalar()


def either(values: Iterable[Value]) -> Value:
    """One of some values, told as simply as possible."""
    kept: list[Value] = []
    for each in values:
        for one in each.values if isinstance(each, Several) and not each.every else (each,):
            if not any(_same(one, other) for other in kept):
                kept.append(one)
    if len(kept) == 1:
        return kept[0]
    if NOTHING in kept:
        return Maybe(either(each for each in kept if each != NOTHING))
    if not kept:
        return NOTHING
    return Several(tuple(kept))


def with_default(given: Value, default: Value) -> Value:
    """What a parameter or a part is that has a *default* where it is not given."""
    if isinstance(given, Nothing):
        return default
    return either([given.of if isinstance(given, Maybe) else given, default])


def _same(one: Value, other: Value) -> bool:
    """Whether two values are known to be one; what has many parts is not compared by them, as they may be shared."""
    while isinstance(one, Listed | Maybe) and type(one) is type(other):
        one, other = one.of, other.of
    return one is other or (isinstance(one, _SIMPLE) and one == other)


def is_vague(value: Value) -> bool:
    """Whether a declared type may say more than this."""
    match value:
        case Anything() | Scalar(None):
            return True
        case Maybe(of) | Listed(of):
            return is_vague(of)
        case Several(values):
            return any(map(is_vague, values))
        case _:
            return False


def texts(value: Value) -> frozenset[str] | None:
    """The texts that a value is one of; None where that is not known."""
    match value:
        case Scalar(found):
            return found
        case Maybe(of):
            return texts(of)
        case Several(values):
            each = [texts(one) for one in values]
            return None if None in each else frozenset().union(*(one for one in each if one is not None))
        case _:
            return None
