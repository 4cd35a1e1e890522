import { v } from "convex/values";
export const updatedAt = v.number();
export const timestamps = { createdAt: v.number(), updatedAt };
