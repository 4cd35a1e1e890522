import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

const production = process.env.NODE_ENV === "production";
const same = production ? { updatedAt: v.number() } : { updatedAt: v.number() };
export default defineSchema({
  same: defineTable(same),
  other: defineTable({ updatedAt: v.number(), ...(production ? {} : { debug: v.string() }) }),
  and: defineTable({ updatedAt: v.number(), ...(production && { debug: v.string() }) }),
});
