"""
The form of a ledger in tables: which columns there are, and so of which version it is.

Every run says of which version it is. A ledger of a newer version is refused. One of an older version is read as it is,
without what it does not know, and becomes one of this version with the first write: in the same transaction, or, where a
server commits when a table is altered, before it, and called twice it is the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias

from attrs import fields, frozen

from ...errors import LedgerError
from ...ledger import VERSION, Counts, ensure_known
from .connection import Connection

__all__ = ["ADDED", "CHANGES", "COLUMNS", "COUNTS", "QUARANTINE", "RUNS", "STATED", "TYPES", "Added", "Form", "Type"]

RUNS: Final = "timestamp_guard_runs"
CHANGES: Final = "timestamp_guard_changes"
QUARANTINE: Final = "timestamp_guard_quarantine"

Type: TypeAlias = Literal["INTEGER", "TEXT"]

COUNTS: Final = tuple(each.name for each in fields(Counts))
STATED: Final = (
    "action", "table", "plan", "now", "status", "undoes", "reason", "started", "finished", "cursor", "sweep", "found",
    "first_change", "last_change", "owner", "generation", "lease_until", "parent", "until",
)  # fmt: skip
COLUMNS: Final = ("id", *STATED, *COUNTS)
"""What is kept of a run."""

TYPES: Final[Mapping[str, Type]] = dict.fromkeys(
    ("action", "table", "plan", "status", "reason", "cursor", "owner", "until"), "TEXT"
)


@frozen
class Added:
    """A column that a version added to *table*, and the number that it holds for what was recorded before; else null."""

    table: str
    name: str
    kind: Type = "INTEGER"
    before: int | None = None


ADDED: Final[dict[int, Sequence[Added]]] = {}
"""
By version, what it added to the one before it. Columns are only ever added: so a process of an older release that is at
work when the ledger becomes newer goes on, and does not begin again.
"""


@frozen
class Form:
    """The columns of each table, and the version of the oldest part of it."""

    version: int
    columns: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, database: Connection, tables: Sequence[str]) -> Form | None:
        """
        The form of the ledger in *database*, which has *tables* beside that of the runs; None where there is none.

        Raises:
            LedgerError: it is one that this release cannot use.
        """
        there = {name: frozenset(database.columns(name)) for name in (RUNS, *tables)}
        if not there[RUNS]:
            return None
        runs, where = database.address(RUNS), database.label
        if "version" not in there[RUNS]:
            msg = f"the table {runs} of {where} is no ledger of timestamp_guard: rename or drop it"
            raise LedgerError(msg)
        said = {row[0] for row in database.rows(f"SELECT DISTINCT version FROM {runs}")}  # noqa: S608 - our own name
        oldest = min((VERSION, *ADDED)) - bool(ADDED)
        for version in sorted(said, key=str, reverse=True):
            ensure_known(version, where, oldest)
        # There may be no run yet that says it; and of an upgrade that was cut off, some of it is there.
        unfinished = [
            number - 1 for number in ADDED if any(each.name not in there[each.table] for each in ADDED[number])
        ]
        version = min((VERSION, *said, *unfinished))
        form = cls(version, there)
        missing = {*COLUMNS, "key"} - there[RUNS] - {each.name for each in form.added if each.table == RUNS}
        missing |= {name for name, found in there.items() if not found}
        if missing:
            msg = (
                f"the ledger in {where} is damaged: {', '.join(sorted(missing))} missing; restore it from a backup, "
                f"or rename its tables to begin a new one, without a way back for its runs"
            )
            raise LedgerError(msg)
        return form

    @property
    def added(self) -> Sequence[Added]:
        """What the versions since have added."""
        return [each for number in sorted(ADDED) if number > self.version for each in ADDED[number]]

    def selected(self, table: str, names: Sequence[str]) -> str:
        """These columns, as SQL; null for one that is not there, which in quotes SQLite would take for a text."""
        return ", ".join(f'"{name}"' if name in self.columns[table] else "NULL" for name in names)
