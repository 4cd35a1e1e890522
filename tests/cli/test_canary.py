"""
A canary: a little is filled and shown, and the rest waits until somebody says that it was looked at.
"""

from pathlib import Path

import pytest

from tests.sqlite_files import DAY, MS, ask, make

from .conftest import Cli

WORDS = (
    "sqlite:///app.db",
    "--updated",
    "updatedAt",
    "--created",
    "createdAt",
    "--encoding",
    "epoch_ms",
    "--fill",
    "createdAt",
)


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = [(n, MS - DAY + n, None) for n in range(30_000)]
    return make(tmp_path / "app.db", "CREATE TABLE services (id INTEGER PRIMARY KEY, createdAt, updatedAt)", rows=rows)


def filled(path: Path) -> int:
    ((count,),) = ask(path, "SELECT count(updatedAt) FROM services")
    return int(count)


def test_it_waits(app: Path, cli: Cli) -> None:
    """
    One batch, then one percent, each with what was changed; then nothing more before --continue.
    """
    said = cli("backfill", *WORDS, "--canary")

    assert 1 == said.code
    assert 300 <= (some := filled(app)) < 3000
    assert f"services: {some:,} of 30,000 are filled; go on with --continue" in said.err
    assert 2 == said.err.count(" filled, of these\n")
    assert f"  99: updatedAt None -> {MS - DAY + 99} from createdAt\n" in said.err
    assert "stopped: " in said.out

    refused = cli("backfill", *WORDS)
    assert (2, some) == (refused.code, filled(app))
    assert f"run 1 on services is a canary that filled {some:,}" in refused.err

    assert 0 == cli("backfill", *WORDS, "--continue").code
    assert 30_000 == filled(app)


def test_it_is_taken_back(app: Path, cli: Cli) -> None:
    """
    What a canary filled can be taken back, and another one tried.
    """
    assert 1 == cli("backfill", *WORDS, "--canary").code
    assert 0 == cli("rollback", "sqlite:///app.db").code
    assert 0 == filled(app)
    assert 1 == cli("backfill", *WORDS, "--canary").code


def test_a_small_table(app: Path, cli: Cli) -> None:
    """
    Where there is little to do, the first batch does it, and nothing waits.
    """
    assert 0 == cli("backfill", *WORDS).code
    assert 0 == cli("backfill", *WORDS, "--canary").code


def test_a_file_can_have_none(app: Path, cli: Cli) -> None:
    """
    A file is replaced as a whole, so there is nothing to try first.
    """
    Path("records.jsonl").write_text('{"createdAt": 1700000000000, "updatedAt": null}\n', "utf-8")

    said = cli("backfill", "jsonl:records.jsonl", *WORDS[1:], "--canary")

    assert (2, True) == (said.code, "timestamp-guard plan" in said.err)
