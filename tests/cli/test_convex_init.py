from pathlib import Path

import pytest

from .conftest import Cli

SCHEMA = """
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  services: defineTable({ name: v.string(), createdAt: v.optional(v.number()), updatedAt: v.number() }),
  pillarPages: defineTable({ title: v.string(), updatedAt: v.optional(v.number()) }),
  clusterPages: defineTable({ title: v.string(), changedAt: v.int64() }),
  articles: defineTable({ updated: v.string() }),
  stamps: defineTable({ updated: v.commitTs() }),
});
"""
MODULE = Path("convex/timestampGuard.ts")
CONFIGURATION = """
[[store]]
url = "convex:snapshot.zip"

[[store.table]]
name = "clusterPages"
updated = "changedAt"
encoding = "epoch_us"
skew = "1m"

[[store]]
url = "sqlite:///app.db"

[[store.table]]
name = "other"
updated = "updatedAt"
encoding = "epoch_ms"
"""


@pytest.fixture(autouse=True)
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An app in the folder that we are in, whose code has been generated."""
    monkeypatch.chdir(tmp_path)
    generated = tmp_path / "convex" / "_generated"
    generated.mkdir(parents=True)
    for name in ("server.d.ts", "server.js", "dataModel.d.ts"):
        (generated / name).touch()
    (tmp_path / "convex" / "schema.ts").write_text(SCHEMA)
    return tmp_path


def test_every_table(cli: Cli) -> None:
    """
    Without a word, every table of the schema that has updatedAt is guarded, and nothing but the module is written.
    """
    before = set(Path().rglob("*"))

    said = cli("convex", "init")

    assert (0, "") == (said.code, said.err)
    assert {MODULE} == set(Path().rglob("*")) - before
    text = MODULE.read_text("utf-8")
    assert ["services", "pillarPages"] == [
        name for name in ("services", "pillarPages", "articles") if f"  {name}: {{" in text
    ]
    assert (
        "services: present(updatedAt) & in_order(2000-01-01T00:00:00Z, updatedAt, NOW + 5s)\n"
        "pillarPages: present(updatedAt) & in_order(2000-01-01T00:00:00Z, updatedAt, NOW + 5s)\n"
        "wrote convex/timestampGuard.ts; next: write with stamped(ctx.db), then npx convex dev, or deploy\n"
    ) == said.out


def test_print(cli: Cli) -> None:
    """
    --print prints what would be written, and writes nothing.
    """
    said = cli("convex", "init", "--print")

    assert not MODULE.exists()
    assert 0 == cli("convex", "init").code
    assert MODULE.read_text("utf-8") == said.out


def test_again(cli: Cli) -> None:
    """
    Run again it says that nothing changed; with other words, or other ends of lines, its own file is written anew.
    """
    cli("convex", "init")
    made = MODULE.read_bytes()

    assert "says this already" in cli("convex", "init").out
    MODULE.write_bytes(made.replace(b"\n", b"\r\n"))
    assert "says this already" in cli("convex", "init").out
    assert 0 == cli("convex", "init", "--table", "services", "--created", "createdAt").code
    assert "createdAt" in MODULE.read_text("utf-8")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"// mine\n", "was not made by timestamp-guard: move it away, or replace it with --force"),
        (b"", "was not made by timestamp-guard"),
        (b"\xff", "was not made by timestamp-guard"),
        (None, "was changed since timestamp-guard made it"),
    ],
)
def test_not_overwritten(cli: Cli, content: bytes | None, why: str) -> None:
    """
    A file that is somebody's work stays, unless it is given up by name.
    """
    cli("convex", "init")
    made = MODULE.read_bytes()
    content = made.replace(b"5_000_000_000n", b"6_000_000_000n", 1) if content is None else content
    MODULE.write_bytes(content)

    said = cli("convex", "init")

    assert 2 == said.code
    assert why in said.err
    assert content == MODULE.read_bytes()
    assert 0 == cli("convex", "init", "--force").code
    assert made == MODULE.read_bytes()


def test_configuration(cli: Cli) -> None:
    """
    The stores of Convex in timestamp-guard.toml say what must hold; an int64 is stamped as one.
    """
    Path("timestamp-guard.toml").write_text(CONFIGURATION)

    said = cli("convex", "init", "--format", "json")

    assert {
        "ok": True,
        "file": "convex/timestampGuard.ts",
        "changed": True,
        "tables": {
            "clusterPages": {
                "updated": "changedAt",
                "guard": "present(changedAt) & in_order(2000-01-01T00:00:00Z, changedAt, NOW + 1m)",
            }
        },
    } == said.json
    assert "stamp: () => BigInt(Date.now()) * 1_000n," in MODULE.read_text("utf-8")


def test_configuration_of_others(cli: Cli) -> None:
    """
    A configuration without a store of Convex is none for this, and one that is named for it is refused.
    """
    Path("timestamp-guard.toml").write_text(CONFIGURATION.replace("convex:", "jsonl:"))

    assert "services" in cli("convex", "init").out
    said = cli("convex", "init", "--config", "timestamp-guard.toml")
    assert (2, True) == (said.code, "describes no store of Convex" in said.err)

    Path("timestamp-guard.toml").write_text("[audit]\ntouch = []\n")  # what an audit says comes first
    assert "services" in cli("convex", "init", "--print").out


def test_two_meanings(cli: Cli) -> None:
    """
    Two stores that do not mean the same by a table are refused, and so are a configuration and options.
    """
    other = CONFIGURATION.replace("sqlite:///app.db", "convex+https://happy-otter-123.convex.cloud")
    Path("timestamp-guard.toml").write_text(other.replace('"other"', '"clusterPages"'))

    said = cli("convex", "init")
    assert (2, True) == (said.code, "two different things of table 'clusterPages'" in said.err)
    said = cli("convex", "init", "--config", "timestamp-guard.toml", "--skew", "1s")
    assert (2, True) == (said.code, "--config and --skew both say what must hold" in said.err)


@pytest.mark.parametrize(
    ("words", "stamp"),
    [
        (["--updated", "changedAt", "--encoding", "epoch_ns"], "BigInt(Date.now()) * 1_000_000n"),
        (["--updated", "changedAt", "--encoding", "epoch_ms"], "BigInt(Date.now())"),
        (["--updated", "changedAt", "--encoding", "epoch_s"], "BigInt(Math.floor(Date.now() / 1_000))"),
        (["--encoding", "epoch_s"], "Math.floor(Date.now() / 1_000)"),
        (["--encoding", "epoch_us"], "Date.now() * 1_000"),
        (["--encoding", "epoch_ms/s"], "Math.floor(Date.now() / 1_000) * 1_000"),
        (["--updated", "updated", "--table", "articles", "--encoding", "rfc3339"], 'written(Date.now(), null, "Z")'),
        (["--updated", "updated", "--table", "articles", "--encoding", "iso8601/s@+02:00"], 'written(Date.now() + 7_200_000, 0, "")'),
    ],
)  # fmt: skip
def test_stamps(cli: Cli, words: list[str], stamp: str) -> None:
    """
    What is stamped is written as the field is.
    """
    assert f"    stamp: () => {stamp},\n" in cli("convex", "init", "--print", *words).out


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["nowhere"], "no folder nowhere"),
        (["--updated", "updatedAtt"], "has a field updatedAtt: name it with --updated"),
        (["--table", "service"], "no table 'service' in schema.ts; did you mean 'services'?"),
        (["--table", "articles"], "no field 'updatedAt' in table 'articles' of schema.ts"),
        (["--created", "created"], "no field 'created' in table 'services' of schema.ts"),
        (["--updated", "changedAt"], "changedAt is of the type bigint: say how instants are written there"),
        (["--encoding", "rfc3339"], "updatedAt is rfc3339, but of the type number in schema.ts"),
        (["--encoding", "epoch_ns"], "epoch_ns does not fit into v.number(), which is exact to 2^53"),
        (["--updated", "changedAt", "--encoding", "datetime"], "Convex has no type for datetimes"),
        (["--updated", "updated", "--table", "articles", "--encoding", "iso8601@Europe/Berlin"], "local time of Europe/Berlin"),
        (["--updated", "updated", "--table", "stamps", "--encoding", "epoch_ns"], "which the deployment stamps itself"),
        (["--key", "_id"], "--key and --nonfinite say nothing here"),
        (["--skew", "5"], "--skew: "),
    ],
)  # fmt: skip
def test_refused(cli: Cli, words: list[str], why: str) -> None:
    """
    What cannot be meant is one sentence, and nothing is written.
    """
    said = cli("convex", "init", *words)

    assert 2 == said.code
    assert why in said.err
    assert not MODULE.exists()


def test_not_generated(cli: Cli, app: Path) -> None:
    """
    Without _generated the module could not be compiled, and the remedy is said.
    """
    (app / "convex" / "_generated" / "dataModel.d.ts").unlink()

    said = cli("convex", "init")

    assert (2, True) == (said.code, "convex/_generated has no dataModel: run npx convex dev once" in said.err)


def test_elsewhere(cli: Cli, app: Path) -> None:
    """
    The folder that convex.json names is found; one that cannot be read is said.
    """
    (app / "src").mkdir()
    (app / "convex").rename(app / "src" / "functions")
    (app / "convex.json").write_text('{"functions": "src/functions/"}')

    assert 0 == cli("convex", "init").code
    assert Path("src/functions/timestampGuard.ts").exists()
    (app / "convex.json").write_text("[]")
    assert "cannot read convex.json" in cli("convex", "init").err


def test_unread(cli: Cli, app: Path) -> None:
    """
    What could not be read of the schema is said, and what could be is guarded.
    """
    schema = app / "convex" / "schema.ts"
    schema.write_text(SCHEMA.replace("});\n", "  odd: odd(),\n}, { schemaValidation: false });\n"))

    said = cli("convex", "init")

    assert 0 == said.code
    assert "table odd could not be read" in said.err
    assert "schemaValidation: false, so that the deployment itself refuses nothing" in said.err
    assert "  services: {" in MODULE.read_text("utf-8")
