import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from timestamp_guard.audit import RULES

from .conftest import Cli

BEFORE = Path(__file__).parents[2] / "examples" / "convex" / "before" / "convex"


@pytest.fixture
def convex(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in a folder with `convex/`, the application with all faults that the worked example begins with."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(BEFORE, tmp_path / "convex")
    return tmp_path / "convex"


def clean(convex: Path) -> None:
    for name in ("addUpdatedAt.ts", "updatedAt.test.ts", "validators.ts"):
        (convex / name).unlink()


def stale(convex: Path, *, lines: int = 0) -> None:
    """One more fault, of the kind that is a warning."""
    path = convex / "more.ts"
    path.write_text(
        "// a line\n" * lines
        + 'import { mutation } from "./_generated/server";\n'
        + 'export const rename = mutation({ args: { id: v.id("services") }, handler: async (ctx, { id }) => {\n'
        + '  await ctx.db.patch(id, { name: "a" });\n} });\n',
        "utf-8",
    )


def test_text(convex: Path, cli: Cli) -> None:
    """
    Each finding is a line with its place, and the last lines count.
    """
    said = cli("audit")

    assert (1, "") == (said.code, said.err)
    assert "pages.ts:30: warning patch-stale: patch on clusterPages leaves out updatedAt" in said.out
    assert said.out.endswith(
        "6 files, 9 writes, 9 of them on tables with the field: 8 set it, 1 leave it out, 0 cannot be told\n"
        "2 errors, 14 warnings\n"
    )


def test_json(convex: Path, cli: Cli) -> None:
    """
    The JSON form has the sites and the findings, with exactly the keys that are documented.
    """
    said = cli("audit", "convex/", "--format", "json")

    assert ["sites", "findings"] == list(said.json)
    assert {
        "file": "pages.ts",
        "line": 30,
        "call": "patch",
        "table": "clusterPages",
        "tracked": True,
        "verdict": "omits",
    } in said.json["sites"]
    assert all(["rule", "severity", "file", "line", "table", "message"] == list(each) for each in said.json["findings"])


def test_exit_codes(convex: Path, cli: Cli) -> None:
    """
    Warnings fail with --strict only; nothing found is 0.
    """
    clean(convex)

    assert (0, 1) == (cli("audit").code, cli("audit", "--strict").code)

    (convex / "pages.ts").unlink()

    assert (0, 0) == (cli("audit").code, cli("audit", "--strict").code)
    assert cli("audit").out.endswith("nothing found\n")


def test_unread(convex: Path, cli: Cli) -> None:
    """
    A file that does not parse is said on stderr, and fails with --strict.
    """
    clean(convex)
    (convex / "pages.ts").unlink()
    (convex / "broken.ts").write_text("export const a = {{{\n", "utf-8")
    said = cli("audit")

    assert (0, 1) == (said.code, cli("audit", "--strict").code)
    assert "broken.ts:1: " in said.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "there is no folder nowhere"),
        (["--updated", "changedAt"], "no table of convex has a field 'changedAt'"),
        (["--write-baseline"], "--baseline FILE"),
        (["--baseline", "none.json"], "there is no baseline none.json"),
        (["--config", "none.toml"], "no configuration file none.toml"),
        (["--format", "xml"], "xml"),
    ],
)
def test_usage(convex: Path, cli: Cli, arguments: list[str], said: str) -> None:
    """
    What cannot be meant exits 2 with a sentence.
    """
    found = cli("audit", *arguments)

    assert (2, "") == (found.code, found.out)
    assert said in found.err
    assert "Traceback" not in found.err


# -- The configuration -------------------------------------------------------------------------------------------


def test_configuration(convex: Path, cli: Cli) -> None:
    """
    `[audit]` in timestamp-guard.toml exempts, and needs no store beside it.
    """
    clean(convex)
    Path("timestamp-guard.toml").write_text(
        '[audit]\ntouch = ["status"]\n\n[[audit.ignore]]\nrule = "public-migration"\nwhy = "a reason"\n', "utf-8"
    )

    assert "nothing found" in cli("audit", "--strict").out


def test_configuration_of_stores(convex: Path, cli: Cli) -> None:
    """
    Who reads the stores of a file does not mind `[audit]` in it.
    """
    Path("timestamp-guard.toml").write_text(
        '[audit]\ntouch = []\n[[store]]\nurl = "jsonl:a.jsonl"\n[[store.table]]\n'
        'name = "a"\nupdated = "updatedAt"\nencoding = "epoch_ms"\n',
        "utf-8",
    )
    Path("a.jsonl").write_text('{"updatedAt": 1700000000000}\n', "utf-8")

    assert 0 == cli("check").code


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[audit]\ntuch = []\n", "no key 'tuch' in [audit]; did you mean 'touch'?"),
        ('[audit]\ntouch = "a"\n', "touch: wanted a list of names, found 'a'"),
        ("[audit]\nupdated = 5\n", "updated: wanted the name of a field, found 5"),
        ("[audit]\nignore = 5\n", "wanted [[audit.ignore]] sections, found 5"),
        ('[[audit.ignore]]\nrule = "patch-stale"\n', "the key 'why' is missing"),
        ('[[audit.ignore]]\nrule = "patch-stael"\nwhy = "a"\n', "did you mean 'patch-stale'?"),
        ('[[audit.ignore]]\nrule = "patch-stale"\nwhy = 5\n', "why: wanted text, found 5"),
        ('[[audit.ignore]]\nrule = "patch-stale"\nwhy = "a"\nfile = "a"\n', "did you mean 'files'?"),
        ("audit = 5\n", "wanted a section [audit], found 5"),
        ("[audit\n", "is no TOML"),
    ],
)
def test_wrong_configuration(convex: Path, cli: Cli, text: str, said: str) -> None:
    """
    What the file cannot mean is said, and nothing is audited.
    """
    Path("timestamp-guard.toml").write_text(text, "utf-8")
    found = cli("audit")

    assert (2, "") == (found.code, found.out)
    assert said in found.err


# -- The baseline ------------------------------------------------------------------------------------------------


def test_baseline(convex: Path, cli: Cli) -> None:
    """
    What was there before does not count, what is new does, and moved lines are not new.
    """
    written = cli("audit", "--baseline", "audit.json", "--write-baseline")
    assert (0, "", "timestamp-guard: wrote 16 findings to audit.json\n") == (written.code, written.out, written.err)
    assert "16 more findings are in audit.json, and do not count" in cli("audit", "--baseline", "audit.json").err
    assert (0, []) == ((found := cli("audit", "--strict", "--baseline", "audit.json", "--format", "json")).code,
                       found.json["findings"])  # fmt: skip

    path = convex / "pages.ts"
    path.write_text("// moved\n\n" + path.read_text("utf-8"), "utf-8")
    assert 0 == cli("audit", "--strict", "--baseline", "audit.json").code

    stale(convex)
    found = cli("audit", "--strict", "--baseline", "audit.json", "--format", "json")
    assert (1, ["more.ts"]) == (found.code, [each["file"] for each in found.json["findings"]])


def test_baseline_counts(convex: Path, cli: Cli) -> None:
    """
    The same fault twice in a file, of which one was there before, is one that is new.
    """
    stale(convex)
    cli("audit", "--baseline", "audit.json", "--write-baseline")
    path = convex / "more.ts"
    path.write_text(path.read_text("utf-8") * 2, "utf-8")

    assert 1 == len(cli("audit", "--baseline", "audit.json", "--format", "json").json["findings"])


def test_baseline_is_gone(convex: Path, cli: Cli) -> None:
    """
    What is mended is said, so that the file can be written anew.
    """
    cli("audit", "--baseline", "audit.json", "--write-baseline")
    clean(convex)

    assert "15 findings of audit.json are gone" in cli("audit", "--baseline", "audit.json").err


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 2, "findings": []}', '{"version": 1, "findings": [5]}'])
def test_wrong_baseline(convex: Path, cli: Cli, text: str) -> None:
    """
    A file that is no baseline is refused.
    """
    Path("audit.json").write_text(text, "utf-8")
    found = cli("audit", "--baseline", "audit.json")

    assert 2 == found.code
    assert "audit.json" in found.err


# -- SARIF and annotations ---------------------------------------------------------------------------------------

REQUIRED: dict[str, list[str]] = {
    "log": ["version", "runs"],
    "run": ["tool"],
    "tool": ["driver"],
    "driver": ["name"],
    "rule": ["id"],
    "result": ["message"],
    "invocation": ["executionSuccessful"],
}
"""The properties that the published schema of SARIF 2.1.0 requires of what we write."""

LEVELS = {"none", "note", "warning", "error"}


def held(what: str, value: Any) -> Any:
    assert isinstance(value, dict)
    assert [] == [each for each in REQUIRED[what] if each not in value]
    return value


def located(place: Any) -> None:
    physical = place["physicalLocation"]
    assert isinstance(physical["artifactLocation"]["uri"], str)
    assert not physical["artifactLocation"]["uri"].startswith("/")
    assert " " not in physical["artifactLocation"]["uri"]
    assert physical.get("region", {"startLine": 1})["startLine"] >= 1


def test_sarif(convex: Path, cli: Cli) -> None:
    """
    SARIF has what its schema requires, and places that are seen from the root of the repository.
    """
    (convex / "my functions.ts").write_text((convex / "services.ts").read_text("utf-8"), "utf-8")
    (convex / "broken.ts").write_text("export const a = {{{\n", "utf-8")
    log = held("log", cli("audit", "--format", "sarif").json)
    run = held("run", log["runs"][0])
    driver = held("driver", held("tool", run["tool"])["driver"])

    assert "2.1.0" == log["version"]
    assert list(RULES) == [held("rule", each)["id"] for each in driver["rules"]]
    assert all(each["defaultConfiguration"]["level"] in LEVELS for each in driver["rules"])
    for result in run["results"]:
        assert held("result", result)["message"]["text"]
        assert result["level"] in LEVELS
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert all(isinstance(each, str) for each in result["partialFingerprints"].values())
        for each in result["locations"]:
            located(each)
    for each in held("invocation", run["invocations"][0])["toolExecutionNotifications"]:
        assert each["message"]["text"]
        located(each["locations"][0])
    uris = {each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for each in run["results"]}
    assert {"convex/pages.ts", "convex/my%20functions.ts"} <= uris


def test_sarif_of_an_absolute_folder(convex: Path, cli: Cli) -> None:
    """
    A place that begins at the root of the machine is a URI of its own.
    """
    folder = convex.resolve().rename(convex.resolve().with_name("my convex"))
    (folder / "broken.ts").write_text("export const a = {{{\n", "utf-8")

    run = cli("audit", str(folder), "--format", "sarif").json["runs"][0]

    places = [*run["results"], *run["invocations"][0]["toolExecutionNotifications"]]
    uris = {each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for each in places}
    assert f"file://{folder.parent.as_posix()}/my%20convex/pages.ts" in uris
    assert all(each.startswith("file:///") for each in uris)


def test_github(convex: Path, cli: Cli) -> None:
    """
    Annotations are commands of a workflow, a line each, whatever a file is called.
    """
    (convex / "a,b: 100%.ts").write_text((convex / "services.ts").read_text("utf-8"), "utf-8")
    said = cli("audit", "--format", "github")
    lines = said.out.splitlines()

    assert 17 == len(lines)
    assert all(line.startswith(("::error file=convex/", "::warning file=convex/")) for line in lines)
    assert any(
        line.startswith("::error file=convex/a%2Cb%3A 100%25.ts,line=4,title=file-not-bundled::") for line in lines
    )


def test_no_parser(convex: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where the parser is not installed, a sentence says what to install.
    """
    import sys

    for name in [each for each in sys.modules if each.startswith(("timestamp_guard.convex", "timestamp_guard.audit"))]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("timestamp_guard.cli.audit", "timestamp_guard.render.sarif", "timestamp_guard.render.github"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "tree_sitter_typescript", None)
    found = cli("audit")

    assert 2 == found.code
    assert "timestamp-guard[convex]" in found.err


def test_baseline_is_readable(convex: Path, cli: Cli) -> None:
    """
    The baseline says which rule and which file each entry is of.
    """
    cli("audit", "--baseline", "audit.json", "--write-baseline")
    said = json.loads(Path("audit.json").read_text("utf-8"))

    assert 1 == said["version"]
    assert ["rule", "file", "table", "fingerprint"] == list(said["findings"][0])
