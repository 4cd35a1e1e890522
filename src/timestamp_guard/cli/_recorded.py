"""
Where runs are recorded: the ledger of every store that was chosen.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import frozen

from ..config import FILE, places
from ..errors import UnknownName, UsageError
from ..ledger import Ledger, Run, ranges_of, together
from ..stores import addresses, keepers, ledger_folder, open_store, tables
from ._options import Chosen
from ._output import Outcome
from ._targets import configured

__all__ = ["Recorded", "found", "recorded", "unrecorded"]


@frozen
class Recorded:
    """The ledger of a store, and what it is asked about: the runs of `tables`, of all where there are none."""

    url: str
    ledger: Ledger
    tables: tuple[str, ...]

    def runs(self) -> list[Run]:
        """The runs that are asked about, the oldest first."""
        known = [run for run in self.ledger.runs() if not self.tables or run.table in self.tables]
        return [together(run, self.ranges(run)) for run in known]

    def ranges(self, run: Run) -> list[Run]:
        """The ranges of a run that several workers share, as far as they are not done."""
        return ranges_of(self.ledger, run)


@contextlib.contextmanager
def recorded(outcome: Outcome, url: str | None, chosen: Chosen, *, write: bool = False) -> Iterator[list[Recorded]]:
    """
    The ledgers of all stores that were chosen, to be read or, with *write*, changed; reading them creates nothing.

    Raises:
        UsageError: a table is not there and never was.
    """
    asked: dict[str, tuple[str, ...]] = {}
    if url is None and chosen.config is None and not Path(FILE).exists():
        msg = f"there is no {FILE} in this folder: go where it is, or name the store whose runs are meant, by its URL"
        raise UsageError(msg)
    if url is not None and chosen.config is None:
        asked = dict.fromkeys(addresses(url), chosen.table)
    else:
        for table in configured(url, chosen, places):  # a way back asks no schema, which may have changed since
            asked[table.url] = (*asked.get(table.url, ()), table.name)
    with contextlib.ExitStack() as stack:
        ledgers = []
        for place, names in asked.items():
            with outcome.store(place, alone=len(asked) == 1):
                known = dict.fromkeys(tables(place))
                for keeper in keepers(place, names):
                    store = stack.enter_context(open_store(place, keeper, encodings="epoch_ms", read_only=not write))
                    known |= dict.fromkeys(run.table for run in store.ledger.runs())
                    ledgers.append(Recorded(place, store.ledger, names))
                for name in names if known else ():
                    if name not in known:
                        raise UnknownName("table", name, place, known)
        yield ledgers


def unrecorded(ledgers: Sequence[Recorded]) -> str:
    """That no run is recorded, and where one would be, if it may be somewhere else too."""
    folders = [str(folder) for each in ledgers if (folder := ledger_folder(each.url)) is not None]
    if not folders:
        return "no run is recorded"
    return f"no run is recorded in {' or '.join(folders)}: call this from the folder in which backfill was called"


def found(ledgers: Sequence[Recorded], number: int) -> tuple[Recorded, Run]:
    """
    The run of that number, and where it is recorded.

    Raises:
        UsageError: there is none, or several stores have one.
    """
    hits = [(each, run) for each in ledgers for run in each.runs() if run.id == number]
    if not hits:
        where = " and ".join(each.url for each in ledgers) or "a store without tables"
        raise UnknownName("run", str(number), where, [str(run.id) for each in ledgers for run in each.runs()])
    if len(hits) > 1:
        msg = f"there is a run {number} in {' and in '.join(each.url for each, _ in hits)}: give the URL"
        raise UsageError(msg)
    return hits[0]
