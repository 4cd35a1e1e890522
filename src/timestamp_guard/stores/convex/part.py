"""
A snapshot with some of the tables of another: what is left out of it, an import leaves alone.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path
from secrets import token_hex

from ...errors import StoreError, StoreMissing, UsageError
from ..json.folder import sync_folder
from .archive import CHUNK
from .snapshot import DOCUMENTS, SHAPE, TABLES, Snapshot, Table

__all__ = ["part"]


def part(snapshot: Snapshot, tables: Collection[str], path: Path) -> None:
    """
    Write a ZIP at *path* with *tables* alone.

    The list of tables names no others either: one that is listed there, and has no documents, is emptied by an import.

    Raises:
        UsageError: there is something at *path* already.
        StoreError: it cannot be written.
    """
    if path.exists():
        msg = f"there is a file {path} already: name one for the changed tables that is not there"
        raise UsageError(msg)
    if not path.parent.is_dir():
        raise StoreMissing(f"there is no folder {path.parent} for {path.name}")
    new = path.with_name(f"{path.name}.{token_hex(4)}.part")  # a name that nobody has
    chosen = [table for name, table in snapshot.tables.items() if name in tables]
    try:
        with new.open("wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
                for name, lines in _lists(chosen):
                    made.writestr(name, lines)
                for table in chosen:
                    for inner in (table.folder + DOCUMENTS, table.folder + SHAPE):
                        _add(made, snapshot, inner)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        sync_folder(path.parent)
    except OSError as problem:
        raise StoreError(f"{path} cannot be written: {problem.strerror}") from None
    finally:
        new.unlink(missing_ok=True)


def _lists(chosen: Collection[Table]) -> Iterator[tuple[str, str]]:
    """The lists of the chosen tables, one for the app and for each of its components."""
    by_place: dict[str, list[Table]] = {}
    for table in chosen:
        by_place.setdefault(table.folder.removesuffix(f"{table.table}/"), []).append(table)
    for place, there in by_place.items():
        listed = [{"name": table.table, "id": table.number} for table in there if table.number is not None]
        if listed:
            said = (json.dumps(each, separators=(",", ":"), ensure_ascii=False) + "\n" for each in listed)
            yield f"{place}{TABLES}/{DOCUMENTS}", "".join(said)


def _add(made: zipfile.ZipFile, snapshot: Snapshot, inner: str) -> None:
    if inner not in snapshot.places:
        return
    with snapshot.file(inner).open() as source, made.open(inner, "w", force_zip64=True) as target:
        while data := source.read(CHUNK):
            target.write(data)
