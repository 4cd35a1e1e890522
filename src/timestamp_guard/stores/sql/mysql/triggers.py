"""
What the triggers of MariaDB and MySQL say, for one row that is about to be written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa

from ....repairs import Repair
from ....rules import Guard, Now
from ....targets.typed import NUMBERS
from .held import HeldMysql, plain
from .server import quoted
from .table import Column

__all__ = ["BYPASS", "by_clock", "filling", "keeping", "new", "refusing"]

BYPASS: Final = "@timestamp_guard_bypass <=> 1"
LONGEST: Final = 128
"""So many characters a message has at most; a longer one would be an error of its own."""


def new(name: str) -> str:
    """A column of the row as it is to be."""
    return f"NEW.{quoted(name)}"


def _old(name: str) -> str:
    return f"OLD.{quoted(name)}"


def _literal(text: str) -> str:
    """A text in SQL, in our own mode."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def refusing(wrong: str, told: str) -> str:
    """Refuse a row of which *wrong* is true."""
    said = told if len(told) <= LONGEST else f"{told[: LONGEST - 3]}..."
    return f"  IF {wrong} THEN\n    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = {_literal(said)};\n  END IF;"


def by_clock(guard: HeldMysql, clocked: Guard, told: str) -> tuple[str, str]:
    """Refuse what is not right by the clock: in a new row, and in an old one where it changes."""
    wrong = f"NOT ({BYPASS}) AND ({plain(sa.and_(*guard.timely(clocked)))}) IS NOT TRUE"
    same = " AND ".join(f"{new(name)} <=> {_old(name)}" for name in clocked.fields)
    return refusing(wrong, told), refusing(f"NOT ({same}) AND {wrong}", told)


def filling(guard: HeldMysql, repair: Repair, clocked: Guard) -> str:
    """Fill what is null with the first candidate that is sound; never anything else."""
    column, lines = new(repair.field), []
    for index, choice in enumerate(guard.choices(repair, clocked)):
        lines.append(f"    {'ELSEIF' if index else 'IF'} {plain(choice.condition)} THEN")
        lines.append(f"      SET {column} = {plain(choice.value)};")
        if choice.again is not None:
            lines += _unless(f"UNIX_TIMESTAMP({column}) <=> {plain(choice.again)}", f"{column} = NULL")
    said = "\n".join(lines)
    return f"  IF {column} IS NULL AND NOT ({BYPASS}) THEN\n{said}\n    END IF;\n  END IF;"


def _unless(condition: str, then: str) -> list[str]:
    return [f"      IF NOT ({condition}) THEN", f"        SET {then};", "      END IF;"]


def keeping(guard: HeldMysql, name: str, columns: Sequence[Column], asked: Guard) -> tuple[str, str]:
    """
    Give a new row the present time where it has none; move it on with every change of a row, never back. A value that is
    too far ahead is taken back to what the guard allows, or it would stay for ever.
    """
    column, old, present = new(name), _old(name), plain(guard.present(name))
    skew = max((t.shift_ns for pair in asked.pairs() if isinstance(t := pair.later, Now)), default=5 * 10**9)
    now, ahead = plain(guard.now(name)), plain(guard.now(name, skew))
    held = plain(guard.steps(name, sa.literal_column(old, sa.types.NullType())))
    moved = sa.literal_column("timestamp_guard_steps", sa.types.NullType())
    made, again = guard.made(name, moved)
    numbers = guard.held[name].kind in NUMBERS
    lines = [
        "  DECLARE timestamp_guard_steps DECIMAL(65, 0);" if numbers else "  DECLARE timestamp_guard_steps BIGINT;",
        f"  IF NOT ({BYPASS}) AND NOT ({_same(columns)}) THEN",
        f"    SET timestamp_guard_steps = COALESCE(LEAST({held}, {ahead} - 1) + 1, 0);",
        f"    IF timestamp_guard_steps <= {now} THEN",
        f"      SET {column} = {present};",
        "    ELSE",
        f"      SET {column} = {plain(made)};",
    ]
    if again is not None:
        lines += _unless(f"UNIX_TIMESTAMP({column}) <=> {plain(again)}", f"{column} = {old}")
    lines += ["    END IF;", "  END IF;"]
    first = f"  IF {column} IS NULL AND NOT ({BYPASS}) THEN\n    SET {column} = {present};\n  END IF;"
    return first, "\n".join(lines)


def _same(columns: Sequence[Column]) -> str:
    """Whether nothing of a row changes: byte by byte, for a collation takes one text for another."""
    tests: list[str] = []
    for each in columns:
        sides = (new(each.name), _old(each.name))
        before, after = (f"CAST({side} AS BINARY)" for side in sides) if each.kind == "text" else sides
        tests += [] if each.computed else [f"{before} <=> {after}"]
    return " AND ".join(tests)
