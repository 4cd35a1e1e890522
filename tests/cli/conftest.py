"""A small shop in a SQLite file, and the command line as a function."""

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import pytest

import timestamp_guard
from timestamp_guard.cli import main

T0 = 1_700_000_000_000
"""2023-11-14T22:13:20Z, in milliseconds."""

SERVICES = [
    ("a", T0, T0 + 5000),
    ("b", T0, None),
    ("c", T0, 0),
    ("d", T0, 1_700_000_005),  # seconds
    ("e", T0, 4_070_908_800_000),  # 2099
    ("f", T0, T0 - 1000),
]
PAGES = [
    (1, "2023-11-14T22:13:20Z", "2023-11-15T00:00:00Z"),
    (2, "2023-11-14T22:13:20Z", None),
    (3, "soon", "2023-11-15T00:00:00Z"),
]
MEANING = ("--updated", "updatedAt", "--created", "createdAt", "--encoding", "epoch_ms")
URL = "sqlite:///app.db"

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(timestamp_guard.__file__).parents[1])}
"""For processes of their own, in whatever folder: where we are imported from."""


@attrs.frozen
class Said:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Cli: TypeAlias = Callable[..., Said]
Rows: TypeAlias = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    def run(*arguments: object) -> Said:
        code = main([str(each) for each in arguments])
        return Said(code, *capsys.readouterr())

    return run


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in a folder with `app.db`."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE services (_id TEXT PRIMARY KEY NOT NULL, createdAt INTEGER, updatedAt INTEGER)")
        database.execute("CREATE TABLE pages (id INTEGER PRIMARY KEY, created_at TEXT, updated_at TEXT)")
        database.execute("CREATE TABLE log (id INTEGER PRIMARY KEY, line TEXT)")
        database.executemany("INSERT INTO services VALUES (?, ?, ?)", SERVICES)
        database.executemany("INSERT INTO pages VALUES (?, ?, ?)", PAGES)
        database.commit()
    return path


@pytest.fixture
def rows(shop: Path) -> Rows:
    """What a statement gives, through another connection."""

    def fetch(statement: str = "SELECT * FROM services ORDER BY 1") -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(shop)) as database:
            found = database.execute(statement).fetchall()
            database.commit()
            return found

    return fetch
