"""
TypeScript as it stands in files: nodes and their text. Nothing is run.

:func:`read` reads a file. A :class:`Piece` is a node together with the module that it stands in; :func:`find` gives the
nodes of some types, :func:`unwrap` takes off what changes no value (parentheses, `as const`, `satisfies`, `!`), and
:func:`string` reads a text. Where a name comes from is known by :mod:`.names`.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import define, field, frozen

from ..errors import MissingExtra, UsageError
from .fields import Problem

try:
    import tree_sitter_typescript
    from tree_sitter import Language, Parser, Query, QueryCursor
except ImportError as problem:
    raise MissingExtra("convex", "reading TypeScript") from problem

if TYPE_CHECKING:
    from tree_sitter import Node

__all__ = [
    "SUFFIXES",
    "Module",
    "Piece",
    "find",
    "fragment",
    "parse",
    "read",
    "string",
    "text",
    "unwrap",
    "words",
]

SUFFIXES: Final = (".ts", ".tsx", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs")
"""The files that hold TypeScript or JavaScript."""

_PLAIN: Final = {".ts", ".mts", ".cts"}
"""Here `<T>x` is a type assertion, in all others the beginning of an element."""

_WRAPPING: Final = {
    "as_expression",
    "non_null_expression",
    "parenthesized_expression",
    "satisfies_expression",
    "type_assertion",
}

_ESCAPE: Final = re.compile(r"\\(?:u\{([0-9a-fA-F]+)\}|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(\r\n|[\s\S]))")
_ESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}
_CONTINUED: Final = {"\n", "\r", "\r\n", "\u2028", "\u2029"}


@frozen(eq=False)
class Module:
    """A file: `name` is its path as people are told it, with `/`; `root` is the node of the whole."""

    path: Path
    name: str
    root: Node = field(repr=False)

    @property
    def problems(self) -> list[Problem]:
        """Where the file does not parse; what stands around such a place is read all the same."""
        if not self.root.has_error:
            return []
        return [_problem(each) for each in find(Piece(self, self.root), "ERROR", "MISSING")]


@define(unsafe_hash=True)  # nobody changes one; a frozen one takes twice as long to make, and there are very many
class Piece:
    """A node, and the module that it stands in."""

    module: Module
    node: Node

    def at(self, node: Node) -> Piece:
        """Another node of the same module."""
        return Piece(self.module, node)

    def child(self, name: str) -> Piece | None:
        """The child in the field of that *name*, like `function` or `arguments` of a call."""
        found = self.node.child_by_field_name(name)
        return None if found is None else Piece(self.module, found)

    @property
    def text(self) -> str:
        """The source, as it stands."""
        return text(self.node)

    @property
    def line(self) -> int:
        """The line where it starts, 1-based."""
        return self.node.start_point.row + 1

    @property
    def brief(self) -> str:
        """The source in few words, for messages."""
        words = " ".join(self.text.split())
        return words if len(words) <= 40 else f"{words[:37]}..."

    def __str__(self) -> str:
        return f"{self.module.name}:{self.line}"


def read(path: Path, name: str | None = None) -> Module:
    """
    Read and parse a file.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        source = path.read_bytes()
    except OSError as problem:
        raise UsageError(f"cannot read {name or path}: {problem.strerror or problem}") from None
    return parse(source, path, name)


def parse(source: bytes, path: Path, name: str | None = None) -> Module:
    """Parse the *source* of the file at *path*: what its name ends with says which language it is in."""
    tree = Parser(_language(path.suffix in _PLAIN)).parse(source.removeprefix(b"\xef\xbb\xbf"))
    return Module(path, name or path.as_posix(), tree.root_node)


def text(node: Node) -> str:
    """The source of a node, as it stands; what is no UTF-8 is replaced."""
    return (node.text or b"").decode(errors="replace")


def unwrap(node: Node) -> Node:
    """The expression itself, without parentheses, `as T`, `<T>`, `satisfies T` and `!`."""
    while node.type in _WRAPPING:
        inner = [child for child in node.named_children if child.type not in {"comment", "type_arguments"}]
        if not inner:
            return node
        node = inner[0]
    return node


def string(node: Node) -> str | None:
    """The text that a literal stands for, its escapes read; None for what is no text, or has `${...}` in it."""
    node = unwrap(node)
    if node.type not in {"string", "template_string"}:
        return None
    if any(child.type == "template_substitution" for child in node.named_children):
        return None
    return fragment(text(node)[1:-1])


def fragment(source: str) -> str:
    """The text that a part of a literal stands for, its escapes read."""
    read = _ESCAPE.sub(_unescaped, source)
    # Two escapes can be one character: a pair of surrogates.
    return read.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def find(piece: Piece, *types: str) -> list[Piece]:
    """All nodes of some *types* inside a piece, itself included, in the order of the file, the outer before the inner."""
    captures = QueryCursor(_query(piece.module.path.suffix in _PLAIN, types)).captures(piece.node)
    found = sorted(captures.get("it", ()), key=lambda node: (node.start_byte, -node.end_byte))
    return [piece.at(node) for node in found]


@functools.cache
def words(*names: str, before: str = r"\w$") -> re.Pattern[bytes]:
    """What finds these words in a source, whole, and behind none of the characters *before*."""
    # The letters come first, as a search goes from one place where they are to the next, and looks around only there.
    found = "|".join(f"{re.escape(name)}(?<![{before}]{re.escape(name)})" for name in names)
    return re.compile(rf"(?:{found})(?![\w$])".encode())


@functools.cache
def _language(plain: bool) -> Language:  # noqa: FBT001  # a key
    return Language(tree_sitter_typescript.language_typescript() if plain else tree_sitter_typescript.language_tsx())


@functools.cache
def _query(plain: bool, types: tuple[str, ...]) -> Query:  # noqa: FBT001  # a key
    return Query(_language(plain), f"[{' '.join(f'({each})' for each in types)}] @it")


def _unescaped(match: re.Match[str]) -> str:
    code = match[1] or match[2] or match[3]
    if code:
        return chr(min(int(code, 16), 0x10FFFF))
    return "" if match[4] in _CONTINUED else _ESCAPED.get(match[4], match[4])


def _problem(piece: Piece) -> Problem:
    said = f"cannot be read as TypeScript: {' '.join(piece.text.split())[:40]!r}"
    if piece.node.is_missing:
        said = f"{piece.node.type!r} is missing"
    return Problem(piece.module.name, piece.line, said)
