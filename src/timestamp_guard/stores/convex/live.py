"""
What a deployment says of itself: its tables, and the schema that is in force.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from types import NoneType
from typing import Any, Final

from attrs import frozen

from ...errors import StoreError
from ...instants import ABSENT, Raw
from .http import Deployment, Refused

__all__ = ["Kind", "Live", "moved", "tables"]

PAGE: Final = 500
TABLES: Final = "_system/cli/tables"
SCHEMAS: Final = "_system/frontend/getSchemas"
NUMBERS: Final = ("number", "bigint")
"""A float, and an integer of 64 bits, as an exported schema calls them."""


_KINDS: Final[Mapping[type, Sequence[str]]] = {
    NoneType: ("null",),
    bool: ("boolean", "literal"),
    float: ("number", "literal"),
    int: ("bigint", "commitTs", "literal"),
    str: ("string", "id", "literal"),
    bytes: ("bytes",),
    list: ("array",),
    dict: ("object", "record"),
}


def tables(deployment: Deployment) -> list[str]:
    """The names of all tables that are an app's own."""
    found: list[str] = []
    cursor = None
    while True:
        options = {"cursor": cursor, "numItems": float(PAGE)}
        page = _asked(deployment, TABLES, paginationOpts=options)
        with deployment.understood(TABLES):
            found += [each["name"] for each in page["page"]]
            if page["isDone"]:
                return sorted(found)
            cursor = moved(cursor, page["continueCursor"])


def moved(before: str | None, after: Any) -> str:
    """
    The cursor *after* a page, which began at the one *before*.

    Raises:
        ValueError: there is none, or it is where it was, so that it would be asked for ever.
    """
    if not isinstance(after, str) or after == before:
        msg = "there is more, and not said where"
        raise ValueError(msg)
    return after


def _asked(deployment: Deployment, path: str, **arguments: Any) -> Any:
    """
    What a function of the system answers.

    Raises:
        StoreError: it does not, or is not there.
    """
    try:
        return deployment.query(path, **arguments)
    except Refused as problem:
        msg = f"{deployment} does not say what it holds: {path} failed: {problem}"
        raise StoreError(msg) from None


@frozen
class Kind:
    """What the schema says of one field: what it may hold, and whether it may be absent."""

    kinds: frozenset[str]
    optional: bool

    def takes(self, raw: Raw) -> bool:
        """Whether a value is of a kind that is held; of texts, whether one of them can be, is not looked at."""
        if raw is ABSENT:
            return self.optional
        return not self.kinds.isdisjoint(("any", *_KINDS.get(type(raw), ())))

    def __str__(self) -> str:
        said = " or ".join(sorted(self.kinds))
        return f"optional {said}" if self.optional else said


@frozen
class Live:
    """
    The schema of one table that is in force: its fields, and those of its staged validator.

    `open` says that other fields may be there: the table has no schema, or one of any object. `checked` is False where
    writes are not held against it.
    """

    fields: Mapping[str, Kind]
    staged: Mapping[str, Kind]
    open: bool
    checked: bool
    pending: bool = False

    @classmethod
    def of(cls, deployment: Deployment, table: str) -> Live:
        """Ask for that of *table*."""
        said = _asked(deployment, SCHEMAS, componentId=None)
        with deployment.understood(SCHEMAS):
            active = json.loads(said["active"]) if said.get("active") else None
            described = next(
                (each for each in (active or {}).get("tables") or () if each["tableName"] == table),
                {"documentType": None},
            )
            objects = list(_objects(described.get("documentType")))
            staged = list(_objects(described.get("stagedDocumentType")))
            return cls(
                _merged(objects),
                _merged(staged),
                not objects,
                bool(active and active.get("schemaValidation")),
                bool(said.get("inProgress")),
            )

    def requires(self, field: str) -> bool:
        """Whether a record without *field* is refused, and one in which it is null, which is no instant either."""
        kind = self.fields.get(field)
        return self.checked and kind is not None and not kind.takes(ABSENT) and not kind.takes(None)

    def number(self, field: str) -> str | None:
        """Which of the two kinds of numbers *field* holds; None where that is not said, or both."""
        kind = self.fields.get(field)
        if kind is None:
            return None
        said = [each for each in NUMBERS if each in kind.kinds]
        return said[0] if len(said) == 1 else None


def _objects(said: Any) -> Iterator[Mapping[str, Any]]:
    """The objects that a document may be; none where it may be anything."""
    if not said or said["type"] == "any":
        return
    if said["type"] == "union":
        for each in said["value"]:
            yield from _objects(each)
    elif said["type"] == "object":
        yield said["value"]


def _merged(objects: list[Mapping[str, Any]]) -> dict[str, Kind]:
    """The fields of all of them: optional where it is in one, or where one lacks it."""
    found: dict[str, Kind] = {}
    for name in dict.fromkeys(name for each in objects for name in each):
        kinds: set[str] = set()
        for each in objects:
            if name in each:
                kinds.update(_kinds(each[name]["fieldType"]))
        optional = any(name not in each or each[name]["optional"] for each in objects)
        found[name] = Kind(frozenset(kinds), optional)
    return found


def _kinds(said: Mapping[str, Any]) -> Iterator[str]:
    if said["type"] == "union":
        for each in said["value"]:
            yield from _kinds(each)
    else:
        yield said["type"]
