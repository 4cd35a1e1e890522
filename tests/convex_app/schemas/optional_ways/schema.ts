import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  called: defineTable({ updatedAt: v.optional(v.number()) }),
  method: defineTable({ updatedAt: v.number().optional() }),
  both: defineTable({ updatedAt: v.optional(v.number().optional()) }),
  union: defineTable({ updatedAt: v.optional(v.union(v.number(), v.null())) }),
  chained: defineTable({ updatedAt: v.union(v.number(), v.string()).optional() }),
});
