import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema(
  { pages: defineTable({ updatedAt: v.number() }) },
  { schemaValidation: false, strictTableNameTypes: false },
);
