"""
From an optional field to a required one on a live deployment: what a person is told to change, and that no push fails.
"""

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.convex_database import Thrown, validate
from tests.convex_server import KEY, Deployment, deployment
from timestamp_guard import Repair, UsageError, backfill, open_store, rollback, runs, updated_at_guard, verify
from timestamp_guard.cli import main
from timestamp_guard.convex.patching import change, stages
from timestamp_guard.convex.schema import read_schema
from timestamp_guard.engine.migrate import Migration, migrate

GUARD = updated_at_guard("updatedAt", "createdAt")
REPAIR = Repair("updatedAt", ("createdAt",))
THEN = 1_700_000_000_000.0

SCHEMA = """\
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

const audited = { updatedAt: v.optional(v.number()) };

export default defineSchema({
  services: defineTable({
    name: v.string(), // é: bytes are no characters
    createdAt: v.number(),
    FIELD
  }).index("by_name", ["name"]),
  others: defineTable({ ...audited, name: v.string() }),
});
"""
OPTIONAL = SCHEMA.replace("FIELD", "updatedAt: v.optional(v.number()),")
WITHOUT = SCHEMA.replace("    FIELD\n", "")


@pytest.fixture(autouse=True)
def app(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """
    An app whose schema has the field as optional, in this folder.
    """
    monkeypatch.setenv("CONVEX_DEPLOY_KEY", KEY)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "convex").mkdir()
    (tmp_path / "convex/schema.ts").write_text(OPTIONAL)
    return tmp_path


@pytest.fixture
def server() -> Iterator[Deployment]:
    """
    A deployment of it, with 20 records of which 10 lack the field.
    """
    rows = [{"name": f"s{n}", "createdAt": THEN + n, **({"updatedAt": THEN + n} if n % 2 else {})} for n in range(20)]
    with deployment({"services": rows, "others": []}) as made:
        push(made)
        yield made


def push(server: Deployment) -> None:
    """
    What `npx convex deploy` does with the schema in this folder: it fails where a document does not match.
    """
    tables = [
        {
            "tableName": table.name,
            "documentType": {
                "type": "object",
                "value": {
                    name: {"fieldType": exported(each.kinds), "optional": each.optional}
                    for name, each in table.fields.items()
                },
            },
        }
        for table in read_schema(Path("convex")).tables.values()
    ]
    schema = {"tables": tables, "schemaValidation": True}
    for name, documents in server.database.tables.items():
        for document in documents.values():
            validate(schema, name, document)
    server.database.schema = schema


def exported(kinds: Iterable[str]) -> Mapping[str, Any]:
    """A type as a deployment tells it: of several kinds, a union."""
    found = [{"type": each} for each in sorted(kinds)]
    return found[0] if len(found) == 1 else {"type": "union", "value": found}


def apply(patch: str) -> None:
    """What a person does with a patch."""
    subprocess.run(["git", "apply"], input=patch[patch.index("--- a/") :].encode(), check=True)


def go(server: Deployment, **how: Any) -> Migration:
    with open_store(server.url, "services", encodings="epoch_ms") as store:
        return migrate(store, GUARD, REPAIR, **how)


def said(done: Migration) -> Mapping[str, tuple[bool, str]]:
    return {each.phase: (each.ok, each.said) for each in done.evidence}


def test_from_end_to_end(server: Deployment) -> None:
    """
    Widened, guarded, filled, proved, narrowed and proved again, each call as far as a person has come; no push fails.
    """
    Path("convex/schema.ts").write_text(WITHOUT)
    for each in server.database.tables["services"].values():
        each.pop("updatedAt", None)
    push(server)
    server.deployed = False
    before = json.dumps(server.database.tables["services"])

    widen = said(go(server))["gate"]
    assert not widen[0]
    assert "let services have the field updatedAt" in widen[1]
    apply(widen[1])
    assert "says so already, so deploy it" in said(go(server))["gate"][1]
    push(server)
    assert "timestamp-guard convex init" in said(go(server))["gate"][1]
    server.deployed = True

    narrow = go(server)
    assert {"check": True, "gate": True, "enforce": False} == {phase: ok for phase, (ok, _) in said(narrow).items()}
    assert not any(each.get("updatedAt") is None for each in server.database.tables["services"].values())
    apply(said(narrow)["enforce"][1])
    assert "updatedAt: v.number(),\n" in Path("convex/schema.ts").read_text()
    push(server)

    done = go(server)
    assert done.complete
    assert 1 == sum(run.action == "migrate" for run in recorded(server))
    assert "missing the required field" in said(done)["prove"][1]

    with (
        open_store(server.url, "services", encodings="epoch_ms") as store,
        pytest.raises(UsageError, match="found none in updatedAt"),
    ):
        rollback(store)
    Path("convex/schema.ts").write_text(OPTIONAL)
    push(server)
    with open_store(server.url, "services", encodings="epoch_ms") as store:
        assert rollback(store).ok
    assert before == json.dumps(server.database.tables["services"])


def recorded(server: Deployment) -> list[Any]:
    with open_store(server.url, "services", encodings="epoch_ms", read_only=True) as store:
        return runs(store)


def test_never_a_push_that_must_fail(server: Deployment) -> None:
    """
    While a record is broken nobody is told to require the field; what came after the patch was shown is filled first.
    """
    hopeless = server.database.put("services", {"name": "x", "createdAt": -1.0})
    stuck = go(server)
    assert ["check", "gate", "backfill"] == list(said(stuck))
    assert not stuck.ok
    assert "v.number()" not in said(stuck)["backfill"][1]
    del server.database.tables["services"][hopeless]

    apply(said(go(server))["enforce"][1])
    server.database.put("services", {"name": "late", "createdAt": THEN})
    with pytest.raises(Thrown, match="missing the required field `updatedAt`"):
        push(server)

    again = said(go(server))["enforce"]
    assert (False, "says so already, so deploy it") == (again[0], again[1][again[1].index("says so") :][:29])
    push(server)
    assert go(server).complete


def test_null_is_not_required(server: Deployment) -> None:
    """
    A field that may be null is not required yet: the patch takes that away, and only then it is complete.
    """
    Path("convex/schema.ts").write_text(SCHEMA.replace("FIELD", "updatedAt: v.union(v.number(), v.null()),"))
    for each in server.database.tables["services"].values():
        each.setdefault("updatedAt", None)
    push(server)

    narrow = go(server)
    assert not narrow.complete
    assert "require updatedAt of services" in said(narrow)["enforce"][1]
    server.database.put("services", {"name": "late", "createdAt": THEN, "updatedAt": None})
    assert not go(server).complete
    apply(said(go(server))["enforce"][1])
    assert "updatedAt: v.number(),\n" in Path("convex/schema.ts").read_text()
    push(server)

    assert go(server).complete


@pytest.mark.parametrize(
    ("held", "says"),
    [
        ("v.number()", "refused"),
        ("v.union(v.number(), v.null())", "accepted where updatedAt is null, for the schema says null or number"),
        ("v.any()", "accepted where updatedAt is null, for the schema says any"),
        ("v.optional(v.number())", "accepted"),
    ],
)
def test_a_probe_of_null(server: Deployment, held: str, says: str) -> None:
    """
    `verify --probe` says that null gets in where the schema takes it, and that this is not well.
    """
    backfilled(server)
    Path("convex/schema.ts").write_text(SCHEMA.replace("FIELD", f"updatedAt: {held},"))
    push(server)

    with open_store(server.url, "services", encodings="epoch_ms") as store:
        found = verify(store, GUARD, "updatedAt", probe=True)

    assert found.probe is not None
    assert says == found.probe.without.partition(": ")[0]
    assert (held == "v.number()") == found.ok


def backfilled(server: Deployment) -> None:
    """Every record has the field."""
    with open_store(server.url, "services", encodings="epoch_ms") as store:
        backfill(store, GUARD, REPAIR)


def test_enforce(server: Deployment, capsys: Any) -> None:
    """
    `enforce` changes no schema, and says who does.
    """
    before = json.dumps(server.database.schema)

    assert 2 == exit_code(
        ["enforce", server.url, "--table", "services", "--updated", "updatedAt", "--encoding", "epoch_ms"]
    )
    assert "is held by the schema of its app, which is yours to change: migrate says what" in capsys.readouterr().err
    assert before == json.dumps(server.database.schema)


def test_on_the_command_line(server: Deployment, capsys: Any) -> None:
    """
    `migrate` shows the patch as it can be applied, and exits 1 until all is done.
    """
    words = ["migrate", server.url, "--table", "services", "--updated", "updatedAt", "--encoding", "epoch_ms"]
    words += ["--fill", "createdAt"]

    late = server.database.put("services", {"name": "late", "createdAt": THEN + 9, "updatedAt": THEN})
    assert 1 == exit_code([*words, "--created", "createdAt"])
    assert "21 records, 1 broken (1 out_of_order); " in capsys.readouterr().out
    del server.database.tables["services"][late]
    assert 0 == exit_code(["rollback", server.url])
    capsys.readouterr()

    assert 1 == exit_code(words)
    shown = capsys.readouterr()
    assert "services: enforce: require updatedAt of services" in shown.err
    assert "--- a/convex/schema.ts" not in shown.err  # on a terminal both are seen: once will do
    apply(shown.out)
    push(server)
    assert 0 == exit_code(words)
    assert "complete" in capsys.readouterr().out


def exit_code(words: list[str]) -> int:
    try:
        return int(main(words) or 0)
    except SystemExit as problem:
        return int(problem.code or 0)


def test_no_triggers(server: Deployment) -> None:
    """
    What a database can do by itself is not promised here.
    """
    with pytest.raises(UsageError, match="has no triggers"):
        go(server, keep_current=True)


def test_without_the_app(server: Deployment) -> None:
    """
    Called elsewhere, it says in words what to change.
    """
    Path("convex/schema.ts").unlink()

    told = said(go(server))["enforce"][1]

    assert told.startswith("require updatedAt of services")
    assert "in convex/schema.ts, and deploy it with npx convex deploy" in told
    assert "--- a/" not in told


def test_nothing_is_validated(server: Deployment) -> None:
    """
    A schema that is not held requires nothing.
    """
    assert server.database.schema is not None
    server.database.schema["schemaValidation"] = False

    assert "schemaValidation: false: take that out" in said(go(server))["enforce"][1]


# -- patches


@pytest.mark.parametrize(
    ("held", "made"),
    [
        ("updatedAt: v.optional(v.number()),", "updatedAt: v.number(),"),
        ("updatedAt: v.number().optional(),", "updatedAt: v.number(),"),
        ("updatedAt: v.union(v.number(), v.null()),", "updatedAt: v.number(),"),
        ("updatedAt: v.optional(v.union(v.null(), v.int64())),", "updatedAt: v.int64(),"),
        ('"updatedAt": v.optional(v.commitTs()), // why', '"updatedAt": v.commitTs(), // why'),
    ],
)
def test_required(held: str, made: str) -> None:
    """
    What lets a field be absent is taken away, and nothing else.
    """
    Path("convex/schema.ts").write_text("\ufeff" + SCHEMA.replace("FIELD", held), "utf-8")

    patch = change(Path("convex"), "services", "updatedAt", required=True)

    assert patch
    apply(patch)
    assert "\ufeff" + SCHEMA.replace("FIELD", made) == Path("convex/schema.ts").read_text("utf-8")


@pytest.mark.parametrize(
    ("table", "held"),
    [
        ("others", "FIELD"),
        ("nowhere", ""),
        ("services", "updatedAt: stamp,"),
        ("services", "...audited,"),
        ("services", "updatedAt: v.any(),"),
    ],
)
def test_lines_that_cannot_be_told(table: str, held: str) -> None:
    """
    A field that comes from elsewhere is not changed by a guess.
    """
    text = SCHEMA.replace("FIELD", held).replace(
        "const audited", "const stamp = v.optional(v.number());\nconst audited"
    )
    Path("convex/schema.ts").write_text(text)

    assert change(Path("convex"), table, "updatedAt", required=True) is None


def test_on_one_line() -> None:
    """
    A field is put in as its neighbours stand.
    """
    Path("convex/schema.ts").write_text(WITHOUT.replace("...audited, name", "name"))

    patch = change(Path("convex"), "others", "updatedAt", required=False)

    assert patch
    assert "+  others: defineTable({ name: v.string(), updatedAt: v.optional(v.number()) })," in patch


SHARED = 'import { v } from "convex/values";\nexport const named = { name: v.string() };\n'
TABLE = """\
import { defineTable } from "convex/server";
import { v } from "convex/values";
export const services = defineTable({ updatedAt: v.optional(v.number()) });
"""


@pytest.mark.parametrize("place", ["convex", "shared"])
def test_files_from_outside(app: Path, place: str) -> None:
    """
    What a schema imports from outside of the folder is no hindrance, and is changed where the table stands there.
    """
    (app / "shared").mkdir()
    (app / "shared/named.ts").write_text(SHARED)
    (app / "shared/services.ts").write_text(TABLE)
    schema = OPTIONAL.replace("name: v.string() }),", "...named }),").replace(
        "const audited", 'import { named } from "../shared/named";\nconst audited'
    )
    if place == "shared":
        head, _, tail = schema.partition("  services: ")
        schema = f'import {{ services }} from "../shared/services";\n{head}  services,\n  others{tail.partition("  others")[2]}'
    Path("convex/schema.ts").write_text(schema)

    patch = change(Path("convex"), "services", "updatedAt", required=True)

    assert patch
    assert patch.startswith(f"--- a/{place}/{'schema' if place == 'convex' else 'services'}.ts\n")
    apply(patch)
    read = read_schema(app)
    assert read.tables["services"].fields["updatedAt"].required
    assert "name" in read.tables["others"].fields


@pytest.mark.parametrize("required", [True, False], ids=["narrow", "widen"])
@pytest.mark.parametrize(
    ("old", "new"),
    [("\n", "\r\n"), ("});\n", "});"), ("// é", "// a form feed\f, a next line\x85, é")],
    ids=["line ends of Windows", "no line end at the end", "what only Python takes for a line end"],
)
def test_lines_stay(app: Path, old: str, new: str, *, required: bool) -> None:
    """
    Lines stay as they are, however they end; git applies it.
    """
    before = (OPTIONAL if required else WITHOUT).replace(old, new)
    Path("convex/schema.ts").write_bytes(before.encode())
    (app / "convex/gone.ts").symlink_to("nowhere.ts")

    patch = change(Path("convex"), "services", "updatedAt", required=required)

    assert patch
    apply(patch)
    after = SCHEMA.replace("FIELD", "updatedAt: v.number(),") if required else OPTIONAL
    assert after.replace(old, new).encode() == Path("convex/schema.ts").read_bytes()


def test_not_in_unicode() -> None:
    """
    Of a file that is not UTF-8 no patch is made, for what is printed would not be its bytes.
    """
    Path("convex/schema.ts").write_bytes(OPTIONAL.encode("latin-1"))

    assert change(Path("convex"), "services", "updatedAt", required=True) is None


def test_functions_elsewhere(app: Path, server: Deployment) -> None:
    """
    The folder of the functions is the one that convex.json names.
    """
    (app / "src").mkdir()
    (app / "convex").rename(app / "src/backend")
    (app / "convex.json").write_text('{"functions": "src/backend"}')

    patch = change(Path(), "services", "updatedAt", required=True)

    assert patch
    assert said(go(server))["enforce"][1].endswith(f"\n{patch}")
    apply(patch)
    assert not read_schema(app).tables["services"].fields["updatedAt"].optional


@pytest.mark.parametrize(
    ("version", "knows"), [("1.47.0", True), ("1.48.0-alpha.1", True), ("1.46.9", False), ("x", False)]
)
def test_staged(app: Path, server: Deployment, version: str, knows: bool) -> None:
    """
    Where the installed version has it, a validator can be staged first.
    """
    (app / "node_modules/convex").mkdir(parents=True)
    (app / "node_modules/convex/package.json").write_text(json.dumps({"version": version}))

    assert knows == stages(Path("convex"))
    assert knows == ("defineTable(...).staged(...)" in said(go(server))["enforce"][1])


@pytest.mark.parametrize(("kinds", "says"), [({"number"}, True), ({"number", "null"}, False)])
def test_staged_already(server: Deployment, kinds: set[str], *, says: bool) -> None:
    """
    A staged validator that requires the field has only to become the schema; one that takes null does not require it.
    """
    assert server.database.schema is not None
    for table in server.database.schema["tables"]:
        value = {"updatedAt": {"fieldType": exported(kinds), "optional": False}}
        table["stagedDocumentType"] = {"type": "object", "value": value}

    assert says == ("the staged validator says so already" in said(go(server))["enforce"][1])


def test_filled_before(server: Deployment) -> None:
    """
    Records that were filled by hand are no hindrance.
    """
    backfilled(server)

    assert "v.number()" in said(go(server))["enforce"][1]
