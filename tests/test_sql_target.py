"""
The guard and the repair in SQL say what the predicate says, for whatever a column of SQLite can hold.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import random
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest
import sqlalchemy as sa
from attrs import evolve, field, frozen
from hypothesis import HealthCheck, assume, given, reject, settings
from hypothesis import strategies as st

from timestamp_guard import (
    NOW,
    Field,
    Guard,
    Repair,
    by,
    check,
    earliest,
    in_order,
    latest,
    present,
    reread,
    updated_at_guard,
    violations,
)
from timestamp_guard.instants import ABSENT, Encoding, Placeholders, Raw, decode, parse_instant, to_datetime
from timestamp_guard.job import Job
from timestamp_guard.predicate import CODES, Code, Fault, undecided
from timestamp_guard.predicate import violations as judged
from timestamp_guard.repairs import Candidate, mend
from timestamp_guard.rules import At, Moment, Now, Term
from timestamp_guard.stores import open_store
from timestamp_guard.stores.base import same
from timestamp_guard.stores.sql.database import Database, prepare, quoted
from timestamp_guard.targets.sql import SqlGuard, SqlRepair, mends, speaks
from timestamp_guard.testing.strategies import anything

Record: TypeAlias = dict[str, Raw]

PINNED: Final = parse_instant("2024-06-01T12:00:00Z")
LATER: Final = parse_instant("2024-06-01T12:00:07.25Z")
MOMENT: Final = Moment(PINNED, LATER)

NAMES: Final = (
    "updatedAt", 'quo"te', "it's", "back`tick", "[bracket]", "a]b", "new\nline", "__import__('os')", "select", "rowid",
    "percent%s", "%(low_0)s", ":low_0", "a:b", "?1", "@at", "$d", "semi;--", "/*", "日本", "", " ", "a.b", "x" * 300,
    "value_0", "cause_1", "signature", "place", "run", "key_1", "c", "t", "one", "returning", "nothing", "true",
    "current_timestamp", "oid", "count(*)", "__[POSTCOMPILE_x]", "\\",
)  # fmt: skip
TYPES: Final = ("", "INTEGER", "REAL", "NUMERIC", "TEXT", "BLOB", "DATETIME", "BIGINT UNSIGNED", "DOUBLE", "ANY")
UNITS: Final = ("epoch_s", "epoch_ms", "epoch_us", "epoch_ns")
NUMBERS: Final = tuple(
    f"{unit}/{step}"
    for unit in UNITS
    for step in ("s", "ms", "us", "ns")
    if (each := Encoding.parse(f"{unit}/{step}")).resolution_ns >= (each.unit or 0)
)
FINER: Final = ("epoch_s/ns", "epoch_ms/us", "epoch_us/ns")
TEXTS: Final = ("rfc3339", "rfc3339/s", "iso8601", "iso8601@UTC", "iso8601/ms@+05:30", "iso8601@Europe/Berlin")
SHIFTS: Final = (
    *(timedelta(0),) * 4, timedelta(seconds=5), -timedelta(seconds=5), timedelta(days=1), -timedelta(days=1),
    timedelta(milliseconds=1), timedelta(microseconds=-1), timedelta(milliseconds=1500), timedelta(days=36_500),
    -timedelta(days=100_000), timedelta(days=100_000), timedelta(days=10**8), -timedelta(days=10**8),
)  # fmt: skip
BOUNDS: Final = tuple(
    map(
        parse_instant,
        ("2000-01-01", "1970-01-01", "1969-12-31T23:59:59.999999999Z", "2024-01-01T00:00:00.5Z", "2262-04-11", "0002-01-01",
         "9998-12-31", "1677-09-21", "2024-06-01T12:00:03Z"),
    )
)  # fmt: skip
EDGES: Final[tuple[Raw, ...]] = (
    None, 0, -1, 1, -2, 0.0, -0.0, -1.0, 0.5, -0.5, -1.5, 5e-324, 1e300, -1e300, math.inf, -math.inf, math.nan,
    *(sign * 2**53 + by for sign in (1, -1) for by in (-1, 0, 1)), 2.0**53, -(2.0**53), 2.0**53 + 2, -(2.0**53) - 2, 2.0**53 - 1,
    2**63 - 1, -(2**63), 2**63 - 2, -(2**63) + 1, 2.0**63, -(2.0**63), 9.2e18, 1.7e18, 2**62, -(2**62),
    "", "0", "-1", "1700000000000", "2023-11-14T22:13:20Z", "1e3", " 5", "null", "\x00", "'; DROP TABLE t; --", "é", "0000-00-00",
    b"", b"0", b"\xff\xfe", b"1700000000000",
)  # fmt: skip


def stored(raw: Raw) -> Raw:
    """What SQLite can hold of a value from anywhere."""
    if raw is ABSENT or raw is None or isinstance(raw, bytes):
        return None if raw is ABSENT else raw
    if isinstance(raw, bool):
        return int(raw)
    if isinstance(raw, int):
        return raw if -(2**63) <= raw < 2**63 else float(max(min(raw, 10**300), -(10**300)))
    if isinstance(raw, float | str):
        return float(raw) if isinstance(raw, float) else raw.encode("utf-8", "replace").decode()
    if isinstance(raw, Decimal) and raw.is_finite() and raw.adjusted() < 300:
        return float(raw)
    return ascii(raw)[:100]


# -- guards of many shapes --------------------------------------------------------------------------------------


@st.composite
def guards(draw: st.DrawFn, names: Sequence[str]) -> Guard:
    """Presence and chains over *names*: with bounds or without, with shifts at any place."""
    shift = st.sampled_from(SHIFTS)
    rules = [present(name) for name in names if draw(st.booleans())]
    for _ in range(draw(st.integers(0 if rules else 1, 3))):
        fields: list[Term] = [Field(name) for name in draw(st.permutations(names))[: draw(st.integers(1, len(names)))]]
        bounds: list[At | Now] = draw(st.lists(st.sampled_from([*map(At, BOUNDS), NOW, NOW]), max_size=3))
        terms: list[Term] = [each + draw(shift) for each in fields]
        for bound in bounds:
            terms.insert(draw(st.integers(0, len(terms))), bound + draw(shift))
        fixed = sorted(t.instant + t.shift_ns for t in terms if isinstance(t, At))
        ordered = iter(fixed)
        terms = [At(next(ordered)) if isinstance(term, At) else term for term in terms]
        if len(terms) > 1:
            rules.append(in_order(*terms))
    if not rules:
        reject()
    guard = Guard(tuple(rule for each in rules for rule in each.rules))
    return guard if guard.fields else reject()


@st.composite
def encoded(draw: st.DrawFn, names: Sequence[str], forms: Sequence[str]) -> dict[str, Encoding]:
    """An encoding for each of *names*, usually one for all; sometimes with placeholders of its own."""
    one = draw(st.none() | st.sampled_from(forms))
    found = {name: Encoding.parse(one or draw(st.sampled_from(forms))) for name in names}
    numbers = draw(st.none() | st.sets(st.sampled_from([0, -1, 1, 999, -(2**63), 2**53, 2**70, 10**12]), max_size=3))
    if numbers is not None:
        changed = draw(st.sampled_from(names))
        found[changed] = evolve(found[changed], placeholders=Placeholders(frozenset(numbers)))
    return found


@st.composite
def repairs(draw: st.DrawFn, names: Sequence[str], field: str, forms: Sequence[str]) -> Repair:
    """A repair of *field* from anything."""
    shift = st.sampled_from(SHIFTS)
    others = [name for name in names if name != field]
    plain: list[st.SearchStrategy[Candidate]] = [
        st.sampled_from([At(each) for each in BOUNDS]),
        st.just(NOW),
        st.builds(Now.__add__, st.just(NOW), shift),
    ]
    if others:
        plain += [st.sampled_from([Field(name) for name in others])] * 3
        plain.append(st.builds(Field.__add__, st.sampled_from([Field(name) for name in others]), shift))
    one = st.one_of(plain)
    several = st.lists(one, min_size=1, max_size=3)
    any_of = st.one_of(
        one,
        one,
        several.map(lambda found: latest(*found)),
        several.map(lambda found: earliest(*found)),
        st.sampled_from(forms).map(lambda form: reread(field, form)),
        st.just(by("long ago", lambda record: to_datetime(BOUNDS[0]) if record[field] is None else None)),
    )
    codes: Iterable[Code] = draw(
        st.sampled_from([frozenset[Code]({"null", "placeholder"}), frozenset[Code](CODES)])
        | st.sets(st.sampled_from(CODES), min_size=1)
    )
    candidates = draw(st.lists(any_of if draw(st.booleans()) else one, min_size=1, max_size=3))
    return Repair(field, tuple(candidates), codes)


# -- rows of many kinds -----------------------------------------------------------------------------------------


@frozen
class Rows:
    """Makes rows out of a seed: many, and fast."""

    guard: Guard
    encodings: Mapping[str, Encoding]
    chance: random.Random

    def make(self, count: int, names: Sequence[str]) -> list[Record]:
        return [self._row(names) for _ in range(count)]

    def _row(self, names: Sequence[str]) -> Record:
        row: Record = {}
        for name in names:
            row[name] = self._value(name, row)
        return row

    def _value(self, name: str, row: Record) -> Raw:
        pick = self.chance.random()
        if pick < 0.15:
            return self.chance.choice(EDGES)
        encoding = self.encodings.get(name, Encoding.parse("epoch_ms"))
        if pick < 0.2:
            return self.chance.choice([row[each] for each in row] or [None])
        if pick < 0.3:
            return self.chance.randrange(-(2**63), 2**63) >> self.chance.randrange(64)
        return self._spelled(self._instant(name, row), encoding)

    def _instant(self, name: str, row: Record) -> int:
        """An instant near a bound or near a field before it, on whichever side."""
        near = [PINNED, LATER, PINNED - 10**15]
        for pair in self.guard.pairs():
            terms = (pair.earlier, pair.later)
            if not any(isinstance(term, Field) and term.name == name for term in terms):
                continue
            for mine, other in (terms, terms[::-1]):
                if isinstance(mine, Field) and mine.name == name:
                    if isinstance(other, Field):
                        found = decode(row.get(other.name), self.encodings[other.name])
                        base = [found] if isinstance(found, int) else []
                    else:
                        base = [other.instant] if isinstance(other, At) else [PINNED, LATER]
                    near += [each + other.shift_ns - mine.shift_ns for each in base]
        encoding = self.encodings.get(name, Encoding.parse("epoch_ms"))
        step = self.chance.choice([encoding.resolution_ns, encoding.unit or 1, 10**9, 10**6, 1])
        return self.chance.choice(near) + self.chance.choice([-2, -1, 0, 0, 0, 1, 2]) * step

    def _spelled(self, instant: int, encoding: Encoding) -> Raw:
        unit = encoding.unit
        if unit is None:
            try:
                shown = to_datetime(instant).isoformat()
            except OverflowError:
                return None
            return shown.replace("+00:00", self.chance.choice(["Z", "+00:00", "", "+02:00"]))
        ways = [instant // unit, instant // unit, instant / unit, instant // unit + 0.5, -(-instant // unit)]
        return self.chance.choice(ways)


@contextlib.contextmanager
def table(
    path: Path,
    names: Sequence[str],
    rows: Sequence[Record],
    types: Sequence[str],
    *,
    strict: bool = False,
    name: str = "t",
) -> Iterator[tuple[Database, list[tuple[int, Record]]]]:
    """A table with the columns *names*, and its rows as they were stored."""
    path.unlink(missing_ok=True)
    columns = ", ".join(f"{quoted(each)} {'ANY' if strict else kind}" for each, kind in zip(names, types, strict=True))
    with contextlib.closing(sqlite3.connect(path)) as made, made:
        made.execute(
            f"CREATE TABLE {quoted(name)} (`the key` INTEGER PRIMARY KEY, {columns}){' STRICT' if strict else ''}"
        )
        made.executemany(
            f"INSERT INTO {quoted(name)} VALUES (NULL, {', '.join('?' * len(names))})",
            [[stored(row.get(each)) for each in names] for row in rows],
        )
    database = Database(path)
    try:
        said = f"SELECT `the key`, {', '.join(map(quoted, names))} FROM {quoted(name)} ORDER BY 1"
        yield database, [(key, dict(zip(names, values, strict=True))) for key, *values in database.rows(said)]
    finally:
        database.close()


def ask(
    database: Database, expressions: Mapping[str, Any], limits: Mapping[str, Any], name: str = "t"
) -> list[dict[str, Any]]:
    """What each expression says of each row, in the order of the rows; many columns at once."""
    found: list[dict[str, Any]] = []
    for part in (
        itertools.batched(expressions.items(), 50) if hasattr(itertools, "batched") else [list(expressions.items())]
    ):
        said = sa.select(*(value.label(f"said_{i}") for i, (_, value) in enumerate(part))).select_from(sa.table(name))
        rows = database.rows(prepare(said.order_by(sa.column("the key"))), limits)
        found = found or [{} for _ in rows]
        for each, row in zip(found, rows, strict=True):
            each.update(zip((label for label, _ in part), row, strict=True))
    return found


# -- one expression at a time -----------------------------------------------------------------------------------

HOW_MANY: Final = 150
"""Rows of most examples: 150 examples are some 20,000 records."""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sql") / "target.db"


@frozen
class Case:
    """A guard, its encodings, and rows."""

    guard: Guard
    encodings: Mapping[str, Encoding]
    names: Sequence[str]
    types: Sequence[str]
    strict: bool
    rows: Sequence[Record] = field(repr=False)
    repair: Repair


@st.composite
def cases(draw: st.DrawFn, forms: Sequence[str], how_many: int = HOW_MANY) -> Case:
    """Anything that SQLite might be asked about."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    guard = draw(guards(names))
    encodings = draw(encoded(names, forms))
    strict = draw(st.integers(0, 5)) == 0
    types = [draw(st.sampled_from(TYPES)) for _ in names]
    repair = draw(repairs(names, draw(st.sampled_from(guard.fields)), forms))
    if draw(st.integers(0, 9)) == 0:
        rows = draw(st.lists(anything(guard, encodings, now=MOMENT), min_size=1, max_size=6))
    else:
        rows = Rows(guard, encodings, random.Random(draw(st.integers(0, 2**32)))).make(how_many, names)
    return Case(guard, encodings, names, types, strict, rows, repair)


@settings(
    max_examples=max(150, settings.default.max_examples if settings.default else 0),
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],  # what SQL does not say is left out
)
@given(case=cases(NUMBERS))
def test_verdicts(path: Path, case: Case) -> None:
    """
    Each row has the faults, causes and undecided pairs in SQL that it has by the predicate, and the gate lets no row
    through that has any.
    """
    guard = SqlGuard(case.guard, case.encodings)
    assume(speaks(case.guard, case.encodings))
    with table(path, case.names, case.rows, case.types, strict=case.strict) as (database, rows):
        said = ask(
            database,
            {"gate": guard.gate(), "signature": guard.signature(guard.columns, guard.causes())},
            guard.limits(MOMENT),
        )

    for (_, record), each in zip(rows, said, strict=True):
        found = guard.decode(each["signature"])
        faults = Counter(violation.fault for violation in judged(record, case.guard, case.encodings, MOMENT))
        causes = {
            name: why for name in guard.fields if isinstance(why := decode(record[name], case.encodings[name]), str)
        }

        assert faults == Counter(found.faults), record
        assert causes == dict(found.causes), record
        assert set(undecided(record, case.guard, case.encodings)) == set(found.undecided), record
        assert (not faults and not causes) == bool(each["gate"]), record


@settings(
    max_examples=max(150, settings.default.max_examples if settings.default else 0),
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],  # what SQL does not say is left out
)
@given(case=cases(NUMBERS))
def test_repairs(path: Path, case: Case) -> None:
    """
    Each row is broken in the same codes, and would be given the same value from the same candidate.
    """
    assume(speaks(case.guard, case.encodings) and mends(case.repair, case.encodings))
    name = case.repair.field
    guard = SqlGuard(case.guard, case.encodings)
    repair = SqlRepair(guard, case.repair, case.encodings)
    codes: dict[str, sa.ColumnElement[Any]] = {code: guard.broken(name, [code]) for code in CODES}
    asked = {
        "broken": repair.broken(),
        "mendable": repair.mendable(),
        "chosen": repair.chosen(),
        "after": repair.after(),
    }
    with table(path, case.names, case.rows, case.types, strict=case.strict) as (database, rows):
        said = ask(database, codes | asked, repair.limits(MOMENT, PINNED))

    for (_, record), each in zip(rows, said, strict=True):
        broken = {v.code for v in judged(record, case.guard, case.encodings, MOMENT) if v.field == name}
        wanted = mend(record, case.repair, case.guard, case.encodings, MOMENT, PINNED)

        assert broken == {code for code in CODES if each[code]}, record
        assert bool(broken & case.repair.codes) == bool(each["broken"]), record
        assert (wanted is not None) == bool(each["mendable"]), record
        assert (None if wanted is None else wanted.candidate) == each["chosen"], record
        assert wanted is None or same(wanted.after, each["after"]), record


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("other", UNITS)
@pytest.mark.parametrize("shift", [timedelta(0), timedelta(seconds=1), timedelta(days=3600), timedelta(days=36_000)])
def test_edges(path: Path, unit: str, other: str, shift: timedelta) -> None:
    """
    Two fields are compared exactly where their numbers, or a sum of them, are at the end of 64 bits.
    """
    numbers = [each for each in EDGES if isinstance(each, int | float) and math.isfinite(each)]
    rows = [{"a": a, "b": b} for a in numbers for b in numbers]
    encodings = {"a": Encoding.parse(unit), "b": Encoding.parse(other)}
    guards = [in_order(Field("a") + shift, "b"), in_order(Field("a") - shift, "b")]
    targets = [SqlGuard(each, encodings) for each in guards if speaks(each, encodings)]
    with table(path, ["a", "b"], rows, ["", ""]) as (database, there):
        for target in targets:
            signatures = ask(database, {"signature": target.signature(target.columns, target.causes())}, {})
            for (_, record), each in zip(there, signatures, strict=True):
                faults = [v.fault for v in judged(record, target.guard, encodings, MOMENT)]

                assert faults == list(target.decode(each["signature"]).faults), record


@pytest.mark.parametrize(
    ("guard", "encodings"),
    [
        (in_order("a", "b"), {"a": "epoch_ms/us", "b": "epoch_ms"}),
        (in_order("a", "b"), {"a": "rfc3339", "b": "epoch_ms"}),
        (in_order(Field("a") + timedelta(microseconds=1), "b"), {"a": "epoch_ms", "b": "epoch_ms"}),
        (in_order(Field("a") + timedelta(days=10**8), "b"), {"a": "epoch_ns", "b": "epoch_ns"}),
        (in_order(*"abcdefghijklm"), dict.fromkeys("abcdefghijklm", "epoch_ms")),
    ],
)
def test_speechless(guard: Guard, encodings: dict[str, str]) -> None:
    """
    What SQL could only say approximately it does not say.
    """
    assert not speaks(guard, {name: Encoding.parse(each) for name, each in encodings.items()})


def test_placeholders_of_its_own() -> None:
    """
    A column whose placeholders are others is not copied by SQL, which would take one for an instant.
    """
    mine = Encoding.parse("epoch_ms")
    encodings = {"a": mine, "b": evolve(mine, placeholders=Placeholders(frozenset({1})))}

    assert not mends(Repair("a", ("b",)), encodings)
    assert mends(Repair("a", ("b",)), {"a": mine, "b": mine})


# -- the whole store --------------------------------------------------------------------------------------------


@settings(max_examples=max(60, (settings.default.max_examples if settings.default else 0) // 2))
@given(
    case=st.one_of(cases(NUMBERS, 60), cases([*NUMBERS, *FINER, *TEXTS], 60), cases(TEXTS, 60)),
    name=st.sampled_from(NAMES),
)
def test_store(path: Path, case: Case, name: str) -> None:
    """
    A check counts, and `violations` yields, what the predicate says; an assessment counts what would be mended: in
    every encoding, with every name.
    """
    name = name or "records"
    with table(path, case.names, case.rows, case.types, strict=case.strict, name=name) as (_, rows):
        pass
    verdicts = {key: judged(record, case.guard, case.encodings, LATER) for key, record in rows}
    faults: Counter[Fault] = Counter(v.fault for each in verdicts.values() for v in each)
    open_ = Counter(
        (str(pair), why) for _, record in rows for pair, why in undecided(record, case.guard, case.encodings)
    )
    causes = Counter(
        (field, why)
        for _, record in rows
        for field in case.guard.fields
        if isinstance(why := decode(record[field], case.encodings[field]), str)
    )
    job = Job.of(case.guard, case.repair, case.encodings, PINNED)
    broken = [(key, record) for key, record in rows if job.broken(record, MOMENT)]
    mends_ = {key: mend(record, case.repair, case.guard, job.encodings, MOMENT, PINNED) for key, record in broken}

    with open_store(f"sqlite:///{path}", name, encodings=case.encodings, read_only=True) as store:
        report = check(store, case.guard, now=LATER)
        streamed = Counter((each.key, each.violation.fault) for each in violations(store, case.guard, now=LATER))
        found = store.assess(job, lambda: LATER, 1000)

    assert (len(rows), sum(map(bool, verdicts.values()))) == (report.records, report.broken)
    assert faults == Counter(report.faults)
    assert open_ == Counter({(p, why): n for p, whys in report.undecided.items() for why, n in whys.items()})
    assert causes == Counter({(f, why): n for f, whys in report.fields.items() for why, n in whys.items()})
    assert Counter((key, v.fault) for key, each in verdicts.items() for v in each) == streamed
    assert all(verdicts[each.key].count(each.violation) for each in report.samples)
    assert set(faults) == {each.violation.fault for each in report.samples}
    assert Counter(m.candidate for m in mends_.values() if m is not None) == Counter(found.mendable)
    assert sum(m is None for m in mends_.values()) == found.unrepairable
    assert {key for key, m in mends_.items() if m is None} == set(found.unrepairable_samples)
    assert {key for key, m in mends_.items() if m is not None} == {each.key for each in found.samples}
    for each in found.samples:
        wanted = mends_[each.key]
        assert wanted is not None
        assert same(wanted.after, each.after)
        assert str(case.repair.candidates[wanted.candidate]) == each.candidate


KEYWORDS: Final = [
    "abort",
    "action",
    "add",
    "after",
    "all",
    "alter",
    "always",
    "analyze",
    "and",
    "as",
    "asc",
    "attach",
    "autoincrement",
    "before",
    "begin",
    "between",
    "by",
    "cascade",
    "case",
    "cast",
    "check",
    "collate",
    "column",
    "commit",
    "conflict",
    "constraint",
    "create",
    "cross",
    "current",
    "current_date",
    "current_time",
    "current_timestamp",
    "database",
    "default",
    "deferrable",
    "deferred",
    "delete",
    "desc",
    "detach",
    "distinct",
    "do",
    "drop",
    "each",
    "else",
    "end",
    "escape",
    "except",
    "exclude",
    "exclusive",
    "exists",
    "explain",
    "fail",
    "false",
    "filter",
    "first",
    "following",
    "for",
    "foreign",
    "from",
    "full",
    "generated",
    "glob",
    "group",
    "groups",
    "having",
    "if",
    "ignore",
    "immediate",
    "in",
    "index",
    "indexed",
    "initially",
    "inner",
    "insert",
    "instead",
    "intersect",
    "into",
    "is",
    "isnull",
    "join",
    "key",
    "last",
    "left",
    "like",
    "limit",
    "match",
    "materialized",
    "natural",
    "no",
    "not",
    "nothing",
    "notnull",
    "null",
    "nulls",
    "of",
    "offset",
    "on",
    "or",
    "order",
    "others",
    "outer",
    "over",
    "partition",
    "plan",
    "pragma",
    "preceding",
    "primary",
    "query",
    "raise",
    "range",
    "recursive",
    "references",
    "regexp",
    "reindex",
    "release",
    "rename",
    "replace",
    "restrict",
    "returning",
    "right",
    "rollback",
    "row",
    "rows",
    "savepoint",
    "select",
    "set",
    "stored",
    "strict",
    "table",
    "temp",
    "temporary",
    "then",
    "ties",
    "to",
    "transaction",
    "trigger",
    "true",
    "unbounded",
    "union",
    "unique",
    "update",
    "using",
    "vacuum",
    "values",
    "view",
    "virtual",
    "when",
    "where",
    "window",
    "with",
    "without",
]


def test_keywords(tmp_path: Path) -> None:
    """
    Every word of SQLite's language can be the name of a column and of a table.
    """
    words = [*KEYWORDS, *KEYWORDS[: len(KEYWORDS) % 2], "x" * 20_000, "y" * 20_000, "__[POSTCOMPILE_x]", "%(low_0)s"]
    for word, other in zip(words[::2], words[1::2], strict=True):
        rows: list[dict[str, Any]] = [{word: None, other: 1700000000000}, {word: 1, other: 1}]
        guard = updated_at_guard(word, other)
        with table(tmp_path / "words.db", [word, other], rows, ["", ""], name=other):
            pass
        with open_store(f"sqlite:///{tmp_path / 'words.db'}", other, encodings="epoch_ms") as store:
            found = store.assess(Job.of(guard, Repair(word, (other,)), "epoch_ms", PINNED), lambda: PINNED, 5)

            assert {"null": 1, "too_early": 2} == check(store, guard, now=PINNED).violations
            assert {0: 1} == dict(found.mendable)


def test_nothing_is_executed(tmp_path: Path) -> None:
    """
    A name that would be SQL is a name.
    """
    name = '"; DROP TABLE victims; --`; DROP TABLE victims; --'
    with table(tmp_path / "app.db", [name], [{name: None}, {name: 1700000000000}], [""], name=name):
        pass
    with contextlib.closing(sqlite3.connect(tmp_path / "app.db")) as database, database:
        database.execute("CREATE TABLE victims (x)")

    with open_store(f"sqlite:///{tmp_path / 'app.db'}", name, encodings="epoch_ms") as store:
        assert {"null": 1} == check(store, present(name), now=PINNED).violations
    with contextlib.closing(sqlite3.connect(tmp_path / "app.db")) as database:
        assert [(0,)] == database.execute("SELECT count(*) FROM victims").fetchall()
