"""
Each protection of tables of servers, switched off, makes a named test fail.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests import served_tables, servers
from tests import test_mariadb_store as mariadb
from tests import test_postgresql as postgresql
from tests import test_served_concurrency as concurrency
from timestamp_guard import Run, TimestampGuardError
from timestamp_guard.stores.sql.connection import Prepared
from timestamp_guard.stores.sql.ledger import SqlLedger
from timestamp_guard.stores.sql.mysql import statements as mysql
from timestamp_guard.stores.sql.mysql import store as mysql_store
from timestamp_guard.stores.sql.postgresql import server
from timestamp_guard.stores.sql.postgresql.ledger import ServerLedger
from timestamp_guard.stores.sql.postgresql.statements import Statements, Writer
from timestamp_guard.stores.sql.postgresql.store import PostgresStore
from timestamp_guard.stores.sql.served.ledger import ServedLedger

Switch = Callable[[pytest.MonkeyPatch], None]
Scenario = Callable[..., None]


def rewritten(patch: pytest.MonkeyPatch, where: type, name: str, *pairs: tuple[str, str]) -> None:
    """The statement that a method makes, with something in it replaced, which must be there."""
    made = getattr(where, name)

    def without(*given: Any, **how: Any) -> Any:
        found = made(*given, **how)
        each = found if isinstance(found, list) else [found]
        texts = []
        for one in each:
            text = str(one.sql)
            for pattern, instead in pairs:
                text = re.sub(pattern, instead, text)
            texts.append(text)
        assert any(text != one.sql for text, one in zip(texts, each, strict=True))
        changed = [Prepared(text, one.parameters) for text, one in zip(texts, each, strict=True)]
        return changed if isinstance(found, list) else changed[0]

    patch.setattr(where, name, without)


def no_fence(patch: pytest.MonkeyPatch) -> None:
    """The generation of a run is not looked at."""
    put = SqlLedger.put

    def anyway(ledger: SqlLedger, run: Run, held: int | None = None, only: Mapping[str, Any] | None = None) -> None:
        ((now,),) = ledger.database.rows(f"SELECT generation FROM {ledger._runs} WHERE id = ?", (run.id,))
        put(ledger, run, now, only)

    for each in (ServedLedger, ServerLedger):
        patch.setattr(each, "owned", lambda ledger, _, wait=None: ledger.server.writing(wait))
    patch.setattr(SqlLedger, "put", anyway)


def no_version(patch: pytest.MonkeyPatch) -> None:
    """A row is what is at its place."""
    rewritten(patch, Writer, "by_row", (r"t\.xmin::text = work\.version", "true"))


def no_file(patch: pytest.MonkeyPatch) -> None:
    """A place is the same in every file."""
    rewritten(patch, Writer, "by_row", (r"pg_relation_filenode\(t\.tableoid\) = %\(file\)s", "true"))


def no_second_look(patch: pytest.MonkeyPatch) -> None:
    """What was found broken is written, whatever it is when its lock is had."""
    rewritten(
        patch,
        Statements,
        "write",
        ("ctid AS place, xmin AS version", "_id AS place"),
        (r"t\.ctid = work\.place AND t\.xmin = work\.version", "t._id = work.place"),
    )


def no_compare_in_rollback(patch: pytest.MonkeyPatch) -> None:
    """A rollback restores whatever is there now."""
    rewritten(patch, Writer, "undo", (r'AND t\."updatedAt"::text IS NOT DISTINCT FROM c\.after ', ""))


def no_proof(patch: pytest.MonkeyPatch) -> None:
    """What was written is not looked at again."""
    patch.setattr(Writer, "proof", lambda *_: Prepared("SELECT 0"))


def no_look_for_triggers(patch: pytest.MonkeyPatch) -> None:
    """The triggers are those that there were at first."""
    patch.setattr(PostgresStore, "_look_for_triggers", lambda _: None)


def settings_of_the_user(patch: pytest.MonkeyPatch) -> None:
    """Values are written as text as the user likes to see them."""
    patch.setattr(server, "SETTINGS", "")


# -- MariaDB


def no_judging_again(patch: pytest.MonkeyPatch) -> None:
    """What was found broken is written, whatever it is when its lock is had."""
    rewritten(patch, mysql.Statements, "record", (r" AND \(.*\) ORDER BY", " ORDER BY"))
    patch.setattr(mysql_store, "_differs", lambda *_: False)


def no_locked_reads(patch: pytest.MonkeyPatch) -> None:
    """Old values are read without keeping others from changing them."""
    rewritten(patch, mysql.Statements, "record", (" FOR UPDATE SKIP LOCKED", ""))
    rewritten(patch, mysql.Writer, "locked", (" FOR UPDATE SKIP LOCKED", ""))


def no_comparison_in_rollback(patch: pytest.MonkeyPatch) -> None:
    """A rollback restores whatever is there now."""
    rewritten(patch, mysql.Writer, "undo", (r" AND [^=]* <=> .*", ""))


def no_reading_back(patch: pytest.MonkeyPatch) -> None:
    """What was written is not looked at again."""
    patch.setattr(mysql_store.MysqlStore, "_watched", lambda _: False)
    patch.setattr(mysql_store.MysqlStore, "_sure", lambda *_: True)


def no_giving_way(patch: pytest.MonkeyPatch) -> None:
    """A rollback waits for rows while it has others."""
    patch.setattr(mysql.Writer, "locked_at_once", lambda _: Prepared("SELECT 1"))


POSTGRESQL, MARIADB = served_tables.KINDS

TEETH: list[tuple[str, Switch, Scenario, dict[str, Any]]] = [
    (POSTGRESQL, no_fence, concurrency.test_taken_over, {"act": "backfill", "point": None}),
    (POSTGRESQL, no_fence, concurrency.test_taken_over, {"act": "rollback", "point": None}),
    (POSTGRESQL, no_version, postgresql.test_place_taken_meanwhile, {}),
    (POSTGRESQL, no_file, postgresql.test_rewritten_meanwhile, {"encoding": "epoch_ms/us"}),
    (
        POSTGRESQL, no_second_look, concurrency.test_written_while_we_wait,
        {"was": 0, "encoding": "epoch_ms", "wait": 0.05},
    ),
    (POSTGRESQL, no_compare_in_rollback, concurrency.test_written_before_it_is_given_back, {"wait": 0.05}),
    (POSTGRESQL, no_proof, postgresql.test_touched, {"touch": "after", "encoding": "epoch_ms"}),
    (POSTGRESQL, no_look_for_triggers, postgresql.test_touched_meanwhile, {"touch": "after"}),
    (POSTGRESQL, settings_of_the_user, postgresql.test_keys, {"name": "double", "encoding": "epoch_ms"}),
    (MARIADB, no_fence, concurrency.test_taken_over, {"act": "backfill", "point": None}),
    (MARIADB, no_fence, concurrency.test_taken_over, {"act": "rollback", "point": None}),
    (
        MARIADB, no_judging_again, concurrency.test_written_while_we_wait,
        {"was": None, "encoding": "epoch_ms", "wait": 0.0},
    ),
    (
        MARIADB, no_judging_again, concurrency.test_written_while_we_wait,
        {"was": 0, "encoding": "epoch_ms/us", "wait": 0.0},
    ),
    (MARIADB, no_locked_reads, mariadb.test_written_after_it_was_recorded, {"encoding": "epoch_ms"}),
    (MARIADB, no_locked_reads, mariadb.test_written_after_it_was_recorded, {"encoding": "epoch_ms/us"}),
    (MARIADB, no_comparison_in_rollback, concurrency.test_written_before_it_is_given_back, {"wait": 0.05}),
    (MARIADB, no_reading_back, mariadb.test_trigger, {"field": "updatedAt"}),
    (MARIADB, no_giving_way, concurrency.test_gives_way, {}),
]  # fmt: skip


def play(kind: str, scenario: Scenario, given: dict[str, Any], patch: pytest.MonkeyPatch) -> None:
    """Call a test with the fixtures that it asks for."""
    asked = inspect.signature(scenario).parameters
    with servers.database(served_tables.server(kind)) as url, servers.connect(url) as user:
        fixtures = {"url": url, "user": user, "monkeypatch": patch}
        scenario(**{name: each for name, each in fixtures.items() if name in asked}, **given)


@pytest.mark.parametrize(
    ("kind", "switch", "scenario", "given"),
    TEETH,
    ids=[f"{kind}-{one.__name__}-{other.__name__}-{n}" for n, (kind, one, other, _) in enumerate(TEETH)],
)
def test_bites(kind: str, switch: Switch, scenario: Scenario, given: dict[str, Any]) -> None:
    """
    With the protection the test passes, without it the test fails.
    """
    with pytest.MonkeyPatch.context() as patch:
        play(kind, scenario, given, patch)

    with pytest.MonkeyPatch.context() as patch:
        switch(patch)
        with pytest.raises((AssertionError, TimestampGuardError, pytest.fail.Exception)):
            play(kind, scenario, given, patch)
