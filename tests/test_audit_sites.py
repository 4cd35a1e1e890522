"""Whether the audit sees what a person sees who reads the same code."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from timestamp_guard.audit import Audit, Settings, Site, audit

from .convex_audit.expected import EXPECTED
from .convex_audit.expected_workshop import EXPECTED as WORKSHOP_EXPECTED

APP = Path(__file__).parent / "convex_audit" / "app"
WORKSHOP = Path(__file__).parent / "convex_audit" / "workshop"
MARK = re.compile(r"// ([a-z]\d\d)$")


ELSE = Settings(updated="modifiedAt")

FIGURES = {
    "writes": (1.0, 1.0),
    "tables": (1.0, 1.0),
    "omits": (1.0, 0.98),
    "sets": (1.0, 1.0),
    "indeterminate": (0.9, 1.0),
}
"""
Precision and recall over the second app.

At first sight, before anything was mended for it, 35 of the 41 writes that leave the field out were found (recall 0.85)
and one call that is no write was taken for one. One is still missed: a08, where computed keys come from args.
"""


@frozen
class Expected:
    """One line of the table."""

    call: str
    table: str | None
    tracked: bool
    verdict: str


def table(expected: str = EXPECTED) -> dict[str, Expected]:
    lines = (line.split(maxsplit=5) for line in expected.strip().splitlines())
    return {
        name: Expected(call, None if table_ == "-" else table_, tracked == "yes", verdict)
        for name, call, table_, tracked, verdict, _ in lines
    }


def marks(folder: Path = APP) -> dict[tuple[str, int], str]:
    return {
        (path.relative_to(folder).as_posix(), number): found[1]
        for path in folder.rglob("*.[jt]s")
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if (found := MARK.search(line))
    }


def seen(found: Audit, folder: Path = APP) -> dict[str, Site]:
    at = marks(folder)
    return {at.get((each.file, each.line), f"{each.file}:{each.line}"): each for each in found.sites}


def of(site: Site) -> Expected:
    return Expected(site.call, site.table, site.tracked, site.verdict)


@pytest.fixture(scope="module")
def whole() -> Audit:
    return audit(APP)


def test_expected(whole: Audit) -> None:
    """
    Each write has the table and the verdict that a person gives it, and nothing else is a write.
    """
    assert table() == {name: of(each) for name, each in seen(whole).items()}
    assert len(table()) == len(whole.sites), "one is found twice"


def test_table_is_whole() -> None:
    """
    The table has at least 60 writes, each of them marked once, and every mark is in it.
    """
    assert len(table()) >= 60
    assert sorted(table()) == sorted(marks().values())


def test_workshop_is_whole() -> None:
    """
    The second table too has each of its writes marked once.
    """
    assert sorted(table(WORKSHOP_EXPECTED)) == sorted(marks(WORKSHOP).values())


def measured(expected: set[object], found: set[object]) -> tuple[float, float]:
    """Precision and recall, to two places."""
    both = len(expected & found)
    return round(both / len(found), 2), round(both / len(expected), 2)


def test_precision_and_recall(capsys: pytest.CaptureFixture[str]) -> None:
    """
    Of an app that the audit was not built on, it finds the writes, their tables, and those that leave the field out.
    """
    expected = table(WORKSHOP_EXPECTED)
    found = {name: of(each) for name, each in seen(audit(WORKSHOP, ELSE), WORKSHOP).items()}

    def all_of(writes: dict[str, Expected]) -> dict[str, set[object]]:
        """What is measured, of all writes."""
        return {
            "writes": set(writes),
            "tables": {(name, each.table) for name, each in writes.items() if each.table},
            **{
                verdict: {name for name, each in writes.items() if each.tracked and each.verdict == verdict}
                for verdict in ("omits", "sets", "indeterminate")
            },
        }

    figures = {what: measured(each, all_of(found)[what]) for what, each in all_of(expected).items()}
    with capsys.disabled():
        said = ", ".join(f"{what} {precision}/{recall}" for what, (precision, recall) in figures.items())
        print(f"\naudit of {len(expected)} writes, precision/recall: {said}")  # noqa: T201 - the figures are the point

    assert figures == FIGURES


def test_findings(whole: Audit) -> None:
    """
    A write is in the findings where it is tracked and leaves the field out, but for patches of touch fields.
    """
    at = marks()
    rules = {"insert-missing-required", "insert-missing-optional", "replace-missing", "patch-stale"}
    found = {at[each.file, each.line] for each in whole.findings if each.rule in rules}

    assert {name for name, each in table().items() if each.tracked and each.verdict == "omits"} - {
        "s38",
        "s39",
    } == found


def test_tests_and_comments_are_left_out(whole: Audit) -> None:
    """
    Tests, mocks, generated files, comments and texts hold no write.
    """
    assert {"misc.ts", "pages.ts", "seed.ts", "services.ts", "users.ts"} == {each.file for each in whole.sites}
    assert () == whole.problems


def test_processes() -> None:
    """
    Several processes find what one finds.
    """
    from timestamp_guard.audit import run

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "_WORTH", 2)

        assert audit(APP) == audit(APP, processes=2)


COPIED = {"m05", "m06", "m08", "m15", "s35", "s37"}
"""Those in which it comes from a row of the table, whatever else is written."""

ELSEWHERE = {"p01", "p06", "p10", "p12"}
"""Those that get it from another file."""


@pytest.mark.parametrize("file", ["misc.ts", "pages.ts", "seed.ts", "services.ts"])
def test_field_is_renamed(tmp_path: Path, file: str) -> None:
    """
    Where the field is nowhere in a file, no write sets it, but for copies of rows and by helpers of other files.
    """
    folder = shutil.copytree(APP, tmp_path / "app")
    path = folder / file
    path.write_text(path.read_text("utf-8").replace("updatedAt", "changedAt"), "utf-8")
    before, after = seen(audit(APP)), seen(audit(folder), folder)
    names = [
        name
        for name, each in before.items()
        if each.file == file and each.verdict == "sets" and name not in COPIED | ELSEWHERE
    ]

    assert names
    assert [] == [name for name in names if after[name].verdict == "sets"]


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("s01", "      updatedAt: now,\n", ""),
        ("s03", "createdAt: Date.now(), updatedAt: Date.now() }); // s03", "createdAt: Date.now() }); // s03"),
        ("s07", "{ ...rest, updatedAt }", "{ ...rest }"),
        ("s11", "{ name, updatedAt: Date.now() }", "{ name }"),
        ("s13", "{ name: args.name, updatedAt: Date.now() }); // s13", "{ name: args.name }); // s13"),
        ("s17", "{ ...fields, updatedAt: Date.now() }); // s17", "{ ...fields }); // s17"),
        (
            "s21",
            "      updatedAt: Date.now(),\n    });\n  },\n});\n\nexport const updateStepwise",
            "    });\n  },\n});\n\nexport const updateStepwise",
        ),
        ("s22", "    patch.updatedAt = Date.now();\n", "\n"),
        ("s25", 'bracketed["updatedAt"] = Date.now();', ""),
        ("s27", "{ ...changes, updatedAt: Date.now() }", "{ ...changes }"),
        ("s28", "Object.assign(assigned, { updatedAt: Date.now() });", ""),
        ("s31", "{ ...cleaned, updatedAt: Date.now() }", "{ ...cleaned }"),
        ("s32", ', ["updatedAt", Date.now()]', ""),
        ("s34", '"published" as const, updatedAt: Date.now()', '"published" as const'),
        ("s42", "{ updatedAt: Date.now() }); // s42", "{}); // s42"),
    ],
)
def test_teeth(tmp_path: Path, name: str, old: str, new: str) -> None:
    """
    Where the field is deleted from a write that sets it, the verdict becomes that it is left out.
    """
    folder = shutil.copytree(APP, tmp_path / "app")
    path = folder / "services.ts"
    text = path.read_text("utf-8")
    assert 1 == text.count(old)
    path.write_text(text.replace(old, new), "utf-8")

    assert "omits" == seen(audit(folder), folder)[name].verdict


def test_receivers_are_renamed(tmp_path: Path) -> None:
    """
    What the context and the database are called changes nothing.
    """
    folder = shutil.copytree(APP, tmp_path / "app")
    for path in folder.glob("*.ts"):
        text = re.sub(r"(?<![\w.])(ctx|context)(?![\w])", "convex", path.read_text("utf-8"))
        text = re.sub(r"\(\{ db \}", "({ db: database }", text)
        path.write_text(re.sub(r"(?<![\w.])db\.patch\(id", "database.patch(id", text), "utf-8")
    before, after = seen(audit(APP)), seen(audit(folder), folder)

    assert {name: each.verdict for name, each in before.items()} == {name: each.verdict for name, each in after.items()}


WRITES = [
    'await ctx.db.insert("services", { name: "a", updatedAt: 1 });',
    'await ctx.db.insert("services", { name: "a" });',
    "await ctx.db.patch(args.id, { name: args.name, ...(args.name ? { updatedAt: 1 } : {}) });",
    "await ctx.db.patch(args.id, args);",
    'await ctx.db.replace("services", args.id, { ...args, updatedAt: Date.now() });',
    "const row: any = { name: 'b' }; row.updatedAt = 2; await ctx.db.patch(args.id, row);",
]
TOKEN = re.compile(r"\"[^\"]*\"|'[^']*'|\.\.\.|\?\?|=>|\w+|\s+|.")
NO_BREAK = {"await", "const", "any"}


def padded(text: str, breaks: list[str]) -> str:
    """The same code with a space, a line or a comment between some of its words."""
    found = []
    words = TOKEN.findall(text)
    for place, word in enumerate(words):
        found.append(word)
        if word not in {"?", "&"} and place < len(words) - 1:
            found.append(breaks[place % len(breaks)])
    return "".join(found)


@given(
    st.sampled_from(WRITES),
    st.lists(
        st.sampled_from(["", "", " ", "\n", " /* updatedAt: 1 */ ", "// { updatedAt }\n", "\t"]), min_size=1, max_size=9
    ),
    st.booleans(),
)
def test_spelling(tmp_path_factory: pytest.TempPathFactory, write: str, breaks: list[str], cast: bool) -> None:
    """
    Spaces, lines, comments and `as any` change no verdict.
    """
    folder = tmp_path_factory.mktemp("app")
    (folder / "schema.ts").write_text((APP / "schema.ts").read_text("utf-8"), "utf-8")
    head = 'export const f = mutation({ args: { id: v.id("services"), name: v.string() }, handler: async (ctx, args) => {\n'
    spelled = padded(write, breaks)
    if cast:
        spelled = re.sub(r"\)(\W*;\W*)$", r" as any)\1", spelled)

    def verdicts(text: str) -> list[tuple[str, str | None, str]]:
        (folder / "a.ts").write_text(f"{head}{text}\n}} }});\n", "utf-8")
        return [(each.call, each.table, each.verdict) for each in audit(folder).sites]

    assert verdicts(write) == verdicts(spelled)
