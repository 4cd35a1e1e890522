import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

const page = v.object({ title: v.string(), createdAt: v.number(), updatedAt: v.number(), note: v.optional(v.string()) });
export default defineSchema({
  picked: defineTable(page.pick("title", "updatedAt")),
  omitted: defineTable(page.omit("updatedAt")),
  partial: defineTable(page.partial()),
  extended: defineTable(page.extend({ updatedAt: v.string(), slug: v.string() })),
  all: defineTable(page.omit("note").partial().extend({ publishedAt: v.number() })),
  spread: defineTable({ ...page.pick("createdAt").fields, updatedAt: v.number() }),
});
