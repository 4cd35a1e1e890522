"""
One connection to one PostgreSQL database.

Nothing rides on the state of the session: whoever reaches the server through a pooler gets another one for every
transaction. So every setting is made inside of the transaction that needs it, there are no prepared statements, no
temporary tables, and no locks but those of rows and tables.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from ....errors import (
    MissingExtra,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreMissing,
    StoreReadOnly,
    UsageError,
)
from ....instants import brief
from ..connection import Parameters, Prepared
from ..served.server import ConnectionLost, Refused

if TYPE_CHECKING:
    import psycopg

__all__ = ["ConnectionLost", "Refused", "Server", "is_address", "with_marks"]

T = TypeVar("T")

OLDEST: Final = 140000
"""The first version that finds rows by ranges of pages."""

SETTINGS: Final = (
    "SET LOCAL \"TimeZone\" = 'UTC'; SET LOCAL \"DateStyle\" = 'ISO, YMD'; SET LOCAL extra_float_digits = 1; "
    "SET LOCAL \"IntervalStyle\" = 'postgres'; SET LOCAL bytea_output = 'hex'; SET LOCAL statement_timeout = 0; "
    "SET LOCAL jit = off; SET LOCAL timestamp_guard.bypass = 'on'; "
)
"""
How values are written as text, whatever the user's settings are; long conditions are not compiled, which takes longer
than they do; and triggers of ours let our own writes pass.
"""

IDLE: Final = "10s"
"""A transaction whose worker is frozen is ended by the server after this: sooner than a lease runs out."""

_PARAMETER: Final = re.compile(r'"(?:[^"]|"")*"|\?|(?<!:):(\w+)')
_DENIED: Final = re.compile(r"permission denied for (schema|table|sequence) (\S+)")


def is_address(url: str) -> bool:
    """Whether *url* names a database of PostgreSQL."""
    return url.startswith(("postgresql://", "postgres://"))


class Server:
    """A connection to the database at *url*; errors of the driver become ours, without the password in them."""

    def __init__(self, url: str, *, read_only: bool = False, timeout: float = 5.0) -> None:
        self._driver: Any = _driver()
        self._url = url.replace("postgres://", "postgresql://", 1)
        self.read_only = read_only
        self.timeout = timeout
        self.schema = ""
        self._label = _masked(url)
        self._inside = False
        self._connection: psycopg.Connection[Any]
        self.connect()

    @property
    def label(self) -> str:
        """The database and its host."""
        return self._label

    def connect(self) -> None:
        """
        Reach the server, again where it was lost.

        Raises:
            StoreError: it cannot be reached, or is too old.
        """
        failed: Exception | None = None
        try:
            self._connection = self._connected("UTF8")
            if self._connection.info.parameter_status("server_encoding") == "SQL_ASCII":
                # There, what is no UTF-8 would not be sent at all.
                self._connection.close()
                self._connection = self._connected("SQL_ASCII")
        except (self._driver.ProgrammingError, ValueError):
            failed = UsageError(f"cannot read the address {self._label}: wanted postgresql://USER@HOST:PORT/DATABASE")
        except self._driver.OperationalError as problem:
            failed = StoreMissing(f"{self._label} cannot be reached: {self._said(problem)}")
        if failed is not None:
            raise failed  # out here, or the driver's words, with the password, would come along as its context
        self._inside = False
        version = self._connection.info.server_version
        if version < OLDEST:
            self.close()
            raise StoreError(f"{self._label} is PostgreSQL {version // 10000}: 14 is needed, of September 2021")
        from .values import LOADERS

        for kind, loader in LOADERS.items():
            self._connection.adapters.register_loader(kind, loader)

    def _connected(self, encoding: str) -> Any:
        return self._driver.connect(
            self._url, autocommit=True, prepare_threshold=None, application_name="timestamp_guard",
            connect_timeout=max(2, round(self.timeout)), client_encoding=encoding,
        )  # fmt: skip

    @property
    def version(self) -> int:
        """The version of the server, as a number: 150018 is 15.18."""
        return self._connection.info.server_version

    def address(self, table: str) -> str:
        """The name of one of our own tables."""
        return f"{quoted(self.schema)}.{quoted(table)}"

    def columns(self, table: str) -> Sequence[str]:
        """The columns of one of our own tables; none where there is no such table."""
        found = self.rows(
            "SELECT a.attname FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid "
            "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = ? AND c.relname = ? AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            (self.schema, table),
        )
        return [name for (name,) in found]

    def run(self, statement: Prepared | str, parameters: Parameters | tuple[Any, ...] = ()) -> psycopg.Cursor[Any]:
        """Run a statement."""
        sql = with_marks(statement) if isinstance(statement, str) else statement.sql
        given: Any = parameters
        if isinstance(statement, Prepared):
            given = {**statement.parameters, **dict(parameters)}

        def ask() -> psycopg.Cursor[Any]:
            return self._there().execute(sql.encode(), given)

        if not self._inside and sql.startswith("SELECT"):
            return self._even_if_lost(ask)
        with self._named():
            return ask()

    def rows(self, statement: Prepared | str, parameters: Parameters | tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run a statement and fetch all it gives."""
        with self._named():
            return self.run(statement, parameters).fetchall()

    def run_as_it_is(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement of the user's own, and fetch all it gives."""
        with self._named():
            return self._there().execute(sql.encode(), {}).fetchall()

    def _even_if_lost(self, ask: Callable[[], T]) -> T:
        """Ask again where the connection was lost while nobody used it: nothing had begun on it."""
        try:
            with self._named():
                return ask()
        except ConnectionLost as lost:
            self._connection.close()
            try:
                self.connect()
            except StoreError:
                raise lost from None
        with self._named():
            return ask()

    def _there(self) -> psycopg.Connection[Any]:
        """The connection; a new one where it was lost and nothing had begun on it."""
        if self._connection.closed and not self._inside:
            self.connect()
        return self._connection

    def _begin(self, how: str, lock_timeout: float, idle: str, then: str = "") -> int:
        """Begin a transaction, and run one statement more: how many rows it gave or changed."""
        # Without parameters, so that all of it is one message.
        message = (
            f"BEGIN ISOLATION LEVEL {how}; {SETTINGS}SET LOCAL lock_timeout = {round(lock_timeout * 1000)}; "
            f"SET LOCAL idle_in_transaction_session_timeout = '{idle}'; {then}"
        ).encode()
        try:
            outcome = self._even_if_lost(lambda: self._there().execute(message))
        except BaseException:
            self._end("ROLLBACK")
            raise
        self._inside = True
        while outcome.nextset():
            pass
        return outcome.rowcount

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """One view of the data, whatever is written meanwhile."""
        # Python may think for long between two reads; nobody waits for a reader.
        self._begin("REPEATABLE READ READ ONLY", self.timeout, "0", "SELECT 1")  # the view begins with the first look
        try:
            yield
        except Refused as problem:
            raise StoreError(f"{self._label} cannot be read: {problem}") from None
        finally:
            self._end("COMMIT")

    @contextlib.contextmanager
    def writing(self, lock_timeout: float | None = None, then: str = "") -> Iterator[int]:
        """
        A transaction: all of it, or nothing; waits for *lock_timeout* seconds for the lock of a row. Gives how many rows
        the statement *then* found or changed, with which it begins.
        """
        if self.read_only:
            raise StoreReadOnly(f"{self._label} was opened to be read only")
        # Whether it may write is for the user's settings to say.
        found = self._begin("READ COMMITTED", self.timeout if lock_timeout is None else lock_timeout, IDLE, then)
        try:
            yield found
            if self.in_transaction:
                self.run("COMMIT")
            self._inside = False
        except BaseException:
            self._end("ROLLBACK")
            raise

    def finish(self, statements: Sequence[str]) -> None:
        """
        Run statements without parameters and commit, all in one message: what they lock is held for no longer than the
        server itself needs.
        """
        with self._named():
            self._connection.execute("; ".join([*statements, "COMMIT"]))

    @contextlib.contextmanager
    def durably(self) -> Iterator[None]:
        """A commit is on the disk, unless the user's settings say otherwise, which are theirs."""
        yield

    def _end(self, how: str) -> None:
        """End a transaction that an error may have ended already."""
        with contextlib.suppress(self._driver.Error):
            self._connection.execute(how)
        self._inside = False

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, which a new connection would not have."""
        return bool(self._connection.info.transaction_status)

    def now(self) -> int:
        """The server's clock, in nanoseconds since 1970."""
        ((seconds,),) = self.rows("SELECT extract(epoch FROM clock_timestamp())")
        return int(seconds * 10**6) * 1000

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    # -- errors

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except self._driver.Error as problem:
            raise self._ours(problem) from None
        except UnicodeEncodeError as problem:
            raise Refused(f"{brief(problem.object)} is text that is not UTF-8") from None

    def _ours(self, problem: psycopg.Error) -> Exception:
        state, said = problem.sqlstate or "", self._said(problem)
        lost = self._connection.closed or state[:2] == "08" or state in {"57P01", "57P02", "57P03", "25P03", "25P04"}
        if lost or (not state and isinstance(problem, self._driver.OperationalError)):
            return ConnectionLost(f"the connection to {self._label} was lost: {said}")
        match state:
            case "55P03" | "40P01" | "40001" | "57014":
                return StoreLocked(f"a row or table of {self._label} is locked by another transaction: {said}")
            case "25006":
                return StoreReadOnly(f"{self._label} can only be read: {said}")
            case "42501":
                return StoreReadOnly(f"{self._label}: {said}; {self._grant(said)}")
            case "53100" | "53200" | "53300" | "53400" | "54000":
                return StoreFull(f"{self._label} has no room: {said}")
            case _ if state[:2] in {"22", "23", "44", "P0"} or isinstance(problem, self._driver.DataError):
                return Refused(said, state)
            case _:
                return StoreError(f"{self._label}: {said}" + (f" ({state})" if state else ""))

    def _said(self, problem: Exception) -> str:
        """What the driver says, in one line and without the password."""
        text = " ".join(str(problem).split())
        for secret in _secrets(self._url):
            text = text.replace(secret, "***")
        return text

    def _grant(self, said: str) -> str:
        """What makes right that something is denied."""
        denied = _DENIED.search(said)
        if denied is None:
            return "grant this user the right to it"
        what, name = denied.groups()
        rights = "SELECT" if self.read_only else "SELECT, UPDATE"
        if name.startswith("timestamp_guard_") and not self.read_only:
            rights = "USAGE" if what == "sequence" else "SELECT, INSERT, UPDATE, DELETE"
        if what == "schema":
            rights = "USAGE" if self.read_only else "USAGE, CREATE"
        place = f"{quoted(self.schema)}." if what != "schema" and self.schema else ""
        return f"GRANT {rights} ON {what.upper()} {place}{quoted(name)} TO {quoted(self._connection.info.user)}"


def quoted(name: str) -> str:
    """
    A name as SQL has it.

    Raises:
        UsageError: no name can be so.
    """
    if "\x00" in name or not name:
        msg = f"{name!r} is no name that PostgreSQL could have"
        raise UsageError(msg)
    return '"' + name.replace('"', '""') + '"'


def with_marks(sql: str) -> str:
    """A statement of ours, with parameters as this driver wants them; what is in a quoted name is none."""
    return _PARAMETER.sub(_parameter, sql.replace("%", "%%"))


def _parameter(found: re.Match[str]) -> str:
    if found[1]:
        return f"%({found[1]})s"
    return "%s" if found[0] == "?" else found[0]


def _secrets(url: str) -> list[str]:
    """The passwords in an address, in all spellings."""
    parts = urlsplit(url)
    found = {parts.password or "", *parse_qs(parts.query).get("password", ())}
    return [each for each in {*found, *map(unquote, found)} if each]


def _masked(url: str) -> str:
    """An address without its password."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        user = f"{parts.username}@" if parts.username else ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "postgresql://..."
    return f"postgresql://{user}{host}{port}{parts.path}"


def _driver() -> Any:
    try:
        import psycopg
    except ImportError:
        raise MissingExtra("postgresql", "tables of PostgreSQL") from None
    return psycopg
