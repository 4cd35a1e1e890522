"""
Where a value came from, and what a ledger forgets.
"""

import json
from pathlib import Path

import pytest

from tests.sqlite_files import DAY, MS, ask, do, make

from .conftest import Cli

URL = "sqlite:///app.db"
WORDS = (URL, "--updated", "updatedAt", "--created", "createdAt", "--encoding", "epoch_ms", "--fill", "createdAt")


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = [(n, MS - DAY + n, None) for n in range(5)]
    return make(tmp_path / "app.db", "CREATE TABLE services (id INTEGER PRIMARY KEY, createdAt, updatedAt)", rows=rows)


def test_trace(app: Path, cli: Cli) -> None:
    """
    A record is traced to the runs that changed it, the newest first, with those that were taken back.
    """
    assert 0 == cli("backfill", *WORDS).code
    assert 0 == cli("rollback", URL).code
    assert 0 == cli("backfill", *WORDS).code

    said = cli("runs", "trace", "3", URL)
    lines = said.out.splitlines()

    assert (0, 2) == (said.code, len(lines))
    assert f"services: run 3: 3: updatedAt None -> {MS - DAY + 3} from createdAt" in lines[0]
    assert lines[1].endswith(
        f"services: run 1: 3: updatedAt None -> {MS - DAY + 3} from createdAt (taken back by run 2)"
    )
    found = json.loads(cli("runs", "trace", "3", URL, "--format", "json").out)
    assert [(3, None), (1, 2)] == [(each["run"], each["taken_back_by"]) for each in found["changes"]]
    assert "no run changed 77\n" == cli("runs", "trace", "77", URL).out


def test_purge(app: Path, cli: Cli) -> None:
    """
    Old changes are forgotten when somebody says so, and only then.
    """
    assert 0 == cli("backfill", *WORDS).code

    assert "nothing to forget\n" == cli("runs", "purge", URL, "--older", "1d").out
    do(app, "UPDATE timestamp_guard_runs SET finished = finished - 2 * 86400 * 1000000000")
    said = cli("runs", "purge", URL, "--older", "1d")

    assert (0, "services: run 1: 5 changes are forgotten\n") == (said.code, said.out)
    assert [(0,)] == ask(app, "SELECT count(*) FROM timestamp_guard_changes")
    assert "what it changed was purged" in cli("runs", URL).out
    assert "run 1 cannot be taken back" in cli("rollback", URL, "--run", 1).err
    assert 0 == cli("rollback", URL).code
    assert [(5,)] == ask(app, "SELECT count(updatedAt) FROM services")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ((), "say either --older 90d or --run NUMBER"),
        (("--older", "90d", "--run", "1"), "say either --older 90d or --run NUMBER"),
        (("--older", "long"), "--older: "),
        (("--run", "9"), "no run '9'"),
    ],
)
def test_bad_words(app: Path, cli: Cli, words: tuple[str, ...], wanted: str) -> None:
    """
    What cannot be meant is told, and nothing is forgotten.
    """
    assert 0 == cli("backfill", *WORDS).code

    said = cli("runs", "purge", URL, *words)

    assert (2, True) == (said.code, wanted in said.err)
    assert [(5,)] == ask(app, "SELECT count(*) FROM timestamp_guard_changes")


def test_an_unfinished_run_is_kept(app: Path, cli: Cli) -> None:
    """
    What can still be gone on with, or taken back half-way, is not forgotten.
    """
    rows = ", ".join(f"({n}, {MS - DAY + n})" for n in range(100, 30_000))
    do(app, f"INSERT INTO services (id, createdAt) VALUES {rows}")
    assert 1 == cli("backfill", *WORDS, "--canary").code

    said = cli("runs", "purge", URL, "--run", "1")

    assert (2, True) == (said.code, "run 1 is unfinished" in said.err)
