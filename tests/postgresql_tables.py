"""
Tables of PostgreSQL for tests: made by hand, and looked at past the library.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from tests import servers
from timestamp_guard import Repair, updated_at_guard
from timestamp_guard.instants import parse_instant
from timestamp_guard.stores.sql.postgresql.store import PostgresStore

Dump: TypeAlias = dict[str, list[str]]

NOW: Final = parse_instant("2024-06-01T12:00:00Z")
MS: Final = NOW // 10**6
DAY: Final = 86_400_000
GUARD: Final = updated_at_guard("updatedAt", "createdAt")
REPAIR: Final = Repair("updatedAt", ("createdAt",))

OURS: Final = ("timestamp_guard_runs", "timestamp_guard_batches", "timestamp_guard_quarantine")


def quoted(name: str) -> str:
    """A name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def said(value: Any) -> str | None:
    """A value as the server would read it."""
    return None if value is None else value.isoformat(" ") if isinstance(value, datetime) else str(value)


def fill(user: Any, table: str, rows: Iterable[Sequence[Any]], columns: Sequence[str] = ()) -> None:
    """Put rows into a table, all at once."""
    names = f" ({', '.join(map(quoted, columns))})" if columns else ""
    with user.cursor() as cursor, cursor.copy(f"COPY {table}{names} FROM STDIN") as copy:
        for row in rows:
            copy.write_row([said(each) for each in row])


def make(url: str, *statements: str, rows: Iterable[Sequence[Any]] = (), into: str = "services") -> str:
    """What *statements* make in a database, and *rows* in the table *into*."""
    with servers.connect(url) as user:
        for statement in statements:
            user.execute(statement)
        fill(user, into, rows)
    return url


def opened(url: str, table: str = "services", **how: Any) -> PostgresStore:
    """The table as the library has it."""
    return PostgresStore(url, table, **({"encodings": "epoch_ms"} | how))


def dump(url: str) -> Dump:
    """All that is the user's: tables, columns, indexes, triggers, settings, and every row exactly."""
    found: Dump = {}
    with servers.connect(url) as user:
        for setting in (
            "SET \"TimeZone\" = 'UTC'",
            "SET \"DateStyle\" = 'ISO'",
            "SET extra_float_digits = 1",
            "SET bytea_output = 'hex'",
        ):
            user.execute(setting)
        for what, sql in (
            (
                "columns",
                (
                    "SELECT c.oid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull FROM pg_attribute a "
                    "JOIN pg_class c ON c.oid = a.attrelid WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND c.relnamespace "
                    "NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_' OR nspname = 'information_schema')"
                ),
            ),
            ("indexes", "SELECT schemaname, tablename, indexdef FROM pg_indexes WHERE schemaname !~ '^pg_'"),
            ("triggers", "SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger"),
            ("settings", "SELECT setdatabase, setrole, setconfig FROM pg_db_role_setting"),
            ("sessions", "SELECT name, setting FROM pg_settings WHERE source IN ('database', 'user')"),
        ):
            found[what] = sorted(str(row) for row in user.execute(sql) if "timestamp_guard_" not in str(row))
        tables = user.execute(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
        ).fetchall()
        for schema, name in tables:
            if name not in OURS:
                table = f"{quoted(schema)}.{quoted(name)}"
                found[table] = sorted(row for (row,) in user.execute(f"SELECT t::text FROM {table} t"))
    return found


def definitions(url: str) -> dict[str, list[Any]]:
    """All that the server knows of what is not the ledger's; without what it forgets later by itself."""
    not_ours = "NOT IN ('timestamp_guard_runs', 'timestamp_guard_changes', 'timestamp_guard_batches', 'timestamp_guard_quarantine')"
    ours = f"conrelid::regclass::text {not_ours}"
    return {
        "columns": servers.sql(
            url,
            "SELECT attrelid::regclass::text, attname, attnotnull, atthasdef, attislocal, attinhcount, attisdropped FROM pg_attribute "
            f"JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND relname {not_ours} "
            "ORDER BY 1, attnum",
        ),
        "constraints": servers.sql(
            url,
            "SELECT conrelid::regclass::text, conname, contype, convalidated, conislocal, coninhcount, pg_get_constraintdef(oid) "
            f"FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND {ours} ORDER BY 1, 2",
        ),
        "triggers": servers.sql(
            url,
            "SELECT tgrelid::regclass::text, tgname, tgenabled, pg_get_triggerdef(oid) FROM pg_trigger ORDER BY 1, 2",
        ),
        "functions": servers.sql(
            url,
            "SELECT proname, prosrc, provolatile FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1",
        ),
    }


def copied(url: str, name: str) -> str:
    """A copy of the database at *url*, by that name: its address."""
    servers.sql(servers.postgresql(15), f"CREATE DATABASE {name} TEMPLATE {urlsplit(url).path[1:]}")
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def cut_off(url: str) -> None:
    """End the connections of the library."""
    servers.sql(
        url,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'timestamp_guard' "
        "AND datname = current_database()",
    )


def locked(user: Any, table: str) -> None:
    """Keep everybody from a table."""
    user.execute("BEGIN")
    user.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")


def unlocked(user: Any) -> None:
    """Let it go."""
    user.execute("ROLLBACK")


def rest(seconds: float) -> str:
    """A statement that takes so long."""
    return f"SELECT pg_sleep({seconds})"
