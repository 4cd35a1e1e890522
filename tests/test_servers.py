from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psycopg
import pymysql
import pytest

from . import servers

ROOT: Final = Path(__file__).parents[1]
REFUSED: Final = (psycopg.OperationalError, pymysql.err.OperationalError)
SHARED: Final[Mapping[str, Callable[[], str]]] = {
    **{f"postgresql{version}": partial(servers.postgresql, version) for version in servers.POSTGRESQL},
    "mariadb": servers.mariadb,
}
OWN: Final[Mapping[str, tuple[str, Callable[[], object]]]] = {
    "postgresql": ("own_postgresql(18)", partial(servers._postgresql_programs, 18)),
    "mariadb": ("own_mariadb()", servers._mariadb_programs),
}


@pytest.fixture(params=SHARED)
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    with servers.database(SHARED[request.param]()) as url:
        servers.sql(url, "CREATE TABLE t (n int)", "INSERT INTO t VALUES (1)")
        yield url


class TestDatabase:
    def test_fresh(self, database: str) -> None:
        """
        Each has its own tables.
        """
        with servers.database(database) as other:
            servers.sql(other, "CREATE TABLE t (n int)")

            assert [] == servers.sql(other, "SELECT n FROM t")
            assert [(1,)] == servers.sql(database, "SELECT n FROM t")

    def test_dropped(self, database: str) -> None:
        """
        An open transaction does not keep it.
        """
        with contextlib.ExitStack() as stack:
            with servers.database(database) as other:
                user = stack.enter_context(contextlib.closing(servers.connect(other)))
                for statement in ("CREATE TABLE t (n int)", "BEGIN", "INSERT INTO t VALUES (1)"):
                    user.cursor().execute(statement)

            with pytest.raises(REFUSED, match=urlsplit(other).path[1:]):
                servers.sql(other)

    def test_tcp(self, database: str) -> None:
        """
        A port leads to the same tables as the socket.
        """
        url = servers.tcp(database)

        assert "" == urlsplit(url).query
        assert url == servers.tcp(url)
        assert [(1,)] == servers.sql(url, "SELECT n FROM t")


@pytest.mark.parametrize("kind", OWN)
class TestOwn:
    def test_kill(self, kind: str) -> None:
        """
        What was committed is there after the next start, under the same URL, and nothing else.
        """
        with servers.own_mariadb() if kind == "mariadb" else servers.own_postgresql(18) as server:
            servers.sql(server.url, "CREATE TABLE t (n int)", "INSERT INTO t VALUES (1)")
            with contextlib.closing(servers.connect(server.url)) as user:
                for statement in ("BEGIN", "INSERT INTO t VALUES (2)"):
                    user.cursor().execute(statement)
                server.kill()
            with pytest.raises(REFUSED):
                servers.sql(servers.tcp(server.url))
            server.start()

            assert [(1,)] == servers.sql(server.url, "SELECT n FROM t")

    def test_ends_with_its_process(self, kind: str) -> None:
        """
        A process that was killed leaves no server and no files.
        """
        own, programs = OWN[kind]
        programs()  # or the test is skipped
        script = f"from tests import servers\nwith servers.{own} as it: print(it.url, it._folder, flush=True); input()"
        with subprocess.Popen(
            [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            url, folder = process.stdout.readline().split()
            servers.sql(url)
            process.kill()

        patience = time.monotonic() + servers.PROMPT_S
        while any(Path(folder).glob("*")) and time.monotonic() < patience:
            time.sleep(0.02)

        assert not any(Path(folder).glob("*"))
        with pytest.raises(REFUSED):
            servers.sql(servers.tcp(url))


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without servers."""
    for name in ("POSTGRESQL18_URL", "POSTGRESQL_URL", "MARIADB_URL"):
        monkeypatch.delenv(f"TIMESTAMP_GUARD_TEST_{name}", raising=False)
    monkeypatch.delenv("TIMESTAMP_GUARD_REQUIRE", raising=False)
    monkeypatch.setattr(servers, "PATH", "")
    monkeypatch.setattr(servers, "_postgresqls", dict)


@pytest.mark.usefixtures("nothing")
class TestNone:
    # What is behind the cache, which would remember.
    ASK: Final[Mapping[str, Callable[[], str]]] = {
        "postgresql": partial(servers.postgresql.__wrapped__, 18),
        "mariadb": servers.mariadb.__wrapped__,
    }

    @pytest.mark.parametrize("kind", ASK)
    def test_skipped(self, kind: str) -> None:
        """
        The reason says what to do about it.
        """
        with pytest.raises(pytest.skip.Exception, match=rf"{kind.upper()}_URL, apt-get install {kind}.*, or "):
            self.ASK[kind]()

    @pytest.mark.parametrize("kind", ASK)
    def test_required(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Where servers are required, none is a failure.
        """
        monkeypatch.setenv("TIMESTAMP_GUARD_REQUIRE", "postgresql,mariadb")

        with pytest.raises(pytest.fail.Exception, match="apt-get install"):
            self.ASK[kind]()

    @pytest.mark.parametrize("kind", ASK)
    def test_environment(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        The environment comes first.
        """
        monkeypatch.setenv(f"TIMESTAMP_GUARD_TEST_{kind.upper()}_URL", f"{kind}://elsewhere")

        assert f"{kind}://elsewhere" == self.ASK[kind]()
