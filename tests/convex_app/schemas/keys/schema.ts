import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

enum Field { Updated = "updatedAt", "Created" = "createdAt" }
const deleted = "deletedAt";
const prefix = "published";
const names = { seen: "seenAt" } as const;
export default defineSchema({
  "quoted": defineTable({ "updatedAt": v.number(), 'createdAt': v.number(), "b\u0043d": v.number() }),
  ["computed"]: defineTable({ [Field.Updated]: v.number(), [deleted]: v.optional(v.number()), [`${prefix}At`]: v.number() }),
  [`template`]: defineTable({ [names.seen]: v.number(), [prefix + "On"]: v.number(), [Field["Created"]]: v.number() }),
});
