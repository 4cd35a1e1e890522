"""
One connection to one SQLite file: statements written by SQLAlchemy Core, run by the standard library's driver.

The driver is left in autocommit mode and every transaction is begun by name, because its older mode commits behind
one's back.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.compiler import IdentifierPreparer

from ...errors import (
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreMissing,
    StoreReadOnly,
    UsageError,
)
from ...instants import brief
from .connection import Parameters, Prepared

__all__ = ["Database", "Prepared", "path_of", "prepare", "quoted"]


class _Names(IdentifierPreparer):
    """
    Every name in backticks.

    SQLite takes a name in double quotes that is no column, because it was dropped a moment ago, for a text of that
    spelling, and a name without quotes may be a keyword of a later release: neither can be in backticks.
    """

    def __init__(self, dialect: sa.Dialect) -> None:
        super().__init__(dialect, initial_quote="`", escape_quote="`")

    def quote(self, ident: str, force: Any = None) -> str:  # noqa: ARG002 - the signature is SQLAlchemy's
        return self.quote_identifier(ident)


_DIALECT: Final = sqlite.dialect(paramstyle="named")
_DIALECT.identifier_preparer = _Names(_DIALECT)
_OLDEST: Final = (3, 35, 0)


def prepare(statement: sa.ClauseElement) -> Prepared:
    """Have SQLAlchemy write a statement, of which no list is a parameter: those are put in later, into names as well."""
    compiled = statement.compile(dialect=_DIALECT)
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
        self._ensure_file(create=create)
        # Beside the file itself, where *path* is a link to it.
        self.log = (real := path.resolve()).with_name(real.name + "-wal")
        with self._named():
            try:
                self._driver = self._open("ro" if read_only else "rwc" if create else "rw", timeout)
            except sqlite3.OperationalError as problem:
                # What a killed writer left half-written must be taken back first, and that takes a writer: open as
                # one, and promise to change nothing.
                if not read_only or not _needs_recovery(problem):
                    raise
                self._driver = self._open("rw", timeout)
                self._driver.execute("PRAGMA query_only = ON")

    def _ensure_file(self, *, create: bool) -> None:
        try:
            there = self.path.exists()
            if there and not self.path.is_file():
                raise StoreMissing(
                    f"{self.path} is {'a folder' if self.path.is_dir() else 'no file'}, not a SQLite database"
                )
        except OSError as problem:
            raise StoreError(f"{self.path} cannot be looked at: {problem.strerror}") from None
        if not there and not create:
            raise StoreMissing(f"there is no file {self.path}")

    def _open(self, mode: str, timeout: float) -> sqlite3.Connection:
        address = f"{self.path.absolute().as_uri()}?mode={mode}"
        driver = sqlite3.connect(address, uri=True, isolation_level=None, timeout=timeout, check_same_thread=False)
        try:
            # Text that is no UTF-8 is a value like others: it must be read to be reported.
            driver.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
            driver.execute("SELECT count(*) FROM sqlite_master").fetchone()  # the first look at the file
        except BaseException:
            driver.close()
            raise
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

    @property
    def label(self) -> str:
        """The file."""
        return str(self.path)

    def address(self, table: str) -> str:
        """The name of one of our own tables."""
        return table

    def columns(self, table: str) -> list[str]:
        """The columns of one of our own tables; none where there is no such table."""
        return [row[1] for row in self.rows(f"PRAGMA table_info({table})")]

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
            raise UsageError(f"there is a file {path} already: name one for the backup that is not there")
        if not path.parent.is_dir():
            raise StoreMissing(f"there is no folder {path.parent} for the backup {path.name}")
        part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")  # a name that nobody has
        ((mode,),) = self.rows("PRAGMA journal_mode")
        try:
            with self._named(path), contextlib.closing(sqlite3.connect(part, isolation_level=None)) as copy:
                # At once, for a copy by parts begins anew whenever somebody writes; but without a write-ahead log,
                # a copy at once would keep all others from writing for as long as it takes.
                self._driver.backup(copy, pages=-1 if mode == "wal" else 1000)
                (said,) = copy.execute("PRAGMA quick_check").fetchone()
            if said != "ok":
                raise StoreDamaged(f"the backup {path} does not read back whole: {said}")
            part.rename(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    def close(self) -> None:
        """Close the file."""
        self._driver.close()

    @contextlib.contextmanager
    def _named(self, path: Path | None = None) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as problem:
            raise self._ours(problem, path or self.path) from problem
        except UnicodeEncodeError as problem:
            raise StoreError(
                f"{path or self.path} cannot be asked for {brief(problem.object)}, which is text that is not UTF-8: where a "
                f"key holds it, mend that key first"
            ) from None

    def _ours(self, problem: sqlite3.Error, path: Path) -> Exception:
        code = getattr(problem, "sqlite_errorcode", 0) & 0xFF
        name = getattr(problem, "sqlite_errorname", "")
        match code:
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return StoreLocked(f"{path} is locked by another process; try again when it is done")
            case sqlite3.SQLITE_READONLY if name in _HALF_WRITTEN:
                return StoreReadOnly(
                    f"{path} was left half-written by a process that was killed, and can only be read ({problem}): make "
                    f"the file and its folder writable, so that it can be mended"
                )
            case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
                return StoreReadOnly(f"{path} can only be read ({problem}): make the file and its folder writable")
            case sqlite3.SQLITE_FULL:
                return StoreFull(f"there is no room left to write to {path}: make room, and call again to go on")
            case sqlite3.SQLITE_NOTADB:
                return StoreDamaged(f"{path} is not a SQLite database")
            case sqlite3.SQLITE_CORRUPT:
                return StoreDamaged(
                    f"{path} is damaged ({problem}): restore it from a backup, or try sqlite3's .recover"
                )
            case sqlite3.SQLITE_CANTOPEN:
                return StoreError(
                    f"{path} cannot be opened ({problem}): make it readable, and where it has a write-ahead log its "
                    f"folder writable, or copy it to a folder that is"
                )
            case sqlite3.SQLITE_CONSTRAINT:
                return problem
            case _:
                return StoreError(f"{path}: {problem}" + (f" ({name})" if name else ""))


_HALF_WRITTEN: Final = {"SQLITE_READONLY_ROLLBACK", "SQLITE_READONLY_RECOVERY"}


def _needs_recovery(problem: sqlite3.Error) -> bool:
    name = getattr(problem, "sqlite_errorname", "")
    return name in {*_HALF_WRITTEN, "SQLITE_CANTOPEN", "SQLITE_READONLY_CANTINIT"}
