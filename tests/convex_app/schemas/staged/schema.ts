import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  services: defineTable({ name: v.string(), updatedAt: v.optional(v.number()) }).staged({ updatedAt: v.number() }),
  added: defineTable({ name: v.string() }).index("by_name", ["name"]).staged({ updatedAt: v.number() }),
  removed: defineTable({ name: v.string(), legacy: v.optional(v.string()) }).staged({ legacy: undefined }),
  whole: defineTable(v.union(v.object({ a: v.number() }), v.object({ b: v.number() }))).staged(
    v.union(v.object({ a: v.number(), updatedAt: v.number() }), v.object({ b: v.number(), updatedAt: v.number() })),
  ),
  loose: defineTable(v.any()).staged({ updatedAt: v.number() }),
  untouched: defineTable({ updatedAt: v.number() }).staged({}),
});
