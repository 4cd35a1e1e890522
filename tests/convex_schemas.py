"""
Schemas made up by Hypothesis, each with the TypeScript that says it, in one of the many ways in which apps do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import attrs
from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy[Any]], Any]
Fields = dict[str, tuple[frozenset[str], bool]]

LEAVES: Final = {
    "v.number()": "number",
    "v.float64()": "number",
    "v.int64()": "bigint",
    "v.bigint()": "bigint",
    "v.commitTs()": "commitTs",
    "v.string()": "string",
    "v.boolean()": "boolean",
    "v.null()": "null",
    "v.any()": "any",
    "v.bytes()": "bytes",
    "v.literal(-1.5)": "literal",
    'v.id("users")': "id",
    "v.array(v.union(v.number(), v.null()))": "array",
    "v.record(v.string(), v.number())": "record",
    "v.object({ updatedAt: v.optional(v.string()) })": "object",
}

NAMES: Final = st.one_of(
    st.sampled_from(["updatedAt", "createdAt", "_x", "$", "with space", 'quo"te', "it's", "`", "a\\b", "${x}", "\u00e9\U0001f600", "7", "new"]),
    st.from_regex(r"[a-z][a-zA-Z0-9]{0,6}", fullmatch=True),
)  # fmt: skip

KEYWORDS: Final = {"do", "if", "in", "for", "let", "new", "try", "var", "case", "else", "enum", "null", "this", "true"}


@attrs.frozen
class Made:
    """A schema: its tables, and the files that say so by name."""

    tables: dict[str, Fields]
    staged: dict[str, Fields]
    files: dict[str, str]

    def write(self, folder: Path) -> Path:
        for name, source in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(source, encoding="utf-8")
        return folder


@attrs.define
class _Writer:
    """Writes expressions, and moves some of them elsewhere: to a constant, a function, another file."""

    draw: Draw
    here: list[str] = attrs.Factory(list)
    there: list[str] = attrs.Factory(list)
    imported: list[str] = attrs.Factory(list)
    count: int = 0

    def one(self, *ways: str) -> str:
        found: str = self.draw(st.sampled_from(ways))
        return found

    def somewhere(self, source: str) -> str:
        """An expression that stands for the same."""
        self.count += 1
        name = f"x{self.count}"
        alone = re.search(r"\bx\d+", source) is None  # what uses a name of here stays here
        match self.one(
            "plain", "plain", "plain", "paren", "cast", "const", "let", "import", "space", "call", "pick", "named"
        ):
            case "paren":
                return f"(/* {name} */ {source})"
            case "cast":
                return f"({source} as any)"
            case "const":
                self.here.append(f"const {name} = {source};")
                return name
            case "let":
                self.here.append(f"let {name} = {source} satisfies unknown;")
                return name
            case "import" if alone:
                self.there.append(f"export const {name} = {source};")
                self.imported.append(f"{name} as {name}_")
                return f"{name}_"
            case "space" if alone:
                self.there.append(f"const {name}: any = {source};\nexport {{ {name} as {name}out }};")
                return f"there.{name}out"
            case "call":
                self.here.append(f"const {name} = (given: any) => given;")
                return f"{name}({source})"
            case "pick":
                self.here.append(f"const {{ part: {name} }} = {{ part: {source}, other: 1 }};")
                return name
            case "named":
                self.here.append(f"function {name}() {{\n  const made = {source};\n  return made; // as it is\n}}")
                return f"{name}()"
            case _:
                return source

    def key(self, name: str) -> str:
        quoted = json.dumps(name)
        plain = name.isascii() and name.replace("$", "_").isidentifier() and name not in KEYWORDS
        match self.one("plain", "quoted", "template", "computed"):
            case "plain" if plain:
                return name
            case "template":
                body = name.replace("\\", "\\\\").replace("`", "\\`").replace("$", "\\$")
                return f"[`{body}`]"
            case "computed":
                return f"[{self.somewhere(quoted)}]"
            case _:
                return quoted

    def type(self) -> tuple[str, frozenset[str]]:
        leaves = self.draw(st.lists(st.sampled_from(sorted(LEAVES)), min_size=1, max_size=3))
        kinds = frozenset(LEAVES[leaf] for leaf in leaves)
        if len(leaves) == 1:
            match self.one("plain", "plain", "nullable", "helper"):
                case "nullable":
                    return f"v.nullable({self.somewhere(leaves[0])})", kinds | {"null"}
                case "helper":
                    return f"nullable({self.somewhere(leaves[0])})", kinds | {"null"}
                case _:
                    return leaves[0], kinds
        return f"v.union({', '.join(self.somewhere(leaf) for leaf in leaves)})", kinds

    def field(self) -> tuple[str, tuple[frozenset[str], bool]]:
        source, kinds = self.type()
        source = self.somewhere(source)
        match self.one("required", "required", "optional", "method"):
            case "optional":
                return self.somewhere(f"v.optional({source})"), (kinds, True)
            case "method":
                return f"{source}.optional()", (kinds, True)
            case _:
                return source, (kinds, False)

    def fields(self) -> tuple[str, Fields]:
        """An object literal of fields; some are put into another one that is spread, some are said before, otherwise."""
        made: Fields = {}
        parts = []
        for name in self.draw(st.lists(NAMES, max_size=5, unique=True)):
            source, type_ = self.field()
            entry = f"{self.key(name)}: {source}"
            match self.one("plain", "plain", "spread", "hidden"):
                case "spread":
                    entry = f"...{self.somewhere(f'{{ {entry} }}')}"
                case "hidden":
                    entry = f"...{self.somewhere(f'{{ {self.key(name)}: v.any() }}')}, {entry}"
                case _:
                    pass
            parts.append(entry)
            made[name] = type_
        return "{ " + ", ".join(parts) + self.one(" }", ", }" if parts else " }", " // }\n}"), made

    def document(self) -> tuple[str, Fields]:
        source, fields = self.fields()
        source = self.somewhere(source)
        match self.one("fields", "fields", "object", "partial", "omit", "extend", "union"):
            case "object":
                return self.somewhere(f"v.object({source})"), fields
            case "partial":
                return f"v.object({source}).partial()", {name: (kinds, True) for name, (kinds, _) in fields.items()}
            case "omit":
                gone = sorted(fields)[:1]
                kept = {name: each for name, each in fields.items() if name not in gone}
                return f"v.object({source}).omit({', '.join(map(json.dumps, gone))})", kept
            case "extend":
                more, added = self.fields()
                return f"{self.somewhere(f'v.object({source})')}.extend({more})", fields | added
            case "union":
                more, added = self.fields()
                both = {
                    name: (
                        frozenset[str]().union(*(each[name][0] for each in (fields, added) if name in each)),
                        any(name not in each or each[name][1] for each in (fields, added)),
                    )
                    for name in fields | added
                }
                return f"v.union(v.object({source}), {self.somewhere(f'v.object({more})')})", both
            case _:
                return source, fields


@st.composite
def schemas(draw: Draw) -> Made:
    """Any schema that can be read in full."""
    writer = _Writer(draw)
    tables: dict[str, Fields] = {}
    staged: dict[str, Fields] = {}
    entries = []
    for name in draw(st.lists(st.from_regex(r"[a-z][a-zA-Z0-9_]{0,8}", fullmatch=True), max_size=4, unique=True)):
        document, tables[name] = writer.document()
        source = f"defineTable({document})"
        for index in range(draw(st.integers(0, 2))):
            source += f'\n  // {index}\n  .index("by_{index}", ["updatedAt"])'
        if not document.startswith("v.union(") and writer.one("as it is", "as it is", "staged") == "staged":
            changes, changed = writer.fields()
            source += f".staged({changes})"
            staged[name] = tables[name] | changed
        entries.append(f"{writer.key(name)}: {writer.somewhere(source)}")
    there = ['import { defineTable } from "convex/server";', 'import { v } from "convex/values";']
    there.append('import { nullable } from "convex-helpers/validators";')
    head = ['import { defineSchema } from "convex/server";', *there]
    head.append(f'import {{ {", ".join(writer.imported)} }} from "./lib/there";')
    head.append('import * as there from "./lib/there.js";')
    body = "export default defineSchema({ " + ", ".join(entries) + " });"
    return Made(
        tables,
        staged,
        {
            "schema.ts": "\n".join([*head, *writer.here, body, ""]),
            "lib/there.ts": "\n".join([*there, *writer.there, ""]),
        },
    )
