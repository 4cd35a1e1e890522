"""
Validators that are exported and that nobody imports: what all files of a folder say together.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from ..convex.names import Folder
from ..convex.typescript import Module, string, text, unwrap
from .findings import Finding
from .project import Registered

if TYPE_CHECKING:
    from tree_sitter import Node

__all__ = ["Export", "Use", "unused", "uses", "validators"]

_VALIDATOR: Final = re.compile(r"^(validate|assert)(?![a-z])|[vV]alidators?$")
_FUNCTIONS: Final = {"arrow_function", "function_declaration", "function_expression"}


@frozen
class Export:
    """A validator that a file exports."""

    file: str
    name: str
    line: int
    start: int = field(repr=False)
    used: bool = field(repr=False)


@frozen
class Use:
    """A name that is imported from a file; `*` for all of them."""

    file: str
    name: str


def validators(module: Module, functions: Iterable[Registered]) -> Iterator[Export]:
    """The validators that a file exports: values made with `v`, and functions called validate... or assert..."""
    names = {each.name for each in functions}
    source = text(module.root)
    for node in module.root.named_children:
        declaration = node.child_by_field_name("declaration") if node.type == "export_statement" else None
        if declaration is None:
            continue
        for each in declaration.named_children if declaration.type == "lexical_declaration" else [declaration]:
            name, value = each.child_by_field_name("name"), each.child_by_field_name("value")
            if name is None or text(name) in names or not _is_validator(text(name), each, value):
                continue
            used = len(re.findall(rf"(?:(?<![\w$.])|(?<=\.\.\.)){re.escape(text(name))}(?![\w$])", source)) > 1
            yield Export(module.name, text(name), each.start_point.row + 1, node.start_point.row + 1, used)


def _is_validator(name: str, declared: Node, value: Node | None) -> bool:
    if declared.type == "function_declaration" or (value is not None and value.type in _FUNCTIONS):
        return _VALIDATOR.search(name) is not None
    if value is None:
        return False
    value = unwrap(value)
    if value.type == "call_expression":
        function = value.child_by_field_name("function")
        return function is not None and text(function).startswith("v.")
    values = [each.child_by_field_name("value") for each in value.named_children if each.type == "pair"]
    return (
        bool(values)
        and value.type == "object"
        and all(each is not None and text(each).startswith("v.") for each in values)
    )


_LOADED: Final = [
    re.compile(rb"""%b(?<![\w$.]%b)\s*\(\s*["']([^"']+)""" % (word, word)) for word in (b"import", b"require")
]


def uses(folder: Folder, module: Module) -> Iterator[Use]:
    """What a file imports from others, or exports again."""
    for each in module.root.named_children:
        origin = each.child_by_field_name("source") if each.type in {"import_statement", "export_statement"} else None
        found = None if origin is None else folder.located(module, string(origin) or "")
        if found is None:
            continue
        file = _relative(folder.root, found)
        clauses = (one for child in each.named_children for one in (child, *child.named_children))
        names = [one for clause in clauses if clause.type in _CLAUSES for one in clause.named_children]
        for one in names:
            yield Use(file, text(one.child_by_field_name("name") or one))
        if not names:
            yield Use(file, "*")
    source = module.root.text or b""
    for loaded in (each for pattern in _LOADED for each in pattern.finditer(source)):
        found = folder.located(module, loaded[1].decode(errors="replace"))
        if found is not None:
            yield Use(_relative(folder.root, found), "*")


_CLAUSES: Final = {"export_clause", "named_imports"}


@functools.lru_cache(1_000)
def _relative(root: Path, path: Path) -> str:
    relative = os.path.relpath(path, root)
    return relative if os.sep == "/" else Path(relative).as_posix()


def unused(exports: Iterable[Export], used: Iterable[Use]) -> Iterator[Finding]:
    """The validators that nobody imports."""
    known = set(used)
    for each in exports:
        if not (each.used or Use(each.file, each.name) in known or Use(each.file, "*") in known):
            message = f"{each.name} is exported, and nobody imports it: nothing is held to it"
            lines = (each.line, each.start, each.line)
            yield Finding.of("unused-validator", each.file, lines, None, message, each.name)
