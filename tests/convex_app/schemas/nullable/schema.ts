import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  after: defineTable({ updatedAt: v.union(v.number(), v.null()) }),
  before: defineTable({ updatedAt: v.union(v.null(), v.number()) }),
  named: defineTable({ updatedAt: v.nullable(v.number()) }),
  nested: defineTable({ updatedAt: v.union(v.union(v.number(), v.int64()), v.union(v.null())) }),
  never: defineTable({ updatedAt: v.union() }),
});
