"""
What was found before, so that a build fails only on what is new: a file of JSON that does not mind moved lines.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from ..errors import UsageError
from .findings import Finding

__all__ = ["new", "read_baseline", "write_baseline"]

VERSION: Final = 1


def read_baseline(path: Path) -> Counter[str]:
    """
    How often each finding was found before, by its fingerprint.

    Raises:
        UsageError: it is not there, or no baseline.
    """
    try:
        said = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UsageError(f"there is no baseline {path}; --write-baseline makes one") from None
    except (OSError, ValueError) as problem:
        raise UsageError(f"cannot read the baseline {path}: {problem}") from None
    if not isinstance(said, dict) or said.get("version") != VERSION or not isinstance(said.get("findings"), list):
        raise UsageError(f"{path} is no baseline of version {VERSION}; --write-baseline makes one")
    found: Counter[str] = Counter()
    for each in said["findings"]:
        if not isinstance(each, dict) or not isinstance(each.get("fingerprint"), str):
            raise UsageError(f"{path} is no baseline: {each!r} has no fingerprint; --write-baseline makes one")
        found[each["fingerprint"]] += 1
    return found


def write_baseline(path: Path, findings: Iterable[Finding]) -> None:
    """Write down what was found, without its lines."""
    entries = sorted(
        (
            {"rule": each.rule, "file": each.file, "table": each.table, "fingerprint": each.fingerprint}
            for each in findings
        ),
        key=lambda entry: (entry["file"], entry["rule"] or "", entry["fingerprint"]),
    )
    path.write_text(json.dumps({"version": VERSION, "findings": entries}, indent=2) + "\n", "utf-8")


def new(findings: Iterable[Finding], before: Counter[str]) -> tuple[list[Finding], int]:
    """The findings that were not there *before*, and how many of those that were are gone."""
    left = Counter(before)
    found: list[Finding] = []
    for each in findings:
        if left[each.fingerprint] > 0:
            left[each.fingerprint] -= 1
        else:
            found.append(each)
    return found, left.total()
