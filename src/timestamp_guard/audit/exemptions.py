"""
Findings that somebody has looked at: `// timestamp-guard: ignore patch-stale -- the reason`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from attrs import frozen

from ..convex.typescript import Module, Piece, find
from .findings import RULES, Finding, Problem

__all__ = ["Exemption", "exempted", "exemptions"]

_SAID: Final = re.compile(r"timestamp-guard\s*:\s*ignore\b\s*(.*?)\s*(?:\*/\s*\}?)?\s*$", re.DOTALL)


@frozen
class Exemption:
    """Some rules that are not applied at a line: the one of the comment, or, where it stands alone, the next one."""

    rules: frozenset[str]
    line: int

    def covers(self, finding: Finding) -> bool:
        """Whether it is about this one."""
        return finding.rule in self.rules and finding.start <= self.line <= finding.end


def exemptions(module: Module) -> Iterator[Exemption | Problem]:
    """The exemptions in the comments of a file; one that names no rule, or gives no reason, is a problem."""
    if b"timestamp-guard" not in (module.root.text or b""):
        return
    for comment in find(Piece(module, module.root), "comment"):
        found = _SAID.search(comment.text)
        if found is None:
            continue
        names, dashes, why = found[1].partition("--")
        rules = frozenset(each for each in re.split(r"[\s,]+", names) if each)
        unknown = sorted(rules - RULES.keys())
        if unknown or not rules:
            said = f"no rule {unknown[0]!r}" if unknown else "it names no rule"
            yield Problem(module.name, comment.line, f"{said}: nothing is ignored; there is {', '.join(RULES)}")
        elif not dashes or not why.strip(" */"):
            rule = ", ".join(sorted(rules))
            yield Problem(
                module.name, comment.line, f"nothing is ignored without a reason: say ignore {rule} -- and why"
            )
        else:
            yield Exemption(rules, _about(comment))


def _about(comment: Piece) -> int:
    """The line that a comment is about: its own, or the next with code on it, where it stands alone."""
    node = comment.node
    before = node.prev_sibling
    if before is not None and before.end_point.row == node.start_point.row and before.type != "comment":
        return comment.line
    while (after := node.next_sibling) is not None and after.type == "comment":
        node = after
    return comment.line if after is None else after.start_point.row + 1


def exempted(finding: Finding, found: Sequence[Exemption]) -> bool:
    """Whether one of the exemptions of its file is about a finding."""
    return any(each.covers(finding) for each in found)
