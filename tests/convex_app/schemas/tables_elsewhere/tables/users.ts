import { defineTable } from "convex/server";
import { v } from "convex/values";
export const users = defineTable({ name: v.string(), updatedAt: v.number() }).index("by_name", ["name"]);
const posts = defineTable({ updatedAt: v.optional(v.number()) });
export { posts };
