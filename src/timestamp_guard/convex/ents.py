"""
What convex-ents makes: tables with edges between them.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve

from .names import Unknown
from .typescript import Piece
from .values import NOTHING, Defined, Edge, Made, Record, Text, Truth, Validator, Value, fields_of, why

__all__ = ["added", "edge", "edges", "from_table", "from_tables", "with_tables_between"]


def added(document: Value, field: str, validator: Value) -> Value:
    """A document with one more field, in all members of a union."""
    if not isinstance(document, Validator):
        return document
    if document.kind == "object":
        return evolve(document, fields=document.fields.put(field, validator))
    return evolve(document, members=tuple(added(member, field, validator) for member in document.members))


def edge(table: Made, name: str, options: Value) -> Made:
    """An edge to one: it is kept in a field of its own, unless the other table keeps it."""
    if not isinstance(options, Record):
        return evolve(table, document=Unknown(why(options, table.piece)))
    field, ref = options.get("field"), options.get("ref")
    if field == NOTHING and ref != NOTHING:
        return table
    named = field.text if isinstance(field, Text) else f"{name}Id"
    optional = options.get("optional") == Truth(true=True)
    return evolve(table, document=added(table.document, named, Validator("id", optional=optional)))


def edges(table: Made, name: str, options: Value) -> Made:
    """Edges to many: the other table keeps them, or a table of their own."""
    if not isinstance(options, Record) or options.get("ref") != NOTHING:
        return table

    def said(key: str) -> str | None:
        value = options.get(key)
        return value.text if isinstance(value, Text) else None

    edge = Edge(name, said("to") or name, said("table"), said("field"), said("inverseField"), said("inverse"))
    return evolve(table, edges=(*table.edges, edge))


def with_tables_between(defined: Defined) -> Defined:
    """A schema of ents: each pair of edges to many has a table of its own, with the two ids."""
    tables = defined.tables
    for name, ids in _between(defined.tables):
        fields = Record(dict.fromkeys(ids, Validator("id")))
        tables = tables.put(name, Made(defined.piece, Validator("object", fields=fields)))
    return evolve(defined, tables=tables)


def _between(tables: Record) -> Iterator[tuple[str, tuple[str, str]]]:
    """The tables between tables, each once, with their two fields."""
    edges = {name: table.edges for name, table in tables.entries.items() if isinstance(table, Made)}
    done: set[tuple[str, str]] = set()
    for table, own in edges.items():
        for edge in own:
            if (table, edge.name) in done:
                continue
            other: Edge | None = None
            if edge.to == table:
                name, inverse = edge.table, edge.inverse
                if name is None:
                    name = f"{table}_{edge.name}" if inverse is None else f"{table}_{inverse}_to_{edge.name}"
                forward, back = ("aId", "bId") if inverse is None else (f"{inverse}Id", f"{edge.name}Id")
                yield name, (edge.field or forward, edge.inverse_field or back)
                continue
            other = next(
                (each for each in edges.get(edge.to, ()) if each.to == table and each.table == edge.table), None
            )
            if other is None:
                continue
            done.add((edge.to, other.name))
            name = edge.table or (
                f"{table}_{other.name}_to_{edge.name}" if other.name != table else f"{other.name}_to_{edge.name}"
            )
            yield name, (edge.field or f"{table}Id", other.field or f"{edge.to}Id")


def from_table(value: Value, asked: Piece) -> Value:
    """An ent of a table."""
    return evolve(value, staged=NOTHING) if isinstance(value, Made) else Unknown(why(value, asked))


def from_tables(value: Value, asked: Piece) -> Value:
    """Ents of tables."""
    fields = fields_of(value, asked)
    return evolve(fields, entries={key: from_table(each, asked) for key, each in fields.entries.items()})
