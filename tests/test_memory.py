"""
Records in memory keep the contract; and what is special about a list that others may change.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timestamp_guard import ABSENT, MemoryStore, Repair, UsageError, backfill, present, rollback
from timestamp_guard.ledger import Change
from timestamp_guard.stores.base import Source, Store, pages, same
from timestamp_guard.testing.contract import Make, Opener, Row, StoreContract


class TestMemoryStore(StoreContract):
    values = StoreContract.values | st.one_of(
        st.decimals(), st.binary(), st.datetimes(), st.datetimes(timezones=st.timezones()), st.lists(st.integers())
    )

    @pytest.fixture
    def make(self) -> Make:
        def make(rows: Sequence[Row]) -> Opener:
            records = [dict(row) for row in rows]
            return lambda: MemoryStore(records, key="_id", encodings="epoch_ms")

        return make


def store(records: list[dict[str, Any]], key: str | list[str] = "k") -> MemoryStore:
    return MemoryStore(records, key=key, encodings="epoch_ms")


def test_is_a_store() -> None:
    """
    It has all that a store must have.
    """
    assert isinstance(store([]), Source)
    assert isinstance(store([]), Store)


@pytest.mark.parametrize("again", [1, "one", (1,)])
def test_unique(again: Any) -> None:
    """
    Two records of one key are refused; 1, 1.0 and True are three keys.
    """
    with pytest.raises(UsageError, match=r"key 'k' is not unique in records: .* is there twice"):
        store([{"k": again}, {"k": 0}, {"k": again}])
    assert 3 == len(next(pages(store([{"k": 1}, {"k": 1.0}, {"k": True}]))).records)


@pytest.mark.parametrize("key", ["k", ["j", "k"]])
def test_key_that_is_not_there(key: str | list[str]) -> None:
    """
    A record without its key is refused, and shown.
    """
    with pytest.raises(UsageError, match=r"a record of records has no key 'k': \{'j': 7\}"):
        store([{"j": 7}], key)


def test_several_fields_as_key() -> None:
    """
    A key of several fields is a tuple of them.
    """
    records = [{"a": a, "b": b, "c": 1_700_000_000_000} for a in "xy" for b in (1, 2)]
    rows = store(records, ["a", "b"])

    run = backfill(rows, present("u"), Repair("u", ("c",)))

    assert [("y", 2), ("y", 1), ("x", 2), ("x", 1)] == [change.key for _, change in rows.ledger.changes(run)]
    assert {"u"} == set(records[0]) - {"a", "b", "c"}
    assert rollback(rows).ok
    assert [{"a", "b", "c"}] * 4 == list(map(set, records))


@given(st.data())
def test_scan_while_others_write(data: st.DataObject) -> None:
    """
    Every record that is there from the first page to the last is on exactly one page, whatever comes and goes.
    """
    records = [{"k": number} for number in range(data.draw(st.integers(0, 8)))]
    rows, new = store(records), iter(range(100, 200))
    staying = {record["k"] for record in records}
    limit = data.draw(st.integers(1, 3))

    found = []
    after = None
    while True:
        page = rows.scan(after, limit)
        found += [key for key, _ in page.records]
        after = page.next
        if after is None:
            break
        if data.draw(st.booleans()) and records:
            staying.discard(records.pop(data.draw(st.integers(0, len(records) - 1)))["k"])
        if data.draw(st.booleans()):
            records.insert(data.draw(st.integers(0, len(records))), {"k": next(new)})

    assert len(set(found)) == len(found)
    assert staying <= set(found)


def test_pages_are_copies() -> None:
    """
    A record on a page is as it was when it was read, whatever is written since.
    """
    records = [{"k": 1, "u": None}]
    page = store(records).scan(None, 1)
    records[0]["u"] = 5

    assert [(1, {"k": 1, "u": None})] == list(page.records)


NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("held", "other"),
    [(0.0, -0.0), (1, True), (NOON, NOON.astimezone(timezone(timedelta(hours=1)))), (np.int64(1), 1), ([1], [1.0])],
    ids=repr,
)
def test_equal_is_not_the_same(held: Any, other: Any) -> None:
    """
    What somebody replaced with an equal value in another spelling is theirs now.
    """
    rows = store([{"k": 1, "u": held}])
    change = Change(1, "u", other, 7)

    assert held == other
    assert [change] == list(rows.write([change]))


def test_values_that_cannot_be_recorded() -> None:
    """
    Values of any type are compared, those that no ledger could keep too.
    """
    assert same(np.int64(1), np.int64(1))
    assert same(float("nan"), float("nan"))
    assert not same(np.int64(1), np.int64(2))
    assert not same(ABSENT, None)
