"""
Files of JSON keep the contract of stores of which a run is one atomic step, whatever their form and spelling.
"""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from attrs import frozen
from hypothesis import strategies as st

from timestamp_guard.instants import Raw
from timestamp_guard.stores.json import blocks
from timestamp_guard.stores.json.store import JsonStore
from timestamp_guard.testing.contract import AtomicStoreContract, Make, Opener, Row


@frozen
class Form:
    """How rows are written to a file, and read from it."""

    suffix: str
    dump: Callable[[Sequence[Row]], str]
    load: Callable[[str], list[Row]]
    table: str | None = None
    keyed: bool = True
    """Whether the key is a field of the record, not its id in the file."""


def _lines(rows: Sequence[Row], end: str = "\n", **how: Any) -> str:
    return "".join(json.dumps(row, **how) + end for row in rows)


def _spelled(rows: Sequence[Row]) -> str:
    """Nothing is spelled as a machine would."""
    parts = []
    for row in rows:
        members = [f"{json.dumps(name)}\t: {json.dumps(value)}" for name, value in row.items()]
        doubled = [f"{json.dumps(name)} : [{{}}]" for name in row] + members  # the last counts
        parts.append("{ " + " ,\n\t".join(doubled) + " }")
    return "\ufeff[ " + " , ".join(parts) + " ] \n"


FORMS: Final = {
    "lines": Form(".jsonl", _lines, lambda text: [json.loads(line) for line in text.splitlines()]),
    "crlf": Form(
        ".jsonl",
        lambda rows: _lines(rows, "\r\n\r\n", separators=(",", ":")),
        lambda text: [json.loads(line) for line in text.split("\r\n") if line],
    ),
    "array": Form(".json", lambda rows: json.dumps(rows, indent=2), json.loads),
    "compact": Form(".json", lambda rows: json.dumps(rows, separators=(",", ":"), ensure_ascii=False), json.loads),
    "spelled": Form(".json", _spelled, lambda text: json.loads(text.removeprefix("\ufeff"))),
    "tables": Form(
        ".json",
        lambda rows: json.dumps({"others": [{"_id": 1}], "records": rows}, indent="\t"),
        lambda text: json.loads(text)["records"],
        table="records",
    ),
    "packed": Form(".jsonl.gz", _lines, lambda text: [json.loads(line) for line in text.splitlines()]),
}

_numbers: Final = itertools.count()


class Files(AtomicStoreContract):
    form: Form
    values = st.one_of(
        st.sampled_from([0, 0.0, -0.0, False, "0", "", 1, 1.0, True, "1", "null", None]),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(),
        st.just({"a": [1, {"b": None}]}),
    )

    @pytest.fixture
    def make(self, tmp_path_factory: pytest.TempPathFactory) -> Make:
        folder = tmp_path_factory.mktemp("json")

        def make(rows: Sequence[Row]) -> Opener:
            path = folder / f"records{next(_numbers)}{self.form.suffix}"
            found = File(path, self.form)
            found.write(self.form.dump(rows))
            return found

        return make

    def put(self, open_: Opener, key: Any, raw: Raw) -> None:
        assert isinstance(open_, File)
        text = open_.read()
        rows = self.form.load(text)
        for row in rows:
            if row["_id"] == key:
                row["updatedAt"] = raw
        open_.write(self.form.dump(rows))


class TestLines(Files):
    form = FORMS["lines"]


class TestCrlf(Files):
    form = FORMS["crlf"]


class TestArray(Files):
    form = FORMS["array"]

    @pytest.fixture(autouse=True)
    def in_small_stretches(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(blocks, "SIZE", 37)


class TestCompact(Files):
    form = FORMS["compact"]


class TestSpelled(Files):
    form = FORMS["spelled"]


class TestTables(Files):
    form = FORMS["tables"]


class TestPacked(Files):
    form = FORMS["packed"]


class File:
    """Opens a file."""

    def __init__(self, path: Path, form: Form) -> None:
        self.path, self.form = path, form

    def __call__(self) -> JsonStore:
        key = "_id" if self.form.keyed else None
        lines = ".jsonl" in self.path.suffixes
        return JsonStore(str(self.path), self.form.table, encodings="epoch_ms", key=key, lines=lines)

    def read(self) -> str:
        data = self.path.read_bytes()
        return (gzip.decompress(data) if self.path.suffix == ".gz" else data).decode()

    def write(self, text: str) -> None:
        data = text.encode("utf-8", "surrogatepass")
        self.path.write_bytes(gzip.compress(data) if self.path.suffix == ".gz" else data)


class TestById(Files):
    form = Form(
        ".json",
        lambda rows: json.dumps({str(row["_id"]): row for row in rows}, indent=1),
        lambda text: list(json.loads(text).values()),
        keyed=False,
    )
