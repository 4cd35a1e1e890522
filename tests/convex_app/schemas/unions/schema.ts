import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

const base = { updatedAt: v.number() };
export default defineSchema({
  events: defineTable(
    v.union(
      v.object({ kind: v.literal("click"), x: v.number(), ...base }),
      v.object({ kind: v.literal("view"), url: v.string(), ...base }),
    ),
  ),
  partly: defineTable(
    v.union(
      v.object({ kind: v.literal("a"), updatedAt: v.number() }),
      v.object({ kind: v.literal("b"), updatedAt: v.string(), createdAt: v.optional(v.number()) }),
      v.union(v.object({ kind: v.literal("c") })),
    ),
  ),
  objects: defineTable(v.object({ updatedAt: v.number() })),
});
