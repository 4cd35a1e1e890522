import { defineTable } from "convex/server";
import { v } from "convex/values";
export const logs = defineTable({ at: v.number() });
export const tables = { sessions: defineTable({ updatedAt: v.int64() }), tokens: defineTable(v.object({})) };
