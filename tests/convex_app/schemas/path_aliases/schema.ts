import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

import { stamps } from "@/shared/stamps";
export default defineSchema({ pages: defineTable({ ...stamps }) });
