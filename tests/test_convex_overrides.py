"""
What an older export says of single documents: the same in whatever order it comes, and not held in memory.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from timestamp_guard import backfill, check
from timestamp_guard.stores.convex.overrides import Overrides

from .convex_snapshots import UNIFORM, Document, InferredForm, document_id, members, snapshot
from .test_convex_snapshots import GUARD, NOW, REPAIR, T, documents, fill, made, opened, take_back
from .test_json_files import tiny

UPDATED: Final = st.one_of(
    st.none(),
    st.floats(T - 100, T + 100),
    st.integers(int(T) - 9, int(T) + 9),
    st.sampled_from(["5", b"5", float("nan")]),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(updated=st.lists(UPDATED, max_size=12), seed=st.randoms(use_true_random=False))
def test_order(tmp_path_factory: pytest.TempPathFactory, updated: list[Any], seed: random.Random) -> None:
    """
    In the order of the documents or in any other, the last of what is said of one counts: same verdicts, same bytes.
    """
    where = tmp_path_factory.mktemp("order")
    rows: list[Document] = [
        {"_creationTime": T + 0.25, "_id": document_id(number), "at": value, "updatedAt": value}
        for number, value in enumerate(updated)
    ]
    text, said = InferredForm().dump(rows)
    shape, *about = said.splitlines(keepends=True)
    shuffled = [json.dumps({next(iter(json.loads(each))): {"updatedAt": "bytes"}}) + "\n" for each in about]
    shuffled += seed.sample(about, len(about))
    found = []
    for name, lines in (("ordered", about), ("shuffled", shuffled)):
        path = snapshot(where / f"{name}.zip", {"services": (text, "".join([shape, *lines]))})
        with opened(path, types={"updatedAt": "number"}) as store:
            verdicts = check(store, GUARD, now=NOW).violations
            changed = backfill(store, GUARD, REPAIR, now=NOW).counts.changed
        found.append((verdicts, changed, members(path)["services/documents.jsonl"]))

    assert found[0] == found[1]


@pytest.mark.parametrize("key", ["a", "ü", "a\0b", "\ud800", "'", ""])
def test_ids(key: str) -> None:
    """
    Whatever an id is, what is said of it is found by it and by no other, among more than one query can ask for.
    """
    others = {f"{number}": {"n": number} for number in range(1_200)}
    overrides = Overrides([*others.items(), (key, {"x": ["int64"]})])

    assert {key: {"x": ["int64"]}} == overrides.of([key, key + "b", None, 5])
    assert others == overrides.of(others)
    assert {} == Overrides().of([key])


PEAK: Final = """
import resource, sys
from timestamp_guard.stores.convex.overrides import Overrides
held = Overrides((f"j57{number:029}", {"updatedAt": "int64"}) for number in range(int(sys.argv[1])))
assert min(100, int(sys.argv[1])) == len(held.of(f"j57{number:029}" for number in range(100)))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(count: int) -> int:
    """So many bytes a process took that held what is said of so many documents."""
    run = subprocess.run([sys.executable, "-c", PEAK, str(count)], capture_output=True, text=True, check=True)
    return int(run.stdout) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak is told in other units")
def test_memory() -> None:
    """
    What is said of 100,000 documents takes no more memory than the cache of its file, not 0.4 KB for each.
    """
    assert peak(100_000) - peak(1) < 8 * 2**20


def test_full(tmp_path: Path) -> None:
    """
    Where there is no room for the temporary file, it is told which folder is meant.
    """
    script = (
        "from timestamp_guard.stores.convex.overrides import Overrides\n"
        "Overrides((str(number), {'updatedAt': 'int64' * 9}) for number in range(100_000))\n"
    )
    with tiny(tmp_path / "small", 1_000) as folder:
        environment = os.environ | {"SQLITE_TMPDIR": str(folder), "TMPDIR": str(folder)}
        run = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
        )

    assert "StoreFull: there is no room left in the folder for temporary files" in run.stderr


def test_no_room_to_take_back(tmp_path: Path) -> None:
    """
    Nor is there a way back by the ids without such a room: that is told, nothing is touched, and it goes with room.
    """
    path = made(tmp_path / "s.zip", documents(60_000))
    fill(path)
    made(path, UNIFORM.load(members(path)["services/documents.jsonl"].decode(), '"uniform"\n')[::-1])
    before = path.read_bytes()
    script = f"from pathlib import Path; from tests import test_convex_snapshots as t; t.take_back(Path({str(path)!r}))"
    with tiny(tmp_path / "small", 300) as folder:
        environment = os.environ | {"SQLITE_TMPDIR": str(folder), "TMPDIR": str(folder)}
        run = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
        )

    assert "StoreFull: there is no room left in the folder for temporary files" in run.stderr
    assert before == path.read_bytes()
    assert 45_000 == take_back(path).counts.changed
