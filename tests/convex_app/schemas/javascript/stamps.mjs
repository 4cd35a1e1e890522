import { v } from "convex/values";
export const stamps = { updatedAt: v.number() };
