"""
Workflow commands of GitHub Actions, which it shows as annotations beside the code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..audit.findings import Finding, Problem

__all__ = ["github"]


def github(findings: Sequence[Finding], problems: Sequence[Problem] = (), *, prefix: str = "") -> Iterator[str]:
    """A line for each; *prefix* leads from the root of the repository to the folder that was audited."""
    for each in findings:
        yield _command(each.severity, prefix + each.file, each.line, each.rule, each.message)
    for problem in problems:
        yield _command("warning", prefix + problem.file, problem.line, "unread", problem.said)


def _command(level: str, file: str, line: int, title: str, message: str) -> str:
    at = f",line={line}" if line else ""
    return f"::{level} file={_property(file)}{at},title={_property(title)}::{_data(message)}"


def _data(said: str) -> str:
    return said.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(said: str) -> str:
    return _data(said).replace(":", "%3A").replace(",", "%2C")
