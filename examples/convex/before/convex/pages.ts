import { v } from "convex/values";
import { mutation } from "./_generated/server";

export const createPillar = mutation({
  args: { serviceId: v.id("services"), title: v.string(), slug: v.string() },
  handler: async (ctx, args) => {
    const now = Date.now();
    return await ctx.db.insert("pillarPages", { ...args, status: "draft", createdAt: now, updatedAt: now });
  },
});

export const createCluster = mutation({
  args: { pillarId: v.id("pillarPages"), title: v.string(), slug: v.string() },
  handler: async (ctx, args) => {
    const now = Date.now();
    return await ctx.db.insert("clusterPages", { ...args, status: "draft", createdAt: now, updatedAt: now });
  },
});

export const publishPillar = mutation({
  args: { id: v.id("pillarPages") },
  handler: async (ctx, { id }) => {
    await ctx.db.patch(id, { status: "published", updatedAt: Date.now() });
  },
});

export const publishCluster = mutation({
  args: { id: v.id("clusterPages") },
  handler: async (ctx, { id }) => {
    await ctx.db.patch(id, { status: "published" });
  },
});
