"""
A file of JSON is judged as the predicate judges its records: however they are spelled, and in every encoding.
"""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest
from attrs import evolve, frozen
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from timestamp_guard import (
    NOW,
    Encoding,
    Field,
    Guard,
    Repair,
    by,
    check,
    in_order,
    present,
    updated_at_guard,
    violations,
)
from timestamp_guard.errors import StoreDamaged
from timestamp_guard.instants import ABSENT, Encodings, Raw, decode, encode, encodings_for, to_datetime
from timestamp_guard.job import Job
from timestamp_guard.ledger import Key
from timestamp_guard.predicate import CODES, Fault, undecided
from timestamp_guard.predicate import violations as judged
from timestamp_guard.repairs import By, mend
from timestamp_guard.stores.base import same
from timestamp_guard.stores.json import blocks
from timestamp_guard.stores.json.splice import path_of
from timestamp_guard.stores.json.store import JsonStore
from timestamp_guard.testing.strategies import anything, broken, records

from .test_sql_target import FINER, LATER, MOMENT, NUMBERS, PINNED, TEXTS, Rows, encoded, guards, repairs

Spelled: TypeAlias = list[tuple[str, str]]
"""A record as it is written: its members, each a key and a value in JSON, in order; a key may come twice."""

PRESENT: Final = PINNED
FORMS: Final = (*NUMBERS, *FINER, *TEXTS)
ONE_GUARD: Final = updated_at_guard("updatedAt", "createdAt")
NESTED: Final = {
    "meta.updatedAt": "epoch_ms",
    "meta.createdAt": "rfc3339",
    "createdAt": "epoch_ms",
    r"a\.b": "epoch_ms",
}
NAMES: Final = (
    "updatedAt", "createdAt", "meta.updatedAt", "meta.createdAt", "meta.deep.at", r"a\.b", "日本", "é", "", " ", "f0", "_id",
    "__class__", "x" * 300, "items", "UpdatedAt", 'quo"te', "new\nline", r"back\\slash", "\x00", "null", "\ud800",
)  # fmt: skip
ODD: Final = (
    "null", "null", "true", "false", "0", "-0", "0.0", "-0.0", "-1", "-1.0", "1", "1E3", "1e+3", "5e-324", "1e400", "-1e400",
    "1e-400", "0E+10", "1.70e12", "1700000000000.000", "17000000000000e-1", "1700000000000.5", "9007199254740992",
    "9007199254740993", "9007199254740993.0", "-9007199254740994.0", "9223372036854775807", "9223372036854775808",
    "-9223372036854775809", "18446744073709551616", "1" + "0" * 400, "9" * 5000, "-" + "9" * 5000, "0." + "3" * 5000,
    "1700000000000." + "0" * 5000 + "1", '""', '" "', '"null"', '"0"', '"1700000000000"', '"2023-11-14T22:13:20Z"',
    r'"\u0032023-11-14T22:13:20\u005a"', '"2023-11-14T22:13:20.5+02:00"', '"2023-11-14"', '"0000-00-00"', '"1970-01-01T00:00:00Z"',
    '"9999-12-31T00:00:00Z"', '"1998-12-31T23:59:60Z"', r'"\ud800"', r'"\ud83d\ude00"', r'"\u0000"', '"},{"', '"]}"',
    "[]", "[1700000000000]", "{}", '{"$date":{"$numberLong":"1700000000000"}}', '[{"updatedAt":null},{"a":"]"}]',
)  # fmt: skip
JUNK: Final = ("null", "1", '"x"', "{}", "[[]]", "1e400", '{"updatedAt":null}')


# -- what is written --------------------------------------------------------------------------------------------


def token(raw: Raw) -> str:
    """A value from anywhere as JSON: as near to it as there is a word for."""
    match raw:
        case None | bool() | list() | dict():
            return json.dumps(raw)
        case int():
            huge = raw.bit_length() > 10_000  # Python does not print it
            return ("-" if raw < 0 else "") + "1" + "0" * 5001 if huge else str(raw)
        case float():
            return repr(float(raw)) if math.isfinite(raw) else "-1e400" if raw < 0 else "1e400"
        case Decimal() if raw.is_finite():
            return str(raw)
        case str():
            return json.dumps(raw, ensure_ascii=len(raw) % 2 == 0 or not raw.isprintable())
        case _:
            return json.dumps(repr(raw)[:40])


def whole(digits: str) -> int | Decimal:
    """A whole number of any length: Python itself reads no more than 4,300 digits."""
    return int(digits) if len(digits) < 4300 else Decimal(digits)


def spelled(record: Mapping[str, Raw]) -> Spelled:
    """A flat record, the fields of objects in objects of their own."""
    top: dict[str, Any] = {}
    for name, raw in record.items():
        *parents, last = path_of(name)
        here = top
        for parent in parents:
            here = here.setdefault(parent, {})
            if not isinstance(here, dict):  # a field of something that holds no fields
                break
        else:
            here[last] = token(raw)
    return [(key, _joined(value)) for key, value in top.items()]


def _joined(value: str | dict[str, Any]) -> str:
    if isinstance(value, str):
        return value
    return "{" + ", ".join(f"{json.dumps(key)} :{_joined(each)}" for key, each in value.items()) + "}"


def members(record: Spelled, comma: str, colon: str) -> str:
    return comma.join(f"{json.dumps(key, ensure_ascii=not key.isprintable())}{colon}{value}" for key, value in record)


def compact_lines(rows: Sequence[Spelled]) -> str:
    return "".join("{" + members(row, ",", ":") + "}\n" for row in rows)


def spaced_lines(rows: Sequence[Spelled]) -> str:
    """With a mark of the encoding, blank lines, and no end of the last one."""
    return "\ufeff" + "\r\n \r\n".join("\t{ " + members(row, " ,\t", " : ") + " } " for row in rows)


def indented_array(rows: Sequence[Spelled]) -> str:
    return "[\n" + ",\n".join("  {\n    " + members(row, ",\n    ", ": ") + "\n  }" for row in rows) + "\n]\n"


def object_by_id(rows: Sequence[Spelled]) -> str:
    return "{" + ", ".join(f'"{name}" :{{{members(row, ", ", ":")}}}' for name, row in _identified(rows)) + " }"


def object_of_tables(rows: Sequence[Spelled]) -> str:
    named = ",".join(f'\n "{name}": {{{members(row, ",", ": ")}\t}}' for name, row in _identified(rows))
    return f'{{"others": [{{"updatedAt": null}}], "records": {{{named}\n}}, "more": {{}}}}'


def _identified(rows: Sequence[Spelled]) -> list[tuple[str, Spelled]]:
    """Each with its id, which is not the place where it stands; a plain value makes sure that it is a record."""
    return [(f"é{place}", [*row, ("note", f'"{place}"')]) for place, row in enumerate(rows)]


@frozen
class Form:
    """How records are written to a file, and what identifies them there."""

    dump: Callable[[Sequence[Spelled]], str]
    key: Callable[[int], Key] = lambda place: place + 1
    lines: bool = False
    table: str | None = None


SPELLINGS: Final = {
    "compact lines": Form(compact_lines, lines=True),
    "spaced lines": Form(spaced_lines, lines=True),
    "array": Form(indented_array),
    "by id": Form(object_by_id, lambda place: f"é{place}"),
    "tables": Form(object_of_tables, lambda place: f"é{place}", table="records"),
}

FEW: Final = settings(max_examples=max(10, (settings.default.max_examples if settings.default else 0) // 10))


# -- what is there ----------------------------------------------------------------------------------------------


def flat(row: Spelled, names: Sequence[str]) -> dict[str, Raw]:
    """The fields of a record, as Python's own parser reads it: the last of several members with one key counts."""
    whole_record = json.loads("{" + members(row, ",", ":") + "}", parse_int=whole)
    found = {}
    for name in names:
        here = whole_record
        for part in path_of(name):
            here = here.get(part, ABSENT) if isinstance(here, dict) else ABSENT
        if here is not ABSENT:
            found[name] = here
    return found


def placed(row: Spelled, name: str) -> bool:
    """Whether the object is there that a field belongs to."""
    *parents, _ = path_of(name)
    escaped = ".".join(part.replace("\\", "\\\\").replace(".", "\\.") for part in parents)
    return not parents or isinstance(flat(row, [escaped]).get(escaped), dict)


def agree(
    path: Path, guard: Guard, encodings: Encodings, rows: Sequence[Spelled], now: int = PRESENT
) -> Counter[Fault]:
    """In every spelling, `check` counts and `violations` yields what the predicate says; all faults, counted."""
    read = encodings_for(guard.fields, encodings)
    rows = [spelled(dict.fromkeys(guard.fields)), *rows]  # or a field would be unknown, were it in none of them
    seen = [flat(row, guard.fields) for row in rows]
    verdicts = [judged(record, guard, read, now) for record in seen]
    faults: Counter[Fault] = Counter(each.fault for verdict in verdicts for each in verdict)
    open_ = Counter((str(pair), why) for record in seen for pair, why in undecided(record, guard, read))
    causes = Counter(
        (name, why)
        for record in seen
        for name in guard.fields
        if isinstance(why := decode(record.get(name, ABSENT), read[name]), str)
    )
    for form in SPELLINGS.values():
        path.write_bytes(form.dump(rows).encode())
        with JsonStore(str(path), form.table, encodings=encodings, lines=form.lines) as store:
            report = check(store, guard, now=now)
            streamed = Counter((each.key, each.violation.fault) for each in violations(store, guard, now=now))

        assert (len(rows), sum(map(bool, verdicts))) == (report.records, report.broken)
        assert faults == Counter(report.faults)
        assert open_ == Counter({(pair, why): n for pair, whys in report.undecided.items() for why, n in whys.items()})
        assert causes == Counter({(name, why): n for name, whys in report.fields.items() for why, n in whys.items()})
        assert Counter((form.key(at), v.fault) for at, each in enumerate(verdicts) for v in each) == streamed
        assert set(faults) == {each.violation.fault for each in report.samples}
        for sample in report.samples:
            at = next(at for at in range(len(rows)) if form.key(at) == sample.key)
            (wanted,) = [each for each in verdicts[at] if each == sample.violation]

            assert same(wanted.seen, sample.violation.seen)
    return faults


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("json") / "records.json"


# -- records of the strategies ----------------------------------------------------------------------------------

GUARDS: Final[dict[str, tuple[Guard, Encodings]]] = {
    "epoch_ms": (ONE_GUARD, "epoch_ms"),
    "epoch_s": (ONE_GUARD, "epoch_s"),
    "rfc3339": (ONE_GUARD, "rfc3339"),
    "mixed": (ONE_GUARD, {"updatedAt": "epoch_ms", "createdAt": "rfc3339"}),
    "steps": (updated_at_guard("updatedAt", "createdAt", tolerance=timedelta(seconds=1)),
              {"updatedAt": "epoch_ms/s", "createdAt": "epoch_us"}),
    "local": (ONE_GUARD, {"updatedAt": "iso8601@Europe/Berlin", "createdAt": "iso8601"}),
    "nested": (updated_at_guard("meta.updatedAt", "createdAt"), NESTED),
    "all nested": (updated_at_guard("meta.updatedAt", "meta.createdAt"), "epoch_ms"),
    "dotted": (updated_at_guard("meta.updatedAt", r"a\.b"), NESTED),
    "unbounded": (present("updatedAt") & in_order("createdAt", "updatedAt"), "epoch_ms"),
    "now below": (present("updatedAt") & in_order(NOW - timedelta(days=1), "updatedAt", NOW), "epoch_ms"),
}  # fmt: skip


def some(guard: Guard, encodings: Encodings) -> st.SearchStrategy[dict[str, Raw]]:
    """Records sound, broken in each code that the guard knows, and hostile."""
    known = []
    for code in CODES:
        try:
            known.append(broken(guard, encodings, code, now=PRESENT))
        except ValueError:  # no record of that guard could have it
            continue
    hostile = anything(guard, encodings, now=PRESENT)
    return st.one_of(hostile, hostile, records(guard, encodings, now=PRESENT), st.one_of(known))


@pytest.mark.parametrize("name", GUARDS)
def test_strategies(path: Path, name: str) -> None:
    """
    Records that are sound, broken or hostile are judged alike in every spelling: 2,500 of them.
    """
    guard, encodings = GUARDS[name]

    @settings(FEW, phases=[Phase.explicit, Phase.generate])  # to shrink twenty records takes minutes
    @given(st.lists(some(guard, encodings), min_size=20, max_size=25))
    def check(rows: list[dict[str, Raw]]) -> None:
        agree(path, guard, encodings, list(map(spelled, rows)))

    check()


# -- records of many kinds, fast --------------------------------------------------------------------------------

HOW_MANY: Final = 80
"""Records of each example: 100 examples are 8,000."""


@frozen
class Case:
    """A guard, its encodings, a repair, and records."""

    guard: Guard
    encodings: Mapping[str, Encoding]
    repair: Repair
    seed: int

    @property
    def rows(self) -> list[Spelled]:
        chance = random.Random(self.seed)
        plain = Rows(self.guard, self.encodings, chance).make(HOW_MANY, self.guard.fields)
        return [hostile(row, chance) for row in plain]


def hostile(record: Mapping[str, Raw], chance: random.Random) -> Spelled:
    """A record as it is written, with what may stand beside its fields, and in their place."""
    kept = {name: raw for name, raw in record.items() if chance.random() > 0.07}
    row = [(key, chance.choice(ODD) if chance.random() < 0.1 else value) for key, value in spelled(kept)]
    for name in record:
        if chance.random() < 0.1:  # what looks like the field, and is another, or counts no more
            alike = [name, path_of(name)[0], path_of(name)[-1], name.upper(), f"{name} ", f'"{name}']
            row.insert(0, (chance.choice(alike), chance.choice(JUNK)))
    if chance.random() < 0.1:
        row.append((chance.choice(("items", "~", "zz")), chance.choice(JUNK)))
    return row


@st.composite
def cases(draw: st.DrawFn) -> Case:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    guard = draw(guards(names))
    forms = draw(st.sampled_from((NUMBERS, NUMBERS, TEXTS, (*NUMBERS, *FINER, *TEXTS))))
    encodings = draw(encoded(names, forms))
    repair = draw(repairs(names, draw(st.sampled_from(guard.fields)), forms))
    said = by("long ago", lambda record: to_datetime(PINNED - 10**18) if record.get(repair.field) is None else None)
    repair = evolve(repair, candidates=[said if isinstance(each, By) else each for each in repair.candidates])
    return Case(guard, encodings, repair, draw(st.integers(0, 2**32)))


@settings(
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow], phases=[Phase.explicit, Phase.generate]
)
@given(case=cases())
def test_many(path: Path, case: Case) -> None:
    """
    Guards of any shape judge records of any kind alike in every spelling, whatever their fields are called: 8,000
    records.
    """
    agree(path, case.guard, case.encodings, case.rows, LATER)


@settings(
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow], phases=[Phase.explicit, Phase.generate]
)
@given(case=cases())
def test_assessed(path: Path, case: Case) -> None:
    """
    What a backfill would do is what the repair says of each record in which there is a place for it, asked for samples
    or not.
    """
    job = Job.of(case.guard, case.repair, case.encodings, PINNED)
    rows = case.rows
    seen = [flat(row, list(job.encodings)) for row in rows]
    work = {at: record for at, record in enumerate(seen) if job.broken(record, MOMENT)}
    mends = {
        at: mend(record, case.repair, case.guard, job.encodings, MOMENT, PINNED)
        if placed(rows[at], case.repair.field)
        else None
        for at, record in work.items()
    }
    for form in SPELLINGS.values():
        path.write_bytes(form.dump(rows).encode())
        with JsonStore(str(path), form.table, encodings=job.encodings, lines=form.lines) as store:
            found, plain = (store.assess(job, lambda: LATER, samples) for samples in (1000, 0))

        assert Counter(each.candidate for each in mends.values() if each is not None) == Counter(found.mendable)
        assert Counter(found.mendable) == Counter(plain.mendable)
        assert [form.key(at) for at, each in mends.items() if each is None] == list(found.unrepairable_samples)
        assert len(found.unrepairable_samples) == found.unrepairable == plain.unrepairable
        assert [form.key(at) for at, each in mends.items() if each is not None] == [each.key for each in found.samples]
        for sample in found.samples:
            (at,) = [at for at in mends if form.key(at) == sample.key]
            wanted = mends[at]

            assert wanted is not None
            assert same(wanted.after, sample.after)
            assert same(seen[at].get(case.repair.field, ABSENT), sample.before)


# -- one thing at a time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["updatedAt", "meta.updatedAt"])
def test_odd_values(path: Path, name: str, form: str) -> None:
    """
    Whatever can stand where an instant should is judged alike.
    """
    guard = updated_at_guard(name) & in_order(Field(name) - timedelta(days=1), "other")
    *parents, last = path_of(name)
    members_ = [[(last, value)] for value in ODD]
    for parent in parents:
        members_ = [[(parent, "{" + members(row, ",", ":") + "}")] for row in members_]
        members_ += [[(parent, value)] for value in ODD]
    rows = [
        [*row, ("other", other)]
        for row in [*members_, []]
        for other in ("null", token(encode(PRESENT, Encoding.parse(form))))
    ]

    assert agree(path, guard, form, rows)


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("dump", SPELLINGS)
def test_nonfinite(tmp_path: Path, dump: str, word: str) -> None:
    """
    The words for what is no number are no JSON, and where they are let be are not finite.
    """
    form, file = SPELLINGS[dump], tmp_path / "records.json"
    file.write_text(form.dump([[("updatedAt", word)], [("updatedAt", "1"), ("x", word)]]), "utf-8")
    for nonfinite in (True, False):
        with JsonStore(str(file), form.table, encodings="epoch_ms", lines=form.lines, nonfinite=nonfinite) as store:
            if nonfinite:
                assert {"not_finite": 1} == check(store, present("updatedAt"), now=PRESENT).violations
                assert [form.key(0)] == [each.key for each in violations(store, present("updatedAt"), now=PRESENT)]
            else:
                with pytest.raises(StoreDamaged, match=f"a number, found {word}, which is no JSON"):
                    check(store, present("updatedAt"), now=PRESENT)
                with pytest.raises(StoreDamaged, match=f"a number, found {word}, which is no JSON"):
                    list(violations(store, present("updatedAt"), now=PRESENT))


@pytest.mark.parametrize("encodings", ["epoch_ms", {"meta.updatedAt": "epoch_ms"}], ids=["one", "each"])
@pytest.mark.parametrize(
    ("record", "code"),
    [
        ('{"meta":{"updatedAt":1700000000000}}', None),
        ('{"meta":{"updatedAt":null}}', "null"),
        ('{"meta":{}}', "missing"),
        ('{"meta":null}', "missing"),
        ('{"meta":[{"updatedAt":1}]}', "missing"),
        ('{"meta":"updatedAt"}', "missing"),
        ("{}", "missing"),
        ('{"meta.updatedAt":1700000000000}', "missing"),
        ('{"meta":{"updatedAt":null},"meta.updatedAt":1700000000000}', "null"),
        ('{"meta":{"updatedAt":"x"},"meta.updatedAt":1700000000000}', "wrong_type"),
        ('{"meta":{"updatedAt":1700000000000},"meta.updatedAt":null}', None),
        ('{"meta":{"updatedAt":1700000000000},"meta":{}}', "missing"),
        ('{"meta":{},"meta":{"updatedAt":1700000000000}}', None),
        ('{"meta":{"updatedAt":1700000000000,"updatedAt":null}}', "null"),
    ],
)  # fmt: skip
def test_nested(tmp_path: Path, record: str, code: str | None, encodings: Encodings) -> None:
    """
    A field of an object is found in it and nowhere else, by a check and by those who ask for every violation.
    """
    (tmp_path / "records.jsonl").write_text(record + '\n{"meta":{"updatedAt":1}}\n', "utf-8")
    with JsonStore(str(tmp_path / "records.jsonl"), encodings=encodings, lines=True) as store:
        report = check(store, present("meta.updatedAt"), now=PRESENT)
        found = [(each.key, each.violation.code) for each in violations(store, present("meta.updatedAt"), now=PRESENT)]

    assert ({code: 1} if code else {}) == report.violations
    assert ([(1, code)] if code else []) == found


def test_small_stretches(path: Path) -> None:
    """
    Records are judged alike however much of the file is read at once.
    """
    guard, encodings = GUARDS["epoch_ms"]
    rows = Case(guard, encodings_for(guard.fields, encodings), Repair("updatedAt", ("createdAt",)), 1).rows
    for size in (1, 7, 64, 500):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(blocks, "SIZE", size)

            assert agree(path, guard, encodings, rows)
