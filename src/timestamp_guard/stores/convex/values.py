"""
What is written in a snapshot for values that JSON does not have, in either form that an export can have.

In the uniform one, since March 2026, a number without a point is an int64, and NaN, infinity and bytes are objects whose
only key begins with `$`. In the older one all numbers are floats, and the others are text that a shape tells apart.
"""

from __future__ import annotations

import base64
import functools
import json
import operator
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Final, Protocol

import msgspec
from attrs import field, frozen

from ...errors import StoreDamaged, UsageError
from ...instants import ABSENT, Raw
from ...ledger import Key
from ..json.blocks import Block
from ..json.codec import Codec
from ..json.splice import NotJson, path_of, value_of, written
from .overrides import Overrides
from .shape import Shape, parse

__all__ = ["UNIFORM", "ConvexCodec", "Inferred", "Notation", "Uniform", "lines_of", "notation_of"]

_UNSET: Final = msgspec.UNSET
_MARK: Final = b'"$'


class Notation(Protocol):
    """How values are written in one table of a snapshot."""

    @property
    def said(self) -> str:
        """What it is called."""
        ...

    def turn(self, tops: Iterable[str], data: bytes, keys: Iterable[Key]) -> Callable[[str, Raw, Key], Raw] | None:
        """
        What makes the value of a field from what was read in *data* as JSON, of which of the documents *keys*; None where
        it is that.
        """
        ...

    def means(self, name: str, token: bytes, key: Key) -> Raw:
        """What a written value of the field *name* means, in the document *key*."""
        ...

    def writer(self, name: str) -> Callable[[Raw], bytes]:
        """What writes values of the field *name*."""
        ...


def _special(value: Raw) -> Raw:
    """A value without objects that stand for something else."""
    match value:
        case {"$float": str(bits), **rest} if not rest:
            return _unpacked("<d", bits, value)
        case {"$integer": str(bits), **rest} if not rest:
            return _unpacked("<q", bits, value)
        case {"$bytes": str(bits), **rest} if not rest:
            try:
                return base64.b64decode(bits, validate=True)
            except ValueError:  # no base64, or no ASCII
                return value
        case dict():
            return {name: _special(each) for name, each in value.items()}
        case list():
            return [_special(each) for each in value]
        case _:
            return value


def _unpacked(form: str, bits: str, otherwise: Raw) -> Raw:
    try:
        return struct.unpack(form, base64.b64decode(bits, validate=True))[0]
    except (ValueError, struct.error):
        return otherwise


class Uniform:
    """The form since March 2026."""

    said = "uniform"

    def turn(
        self,
        tops: Iterable[str],  # noqa: ARG002 - as for others
        data: bytes,
        keys: Iterable[Key],  # noqa: ARG002 - as for others
    ) -> Callable[[str, Raw, Key], Raw] | None:
        """Only what has a `$` in it is another value than JSON has."""
        return (lambda _, value, __: _special(value)) if _MARK in data else None

    def means(self, name: str, token: bytes, key: Key) -> Raw:  # noqa: ARG002 - as for others
        """The same, whatever the field."""
        return _special(value_of(token))

    def writer(self, name: str) -> Callable[[Raw], bytes]:  # noqa: ARG002 - as for others
        """A float has a point or an exponent, as Python writes it."""
        return written


UNIFORM: Final = Uniform()


@frozen
class Inferred:
    """
    The form before: the `shape` of the documents, and for some, by their ids, what is said of their fields.

    Without a file that says it, there is no shape: then numbers are floats, and text is text.
    """

    shape: Shape
    overrides: Overrides = field(factory=Overrides)
    known: bool = True

    @property
    def said(self) -> str:
        """What it is called."""
        return "with an inferred shape, from before March 2026" if self.known else "without a shape"

    def turn(
        self,
        tops: Iterable[str],
        data: bytes,  # noqa: ARG002 - as for others
        keys: Iterable[Key],
    ) -> Callable[[str, Raw, Key], Raw] | None:
        """Every number is a float, and text may stand for something else."""
        shapes = {name: self.shape.field(name) for name in tops}
        said = functools.cache(lambda: self.overrides.of(keys))  # of many at once, and only where one is asked for

        def turned(name: str, value: Raw, key: Key) -> Raw:
            about = said().get(key) if isinstance(key, str) else None
            shape = shapes.get(name)
            if shape is None:
                shape = shapes[name] = self.shape.field(name)
            return shape.read(value, about.get(name) if about else None)

        return turned

    def means(self, name: str, token: bytes, key: Key) -> Raw:
        """What its field's shape says."""
        top, *inner = path_of(name)
        shape = self._inside([top, *inner])
        about: Any = self.overrides.of([key]).get(key)
        for each in [top, *inner]:
            about = about.get(each) if isinstance(about, dict) else None
        return shape.read(value_of(token), about)

    def _inside(self, path: Sequence[str]) -> Shape:
        shape = self.shape
        for name in path:
            shape = shape.field(name)
        return shape

    def writer(self, name: str) -> Callable[[Raw], bytes]:
        """
        An int64 is text, where the shape lets it be read again as one.

        Raises:
            UsageError: when it writes what would be read as something else.
        """
        text = self._inside(path_of(name)).text()

        def write(value: Raw) -> bytes:
            kind = "int64" if type(value) is int else "infer" if isinstance(value, str) else None
            if kind is not None and kind != text:
                msg = (
                    f"{name} cannot be an {kind} here" if kind == "int64" else f"{name} cannot be text here"
                ) + f": this snapshot is {self.said}, in which it would be read as something else; export it anew"
                raise UsageError(msg)
            return b'"%d"' % value if kind == "int64" else written(value)

        return write


def notation_of(file: BinaryIO | None, where: str) -> Notation:
    """
    What the file beside the documents of a table says of how they are written; None where there is none.

    Raises:
        StoreDamaged: it says something else.
    """
    lines = iter(()) if file is None else lines_of(file)
    said = next(lines, b"").strip()
    if not said:
        return Inferred(Shape(), known=False)
    try:
        first = json.loads(said)
        if first == "uniform":
            return UNIFORM
        if not isinstance(first, str):
            raise TypeError(first)
        shape = parse(first, where)
        told = (each for line in filter(bytes.strip, lines) for each in dict(json.loads(line)).items())
        overrides = Overrides((key, _told(about)) for key, about in told)
    except (ValueError, TypeError, RecursionError):
        raise StoreDamaged(
            f"{where} says nothing of how its documents are written that can be read: export it anew"
        ) from None
    return Inferred(shape, overrides)


def _told(about: Any) -> Mapping[str, Any]:
    """What is said of a document, by its fields."""
    if not isinstance(about, dict):
        raise TypeError(about)
    return about


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file that is read as a stream."""
    waiting: list[bytes] = []  # joined once, however long a line is
    while data := file.read(2**16):
        first, *others = data.split(b"\n")
        waiting.append(first)
        if others:
            yield b"".join(waiting)
            yield from others[:-1]
            waiting = others[-1:]
    if rest := b"".join(waiting):
        yield rest


class ConvexCodec(Codec):
    """
    Reads documents as what they mean, in the notation of their table.

    A blank line, and a mark of the encoding at the beginning, are refused as an import does. *watched* is a field of
    which every number must be a *number*.
    """

    def __init__(
        self,
        notation: Notation,
        names: Sequence[str] | None,
        key: Sequence[str] = (),
        *,
        also: Sequence[str] = (),
    ) -> None:
        super().__init__(names, key, also=also)
        self._notation = notation
        self._fields = None if self._whole else list(self._tops)
        self._id = next((attribute for top, attribute in self._tops if top == "_id"), None)
        self.watched: tuple[str, type, type, str] | None = None

    def watch(self, name: str, number: type[int | float], where: str = "") -> None:
        """See that no number of the field *name* is of the other kind; *where* a schema says that."""
        self.watched = name, number, float if number is int else int, where

    def read(self, block: Block) -> list[Any]:
        """
        All documents of a block, in order.

        Raises:
            NotJson: one is none, or could not be imported.
            UsageError: a number is of the other kind than others in its field.
        """
        if not block.at and block.body[0]:
            raise NotJson(0, "a document, found the mark of an encoding (BOM), which an import refuses: take it away")
        found = super().read(block)
        if block.lines is None:
            _ensure_no_blank(block)
        try:
            self._turn(found, block.data)
        except RecursionError:
            raise NotJson(self._deep(found, block), "a document that is not nested so deeply") from None
        if self.watched is not None:
            self._see(found)
        return found

    def _deep(self, found: Sequence[Any], block: Block) -> int:
        """Where the first document is that is nested too deeply."""
        for record, (start, _) in zip(found, block.spans(), strict=True):
            try:
                self._turn([record], block.data)
            except RecursionError:
                return start
        return block.body[0]

    def _see(self, found: Sequence[Any]) -> None:
        name, number, other, where = self.watched or ("", int, float, "")
        pick = self._picked[name]
        if self.flat:
            kinds = set(map(type, map(operator.attrgetter(dict(self._tops)[name]), found)))
        else:
            kinds = set(map(type, map(pick, found)))
        if other in kinds:
            wanted, there = ("an int64", "a float") if number is int else ("a float", "an int64")
            index = next(index for index, each in enumerate(found) if type(pick(each)) is other)
            why = f"is {where}: change the schema" if where else f"is to be {wanted}: say which it is in the schema"
            msg = (
                f"{name} holds {there} in one document ({self.key(found[index], index, None)}), and {why}, or mend the "
                f"others first; nothing was written"
            )
            raise UsageError(msg)

    def one(self, data: bytes) -> Any:
        """One document alone."""
        found = super().one(data)
        self._turn([found], data)
        return found

    def lines(self, records: Iterable[bytes]) -> list[Any]:
        """Documents of a line each."""
        lines = list(records)
        found = super().lines(lines)
        self._turn(found, b"".join(lines))
        return found

    def _turn(self, found: Sequence[Any], data: bytes) -> None:
        turned = self._notation.turn([top for top, _ in self._tops], data, map(self._id_of, found))
        if turned is None:
            return
        if self._fields is None:
            for record in found:
                key = self._id_of(record)
                for name, value in record.items():
                    record[name] = turned(name, value, key)
            return
        for name, attribute in self._fields:
            if name == "_id":
                continue
            pick = operator.attrgetter(attribute)
            for record in found:
                value = pick(record)
                if value is not _UNSET and value is not None and type(value) is not float:
                    setattr(record, attribute, turned(name, value, self._id_of(record)))

    def _id_of(self, record: Any) -> Key:
        """What a document has as its id, where that was read."""
        if self._whole:
            return record.get("_id")
        return getattr(record, self._id) if self._id else ABSENT


def _ensure_no_blank(block: Block) -> None:
    here = block.body[0]
    for line in block.data[here:].split(b"\n")[: -1 if block.data.endswith(b"\n") else None]:
        if not line.strip():
            raise NotJson(here, "a document, found a blank line, which an import refuses: take it away")
        here += len(line) + 1
