import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

// Three tables, as the first application had them.
export default defineSchema({
  services: defineTable({
    name: v.string(),
    slug: v.string(),
    isActive: v.boolean(),
    tags: v.array(v.string()),
    meta: v.object({ updatedAt: v.string(), nested: v.object({ createdAt: v.number() }) }),
    owner: v.id("users"),
    raw: v.bytes(),
    extra: v.record(v.string(), v.any()),
    updatedAt: v.number(),
    createdAt: v.float64(),
  })
    .index("by_slug", ["slug"])
    .index("by_updated", ["updatedAt"]),
  pillarPages: defineTable({ title: v.string(), updatedAt: v.number() }),
  clusterPages: defineTable({ title: v.string(), updatedAt: v.optional(v.number()) }),
});
