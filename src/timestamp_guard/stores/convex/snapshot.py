"""
What is in a snapshot: the tables of the app and of its components, in a ZIP or in a folder that was unpacked from one.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final

from attrs import evolve, frozen

from ...errors import StoreDamaged, StoreMissing, UnknownName, UsageError
from ..json.content import Content
from .archive import Archive
from .member import Member
from .values import Notation, lines_of, notation_of

__all__ = ["Snapshot", "Table"]

DOCUMENTS: Final = "documents.jsonl"
SHAPE: Final = "generated_schema.jsonl"
TABLES: Final = "_tables"

_PLACE: Final = re.compile(
    r"(?P<lead>(?:[^/]+/)*?)(?P<components>(?:_components/[^/]+/)*)(?P<table>[^/]+)/documents\.jsonl", re.DOTALL
)
_PRINTED: Final = re.compile(
    rb'\s*[{\[](?s:.)*?(?:[:\[,]\s*-?\d+n\s*[,}\]]|[:\[,]\s*Bytes\("|[{,]\s*[A-Za-z_]\w*\s*:)'
    rb"|[^\n]* \| [^\n]*\n-+\|[-|]*\n"
)
"""How a file begins that holds what `npx convex data` prints: objects, with what JSON does not have, or a table."""


@frozen
class Table:
    """A table of a snapshot: where it is, in which component, what it is called there, and its number where one is known."""

    folder: str
    component: str
    table: str
    number: int | None = None

    @property
    def name(self) -> str:
        """What it is called: `services`, or `component/path:table`."""
        return f"{self.component}:{self.table}" if self.component else self.table


@frozen
class Snapshot:
    """The snapshot at `path`: its tables by their names, and the names of those that are listed without documents."""

    path: Path
    packed: bool
    tables: Mapping[str, Table]
    bare: tuple[str, ...]
    places: frozenset[str]

    @classmethod
    def at(cls, path: str) -> Snapshot:
        """
        Look into a snapshot; everything in a ZIP is looked at before any of it is believed.

        Raises:
            StoreMissing: it is not there, or has no tables.
            StoreDamaged: it is damaged, or made to harm.
            UsageError: it is none, or is encrypted.
        """
        place = Path(path)
        if "//" in path and not place.exists():
            msg = f"{path} is no file: a live deployment is convex+https://NAME.convex.cloud"
            raise UsageError(msg)
        if not place.exists():
            raise StoreMissing(f"there is no snapshot {path}: npx convex export --path {path} makes one")
        place = place.resolve()
        packed = not place.is_dir()
        names = _packed(place, path) if packed else _unpacked(place)
        found: dict[str, Table] = {}
        leads: set[str] = set()
        for name in names:
            match = _PLACE.fullmatch(name)
            if match is None:
                continue
            leads.add(match["lead"])
            component = "/".join(match["components"].split("/")[1::2])
            table = Table(name.removesuffix(DOCUMENTS), component, match["table"])
            found[table.name] = table
        if not found:
            # Given a folder, npx convex export puts a ZIP into it.
            inside = [] if packed else sorted(each.name for each in place.glob("*.zip"))
            more = f"; it holds {', '.join(inside)}: name the file" if inside else ""
            raise StoreMissing(
                f"{path} has no tables: wanted services/{DOCUMENTS} and the like, as in npx convex export{more}"
            )
        if len(leads) > 1:
            said = " and ".join(sorted(lead or "the top" for lead in leads))
            raise StoreDamaged(f"{path} has several snapshots in it, at {said}: have each in a file of its own")
        here = cls(place, packed, found, (), frozenset(names))
        numbers = {
            name: number for table in found.values() if table.table == TABLES for name, number in here.listed(table)
        }
        own = [each for each in found.values() if not each.table.startswith("_")]
        tables = {
            each.name: evolve(each, number=numbers.get(each.name))
            for each in sorted(own, key=lambda each: (each.component, each.table))
        }
        return evolve(here, tables=tables, bare=tuple(sorted(name for name in numbers if name not in tables)))

    def listed(self, table: Table) -> Iterator[tuple[str, int]]:
        """The names of the tables that *table* lists, and their numbers."""
        place = table.folder + DOCUMENTS
        with self.file(place).open() as file:
            for line in filter(bytes.strip, lines_of(file)):
                try:
                    said = json.loads(line)
                    name, number = said["name"], int(said["id"])
                    if not isinstance(name, str):
                        raise TypeError(name)
                except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
                    raise StoreDamaged(
                        f"{self.path}: {place} is no list of tables and their numbers: export it anew"
                    ) from None
                yield (f"{table.component}:{name}" if table.component else name), number

    def table(self, name: str | None) -> Table:
        """
        The table of that name.

        Raises:
            UsageError: there is none, or it is not said which.
        """
        if name is None:
            if len(self.tables) != 1:
                msg = f"which table of {self.path.name}? there is {', '.join(self.tables) or 'none'}"
                raise UsageError(msg)
            (name,) = self.tables
        if name not in self.tables:
            raise UnknownName("table", name, self.path.name, self.tables)
        return self.tables[name]

    def content(self, table: Table) -> Content:
        """The documents of a table."""
        return self.file(table.folder + DOCUMENTS, table.name)

    def file(self, place: str, name: str | None = None) -> Content:
        """A file of the snapshot, which people call *name*."""
        called = f"{self.path.name}, {name or place}"
        if self.packed:
            return Member(self.path, place, called)
        found = Content(str(self.path / place))
        found.name = called
        return found

    def notation(self, table: Table) -> Notation:
        """How the values of a table are written."""
        place = table.folder + SHAPE
        where = f"{self.path.name}, {place}"
        if place not in self.places:
            return notation_of(None, where)
        with self.file(place).open() as file:
            return notation_of(file, where)


def _packed(path: Path, said: str) -> list[str]:
    """The members of a ZIP that are not the app's files."""
    if not path.is_file():
        raise StoreMissing(f"{said} is neither a ZIP nor a folder")
    with path.open("rb", buffering=0) as raw:
        file: BinaryIO = raw
        head = raw.read(2**16)
        if not head.startswith(b"PK") and _PRINTED.match(head):
            msg = (
                f"{said} is what npx convex data prints, which is no snapshot: an int64 is 123n there, bytes are Bytes(...), "
                f"and it stops after 100 documents; take npx convex export --path snapshot.zip"
            )
            raise UsageError(msg)
        archive = Archive.of(said, file)
        return [each.name for each in archive.checked(file) if each.name.endswith(".jsonl")]


def _unpacked(folder: Path) -> list[str]:
    """The files of a folder that are not the app's; a symbolic link is refused, for what it leads to is not in it."""
    found: list[str] = []
    links: list[Path] = []
    for where, folders, files in os.walk(folder):
        here = Path(where)
        folders[:] = sorted(name for name in folders if name != "_storage")
        links += [here / name for name in [*folders, *files] if (here / name).is_symlink()]
        found += [(here / name).relative_to(folder).as_posix() for name in files if name in {DOCUMENTS, SHAPE}]
    if found and links:  # a folder without documents is no snapshot, and may hold what it likes
        raise StoreDamaged(f"{links[0]} is a symbolic link, and leads out of the snapshot: put there what it names")
    return found
