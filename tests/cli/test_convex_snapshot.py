"""
A snapshot of Convex on the command line: looked at, filled, brought back, taken back.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.convex_snapshots import NUMBER, UNIFORM, document_id, members, snapshot

from .conftest import Cli

T = 1_700_000_000_000.0
WORDS = ("--updated", "updatedAt", "--created", "_creationTime", "--encoding", "epoch_ms")
FILL = ("--fill", "_creationTime")


def documents(table: int) -> tuple[str, str]:
    rows: list[dict[str, Any]] = [{"_creationTime": T + n, "_id": document_id(n, table)} for n in range(4)]
    return UNIFORM.dump([*rows[:2], *(row | {"updatedAt": T + 9} for row in rows[2:])])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in a folder with `snapshot.zip`."""
    monkeypatch.chdir(tmp_path)
    own = {"services": documents(NUMBER), "pages": documents(NUMBER + 1), "auth:logs": documents(NUMBER)}
    snapshot(tmp_path / "snapshot.zip", own, others={"_storage/kg2.png": b"PNG"})
    return tmp_path


def test_all_of_it(here: Path, cli: Cli) -> None:
    """
    From a look at a snapshot to the same snapshot again, table by table.
    """
    before = (here / "snapshot.zip").read_bytes()
    assert 0 == cli("init", "convex:snapshot.zip").code
    assert 'url = "convex:snapshot.zip"' in Path("timestamp-guard.toml").read_text("utf-8")

    assert (1, 3) == ((said := cli("check")).code, said.out.count("4 records, 2 broken"))
    assert "updatedAt is written as a float, as v.number() wants it" in cli("plan").out
    filled = cli("backfill")
    assert (0, 3) == (filled.code, filled.out.count("complete: 2 filled"))
    assert "npx convex import --replace snapshot.zip\n" in filled.err
    assert (
        "what was written to the deployment after the export began, and until the import is done, is lost" in filled.err
    )
    assert (0, "") == ((said := cli("backfill")).code, said.err)
    assert 3 == cli("verify").out.count("2 of 2 records hold what it wrote")
    assert ["auth:logs", "pages", "services"] == sorted(
        line.split("  ")[1].rpartition(": backfill")[0] for line in cli("runs").out.splitlines()
    )
    assert (0, 3) == ((said := cli("rollback")).code, said.out.count("complete: 2 restored"))
    assert before == (here / "snapshot.zip").read_bytes()


def test_only_changed(here: Path, cli: Cli) -> None:
    """
    The changed tables alone go into a ZIP of their own, in which no other is listed.
    """
    said = cli("backfill", "convex:snapshot.zip", "--table", "pages", *WORDS, *FILL, "--only-changed", "part.zip")
    assert 0 == said.code
    assert "wrote part.zip with pages alone" in said.err
    assert "npx convex import --replace part.zip" in said.err
    assert {"_tables/documents.jsonl", "pages/documents.jsonl", "pages/generated_schema.jsonl"} == set(
        members(here / "part.zip")
    )

    again = cli("backfill", "convex:snapshot.zip", *WORDS, *FILL, "--only-changed", "part.zip")
    assert (2, True) == (again.code, "part.zip is there already" in again.err)


@pytest.mark.usefixtures("here")
def test_wrong_words(cli: Cli) -> None:
    """
    What cannot be done with a snapshot, or only with one, is said.
    """
    Path("data.jsonl").write_text('{"_id":"a","updatedAt":12n}\n', "utf-8")
    Path("own.jsonl").write_text('{"_id":"a","_creationTime":1700000000000}\n', "utf-8")
    for words, said in (
        (("check", "convex:data.jsonl", *WORDS), "is what npx convex data prints"),
        (("check", "convex:snapshot.zip", "--table", "service", *WORDS), "did you mean 'services'"),
        (("backfill", "convex:snapshot.zip", "--canary", *WORDS, *FILL), "is a file, which is replaced as a whole"),
        (("backfill", "jsonl:own.jsonl", *WORDS, *FILL, "--only-changed", "p.zip"), "goes with one snapshot of Convex"),
    ):
        found = cli(*words)
        assert (2, True) == (found.code, said in found.err), found.err


@pytest.mark.usefixtures("here")
def test_remarks(cli: Cli) -> None:
    """
    What is odd about a snapshot is told beside the result.
    """
    snapshot(Path("bare.zip"), {"services": documents(NUMBER)}, numbered=False)

    assert "_tables does not list services" in cli("check", "convex:bare.zip", *WORDS).err
