"""
The guard as generated Python: one straight-line function per guard and encodings.

No list of rules is walked per record, and names of fields never become code: they reach the generated function as
constants. What a service calls is made of this in :mod:`timestamp_guard.targets.gate`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, TypeAlias, assert_never, cast

from ..instants import ABSENT, Encoding, Raw, decoder
from ..predicate import Fault
from ..rules import At, Field, Guard, Moment, Now, Ordered, Pair, Present

__all__ = ["Code", "Judge", "instant_of", "judge", "native_bounds"]

Judge: TypeAlias = Callable[[Mapping[str, Raw], int, int], "tuple[Fault, ...]"]
"""All faults of a record, given the earliest and the latest present time."""


def native_bounds(
    guard: Guard, name: str, encoding: Encoding, moment: Moment
) -> tuple[Fraction | None, Fraction | None]:
    """
    Between which values, in units of *encoding*, a number must lie to satisfy every bound of the field *name*.

    The lower is inclusive and the upper exclusive: with r the resolution of the field,
    `floor(x + s, r) <= floor(b, r)` is `x < floor(b, r) + r - s`, and `floor(b, r) <= floor(x + s, r)` is
    `x >= floor(b, r) - s`.
    """
    unit, step = encoding.unit or 1, encoding.resolution_ns
    lower: Fraction | None = None
    upper: Fraction | None = None
    for pair in guard.pairs():
        if pair.fields != (name,):
            continue
        if isinstance(pair.later, Field):
            bound = instant_of(pair.earlier, moment.earliest)
            low = Fraction(bound - bound % step - pair.later.shift_ns, unit)
            lower = low if lower is None else max(lower, low)
        elif isinstance(pair.earlier, Field):
            bound = instant_of(pair.later, moment.latest)
            high = Fraction(bound - bound % step + step - pair.earlier.shift_ns, unit)
            upper = high if upper is None else min(upper, high)
    return lower, upper


def instant_of(term: Field | At | Now, now: int) -> int:
    """Where a bound lies."""
    return (term.instant if isinstance(term, At) else now) + term.shift_ns


def judge(guard: Guard, encodings: Mapping[str, Encoding]) -> Judge:
    """
    The generated function that lists all faults of a record.

    It is given the present time as two instants: the earliest, for lower bounds, and the latest, for upper ones.
    """
    code = Code()
    code.line("def faults(record, earliest, latest):")
    code.line("    found = []")
    number = {name: index for index, name in enumerate(guard.fields)}
    for name, index in number.items():
        key, read = code.constant(name), code.constant(decoder(encodings[name]))
        absent = code.constant(ABSENT)
        unit = encodings[name].unit
        code.line(f"    v{index} = record.get({key}, {absent})")
        if unit is None:
            code.line(f"    i{index} = {read}(v{index})")
        else:
            usual = " and ".join(f"v{index} != {n}" for n in sorted(encodings[name].placeholders.numbers))
            fast = f"type(v{index}) is int" + (f" and {usual}" if usual else "")
            code.line(f"    i{index} = v{index} * {unit} if {fast} else {read}(v{index})")
        code.line(f"    h{index} = type(i{index}) is int")
    seen: set[Pair] = set()
    for rule in guard.rules:
        match rule:
            case Present(name):
                index = number[name]
                code.line(f"    if not h{index}:")
                code.line(f"        found.append((i{index}, {code.constant(name)}, None))")
            case Ordered():
                for pair in rule.pairs():
                    if pair not in seen:
                        seen.add(pair)
                        _compare(code, pair, number, encodings)
    code.line("    if not found:")
    code.line("        return ()")
    code.line("    return tuple(dict.fromkeys(found))")
    return cast("Judge", code.build("faults"))


def _compare(code: Code, pair: Pair, number: Mapping[str, int], encodings: Mapping[str, Encoding]) -> None:
    step = max(encodings[name].resolution_ns for name in pair.fields)

    def side(term: Field | At | Now, now: str) -> str:
        match term:
            case Field(name):
                base = f"i{number[name]}"
            case At(instant):
                return str((instant + term.shift_ns) // step)
            case Now():
                base = now
            case _:
                assert_never(term)
        shifted = f"({base} + {term.shift_ns})" if term.shift_ns else base
        return f"{shifted} // {step}" if step != 1 else shifted

    known = " and ".join(f"h{number[name]}" for name in pair.fields)
    earlier, later = side(pair.earlier, "earliest"), side(pair.later, "latest")
    if len(pair.fields) == 2:
        fault: Fault = ("out_of_order", pair.fields[1], pair.fields[0])
    else:
        fault = ("too_early" if isinstance(pair.later, Field) else "in_future", pair.fields[0], None)
    code.line(f"    if {known} and {earlier} > {later}:")
    code.line(f"        found.append({code.constant(fault)})")


class Code:
    """Source in the making, and the constants that it names."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.constants: dict[str, Any] = {}

    def line(self, text: str) -> None:
        """Add a line."""
        self.lines.append(text)

    def constant(self, value: Any) -> str:
        """A name for *value*: so that nothing from outside ever becomes code."""
        name = f"K{len(self.constants)}"
        self.constants[name] = value
        return name

    def build(self, name: str) -> Any:
        """Make a closure: its constants are cells, which are read faster than globals."""
        names = ", ".join(self.constants)
        source = f"def make({names}):\n" + "\n".join(f"    {line}" for line in self.lines) + f"\n    return {name}\n"
        scope: dict[str, Any] = {}
        exec(compile(source, f"<timestamp_guard {name}>", "exec"), scope)  # noqa: S102 - made of our own lines alone
        return scope["make"](**self.constants)
