"""
Records and single values in a service: this library against a hand-written function and its peers.

    python bench/records.py --rows 200000 --rounds 5 --bad 0.05 --json records.json

Inside: the usual guard (present, range, future, order) on dicts of eight fields, cold in the cache, with a
pinned clock.
Not inside: making the records. All contenders must give the same verdict on every record, or nothing is measured.
Needs nothing but this library; pydantic and msgspec are peers where they are installed.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NotRequired

from _measure import Goal, Times, rounds, show, write_json

from timestamp_guard.errors import InvalidTimestamps
from timestamp_guard.predicate import violations
from timestamp_guard.rules import updated_at_guard
from timestamp_guard.validators import timestamp

NOW_MS = time.time_ns() // 10**6
SKEW_MS = 5_000
EARLIEST_MS = 946_684_800_000
GUARD = updated_at_guard("updatedAt", "createdAt")

Record = dict[str, Any]
Verdicts = Callable[[], list[bool]]


# -- what a competent engineer would write -----------------------------------------------------------------------


def by_hand(limit: int) -> Callable[[Record], str | None]:
    """For whole numbers. The bounds are literals, as in a module of somebody's service."""
    source = f"""
def check(record):
    u = record.get("updatedAt")
    if u is None:
        return "missing"
    if type(u) is not int:
        return "wrong_type"
    if u < {EARLIEST_MS}:
        return "too_early"
    if u > {limit}:
        return "in_future"
    c = record.get("createdAt")
    if c is None or type(c) is not int:
        return None
    if c < {EARLIEST_MS}:
        return "too_early"
    if c > {limit}:
        return "in_future"
    if c > u:
        return "out_of_order"
    return None
"""
    check: Callable[[Any], str | None] = _made(source, "check")
    return check


def by_hand_floats(limit: int) -> Callable[[Record], str | None]:
    """For numbers as Convex has them: whole or not, compared in whole milliseconds."""
    source = f"""
def check(record):
    u = record.get("updatedAt")
    if u is None:
        return "missing"
    if type(u) is not float and type(u) is not int:
        return "wrong_type"
    if not {EARLIEST_MS} <= u < {limit + 1}:
        return "not_finite" if u != u else "too_early" if u < {EARLIEST_MS} else "in_future"
    c = record.get("createdAt")
    if c is None or type(c) is not float and type(c) is not int:
        return None
    if not {EARLIEST_MS} <= c < {limit + 1}:
        return None if c != c else "too_early" if c < {EARLIEST_MS} else "in_future"
    if c > u and c // 1 > u // 1:
        return "out_of_order"
    return None
"""
    check: Callable[[Any], str | None] = _made(source, "check")
    return check


def value_by_hand(limit: int) -> Callable[[Any], str | None]:
    """For one whole number."""
    source = f"""
def check(value):
    if value is None:
        return "missing"
    if type(value) is not int:
        return "wrong_type"
    if value < {EARLIEST_MS}:
        return "too_early"
    if value > {limit}:
        return "in_future"
    return None
"""
    check: Callable[[Any], str | None] = _made(source, "check")
    return check


def _made(source: str, name: str) -> Any:
    scope: dict[str, Any] = {}
    exec(source, scope)  # noqa: S102 - the text above
    return scope[name]


# -- records -----------------------------------------------------------------------------------------------------


def records(rows: int, bad: float, *, floats: bool) -> list[Record]:
    """Records of eight fields, of which a share of *bad* has each fault in turn."""
    pick = random.Random(1)
    faults: list[Callable[[Record], None]] = [
        lambda record: record.pop("updatedAt"),
        lambda record: record.update(updatedAt=None),
        lambda record: record.update(updatedAt=0),
        lambda record: record.update(updatedAt="2023-11-14T22:13:20Z"),
        lambda record: record.update(updatedAt=record["updatedAt"] // 1000),
        lambda record: record.update(updatedAt=NOW_MS + 86_400_000),
        lambda record: record.update(updatedAt=record["createdAt"] - 60_000),
    ]
    made = []
    broken = 0
    for number in range(rows):
        created: float = NOW_MS - pick.randrange(10**9, 10**11)
        updated: float = created + pick.randrange(10**9)
        if floats:
            created += pick.randrange(1, 1000) / 1024
            updated = float(updated) if pick.random() < 0.5 else updated
        record: Record = {
            "_id": f"k{number:012}",
            "name": f"service {number}",
            "slug": f"service-{number}",
            "status": "active",
            "order": number,
            "tags": None,
            "createdAt": created,
            "updatedAt": updated,
        }
        if pick.random() < bad:
            faults[broken % len(faults)](record)
            broken += 1
        made.append(record)
    return made


# -- contenders: what runs, and what it finds --------------------------------------------------------------------


def loop_code(check: Callable[[Any], object], values: list[Any]) -> Callable[[], int]:
    """Count the broken ones by a function that returns None for the sound."""

    def run() -> int:
        broken = 0
        for value in values:
            if check(value) is not None:
                broken += 1
        return broken

    return run


def loop_holds(holds: Callable[[Any], bool], values: list[Any]) -> Callable[[], int]:
    """Count the broken ones by a function that returns whether a value is sound."""

    def run() -> int:
        broken = 0
        for value in values:
            if not holds(value):
                broken += 1
        return broken

    return run


def loop_raising(check: Callable[[Any], object], values: list[Any], error: type[Exception]) -> Callable[[], int]:
    """Count the broken ones by a function that raises."""

    def run() -> int:
        broken = 0
        for value in values:
            try:
                check(value)
            except error:
                broken += 1
        return broken

    return run


def loop_codes(check: Callable[[Any], str | None], values: list[Any]) -> Callable[[], int]:
    """Collect the index and the code of the broken ones: what `many` does."""

    def run() -> int:
        found = []
        for index, value in enumerate(values):
            code = check(value)
            if code is not None:
                found.append((index, code))
        return len(found)

    return run


def collect(many: Callable[[list[Any]], Any], values: list[Any]) -> Callable[[], int]:
    """Collect what `many` finds."""
    return lambda: len(list(many(values)))


def peers(limit: int) -> dict[str, tuple[Callable[[Record], object], type[Exception]]]:
    """Peers that are installed: a function that raises, and what it raises."""
    found: dict[str, tuple[Callable[[Record], object], type[Exception]]] = {}

    def judge(u: int, c: int | None) -> None:
        if u < EARLIEST_MS or u > limit:
            raise ValueError
        if c is not None and (c < EARLIEST_MS or c > limit or c > u):
            raise ValueError

    try:
        import msgspec
    except ImportError:
        print("msgspec is not installed: left out", file=sys.stderr)
    else:

        def post(self: Any) -> None:
            judge(self.updatedAt, self.createdAt)

        struct = msgspec.defstruct(
            "Struct", [("updatedAt", int), ("createdAt", int | None, None)], namespace={"__post_init__": post}
        )
        found["msgspec.convert"] = (lambda record: msgspec.convert(record, struct), msgspec.ValidationError)
    try:
        import pydantic
        from typing_extensions import TypedDict  # what pydantic asks for before Python 3.12
    except ImportError:
        print("pydantic is not installed: left out", file=sys.stderr)
    else:

        def after(record: Any) -> Any:
            judge(record["updatedAt"], record.get("createdAt"))
            return record

        class Shape(TypedDict):
            updatedAt: int
            createdAt: NotRequired[int | None]

        adapter: Any = pydantic.TypeAdapter(Annotated[Shape, pydantic.AfterValidator(after)])
        found["pydantic TypedDict"] = (
            lambda record: adapter.validate_python(record, strict=True),
            pydantic.ValidationError,
        )

        class Model(pydantic.BaseModel):
            updatedAt: int  # noqa: N815 - the records' own names
            createdAt: int | None = None  # noqa: N815

            @pydantic.model_validator(mode="after")
            def _judge(self) -> Any:
                judge(self.updatedAt, self.createdAt)
                return self

        found["pydantic BaseModel"] = (
            lambda record: Model.model_validate(record, strict=True),
            pydantic.ValidationError,
        )
    return found


GOALS = [
    Goal("holds", "hand", 1.0),
    Goal("holds, clock of the machine", "hand"),
    Goal("raising call, none bad", "hand, none bad", 1.0),
    Goal("raising call", "hand"),
    Goal("many, integers", "hand loop", 0.8),
    Goal("many, floats", "hand loop, floats", 0.95),
    Goal("holds, floats", "hand, floats"),
    Goal("holds", "pydantic TypedDict", 1 / 2.2),
    Goal("holds", "msgspec.convert", 1 / 2.2),
    Goal("holds", "pydantic BaseModel", 1 / 4.5),
    Goal("timestamp, holds", "hand, one value", 1.0),
    Goal("timestamp, clock of the machine", "hand, one value", 2.0),
    Goal("timestamp, raising call", "hand, one value"),
    Goal("timestamp, floats", "hand, one value"),
]


def same_verdicts(rows: list[Record], hand: Callable[[Record], str | None], compiled: Any) -> list[int]:
    """
    See that hand, `holds`, the call and `many` agree with each other, and the broken ones with the predicate.

    The hand-written function says one code for each record, so only its verdicts can be compared.
    """
    broken = [index for index, row in enumerate(rows) if hand(row) is not None]
    assert broken == [index for index, row in enumerate(rows) if not compiled.holds(row)]
    assert broken == [index for index, row in enumerate(rows) if raises(compiled, row, InvalidTimestamps)]
    for index, codes in (found := list(compiled.many(rows))):
        wanted = violations(rows[index], GUARD, "epoch_ms", NOW_MS * 10**6)
        assert codes == tuple(violation.code for violation in wanted), rows[index]
    assert broken == [index for index, _ in found]
    return broken


def raises(check: Callable[[Any], object], value: Any, error: type[Exception]) -> bool:
    """Whether it raises that."""
    try:
        check(value)
    except error:
        return True
    return False


def measure(rows: int, bad: float, n: int) -> Times:
    """Make the records, see that all agree, and let them run."""
    limit = NOW_MS + SKEW_MS
    hand, hand_floats, hand_value = by_hand(limit), by_hand_floats(limit), value_by_hand(limit)
    compiled = GUARD.compile("epoch_ms", now=NOW_MS * 10**6)
    live = GUARD.compile("epoch_ms")
    whole, clean = records(rows, bad, floats=False), records(rows, 0, floats=False)
    mixed = records(rows, bad, floats=True)
    values, float_values = ([row.get("updatedAt") for row in each] for each in (whole, mixed))
    fresh, fresh_live = timestamp("epoch_ms", now=NOW_MS * 10**6), timestamp("epoch_ms")

    broken = same_verdicts(whole, hand, compiled)
    same_verdicts(mixed, hand_floats, compiled)
    assert not same_verdicts(clean, hand, compiled)
    assert [hand_value(value) is None for value in values] == [fresh.holds(value) for value in values]
    assert [hand_value(value) is None for value in values] == [fresh_live.holds(value) for value in values]
    assert [hand_value(value) is not None for value in values] == [
        raises(fresh, value, InvalidTimestamps) for value in values
    ]
    others = peers(limit)
    for name, (check, error) in others.items():
        assert broken == [index for index, row in enumerate(whole) if raises(check, row, error)], name

    return rounds(
        {
            "hand": loop_code(hand, whole),
            "holds": loop_holds(compiled.holds, whole),
            "holds, clock of the machine": loop_holds(live.holds, whole),
            "raising call": loop_raising(compiled, whole, InvalidTimestamps),
            "hand, none bad": loop_code(hand, clean),
            "raising call, none bad": loop_raising(compiled, clean, InvalidTimestamps),
            "hand loop": loop_codes(hand, whole),
            "many, integers": collect(compiled.many, whole),
            "hand, floats": loop_code(hand_floats, mixed),
            "holds, floats": loop_holds(compiled.holds, mixed),
            "hand loop, floats": loop_codes(hand_floats, mixed),
            "many, floats": collect(compiled.many, mixed),
            **{name: loop_raising(check, whole, error) for name, (check, error) in others.items()},
            "hand, one value": loop_code(hand_value, values),
            "timestamp, holds": loop_holds(fresh.holds, values),
            "timestamp, clock of the machine": loop_holds(fresh_live.holds, values),
            "timestamp, raising call": loop_raising(fresh, values, InvalidTimestamps),
            "timestamp, floats": loop_holds(fresh.holds, float_values),
        },
        n,
    )


def main() -> int:
    """Run, print, and exit 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip() if __doc__ else None)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bad", type=float, default=0.05, help="the share of broken records")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    options = parser.parse_args()
    times = measure(options.rows, options.bad, options.rounds)
    print(show(times, GOALS))
    if options.json:
        write_json(options.json, times, GOALS, rows=options.rows, bad=options.bad, rounds=options.rounds)
    return int(any(times.meets(goal) is False for goal in GOALS))


if __name__ == "__main__":
    raise SystemExit(main())
