import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

import { timestamps, updatedAt as when } from "./lib/fields";
import * as fields from "./lib/fields";
import shared from "./lib/shared.js";
import { soft } from "./lib";
export default defineSchema({
  a: defineTable({ ...timestamps }),
  b: defineTable({ updatedAt: when }),
  c: defineTable({ ...fields.timestamps, deletedAt: fields.updatedAt }),
  d: defineTable({ ...shared, ...soft }),
});
