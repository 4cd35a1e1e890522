"""
What a deployment says of itself: its tables, and the schema that is in force.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from attrs import frozen

from ...convex.fields import FieldType, common
from ...errors import StoreError
from .http import Deployment, Refused

__all__ = ["Live", "moved", "tables"]

PAGE: Final = 500
TABLES: Final = "_system/cli/tables"
SCHEMAS: Final = "_system/frontend/getSchemas"


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
class Live:
    """
    The schema of one table that is in force: its fields, and those of its staged validator.

    `open` says that other fields may be there: the table has no schema, or one of any object. `checked` is False where
    writes are not held against it.
    """

    fields: Mapping[str, FieldType]
    staged: Mapping[str, FieldType]
    open: bool
    checked: bool

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
                common([each or {} for each in objects]),
                common([each or {} for each in staged]),
                None in objects,
                bool(active and active.get("schemaValidation")),
            )

    def requires(self, field: str) -> bool:
        """Whether a record without *field* is refused, and one in which it is null, which is no instant either."""
        return self.checked and field in self.fields and self.fields[field].required


def _objects(said: Any) -> Iterator[Mapping[str, FieldType] | None]:
    """The objects that a document may be; None where it may be anything."""
    match said and said["type"]:
        case "union":
            for each in said["value"]:
                yield from _objects(each)
        case "object":
            yield {
                name: FieldType(frozenset(_kinds(each["fieldType"])), each["optional"])
                for name, each in said["value"].items()
            }
        case _:
            yield None


def _kinds(said: Mapping[str, Any]) -> Iterator[str]:
    if said["type"] == "union":
        for each in said["value"]:
            yield from _kinds(each)
    else:
        yield said["type"]
