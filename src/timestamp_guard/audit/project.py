"""
What is wrong with a project rather than with one write: files that are never deployed, migrations anyone may call ...
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from attrs import frozen

from ..convex.typescript import Module, Piece, find, text, unwrap, words
from . import calls, flow
from .findings import Finding, Site
from .literals import placeholder
from .sites import Tracked, named, statement
from .values import FUNCTIONS, Query

if TYPE_CHECKING:
    from tree_sitter import Node

    from .reader import Reader

__all__ = ["Registered", "commands", "not_bundled", "per_file", "registered", "zeros"]

_BUILDER: Final = re.compile(r"(query|mutation|action)$", re.IGNORECASE)
_MIGRATION: Final = re.compile(r"migrat|backfill", re.IGNORECASE)
_LOOPS: Final = {"for_in_statement", "for_statement", "while_statement", "do_statement"}


@frozen
class Registered:
    """A function of Convex that a file exports."""

    name: str
    builder: str
    piece: Piece

    @property
    def public(self) -> bool:
        """Whether whoever knows the deployment may call it, and it can write."""
        return "internal" not in self.builder.lower() and not self.builder.lower().endswith("query")


def registered(module: Module) -> Iterator[Registered]:
    """The functions of Convex that a file exports: `export const name = mutation({...})`."""
    for node in module.root.named_children:
        if node.type != "export_statement":
            continue
        declaration = node.child_by_field_name("declaration") or node.child_by_field_name("value")
        for each in declaration.named_children if declaration and declaration.type == "lexical_declaration" else ():
            name, value = each.child_by_field_name("name"), each.child_by_field_name("value")
            if name is not None and value is not None and (builder := _builder(module, value)):
                yield Registered(text(name), builder, Piece(module, value))
        if declaration is not None and (builder := _builder(module, declaration)):
            yield Registered("default", builder, Piece(module, declaration))


def _builder(module: Module, value: Node) -> str | None:
    value = unwrap(value)
    if value.type != "call_expression":
        return None
    function = calls.callee(Piece(module, value)).node
    last = function.child_by_field_name("property") or function
    given = flow.argument_nodes(value)
    if not given or given[0].type not in {"object", *FUNCTIONS} or not _BUILDER.search(text(last)):
        return None
    return text(last)


# -- One file ----------------------------------------------------------------------------------------------------


def per_file(
    reader: Reader,
    module: Module,
    functions: Sequence[Registered],
    found: Sequence[tuple[Site, Piece]],
    tracked: Tracked,
) -> Iterator[Finding]:
    """The findings of a file that is deployed."""
    yield from _public(module, functions, found, tracked)
    yield from _too_soon(found, tracked)
    yield from _unbounded(reader, module, tracked)
    yield from _swallowed(module, found)
    yield from zeros(module, tracked.settings.updated)


def not_bundled(module: Module) -> Iterator[Finding]:
    """A file that defines functions and is left out by Convex's bundler, which goes by the name."""
    path, base = module.name, module.name.rpartition("/")[2]
    if base.count(".") > 1:
        why = f"its name has {base.count('.')} dots"
    elif " " in path:
        why = "its path has a space"
    elif base.startswith("#"):
        why = "its name begins with #"
    else:
        return
    found = list(registered(module))
    if found:
        names = ", ".join(each.name for each in found[:3]) + (", ..." if len(found) > 3 else "")
        message = f"Convex never deploys {path}, as {why}: {names} cannot be run; rename the file"
        line = found[0].piece.line
        yield Finding.of("file-not-bundled", path, (line, line, line), None, message, "")


_COMMAND: Final = re.compile(
    r"\bconvex run (?:--?[\w-]+(?:[= ][\w.:-]+)? )*(?!api\.|internal\.)([\w/.-]+)\.(\w+)(?![\w:./])"
)
_SUFFIX: Final = re.compile(r"[cm]?[jt]sx?$")


def commands(module: Module) -> Iterator[Finding]:
    """Where a comment has people run `file.function`, which must be `file:function`."""
    if b"convex run" not in (module.root.text or b""):
        return
    for comment in find(Piece(module, module.root), "comment"):
        for found in _COMMAND.finditer(comment.text):
            if _SUFFIX.match(found[2]):
                continue
            line = comment.line + comment.text.count("\n", 0, found.start())
            message = f"Convex cannot run {found[1]}.{found[2]}: say npx convex run {found[1]}:{found[2]}"
            yield Finding.of("run-command", module.name, (line, line, line), None, message, found[0])


def _public(
    module: Module, functions: Sequence[Registered], found: Sequence[tuple[Site, Piece]], tracked: Tracked
) -> Iterator[Finding]:
    only = frozenset({tracked.settings.updated})
    for each in functions:
        if not each.public:
            continue
        said = _MIGRATION.search(each.name) or _MIGRATION.search(module.name)
        fills = any(
            site.keys == only and site.tracked and _inside(piece, each.piece) and _looped(piece, each.piece)
            for site, piece in found
        ) and _asks(tracked.settings.updated, each.piece.text)
        if said or fills:
            message = (
                f"{each.name} is a public {each.builder}, and {'a migration' if said else 'fills the field of many rows'}"
                f": whoever knows the deployment may call it; make it internal"
            )
            yield _at(each.piece, "public-migration", None, message, each.name)


def _asks(updated: str, source: str) -> bool:
    """Whether code asks if the field is missing."""
    name = re.escape(updated)
    return (
        re.search(
            rf"[.]{name}\s*[=!]==?\s*(undefined|null)\b|!\s*[\w.]+[.]{name}\b|typeof\s+[\w.]+[.]{name}\b"
            rf"|field\(\s*[\"']{name}[\"']\s*\)\s*,\s*undefined",
            source,
        )
        is not None
    )


def _too_soon(found: Sequence[tuple[Site, Piece]], tracked: Tracked) -> Iterator[Finding]:
    """Fills that ask whether the field is missing, of tables in which the schema does not let it be."""
    updated = tracked.settings.updated
    for site, piece in found:
        fills = site.call == "patch" and site.verdict == "sets" and site.keys == frozenset({updated}) and site.tables
        if not fills or not all(tracked.demands(frozenset({each})) for each in site.tables):
            continue
        node: Node | None = piece.node
        while node is not None and node.type not in FUNCTIONS:
            node = node.parent
        if node is not None and _asks(updated, text(node)):
            tables = " or ".join(sorted(site.tables))
            message = (
                f"this fills {updated} where it is missing, and the schema requires it of {tables} already: a push of both "
                f"is refused while rows are without it; make it v.optional until they are filled"
            )
            yield _at(piece, "required-too-soon", site.table, message)


def _looped(piece: Piece, function: Piece) -> bool:
    node = piece.node.parent
    while node is not None and node != function.node:
        called = node.parent.parent if node.parent is not None and node.parent.type == "arguments" else None
        if node.type in _LOOPS or (called is not None and _each(called)):
            return True
        node = node.parent
    return False


def _each(call: Node) -> bool:
    function = call.child_by_field_name("function")
    return function is not None and text(function).endswith((".map", ".forEach"))


_COLLECT: Final = words("collect")


def _unbounded(reader: Reader, module: Module, tracked: Tracked) -> Iterator[Finding]:
    for node in named(module, _COLLECT):
        member = node.parent
        owner = None if member is None else member.child_by_field_name("object")
        if member is None or owner is None or member.parent is None or member.parent.type != "call_expression":
            continue
        if _by_index(owner):
            continue  # most are, and need not be followed
        reader.ask()
        query = reader.value(Piece(module, owner), {})
        if not isinstance(query, Query) or query.bounded or not tracked.any_of(query.tables or frozenset()):
            continue
        tables = " and ".join(sorted(query.tables or ())) or "a table"
        table = next(iter(query.tables)) if query.tables and len(query.tables) == 1 else None
        message = f"all of {tables} is read in one transaction, which fails once it has grown; read it in pages"
        yield _at(Piece(module, member.parent), "unbounded-collect", table, message)


def _by_index(query: Node) -> bool:
    """Whether a query says itself which part of an index it reads, whatever it is of."""
    node: Node | None = query
    while node is not None and node.type == "call_expression":
        member = node.child_by_field_name("function") or node
        name = member.child_by_field_name("property")
        if name is not None and text(name) in calls.BY_INDEX and len(flow.argument_nodes(node)) > 1:
            return True
        node = member.child_by_field_name("object")
    return False


def _swallowed(module: Module, found: Sequence[tuple[Site, Piece]]) -> Iterator[Finding]:
    message = "a write that fails here is passed over, and success is reported: throw, or report it as failed"
    tried = found and b"catch" in (module.root.text or b"")
    for attempt in find(Piece(module, module.root), "try_statement") if tried else ():
        body, handler = attempt.child("body"), attempt.child("handler")
        if body is None or handler is None:
            continue
        tables = [site.table for site, piece in found if _inside(piece, body) and (site.tracked or not site.tables)]
        if tables and not _throws(handler) and not _reports(handler) and not _throws_after(attempt):
            yield _at(handler, "swallowed-errors", _same(tables), message, attempt.text)
    for site, piece in found:
        call = _caught(piece.node)
        if call is not None and (site.tracked or not site.tables) and not _throws(piece.at(call)):
            yield _at(piece, "swallowed-errors", site.table, message)


def _caught(node: Node) -> Node | None:
    """The call `.catch(handler)` on a write, if there is one."""
    member = node.parent
    if member is None or member.type != "member_expression" or member.parent is None:
        return None
    name = member.child_by_field_name("property")
    return member.parent if name is not None and text(name) == "catch" else None


def _throws(piece: Piece) -> bool:
    """Whether an error is thrown inside."""
    return bool(find(piece, "throw_statement"))


def _reports(handler: Piece) -> bool:
    """Whether what is returned there says that it failed."""
    return any(
        re.search(r"\b(success|ok|succeeded)\s*:\s*false\b|\b(error|failed|status)\s*:", each.text)
        for each in find(handler, "return_statement")
    )


def _throws_after(attempt: Piece) -> bool:
    """Whether what went wrong is thrown later in the same function."""
    function = attempt.node.parent
    while function is not None and function.type not in FUNCTIONS:
        function = function.parent
    return function is not None and any(
        each.node.start_byte >= attempt.node.end_byte for each in find(attempt.at(function), "throw_statement")
    )


def zeros(module: Module, updated: str) -> Iterator[Finding]:
    """Where the field is given what is a placeholder of an instant, like 0 or the beginning of 1970."""
    for node in named(module, words(updated)):
        at = node.parent if node.type == "string_fragment" else node
        parent = None if at is None else at.parent
        if at is None or parent is None:
            continue
        value: Node | None = None
        if parent.type == "pair" and parent.child_by_field_name("key") == at:
            value = parent.child_by_field_name("value")
        elif parent.type in {"member_expression", "subscript_expression"}:
            target = flow.outer(parent)
            if target.parent is not None and target.parent.child_by_field_name("left") == target:
                value = target.parent.child_by_field_name("right") if "assignment" in target.parent.type else None
        zero = None if value is None else placeholder(value)
        if zero is not None:
            message = f"{updated} is given {zero}, a placeholder: a schema accepts it, and no reader expects it"
            yield _at(Piece(module, parent), "epoch-zero-literal", None, message, text(statement(parent)))


def _at(piece: Piece, rule: str, table: str | None, message: str, source: str | None = None) -> Finding:
    lines = (piece.line, statement(piece.node).start_point.row + 1, piece.node.end_point.row + 1)
    if piece.node.end_point.row - piece.node.start_point.row > 20:
        lines = (piece.line, lines[1], piece.line)  # a comment far inside is about something else
    return Finding.of(rule, piece.module.name, lines, table, message, piece.text if source is None else source)


def _inside(inner: Piece, outside: Piece) -> bool:
    return outside.node.start_byte <= inner.node.start_byte and inner.node.end_byte <= outside.node.end_byte


def _same(names: Iterable[str | None]) -> str | None:
    found = set(names)
    return found.pop() if len(found) == 1 else None
