"""
Each protection of tables of PostgreSQL, switched off, makes a named test fail.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests import servers
from tests import test_postgresql as tables
from tests import test_served_concurrency as concurrency
from timestamp_guard import Run, TimestampGuardError
from timestamp_guard.stores.sql.connection import Prepared
from timestamp_guard.stores.sql.ledger import SqlLedger
from timestamp_guard.stores.sql.postgresql import server
from timestamp_guard.stores.sql.postgresql.statements import Statements, Writer
from timestamp_guard.stores.sql.postgresql.store import PostgresStore

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

    def anyway(ledger: SqlLedger, run: Run, held: int | None = None) -> None:
        ((now,),) = ledger.database.rows(f"SELECT generation FROM {ledger._runs} WHERE id = ?", (run.id,))
        put(ledger, run, now)

    patch.setattr(SqlLedger, "fence", lambda *_: None)
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


TEETH: list[tuple[Switch, Scenario, dict[str, Any]]] = [
    (no_fence, concurrency.test_taken_over, {"act": "backfill", "point": None}),
    (no_fence, concurrency.test_taken_over, {"act": "rollback", "point": None}),
    (no_version, tables.test_place_taken_meanwhile, {}),
    (no_file, tables.test_rewritten_meanwhile, {"encoding": "epoch_ms/us"}),
    (no_second_look, concurrency.test_written_while_we_wait, {"was": 0, "encoding": "epoch_ms", "wait": 0.05}),
    (no_compare_in_rollback, concurrency.test_written_before_it_is_given_back, {"wait": 0.05}),
    (no_proof, tables.test_touched, {"touch": "after", "encoding": "epoch_ms"}),
    (no_look_for_triggers, tables.test_touched_meanwhile, {"touch": "after"}),
    (settings_of_the_user, tables.test_keys, {"name": "double", "encoding": "epoch_ms"}),
]


def play(scenario: Scenario, given: dict[str, Any], patch: pytest.MonkeyPatch) -> None:
    """Call a test with the fixtures that it asks for."""
    if "monkeypatch" in inspect.signature(scenario).parameters:
        given = given | {"monkeypatch": patch}
    with servers.database(servers.postgresql(15)) as url:
        scenario(url=url, **given)


@pytest.mark.parametrize(
    ("switch", "scenario", "given"), TEETH, ids=[f"{one.__name__}-{other.__name__}-{n}" for n, (one, other, _) in enumerate(TEETH)]
)  # fmt: skip
def test_bites(switch: Switch, scenario: Scenario, given: dict[str, Any]) -> None:
    """
    With the protection the test passes, without it the test fails.
    """
    with pytest.MonkeyPatch.context() as patch:
        play(scenario, given, patch)

    with pytest.MonkeyPatch.context() as patch:
        switch(patch)
        with pytest.raises((AssertionError, TimestampGuardError, pytest.fail.Exception)):
            play(scenario, given, patch)
