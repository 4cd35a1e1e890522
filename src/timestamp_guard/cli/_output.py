"""
What a command says: results on stdout, everything else on stderr, and one exit code.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Any, Final

from ..errors import StoreError, TimestampGuardError, UsageError
from ..stores.address import shown

__all__ = ["LEFT", "UNWRITTEN", "WRONG", "Outcome", "say", "say_json", "tell"]

LEFT: Final = 1
"""Violations, or work left."""

WRONG: Final = 2
"""Wrong usage: options, configuration, unknown table, field, key or run."""

UNWRITTEN: Final = 3
"""The store is missing, locked, or could not be read or written."""


def say(text: str) -> None:
    """Print a result."""
    sys.stdout.write(f"{shown(text)}\n")


def say_json(value: Any) -> None:
    """Print a result for programs."""
    say(json.dumps(value, indent=2))


def tell(text: str) -> None:
    """Print what is no result."""
    sys.stdout.flush()
    sys.stderr.write(f"timestamp-guard: {shown(text)}\n")
    sys.stderr.flush()


class Outcome:
    """The exit code of a command: the worst of all that it did."""

    def __init__(self) -> None:
        self.code = 0

    def judged(self, *, ok: bool) -> None:
        """Take a result into account."""
        self.code = max(self.code, 0 if ok else LEFT)

    @contextlib.contextmanager
    def of(self, label: str) -> Iterator[None]:
        """Work on one table: where that fails, say so, and let the command go on with the next one."""
        try:
            yield
        except TimestampGuardError as problem:
            self._failed(label, problem)

    @contextlib.contextmanager
    def store(self, label: str, *, alone: bool) -> Iterator[None]:
        """Look into one store: where it cannot be read, and is not the only one, say so and go on."""
        try:
            yield
        except StoreError as problem:
            if alone:
                raise
            self._failed(label, problem)

    def _failed(self, label: str, problem: TimestampGuardError) -> None:
        said = str(problem)
        tell(said if label in said else f"{label}: {said}")
        match problem:
            case StoreError():
                code = UNWRITTEN
            case UsageError():
                code = WRONG
            case _:
                code = LEFT
        self.code = max(self.code, code)
