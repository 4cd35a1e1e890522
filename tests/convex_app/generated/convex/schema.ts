import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  services: defineTable({
    name: v.string(),
    createdAt: v.optional(v.number()),
    updatedAt: v.number(),
  }),
  pillarPages: defineTable({
    title: v.string(),
    updatedAt: v.optional(v.any()),
  }),
  clusterPages: defineTable({
    title: v.string(),
    views: v.optional(v.int64()),
    updatedAt: v.int64(),
  }),
  articles: defineTable({
    title: v.string(),
    updatedAt: v.string(),
  }),
  visits: defineTable({ count: v.number() }),
});
