"""
SARIF 2.1.0, which code hosts and editors show beside the code.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from ..audit.findings import RULES, Finding, Problem

__all__ = ["sarif"]

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(findings: Sequence[Finding], problems: Sequence[Problem] = (), *, prefix: str = "") -> dict[str, Any]:
    """A log of one run; *prefix* leads from where paths are shown to the folder that was audited."""
    names = list(RULES)
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "timestamp-guard",
                        "rules": [
                            {
                                "id": name,
                                "shortDescription": {"text": said},
                                "defaultConfiguration": {"level": severity},
                            }
                            for name, (severity, said) in RULES.items()
                        ],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [
                    {
                        "ruleId": each.rule,
                        "ruleIndex": names.index(each.rule),
                        "level": each.severity,
                        "message": {"text": each.message},
                        "locations": [_location(prefix + each.file, each.line)],
                        "partialFingerprints": {"timestampGuard/v1": each.fingerprint},
                    }
                    for each in findings
                ],
                "invocations": [
                    {
                        "executionSuccessful": True,
                        "toolExecutionNotifications": [
                            {
                                "level": "warning",
                                "message": {"text": each.said},
                                "locations": [_location(prefix + each.file, each.line)],
                            }
                            for each in problems
                        ],
                    }
                ],
            }
        ],
    }


def _location(file: str, line: int) -> dict[str, Any]:
    path = Path(file)
    place: dict[str, Any] = {"artifactLocation": {"uri": path.as_uri() if path.is_absolute() else quote(file)}}
    if line > 0:
        place["region"] = {"startLine": line}
    return {"physicalLocation": place}
