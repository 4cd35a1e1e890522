import { v } from "convex/values";

export const serviceFields = {
  name: v.string(),
  slug: v.string(),
  status: v.union(v.literal("draft"), v.literal("published")),
};
