"""
What an audit looks for, and what it leaves alone: options, and `[audit]` in timestamp-guard.toml.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any, Final

from attrs import fields_dict, frozen

from ..errors import ConfigurationError, UnknownName
from .findings import RULES, Finding

__all__ = ["TOUCH", "Ignored", "Settings"]

TOUCH: Final = ("count", "*Count", "*_count", "*Counter", "last*At", "last_*_at", "*SentAt", "*_sent_at", "sortOrder")
"""Fields that may change without the row counting as changed, unless the configuration says otherwise."""


@frozen
class Ignored:
    """Findings that are left out, and why."""

    rule: str
    why: str
    files: str = "*"
    table: str | None = None

    def covers(self, finding: Finding) -> bool:
        """Whether it is about this one."""
        return (
            self.rule in {"*", finding.rule}
            and fnmatch.fnmatchcase(finding.file, self.files)
            and (self.table is None or self.table == finding.table)
        )


@frozen(kw_only=True)
class Settings:
    """
    What is looked for.

    `updated` is the field. `track` names tables that have it although the schema does not say so. A patch that writes
    only fields that look like `touch` is no change of a row. `stamping` names the functions that wrap a `db` so that
    it sets the field, and the types of a context with such a `db`.
    """

    updated: str = "updatedAt"
    track: tuple[str, ...] = ()
    touch: tuple[str, ...] = TOUCH
    stamping: tuple[str, ...] = ("stamped",)
    ignore: tuple[Ignored, ...] = ()

    def touches(self, names: frozenset[str]) -> bool:
        """Whether a patch of these fields leaves a row as unchanged as it was."""
        return bool(names) and all(any(fnmatch.fnmatchcase(name, pattern) for pattern in self.touch) for name in names)

    @classmethod
    def read(cls, said: Mapping[str, Any], place: str) -> Settings:
        """
        The section `[audit]` of a configuration file; *place* is what a message calls the file.

        Raises:
            ConfigurationError: it says something that it cannot mean; everything that is wrong, a line each.
        """
        problems: list[str] = []
        found: dict[str, Any] = {}
        for key, value in said.items():
            if key not in fields_dict(cls):
                problems.append(f"{place}: {UnknownName('key', key, '[audit]', fields_dict(cls))}")
            elif key == "ignore":
                found[key] = tuple(_ignored(value, place, problems))
            elif key == "updated":
                if not isinstance(value, str) or not value:
                    problems.append(f"{place}: [audit] updated: wanted the name of a field, found {value!r}")
                found[key] = value
            elif not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
                problems.append(f"{place}: [audit] {key}: wanted a list of names, found {value!r}")
            else:
                found[key] = tuple(value)
        if problems:
            raise ConfigurationError("\n".join(problems))
        return cls(**found)


def _ignored(said: Any, place: str, problems: list[str]) -> Sequence[Ignored]:
    if not isinstance(said, list) or not all(isinstance(each, dict) for each in said):
        problems.append(f"{place}: [audit] ignore: wanted [[audit.ignore]] sections, found {said!r}")
        return ()
    found: list[Ignored] = []
    for number, each in enumerate(said, 1):
        at = f"{place}: [[audit.ignore]] number {number}"
        wrong = [
            f"{at}: {UnknownName('key', key, 'it', fields_dict(Ignored))}" for key in each.keys() - fields_dict(Ignored)
        ]
        wrong += [
            f"{at}: {key}: wanted text, found {value!r}" for key, value in each.items() if not isinstance(value, str)
        ]
        wrong += [f"{at}: the key {key!r} is missing" for key in ("rule", "why") if key not in each]
        if each.get("rule", "*") != "*" and each["rule"] not in RULES and isinstance(each["rule"], str):
            wrong.append(f"{at}: {UnknownName('rule', each['rule'], 'the audit', RULES)}")
        problems += sorted(wrong)
        if not wrong:
            found.append(Ignored(**each))
    return found
