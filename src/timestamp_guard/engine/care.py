"""
What becomes of a ledger with time: who gave a record its value, and what is kept no longer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from ..errors import UsageError
from ..frozen import freeze
from ..instants import duration_ns
from ..ledger import Change, Key, Ledger, Run, changes_of, enforced_by, undone_by

__all__ = ["origins", "purgeable"]


def origins(ledger: Ledger, table: str, key: Key) -> Iterator[tuple[Run, Change, Run | None]]:
    """
    Every change that a run made to the record with this key, the newest first, and the run that took it back, if one did.
    """
    wanted = freeze(key)
    runs = ledger.runs(table)
    for run in reversed(runs):
        for _, change in changes_of(ledger, run) if run.action == "backfill" else ():
            if freeze(change.key) == wanted:
                yield run, change, undone_by(runs, run)


def purgeable(runs: Sequence[Run], now: int, older: timedelta, number: int | None = None) -> list[Run]:
    """
    The runs whose changes need not be kept: those that ended longer ago than *older*, or the one of that number.

    Raises:
        UsageError: that one is unfinished, or has nothing that could be forgotten.
    """
    if number is not None:
        run = next((each for each in runs if each.id == number), None)
        if run is None or run.action != "backfill" or run.purged:
            msg = f"run {number} has recorded no changes that could be forgotten"
            raise UsageError(msg)
        if run.open:
            msg = f"run {number} is unfinished: finish it, or take it back, and purge it then"
            raise UsageError(msg)
        return [run]
    before = now - duration_ns(older)
    return [
        run
        for run in runs
        if run.action == "backfill"
        and not run.open
        and not run.purged
        and run.finished is not None
        and run.finished < before
        and not _needed(runs, run)
    ]


def _needed(runs: Sequence[Run], run: Run) -> bool:
    """Whether a rollback of *run* is under way, or it belongs to an enforcement that is not finished."""
    back = next((each for each in runs if each.undoes == run.id and each.open), None)
    enforced = enforced_by([each for each in runs if each.table == run.table])
    return back is not None or (enforced is not None and enforced.status != "complete")
