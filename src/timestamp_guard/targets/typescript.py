"""
The guard as TypeScript: the same rules, written down for the code of a Convex app.

What is written is a list of pairs that the module of :mod:`timestamp_guard.convex.generate` walks: people review it, so
it is to be read, and every pair says in a comment what it means. Names of fields reach it as quoted text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final, assert_never

from ..errors import UsageError
from ..instants import PLACEHOLDERS, Encoding, duration_ns, ensure_no_datetimes, offset_of
from ..rules import At, Field, Guard, Now, Ordered, Pair, Present, Term

__all__ = ["ensure_speaks", "fields", "judge", "key", "stamp", "text"]

MILLISECOND: Final = 10**6
WIDTH: Final = 80
"""Longer lines are broken, as the usual formatter of TypeScript does."""


def ensure_speaks(guard: Guard, encodings: Mapping[str, Encoding]) -> None:
    """
    Make sure that TypeScript can judge *guard* exactly.

    Raises:
        UsageError: a field is declared a datetime, or a local time of a region, whose rules it does not know.
    """
    ensure_no_datetimes({name: encodings[name] for name in guard.fields}, "Convex")
    for name in guard.fields:
        zone = encodings[name].zone
        if zone is not None and offset_of(zone) is None:
            msg = (
                f"{name} is written in the local time of {zone}, which TypeScript cannot read exactly: "
                f"declare a fixed offset like @+02:00, or store rfc3339"
            )
            raise UsageError(msg)


def judge(guard: Guard, encodings: Mapping[str, Encoding]) -> list[str]:
    """The rules, each once, in order: the lines of an array, without its brackets."""
    ensure_speaks(guard, encodings)
    lines: list[str] = []
    seen: set[Pair] = set()
    for rule in guard.rules:
        match rule:
            case Present(name):
                lines += [_comment(rule), f"present({text(name)}),"]
            case Ordered():
                for pair in rule.pairs():
                    if pair not in seen:
                        seen.add(pair)
                        lines += [_comment(pair), *_in_order(pair, encodings)]
            case _:
                assert_never(rule)
    return lines


def fields(guard: Guard, encodings: Mapping[str, Encoding]) -> list[str]:
    """How each field is read: the lines of an object, without its braces."""
    return [f"{key(name)}: {_reads(encodings[name])}," for name in guard.fields]


def stamp(encoding: Encoding, *, int64: bool) -> str:
    """
    A function that gives the present time, written in *encoding*; as an int64 where the schema wants one.

    Raises:
        UsageError: a number of the schema's type cannot hold it.
    """
    if encoding.is_number:
        return f"() => {_number(encoding, int64=int64)}"
    ahead = _ahead(encoding)
    now = "Date.now()" if not ahead else f"Date.now() + {ahead * 1000:_}"
    digits = {"s": 0, "ms": 3, "us": 6, "ns": None}[encoding.resolution]
    return f"() => written({now}, {'null' if digits is None else digits}, {text('' if encoding.zone else 'Z')})"


def _number(encoding: Encoding, *, int64: bool) -> str:
    unit, step = encoding.unit or 1, encoding.resolution_ns
    if unit == 1 and not int64:
        msg = f"{encoding} does not fit into v.number(), which is exact to 2^53: store it as v.int64()"
        raise UsageError(msg)
    now = "Date.now()"
    if unit > MILLISECOND:
        now = f"Math.floor({now} / {unit // MILLISECOND:_})"
    elif step > MILLISECOND:
        now = f"Math.floor({now} / {step // MILLISECOND:_}) * {step // MILLISECOND:_}"
    factor = max(MILLISECOND // unit, 1)
    if int64:
        return f"BigInt({now})" + (f" * {_big(factor)}" if factor > 1 else "")
    return now + (f" * {factor:_}" if factor > 1 else "")


def text(value: str) -> str:
    """A string literal that is *value* and nothing else, in ASCII."""
    return json.dumps(value)


def key(name: str) -> str:
    """*name* as the key of an object; `__proto__`, too, is a key like others when it is computed."""
    plain = re.fullmatch(r"[A-Za-z_$][A-Za-z0-9_$]*", name) and name != "__proto__"
    return name if plain else f"[{text(name)}]"


def _reads(encoding: Encoding) -> str:
    known = encoding.placeholders
    if encoding.is_number:
        unit = text(encoding.name.removeprefix("epoch_"))
        if known.numbers == PLACEHOLDERS.numbers:
            return f"epoch({unit})"
        return f"epoch({unit}, [{', '.join(map(_big, sorted(known.numbers)))}])"
    said = [text(encoding.name), text(encoding.wanted)]
    own = (known.prefixes, known.spans) != (PLACEHOLDERS.prefixes, PLACEHOLDERS.spans)
    if encoding.zone is not None or own:
        said.append("null" if encoding.zone is None else f"{_ahead(encoding)}")
    if own:
        spans = ", ".join(f"[{_big(start)}, {_big(end)}]" for start, end in known.spans)
        said.append(f"{{ prefixes: {json.dumps(known.prefixes)}, spans: [{spans}] }}")
    return f"text({', '.join(said)})"


def _ahead(encoding: Encoding) -> int:
    """How many seconds local times are ahead of UTC."""
    offset = None if encoding.zone is None else offset_of(encoding.zone)
    return 0 if offset is None else duration_ns(offset) // 10**9


def _in_order(pair: Pair, encodings: Mapping[str, Encoding]) -> list[str]:
    step = max(encodings[name].resolution_ns for name in pair.fields)
    parts = [_term(pair.earlier), _term(pair.later), _big(step)]
    line = f"inOrder({', '.join(parts)}),"
    if len(line) + 6 <= WIDTH:
        return [line]
    return ["inOrder(", *(f"  {part}," for part in parts), "),"]


def _term(term: Term) -> str:
    match term:
        case Field(name, shift_ns):
            return f"field({text(name)}, {_big(shift_ns)})" if shift_ns else f"field({text(name)})"
        case At(instant, shift_ns):
            return f"at({_big(instant + shift_ns)})"
        case Now(shift_ns):
            return f"now({_big(shift_ns)})"
        case _:
            assert_never(term)


def _big(number: int) -> str:
    return f"{number:_}n"


def _comment(what: object) -> str:
    """A comment of one line, whatever the names of fields are."""
    shown = "".join(each if each.isprintable() else "?" for each in str(what)[:200])
    return f"// {shown}"
