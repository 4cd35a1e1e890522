"""
The module for a Convex app: `timestampGuard.ts`, made of a table of guards and of pieces that are always the same.

It belongs to the app: it is committed and reviewed there, and needs nothing of this package to run. Its first lines hold
a digest of the rest, so that what somebody changed by hand is never overwritten.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from importlib import resources
from typing import Final

from attrs import field, frozen

from ..errors import UsageError
from ..instants import Encoding, Encodings, encodings_for
from ..rules import Guard
from ..targets.typescript import ensure_speaks, fields, judge, key, stamp, text

__all__ = ["FILE", "GuardedTable", "is_ours", "module"]

FILE: Final = "timestampGuard.ts"
"""The name of the module: its functions are `timestampGuard:page` and so on."""

_HEADER: Final = """\
// Written by timestamp-guard convex init. To change it, run that again: what is
// edited here is not overwritten, and does not follow the configuration.
// sha256 of the rest: """


@frozen
class GuardedTable:
    """
    A table of the app: the field that is stamped, and what must hold of a document.

    `int64` says that the schema wants the stamp as `v.int64()`.
    """

    name: str
    updated: str
    guard: Guard
    encodings: Encodings
    int64: bool = field(default=False, kw_only=True)

    def encodings_of(self) -> dict[str, Encoding]:
        """
        How each of its fields is written.

        Raises:
            UsageError: one has no encoding.
        """
        return encodings_for((*self.guard.fields, self.updated), self.encodings)


def module(tables: Sequence[GuardedTable]) -> str:
    """
    The text of `timestampGuard.ts` for *tables*.

    Raises:
        UsageError: no table, one twice, or one whose guard TypeScript cannot judge or whose field it cannot stamp.
    """
    if not tables:
        msg = "no table to guard"
        raise UsageError(msg)
    for index, table in enumerate(tables):
        if table.name in {each.name for each in tables[:index]}:
            msg = f"table {table.name!r} is described twice"
            raise UsageError(msg)
    guards = "\n".join(_guards(tables))
    stamps = [each.encodings_of()[each.updated] for each in tables]
    reads = [encoding for each in tables for encoding in each.encodings_of().values()]
    # What an app does not use is left out, or its linter would say so.
    pieces = ["head", guards, "judge"]
    pieces += ["text"] if any(not each.is_number for each in reads) else []
    pieces += ["written"] if any(not each.is_number for each in stamps) else []
    body = "\n".join(each if each is guards else _piece(each) for each in (*pieces, "stamped", "functions"))
    return f"{_HEADER}{_digest(body)}\n\n{body}"


def is_ours(content: str) -> bool | None:
    """Whether *content* is a module as :func:`module` made it; None where somebody changed it since."""
    lines = content.replace("\r\n", "\n")
    if not lines.startswith(_HEADER.splitlines()[0]):
        return False
    found = re.fullmatch(re.escape(_HEADER) + r"([0-9a-f]{64})\n\n(.*)", lines, re.DOTALL)
    return True if found is not None and found[1] == _digest(found[2]) else None


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def _piece(name: str) -> str:
    return resources.files(__package__).joinpath("templates", f"{name}.ts").read_text("utf-8")


def _guards(tables: Sequence[GuardedTable]) -> Iterator[str]:
    yield "// -- what must hold -----------------------------------------------------------"
    yield ""
    yield "const guards = {"
    for table in tables:
        try:
            yield from _table(table)
        except UsageError as problem:
            msg = f"table {table.name!r}: {problem}"
            raise UsageError(msg) from None
    yield "} satisfies Record<string, Guard>;"
    yield ""


def _table(table: GuardedTable) -> Iterator[str]:
    encodings = table.encodings_of()
    ensure_speaks(table.guard, encodings)
    yield f"  {key(table.name)}: {{"
    yield f"    updated: {text(table.updated)} as const,"
    yield f"    stamp: {stamp(encodings[table.updated], int64=table.int64)},"
    yield "    fields: {"
    yield from (f"      {line}" for line in fields(table.guard, encodings))
    yield "    },"
    yield "    rules: ["
    yield from (f"      {line}" for line in judge(table.guard, encodings))
    yield "    ],"
    yield "  },"
