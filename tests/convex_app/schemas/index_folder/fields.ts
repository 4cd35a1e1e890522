import { v } from "convex/values";
export const at = v.number();
