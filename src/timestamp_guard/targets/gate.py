"""
A compiled guard: the fast way through for sound records, and the full judgement for the rest.

No clock is read per record, and objects are made only on failure.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol, cast

from ..errors import InvalidTimestamps
from ..instants import ABSENT, EXACT_FLOAT, Encoding, Encodings, Raw, encodings_for
from ..predicate import Code as ViolationCode
from ..predicate import Fault, Violation, violations
from ..rules import At, Field, Guard, Moment, Now, Ordered, Pair, Present
from .python import Code, Judge, instant_of, judge, native_bounds

__all__ = ["Compiled", "Sieve", "compiled"]


class Compiled(Protocol):
    """
    A guard ready for use in a service: a function that raises, and further ones on it.

    Make one with :meth:`timestamp_guard.Guard.compile`, once, and keep it: making it costs a millisecond,
    using it a tenth of a microsecond.
    With the clock of this machine, the clock is read again when a record seems to lie in the future, and not before:
    a machine whose clock was far ahead and was set back accepts the future until a record is judged in full.
    """

    guard: Guard
    encodings: Mapping[str, Encoding]

    holds: Callable[[Mapping[str, Raw]], bool]
    """Whether nothing is wrong with a record: the fastest way to ask."""

    violations: Callable[[Mapping[str, Raw]], list[Violation]]
    """All that is wrong with a record."""

    many: Callable[[Iterable[Mapping[str, Raw]]], Iterator[tuple[int, tuple[ViolationCode, ...]]]]
    """The index and the codes of each broken record, in order."""

    def __call__(self, record: Mapping[str, Raw], /) -> None:
        """
        Judge *record*.

        Raises:
            InvalidTimestamps: something is wrong with it; `violations` holds all of it.
        """
        ...


def compiled(guard: Guard, encodings: Encodings, *, now: int | Callable[[], int] | None = None) -> Compiled:
    """
    Compile *guard*: what :meth:`timestamp_guard.Guard.compile` does.

    It is a function with attributes because nothing else in Python is called as fast.
    """
    read = encodings_for(guard.fields, encodings)
    pinned = now if isinstance(now, int) else None
    clock: Callable[[], int] = time.time_ns if now is None else now if callable(now) else lambda: now
    # A caller's own clock may go backwards, as tests do, so only the machine's may be remembered.
    gate = _Gate(guard, read, pinned, remembers=now is None or pinned is not None)

    def all_wrong(record: Mapping[str, Raw]) -> list[Violation]:
        return violations(record, guard, read, clock())

    def refuse(record: Mapping[str, Raw]) -> None:
        found = all_wrong(record)
        if found:  # a fresh value may have become present between two readings of the clock
            raise InvalidTimestamps(found)

    holds, check, many = gate.build(judge(guard, read), clock, refuse)
    check.__name__ = check.__qualname__ = f"compiled {guard}"
    check.__doc__ = Compiled.__call__.__doc__
    check.guard, check.encodings = guard, read
    check.holds, check.violations, check.many = holds, all_wrong, many
    return cast("Compiled", check)


class Sieve:
    """
    Parts many records at once, which are objects: their attributes `f0`, `f1` ... are the fields of the guard.

    `part(records, now, absent)` gives the indices of those that are to be judged in full; and for each field two lists
    of those that lack it, as null and as *absent*, with which nothing else is wrong: all of one list are alike. Sound
    ones are in none. *now* is the latest present time.
    """

    def __init__(self, guard: Guard, encodings: Mapping[str, Encoding]) -> None:
        gate = _Gate(guard, encodings, None, remembers=True)
        orders, sayable = gate.orders()
        self.fields = guard.fields
        self.possible = gate.possible and sayable and bool(gate.fields)
        self._gate, self._orders = gate, orders
        if self.possible:
            self.part: Callable[[Sequence[Any], int, object], tuple[list[int], list[list[int]]]] = self._part()

    def _begin(self, head: str) -> Code:
        code = Code()
        code.line(f"def {head}:")
        for limit, value in self._gate.limits().items():
            code.line(f"    {limit} = {value}")
        code.line("    kind, whole, broken_up = type, int, float")
        return code

    def _tests(self, names: Mapping[str, str]) -> Iterator[str]:
        """The tests of the gate, of which one must hold."""
        local = {"type": "kind", "int": "whole", "float": "broken_up", **names}
        yield from (_renamed(test, local) for test in self._gate.gates(self._orders))

    def _part(self) -> Any:
        code = self._begin("part(records, now, absent)")
        values = list(self._gate.names.values())
        for place in range(len(values)):
            code.line(f"    null{place}, missing{place} = [], []")
        code.line("    rest, index = [], -1")
        code.line("    for record in records:")
        code.line("        index += 1")
        for place, value in enumerate(values):
            code.line(f"        {value} = record.f{place}")
        for word, test in zip(("if", "elif"), self._tests({}), strict=False):
            code.line(f"        {word} {test}:")
            code.line("            continue")
        for place, value in enumerate(values):
            others = [v for v in values if v != value]
            pairs = [(pair, by) for pair, by in self._orders if self.fields[place] not in pair.fields]
            alone = " and ".join(self._sound(others, pairs)) or "True"
            if others and all(by == 0 for _, by in pairs):
                alone = f"({alone} or {' and '.join(self._sound_floats(others, pairs))})"
            code.line(f"        if {value} is None and {alone}:")
            code.line(f"            null{place}.append(index)")
            code.line("            continue")
            code.line(f"        if {value} is absent and {alone}:")
            code.line(f"            missing{place}.append(index)")
            code.line("            continue")
        code.line("        rest.append(index)")
        lists = ", ".join(f"null{place}, missing{place}" for place in range(len(values)))
        code.line(f"    return rest, [{lists}]")
        return code.build("part")

    def _sound(self, values: Sequence[str], pairs: Sequence[tuple[Pair, int]]) -> Iterator[str]:
        """The tests that whole numbers pass with which nothing is wrong."""
        yield from (f"kind({value}) is whole and l{value[1:]} <= {value} <= h{value[1:]}" for value in values)
        for pair, by in pairs:
            first, second = (self._gate.names[name] for name in pair.fields)
            yield f"{first} + {by} <= {second}"

    def _sound_floats(self, values: Sequence[str], pairs: Sequence[tuple[Pair, int]]) -> Iterator[str]:
        """The tests that floats pass with which nothing is wrong, where no order adds to them."""
        for value in values:
            yield f"kind({value}) is broken_up and l{value[1:]} <= {value} <= h{value[1:]} and {value} <= {EXACT_FLOAT}"
        for pair, _ in pairs:
            first, second = (self._gate.names[name] for name in pair.fields)
            yield f"{first} <= {second}"

    def copying(self, target: str, source: str) -> Callable[[Sequence[Any], Sequence[int], int], list[int]]:
        """A function that gives those of some records which are sound with the field *source* copied to *target*."""
        code = self._begin("copies(records, indices, now)")
        code.line("    found = []")
        code.line("    for index in indices:")
        code.line("        record = records[index]")
        names = self._gate.names
        for place, (name, value) in enumerate(names.items()):
            if name != target:
                code.line(f"        {value} = record.f{place}")
        for word, test in zip(("if", "elif"), self._tests({names[target]: names[source]}), strict=False):
            code.line(f"        {word} {test}:")
            code.line("            found.append(index)")
        code.line("    return found")
        return cast("Callable[[Sequence[Any], Sequence[int], int], list[int]]", code.build("copies"))


def _renamed(line: str, names: Mapping[str, str]) -> str:
    return re.sub(r"[a-z]\w*", lambda found: names.get(found[0], found[0]), line)


LOWEST_PLAIN: Final = 1
"""The gate asks for at least this much, so that no usual placeholder passes it."""

LIMITS_STAY: Final = 10**9
"""For so many nanoseconds the limits of the gate are not computed anew."""


class _Gate:
    """
    A test in native units that only sound records pass; what fails it is judged in full.

    It must never let a broken record through, and may refuse sound ones at the price of time:
    comparing raw numbers of the same unit implies comparing them floored, and a range above zero implies a number
    that is present, finite and no placeholder.
    """

    def __init__(self, guard: Guard, encodings: Mapping[str, Encoding], pinned: int | None, *, remembers: bool) -> None:
        self.guard, self.encodings, self.pinned = guard, encodings, pinned
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

    def build(
        self, faults: Judge, now: Callable[[], int], refuse: Callable[[Mapping[str, Raw]], None]
    ) -> tuple[Any, Any, Any]:
        """Make `holds`, `check` and `many`."""
        orders, sayable = self.orders()
        code = Code()
        faults_, now_ = code.constant(faults), code.constant(now)
        refuse_, absent_ = code.constant(refuse), code.constant(ABSENT)
        keys = {name: code.constant(name) for name in self.fields}
        gated = self.possible and sayable and bool(self.fields)
        said_limits = self.limits() if gated else {}
        limits = moving = {limit: value for limit, value in said_limits.items() if "now" in value}
        # What does not move is written into the tests: a constant is read faster than a cell.
        fixed = {limit: value for limit, value in said_limits.items() if limit not in moving}
        gate = [_renamed(test, fixed) for test in self.gates(orders)] if gated else []
        said = [_renamed(line, fixed) for line in self.codes()] if gated else []
        values = list(self.names.values()) if gated else []
        fetch = [f"{value} = record.get({keys[name]})" for name, value in zip(self.fields, values, strict=False)]
        given = ", ".join(values)
        if limits:
            code.line(f"now = {now_}()")
        for limit, value in limits.items():
            code.line(f"{limit} = {value}")

        code.line("def full(record):")
        if moving:
            code.line(f"    nonlocal now, {', '.join(moving)}")
        code.line(f"    fresh = {now_}()")
        if moving:  # the limits of a moment ago are only too strict, and broken records may come in thousands
            code.line(f"    if not 0 <= fresh - now < {LIMITS_STAY}:")
            code.line("        now = fresh")
            for limit, value in moving.items():
                code.line(f"        {limit} = {value}")
        code.line(f"    return {faults_}(record, fresh, fresh)")
        if said:
            code.line(f"def codes({given}):")
            for line in said:
                code.line("    " + line.replace("ABSENT", absent_))

        code.line("def holds(record):")
        for line in fetch:
            code.line(f"    {line}")
        for test in gate[:1]:
            code.line(f"    if {test}:")
            code.line("        return True")
        if said:
            # Whole numbers that are no placeholder and below the limits are compared exactly by the gate.
            tests = [f"type({value}) is int" for value in values]
            for name, value in self.names.items():
                tests.append(f"0 < {value}" if self._final(name) else f"0 < {value} <= h{value[1:]}")
            code.line(f"    if {_renamed(' and '.join(tests), fixed)}:")
            code.line("        return False")
        for test in gate[1:]:
            code.line(f"    if {test}:")
            code.line("        return True")
        for name in (
            self.guard.required if said else ()
        ):  # a missing key is as good as null, where only the verdict counts
            code.line(f"    if {self.names[name]} is None or type({self.names[name]}) is str:")
            code.line("        return False")
        if said:
            code.line(f"    found = codes({given})")
            code.line("    if found is not None:")
            code.line("        return not found")
        code.line("    return not full(record)")

        code.line("def check(record):")
        for line in fetch:
            code.line(f"    {line}")
        for word, test in zip(("if", "elif"), gate, strict=False):
            code.line(f"    {word} {test}:")
            code.line("        return")
        code.line("    if full(record):")
        code.line(f"        {refuse_}(record)")

        code.line("def many(records):")
        local = {"type": "kind", "int": "whole", "float": "broken_up"} if gated else {}
        for word, name in local.items():  # a local name is read faster than a cell or a builtin
            code.line(f"    {name} = {word}")
        for name, key in keys.items() if gated else ():
            code.line(f"    {self.names[name]}k = {key}")
        for limit in limits:
            code.line(f"    _{limit} = {limit}")
        code.line("    index = -1")
        code.line("    for record in records:")
        code.line("        index += 1")
        # Not record[...]: that may add the key to a defaultdict.
        for value in values:
            code.line(f"        {value} = record.get({value}k, {absent_})")
        for word, test in zip(("if", "elif"), gate, strict=False):
            code.line(f"        {word} {_renamed(test, {**local, **{limit: '_' + limit for limit in limits}})}:")
            code.line("            continue")
        if said:
            code.line(f"        found = codes({given})")
            code.line("        if found is not None:")
            code.line("            if found:")
            code.line("                yield index, found")
            code.line("            continue")
        code.line("        found = full(record)")
        for limit in moving:
            code.line(f"        _{limit} = {limit}")
        code.line("        if found:")
        code.line("            yield index, tuple([fault[0] for fault in found])")
        code.line("all_three = holds, check, many")
        return cast("tuple[Any, Any, Any]", code.build("all_three"))

    def codes(self) -> list[str]:
        """
        The lines that find the codes of a record that the gate refused; they return None where they cannot tell.

        Everything is counted in whole units.
        They tell nothing of numbers above limits that time moves on.
        """
        unit = self.unit()
        if unit is None:
            return []
        lines = ["found = ()"]
        for name, value in self.names.items():
            numbers, required = sorted(self.encodings[name].placeholders.numbers), name in self.guard.required
            p = f"p{value[1:]}"
            lines += [f"if type({value}) is int and {value} > 0:"]
            if not self._final(name):
                lines += [f"    if {value} > h{value[1:]}:", "        return None"]
            lines += [f"    {p} = True"]
            lines += [f"elif type({value}) is float and 1 <= {value} <= h{value[1:]} and {value} <= {EXACT_FLOAT}:"]
            lines += [f"    {value} = int({value})", f"    {p} = True"]
            causes = {
                f"{value} is None": "null",
                f"{value} is ABSENT": "missing",
                f"type({value}) is str": "wrong_type",
            }
            if numbers:
                causes[f"type({value}) is int and ({' or '.join(f'{value} == {n}' for n in numbers)})"] = "placeholder"
            for test, cause in causes.items():
                lines += [f"elif {test}:", f"    {p} = False"]
                lines += [f"    {p}c = '{cause}'"] if required else []
            lines += ["else:", "    return None"]
        seen: set[Fault] = set()
        for rule in self.guard.rules:
            match rule:
                case Present(name):
                    p = f"p{self.names[name][1:]}"
                    lines += [f"if not {p}:", f"    found += ({p}c,)"]
                case Ordered():
                    for pair in rule.pairs():
                        fault, test = self._disorder(pair, unit)
                        if fault in seen:
                            return []
                        seen.add(fault)
                        if test:
                            lines += [f"if {test}:", f"    found += ({fault[0]!r},)"]
        return [*lines, "return found"]

    def _disorder(self, pair: Pair, unit: int) -> tuple[Fault, str]:
        """What is wrong where *pair* does not hold, and the test for that; none where the limits have seen to it."""

        def side(term: Field) -> str:
            shift = term.shift_ns // unit
            return f"{self.names[term.name]} + {shift}" if shift else self.names[term.name]

        match pair:
            case Pair(Field() as earlier, Field() as later):
                a, b = self.names[earlier.name][1:], self.names[later.name][1:]
                return ("out_of_order", later.name, earlier.name), f"p{a} and p{b} and {side(earlier)} > {side(later)}"
            case Pair(At() as at, Field() as later):
                test = f"p{self.names[later.name][1:]} and {instant_of(at, 0) // unit} > {side(later)}"
                return ("too_early", later.name, None), test
            case _:
                value = self.names[pair.fields[0]]
                test = f"p{value[1:]} and {value} > h{value[1:]}" if self._final(pair.fields[0]) else ""
                return ("in_future", pair.fields[0], None), test

    def _final(self, name: str) -> bool:
        """Whether no later present time can let a number pass that is above the limit now."""
        if self.pinned is None:
            return False
        _, high = native_bounds(self.guard, name, self.encodings[name], Moment.at(self.pinned))
        return high is not None and high < EXACT_FLOAT

    def unit(self) -> int | None:
        """
        The nanoseconds in which all fields are counted, compared and shifted, where that is one number.

        Then raw numbers compare as instants do, and nothing needs to be multiplied and floored again.
        """
        units = {encoding.unit for encoding in self.encodings.values()}
        units |= {encoding.resolution_ns for encoding in self.encodings.values()}
        unit = units.pop()
        terms = (term for pair in self.guard.pairs() for term in (pair.earlier, pair.later))
        shifted = any(isinstance(term, Field) and term.shift_ns % (unit or 1) for term in terms)
        return None if units or shifted else unit

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
                        bound = instant_of(at, 0)
                        lowest = max(lowest, -(-(bound - bound % step - shift) // unit))
                    case Pair(Field(_, shift), At() as at) if pair.fields == (name,):
                        bound = instant_of(at, 0)
                        highest = min(highest, (bound - bound % step + step - 1 - shift) // unit)
                    case Pair(Field(_, shift), Now(ahead)) if pair.fields == (name,):
                        if self.pinned is None:
                            moving.append(f"((now + {ahead}) // {step} * {step} + {step - 1 - shift}) // {unit}")
                        else:
                            bound = self.pinned + ahead
                            highest = min(highest, (bound - bound % step + step - 1 - shift) // unit)
                    case _:
                        pass
            said[f"l{index}"] = str(lowest)
            said[f"h{index}"] = f"min({', '.join([str(highest), *moving])})" if moving else str(highest)
        return said

    def gates(self, orders: list[tuple[Pair, int]]) -> list[str]:
        """Integers alone first: the usual case, and the cheapest to test. Then integers and floats."""
        values = list(self.names.values())
        whole = " and ".join(f"type({value}) is int" for value in values)
        tests = [f"{whole} and {self._ranges(orders)}"]
        if all(shift == 0 for _, shift in orders):  # adding to a float may round
            mixed = [f"(type({value}) is float or type({value}) is int)" for value in values]
            # Beyond 2**53 a float is imprecise, whatever its bounds allow; all other encodings are limited to it.
            exact = [f"{v} <= {EXACT_FLOAT}" for n, v in self.names.items() if self.encodings[n].name == "epoch_ns"]
            plain = [f"l{index} <= {value} <= h{index}" for index, value in enumerate(values)]
            loose = [self._floored(pair) for pair, _ in orders]
            if self._chained(orders):  # what lies between the two is within the bounds of both
                plain = [
                    f"l{values.index(a)} <= {a} and {b} <= h{values.index(b)}" for a, b in [self._sides(orders[0][0])]
                ]
            tests.append(" and ".join([*mixed, *plain, *exact, *loose]))
        return tests

    def _sides(self, pair: Pair) -> tuple[str, str]:
        first, second = pair.fields
        return self.names[first], self.names[second]

    def _chained(self, orders: list[tuple[Pair, int]]) -> bool:
        """Whether there are two fields, one order and the same bounds for both."""
        if len(orders) != 1 or orders[0][1] != 0 or len(self.names) != 2:
            return False
        first, second = orders[0][0].fields
        return self._bounds_of(first) == self._bounds_of(second)

    def _floored(self, pair: Pair) -> str:
        """`earlier <= later` for floats; floored too, where whole units are compared and the later moves by such."""
        first, second = pair.fields
        a, b = self.names[first], self.names[second]
        encoding, other = self.encodings[first], self.encodings[second]
        if encoding.resolution_ns == other.resolution_ns == encoding.unit and pair.later.shift_ns % encoding.unit == 0:
            return f"({a} <= {b} or {a} // 1 <= {b} // 1)"
        return f"{a} <= {b}"

    def _ranges(self, orders: list[tuple[Pair, int]]) -> str:
        """The bounds and orders; `l <= a <= b <= h` in one chain where the bounds of both fields are the same."""
        values = list(self.names.values())
        if self._chained(orders):
            a, b = self._sides(orders[0][0])
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
