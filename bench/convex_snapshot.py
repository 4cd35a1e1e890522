"""
Snapshots of Convex: a fill, and its way back, against a plain repack of the ZIP at the same level.

The repack is what a script does at the least: `zipfile` reads every member and writes it again, and nothing is looked at.
Every contender is a process of its own, so that each has its own peak of memory. `--gigabytes 4.5` makes one whose
documents are larger than 4 GiB, and says only what it took.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from _measure import Goal, alone, be, copied, rounds_alone, show, show_peaks, warm, write_json

FIRST: Final = 1_700_000_000_000
LACKING: Final = 0.3
PEAK: Final = 60
NUMBER: Final = 10_001
UNIFORM: Final = "uniform"
INFERRED: Final = (
    '{"_creationTime": normalfloat64, "_id": string, "published": boolean, "sortOrder": normalfloat64, "title": string, '
    '"body"?: string, "updatedAt"?: normalfloat64}'
)
"""The form before March 2026: a shape, as an export inferred it from the documents."""


def main() -> None:
    """Run what is asked for; called by itself, one contender."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--gigabytes", type=float, default=0.0)
    parser.add_argument("--inferred", action="store_true", help="in the form that exports had before March 2026")
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
    shape = INFERRED if given.inferred else UNIFORM
    with tempfile.TemporaryDirectory(dir=given.folder) as where:
        folder = Path(where)
        if given.gigabytes:
            large(folder, given.gigabytes, shape)
            return
        made = folder / "snapshot.zip"
        make(made, documents=given.documents, shape=shape)
        times, peaks = rounds_alone(list(CONTENDERS), given.rounds, lambda name: measured(name, made, folder))
        size = made.stat().st_size
    goals = [Goal("fill", "repack", 1.4), Goal("roll back", "repack", 1.4)]
    print(f"{given.documents:,} documents, a ZIP of {size / 1e6:,.0f} MB, {LACKING:.0%} lack the field")
    print(show(times, goals))
    print(show_peaks(peaks, OURS, PEAK))
    if given.json is not None:
        write_json(given.json, times, goals, peaks=peaks, sizes=[given.documents, size])


OURS: Final = ("fill", "roll back", "check")


def measured(name: str, source: Path, folder: Path) -> tuple[float, float]:
    """Run a contender on a copy, in a process of its own: seconds, and the peak of its memory in MB."""
    path = copied(source, folder)
    if name == "roll back":
        fill(path)
    warm(path)
    return alone(__file__, name, path)


def ready(name: str) -> None:
    """Import what a contender needs."""
    if name in OURS:
        from timestamp_guard import Repair, backfill, check, rollback, updated_at_guard
        from timestamp_guard.stores.convex.store import ConvexStore

        _ = Repair, backfill, check, rollback, updated_at_guard, ConvexStore


# -- contenders -------------------------------------------------------------------------------------------------


def opened(path: Path) -> Any:
    """The table as the library has it."""
    from timestamp_guard import open_store

    return open_store(f"convex:{path}", "services", encodings="epoch_ms")


def guard() -> Any:
    """The usual one."""
    from timestamp_guard import updated_at_guard

    return updated_at_guard("updatedAt", "_creationTime")


def fill(path: Path) -> None:
    """Fill what is missing, with ledger, digests and proof."""
    from timestamp_guard import Repair, backfill

    with opened(path) as store:
        run = backfill(store, guard(), Repair("updatedAt", ("_creationTime",)))
    if not run.ok:
        raise SystemExit(str(run))


def take_back(path: Path) -> None:
    """The way back."""
    from timestamp_guard import rollback

    with opened(path) as store:
        rollback(store)


def look(path: Path) -> None:
    """A check."""
    from timestamp_guard import check

    with opened(path) as store:
        check(store, guard())


def repack(path: Path) -> None:
    """Read every member and write it again, at the level that Python takes."""
    new = path.with_suffix(".new")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED) as target:
        for info in source.infolist():
            with source.open(info) as member, target.open(info.filename, "w", force_zip64=True) as copy:
                shutil.copyfileobj(member, copy, 2**18)
    with new.open("rb+") as file:
        os.fsync(file.fileno())
    new.replace(path)


CONTENDERS: Final[Mapping[str, Callable[[Path], None]]] = {
    "repack": repack,
    "fill": fill,
    "roll back": take_back,
    "check": look,
}


# -- snapshots --------------------------------------------------------------------------------------------------


def make(path: Path, *, documents: int, shape: str, size: int = 2**63, bodies: bool = False) -> int:
    """A snapshot as an export makes one; how many documents it has, each with a body of some 30,000 letters or without."""
    from timestamp_guard.convex.ids import Id, encode

    chance = random.Random(1)
    words = ["service", "pillar", "cluster", "über uns", "slug", "draft", "published"]
    texts = [" ".join(chance.choices(words, k=4000)) for _ in range(64)]
    number = written = 0
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("README.md", "# Welcome to your Convex snapshot export!\n")
        made.writestr("_tables/documents.jsonl", f'{{"name":"services","id":{NUMBER}}}\n')
        # Not packed, a large one has what comes after it, and its directory, beyond 4 GiB too.
        made.compression = zipfile.ZIP_STORED if bodies else zipfile.ZIP_DEFLATED
        with made.open("services/documents.jsonl", "w", force_zip64=True) as member:
            while number < documents and written < size:
                lines = []
                for _ in range(min(500, documents - number)):
                    number += 1
                    created = FIRST + number * 17 + chance.random()
                    updated = f',"updatedAt":{created + 5!r}' if chance.random() >= LACKING else ""
                    name = encode(Id(NUMBER, chance.randbytes(16)))
                    title = " ".join(chance.choices(words, k=5))
                    body = f',"body":"{chance.choice(texts)}"' if bodies else ""
                    lines.append(
                        f'{{"_creationTime":{created!r},"_id":"{name}","published":true,"sortOrder":{number % 97}.0,'
                        f'"title":"{title} {chance.getrandbits(40):x}"{body}{updated}}}\n'
                    )
                written += member.write("".join(lines).encode())
        made.writestr("services/generated_schema.jsonl", json.dumps(shape) + "\n")
        made.writestr("_storage/documents.jsonl", "")
        made.writestr(zipfile.ZipInfo("_storage/kg2.png"), chance.randbytes(2**20))
    return number


def large(folder: Path, gigabytes: float, shape: str) -> None:
    """Fill one that is larger than 4 GiB, and take that back: the file is the same again, byte by byte."""
    wanted = int(gigabytes * 2**30)
    free = shutil.disk_usage(folder).free
    if free < 3 * wanted:
        needed = f"three times {gigabytes} are needed: name another --folder"
        raise SystemExit(f"{folder} has {free / 2**30:.1f} GiB free, and {needed}")
    path = folder / "snapshot.zip"
    number = make(path, documents=2**63, shape=shape, size=wanted, bodies=True)
    with zipfile.ZipFile(path) as made:
        size = made.getinfo("services/documents.jsonl").file_size
    before = hashed(path)
    for name in ("fill", "roll back"):
        seconds, peak = alone(__file__, name, path)
        fits = "pass" if peak <= PEAK else "MISS"
        print(f"{name}: {number:,} documents, {size:,} bytes, {seconds:.0f} s, peak {peak:.0f} MB: {fits}")
        if name == "fill" and hashed(path) == before:
            raise SystemExit("nothing was filled")
        if peak > PEAK:
            raise SystemExit(f"more than {PEAK} MB")
    if hashed(path) != before:
        raise SystemExit("the way back does not lead to where it began")
    print("taken back, the file is the same, byte by byte")


def hashed(path: Path) -> str:
    """The digest of a file."""
    from timestamp_guard.stores.json.replace import bytes_of

    return bytes_of(path)


if __name__ == "__main__":
    main()
