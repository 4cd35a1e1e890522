"""
What is read of a record: some of its fields, and no more, by msgspec; what that cannot read, by Python's own parser.
"""

from __future__ import annotations

import contextlib
import functools
import io
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from ...errors import NoIdentity
from ...instants import ABSENT, Raw
from ...ledger import Key
from .blocks import Block
from .splice import NotJson, Path, path_of, read, skip

__all__ = ["Codec", "Nested", "names_in"]

_ODD: Final = re.compile(r'["\\\x00-\x1f\ud800-\udfff]')
_UNSET: Final = msgspec.UNSET
_path_of: Final = functools.lru_cache(maxsize=256)(path_of)


class Nested(dict[str, Any]):
    """A record, in which a field of an object is found by its path, too."""

    def __getitem__(self, name: str) -> Any:
        held = self.get(name, _UNSET)
        if held is _UNSET:
            raise KeyError(name)
        return held

    def get(self, name: str, default: Any = None) -> Any:
        """What the field holds."""
        if "." not in name and "\\" not in name:
            return super().get(name, default)
        held: Any = self
        for key in _path_of(name):
            if not isinstance(held, dict) or key not in held:
                return default
            held = dict.__getitem__(held, key)
        return held


class Codec:
    """
    Reads the fields *names* of records, all where it is None, and those of the *key*.

    A record comes as a structure whose attributes `f0`, `f1` ... are the fields in their order, where none is in an
    object of its own; *nonfinite* lets NaN and Infinity be; *also* names fields that are wanted by their path where all are read.
    """

    def __init__(
        self, names: Sequence[str] | None, key: Sequence[str] = (), *, also: Sequence[str] = (), nonfinite: bool = False
    ) -> None:
        self.names, self.keyed, self.nonfinite = names, tuple(key), nonfinite
        paths = {name: path_of(name) for name in (*(names or ()), *key, *also)}
        self._also = [name for name in also if names is None and paths[name] != (name,)]
        self.flat = names is not None and all(len(path) == 1 for path in paths.values())
        tops = dict.fromkeys(path[0] for path in paths.values())
        # Others msgspec cannot be told; then whole records are read.
        self._whole = names is None or any(_ODD.search(top) for top in tops)
        self.flat = self.flat and not self._whole
        attributes = {top: f"f{index}" for index, top in enumerate(tops)}
        kind: Any = dict
        if not self._whole:
            fields: list[Any] = [
                (each, Any, msgspec.field(name=top, default=_UNSET)) for top, each in attributes.items()
            ]
            kind = msgspec.defstruct("Record", fields, gc=False)
        self.kind = kind
        self._tops = list(attributes.items())
        self._one = msgspec.json.Decoder(kind)
        self._list = msgspec.json.Decoder(list[kind])
        self._picked = {name: self._picker(path, attributes) for name, path in paths.items()}
        self._plain: Callable[[Any], tuple[Raw, ...]] | None = None
        if self.flat and names:
            get = operator.attrgetter(*(attributes[paths[name][0]] for name in names))
            self._plain = get if len(names) > 1 else lambda record: (get(record),)

    def _picker(self, path: Path, attributes: Mapping[str, str]) -> Callable[[Any], Raw]:
        whole, attribute = self._whole, attributes[path[0]]
        if not whole and len(path) == 1:
            get = operator.attrgetter(attribute)
            return lambda record: ABSENT if (held := get(record)) is _UNSET else held

        def pick(record: Any) -> Raw:
            held = record.get(path[0], _UNSET) if whole else getattr(record, attribute)
            for name in path[1:]:
                held = held.get(name, _UNSET) if isinstance(held, dict) else _UNSET
            return ABSENT if held is _UNSET else held

        return pick

    # -- reading

    def read(self, block: Block) -> list[Any]:
        """
        All records of a block, in order.

        Raises:
            NotJson: one is no object, or no JSON; with the byte of the block at which.
        """
        begin, end = block.body
        body = block.data[begin:end] if end - begin < len(block.data) else block.data
        try:
            if not body.isascii():
                body.decode()  # msgspec does not look at text that it skips
            if block.shape == "array":
                return self._list.decode(b"[" + body + b"]")
            if block.shape == "lines":
                lines = io.BytesIO(body).readlines()
                with contextlib.suppress(msgspec.MsgspecError):  # of an empty line
                    # One by one: decode_lines() takes several records of one line, and one of several lines, too.
                    found = list(map(self._one.decode, lines))
                    block.lines = lines
                    return found
            return [self._one.decode(block.data[start:stop]) for start, stop in block.spans()]
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return [self._slowly(block.data, start, stop) for start, stop in block.spans()]

    def _slowly(self, data: bytes, start: int, stop: int) -> Any:
        try:
            found = read(data[start:stop], nonfinite=self.nonfinite)
        except NotJson as problem:
            raise NotJson(start + problem.at, problem.wanted) from None
        if not isinstance(found, dict):
            raise NotJson(skip(data, start), f"a record, which is an object, found {_called(found)}")
        if self._whole:
            return found
        return self.kind(**{attribute: found.get(top, _UNSET) for top, attribute in self._tops})

    def one(self, data: bytes) -> Any:
        """One record alone, as :meth:`read` gives it."""
        try:
            return self._one.decode(data)
        except (msgspec.MsgspecError, RecursionError):
            return self._slowly(data, 0, len(data))

    def lines(self, records: Iterable[bytes]) -> list[Any]:
        """Records of which each is a line that could be read before: nothing where one cannot be now."""
        try:
            return list(map(self._one.decode, records))
        except (msgspec.MsgspecError, RecursionError):
            return []

    # -- what was read

    def record(self, found: Any) -> dict[str, Raw]:
        """The fields that are there."""
        names = self.names
        if names is None:
            inner = {name: self._picked[name](found) for name in self._also}
            return {**found, **{name: raw for name, raw in inner.items() if raw is not ABSENT}}
        if self._plain is not None:
            return {name: raw for name, raw in zip(names, self._plain(found), strict=True) if raw is not _UNSET}
        picked = ((name, self._picked[name](found)) for name in names)
        return {name: raw for name, raw in picked if raw is not ABSENT}

    def has(self, found: Any, path: Path) -> bool:
        """Whether the object is there that the field *path* belongs to."""
        if len(path) == 1:
            return True
        top = "" if self._whole else next(each for top, each in self._tops if top == path[0])
        held = found.get(path[0]) if self._whole else getattr(found, top)
        for name in path[1:-1]:
            held = held.get(name) if isinstance(held, dict) else None
        return isinstance(held, dict)

    def key(self, found: Any, number: int, name: str | None) -> Key:
        """What identifies a record: its key, its id in the file, or its number, from 1."""
        if not self.keyed:
            return number + 1 if name is None else name
        parts = tuple(self._picked[each](found) for each in self.keyed)
        return parts[0] if len(parts) == 1 else parts

    def plain_keys(self, found: Sequence[Any]) -> list[Key] | None:
        """What identifies records, where that is one field that is text or a whole number in all of them."""
        if len(self.keyed) != 1 or not self.flat:
            return None
        keys = list(map(self._picked[self.keyed[0]], found))
        return keys if {*map(type, keys)} <= {str, int} else None

    def identity(self, found: Any, number: int, name: str | None) -> Key:
        """
        The same, which must be there.

        Raises:
            NoIdentity: it is not, or is no plain value.
        """
        key = self.key(found, number, name)
        for each, part in zip(self.keyed, key if isinstance(key, tuple) else (key,), strict=False):
            if part is ABSENT or part is None or isinstance(part, dict | list):
                said = (
                    "has no" if part is ABSENT else "has null as its" if part is None else "has no plain value as its"
                )
                msg = f"record {number + 1} {said} key {each}: name a field that identifies every record, or none"
                raise NoIdentity(msg)
        return key


def _called(value: Any) -> str:
    if value is None:
        return "null"
    kinds = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "an array"}
    return kinds.get(type(value), "a number")


def names_in(record: Mapping[str, Any], before: str = "") -> dict[str, None]:
    """The names of the fields of a record, and of those in objects of its own."""
    found: dict[str, None] = {}
    for name, value in record.items():
        path = before + name.replace("\\", "\\\\").replace(".", "\\.")
        found[path] = None
        if isinstance(value, dict) and before.count(".") < 3:
            found |= names_in(value, path + ".")
    return found
