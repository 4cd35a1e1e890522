import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  pages: defineTable({ title: v.string(), body: v.string(), embedding: v.array(v.float64()), updatedAt: v.number() })
    // the newest first
    .index("by_updated", ["updatedAt"])
    .index("by_title", { fields: ["title"], staged: true })
    .searchIndex("search", { searchField: "body", filterFields: ["title"] })
    /* dimensions of the model */
    .vectorIndex("by_embedding", { vectorField: "embedding", dimensions: 1536 }),
});
