"""
What every store of SQL looks at in the same way: some columns of a table, and what a job would find to do in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from attrs import frozen

from ...engine.tally import Estimate
from ...instants import Encodings, Raw
from ...job import Job
from ...ledger import Change, Cursor, Key
from ..base import Assessment, Page
from .connection import Connection, Prepared

__all__ = ["Asking", "Columns", "assess", "key_of"]


@frozen
class Columns:
    """A table of which only some columns are read, in one view of the data."""

    name: str
    encodings: Encodings
    read: Callable[[Cursor, int], Page]

    def scan(self, after: Cursor, limit: int) -> Page:
        """See :class:`~timestamp_guard.stores.base.Source`."""
        return self.read(after, limit)


class Asking(Protocol):
    """The statements that count and show what a job would find to do."""

    @property
    def count(self) -> Prepared:
        """How many rows each candidate mends; of those that none does, with null for the candidate."""
        ...

    @property
    def some(self) -> Prepared:
        """The first of those that can be mended: before, after, candidate, and the key."""
        ...

    @property
    def hopeless(self) -> Prepared:
        """The keys of the first of the others."""
        ...


def assess(
    connection: Connection,
    said: Asking,
    values: Mapping[str, Any],
    job: Job,
    samples: int,
    *,
    key: Callable[[Sequence[Any]], Key],
    raw: Callable[[Any], Raw],
) -> Assessment:
    """Ask what *job* would find to do; *key* and *raw* read what comes of a key and of a value that is written."""
    estimate = Estimate(job, samples)
    counts = connection.rows(said.count, values)
    for candidate, records in counts:
        estimate.count(None if candidate is None else int(candidate), records)
    values = {**values, "limit": samples}
    if samples and any(candidate is not None for candidate, _ in counts):
        for before, after, candidate, *row in connection.rows(said.some, values):
            source = str(job.repair.candidates[int(candidate)])
            estimate.show(Change(key(row), job.field, before, raw(after), source))
    if samples and any(candidate is None for candidate, _ in counts):
        for names in connection.rows(said.hopeless, values):
            estimate.give_up(key(names))
    return estimate.assessment()


def key_of(parts: Iterable[Any]) -> Key:
    """A key of one value, or of several."""
    several = tuple(parts)
    return several[0] if len(several) == 1 else several
