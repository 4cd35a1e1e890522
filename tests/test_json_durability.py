"""
What is on the disk when the power fails: the writes of a run are recorded, and replayed up to every one of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

import pytest

from timestamp_guard import Repair, backfill, open_store, rollback, updated_at_guard
from timestamp_guard.instants import parse_instant
from timestamp_guard.stores.base import OpenStore

from .convex_snapshots import UNIFORM, snapshot

NOW: Final = parse_instant("2024-06-01T12:00:00Z")
GUARD: Final = updated_at_guard("updatedAt", "createdAt")
REPAIR: Final = Repair("updatedAt", ("createdAt",))
T: Final = 1_700_000_000_000
ROWS: Final = [{"_id": f"k{n}", "createdAt": T + n, **({} if n % 3 else {"updatedAt": None})} for n in range(20)]

Event: TypeAlias = tuple[Any, ...]
Act: TypeAlias = Callable[[Path], object]


class Disk:
    """
    Records what is done to the files of a folder: writes, renames, and what is brought to the disk.

    Files are followed by their inodes, as a file system does: a name is one thing, and what it stands for another.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events: list[Event] = []

    def _inside(self, path: object) -> bool:
        return isinstance(path, str | Path) and Path(path).is_relative_to(self.folder)

    @contextlib.contextmanager
    def watched(self, patch: pytest.MonkeyPatch) -> Iterator[None]:
        opened, replaced, made, gone = Path.open, Path.replace, Path.mkdir, Path.unlink
        fsync, handles = os.fsync, dict[int, Path]()
        disk = self

        class File:
            """A file that tells of every write."""

            def __init__(self, file: Any, path: Path) -> None:
                self._file, self._path = file, path

            def write(self, data: Any) -> Any:
                place = self._file.tell()
                written = self._file.write(data)
                raw = bytes(data) if not isinstance(data, str) else data.encode()
                disk.events.append(("write", self._path, raw[:written], place))
                return written

            def truncate(self, *to: int) -> Any:
                disk.events.append(("truncate", self._path))
                return self._file.truncate(*to)

            def __getattr__(self, name: str) -> Any:
                return getattr(self._file, name)

            def __enter__(self) -> Self:
                return self

            def __exit__(self, *problem: object) -> None:
                self._file.close()

        def open_(path: Path, mode: str = "r", *args: Any, **how: Any) -> Any:
            there = path.exists()
            file = opened(path, mode, *args, **how)
            if not disk._inside(path) or not set(mode) & set("wa+"):
                return file
            if not there:
                disk.events.append(("create", path))
            elif "w" in mode:
                disk.events.append(("truncate", path))
            handles[file.fileno()] = path
            return File(file, path)

        def fsync_(handle: int) -> None:
            fsync(handle)
            place = Path(f"/proc/self/fd/{handle}").readlink()
            disk.events.append(("sync", place))

        def replace_(path: Path, target: Path) -> Path:
            done = replaced(path, target)
            if disk._inside(path):
                disk.events.append(("rename", path, Path(target)))
            return done

        def mkdir_(path: Path, *args: Any, **how: Any) -> None:
            there = path.exists()
            made(path, *args, **how)
            if disk._inside(path) and not there:
                disk.events.append(("mkdir", path))

        def unlink_(path: Path, *args: Any, **how: Any) -> None:
            there = path.exists()
            gone(path, *args, **how)
            if disk._inside(path) and there:
                disk.events.append(("unlink", path))

        with patch.context() as here:
            here.setattr(Path, "open", open_)
            here.setattr(Path, "replace", replace_)
            here.setattr(Path, "mkdir", mkdir_)
            here.setattr(Path, "unlink", unlink_)
            here.setattr(os, "fsync", fsync_)
            here.setattr(os, "fdatasync", fsync_)
            yield

    def after_failure(self, before: Path, count: int, target: Path, *, eager: bool) -> None:
        """
        The folder as it is when the power fails after *count* events.

        *eager*: all that was done has reached the disk, but for the data of files that were not synced: their names
        are there, empty or short. Else: nothing has that was not asked for, and a name only if its folder was synced.
        """
        names: dict[Path, int] = {}
        content: dict[int, bytes] = {}
        synced: dict[int, bytes] = {}
        kept: dict[Path, int] = {}
        for number, path in enumerate(sorted(each for each in before.rglob("*") if each.is_file())):
            names[path.relative_to(before)] = number
            content[number] = synced[number] = path.read_bytes()
        kept = dict(names)
        folders = {Path()} | {each.relative_to(before) for each in before.rglob("*") if each.is_dir()}
        number = len(content)
        for event in self.events[:count]:
            place = event[1].relative_to(self.folder)
            match event[0]:
                case "create":
                    number += 1
                    names[place] = number
                    content[number], synced[number] = b"", b""
                case "write":
                    there, raw, at = content[names[place]], event[2], event[3]
                    content[names[place]] = there[:at] + raw + there[at + len(raw) :]
                case "truncate":
                    content[names[place]] = b""
                case "rename":
                    names[event[2].relative_to(self.folder)] = names.pop(place)
                case "unlink":
                    names.pop(place)
                case "mkdir":
                    folders.add(place)
                case "sync" if place in folders:
                    kept = {name: node for name, node in kept.items() if name.parent != place}
                    kept |= {name: node for name, node in names.items() if name.parent == place}
                case "sync":
                    synced[names[place]] = content[names[place]]
                    kept.setdefault(place, names[place])  # as ext4, xfs, btrfs and apfs do for a new file
                case unknown:
                    pytest.fail(f"{unknown} is no event")
        for folder in sorted(folders):
            (target / folder).mkdir(parents=True, exist_ok=True)
        for name, node in (names if eager else kept).items():
            (target / name).write_bytes(synced[node])


def opened(path: Path) -> OpenStore:
    if path.suffix == ".zip":
        return open_store(f"convex:{path}", "records", encodings="epoch_ms")
    return open_store(f"jsonl:{path}", encodings="epoch_ms", key="_id")


def fill(path: Path) -> object:
    with opened(path) as store:
        return backfill(store, GUARD, REPAIR, now=NOW)


def take_back(path: Path) -> object:
    with opened(path) as store:
        return rollback(store, now=NOW)


def lines(path: Path) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), "utf-8")


def streamed(path: Path) -> None:
    rows = [{name: float(raw) if isinstance(raw, int) else raw for name, raw in row.items()} for row in ROWS]
    snapshot(path, {"records": UNIFORM.dump(rows)}, others={"_storage/kg2.png": b"PNG" * 10}, numbered=False)


def described(path: Path) -> None:
    """One that says the sizes of its members before them, so that they are written last and in the middle."""
    streamed(path)
    with zipfile.ZipFile(path) as source:
        members = {name: source.read(name) for name in source.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in members.items():
            target.writestr(name, data)


FILES: Final[dict[str, Callable[[Path], None]]] = {
    "records.jsonl": lines,
    "snapshot.zip": streamed,
    "described.zip": described,
}


def recorded(folder: Path, act: Act, before: Path, name: str, patch: pytest.MonkeyPatch) -> Disk:
    shutil.copytree(before, folder)
    disk = Disk(folder)
    with disk.watched(patch):
        act(folder / name)
    return disk


@pytest.mark.parametrize("eager", [True, False], ids=["eager", "lazy"])
@pytest.mark.parametrize("act", [fill, take_back])
@pytest.mark.parametrize("name", FILES)
def test_power_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, act: Act, eager: bool) -> None:
    """
    Wherever the power fails, the file is what it was or what it becomes, and a run that goes on ends as undisturbed.
    """
    first = tmp_path / "first"
    first.mkdir()
    FILES[name](first / name)
    filled = tmp_path / "filled"
    shutil.copytree(first, filled)
    fill(filled / name)
    start, end = (first, filled) if act is fill else (filled, first)
    two = [(each / name).read_bytes() for each in (start, end)]

    disk = recorded(tmp_path / "recorded", act, start, name, monkeypatch)
    assert two[1] == (tmp_path / "recorded" / name).read_bytes()
    syncs = [index for index, event in enumerate(disk.events) if event[0] == "sync"]
    assert 5 <= len(syncs)

    monkeypatch.setattr(os, "fsync", lambda _: None)  # the power stays on now
    for count in range(len(disk.events) + 1):
        left = tmp_path / f"left {count}"
        disk.after_failure(start, count, left, eager=eager)
        path = left / name
        held = path.read_bytes()
        assert held in two
        act(path)
        assert two[1] == path.read_bytes()
        if act is fill:  # and there is a way back
            take_back(path)
            assert two[0] == path.read_bytes()


def test_events_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A run whose syncs are left out does lose: so what is recorded is what counts.
    """
    first = tmp_path / "first"
    first.mkdir()
    lines(first / "records.jsonl")
    disk = recorded(tmp_path / "recorded", fill, first, "records.jsonl", monkeypatch)
    disk.events = [event for event in disk.events if event[0] != "sync"]

    disk.after_failure(first, len(disk.events), tmp_path / "left", eager=True)

    assert b"" == (tmp_path / "left" / "records.jsonl").read_bytes()
