import { defineTable } from "convex/server";
import { v } from "convex/values";
export const auditTrail = defineTable({ at: v.number() });
