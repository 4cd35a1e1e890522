"""`timestamp-guard audit`: where an app writes, and where it forgets the field."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

from attrs import evolve
from cyclopts import Parameter

from ..audit.baseline import new, read_baseline, write_baseline
from ..audit.findings import Audit, Finding
from ..audit.run import audit as look
from ..audit.settings import Settings
from ..config import FILE, section
from ..convex.schema import functions_folder
from ._output import LEFT, say, say_json, tell

__all__ = ["audit"]


def audit(
    folder: Annotated[
        Path | None,
        Parameter(
            help="The folder of the app's functions, with schema.ts in it; without it, the one that convex.json names, "
            "or convex/."
        ),
    ] = None,
    /,
    *,
    updated: Annotated[
        str | None,
        Parameter(show_default=False, help="The field that says when a row was last changed [default: updatedAt]."),
    ] = None,
    table: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            show_default=False,
            help="A table to look at although the schema has no such field in it yet; can be repeated.",
        ),
    ] = (),
    config: Annotated[
        Path | None,
        Parameter(show_default=False, help="The configuration file; without it, timestamp-guard.toml in this folder."),
    ] = None,
    baseline: Annotated[
        Path | None,
        Parameter(show_default=False, help="Findings that were there before, in this file, do not count."),
    ] = None,
    write: Annotated[
        bool,
        Parameter(
            name="--write-baseline",
            negative="",
            show_default=False,
            help="Write what is found into the file of --baseline, and exit 0.",
        ),
    ] = False,
    strict: Annotated[
        bool,
        Parameter(negative="", show_default=False, help="Fail for warnings too, and for files that cannot be parsed."),
    ] = False,
    form: Annotated[
        Literal["text", "json", "sarif", "github"],
        Parameter(name="--format", help="For people, for programs, for code hosts, or as annotations of a workflow."),
    ] = "text",
) -> int:
    """Find the places in the code of a Convex app that write a row and forget the field.

    Reads the code, and runs none of it. Exits 1 where there is an error, and
    with --strict where there is a warning.

      timestamp-guard audit convex/ --updated updatedAt

    To fail only for what is new:

      timestamp-guard audit convex/ --baseline audit.json --write-baseline
      timestamp-guard audit convex/ --baseline audit.json
    """
    from ..errors import UsageError

    if write and baseline is None:
        raise UsageError("--write-baseline: say in which file, with --baseline FILE")
    folder = functions_folder(Path()) if folder is None else folder
    before = Counter[str]() if baseline is None or write else read_baseline(baseline)
    found = look(folder, _settings(config, updated, table), processes=os.cpu_count() or 1)
    if write and baseline is not None:
        write_baseline(baseline, found.findings)
        tell(f"wrote {len(found.findings):,} findings to {baseline}")
        return 0
    findings, gone = new(found.findings, before)
    known = len(found.findings) - len(findings)
    found = evolve(found, findings=tuple(findings))
    _show(found, folder, form)
    if known:
        tell(f"{known:,} more findings are in {baseline}, and do not count")
    if gone:
        tell(f"{gone:,} findings of {baseline} are gone; --write-baseline writes it anew")
    failed = any(each.severity == "error" for each in findings)
    return LEFT if failed or (strict and (findings or found.problems)) else 0


def _settings(config: Path | None, updated: str | None, table: tuple[str, ...]) -> Settings:
    path = config or Path(FILE)
    said = section(path, "audit") if config is not None or path.exists() else {}
    found = Settings.read(said, str(path))
    if updated is not None:
        found = evolve(found, updated=updated)
    return evolve(found, track=(*found.track, *table))


def _show(found: Audit, folder: Path, form: str) -> None:
    from ..render.github import github
    from ..render.sarif import sarif

    prefix = "" if folder == Path() else f"{folder.as_posix()}/"
    match form:
        case "json":
            say_json(found.to_dict())
        case "sarif":
            say_json(sarif(found.findings, found.problems, prefix=prefix))
            return
        case "github":
            for line in github(found.findings, found.problems, prefix=prefix):
                say(line)
            return
        case _:
            for line in _text(found):
                say(line)
    for each in found.problems:
        tell(str(each))


def _text(found: Audit) -> Iterator[str]:
    for each in found.findings:
        yield f"{each.file}:{each.line}: {each.severity} {each.rule}: {each.message}"
    tracked = [each for each in found.sites if each.tracked]
    words = Counter(each.verdict for each in tracked)
    yield (
        f"{found.files:,} files, {len(found.sites):,} writes, {len(tracked):,} of them on tables with the field: "
        f"{words['sets']:,} set it, {words['omits']:,} leave it out, {words['indeterminate']:,} cannot be told"
    )
    yield _counted(found.findings)


def _counted(findings: Sequence[Finding]) -> str:
    if not findings:
        return "nothing found"
    counts = Counter(each.severity for each in findings)
    return ", ".join(f"{counts[kind]:,} {kind}{'s' if counts[kind] != 1 else ''}" for kind in ("error", "warning"))
