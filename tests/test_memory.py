"""
Records in memory keep the contract; and what is special about a list that others may change.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import strategies as st

from timestamp_guard import ABSENT, MemoryStore, Repair, UsageError, backfill, present, rollback
from timestamp_guard.errors import NoIdentity
from timestamp_guard.ledger import Change
from timestamp_guard.stores.base import pages, same
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
