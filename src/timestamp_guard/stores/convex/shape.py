"""
What a table's older export says of its values: an inferred shape for all of them, and for some documents what that leaves
open. In it an int64 is text, and every number a float.
"""

from __future__ import annotations

import base64
import contextlib
import json
import math
import re
import struct
from collections.abc import Callable
from typing import Any, Final

from attrs import Factory, define

from ...errors import StoreDamaged
from ...instants import Raw

__all__ = ["Shape", "parse"]

_WORD: Final = re.compile(r"[A-Za-z0-9_+-]+")
_TEXT: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')

_MEANINGS: Final = {
    "int64": {"int64"},
    "inf": {"float64inf"},
    "-inf": {"float64inf"},
    "NaN": {"nan", "float64inf"},
    "float64": {"nan", "float64inf"},
    "bytes": {"bytes"},
    "text": {"infer"},
    "id": {"infer"},
    "field_name": {"infer"},
    "string": {"infer"},
    "unknown": {"infer", "nan", "float64inf", "int64", "bytes"},
}
"""What text can stand for, by what a shape says; of a NaN it is never sure, for there are many."""


@define
class Shape:
    """
    What values are there: their kinds, the fields of those that are objects and what others they have, the elements of
    those that are arrays.
    """

    kinds: set[str] = Factory(set)
    fields: dict[str, Shape] = Factory(dict)
    rest: Shape | None = None
    element: Shape | None = None

    def add(self, other: Shape) -> None:
        """Let what *other* says be, too."""
        self.kinds |= other.kinds
        for name, shape in other.fields.items():
            self.fields.setdefault(name, Shape()).add(shape)
        self.rest = _joined(self.rest, other.rest)
        self.element = _joined(self.element, other.element)

    def field(self, name: str) -> Shape:
        """What is said of a field of an object."""
        found = Shape({"unknown"}) if "unknown" in self.kinds else Shape()
        for each in (self.fields.get(name), self.rest):
            if each is not None:
                found.add(each)
        return found

    def elements(self) -> Shape:
        """What is said of the elements of an array."""
        found = Shape({"unknown"}) if "unknown" in self.kinds else Shape()
        if self.element is not None:
            found.add(self.element)
        return found

    def text(self) -> str:
        """What text stands for here, where nothing else is said of a document."""
        meanings: set[str] = set().union(*(_MEANINGS.get(kind, set()) for kind in self.kinds))
        return meanings.pop() if len(meanings) == 1 else "infer"

    def read(self, value: Raw, said: Any = None) -> Raw:
        """What a value means; *said* is what is said of this one."""
        match value:
            case bool() | None | float():
                return value
            case int():
                return float(value) if abs(value) < 2**1000 else math.copysign(math.inf, value)
            case str():
                return _meant(value, said if isinstance(said, str | dict) and said != "infer" else self.text())
            case list():
                each = said if isinstance(said, list) and len(said) == len(value) else [None] * len(value)
                inner = self.elements()
                return [inner.read(one, about) for one, about in zip(value, each, strict=True)]
            case dict():
                about = said if isinstance(said, dict) else {}
                return {name: self.field(name).read(one, about.get(name)) for name, one in value.items()}
            case _:
                return value


def _joined(one: Shape | None, other: Shape | None) -> Shape | None:
    if other is None:
        return one
    found = Shape()
    for each in (one, other):
        if each is not None:
            found.add(each)
    return found


def _meant(text: str, said: str | dict[str, Any]) -> Raw:
    """What a text stands for; what stands for nothing stays text."""
    with contextlib.suppress(ValueError, TypeError, struct.error):
        match said:
            case "int64":
                return int(text) if re.fullmatch(r"-?[0-9]{1,19}", text) else text
            case "float64inf":
                return {"Infinity": math.inf, "-Infinity": -math.inf}.get(text, text)
            case "bytes":
                return base64.b64decode(text, validate=True)
            case {"$float64NaN": str(bits)} if text == "NaN":
                return struct.unpack("<d", base64.b64decode(bits))[0]
    return text


def parse(text: str, where: str) -> Shape:
    """
    Read the written form of a shape.

    Raises:
        StoreDamaged: it is none; *where* says of what.
    """
    try:
        found, end = _union(text, 0, where)
    except (ValueError, RecursionError):  # it breaks off, or is nested too deeply
        raise _unread(text, 0, where) from None
    if end < len(text):
        raise _unread(text, end, where)
    return found


def _unread(text: str, at: int, where: str) -> StoreDamaged:
    return StoreDamaged(
        f"{where}: cannot read the shape of its documents from {text[at : at + 30]!r} on: export it anew"
    )


def _union(text: str, at: int, where: str) -> tuple[Shape, int]:
    found, at = _one(text, at, where)
    while text.startswith(" | ", at):
        other, at = _one(text, at + 3, where)
        found.add(other)
    return found, at


def _one(text: str, at: int, where: str) -> tuple[Shape, int]:
    if text.startswith("{", at):
        return _object(text, at, where)
    if (literal := _TEXT.match(text, at)) is not None:
        return Shape({"text"}), literal.end()
    word = _WORD.match(text, at)
    if word is None:
        raise _unread(text, at, where)
    name, end = word[0], word.end()
    if not text.startswith("<", end):
        return Shape({name}), end
    if name == "id":
        return Shape({"id"}), text.index(">", end) + 1
    inner, end = _union(text, end + 1, where)
    if text.startswith(", ", end):
        inner, end = _union(text, end + 2, where)
    if not text.startswith(">", end):
        raise _unread(text, end, where)
    shapes: dict[str, Callable[[], Shape]] = {
        "array": lambda: Shape({"array"}, element=inner),
        "record": lambda: Shape({"object"}, rest=inner),
    }
    return shapes.get(name, lambda: Shape({name}))(), end + 1


def _object(text: str, at: int, where: str) -> tuple[Shape, int]:
    found, at = Shape({"object"}), at + 1
    while not text.startswith("}", at):
        key = _TEXT.match(text, at)
        if key is None:
            raise _unread(text, at, where)
        at = key.end() + text.startswith("?", key.end())
        if not text.startswith(": ", at):
            raise _unread(text, at, where)
        shape, at = _union(text, at + 2, where)
        found.fields[json.loads(key[0])] = shape
        if text.startswith(", ", at):
            at += 2
        elif not text.startswith("}", at):
            raise _unread(text, at, where)
    return found, at + 1
