"""
Files of JSON on the command line.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import ENVIRONMENT, Cli

WORDS = ("--updated", "updatedAt", "--created", "createdAt", "--encoding", "epoch_ms")
LINES = (
    '{"_id": "a", "createdAt": 1700000000000, "updatedAt": null}\n'
    '{"_id": "b", "createdAt": 1700000000000, "updatedAt": 1700000000000}\n'
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in a folder with `records.jsonl`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "records.jsonl").write_text(LINES, "utf-8")
    return tmp_path


def test_all_of_it(here: Path, cli: Cli) -> None:
    """
    From a look at a file to the same file again.
    """
    assert 0 == cli("init", "jsonl:records.jsonl").code
    written = Path("timestamp-guard.toml").read_text("utf-8")
    assert 'url = "jsonl:records.jsonl"' in written
    assert 'key = "_id"  # different in all 2 sampled records' in written

    assert "records: 2 records, 1 broken" in cli("check").out
    assert "1 to fill" in cli("plan").out
    assert (0, "records: backfill 1, complete: 1 filled\n") == ((said := cli("backfill")).code, said.out)
    assert LINES.replace("null", "1700000000000") == Path("records.jsonl").read_text("utf-8")
    assert 0 == cli("check").code
    assert "'a': updatedAt None -> 1700000000000 from createdAt" in cli("runs", "show", 1).out
    assert 2 == len(cli("runs", "export", 1).out.splitlines())
    assert (0, "records: rollback 2 of run 1, complete: 1 restored\n") == ((said := cli("rollback")).code, said.out)
    assert LINES == Path("records.jsonl").read_text("utf-8")


def test_without_a_configuration(here: Path, cli: Cli) -> None:
    """
    The same words as for a database; in JSON, a file is a table named by its stem.
    """
    found = cli("check", "jsonl:records.jsonl", *WORDS, "--key", "_id", "--format", "json")

    assert 1 == found.code
    assert ["records"] == list(found.json["tables"])
    assert (2, {"null": 1}) == (
        found.json["tables"]["records"]["records"],
        found.json["tables"]["records"]["violations"],
    )
    assert 0 == cli("backfill", "jsonl:records.jsonl", *WORDS, "--fill", "createdAt").code
    assert 0 == cli("rollback", "jsonl:records.jsonl").code
    assert LINES == Path("records.jsonl").read_text("utf-8")


def test_several(here: Path, cli: Cli) -> None:
    """
    A pattern stands for files, which have a total; one that cannot be read does not hide the others.
    """
    Path("one.json").write_text('{"createdAt": 1700000000000}', "utf-8")
    Path("two.json").write_text('[{"createdAt": 1700000000000, "updatedAt": 1700000000000}]', "utf-8")

    found = cli("check", "json:*.json", *WORDS)
    as_json = cli("check", "json:*.json", *WORDS, "--format", "json")

    assert 1 == found.code
    assert "total: 2 records, 1 broken" == found.out.splitlines()[-1]
    assert {"records": 2, "broken": 1} == as_json.json["total"]

    Path("bad.json").write_text("[", "utf-8")
    found = cli("check", "json:*.json", *WORDS)
    assert 3 == found.code
    assert "bad.json, line 1, column 2: wanted" in found.err
    assert "total: 2 records, 1 broken" == found.out.splitlines()[-1]

    Path("bad.json").unlink()
    assert 0 == cli("backfill", "json:*.json", *WORDS, "--fill", "createdAt").code
    assert 0 == cli("check", "json:*.json", *WORDS).code
    assert 0 == cli("rollback", "json:*.json").code
    assert '{"createdAt": 1700000000000}' == Path("one.json").read_text("utf-8")


def test_wrapped(here: Path, cli: Cli) -> None:
    """
    Records in an envelope are named by their key in it, and taken back without being named again.
    """
    Path("page.json").write_text('{"count": 1, "items": [{"createdAt": 1700000000000}]}', "utf-8")

    assert 0 == cli("backfill", "json:page.json", "--table", "items", *WORDS, "--fill", "createdAt").code
    assert "items: rollback 2 of run 1, complete: 1 restored\n" == cli("rollback", "json:page.json").out
    assert '{"count": 1, "items": [{"createdAt": 1700000000000}]}' == Path("page.json").read_text("utf-8")


@pytest.mark.parametrize("content", [LINES, json.dumps([json.loads(line) for line in LINES.splitlines()], indent=1)])
@pytest.mark.parametrize("act", ["check", "backfill"])
def test_what_comes_in(here: Path, content: str, act: str) -> None:
    """
    What comes in is checked, lines or an array, and not written.
    """
    more = ("--fill", "createdAt") if act == "backfill" else ()
    done = subprocess.run(
        [sys.executable, "-m", "timestamp_guard", act, "-", *WORDS, *more],
        input=content,
        text=True,
        capture_output=True,
        env=ENVIRONMENT,
        check=False,
    )

    if act == "check":
        assert (1, "stdin: 2 records, 1 broken") == (done.returncode, done.stdout.splitlines()[0])
    else:
        assert (2, True) == (done.returncode, "can be checked, and not written" in done.stderr)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("check", "jsonl:nothing.jsonl", *WORDS), 3, "there is no file nothing.jsonl"),
        (("check", "jsonl:.", *WORDS), 3, ". is a folder, not a file"),
        (("check", "json:*.nothing", *WORDS), 3, "no file is called *.nothing"),
        (("check", "json:", *WORDS), 2, "cannot read the address 'json:'"),
        (("check", "json:records.jsonl", *WORDS), 3, "say jsonl: and not json:"),
        (("check", "jsonl:records.jsonl", "--table", "pages", *WORDS), 2, "no table 'pages' in records.jsonl"),
        (("check", "jsonl:records.jsonl", "--updated", "updated_at", "--encoding", "epoch_ms"), 2, "did you mean 'updatedAt'"),
        (("check", "jsonl:records.jsonl", "--updated", "a..b", "--encoding", "epoch_ms"), 2, "a dot leads into an object"),
        (("check", "jsonl:records.jsonl", "--updated", "updatedAt", "--encoding", "datetime"), 2, "JSON has no type"),
        (("backfill", "jsonl:records.jsonl", *WORDS, "--fill", "createdAt", "--key", "nothing"), 2, "record 1 has no key nothing"),
        (("rollback", "jsonl:records.jsonl", "--run", "7"), 2, "no run '7'"),
    ],
)  # fmt: skip
def test_bad_input(here: Path, cli: Cli, arguments: tuple[Any, ...], code: int, said: str) -> None:
    """
    One clear sentence, the right exit code, and nothing changed.
    """
    found = cli(*arguments)

    assert (code, "") == (found.code, found.out)
    assert said in found.err
    assert 1 == len(found.err.splitlines())
    assert [here / "records.jsonl"] == list(here.iterdir())
    assert LINES == Path("records.jsonl").read_text("utf-8")


def test_what_is_no_number_is_kept_where_it_is_let_be(here: Path, cli: Cli) -> None:
    """
    NaN is no JSON; who has it all the same says so, on the command line or in the configuration, and it stays.
    """
    strange = '{"_id": "a", "load": NaN, "createdAt": 1700000000000, "updatedAt": null}\n'
    Path("records.jsonl").write_text(strange, "utf-8")
    fill = ("jsonl:records.jsonl", *WORDS, "--key", "_id", "--fill", "createdAt")

    assert 3 == cli("check", "jsonl:records.jsonl", *WORDS).code
    assert 1 == cli("check", "jsonl:records.jsonl", *WORDS, "--nonfinite").code
    assert 0 == cli("backfill", *fill, "--nonfinite").code
    assert strange.replace("null", "1700000000000") == Path("records.jsonl").read_text("utf-8")
    assert 0 == cli("rollback", "jsonl:records.jsonl").code
    assert strange == Path("records.jsonl").read_text("utf-8")

    said = """
[[store]]
url = "jsonl:records.jsonl"

[[store.table]]
name = "records"
updated = "updatedAt"
encoding = "epoch_ms"
fill = "createdAt"
nonfinite = {}
"""
    Path("timestamp-guard.toml").write_text(said.format("true"), "utf-8")
    assert 1 == cli("check").code
    Path("timestamp-guard.toml").write_text(said.format('"yes"'), "utf-8")
    assert (2, True) == ((told := cli("check")).code, "'nonfinite': wanted true or false, found 'yes'" in told.err)
