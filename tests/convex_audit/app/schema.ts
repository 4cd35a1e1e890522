import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export const timestamps = { createdAt: v.number(), updatedAt: v.number() };

export default defineSchema({
  services: defineTable({
    name: v.string(),
    slug: v.string(),
    status: v.union(v.literal("draft"), v.literal("published")),
    viewCount: v.optional(v.number()),
    lastViewedAt: v.optional(v.number()),
    sortOrder: v.optional(v.number()),
    ...timestamps,
  }).index("by_slug", ["slug"]),
  pillarPages: defineTable({
    title: v.string(),
    serviceId: v.id("services"),
    ...timestamps,
  }).index("by_service", ["serviceId"]),
  clusterPages: defineTable({
    title: v.string(),
    pillarId: v.id("pillarPages"),
    updatedAt: v.optional(v.number()),
  }),
  users: defineTable({ name: v.string(), email: v.optional(v.string()) }),
});
