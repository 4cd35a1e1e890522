import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

import { defineEntFromTable, defineEntSchema, defineEntsFromTables } from "convex-ents";
const plain = { logs: defineTable({ at: v.number(), updatedAt: v.number() }) };
export default defineEntSchema({
  ...defineEntsFromTables(plain),
  users: defineEntFromTable(defineTable({ name: v.string() })).field("updatedAt", v.number()).edges("friends", { to: "users" }),
});
