"""
What an expression of a schema stands for: validators, tables, objects of them, and what cannot be known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

from attrs import evolve, frozen

from .names import Outside, Unknown, Whole
from .typescript import Piece

if TYPE_CHECKING:
    from typing import Self

__all__ = [
    "NOTHING",
    "Array",
    "Defined",
    "Edge",
    "Frame",
    "Function",
    "Made",
    "Method",
    "Nothing",
    "Record",
    "Text",
    "Truth",
    "Validator",
    "Value",
    "either",
    "fields_of",
    "object_of",
    "optional",
    "why",
]

Frame: TypeAlias = "Mapping[tuple[str, int], Value]"
"""What the parameters of a function stand for, by where they are declared."""


@frozen
class Nothing:
    """`undefined`: also what a key that is not there stands for."""


NOTHING: Final = Nothing()


@frozen
class Text:
    """A text that is known."""

    text: str


@frozen
class Truth:
    """`true` or `false`."""

    true: bool


@frozen
class Array:
    """An array; an item may be unknown."""

    items: tuple[Value, ...]


@frozen
class Function:
    """A function of the app, with what it sees of the functions around it."""

    piece: Piece
    frame: Frame


@frozen
class Method:
    """A method of a value, not yet called."""

    owner: Value
    name: str


@frozen
class Record:
    """
    An object: what its keys stand for, in order.

    `unread` says what else was put into it and could not be read: any other key may be there.
    """

    entries: Mapping[str, Value] = {}
    unread: tuple[str, ...] = ()

    def put(self, key: str, value: Value) -> Self:
        """The object with one more entry."""
        return evolve(self, entries={**self.entries, key: value})

    def spread(self, other: Record) -> Self:
        """The object with all entries of another; what is there may be replaced by what could not be read."""
        entries = dict(self.entries)
        if other.unread:
            entries = dict.fromkeys(entries, Unknown(f"{other.unread[0]}, and it may replace what stands before it"))
        unread = tuple(dict.fromkeys((*self.unread, *other.unread)))
        return evolve(self, entries={**entries, **other.entries}, unread=unread)

    def or_nothing(self, said: str) -> Self:
        """The object, or an empty one, as is known when it runs."""
        return evolve(self, entries=dict.fromkeys(self.entries, Unknown(said)))

    def get(self, key: str) -> Value:
        """What a key stands for."""
        found = self.entries.get(key)
        if found is not None:
            return found
        return Unknown(self.unread[0]) if self.unread else NOTHING


@frozen
class Validator:
    """
    A validator of Convex.

    `kind` is the type as `schema.export()` names it: number, bigint, commitTs, string, null, any, object, union ...
    `fields` are those of an object, `members` those of a union.
    """

    kind: str
    optional: bool = False
    fields: Record = Record()
    members: tuple[Value, ...] = ()

    @property
    def kinds(self) -> frozenset[str] | Unknown:
        """The types that a value may have: its own, or those of all members."""
        if self.kind != "union":
            return frozenset({self.kind})
        kinds: frozenset[str] = frozenset()
        for member in self.members:
            found = member.kinds if isinstance(member, Validator) else _unknown(member)
            if isinstance(found, Unknown):
                return found
            kinds |= found
        return kinds

    def objects(self) -> Iterator[Validator | Unknown]:
        """The validators of which a document fits one: itself, or the members of a union, and their members."""
        if self.kind != "union":
            yield self
        for member in self.members:
            if isinstance(member, Validator):
                yield from member.objects()
            else:
                yield _unknown(member)


@frozen
class Edge:
    """An edge of an ent that is kept in a table of its own: `to` many of another table."""

    name: str
    to: str
    table: str | None
    field: str | None
    inverse_field: str | None
    inverse: str | None


@frozen
class Made:
    """A table, as `defineTable` or `defineEnt` made it; `staged` is what is to come, where that is said."""

    piece: Piece
    document: Value
    staged: Value = NOTHING
    edges: tuple[Edge, ...] = ()


@frozen
class Defined:
    """A schema, as `defineSchema` made it."""

    piece: Piece
    tables: Record
    validates: Value


Value: TypeAlias = (
    Array | Defined | Function | Made | Method | Nothing | Outside | Record | Text | Truth | Unknown | Validator | Whole
)


def either(one: Value, other: Value, said: str) -> Value:
    """What is one or the other, as is known when it runs: where both are the same that is known, else *said* is why not."""
    if one == other:
        return one
    if not isinstance(one, Record) or not isinstance(other, Record):
        return Unknown(said)
    entries = {}
    for key in (*one.entries, *(key for key in other.entries if key not in one.entries)):
        entries[key] = either(one.get(key), other.get(key), said)
    return Record(entries, (*one.unread, *(each for each in other.unread if each not in one.unread)))


def _unknown(value: Value) -> Unknown:
    return value if isinstance(value, Unknown) else Unknown(f"{value} is no validator")


def optional(value: Value, asked: Piece) -> Value:
    """A validator, as one of a field that may be left out."""
    return evolve(value, optional=True) if isinstance(value, Validator) else Unknown(why(value, asked))


def fields_of(value: Value, asked: Piece) -> Record:
    """The fields in what is given as an object of validators."""
    return value if isinstance(value, Record) else Record(unread=(why(value, asked),))


def object_of(value: Value, asked: Piece) -> Value:
    """A validator, from one or from its fields."""
    if isinstance(value, Validator):
        return value
    if isinstance(value, Record):
        return Validator("object", fields=value)
    return Unknown(why(value, asked))


def why(value: Value, asked: Piece) -> str:
    """Why a value is not what it had to be: where it was *asked* for, and what stands there."""
    match value:
        case Unknown(said):
            return said
        case Outside(package, name):
            return f"{asked}: {name} comes from the package {package!r}"
        case _:
            return f"{asked}: {asked.brief} cannot be read"
