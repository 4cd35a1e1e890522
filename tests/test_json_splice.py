"""
One record as bytes, and a file as stretches of records: whatever the spelling, only the bytes of a value change.
"""

from __future__ import annotations

import io
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from timestamp_guard.errors import UsageError
from timestamp_guard.instants import ABSENT, Raw
from timestamp_guard.stores.convex.values import lines_of
from timestamp_guard.stores.json import blocks as stretches
from timestamp_guard.stores.json.blocks import Block, Shape, blocks, shape_of, tables_of
from timestamp_guard.stores.json.codec import Codec
from timestamp_guard.stores.json.splice import (
    Gap,
    Member,
    NotJson,
    Path,
    find,
    held,
    path_of,
    put,
    read,
    take,
    value_of,
    written,
)

BOM: Final = b"\xef\xbb\xbf"


# -- what Python reads ------------------------------------------------------------------------------------------


@frozen
class Number:
    """A number as it is written."""

    text: str


class Object(tuple[tuple[str, Any], ...]):
    """All members of an object, in order, those with the same key too."""

    __slots__ = ()


def tree(text: bytes) -> Any:
    """Everything that Python's own parser sees of a text."""
    return json.loads(text.decode(), object_pairs_hook=Object, parse_int=Number, parse_float=Number)


def changed(record: Object, path: Path, value: Any) -> Object | None:
    """*record* with *value* at *path*: in place of the last member of that name, or as a new one at the end."""
    name, *rest = path
    places = [index for index, (key, _) in enumerate(record) if key == name]
    if rest:
        inner = record[places[-1]][1] if places else None
        value = changed(inner, tuple(rest), value) if isinstance(inner, Object) else None
        if value is None:
            return None
    if not places:
        return Object([*record, (name, value)])
    return Object([*record[: places[-1]], (name, value), *record[places[-1] + 1 :]])


def without(record: Object, path: Path) -> Object:
    """*record* without the last member at *path*."""
    name, *rest = path
    last = max(index for index, (key, _) in enumerate(record) if key == name)
    there = [(name, without(record[last][1], tuple(rest)))] if rest else []
    return Object([*record[:last], *there, *record[last + 1 :]])


def whole(digits: str) -> int | Decimal:
    """A whole number of any length: Python itself reads no more than 4,300 digits."""
    return int(digits) if len(digits) < 4300 else Decimal(digits)


def plain(text: bytes) -> Any:
    """A text as Python's own parser reads it, where the last of several members with the same key counts."""
    return json.loads(text.decode(), parse_int=whole)


# -- hostile spelling -------------------------------------------------------------------------------------------

FIELDS: Final = (
    "updatedAt",
    "meta",
    'quo"te',
    "b\\s",
    "é",
    "日本\U0001f600",
    "",
    "\ud800",
    "a.b",
    "new\nline",
    "\x00",
    " ",
)
KEYS: Final = (
    *FIELDS, "updatedAt", "updatedAt", "meta", "updatedat", "updatedAt ", '"updatedAt', 'updatedAt":null', "updatedAt\\",
    '\\"updatedAt', "},{", "}", "{", "]", "[", ",", ":", "\\", '"', "\\u0075pdatedAt", "a", "null", "\ufeff", "\u2028",
)  # fmt: skip
TEXTS: Final = (
    *KEYS,
    '{"updatedAt":null}',
    '":null',
    '"updatedAt":null,',
    "},{",
    "}]",
    "]}",
    "// \\\\",
    "/*",
    "\udfff",
    "\x7f",
)
NUMBERS: Final = (
    "0", "-0", "1", "-1", "1E3", "1e+3", "1.0E-3", "-0.0", "0e0", "0E+0", "-0e-0", "1e400", "-1e400", "1e-400", "0.1e+01",
    "1700000000000", "1.7e12", "1700000000000.000", "9007199254740993", "18446744073709551616", "1" + "0" * 400,
    "9" * 5000, "-" + "9" * 5000, "0." + "3" * 5000, "1" + "0" * 4300 + ".5",
)  # fmt: skip
SPACES: Final = ("", "", "", " ", "\t", "\r", "\n", " \n\t\r ", "  ")
SHORT: Final = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\", "/": "\\/"}


def escaped(letter: str, *, upper: bool) -> str:
    """A letter as `\\uXXXX`, twice that where it needs a pair of them."""
    units = letter.encode("utf-16-be", "surrogatepass")
    codes = [f"{int.from_bytes(units[at : at + 2], 'big'):04x}" for at in range(0, len(units), 2)]
    return "".join("\\u" + (code.upper() if upper else code) for code in codes)


@st.composite
def spellings(draw: st.DrawFn, text: str) -> str:
    """A text in JSON: each letter as it is, or escaped in one way or the other."""
    ways = draw(st.integers(0, 5 ** len(text) - 1)) if draw(st.booleans()) else 0
    parts = []
    for letter in text:
        ways, way = divmod(ways, 5)
        bare = letter >= " " and letter not in '"\\' and not "\ud800" <= letter <= "\udfff"
        if way < 2 and bare:
            parts.append(letter)
        elif way < 3 and letter in SHORT:
            parts.append(SHORT[letter])
        else:
            parts.append(escaped(letter, upper=way == 4))
    return f'"{"".join(parts)}"'


def strings() -> st.SearchStrategy[str]:
    return (st.sampled_from(TEXTS) | st.text(st.characters(), max_size=4)).flatmap(spellings)


def scalars() -> st.SearchStrategy[str]:
    numbers = st.sampled_from(NUMBERS) | st.from_regex(
        r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,4})?([eE][+-]?[0-9]{1,3})?", fullmatch=True
    )
    return st.one_of(numbers, strings(), st.sampled_from(("null", "null", "true", "false")))


@frozen
class Spaces:
    """White space, other each time."""

    choices: Sequence[str]
    chosen: Iterator[int]

    @classmethod
    def of(cls, seed: int, *, line: bool) -> Spaces:
        choices = [each for each in SPACES if not (line and "\n" in each)]
        return cls(choices, (seed >> 3 * place for place in range(10**6)))

    def __call__(self) -> str:
        return self.choices[next(self.chosen) % len(self.choices)]


def spaces(*, line: bool) -> st.SearchStrategy[Spaces]:
    """None at all in half of the cases."""
    return (st.just(0) | st.integers(0, 2**90)).map(lambda seed: Spaces.of(seed, line=line))


def listed(space: Spaces, parts: Sequence[str]) -> str:
    return ",".join(f"{space()}{part}{space()}" for part in parts) or space()


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[str], *, line: bool) -> str:
    space = draw(spaces(line=line))
    keys = st.sampled_from(KEYS) | st.text(st.characters(), max_size=3)
    members = [f"{draw(spellings(draw(keys)))}{space()}:{space()}{draw(inner)}" for _ in range(draw(st.integers(0, 4)))]
    return f"{{{listed(space, members)}}}"


@st.composite
def arrays(draw: st.DrawFn, inner: st.SearchStrategy[str], *, line: bool) -> str:
    return f"[{listed(draw(spaces(line=line)), draw(st.lists(inner, max_size=3)))}]"


def values(*, line: bool = False, depth: int = 2) -> st.SearchStrategy[str]:
    """Any value, on one line or not."""
    if not depth:
        return scalars()
    inner = values(line=line, depth=depth - 1)
    return st.one_of(scalars(), scalars(), objects(inner, line=line), arrays(inner, line=line))


def records(*, line: bool = False) -> st.SearchStrategy[bytes]:
    """An object of any members."""
    return objects(values(line=line), line=line).map(str.encode)


@st.composite
def paths(draw: st.DrawFn, record: bytes) -> Path:
    """A field that is in the record, in an object of it, or that is not there."""
    here, path = tree(record), [draw(st.sampled_from(FIELDS))]
    while isinstance(here, Object) and here and draw(st.integers(0, 4)):
        name, here = draw(st.sampled_from(here))
        path[-1:] = [name, path[-1]]
    return tuple(path[:-1] if len(path) > 1 and draw(st.integers(0, 4)) else path)


# -- one record -------------------------------------------------------------------------------------------------


@frozen
class Case:
    """A record that stands between other bytes, and a field of it."""

    lead: bytes
    record: bytes
    path: Path
    value: bytes

    @property
    def data(self) -> bytes:
        return self.lead + self.record


@st.composite
def cases(draw: st.DrawFn) -> Case:
    lead = draw(st.sampled_from((b"", b" ", b'[{"updatedAt":1}, ', b'{"a":')))
    record = draw(records())
    return Case(lead, record, draw(paths(record)), draw(values(depth=1)).encode())


def found(case: Case) -> Member | Gap | None:
    return find(case.data, len(case.lead), case.path)


class TestRecord:
    @given(cases())
    def test_put(self, case: Case) -> None:
        """
        Only the bytes of the value change, and everything else reads as it did; there is no place only where there is no
        object that the field could be in.
        """
        before, place = tree(case.record), found(case)
        after = changed(before, case.path, tree(case.value))
        if place is None:
            assert after is None
            return
        new = put(case.data, place, case.path[-1], case.value)
        start, end = (place.start, place.end) if isinstance(place, Member) else (place.at, place.at)
        rest = len(case.data) - end

        assert case.data[:start] == new[:start]
        assert case.data[end:] == new[len(new) - rest :]
        assert isinstance(place, Gap) or case.value == new[start : len(new) - rest]
        assert after == tree(new[len(case.lead) :])

    @given(cases())
    def test_put_is_found(self, case: Case) -> None:
        """
        What was put is found where it was put, and reads as what was put.
        """
        place = found(case)
        if place is None:
            return
        new = put(case.data, place, case.path[-1], case.value)
        again = find(new, len(case.lead), case.path)

        assert isinstance(again, Member)
        assert case.value == new[again.start : again.end]
        assert repr(plain(case.value)) == repr(held(new, again))

    @given(cases())
    def test_take_what_was_put(self, case: Case) -> None:
        """
        A field that was not there, put and taken away again, leaves every byte as it was.
        """
        place = found(case)
        if not isinstance(place, Gap):
            return
        new = put(case.data, place, case.path[-1], case.value)
        member = find(new, len(case.lead), case.path)

        assert isinstance(member, Member)
        assert case.data == take(new, member)

    @given(cases())
    def test_take(self, case: Case) -> None:
        """
        A member that is taken away is gone, and all others read as they did.
        """
        member = found(case)
        if not isinstance(member, Member):
            return

        assert without(tree(case.record), case.path) == tree(take(case.data, member)[len(case.lead) :])

    @given(cases())
    def test_held(self, case: Case) -> None:
        """
        A field holds what Python's own parser reads, and ABSENT where it reads none.
        """
        here: Any = plain(case.record)
        for name in case.path:
            here = here.get(name, ABSENT) if isinstance(here, dict) else ABSENT

        assert repr(here) == repr(held(case.data, found(case)))

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("{}", '{"x":1}'),
            ("{ }", '{"x":1 }'),
            ('{"a":2}', '{"a":2,"x":1}'),
            ('{"a": 2}', '{"a": 2, "x": 1}'),
            ('{ "a" : 2 }', '{ "a" : 2, "x" : 1 }'),
            ('{"a":2,"b":3}', '{"a":2,"b":3,"x":1}'),
            ('{"a": 2, "b": 3}', '{"a": 2, "b": 3, "x": 1}'),
            ('{\n  "a": 2\n}', '{\n  "a": 2,\n  "x": 1\n}'),
            ('{\n\t"a": 2,\n\t"b": {"c":3}\n}', '{\n\t"a": 2,\n\t"b": {"c":3},\n\t"x": 1\n}'),
            ('{"a": {}}', '{"a": {}, "x": 1}'),
        ],
    )  # fmt: skip
    def test_style(self, before: str, after: str) -> None:
        """
        A new member is spelled like the others of its object.
        """
        data = before.encode()
        place = find(data, 0, ("x",))

        assert isinstance(place, Gap)
        assert after == put(data, place, "x", b"1").decode()

    @pytest.mark.parametrize(
        "text",
        [
            "{", '{"a', '{"a"', '{"a"}', '{"a":}', '{"a":1', '{"a":1,', '{"a":1,}', '{"a":1 "b":2}', '{"a":{', '{"a":[1}',
            '{"a":"x}', "{,}", "{1:2}", "{'a':1}", '{"a":1,,"b":2}',
        ],
    )  # fmt: skip
    def test_what_does_not_end(self, text: str) -> None:
        """
        What is no object has no place for anything, wherever it breaks off, and the byte at which is told.
        """
        with pytest.raises(NotJson) as problem:
            find(text.encode(), 0, ("x",))

        assert 0 < problem.value.at <= len(text)


# -- values -----------------------------------------------------------------------------------------------------


def refused(text: bytes) -> bool:
    """Whether Python's own parser, told that there is no NaN, does not read a text."""

    def no_constant(word: str) -> None:
        raise ValueError(word)

    try:
        json.loads(text.decode(), parse_int=whole, parse_constant=no_constant)
    except ValueError:
        return True
    return False


class TestValues:
    @given(values())
    def test_read(self, text: str) -> None:
        """
        Any value reads as Python's own parser reads it.
        """
        assert repr(plain(text.encode())) == repr(read(text.encode()))
        assert repr(plain(text.encode())) == repr(value_of(text.encode()))

    @given(values(), st.data())
    def test_damaged(self, text: str, data: st.DataObject) -> None:
        """
        A text that was damaged is refused where Python's own parser refuses it, and only there; the byte at which is one
        of the text, or its end.
        """
        bad = bytearray(text.encode())
        at = data.draw(st.integers(0, len(bad) - 1))
        bad[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from(
                (b"", b",", b"}", b"]", b'"', b"\\", b"\x01", b"\xff", b"NaN", b"-", b".", b"0", b" ", b"\xed\xa0\x80")
            )
        )
        text_ = bytes(bad)
        if not refused(text_):
            assert repr(plain(text_)) == repr(read(text_))
            return
        with pytest.raises(NotJson) as problem:
            read(text_)

        assert 0 <= problem.value.at <= len(text_)

    @pytest.mark.parametrize(
        ("text", "at"),
        [
            (b"", 0),
            (b" ", 1),
            (b"nul", 0),
            (b'["\xe6\x97\xa5", x]', 8),
            (b'["\xff"]', 2),
            (b'{"NaN": [1, NaN]}', 12),
            (b'{"a": "\\q"}', 7),
            (b'{"a": 01}', 7),
            (b'{"a": 1} {', 9),
        ],
    )
    def test_where(self, text: bytes, at: int) -> None:
        """
        It is told at which byte a text is none.
        """
        with pytest.raises(NotJson) as problem:
            read(text)

        assert at == problem.value.at

    @pytest.mark.parametrize("text", [b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000])
    def test_deep(self, text: bytes) -> None:
        """
        What is nested too deeply for Python's parser is refused.
        """
        with pytest.raises(NotJson):
            read(text)

    def test_nonfinite(self) -> None:
        """
        NaN and Infinity are let through where that is asked for.
        """
        said = read(b"[NaN, Infinity, -Infinity]", nonfinite=True)

        assert "[nan, inf, -inf]" == repr(said)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters()),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=3), inner, max_size=3),
            max_leaves=8,
        )
    )  # fmt: skip
    def test_written(self, value: Raw) -> None:
        """
        What is written reads as it was, in one line.
        """
        token = written(value)

        # Two halves of a pair, one after the other, are one letter wherever JSON is read.
        assert json.dumps(value) == json.dumps(value_of(token))
        assert b"\n" not in token

    @pytest.mark.parametrize("number", ["9" * 5000, "-0.10", "1E+400", "12.50"])
    def test_written_decimal(self, number: str) -> None:
        """
        A number that Python keeps as it is written is written so.
        """
        assert number == written(Decimal(number)).decode()

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, b"x", {1}, range(3), ABSENT], ids=str)
    def test_not_written(self, value: Raw) -> None:
        """
        What JSON has no word for is refused.
        """
        with pytest.raises(UsageError, match="JSON has no"):
            written(value)


class TestPaths:
    @pytest.mark.parametrize(
        ("name", "path"),
        [
            ("updatedAt", ("updatedAt",)),
            ("meta.updatedAt", ("meta", "updatedAt")),
            ("a.b.c", ("a", "b", "c")),
            (r"a\.b", ("a.b",)),
            (r"a\.b.c", ("a.b", "c")),
            (r"a\\.b", ("a\\", "b")),
            (r"a\\b", ("a\\b",)),
            ("", ("",)),
            (" ", (" ",)),
        ],
    )
    def test_path(self, name: str, path: Path) -> None:
        """
        A dot leads into an object, and is one of a key behind a backslash.
        """
        assert path == path_of(name)

    @pytest.mark.parametrize("name", [".", "a.", ".a", "a..b"])
    def test_no_path(self, name: str) -> None:
        """
        A part that is empty is refused.
        """
        with pytest.raises(UsageError, match="a dot leads into an object"):
            path_of(name)


# -- files ------------------------------------------------------------------------------------------------------


class Patient(io.BytesIO):
    """A file that does not let itself be read for ever after its end."""

    ends = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.ends += not data

        assert self.ends < 10, "read on and on"
        return data


@frozen
class File:
    """What a file holds: its records as they are written, with their ids where it has any."""

    shape: Shape
    data: bytes
    records: Sequence[bytes]
    names: Sequence[str] | None = None
    table: str | None = None

    def blocks(self, at: int = 0) -> list[Block]:
        file = Patient(self.data)
        file.seek(at)
        return list(blocks(file, self.shape, table=self.table, at=at))


def array_of(space: Spaces, found: Sequence[bytes]) -> str:
    return f"[{listed(space, [record.decode() for record in found])}]"


@st.composite
def by_id(draw: st.DrawFn, space: Spaces, found: Sequence[bytes]) -> tuple[str, list[str]]:
    """An object of records, and their ids; one may be there twice."""
    ids = [draw(spellings(draw(st.sampled_from(KEYS)))) for _ in found]
    members = [f"{key}{space()}:{space()}{record.decode()}" for key, record in zip(ids, found, strict=True)]
    return f"{{{listed(space, members)}}}", [plain(key.encode()) for key in ids]


@st.composite
def lines(draw: st.DrawFn) -> File:
    found = draw(st.lists(records(line=True), max_size=6))
    space = draw(spaces(line=True))
    data = draw(st.sampled_from((b"", BOM)))
    for record in found:
        data += b"".join(draw(st.lists(st.sampled_from((b"\n", b"\r\n", b" \t\n")), max_size=2)))
        data += space().encode() + record + space().encode() + draw(st.sampled_from((b"\n", b"\n", b"\r\n")))
    data += draw(st.sampled_from((b"", b"", b"\n", b" ", b"\r\n\r\n")))
    if draw(st.booleans()) and found:
        data = data.rstrip(b" \t\r\n")
    return File("lines", data, found)


@st.composite
def arrays_of_records(draw: st.DrawFn) -> File:
    found, space = draw(st.lists(records(), max_size=6)), draw(spaces(line=False))
    bom = draw(st.sampled_from((b"", BOM)))
    return File("array", bom + f"{space()}{array_of(space, found)}{space()}".encode(), found)


@st.composite
def members(draw: st.DrawFn) -> File:
    found, space = draw(st.lists(records(), max_size=6)), draw(spaces(line=False))
    text, names = draw(by_id(space, found))
    bom = draw(st.sampled_from((b"", BOM)))
    return File("members", bom + f"{space()}{text}{space()}".encode(), found, names)


@st.composite
def tables(draw: st.DrawFn) -> File:
    """Several tables, of which the last that is called so counts."""
    found, space = draw(st.lists(records(), max_size=4)), draw(spaces(line=False))
    name = draw(st.sampled_from(FIELDS))
    names: list[str] | None = None
    if draw(st.booleans()):
        text = array_of(space, found)
    else:
        text, names = draw(by_id(space, found))
    before = draw(st.lists(st.sampled_from(("[]", "{}", '[{"a":1}]', '{"a":{"b":[1]}}', '[{"},{":"]"}]')), max_size=2))
    others = [f"{draw(spellings(draw(st.sampled_from(FIELDS))))}{space()}:{space()}{each}" for each in before]
    after = [each for each in others[:1] if plain(f"{{{each}}}".encode()).keys() != {name}]
    parts = [*others, f"{draw(spellings(name))}{space()}:{space()}{text}", *after]
    data = f"{space()}{{{listed(space, parts)}}}{space()}".encode()
    return File("tables", draw(st.sampled_from((b"", BOM))) + data, found, names, name)


@st.composite
def single(draw: st.DrawFn) -> File:
    record, space = draw(records()), draw(spaces(line=False))
    data = space().encode() + record + space().encode()
    return File("record", draw(st.sampled_from((b"", BOM))) + data, [record])


KINDS: Final[dict[str, Callable[[], st.SearchStrategy[File]]]] = {
    "lines": lines,
    "array": arrays_of_records,
    "members": members,
    "tables": tables,
    "record": single,
}
SIZES: Final = st.integers(1, 50) | st.just(2**20)


@pytest.mark.parametrize("kind", KINDS)
class TestBlocks:
    def test_joined(self, kind: str) -> None:
        """
        The stretches one after another are the file, and hold its records in order, of whatever size they are.
        """

        @given(KINDS[kind](), SIZES)
        def check(file: File, size: int) -> None:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(stretches, "SIZE", size)
                found = file.blocks()
            texts = [block.data[start:end].strip(b" \t\r") for block in found for start, end in block.spans()]
            names = [name for block in found for name in block.names or ()]

            assert file.data == b"".join(block.data for block in found)
            assert [sum(len(each.data) for each in found[:n]) for n in range(len(found))] == [each.at for each in found]
            assert list(file.records) == texts
            assert list(file.names or ()) == names

        check()

    def test_read(self, kind: str) -> None:
        """
        A field of each record reads as Python's own parser reads it, and so do all its fields.
        """

        @given(KINDS[kind](), SIZES, st.sampled_from(["updatedAt", "é", "", "meta.updatedAt"]))
        def check(file: File, size: int, name: str) -> None:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(stretches, "SIZE", size)
                found = file.blocks()
            one, every = Codec([name]), Codec(None)
            wanted = []
            for record in map(plain, file.records):
                here = record
                for part in path_of(name):
                    here = here.get(part, ABSENT) if isinstance(here, dict) else ABSENT
                wanted.append({} if here is ABSENT else {name: here})

            assert repr(wanted) == repr([one.record(each) for block in found for each in one.read(block)])
            assert list(map(repr, map(plain, file.records))) == [
                repr(every.record(each)) for block in found for each in every.read(block)
            ]

        check()

    def test_going_on(self, kind: str) -> None:
        """
        Who has passed over some stretches is given the others, as if all had been read.
        """

        @given(KINDS[kind](), SIZES)
        def check(file: File, size: int) -> None:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(stretches, "SIZE", size)
                found = file.blocks()
                for block in found[:1] if file.shape in {"members", "tables", "record"} else found:
                    rest = file.blocks(block.at)

                    assert file.data[block.at :] == b"".join(each.data for each in rest)
                    assert list(file.records) == [
                        each.data[start:end].strip(b" \t\r")
                        for each in [*(b for b in found if b.at < block.at), *rest]
                        for start, end in each.spans()
                    ]

        check()

    def test_broken_off(self, kind: str) -> None:
        """
        A file that breaks off before its end is refused, of JSON Lines only its last line.
        """

        @given(KINDS[kind](), SIZES, st.data())
        def check(file: File, size: int, data: st.DataObject) -> None:
            cut = data.draw(st.integers(0, max(0, len(file.data.rstrip(b" \t\r\n")) - 1)))
            short = File(file.shape, file.data[:cut], (), table=file.table)
            lead = short.data.removeprefix(BOM) if file.shape == "lines" else short.data
            last = lead.rpartition(b"\n")[2].strip(b" \t\r")
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(stretches, "SIZE", size)
                if file.shape == "lines" and (not last or not refused(last)):
                    Codec(["updatedAt"]).read(Block(short.data, 0, "lines", (len(short.data) - len(lead), cut)))
                    return
                with pytest.raises(NotJson) as problem:
                    for block in short.blocks():
                        Codec(["updatedAt"]).read(block)

            assert 0 <= problem.value.at <= cut

        check()


class TestShapes:
    @pytest.mark.parametrize("lead", [b"", BOM, b" \n", BOM + b"\t\r\n", b" " * 1000])
    @pytest.mark.parametrize(
        ("text", "shape"),
        [
            ("[]", "array"),
            ("[1]", "array"),
            ('[{"a":1}]', "array"),
            ("{}", "members"),
            ('{"a":{}}', "members"),
            ('{"a":{"b":1}}', "members"),
            ('{"a":{"b":{}},"c":{"d":1}}', "members"),
            ('{"a":{"b":[]}}', "members"),
            ('{"a":{"b":{}}}', "tables"),
            ('{"a":[]}', "tables"),
            ('{"a":[{"b":1}],"c":{}}', "tables"),
            ('{"a":1}', "record"),
            ('{"a":{},"b":null}', "record"),
            ('{"a":[],"b":"{"}', "record"),
        ],
    )
    def test_shape(self, text: str, shape: Shape, lead: bytes) -> None:
        """
        What a file is is seen from what it begins with, after white space and a mark of its encoding.
        """
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stretches, "SIZE", 7)

            assert shape == shape_of(Patient(lead + text.encode()))

    @pytest.mark.parametrize(
        ("data", "at"),
        [
            (b"", 0),
            (BOM, 3),
            (b" \n ", 3),
            (b"1", 0),
            (b'"a"', 0),
            (b"\xef\xbb", 0),
            (b"\xff\xfe[\x00]\x00", 0),
            (b" ]", 1),
        ],
    )
    def test_no_shape(self, data: bytes, at: int) -> None:
        """
        What holds no records is refused.
        """
        with pytest.raises(NotJson, match="an array, or an object of records") as problem:
            shape_of(Patient(data))

        assert at == problem.value.at

    @pytest.mark.parametrize(
        ("text", "shape"),
        [
            ("", "array"),
            (" ", "array"),
            ("", "members"),
            ("", "tables"),
            ("", "record"),
            ('[{"a":1},]', "array"),
            ("[,]", "array"),
            ('[,{"a":1}]', "array"),
            ('[ ,{"a":1}]', "array"),
            ('[{"a":1},,{"a":2}]', "array"),
            ('[{"a":1}, ,{"a":2}]', "array"),
            ('[{"a":1} , ,{"a":2},{"a":3},{"a":4}]', "array"),
            ('[{"a":1} , ]', "array"),
            ('[{"a":1} {"a":2}]', "array"),
            ('[{"a":1}]]', "array"),
            ('[{"a":1}] x', "array"),
            ('[{"a":1}},{"a":2}]', "array"),
            ('[{"a":1]', "array"),
            ('[{"a":[}]}]', "array"),
            ('[{"a":1},2]', "array"),
            ('[{"a":1},null]', "array"),
            ('[{"a":1},[{"a":1}]]', "array"),
            ('{"a":{"b":1},}', "members"),
            ('{"a":{"b":1}}}', "members"),
            ('{"a":{"b":1} "c":{"b":1}}', "members"),
            ('{"a":{"b":1]}', "members"),
            ('{"a\n":{"b":1}}', "members"),
            ('{"a\\q":{"b":1}}', "members"),
            ('{"a\\u12":{"b":1}}', "members"),
            ('{a:{"b":1}}', "members"),
            ('{"t":[{"b":1}],}', "tables"),
            ('{"t":[{"b":1},]}', "tables"),
            ('{"t":{"b":{"c":1},}}', "tables"),
            ('{"t":[{"b":1}],"t\n":[]}', "tables"),
            ('{"a":1,}', "record"),
            ('{"a":1}{"a":1}', "record"),
            ('{"a":1}\n{"a":1', "lines"),
            ('{"a":1}{"a":1}\n', "lines"),
            ('{"a":1}{"a":1}\n\n', "lines"),
            ('{"a":1} {"a":1}\n\n{"a":1}', "lines"),
            ('{"a":\n1}{"a":1}\n', "lines"),
            ('{"a":1}, {"a":1}\n', "lines"),
            ('{"a":\n1}\n', "lines"),
            ('{"a":1}\n[]\n', "lines"),
            ("\x0b\n", "lines"),
            ("\u2028\n", "lines"),
            ('\ufeff{"a":1}\n\ufeff{"a":1}\n', "lines"),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("size", [1, 5, 2**20])
    def test_no_file(self, text: str, shape: Shape, size: int) -> None:
        """
        What is no file of that form is refused, however it is read, and the byte at which is told.
        """
        file = File(shape, text.encode(), (), table="t" if shape == "tables" else None)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stretches, "SIZE", size)
            with pytest.raises(NotJson) as problem:
                for block in file.blocks():
                    Codec(["a"]).read(block)

        assert 0 <= problem.value.at <= len(file.data)

    @pytest.mark.parametrize("shape", ["lines", "array", "members", "tables", "record"])
    @pytest.mark.parametrize("names", [["updatedAt"], ["a"], None], ids=str)
    def test_deep(self, shape: Shape, names: Sequence[str] | None) -> None:
        """
        A record that is nested too deeply for Python's parser is refused.
        """
        record = '{"a":' + "[" * 100_000 + "]" * 100_000 + "}"
        text = {"array": f"[{record}]", "members": f'{{"b":{record}}}', "tables": f'{{"t":[{record}]}}'}.get(
            shape, record
        )
        file = File(shape, text.encode(), (), table="t")
        with pytest.raises(NotJson):
            for block in file.blocks():
                Codec(names).read(block)

    @pytest.mark.parametrize(
        "name", ['quo"te', r"b\\s", "new\nline", "\x00", "\ud800", "日本", "", "f0", "__class__", " "]
    )
    @pytest.mark.parametrize("shape", ["lines", "array", "record"])
    def test_names(self, name: str, shape: Shape) -> None:
        """
        A field may be called anything.
        """
        (key,) = path_of(name)
        record = json.dumps({"other": 1, key: [2]})
        text = f"[{record}]" if shape == "array" else record
        codec = Codec([name])

        assert [{name: [2]}] == [
            codec.record(each)
            for block in File(shape, text.encode(), ()).blocks()
            for each in codec.read(block)
        ]  # fmt: skip

    def test_tables(self) -> None:
        """
        Tables are known by their names as they read, and of two that are called so the last counts.
        """
        data = b'{"t" : [] ,"\\u0074":[{}], "\\ud800":{ }}'

        assert {"t": b"[{}]", "\ud800": b"{ }"} == {
            name: data[start:end] for name, (start, end) in tables_of(data).items()
        }


def test_a_long_line() -> None:
    """
    A line of 128 MiB is put together once, not anew for every piece of it that is read.
    """
    data = b'{"v":"%b"}\n' % (b"x" * 2**27)
    begun = time.process_time()
    (block,) = blocks(io.BytesIO(data), "lines")
    (line,) = lines_of(io.BytesIO(data))

    assert data == block.data == line + b"\n"
    assert time.process_time() - begun < 4
