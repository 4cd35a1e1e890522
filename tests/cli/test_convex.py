"""
Convex apps on the command line.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ENVIRONMENT, Cli

HEAD = 'import { defineSchema, defineTable } from "convex/server";\nimport { v } from "convex/values";\n'
SOUND = "services: defineTable({ name: v.string(), updatedAt: v.number() })"
OPTIONAL = "pages: defineTable({ updatedAt: v.optional(v.number()) })"
BARE = "logs: defineTable({ line: v.string() })"


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in the folder of an app, whose `convex` folder has no schema yet."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "convex").mkdir()
    return tmp_path / "convex"


def write(app: Path, *tables: str) -> None:
    lines = "".join(f"  {each},\n" for each in tables)
    (app / "schema.ts").write_text(f"{HEAD}export default defineSchema({{\n{lines}}});\n", "utf-8")


class TestSchema:
    def test_sound(self, app: Path, cli: Cli) -> None:
        """
        Where every table that has the field requires it, nothing is left to do; the folder need not be named.
        """
        write(app, SOUND, BARE)

        said = cli("convex", "schema")

        assert (0, "") == (said.code, said.err)
        assert (
            "schema.ts: 1 of 2 tables have updatedAt\n"
            "  services  updatedAt required number  schema.ts:4\n"
            "every one requires updatedAt, all of one type\n"
        ) == said.out

    def test_optional(self, app: Path, cli: Cli) -> None:
        """
        A table in which it is optional is told by name and place, and fails.
        """
        write(app, SOUND, OPTIONAL, BARE)

        said = cli("convex", "schema", "convex/")

        assert (1, "") == (said.code, said.err)
        assert (
            "schema.ts: 2 of 3 tables have updatedAt\n"
            "  services  updatedAt required number  schema.ts:4\n"
            "  pages     updatedAt optional (number)  schema.ts:5\n"
            "pages: updatedAt is optional (number)\n"
        ) == said.out

    def test_named(self, app: Path, cli: Cli) -> None:
        """
        A table that is named must have the field; one that is not is not looked at.
        """
        write(app, SOUND, OPTIONAL, BARE)

        assert 0 == cli("convex", "schema", "--table", "services").code
        said = cli("convex", "schema", "--table", "services", "--table", "logs")
        assert 1 == said.code
        assert said.out.startswith("schema.ts: 1 of 3 tables have updatedAt\n")

    def test_json(self, app: Path, cli: Cli) -> None:
        """
        Programs are told the type, the encoding that follows from it, and what is wrong.
        """
        write(app, SOUND, OPTIONAL + ".staged({ updatedAt: v.number() })", BARE)

        said = cli("convex", "schema", "--format", "json")
        tables = said.json["tables"]

        assert 1 == said.code
        assert ["pages: updatedAt is optional (number), staged to be number"] == said.json["faults"]
        assert {"services": True, "pages": True, "logs": False} == {
            name: each["tracked"] for name, each in tables.items()
        }
        assert {
            "standing": "optional",
            "kinds": ["number"],
            "optional": True,
            "staged": {"kinds": ["number"], "optional": False},
            "encoding": "epoch_ms",
        } == tables["pages"]["fields"]["updatedAt"]
        assert {
            "standing": "absent",
            "kinds": None,
            "optional": None,
            "staged": None,
            "encoding": None,
        } == tables["logs"]["fields"]["updatedAt"]

    def test_created(self, app: Path, cli: Cli) -> None:
        """
        The field that says when a document was made can be judged too.
        """
        write(app, "services: defineTable({ createdAt: v.any(), updatedAt: v.number() })")

        said = cli("convex", "schema", "--created", "createdAt")

        assert 1 == said.code
        assert "services: createdAt is mixed (any)\n" in said.out

    def test_unparsed(self, app: Path, cli: Cli) -> None:
        """
        A file that does not parse fails, whatever could be read around the fault.
        """
        write(app, SOUND, "pages: defineTable({ = })")

        said = cli("convex", "schema")

        assert 1 == said.code
        assert "schema.ts:5: cannot be read as TypeScript" in said.out

    def test_nothing_parsed(self, app: Path, cli: Cli) -> None:
        """
        A field that is nowhere, in a file that does not parse: both are said.
        """
        (app / "schema.ts").write_text("export default {{{\n", "utf-8")

        said = cli("convex", "schema")

        assert 2 == said.code
        assert "schema.ts:1: cannot be read as TypeScript" in said.err
        assert "no field 'updatedAt'" in said.err

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            ((), "no schema.ts in convex, nor in convex/convex: name the folder of the functions"),
            (("elsewhere",), "there is no folder elsewhere"),
        ],
    )
    def test_none(self, app: Path, cli: Cli, words: tuple[str, ...], said: str) -> None:
        """
        Without a schema, the command says where it looked.
        """
        found = cli("convex", "schema", *words)

        assert (2, "", f"timestamp-guard: {said}\n") == (found.code, found.out, found.err)

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("--updated", "updateAt"), "no field 'updateAt' in the tables of schema.ts; did you mean 'updatedAt'?"),
            (("--table", "service"), "no table 'service' in schema.ts; did you mean 'services'?"),
        ],
    )
    def test_misnamed(self, app: Path, cli: Cli, words: tuple[str, ...], said: str) -> None:
        """
        A field or table that is nowhere is a wrong word, and no fault of the schema.
        """
        write(app, SOUND)

        found = cli("convex", "schema", *words)

        assert (2, "", f"timestamp-guard: {said}\n") == (found.code, found.out, found.err)


class TestPatch:
    @pytest.mark.parametrize(("absolute", "how"), [(False, "required"), (True, "required"), (False, "optional")])
    def test_applied(self, app: Path, cli: Cli, how: str, *, absolute: bool) -> None:
        """
        What is printed is a patch that git applies, after which the schema says so, and nothing is printed any more.
        """
        write(app, SOUND, OPTIONAL if how == "required" else BARE)
        table = "pages" if how == "required" else "logs"
        words = ("convex", "schema", *((str(app),) if absolute else ()), "--table", table, "--patch", how)

        found = cli(*words)
        subprocess.run(["git", "apply"], input=found.out.encode(), check=True)

        assert (0, "") == (found.code, found.err)
        assert f"services required, {table} {how}" == standings(cli)
        assert (0, "", f"timestamp-guard: updatedAt of {table} in schema.ts:5 is so already\n") == (
            (again := cli(*words)).code,
            again.out,
            again.err,
        )

    def test_untold(self, app: Path, cli: Cli) -> None:
        """
        Lines that cannot be told are no patch, and programs are told so too.
        """
        write(app, SOUND, "pages: defineTable({ updatedAt: v.any() })")
        words = ("convex", "schema", "--table", "pages", "--patch", "required")

        found, program = cli(*words), cli(*words, "--format", "json")

        assert (1, "") == (found.code, found.out)
        assert "could not be told: make updatedAt of pages in schema.ts:5 required by hand" in found.err
        assert (1, {"ok": False, "table": "pages", "field": "updatedAt", "required": True, "patch": None}) == (
            program.code,
            program.json,
        )

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            ((), "--patch is of one field of one table: name that with --table"),
            (("--table", "services", "--table", "logs"), "--patch is of one field of one table"),
            (("--table", "services", "--created", "createdAt"), "--patch is of one field of one table"),
            (("--table", "service"), "no table 'service' in schema.ts; did you mean 'services'?"),
        ],
    )
    def test_words(self, app: Path, cli: Cli, words: tuple[str, ...], said: str) -> None:
        """
        A patch is of one field of one table that is there.
        """
        write(app, SOUND, BARE)

        found = cli("convex", "schema", *words, "--patch", "optional")

        assert (2, "", True) == (found.code, found.out, found.err.startswith(f"timestamp-guard: {said}"))


def standings(cli: Cli) -> str:
    """How each table has the field."""
    tables = cli("convex", "schema", "--format", "json").json["tables"]
    return ", ".join(f"{name} {each['fields']['updatedAt']['standing']}" for name, each in tables.items())


@pytest.mark.parametrize("words", [("convex", "schema"), ("audit",)])
def test_elsewhere(app: Path, cli: Cli, words: tuple[str, ...]) -> None:
    """
    Without a folder, the one that convex.json names is read; one that cannot be read is said.
    """
    write(app, SOUND)
    (app.parent / "src").mkdir()
    app.rename(app.parent / "src/functions")
    Path("convex.json").write_text('{"functions": "src/functions/"}')

    assert 0 == cli(*words).code
    for wrong in ("[]", "{", '{"functions": 1}'):
        Path("convex.json").write_text(wrong)
        said = cli(*words)
        assert (2, True) == (said.code, said.err.startswith("timestamp-guard: cannot read convex.json: "))


def test_extra(app: Path) -> None:
    """
    Without the parser, one sentence says what to install.
    """
    write(app, SOUND)
    code = "import sys; sys.modules['tree_sitter_typescript'] = None; from timestamp_guard.cli import main; sys.exit(main())"

    done = subprocess.run(
        [sys.executable, "-c", code, "convex", "schema"], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )

    said = "timestamp-guard: reading TypeScript needs the extra 'convex': python -m pip install 'timestamp-guard[convex]'\n"
    assert (2, "", said) == (done.returncode, done.stdout, done.stderr)


def test_alone(cli: Cli) -> None:
    """
    Without a word, the command says what there is.
    """
    said = cli("convex")

    assert 0 == said.code
    assert "schema" in said.out
