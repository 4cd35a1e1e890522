"""
Which writes break a rule: those on a table that has the field, and leave it out for certain.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from .findings import Finding, Site
from .sites import Tracked

__all__ = ["judged"]

_HINTS: Final = {
    "insert": "add {field}: Date.now()",
    "replace": "add {field}: Date.now(), or keep the old one with ...row",
    "patch": "add {field}: Date.now(), or name the fields under touch in timestamp-guard.toml",
}


def judged(sites: Iterable[Site], tracked: Tracked) -> Iterator[Finding]:
    """The findings of some writes; one that cannot be judged yields none."""
    field = tracked.settings.updated
    for site in sites:
        if site.verdict != "omits" or not site.tracked:
            continue
        if site.call == "patch" and tracked.settings.touches(site.keys or frozenset()):
            continue
        tables = " or ".join(sorted(site.tables)) or "a table that is not known"
        message = f"{site.call} on {tables} leaves out {field}: {site.why}; {_HINTS[site.call].format(field=field)}"
        yield Finding.of(
            _rule(site, tracked), site.file, (site.line, site.start, site.end), site.table, message, site.mark
        )


def _rule(site: Site, tracked: Tracked) -> str:
    match site.call:
        case "insert":
            return "insert-missing-required" if tracked.demands(site.tables) else "insert-missing-optional"
        case "replace":
            return "replace-missing"
        case "patch":
            return "patch-stale"
