"""
What the schema of an app says of its snapshot decides what is written, and contradictions are refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from timestamp_guard import Repair, backfill, open_store, rollback, updated_at_guard
from timestamp_guard.convex.schema import read_schema
from timestamp_guard.errors import UsageError
from timestamp_guard.instants import parse_instant
from timestamp_guard.stores.convex.store import ConvexStore

from .convex_snapshots import NUMBER, UNIFORM, Document, InferredForm, document_id, members, snapshot

NOW = parse_instant("2024-06-01T12:00:00Z")
T = 1_700_000_000_000.0
HEAD = 'import { defineSchema, defineTable } from "convex/server"; import { v } from "convex/values";\n'


def schema(folder: Path, type_: str, options: str = "", field: str = "updatedAt") -> Path:
    """A schema whose only table has the field with that type."""
    path = folder / "schema.ts"
    text = f"export default defineSchema({{ services: defineTable({{ {field}: {type_} }}) }}{options});\n"
    path.write_text(HEAD + text, "utf-8")
    return path


def rows(*values: Any) -> list[Document]:
    """A document without the field, and one with each of *values*."""
    found: list[Document] = [{"_creationTime": T + n, "_id": document_id(n, NUMBER)} for n in range(len(values) + 1)]
    return [found[0], *(row | {"updatedAt": value} for row, value in zip(found[1:], values, strict=True))]


def made(folder: Path, *values: Any, form: Any = UNIFORM, name: str = "services") -> Path:
    return snapshot(folder / "s.zip", {name: form.dump(rows(*values))})


def first(path: Path) -> bytes:
    return members(path)["services/documents.jsonl"].splitlines()[0]


def fill(path: Path, said: Path, **how: Any) -> None:
    words: dict[str, Any] = {"encodings": "epoch_ms", "schema": said} | how
    with ConvexStore(str(path), **words) as store:
        backfill(store, updated_at_guard("updatedAt"), Repair("updatedAt", ("_creationTime",)), now=NOW)


@pytest.mark.parametrize(
    ("type_", "written"),
    [
        ("v.number()", b"1700000000000.0"),
        ("v.optional(v.int64())", b"1700000000000"),
        ("v.union(v.null(), v.int64())", b"1700000000000"),
        ("v.any()", b"1700000000000.0"),
        ("v.union(v.any(), v.int64())", b"1700000000000.0"),
        ("v.union(v.int64(), v.number())", b"1700000000000.0"),
    ],
)
def test_kind(tmp_path: Path, type_: str, written: bytes) -> None:
    """
    A field is of the kind that the schema says, where no document has it; where that leaves it open, a float.
    """
    path = made(tmp_path)
    before = path.read_bytes()
    fill(path, schema(tmp_path, type_))

    assert first(path).endswith(b'"updatedAt":%b}' % written)
    with ConvexStore(str(path), encodings="epoch_ms") as store:
        assert rollback(store, now=NOW).ok
    assert before == path.read_bytes()


def test_left_open(tmp_path: Path) -> None:
    """
    Where the schema allows both kinds, the other documents are asked, as without one.
    """
    path = made(tmp_path, 1_700_000_000_009)
    fill(path, schema(tmp_path, "v.union(v.int64(), v.number())"))

    assert first(path).endswith(b'"updatedAt":1700000000000}')


@pytest.mark.parametrize(
    ("type_", "encoding", "said"),
    [
        (
            "v.string()",
            "epoch_ms",
            r"is v.string\(\) in schema.ts:2, and a number \(epoch_ms\) cannot be written there",
        ),
        ("v.number()", "rfc3339", r"is v.number\(\) in schema.ts:2, and text \(rfc3339\) cannot be written there"),
        ("v.null()", "epoch_ms", r"is v.null\(\) in schema.ts:2, and a number"),
        ("v.commitTs()", "epoch_ns", r"is v.commitTs\(\) in schema.ts:2, and a number"),
    ],
)
def test_other_types(tmp_path: Path, type_: str, encoding: str, said: str) -> None:
    """
    What the schema would refuse is not written.
    """
    path = made(tmp_path)
    before = path.read_bytes()
    with pytest.raises(UsageError, match=said):
        fill(path, schema(tmp_path, type_), encodings={"updatedAt": encoding, "_creationTime": "epoch_ms"})

    assert before == path.read_bytes()
    fill(path, schema(tmp_path, type_), types={"updatedAt": "number"})  # who says it otherwise is believed


def test_no_such_field(tmp_path: Path) -> None:
    """
    A field that the table has not in the schema is refused, unless nothing is validated.
    """
    path = made(tmp_path)
    with pytest.raises(UsageError, match=r"services has no updatedAt in schema.ts:2, .* add updatedAt: v.optional"):
        fill(path, schema(tmp_path, "v.number()", field="createdAt"))

    fill(path, schema(tmp_path, "v.number()", ", { schemaValidation: false }", field="createdAt"))
    assert first(path).endswith(b'"updatedAt":1700000000000.0}')


@pytest.mark.parametrize(
    ("type_", "there", "form"),
    [
        ("v.int64()", T + 9, UNIFORM),
        ("v.number()", int(T) + 9, UNIFORM),
        ("v.int64()", T + 9, InferredForm({"updatedAt": "normalfloat64"})),
        ("v.number()", int(T) + 9, InferredForm({"updatedAt": "int64"})),
    ],
)
def test_contradicted(tmp_path: Path, type_: str, there: float, form: Any) -> None:
    """
    Numbers of the other kind than the schema has are told, and refused before a run begins.
    """
    path = made(tmp_path, there, form=form)
    before = path.read_bytes()
    with ConvexStore(str(path), encodings="epoch_ms", schema=schema(tmp_path, type_)) as store:
        assert 1 == sum(f"and is {type_} in schema.ts:2: an import would refuse" in each for each in store.remarks())
    with pytest.raises(UsageError, match="change the schema, or mend the others first"):
        fill(path, schema(tmp_path, type_))

    assert before == path.read_bytes()
    assert not (tmp_path / "s.zip.timestamp-guard").exists()


@pytest.mark.parametrize(("others", "begun"), [(9_000, False), (11_000, True)])
def test_contradicted_late(tmp_path: Path, others: int, begun: bool) -> None:
    """
    However late a number of the other kind comes, nothing is written; among the first 10,000, no run begins either.
    """
    path = made(tmp_path, *[T + 9] * others, int(T))
    before = path.read_bytes()
    with pytest.raises(UsageError, match=r"an? .*int64 in .*and is v.number\(\) in schema.ts:2: change the schema"):
        fill(path, schema(tmp_path, "v.number()"))

    assert before == path.read_bytes()
    assert begun == (tmp_path / "s.zip.timestamp-guard").exists()


def test_encodings(tmp_path: Path) -> None:
    """
    Encodings come from the schema where none are given; without either it is asked for them.
    """
    path = made(tmp_path)
    said = schema(tmp_path, "v.optional(v.number())")
    for each in (said, str(said), tmp_path, read_schema(tmp_path)):
        with open_store(f"convex:{path}", schema=each) as store:
            assert {"_creationTime": "epoch_ms", "updatedAt": "epoch_ms"} == store.encodings
            assert {"updatedAt": "number"} == store.declared()
            assert "updatedAt" in store.fields()
    with pytest.raises(UsageError, match="give encodings, or the schema of the app"):
        open_store(f"convex:{path}")
    with pytest.raises(UsageError, match="give encodings, like epoch_ms"):
        open_store(f"json:{path}")
    with pytest.raises(UsageError, match="goes with a snapshot of Convex"):
        open_store("sqlite:///app.db", "services", encodings="epoch_ms", schema=said)


def test_component(tmp_path: Path) -> None:
    """
    Of the tables of a component the schema of the app says nothing, though one of its own is called so.
    """
    path = made(tmp_path, name="auth:services")
    with ConvexStore(str(path), encodings="epoch_ms", schema=schema(tmp_path, "v.int64()")) as store:
        assert "updatedAt" not in store.fields()
        assert "schema.ts does not say" == store.left_out("updatedAt")
