"""
Snapshots of Convex keep the contract of stores of which a run is one atomic step: in both forms, packed and unpacked.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import strategies as st

from timestamp_guard.instants import Raw
from timestamp_guard.stores.convex.store import ConvexStore
from timestamp_guard.testing.contract import AtomicStoreContract, Make, Opener, Row

from .convex_snapshots import UNIFORM, Forms, InferredForm, members, snapshot, unpacked

_numbers: Final = itertools.count()
NOTHING: Final = [False, "0", "", True, "1", "1.0", "null", "NaN", "Infinity", b"", b"\0\xff", None]
ALIKE: Final = [0.0, -0.0, 1.0, float("nan"), float("inf"), -float("inf"), 1e300, 1.7e12 + 0.25]


class Snapshots(AtomicStoreContract):
    form: Forms = UNIFORM
    number = "number"
    folder = False
    values = st.one_of(st.sampled_from([*NOTHING, *ALIKE]), st.floats(), st.text(), st.just({"a": [1.5, {"b": None}]}))

    @pytest.fixture
    def make(self, tmp_path_factory: pytest.TempPathFactory) -> Make:
        folder = tmp_path_factory.mktemp("convex")

        def make(rows: Sequence[Row]) -> Opener:
            found = Opened(folder / f"snapshot{next(_numbers)}.zip", self)
            found.write(rows)
            return found

        return make

    def put(self, open_: Opener, key: Any, raw: Raw) -> None:
        assert isinstance(open_, Opened)
        rows = open_.read()
        for row in rows:
            if row["_id"] == key:
                row["updatedAt"] = raw
        open_.write(rows)

    def at(self, text: str) -> Raw:
        found = super().at(text)
        return float(found) if self.number == "number" else found

    def held(self, raw: Raw) -> Raw:
        """Of the present time it is the engine that says it, as an integer."""
        return float(raw) if type(raw) is int and self.number == "number" else raw


class Opened:
    """Opens a snapshot."""

    def __init__(self, path: Path, about: Snapshots) -> None:
        self.path, self.about = path, about

    def __call__(self) -> ConvexStore:
        return ConvexStore(str(self.path), "records", encodings="epoch_ms", types={"updatedAt": self.about.number})

    def read(self) -> list[Row]:
        found = members(self.path)
        said = found["records/generated_schema.jsonl"].decode()
        return self.about.form.load(found["records/documents.jsonl"].decode(), said)

    def write(self, rows: Sequence[Row]) -> None:
        others = {"_storage/kg21.png": b"\x89PNG" * 100, "empty/documents.jsonl": b""}
        if self.path.is_dir():
            shutil.rmtree(self.path)
        snapshot(self.path, {"records": self.about.form.dump(rows)}, others=others, numbered=False)
        if self.about.folder:
            packed = self.path.rename(self.path.with_suffix(".packed"))
            unpacked(packed, self.path)


class TestUniform(Snapshots):
    pass


class TestInt64(Snapshots):
    number = "int64"
    values = st.one_of(st.sampled_from([0, 1, *NOTHING]), st.integers(-(2**63), 2**63 - 1), st.text())


class TestInferred(Snapshots):
    form = InferredForm()


class TestInferredInt64(Snapshots):
    form = InferredForm({"updatedAt": "int64 | null", "createdAt": "int64 | null"})
    number = "int64"
    values = st.one_of(st.sampled_from([0, 1, None, True]), st.integers(-(2**63), 2**63 - 1))


class TestFolder(Snapshots):
    folder = True
