"""Records in a list of dicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, MutableMapping, Sequence

from ..errors import UsageError
from ..instants import ABSENT, Encodings, Raw, brief
from ..ledger import MemoryLedger
from .base import Change, Cursor, Key, Page, Record, same

__all__ = ["MemoryStore"]


class MemoryStore:
    """
    A store over *records*, which are changed in place.

    *key* names the field, or the fields, that identify a record. The ledger is in memory too, so a run can be taken
    back for as long as the store is kept.

    Raises:
        UsageError: a record has no such key, or two have the same.
    """

    def __init__(
        self,
        records: Sequence[MutableMapping[str, Raw]],
        *,
        key: str | Sequence[str],
        encodings: Encodings,
        name: str = "records",
    ) -> None:
        self.name = name
        self.encodings = encodings
        self.ledger = MemoryLedger()
        self._records = records
        self._key = key
        self._order: list[Hashable] = []
        self._seen: set[Hashable] = set()
        self._places: dict[Hashable, int] = {}
        self._look()
        if len(self._places) < len(records):
            counted = Counter(_hashable(self._key_of(record)) for record in records)
            twice = next(record for record in records if counted[_hashable(self._key_of(record))] > 1)
            msg = f"key {key!r} is not unique in {name}: {brief(self._key_of(twice))} is there twice"
            raise UsageError(msg)

    def scan(self, after: Cursor, limit: int) -> Page:
        """
        The records in the order in which they were first seen; the cursor counts them.

        So others may insert into the list, and take records out of it, meanwhile.
        """
        at = after or 0
        if not at:
            self._look()
        find = self._finder()
        found: list[tuple[Key, Record]] = []
        while len(found) < limit and (at < len(self._order) or self._look()):
            record = find(self._order[at])
            if record is not None:
                found.append((self._key_of(record), dict(record)))
            at += 1
        return Page(found, at if at < len(self._order) or self._look() else None)

    def write(self, changes: Sequence[Change]) -> Sequence[Change]:
        """Change the records in place."""
        refused = []
        find = self._finder()
        for change in changes:
            record = find(_hashable(change.key))
            held = ABSENT if record is None else record.get(change.field, ABSENT)
            if record is None or not (same(held, change.before) or same(held, change.after)):
                refused.append(change)
            elif change.after is not ABSENT:
                record[change.field] = change.after
            elif held is not ABSENT:
                del record[change.field]
        return refused

    def _look(self) -> bool:
        """Look where each record is now; whether there are some that were never seen."""
        seen = len(self._order)
        places = {_hashable(self._key_of(record)): place for place, record in enumerate(self._records)}
        self._order += [identity for identity in places if identity not in self._seen]
        self._seen.update(places)
        self._places = places
        return len(self._order) > seen

    def _finder(self) -> Callable[[Hashable], MutableMapping[str, Raw] | None]:
        """Finds records where they were; looks again, once, if one is not there any more."""
        looked = False

        def find(identity: Hashable) -> MutableMapping[str, Raw] | None:
            nonlocal looked
            place = self._places.get(identity, len(self._records))
            if place < len(self._records):
                record = self._records[place]
                if _hashable(self._key_of(record)) == identity:
                    return record
            if looked:
                return None
            looked = True
            self._look()
            return find(identity)

        return find

    def _key_of(self, record: Mapping[str, Raw]) -> Key:
        try:
            if isinstance(self._key, str):
                return record[self._key]
            return tuple(record[name] for name in self._key)
        except KeyError as problem:
            msg = f"a record of {self.name} has no key {problem.args[0]!r}: {brief(dict(record))}"
            raise UsageError(msg) from None


def _hashable(key: Key) -> Hashable:
    """A key with its types, because 1, 1.0 and True are the same key of a dict."""
    return tuple((type(each), each) for each in (key if isinstance(key, tuple) else (key,)))
