"""
Snapshots of Convex as people have them: every other byte stays, bad ones are refused, and what is written can be imported.
"""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from timestamp_guard import NOW as PRESENT
from timestamp_guard import (
    Repair,
    _faults,
    backfill,
    check,
    open_store,
    plan,
    rollback,
    runs,
    updated_at_guard,
    violations,
)
from timestamp_guard.errors import (
    RunBusy,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreMissing,
    TimestampGuardError,
    UnknownName,
    UsageError,
)
from timestamp_guard.instants import parse_instant
from timestamp_guard.ledger import Run
from timestamp_guard.stores import addresses, is_file, tables
from timestamp_guard.stores.convex import member
from timestamp_guard.stores.convex.archive import Archive
from timestamp_guard.stores.convex.shape import parse
from timestamp_guard.stores.convex.store import ConvexStore

from .convex_snapshots import NUMBER, UNIFORM, Document, InferredForm, document_id, folder, members, snapshot, unpacked
from .test_json_files import once, small_steps, tiny

NOW: Final = parse_instant("2024-06-01T12:00:00Z")
T: Final = 1_700_000_000_000.0
GUARD: Final = updated_at_guard("updatedAt", "_creationTime")
REPAIR: Final = Repair("updatedAt", ("_creationTime",))
__all__ = ["small_steps"]


def documents(count: int = 6, table: int = NUMBER) -> list[Document]:
    """Every second one lacks the field, every fourth holds null."""
    rows: list[Document] = [
        {"_creationTime": T + n + 0.25, "_id": document_id(n, table), "name": f"n{n}", "updatedAt": T + n + 5}
        for n in range(count)
    ]
    for row in rows[1::2]:
        del row["updatedAt"]
    for row in rows[2::4]:
        row["updatedAt"] = None
    return rows


def made(path: Path, rows: list[Document] | None = None, **how: Any) -> Path:
    """A snapshot with one table."""
    return snapshot(path, {"services": UNIFORM.dump(documents() if rows is None else rows)}, **how)


def opened(path: Path, table: str = "services", **how: Any) -> ConvexStore:
    return ConvexStore(str(path), table, **({"encodings": "epoch_ms"} | how))


def fill(path: Path, table: str = "services", repair: Repair = REPAIR, **how: Any) -> Run:
    with opened(path, table, **how) as store:
        return backfill(store, GUARD, repair, now=NOW)


def take_back(path: Path, table: str = "services") -> Run:
    with opened(path, table) as store:
        return rollback(store, now=NOW)


def lines(path: Path, table: str = "services") -> list[bytes]:
    component, _, name = table.rpartition(":")
    return members(path)[f"{folder(component)}{name}/documents.jsonl"].splitlines()


# -- round trips ------------------------------------------------------------------------------------------------

VALUES: Final = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(),
        st.sampled_from([-0.0, 1e16, 1e-7, 5e-324, 1.7976931348623157e308, 2**63 - 1, -(2**63)]),
        st.text(max_size=8),
        st.binary(max_size=8),
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abcXYZ_09", min_size=1, max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
TABLES: Final = ("services", "pillarPages", "auth:sessions", "auth/inner:deep_table")
UPDATED: Final = st.one_of(
    st.none(), st.just(...), st.floats(T - 100, T + 10**9), st.sampled_from([0.0, -1.0, "soon", True])
)


@st.composite
def anything(draw: st.DrawFn, table: int) -> list[Document]:
    """Documents of all sorts."""
    rows = []
    for number in range(draw(st.integers(0, 12))):
        row: Document = {"_creationTime": T + number + draw(st.floats(0, 0.9)), "_id": document_id(number, table)}
        row |= draw(st.dictionaries(st.text("abcdefgh", min_size=1, max_size=4), VALUES, max_size=3))
        updated = draw(UPDATED)
        rows.append(row if updated is ... else row | {"updatedAt": updated})
    return rows


def filled_line(line: bytes, row: Document) -> bytes:
    """What becomes of a document: the value goes where null or a placeholder stands, or after all others."""
    put = b'"updatedAt":' + json.dumps(row["_creationTime"]).encode()
    if "updatedAt" not in row:
        return line[:-1] + b"," + put + b"}"
    if row["updatedAt"] is None or (row["updatedAt"] in {0.0, -1.0} and row["updatedAt"] is not True):
        at = line.rindex(b'"updatedAt":')
        return line[:at] + put + b"}"
    return line


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_round_trips(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """
    A check leaves everything, a backfill everything but the filled values, and a rollback gives the same file again.

    In both forms, packed in whatever way and unpacked, with components, files and empty tables: of every member every byte,
    of the ZIP too.
    """
    where = tmp_path_factory.mktemp("round")
    form = data.draw(st.sampled_from([UNIFORM, InferredForm()]))
    names = data.draw(st.lists(st.sampled_from(TABLES), min_size=1, unique=True))
    own = {
        name: data.draw(
            anything(NUMBER + [n for n in names if n.rpartition(":")[0] == name.rpartition(":")[0]].index(name))
        )
        for name in names
    }
    others = {
        "_storage/documents.jsonl": b"",
        "_storage/kg2.png": data.draw(st.binary(max_size=2000)),
        "empty/documents.jsonl": b"",
    }
    packed = snapshot(
        where / "snapshot.zip",
        {name: form.dump(rows) for name, rows in own.items()},
        others=others,
        streamed=data.draw(st.booleans()),
        compression=data.draw(st.sampled_from([zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])),
        compresslevel=data.draw(st.integers(1, 9)),
    )
    path = unpacked(packed, where / "snapshot") if data.draw(st.booleans()) else packed
    before, raw = members(path), packed.read_bytes()
    filled, held = [], before

    for name in names:
        with opened(path, name) as store:
            report = check(store, GUARD, now=NOW)
        assert (len(own[name]), held) == (report.records, members(path))
        run = fill(path, name)
        filled += [name] if run.counts.changed else []
        component, _, table = name.rpartition(":")
        inner = f"{folder(component)}{table}/documents.jsonl"
        after = members(path)
        changed = 0
        for was, now, row in zip(held[inner].splitlines(), after[inner].splitlines(), own[name], strict=True):
            wanted = filled_line(was, row)
            changed += wanted != was

            assert wanted == now
        assert changed == run.counts.changed
        assert held | {inner: after[inner]} == after
        held = after
    for name in reversed(filled):
        assert take_back(path, name).ok

    assert before == members(path)
    if path == packed:
        assert raw == path.read_bytes()


# -- numbers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compared", [True, False])
@pytest.mark.parametrize(
    ("created", "others", "candidate", "types", "written"),
    [
        ("1700000000000", "1700000000009.0", "createdAt", None, b"1700000000000.0"),
        ("1700000000000.5", "1700000000009", "createdAt", None, b"1700000000000"),
        ("1700000000000.0", "1700000000009", "createdAt", None, b"1700000000000"),
        ("1.7e12", "1700000000009.0", "createdAt", None, b"1.7e12"),
        ("1700000000000.5", "null", "createdAt", None, b"1700000000000.5"),
        ("1700000000000", "null", "createdAt", None, b"1700000000000.0"),
        ("1700000000000", "null", "createdAt", {"updatedAt": "int64"}, b"1700000000000"),
        ("1700000000000.5", "null", "createdAt", {"updatedAt": "int64"}, b"1700000000000"),
        ("1700000000000", "1700000000009", "createdAt", {"updatedAt": "number"}, b"1700000000000.0"),
        ("1", "1700000000009.0", PRESENT, None, b"1717243200000.0"),
        ("1", "1700000000009", PRESENT, None, b"1717243200000"),
    ],
)
def test_kinds(
    tmp_path: Path,
    created: str,
    others: str,
    candidate: Any,
    types: Mapping[str, str] | None,
    written: bytes,
    compared: bool,
) -> None:
    """
    A float is written where floats are, and an int64 where those are: a number without a point would be another type.
    """
    text = f'{{"_id":"a","createdAt":{created}}}\n{{"_id":"b","createdAt":1,"updatedAt":{others}}}\n' * 3
    path = snapshot(tmp_path / "s.zip", {"services": (text, '"uniform"\n')}, numbered=False)
    guard = updated_at_guard("updatedAt", "createdAt" if compared else None)
    with opened(path, types=types) as store:
        run = backfill(store, guard, Repair("updatedAt", (candidate,)), now=NOW)

    assert run.counts.changed >= 3
    assert [b'{"_id":"a","createdAt":%b,"updatedAt":%b}' % (created.encode(), written)] * 3 == lines(path)[::2]


def test_both_kinds(tmp_path: Path) -> None:
    """
    Where a field holds both, it must be said which is meant, however late the other comes.
    """
    row = '{"_creationTime":1700000000000.5,"_id":"a"%s}\n'
    early = row % ',"updatedAt":1700000000001' + row % "" + row % ',"updatedAt":1700000000001.0'
    late = row % "" + row % ',"updatedAt":1700000000001.0' * 11_000 + row % ',"updatedAt":1700000000001'
    for text, said in ((early, "both kinds, 1 int64 and 1 floats"), (late, "an int64 in one document")):
        path = snapshot(tmp_path / "s.zip", {"services": (text, '"uniform"\n')}, numbered=False)
        before = path.read_bytes()
        with pytest.raises(UsageError, match=said):
            fill(path)
        assert before == path.read_bytes()
        shutil.rmtree(tmp_path / "s.zip.timestamp-guard", ignore_errors=True)
        assert fill(path, types={"updatedAt": "number"}).ok


@pytest.mark.parametrize(
    ("shape", "types", "written"),
    [
        ("int64 | null", {}, b'"1700000000000"'),
        ("normalfloat64 | null", {}, b"1700000000000.0"),
        ("normalfloat64", {"updatedAt": "int64"}, None),
        ("int64 | string", {"updatedAt": "int64"}, None),
    ],
)
def test_inferred_kinds(tmp_path: Path, shape: str, types: dict[str, str], written: bytes | None) -> None:
    """
    In the older form an int64 is text, and only written where it would be read as one again.
    """
    form = InferredForm({"updatedAt": shape, "createdAt": "int64"})
    rows: list[Document] = [{"_id": "a", "createdAt": 1_700_000_000_000}, {"_id": "b", "updatedAt": None}]
    if "int64" in shape and not types:
        rows[1]["updatedAt"] = 1_700_000_000_009
    path = snapshot(tmp_path / "s.zip", {"services": form.dump(rows)}, numbered=False)
    repair, guard = Repair("updatedAt", ("createdAt",)), updated_at_guard("updatedAt")
    with opened(path, types=types) as store:
        if written is None:
            with pytest.raises(UsageError, match="cannot be an int64 here.*export it anew"):
                backfill(store, guard, repair, now=NOW)
            return
        assert 1 == backfill(store, guard, repair, now=NOW).counts.changed

    assert b'{"_id":"a","createdAt":"1700000000000","updatedAt":%b}' % written == lines(path)[0]
    with opened(path, types=types) as store:
        assert [None] == [check(store, guard, now=NOW).violations.get("wrong_type")]


def test_no_shape(tmp_path: Path) -> None:
    """
    Without a file that says how values are written, a number is a float, and it is told.
    """
    text = '{"_creationTime":1700000000000,"_id":"a"}\n{"_id":"b","_creationTime":1,"updatedAt":1700000000001}\n'
    path = snapshot(tmp_path / "s.zip", {"services": (text, None)}, numbered=False)
    with opened(path) as store:
        assert any("no generated_schema.jsonl" in said for said in store.remarks())

    assert 1 == fill(path).counts.changed
    assert lines(path)[0].endswith(b'"_id":"a","updatedAt":1700000000000.0}')


def test_declared(tmp_path: Path) -> None:
    """
    No number is written into a field that is declared as something else, and none into those of Convex itself.
    """
    path = made(tmp_path / "s.zip")
    with pytest.raises(UsageError, match="declared as string, and a number cannot be written there"):
        fill(path, types={"updatedAt": "string"})
    with opened(path) as store, pytest.raises(UsageError, match="a field of Convex itself"):
        backfill(store, updated_at_guard("_creationTime"), Repair("_creationTime", ("updatedAt",)), now=NOW)


def test_resolution(tmp_path: Path) -> None:
    """
    `Date.now()` of the millisecond in which a document was made is no fault, though it lies before `_creationTime`.
    """
    rows = [{"_creationTime": T + 0.75, "_id": document_id(n), "updatedAt": T - n} for n in range(2)]
    with opened(made(tmp_path / "s.zip", rows)) as store:
        found = [(each.key, each.violation.code) for each in violations(store, GUARD, now=NOW)]

    assert [(document_id(1), "out_of_order")] == found


def test_special_values(tmp_path: Path) -> None:
    """
    NaN, infinity and bytes are judged as what they are.
    """
    values = [math.nan, math.inf, -math.inf, b"1", -0.0, {"$other": 1}, "NaN"]
    rows = [{"_creationTime": T, "_id": document_id(n), "updatedAt": value} for n, value in enumerate(values)]
    with opened(made(tmp_path / "s.zip", rows)) as store:
        found = [each.violation.code for each in violations(store, GUARD, now=NOW)]

    assert [*["not_finite"] * 3, "wrong_type", "placeholder", "wrong_type", "wrong_type"] == found


def test_shapes() -> None:
    """
    A shape says what text stands for, as deep as it goes; what is said of one document counts before it.
    """
    shape = parse(
        '{"a": array<int64 | null>, "b"?: record<id<10001>, bytes>, "c": {"d": -inf | inf}, "e": unknown} | {"f": -0 | "x"}',
        "here",
    )

    assert {"a": [1, None], "b": {"k": b"\1"}, "c": {"d": math.inf}, "e": "1", "f": "1", "g": "1"} == shape.read(
        {"a": ["1", None], "b": {"k": "AQ=="}, "c": {"d": "Infinity"}, "e": "1", "f": "1", "g": "1"}
    )
    assert {"e": [1, "1"], "f": 1} == shape.read({"e": ["1", "1"], "f": "1"}, {"e": ["int64", "infer"], "f": "int64"})
    for wrong in (
        "",
        "{",
        '{"a" int64}',
        "array<int64",
        "id<1",
        "{}}",
        "int64 |",
        '{"a": int64 "b": int64}',
        "{" * 5000,
    ):
        with pytest.raises(StoreDamaged, match="here: cannot read the shape"):
            parse(wrong, "here")


# -- tables -----------------------------------------------------------------------------------------------------


def test_tables(tmp_path: Path) -> None:
    """
    Tables are called by their component and name; system tables are none; a leading folder is passed over.
    """
    rows = UNIFORM.dump(documents())
    path = snapshot(
        tmp_path / "s.zip", {"services": rows, "auth/x:services": rows}, others={"_storage/documents.jsonl": b""}
    )

    assert ["services", "auth/x:services"] == tables(f"convex:{path}")
    assert [f"convex:{path}"] == addresses(f"convex:{path}")
    assert is_file(f"convex:{path}")
    with pytest.raises(UnknownName, match="did you mean 'services'"):
        opened(path, "service")
    with pytest.raises(UsageError, match="which table of s.zip"):
        open_store(f"convex:{path}", encodings="epoch_ms")
    with pytest.raises(UsageError, match="wanted convex:snapshot.zip"):
        tables("convex:")
    moved = tmp_path / "moved.zip"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(moved, "w") as target:
        for name in source.namelist():
            target.writestr(f"my/export/{name}", source.read(name))
    assert ["services", "auth/x:services"] == tables(f"convex:{moved}")
    with zipfile.ZipFile(moved, "a") as target:
        target.writestr("other/services/documents.jsonl", "")
    with pytest.raises(StoreDamaged, match="several snapshots in it, at my/export/ and other/"):
        tables(f"convex:{moved}")


def test_several_tables(tmp_path: Path) -> None:
    """
    One run for every table; each is taken back exactly, in whatever order, and what its runs did is told of all.
    """
    own = {"services": UNIFORM.dump(documents()), "auth:logs": UNIFORM.dump(documents(4))}
    path = snapshot(tmp_path / "s.zip", own)
    before = path.read_bytes()
    first, second = fill(path), fill(path, "auth:logs")
    with opened(path) as store:
        listed = [(run.id, run.table, run.counts.changed) for run in store.ledger.runs()]
        shown = [change.after for _, change in store.ledger.changes(store.ledger.runs()[1])]

    assert [(1, "services", first.counts.changed), (2, "auth:logs", second.counts.changed)] == listed
    assert all(isinstance(after, float) for after in shown)
    assert take_back(path).ok
    assert take_back(path, "auth:logs").ok
    assert before == path.read_bytes()


def test_bare(tmp_path: Path) -> None:
    """
    A table that is listed without documents would be emptied by an import, and that is told.
    """
    path = made(tmp_path / "s.zip")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(tmp_path / "b.zip", "w") as target:
        for name in source.namelist():
            more = b'{"name":"pages","id":10009}\n' if name == "_tables/documents.jsonl" else b""
            target.writestr(name, source.read(name) + more)
    with opened(tmp_path / "b.zip") as store:
        assert any("_tables names pages without documents" in said for said in store.remarks())
    with opened(path) as store:
        assert [] == list(store.remarks())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (document_id(1, NUMBER + 1), "an _id of table 10002, and services is table 10001"),
        (document_id(1)[:-1] + "0", "its checksum is wrong|says more than an id does"),
        ("a", "it has 1 letters"),
    ],
)
def test_ids(tmp_path: Path, name: str, said: str) -> None:
    """
    A document with an id that an import would refuse is not written on top of.
    """
    path = made(tmp_path / "s.zip", [*documents(), {"_id": name, "_creationTime": T}])
    with pytest.raises(StoreDamaged, match=said):
        fill(path)
    with opened(path) as store:
        assert check(store, GUARD, now=NOW).broken


# -- bad input --------------------------------------------------------------------------------------------------


def rewritten(change: Callable[[bytearray], object]) -> Callable[[Path], None]:
    """A snapshot with some bytes changed."""

    def make(path: Path) -> None:
        data = bytearray(made(path).read_bytes())
        change(data)
        path.write_bytes(bytes(data))

    return make


def flagged(data: bytearray) -> None:
    for mark, place in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        at = data.rindex(mark) + place
        struct.pack_into("<H", data, at, struct.unpack_from("<H", data, at)[0] | 1)


def renamed(data: bytearray) -> None:
    at = data.rindex(b"README.md")
    data[at : at + 9] = b"../../a.a"


def elsewhere(data: bytearray) -> None:
    at = data.rindex(b"services/documents.jsonl") - 46 + 42
    struct.pack_into("<L", data, at, 1)


def spoiled(data: bytearray) -> None:
    at = data.index(b"services/documents.jsonl") + len("services/documents.jsonl") + 5
    data[at] ^= 0xFF


def wrong_sum(data: bytearray) -> None:
    at = data.rindex(b"services/documents.jsonl") - 46 + 16
    data[at] ^= 0xFF


def longer(data: bytearray) -> None:
    at = data.rindex(b"services/documents.jsonl") - 46 + 24
    struct.pack_into("<L", data, at, struct.unpack_from("<L", data, at)[0] - 1)


def twice(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as made_:
        made_.writestr("services/documents.jsonl", "")
        with pytest.warns(UserWarning, match="Duplicate"):
            made_.writestr("services/documents.jsonl", '{"_id":"a"}\n')


def bomb(path: Path) -> None:
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made_,
        made_.open("services/documents.jsonl", "w") as target,
    ):
        for _ in range(70):
            target.write(bytes(2**20))


def overlapping(path: Path) -> None:
    data = bytearray(made(path).read_bytes())
    start, size, count = (
        struct.unpack_from(form, data, data.rindex(b"PK\5\6") + place)[0]
        for form, place in (("<L", 16), ("<L", 12), ("<H", 10))
    )
    directory = bytes(data[start : start + size])
    at = directory.rindex(b"services/documents.jsonl") - 46
    end = directory.find(b"PK\1\2", at + 4)
    record = directory[at : end if end > 0 else None]
    more = b"".join(record.replace(b"services/doc", b"serv%04d/doc" % n) for n in range(40))
    tail = bytearray(data[start + size :])
    struct.pack_into("<4H2L", tail, 4, 0, 0, count + 40, count + 40, size + len(more), start)
    path.write_bytes(bytes(data[:start]) + directory + more + bytes(tail))


def by_lzma(path: Path) -> None:
    made(path, compression=zipfile.ZIP_LZMA)


BAD: Final[Mapping[str, tuple[Callable[[Path], object], str]]] = {
    "no zip": (lambda path: path.write_bytes(b"hello"), "is no ZIP: wanted what npx convex export makes"),
    "empty": (lambda path: path.write_bytes(b""), "is no ZIP"),
    "cut": (rewritten(lambda data: data.__delitem__(slice(-40, None))), "without its end: it was cut"),
    "cut in its end": (rewritten(lambda data: data.pop()), "without its end|does not end where it says"),
    "added to": (rewritten(lambda data: data.extend(b"more")), "does not end where it says"),
    "moved": (rewritten(lambda data: data.__setitem__(slice(0, 0), b"more")), "no directory where it says"),
    "encrypted": (rewritten(flagged), "is encrypted"),
    "leads out": (rewritten(renamed), "leads out of the folder"),
    "not there": (rewritten(elsewhere), "is not where its directory says"),
    "spoiled": (rewritten(spoiled), "is packed and damaged|is not what it was"),
    "another sum": (rewritten(wrong_sum), r"its checksum"),
    "longer": (rewritten(longer), "is longer than its directory says"),
    "twice": (twice, "services/documents.jsonl is there twice"),
    "bomb": (bomb, r"unpacks to [0-9,]+ times its size"),
    "overlapping": (overlapping, "lie in each other"),
    "lzma": (by_lzma, "packed by method 14, which no export has"),
    "printed": (lambda path: path.write_bytes(b'{"_id":"a","count":123n}\n'), "is what npx convex data prints"),
    "printed bytes": (lambda path: path.write_bytes(b'{"_id":"a","x": Bytes("AQ==")}\n'), "is what npx convex data prints"),
    "printed keys": (lambda path: path.write_bytes(b'{_id: "a", name: "x"}\n'), "is what npx convex data prints"),
    "printed table": (
        lambda path: path.write_text('_creationTime  | _id | n\n---------------|-----|----\n1700000000000.5 | "a" | 5n\n'),
        "is what npx convex data prints",
    ),
    "a program": (lambda path: path.write_text("made = {name: 1 for name in []}\n"), "is no ZIP: wanted what npx convex export"),
    "no tables": (lambda path: snapshot(path, {}, numbered=False), "has no tables"),
    "unread": (
        lambda path: snapshot(path, {"services": (UNIFORM.dump(documents())[0], '"{"')}, numbered=False),
        "cannot read the shape",
    ),
    "unknown form": (
        lambda path: snapshot(path, {"services": (UNIFORM.dump(documents())[0], "7\n")}, numbered=False),
        "says nothing of how its documents are written",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad(tmp_path: Path, name: str) -> None:
    """
    What is damaged, made to harm or no snapshot is refused with a sentence, and nothing of it is written.
    """
    make, said = BAD[name]
    path = tmp_path / "s.zip"
    make(path)
    before = path.read_bytes()
    for act in (lambda store: check(store, GUARD, now=NOW), lambda store: backfill(store, GUARD, REPAIR, now=NOW)):
        with pytest.raises(TimestampGuardError, match=said):
            with opened(path) as store:
                act(store)
        assert before == path.read_bytes()


def test_members_in_each_other(tmp_path: Path) -> None:
    """
    A member whose bytes are a part of another's is not written, or the other would not be what it was.
    """
    inner, path = made(tmp_path / "inner.zip", compression=zipfile.ZIP_STORED), tmp_path / "s.zip"
    with zipfile.ZipFile(path, "w") as outer, zipfile.ZipFile(inner) as zipped:
        outer.writestr("_storage/inner.zip", inner.read_bytes())
        outer.writestr("left", bytes(9_000))
        del outer.filelist[-1]
        for each in zipped.infolist():
            each.header_offset += 30 + len("_storage/inner.zip")
            outer.filelist.append(each)
    before = path.read_bytes()

    with pytest.raises(StoreDamaged, match="_storage/inner.zip and services/documents.jsonl lie in each other"):
        fill(path)
    assert before == path.read_bytes()
    assert [] == [each.name for each in (tmp_path / "s.zip.timestamp-guard").glob("*.new")]


def test_told_before_and_after(tmp_path: Path) -> None:
    """
    Where the size of a member is said before it, after it and in the directory, all three say the new one.
    """
    path = made(tmp_path / "s.zip")
    with zipfile.ZipFile(path) as zipped:
        was = zipped.getinfo("services/documents.jsonl")
    data = bytearray(path.read_bytes())
    struct.pack_into("<3L", data, was.header_offset + 14, was.CRC, was.compress_size, was.file_size)
    path.write_bytes(data)

    fill(path)
    with zipfile.ZipFile(path) as zipped:
        now = zipped.getinfo("services/documents.jsonl")
    head = struct.unpack_from("<3L", path.read_bytes(), now.header_offset + 14)
    assert (now.CRC, now.compress_size, now.file_size) == head
    assert was.file_size < now.file_size

    take_back(path)
    assert bytes(data) == path.read_bytes()


def test_missing(tmp_path: Path) -> None:
    """
    A snapshot that is not there is told of with what makes one.
    """
    with pytest.raises(StoreMissing, match="npx convex export"):
        opened(tmp_path / "s.zip")


@pytest.mark.parametrize("path", ["https://happy-otter-123.convex.cloud", "//happy-otter-123"])
def test_a_deployment(path: str) -> None:
    """
    Who names a deployment as if it were a snapshot is told how it is named.
    """
    with pytest.raises(UsageError, match=r"is no file: a live deployment is convex\+https://NAME.convex.cloud"):
        tables(f"convex:{path}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\ufeff" + '{"_id":"a"}\n', "line 1, column 1: .*BOM.*an import refuses"),
        ('{"_id":"a"}\n\n{"_id":"b"}\n', "line 2, column 1: .*a blank line, which an import refuses"),
        ('{"_id":"a"}\n{"_id":"b","x":12n}\n', r"line 2, column \d+: wanted .*as npx convex data prints it"),
        ('{"_id":"a"}\n{"_id":"b","x":Bytes("AQ==")}\n', r"line 2, column \d+: wanted .*as npx convex data prints it"),
    ],
)
def test_lines(tmp_path: Path, text: str, said: str) -> None:
    """
    A document that an import would refuse is refused here, with its place.
    """
    path = snapshot(tmp_path / "s.zip", {"services": (text, '"uniform"\n')}, numbered=False)
    with opened(path) as store, pytest.raises(StoreDamaged, match=said):
        check(store, GUARD, now=NOW)


@pytest.mark.parametrize("value", ['{"$bytes":"é"}', '{"$float":"é"}', '{"$integer":"é"}', '{"$float":"AAAA"}'])
def test_special_values_that_are_none(tmp_path: Path, value: str) -> None:
    """
    An object that stands for no value is one like others: a field that holds it is of the wrong type, and is not touched.
    """
    text = f'{{"_id":"{document_id(0)}","_creationTime":{T},"updatedAt":{value}}}\n'
    path = snapshot(tmp_path / "s.zip", {"services": (text, '"uniform"\n')})

    with opened(path) as store:
        assert {"wrong_type"} == {each.violation.code for each in violations(store, GUARD, now=NOW)}
    assert 0 == fill(path).counts.changed
    assert text.encode() == members(path)["services/documents.jsonl"]


@pytest.mark.parametrize("said", ['"uniform"\n', '"{\\"updatedAt\\": unknown}"\n', None])
@pytest.mark.parametrize("depth", [900 if sys.version_info < (3, 12) else 3_000, 100_000])  # each ends in another layer
def test_deep_values(tmp_path: Path, said: str | None, depth: int) -> None:
    """
    A document that is nested deeper than any of Convex can be is refused, with its place.
    """
    deep = "[" * depth + '{"$float":"AAAAAAAA8H8="}' + "]" * depth
    text = f'{{"_id":"{document_id(0)}"}}\n{{"_id":"{document_id(1)}","updatedAt":{deep}}}\n'
    path = snapshot(tmp_path / "s.zip", {"services": (text, said)})

    with opened(path) as store, pytest.raises(StoreDamaged, match="line 2, column 1: .*not nested so deeply"):
        check(store, GUARD, now=NOW)


@pytest.mark.parametrize(
    "line",
    [
        '{"name":"services","id":1e400}',
        '{"name":null,"id":10001}',
        '{"name":"services"}',
        "[]",
        "[" * 100_000,
        "\ufffe",
    ],
)
def test_lists_that_are_none(tmp_path: Path, line: str) -> None:
    """
    What is no list of tables is refused.
    """
    others = {"_tables/documents.jsonl": (line + "\n").encode()}
    path = snapshot(tmp_path / "s.zip", {"services": ("", '"uniform"\n')}, numbered=False, others=others)

    with pytest.raises(StoreDamaged, match="is no list of tables and their numbers"):
        opened(path)


@pytest.mark.parametrize(
    "line", ["[" * 100_000, '{"a":5}', '{"a":"int64"}', '{"a":["int64"]}', '[["a",5]]', '{"a":null}', "5"]
)
def test_words_on_documents_that_are_none(tmp_path: Path, line: str) -> None:
    """
    What an older form says of single documents decides what their text stands for, so it must be readable.
    """
    said = json.dumps('{"_id": "<services>", "updatedAt": unknown}') + "\n" + line + "\n"
    path = snapshot(tmp_path / "s.zip", {"services": ('{"_id":"a","updatedAt":"12"}\n', said)})

    with pytest.raises(StoreDamaged, match="says nothing of how its documents are written"):
        opened(path)


def test_crlf(tmp_path: Path) -> None:
    """
    Lines that end as on Windows stay so.
    """
    text = '{"_creationTime":1700000000000.5,"_id":"a"}\r\n'
    path = snapshot(tmp_path / "s.zip", {"services": (text * 2, '"uniform"\n')}, numbered=False)

    assert fill(path).ok
    wanted = text.replace('"a"}', '"a","updatedAt":1700000000000.5}')
    assert (wanted * 2).encode() == members(path)["services/documents.jsonl"]


# -- folders ----------------------------------------------------------------------------------------------------


def test_folder(tmp_path: Path) -> None:
    """
    Of a folder the file of the table is replaced, and the ledger is beside the folder, so that it is in no import.
    """
    path = unpacked(made(tmp_path / "s.zip"), tmp_path / "s")
    before = members(path)
    assert fill(path).ok

    assert before.keys() == members(path).keys()
    assert (tmp_path / "s.timestamp-guard" / "run-1.json").exists()
    with opened(path) as store:
        assert ["services"] == [run.table for run in runs(store)]
        store.backup(tmp_path / "kept")
        with pytest.raises(UsageError, match="already"):
            store.backup(tmp_path / "kept")
        assert any("zip -qr" in said for said in store.following())
    assert members(path) == members(tmp_path / "kept")
    assert take_back(path).ok
    assert before == members(path)


@pytest.mark.parametrize("name", ["services/documents.jsonl", "services"])
def test_links(tmp_path: Path, name: str) -> None:
    """
    A link leads out of the snapshot, and what it leads to is not written.
    """
    path = unpacked(made(tmp_path / "s.zip"), tmp_path / "s")
    (path / name).rename(tmp_path / "elsewhere")
    (path / name).symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StoreDamaged, match="is a symbolic link, and leads out"):
        opened(path)


def test_folder_of_something_else(tmp_path: Path) -> None:
    """
    A folder that is no snapshot is told that it is none, whatever links are in it.
    """
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules/app").symlink_to(tmp_path)

    with pytest.raises(StoreMissing, match="has no tables: wanted services/documents.jsonl.* npx convex export$"):
        opened(tmp_path)
    made(tmp_path / "snapshot_happy-otter-123_1700000000000.zip")
    with pytest.raises(StoreMissing, match="it holds snapshot_happy-otter-123_1700000000000.zip: name the file"):
        opened(tmp_path)


def test_the_way_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The command that brings a snapshot back names it as it is found from the current folder.
    """
    (tmp_path / "my exports").mkdir()
    path = unpacked(made(tmp_path / "my exports/s.zip"), tmp_path / "my exports/s")
    monkeypatch.chdir(tmp_path)

    with opened(Path("my exports/s.zip")) as store:
        assert "bring it back with: npx convex import --replace 'my exports/s.zip'" == store.following()[0]
    with opened(path) as store:
        assert (
            "bring it back with: (cd 'my exports/s' && zip -qr ../s.zip .) && npx convex import --replace 'my exports/s.zip'"
        ) == store.following()[0]
    monkeypatch.chdir(tmp_path / "my exports/s")
    with opened(tmp_path / "my exports/s.zip") as store:
        assert f"bring it back with: npx convex import --replace '{tmp_path}/my exports/s.zip'" == store.following()[0]


# -- writing ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_steps")
def test_changed_meanwhile(tmp_path: Path) -> None:
    """
    A snapshot that somebody replaces while it is read is left alone; of it nothing was written.
    """
    path, other = made(tmp_path / "s.zip"), made(tmp_path / "other.zip", documents(3))
    theirs = other.read_bytes()
    with opened(path) as store, pytest.raises(StoreError, match="changed by somebody else while it was read"):
        backfill(store, GUARD, REPAIR, now=NOW, progress=once(lambda: other.replace(path)))

    assert theirs == path.read_bytes()


def test_one_at_a_time(tmp_path: Path) -> None:
    """
    Two tables of one snapshot are not written at once, for it is one file.
    """
    own = {"services": UNIFORM.dump(documents()), "pages": UNIFORM.dump(documents(table=NUMBER + 1))}
    path = snapshot(tmp_path / "s.zip", own)
    said: list[str] = []

    def other() -> None:
        with pytest.raises(RunBusy, match="being worked on by process") as problem:
            fill(path, "pages")
        said.append(str(problem.value))

    with opened(path) as store:
        backfill(store, GUARD, REPAIR, now=NOW, progress=once(other))
    assert said
    assert fill(path, "pages").ok


def test_taken_back_by_key(tmp_path: Path) -> None:
    """
    In a table that others changed since, what still holds what was written is found by its id and given back.
    """
    path = made(tmp_path / "s.zip")
    fill(path)
    rows = UNIFORM.load(members(path)["services/documents.jsonl"].decode(), '"uniform"\n')
    rows[1]["updatedAt"] = T + 77
    made(path, rows[::-1])
    back = take_back(path)

    assert (3, 1) == (back.counts.changed, back.counts.refused)
    now = {row["_id"]: row.get("updatedAt", ...) for row in map(json.loads, lines(path))}
    assert [T + 77, None, ...] == [now[document_id(n)] for n in (1, 2, 3)]


def test_put_back_by_hand(tmp_path: Path) -> None:
    """
    Where somebody has put the snapshot back as it was, there is nothing to take back, and nothing is touched.
    """
    path = made(tmp_path / "s.zip")
    before = path.read_bytes()
    fill(path)
    path.write_bytes(before)
    back = take_back(path)

    assert (True, 0) == (back.ok, back.counts.changed)
    assert before == path.read_bytes()
    assert [] == list((tmp_path / "s.zip.timestamp-guard").rglob("*.part"))


def test_table_that_is_gone(tmp_path: Path) -> None:
    """
    Where the table of a run is in the snapshot no more, that is said, and not that the ledger is damaged: who put a new
    one in its place would have no way back.
    """
    path = made(tmp_path / "s.zip")
    fill(path)
    filled = path.read_bytes()
    snapshot(path, {"pages": UNIFORM.dump(documents())})
    with (
        opened(path, "pages") as store,
        pytest.raises(StoreMissing, match="no table services any more, and how what run 1"),
    ):
        store.ledger.changes(store.ledger.runs()[0])

    path.write_bytes(filled)
    assert take_back(path).ok


def test_another_table_changed_since(tmp_path: Path) -> None:
    """
    What others do to other tables is kept, and stands in nobody's way.
    """
    path = made(tmp_path / "s.zip", others={"pages/documents.jsonl": b""})
    fill(path)
    with zipfile.ZipFile(path, "a") as more:
        more.writestr("notes/documents.jsonl", '{"_id":"a"}\n')
    assert take_back(path).ok

    assert b'{"_id":"a"}\n' == members(path)["notes/documents.jsonl"]
    assert UNIFORM.dump(documents())[0].encode() == members(path)["services/documents.jsonl"]


def test_levels(tmp_path: Path) -> None:
    """
    A member is packed as hard as it was, so that a way back leads to the same bytes.
    """
    rows = documents(4000)
    for level in (1, 4, 9):
        path = made(tmp_path / f"{level}.zip", rows, compresslevel=level)
        before = path.read_bytes()
        fill(path)
        assert abs(len(path.read_bytes()) - len(before)) < len(before) // 3
        take_back(path)

        assert before == path.read_bytes()


def test_another_packer(tmp_path: Path) -> None:
    """
    What another program packed in its own way is the same in every member when it is taken back, if not in the ZIP.
    """
    path = made(tmp_path / "s.zip", documents(4000))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(member, "LEVELS", ())
        with pytest.raises(IndexError):
            fill(path)
    shutil.rmtree(tmp_path / "s.zip.timestamp-guard")
    pack = zlib.compressobj

    def other(level: int = 6, method: int = 8, bits: int = -15, *_: int) -> Any:
        return pack(level, method, bits, 1)  # with less memory than anyone takes

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zlib, "compressobj", other)
        made(path, documents(4000))
    before, raw = members(path), path.read_bytes()
    fill(path)
    take_back(path)

    assert before == members(path)
    assert raw != path.read_bytes()


@pytest.mark.parametrize(
    ("more", "said"), [(-100_000, "no room for a second s.zip"), (1_300_000, "no room left to write")]
)
def test_full(tmp_path: Path, more: int, said: str) -> None:
    """
    A full disk is found before anything is written, or leaves the snapshot as it was.
    """
    whole = made(tmp_path / "s.zip", documents(40_000), compression=zipfile.ZIP_STORED)
    before = whole.read_bytes()
    with tiny(tmp_path / "small", (2 * len(before) + more) // 1024) as where:
        path = Path(shutil.copy(whole, where))
        with pytest.raises(StoreFull, match=said):
            fill(path)
        assert before == path.read_bytes()


def test_full_at_every_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A disk that fills up at any moment of a run, or of the way back, is told as that; it goes on when there is room.
    """
    whole = made(tmp_path / "s.zip", documents(400))
    raw, passed = whole.read_bytes(), list[str]()
    monkeypatch.setattr(_faults, "hook", passed.append)
    fill(whole)
    filled = whole.read_bytes()
    take_back(whole)
    for at in range(len(passed)):
        with tiny(tmp_path / f"small-{at}", 4_000) as where:
            path, left = Path(shutil.copy(whole, where)), [at]

            def fill_up(_: str, where: Path = where, left: list[int] = left) -> None:
                left[0] -= 1
                if left[0] == -1:
                    with (where / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
                        while file.write(b"x" * 4096):
                            pass

            monkeypatch.setattr(_faults, "hook", fill_up)
            undoing = False
            with contextlib.suppress(StoreFull):
                fill(path)
                undoing = True
                take_back(path)
            monkeypatch.setattr(_faults, "hook", None)
            assert path.read_bytes() in (raw, filled)

            (where / "filler").unlink()
            if undoing:  # what is begun is finished first
                assert take_back(path).ok
                assert raw == path.read_bytes()
            assert fill(path).ok
            assert filled == path.read_bytes()
            assert take_back(path).ok
            assert raw == path.read_bytes()


# -- large ones -------------------------------------------------------------------------------------------------


def test_large_numbers(tmp_path: Path) -> None:
    """
    What grows over 4 GiB is said in the form for that, and what was in it already stays so.
    """
    path = made(tmp_path / "s.zip")
    with path.open("rb", buffering=0) as raw:
        archive = Archive.of("s.zip", raw)
        entry = next(each for each in archive.entries(raw) if each.name.startswith("services/doc"))
    far = member.directed(entry, 7, 2**32 + 1, 2**33, 2**34)
    again = Archive("s.zip", 0, len(far), 1, b"", b"")
    (tmp_path / "directory").write_bytes(far)
    with (tmp_path / "directory").open("rb", buffering=0) as raw:
        (found,) = again.entries(raw)
        assert (7, 2**32 + 1, 2**33, 2**34) == (found.crc, found.packed, found.size, found.offset)
    near = member.directed(found, entry.crc, entry.packed, entry.size, entry.offset)
    (tmp_path / "directory").write_bytes(near)
    with (tmp_path / "directory").open("rb", buffering=0) as raw:
        (found,) = Archive("s.zip", 0, len(near), 1, b"", b"").entries(raw)
        assert (entry.crc, entry.packed, entry.size, entry.offset) == (
            found.crc,
            found.packed,
            found.size,
            found.offset,
        )
    end = member.ended(archive, 2**33, 100, archive.count)
    assert (archive.count, archive.count, 100, 2**33) == struct.unpack_from("<4Q", end, 24)
    assert end.endswith(archive.tail[22:])


def test_zip64(tmp_path: Path) -> None:
    """
    A ZIP in the form for large ones keeps that form, and every byte when it is taken back.
    """
    path = made(tmp_path / "s.zip")
    with zipfile.ZipFile(path) as source:
        own = {name: source.read(name) for name in source.namelist()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 2)  # so that its end is one of a large ZIP
        with path.open("wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
            for name, data in own.items():
                with target.open(name, "w", force_zip64=True) as inner:
                    inner.write(data)
    before = path.read_bytes()
    assert b"PK\6\6" in before
    assert fill(path).ok

    assert b"PK\6\6" in path.read_bytes()
    assert {name: data for name, data in own.items() if "services/doc" not in name} == {
        name: data for name, data in members(path).items() if "services/doc" not in name
    }
    assert take_back(path).ok
    assert before == path.read_bytes()


# -- parts ------------------------------------------------------------------------------------------------------


def test_beside_a_part(tmp_path: Path) -> None:
    """
    A ZIP of the changed tables takes no name from another file.
    """
    path = made(tmp_path / "s.zip")
    fill(path)
    other = tmp_path / "changed.zip.part"
    other.write_bytes(b"of somebody else")

    with opened(path) as store:
        assert ["services"] == store.part(tmp_path / "changed.zip")
    assert b"of somebody else" == other.read_bytes()
    assert ["changed.zip", "changed.zip.part"] == sorted(each.name for each in tmp_path.glob("changed*"))


@pytest.mark.parametrize("inside", ["backup", "services/backup", "../again/backup"])
def test_backup_in_itself(tmp_path: Path, inside: str) -> None:
    """
    A folder is not copied into itself: it would be a snapshot with another in it, or have no end.
    """
    place = unpacked(made(tmp_path / "s.zip"), tmp_path / "snapshot")
    (tmp_path / "again").symlink_to(place)
    before = members(place)

    with opened(place) as store, pytest.raises(UsageError, match="is in the snapshot itself"):
        store.backup(place / inside)
    assert before == members(place)


def test_backup_cut_short(tmp_path: Path) -> None:
    """
    A backup of a folder that could not be made is not there, so that nobody takes it for one.
    """
    place = unpacked(made(tmp_path / "s.zip"), tmp_path / "snapshot")
    (place / "_storage").mkdir()
    (place / "_storage" / "away").symlink_to("nowhere")

    with opened(place) as store, pytest.raises(StoreError):
        store.backup(tmp_path / "backup")
    assert ["s.zip", "snapshot"] == sorted(each.name for each in tmp_path.iterdir() if "guard" not in each.name)


def test_part(tmp_path: Path) -> None:
    """
    Of the changed tables alone a ZIP can be made, in which no other is listed: those an import would empty.
    """
    own = {name: UNIFORM.dump(documents(table=NUMBER + at)) for at, name in enumerate(("services", "pages"))}
    path = snapshot(tmp_path / "s.zip", own | {"auth:logs": UNIFORM.dump(documents())}, others={"_storage/a.png": b"1"})
    fill(path, "pages")
    with opened(path) as store:
        assert ["pages"] == list(store.part(tmp_path / "part.zip"))
        assert any(
            "npx convex import --replace " in said and "part.zip" in said
            for said in store.following(tmp_path / "part.zip")
        )
        with pytest.raises(UsageError, match="there is a file"):
            store.part(tmp_path / "part.zip")
    whole, part = members(path), members(tmp_path / "part.zip")

    assert {"_tables/documents.jsonl": b'{"name":"pages","id":10002}\n'} | {
        name: data for name, data in whole.items() if name.startswith("pages/")
    } == part
    assert plan(opened(tmp_path / "part.zip", "pages"), GUARD, REPAIR, now=NOW).work == 0
