"""
A schema is read as it was meant, and what cannot be read is said.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given

from timestamp_guard.convex.agreement import agreement, standing
from timestamp_guard.convex.schema import Problem, Schema, Table, encodings_of, read_schema
from timestamp_guard.errors import UnknownName, UsageError

from .convex_schemas import Made, schemas
from .node import APP

HEAD = 'import { defineSchema, defineTable } from "convex/server"; import { v } from "convex/values";\n'


def schema(folder: Path, source: str, **files: str) -> Schema:
    """The schema that *source* says, its first line being the second of the file."""
    (folder / "schema.ts").write_text(HEAD + source, encoding="utf-8")
    for name, text in files.items():
        (folder / f"{name}.ts").write_text(text, encoding="utf-8")
    return read_schema(folder)


def table(folder: Path, source: str, **files: str) -> Table:
    """The one table of that definition."""
    return schema(folder, f"export default defineSchema({{ pages: {source} }});", **files).tables["pages"]


class TestRead:
    @given(schemas())
    def test_as_drawn(self, made: Made) -> None:
        """
        Whatever a schema says, and in whatever way it says so, is read.
        """
        with tempfile.TemporaryDirectory() as folder:
            found = read_schema(made.write(Path(folder)))

            assert [] == [*found.problems, *(said for each in found.tables.values() for said in each.unknown)]
            assert made.tables == {
                name: {field: (type_.kinds, type_.optional) for field, type_ in each.fields.items()}
                for name, each in found.tables.items()
            }
            assert made.staged == {
                name: {field: (type_.kinds, type_.optional) for field, type_ in each.staged.items()}
                for name, each in found.tables.items()
                if each.staged is not None
            }

    @pytest.mark.parametrize("place", ["", "convex", "convex/schema.ts"])
    def test_found(self, tmp_path: Path, place: str) -> None:
        """
        The folder of the functions, the one around it and the file itself all lead to the schema.
        """
        (tmp_path / "convex").mkdir()
        schema(tmp_path / "convex", "export default defineSchema({});")

        assert "schema.ts" == read_schema(tmp_path / place).file

    def test_configured(self, tmp_path: Path) -> None:
        """
        The folder that convex.json names is looked into.
        """
        (tmp_path / "src" / "functions").mkdir(parents=True)
        (tmp_path / "convex.json").write_text('{"functions": "src/functions/"}')
        schema(tmp_path / "src" / "functions", "export default defineSchema({});")

        assert [] == list(read_schema(tmp_path).problems)

    @pytest.mark.parametrize(
        ("place", "said"),
        [
            ("", "no schema.ts in {0}, nor in {0}/convex: name the folder of the functions"),
            ("no", "there is no folder {0}/no"),
        ],
    )
    def test_none(self, tmp_path: Path, place: str, said: str) -> None:
        """
        Without a schema, it is said where one was looked for.
        """
        with pytest.raises(UsageError) as caught:
            read_schema(tmp_path / place)

        assert said.format(tmp_path) == str(caught.value)

    def test_place(self) -> None:
        """
        A table is where it is defined, in whatever file that is.
        """
        tables = read_schema(APP / "schemas" / "tables_elsewhere").tables

        assert ("tables/comments.ts", 3) == (tables["comments"].file, tables["comments"].line)
        assert ("schema.ts", 8) == (tables["local"].file, tables["local"].line)


class TestUnknown:
    @pytest.mark.parametrize(
        ("document", "fields", "untyped", "said"),
        [
            (
                "{ updatedAt: v.number(), ...authFields }",
                set(),
                {"updatedAt"},
                "schema.ts:2: authFields is declared nowhere",
            ),
            ("{ ...theirs, updatedAt: v.number() }", {"updatedAt"}, set(), "comes from the package 'somewhere'"),
            ("{ updatedAt: theirs.updatedAt }", set(), {"updatedAt"}, "comes from the package 'somewhere'"),
            ("{ updatedAt: half.updatedAt }", set(), {"updatedAt"}, "from the package 'somewhere'"),
            ("{ updatedAt: theirs.make() }", set(), {"updatedAt"}, "comes from the package 'somewhere'"),
            ("{ updatedAt: v.union(v.number(), theirs) }", set(), {"updatedAt"}, "no validator"),
            ("{ updatedAt: v.date() }", set(), {"updatedAt"}, "schema.ts:2: v.date() is no validator that is known"),
            ("{ updatedAt: on ? v.number() : v.string() }", set(), {"updatedAt"}, "is known when it runs"),
            (
                "{ updatedAt: v.number(), ...(on ? { a: v.string() } : undefined) }",
                {"updatedAt"},
                {"a"},
                "is known when it runs",
            ),
            ("{ updatedAt: v.number(), ...(on ? theirs : {}) }", set(), {"updatedAt"}, "from the package 'somewhere'"),
            ("{ a: v.number(), [process.env.NAME!]: v.string() }", set(), {"a"}, "a key is known when it runs"),
            ("{ ...Object.fromEntries(list) }", set(), set(), "Object.fromEntries(list) is known when it runs"),
            ("later", set(), set(), "schema.ts:2: later is given another value here"),
            ("looped", set(), set(), "looped goes in a circle"),
            ("theirs", set(), set(), "comes from the package 'somewhere'"),
            ("{ ...empty() }", set(), set(), "what empty() gives is known when it runs"),
            ("{ ...promised() }", set(), set(), "what promised() gives is known when it runs"),
            ("made()", set(), set(), "what made() gives is known when it runs"),
            ("v.object({ updatedAt: v.number() }).pick(...list)", set(), set(), "is known when it runs"),
            ("v.object({ ...theirs }).pick('updatedAt')", set(), {"updatedAt"}, "from the package 'somewhere'"),
            ("v.object({ ...theirs, a: v.number() }).omit('a')", set(), set(), "from the package 'somewhere'"),
            ("v.object({ updatedAt: v.number() }).omit(...list)", set(), {"updatedAt"}, "is known when it runs"),
            ("v.object({ updatedAt: v.number() }).merge({})", set(), set(), "cannot be read"),
            ("{ updatedAt: made.field }", set(), {"updatedAt"}, "made.field is known when it runs"),
            ("{ updatedAt: half[list] }", set(), {"updatedAt"}, "which part half[list] is, is known when it runs"),
            ("{ updatedAt: v`number` }", set(), {"updatedAt"}, "cannot be read"),
            ("{ updatedAt: 1 + list }", set(), {"updatedAt"}, "1 + list is known when it runs"),
            ("{ updatedAt: on && v.number() }", set(), {"updatedAt"}, "on && v.number() is known when it runs"),
            ("{ [`a${list}`]: v.string() }", set(), set(), "a key is known when it runs"),
            ("{ [Named.number]: v.string() }", set(), set(), "a key is known when it runs"),
            ("{ [Named.text]: v.string(), ...list }", set(), {"updatedAt"}, "list"),
            ("{ ...'text' }", set(), set(), "'text' is no object that could be read"),
        ],
    )
    def test_said(self, tmp_path: Path, document: str, fields: set[str], untyped: set[str], said: str) -> None:
        """
        What cannot be read is said, with its place and why; no type is guessed, and nothing that may be replaced is told.
        """
        found = table(
            tmp_path,
            f"defineTable({document}) }});"
            'import theirs from "somewhere"; declare const list: any, on: boolean;'
            "let later = {}; later = { a: v.number() }; function empty() {} const promised = async () => ({ a: v.number() }); const half = { ...theirs }; const looped = { ...looped };"
            "enum Named { number = 1, text = 'updatedAt' }"
            "function made() { if (on) { return {}; } return { a: v.any() }; } void ({",
        )

        assert set(fields) == set(found.fields)
        assert untyped == found.untyped
        assert any(said in each for each in found.unknown), found.unknown

    @pytest.mark.parametrize(
        ("definition", "fields", "untyped", "said"),
        [
            (
                "defineTable(v.union(v.object({ a: v.number(), updatedAt: v.number() }), theirs))",
                set(),
                {"a", "updatedAt"},
                "updatedAt: a member of the union may have it, of whatever type",
            ),
            (
                "defineTable(v.union(v.object({ updatedAt: v.number() }), v.object({ updatedAt: theirs })))",
                set(),
                {"updatedAt"},
                "from the package 'somewhere'",
            ),
            ("defineTable({ updatedAt: v.number() }).staged(theirs)", {"updatedAt"}, set(), "staged: "),
            ("defineTable(theirs).staged({ updatedAt: v.number() })", set(), set(), "from the package 'somewhere'"),
            (
                "defineTable(v.union(v.object({}))).staged({ a: v.number() })",
                set(),
                set(),
                "staged: schema.ts:2: changes",
            ),
            ("defineTable({ updatedAt: v.number() }).migrated()", set(), set(), "cannot be read"),
            ("defineTable()", set(), set(), "defineTable is given nothing"),
            ("defineEnt({ a: v.string() }).edge('b', theirs)", set(), set(), "from the package 'somewhere'"),
            ("defineEnt(theirs).field('updatedAt', v.number())", set(), set(), "from the package 'somewhere'"),
            (
                "defineTable({ updatedAt: { a: v.number() } })",
                set(),
                {"updatedAt"},
                "an object stands where a validator",
            ),
            ("defineTable({ updatedAt: all.other })", set(), {"updatedAt"}, "from the package 'elsewhere'"),
            ("defineTable({ updatedAt: v.number(), ...all })", set(), {"updatedAt"}, "exports all of 'elsewhere'"),
            ("defineTable({ updatedAt: partial(theirs) })", set(), {"updatedAt"}, "from the package 'somewhere'"),
            ("defineTable({ updatedAt: vRequired() })", set(), {"updatedAt"}, "is given too little"),
        ],
    )
    def test_table(self, tmp_path: Path, definition: str, fields: set[str], untyped: set[str], said: str) -> None:
        """
        The same holds of unions, of what is staged, of ents and of helpers.
        """
        found = table(
            tmp_path,
            f"{definition} }});"
            'import theirs from "somewhere"; import * as all from "./all"; import { defineEnt } from "convex-ents";'
            'import { partial, vRequired } from "convex-helpers/validators"; void ({',
            all='export * from "elsewhere";',
        )

        assert fields == set(found.fields)
        assert untyped == found.untyped
        assert any(said in each for each in found.unknown), found.unknown

    def test_options(self, tmp_path: Path) -> None:
        """
        Whether it is validated is said to be unknown where the options are.
        """
        found = schema(tmp_path, 'import o from "somewhere"; export default defineSchema({}, { schemaValidation: o });')

        assert ["whether it is validated is not known: default comes from the package 'somewhere'"] == [
            each.said for each in found.problems
        ]

    def test_package_tables(self, tmp_path: Path) -> None:
        """
        Tables of a package are not known: it is said that there may be more, and those that are there hold.
        """
        found = schema(
            tmp_path,
            'import { authTables } from "@convex-dev/auth/server";\n'
            "export default defineSchema({ ...authTables, pages: defineTable({ updatedAt: v.number() }) });",
        )

        assert ["pages"] == list(found.tables)
        assert [
            Problem(
                "schema.ts",
                3,
                "more tables may be there: authTables comes from the package '@convex-dev/auth/server'",
                partial=True,
            )
        ] == list(found.problems)

    def test_package_tables_after(self, tmp_path: Path) -> None:
        """
        A table that stands before tables of a package may be replaced by one of them, so nothing is said of it.
        """
        found = schema(
            tmp_path,
            'import { tables } from "somewhere";\nexport default defineSchema({ pages: defineTable({}), ...tables });',
        )

        assert {} == found.tables
        assert any("it may replace what stands before it" in each.said for each in found.problems)

    @pytest.mark.parametrize(
        ("source", "said"),
        [
            ("export const x = 1;", "the schema could not be read: schema.ts: exports no default"),
            ("export default make({});", "the schema could not be read: make is declared nowhere"),
            ("export default 5;", "the schema could not be read: 5 is known when it runs"),
            (
                'export { default } from "./other";',
                "the schema could not be read: schema.ts: there is no file './other'",
            ),
        ],
    )
    def test_no_schema(self, tmp_path: Path, source: str, said: str) -> None:
        """
        A file that exports no schema has a problem, and no tables.
        """
        found = schema(tmp_path, source)

        assert [said] == [each.said for each in found.problems]
        assert {} == found.tables

    def test_broken(self, tmp_path: Path) -> None:
        """
        A file that does not parse is told with its line, and what stands around that is read.
        """
        found = schema(
            tmp_path,
            'import { other } from "./other";\n'
            "export default defineSchema({ other, pages: defineTable({ updatedAt: v.number() }) });\n",
            other=HEAD + "export const other = defineTable({ a: v.number() });\nconst = = 5;\n",
        )

        assert {("other.ts", 3)} == {(each.file, each.line) for each in found.problems}
        assert {"other", "pages"} == set(found.tables)

    def test_deep(self, tmp_path: Path) -> None:
        """
        What is nested deeper than anyone writes is said to be too deep, and ends nothing.
        """
        found = table(tmp_path, f"defineTable({{ updatedAt: {'v.optional(' * 5_000}v.number(){')' * 5_000} }})")

        assert {"updatedAt"} == found.untyped

    @pytest.mark.parametrize(
        "source",
        [
            "const f = (x) => ({ ...f(x), ...f(x) }); const made = f({});",
            "".join(f"const a{n} = {{ ...a{n + 1}, ...a{n + 1} }};" for n in range(60)) + "const a60 = {}, made = a0;",
            "".join(f"const a{n} = (x) => ({{ ...a{n + 1}(x), ...a{n + 1}(x) }});" for n in range(30))
            + "const a30 = (x) => x; const made = a0({});",
        ],
    )
    def test_endless(self, tmp_path: Path, source: str) -> None:
        """
        What doubles with every step ends soon, in what is read or in what is said to be unknown.
        """
        found = schema(tmp_path, f"{source} export default defineSchema({{ pages: defineTable(made) }});")

        assert {} == found.tables["pages"].fields


class TestEncodings:
    def test_by_type(self, tmp_path: Path) -> None:
        """
        Numbers are of milliseconds and commit timestamps of nanoseconds; nothing is guessed of anything else.
        """
        found = table(
            tmp_path,
            "defineTable({ a: v.number(), b: v.optional(v.commitTs()), c: v.nullable(v.number()), d: v.int64(),"
            "e: v.string(), f: v.any(), g: v.union(v.number(), v.string()), h: v.object({}) })",
        )

        assert {"_creationTime": "epoch_ms", "a": "epoch_ms", "b": "epoch_ns", "c": "epoch_ms"} == encodings_of(found)

    @pytest.mark.parametrize(
        ("values", "encoding"),
        [
            (["2024-01-01T00:00:00Z", None], "rfc3339"),
            (["2024-01-01T00:00:00Z", "soon"], None),
            (["2024-01-01 00:00"], None),
            ([None], None),
            ([], None),
        ],
    )
    def test_text(self, tmp_path: Path, values: list[str | None], encoding: str | None) -> None:
        """
        Text holds instants where a sample of it does, and all of the sample.
        """
        found = table(tmp_path, "defineTable({ updatedAt: v.string() })")

        assert encoding == encodings_of(found, {"updatedAt": values}).get("updatedAt")


class TestAgreement:
    @pytest.mark.parametrize(
        ("type_", "how"),
        [
            ("v.number()", "required"),
            ("v.int64()", "required"),
            ("v.commitTs()", "required"),
            ("v.string()", "required"),
            ("v.optional(v.number())", "optional"),
            ("v.union(v.number(), v.null())", "optional"),
            ("v.union(v.number(), v.string())", "mixed"),
            ("v.optional(v.union(v.number(), v.string()))", "mixed"),
            ("v.any()", "mixed"),
            ("v.boolean()", "mixed"),
            ("v.null()", "mixed"),
            ("v.union()", "mixed"),
            ("unknown()", "unknown"),
        ],
    )
    def test_standing(self, tmp_path: Path, type_: str, how: str) -> None:
        """
        A field is required where it must hold something that can be an instant, and nothing else.
        """
        assert how == standing(table(tmp_path, f"defineTable({{ updatedAt: {type_} }})"), "updatedAt")

    @pytest.mark.parametrize(
        ("document", "how"),
        [("{}", "absent"), ("v.any()", "absent"), ("{ ...unknown }", "unknown"), ("unknown", "unknown")],
    )
    def test_not_there(self, tmp_path: Path, document: str, how: str) -> None:
        """
        A field that is not there is absent, unless something could not be read that may have it.
        """
        assert how == standing(table(tmp_path, f"defineTable({document})"), "updatedAt")

    @pytest.mark.parametrize(
        ("tables", "named", "faults"),
        [
            ("a: T({ updatedAt: v.number() }), b: T({ updatedAt: v.number() }), c: T({})", [], []),
            (
                "a: T({ updatedAt: v.number() }), b: T({ updatedAt: v.string() })",
                [],
                ["updatedAt is not of one type: number in a; string in b"],
            ),
            (
                "a: T({ updatedAt: v.number() }), b: T({ updatedAt: v.optional(v.number()) })",
                [],
                ["b: updatedAt is optional (number)"],
            ),
            ("a: T({ updatedAt: v.number() }), b: T({})", ["a"], []),
            ("a: T({ updatedAt: v.number() }), b: T({})", ["a", "b"], ["b: updatedAt is absent"]),
            (
                "a: T({ updatedAt: v.number() }), b: T({}).staged({ updatedAt: v.number() })",
                [],
                ["b: updatedAt is absent, staged to be number"],
            ),
            (
                "a: T({ updatedAt: v.number() }), b: T({ ...unknown })",
                [],
                ["b: updatedAt is unknown"],
            ),
            ("...unknown, a: T({ updatedAt: v.number() })", [], []),
        ],
    )
    def test_faults(self, tmp_path: Path, tables: str, named: list[str], faults: list[str]) -> None:
        """
        Every tracked table must require the field, and all of one type; one without it is tracked where it is named.
        """
        found = schema(tmp_path, f"const T = defineTable; export default defineSchema({{ {tables} }});")

        assert faults == list(agreement(found, ["updatedAt"], named).faults)

    def test_unvalidated(self, tmp_path: Path) -> None:
        """
        What is required in words only is not required.
        """
        found = schema(
            tmp_path,
            "export default defineSchema({ a: defineTable({ updatedAt: v.number() }) }, { schemaValidation: false });",
        )

        assert ["schemaValidation is off: the deployment refuses nothing, whatever the schema says"] == list(
            agreement(found, ["updatedAt"]).faults
        )

    @pytest.mark.parametrize(
        ("field", "tables", "said"),
        [
            ("updatedAt", ["page"], "no table 'page' in schema.ts; did you mean 'pages'?"),
            ("updateAt", [], "no field 'updateAt' in the tables of schema.ts; did you mean 'updatedAt'?"),
        ],
    )
    def test_misnamed(self, tmp_path: Path, field: str, tables: list[str], said: str) -> None:
        """
        A table or a field that is nowhere is told with the nearest name.
        """
        found = schema(tmp_path, "export default defineSchema({ pages: defineTable({ updatedAt: v.number() }) });")

        with pytest.raises(UnknownName) as caught:
            agreement(found, [field], tables)

        assert said == str(caught.value)
