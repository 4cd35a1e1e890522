"""
What a file holds, plain or packed: read as a stream, with its place told to people as a line and a column.
"""

from __future__ import annotations

import functools
import gzip
import importlib
import shutil
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from ...errors import MissingExtra, StoreDamaged, StoreError, StoreMissing, StoreReadOnly, UsageError
from .. import STDIN

__all__ = ["Content", "incoming"]

_CHUNK: Final = 2**20


class Content:
    """
    The file at *path*; one whose name ends with `.gz` or `.zst` is unpacked as it is read. `-` is standard input, which
    is kept in a temporary file, for it is read more than once.

    Raises:
        StoreError: it is not there, or no file.
        MissingExtra: what unpacks it is not installed.
    """

    def __init__(self, path: str) -> None:
        self.given = path
        self.name = "standard input" if path == STDIN else path
        self.path = Path(path)
        self._spool = incoming() if path == STDIN else None
        if self._spool is not None:
            return
        if self.path.is_dir():
            raise StoreMissing(f"{path} is a folder, not a file: name the files in it, as in {path.rstrip('/')}/*.json")
        if not self.path.exists():
            raise StoreMissing(f"there is no file {path}")
        if not self.path.is_file():
            raise StoreMissing(f"{path} is no regular file")
        self.path = self.path.resolve()  # a symbolic link is followed: its file is what changes
        if self.packed == "zst":
            _zstd()

    @property
    def packed(self) -> str | None:
        """How it is packed: `gz`, `zst` or not at all."""
        suffix = self.path.suffix.removeprefix(".").lower()
        return suffix if self._spool is None and suffix in {"gz", "zst"} else None

    @property
    def stem(self) -> str:
        """Its name without what is said of its form."""
        if self._spool is not None:
            return "stdin"
        name = self.path.name if self.packed is None else self.path.stem
        return Path(name).stem

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """
        The content, from its beginning.

        Raises:
            StoreError: it cannot be read.
        """
        try:
            with self.unpacking(), self.raw() as raw:
                yield self.unpacked(raw)
        except OSError as problem:
            raise self.trouble(problem) from None

    @contextmanager
    def unpacking(self) -> Iterator[None]:
        """Tell of what cannot be unpacked."""
        try:
            yield
        except (EOFError, gzip.BadGzipFile, zlib.error) as problem:
            raise StoreDamaged(f"{self.name} is packed and damaged ({problem})") from None
        except Exception as problem:
            if type(problem).__name__ != "ZstdError":
                raise
            raise StoreDamaged(f"{self.name} is packed and damaged ({problem})") from None

    @contextmanager
    def raw(self) -> Iterator[BinaryIO]:
        """The bytes of the file."""
        if self._spool is not None:
            self._spool.seek(0)
            yield self._spool
            return
        with self.path.open("rb", buffering=0) as file:
            yield cast("BinaryIO", file)

    def unpacked(self, raw: BinaryIO) -> BinaryIO:
        """A reader of what *raw* holds."""
        match self.packed:
            case "gz":
                return cast("BinaryIO", gzip.GzipFile(fileobj=raw, mode="rb"))
            case "zst":
                return cast("BinaryIO", _zstd().ZstdFile(raw, "rb"))
            case _:
                return raw

    def packer(self, raw: BinaryIO, source: BinaryIO) -> BinaryIO:  # noqa: ARG002 - for what is one of several in its file
        """A writer into *raw* of what is to stand in the place of *source*; closing it leaves *raw* open."""
        match self.packed:
            case "gz":
                return cast("BinaryIO", gzip.GzipFile(filename=self.path.stem, fileobj=raw, mode="wb", compresslevel=6))
            case "zst":
                return cast("BinaryIO", _zstd().ZstdFile(raw, "wb"))
            case _:
                return raw

    def trouble(self, problem: OSError) -> StoreError:
        """What a failure of the system means."""
        said = problem.strerror or str(problem)
        if isinstance(problem, PermissionError):
            return StoreReadOnly(f"{self.name}: {said}: make the file readable, and its folder writable")
        return StoreError(f"{self.name}: {said}")

    def at(self, place: int) -> tuple[int, int]:
        """The line and the column of a byte, both from 1; a column is a character."""
        line, seen, last = 1, 0, b""
        with self.open() as file:
            while seen < place and (data := file.read(min(_CHUNK, place - seen))):
                line += data.count(b"\n")
                cut = data.rfind(b"\n")
                last = data[cut + 1 :] if cut >= 0 else last + data
                seen += len(data)
        return line, len(last.decode("utf-8", "replace").removeprefix("\ufeff")) + 1

    def refuse_unwritable(self) -> None:
        """
        Make sure that it is a file which can be replaced.

        Raises:
            UsageError: it is standard input.
        """
        if self._spool is not None:
            msg = "what comes in can be checked, and not written: name the file"
            raise UsageError(msg)


@functools.cache
def incoming() -> Any:
    """What comes in, in a temporary file for as long as the process lives: it can be read only once, and is more often."""
    import tempfile

    spool = tempfile.TemporaryFile()  # noqa: SIM115 - as above
    shutil.copyfileobj(sys.stdin.buffer, spool, _CHUNK)
    return spool


def _zstd() -> Any:
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise MissingExtra("zstd", "reading files that are packed with Zstandard")
