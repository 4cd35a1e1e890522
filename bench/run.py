"""All benchmarks, one after another; `--quick` with small sizes. Each can be run alone, with its own options."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
FULL = (
    ("records.py",),
    ("sqlite.py", "--rows", "1000000", "--key", "text"),
    ("sqlite.py", "--rows", "1000000", "--key", "integer"),
    ("sqlite.py", "--rows", "5000000", "--key", "integer", "--rounds", "3"),
    ("load.py",),
    ("json_files.py",),
    ("convex_snapshot.py",),
    ("postgresql.py", "--rows", "1000000"),
    ("postgresql.py", "--rows", "2000000"),
    ("mariadb.py", "--rows", "500000"),
    ("enforce.py",),
    ("startup.py",),
    ("audit.py",),
)
QUICK = (
    ("records.py", "--rows", "20000", "--rounds", "3"),
    ("sqlite.py", "--rows", "100000", "--rounds", "3"),
    ("load.py", "--rows", "200000", "--rounds", "1"),
    ("json_files.py", "--check-rows", "200000", "--fill-mb", "50", "--array-mb", "20", "--rounds", "2"),
    ("convex_snapshot.py", "--documents", "100000", "--rounds", "2"),
    ("postgresql.py", "--rows", "100000", "--rounds", "2"),
    ("mariadb.py", "--rows", "50000", "--rounds", "2"),
    ("enforce.py", "--rows", "200000", "--writes", "20000", "--rounds", "2"),
    ("startup.py", "--rounds", "3"),
    ("audit.py", "--files", "500", "--rounds", "1"),
)


def main() -> None:
    """Run them; with `--json FOLDER`, keep what each found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FOLDER")
    given = parser.parse_args()
    if given.json is not None:
        given.json.mkdir(parents=True, exist_ok=True)
    for number, (name, *words) in enumerate(QUICK if given.quick else FULL, 1):
        print(f"\n== {name} {' '.join(words)}", flush=True)
        kept = [] if given.json is None else ["--json", str(given.json / f"{number}-{Path(name).stem}.json")]
        subprocess.run([sys.executable, name, *words, *kept], cwd=HERE, check=True)


if __name__ == "__main__":
    main()
