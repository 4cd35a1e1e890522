"""Files that are not as they should be: the audit says so, and reads the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from timestamp_guard.audit import Settings, audit
from timestamp_guard.convex.generate import GuardedTable, module
from timestamp_guard.errors import UsageError
from timestamp_guard.rules import updated_at_guard

from .test_audit_rules import app, mutation

WRITE = 'await ctx.db.insert("pages", { name: "a" });'
GOOD = mutation(WRITE)


def test_syntax_error(tmp_path: Path) -> None:
    """
    A file that does not parse is a problem with its line, and the others are read.
    """
    broken = "export const a = mutation({ handler: async (ctx) => {\n  await ctx.db.insert('pages', {{{ name: \n"
    found = audit(app(tmp_path, a__ts=broken, b__ts=GOOD))

    assert ["b.ts"] == [each.file for each in found.findings]
    assert {"a.ts"} == {each.file for each in found.problems}
    assert all(each.line >= 1 for each in found.problems)


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"\0\0\0\xff\xfe",
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.replace("\n", "\r\n").encode(),
        GOOD.replace('"a"', '"caf\xe9"').encode("latin-1"),
        GOOD.encode() + b"\nconst long = '" + b"x" * 1_000_000 + b"';\n",
        GOOD.encode() + b"const deep = " + b"[" * 5_000 + b"]" * 5_000 + b";\n",
        b"export const row = "
        + b"{...(" * 1_000
        + b"{}"
        + b")}" * 1_000
        + b";\n"
        + mutation('await ctx.db.insert("pages", row);').encode(),
        b"const a = b; const b = a;\n" + mutation('await ctx.db.insert("pages", a);').encode(),
        b"function a(x) { return a(a(x)); }\n" + mutation('await ctx.db.insert("pages", a(a({})));').encode(),
        mutation('await ctx.db.insert("pages", ' + "1 ? ".join(["{}"] * 2) + " : " * 500 + ");").encode(),
    ],
    ids=["empty", "binary", "bom", "crlf", "latin", "long", "deep", "spreads", "circle", "recursion", "garbage"],
)
def test_hostile(tmp_path: Path, source: bytes) -> None:
    """
    Whatever a file holds, the others are read, and nothing is raised.
    """
    folder = app(tmp_path, b__ts=GOOD)
    (folder / "a.ts").write_bytes(source)
    found = audit(folder)

    assert [("b.ts", "pages")] == [(each.file, each.table) for each in found.findings if each.file == "b.ts"]


STEPWISE = {
    "set": "if (args.a{n}) row.field{n} = args.a{n};\n",
    "replaced": "if (args.a{n}) row = {{ ...row, field{n}: 1 }};\n",
    "assigned": "if (args.a{n}) Object.assign(row, {{ field{n}: 1 }});\n",
    "deleted": "if (args.a{n}) delete row.field{n};\n",
    "given": "if (args.a{n}) elsewhere(row);\n",
}


@pytest.mark.parametrize("kind", STEPWISE)
def test_step_by_step(tmp_path: Path, kind: str) -> None:
    """
    An object that is put together in many steps, each under a condition, is judged as soon as one of two.
    """
    count = 15 if kind == "replaced" else 100  # a value that is made from one from one ... is followed so far only
    steps = "".join(STEPWISE[kind].format(n=n) for n in range(count))
    body = f'let row: any = {{ name: "a" }};\n{steps}await ctx.db.insert("pages", row);\nrow.updatedAt = 5;\n'
    found = audit(app(tmp_path, a__ts=mutation(f'{body}await ctx.db.insert("pages", row);')))

    words = ["indeterminate" if kind == "given" else "omits", "sets"]
    assert words == [each.verdict for each in found.sites]


@pytest.mark.parametrize("source", [b"\xef\xbb\xbf" + GOOD.encode(), GOOD.replace("\n", "\r\n").encode()])
def test_lines(tmp_path: Path, source: bytes) -> None:
    """
    A byte order mark and other ends of lines move no line.
    """
    folder = app(tmp_path / "other")
    (folder / "a.ts").write_bytes(source)
    (plain,) = audit(app(tmp_path / "plain", a__ts=GOOD)).sites

    assert [(plain.line, plain.verdict)] == [(each.line, each.verdict) for each in audit(folder).sites]


def test_links(tmp_path: Path) -> None:
    """
    A link to a folder above is not followed, one that leads nowhere is passed over, one to a file is read.
    """
    folder = app(tmp_path / "convex", a__ts=GOOD)
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "gone.ts").symlink_to(tmp_path / "nowhere.ts")
    (tmp_path / "outside.ts").write_text(GOOD, "utf-8")
    (folder / "b.ts").symlink_to(tmp_path / "outside.ts")

    assert ["a.ts", "b.ts"] == [each.file for each in audit(folder).sites]


def test_left_out(tmp_path: Path) -> None:
    """
    What is generated, installed, hidden, a test or a mock is left out.
    """
    folder = app(tmp_path, lib__ts=GOOD)
    for name in (
        "_generated/a.ts",
        "node_modules/p/a.ts",
        ".hidden/a.ts",
        "__tests__/a.ts",
        "__mocks__/a.ts",
        "a.spec.ts",
        "types.d.ts",
        "notes.md",
    ):
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(mutation(WRITE).replace("export ", ""), "utf-8")
    (folder / "helpers.ts").write_text(f'import {{ test }} from "vitest";\n{GOOD}', "utf-8")

    assert ["lib.ts"] == [each.file for each in audit(folder).sites]


OURS: Final = module([GuardedTable("pages", "updatedAt", updated_at_guard("updatedAt"), "epoch_ms")])


@pytest.mark.parametrize(
    "text",
    [OURS, OURS.replace("\n", "\r\n"), "\ufeff" + OURS, OURS.replace("  ", "    "), f"{OURS}{GOOD}"],
    ids=["as written", "crlf", "bom", "formatted", "edited"],
)
def test_our_module_is_left_out(tmp_path: Path, text: str) -> None:
    """
    The module that `convex init` writes is generated code, under any name: its writes are not the app's.
    """
    folder = app(tmp_path, lib__ts=GOOD)
    plain = audit(folder)
    (folder / "guarded.ts").write_bytes(text.encode())

    assert plain == audit(folder)


def test_what_names_our_module_is_read(tmp_path: Path) -> None:
    """
    A file that speaks of `convex init`, and was not written by it, is code of the app.
    """
    folder = app(tmp_path, lib__ts="// Written by hand, after timestamp-guard convex init.\n" + GOOD)

    assert ["lib.ts"] == [each.file for each in audit(folder).sites]


def test_above(tmp_path: Path) -> None:
    """
    The folder that holds `convex` may be named too; files are told from there.
    """
    app(tmp_path / "convex", a__ts=GOOD)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "b.ts").write_text(GOOD, "utf-8")

    assert [("convex/a.ts", "pages")] == [(each.file, each.table) for each in audit(tmp_path).sites]

    (tmp_path / "convex").rename(tmp_path / "backend")
    (tmp_path / "convex.json").write_text('{"functions": "backend"}', "utf-8")

    assert ["backend/a.ts"] == [each.file for each in audit(tmp_path).sites]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: folder / "nowhere", "there is no folder"),
        (lambda folder: folder, "no schema.ts"),
        (lambda folder: app(folder / "a"), "no table"),
    ],
)
def test_usage(tmp_path: Path, make: object, said: str) -> None:
    """
    Without a folder, a schema or a table with the field there is nothing to audit, and that is said.
    """
    assert callable(make)
    with pytest.raises(UsageError, match=said):
        audit(make(tmp_path), Settings(updated="changedAt"))


def test_file_for_a_folder(tmp_path: Path) -> None:
    """
    Who names the file of the schema is told to name the folder that it is in.
    """
    folder = app(tmp_path / "convex", a__ts=GOOD)
    with pytest.raises(UsageError) as raised:
        audit(folder / "schema.ts")

    assert f"{folder}/schema.ts is a file; name the folder with schema.ts in it, like {folder}" == str(raised.value)


def test_schema_that_does_not_parse(tmp_path: Path) -> None:
    """
    A schema in which no table can be seen, as it does not parse, is said not to parse, and where.
    """
    (tmp_path / "schema.ts").write_text("\nexport default defineSchema({ a: defineTable({ {{{ updatedAt", "utf-8")
    with pytest.raises(UsageError, match=r"schema\.ts:2: cannot be read as TypeScript"):
        audit(tmp_path)
