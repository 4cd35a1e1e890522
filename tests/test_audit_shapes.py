"""Small pieces of TypeScript, and what a person sees in them: the table, and whether the field is written."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from timestamp_guard.audit import Audit, Settings, audit

SCHEMA: Final = """\
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";
export default defineSchema({
  services: defineTable({ name: v.string(), state: v.string(), updatedAt: v.number() }).index("by_name", ["name"]),
  pages: defineTable({ name: v.string(), service: v.id("services"), updatedAt: v.optional(v.number()) }),
  users: defineTable({ name: v.string() }),
  logs: defineTable(v.any()),
});
"""

TYPES: Final = """\
import type { Doc } from "./_generated/dataModel";
export enum Tables { Services = "services", Other = 5 }
export interface Line { name: string; updatedAt: number }
export type Short = Omit<Doc<"services">, "updatedAt">;
"""

VALUES: Final = """\
import { v } from "convex/values";
export default { name: "a", updatedAt: 1 };
export const fields = { name: v.string(), updatedAt: v.number() };
"""

HEAD: Final = """\
import { asyncMap, omit, partial, pick, nullThrows, withoutSystemFields } from "convex-helpers";
import { omitBy, pickBy } from "lodash";
import {
  addFieldsToValidator, deprecated, doc, pretend, pretendRequired, vRequired, withSystemFields,
} from "convex-helpers/validators";
import { getAll, getAllOrThrow, getManyFrom, getOneFrom } from "convex-helpers/server/relationships";
import { Table } from "convex-helpers/server";
import { prepare } from "elsewhere";
import { defineTable } from "convex/server";
import { v } from "convex/values";
import type { DataModel, Doc, Id } from "./_generated/dataModel";
import type { DatabaseWriter, MutationCtx } from "./_generated/server";
import { internalMutation } from "./_generated/server";
import schema from "./schema";
import given, { fields } from "./values";
import type { Line as Row, Short } from "./types";
import { Tables } from "./types";
"""

ARGS: Final = """\
    id: v.id("services"), page: v.id("pages"), user: v.id("users"), name: v.string(), flag: v.boolean(),
    ids: v.array(v.id("services")), maybe: v.optional(v.array(v.id("services"))), at: v.optional(v.number()),
    kind: v.union(v.literal("a"), v.literal("b")), row: v.any(),
"""

BY_ID: Final = (
    'const rows = await ctx.db.query("services").take(5); const byId = new Map(rows.map((row) => [row._id, row])); '
)

IN_HANDLER: Final = {
    # -- documents
    "given its place": (
        "services sets",
        'const rows = ["a"].map((name, n) => ({ name, updatedAt: n })); for (const row of rows) ctx.db.insert("services", row);',
    ),
    "assign": ("services sets", 'ctx.db.insert("services", Object.assign({}, args, { updatedAt: 1 }));'),
    "assign without": ("services omits", 'ctx.db.insert("services", Object.assign({}, { name: args.name }));'),
    "assign of nothing": ("services indeterminate", 'ctx.db.insert("services", Object.assign());'),
    "copy of nothing": ("services indeterminate", 'ctx.db.insert("services", structuredClone());'),
    "frozen": ("services sets", 'ctx.db.insert("services", Object.freeze({ name: "a", updatedAt: 1 }));'),
    "called at once": ("services sets", 'ctx.db.insert("services", (() => ({ name: "a", updatedAt: 1 }))());'),
    "assertion": ("services omits", 'ctx.db.insert("services", <any>{ name: "a" });'),
    "template as a table": ("services omits", 'ctx.db.insert(`services`, { name: "a" });'),
    "void": ("services omits", "ctx.db.patch(args.id, { updatedAt: void 0 });"),
    "minus": ("services sets", "ctx.db.patch(args.id, { updatedAt: -args.at });"),
    "one or another": ("services sets", "ctx.db.patch(args.id, { updatedAt: args.flag ? prepare() : 5 });"),
    "one of two keys": ("services indeterminate", 'ctx.db.patch(args.id, { [args.flag ? "updatedAt" : "at"]: 1 });'),
    "no object": ("services indeterminate", "ctx.db.patch(args.id, args.name as any);"),
    "no document": ("services indeterminate", "ctx.db.patch(args.id);"),
    "no value": ("services indeterminate", 'let row: any; ctx.db.insert("services", row);'),
    "another default": ("services sets", 'ctx.db.insert("services", given);'),
    "copy": (
        "services sets",
        'const row = await ctx.db.get(args.id); ctx.db.insert("services", structuredClone(row!));',
    ),
    "values of an object": (
        "services omits",
        'for (const row of Object.values({ a: { name: "a" }, ...{ b: { name: "b" } } })) ctx.db.insert("services", row);',
    ),
    "values of an object, one without": (
        "services omits",
        'for (const row of Object.values({ a: { name: "a", updatedAt: 1 }, b: { name: "b" } })) ctx.db.insert("services", row);',
    ),
    "entries of an object": (
        "services sets",
        'for (const [name, row] of Object.entries({ a: { updatedAt: 1 } })) ctx.db.insert("services", { name, ...row });',
    ),
    "values of an object that is given": (
        "services indeterminate",
        'for (const row of Object.values(args.row)) ctx.db.insert("services", row);',
    ),
    "values of more than is known": (
        "services indeterminate",
        'for (const row of Object.values({ a: { name: "a" }, ...args.row })) ctx.db.insert("services", row);',
    ),
    "keys of any object": (
        "services indeterminate",
        "const row: any = {}; for (const key of Object.keys(args)) row[key] = 1; ctx.db.patch(args.id, row);",
    ),
    "for in": (
        "services indeterminate",
        "const row: any = {}; for (const key in args) row[key] = 1; ctx.db.patch(args.id, row);",
    ),
    "what cannot be parsed": ("services indeterminate", 'ctx.db.insert("services", { name: "a", @ });'),
    "caught error": ("services indeterminate", 'try { prepare(); } catch (e) { ctx.db.insert("services", e as any); }'),
    # -- rows of tables
    "row of a table that lets it be missing": (
        "pages indeterminate",
        'const row = await ctx.db.get(args.page); ctx.db.replace(args.page, { ...row!, name: "a" });',
    ),
    "row of a table without it": (
        "services omits",
        'const row = await ctx.db.get(args.user); ctx.db.insert("services", { ...row! });',
    ),
    "row of a table of any fields": (
        "services indeterminate",
        'const row = await ctx.db.query("logs").first(); ctx.db.insert("services", { ...row! });',
    ),
    "row of a table that the schema has not": (
        "services indeterminate",
        'const row = await ctx.db.query("ghosts").first(); ctx.db.insert("services", { ...row! });',
    ),
    # -- Object.fromEntries
    "entries in a variable": (
        "services omits",
        "const all = Object.entries({ name: args.name }).filter(([, value]) => value); ctx.db.patch(args.id, Object.fromEntries(all));",
    ),
    "spread among pairs": (
        "services indeterminate",
        'ctx.db.patch(args.id, Object.fromEntries([/* of all */ ["name", "a"], ...prepare()]));',
    ),
    "entries of a function": ("services indeterminate", "ctx.db.patch(args.id, Object.fromEntries(prepare(args)));"),
    "entries with other names": (
        "services indeterminate",
        "ctx.db.patch(args.id, Object.fromEntries(Object.entries({ name: 'a' }).map(([key, value]) => [prepare(key), value])));",
    ),
    "entries in args": ("services indeterminate", "ctx.db.patch(args.id, Object.fromEntries(args.row));"),
    # -- lists
    "made by number": (
        "services sets",
        'for (const row of Array.from({ length: 3 }, (_, n) => ({ name: `${n}`, updatedAt: n }))) ctx.db.insert("services", row);',
    ),
    "copied list": ("services omits", 'for (const id of Array.from(args.ids)) ctx.db.patch(id, { name: "a" });'),
    "set": ("services omits", 'for (const id of new Set(args.ids)) ctx.db.patch(id, { name: "a" });'),
    "each once": ("services omits", 'for (const id of [...new Set(args.ids)]) ctx.db.patch(id, { name: "a" });'),
    "object of its own": ("- omits", 'for (const id of new Map(args.row)) ctx.db.patch(id, { name: "a" });'),
    "mapped texts": (
        "services sets",
        'const rows = ["a", "b"].map((name) => ({ name, updatedAt: 1 })); for (const row of rows) ctx.db.insert("services", row);',
    ),
    "mapped by a package": (
        "services indeterminate",
        'for (const row of ["a"].map(prepare)) ctx.db.insert("services", row);',
    ),
    "flat map": (
        "services omits",
        'for (const row of ["a"].flatMap((name) => [{ name }])) ctx.db.insert("services", row);',
    ),
    "flat": ("services omits", 'for (const row of [[{ name: "a" }]].flat()) ctx.db.insert("services", row);'),
    "spread of a list": (
        "services omits",
        'const one = [{ name: "a" }]; for (const row of [...one, /* and */ { name: "b" }]) ctx.db.insert("services", row);',
    ),
    "numbered": (
        "services omits",
        'for (const [n, row] of [{ name: "a" }].entries()) ctx.db.insert("services", row);',
    ),
    "numbered rows": (
        "services omits",
        'const rows = await ctx.db.query("services").collect(); for (const [n, row] of rows.entries()) ctx.db.patch(row._id, { name: `${n}` });',
    ),
    "values of rows": (
        "services omits",
        'const rows = await ctx.db.query("services").take(5); for (const row of rows.values()) ctx.db.patch(row._id, { name: "a" });',
    ),
    "entries of what is no list": (
        "- omits",
        'for (const [n, row] of (args.row as Map<any, any>).entries()) ctx.db.patch(row._id, { name: "a" });',
    ),
    **{
        name: ("services omits", f"{BY_ID}{body}")
        for name, body in {
            "map, its keys": 'for (const id of byId.keys()) ctx.db.patch(id, { name: "a" });',
            "map, its values": 'for (const row of byId.values()) ctx.db.patch(row._id, { name: "a" });',
            "map, its entries": "for (const [id, row] of byId.entries()) ctx.db.patch(id, { name: row.name });",
            "map, one of it": 'ctx.db.patch(byId.get(args.id)!._id, { name: "a" });',
            "map, each of it": "byId.forEach((row, id) => ctx.db.patch(id, { name: row.name }));",
            "map, each row of it": "byId.forEach((row) => ctx.db.patch(row._id, { name: row.name }));",
            "map, spread": 'for (const [, row] of [...byId]) ctx.db.patch(row._id, { name: "a" });',
        }.items()
    },
    "map of a type": (
        "services omits",
        'const ids = new Map<string, Id<"services">>(); ctx.db.patch(ids.get(args.name)!, { name: "a" });',
    ),
    "map that is annotated": (
        "services omits",
        'const ids: Map<string, Id<"services">> = prepare(); ctx.db.patch(ids.get(args.name)!, { name: "a" });',
    ),
    "map of nothing": ("- omits", 'const ids = new Map(); ctx.db.patch(ids.get(args.name)!, { name: "a" });'),
    "map of rows with the field": (
        "services sets",
        "for (const [id, row] of new Map([[args.id, { updatedAt: 1 }]])) ctx.db.patch(id, row);",
    ),
    "picked by a function": ("services omits", "ctx.db.patch(args.id, pickBy({ name: args.name }));"),
    "left out by a function": (
        "services indeterminate",
        "ctx.db.patch(args.id, omitBy({ name: args.name, updatedAt: 1 }, (value) => value === undefined));",
    ),
    "without system fields": (
        "services sets",
        'const row = await ctx.db.get(args.id); ctx.db.insert("services", withoutSystemFields(row!));',
    ),
    "all of some ids": (
        "services omits",
        'for (const row of await getAll(ctx.db, args.ids)) if (row) ctx.db.patch(row._id, { name: "a" });',
    ),
    "all of some ids, or an error": (
        "services omits",
        'for (const row of await getAllOrThrow(ctx.db, args.ids)) ctx.db.patch(row._id, { name: "a" });',
    ),
    "enum": ("services omits", 'ctx.db.insert(Tables.Services, { name: "a" });'),
    "enum by a text": ("services omits", 'ctx.db.insert(Tables["Services"], { name: "a" });'),
    "enum, any of it": ("- omits", 'ctx.db.insert(Tables[args.kind as never], { name: "a" });'),
    "enum without a text": ("- omits", 'ctx.db.insert(Tables.Other as any, { name: "a" });'),
    "pushed to what is unknown": (
        "services indeterminate",
        'const rows = prepare(); rows.push({ name: "a" }); for (const row of rows) ctx.db.insert("services", row);',
    ),
    "all of them at once": (
        "services omits",
        'const rows = await Promise.all(args.ids.map((id) => ctx.db.get(id))); for (const row of rows) ctx.db.patch(row!._id, { name: "a" });',
    ),
    "first of all": (
        "services omits",
        'const [row] = await Promise.all([ctx.db.get(args.id)]); ctx.db.patch(row!._id, { name: "a" });',
    ),
    "arrow with one name": ("services omits", 'args.ids.map(id => ctx.db.patch(id, { name: "a" }));'),
    "one after the other": (
        "services omits",
        'await args.ids.reduce(async (before, id) => { await before; await ctx.db.patch(id, { name: "a" }); }, Promise.resolve());',
    ),
    "what was reduced": (
        "services indeterminate",
        '["a"].reduce((row, name) => { ctx.db.insert("services", row); return row; }, {});',
    ),
    "list that may be missing": (
        "services omits",
        'if (args.maybe) for (const id of args.maybe) ctx.db.patch(id, { name: "a" });',
    ),
    "list or an empty one": ("services omits", 'for (const id of args.maybe ?? []) ctx.db.patch(id, { name: "a" });'),
    "newest first": (
        "services omits",
        'for (const row of await ctx.db.query("services").order("desc").take(5)) ctx.db.patch(row._id, { name: "a" });',
    ),
    "asyncMap of ids": ("services omits", 'await asyncMap(args.ids, (id) => ctx.db.patch(id, { name: "a" }));'),
    "asyncMap to rows": (
        "services omits",
        'for (const row of await asyncMap(args.ids, (id) => ctx.db.get(id))) ctx.db.patch(row!._id, { name: "a" });',
    ),
    "getManyFrom": (
        "pages omits",
        'for (const row of await getManyFrom(ctx.db, "pages", "service", args.id)) ctx.db.patch(row._id, { name: "a" });',
    ),
    "getOneFrom": (
        "pages omits",
        'const row = await getOneFrom(ctx.db, "pages", "service", args.id); ctx.db.patch(row._id, { name: "a" });',
    ),
    "getOneFrom of any table": (
        "- omits",
        'const row = await getOneFrom(ctx.db, args.name, "service", args.id); ctx.db.patch(row._id, { name: "a" });',
    ),
    "nullThrows": (
        "services omits",
        'const row = nullThrows(await ctx.db.get(args.id)); ctx.db.patch(row._id, { name: "a" });',
    ),
    "pick of what is known when it runs": (
        "services omits",
        "ctx.db.patch(args.id, pick({ name: args.name }, args.row));",
    ),
    # -- ids and tables
    "get with a table": (
        "services omits",
        'const row = await ctx.db.get("services", args.id); ctx.db.patch(row!._id, { name: "a" });',
    ),
    "get without an id": ("- omits", 'const row = await ctx.db.get(); ctx.db.patch(row._id, { name: "a" });'),
    "id that may be null": (
        "services omits",
        'const id = ctx.db.normalizeId("services", args.name); if (id) ctx.db.patch(id, { name: "a" });',
    ),
    "id of one of two": ("- omits", 'ctx.db.patch(args.flag ? args.id : args.page, { name: "a" });'),
    "row of one of two": (
        "- omits",
        'const row = args.flag ? await ctx.db.get(args.id) : await ctx.db.get(args.page); ctx.db.patch(row!._id, { name: "a" });',
    ),
    "number of rows": (
        "services sets",
        'const n = await ctx.db.query("pages").count(); ctx.db.patch(args.id, { name: "a", updatedAt: n });',
    ),
    "then": (
        "services omits",
        'const row = await ctx.db.get(args.id).then((found) => found!); ctx.db.patch(row._id, { name: "a" });',
    ),
    "inside of then": (
        "services omits",
        'await ctx.db.get(args.id).then((row) => ctx.db.patch(row!._id, { name: "a" }));',
    ),
    "catch": (
        "services omits",
        'const row = await ctx.db.get(args.id).catch(() => null); ctx.db.patch(row!._id, { name: "a" });',
    ),
    "by place": (
        "services omits",
        'const rows = await ctx.db.query("services").take(1); ctx.db.patch(rows[0]._id, { name: "a" });',
    ),
    "table by key": (
        "- omits",
        'const OF = { a: "services", b: "pages" } as const; ctx.db.insert(OF[args.kind], { name: "a" });',
    ),
    "table by any key": (
        "- omits",
        'const OF = { a: "services", b: "pages" } as const; ctx.db.insert(OF[args.name], { name: "a" });',
    ),
    "table by a text": (
        "services omits",
        'const OF = { a: "services", b: "pages" } as const; ctx.db.insert(OF["a"], { name: "a" });',
    ),
    "table of what is unknown": ("- omits", 'ctx.db.insert(prepare[args.name], { name: "a" });'),
    "id of the rest": (
        "services omits",
        'const { name, ...rest } = (await ctx.db.get(args.id))!; ctx.db.patch(rest._id, { name: "a" });',
    ),
    "id of what was picked": (
        "services omits",
        'const row = (await ctx.db.get(args.id))!; ctx.db.patch(pick(row, ["_id"])._id, { name: "a" });',
    ),
    "id of a spread": (
        "services omits",
        'const row = await ctx.db.get(args.id); const all = { ...row!, name: "a" }; ctx.db.patch(all._id, { name: "a" });',
    ),
    "id beside a computed key": (
        "- omits",
        'const all: any = { id: args.id, [args.name]: 1 }; ctx.db.patch(all.id, { name: "a" });',
    ),
    "id that is given another value": (
        "- omits",
        'const all: any = { id: args.id }; if (args.flag) all.id = args.page; ctx.db.patch(all.id, { name: "a" });',
    ),
    "given to another": (
        "services omits",
        'const id = args.id; await prepare(id); ctx.db.patch(id, { name: "a" });',
    ),
    # -- parts
    "rest of a list": (
        "services omits",
        'const [first, ...others] = await ctx.db.query("services").take(5); for (const row of others) ctx.db.patch(row._id, { name: "a" });',
    ),
    "second of a list": (
        "services sets",
        'const [one, two] = [{ name: "a" }, { name: "b", updatedAt: 1 }]; ctx.db.insert("services", two);',
    ),
    "default of a part": (
        "services sets",
        "const { name, at = Date.now() } = args; ctx.db.patch(args.id, { name, updatedAt: at });",
    ),
    "rest beside a default": (
        "services omits",
        'const { /* the rest */ updatedAt = 1, ...rest } = { name: "a", updatedAt: 2 }; ctx.db.insert("services", rest);',
    ),
    "part by a computed key": (
        "services indeterminate",
        'const { [args.name]: row } = { a: { name: "a" } }; ctx.db.insert("services", row);',
    ),
    # -- changes on the way
    "name that is put together": (
        "services indeterminate",
        'let field = "updated"; field += "At"; ctx.db.patch(args.id, { [field]: 1 });',
    ),
    "given to a package, awaited": (
        "services indeterminate",
        'const row: any = { name: "a" }; await prepare(row); ctx.db.insert("services", row);',
    ),
    "given to a package, perhaps": (
        "services indeterminate",
        'const row: any = { name: "a" }; if (args.flag) prepare(row); ctx.db.patch(args.id, row);',
    ),
    # -- databases
    "database that may be missing": (
        "services omits",
        'const db = args.flag ? ctx.db : undefined; db.insert("services", { name: "a" });',
    ),
    "database by its name": ("services omits", 'args.row.innerDb.insert("services", { name: "a" });'),
    "database that is waited for": ("services omits", '(await ctx.db).insert("services", { name: "a" });'),
    "database that stamps": ("services sets", 'stamped(ctx.db).insert("services", { name: "a" });'),
    "no database": ("", 'args.row.list.insert("services", { name: "a" });'),
}
"""What is written in the handler of a mutation."""

WITH_MORE: Final = {
    # -- helpers
    "awaited with type arguments": (
        "services sets",
        "async function build<T>(name: T) { return { name, updatedAt: 1 }; }",
        'ctx.db.insert("services", await build<string>(args.name));',
    ),
    "generator": (
        "services indeterminate",
        'function* rows() { yield { name: "a" }; }',
        'for (const row of rows()) ctx.db.insert("services", row);',
    ),
    "what its type says": (
        "services sets",
        'async function load(id: any): Promise<Doc<"services">> { return await prepare(id); }',
        'ctx.db.insert("services", { ...(await load(1)) });',
    ),
    "type that says nothing": (
        "services indeterminate",
        "async function load(id: any): Promise<any> { return await prepare(id); }",
        'ctx.db.insert("services", { ...(await load(1)) });',
    ),
    "return of a function inside": (
        "services sets",
        "function build() { const f = () => { return { name: 1 }; }; return { ...f(), updatedAt: 1 }; }",
        'ctx.db.insert("services", build());',
    ),
    "nothing comes back": ("services omits", "function log() {}", 'ctx.db.insert("services", { ...log() });'),
    "their own pick": (
        "services sets",
        "function pick(row: any, names: string[]) { return { name: row.name, updatedAt: 1 }; }",
        'ctx.db.insert("services", pick(args, ["name"]));',
    ),
    "nothing given": (
        "services omits",
        "function build(more?: any) { return { name: 'a', ...more }; }",
        "ctx.db.patch(args.id, build());",
    ),
    "nothing given, and something instead": (
        "services sets",
        "function build(row?: any) { return row ?? { name: 'a', updatedAt: 1 }; }",
        'ctx.db.insert("services", build());',
    ),
    "default of a parameter": (
        "services sets",
        "function build(row: any = { name: 'a', updatedAt: 1 }) { return row; }",
        'ctx.db.insert("services", build());',
    ),
    "default that is not used": (
        "services indeterminate",
        "function build(row: any = { name: 'a', updatedAt: 1 }) { return row; }",
        'ctx.db.insert("services", build({ name: "b" }));',
    ),
    "what is given": (
        "services omits",
        "function build(row: any) { return row; }",
        'ctx.db.insert("services", build({ name: "b" }));',
    ),
    "what is given with it": (
        "services sets",
        "function build(row: any) { return row; }",
        'ctx.db.insert("services", build({ name: "b", updatedAt: 1 }));',
    ),
    "given one thing and another": (
        "services omits services sets",
        "function build(row: any) { return row; }",
        'ctx.db.insert("services", build({ name: "b" })); ctx.db.insert("services", build({ updatedAt: 1 }));',
    ),
    "arrow that changes nothing": (
        "services omits",
        "const log = (x: any) => console.log(x);",
        'const row = { name: "a" }; log(row); ctx.db.insert("services", row);',
    ),
    "looks at parts": (
        "services omits",
        "function check({ name }: any) { if (!name) throw new Error(); }",
        'const row = { name: "a" }; check(row); ctx.db.insert("services", row);',
    ),
    "callers of an arrow": (
        "services omits services sets",
        'const save = async (ctx, row) => { await ctx.db.insert("services", row); };',
        'save(ctx, { name: "a" }); ctx.db.insert("services", { updatedAt: 1 });',
    ),
    "callers with type arguments": (
        "services sets",
        'async function save<T>(ctx, row) { await ctx.db.insert("services", row); }',
        'await save<string>(ctx, { name: "a", updatedAt: 1 });',
    ),
    "called in another way": (
        "services indeterminate",
        'async function save(ctx: MutationCtx, row) { await ctx.db.insert("services", row); }',
        'save(ctx, { name: "a" }); prepare(save);',
    ),
    "called with a spread": (
        "services indeterminate",
        'async function save(ctx: MutationCtx, row) { await ctx.db.insert("services", row); }',
        "save(...args.row);",
    ),
    "all the rest": (
        "services indeterminate",
        'async function save(ctx: MutationCtx, ...rows: any[]) { for (const row of rows) await ctx.db.insert("services", row); }',
        'save(ctx, { name: "a" });',
    ),
    "too many parts": (
        "- indeterminate",
        "",
        "const r0: any = { id: args.id }; "
        + " ".join(f"const r{n} = {{ ...r{n - 1}, ...{{}} , ...r{n - 1} }};" for n in range(1, 20))
        + ' ctx.db.patch(r19.no, { name: "a" });',
    ),
    # -- types
    "intersection": (
        "services sets",
        'export async function save(ctx: MutationCtx, row: Doc<"users"> & { updatedAt: number }) { await ctx.db.insert("services", row); }',
        "",
    ),
    "list by type": (
        "services omits",
        'export async function save(ctx: MutationCtx, rows: Doc<"services">[]) { for (const row of rows) await ctx.db.patch(row._id, { name: "a" }); }',
        "",
    ),
    "Array": (
        "services omits",
        'export async function save(ctx: MutationCtx, ids: Array<Id<"services">>) { for (const id of ids) await ctx.db.patch(id, { name: "a" }); }',
        "",
    ),
    "tuple": (
        "services omits",
        'export async function save(ctx: MutationCtx, [one, two]: [Id<"services">, Id<"services">]) { await ctx.db.patch(two, { name: "a" }); }',
        "",
    ),
    "part of a type": (
        "services omits",
        'export async function save(ctx: MutationCtx, id: Doc<"pages">["service"]) { await ctx.db.patch(id, { name: "a" }); }',
        "",
    ),
    "unknown part of a type": (
        "- omits",
        'export async function save<K extends string>(ctx: MutationCtx, id: Doc<"pages">[K]) { await ctx.db.patch(id, { name: "a" }); }',
        "",
    ),
    "document of the model": (
        "services sets",
        'export async function save(ctx: MutationCtx, row: DataModel["services"]["document"]) { await ctx.db.insert("services", row); }',
        "",
    ),
    "something else of the model": (
        "services indeterminate",
        'export async function save(ctx: MutationCtx, row: DataModel["services"]["indexes"]) { await ctx.db.insert("services", row); }',
        "",
    ),
    "typeof": (
        "services omits",
        'const draft = { name: "a" }; export async function save(ctx: MutationCtx, row: typeof draft) { await ctx.db.insert("services", row); }',
        "",
    ),
    "conditional type": (
        "services indeterminate",
        'export async function save<T>(ctx: MutationCtx, row: T extends string ? Row : never) { await ctx.db.insert("services", row); }',
        "",
    ),
    "any key": (
        "services indeterminate",
        'export async function save(ctx: MutationCtx, row: { name: string; [key: string]: unknown }) { await ctx.db.insert("services", row); }',
        "",
    ),
    "type of itself": (
        "services omits",
        'interface Tree { name: string; child?: Tree } export async function save(ctx: MutationCtx, row: Tree) { await ctx.db.insert("services", row); }',
        "",
    ),
    "document of any table": (
        "services indeterminate",
        'export async function save<T>(ctx: MutationCtx, row: Doc<T>) { await ctx.db.insert("services", row); }',
        "",
    ),
    "NonNullable": (
        "services sets",
        'export async function save(ctx: MutationCtx, row: NonNullable<Doc<"services"> | null>) { await ctx.db.insert("services", row); }',
        "",
    ),
    "Required": (
        "services sets",
        'export async function save(ctx: MutationCtx, row: Required<Partial<Doc<"services">>>) { await ctx.db.insert("services", row); }',
        "",
    ),
    "Pick of any names": (
        "services indeterminate",
        'export async function save<K>(ctx: MutationCtx, row: Pick<Doc<"services">, K>) { await ctx.db.insert("services", row); }',
        "",
    ),
    "imported under another name": (
        "services sets",
        'export async function save(ctx: MutationCtx, row: Row) { await ctx.db.insert("services", row); }',
        "",
    ),
    "another name for a type": (
        "services sets",
        'type Line = Doc<"services">; export async function save(ctx: MutationCtx, row: Line) { await ctx.db.insert("services", row); }',
        "",
    ),
    "interface that has what another has": (
        "services sets",
        'interface Line extends Row { state: string } export async function save(ctx: MutationCtx, row: Line) { await ctx.db.insert("services", row); }',
        "",
    ),
    "imported": (
        "services omits",
        'export async function save(ctx: MutationCtx, row: Short) { await ctx.db.insert("services", row); }',
        "",
    ),
    "database that may be left out": (
        "services omits",
        'export async function save(db?: DatabaseWriter) { await db?.insert("services", { name: "a" }); }',
        "",
    ),
    "context that stamps": (
        "services sets",
        'export async function save(ctx: Stamping) { await ctx.db.insert("services", { name: "a" }); }',
        "",
    ),
    # -- functions in objects
    "builder that stamps": (
        "services sets",
        'export const save = stamped({ handler: async (ctx) => { await ctx.db.insert("services", { name: "a" }); } });',
        "",
    ),
    "functions by name": (
        "services omits",
        'export const Model = { async save(ctx: MutationCtx, id: Id<"services">) { await ctx.db.patch(id, { name: "a" }); } };',
        "",
    ),
    "another option": (
        "services omits",
        'export const save = internalMutation({ onDone: async (ctx, id: Id<"services">) => { await ctx.db.patch(id, { name: "a" }); } });',
        "",
    ),
    "class of their own": (
        "",
        "class Memory { insert(table: string, row: object) {} }",
        'const db = new Memory(); db.insert("services", { name: "a" });',
    ),
    "class of another": (
        "services omits",
        'import { Memory } from "elsewhere";',
        'const db = new Memory(ctx); db.insert("services", { name: "a" });',
    ),
    "function alone": (
        "services omits",
        'export const save = internalMutation(async (ctx, given: { id: Id<"services"> }) => { await ctx.db.patch(given.id, { name: "a" }); });',
        "",
    ),
}
"""Code beside the mutation, and what is written in its handler."""

ROWS: Final = {
    "v.object(fields).omit('updatedAt')": "omits",
    "v.object(fields).omit(...names)": "indeterminate",
    "v.object(fields).pick('name', 'updatedAt')": "sets",
    "v.object(fields).pick('name')": "omits",
    "v.object(fields).partial()": "indeterminate",
    "v.object(fields).optional()": "indeterminate",
    "v.object({ name: v.string() }).extend({ updatedAt: v.number() })": "sets",
    "v.object(fields).extend({ name: v.null() })": "sets",
    "v.object(omit(fields, ['updatedAt']))": "omits",
    "v.object(pick(fields, ['updatedAt']))": "sets",
    "v.object(partial(fields))": "indeterminate",
    "v.object(partial({ name: v.string() }))": "omits",
    "v.object({ ...fields })": "sets",
    "v.object({ [prepare()]: v.any() })": "indeterminate",
    "v.union(v.object(fields), v.null())": "indeterminate",
    "v.union(v.object({ name: v.string() }), v.null())": "omits",
    "v.object({ 1.5: v.string(), 2n: v.string(), updatedAt: v.number() })": "sets",
    "v.object({ 1.5: v.string(), 1e30: v.string() })": "indeterminate",
    "v.object({ 1.5: v.string(), .5: v.string(), 2n: v.string() })": "omits",
    "v.object({ updatedAt: pretend(v.number()) })": "indeterminate",
    "v.object({ updatedAt: pretendRequired(v.number()) })": "indeterminate",
    "v.object({ updatedAt: deprecated })": "indeterminate",
    "v.object({ updatedAt: vRequired(v.optional(v.number())) })": "sets",
    "vRequired(v.optional(v.object({ name: v.string() })))": "omits",
    "addFieldsToValidator(v.object({ name: v.string() }), { updatedAt: v.number() })": "sets",
    "addFieldsToValidator(v.object({ name: v.string() }), { state: v.string() })": "omits",
    "addFieldsToValidator(v.object(fields), { updatedAt: v.optional(v.number()) })": "sets",
    "addFieldsToValidator(v.union(v.object({ name: v.string() }), v.object(fields)), {})": "indeterminate",
    "v.object(withSystemFields('services', fields))": "sets",
    "v.object(withSystemFields('services', { name: v.string() }))": "omits",
    "v.any()": "indeterminate",
    "v.record(v.string(), v.any())": "indeterminate",
    "doc(schema, 'services')": "sets",
    "doc(schema, prepare())": "indeterminate",
    "schema.tables.services.validator": "sets",
    "Drafts.validator": "omits",
    "Lines.withoutSystemFields": "sets",
    "prepare.validator": "indeterminate",
    "parts.row": "sets",
    "prepare": "indeterminate",
    "convert(fields)": "indeterminate",
    "circle": "indeterminate",
}
"""Validators of an argument that is inserted as it is."""

FOLDER: Final = {"schema.ts": SCHEMA, "types.ts": TYPES, "values.ts": VALUES}


def mutation(body: str, *, row: str = "v.any()", before: str = "") -> str:
    args = ARGS.replace("row: v.any()", f"row: {row}")
    return f"{HEAD}{before}\nexport const change = internalMutation({{\n  args: {{\n{args}  }},\n  handler: async (ctx, args) => {{\n{body}\n  }},\n}});\n"


def validated(row: str, body: str = 'ctx.db.insert("services", args.row);') -> str:
    before = (
        "const Drafts = defineTable({ name: v.string() });\n"
        'const Lines = Table("lines", fields);\n'
        "const parts = { row: v.object(fields) };\n"
        "const circle: any = v.optional(circle);\n"
    )
    return mutation(body, row=row, before=before)


SOURCES: Final = {
    **{name: mutation(body) for name, (_, body) in IN_HANDLER.items()},
    **{name: mutation(body, before=before) for name, (_, before, body) in WITH_MORE.items()},
    **{row: validated(row) for row in ROWS},
    "circle as an id": validated("circle", 'ctx.db.patch(args.row, { name: "a" });'),
}
FILES: Final = {name: f"case{number}.ts" for number, name in enumerate(SOURCES)}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    folder = tmp_path_factory.mktemp("app")
    for name, source in {**FOLDER, **{FILES[name]: source for name, source in SOURCES.items()}}.items():
        (folder / name).write_text(source, "utf-8")
    return audit(folder, Settings(stamping=("stamped", "Stamping")))


def said(found: Audit, name: str) -> str:
    return " ".join(f"{each.table or '-'} {each.verdict}" for each in found.sites if each.file == FILES[name])


@pytest.mark.parametrize(("name", "expected"), [(name, each[0]) for name, each in (IN_HANDLER | WITH_MORE).items()])
def test_shape(found: Audit, name: str, expected: str) -> None:
    """
    A write is of the table, and does with the field, what a person reads there.
    """
    assert expected == said(found, name)


@pytest.mark.parametrize(("row", "verdict"), ROWS.items())
def test_validator(found: Audit, row: str, verdict: str) -> None:
    """
    An argument has the fields that its validator lets through, however that is put together.
    """
    assert f"services {verdict}" == said(found, row)


def test_id_of_system_fields(tmp_path: Path) -> None:
    """
    A row whose validator has the system fields has an id of its table.
    """
    row = "v.object(withSystemFields('services', { name: v.string() }))"
    for name, source in {**FOLDER, "a.ts": validated(row, 'ctx.db.patch(args.row._id, { name: "a" });')}.items():
        (tmp_path / name).write_text(source, "utf-8")

    assert [("services", "omits")] == [(each.table, each.verdict) for each in audit(tmp_path).sites]


def test_circle(found: Audit) -> None:
    """
    A validator that is made of itself says nothing, and ends nothing.
    """
    assert "- omits" == said(found, "circle as an id")
