import { v } from "convex/values";
import { mutation } from "./functions";

export const createPillar = mutation({
  args: { serviceId: v.id("services"), title: v.string(), slug: v.string() },
  handler: async (ctx, args) => {
    return await ctx.db.insert("pillarPages", { ...args, status: "draft", createdAt: Date.now() });
  },
});

export const createCluster = mutation({
  args: { pillarId: v.id("pillarPages"), title: v.string(), slug: v.string() },
  handler: async (ctx, args) => {
    return await ctx.db.insert("clusterPages", { ...args, status: "draft", createdAt: Date.now() });
  },
});

export const publishPillar = mutation({
  args: { id: v.id("pillarPages") },
  handler: async (ctx, { id }) => {
    await ctx.db.patch(id, { status: "published" });
  },
});

export const publishCluster = mutation({
  args: { id: v.id("clusterPages") },
  handler: async (ctx, { id }) => {
    await ctx.db.patch(id, { status: "published" });
  },
});
