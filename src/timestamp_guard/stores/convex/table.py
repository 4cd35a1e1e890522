"""
One table of a live deployment as an adapter has it: pages that are read, and changes that are compared and set.

Reading works with the key alone. Writing needs the functions of `convex/timestampGuard.ts`, which
`timestamp-guard convex init` makes: there, each record is compared and set in a transaction of the server.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any, Final

from attrs import Factory, define, evolve, frozen

from ...errors import StoreError, StoreReadOnly, UsageError
from ...instants import ABSENT, Encodings, Raw
from ...ledger import Run
from ..base import Change, Cursor, Key, Page, Record
from ..json.splice import path_of
from .http import Conflict, Deployment, Refused, Unfound
from .live import moved
from .wire import encoded, text

__all__ = ["LARGEST", "MODULE", "MOVED", "OnlineTable", "unguarded"]

MODULE: Final = "timestampGuard"
"""The module of the functions that are called: `convex/timestampGuard.ts`."""

DATA: Final = "_system/cli/tableData"
"""What reads without them."""

LARGEST: Final = 1_000
"""How many records are read or written at a time: a transaction may scan 32,000 and write 16,000."""

MOVED: Final = "InvalidCursor"
"""What is said of a cursor where the functions were deployed anew: it is none of theirs."""

BYTES: Final = 2**20
"""How much is sent at a time: arguments may be five times as long."""

_log = logging.getLogger("timestamp_guard")
_TOO_MUCH: Final = re.compile(r"too (?:many|much|large|long|big)|limit|timed out", re.IGNORECASE)


class _Size:
    """How many records a call may be about: fewer after one that was too much, slowly more after those that were not."""

    def __init__(self) -> None:
        self.most = LARGEST

    def failed(self, size: int) -> int:
        self.most = max(1, size // 2)
        return self.most

    def worked(self, size: int) -> None:
        if size >= self.most:
            self.most = min(LARGEST, size + max(1, size // 8))


@define
class _Learnt:
    """What was found out about a table while it was used: how much a call may be about, and whether it can be written."""

    pages: _Size = Factory(_Size)
    writes: _Size = Factory(_Size)
    deployed: bool | None = None


@frozen
class OnlineTable:
    """
    One table of a deployment, as an adapter: a page for every scan, a mutation for every write.

    *fields* are those that are read, None for all; *run* is told to the functions; *back* says that changes are taken
    back.
    """

    deployment: Deployment
    name: str
    encodings: Encodings
    fields: tuple[str, ...] | None = None
    run: str = ""
    back: bool = False
    _learnt: _Learnt = Factory(_Learnt)

    def reading(self, fields: Sequence[str] | None, run: Run | None = None, *, back: bool = False) -> OnlineTable:
        """
        The same table, of which only *fields* are read, for that run.

        Raises:
            UsageError: one of them is in an object, which is compared and set as a whole.
        """
        for name in fields or ():
            if path_of(name) != (name,):
                msg = (
                    f"{name} of {self.name} is no field of the records themselves, and {MODULE}:apply sets only those: have "
                    f"it filled in a snapshot, as npx convex export makes one"
                )
                raise UsageError(msg)
        names = None if fields is None else tuple(fields)
        return evolve(self, fields=names, run="" if run is None else str(run.id), back=back)

    def scan(self, after: Cursor, limit: int) -> Page:
        """Records in the order in which they were made; each page is a transaction of its own."""
        size = min(limit, self._learnt.pages.most)
        while True:
            try:
                page = self._page(after, size)
            except Refused as problem:
                if size == 1 or MOVED in str(problem):
                    msg = f"{self.name} of {self.deployment} cannot be read: {problem}"
                    raise StoreError(msg) from None
                _log.info("%s: a page of %s was too much (%s)", self.name, size, problem)
                size = self._learnt.pages.failed(size)
            else:
                self._learnt.pages.worked(size)
                return page

    def write(self, changes: Sequence[Change]) -> Sequence[Change]:
        """
        Make *changes*, in as many transactions as they need.

        Where that raises, some may be made: they are made already when they are written again.

        Raises:
            Refused: the deployment does not take one of them.
        """
        refused: list[Change] = []
        waiting = list(changes)
        while waiting:
            batch = self._batch(waiting)
            try:
                lost = self._apply(batch)
            except (Conflict, Refused) as problem:
                if unguarded(problem):
                    raise self.read_only(problem) from None
                # Fewer records are less often in each other's way, and need less of everything.
                smaller = isinstance(problem, Conflict) or _TOO_MUCH.search(str(problem))
                if len(batch) == 1 or not smaller:
                    raise
                _log.info("%s: a write of %s was too much (%s)", self.name, len(batch), problem)
                self._learnt.writes.failed(len(batch))
                continue
            self._learnt.writes.worked(len(batch))
            refused += [change for change in batch if change.key in lost]
            del waiting[: len(batch)]
        return refused

    def ensure_writable(self, sample: Change) -> None:
        """
        Make sure that the functions are there and take changes of this table, by one that changes nothing.

        Raises:
            StoreReadOnly: they are not there.
            StoreError: they do not take it.
        """
        try:
            self._apply([evolve(sample, after=sample.before)])
        except Refused as problem:
            if unguarded(problem):
                raise self.read_only(problem) from None
            msg = f"{MODULE}:apply of {self.deployment} takes no change of {sample.field} of {self.name}: {problem}"
            raise StoreError(msg) from None

    @property
    def guarded(self) -> bool:
        """Whether our functions are there, and know this table."""
        self.reading(()).scan(None, 1)
        return bool(self._learnt.deployed)

    def close(self) -> None:
        """Close the connection; the next call opens it again."""
        self.deployment.close()

    def read_only(self, problem: Exception) -> StoreReadOnly:
        """Why it cannot be written to."""
        why = (
            f"the functions of convex/{MODULE}.ts are not there"
            if isinstance(problem, Unfound)
            else f"convex/{MODULE}.ts does not know it ({problem})"
        )
        return StoreReadOnly(
            f"{self.name} of {self.deployment} can be read and not written: {why}; make the file with "
            f"timestamp-guard convex init, and deploy it with npx convex deploy (or npx convex dev)"
        )

    # -- the calls

    def _page(self, after: Cursor, size: int) -> Page:
        """A page of the fields that are asked for; of whole records where the functions are not there."""
        by, cursor = after or ("page", None)
        if self.fields is not None and self._learnt.deployed is not False and by == "page":
            fields = [name for name in self.fields if not name.startswith("_")]
            try:
                said = self.deployment.query(
                    f"{MODULE}:page", table=self.name, fields=fields, cursor=cursor, limit=float(size)
                )
            except Refused as problem:
                if not unguarded(problem):
                    raise
                if cursor is not None:
                    raise self.read_only(problem) from None
                self._learnt.deployed = False
            else:
                self._learnt.deployed = True
                with self.deployment.understood(f"{MODULE}:page"):
                    return _paged(said["documents"], None if said["done"] else ["page", moved(cursor, said["cursor"])])
        start = cursor if by == "tableData" else None
        options = {"cursor": start, "numItems": float(size)}
        said = self.deployment.query(DATA, table=self.name, order="asc", paginationOpts=options)
        with self.deployment.understood(DATA):
            return _paged(said["page"], None if said["isDone"] else ["tableData", moved(start, said["continueCursor"])])

    def _batch(self, changes: Sequence[Change]) -> list[Change]:
        """As many as one call can be about: of one field, and no record twice, for it says by its id what was refused."""
        batch: list[Change] = []
        seen: set[Key] = set()
        length = 0
        for change in changes[: self._learnt.writes.most]:
            length += len(text(encoded(self._said(change))))
            if batch and (change.key in seen or change.field != batch[0].field or length > BYTES):
                break
            seen.add(change.key)
            batch.append(change)
        return batch

    def _apply(self, batch: Sequence[Change]) -> set[Key]:
        """The keys of those that were refused."""
        function = f"{MODULE}:rollback" if self.back else f"{MODULE}:apply"
        said = self.deployment.mutation(
            function,
            table=self.name,
            field=batch[0].field,
            run=self.run,
            changes=[self._said(change) for change in batch],
        )
        with self.deployment.understood(function):
            refused: list[Key] = said["refused"]
            if type(refused) is not list or not {change.key for change in batch}.issuperset(refused):
                msg = f"refused are {refused!r}, wanted those that were asked for"
                raise ValueError(msg)
            return set(refused)

    def _said(self, change: Change) -> dict[str, Any]:
        """A change as it was made, which `rollback` turns round by itself."""
        made = change.reverse() if self.back else change
        return {"id": change.key, "before": _optional(made.before), "after": _optional(made.after)}


def unguarded(problem: Exception) -> bool:
    """Whether the functions are not there, or are there for other tables."""
    return isinstance(problem, Unfound) or f"in {MODULE}.ts" in str(problem)


def _paged(documents: Sequence[Record], after: Cursor) -> Page:
    found = [(each["_id"], each) for each in documents]
    if not all(isinstance(key, str) for key, _ in found):
        msg = "a document has an _id that is no text"
        raise TypeError(msg)
    if len({key for key, _ in found}) < len(found):
        msg = "a document is there twice"  # it would be counted as two
        raise ValueError(msg)
    return Page(found, after)


def _optional(raw: Raw) -> dict[str, Raw]:
    return {} if raw is ABSENT else {"value": raw}
