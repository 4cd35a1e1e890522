import { v } from "convex/values";
export * from "./all";
export const deletedAt = v.optional(v.number());
export default 5;
export type Other = number;
