import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

/**
 * updatedAt: v.string()
 */
export default defineSchema({
  // old: defineTable({ updatedAt: v.any() }),
  pages: defineTable({
    // createdAt: v.number(),
    updatedAt: /* v.optional( */ v.number() /* ) */, // milliseconds
    /* note: */
    note: v.string(),
  }) /* .staged({}) */,
});
