"""An adapter in two methods, from what `timestamp_guard.stores.base` says: a folder with one JSON file per record."""

import fcntl
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from timestamp_guard.instants import ABSENT, Encodings
from timestamp_guard.stores.base import Change, Cursor, Page, same


class Folder:
    """Records in files named KEY.json, each replaced as a whole."""

    def __init__(self, path: Path | str, encodings: Encodings) -> None:
        self.path, self.name, self.encodings = Path(path), Path(path).name, encodings

    def scan(self, after: Cursor, limit: int) -> Page:
        """Records by the name of their file; the cursor is the last one."""
        files = sorted(file for file in self.path.glob("*.json") if file.name > (after or ""))
        read = [(unquote(file.stem), _read(file)) for file in files[:limit]]
        records = [(key, record) for key, record in read if record is not None]
        return Page(records, files[limit - 1].name if len(files) > limit else None)

    def write(self, changes: Sequence[Change]) -> Sequence[Change]:
        """No file is replaced before all new ones are on the disk, so a full disk changes nothing."""
        refused: list[Change] = []
        changed: dict[Path, dict[str, Any]] = {}
        folder = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)  # others who write through this class wait
            for change in changes:
                file = self.path / f"{quote(change.key, safe='')}.json"
                record = changed.get(file) or _read(file)
                held = ABSENT if record is None else record.get(change.field, ABSENT)
                if record is None or not (same(held, change.before) or same(held, change.after)):
                    refused.append(change)
                elif not same(held, change.after):
                    made = record | {change.field: change.after}
                    changed[file] = {name: raw for name, raw in made.items() if raw is not ABSENT}
            for file, record in changed.items():
                with file.with_suffix(".new").open("w", encoding="utf-8") as new:
                    json.dump(record, new)
                    new.flush()
                    os.fsync(new.fileno())
            for file in changed:
                file.with_suffix(".new").replace(file)
            os.fsync(folder)
        finally:
            os.close(folder)
        return refused


def _read(file: Path) -> dict[str, Any] | None:
    return dict(json.loads(file.read_bytes())) if file.exists() else None
