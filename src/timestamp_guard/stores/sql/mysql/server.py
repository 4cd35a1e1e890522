"""
One connection to one database of MariaDB or MySQL.

Every connection is made alike, whatever the user's settings are: times in UTC, strict, each statement committed by
itself until a transaction is begun by name. Nothing of the server's is changed.

What differs between the two, from their documentation; MySQL was not run:

=============================  ==========================  ==============================
what                           MariaDB 10.6 and up         MySQL 8.0 and up
=============================  ==========================  ==============================
rows that others hold          `SKIP LOCKED` from 10.6     `SKIP LOCKED` from 8.0
the longest statement          `max_statement_time`        `max_execution_time`, of reads
a frozen worker                `idle_transaction_timeout`  `wait_timeout` of the session
the isolation of a session     `tx_isolation` too          `transaction_isolation`
a session that only reads      `tx_read_only` too          `transaction_read_only`
a lock that is not free        1205                        1205, or 3572 with `NOWAIT`
a broken CHECK                 4025                        3819
=============================  ==========================  ==============================
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from ....errors import MissingExtra, StoreError, StoreFull, StoreLocked, StoreMissing, StoreReadOnly, UsageError
from ....instants import brief, from_datetime
from ..connection import Parameters, Prepared
from ..served.server import ConnectionLost, Refused

__all__ = ["Server", "is_address", "name_of", "quoted"]

T = TypeVar("T")

SCHEMES: Final = ("mysql://", "mariadb://")

OLDEST: Final = {"MariaDB": (10, 6), "MySQL": (8, 0)}
"""The first versions that pass over rows that others hold."""

MODE: Final = "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ALLOW_INVALID_DATES"
"""
How our session takes what it is given: a value that does not fit is an error, and never cut to what fits. A date that
is none, like 0000-00-00, can be given back by a rollback.
"""

IDLE: Final = 10
"""A transaction whose worker is frozen is ended by the server after so many seconds: sooner than a lease runs out."""

LOST: Final = frozenset({0, 1053, 1077, 1079, 1080, 1152, 1159, 1161, 1184, 1927, 2006, 2013, 2014, 2055, 4031})
LOCKED: Final = frozenset({1020, 1205, 1206, 1213, 1317, 1614, 1969, 3024, 3058, 3572})
FORBIDDEN: Final = frozenset({1044, 1142, 1143, 1227, 1290, 1370, 1419, 1792, 1836})
FULL: Final = frozenset({1021, 1037, 1038, 1041, 1114, 1135, 1203, 1226})
REFUSED: Final = frozenset({
    1048, 1062, 1138, 1169, 1216, 1217, 1264, 1265, 1292, 1364, 1366, 1369, 1406, 1411, 1416, 1442, 1451, 1452, 1526, 1557,
    1586, 1644, 1690, 1748, 3140, 3819, 4025, 4078,
})  # fmt: skip

# Names and texts are passed over.
_TOKEN: Final = re.compile(r"`(?:[^`]|``)*`|'[^']*'|\"(\w+)\"|(\?)|(?<!:):(\w+)|(%)")


def is_address(url: str) -> bool:
    """Whether *url* names a database of MariaDB or MySQL."""
    return url.startswith(SCHEMES)


class Outcome:
    """What a statement did: how many rows it made, or found to be changed; and the first number that it gave."""

    def __init__(self, rowcount: int, number: int) -> None:
        self.rowcount = rowcount
        self.number = number


class Server:
    """A connection to the database at *url*; errors of the driver become ours, without the password in them."""

    def __init__(self, url: str, *, read_only: bool = False, timeout: float = 5.0) -> None:
        self._driver: Any = _driver()
        self._label = _masked(url)
        self._given = _given(url, self._label)
        self.read_only = read_only
        self.timeout = timeout
        self.schema: str = self._given["database"] or ""
        self.kind = "MySQL"
        self._open = False
        self._alone = False
        self._connection: Any = None
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
        from .values import decoders

        self._open = False
        try:
            self._connection = self._driver.connect(
                **self._given, charset="utf8mb4", autocommit=True, conv=decoders(),
                client_flag=self._driver.constants.CLIENT.FOUND_ROWS,
                connect_timeout=max(2, round(self.timeout)),
            )  # fmt: skip
        except self._driver.err.Error as problem:
            raise StoreMissing(f"{self._label} cannot be reached: {self._said(problem)}") from None
        except (OSError, ValueError) as problem:
            raise StoreMissing(f"{self._label} cannot be reached: {problem}") from None
        said = str(self._connection.get_server_info())
        self.kind = "MariaDB" if "mariadb" in said.lower() else "MySQL"
        found = [tuple(map(int, each)) for each in re.findall(r"(\d+)\.(\d+)\.\d+", said)]
        version = max(found, default=(0, 0)) if self.kind == "MariaDB" else (found or [(0, 0)])[0]
        if version < OLDEST[self.kind]:
            self.close()
            oldest = ".".join(map(str, OLDEST[self.kind]))
            raise StoreError(f"{self._label} is {self.kind} {said}: {oldest} is needed")
        self._prepare_session()

    def _prepare_session(self) -> None:
        more = (
            f"idle_transaction_timeout = {IDLE}, max_statement_time = 0, sql_if_exists = 0, "
            if self.kind == "MariaDB"
            else "max_execution_time = 0, "
        )
        transaction = "tx" if self.kind == "MariaDB" else "transaction"
        with self._named():
            # A second is the shortest wait that there is; with none, MariaDB fails at rows that are to be passed over. DEFAULT
            # would be what the server is set to, not what it is by itself.
            self._driven(
                f"SET SESSION time_zone = '+00:00', sql_mode = '{MODE}', {more}{transaction}_isolation = 'READ-COMMITTED', "
                # Of the session: a statement that makes or drops a table ends a transaction that is only to read.
                f"{transaction}_read_only = {int(self.read_only)}, "
                f"innodb_lock_wait_timeout = 1, lock_wait_timeout = {max(1, round(self.timeout))}, "
                f"sql_safe_updates = 0, sql_select_limit = {2**64 - 1}, div_precision_increment = 4, "
                f"group_concat_max_len = 1048576, timestamp = DEFAULT, autocommit = 1, @timestamp_guard_bypass = 1"
            )

    # -- statements

    def address(self, table: str) -> str:
        """The name of one of our own tables."""
        return f"{quoted(self.schema)}.{quoted(table)}"

    def columns(self, table: str) -> Sequence[str]:
        """The columns of one of our own tables; none where there is no such table."""
        found = self.rows(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = ? AND table_name = ? "
            "ORDER BY ordinal_position",
            (self.schema, table),
        )
        return [name for (name,) in found]

    def run(self, statement: Prepared | str, parameters: Parameters | tuple[Any, ...] = ()) -> Outcome:
        """Run a statement."""
        cursor = self._ran(statement, parameters)
        return Outcome(cursor.rowcount, cursor.lastrowid or 0)

    def rows(self, statement: Prepared | str, parameters: Parameters | tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run a statement and fetch all it gives."""
        return list(self._ran(statement, parameters).fetchall())

    def named(self, sql: str) -> list[dict[str, Any]]:
        """Run a statement and fetch all it gives, by the names of the columns."""
        cursor = self._even_if_lost(lambda: self._driven(sql))
        names = [each[0] for each in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def stream(self, statement: Prepared) -> Iterator[tuple[Any, ...]]:
        """Run a statement and fetch what it gives one by one; nothing else can be run meanwhile."""
        with self._named():
            cursor = self._connection.cursor(self._driver.cursors.SSCursor)
            try:
                cursor.execute(statement.sql, statement.parameters)
                while (row := cursor.fetchone()) is not None:
                    yield row
            finally:
                cursor.close()

    def _ran(self, statement: Prepared | str, parameters: Parameters | tuple[Any, ...]) -> Any:
        sql, given = statement, parameters
        if isinstance(statement, Prepared):
            sql, given = statement.sql, {**statement.parameters, **dict(parameters)}
        else:
            sql = _ours(statement)
        for value in given.values() if isinstance(given, dict) else given:
            if isinstance(value, str):
                _ensure_text(value)
        if sql.startswith(("SELECT", "SHOW")):
            return self._even_if_lost(lambda: self._driven(sql, given))
        with self._named():
            return self._driven(sql, given)

    def _even_if_lost(self, ask: Callable[[], T]) -> T:
        """Ask again where the connection was lost while nobody used it: nothing had begun on it."""
        try:
            with self._named():
                return ask()
        except ConnectionLost as lost:
            if self._open or self._alone:
                raise
            self.close()
            try:
                self.connect()
            except StoreError:
                raise lost from None
        with self._named():
            return ask()

    def _driven(self, sql: Any, given: Any = None) -> Any:
        cursor = self._connection.cursor()
        cursor.execute(sql, given)
        return cursor

    # -- transactions

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """One view of the data, whatever is written meanwhile."""

        def begin() -> None:
            self._driven("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            if self.kind == "MariaDB":
                # Python may think for long between two reads; nobody waits for a reader.
                self._driven("SET SESSION idle_transaction_timeout = 0")
            self._driven("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

        self._even_if_lost(begin)
        self._open = True
        try:
            yield
        finally:
            self._end("COMMIT")
            if self.kind == "MariaDB":
                self._end(f"SET SESSION idle_transaction_timeout = {IDLE}")

    @contextlib.contextmanager
    def writing(self, lock_timeout: float | None = None) -> Iterator[int]:  # noqa: ARG002 - less than a second there is not
        """A transaction: all of it, or nothing."""
        if self.read_only:
            raise StoreReadOnly(f"{self._label} was opened to be read only")
        self._even_if_lost(lambda: self._driven("START TRANSACTION READ WRITE"))
        self._open = True
        try:
            yield 0
            with self._named():
                self._driven("COMMIT")
            self._open = False
        except BaseException:
            self._end("ROLLBACK")
            raise

    @contextlib.contextmanager
    def durably(self) -> Iterator[None]:
        """A commit is on the disk, unless the user's settings say otherwise, which are theirs."""
        yield

    @contextlib.contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """
        Keep other workers from doing *what* meanwhile; never for longer than it takes, and not across transactions.

        Raises:
            StoreLocked: another one was at it for all the time.
        """
        name = f"timestamp_guard {what}"[:64]
        ((said,),) = self.rows("SELECT GET_LOCK(?, ?)", (name, max(1, round(self.timeout))))
        if said != 1:
            raise StoreLocked(f"{self._label} is being worked on by another process: {what}")
        self._alone = True  # a new connection would not be
        try:
            yield
        finally:
            with contextlib.suppress(StoreError):
                self.rows("SELECT RELEASE_LOCK(?)", (name,))
            self._alone = False

    def _end(self, how: str) -> None:
        """End a transaction that an error may have ended already."""
        self._open = False
        with contextlib.suppress(self._driver.err.Error, OSError, AttributeError):
            self._driven(how)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, which a new connection would not have."""
        return self._open

    def now(self) -> int:
        """The server's clock, in nanoseconds since 1970."""
        ((now,),) = self.rows("SELECT UTC_TIMESTAMP(6)")
        return from_datetime(now.replace(tzinfo=UTC)) if isinstance(now, datetime) else 0

    def close(self) -> None:
        """Close the connection."""
        self._open = False
        with contextlib.suppress(self._driver.err.Error, OSError, AttributeError):
            self._connection.close()

    # -- errors

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except self._driver.err.Error as problem:
            raise self._ours(problem) from None
        except UnicodeEncodeError as problem:
            raise Refused(f"{brief(problem.object)} is text that is not UTF-8") from None

    def _ours(self, problem: Exception) -> Exception:
        first = problem.args[0] if problem.args else 0
        code = first if isinstance(first, int) else 0
        said = self._said(problem)
        if code in LOST or not getattr(self._connection, "open", True):
            return ConnectionLost(f"the connection to {self._label} was lost: {said}")
        if code in LOCKED:
            return StoreLocked(f"a row or table of {self._label} is locked by another transaction: {said}")
        if code in FORBIDDEN:
            return StoreReadOnly(f"{self._label}: {said}; grant this user the right to it")
        if code in FULL:
            return StoreFull(f"{self._label} has no room: {said}")
        if code in REFUSED or isinstance(problem, (self._driver.err.DataError, self._driver.err.IntegrityError)):
            return Refused(said, str(code))
        return StoreError(f"{self._label}: {said}" + (f" ({code})" if code else ""))

    def _said(self, problem: Exception) -> str:
        """What the driver says, in one line and without the password."""
        text = " ".join(str(problem.args[-1] if problem.args else problem).split()) or type(problem).__name__
        secret = self._given["password"]
        return text.replace(secret, "***") if secret else text


def quoted(name: str) -> str:
    """
    A name as SQL has it.

    Raises:
        UsageError: no name can be so.
    """
    if "\x00" in name or not name or any(ord(each) > 0xFFFF for each in name):
        msg = f"{name!r} is no name that MariaDB or MySQL could have"
        raise UsageError(msg)
    return "`" + name.replace("`", "``") + "`"


def name_of(name: str) -> str:
    """A name in a statement that has parameters."""
    return quoted(name).replace("%", "%%")


def _ours(sql: str) -> str:
    """A statement of the ledger, with names and parameters as this driver wants them."""

    def put(found: re.Match[str]) -> str:
        name, mark, parameter, percent = found.groups()
        if name:
            return f"`{name}`"
        if mark:
            return "%s"
        if parameter:
            return f"%({parameter})s"
        return "%%" if percent else found[0].replace("%", "%%")

    return _TOKEN.sub(put, sql)


def _ensure_text(value: str) -> None:
    """
    Make sure that a text can be sent; the driver would send half a character as it is.

    Raises:
        Refused: it cannot.
    """
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Refused(f"{brief(value)} is text that is not UTF-8") from None


def _given(url: str, label: str) -> dict[str, Any]:
    """
    What the driver is given.

    Raises:
        UsageError: the address cannot be read.
    """
    wanted = f"cannot read the address {label}: wanted mysql://USER@HOST:PORT/DATABASE"
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        port = parts.port or 3306
    except ValueError:
        raise UsageError(wanted) from None
    given: dict[str, Any] = {
        "host": parts.hostname or "localhost", "port": port, "user": unquote(parts.username or "") or None,
        "password": unquote(parts.password or ""), "database": unquote(parts.path[1:]) or None,
        "unix_socket": options.pop("unix_socket", None),
    }  # fmt: skip
    if options.pop("charset", "utf8mb4") != "utf8mb4":
        msg = f"{label}: the charset is always utf8mb4, so that no text is lost: leave it out"
        raise UsageError(msg)
    for name, value in options.items():
        if name in {"ssl_ca", "ssl_cert", "ssl_key", "ssl_key_password"}:
            given[name] = value
        elif name in {"ssl_disabled", "ssl_verify_cert", "ssl_verify_identity"} and value.lower() in _SWITCH:
            given[name] = _SWITCH[value.lower()]
        else:
            msg = f"{wanted}, with unix_socket=, ssl_ca=, ssl_cert=, ssl_key= or ssl_disabled=; not {name}="
            raise UsageError(msg)
    if not any(name.startswith("ssl_") for name in given):
        given["ssl_disabled"] = given["unix_socket"] is not None  # nobody listens to a socket of this machine
    if not given["database"]:
        raise UsageError(wanted)
    return given


_SWITCH: Final = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def _masked(url: str) -> str:
    """An address without its password."""
    try:
        parts = urlsplit(url)
        user = f"{parts.username}@" if parts.username else ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "mysql://..."
    return f"{parts.scheme}://{user}{parts.hostname or ''}{port}{parts.path}"


def _driver() -> Any:
    try:
        import pymysql
    except ImportError:
        raise MissingExtra("mysql", "tables of MariaDB and MySQL") from None
    return pymysql
