"""Records in a list of dicts."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, MutableMapping, Sequence

from ..errors import UsageError
from ..instants import ABSENT, Encodings, Raw, brief
from ..ledger import MemoryLedger
from .base import Change, Cursor, Key, Page, same

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
        self._numbers: dict[Hashable, int] = {}
        for record in records:
            identity = _hashable(self._key_of(record))
            if identity in self._numbers:
                msg = f"key {key!r} is not unique in {name}: {brief(self._key_of(record))} is there twice"
                raise UsageError(msg)
            self._numbers[identity] = len(self._numbers)

    def scan(self, after: Cursor, limit: int) -> Page:
        """
        The records in the order of the list.

        Others may take records out of the list meanwhile. So the cursor says how many are before it and which number
        the last of them has; where it is elsewhere now, those with higher numbers follow.
        """
        records = self._records
        start, last = after or (0, -1)
        if start and (len(records) < start or self._number(records[start - 1]) != last):
            start = next((i for i, record in enumerate(records) if self._number(record) > last), len(records))
        chosen = [dict(record) for record in records[start : start + limit]]
        end = start + len(chosen)
        following = [end, self._number(chosen[-1])] if end < len(records) else None
        return Page([(self._key_of(record), record) for record in chosen], following)

    def _number(self, record: Mapping[str, Raw]) -> int:
        """The number of a record: as it was first seen, counted on for those that came later."""
        return self._numbers.setdefault(_hashable(self._key_of(record)), len(self._numbers))

    def write(self, changes: Sequence[Change]) -> Sequence[Change]:
        """Change the records in place."""
        place = {_hashable(self._key_of(record)): record for record in self._records}
        refused = []
        for change in changes:
            record = place.get(_hashable(change.key))
            if record is None:
                refused.append(change)
                continue
            held = record.get(change.field, ABSENT)
            if same(held, change.after):
                continue
            if not same(held, change.before):
                refused.append(change)
            elif change.after is ABSENT:
                del record[change.field]
            else:
                record[change.field] = change.after
        return refused

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
