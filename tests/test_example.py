"""
The example adapter keeps the contract.
"""

import json
from collections.abc import Sequence
from urllib.parse import quote

import pytest

from examples.folder import Folder
from timestamp_guard.testing.contract import Make, Opener, Row, StoreContract


class TestFolder(StoreContract):
    @pytest.fixture
    def make(self, tmp_path_factory: pytest.TempPathFactory) -> Make:
        def make(rows: Sequence[Row]) -> Opener:
            path = tmp_path_factory.mktemp("folder")
            for row in rows:
                (path / f"{quote(row['_id'], safe='')}.json").write_text(json.dumps(row), encoding="utf-8")
            return lambda: Folder(path, "epoch_ms")

        return make
