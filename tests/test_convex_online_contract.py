"""
A live deployment keeps the contract: as an adapter, and as a store with its ledger.
"""

import itertools
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import strategies as st

from tests.convex_server import KEY, Deployment
from timestamp_guard.instants import ABSENT, Raw
from timestamp_guard.ledger import Key
from timestamp_guard.stores import open_store
from timestamp_guard.stores.convex.http import Address
from timestamp_guard.stores.convex.http import Deployment as Client
from timestamp_guard.stores.convex.table import OnlineTable
from timestamp_guard.testing.contract import BatchStoreContract, Make, Opener, Row, StoreContract

FLOATS = st.one_of(
    st.sampled_from([0.0, -0.0, False, "", "0", 1.0, True, "1", float("nan"), float("inf")]),
    st.floats(),
    st.text(),
    st.binary(),
    st.lists(st.floats() | st.integers(0, 9)),
)
VALUES = FLOATS | st.sampled_from([0, 1]) | st.integers(-(2**63), 2**63 - 1)
"""What Convex can hold."""


@pytest.fixture(scope="module")
def server() -> Iterator[Deployment]:
    """
    One for all tests: each has tables of its own.
    """
    made = Deployment().start()
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The key is where it belongs.
    """
    monkeypatch.setenv("CONVEX_DEPLOY_KEY", KEY)


def filled(server: Deployment, rows: Sequence[Row]) -> str:
    """A new table with these rows: its name."""
    name = f"table{next(NUMBERS)}"
    server.database.tables[name] = {}
    for row in rows:
        server.database.put(name, dict(row))
    return name


NUMBERS = itertools.count()


class TestOnlineTable(StoreContract):
    values = VALUES

    @pytest.fixture
    def make(self, server: Deployment) -> Make:
        def make(rows: Sequence[Row]) -> Opener:
            name = filled(server, rows)
            client = Client(Address.parse(server.url))
            return lambda: OnlineTable(client, name, "epoch_ms")

        return make


class TestOnlineStore(BatchStoreContract):
    values = FLOATS

    @pytest.fixture
    def make(self, server: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Make:
        self.server = server

        def make(rows: Sequence[Row]) -> Opener:
            name = filled(server, rows)
            described = {"updatedAt": {"fieldType": {"type": "number"}, "optional": True}}
            server.database.schema = {
                "tables": [{"tableName": name, "documentType": {"type": "object", "value": described}}],
                "schemaValidation": False,
            }
            folder = tmp_path_factory.mktemp("ledger")
            url = f"{server.url}?ledger={folder}"
            self.names[id(opener := lambda: open_store(url, name, encodings="epoch_ms"))] = name
            return opener

        self.names: dict[int, str] = {}
        return make

    def at(self, text: str) -> Raw:
        """Numbers of milliseconds are floats in Convex."""
        return float(super().at(text))

    def held(self, raw: Raw) -> Raw:
        """The schema says that the field is a float."""
        return float(raw) if type(raw) is int else raw

    def put(self, open_: Opener, key: Key, raw: Raw) -> None:
        """An app's own mutation, past all compare-and-set."""
        name = self.names[id(open_)]
        with self.server.database.lock:
            document = dict(self.server.database.tables[name][key])
            document.pop("updatedAt", None)
            if raw is not ABSENT:
                document["updatedAt"] = raw
            self.server.database.tables[name][key] = document
            self.server.database.versions[key] += 1
