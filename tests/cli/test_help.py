import importlib
from pathlib import Path

import pytest

from timestamp_guard.cli._app import COMMANDS

from .conftest import Cli


def test_list(cli: Cli) -> None:
    """
    The help of the whole lists every command with a line.
    """
    said = cli("--help")

    assert (0, "") == (said.code, said.err)
    assert all(f" {name} " in said.out for name in COMMANDS)
    assert said.out == cli().out


@pytest.mark.parametrize("command", [*COMMANDS, "runs show", "runs export"])
def test_example(cli: Cli, command: str) -> None:
    """
    The help of every command has an example of it.
    """
    said = cli(*command.split(), "--help")

    assert 0 == said.code
    assert f"\n  timestamp-guard {command}" in said.out


@pytest.mark.parametrize("command", [*COMMANDS, "convex schema", "convex init", "runs show", "runs purge"])
def test_examples_as_they_are(cli: Cli, command: str) -> None:
    """
    No example is broken into two lines where it could not be copied, and the usage says how the command is called.
    """
    lines = cli(*command.split(), "--help").out.splitlines()

    assert lines[0].startswith(f"Usage: timestamp-guard {command} ")
    examples = [at for at, line in enumerate(lines) if line.startswith("  timestamp-guard ")]
    assert [] == [lines[at] for at in examples if lines[at + 1].strip() and not lines[at].endswith("\\")
                  and not lines[at + 1].startswith("  timestamp-guard ")]  # fmt: skip


def test_usage_alone(cli: Cli) -> None:
    """
    A group of commands that is called alone says how it is called.
    """
    assert cli("convex").out.startswith("Usage: timestamp-guard convex COMMAND\n")


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_first_line(command: str) -> None:
    """
    The list says what the command itself says first.
    """
    module = importlib.import_module(f"timestamp_guard.cli.{command}")

    assert COMMANDS[command] == (getattr(module, command).__doc__ or "").splitlines()[0]


def test_version(cli: Cli) -> None:
    """
    --version says one.
    """
    said = cli("--version")

    assert 0 == said.code
    assert "" != said.out.strip()


def test_completion(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Completion for a shell is installed by one option.
    """
    monkeypatch.setenv("HOME", str(tmp_path))

    said = cli("--install-completion", "--shell", "bash")

    assert 0 == said.code
    written = [path.read_text("utf-8") for path in tmp_path.rglob("*") if path.is_file()]
    assert any("backfill" in text for text in written)
