"""
Damaged and hostile files of JSON: read as Python's own parser reads them or refused, and no byte changes but those of
the values that are mended.
"""

from __future__ import annotations

import io
import json
import os
import random
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

import pytest
from attrs import frozen

from timestamp_guard import (
    NOW,
    Field,
    Repair,
    backfill,
    by,
    check,
    in_order,
    present,
    reread,
    rollback,
    updated_at_guard,
)
from timestamp_guard.errors import StoreError, TimestampGuardError
from timestamp_guard.instants import ABSENT, Raw, parse_instant, to_datetime
from timestamp_guard.job import Job
from timestamp_guard.predicate import CODES
from timestamp_guard.predicate import violations as judged
from timestamp_guard.repairs import MISSING, Mend, mend, needs
from timestamp_guard.rules import Moment
from timestamp_guard.stores import tables
from timestamp_guard.stores.base import same
from timestamp_guard.stores.json import blocks as stretches
from timestamp_guard.stores.json import undoing
from timestamp_guard.stores.json.blocks import BOM, Shape, blocks, shape_of, tables_of
from timestamp_guard.stores.json.codec import Codec
from timestamp_guard.stores.json.folder import Record
from timestamp_guard.stores.json.patching import Filling, read_for
from timestamp_guard.stores.json.replace import Replacement
from timestamp_guard.stores.json.splice import NotJson, path_of, value_of
from timestamp_guard.stores.json.store import JsonStore

HOW_MANY: Final = 20_000
"""Inputs of every run of the tests."""

HOW_LONG: Final = int(os.environ.get("TIMESTAMP_GUARD_FUZZ", "1000000"))
"""Inputs of `nox -s fuzz`."""

PRESENT: Final = parse_instant("2024-06-01T12:00:00Z")
MOMENT: Final = Moment(PRESENT, PRESENT)
DAY: Final = timedelta(days=1)


# -- what Python reads ------------------------------------------------------------------------------------------


@frozen
class Number:
    """A number as it is written."""

    text: str


class Object(tuple[tuple[str, Any], ...]):
    """All members of an object, in order, those with the same key too."""

    __slots__ = ()


Found: TypeAlias = list[tuple[Any, Object]]
"""Records, each with what identifies it in its file."""


def no_constant(word: str) -> None:
    raise ValueError(word)


PARSER: Final = json.JSONDecoder(
    object_pairs_hook=Object, parse_int=Number, parse_float=Number, parse_constant=no_constant
)


def tree(text: bytes) -> Any:
    """
    Everything that Python's own parser sees of a text.

    Raises:
        ValueError: it is none.
    """
    return PARSER.decode(text.decode())


def plain(value: Any) -> Raw:
    """A value as Python usually reads it: of several members with the same key the last counts."""
    match value:
        case Number(text):
            digits = text.lstrip("-")  # of which Python itself reads no more than 4,300
            return float(text) if not digits.isdigit() else Decimal(text) if len(digits) > 4300 else int(text)
        case Object():
            return {key: plain(each) for key, each in value}
        case list():
            return [plain(each) for each in value]
        case _:
            return value


def last(record: Any, key: str) -> Any:
    """What counts of the members that are called so."""
    return (
        next((value for name, value in reversed(record) if name == key), ABSENT)
        if isinstance(record, Object)
        else ABSENT
    )


def at(record: Object, name: str) -> Any:
    here: Any = record
    for part in path_of(name):
        here = last(here, part)
    return here


def changed(record: Object, path: Sequence[str], value: Any) -> Object | None:
    """*record* with *value* at *path*; None where there is no object that it would be in."""
    name, *rest = path
    index = max((index for index, (key, _) in enumerate(record) if key == name), default=len(record))
    if rest:
        value = changed(record[index][1], rest, value) if isinstance(last(record, name), Object) else None
        if value is None:
            return None
    return Object([*record[:index], (name, value), *record[index + 1 :]])


def records_in(data: bytes, shape: Shape, table: str | None) -> Found:
    """
    The records of a file, by Python's own parser.

    Raises:
        ValueError: it is no JSON, or holds something else.
    """
    text = data.removeprefix(BOM)
    values: Any
    if shape == "lines":
        texts = [line.strip(b" \t\r") for line in text.split(b"\n")]
        values = [tree(line) for line in texts if line]
    else:
        values = tree(text)
    if shape == "tables":
        values = last(values, cast("str", table))
    if shape == "record":
        values = [values]
    found: Found = list(values) if isinstance(values, Object) else [*enumerate(values, 1)]
    if not all(isinstance(record, Object) for _, record in found):
        msg = "something else than records"
        raise ValueError(msg)
    return found


def with_records(data: bytes, shape: Shape, table: str | None, found: Found) -> Any:
    """All that Python reads of a file, with other records in it."""
    plain_records: Any = [record for _, record in found]
    if shape in {"lines", "array"}:
        return plain_records
    whole = tree(data.removeprefix(BOM))
    if shape == "record":
        return plain_records[0]
    if shape == "members":
        return Object(found)
    inner = Object(found) if isinstance(last(whole, cast("str", table)), Object) else plain_records
    return changed(whole, [cast("str", table)], inner)


# -- what is to be done -----------------------------------------------------------------------------------------


@frozen
class Work:
    """A job, and what reads and fills for it: made once, for that takes longer than to fill a file."""

    job: Job
    filling: Filling

    @classmethod
    def of(cls, job: Job) -> Work:
        names, also = read_for(job)
        return cls(job, Filling(job, Codec(names, also=also)))

    def mends(self, record: Object) -> Mend | None:
        """What the repair says of a record, by the predicate."""
        job, names = self.job, needs(self.job.repair, self.job.guard) or tuple(self.job.encodings)
        read = {name: value for name in names if (value := plain(at(record, name))) is not ABSENT}
        broken = {each.code for each in judged(read, job.guard, job.encodings, MOMENT) if each.field == job.field}
        return mend(read, job.repair, job.guard, job.encodings, MOMENT, PRESENT) if broken & job.repair.codes else None


USUAL: Final = updated_at_guard("updatedAt", "createdAt")
JOBS: Final = {
    "copy": Job.of(USUAL, Repair("updatedAt", ("createdAt",)), "epoch_ms", PRESENT),
    "several": Job.of(
        USUAL,
        Repair("updatedAt", (reread("updatedAt", "epoch_s"), Field("createdAt") + DAY, "createdAt", NOW), CODES),
        "epoch_ms",
        PRESENT,
    ),
    "text": Job.of(USUAL, Repair("updatedAt", ("createdAt", NOW)), "rfc3339", PRESENT),
    "mixed": Job.of(
        USUAL, Repair("updatedAt", ("createdAt",), MISSING), {"updatedAt": "epoch_ms", "createdAt": "rfc3339"}, PRESENT
    ),
    "nested": Job.of(
        present("meta.updatedAt") & in_order("createdAt", "meta.updatedAt"),
        Repair("meta.updatedAt", ("createdAt",)),
        "epoch_ms",
        PRESENT,
    ),
    "function": Job.of(
        USUAL,
        Repair("updatedAt", (by("always", lambda _: to_datetime(PRESENT)),), {"null", "missing", "out_of_order"}),
        "epoch_ms",
        PRESENT,
    ),
}


# -- files ------------------------------------------------------------------------------------------------------

CREATED: Final = (
    "1700000000000", "1700000000000", "1700000000000", "1700000000000", "1.7e12", "1700000000000.0", "1700000000001", "null",
    '"2023-11-14T22:13:20Z"', '"2023-11-14T22:13:20Z"', r'"2023-11-14T22:13:20\u005a"', "1700000000", "9" * 4400,
)  # fmt: skip
UPDATED: Final = (
    "null", "null", "null", "null", "1700000000000", "1700000000000", "0", "-1", "-0", "0.0", "1700000000", "1e400", "true",
    '""', '"2023-11-14T22:13:20Z"', '"1970-01-01T00:00:00Z"', "1600000000000", "{}", '{"a":\t[1]}', '{"a":\r1}', "[null]", "99999999999999",
    r'"\ud800"', '"é\\n"', "1" * 4400,
)  # fmt: skip
SPREAD: Final = ('{"a":\n[1]}', "[\n]", '{\n\t"b": null\r\n}')
"""Values that are written over several lines."""

OTHERS: Final = (
    '"note":"\\"updatedAt\\":null"', '"x":{"updatedAt":null}', '"x":[{"updatedAt": null}]', '"\\"updatedAt":null', '"n":1E400',
    '"meta":{}', '"meta":{}', '"meta":{"updatedAt":null}', '"meta":{"a": 1, "updatedAt": null}', '"meta":{"a":1}', '"meta":{"updatedAt":1700000000000,"createdAt":3}', '"meta":null', '"meta":[{}]',
    '"meta":{"a":{"b":1},"updatedAt":0 }', '"meta" :{ "updatedAt" : null ,\t"updatedAt": null}', '"meta.updatedAt":null', '"":{}',
    '"s":"},{"', '"s":"]}"', '"s":"\\\\"', '"s":"\\u0000\\ud800\\/"', '"é":"日本\U0001f600"', '"u\\u0070datedAt":null', '"l":[]',
    '"updatedAt":null', '"createdAt":1700000000000', '"a":-0.0e-0', '"a":[[[{"b":[{}]}]]]', '"a":{}', '"a\\ud800":1', '"d":' + "9" * 4400,
)  # fmt: skip
KEYS: Final = {
    "createdAt": ('"createdAt"', '"createdAt"', '"createdAt"', '"cre\\u0061tedAt"'),
    "updatedAt": ('"updatedAt"', '"updatedAt"', '"updatedAt"', '"\\u0075pdatedAt"'),
}
SPACES: Final = ("", " ", "  ", "\t", "\r")
STYLES: Final = ((",", ":"), (",", ":"), (",", ":"), (", ", ": "), (", ", ": "), (" , ", " : "), (",\t", " :"), None)


def record(chance: random.Random, *, line: bool, alike: bool) -> str:
    """A record; of many that are *alike* one may be taken for the other."""
    members: list[tuple[str, str]] = []
    if chance.random() < 0.9:
        members.append((chance.choice(KEYS["createdAt"]), chance.choice(CREATED[:4] if alike else CREATED)))
    if chance.random() < 0.8:
        members.append(
            (
                chance.choice(KEYS["updatedAt"]),
                chance.choice(UPDATED[2:6] if alike else UPDATED if line else (*UPDATED, *SPREAD)),
            )
        )
    for _ in range(chance.choice((0, 0, 1, 1, 2, 3))):
        key, _, value = chance.choice(OTHERS[1:4] if alike else OTHERS).partition(":")
        members.append((key, value))
    if chance.random() < 0.4:
        chance.shuffle(members)
    style = chance.choice(STYLES)
    if style is not None:
        return "{" + style[0].join(f"{key}{style[1]}{value}" for key, value in members) + "}"
    spaces = SPACES if line else (*SPACES, "\n", "\n  ")
    parts = ["{"]
    for number, member in enumerate(members):
        parts += [",", chance.choice(spaces)] if number else [chance.choice(spaces)]
        parts += [member[0], chance.choice(spaces), ":", chance.choice(spaces), member[1], chance.choice(spaces)]
    return "".join([*parts, chance.choice(spaces), "}"])


def file(chance: random.Random) -> tuple[bytes, bool]:
    """A file that holds records in one form or another, and whether it is JSON Lines."""
    form = chance.choice(("lines", "lines", "lines", "array", "array", "members", "tables", "record"))
    alike = chance.random() < 0.3
    found = [record(chance, line=form == "lines", alike=alike) for _ in range(chance.choice((0, 1, 1, 2, 2, 3, 4, 8)))]
    space = chance.choice(("", "", " ", "\n", "\r\n\t"))
    ids = [
        f'"{chance.choice(("a", "b", "é", "", "1"))}{number // 2 if not number % 5 else number}"'
        for number in range(len(found))
    ]
    by_id = "{" + f",{space}".join(f"{key}:{each}" for key, each in zip(ids, found, strict=True)) + space + "}"
    match form:
        case "lines":
            end = chance.choice(("\n", "\n", "\r\n", "\n\n", " \n"))
            text = "".join(each + end for each in found)
            text = text.rstrip() if chance.random() < 0.3 else text
        case "array":
            text = f"[{space}" + f"{space},{space}".join(found) + f"{space}]{space}"
        case "members":
            text = by_id
        case "tables":
            one = by_id if chance.random() < 0.5 else f"[{space}" + f",{space}".join(found) + "]"
            text = f'{{"t":{space}[{{"updatedAt":null}}],"r"{space}:{one},{space}"o":{{}}}}'
        case _:
            text = space + record(chance, line=False, alike=False)
    return (BOM if chance.random() < 0.1 else b"") + text.encode(), form == "lines"


PIECES: Final = (
    b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\n", b"\r", b" ", b"\t", b"\x00", b"\x0b", b"\xff", b"\xc3", b"\xed\xa0\x80",
    BOM, b"null", b"NaN", b"-", b"0", b"1e5", b".", b"{}", b"[]", b'""', b"\\u", b"\\ud800", b'"updatedAt":null', b",{}", b"{},",
    b'"updatedAt":null,', b"},{", b"/*", b'{"updatedAt":null}', b"\xc2\x85", b"\xe2\x80\xa8", b"Infinity", b"\\q",
)  # fmt: skip


def damaged(data: bytes, chance: random.Random) -> bytes:
    """A file after a few accidents, or after none."""
    found = bytearray(data)
    for _ in range(chance.choice((0, 0, 0, 1, 1, 1, 1, 2, 3))):
        here, there = sorted((chance.randint(0, len(found)), chance.randint(0, len(found))))
        match chance.randrange(11):
            case 0 if found:
                found[min(here, len(found) - 1)] ^= 1 << chance.randrange(8)
            case 1 if found:
                found[min(here, len(found) - 1)] = chance.choice(chance.choice(PIECES))
            case 2:
                del found[here : here + 1]
            case 3:
                del found[here:there]
            case 4:
                del found[there:]
            case 5:
                found[here:here] = found[here:there]
            case 6:
                found[there:there] = found[here : here + 30]
            case 7 | 8 if (end := found.find(b"\n", here)) >= 0:  # two lines as one, or one as two
                found[end : end + 1] = chance.choice((b"", b" ", b",", b"\n\n", b"\r"))
            case _:
                found[here:here] = chance.choice(PIECES)
    return bytes(found)


# -- one input --------------------------------------------------------------------------------------------------


class Collected:
    """Stands where a file would be written."""

    def __init__(self) -> None:
        self.data, self.was = b"", b""

    def write(self, data: bytes, was: bytes) -> None:
        self.data += data
        self.was += was


def readable(data: bytes, shape: Shape | None, table: str | None) -> bool:
    """Whether Python's own parser reads a file, and finds records in it."""
    try:
        if shape is None:
            return isinstance(tree(data.removeprefix(BOM)), (list, Object))
        records_in(data, shape, table)
    except ValueError:
        return False
    return True


def filled(data: bytes, work: Work, shape: Shape, table: str | None) -> tuple[bytes, list[Record]]:
    """What a run makes of a file, and what it writes down: the one place that knows how the store does it."""
    new, lines, number = b"", b"", 0
    for block in blocks(io.BytesIO(data), shape, table=table):
        count, patched = work.filling.patch(block, number, MOMENT, len(new))
        new += block.data if patched is None else patched.data
        lines += b"" if patched is None else patched.lines
        number += count
    return new, [Record.of(line) for line in io.BytesIO(lines)]


def taken_back(data: bytes, records: Sequence[Record]) -> bytes:
    there = Collected()
    spans = ((each.at, each.length, each.before or b"") for each in records)
    restored = undoing.exactly(io.BytesIO(data), spans, cast("Replacement", there))

    assert (len(records), data) == (restored, there.was)
    return there.data


def proved(data: bytes, new: bytes, records: Sequence[Record], work: Work, shape: Shape, table: str | None) -> None:
    """What was made of *data* is what the repair says, by Python's own parser, and nothing else."""
    before, path = records_in(data, shape, table), path_of(work.job.field)
    wanted: Found = []
    keys: list[Any] = []
    after = records_in(new, shape, table)

    assert len(before) == len(after)
    for (key, record_), (_, other) in zip(before, after, strict=True):
        mended = work.mends(record_)
        value = at(other, work.job.field)
        made = None if mended is None else changed(record_, path, value)
        if mended is not None and made is not None:
            assert same(mended.after, plain(value))
            keys.append(key)
        wanted.append((key, record_ if made is None else made))
    assert with_records(data, shape, table, wanted) == with_records(new, shape, table, after)
    assert keys == [value_of(record_.key) for record_ in records]


def spans_hold(data: bytes, new: bytes, records: Sequence[Record], name: str) -> None:
    """Each place that is written down holds the value, or the member with its comma, and no more."""
    done = 0
    for each in records:
        there = new[each.at : each.at + each.length]
        assert done <= each.at
        done = each.at + each.length
        if each.before is not None:
            assert each.after == there
        else:
            assert Object([(name, tree(each.after))]) == tree(b"{" + there.removeprefix(b",") + b"}")
            assert there.endswith(each.after)
    kept = len(new) - sum(each.length for each in records)
    assert kept == len(data) - sum(len(each.before or b"") for each in records)


def tried(data: bytes, work: Work, chance: random.Random, *, lines: bool) -> str:
    """Fill a file and take that back: what became of it."""
    shape: Shape | None = "lines" if lines else None
    table = None
    try:
        shape = shape or shape_of(io.BytesIO(data))
        table = chance.choice(list(tables_of(data))) if shape == "tables" else None
        new, records = filled(data, work, shape, table)
    except NotJson as problem:
        assert 0 <= problem.at <= len(data)
        assert not readable(data, shape, table), "what Python reads was refused"
        return "refused"
    spans_hold(data, new, records, path_of(work.job.field)[-1])

    assert data == taken_back(new, records)
    if not readable(data, shape, table):
        assert shape == "tables", "what Python does not read was taken for records"  # other tables are not looked into
        return "other tables"
    proved(data, new, records, work, shape, table)
    return "changed" if records else "sound"


def search(inputs: Iterable[int]) -> Counter[str]:
    """Try many files, each made out of its number."""
    works = [Work.of(job) for job in JOBS.values()]
    outcomes: Counter[str] = Counter()
    with pytest.MonkeyPatch.context() as patch:
        for number in inputs:
            chance = random.Random(number)
            data, lines = file(chance)
            data = damaged(data, chance)
            lines = lines if chance.random() < 0.97 else not lines
            patch.setattr(stretches, "SIZE", chance.choice((2**20, 2**20, chance.randint(3, 200))))
            patch.setattr(undoing, "SIZE", chance.choice((2**20, chance.randint(1, 200))))
            work = chance.choice(works)
            work.filling.quarantined.clear()
            try:
                outcomes[tried(data, work, chance, lines=lines)] += 1
            except Exception as problem:
                problem.add_note(f"input {number}, {lines=}, {stretches.SIZE=}, {work.job.repair}: {data!r}")
                raise
    return outcomes


@pytest.mark.parametrize("part", range(4))
def test_files(part: int) -> None:
    """
    Of 20,000 files what Python reads is filled as the repair says and what it does not read is refused; nothing else
    changes, and all of it can be taken back.
    """
    outcomes = search(range(part, HOW_MANY, 4))

    assert HOW_MANY // 4 == outcomes.total()
    assert all(outcomes[each] > HOW_MANY // 40 for each in ("refused", "sound", "changed")), outcomes


@pytest.mark.fuzz
def test_many_files() -> None:
    """
    The same for as many as are asked for, other ones each time.
    """
    began = random.SystemRandom().randrange(10**6, 10**12)

    assert search(range(began, began + HOW_LONG)).total() == HOW_LONG


# -- on the disk ------------------------------------------------------------------------------------------------

ON_DISK: Final = 900
"""Files that are written and replaced by the store itself, which is slower."""


@pytest.mark.parametrize("job", JOBS)
def test_store(tmp_path: Path, job: str) -> None:
    """
    The store fills a file on the disk and gives its bytes back, or refuses it and leaves it alone.
    """
    work, path = Work.of(JOBS[job]), tmp_path / "records.json"
    outcomes: Counter[str] = Counter()
    for number in range(HOW_MANY, HOW_MANY + ON_DISK // len(JOBS)):
        chance = random.Random(f"{job} {number}")
        data, lines = file(chance)
        data = damaged(data, chance)
        path.write_bytes(data)
        try:
            with opened(path, work, lines=lines) as store:
                run = backfill(store, work.job.guard, work.job.repair, now=PRESENT)
                records = list(store.ledger.records(run)) if run.id else []
                shape, table = store.shape, store.name
        except TimestampGuardError:
            assert data == path.read_bytes()
            outcomes["refused"] += 1
            continue
        new = path.read_bytes()
        with opened(path, work, lines=lines) as store:
            back = rollback(store, now=PRESENT)

        assert len(records) == run.counts.changed == back.counts.changed
        assert data == path.read_bytes()
        if readable(data, shape, table):
            proved(data, new, records, work, shape, table)
        outcomes["changed" if records else "sound"] += 1
        shutil.rmtree(path.with_name("records.json.timestamp-guard"), ignore_errors=True)

    assert all(outcomes[each] > 3 for each in ("refused", "sound", "changed")), outcomes


def opened(path: Path, work: Work, *, lines: bool, key: str | None = None) -> JsonStore:
    found = tables(f"json:{path}") if not lines else []
    table = found[-1] if len(found) > 1 else None
    return JsonStore(str(path), table, encodings=work.job.encodings, key=key, lines=lines)


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("lines", [True, False], ids=["lines", "array"])
def test_by_key(tmp_path: Path, job: str, *, lines: bool) -> None:
    """
    Where others have added records since, those that were filled are found by their key and given back byte by byte.
    """
    work, path = Work.of(JOBS[job]), tmp_path / "records.json"
    for number in range(ON_DISK // len(JOBS) // 5):
        chance = random.Random(f"{job} {number} {lines}")
        found = [record(chance, line=lines, alike=chance.random() < 0.5) for _ in range(chance.randint(1, 5))]
        keyed = [
            f'{{"id":{place}' + ("," if tree(each.encode()) else "") + each[1:] for place, each in enumerate(found)
        ]
        keyed.append('{"id":"all fields","createdAt":null,"updatedAt":[],"meta":{"updatedAt":1}}')
        other = '{"id":-1,"createdAt":1}'
        text = "\n".join(keyed) if lines else f"[{' , '.join(keyed)}]"
        added = f"{other}\n{text}" if lines else f"[{other},{text[1:]}"
        path.write_bytes(text.encode())
        with opened(path, work, lines=lines, key="id") as store:
            run = backfill(store, work.job.guard, work.job.repair, now=PRESENT)
        new = path.read_bytes().decode()
        path.write_bytes((f"{other}\n{new}" if lines else f"[{other},{new[1:]}").encode())
        with opened(path, work, lines=lines, key="id") as store:
            back = rollback(store, now=PRESENT)

        assert (run.counts.changed, 0) == (back.counts.changed, back.counts.refused)
        assert added.encode() == path.read_bytes()
        shutil.rmtree(path.with_name("records.json.timestamp-guard"), ignore_errors=True)


# -- what was found ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '{<both>,"x":{"updatedAt":null}}\n{<created>,"updatedAt" : <null>}\n',
        '{<both>,"\\"updatedAt":null}\n{<created>,"\\u0075pdatedAt":<null>}\n',
        '{"updatedAt": null,<both>}\n{<created>,"updatedAt"\t:<null>}',
        '{<created>,"updatedAt" :<null>}\n{<both>,"x":[{"updatedAt": null}]}\n',
        '{<created>,"updatedAt":<null>,"x":{"updatedAt":null}}\n{<created>,"updatedAt" :<null>}\n',
        '{<created>,"updatedAt":null,"updatedAt":<null>}\n{<created>,"x":{"updatedAt":null},"updatedAt" :<null>}\n',
        '[{<both>,"x":{"updatedAt":null}},{<created>,"updatedAt" : <null>}]',
        '[{<created>,"updatedAt": <null>,"x":{"updatedAt":null}}]',
        '{"a":{<created>,"updatedAt":1},"a":{<created>,"updatedAt":<null>,"x":{"updatedAt":null}}}',
        '{"a":{<created>,"updatedAt":<null>},"a":{<created>,"updatedAt":<null>}}',
        '{"a":[{<created>,"updatedAt":null}],"a":[{<created>,"updatedAt":<null>}]}',
        '{"a":[{<created>,"updatedAt":null}],"b":[],"a":[{<created>,"updatedAt":<null>},{<both>}]}',
        '{"updatedAt":null,<created>,"updatedAt" : <null>}',
        '{<created>.0,"updatedAt":<null>,<created>}',
    ],
)
def test_alike(tmp_path: Path, text: str) -> None:
    """
    What only looks like the field, in a record that is like the one to be filled, is not taken for it.
    """
    path, work = tmp_path / "records.json", Work.of(JOBS["copy"])
    text = text.replace("<both>", '<created>,"updatedAt":1700000000000').replace(
        "<created>", '"createdAt":1700000000000'
    )
    path.write_text(text.replace("<null>", "null"), "utf-8")
    lines = "\n" in text
    table = "a" if '"a":[' in text else None
    with JsonStore(str(path), table, encodings="epoch_ms", lines=lines) as store:
        run = backfill(store, work.job.guard, work.job.repair, now=PRESENT)

    assert ("complete", text.count("<null>")) == (run.status, run.counts.changed)
    assert text.replace("<null>", "1700000000000") == path.read_text("utf-8")


@pytest.mark.parametrize("text", ["[", "[{}", '{"a":{', "{}x", "[] []"])
@pytest.mark.parametrize("before", ["[{}]", '{"a":{}}', '{"a":{"b":{}}}', '{"a":1}'])
def test_cut_short_meanwhile(tmp_path: Path, before: str, text: str) -> None:
    """
    A file that somebody else damaged after it was opened is refused.
    """
    path = tmp_path / "records.json"
    path.write_text(before, "utf-8")
    with JsonStore(str(path), encodings="epoch_ms") as store:
        path.write_text(text, "utf-8")
        with pytest.raises(StoreError):
            check(store, present("updatedAt"), now=PRESENT)
