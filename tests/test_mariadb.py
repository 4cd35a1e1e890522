"""
A real MariaDB says of its own values what the predicate says, whatever they are; and a store of it does what it promises
beside users, triggers and a server that dies.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta, timezone
from decimal import Decimal, localcontext
from typing import Any, Final, TypeAlias

import pytest
from attrs import field, frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import servers
from tests.test_sql_target import LATER, MOMENT, NUMBERS, PINNED, TEXTS, Rows, encoded, guards, repairs
from timestamp_guard import Guard, Repair, backfill, check, rollback, updated_at_guard
from timestamp_guard import violations as streamed_by
from timestamp_guard.errors import (
    TooManyFailures,
)
from timestamp_guard.instants import Encoding, Raw, decode, parse_instant, to_datetime
from timestamp_guard.job import Job
from timestamp_guard.predicate import Fault, undecided
from timestamp_guard.predicate import violations as judged
from timestamp_guard.repairs import mend
from timestamp_guard.rules import Moment
from timestamp_guard.stores.base import pages
from timestamp_guard.stores.sql.mysql.store import MysqlStore

Record: TypeAlias = dict[str, Raw]

NOW: Final = parse_instant("2024-06-01T12:00:00Z")
MS: Final = NOW // 10**6
GUARD: Final = updated_at_guard("updatedAt", "createdAt")
REPAIR: Final = Repair("updatedAt", ("createdAt",))

NAMES: Final = (
    "updatedAt", 'quo"te', "it's", "back`tick", "[bracket]", "new\nline", "__import__('os')", "select", "percent%s",
    "%(low_0)s", ":low_0", "a:b", "?1", "?", "%", "@at", "$d", "semi;--", "/*", "日本", "a.b", "x" * 64, "é" * 31,
    "run", "key_1", "c", "t", "q", "before", "candidate", "true", "current_timestamp", "count(*)", "__[POSTCOMPILE_x]",
    "\\", "key", "id", "state", "low_0", "'", '"',
)  # fmt: skip


def single(number: float) -> float:
    """What a FLOAT makes of a number."""
    found = float(struct.unpack("=f", struct.pack("f", max(-3e38, min(3e38, number))))[0])
    return found or 0.0


WHOLE: Final = {
    "smallint": (-(2**15), 2**15 - 1), "int unsigned": (0, 2**32 - 1), "bigint": (-(2**63), 2**63 - 1),
    "bigint unsigned": (0, 2**64 - 1),
}  # fmt: skip
WHOLE_EDGES: Final = (None, 0, -1, 1, -2, 2**15 - 1, -(2**15), 2**31 - 1, -(2**31), 2**53, 2**53 + 1, -(2**53) - 1, 2**62,
                      2**63 - 1, -(2**63), 2**63 - 2, 2**63, 2**64 - 1, 2**64 - 2, 2**32 - 1)  # fmt: skip
DOUBLE_EDGES: Final = (None, 0.0, -1.0, 0.5, -0.5, 1e-40, 5e-324, 1e300, -1e300, 0.1, 0.10000000000000001, 2.0**53, -(2.0**53),
                       2.0**53 + 2, 2.0**53 - 1, 1.7e9, 1.7e12, 1.7e18, 16777217.0, 1 / 3)  # fmt: skip
DECIMAL_EDGES: Final = (None, *map(Decimal, ("0", "-1", "0.5", "-0.5", "-0.001", "0.999", "1e40", "9" * 41, "-" + "9" * 41, "1e41",
                        "-1e41", "1" * 40, "1e46", "-1e46", "9" * 46 + ".999")))  # fmt: skip
WIDEST: Final = Decimal(10) ** 46
"""What the narrowest column of decimals can hold."""

TIME_EDGES: Final = (
    None, "0000-00-00 00:00:00.000000", "2024-00-00 00:00:00.000000", "2024-05-00 01:02:03.000000", "2024-02-31 00:00:00.000000",
    "2023-02-29 12:00:00.000000", "0000-01-01 00:00:00.000000", "0000-12-31 23:59:59.999999",
    "0001-01-01 00:00:00.000000", "0001-01-01 00:00:00.000001", "1970-01-01 00:00:00.000000", "1970-01-01 00:00:00.000001",
    "1969-12-31 23:59:59.999999", "9998-12-31 23:59:59.999999", "9999-12-30 23:59:59.999999", "9999-12-31 00:00:00.000000",
    "9999-12-31 23:59:59.999999",
)  # fmt: skip
INSTANT_EDGES: Final = (
    None, "0000-00-00 00:00:00.000000", "1970-01-01 00:00:01.000000", "1970-01-01 00:00:01.000001", "2038-01-19 03:14:07.999999",
)  # fmt: skip
TEXT_EDGES: Final = (
    None, "", " ", "0", "1700000000000", "2023-11-14T22:13:20Z", "2023-11-14t22:13:20.123456789z", "2016-12-31T23:59:60Z",
    "0000-00-00", "9999-12-31T00:00:00Z", "\\N", "\t", "a\nb", "\x00", "'; DROP TABLE t; --", "é", "日本", "😀", "x" * 5000,
    "a", "A", "a ", "%s", "%(run)s",
)  # fmt: skip
ZONED: Final = ("datetime@+05:30", "datetime@UTC", "datetime/ms@-03:00", "datetime/s@+14:00")
FIRST: Final = parse_instant("1970-01-01T00:00:01Z")
LAST: Final = parse_instant("2038-01-19T03:14:07.999999Z")


@frozen
class Kind:
    """A type of columns: the encodings that suit it, and its oddest values."""

    forms: Sequence[str]
    edges: Sequence[Raw] = field(repr=False)


KINDS: Final[Mapping[str, Kind]] = {
    **{
        name: Kind(NUMBERS, [each for each in WHOLE_EDGES if each is None or low <= each <= high])
        for name, (low, high) in WHOLE.items()
    },
    "decimal(50,3)": Kind(NUMBERS, DECIMAL_EDGES),
    "decimal(65,0)": Kind(NUMBERS, [each and each.to_integral_value() for each in DECIMAL_EDGES]),
    "float": Kind(NUMBERS, [None if each is None else single(each) for each in DOUBLE_EDGES]),
    "double": Kind(NUMBERS, DOUBLE_EDGES),
    "timestamp(6)": Kind(("datetime", "datetime/ms", "datetime/s", "datetime/us"), INSTANT_EDGES),
    "timestamp(3)": Kind(("datetime/ms", "datetime/s"), INSTANT_EDGES),
    "datetime(6)": Kind(ZONED, TIME_EDGES),
    "datetime": Kind(("datetime/s@UTC", "datetime/s@-03:00"), [each and each[:19] for each in TIME_EDGES]),
    "longtext": Kind(TEXTS, TEXT_EDGES),
}


@frozen
class Columns(Rows):
    """Makes rows out of a seed, of values that their columns can hold."""

    kinds: Mapping[str, str] = field(kw_only=True)

    def _value(self, name: str, row: Record) -> Raw:
        kind, pick = self.kinds[name], self.chance.random()
        if pick < 0.2:
            return self.chance.choice(KINDS[kind].edges)
        if pick < 0.25 and (alike := [row[each] for each in row if self.kinds[each] == kind]):
            return self.chance.choice(alike)
        if pick < 0.3 and kind in WHOLE:
            return self._fitted(kind, self.chance.randrange(-(2**64), 2**64) >> self.chance.randrange(64))
        return self._held(kind, self._instant(name, row), self.encodings[name])

    def _fitted(self, kind: str, number: int) -> int:
        low, high = WHOLE[kind]
        return max(low, min(high, number))

    def _held(self, kind: str, instant: int, encoding: Encoding) -> Raw:
        unit = encoding.unit
        if unit is None:
            if kind == "longtext":
                return self._spelled(instant, encoding)
            if kind.startswith("timestamp"):
                instant = max(FIRST, min(LAST, instant))
            try:
                when = to_datetime(instant)
                zone = encoding.zone if encoding.zone not in {None, "UTC"} else "+00:00"
                minutes = int(f"{zone[0]}1") * (int(zone[1:3]) * 60 + int(zone[4:6])) if zone else 0
                local = when.astimezone(timezone(timedelta(minutes=minutes))).replace(tzinfo=None)
            except OverflowError:
                return None
            digits = {"timestamp(3)": 1000, "datetime": 10**6}.get(kind, 1)
            return local.replace(microsecond=local.microsecond // digits * digits).isoformat(" ")
        exact = Decimal(instant) / unit
        if kind in WHOLE:
            return self._fitted(kind, instant // unit + self.chance.choice([0, 0, 1]))
        if kind.startswith("decimal"):
            with localcontext(prec=70):
                held = max(-WIDEST, min(WIDEST, exact))
                return held.quantize(Decimal("0.001") if kind.endswith("3)") else Decimal(1))
        number = self.chance.choice([instant // unit, instant / unit, instant // unit + 0.5])
        return single(number) if kind == "float" else float(number)


@frozen
class Case:
    """A guard, a repair, and rows."""

    guard: Guard
    encodings: Mapping[str, Encoding]
    kinds: Mapping[str, str]
    repair: Repair
    table: str
    rows: Sequence[Record] = field(repr=False)


HOW_MANY: Final = 80


@st.composite
def cases(draw: st.DrawFn, kind: str) -> Case:
    """Anything that a server might be asked about, over columns of that kind; or of any, where it is `mixed`."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique_by=str.lower))
    kinds = {name: draw(st.sampled_from([*KINDS])) if kind == "mixed" else kind for name in names}
    guard = draw(guards(names))
    encodings: dict[str, Encoding] = {}
    one = draw(encoded(names, KINDS[kind].forms)) if kind != "mixed" else {}
    for name in names:
        encodings[name] = one.get(name) or draw(encoded([name], KINDS[kinds[name]].forms))[name]
    target = draw(st.sampled_from(guard.fields))
    repair = draw(repairs(names, target, KINDS[kinds[target]].forms))
    chance = random.Random(draw(st.integers(0, 2**32)))
    rows = Columns(guard, encodings, chance, kinds=kinds).make(HOW_MANY, names)
    return Case(guard, encodings, kinds, repair, draw(st.sampled_from(NAMES)), rows)


def quoted(name: str) -> str:
    """A name as SQL has it."""
    return "`" + name.replace("`", "``") + "`"


def ask(user: Any, sql: str, *rows: Sequence[Any]) -> list[tuple[Any, ...]]:
    """What a user says to the server, once or for each of *rows*; and the answer."""
    with user.cursor() as cursor:
        if rows:
            cursor.executemany(sql, rows)
        else:
            cursor.execute(sql)
        return list(cursor.fetchall()) if cursor.description else []


@contextlib.contextmanager
def using(url: str) -> Iterator[Any]:
    """A user, whose times are in UTC, and who may write dates that are none."""
    with servers.connect(url) as user:
        ask(user, "SET time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,ALLOW_INVALID_DATES'")
        yield user


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[str, Any]]:
    """A server, and a user of it."""
    with servers.database(servers.mariadb()) as url, using(url) as user:
        yield url, user


@pytest.fixture
def url() -> Iterator[str]:
    """An empty database."""
    with servers.database(servers.mariadb()) as url:
        yield url


@contextlib.contextmanager
def table(place: tuple[str, Any], case: Case) -> Iterator[tuple[MysqlStore, str]]:
    """The table of a case, opened, and its name as SQL has it; its database is its own, so its ledger is."""
    url, user = place
    schema = f"%s ?{next(_NUMBER)} :x"
    name = f"{quoted(schema)}.{quoted(case.table)}"
    columns = ", ".join(f"{quoted(each)} {kind} NULL" for each, kind in case.kinds.items())
    ask(user, f"CREATE DATABASE {quoted(schema)} CHARACTER SET utf8mb4")
    ask(user, f"CREATE TABLE {name} (`the key` bigint AUTO_INCREMENT PRIMARY KEY, {columns})")
    names, marks = ", ".join(map(quoted, case.kinds)).replace("%", "%%"), ", ".join(["%s"] * len(case.kinds))
    if case.rows:
        said = f"INSERT INTO {name.replace('%', '%%')} ({names}) VALUES ({marks})"
        ask(user, said, *[[row[each] for each in case.kinds] for row in case.rows])
    try:
        with MysqlStore(url, f"{schema}.{case.table}", encodings=case.encodings) as store:
            yield store, name
    finally:
        ask(user, f"DROP DATABASE {quoted(schema)}")


_NUMBER: Final = itertools.count()


def rows_of(store: MysqlStore) -> dict[Any, Record]:
    """Every row as Python has it."""
    return {key: {**record} for page in pages(store) for key, record in page.records}


def alike(one: Raw, other: Raw) -> bool:
    """Whether a column cannot tell two values apart: 5, 5.0 and Decimal(5) are one to a column of numbers."""
    if isinstance(one, float) and isinstance(other, float):
        return struct.pack("d", one) == struct.pack("d", other)
    return bool(one == other)


@pytest.mark.parametrize("kind", [*KINDS, "mixed"])
def test_agrees(place: tuple[str, Any], kind: str) -> None:
    """
    A check counts what the predicate says of each row, an assessment what would be mended, a backfill mends exactly that,
    and a rollback gives back every byte.
    """

    @settings(
        max_examples=max(20, settings().max_examples // 4),
        suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
    )
    @given(case=cases(kind))
    def run(case: Case) -> None:
        with table(place, case) as (store, name):
            rows = rows_of(store)
            looked(store, case, rows)
            mended(store, case, rows, place[1], name)

    run()


def looked(store: MysqlStore, case: Case, rows: Mapping[Any, Record]) -> None:
    """What is said of the rows is what the predicate says."""
    verdicts = {key: judged(record, case.guard, case.encodings, LATER) for key, record in rows.items()}
    faults: Counter[Fault] = Counter(v.fault for each in verdicts.values() for v in each)
    open_ = Counter(
        (str(pair), why) for record in rows.values() for pair, why in undecided(record, case.guard, case.encodings)
    )
    causes = Counter(
        (name, why)
        for record in rows.values()
        for name in case.guard.fields
        if isinstance(why := decode(record[name], case.encodings[name]), str)
    )
    job = Job.of(case.guard, case.repair, case.encodings, PINNED)
    broken = {key: record for key, record in rows.items() if job.broken(record, MOMENT)}
    mends = {
        key: mend(record, case.repair, case.guard, job.encodings, MOMENT, PINNED) for key, record in broken.items()
    }

    report = check(store, case.guard, now=LATER)
    streamed = Counter((each.key, each.violation.fault) for each in streamed_by(store, case.guard, now=LATER))
    found = store.assess(job, lambda: LATER, 1000)

    assert HOW_MANY == report.records == len(rows)
    assert faults == Counter(report.faults)
    assert sum(map(bool, verdicts.values())) == report.broken
    assert open_ == Counter({(p, why): n for p, whys in report.undecided.items() for why, n in whys.items()})
    assert causes == Counter({(f, why): n for f, whys in report.fields.items() for why, n in whys.items()})
    assert Counter((key, v.fault) for key, each in verdicts.items() for v in each) == streamed
    assert all(each.violation.fault in {v.fault for v in verdicts[each.key]} for each in report.samples)
    assert Counter(m.candidate for m in mends.values() if m is not None) == Counter(found.mendable)
    assert {key for key, m in mends.items() if m is None} == set(found.unrepairable_samples)
    assert {key for key, m in mends.items() if m is not None} == {each.key for each in found.samples}
    for each in found.samples:
        wanted = mends[each.key]
        assert wanted is not None
        assert "float" in case.kinds.values() or alike(wanted.after, each.after)
        assert str(case.repair.candidates[wanted.candidate]) == each.candidate


def mended(store: MysqlStore, case: Case, rows: Mapping[Any, Record], user: Any, name: str) -> None:
    """What is written is what the predicate would have, and can be taken back."""
    job = Job.of(case.guard, case.repair, case.encodings, PINNED)
    moment = Moment.at(PINNED)
    wanted = {
        key: found.after
        for key, record in rows.items()
        if job.broken(record, moment)
        and (found := mend(record, case.repair, case.guard, job.encodings, moment, PINNED)) is not None
    }
    before = ask(user, f"SELECT * FROM {name} ORDER BY 1")
    target = case.repair.field
    try:
        run = backfill(store, case.guard, case.repair, now=PINNED)
    except TooManyFailures:
        run = store.ledger.runs(store.name)[-1]
    after = rows_of(store)
    aside = {each.key for each in store.ledger.quarantined(run)} if run.id is not None else set()
    for key, record in rows.items():
        assert all(alike(record[each], after[key][each]) for each in record if each != target)
        if key in wanted and key not in aside and run.finished:
            assert alike(wanted[key], after[key][target]), (record, wanted[key], after[key][target])
        elif key not in wanted or key in aside:
            assert alike(record[target], after[key][target])
    assert not wanted or run.counts.changed + len(aside) == len(wanted) or not run.finished
    if not run.counts.changed:
        return
    assert run.counts.changed == len(store.ledger.changes(run))
    assert all(
        alike(rows[change.key][target], change.before) and alike(after[change.key][target], change.after)
        for _, change in store.ledger.changes(run)
    )

    back = rollback(store, now=PINNED)

    assert ("complete", run.counts.changed) == (back.status, back.counts.changed)
    assert before == ask(user, f"SELECT * FROM {name} ORDER BY 1")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "longtext"])
def test_spoken(place: tuple[str, Any], kind: str) -> None:
    """
    The usual guard is judged by the server itself, over columns of every kind but text.
    """
    encodings = Encoding.parse(KINDS[kind].forms[0])
    names = ("updatedAt", "createdAt")
    case = Case(GUARD, dict.fromkeys(names, encodings), dict.fromkeys(names, kind), REPAIR, "t", [])
    with table(place, case) as (store, _):
        assert store._sql(Job.of(GUARD, REPAIR, encodings, PINNED))
