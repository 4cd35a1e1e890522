"""
From an optional `updatedAt` to a required one, told step by step: three tables of a Convex app, and a snapshot of them.

`before/` is the app with its faults, `after/` is what its people make of it, `account.txt` is what this prints.
All is done in a copy, with the commands that a person would type; neither a deployment nor Node.js is needed.
`convex/timestampGuard.ts` is in neither: `timestamp-guard convex init` writes it.

    python -m pip install ".[cli,convex]"
    python examples/convex/migrate.py           # in a temporary folder
    python examples/convex/migrate.py migrated  # in this one, to look at what came of it
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from timestamp_guard.convex.ids import Id, encode
from timestamp_guard.convex.patching import change

HERE = Path(__file__).parent
TABLES = {"services": 10001, "pillarPages": 10002, "clusterPages": 10003}
MADE = 1_700_000_000_000
"""When the first document was made, in milliseconds."""


def main(*folders: str) -> None:
    """Tell the whole story, in the first of *folders*; ends at the first step that does not go as it should."""
    for folder in folders:
        Path(folder).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(folders[0] if folders else place):
        shutil.copytree(HERE / "before", ".", dirs_exist_ok=True)
        export("snapshot.zip")
        before = members("snapshot.zip")

        step("The code is audited: who writes, and forgets updatedAt?")
        guard("audit", exits=1, only=(" error ", "required-too-soon", "patch-stale", "writes", "errors, "))
        guard("convex", "schema", exits=1)

        step("The data is checked: npx convex export --path snapshot.zip")
        guard("init", "convex:snapshot.zip", only=("wrote",))
        guard("check", exits=1, only=("records", "missing ", "placeholder "))

        step("From now on, every write is stamped")
        guard("convex", "init", only=("wrote",))
        for name in ("addUpdatedAt.ts", "updatedAt.test.ts", "validators.ts"):
            Path("convex", name).unlink()
            print(f"- convex/{name} is deleted")
        for name in ("functions.ts", "services.ts", "pages.ts"):
            shutil.copy(HERE / "after/convex" / name, "convex")
            print(f"- convex/{name} is written anew")
        schema = Path("convex/schema.ts")
        schema.write_text(schema.read_text().replace(" updatedAt: v.number()", " updatedAt: v.optional(v.number())"))
        print("- convex/schema.ts requires nothing for now")
        print("then: npx convex deploy; pause the deployment; npx convex export --path snapshot.zip")

        step("What is missing is filled, in the snapshot")
        guard("plan", exits=1, only=("to fill",))
        guard("backfill")
        guard("verify")
        guard("check")

        step("The schema requires it, by one patch for each table")
        for table in TABLES:
            narrow(table)
        print("then: npx convex deploy")
        same(schema.read_text(), (HERE / "after/convex/schema.ts").read_text())

        step("The code and the schema are held to it from now on, in CI")
        guard("audit", "--strict")
        guard("convex", "schema", *(word for table in TABLES for word in ("--table", table)))

        step("The way back: the snapshot is what it was")
        guard("rollback")
        same(members("snapshot.zip"), before)
        print(f"all {len(before)} members of the snapshot are the same, byte by byte")


def guard(*words: str, exits: int = 0, only: tuple[str, ...] = ("",)) -> None:
    """Run timestamp-guard with these words, and show the lines in which one of *only* is."""
    print("$ timestamp-guard", *words, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "timestamp_guard", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    for line in done.stdout.splitlines():
        if any(each in line for each in only):
            print(f"  {line}".rstrip())
    if done.returncode != exits:
        sys.exit(f"it ended with {done.returncode}, and {exits} was wanted:\n{done.stdout}")
    print(f"  (exit code {exits})")


def narrow(table: str) -> None:
    """Require the field of one table, with the patch that `migrate` shows for a live deployment too."""
    patch = change(Path("convex"), table, "updatedAt", required=True)
    if not patch:
        sys.exit(f"{table}: the lines to change could not be told")
    print(*(line for line in patch.splitlines() if line.startswith(("@@", "-  ", "+  "))), sep="\n", flush=True)
    here = {**os.environ, "GIT_CEILING_DIRECTORIES": str(Path.cwd().parent)}  # else paths count from the repository
    subprocess.run(["git", "apply", "-"], input=patch, text=True, check=True, env=here)  # noqa: S607  # as it is found


def export(path: str) -> None:
    """Make a snapshot as `npx convex export` makes one, of an app that came to know updatedAt late."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        said = (json.dumps({"name": name, "id": number}) for name, number in TABLES.items())
        made.writestr("_tables/documents.jsonl", "".join(f"{line}\n" for line in said))
        for name in TABLES:
            lines = "".join(json.dumps(each, separators=(",", ":")) + "\n" for each in documents(name))
            made.writestr(f"{name}/documents.jsonl", lines)
            made.writestr(f"{name}/generated_schema.jsonl", '"uniform"\n')


def documents(table: str) -> Iterator[dict[str, str | float]]:
    """Six documents: three without updatedAt, one with a 0 of the old tests, and two as they should be."""
    parents = {"pillarPages": ("serviceId", "services"), "clusterPages": ("pillarId", "pillarPages")}
    for number in range(6):
        made = float(MADE + number * 3_600_000)
        document: dict[str, str | float] = {"_creationTime": made + 0.25, "_id": document_id(table, number)}
        document |= {"createdAt": made, "slug": f"{table}-{number}"}
        if table in parents:
            field, parent = parents[table]
            document |= {field: document_id(parent, number), "status": "draft", "title": f"Page {number}"}
        else:
            document |= {"name": f"Service {number}"}
        if number >= 3:
            document["updatedAt"] = 0.0 if number == 3 else made + 60_000
        yield document


def document_id(table: str, number: int) -> str:
    """An id as Convex makes them, with its checksum."""
    return encode(Id(TABLES[table], number.to_bytes(16, "big")))


def members(path: str) -> dict[str, bytes]:
    """What is in a ZIP."""
    with zipfile.ZipFile(path) as read:
        return {name: read.read(name) for name in read.namelist()}


def same(found: object, wanted: object) -> None:
    """Go on only if it is what was wanted."""
    if found != wanted:
        sys.exit(f"this is not what was wanted: {found}")


def step(text: str) -> None:
    """Begin a part of the story."""
    print(f"\n## {text}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
