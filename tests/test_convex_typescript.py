"""
TypeScript is read as it stands: texts, literals, and where a name comes from.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from timestamp_guard.convex.names import Binding, Folder, Outside, Unknown
from timestamp_guard.convex.typescript import Piece, find, parse, read, string

HERE = Path("here.ts")


def folder(root: Path, **files: str) -> Folder:
    """A folder of files; `lib__a` is lib/a.ts."""
    for name, source in files.items():
        path = root / f"{name.replace('__', '/')}.ts"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    return Folder(root)


def last(files: Folder, name: str = "main.ts") -> Piece:
    """The last expression of a file."""
    module = files.module(files.root / name)
    return find(Piece(module, module.root), "expression_statement")[-1].at(
        module.root.named_children[-1].named_children[0]
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("'updatedAt'", "updatedAt"),
        ('"a\\"b\\n"', 'a"b\n'),
        (r'"\x41\u0042\u{43}"', "ABC"),
        (r'"\ud83d\ude00"', "\N{GRINNING FACE}"),
        ('"a\\\nb"', "ab"),
        ("`plain`", "plain"),
        ("('x' as const)", "x"),
        ("'x' satisfies string", "x"),
        ("`a${b}`", None),
        ("5", None),
    ],
)
def test_texts(written: str, meant: str | None) -> None:
    """
    A text is what JavaScript makes of the literal; what has an expression in it is none.
    """
    root = parse(written.encode(), HERE).root

    assert meant == string(root.named_children[0].named_children[0])


def test_entries(tmp_path: Path) -> None:
    """
    An object literal is its entries, in order: quoted, computed and numeric keys, names alone, spreads and methods.
    """
    files = folder(
        tmp_path,
        main="""
        enum F { updated = "updatedAt" }
        const key = `k` as const;
        ({ a: 1, "b c": 2, [key]: 3, [F.updated]: 4, ["e"]: 5, 6: 6, short, ...rest, [what()]: 8, m() {}, /* no */ })
        """,
    )
    literal = find(last(files), "object")[0]

    assert ["a", "b c", "k", "updatedAt", "e", "6", "short", None, None, "m"] == [
        each.key for each in files.entries(literal)
    ]
    assert ["rest"] == [each.value.text for each in files.entries(literal) if each.spread]


@pytest.mark.parametrize(
    ("main", "found"),
    [
        ("const x = 1; x", "1"),
        ("let x = 1; x", "1"),
        ("const x = 1; { const x = 2; x.a = 3; } x", "1"),
        ("const x = {}; const y = Object.assign({}, x); x", "{}"),
        ("const y = 1; const x = y as any; x", "1"),
        ("import { x } from './lib/a'; x", "{ deep: 'a' }"),
        ("import { x as y } from './lib/a.js'; y", "{ deep: 'a' }"),
        ("import d from './lib/a'; d", "'default'"),
        ("import './lib/a'; const x = 1; x", "1"),
        ("const x = 1; for (let x = 2; x < 3; x++) {} x", "1"),
        ("const x = 1; const f = function x() { x; }; x", "1"),
        ("enum E { 'a' = 'x', b = 'y' } E.b", "'y'"),
        ("const o = { 0x10: 1 }; o['16']", "1"),
        ("import * as ns from './lib'; ns.x.deep", "'a'"),
        ("import { sub } from './lib'; sub.x['deep']", "'a'"),
        ("import { named } from './lib'; named", "{ deep: 'a' }"),
        ("import { late } from './lib/b'; late", "'b'"),
        ("const { deep: x } = { deep: 7 }; x", "7"),
        ("const o = { deep: { er: 8 } }; const { deep } = o; deep.er", "8"),
        ("const o = { a: 1, ...{ a: 2 } }; o.a", "2"),
        ("const o = { ...{ a: 2 }, b: 1 }; o.a", "2"),
        ("const o = { ...{ a: 2 }, ...{ b: 1 } }; o.a", "2"),
    ],
)
def test_names(tmp_path: Path, main: str, found: str) -> None:
    """
    A name is followed through constants, destructuring, imports and re-exports to what it stands for.
    """
    files = folder(
        tmp_path,
        main=main,
        lib__index="export * from './a'; export * as sub from './a'; export { x as named } from './b';",
        lib__a="export const x = { deep: 'a' }; export default 'default';",
        lib__b="import { x } from './a'; const late = 'b'; export { x, late };",
    )
    reached = files.follow(last(files))

    assert isinstance(reached, Piece), reached
    assert found == reached.text


@pytest.mark.parametrize(
    ("main", "said"),
    [
        ("x", "main.ts:1: x is declared nowhere"),
        ("import { x } from './gone'; x", "main.ts: there is no file './gone'"),
        ("import { x } from './other'; x", "other.ts: exports no x"),
        ("let x = 1; x = 2; x", "main.ts:1: x is given another value here"),
        ("const x = {a: 1}; x.b = 2; x", "main.ts:1: x is given another value here"),
        ("const x = {}; delete x.a; x", "main.ts:1: x is given another value here"),
        ("const x = []; x.push(1); x", "main.ts:1: x is given another value here"),
        ("const x = {}; Object.assign(x, { a: 1 }); x", "main.ts:1: x is given another value here"),
        ("import x from './star'; x", "star.ts: exports no default"),
        ("const { x = 1 } = {}; x", "main.ts:1: what x is, is known when it runs"),
        ("declare const x: number; x", "main.ts:1: what x is, is known when it runs"),
        ("const x = y; const y = x; x", "main.ts:1: x goes in a circle"),
        ("import { a } from './circle'; a", "circle.ts: a is exported in a circle"),
        ("const o = {a: 1}; o.b", "main.ts:1: there is no key 'b'"),
        ("const o = {a: 1, ...f()}; o.a", "main.ts:1: what is spread here may hold 'a'"),
        ("const o = {a: 1, [f()]: 2}; o.a", "main.ts:1: a key that is computed may be 'a'"),
        ("import { x } from './gone.js'; x", "main.ts: there is no file './gone.js'"),
        ("enum E { a, b = 'y' } E.a", "main.ts:1: 'a' of the enum has no value of its own"),
        ("const [{ a }, ...x] = []; x", "main.ts:1: what x is, is known when it runs"),
        ("const o = {a: 1}; o[f()]", "main.ts:1: which part o[f()] is, is known when it runs"),
    ],
)
def test_unknown(tmp_path: Path, main: str, said: str) -> None:
    """
    What cannot be known without running the code is said, with its place and why.
    """
    files = folder(
        tmp_path,
        main=main,
        other="export const y = 1; export default 2;",
        star="export * from './other';",
        circle="export { a } from './circle';",
    )
    reached = files.follow(last(files))

    assert isinstance(reached, Unknown), reached
    assert said == reached.said


def test_circle_of_files(tmp_path: Path) -> None:
    """
    Files may import each other, as long as no name leads back to itself.
    """
    files = folder(
        tmp_path,
        main="import { b } from './b'; export const a = 1; export { b }; b",
        b="import { a } from './main'; export const b = a;",
    )
    reached = files.follow(last(files))

    assert isinstance(reached, Piece), reached
    assert "1" == reached.text


def test_above(tmp_path: Path) -> None:
    """
    A file above the folder is read too, and called by the way that leads there.
    """
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "x.ts").write_text("export const x = 1;", "utf-8")
    files = folder(tmp_path / "convex", main="import { x } from '../shared/x'; x")
    reached = files.follow(last(files))

    assert isinstance(reached, Piece), reached
    assert "../shared/x.ts:1" == str(reached)


def test_packages(tmp_path: Path) -> None:
    """
    What comes from a package is known by the package and its name there, whatever it is called here.
    """
    files = folder(tmp_path, main="import { v as w } from 'convex/values'; w")

    assert Outside("convex/values", "v") == files.follow(last(files))


@pytest.mark.parametrize(
    ("main", "name"),
    [
        ("import * as all from 'convex/values'; all.v", "v"),
        ("import * as all from 'convex/values'; all.v.number", "v.number"),
        ("import { v } from 'convex/values'; v['number']", "v.number"),
    ],
)
def test_parts_of_packages(tmp_path: Path, main: str, name: str) -> None:
    """
    A part of what comes from a package is known by its name too.
    """
    assert Outside("convex/values", name) == folder(tmp_path, main=main).follow(last(Folder(tmp_path)))


def test_scopes(tmp_path: Path) -> None:
    """
    The nearest declaration is meant: a parameter hides a constant, and has no value of its own.
    """
    files = folder(tmp_path, main="const x = 1; function f(x: number) { { x } }")
    module = files.module(tmp_path / "main.ts")
    inner = find(Piece(module, module.root), "statement_block")[-1]
    bound = files.binding(inner.at(inner.node.named_children[0].named_children[0]))

    assert isinstance(bound, Binding)
    assert bound.value is None
    assert "x: number" == bound.declared.at(bound.declared.node.parent or bound.declared.node).text


def test_own_name(tmp_path: Path) -> None:
    """
    A function that has a name is what is meant by it inside, whatever is called so outside.
    """
    files = folder(tmp_path, main="const x = 1; const f = function x() { x; };")
    module = files.module(tmp_path / "main.ts")
    inside = find(Piece(module, module.root), "expression_statement")[0]
    bound = files.binding(inside.at(inside.node.named_children[0]))

    assert isinstance(bound, Binding)
    assert bound.value is not None
    assert "function x() { x; }" == bound.value.text


@pytest.mark.parametrize(
    ("source", "options"),
    [
        ("@/lib/a", '{"paths": {"@/*": ["./src/*"],}}'),
        ("@/lib/a", '{"paths": {"~/*": ["./src/*"], "@/*": ["./gone/*", "./src/*"]}}'),
        ("a", '{"paths": {"a": ["./src/lib/a.ts"]}}'),
        ("lib/a", '{"baseUrl": "src"}'),
        ("@/a", '{"baseUrl": "src", "paths": {"@/*": ["./lib/*"]}}'),
    ],
)
def test_aliases(tmp_path: Path, source: str, options: str) -> None:
    """
    Paths of tsconfig.json are followed, comments in it notwithstanding.
    """
    files = folder(tmp_path, main=f"import {{ x }} from '{source}'; x", src__lib__a="export const x = 'there';")
    (tmp_path / "tsconfig.json").write_text(f'{{ // ours\n "include": ["."], "compilerOptions": {options} }}')
    reached = files.follow(last(files))

    assert isinstance(reached, Piece), reached
    assert "'there'" == reached.text


@pytest.mark.parametrize("broken", ["const broken = = {;", "const broken = [1;"])
def test_problems(tmp_path: Path, broken: str) -> None:
    """
    Where a file does not parse is told by line, and the rest of it is read.
    """
    files = folder(tmp_path, main=f"const x = 1;\n{broken}\nx;\n")

    assert {("main.ts", 2)} == {(each.file, each.line) for each in files.module(tmp_path / "main.ts").problems}


def test_mark(tmp_path: Path) -> None:
    """
    A byte order mark is no part of the first name.
    """
    (tmp_path / "x.ts").write_bytes(b"\xef\xbb\xbfconst x = 1;")

    assert [] == read(tmp_path / "x.ts").problems
