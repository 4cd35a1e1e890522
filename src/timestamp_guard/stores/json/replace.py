"""
A file put in the place of another: whole, on the disk, and only while that other is still what was read.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias, cast

from ..._faults import point, reach
from ...errors import StoreDamaged, StoreError, StoreFull, StoreMissing, StoreReadOnly, UsageError
from .content import Content
from .folder import FULL, sync_folder

__all__ = ["Identity", "Replacement", "back_up", "bytes_of", "digest_of", "identity_of", "refuse"]

COPIED: Final = point("json: copy written")
RENAMED: Final = point("json: file renamed")
SYNCED: Final = point("json: folder synced")

Identity: TypeAlias = tuple[int, int, int, int, int]
"""Device, inode, size, and when the content and the rest of a file last changed."""

ELSEWHERE: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "9p", "afs", "ceph", "lustre", "fuse.sshfs"}
)
"""File systems of other machines, on which locks and renames promise less."""

FLUSH: Final = 32 * 2**20


def identity_of(found: os.stat_result) -> Identity:
    """What a file is recognised by."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def digest_of(content: Content) -> str:
    """The SHA-256 of what a file holds, unpacked."""
    digest = hashlib.sha256()
    with content.open() as file:
        while data := file.read(2**18):
            digest.update(data)
    return digest.hexdigest()


def bytes_of(path: Path) -> str:
    """The SHA-256 of a file as it lies there."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def back_up(content: Content, path: Path) -> None:
    """
    Make a verified copy at *path*.

    Raises:
        UsageError: there is something at *path* already.
        StoreError: it cannot be written, or does not read back as it was.
    """
    source = content.path
    if path.exists():
        msg = f"there is a file {path} already: name one for the backup that is not there"
        raise UsageError(msg)
    if not path.parent.is_dir():
        raise StoreMissing(f"there is no folder {path.parent} for the backup {path.name}")
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")  # a name that nobody has
    try:
        part.touch(mode=0o600, exist_ok=False)
        shutil.copy2(source, part)
        if bytes_of(source) != bytes_of(part):
            raise StoreDamaged(f"the backup {path} does not read back as it was written")
        part.rename(path)
    except OSError as problem:
        raise content.trouble(problem) from None
    finally:
        part.unlink(missing_ok=True)


def refuse(path: Path) -> None:
    """
    Make sure that the file at *path* can be replaced.

    Raises:
        UsageError: it has other names, or is on the file system of another machine.
        StoreError: it belongs to somebody else, or there is no room.
    """
    found = path.stat()
    if found.st_nlink > 1:
        msg = (
            f"{path} has {found.st_nlink} names (hard links), and a new file would take only one of them: make a copy "
            f"of its own, cp {path.name} {path.name}.copy && mv {path.name}.copy {path.name}"
        )
        raise UsageError(msg)
    kind = _file_system(path)
    if kind in ELSEWHERE:
        msg = f"{path} is on a network file system ({kind}), where neither locks nor renames are sure: work on a local copy"
        raise UsageError(msg)
    if hasattr(os, "geteuid") and os.geteuid() not in {0, found.st_uid}:
        msg = f"{path} belongs to user {found.st_uid}, and a new file would not: run as that user"
        raise StoreReadOnly(msg)
    if hasattr(os, "getegid") and os.geteuid() and found.st_gid not in {os.getegid(), *os.getgroups()}:
        msg = f"{path} belongs to group {found.st_gid}, of which this user is none, so a new file could not: run as one"
        raise StoreReadOnly(msg)
    if not os.access(path, os.W_OK):
        raise StoreReadOnly(f"{path} can only be read: make it writable")
    if not os.access(path.parent, os.W_OK):
        raise StoreReadOnly(f"the folder of {path} can only be read: make it writable, for the file is replaced in it")
    if not os.access(path.parent, os.R_OK | os.X_OK):
        raise StoreReadOnly(f"the folder of {path} cannot be read: make it readable, for it is brought to the disk too")
    free = shutil.disk_usage(path.parent).free
    if free < found.st_size + FLUSH // 32:
        raise StoreFull(
            f"there is no room for a second {path.name} beside it: {found.st_size:,} bytes and more are needed, "
            f"{free:,} are free; nothing was written"
        )


def _file_system(path: Path) -> str | None:
    """The kind of file system that *path* is on, where the system says."""
    device = path.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text("utf-8", "replace").splitlines():
            fields, _, rest = line.partition(" - ")
            if fields.split(" ")[2] == wanted:
                return rest.split(" ")[0]
    return None


class Replacement:
    """What is to stand in the place of the file of *content*: written beside it, at *part*."""

    renamed = False
    """Whether it is in place."""

    def __init__(self, content: Content, part: Path, source: BinaryIO) -> None:
        self.content = content
        self.part = part
        self._source = source
        self.identity = identity_of(os.fstat(source.fileno()))
        self._before, self._after = hashlib.sha256(), hashlib.sha256()
        self._file = self.part.open("wb", buffering=0)
        self._packer = content.packer(cast("BinaryIO", self._file), source)
        self._unflushed = 0

    def write(self, data: bytes, was: bytes) -> None:
        """
        Write *data*, where *was* stood.

        Raises:
            StoreFull: there is no room.
        """
        self._before.update(was)
        self._after.update(data)
        with self._told():
            view = memoryview(data)
            while view:
                view = view[self._packer.write(view) or 0 :]
            self._unflushed += len(data)
            if self._unflushed > FLUSH:  # or all of it would have to go to the disk at the end
                os.fdatasync(self._file.fileno()) if hasattr(os, "fdatasync") else os.fsync(self._file.fileno())
                self._unflushed = 0

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as problem:
            if problem.errno in FULL:
                raise StoreFull(
                    f"there is no room left to write beside {self.content.path}: make room, and call again; "
                    f"nothing of it was changed"
                ) from None
            raise self.content.trouble(problem) from None

    def finish(self) -> tuple[str, str]:
        """Have all of it on the disk, with the rights of the other: the digests of what was, and of what is."""
        with self._told():
            self._close()
        reach(COPIED)
        return self._before.hexdigest(), self._after.hexdigest()

    def _close(self) -> None:
        if self._packer is not self._file:
            self._packer.close()
        old = os.fstat(self._source.fileno())
        handle = self._file.fileno()
        if hasattr(os, "fchown") and (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
            os.fchown(handle, old.st_uid, old.st_gid)
        os.fchmod(handle, old.st_mode & 0o7777)
        for name in os.listxattr(self._source.fileno()) if hasattr(os, "listxattr") else ():
            with suppress(OSError):  # some are the system's own
                os.setxattr(handle, name, os.getxattr(self._source.fileno(), name))
        os.fsync(handle)
        self._made = os.fstat(handle).st_ino
        self._file.close()

    def commit(self) -> Identity:
        """
        Put it in the place of the other.

        Raises:
            StoreError: that is not what it was when it was opened.
        """
        path = self.content.path
        try:
            now, ours = identity_of(path.stat()), self.part.stat().st_ino == self._made
        except OSError:
            now, ours = None, False
        if now != self.identity or not ours:
            raise StoreError(
                f"{path} was changed by somebody else while it was read; nothing of it was touched: call again"
            )
        try:
            self.part.replace(path)
            self.renamed = True
            reach(RENAMED)
            sync_folder(path.parent)
            sync_folder(self.part.parent)
            reach(SYNCED)
            return identity_of(path.stat())
        except OSError as problem:
            raise self.content.trouble(problem) from None

    def abandon(self) -> None:
        """Leave everything as it was."""
        with suppress(OSError, ValueError):
            self._file.close()
            self.part.unlink(missing_ok=True)
