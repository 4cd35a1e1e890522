"""Records of other people, as they are: the counts were taken with the standard library alone."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from timestamp_guard import Repair, backfill, check, rollback, updated_at_guard
from timestamp_guard.instants import from_datetime
from timestamp_guard.stores import open_store

DATA = Path(__file__).parent / "data"
NOW = from_datetime(datetime(2026, 11, 22, tzinfo=UTC))


def load(folder: Path, name: str, key: str, fields: Sequence[str]) -> str:
    """Put records into columns without a type, so that every value stays what it is."""
    path = folder / f"{name}.db"
    with sqlite3.connect(path) as database:
        columns = ", ".join(f'"{field}"' for field in fields)
        database.execute(f'CREATE TABLE records ("{key}" TEXT PRIMARY KEY NOT NULL, {columns}) WITHOUT ROWID')
        for line in (DATA / f"{name}.jsonl").read_text("utf-8").splitlines():
            record = json.loads(line)
            values = [record[key], *(record.get(field) for field in fields)]
            database.execute(f"INSERT INTO records VALUES ({', '.join('?' * len(values))})", values)
    database.close()
    return f"sqlite:///{path}"


@pytest.fixture
def advisories(tmp_path: Path) -> str:
    return load(tmp_path, "psf-advisories", "id", ["published", "modified"])


@pytest.fixture
def webhooks(tmp_path: Path) -> str:
    return load(tmp_path, "github-webhook-objects", "key", ["created_at", "updated_at", "pushed_at"])


WEBHOOK_GUARD = updated_at_guard("updated_at", "created_at")


def rows(url: str) -> list[Any]:
    with sqlite3.connect(url.removeprefix("sqlite:///")) as database:
        found = database.execute('SELECT *, typeof(updated_at) FROM records ORDER BY "key"').fetchall()
    database.close()
    return found


def test_advisories(advisories: str) -> None:
    """
    Of 132 advisories 13 have a placeholder, and nothing else is wrong.
    """
    guard = updated_at_guard("modified", "published")
    with open_store(advisories, "records", encodings="rfc3339", read_only=True) as store:
        report = check(store, guard, now=NOW)

    assert (132, 13, {"placeholder": 13}) == (report.records, report.broken, report.violations)


def test_webhooks(webhooks: str) -> None:
    """
    Of 642 objects, values in other encodings are told apart, and ten were updated a second before they were created.
    """
    with open_store(webhooks, "records", encodings="rfc3339", read_only=True) as store:
        report = check(store, WEBHOOK_GUARD, now=NOW)

    assert 642 == report.records
    assert {"null": 35, "wrong_type": 6, "unreadable": 4, "placeholder": 2, "out_of_order": 10} == report.violations


def test_tolerance(webhooks: str) -> None:
    """
    With a second's tolerance between two clocks, none is out of order.
    """
    guard = updated_at_guard("updated_at", "created_at", tolerance=timedelta(seconds=1))
    with open_store(webhooks, "records", encodings="rfc3339", read_only=True) as store:
        report = check(store, guard, now=NOW)

    assert {"null": 35, "wrong_type": 6, "unreadable": 4, "placeholder": 2} == report.violations


def test_undecided(webhooks: str) -> None:
    """
    The records whose `created_at` could not be read are counted, by the cause.
    """
    with open_store(webhooks, "records", encodings="rfc3339", read_only=True) as store:
        report = check(store, WEBHOOK_GUARD, now=NOW)

    causes = report.fields["created_at"]

    assert {"created_at <= updated_at": causes} == report.undecided
    assert (5, 2) == (causes["null"], causes["placeholder"])


def test_backfill(webhooks: str) -> None:
    """
    A backfill from `created_at` fills 35, leaves all that is present, and says what it could not mend.
    """
    before = rows(webhooks)
    with open_store(webhooks, "records", encodings="rfc3339") as store:
        run = backfill(store, WEBHOOK_GUARD, Repair("updated_at", ("created_at",)), now=NOW)
        filled = check(store, WEBHOOK_GUARD, now=NOW)
        back = rollback(store)

    assert ("incomplete", 35, 2) == (run.status, run.counts.changed, run.counts.unrepairable)
    assert {"wrong_type": 6, "unreadable": 4, "placeholder": 2, "out_of_order": 10} == filled.violations
    assert ("complete", 35) == (back.status, back.counts.changed)
    assert before == rows(webhooks)
