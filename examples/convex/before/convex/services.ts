import { v } from "convex/values";
import { mutation, query } from "./_generated/server";

export const list = query({
  args: {},
  handler: async (ctx) => {
    return await ctx.db.query("services").withIndex("by_slug", (q) => q.gt("slug", "")).take(100);
  },
});

export const create = mutation({
  args: { name: v.string(), slug: v.string(), description: v.optional(v.string()) },
  handler: async (ctx, args) => {
    const now = Date.now();
    return await ctx.db.insert("services", { ...args, createdAt: now, updatedAt: now });
  },
});

export const update = mutation({
  args: { id: v.id("services"), name: v.optional(v.string()), description: v.optional(v.string()) },
  handler: async (ctx, { id, ...changes }) => {
    await ctx.db.patch(id, { ...changes, updatedAt: Date.now() });
  },
});
