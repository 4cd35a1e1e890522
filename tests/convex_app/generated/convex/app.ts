// An app that stamps whatever its mutations write.
import {
  customCtx,
  customMutation,
} from "convex-helpers/server/customFunctions";
import { Triggers } from "convex-helpers/server/triggers";
import { v } from "convex/values";
import type { DataModel } from "./_generated/dataModel.js";
import {
  mutation as plainMutation,
  type DatabaseWriter,
} from "./_generated/server.js";
import { stamped } from "./timestampGuard.js";

export const mutation = customMutation(
  plainMutation,
  customCtx((ctx) => ({ db: stamped(ctx.db) })),
);

/** A helper that knows nothing of stamps takes the wrapper too. */
async function visited(db: DatabaseWriter): Promise<void> {
  await db.insert("visits", { count: 1 });
}

export const add = mutation({
  args: { name: v.string(), createdAt: v.optional(v.number()) },
  handler: async (ctx, args) => {
    await visited(ctx.db);
    return await ctx.db.insert("services", args);
  },
});

export const rename = mutation({
  args: { id: v.id("services"), name: v.string() },
  handler: async (ctx, { id, name }) => {
    await ctx.db.patch("services", id, { name });
  },
});

export const renameOldForm = mutation({
  args: { id: v.id("services"), name: v.string() },
  handler: async (ctx, { id, name }) => {
    await ctx.db.patch(id, { name });
  },
});

export const age = mutation({
  args: { id: v.id("services"), createdAt: v.number() },
  handler: async (ctx, { id, createdAt }) => {
    await ctx.db.patch(id, { createdAt });
  },
});

export const overwrite = mutation({
  args: { id: v.id("services"), named: v.boolean(), name: v.string() },
  handler: async (ctx, { id, named, name }) => {
    const before = await ctx.db.get(id);
    if (before === null) return;
    // The stale stamp comes along, as it does in many an app.
    const whole = { ...before, name };
    if (named) await ctx.db.replace("services", id, whole);
    else await ctx.db.replace(id, whole);
  },
});

export const addOthers = mutation({
  args: {},
  handler: async (ctx) => {
    return {
      cluster: await ctx.db.insert("clusterPages", { title: "c" }),
      pillar: await ctx.db.insert("pillarPages", { title: "p" }),
      article: await ctx.db.insert("articles", { title: "a" }),
      visit: await ctx.db.insert("visits", { count: 1 }),
    };
  },
});

export const forgetful = plainMutation({
  args: {},
  handler: async (ctx) => {
    // @ts-expect-error the schema wants updatedAt, and the plain database is not stamped
    await ctx.db.insert("services", { name: "forgotten" });
  },
});

export const misspelt = mutation({
  args: {},
  handler: async (ctx) => {
    // @ts-expect-error the wrapper leaves out the stamp alone
    await ctx.db.insert("services", { nam: "misspelt" });
  },
});

export const sidestep = mutation({
  args: {},
  handler: (ctx) => "table" in ctx.db && typeof ctx.db.table,
});

const triggers = new Triggers<DataModel>();

/** Counts what is written, below the stamp: the trigger sees what is stored. */
triggers.register("services", async (ctx, { newDoc }) => {
  if (newDoc !== null) {
    await ctx.db.insert("visits", { count: newDoc.updatedAt });
  }
});

export const triggered = customMutation(
  plainMutation,
  customCtx((ctx) => ({ db: stamped(triggers.wrapDB(ctx).db) })),
)({
  args: { name: v.string() },
  handler: async (ctx, { name }) => {
    const id = await ctx.db.insert("services", { name });
    await ctx.db.patch(id, { name });
    await ctx.db.patch("services", id, { name });
    await ctx.db.replace(id, { name });
    return (await ctx.db.get(id))?.name;
  },
});
