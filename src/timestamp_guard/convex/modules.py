"""
Which file an import means, as a bundler looks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from .typescript import SUFFIXES, Piece, find, parse, string

__all__ = ["Aliases", "locate"]


Aliases: TypeAlias = list[tuple[Path, str, list[str]]]
"""Where names lead: the folder to start from, a pattern, and what it may stand for."""


def locate(importer: Path, source: str, known: dict[Path, Aliases]) -> Path | None:
    """
    The file that the text after `from` means in the file *importer*; None for a package, and for what is not there.

    *known* keeps what each folder's tsconfig.json says, for the next time.
    """
    if not source.startswith("."):
        folder = importer.parent
        if folder not in known:
            known[folder] = _aliases(folder)
        return _aliased(known[folder], source)
    path = importer.parent / source
    return _index(path) if source.rpartition("/")[2] in {"", ".", ".."} else _file(path)


def _file(path: Path) -> Path | None:
    written = path.suffix in SUFFIXES
    if written and path.is_file():
        return path
    for suffix in SUFFIXES:
        found = path.with_name(path.name + suffix)
        if found.is_file():
            return found
    if written and path.suffix.endswith("js"):  # TypeScript is imported by the name of what it will become
        for suffix in (path.suffix.replace("js", "ts"), ".tsx"):
            if path.with_suffix(suffix).is_file():
                return path.with_suffix(suffix)
    return _index(path)


def _index(folder: Path) -> Path | None:
    return next((found for suffix in SUFFIXES if (found := folder / f"index{suffix}").is_file()), None)


def _aliased(aliases: Aliases, source: str) -> Path | None:
    """The file that `paths` or `baseUrl` of the nearest tsconfig.json make of a name that looks like a package."""
    for base, pattern, targets in aliases:
        before, star, after = pattern.partition("*")
        if not (source.startswith(before) and source.endswith(after) if star else source == pattern):
            continue
        middle = source[len(before) : len(source) - len(after)]
        for target in targets:
            found = _file(base / target.replace("*", middle))
            if found is not None:
                return found
    return None


def _aliases(folder: Path) -> Aliases:
    """What the nearest tsconfig.json says, at or above a folder; what that one extends is not read."""
    config = next(
        (each / "tsconfig.json" for each in (folder, *folder.parents) if (each / "tsconfig.json").is_file()), None
    )
    if config is None:
        return []
    # JSON with comments is an expression of TypeScript.
    module = parse(b"(" + config.read_bytes() + b")", Path("tsconfig.ts"))
    options: dict[str, Piece] = {}
    for top in find(Piece(module, module.root), "object")[:1]:
        for key, value in _pairs(top):
            if key == "compilerOptions":
                options = dict(_pairs(value))
    base = config.parent / (string(options["baseUrl"].node) or "") if "baseUrl" in options else config.parent
    found = []
    for key, value in _pairs(options["paths"]) if "paths" in options else ():
        found.append((base, key, [each for node in value.node.named_children if (each := string(node))]))
    if "baseUrl" in options:
        found.append((base, "*", ["*"]))
    return found


def _pairs(literal: Piece) -> Iterator[tuple[str, Piece]]:
    for each in literal.node.named_children:
        key, value = each.child_by_field_name("key"), each.child_by_field_name("value")
        if key is not None and value is not None:
            yield string(key) or "", literal.at(value)
