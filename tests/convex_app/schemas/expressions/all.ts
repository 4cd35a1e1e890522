import { v } from "convex/values";
export * from "./more";
export const updatedAt = v.number();
export const { createdAt } = { createdAt: v.number() };
export type Unused = string;
export type { Other } from "./more";
