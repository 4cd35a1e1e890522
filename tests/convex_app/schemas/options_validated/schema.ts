import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

const options = { strictTableNameTypes: true } as const;
export default defineSchema({ pages: defineTable({ updatedAt: v.number() }) }, { ...options, schemaValidation: true });
