import importlib
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from .conftest import Cli


def test_demo(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The demo proves what it promises, and leaves its files where it is told to, to play with.
    """
    monkeypatch.chdir(tmp_path)

    said = cli("demo", "--keep", "here")

    assert (0, "") == (said.code, said.err)
    assert "ok: all 50,000 records are what they were" in said.out
    assert "NOT SO" not in said.out
    assert {"demo.db", "timestamp-guard.toml"} == {path.name for path in Path("here").iterdir()}
    monkeypatch.chdir("here")
    assert 1 == cli("check", "--table", "pillarPages").code
    assert 0 == cli("backfill", "--table", "pillarPages").code
    assert 0 == cli("check", "--table", "pillarPages").code
    assert 2 == cli("demo", "--keep", ".").code


def test_teeth(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A rollback that restored nothing would be noticed, and the demo would fail.
    """
    module = importlib.import_module("timestamp_guard.cli.demo")
    monkeypatch.setattr(module, "TABLES", {"services": 50, "pillarPages": 50, "clusterPages": 50})
    monkeypatch.setattr(module, "_restored", lambda store, table: (0, "restored nothing"))

    said = cli("demo", "--format", "json")

    assert (1, False) == (said.code, said.json["ok"])
    proved = said.json["steps"][-1]["proved"]
    assert [False, False, True] == list(proved.values())
    assert "report it" in said.err


def test_deterministic(tmp_path: Path) -> None:
    """
    The records are the same every time.
    """
    from timestamp_guard.cli.demo import _make

    dumps = []
    for name in ("a.db", "b.db"):
        _make(tmp_path / name)
        with closing(sqlite3.connect(tmp_path / name)) as database:
            dumps.append(list(database.iterdump()))

    assert dumps[0] == dumps[1]
