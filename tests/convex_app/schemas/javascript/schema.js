import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";
import { stamps } from "./stamps.mjs";

export default defineSchema({ pages: defineTable({ ...stamps, title: v.string() }) });
