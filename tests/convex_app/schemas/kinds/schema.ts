import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  int64: defineTable({ updatedAt: v.int64() }),
  bigint: defineTable({ updatedAt: v.bigint() }),
  commitTs: defineTable({ updatedAt: v.commitTs(), seen: v.optional(v.commitTs()) }),
  iso: defineTable({ updatedAt: v.string() }),
  any: defineTable({ updatedAt: v.any() }),
  literal: defineTable({ updatedAt: v.literal(0), kind: v.union(v.literal("a"), v.literal("b")) }),
  bytes: defineTable({ updatedAt: v.bytes() }),
});
