"""Each rule of the audit: what breaks it, and what only looks like it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from timestamp_guard.audit import RULES, Ignored, Settings, audit

BEFORE = Path(__file__).parents[1] / "examples" / "convex" / "before" / "convex"
"""The application with all faults, as the worked example has it."""

SCHEMA = """\
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";
export default defineSchema({
  services: defineTable({ name: v.string(), viewCount: v.number(), updatedAt: v.number() }),
  pages: defineTable({ name: v.string(), updatedAt: v.optional(v.number()) }).index("by_name", ["name"]),
  users: defineTable({ name: v.string() }),
});
"""
HEAD = 'import { v } from "convex/values";\nimport { internalMutation, mutation, query } from "./_generated/server";\n'


def mutation(body: str, kind: str = "internalMutation", name: str = "change") -> str:
    return (
        f"{HEAD}export const {name} = {kind}({{\n"
        f'  args: {{ id: v.id("services"), page: v.id("pages"), user: v.id("users") }},\n'
        f"  handler: async (ctx, args) => {{\n{body}\n  }},\n}});\n"
    )


def app(folder: Path, **files: str) -> Path:
    for name, text in {"schema.ts": SCHEMA, **{key.replace("__", "."): text for key, text in files.items()}}.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text, "utf-8")
    return folder


def rules(folder: Path, settings: Settings | None = None) -> list[str]:
    return [each.rule for each in audit(folder, settings).findings]


LOOP = "for (const row of await ctx.db.query('pages').take(9)) {{ {body} }}"

BROKEN = {
    "insert-missing-required": 'await ctx.db.insert("services", { name: "a", viewCount: 0 });',
    "insert-missing-optional": 'await ctx.db.insert("pages", { name: "a" });',
    "replace-missing": 'await ctx.db.replace(args.page, { name: "a" });',
    "patch-stale": 'await ctx.db.patch(args.page, { name: "a" });',
    "unbounded-collect": 'return await ctx.db.query("pages").filter((q) => q.eq("name", "a")).collect();',
    "swallowed-errors": "try { await ctx.db.patch(args.page, { updatedAt: 1 }); } catch (error) { console.log(error); }",
    "epoch-zero-literal": "await ctx.db.patch(args.page, { updatedAt: 0 });",
    "required-too-soon": "const row = await ctx.db.get(args.id); if (row!.updatedAt === undefined) await ctx.db.patch(args.id, { updatedAt: Date.now() });",
}

SOUND = {
    "insert-missing-required": [
        'await ctx.db.insert("services", { name: "a", viewCount: 0, updatedAt: 5 });',
        'await ctx.db.insert("users", { name: "a" });',
        'await ctx.db.insert("services", JSON.parse("{}"));',
    ],
    "insert-missing-optional": ['await ctx.db.insert("pages", { name: "a", ...(args ? { updatedAt: 5 } : {}) });'],
    "replace-missing": ['await ctx.db.replace(args.page, { name: "a", updatedAt: 5 });'],
    "patch-stale": [
        "await ctx.db.patch(args.id, { viewCount: 5 });",
        "await ctx.db.patch(args.id, { viewCount: 5, lastSeenAt: 6, sortOrder: 1, mailSentAt: 2 });",
        'await ctx.db.patch(args.user, { name: "a" });',
    ],
    "unbounded-collect": [
        'return await ctx.db.query("pages").withIndex("by_name", (q) => q.eq("name", "a")).collect();',
        'return await ctx.db.query("pages").take(100);',
        'return await ctx.db.query("users").collect();',
        'return await ctx.db.query("pages").paginate({ numItems: 10, cursor: null });',
    ],
    "swallowed-errors": [
        "try { await ctx.db.patch(args.page, { updatedAt: 1 }); } catch (error) { throw new Error(String(error)); }",
        "try { await ctx.db.patch(args.page, { updatedAt: 1 }); } catch { return { success: false }; }",
        "const failed = [];\ntry { await ctx.db.patch(args.page, { updatedAt: 1 }); } catch (error) { failed.push(error); } if (failed.length > 0) throw failed[0];",
        "try { JSON.parse('x'); } catch { /* no matter */ }",
    ],
    "epoch-zero-literal": [
        "await ctx.db.patch(args.page, { updatedAt: 1 });",
        'await ctx.db.patch(args.page, { name: "0", updatedAt: Date.now() - 0 });',
        "const since = { createdAt: 0 };",
        *(
            f"await ctx.db.patch(args.page, {{ updatedAt: {each} }});"
            for each in (
                "0x10",
                "10",
                "-2",
                "1e3",
                '"0"',
                '""',
                '"2024-01-01"',
                '"1970-01-02"',
                "`${args.page}`",
                "new Date(1700000000000).getTime()",
                "new Date(2024, 0)",
                "new Date()",
                "Date.now()",
                "-args.at",
                "~0",
                "0 || args.at",
                "Date.UTC(0)",
                "prepare(0)",
            )
        ),
    ],
    "required-too-soon": [
        "const row = await ctx.db.get(args.page); if (row!.updatedAt === undefined) await ctx.db.patch(args.page, { updatedAt: Date.now() });",
        "await ctx.db.patch(args.id, { updatedAt: Date.now() });",
    ],
}


MORE: Final = {
    "swallowed-errors": [
        "await ctx.db.patch(args.page, { updatedAt: 1 }).catch(() => null);",
        "try { await ctx.db.patch(args.page, { updatedAt: 1 }); } catch { console.log('failed'); } finally { done(); }",
    ],
    "epoch-zero-literal": [
        f"await ctx.db.patch(args.page, {{ updatedAt: {each} }});"
        for each in (
            "-1",
            "0n",
            "(0 as number)",
            "new Date(0).getTime()",
            '"1970-01-01T00:00:00.000Z"',
            '"0001-01-01T00:00:00Z"',
            '"9999-12-31"',
            '"0000-01-01"',
            '"1970-01-01T01:00:00+01:00"',
            "`1970-01-01`",
            "0.00",
            ".0",
            "0x0",
            "0b0",
            "00",
            "0_0",
            "0e5",
            "+0",
            "-0n",
            "+new Date(0)",
            "new Date(0)",
            "new Date(-1).valueOf()",
            'new Date("1970-01-01").getTime()',
            'Date.parse("1970-01-01")',
            "Number(new Date(0))",
            "BigInt(0)",
            "args.at || 0",
            "(0 ?? args.at)",
            "args ? 5 : 0",
            "args.at ?? 0",
        )
    ]
    + ["const row: any = {}; row.updatedAt = 0;", 'const row = { "updatedAt": 0 };'],
    "unbounded-collect": ['return await ctx.db.query("pages").withIndex("by_name").collect();'],
}
"""Other ways to break the same rules."""

SOUND["swallowed-errors"] += [
    "await ctx.db.patch(args.page, { updatedAt: 1 }).catch((error) => { throw error; });",
    "try { await ctx.db.patch(args.page, { updatedAt: 1 }); } finally { console.log('done'); }",
    "await ctx.db.patch(args.user, {}).catch(() => null);",
    "await ctx.db.patch(args.page, { updatedAt: 1 }).then(() => null);",
]
SOUND["epoch-zero-literal"] += [
    "const { updatedAt } = args as any; const other = updatedAt;",
    "const row: any = {}; row.updatedAt += 0 + 1;",
    "if (args.page.updatedAt === 0) throw new Error();",
]
SOUND["unbounded-collect"] += ["const collect = 5; return collect;", "return args.collect;"]


@pytest.mark.parametrize(("rule", "body"), [(rule, body) for rule, bodies in MORE.items() for body in bodies])
def test_otherwise_broken(tmp_path: Path, rule: str, body: str) -> None:
    """
    A rule is broken in more ways than one.
    """
    assert [rule] == rules(app(tmp_path, a__ts=mutation(body)))


@pytest.mark.parametrize("rule", BROKEN)
def test_broken(tmp_path: Path, rule: str) -> None:
    """
    What breaks a rule is found once, with its severity, at its line.
    """
    folder = app(tmp_path, a__ts=mutation(BROKEN[rule]))
    (found,) = audit(folder).findings

    assert (rule, RULES[rule][0], "a.ts") == (found.rule, found.severity, found.file)
    assert found.line in {6, 7}


@pytest.mark.parametrize(("rule", "body"), [(rule, body) for rule, bodies in SOUND.items() for body in bodies])
def test_sound(tmp_path: Path, rule: str, body: str) -> None:
    """
    What only looks like it is not.
    """
    assert [] == rules(app(tmp_path, a__ts=mutation(body)))


def test_every_rule_is_tried() -> None:
    """
    There is no rule without a case here.
    """
    others = {"file-not-bundled", "unused-validator", "public-migration", "run-command"}

    assert RULES.keys() == BROKEN.keys() | others
    assert BROKEN.keys() == SOUND.keys()


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.test.ts", mutation("return 1;"), ["file-not-bundled"]),
        ("a.helpers.ts", mutation("return 1;"), ["file-not-bundled"]),
        ("my functions.ts", mutation("return 1;"), ["file-not-bundled"]),
        ("#draft.ts", mutation("return 1;"), ["file-not-bundled"]),
        (
            "a.jobs.ts",
            f"{HEAD}export default mutation({{ args: {{}}, handler: async () => 1 }});\n",
            ["file-not-bundled"],
        ),
        ("a.test.ts", 'import { test } from "vitest";\ntest("a", () => {});\n', []),
        ("a.config.ts", "export default {};\n", []),
        ("a.ts", mutation("return 1;"), []),
    ],
)
def test_file_not_bundled(tmp_path: Path, name: str, text: str, expected: list[str]) -> None:
    """
    A file with functions and a name that the bundler passes over is found; a test that is one is not.
    """
    app(tmp_path)
    (tmp_path / name).write_text(text, "utf-8")

    assert expected == rules(tmp_path)


VALIDATORS = f"{HEAD}export const stamp = v.number();\nexport const fields = {{ a: v.string() }};\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"validators.ts": VALIDATORS}, 2),
        ({"validators.ts": VALIDATORS, "b.ts": 'import { stamp } from "./validators";\n'}, 1),
        ({"validators.ts": VALIDATORS, "b.ts": 'import * as all from "./validators";\n'}, 0),
        ({"validators.ts": VALIDATORS, "b.ts": 'export * from "./validators";\n'}, 0),
        ({"validators.ts": VALIDATORS, "b.ts": 'const all = await import("./validators");\n'}, 0),
        ({"validators.ts": VALIDATORS, "b.ts": 'const all = await import("validators");\n'}, 2),
        ({"validators.ts": VALIDATORS, "b.ts": 'export { stamp, fields } from "./validators";\n'}, 0),
        ({"validators.ts": f"{VALIDATORS}export const both = v.object({{ ...fields, stamp }});\n"}, 1),
        ({"validators.ts": "export function validateUpdatedAt(x: number) { return x > 0; }\n"}, 1),
        ({"validators.ts": "export function rename(x: number) { return x > 0; }\nexport const LIMIT = 5;\n"}, 0),
        ({"validators.ts": mutation("return 1;", name="validateAll")}, 0),
    ],
)
def test_unused_validator(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    """
    A validator that is exported and imported nowhere is found, also where others of its file are used.
    """
    app(tmp_path)
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")

    assert ["unused-validator"] * expected == rules(tmp_path)


@pytest.mark.parametrize(
    ("kind", "name", "body", "expected"),
    [
        ("mutation", "backfillTimes", "return 1;", 1),
        ("action", "runMigration", "return 1;", 1),
        ("internalMutation", "backfillTimes", "return 1;", 0),
        ("query", "migrationStatus", "return 1;", 0),
        ("mutation", "rename", "return 1;", 0),
        ("mutation", "fix", LOOP.format(body="if (!row.updatedAt) await ctx.db.patch(row._id, { updatedAt: 5 });"), 1),
        ("mutation", "refresh", LOOP.format(body="await ctx.db.patch(row._id, { updatedAt: 5 });"), 0),
        ("mutation", "touch", "await ctx.db.patch(args.page, { updatedAt: 5 });", 0),
    ],
)
def test_public_migration(tmp_path: Path, kind: str, name: str, body: str, expected: int) -> None:
    """
    A migration that anyone may call is found, by its name or by what it does.
    """
    folder = app(tmp_path, a__ts=mutation(body, kind, name))

    assert ["public-migration"] * expected == rules(folder)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("npx convex run addUpdatedAt.backfill", 1),
        ("npx convex run --prod jobs/fill.run '{}'", 1),
        ("npx convex run addUpdatedAt:backfill", 0),
        ("npx convex run jobs/fill:run", 0),
        ("npx convex run internal.jobs.fill", 0),
        ("npx convex run convex/jobs.ts", 0),
        ("npx convex run convex/jobs.ts:fill", 0),
        ("npx convex run jobs", 0),
    ],
)
def test_run_command(tmp_path: Path, command: str, expected: int) -> None:
    """
    A command in a comment that Convex does not know is found.
    """
    folder = app(tmp_path, a__ts=f"/**\n * Run it:\n *   {command}\n */\nexport const A = 1;\n")
    found = audit(folder).findings

    assert [("run-command", 3)] * expected == [(each.rule, each.line) for each in found]


# -- What the original application had ---------------------------------------------------------------------------


def test_original() -> None:
    """
    All faults of the application that this was first written for are found, but those that are not in its code.
    """
    found = audit(BEFORE)

    assert Counter(
        {
            ("addUpdatedAt.ts", "public-migration"): 1,
            ("addUpdatedAt.ts", "required-too-soon"): 1,
            ("addUpdatedAt.ts", "run-command"): 1,
            ("addUpdatedAt.ts", "swallowed-errors"): 3,
            ("addUpdatedAt.ts", "unbounded-collect"): 3,
            ("pages.ts", "patch-stale"): 1,
            ("updatedAt.test.ts", "epoch-zero-literal"): 1,
            ("updatedAt.test.ts", "file-not-bundled"): 1,
            ("updatedAt.test.ts", "run-command"): 1,
            ("validators.ts", "unused-validator"): 3,
        }
    ) == Counter((each.file, each.rule) for each in found.findings)
    assert () == found.problems


# -- Exemptions --------------------------------------------------------------------------------------------------

STALE = 'await ctx.db.patch(args.page, { name: "a" });'
WHY = "timestamp-guard: ignore patch-stale -- names are no content"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f"{STALE} // {WHY}", 0),
        (f"// {WHY}\n{STALE}", 0),
        (f"// {WHY}\n// and so on\n{STALE}", 0),
        (f"/* {WHY} */\n{STALE}", 0),
        (f'await ctx.db.patch(\n  args.page,\n  // {WHY}\n  {{ name: "a" }},\n);', 0),
        (f"{STALE} // timestamp-guard: ignore insert-missing-optional, patch-stale -- both", 0),
        (f"// {WHY}\nconst a = 1;\n{STALE}", 1),
        (f"{STALE} // timestamp-guard: ignore replace-missing -- another one", 1),
        (f"const text = '{WHY}';\n{STALE}", 1),
    ],
)
def test_inline(tmp_path: Path, body: str, expected: int) -> None:
    """
    A comment with a rule and a reason exempts the line that it is about, and no other.
    """
    found = audit(app(tmp_path, a__ts=mutation(body)))

    assert (["patch-stale"] * expected, ()) == ([each.rule for each in found.findings], found.problems)


@pytest.mark.parametrize(
    ("comment", "said"),
    [
        ("timestamp-guard: ignore patch-stale", "nothing is ignored without a reason"),
        ("timestamp-guard: ignore patch-stale --", "nothing is ignored without a reason"),
        ("timestamp-guard: ignore", "it names no rule"),
        ("timestamp-guard: ignore patch-stael -- a reason", "no rule 'patch-stael'"),
    ],
)
def test_inline_must_say_why(tmp_path: Path, comment: str, said: str) -> None:
    """
    Without a reason, or of a rule that is none, nothing is exempted, and that is said.
    """
    found = audit(app(tmp_path, a__ts=mutation(f"{STALE} // {comment}")))
    (problem,) = found.problems

    assert ["patch-stale"] == [each.rule for each in found.findings]
    assert said in str(problem)


@pytest.mark.parametrize(
    ("ignored", "expected"),
    [
        (Ignored("patch-stale", "a reason"), 0),
        (Ignored("*", "a reason", files="a.ts"), 0),
        (Ignored("patch-stale", "a reason", files="lib/*"), 1),
        (Ignored("patch-stale", "a reason", table="pages"), 0),
        (Ignored("patch-stale", "a reason", table="services"), 1),
        (Ignored("replace-missing", "a reason"), 1),
    ],
)
def test_configured(tmp_path: Path, ignored: Ignored, expected: int) -> None:
    """
    The configuration exempts by rule, file and table.
    """
    folder = app(tmp_path, a__ts=mutation(STALE))

    assert ["patch-stale"] * expected == rules(folder, Settings(ignore=(ignored,)))


def test_touch(tmp_path: Path) -> None:
    """
    What counts as a touch can be said; one other field makes it a change.
    """
    folder = app(tmp_path, a__ts=mutation("await ctx.db.patch(args.id, { likes: 5 });"))

    assert ["patch-stale"] == rules(folder)
    assert [] == rules(folder, Settings(touch=("likes",)))


def test_tracked_by_option(tmp_path: Path) -> None:
    """
    A table that does not have the field yet is looked at where it is named.
    """
    folder = app(tmp_path, a__ts=mutation('await ctx.db.insert("users", { name: "a" });'))

    assert [] == rules(folder)
    assert ["insert-missing-optional"] == rules(folder, Settings(track=("users",)))


STAMPED = """\
import { customMutation, customCtx } from "convex-helpers/server/customFunctions";
import { mutation as plain } from "./_generated/server";
import { stamped } from "./timestampGuard";
const mutation = customMutation(plain, customCtx((ctx) => ({ db: stamped(ctx.db) })));
export const a = mutation({
  args: {},
  handler: async (ctx) => {
    await ctx.db.insert("services", { name: "a", viewCount: 1 });
  },
});
export const b = plain({
  args: {},
  handler: async (ctx) => {
    const db = stamped(ctx.db);
    await db.insert("services", { name: "a", viewCount: 1 });
    await stamped(ctx.db).insert("services", { name: "a", viewCount: 1 });
    await ctx.db.insert("services", { name: "a", viewCount: 1 });
  },
});
"""


def test_stamped(tmp_path: Path) -> None:
    """
    What is written through a database that stamps is set, also where a function's builder put it there.
    """
    found = audit(app(tmp_path, a__ts=STAMPED))

    assert ["sets", "sets", "sets", "omits"] == [each.verdict for each in found.sites]


RECIPE = """\
import { customCtx, customMutation } from "convex-helpers/server/customFunctions";
import { internalMutation as plainInternal, mutation as plain, type DatabaseWriter } from "./_generated/server";
import { stamped } from "./timestampGuard";
const withStamps = customCtx((ctx: { db: DatabaseWriter }) => ({ db: stamped(ctx.db) }));
const withUser = customCtx(async (ctx) => ({ user: await ctx.auth.getUserIdentity() }));
export const mutation = customMutation(plain, withStamps);
export const internalMutation = customMutation(mutation, withUser);
export const unstamped = customMutation(plain, withUser);
export const circular = customMutation(circular, withUser);
"""


@pytest.mark.parametrize(
    ("builder", "verdict"),
    [("mutation", "sets"), ("internalMutation", "sets"), ("unstamped", "omits"), ("circular", "omits")],
)
def test_stamped_by_a_builder_of_another_file(tmp_path: Path, builder: str, verdict: str) -> None:
    """
    A builder stamps where what it is made of does, as in the file that the documentation shows.
    """
    made = f'import {{ {builder} as made }} from "./functions";\n'
    written = made + mutation('await ctx.db.insert("services", { name: "a", viewCount: 1 });', kind="made")
    found = audit(app(tmp_path, functions__ts=RECIPE, a__ts=written))

    assert [verdict] == [each.verdict for each in found.sites]


def test_all_tables_tracked(tmp_path: Path) -> None:
    """
    Where every table has the field, a write to one that is not known is a write to one that has it.
    """
    folder = app(tmp_path, a__ts=mutation("await ctx.db.patch(args.any as any, { name: 'a' });"))
    assert [False] == [each.tracked for each in audit(folder).sites]

    path = folder / "schema.ts"
    path.write_text(
        path.read_text("utf-8").replace("users: defineTable({", "users: defineTable({ updatedAt: v.number(),")
    )

    assert [(None, True)] == [(each.table, each.tracked) for each in audit(folder).sites]
    assert ["patch-stale"] == rules(folder)
