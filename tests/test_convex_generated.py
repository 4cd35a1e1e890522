"""
The module that is generated for a Convex app: it compiles strictly, does what it says, and judges as the predicate does.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
import operator
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from timestamp_guard import predicate
from timestamp_guard.convex import generate
from timestamp_guard.convex.generate import FILE, GuardedTable, is_ours, module
from timestamp_guard.errors import UsageError
from timestamp_guard.instants import Encoding, Encodings, Placeholders, encode, encodings_for
from timestamp_guard.rules import NOW, At, Field, Guard, Ordered, Present, in_order, present, updated_at_guard
from timestamp_guard.targets.typescript import stamp
from timestamp_guard.testing.strategies import anything

from .node import APP, node, packages, project
from .test_python_target import AT, GUARDS, STEPS, UNITS, T
from .test_python_target import HOSTILE as HOSTILE_NAMES

HERE = APP / "generated"
PAGE = APP.parents[1] / "docs" / "convex-code.md"
TEMPLATES = Path(generate.__file__).parent / "templates"
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

NUMBERS_AT_EDGES: list[Any] = [
    -1999, -1001, -1000, -999, 999, 1000, -1500.5, -1000.000001, -999.5, -2.5, -1.5, -0.5, -1e-9, -5e-324, 5e-324, 1e-9,
    1.000001, 1.0000010001, 1.000000999, 2**53, -(2**53), 2**53 + 1, -(2**53) - 1, 2.0**53 + 2, 2**63 - 1, -(2**63),
]  # fmt: skip
TEXTS_AT_EDGES = (
    "2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999999999Z", "2017-01-01T00:00:00Z", "2017-01-01T01:59:60+02:00",
    "2016-12-31T22:59:60Z", "2016-12-31T23:59:60+02:00", "2017-01-01T01:59:60", "2016-02-29", "2015-02-29", "1900-02-29",
    "2000-02-30", "2000-13-01", "2000-00-10", "2000-01-00", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00.000000001Z", "0099-03-01T00:00:00Z", "9999-12-30T23:59:59Z", "9999-12-31T00:00:00Z",
    "1970-01-01T00:00:00Z", "1970-01-01T02:00:00+02:00", "1969-12-31T23:59:59.9999999999Z", "2023-11-14t22:13:20z",
    "2023-11-14 22:13:20,5", "2023-11-14T22:13", "2023-11-14T22:13:20+0530", "2023-11-14T22:13:20-03", "20231114",
    "1700000000000", "2023-11-14T24:00:00Z", "2023-11-14T22:13:20Z\n", " 2023-11-14T22:13:20Z", "", "-x", "n/ax",
)  # fmt: skip
EDGES: tuple[tuple[Guard, Encodings, Sequence[Any]], ...] = (
    *((in_order("a", "b"), form, NUMBERS_AT_EDGES) for form in ("epoch_ms", "epoch_s/ns", "epoch_ms/s", "epoch_us/ms")),
    *(
        (present("a") & present("b") & in_order("a", "b"), form, TEXTS_AT_EDGES)
        for form in ("rfc3339", "rfc3339/s", "iso8601@+02:00", TEXTS)
    ),
)
"""Values of which every two are compared."""

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
    """Records for a guard that Hypothesis draws, each with the verdict of the predicate."""
    read = encodings_for(guard.fields, encodings)
    for number, record in enumerate(drawn(examples, anything(guard, read, now=AT))):
        usable = {name: held(raw) for name, raw in record.items() if name in guard.fields}
        yield case(table, guard, read, usable, number)


def case(table: str, guard: Guard, encodings: Encodings, record: Mapping[str, Any], number: int) -> dict[str, Any]:
    """A record as JSON, whole numbers now as one kind, now as the other, with the verdict of the predicate."""
    said = {name: written(raw, whole_as=("number", "int64")[number % 2]) for name, raw in record.items()}
    absent = [name for name in guard.fields if name not in record]
    if absent and number % 3 == 0:
        said[absent[0]] = {"kind": "undefined"}
    faults = [each.fault for each in predicate.violations(record, guard, encodings, AT)]
    return {"table": table, "now": str(AT), "record": said, "faults": faults}


# -- the app ----------------------------------------------------------------------------------------------------


def app(folder: Path, tables: Sequence[GuardedTable]) -> Path:
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
    The module, an app that uses it and the examples of the documentation pass the strictest checks of TypeScript; a
    misspelt field does not.
    """
    folder = app(tmp_path / "app", TABLES)
    (folder / "cases.json").write_text("[]")
    examples = re.findall(r"^```ts\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert len(examples) == 3
    for number, example in enumerate(examples):
        (folder / "convex" / f"example{number}.ts").write_text(example)

    node(packages() / "node_modules/typescript/bin/tsc", "-p", "convex", cwd=folder)


def test_behaves(tmp_path: Path) -> None:
    """
    Under convex-test: stamps on every form of a write, refusals, compare-and-set, and checks that clean up.
    """
    said = vitest(app(tmp_path / "app", TABLES), "guard.test.ts")

    assert " passed" in said, said


def drawn_app(folder: Path) -> tuple[Path, list[dict[str, Any]]]:
    """An app whose tables have all guards that were thought of or drawn, and records for each."""
    tables = [
        GuardedTable(f"t{number}", guard.fields[0], guard, encodings, int64=True)
        for number, (guard, encodings) in enumerate(CASES)
    ]
    records = [case for table in tables for case in cases(table.name, table.guard, table.encodings, 40)]
    for name in HOSTILE:
        tables.append(GuardedTable(name, name, updated_at_guard(name), "epoch_ms"))
        records += cases(name, tables[-1].guard, "epoch_ms", 5)
    for number, (guard, encodings) in enumerate(drawn(50, guards())):
        tables.append(GuardedTable(f"d{number}", guard.fields[0], guard, encodings, int64=True))
        records += cases(tables[-1].name, guard, encodings, 30)
    for place, (guard, encodings, values) in enumerate(EDGES):
        tables.append(GuardedTable(f"e{place}", "a", guard, encodings, int64=True))
        pairs = itertools.product(values, repeat=2)
        records += [
            case(f"e{place}", guard, encodings, {"a": a, "b": b}, number) for number, (a, b) in enumerate(pairs)
        ]
    tables.append(GuardedTable("clock", "u", updated_at_guard("u"), "epoch_ms"))
    made = app(folder, tables)
    (made / "cases.json").write_text(json.dumps(records))
    return made, records


@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # of what is drawn, where an example is given up
def test_verdicts(tmp_path: Path) -> None:
    """
    The generated code finds what the predicate finds, in the same order, on thousands of records that Hypothesis drew,
    whatever tables and fields are called.
    """
    folder, records = drawn_app(tmp_path / "app")
    assert set(predicate.CODES) == {code for record in records for code, *_ in record["faults"]}

    said = vitest(folder, "agreement.test.ts")

    assert "2 passed" in said, said


STAMPED = (
    *((form, False) for form in ("epoch_ms", "epoch_ms/s", "epoch_s", "epoch_s/ns", "epoch_us", "epoch_us/s")),
    *((form, True) for form in ("epoch_ms", "epoch_ms/s", "epoch_s", "epoch_us/ms", "epoch_ns", "epoch_ns/s")),
    *((f"{name}{step}{zone}", False) for name, zone in (("rfc3339", ""), ("iso8601", "@UTC"), ("iso8601", "@-03:30"))
      for step in ("", "/s", "/ms", "/us")),
)  # fmt: skip


@pytest.mark.parametrize("now", [1_700_000_000_123, 1_700_000_000_000, 1_699_999_999_999])
def test_stamps(tmp_path: Path, now: int) -> None:
    """
    A stamp is the present time as a backfill would write it, down to the last letter.
    """
    encodings = [Encoding.parse(form) for form, _ in STAMPED]
    stamps = [stamp(encoding, int64=int64) for encoding, (_, int64) in zip(encodings, STAMPED, strict=True)]
    code = (TEMPLATES / "written.ts").read_text() + f"Date.now = () => {now};\n"
    code += "\n".join(f"console.log(typeof ({each})(), String(({each})()));" for each in stamps)
    folder = project(tmp_path / "app")
    (folder / "stamps.ts").write_text(code)
    node(packages() / "node_modules/esbuild/bin/esbuild", "stamps.ts", "--outfile=stamps.mjs", cwd=folder)

    said = node("stamps.mjs", cwd=folder).splitlines()

    kinds = [
        "string" if not each.is_number else "bigint" if int64 else "number"
        for each, (_, int64) in zip(encodings, STAMPED, strict=True)
    ]
    assert [f"{kind} {encode(now * 10**6, each)}" for kind, each in zip(kinds, encodings, strict=True)] == said


# -- without Node.js --------------------------------------------------------------------------------------------


def test_digest() -> None:
    """
    A module is known as ours, also with other ends of lines, until a letter of it is changed.
    """
    text = module(TABLES)

    assert is_ours(text)
    assert is_ours(text.replace("\n", "\r\n"))
    assert is_ours(text.replace("services", "servicez")) is None
    assert is_ours(text + "\n") is None
    assert is_ours("// nothing of ours\n") is False


def test_same() -> None:
    """
    The same tables make the same module, so that a commit shows what has changed.
    """
    assert module(TABLES) == module(TABLES)


def test_no_any() -> None:
    """
    The module has no type `any`, and asks no tool to look away.
    """
    text = module(TABLES).replace("v.any()", "")

    assert [] == re.findall(r"\bany\b(?= *[;,>\])|&=])|@ts-|eslint-disable", text)


def test_only_what_is_used() -> None:
    """
    An app whose timestamps are numbers gets nothing that reads text, and the text of the module is ASCII.
    """
    numbers, texts = module(TABLES[:3]), module(TABLES)

    assert ("rfc3339" in numbers, "rfc3339" in texts) == (False, True)
    assert texts.isascii()


@pytest.mark.parametrize("name", [*HOSTILE, "é", "b\u2029b"])
def test_names_are_text(name: str) -> None:
    """
    What a table or a field is called is text or a comment on one line, and nothing else.
    """
    text = module([GuardedTable(name, name, updated_at_guard(name), "epoch_ms")])
    begin, end = text.index("const guards"), text.index("} satisfies Record")
    bare = re.sub(r'"(?:[^"\\]|\\.)*"|//[^\n]*', "", text[begin:end])

    plain = {name} if re.fullmatch(r"\w+", name, re.ASCII) and name != "__proto__" else set()
    assert set(re.findall(r"\b[A-Za-z_]\w*", bare)) <= plain | {
        "const", "guards", "updated", "as", "stamp", "Date", "now", "fields", "epoch", "rules", "present", "inOrder",
        "at", "field",
    }  # fmt: skip
    assert "`" not in bare


@pytest.mark.parametrize(
    ("tables", "why"),
    [
        ([], "no table to guard"),
        ([TABLES[0], TABLES[0]], "table 'services' is described twice"),
        ([GuardedTable("a", "b", present("u"), {"u": "epoch_ms"})], "table 'a': no encoding is declared for 'b'"),
        ([GuardedTable("a", "u", present("u"), "datetime")], "table 'a': Convex has no type for datetimes"),
        ([GuardedTable("a", "u", present("u"), "epoch_ns")], "table 'a': epoch_ns does not fit into v.number()"),
        (
            [GuardedTable("a", "u", present("u"), "iso8601@Europe/Berlin")],
            "table 'a': u is written in the local time of Europe/Berlin",
        ),
    ],
)
def test_refused(tables: list[GuardedTable], why: str) -> None:
    """
    What TypeScript could not judge or stamp exactly is refused, by name.
    """
    with pytest.raises(UsageError) as caught:
        module(tables)

    assert str(caught.value).startswith(why)
