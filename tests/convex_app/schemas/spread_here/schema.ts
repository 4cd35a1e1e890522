import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

const timestamps = { createdAt: v.number(), updatedAt: v.number() };
const optionalTimestamps = { ...timestamps, updatedAt: v.optional(v.number()) } as const;
export default defineSchema({
  before: defineTable({ ...timestamps, updatedAt: v.string() }),
  after: defineTable({ updatedAt: v.string(), ...timestamps }),
  optional: defineTable({ name: v.string(), ...optionalTimestamps }),
  inline: defineTable({ ...{ a: v.number(), ...{ b: v.string() } } }),
});
