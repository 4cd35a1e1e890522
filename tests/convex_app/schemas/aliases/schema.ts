import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

import { v as val } from "convex/values";
import { defineTable as table, defineSchema as schema } from "convex/server";
import * as server from "convex/server";
import * as values from "convex/values";
const { number, optional } = val;
export default schema({
  a: table({ updatedAt: val.number() }),
  b: server.defineTable({ updatedAt: values.v.optional(values.v.number()) }),
  c: table({ updatedAt: optional(number()) }),
});
