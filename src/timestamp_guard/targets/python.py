"""
The guard as generated Python: one straight-line function per guard and encodings.

No list of rules is walked per record, no clock is read per record, and objects are made only on failure.
Names of fields never become code: they reach the generated functions as constants.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any, Final, TypeAlias, assert_never, cast

from ..errors import InvalidTimestamps
from ..instants import ABSENT, EXACT_FLOAT, Encoding, Encodings, Raw, decoder, encodings_for
from ..predicate import Code, Fault, Violation, violations
from ..rules import At, Field, Guard, Moment, Now, Ordered, Pair, Present

__all__ = ["Compiled", "Judge", "native_bounds"]

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
            bound = _bound(pair.earlier, moment.earliest)
            low = Fraction(bound - bound % step - pair.later.shift_ns, unit)
            lower = low if lower is None else max(lower, low)
        elif isinstance(pair.earlier, Field):
            bound = _bound(pair.later, moment.latest)
            high = Fraction(bound - bound % step + step - pair.earlier.shift_ns, unit)
            upper = high if upper is None else min(upper, high)
    return lower, upper


def _bound(term: Field | At | Now, now: int) -> int:
    return (term.instant if isinstance(term, At) else now) + term.shift_ns


class Compiled:
    """
    A guard ready for use in a service: call it, or ask :meth:`holds`, :meth:`violations` or :meth:`many`.

    Make one with :meth:`timestamp_guard.Guard.compile`, once, and keep it: making it costs a millisecond,
    using it a tenth of a microsecond.
    With the clock of this machine, the clock is read again when a record seems to lie in the future, and not before:
    a machine whose clock was far ahead and was set back accepts the future until the first record that breaks anything.
    """

    __slots__ = ("_faults", "_now", "encodings", "guard", "holds", "many")

    holds: Callable[[Mapping[str, Raw]], bool]
    """Whether nothing is wrong with a record: the fastest way to ask."""

    many: Callable[[Iterable[Mapping[str, Raw]]], Iterator[tuple[int, tuple[Code, ...]]]]
    """The index and the codes of each broken record, in order."""

    def __init__(
        self, guard: Guard, encodings: Encodings, *, now: int | Callable[[], int] | None = None
    ) -> None:
        self.guard = guard
        self.encodings = encodings_for(guard.fields, encodings)
        if isinstance(now, int):
            pinned = now
            self._now: Callable[[], int] = lambda: pinned
        else:
            self._now = now or time.time_ns
        self._faults = judge(guard, self.encodings)
        # A caller's own clock may go backwards, as tests do, so only the machine's may be remembered.
        gate = _Gate(guard, self.encodings, remembers=now is None or isinstance(now, int))
        self.holds, self.many = gate.build(self._faults, self._now)

    def __call__(self, record: Mapping[str, Raw]) -> None:
        """
        Judge *record*.

        Raises:
            InvalidTimestamps: something is wrong with it; `violations` holds all of it.
        """
        if not self.holds(record):
            found = self.violations(record)
            if found:  # a fresh value may have become present between two readings of the clock
                raise InvalidTimestamps(found)

    def violations(self, record: Mapping[str, Raw]) -> list[Violation]:
        """All that is wrong with *record*."""
        return violations(record, self.guard, self.encodings, self._now())

    def __repr__(self) -> str:
        return f"<compiled {self.guard}>"


def judge(guard: Guard, encodings: Mapping[str, Encoding]) -> Judge:
    """
    The generated function that lists all faults of a record.

    It is given the present time as two instants: the earliest, for lower bounds, and the latest, for upper ones.
    """
    code = _Code()
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


def _compare(code: _Code, pair: Pair, number: Mapping[str, int], encodings: Mapping[str, Encoding]) -> None:
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


class _Code:
    """Source in the making, and the constants that it names."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.constants: dict[str, Any] = {}

    def line(self, text: str) -> None:
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


LOWEST_PLAIN: Final = 1
"""The gate asks for at least this much, so that no usual placeholder passes it."""


class _Gate:
    """
    A test in native units that only sound records pass; what fails it is judged in full.

    It must never let a broken record through, and may refuse sound ones at the price of time:
    comparing raw numbers of the same unit implies comparing them floored, and a range above zero implies a number
    that is present, finite and no placeholder.
    """

    def __init__(self, guard: Guard, encodings: Mapping[str, Encoding], *, remembers: bool) -> None:
        self.guard, self.encodings = guard, encodings
        self.fields = guard.fields
        self.names = {name: f"v{index}" for index, name in enumerate(self.fields)}
        # NOW as a lower bound moves on by itself, so no remembered limit can be trusted.
        lower_now = any(isinstance(pair.earlier, Now) for pair in guard.pairs())
        upper_now = any(isinstance(pair.later, Now) for pair in guard.pairs())
        self.possible = (
            all(encoding.is_number for encoding in encodings.values())
            and all(max(encoding.placeholders.numbers, default=0) < LOWEST_PLAIN for encoding in encodings.values())
            and not lower_now
            and (remembers or not upper_now)
        )

    def orders(self) -> tuple[list[tuple[Pair, int]], bool]:
        """The field pairs as `a + k <= b` in whole units, each with its k, and whether all could be said so."""
        said = []
        for pair in self.guard.pairs():
            if len(pair.fields) != 2:
                continue
            first, second = pair.fields
            unit = self.encodings[first].unit
            if unit is None or unit != self.encodings[second].unit:
                return [], False
            shift = pair.earlier.shift_ns - pair.later.shift_ns
            said.append((pair, -(-shift // unit)))
        return said, True

    def build(self, faults: Judge, now: Callable[[], int]) -> tuple[Any, Any]:
        """Make `holds` and `many`."""
        orders, sayable = self.orders()
        code = _Code()
        faults_, now_ = code.constant(faults), code.constant(now)
        gated = self.possible and sayable and bool(self.fields)
        limits = self.limits() if gated else {}
        moving = {limit: value for limit, value in limits.items() if "now" in value}
        if limits:
            code.line(f"now = {now_}()")
        for limit, value in limits.items():
            code.line(f"{limit} = {value}")
        code.line("def full(record):")
        if moving:
            code.line(f"    nonlocal {', '.join(moving)}")
        code.line(f"    now = {now_}()")
        for limit, value in moving.items():
            code.line(f"    {limit} = {value}")
        code.line(f"    return {faults_}(record, now, now)")
        gate = self.gates(orders) if gated else []
        code.line("def holds(record):")
        for name, value in self.names.items() if gated else ():
            code.line(f"    {value} = record.get({code.constant(name)})")
        for test in gate:
            code.line(f"    if {test}:")
            code.line("        return True")
        code.line("    return not full(record)")
        code.line("def many(records):")
        code.line("    index = -1")
        code.line("    for record in records:")
        code.line("        index += 1")
        if gated:
            # Only of a plain dict: asking another mapping for a key that is not there may put it there.
            code.line("        if type(record) is dict:")
            code.line("            try:")
            for name, value in self.names.items():
                code.line(f"                {value} = record[{code.constant(name)}]")
            for test in gate:
                code.line(f"                if {test}:")
                code.line("                    continue")
            code.line("            except KeyError:")
            code.line("                pass")
        code.line("        found = full(record)")
        code.line("        if found:")
        code.line("            yield index, tuple([fault[0] for fault in found])")
        code.line("both = holds, many")
        return cast("tuple[Any, Any]", code.build("both"))

    def limits(self) -> dict[str, str]:
        """
        The lowest and highest whole number of each field that the gate lets through, as expressions of `now`.

        They are those of :func:`native_bounds`, without a fraction being made each time that the clock is read.
        """
        said: dict[str, str] = {}
        for index, (name, encoding) in enumerate((name, self.encodings[name]) for name in self.fields):
            unit, step = encoding.unit or 1, encoding.resolution_ns
            lowest, highest, moving = LOWEST_PLAIN, EXACT_FLOAT, list[str]()
            if encoding.name == "epoch_ns":  # the present time is beyond 2**53 there
                highest = 2**64
            for pair in self.guard.pairs():
                match pair:
                    case Pair(At() as at, Field(_, shift)) if pair.fields == (name,):
                        bound = _bound(at, 0)
                        lowest = max(lowest, -(-(bound - bound % step - shift) // unit))
                    case Pair(Field(_, shift), At() as at) if pair.fields == (name,):
                        bound = _bound(at, 0)
                        highest = min(highest, (bound - bound % step + step - 1 - shift) // unit)
                    case Pair(Field(_, shift), Now(ahead)) if pair.fields == (name,):
                        moving.append(f"((now + {ahead}) // {step} * {step} + {step - 1 - shift}) // {unit}")
                    case _:
                        pass
            said[f"l{index}"] = str(lowest)
            said[f"h{index}"] = f"min({', '.join([str(highest), *moving])})" if moving else str(highest)
        return said

    def gates(self, orders: list[tuple[Pair, int]]) -> list[str]:
        """Integers alone first: the usual case, and the cheapest to test. Then integers and floats."""
        values = list(self.names.values())
        ranges = self._ranges(orders)
        whole = " and ".join(f"type({value}) is int" for value in values)
        mixed = " and ".join(f"(type({value}) is float or type({value}) is int)" for value in values)
        # Beyond 2**53 a float is imprecise, whatever its bounds allow; all other encodings are limited to it.
        exact = [f"{v} <= {EXACT_FLOAT}" for n, v in self.names.items() if self.encodings[n].name == "epoch_ns"]
        plain = [f"l{index} <= {value} <= h{index}" for index, value in enumerate(values)]
        tests = [f"{whole} and {ranges}"]
        if all(shift == 0 for _, shift in orders):  # adding to a float may round
            loose = [self._floored(pair) for pair, _ in orders]
            tests.append(" and ".join([mixed, *plain, *exact, *loose]))
        return tests

    def _floored(self, pair: Pair) -> str:
        """`earlier <= later` for floats; floored as well, where whole units are compared and the later moves by such."""
        first, second = pair.fields
        a, b = self.names[first], self.names[second]
        encoding, other = self.encodings[first], self.encodings[second]
        if encoding.resolution_ns == other.resolution_ns == encoding.unit and pair.later.shift_ns % encoding.unit == 0:
            return f"({a} <= {b} or {a} // 1 <= {b} // 1)"
        return f"{a} <= {b}"

    def _ranges(self, orders: list[tuple[Pair, int]]) -> str:
        """The bounds and orders; `l <= a <= b <= h` in one chain where the bounds of both fields are the same."""
        values = list(self.names.values())
        if len(orders) == 1 and orders[0][1] == 0 and len(values) == 2:
            first, second = orders[0][0].fields
            if self._bounds_of(first) == self._bounds_of(second):
                a, b = self.names[first], self.names[second]
                return f"l{a[1:]} <= {a} <= {b} <= h{b[1:]}"
        ranges = [f"l{index} <= {value} <= h{index}" for index, value in enumerate(values)]
        for pair, shift in orders:
            first, second = (self.names[name] for name in pair.fields)
            ranges.append(f"{first} + {shift} <= {second}" if shift else f"{first} <= {second}")
        return " and ".join(ranges)

    def _bounds_of(self, name: str) -> set[tuple[Any, ...]]:
        encoding = self.encodings[name]
        return {
            (
                pair.earlier if not isinstance(pair.earlier, Field) else pair.earlier.shift_ns,
                pair.later if not isinstance(pair.later, Field) else pair.later.shift_ns,
                encoding.resolution_ns,
            )
            for pair in self.guard.pairs()
            if pair.fields == (name,)
        }
