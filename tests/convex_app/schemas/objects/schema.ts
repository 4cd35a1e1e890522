import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

const stamps = Object.freeze({ updatedAt: v.number() });
const all = Object.assign({}, stamps, { createdAt: v.number() });
const { updatedAt, createdAt: made } = all;
const { deep: { er } } = { deep: { er: v.int64() } };
export default defineSchema({
  a: defineTable(all),
  b: defineTable({ updatedAt, made, er }),
});
