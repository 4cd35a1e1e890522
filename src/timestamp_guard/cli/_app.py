"""
All commands under one name; each is imported when it is called.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Final

from cyclopts import App, Group

__all__ = ["COMMANDS", "application"]

COMMANDS: Final = {
    "init": "Look into a store, and write timestamp-guard.toml.",
    "check": "Find records whose timestamps are missing or wrong.",
    "plan": "Show what a backfill would write; write nothing.",
    "backfill": "Fill what is missing, so that it can be taken back.",
    "rollback": "Take a backfill back, exactly.",
    "migrate": "Make the field required: look, hold new writes, fill, prove, enforce, prove again.",
    "verify": "Prove that it is so: every record anew, and the ledger against the data.",
    "enforce": "Have the store itself refuse what breaks the guard.",
    "unenforce": "Take back what enforce made, and nothing else.",
    "runs": "List what was done; show or export one run.",
    "convex": "Read the schema of a Convex app; write the code that guards it.",
    "audit": "Find the places in the code of a Convex app that write a row and forget the field.",
    "demo": "See all of it, on a database made for the purpose.",
}
"""What the list of commands says of each: the first line of its own help."""

HELP: Final = """\
Make updatedAt trustworthy: find what is wrong, fill it, take it back.

Begin with one of:

  timestamp-guard demo
  timestamp-guard init sqlite:///app.db
  timestamp-guard check sqlite:///app.db --updated updatedAt --encoding epoch_ms

Exit codes:

  0    sound, done, or nothing to do
  1    violations, or work left
  2    wrong usage: options, configuration, unknown table, field, key or run
  3    the store is missing, locked, or could not be read or written
  130  interrupted
"""


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("timestamp-guard")
    except PackageNotFoundError:
        return "unknown: not installed"


def _own_help(name: str) -> str | None:
    """What a command says of itself, at length; others need not be imported for a list of all."""
    return inspect.getdoc(getattr(importlib.import_module(f".{name}", __package__), name))


def application(called: str | None = None) -> App:
    """The whole command line; of the command *called*, all of its help."""
    app = App(
        name="timestamp-guard",
        help=HELP,
        help_format="plaintext",
        version=_version,
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    for place, (name, line) in enumerate(COMMANDS.items()):
        what = "app" if name in {"convex", "runs"} else name
        said = _own_help(name) if name == called else line
        app.command(f"timestamp_guard.cli.{name}:{what}", name=name, help=said, sort_key=place)
    app.register_install_completion_command(
        help="Complete commands and options with the Tab key: writes a script for this shell, and a line in its "
        "start-up file.",
        group=Group("Shell", sort_key=9),
    )
    return app
