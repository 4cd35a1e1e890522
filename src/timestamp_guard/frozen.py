"""
Raw values as text that gives them back: the same value, of the same type. This is how a ledger keeps what was there.
"""

from __future__ import annotations

import base64
import json
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from .instants import ABSENT, Raw, brief

__all__ = ["freeze", "tagged", "thaw", "untagged"]


def freeze(raw: Raw) -> str:
    """
    A raw value as text from which :func:`thaw` makes the same value of the same type.

    Raises:
        TypeError: it is of a type that cannot be given back exactly.
    """
    return json.dumps(tagged(raw), ensure_ascii=True)


def thaw(text: str) -> Raw:
    """The inverse of :func:`freeze`."""
    return untagged(json.loads(text))


def tagged(raw: Raw) -> Any:
    """
    A raw value as JSON in which every object is a tag, `{tag: what it holds}`.

    Raises:
        TypeError: it is of a type that cannot be given back exactly.
    """
    kind = type(raw)
    if raw is None or kind in {bool, float, str}:
        return raw
    if raw is ABSENT:
        return {"absent": None}
    if kind is int:
        # Python refuses to read decimal integers of more than 4,300 digits back; hexadecimal has no limit.
        return raw if -(2**63) <= raw < 2**63 else {"int": hex(raw)}
    if kind is list:
        return [tagged(each) for each in raw]
    if kind is tuple:
        return {"tuple": [tagged(each) for each in raw]}
    if kind is dict:
        return {"dict": [[tagged(name), tagged(each)] for name, each in raw.items()]}
    if kind is bytes:
        return {"bytes": base64.b64encode(raw).decode()}
    if kind is Decimal:
        return {"decimal": str(raw)}
    if kind is datetime and isinstance(raw.tzinfo, ZoneInfo) and raw.tzinfo.key:
        return {"datetime": [raw.replace(tzinfo=None).isoformat(), raw.fold, raw.tzinfo.key]}
    if kind is datetime and (raw.tzinfo is None or type(raw.tzinfo) is timezone):
        return {"datetime": [raw.isoformat(), raw.fold]}
    msg = f"{brief(raw)} of type {kind.__name__} could not be given back exactly"
    raise TypeError(msg)


def untagged(data: Any) -> Raw:
    """The inverse of :func:`tagged`."""
    if isinstance(data, list):
        return [untagged(each) for each in data]
    if not isinstance(data, dict):
        return data
    ((tag, held),) = data.items()
    match tag:
        case "absent":
            return ABSENT
        case "int":
            return int(held, 16)
        case "tuple":
            return tuple(untagged(each) for each in held)
        case "dict":
            return {untagged(name): untagged(each) for name, each in held}
        case "bytes":
            return base64.b64decode(held)
        case "decimal":
            return Decimal(held)
        case "datetime":
            there = datetime.fromisoformat(held[0]).replace(fold=held[1])
            return there.replace(tzinfo=ZoneInfo(held[2])) if len(held) > 2 else there
        case _:
            msg = f"unknown tag {tag!r}"
            raise ValueError(msg)
