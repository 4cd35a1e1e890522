"""
One connection to one SQLite file: statements written by SQLAlchemy Core, run by the standard library's driver.

The driver is left in autocommit mode and every transaction is begun by name, because its older mode commits behind
one's back.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import quote

import sqlalchemy as sa
from attrs import field, frozen
from sqlalchemy.dialects import sqlite

from ...errors import (
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreMissing,
    StoreReadOnly,
    UsageError,
)

__all__ = ["Database", "Prepared", "path_of", "prepare", "quoted"]

_DIALECT: Final = sqlite.dialect(paramstyle="named")
_OLDEST: Final = (3, 35, 0)

Parameters: TypeAlias = Mapping[str, Any]


@frozen
class Prepared:
    """A statement as text, and the values of the parameters that it came with."""

    sql: str
    parameters: Mapping[str, Any] = field(factory=dict)


def prepare(statement: sa.ClauseElement) -> Prepared:
    """Have SQLAlchemy write a statement."""
    compiled = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    return Prepared(str(compiled), {k: v for k, v in compiled.params.items() if v is not None})


def quoted(name: str) -> str:
    """A name as SQL has it."""
    return _DIALECT.identifier_preparer.quote_identifier(name)


def path_of(url: str) -> Path:
    """
    The file that an address like `sqlite:///app.db` names.

    Raises:
        UsageError: it is no such address.
    """
    prefix = "sqlite:///"
    if not url.startswith(prefix) or url == prefix:
        msg = f"cannot read the address {url!r}: wanted sqlite:///FILE, or sqlite:////FILE for one that begins at the root"
        raise UsageError(msg)
    return Path(url.removeprefix(prefix))


class Database:
    """A SQLite file, open. Errors of the driver become ours, with the file named."""

    def __init__(self, path: Path, *, read_only: bool = False, create: bool = False, timeout: float = 5.0) -> None:
        if sqlite3.sqlite_version_info < _OLDEST:
            msg = f"SQLite {sqlite3.sqlite_version} is too old: 3.35 is needed, of March 2021"
            raise StoreError(msg)
        self.path = path
        self.read_only = read_only
        if path.is_dir():
            msg = f"{path} is a folder, not a SQLite file"
            raise StoreMissing(msg)
        if not path.exists() and not create:
            msg = f"there is no file {path}"
            raise StoreMissing(msg)
        mode = "ro" if read_only else "rwc" if create else "rw"
        self._driver = self._open(mode, timeout)
        with self._named():
            if read_only:
                try:
                    self._driver.execute("SELECT count(*) FROM sqlite_master").fetchone()
                except sqlite3.OperationalError as problem:
                    # What a killed writer left half-written must be taken back first, and that takes a writer:
                    # open as one, and promise to change nothing.
                    if not _needs_recovery(problem):
                        raise
                    self._driver.close()
                    self._driver = self._open("rw", timeout)
                    self._driver.execute("PRAGMA query_only = ON")
            self._driver.execute("SELECT count(*) FROM sqlite_master").fetchone()

    def _open(self, mode: str, timeout: float) -> sqlite3.Connection:
        address = f"file:{quote(str(self.path.absolute()))}?mode={mode}"
        with self._named():
            driver = sqlite3.connect(address, uri=True, isolation_level=None, timeout=timeout, check_same_thread=False)
        # Text that is no UTF-8 is a value like others: it must be read to be reported.
        driver.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        return driver

    def run(self, statement: Prepared | str, parameters: Parameters | tuple[Any, ...] = ()) -> sqlite3.Cursor:
        """Run a statement."""
        with self._named():
            if isinstance(statement, str):
                return self._driver.execute(statement, parameters)
            return self._driver.execute(statement.sql, {**statement.parameters, **dict(parameters)})

    def rows(self, statement: Prepared | str, parameters: Parameters | tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run a statement and fetch all it gives."""
        with self._named():
            return self.run(statement, parameters).fetchall()

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """One view of the data, whatever is written meanwhile."""
        self.run("BEGIN")
        try:
            self.run("SELECT count(*) FROM sqlite_master").fetchone()  # the view begins with the first read
            yield
        finally:
            self._end("COMMIT")

    @contextlib.contextmanager
    def writing(self) -> Iterator[int]:
        """A transaction: all of it, or nothing. Gives the nanoseconds that it waited for the lock."""
        asked = time.monotonic_ns()
        self.run("BEGIN IMMEDIATE")
        try:
            yield time.monotonic_ns() - asked
            self.run("COMMIT")
        except BaseException:
            self._end("ROLLBACK")
            raise

    @contextlib.contextmanager
    def durably(self) -> Iterator[None]:
        """What is committed is on the disk, with all that was committed before, when this is over."""
        ((usual,),) = self.rows("PRAGMA synchronous")
        if usual >= 2:
            yield
            return
        self.run("PRAGMA synchronous = FULL")
        try:
            yield
        finally:
            self.run(f"PRAGMA synchronous = {usual:d}")

    def _end(self, how: str) -> None:
        """End a transaction that an error may have ended already."""
        if self._driver.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._driver.execute(how)

    def backup(self, path: Path) -> None:
        """
        A verified copy.

        Raises:
            UsageError: there is something at *path* already.
            StoreError: it cannot be written, or does not read back whole.
        """
        if path.exists():
            msg = f"there is a file {path} already: name one for the backup that is not there"
            raise UsageError(msg)
        part = path.with_name(path.name + ".part")
        with self._named(path):
            copy = sqlite3.connect(part, isolation_level=None)
            try:
                self._driver.backup(copy, pages=1000)
                (said,) = copy.execute("PRAGMA quick_check").fetchone()
            finally:
                copy.close()
        if said != "ok":
            msg = f"the backup {part} does not read back whole: {said}"
            raise StoreDamaged(msg)
        part.rename(path)

    def close(self) -> None:
        """Close the file."""
        self._driver.close()

    @contextlib.contextmanager
    def _named(self, path: Path | None = None) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as problem:
            raise self._ours(problem, path or self.path) from problem

    def _ours(self, problem: sqlite3.Error, path: Path) -> Exception:
        code = getattr(problem, "sqlite_errorcode", 0) & 0xFF
        name = getattr(problem, "sqlite_errorname", "")
        match code:
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return StoreLocked(f"{path} is locked by another process; try again when it is done")
            case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
                return StoreReadOnly(f"{path} can only be read ({problem}): make the file and its folder writable")
            case sqlite3.SQLITE_FULL:
                return StoreFull(f"there is no room left to write to {path}: make room, and call again to go on")
            case sqlite3.SQLITE_NOTADB:
                return StoreDamaged(f"{path} is not a SQLite database")
            case sqlite3.SQLITE_CORRUPT:
                return StoreDamaged(f"{path} is damaged ({problem}): restore it from a backup, or try sqlite3's .recover")
            case sqlite3.SQLITE_CANTOPEN:
                return StoreMissing(f"{path} cannot be opened: {problem}")
            case sqlite3.SQLITE_CONSTRAINT:
                return problem
            case _:
                return StoreError(f"{path}: {problem}" + (f" ({name})" if name else ""))


def _needs_recovery(problem: sqlite3.Error) -> bool:
    name = getattr(problem, "sqlite_errorname", "")
    return name in {"SQLITE_READONLY_ROLLBACK", "SQLITE_READONLY_RECOVERY", "SQLITE_CANTOPEN", "SQLITE_READONLY_CANTINIT"}
