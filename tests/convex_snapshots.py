"""
Snapshots as `npx convex export` makes them, in both of their forms: written here by the rules of the export, not ours.
"""

from __future__ import annotations

import base64
import io
import json
import math
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from timestamp_guard.convex.ids import Id, encode

Document = dict[str, Any]

NUMBER: Final = 10_001
PLAIN: Final = (",", ":")
TEXTS: Final = {"float64": "Infinity", "-float64": "-Infinity"}


def document_id(number: int, table: int = NUMBER) -> str:
    """The id of a document."""
    return encode(Id(table, number.to_bytes(16, "big")))


class Forms:
    """How documents are written: lines, and what the file beside them says."""

    def dump(self, rows: Sequence[Document]) -> tuple[str, str]:
        raise NotImplementedError

    def load(self, text: str, said: str) -> list[Document]:
        raise NotImplementedError


class UniformForm(Forms):
    """Since March 2026."""

    def dump(self, rows: Sequence[Document]) -> tuple[str, str]:
        return "".join(json.dumps(self._out(row), separators=PLAIN) + "\n" for row in rows), '"uniform"\n'

    def load(self, text: str, said: str) -> list[Document]:
        assert '"uniform"\n' == said
        return [self._in(json.loads(line)) for line in text.split("\n") if line]

    def _out(self, value: Any) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            return {"$float": base64.b64encode(struct.pack("<d", value)).decode()}
        if isinstance(value, bytes):
            return {"$bytes": base64.b64encode(value).decode()}
        if isinstance(value, dict):
            return {name: self._out(each) for name, each in value.items()}
        return [self._out(each) for each in value] if isinstance(value, list) else value

    def _in(self, value: Any) -> Any:
        if isinstance(value, dict):
            if "$float" in value:
                return struct.unpack("<d", base64.b64decode(value["$float"]))[0]
            if "$bytes" in value:
                return base64.b64decode(value["$bytes"])
            return {name: self._in(each) for name, each in value.items()}
        return [self._in(each) for each in value] if isinstance(value, list) else value


class InferredForm(Forms):
    """Before March 2026, with a shape that leaves everything open but for the fields in *shape*."""

    def __init__(self, shape: Mapping[str, str] | None = None) -> None:
        self.shape = shape or {}

    def dump(self, rows: Sequence[Document]) -> tuple[str, str]:
        names = dict.fromkeys(name for row in rows for name in row)
        fields = ", ".join(f"{json.dumps(name)}?: {self.shape.get(name, 'unknown')}" for name in names)
        said = [json.dumps("{" + fields + "}")]
        lines = []
        for row in rows:
            lines.append(json.dumps({name: self._out(value) for name, value in row.items()}, separators=PLAIN))
            about = {name: self._about(value) for name, value in row.items() if name not in self.shape}
            about = {name: each for name, each in about.items() if each != "infer"}
            if about:
                said.append(json.dumps({row["_id"]: about}, separators=PLAIN))
        return "".join(line + "\n" for line in lines), "".join(line + "\n" for line in said)

    def load(self, text: str, said: str) -> list[Document]:
        about: dict[str, Any] = {}
        for line in said.split("\n")[1:]:
            about |= json.loads(line or "{}")
        rows = [json.loads(line) for line in text.split("\n") if line]
        return [
            {name: self._in(name, value, about.get(row["_id"], {}).get(name)) for name, value in row.items()}
            for row in rows
        ]

    def _out(self, value: Any) -> Any:
        match value:
            case bool() | None | str():
                return value
            case int():
                return str(value)
            case float() if math.isnan(value):
                return "NaN"
            case float() if math.isinf(value):
                return "Infinity" if value > 0 else "-Infinity"
            case bytes():
                return base64.b64encode(value).decode()
            case dict():
                return {name: self._out(each) for name, each in value.items()}
            case list():
                return [self._out(each) for each in value]
            case _:
                return value

    def _about(self, value: Any) -> Any:
        match value:
            case bool() | None | str():
                return "infer"
            case int():
                return "int64"
            case float() if math.isnan(value):
                return {"$float64NaN": base64.b64encode(struct.pack("<d", value)).decode()}
            case float() if math.isinf(value):
                return "float64inf"
            case bytes():
                return "bytes"
            case dict():
                each = {name: self._about(one) for name, one in value.items()}
                each = {name: one for name, one in each.items() if one != "infer"}
                return each or "infer"
            case list():
                all_ = [self._about(one) for one in value]
                return all_ if any(one != "infer" for one in all_) else "infer"
            case _:
                return "infer"

    def _in(self, name: str, value: Any, about: Any) -> Any:
        said = about or {"int64": "int64"}.get(self.shape.get(name, "").split(" | ")[0], "infer")
        match value, said:
            case str(), "int64":
                return int(value)
            case str(), "bytes":
                return base64.b64decode(value)
            case str(), "float64inf":
                return float(value)
            case str(), dict():
                return struct.unpack("<d", base64.b64decode(said["$float64NaN"]))[0]
            case bool(), _:
                return value
            case int(), _:
                return float(value)
            case dict(), _:
                return {
                    key: self._in("", one, said.get(key) if isinstance(said, dict) else None)
                    for key, one in value.items()
                }
            case list(), _:
                each = said if isinstance(said, list) else [None] * len(value)
                return [self._in("", one, about) for one, about in zip(value, each, strict=True)]
            case _:
                return value


UNIFORM: Final = UniformForm()


class _Stream(io.RawIOBase):
    """A file that cannot be gone back in, as an export is written."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return int(self.file.write(data))


def snapshot(
    path: Path,
    tables: Mapping[str, tuple[str, str | None]],
    *,
    others: Mapping[str, bytes] | None = None,
    numbered: bool = True,
    streamed: bool = True,
    **how: Any,
) -> Path:
    """A ZIP with these tables, each its documents and what is said of them, as an export writes one member by member."""
    members = {"README.md": b"# Welcome to your Convex snapshot export!\n"}
    components = dict.fromkeys(["", *(name.rpartition(":")[0] for name in tables)])
    if numbered:
        for component in components:
            own = [name.rpartition(":")[2] for name in tables if name.rpartition(":")[0] == component]
            lines = [json.dumps({"name": name, "id": NUMBER + at}, separators=PLAIN) for at, name in enumerate(own)]
            members[f"{folder(component)}_tables/documents.jsonl"] = "".join(line + "\n" for line in lines).encode()
    for name, (documents, said) in tables.items():
        component, _, table = name.rpartition(":")
        members[f"{folder(component)}{table}/documents.jsonl"] = documents.encode("utf-8", "surrogatepass")
        if said is not None:
            members[f"{folder(component)}{table}/generated_schema.jsonl"] = said.encode()
    members |= others or {}
    with (
        path.open("wb") as file,
        zipfile.ZipFile(
            _Stream(file) if streamed else file,
            "w",
            **({"compression": zipfile.ZIP_DEFLATED} | how),
        ) as made,
    ):
        for name, data in members.items():
            info = zipfile.ZipInfo(name, (2026, 3, 11, 12, 0, 0))
            info.compress_type, info.external_attr = made.compression, 0o644 << 16
            with made.open(info, "w") as member:
                member.write(data)
    return path


def folder(component: str) -> str:
    """Where the tables of a component are."""
    return "".join(f"_components/{each}/" for each in component.split("/") if each)


def unpacked(path: Path, where: Path) -> Path:
    """A folder with what is in the ZIP at *path*."""
    with zipfile.ZipFile(path) as zipped:
        zipped.extractall(where)
    return where


def members(path: Path) -> dict[str, bytes]:
    """What every member of a ZIP, or every file of a folder, holds."""
    if path.is_dir():
        return {each.relative_to(path).as_posix(): each.read_bytes() for each in path.rglob("*") if each.is_file()}
    with zipfile.ZipFile(path) as zipped:
        assert zipped.testzip() is None
        return {name: zipped.read(name) for name in zipped.namelist()}
