import { defineTable } from "convex/server";
import { v } from "convex/values";
const comments = defineTable({ body: v.string(), updatedAt: v.union(v.number(), v.null()) });
export default comments;
