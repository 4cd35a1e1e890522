import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

const STATUSES = ["draft", "published"] as const;
const status = v.union(...STATUSES.map((s) => v.literal(s)));
const kinds = v.union(...["a", "b"].map(v.literal));
const moments = [v.number(), v.null()];
export default defineSchema({
  pages: defineTable({ status, kinds, updatedAt: v.union(...moments), at: v.union(v.string(), ...moments) }),
});
