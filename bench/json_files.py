"""
JSON: a check against duckdb, a fill against cp and fsync and against those that rewrite, an array against ijson.

Every contender is a process of its own, so that each has its own peak of memory, told by the kernel; what a process
takes to begin and to import is not counted. Needs duckdb, polars, orjson and ijson: `nox -s bench` installs them.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from _measure import Goal, alone, be, copied, rounds_alone, show, show_peaks, warm, write_json

LOW = 946_684_800_000
FIRST = 1_700_000_000_000


def main() -> None:
    """Run what is asked for; called by itself, one contender."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check-rows", type=int, default=2_000_000)
    parser.add_argument("--fill-mb", type=int, default=1000)
    parser.add_argument("--array-mb", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the files go; a temporary folder by default")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contender is not None:
        ready(given.contender)
        be(CONTENDERS[given.contender], given.file)
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as where:
        folder = Path(where)
        sound, holes, array = folder / "sound.jsonl", folder / "holes.jsonl", folder / "array.json"
        if given.check_rows:
            make(sound, rows=given.check_rows, lacking=0.0)
        if given.fill_mb:
            make(holes, size=given.fill_mb * 10**6, lacking=0.3)
        if given.array_mb:
            make(array, size=given.array_mb * 10**6, lacking=0.0, array=True)
        files = {
            "duckdb counts": sound, "check": sound,
            "cp + fsync": holes, "fill": holes, "orjson": holes, "polars": holes, "duckdb": holes, "roll back": holes,
            "ijson": array, "check of an array": array,
        }  # fmt: skip
        files = {name: path for name, path in files.items() if path.exists()}
        times, peaks = rounds_alone(list(files), given.rounds, lambda name: measured(name, files[name], folder))
    goals = [
        Goal("check", "duckdb counts", 1.1),
        Goal("fill", "cp + fsync", 5.5),
        *(Goal("fill", other, 1 / 1.8) for other in ("orjson", "polars", "duckdb")),
        Goal("roll back", "fill", 1.2),
        Goal("check of an array", "ijson", 0.5),
    ]
    print(f"{given.check_rows:,} lines checked, {given.fill_mb:,} MB filled, an array of {given.array_mb:,} MB")
    print(show(times, goals))
    print(show_peaks(peaks, OURS, 30))
    if given.json is not None:
        write_json(given.json, times, goals, peaks=peaks, sizes=[given.check_rows, given.fill_mb, given.array_mb])


OURS = ("check", "fill", "roll back", "check of an array")


def measured(name: str, source: Path, folder: Path) -> tuple[float, float]:
    """Run a contender on a copy, in a process of its own: seconds, and the peak of its memory in MB."""
    changed = name in {"fill", "roll back", "cp + fsync", "orjson", "polars", "duckdb"}
    path = copied(source, folder) if changed else source
    if name == "roll back":
        fill(path)
    warm(path)
    return alone(__file__, name, path)


def ready(name: str) -> None:
    """Import what a contender needs."""
    if name in OURS:
        from timestamp_guard import Repair, backfill, check, open_store, rollback, updated_at_guard
        from timestamp_guard.stores.json.store import JsonStore

        _ = Repair, backfill, check, open_store, rollback, updated_at_guard, JsonStore
    elif name in {"orjson", "polars", "ijson"}:
        __import__(name)
    elif name.startswith("duckdb"):
        __import__("duckdb")


# -- ours -------------------------------------------------------------------------------------------------------


def opened(path: Path) -> Any:
    """The file as the library has it."""
    from timestamp_guard import open_store

    return open_store(f"{path.suffix[1:]}:{path}", encodings="epoch_ms")


def check_file(path: Path) -> None:
    """Count what is wrong, in every code."""
    from timestamp_guard import check, updated_at_guard

    with opened(path) as store:
        assert check(store, updated_at_guard("updatedAt", "createdAt")).records


def fill(path: Path) -> None:
    """Fill, with the ledger, and with the proof of every changed record."""
    from timestamp_guard import Repair, backfill, updated_at_guard

    with opened(path) as store:
        assert backfill(store, updated_at_guard("updatedAt", "createdAt"), Repair("updatedAt", ("createdAt",))).ok


def take_back(path: Path) -> None:
    """Give the bytes back."""
    from timestamp_guard import rollback

    with opened(path) as store:
        assert rollback(store).ok


# -- floors and peers -------------------------------------------------------------------------------------------


def duckdb_counts(path: Path) -> None:
    """Count the same faults."""
    import duckdb

    high = time.time_ns() // 10**6 + 5000
    duckdb.execute(f"""
        SELECT count(*), count(*) FILTER (updatedAt IS NULL), count(*) FILTER (updatedAt IN (0, -1)),
               count(*) FILTER (updatedAt < {LOW}), count(*) FILTER (updatedAt > {high}),
               count(*) FILTER (createdAt < {LOW}), count(*) FILTER (createdAt > {high}),
               count(*) FILTER (createdAt > updatedAt)
        FROM read_json('{path}', format = 'newline_delimited', columns = {{createdAt: 'BIGINT', updatedAt: 'BIGINT'}})
    """).fetchall()


def copy(path: Path) -> None:
    """A copy on the disk: the least that a new file can cost."""
    target = path.with_name("copy")
    shutil.copyfile(path, target)
    synced(target)


def with_orjson(path: Path) -> None:
    """Every record read and written."""
    import orjson

    target = path.with_name("new")
    with path.open("rb") as file, target.open("wb") as out:
        for line in file:
            record = orjson.loads(line)
            if record["updatedAt"] is None:
                record["updatedAt"] = record["createdAt"]
            out.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
    replaced(target, path)


def with_polars(path: Path) -> None:
    """As a frame."""
    import polars as pl

    target = path.with_name("new")
    frame = pl.read_ndjson(path)
    frame.with_columns(pl.col("updatedAt").fill_null(pl.col("createdAt"))).write_ndjson(target)
    replaced(target, path)


def with_duckdb(path: Path) -> None:
    """As a table."""
    import duckdb

    target = path.with_name("new")
    duckdb.sql(f"""
        COPY (SELECT * REPLACE (coalesce(updatedAt, createdAt) AS updatedAt)
              FROM read_json('{path}', format = 'newline_delimited')) TO '{target}' (FORMAT json)
    """)
    replaced(target, path)


def with_ijson(path: Path) -> None:
    """Every record of an array, streamed; counted as by hand."""
    import ijson  # type: ignore[import-untyped]  # it ships no types

    high = time.time_ns() // 10**6 + 5000
    broken = 0
    with path.open("rb") as file:
        for record in ijson.items(file, "item", use_float=True):
            created, updated = record["createdAt"], record["updatedAt"]
            broken += not (type(updated) is int and LOW <= created <= updated <= high)
    assert not broken


def replaced(target: Path, path: Path) -> None:
    """Put in place, on the disk."""
    synced(target)
    target.replace(path)


def synced(path: Path) -> None:
    """Have it on the disk."""
    handle = os.open(path, os.O_RDWR)
    os.fsync(handle)
    os.close(handle)


CONTENDERS: Mapping[str, Callable[[Path], object]] = {
    "duckdb counts": duckdb_counts,
    "check": check_file,
    "cp + fsync": copy,
    "fill": fill,
    "orjson": with_orjson,
    "polars": with_polars,
    "duckdb": with_duckdb,
    "roll back": take_back,
    "ijson": with_ijson,
    "check of an array": check_file,
}


def make(path: Path, *, rows: int | None = None, size: int = 0, lacking: float, array: bool = False) -> None:
    """Records of eight members, of which a share has null for a value."""
    draw = random.Random(1)
    written = index = 0
    with path.open("w", encoding="ascii") as file:
        file.write("[\n" if array else "")
        while index < rows if rows is not None else written < size:
            created = FIRST + index * 10
            updated = "null" if draw.random() < lacking else str(created + draw.randrange(10**6))
            line = (
                f'{{"_id":"{draw.getrandbits(128):032x}","name":"service {index}","slug":"s-{index}",'
                f'"createdAt":{created},"updatedAt":{updated},"active":true,"price":{index / 7!r},"body":"{"x" * 40}"}}'
            )
            written += file.write((",\n" if array and index else "") + line + ("" if array else "\n"))
            index += 1
        file.write("\n]\n" if array else "")


if __name__ == "__main__":
    main()
