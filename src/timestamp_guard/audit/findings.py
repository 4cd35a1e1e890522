"""
What an audit finds: :class:`Site`, :class:`Finding`, and the rules, by name.
"""

from __future__ import annotations

import hashlib
from typing import Final, Literal, TypeAlias

from attrs import field, frozen

from ..convex.fields import Problem
from .verdicts import Word

__all__ = ["RULES", "Audit", "Finding", "Problem", "Severity", "Site"]

Severity: TypeAlias = Literal["error", "warning"]
Call: TypeAlias = Literal["insert", "patch", "replace"]

RULES: Final[dict[str, tuple[Severity, str]]] = {
    "insert-missing-required": ("error", "An insert leaves out the field, which the schema requires."),
    "insert-missing-optional": ("warning", "An insert leaves out the field, so that a new row is without it."),
    "replace-missing": ("warning", "A replace leaves out the field, so that the row loses it."),
    "patch-stale": ("warning", "A patch changes a row and leaves the field as it was, so that it looks unchanged."),
    "file-not-bundled": ("error", "A file defines functions, and Convex never deploys it because of its name."),
    "unused-validator": ("warning", "A validator is exported, and nobody imports it."),
    "public-migration": ("error", "A migration or backfill is public: whoever knows the deployment may call it."),
    "required-too-soon": ("warning", "A backfill comes with a schema that requires the field: the push is refused."),
    "unbounded-collect": ("warning", "A whole table is read in one transaction, which fails once it has grown."),
    "swallowed-errors": (
        "warning",
        "A write that fails is passed over, so that success is reported although rows failed.",
    ),
    "run-command": ("warning", "A comment says how to run a function, and Convex knows no such command."),
    "epoch-zero-literal": (
        "warning",
        "The field is given a placeholder, which a schema accepts and no reader expects.",
    ),
}
"""Each rule with its severity, and what it says."""


@frozen
class Site:
    """
    A write: an insert, a patch or a replace.

    `tables` are those that it may be of, `table` the one that it is of, None where it may be of several or is not
    known. `keys` are the names of all that a patch writes, where they are known; `source` is the call without its spaces.
    """

    file: str
    line: int
    call: Call
    table: str | None
    tracked: bool
    verdict: Word
    why: str
    tables: frozenset[str] = field(repr=False)
    keys: frozenset[str] | None = field(repr=False)
    start: int = field(repr=False)
    end: int = field(repr=False)
    mark: str = field(repr=False)

    def to_dict(self) -> dict[str, object]:
        """The entry of it in the JSON form."""
        return {
            "file": self.file,
            "line": self.line,
            "call": self.call,
            "table": self.table,
            "tracked": self.tracked,
            "verdict": self.verdict,
        }


@frozen
class Finding:
    """One place where a rule is broken; `start` and `end` are the lines at which a comment may exempt it."""

    rule: str
    severity: Severity
    file: str
    line: int
    table: str | None
    message: str
    start: int = field(repr=False, default=0)
    end: int = field(repr=False, default=0)
    mark: str = field(repr=False, default="")

    @classmethod
    def of(
        cls, rule: str, file: str, lines: tuple[int, int, int], table: str | None, message: str, source: str
    ) -> Finding:
        """A finding of a *rule*, with its severity; *lines* are where it is, and where a comment may exempt it."""
        line, start, end = lines
        return cls(rule, RULES[rule][0], file, line, table, message, start, end, " ".join(source.split()))

    @property
    def fingerprint(self) -> str:
        """The same for the same code, wherever in its file it stands."""
        said = "\0".join((self.rule, self.file, self.table or "", self.mark))
        return hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()[:32]

    def to_dict(self) -> dict[str, object]:
        """The entry of it in the JSON form."""
        return {
            "rule": self.rule,
            "severity": self.severity,
            "file": self.file,
            "line": self.line,
            "table": self.table,
            "message": self.message,
        }


@frozen
class Audit:
    """All that an audit found."""

    sites: tuple[Site, ...]
    findings: tuple[Finding, ...]
    problems: tuple[Problem, ...]
    files: int

    def to_dict(self) -> dict[str, object]:
        """The JSON form."""
        return {
            "sites": [each.to_dict() for each in self.sites],
            "findings": [each.to_dict() for each in self.findings],
        }
