"""
Values of Convex as its HTTP API writes them, in the form that it calls `convex_encoded_json`.

Its numbers are floats: an integer of 64 bits, bytes, and the floats that JSON has no word for are objects of one key
that begins with a dollar, which no field of Convex can be called.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import struct
from typing import Any, Final

from ...instants import Raw, brief

__all__ = ["decoded", "encoded", "text"]

_INTEGERS: Final = range(-(2**63), 2**63)
_FLOAT: Final = struct.Struct("<d")


def encoded(raw: Raw) -> Any:
    """
    A raw value as JSON.

    Raises:
        TypeError: Convex has no value of this kind.
    """
    kind = type(raw)
    if raw is None or kind in {bool, str}:
        return raw
    if kind is float:
        if math.isfinite(raw) and (raw or math.copysign(1, raw) > 0):
            return raw
        return {"$float": _base64(_FLOAT.pack(raw))}
    if kind is int and raw in _INTEGERS:
        return {"$integer": _base64(raw.to_bytes(8, "little", signed=True))}
    if kind is bytes:
        return {"$bytes": _base64(raw)}
    if kind is list:
        return [encoded(each) for each in raw]
    if kind is dict:
        return {name: encoded(each) for name, each in raw.items()}
    msg = (
        f"Convex has no value like {brief(raw)}: wanted null, true or false, a number, text, bytes, a list or an object"
    )
    raise TypeError(msg)


def decoded(data: Any) -> Raw:
    """
    The raw value that JSON stands for; the inverse of :func:`encoded`.

    Raises:
        ValueError: it stands for none.
    """
    if isinstance(data, list):
        return [decoded(each) for each in data]
    if isinstance(data, dict):
        match list(data.items()):
            case [("$integer", str(said))]:
                return int.from_bytes(_bytes(said, 8), "little", signed=True)
            case [("$float", str(said))]:
                (found,) = _FLOAT.unpack(_bytes(said, 8))
                return float(found)
            case [("$bytes", str(said))]:
                return _bytes(said)
            case [(name, _)] if name.startswith("$"):
                msg = f"cannot read {brief(data)}: there is no kind of value {name!r}"
                raise ValueError(msg)
            case _:
                return {name: decoded(each) for name, each in data.items()}
    if type(data) is not int:
        return data
    try:
        return float(data)  # a number without a point is a float here, whatever wrote it
    except OverflowError:
        msg = f"cannot read {brief(data)}: no float is so large"
        raise ValueError(msg) from None


def text(value: Any) -> bytes:
    """JSON for a request, whose numbers keep their point."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(said: str, length: int | None = None) -> bytes:
    try:
        found = base64.b64decode(said, validate=True)
    except (binascii.Error, ValueError):
        found = None
    if found is None or length not in {None, len(found)}:
        msg = f"cannot read {brief(said)}: wanted {'base64' if length is None else f'{length} bytes in base64'}"
        raise ValueError(msg)
    return found
