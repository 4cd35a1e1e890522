import importlib.util
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pymysql
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy.dialects import mysql

from tests import servers

from .conftest import MEANING, T0, URL, Cli, Rows

SERVED = ("--table", "t", "--updated", "updated", "--created", "created", "--encoding", "datetime")
MARIA = (*SERVED[:-1], "datetime@UTC")
SERVICES = ("--table", "services", *MEANING)


@pytest.fixture
def sound(shop: Path, rows: Rows) -> None:
    rows("DELETE FROM services WHERE _id <> 'a'")


@pytest.fixture(params=servers.POSTGRESQL)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with servers.database(servers.postgresql(request.param)) as url:
        servers.sql(
            url,
            "CREATE TABLE t (id bigint PRIMARY KEY, created timestamptz, updated timestamptz)",
            "INSERT INTO t VALUES (1, '2024-01-01', '2024-01-02')",
        )
        yield url


@pytest.fixture
def maria() -> Iterator[str]:
    with servers.database(servers.mariadb()) as url:
        servers.sql(
            url,
            "CREATE TABLE t (id bigint PRIMARY KEY, created datetime(6), updated datetime(6) COMMENT 'of it')",
            "INSERT INTO t VALUES (1, '2024-01-01', '2024-01-02')",
        )
        yield url


def triggers(url: str) -> list[Any]:
    return servers.sql(url, "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = database()")


def test_there_and_back(sound: None, cli: Cli, rows: Rows) -> None:
    """
    A sound table is enforced, recorded, and taken back.
    """
    before = rows("SELECT name FROM sqlite_master WHERE tbl_name = 'services'")
    done = cli("enforce", URL, *SERVICES)
    listed = cli("runs", URL)
    back = cli("unenforce", URL)
    again = cli("unenforce", URL)

    assert 0 == done.code
    assert done.out.startswith("services: check done\n")
    assert "check: the file, for writers" in done.err
    assert "services: enforce 1, complete" in listed.out
    assert (0, "services: check taken back\n") == (back.code, back.out)
    assert (0, "nothing to take back: nothing is enforced\n") == (again.code, again.out)
    assert before == rows("SELECT name FROM sqlite_master WHERE tbl_name = 'services'")
    assert 0 == cli("runs", "show", "1", URL).code


def test_in_the_way(shop: Path, cli: Cli, rows: Rows) -> None:
    """
    Records that break the guard make it exit 1, and nothing is made.
    """
    said = cli("enforce", URL, *SERVICES)

    assert 1 == said.code
    assert "4 records break what is to be enforced: run check and backfill first" in said.out
    assert [] == rows("SELECT name FROM sqlite_master WHERE name LIKE 'timestamp_guard%'")


def test_touches_nothing(shop: Path, cli: Cli, rows: Rows) -> None:
    """
    Showing, reporting and writing down touch nothing.
    """
    before = shop.read_bytes()
    shown = cli("enforce", URL, *SERVICES, "--print")
    report = cli("enforce", URL, *SERVICES, "--report-only")
    emitted = cli("enforce", URL, *SERVICES, "--emit", "sql")

    assert 0 == shown.code
    assert "1. check\n   lock: the file, for writers, about 1 ms: 6 rows are read; readers go on" in shown.out
    assert "undo: DROP TRIGGER IF EXISTS" in shown.out
    assert 1 == report.code
    assert "4 of 6 records would be refused" in report.out
    assert 0 == emitted.code
    assert before == shop.read_bytes()


def test_json(sound: None, cli: Cli) -> None:
    """
    The same for programs.
    """
    shown = cli("enforce", URL, *SERVICES, "--print", "--format", "json").json
    done = cli("enforce", URL, *SERVICES, "--format", "json").json
    back = cli("unenforce", URL, "--format", "json").json

    assert ["name", "in_place", "statements", "lock", "expected", "undo"] == list(
        shown["tables"]["services"]["stages"][0]
    )
    assert (True, ["check"]) == (done["ok"], done["tables"]["services"]["made"])
    assert (True, ["check"]) == (back["ok"], back["tables"]["services"]["undone"])


def test_files_cannot(tmp_path: Path, cli: Cli) -> None:
    """
    A file refuses nothing.
    """
    (tmp_path / "a.jsonl").write_text('{"_id": 1, "createdAt": 1, "updatedAt": 2}\n')

    said = cli("enforce", f"jsonl:{tmp_path}/a.jsonl", *MEANING)

    assert 2 == said.code
    assert "has nothing that could refuse a write" in said.err


def test_emitted_sql(sound: None, cli: Cli, rows: Rows, shop: Path) -> None:
    """
    The SQL does what enforce does; twice, too.
    """
    import sqlite3
    from contextlib import closing

    said = cli("enforce", URL, *SERVICES, "--emit", "sql")
    with closing(sqlite3.connect(shop, isolation_level=None)) as database:
        database.executescript(said.out)
        database.executescript(said.out)
        with pytest.raises(sqlite3.IntegrityError, match="timestamp_guard: a row of services breaks"):
            database.execute(f"INSERT INTO services VALUES ('z', {T0}, NULL)")


def test_emitted_sql_served(url: str, cli: Cli) -> None:
    """
    On a server, each statement has a timeout.
    """
    said = cli("enforce", url, *SERVED, "--fill", "created", "--emit", "sql")
    statements = said.out.split("-- To take it back:")[0]

    assert 0 == said.code
    assert statements.count("BEGIN;") == statements.count("SET LOCAL lock_timeout")
    with servers.connect(url) as user:
        user.execute(said.out)
        with pytest.raises(Exception, match="timestamp_guard_check|not-null"):
            user.execute("INSERT INTO t VALUES (2, NULL, '1999-01-01')")


def test_emitted_alembic(url: str, cli: Cli, tmp_path: Path) -> None:
    """
    The migration of Alembic goes there and back, and leaves nothing that autogenerate would find.
    """
    said = cli("enforce", url, *SERVED, "--fill", "created", "--keep-current", "--emit", "alembic")
    path = tmp_path / "migration.py"
    path.write_text(said.out)
    metadata = sa.MetaData()
    sa.Table(
        "t", metadata, sa.Column("id", sa.BigInteger, primary_key=True), sa.Column("created", sa.DateTime(timezone=True)),
        sa.Column("updated", sa.DateTime(timezone=True), nullable=False),
    )  # fmt: skip
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    before = servers.sql(
        url, "SELECT conname FROM pg_constraint UNION SELECT tgname FROM pg_trigger UNION SELECT proname FROM pg_proc"
    )
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        for step in ("upgrade", "upgrade"):  # killed half-way, it is run again
            with context.begin_transaction(), Operations.context(context):
                getattr(_loaded(path), step)()
        found: Any = compare_metadata(context, metadata)
        connection.rollback()
        with pytest.raises(sa.exc.IntegrityError), connection.begin():
            connection.exec_driver_sql("INSERT INTO t VALUES (2, NULL, '1999-01-01')")
        with context.begin_transaction(), Operations.context(context):
            _loaded(path).downgrade()
    engine.dispose()

    assert [] == found
    assert before == servers.sql(
        url, "SELECT conname FROM pg_constraint UNION SELECT tgname FROM pg_trigger UNION SELECT proname FROM pg_proc"
    )


def test_emitted_sql_of_mariadb(maria: str, cli: Cli) -> None:
    """
    The client of MariaDB does what enforce does, twice too, and in a session that is not strict; nobody waits for long.
    """
    said = cli("enforce", maria, *MARIA, "--fill", "created", "--emit", "sql")
    socket, name = maria.partition("unix_socket=")[2], urlsplit(maria).path[1:]
    command = [
        "mariadb",
        "--no-defaults",
        f"--socket={socket}",
        "--user=root",
        "--init-command=SET sql_mode = ''",
        name,
    ]
    for _ in range(2):
        subprocess.run(command, input=said.out, text=True, check=True)

    assert 0 == said.code
    assert said.out.index("lock_wait_timeout = 2") < said.out.index("CREATE TRIGGER")
    assert 2 == len(triggers(maria))
    assert "\"updated\" datetime(6) NOT NULL COMMENT 'of it'" in servers.sql(maria, "SHOW CREATE TABLE t")[0][1]
    with pytest.raises(pymysql.err.OperationalError, match="timestamp_guard: a row of t breaks"):
        servers.sql(maria, "INSERT INTO t VALUES (2, NULL, '1999-01-01')")


def test_emitted_alembic_of_mariadb(maria: str, cli: Cli, tmp_path: Path) -> None:
    """
    The migration of Alembic goes there and back on MariaDB, and leaves nothing that autogenerate would find.
    """
    said = cli("enforce", maria, *MARIA, "--fill", "created", "--keep-current", "--emit", "alembic")
    path = tmp_path / "migration.py"
    path.write_text(said.out)
    metadata = sa.MetaData()
    sa.Table(
        "t", metadata, sa.Column("id", sa.BigInteger, primary_key=True), sa.Column("created", mysql.DATETIME(fsp=6)),
        sa.Column("updated", mysql.DATETIME(fsp=6), nullable=False, comment="of it"),
    )  # fmt: skip
    engine = sa.create_engine(maria.replace("mysql:", "mysql+pymysql:"))
    before = servers.sql(maria, "SHOW CREATE TABLE t")
    with engine.connect() as connection:
        mode = connection.exec_driver_sql("SELECT @@sql_mode, @@lock_wait_timeout").all()
        connection.commit()
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        for step in ("upgrade", "upgrade"):  # killed half-way, it is run again
            # As Alembic does it where a definition is changed outside of transactions.
            with context.begin_transaction(_per_migration=True), Operations.context(context):
                getattr(_loaded(path), step)()
        found: Any = compare_metadata(context, metadata)
        made = triggers(maria)
        connection.rollback()
        with pytest.raises(sa.exc.OperationalError, match="timestamp_guard"), connection.begin():
            connection.exec_driver_sql("INSERT INTO t VALUES (2, NULL, '1999-01-01')")
        with context.begin_transaction(_per_migration=True), Operations.context(context):
            _loaded(path).downgrade()
        assert mode == connection.exec_driver_sql("SELECT @@sql_mode, @@lock_wait_timeout").all()
    engine.dispose()

    assert [] == found
    assert 4 == len(made)
    assert before == servers.sql(maria, "SHOW CREATE TABLE t")
    assert [] == triggers(maria)


def _loaded(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("migration", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_served(url: str, cli: Cli) -> None:
    """
    On a server: the whole way, with a gate.
    """
    _whole_way(cli, url, SERVED)


def test_served_by_mariadb(maria: str, cli: Cli) -> None:
    """
    The same on MariaDB.
    """
    _whole_way(cli, maria, MARIA)


def _whole_way(cli: Cli, url: str, meaning: tuple[str, ...]) -> None:
    servers.sql(url, "INSERT INTO t VALUES (2, '2024-01-01', NULL)")
    how = (url, *meaning, "--fill", "created")
    shown = cli("enforce", *how, "--print")
    report = cli("enforce", *how, "--report-only")
    first = cli("enforce", *how)
    filled = cli("backfill", *how)
    second = cli("enforce", *how)
    restored = cli("rollback", url)  # the enforcement first, then the values
    back = cli("unenforce", url)

    codes = tuple(each.code for each in (shown, report, first, filled, second, restored, back))
    assert (0, 1, 1, 0, 0, 0, 0) == codes
    assert "1. gate\n" in shown.out
    assert "1 of 2 records would be refused" in report.out
    assert "until then, new ones are held" in first.out
    assert "1 restored" in restored.out
    assert "nothing is enforced" in back.out
