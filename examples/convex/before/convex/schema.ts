import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  services: defineTable({
    name: v.string(),
    slug: v.string(),
    description: v.optional(v.string()),
    createdAt: v.number(),
    updatedAt: v.number(),
  }).index("by_slug", ["slug"]),
  pillarPages: defineTable({
    serviceId: v.id("services"),
    title: v.string(),
    slug: v.string(),
    status: v.union(v.literal("draft"), v.literal("published")),
    createdAt: v.number(),
    updatedAt: v.optional(v.number()),
  }).index("by_service", ["serviceId"]),
  clusterPages: defineTable({
    pillarId: v.id("pillarPages"),
    title: v.string(),
    slug: v.string(),
    status: v.union(v.literal("draft"), v.literal("published")),
    createdAt: v.number(),
    updatedAt: v.optional(v.number()),
  }).index("by_pillar", ["pillarId"]),
});
