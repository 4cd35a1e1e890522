"""
The module that is generated for a Convex app: it compiles strictly, does what it says, and judges as the predicate does.
"""

from __future__ import annotations

import functools
import json
import math
import operator
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from timestamp_guard import predicate
from timestamp_guard.convex.generate import FILE, GuardedTable, module
from timestamp_guard.instants import Encoding, Encodings, Placeholders, encodings_for
from timestamp_guard.rules import NOW, At, Field, Guard, Ordered, Present, in_order, present, updated_at_guard
from timestamp_guard.testing.strategies import anything

from .node import APP, node, packages, project
from .test_python_target import AT, GUARDS, STEPS, UNITS, T
from .test_python_target import HOSTILE as HOSTILE_NAMES

HERE = APP / "generated"
SOON = timedelta(seconds=5)
AGE = datetime(2000, 1, 1, tzinfo=UTC)

TABLES = (
    GuardedTable("services", "updatedAt", updated_at_guard("updatedAt", "createdAt"), "epoch_ms"),
    GuardedTable("pillarPages", "updatedAt", updated_at_guard("updatedAt", "_creationTime", tolerance=SOON), "epoch_ms"),
    GuardedTable("clusterPages", "updatedAt", updated_at_guard("updatedAt"), "epoch_ns", int64=True),
    GuardedTable("articles", "updatedAt", updated_at_guard("updatedAt"), "rfc3339"),
)  # fmt: skip

# -- guards and records that Convex can hold ---------------------------------------------------------------------

TEXTS = evolve(Encoding.parse("iso8601@UTC"), placeholders=Placeholders(frozenset(), ((5, 10**18),), ("-", "n/a")))
NUMBERS = evolve(Encoding.parse("epoch_ms"), placeholders=Placeholders(frozenset({T, 5}), (), ("-",)))
MIXED = {"u": "epoch_ms", "c": "rfc3339", "a": "epoch_s", "b": "iso8601/s@-03:30"}
HOSTILE = [*HOSTILE_NAMES[:-1], "a" * 1000, "*/", "${x}", "`", "\u2028", "__proto__", "constructor"]
CASES: list[tuple[Guard, Encodings]] = [
    *((guard, "epoch_ms") for name, guard in GUARDS.items() if name != "hostile"),
    (functools.reduce(operator.and_, [present(name) & in_order(AGE, name, NOW) for name in HOSTILE]), "epoch_ms"),
    *((GUARDS[name], "epoch_ns") for name in ("usual", "slack", "halves", "far", "shifted")),
    *((GUARDS[name], "epoch_us") for name in ("tolerance", "chain", "halves", "lower")),
    *((GUARDS[name], "epoch_s") for name in ("usual", "slack", "chain", "negative")),
    *((GUARDS[name], "epoch_ms/s") for name in ("usual", "halves", "shifted")),
    *((GUARDS[name], "epoch_s/ns") for name in ("usual", "halves", "slack")),
    *((GUARDS[name], "rfc3339") for name in ("usual", "chain", "lower", "hostile order")),
    *((GUARDS[name], "iso8601/s@+02:00") for name in ("tolerance", "negative")),
    *((GUARDS[name], "iso8601") for name in ("usual", "twice")),
    *((GUARDS[name], NUMBERS) for name in ("present", "usual")),
    *((GUARDS[name], TEXTS) for name in ("present", "usual")),
    *((GUARDS[name], MIXED) for name in ("usual", "chain", "halves", "twice")),
    *((GUARDS[name], UNITS) for name in ("usual", "chain", "halves")),
    *((GUARDS[name], STEPS) for name in ("usual", "chain", "halves", "slack")),
]
"""Guards and encodings that were thought of; others are drawn."""

NAMES = ("u", "c", "constructor", "__proto__")
FORMS = (
    "epoch_ms", "epoch_ms/s", "epoch_s", "epoch_s/us", "epoch_us", "epoch_us/ms", "epoch_ns", "epoch_ns/s", "rfc3339",
    "rfc3339/ms", "iso8601@UTC", "iso8601@-03:30",
)  # fmt: skip
SHIFTS = st.one_of(st.just(0), st.integers(-5, 5).map(lambda n: n * 10**9), st.integers(-(10**10), 10**10))


@st.composite
def guards(draw: st.DrawFn) -> tuple[Guard, dict[str, str]]:
    """Any guard over few fields, and how they are written."""
    rules: list[Present | Ordered] = []
    for _ in range(draw(st.integers(1, 3))):
        names = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1, max_size=3))
        if draw(st.booleans()):
            rules.append(Present(names[0]))
            continue
        terms: list[Any] = [Field(name, draw(SHIFTS)) for name in names]
        if draw(st.booleans()):
            terms.insert(0, At(draw(st.sampled_from((946_684_800 * 10**9, AT - 1, -1))), draw(SHIFTS)))
        if draw(st.booleans()) or len(terms) == 1:
            terms.insert(draw(st.integers(0, len(terms))), evolve(NOW, shift_ns=draw(SHIFTS)))
        rules.append(Ordered(tuple(terms)))
    guard = Guard(tuple(rules))
    return guard, {name: draw(st.sampled_from(FORMS)) for name in guard.fields}


def held(raw: Any) -> Any:
    """*raw*, or a value of the same sort that Convex can hold."""
    if raw is None or isinstance(raw, bool):
        return raw
    if isinstance(raw, str):
        return str(raw)
    if isinstance(raw, float):
        return float(raw)
    if isinstance(raw, int):
        return raw if -(2**63) <= raw < 2**63 else float(raw) if abs(raw) < 10**300 else math.inf
    if isinstance(raw, (bytes, list)):
        return raw
    try:
        return float(raw)
    except (TypeError, ValueError, OverflowError):
        return {"$date": str(type(raw))}


def written(raw: Any, *, whole_as: str) -> dict[str, str]:
    """A value as JSON that loses nothing: a whole number is an int64, or a number where that can hold it."""
    match raw:
        case None:
            return {"kind": "null"}
        case bool():
            return {"kind": "boolean", "value": str(raw).lower()}
        case int():
            return {"kind": whole_as if abs(raw) <= 2**53 else "int64", "value": str(raw)}
        case float():
            said = {math.inf: "Infinity", -math.inf: "-Infinity"}.get(raw) or ("NaN" if math.isnan(raw) else repr(raw))
            return {"kind": "number", "value": said}
        case str():
            return {"kind": "text", "value": raw}
        case bytes():
            return {"kind": "bytes"}
        case list():
            return {"kind": "array"}
        case _:
            return {"kind": "object"}


def drawn(examples: int, draw: st.SearchStrategy[Any]) -> Iterator[Any]:
    """What Hypothesis draws, the same each time."""
    found: list[Any] = []

    @settings(max_examples=examples, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(draw)
    def collect(each: Any) -> None:
        found.append(each)

    collect()
    return iter(found)


def cases(table: str, guard: Guard, encodings: Encodings, examples: int) -> Iterator[dict[str, Any]]:
    """Records for a guard, each with the verdict of the predicate."""
    read = encodings_for(guard.fields, encodings)
    for number, record in enumerate(drawn(examples, anything(guard, read, now=AT))):
        usable = {name: held(raw) for name, raw in record.items() if name in guard.fields}
        faults = [each.fault for each in predicate.violations(usable, guard, read, AT)]
        kinds = ("number", "int64")
        said = {name: written(raw, whole_as=kinds[number % 2]) for name, raw in usable.items()}
        absent = [name for name in guard.fields if name not in usable]
        if absent and number % 3 == 0:
            said[absent[0]] = {"kind": "undefined"}
        yield {"table": table, "now": str(AT), "record": said, "faults": faults}


# -- the app ----------------------------------------------------------------------------------------------------


def app(folder: Path, tables: tuple[GuardedTable, ...]) -> Path:
    """The app of `convex_app/generated`, with the module for *tables*."""
    project(folder)
    shutil.copytree(HERE, folder, dirs_exist_ok=True)
    (folder / "convex" / FILE).write_text(module(tables), encoding="utf-8")
    return folder


def vitest(folder: Path, name: str) -> str:
    return node(
        packages() / "node_modules/vitest/vitest.mjs", "run", name, cwd=folder, env={"CI": "1", "NO_COLOR": "1"}
    )


def test_compiles(tmp_path: Path) -> None:
    """
    The module and an app that uses it pass the strictest checks of TypeScript; a misspelt field does not.
    """
    folder = app(tmp_path / "app", TABLES)
    (folder / "cases.json").write_text("[]")

    node(packages() / "node_modules/typescript/bin/tsc", "-p", "convex", cwd=folder)


def test_behaves(tmp_path: Path) -> None:
    """
    Under convex-test: stamps on every form of a write, refusals, compare-and-set, and checks that clean up.
    """
    said = vitest(app(tmp_path / "app", TABLES), "guard.test.ts")

    assert " passed" in said, said


@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # of what is drawn, where an example is given up
def test_verdicts(tmp_path: Path) -> None:
    """
    The generated code finds what the predicate finds, in the same order, on thousands of records that Hypothesis drew.
    """
    tables = [
        GuardedTable(f"t{n}", guard.fields[0], guard, encodings, int64=True)
        for n, (guard, encodings) in enumerate(CASES)
    ]
    records = [case for table in tables for case in cases(table.name, table.guard, table.encodings, 40)]
    for number, (guard, encodings) in enumerate(drawn(50, guards())):
        tables.append(GuardedTable(f"d{number}", guard.fields[0], guard, encodings, int64=True))
        records += cases(tables[-1].name, guard, encodings, 30)
    tables.append(GuardedTable("clock", "u", updated_at_guard("u"), "epoch_ms"))
    folder = app(tmp_path / "app", tuple(tables))
    (folder / "cases.json").write_text(json.dumps(records))

    said = vitest(folder, "agreement.test.ts")

    assert "2 passed" in said, said
