import { v } from "convex/values";
import { pick } from "convex-helpers";
import { elsewhere } from "some-package";
import type { Doc, Id } from "./_generated/dataModel";
import { internalMutation, mutation, type MutationCtx } from "./_generated/server";
import * as documents from "./lib/documents";
import { addTimes, bare, stampedPage, trimTitle, type Draft, type NewPage, type Timed } from "./lib/documents";

const TABLES = { pillar: "pillarPages", cluster: "clusterPages" } as const;
const PILLARS = "pillarPages";

export const create = mutation({
  args: { title: v.string(), serviceId: v.id("services") },
  handler: async (ctx, args) => {
    await ctx.db.insert("pillarPages", stampedPage(args)); // p01
    await ctx.db.insert("pillarPages", bare(args.title, args.serviceId) as any); // p02
    await ctx.db.insert(PILLARS, { ...bare(args.title, args.serviceId), createdAt: 1, updatedAt: 1 }); // p03
    await ctx.db.insert(TABLES.cluster, documents.chosen(args.title, true) as any); // p04
    await ctx.db.insert("pillarPages", elsewhere(args)); // p05
    const page: any = { ...args };
    addTimes(page);
    await ctx.db.insert("pillarPages", page); // p06
    const trimmed: any = { ...args };
    trimTitle(trimmed);
    await ctx.db.insert("pillarPages", trimmed); // p07
    const handed: any = { ...args };
    elsewhere(handed);
    await ctx.db.insert("pillarPages", handed); // p08
  },
});

export async function insertDraft(ctx: MutationCtx, draft: Draft, timed: Timed, page: NewPage) {
  await ctx.db.insert("pillarPages", draft as any); // p09
  await ctx.db.insert("pillarPages", timed); // p10
  await ctx.db.insert("pillarPages", { ...page, createdAt: Date.now() } as any); // p11
  const copy: Timed = JSON.parse(JSON.stringify(timed));
  await ctx.db.insert("pillarPages", { ...copy }); // p12
}

export async function patchAny(ctx: MutationCtx, id: Id<"pillarPages">, changes: Partial<Doc<"pillarPages">>) {
  await ctx.db.patch(id, changes); // p13
  await ctx.db.patch(id, pick(changes, ["title"])); // p14
}

export const rename = internalMutation({
  args: { table: v.union(v.literal("pillarPages"), v.literal("clusterPages")), id: v.string(), title: v.string() },
  handler: async (ctx, args) => {
    const db = ctx.db as any;
    await db.patch(args.id, { title: args.title }); // p15
    await ctx.db.patch(args.table, args.id as any, { title: args.title }); // p16
    await ctx.db.insert(args.table as "pillarPages" | "clusterPages", { title: args.title } as any); // p17
    await ctx.db.insert(args.table as "clusterPages", { title: args.title, updatedAt: Date.now() } as any); // p18
    await ctx.db.insert<"pillarPages">("pillarPages", { title: args.title } as any); // p19
    await (ctx.db as any).insert("clusterPages", { title: args.title }); // p20
    await ctx.db!.insert("clusterPages", { "title": args.title, "updatedAt": Date.now() } as any); // p21
  },
});

export const all = internalMutation({
  args: {},
  handler: async (ctx) => {
    for (const table of ["pillarPages", "clusterPages"] as const) {
      for (const row of await ctx.db.query(table).take(100)) {
        await ctx.db.patch(row._id, { title: row.title.trim() }); // p22
      }
    }
    for await (const page of ctx.db.query("clusterPages")) {
      await ctx.db.patch(page._id, { updatedAt: Date.now() }); // p23
    }
    const { page } = await ctx.db.query("pillarPages").paginate({ numItems: 10, cursor: null });
    await Promise.all(page.map((row) => ctx.db.patch(row._id, { title: "x" }))); // p24
    await Promise.all(
      page.map(async ({ _id, title }) => {
        await ctx.db.patch(_id, { title, updatedAt: Date.now() }); // p25
      }),
    );
    const first = page.find((row) => row.title === "x");
    if (first) await ctx.db.replace(first._id, { title: "y", serviceId: first.serviceId, createdAt: 1 } as any); // p26
  },
});

export const wrapped = mutation({
  args: { id: v.id("clusterPages"), title: v.string() },
  handler: async (ctx, args) => {
    const innerDb = elsewhere(ctx.db);
    const { db: writer } = ctx;
    await innerDb.patch(args.id, { title: args.title }); // p27
    await writer.patch(args.id, { title: args.title, updatedAt: Date.now() }); // p28
    await ctx.db["patch"](args.id, { title: args.title }); // p29
    await ctx?.db.patch(args.id, { title: args.title, ["updatedAt"]: Date.now() }); // p30
    const key: string = args.title;
    await ctx.db.patch(args.id, { [key]: Date.now() }); // p31
    await ctx.db.patch(args.id, { title: args.title, updatedAt: args.title ? Date.now() : undefined }); // p32
  },
});

export class Pages {
  constructor(private readonly ctx: MutationCtx) {}

  async add(title: string, pillarId: Id<"pillarPages">) {
    const id = await this.ctx.db.insert("clusterPages", { title, pillarId }); // p33
    await this.ctx.db.patch(id, { title }); // p34
  }
}

function changed(title: string) {
  return { title };
}

async function save(ctx: MutationCtx, id: Id<"clusterPages">, changes: Record<string, unknown>) {
  await ctx.db.patch(id, changes); // p35
}

export const saveAll = mutation({
  args: { id: v.id("clusterPages"), title: v.string() },
  handler: async (ctx, { id, title }) => {
    await save(ctx, id, { ...changed(title), updatedAt: Date.now() });
    await save(ctx, id, { title: "b", updatedAt: Date.now() });
  },
});
