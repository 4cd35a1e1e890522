import { Migrations } from "@convex-dev/migrations";
import { Triggers } from "convex-helpers/server/triggers";
import type { Infer } from "convex/values";
import { v } from "convex/values";
import { elsewhere } from "some-package";
import type { DataModel, Doc, Id, TableNames } from "./_generated/dataModel";
import { mutation, type DatabaseWriter, type MutationCtx } from "./_generated/server";
import schema from "./schema";

const migrations = new Migrations<DataModel>({} as any);
const triggers = new Triggers<DataModel>();
const pageInput = v.object({ title: v.string(), serviceId: v.id("services") });
const DEFAULTS = { status: "draft", viewCount: 1 } as const;

export const trimNames = migrations.define({
  table: "services",
  migrateOne: async (ctx, doc) => {
    await ctx.db.patch(doc._id, { name: doc.name.trim() }); // m01
  },
});

triggers.register("services", async (ctx, change) => {
  if (change.operation === "update") {
    await ctx.db.patch(change.id, { updatedAt: Date.now() }); // m02
  }
});

export const many = mutation({
  args: { ids: v.array(v.id("services")), raw: v.string() },
  handler: async (ctx, args) => {
    for (const id of args.ids) {
      await ctx.db.patch(id, { ...DEFAULTS }); // m03
    }
    const id = ctx.db.normalizeId("services", args.raw);
    await ctx.db.patch(id!, { name: args.raw, updatedAt: Date.now() } satisfies Partial<Doc<"services">>); // m04
  },
});

export const fromSchema = mutation({
  args: schema.tables.pillarPages.validator.fields,
  handler: async (ctx, args) => {
    await ctx.db.insert("pillarPages", args); // m05
    const { ...copy } = args;
    await ctx.db.insert("pillarPages", { ...copy }); // m06
  },
});

export async function typed(ctx: MutationCtx, input: Infer<typeof pageInput>, fresh: boolean, id: Id<"pillarPages">) {
  await ctx.db.insert("pillarPages", { ...input, createdAt: Date.now() } as any); // m07
  const service: Omit<Doc<"services">, "_id" | "_creationTime"> = elsewhere(input);
  await ctx.db.insert("services", { ...service, name: "copy" }); // m08
  let row;
  if (fresh) {
    row = { title: "a", updatedAt: Date.now() };
  } else {
    row = { title: "b", updatedAt: Date.now() };
  }
  await ctx.db.patch(id, row); // m09
  await ctx.db.patch(id, fresh ? { title: "a", updatedAt: 1 } : { title: "b", updatedAt: 2 }); // m10
  await ctx.db.patch(id, Object.fromEntries(Object.keys(input).map((key) => [key, "x"]))); // m11
  await ctx.db.insert< // m12
    // which of them
    "pillarPages"
  >("pillarPages", { title: "x" } as any);
}

export async function anyTable(ctx: MutationCtx, table: TableNames, row: any) {
  await ctx.db.insert(table as TableNames, row); // m13
}

export class Writer {
  constructor(private readonly db: DatabaseWriter) {}

  async rename(id: Id<"services">, name: string) {
    await this.db.patch(id, { name }); // m14
  }
}

export async function deep({ db: inner }: { db: DatabaseWriter }, row: Doc<"services"> | null) {
  if (row === null) return;
  await inner.replace(row._id, { ...row, ...(row.viewCount ? { viewCount: 0 } : {}), updatedAt: Date.now() }); // m15
  await (await inner).patch((row as Doc<"services">)._id as Id<"services">, { slug: "s" } as any as never); // m16
}

export async function foreign(ctx: MutationCtx, page: Doc<"pillarPages">, id: Id<"clusterPages">) {
  await ctx.db.patch(page.serviceId, { name: "x" }); // m17
  const cluster = await ctx.db.get(id);
  await ctx.db.patch(cluster!.pillarId, { title: cluster!.title, updatedAt: cluster!.updatedAt }); // m18
}

export async function filtered(ctx: MutationCtx, words: string[]) {
  let services = await ctx.db.query("services").take(10);
  for (const word of words) {
    services = services.filter((each) => each.name.includes(word));
  }
  for (const service of services.slice(0, 5)) {
    await ctx.db.patch(service._id, { name: "x" }); // m19
  }
}
