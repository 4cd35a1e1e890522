"""
The stages of an enforcement as text for other tools: SQL, and a migration of Alembic.

Both can be run again after they failed half-way: what a stage makes is dropped first, where it is there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final

from attrs import frozen

from ..errors import UsageError
from ..stores.base import Stage
from ..stores.sql.mysql.server import MODE, is_address

__all__ = ["alembic", "sql"]


@frozen
class _Session:
    """
    What a database is told before and after all of a script, and before and after each of its stages: above all that a
    statement waits for its lock for two seconds at most, and others behind it; then it fails, and can be run again.
    """

    begin: tuple[str, ...] = ()
    end: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


SQLITE: Final = _Session(before=("BEGIN;",), after=("COMMIT;",))
POSTGRESQL: Final = _Session(
    ("SET lock_timeout = '2s'",), ("RESET lock_timeout",), ("BEGIN;", "SET LOCAL lock_timeout = '2s';"), ("COMMIT;",)
)
MYSQL: Final = _Session(
    (
        "SET @timestamp_guard_mode = @@sql_mode, @timestamp_guard_wait = @@lock_wait_timeout",
        f"SET SESSION sql_mode = '{MODE}', lock_wait_timeout = 2",
    ),
    ("SET SESSION sql_mode = @timestamp_guard_mode, lock_wait_timeout = @timestamp_guard_wait",),
)
"""Not strict, it would make zero dates of nulls; and a trigger keeps the mode that it is made in."""


def _session(url: str) -> _Session:
    return SQLITE if url.startswith("sqlite:") else MYSQL if is_address(url) else POSTGRESQL


MIGRATION: Final = '''\
"""
Have {table} hold: {guard}

Written by timestamp-guard enforce --emit alembic. Say in `down_revision` what it comes after.
Each statement is a transaction of its own, or the heaviest lock would be held until the last one is done.
"""

from alembic import op
from sqlalchemy import text

revision = "{revision}"
down_revision = None
branch_labels = None
depends_on = None

UPGRADE = [
{upgrade}]

DOWNGRADE = [
{downgrade}]


def upgrade():
    run(UPGRADE)


def downgrade():
    run(DOWNGRADE)


def run(statements):
    # A colon would begin a parameter.
    with op.get_context().autocommit_block():
        for statement in statements:
            op.execute(text(statement.replace("\\\\", "\\\\\\\\").replace(":", "\\\\:")))
'''


def sql(table: str, guard: str, url: str, stages: Sequence[Stage]) -> str:
    """The stages that are not in place, each in a transaction, and how to take them back as a comment."""
    _ensure_said(stages)
    session = _session(url)
    made = [stage for stage in stages if not stage.in_place]
    lines = _commented(f"{table}: {guard}")
    if session is MYSQL:
        lines += ["-- Each statement commits itself.", *(f"{each};" for each in session.begin)]
    else:
        lines += ["-- Each step is a transaction of its own: do not run them in one."]
    for stage in made:
        lines += ["", *_commented(f"{stage.name}: {stage.lock}, {stage.expected}"), *session.before]
        lines += [_ended(statement, session) for statement in (*_again(stage), *stage.statements)] + [*session.after]
    lines += ["", *(f"{each};" for each in session.end)] if session is MYSQL else []
    lines += ["", "-- To take it back:"] if made else ["", "-- Nothing to do: all of it is in place."]
    lines += [line for statement in _back(made) for line in _commented(f"{statement};")]
    return "\n".join(lines)


def _ended(statement: str, session: _Session) -> str:
    """A statement with its end, which a client of MariaDB or MySQL would see in the first line of a trigger."""
    if session is not MYSQL or not statement.startswith("CREATE TRIGGER"):
        return f"{statement};"
    end = next(end for number in range(10**6) if (end := f"$${number}$$") not in statement)
    return f"DELIMITER {end}\n{statement}{end}\nDELIMITER ;"


def alembic(table: str, guard: str, url: str, stages: Sequence[Stage]) -> str:
    """The stages that are not in place as a migration, with its way back."""
    _ensure_said(stages)
    session = _session(url)
    made = [stage for stage in stages if not stage.in_place]
    up = [statement for stage in made for statement in (*_again(stage), *stage.statements)]
    revision = hashlib.sha256("".join(up).encode()).hexdigest()[:12]
    said = {
        "table": _plain(table),
        "guard": _plain(guard),
        "revision": revision,
        "upgrade": _listed([*session.begin, *up, *session.end]),
        "downgrade": _listed([*session.begin, *_back(made), *session.end]),
    }
    text = MIGRATION
    for name, value in said.items():
        text = text.replace(f"{{{name}}}", value, 1)
    return text


def _ensure_said(stages: Sequence[Stage]) -> None:
    if any(stage.name == "rebuild" and not stage.in_place for stage in stages):
        msg = "a table that is written anew is compared before and after, which no script does: leave --rebuild or --emit out"
        raise UsageError(msg)


def _again(stage: Stage) -> Sequence[str]:
    """What makes a stage one that can be run twice."""
    return [each for each in stage.undo if " IF EXISTS " in each] if stage.removes is None else []


def _back(made: Sequence[Stage]) -> Iterator[str]:
    gone = {stage.removes for stage in made}
    for stage in reversed(made):
        if stage.name not in gone:
            yield from stage.undo


def _commented(text: str) -> list[str]:
    return [f"-- {line}" for line in text.splitlines()]


def _listed(statements: Sequence[str]) -> str:
    return "".join(f"    {statement!r},\n" for statement in statements)


def _plain(text: str) -> str:
    """Text that may stand in a docstring."""
    return text.encode("unicode_escape").decode("ascii").replace("\\", "\\\\").replace('"', "'")
