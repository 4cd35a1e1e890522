"""
Make `updated_at` required while two processes go on writing, and take it back while they still do.

    DATABASE_URL=postgresql://me@host/scratch python examples/live_postgresql.py 1000000

Works in a schema of its own, `live_example`, which must not be there yet and is dropped in the end.
Needs the extra `postgresql`.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg

from timestamp_guard import Repair, check, migrate, open_store, rollback, updated_at_guard

GUARD = updated_at_guard("updated_at", "created_at")
REPAIR = Repair("updated_at", ("created_at",))
A_SECOND = 150  # operations of each writer

MADE = "'2024-01-01T00:00Z'::timestamptz + id * interval '1 s'"
WAS = f"CASE WHEN mod(id, 3) > 0 THEN {MADE} + interval '1 h' END"  # a third lacks it
MAKE = f"""
    CREATE SCHEMA live_example;
    CREATE TABLE live_example.services (
        id bigint PRIMARY KEY, name text NOT NULL, created_at timestamptz NOT NULL, updated_at timestamptz
    );
    INSERT INTO live_example.services SELECT id, 'ours', {MADE}, {WAS} FROM generate_series(1, {{rows}}) AS id;
    ANALYZE live_example.services;
"""
SAME = f"""
    SELECT count(*) FROM live_example.services
    WHERE id <> ALL (%s) AND name = 'ours' AND created_at = {MADE} AND updated_at IS NOT DISTINCT FROM {WAS}
"""

INSERT = "INSERT INTO live_example.services VALUES (%s, %s, clock_timestamp()) RETURNING id, name"
RENAME = "UPDATE live_example.services SET name = %s WHERE id = %s RETURNING id, name"
TOUCH = "UPDATE live_example.services SET updated_at = clock_timestamp() WHERE id = %s RETURNING id, updated_at"
DELETE = "DELETE FROM live_example.services WHERE id = %s RETURNING id, true"


class Wrote(NamedTuple):
    """What a writer did, as the server confirmed it: `what` is the column it set, or `gone`."""

    id: int
    what: str
    value: Any


def write(url: str, number: int, rows: int, stop: Any, say: Any) -> None:
    """One writer: its rows are its own, so that the last line of its log is what must be in the table."""
    log: list[Wrote] = []
    waits = [0.0]
    given: tuple[object, ...]
    mine, refused = range(2 + number, rows + 1, 2), 0
    began = time.monotonic()
    with psycopg.connect(url, autocommit=True) as user:
        while not stop.is_set():
            kind, some, name = random.random(), random.choice(mine), f"theirs {len(log)}"
            if kind < 0.3:
                new = time.time_ns() // 1000 * 2 + number
                what, sql, given = "name", INSERT, (new, name)
            elif kind < 0.6:
                what, sql, given = "name", RENAME, (name, some)
            elif kind < 0.95:
                what, sql, given = "updated_at", TOUCH, (some,)
            else:
                what, sql, given = "gone", DELETE, (some,)
            asked = time.monotonic()
            try:
                log += [Wrote(id_, what, value) for id_, value in user.execute(sql, given)]
            except psycopg.errors.IntegrityError:
                refused += 1  # an insert without the field, once it is required
            waits.append(time.monotonic() - asked)
            time.sleep(max(0.0, began + len(waits) / A_SECOND - time.monotonic()))
    say.send((log, refused, max(waits), len(waits) / (time.monotonic() - began)))


@contextlib.contextmanager
def writers(url: str, rows: int, history: list[Wrote]) -> Iterator[None]:
    """Two processes that write, for as long as this lasts; what they wrote is in the *history* then."""
    stop = multiprocessing.Event()
    ends = [multiprocessing.Pipe(duplex=False) for _ in range(2)]
    processes = [
        multiprocessing.Process(target=write, args=(url, number, rows, stop, say), daemon=True)
        for number, (_, say) in enumerate(ends)
    ]
    for process in processes:
        process.start()
    time.sleep(0.5)  # in the middle of it
    try:
        yield
        time.sleep(0.5)
    finally:
        stop.set()
    found = [heard.recv() for heard, _ in ends]
    for process in processes:
        process.join()
    for log, _, _, _ in found:
        history += log
    a_second = sum(rate for *_, rate in found)
    print(
        f"writers: {sum(len(log) for log, *_ in found):,} writes, {sum(each[1] for each in found):,} refused for lack of "
        f"the field, {a_second:.0f} a second, the longest wait {1000 * max(each[2] for each in found):.0f} ms"
    )
    assert a_second >= 200


def ensure_kept(db: psycopg.Connection[Any], history: list[Wrote]) -> None:
    """Every write of the writers is there, or a later one of theirs."""
    last: dict[int, dict[str, Any]] = {}
    for wrote in history:
        last.setdefault(wrote.id, {})[wrote.what] = wrote.value
    found = db.execute(
        "SELECT id, name, updated_at FROM live_example.services WHERE id = ANY (%s)", (list(last),)
    ).fetchall()
    there = {id_: {"name": name, "updated_at": updated_at} for id_, name, updated_at in found}
    for id_, wanted in last.items():
        if "gone" in wanted:
            assert id_ not in there, f"{id_} was deleted, and is back"
        else:
            for what, value in wanted.items():
                assert there[id_][what] == value, f"{what} of {id_}: {value} was written, {there[id_][what]} is there"
    print(f"kept: the writes to {len(last):,} rows are all there")


def main(url: str, rows: int) -> None:
    """Make a table, migrate it beside writers, and take it back beside writers."""
    history: list[Wrote] = []
    with psycopg.connect(url, autocommit=True) as db, contextlib.ExitStack() as undo:
        db.execute(MAKE.format(rows=rows).encode())
        undo.callback(db.execute, "DROP SCHEMA live_example CASCADE")
        services = undo.enter_context(open_store(url, "live_example.services", encodings="datetime"))

        with writers(url, rows, history):
            done = migrate(services, GUARD, REPAIR)
        print(done)
        assert done.complete
        assert check(services, GUARD).ok
        ensure_kept(db, history)

        with writers(url, rows, history):
            back = rollback(services)
        print(back)
        ensure_kept(db, history)
        # A row that somebody wrote to is as they left it; all others are as they were.
        touched = list({wrote.id for wrote in history})
        ((same,),) = db.execute(SAME.encode(), (touched,)).fetchall()
        assert same == rows - sum(id_ <= rows for id_ in touched)
        print(f"back: the {same:,} rows that nobody else wrote to are what they were")


if __name__ == "__main__":
    if "DATABASE_URL" not in os.environ:
        sys.exit("DATABASE_URL is not set: name a database of PostgreSQL to try this in")
    main(os.environ["DATABASE_URL"], int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
