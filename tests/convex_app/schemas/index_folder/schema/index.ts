import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

import { at } from "../fields";
export default defineSchema({ pages: defineTable({ updatedAt: at }) });
