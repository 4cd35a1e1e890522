"""
A database like that of Convex: documents in memory, transactions with optimistic concurrency, limits, a schema that is
held; and the functions of `timestampGuard.ts`, of the system and of an app, interpreted in Python.
"""

from __future__ import annotations

import base64
import itertools
import json
import math
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from attrs import Factory, define

Document = dict[str, Any]
Function = Callable[["Transaction", Mapping[str, Any]], Any]


class Thrown(Exception):
    """A function fails: with `data`, it is a ConvexError."""

    def __init__(self, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.data = data


class Overtaken(Exception):
    """Somebody else committed what this transaction had read."""


# -- values: floats and integers of 64 bits are told apart, as in Convex


def read(data: Any) -> Any:
    """A value from the form `convex_encoded_json`, in which arguments come."""
    if isinstance(data, list):
        return [read(each) for each in data]
    if isinstance(data, dict):
        if "$integer" in data:
            return int.from_bytes(base64.b64decode(data["$integer"]), "little", signed=True)
        if "$float" in data:
            return struct.unpack("<d", base64.b64decode(data["$float"]))[0]
        if "$bytes" in data:
            return base64.b64decode(data["$bytes"])
        if any(name.startswith("$") for name in data):
            raise ValueError(f"Field names may not begin with '$': {sorted(data)}")
        return {name: read(each) for name, each in data.items()}
    return float(data) if type(data) is int else data


def written(value: Any, form: str) -> Any:
    """A value in one of the three forms of an answer; floats keep their point."""
    match value:
        case bool() | None | str():
            return value
        case float():
            special = not math.isfinite(value)
            if form == "json":
                return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN") if special else value
            if form == "convex_encoded_json":
                special = special or (value == 0 and math.copysign(1, value) < 0)
            return {"$float": base64.b64encode(struct.pack("<d", value)).decode()} if special else value
        case int():
            if form == "json":
                return str(value)
            if form == "export_json":
                return value
            return {"$integer": base64.b64encode(value.to_bytes(8, "little", signed=True)).decode()}
        case bytes():
            said = base64.b64encode(value).decode()
            return said if form == "json" else {"$bytes": said}
        case list():
            return [written(each, form) for each in value]
        case dict():
            return {name: written(each, form) for name, each in value.items()}
        case _:
            raise TypeError(value)


def alike(one: Any, other: Any) -> bool:
    """Whether two values are one value in Convex: -0 is not 0, NaN is NaN, 1n is not 1."""
    return json.dumps(written(one, "convex_encoded_json")) == json.dumps(written(other, "convex_encoded_json"))


def size(value: Any) -> int:
    """About how many bytes a value takes."""
    return len(json.dumps(written(value, "convex_encoded_json")))


# -- the database


@define
class Limits:
    """What one transaction may do."""

    bytes_read: int = 16 * 2**20
    scanned: int = 32_000
    written: int = 16_000
    arguments: int = 5 * 2**20
    retries: int = 4
    undisturbed: int = 16_000
    """A transaction that writes more than this is always overtaken by somebody: a table that is very busy."""


@define
class Database:
    """Tables of documents by their ids, in the order in which they were made; every document has a version."""

    tables: dict[str, dict[str, Document]] = Factory(dict)
    versions: dict[str, int] = Factory(dict)
    limits: Limits = Factory(Limits)
    schema: dict[str, Any] | None = None
    guarded: tuple[str, ...] | None = None
    log: list[tuple[str, str, str, Any]] = Factory(list)
    lock: threading.RLock = Factory(threading.RLock)
    _numbers: Iterator[int] = Factory(itertools.count)

    def put(self, table: str, document: Document) -> str:
        """Insert a document past all rules."""
        with self.lock:
            number = next(self._numbers)
            made = {"_id": f"doc{number:08d}", "_creationTime": 1_700_000_000_000.0 + number / 4096, **document}
            self.tables.setdefault(table, {})[made["_id"]] = made
            self.versions[made["_id"]] = self.versions.get(made["_id"], 0) + 1
            return str(made["_id"])


@define
class Transaction:
    """What a function sees and does; committed at its end, if nobody was faster."""

    database: Database
    path: str
    reads: dict[str, int] = Factory(dict)
    writes: dict[str, tuple[str, Document | None]] = Factory(dict)
    bytes_read: int = 0
    scanned: int = 0

    def rows(self, table: str) -> list[str]:
        """The ids of a table, in the order in which its documents were made."""
        with self.database.lock:
            if table not in self.database.tables:
                raise Thrown(f"Uncaught Error: unknown table {table!r}")
            return list(self.database.tables[table])

    def get(self, table: str, key: str) -> Document | None:
        if key in self.writes:
            return self.writes[key][1]
        with self.database.lock:
            held = self.database.tables.get(table, {}).get(key)
            self.reads.setdefault(key, self.database.versions.get(key, 0))
            found = None if held is None else dict(held)
        if found is not None:
            self.scanned += 1
            self.bytes_read += size(found)
        if self.bytes_read > self.database.limits.bytes_read:
            raise Thrown(
                f"Uncaught Error: Too many bytes read in a single function execution (limit: "
                f"{self.database.limits.bytes_read} bytes). Consider using smaller limits in your queries."
            )
        if self.scanned > self.database.limits.scanned:
            raise Thrown(
                f"Uncaught Error: Too many documents read in a single function execution (limit: "
                f"{self.database.limits.scanned})."
            )
        return found

    def set(self, table: str, key: str, document: Document | None) -> None:
        if document is not None:
            validate(self.database.schema, table, document)
        self.writes[key] = table, document
        if len(self.writes) > self.database.limits.written:
            raise Thrown("Uncaught Error: Too many documents written in a single function execution (limit: 16000)")

    def commit(self) -> None:
        with self.database.lock:
            disturbed = len(self.writes) > self.database.limits.undisturbed
            if disturbed or any(self.database.versions.get(key, 0) != seen for key, seen in self.reads.items()):
                raise Overtaken
            for key, (table, document) in self.writes.items():
                if document is None:
                    self.database.tables[table].pop(key, None)
                else:
                    self.database.tables[table][key] = document
                self.database.versions[key] = self.database.versions.get(key, 0) + 1
                self.database.log.append((self.path, table, key, document))


def validate(schema: Mapping[str, Any] | None, table: str, document: Document) -> None:
    """Hold a document against the schema, as far as its required fields, the kinds of numbers and null go."""
    if schema is None or not schema["schemaValidation"]:
        return
    for each in schema["tables"]:
        if each["tableName"] != table or each["documentType"]["type"] != "object":
            continue
        for name, said in each["documentType"]["value"].items():
            where = f'Failed to insert or update a document in table "{table}" because it does not match the schema: '
            if name not in document:
                if not said["optional"]:
                    raise Thrown(
                        f"Uncaught Error: {where}Object is missing the required field `{name}`. Consider wrapping the field "
                        f"validator in `v.optional(...)` if this is expected."
                    )
            elif not fits(said["fieldType"], document[name]):
                raise Thrown(f"Uncaught Error: {where}Value does not match validator. Path: .{name}")


def fits(type_: Mapping[str, Any], value: Any) -> bool:
    """Whether a type takes a value, as far as numbers, null and unions of them go."""
    if type_["type"] == "union":
        return any(fits(each, value) for each in type_["value"])
    kinds = {"number": float, "bigint": int, "null": type(None)}
    return type_["type"] not in kinds or type(value) is kinds[type_["type"]]


# -- the functions: those of the module, those of the system, and some of an app


def page(tx: Transaction, args: Mapping[str, Any]) -> Any:
    guarded(tx, args)
    if not 1 <= args["limit"] <= 1_000:
        raise Thrown("Uncaught ConvexError: limit", f"limit is {args['limit']}; wanted 1 to 1000")
    documents, cursor, done = paged(tx, args["table"], args["cursor"], int(args["limit"]))
    wanted = {"_id", "_creationTime", *args["fields"]}
    return {
        "documents": [{name: each[name] for name in each if name in wanted} for each in documents],
        "cursor": cursor,
        "done": done,
    }


def paged(tx: Transaction, table: str, cursor: str | None, limit: int) -> tuple[list[Document], str, bool]:
    after = None if cursor is None else json.loads(cursor)
    order = [(tx.database.tables[table][key]["_creationTime"], key) for key in tx.rows(table)]
    later = sorted(each for each in order if after is None or each > tuple(after))
    found = [document for _, key in later[:limit] if (document := tx.get(table, key)) is not None]
    last = later[:limit][-1] if later[:limit] else after
    return found, json.dumps(last), len(later) <= limit


def settle(tx: Transaction, args: Mapping[str, Any], before: str, after: str) -> Any:
    if len(args["changes"]) > 1_000:
        raise Thrown("Uncaught ConvexError: changes", f"{len(args['changes'])} changes; wanted at most 1000")
    guarded(tx, args)
    refused = []
    for change in args["changes"]:
        document = tx.get(args["table"], change["id"])
        held = {"value": document[args["field"]]} if document and args["field"] in document else {}
        if document is None or not (alike(held, change[before]) or alike(held, change[after])):
            refused.append(change["id"])
        elif not alike(held, change[after]):
            made = {name: each for name, each in document.items() if name != args["field"]}
            if "value" in change[after]:
                made[args["field"]] = change[after]["value"]
            tx.set(args["table"], change["id"], made)
    return {"refused": refused}


def table_data(tx: Transaction, args: Mapping[str, Any]) -> Any:
    options = args["paginationOpts"]
    if args["table"] not in tx.database.tables:
        return {"page": [], "isDone": True, "continueCursor": "null"}
    documents, cursor, done = paged(tx, args["table"], options["cursor"], int(options["numItems"]))
    return {"page": documents, "isDone": done, "continueCursor": cursor}


def schemas(tx: Transaction, args: Mapping[str, Any]) -> Any:
    schema = tx.database.schema
    return {} if schema is None else {"active": json.dumps(schema)}


def table_names(tx: Transaction, args: Mapping[str, Any]) -> Any:
    return {"page": [{"name": name} for name in tx.database.tables], "isDone": True, "continueCursor": ""}


def patch(tx: Transaction, args: Mapping[str, Any]) -> None:
    """An app's own mutation: `ctx.db.patch(id, fields)`; a field that is null in `remove` is taken away."""
    document = tx.get(args["table"], args["id"])
    if document is None:
        raise Thrown("Uncaught Error: Update on nonexistent document ID")
    made = document | args["fields"]
    tx.set(args["table"], args["id"], {name: made[name] for name in made if name not in args.get("remove", ())})


def insert(tx: Transaction, args: Mapping[str, Any]) -> str:
    with tx.database.lock:
        number = next(tx.database._numbers)
    key = f"doc{number:08d}"
    tx.set(args["table"], key, {"_id": key, "_creationTime": 1_700_000_000_000.0 + number / 4096, **args["document"]})
    return key


def fail(tx: Transaction, args: Mapping[str, Any]) -> None:
    raise Thrown("Uncaught ConvexError", args.get("data"))


def guarded(tx: Transaction, args: Mapping[str, Any]) -> None:
    """Refuse tables that the module was not made for, where the deployment says for which it was."""
    known = tx.database.guarded
    if known is not None and args["table"] not in known:
        said = f"no table {args['table']} in timestampGuard.ts; there is {', '.join(known)}"
        raise Thrown(f"Uncaught ConvexError: {said}", said)


def try_insert(tx: Transaction, args: Mapping[str, Any], *, having: bool) -> Any:
    """What `refusesWithout` and `acceptsWith` find, with nothing left behind."""
    document = next(iter(tx.database.tables[args["table"]].values()), {})
    made = {name: each for name, each in document.items() if name != "updatedAt"}
    try:
        validate(tx.database.schema, args["table"], made | ({"updatedAt": 1.7e12} if having else {}))
    except Thrown as problem:
        return {"ok": not having, "said": str(problem)}
    return {"ok": having, "said": "accepted"}


MODULE: Final[Mapping[str, tuple[str, Function]]] = {
    "timestampGuard:page": ("query", page),
    "timestampGuard:apply": ("mutation", lambda tx, args: settle(tx, args, "before", "after")),
    "timestampGuard:rollback": ("mutation", lambda tx, args: settle(tx, args, "after", "before")),
    "timestampGuard:refusesWithout": ("mutation", lambda tx, args: try_insert(tx, args, having=False)),
    "timestampGuard:acceptsWith": ("mutation", lambda tx, args: try_insert(tx, args, having=True)),
}
SYSTEM: Final[Mapping[str, tuple[str, Function]]] = {
    "_system/cli/tables": ("query", table_names),
    "_system/cli/tableData": ("query", table_data),
    "_system/frontend/getSchemas": ("query", schemas),
}
APP: Final[Mapping[str, tuple[str, Function]]] = {
    "app:patch": ("mutation", patch),
    "app:insert": ("mutation", insert),
    "app:list": ("query", lambda tx, args: [tx.get(args["table"], key) for key in tx.rows(args["table"])]),
    "app:echo": ("query", lambda tx, args: args.get("value")),
    "app:fail": ("mutation", fail),
}
