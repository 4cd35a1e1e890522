"""
The audit itself: :func:`audit` over a folder, in one process or in several.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import evolve, frozen

from ..convex.names import Folder
from ..convex.schema import functions_of, read_schema, schema_file
from ..convex.typescript import Module
from ..errors import UsageError
from . import project
from .exemptions import Exemption, exempted, exemptions
from .files import files, is_test
from .findings import Audit, Finding, Problem, Site
from .reader import Reader
from .rules import judged
from .settings import Settings
from .sites import Tracked, sites
from .unused import Export, Use, unused, uses, validators

if TYPE_CHECKING:
    from ..convex.schema import Schema

__all__ = ["audit"]

_WORTH: Final = 150
"""Fewer files are read sooner by one process than another one starts."""


@frozen
class _Read:
    """What one file says."""

    sites: tuple[Site, ...] = ()
    findings: tuple[Finding, ...] = ()
    problems: tuple[Problem, ...] = ()
    exports: tuple[Export, ...] = ()
    uses: tuple[Use, ...] = ()
    exemptions: tuple[Exemption, ...] = ()


def audit(folder: Path | str, settings: Settings | None = None, *, processes: int = 1) -> Audit:
    """
    Read the `convex/` *folder* of an app, and say where it writes and what is wrong with that.

    A file that cannot be parsed is among the problems, and what is around the fault is read all the same.

    Raises:
        UsageError: there is no such folder, no schema in it, or no table with the field.
        MissingExtra: tree-sitter is not installed.
    """
    folder, settings = Path(folder), settings or Settings()
    if folder.is_file():
        raise UsageError(f"{folder} is a file; name the folder with schema.ts in it, like {folder.parent}")
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}; name the one with schema.ts in it, like convex/")
    schema = read_schema(folder)
    tracked = Tracked(schema, settings)
    if not tracked.tables:
        raise UsageError(_without_tables(folder, schema, settings.updated))
    paths = files(functions_of(schema_file(folder)))
    processes = min(processes, len(paths) // _WORTH + 1)
    if processes == 1:
        found = _read_all(folder, schema, settings, paths)
    else:
        # What is forked need not be imported again, and no thread was started before.
        kind = multiprocessing.get_context("fork" if sys.platform == "linux" else None)
        parts = [paths[at::processes] for at in range(processes)]
        with ProcessPoolExecutor(processes, mp_context=kind) as pool:
            found = [
                each
                for part in pool.map(
                    _read_all, *zip(*((folder, schema, settings, part) for part in parts), strict=True)
                )
                for each in part
            ]
    return _together(found, settings, list(schema.problems), len(paths))


def _without_tables(folder: Path, schema: Schema, updated: str) -> str:
    if schema.problems:
        said = "; ".join(map(str, schema.problems[:3]))
        return (
            f"no table of {folder} is known to have a field {updated!r}, as its schema could not be read: {said}; mend "
            f"that, or name the tables with --table"
        )
    return (
        f"no table of {folder} has a field {updated!r}; name the field with --updated, or the tables that will have it "
        f"with --table"
    )


def _read_all(folder: Path, schema: Schema, settings: Settings, paths: Sequence[Path]) -> list[_Read]:
    code = Folder(folder)
    reader = Reader(code, schema, frozenset(settings.stamping))
    tracked = Tracked(schema, settings)
    return [_read_one(reader, tracked, path) for path in paths]


def _read_one(reader: Reader, tracked: Tracked, path: Path) -> _Read:
    folder = reader.folder
    name = path.relative_to(folder.root).as_posix()
    try:
        module = folder.module(path)
    except UsageError as problem:
        return _Read(problems=(Problem(name, 0, str(problem)),))
    if module.name != name:  # a link to a file is told by its own name
        module = evolve(module, name=name)
    source = module.root.text or b""
    used = tuple(uses(folder, module))
    findings = list(project.not_bundled(module))
    if findings or is_test(name, source):
        # A test of Convex functions that is never deployed is no test: it is told what it would store.
        zeros = (*project.commands(module), *project.zeros(module, tracked.settings.updated)) if findings else ()
        said, wrong = _exemptions(module)
        return _Read(findings=(*findings, *zeros), problems=wrong, uses=used, exemptions=said)
    functions = list(project.registered(module))
    found = list(sites(reader, module, tracked))
    written = tuple(site for site, _ in found)
    findings += judged(written, tracked)
    findings += project.commands(module)
    findings += project.per_file(reader, module, functions, found, tracked)
    said, wrong = _exemptions(module)
    return _Read(
        written,
        tuple(findings),
        (*module.problems[:3], *wrong),
        tuple(validators(module, functions)),
        used,
        said,
    )


def _exemptions(module: Module) -> tuple[tuple[Exemption, ...], tuple[Problem, ...]]:
    found = list(exemptions(module))
    return (
        tuple(each for each in found if isinstance(each, Exemption)),
        tuple(each for each in found if isinstance(each, Problem)),
    )


def _together(found: Iterable[_Read], settings: Settings, problems: list[Problem], count: int) -> Audit:
    found = list(found)
    known: dict[str, tuple[Exemption, ...]] = {}
    for each in found:
        known |= dict.fromkeys(
            [*(one.file for one in each.findings), *(one.file for one in each.exports)], each.exemptions
        )
    findings = [one for each in found for one in each.findings]
    findings += unused((one for each in found for one in each.exports), (one for each in found for one in each.uses))
    kept = [
        each
        for each in findings
        if not exempted(each, known.get(each.file, ())) and not any(one.covers(each) for one in settings.ignore)
    ]
    kept.sort(key=lambda each: (each.file, each.line, each.rule, each.message))
    written = sorted((one for each in found for one in each.sites), key=lambda each: (each.file, each.line))
    problems += [one for each in found for one in each.problems]
    problems.sort(key=lambda each: (each.file, each.line))
    return Audit(tuple(written), tuple(kept), tuple(dict.fromkeys(problems)), count)
