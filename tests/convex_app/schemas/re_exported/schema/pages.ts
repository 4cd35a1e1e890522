import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";


export const pages = defineTable({ updatedAt: v.number() });
