import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  loose: defineTable(v.any()),
  strict: defineTable({ updatedAt: v.number() }),
});
