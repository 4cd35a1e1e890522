"""
A snapshot of Convex on the command line: looked at, filled, brought back, taken back.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.convex_snapshots import NUMBER, UNIFORM, document_id, members, snapshot

from .conftest import ENVIRONMENT, Cli

T = 1_700_000_000_000.0
HEAD = 'import { defineSchema, defineTable } from "convex/server"; import { v } from "convex/values";\n'
WORDS = ("--updated", "updatedAt", "--created", "_creationTime", "--encoding", "epoch_ms")
FILL = ("--fill", "_creationTime")


def documents(table: int) -> tuple[str, str]:
    rows: list[dict[str, Any]] = [{"_creationTime": T + n, "_id": document_id(n, table)} for n in range(4)]
    return UNIFORM.dump([*rows[:2], *(row | {"updatedAt": T + 9} for row in rows[2:])])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in a folder with `snapshot.zip`."""
    monkeypatch.chdir(tmp_path)
    own = {"services": documents(NUMBER), "pages": documents(NUMBER + 1), "auth:logs": documents(NUMBER)}
    snapshot(tmp_path / "snapshot.zip", own, others={"_storage/kg2.png": b"PNG"})
    return tmp_path


def test_all_of_it(here: Path, cli: Cli) -> None:
    """
    From a look at a snapshot to the same snapshot again, table by table.
    """
    before = (here / "snapshot.zip").read_bytes()
    assert 0 == cli("init", "convex:snapshot.zip").code
    assert 'url = "convex:snapshot.zip"' in Path("timestamp-guard.toml").read_text("utf-8")

    assert (1, 3) == ((said := cli("check")).code, said.out.count("4 records, 2 broken"))
    assert "updatedAt is written as a float, as v.number() wants it" in cli("plan").out
    filled = cli("backfill")
    assert (0, 3) == (filled.code, filled.out.count("complete: 2 filled"))
    assert "npx convex import --replace snapshot.zip\n" in filled.err
    assert (
        "what was written to the deployment after the export began, and until the import is done, is lost" in filled.err
    )
    assert (0, "") == ((said := cli("backfill")).code, said.err)
    assert 3 == cli("verify").out.count("2 of 2 records hold what it wrote")
    assert ["auth:logs", "pages", "services"] == sorted(
        line.split("  ")[1].rpartition(": backfill")[0] for line in cli("runs").out.splitlines()
    )
    assert (0, 3) == ((said := cli("rollback")).code, said.out.count("complete: 2 restored"))
    assert 1 == said.err.count("bring it back with: npx convex import --replace snapshot.zip\n")
    assert (0, "") == ((said := cli("rollback")).code, said.err)
    assert before == (here / "snapshot.zip").read_bytes()


def test_only_changed(here: Path, cli: Cli) -> None:
    """
    The changed tables alone go into a ZIP of their own, in which no other is listed.
    """
    said = cli("backfill", "convex:snapshot.zip", "--table", "pages", *WORDS, *FILL, "--only-changed", "part.zip")
    assert 0 == said.code
    assert "wrote part.zip with pages alone" in said.err
    assert "npx convex import --replace part.zip" in said.err
    assert {"_tables/documents.jsonl", "pages/documents.jsonl", "pages/generated_schema.jsonl"} == set(
        members(here / "part.zip")
    )

    again = cli("backfill", "convex:snapshot.zip", *WORDS, *FILL, "--only-changed", "part.zip")
    assert (2, True) == (again.code, "part.zip is there already" in again.err)


@pytest.mark.usefixtures("here")
def test_wrong_words(cli: Cli) -> None:
    """
    What cannot be done with a snapshot, or only with one, is said.
    """
    Path("data.jsonl").write_text('{"_id":"a","updatedAt":12n}\n', "utf-8")
    Path("own.jsonl").write_text('{"_id":"a","_creationTime":1700000000000}\n', "utf-8")
    for words, said in (
        (("check", "convex:data.jsonl", *WORDS), "is what npx convex data prints"),
        (("check", "convex:snapshot.zip", "--table", "service", *WORDS), "did you mean 'services'"),
        (("backfill", "convex:snapshot.zip", "--canary", *WORDS, *FILL), "is a file, which is replaced as a whole"),
        (("backfill", "jsonl:own.jsonl", *WORDS, *FILL, "--only-changed", "p.zip"), "goes with one snapshot of Convex"),
    ):
        found = cli(*words)
        assert (2, True) == (found.code, said in found.err), found.err


@pytest.mark.usefixtures("here")
def test_remarks(cli: Cli) -> None:
    """
    What is odd about a snapshot is told beside the result.
    """
    snapshot(Path("bare.zip"), {"services": documents(NUMBER)}, numbered=False)

    assert "_tables does not list services" in cli("check", "convex:bare.zip", *WORDS).err


# -- with the schema of the app -----------------------------------------------------------------------------------

SCHEMA = """\
export default defineSchema({
  services: defineTable({ updatedAt: v.optional(v.number()) }),
  pages: defineTable({ updatedAt: v.optional(v.int64()) }),
  notes: defineTable({ text: v.string() }),
});
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in a folder with `convex/schema.ts`, and `snapshot.zip` in which `pages` and `notes` never have the field."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "convex").mkdir()
    (tmp_path / "convex/schema.ts").write_text(HEAD + SCHEMA, "utf-8")
    without = {
        name: UNIFORM.dump([{"_creationTime": T + n, "_id": document_id(n, NUMBER + at)} for n in range(4)])
        for at, name in ((1, "pages"), (2, "notes"))
    }
    snapshot(tmp_path / "snapshot.zip", {"services": documents(NUMBER)} | without)
    return tmp_path


def written(path: Path, table: str) -> bytes:
    return members(path / "snapshot.zip")[f"{table}/documents.jsonl"].splitlines()[0]


@pytest.mark.usefixtures("app")
def test_left_out(cli: Cli) -> None:
    """
    Tables in which no document has the field are left out without a schema, and that is told, with what to do.
    """
    said = cli("check", "convex:snapshot.zip", *WORDS)

    assert (1, 1) == (said.code, said.out.count("records,"))
    assert (
        "left out, as none of the first documents has updatedAt: notes, pages; the schema may have it, where it is given "
        "with --schema convex/schema.ts: name what is wanted with --table"
    ) in said.err
    named = cli("check", "convex:snapshot.zip", "--table", "pages", *WORDS)
    assert (1, "") == (named.code, named.err)
    assert "pages: 4 records, 4 broken" in named.out


@pytest.mark.parametrize("place", ["convex", "convex/schema.ts", "."])
def test_schema(app: Path, cli: Cli, place: str) -> None:
    """
    With the schema, such a table is taken along, and no encoding need be given where it says them.
    """
    words = ("convex:snapshot.zip", *WORDS[:-2], "--schema", place)
    said = cli("check", *words)  # an int64 does not say its unit
    assert 2 == said.code
    assert "updatedAt of pages is v.int64() in schema.ts:4, which does not say how instants are written" in said.err
    said = cli("check", *words, "--encoding", "updatedAt=epoch_s", "--table", "pages")
    assert "pages: 4 records, 4 broken" in said.out

    (app / "convex/schema.ts").write_text(HEAD + SCHEMA.replace("v.int64()", "v.number()"), "utf-8")
    said = cli("check", *words)
    assert (1, "") == (said.code, said.err)
    assert "pages: 4 records, 4 broken" in said.out
    assert "services: 4 records, 2 broken" in said.out
    assert "notes" not in said.out


def test_schema_fills(app: Path, cli: Cli) -> None:
    """
    With the schema, such a table is filled with the kind of number that it says, verified and taken back.
    """
    before = (app / "snapshot.zip").read_bytes()
    words = ("convex:snapshot.zip", *WORDS, "--schema", "convex/schema.ts")
    said = cli("plan", *words, *FILL)
    assert 1 == said.out.count("is written as a float") == said.out.count("is written as an int64"), said
    assert (0, 2) == ((said := cli("backfill", *words, *FILL)).code, said.out.count("complete: ")), said
    assert written(app, "services").endswith(b'"updatedAt":1700000000000.0}')
    assert written(app, "pages").endswith(b'"updatedAt":1700000000000}')
    assert b"updatedAt" not in written(app, "notes")
    assert (0, 2) == ((said := cli("verify", *words)).code, said.out.count("hold what it wrote")), said
    assert 0 == cli("rollback", "convex:snapshot.zip").code
    assert before == (app / "snapshot.zip").read_bytes()


def test_schema_in_configuration(app: Path, cli: Cli) -> None:
    """
    The configuration names the schema, seen from its own folder, and needs no encodings where that says them.
    """
    (app / "etc").mkdir()
    text = """
[[store]]
url = "convex:../snapshot.zip"
schema = "../convex"

[[store.table]]
name = "services"
updated = "updatedAt"
created = "_creationTime"
fill = "_creationTime"

[[store.table]]
name = "pages"
updated = "updatedAt"
encoding = { updatedAt = "epoch_s" }
fill = "_creationTime"
"""
    path = app / "etc/timestamp-guard.toml"
    path.write_text(text, "utf-8")
    assert 0 == (said := cli("backfill", "--config", path)).code, said
    assert written(app, "pages").endswith(b'"updatedAt":1700000000}')

    path.write_text(text.replace("../convex", "../nowhere"), "utf-8")
    assert (2, True) == ((said := cli("check", "--config", path)).code, "key 'schema': there is no folder" in said.err)
    path.write_text(text.replace('schema = "../convex"', ""), "utf-8")
    assert (2, True) == ((said := cli("check", "--config", path)).code, "the key 'encoding' is missing" in said.err)
    path.write_text(text.replace("encoding = { updatedAt", "# "), "utf-8")
    assert (2, True) == ((said := cli("check", "--config", path)).code, "of pages is v.int64() in" in said.err)


def test_init_with_schema(app: Path, cli: Cli) -> None:
    """
    What `init` writes has the tables whose field is in the schema alone, and names the schema.
    """
    assert "with --schema convex/schema.ts" in cli("init", "convex:snapshot.zip", "--output", "other.toml").out
    assert 0 == cli("init", "convex:snapshot.zip", "--schema", "convex", "--output", "etc.toml").code
    text = Path("etc.toml").read_text("utf-8")
    assert 'schema = "convex"' in text
    assert ["pages", "services"] == sorted(
        line.split('"')[1] for line in text.splitlines() if line.startswith("name = ")
    )
    assert 0 == (said := cli("backfill", "--config", "etc.toml")).code, said
    assert written(app, "pages").endswith(b'"updatedAt":1700000000000}')


def test_back_without_schema(app: Path, cli: Cli) -> None:
    """
    What was done is listed and taken back also where the schema is gone that said what must hold.
    """
    before = (app / "snapshot.zip").read_bytes()
    cli("init", "convex:snapshot.zip", "--schema", "convex")
    assert 0 == cli("backfill").code
    (app / "convex/schema.ts").unlink()

    assert (2, True) == ((said := cli("check")).code, "no schema.ts in convex" in said.err)
    assert (0, 2) == ((said := cli("runs")).code, said.out.count("complete: ")), said
    assert 0 == (said := cli("rollback")).code, said
    assert before == (app / "snapshot.zip").read_bytes()


def test_init_with_tolerance(here: Path, cli: Cli) -> None:
    """
    What is compared with the `_creationTime` of Convex may be a little earlier, as clocks of machines differ.
    """
    assert 0 == cli("init", "convex:snapshot.zip").code
    text = Path("timestamp-guard.toml").read_text("utf-8")
    assert (3, 3) == (text.count('created = "_creationTime"'), text.count('tolerance = "5s"'))

    made = T + 2
    rows = [
        {"_creationTime": made, "_id": document_id(n, NUMBER), "updatedAt": made - lag}
        for n, lag in enumerate((4e3, 6e3))
    ]
    snapshot(here / "snapshot.zip", {"services": UNIFORM.dump(rows)})
    said = cli("check", "--table", "services")
    assert (1, True) == (said.code, "services: 2 records, 1 broken" in said.out), said


def test_init_with_text(app: Path, cli: Cli) -> None:
    """
    A field of text that no document has is taken for what JavaScript writes, and not for a number as its neighbour is.
    """
    (app / "convex/schema.ts").write_text(HEAD + SCHEMA.replace("v.int64()", "v.string()"), "utf-8")
    said = cli("init", "convex:snapshot.zip", "--schema", "convex", "--table", "pages", "--output", "-")
    assert 'encoding = { "updatedAt" = "rfc3339/ms", "_creationTime" = "epoch_ms" }' in said.out, said


def test_schema_contradicted(app: Path, cli: Cli) -> None:
    """
    A schema that contradicts the data is said by a check, and nothing is written.
    """
    (app / "convex/schema.ts").write_text(HEAD + SCHEMA.replace("v.number()", "v.int64()"), "utf-8")
    before = (app / "snapshot.zip").read_bytes()
    words = ("convex:snapshot.zip", *WORDS, "--schema", "convex")

    said = cli("check", *words)
    assert 1 == said.code
    assert (
        "updatedAt of services holds a number of the kind float in 2 of the first documents, and is v.int64() in "
        "schema.ts:3: an import would refuse it"
    ) in said.err
    for command in ("plan", "backfill"):
        said = cli(command, *words, "--table", "services", *FILL)
        assert (2, True) == (said.code, "change the schema, or mend the others first" in said.err), said
    assert before == (app / "snapshot.zip").read_bytes()


def test_schema_in_doubt(app: Path, cli: Cli) -> None:
    """
    What could not be read in the schema is said once; a table of which it says nothing is left out aloud.
    """
    source = """\
import { outside } from "somewhere";
export default defineSchema({
  services: defineTable({ updatedAt: v.optional(v.number()), ...outside }),
  pages: defineTable({ ...outside }),
  notes: outside,
});
"""
    (app / "convex/schema.ts").write_text(HEAD + source, "utf-8")
    said = cli("check", "convex:snapshot.zip", *WORDS, "--schema", "convex")

    assert "left out, as none of the first documents has updatedAt: notes, pages; schema.ts does not say" in said.err
    assert 1 == said.err.count("table notes could not be read"), said.err
    assert 1 == said.err.count("of services could not be read"), said.err


@pytest.mark.usefixtures("app")
def test_schema_elsewhere(cli: Cli) -> None:
    """
    A schema goes with a snapshot, and has to be there.
    """
    Path("own.jsonl").write_text('{"_id":"a"}\n', "utf-8")
    for words, said in (
        (("check", "jsonl:own.jsonl", *WORDS, "--schema", "convex"), "goes with a snapshot of Convex"),
        (("init", "jsonl:own.jsonl", "--schema", "convex"), "goes with a snapshot of Convex"),
        (("check", "convex:snapshot.zip", *WORDS, "--schema", "nowhere"), "--schema: there is no folder nowhere"),
        (("check", "convex:snapshot.zip", *WORDS[:-2]), "--encoding is missing"),
        (("convex", "init", "convex", "--schema", "convex"), "the schema is that of the app"),
    ):
        found = cli(*words)
        assert (2, True) == (found.code, said in found.err), found.err


def test_without_the_extra(here: Path) -> None:
    """
    A snapshot needs nothing that reads TypeScript: only a schema does, and one sentence says what to install.
    """
    hidden = "sys.modules['tree_sitter'] = sys.modules['tree_sitter_typescript'] = None"
    code = f"import sys; {hidden}; from timestamp_guard.cli import main; sys.exit(main())"
    words = ("convex:snapshot.zip", "--table", "services", *WORDS)

    def run(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-c", code, *words], env=ENVIRONMENT, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    assert 1 == run("check", *words)[0]
    assert "complete: 2 filled" in run("backfill", *words, *FILL)[1]
    exit_, said = run("check", *words, "--schema", "schema.ts")
    assert (2, True) == (exit_, "needs the extra 'convex': python -m pip install 'timestamp-guard[convex]'" in said)
