import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

const stamped = <T extends object>(fields: T) => ({ ...fields, createdAt: v.number(), updatedAt: v.number() });
function when(optional = false) { return { touchedAt: v.optional(v.number()) }; }
const table = (fields: any, { note = v.string(), ...rest }: any = {}) => {
  const all = { ...fields, note };
  // one shape for all
  return defineTable(all).index("by_note", ["note"]);
};
const several = (...members: any[]) => v.union(...members, v.null());
export default defineSchema({
  stamped: defineTable(stamped({ title: v.string() })),
  twice: defineTable({ ...stamped({ updatedAt: v.string() }), ...when() }),
  table: table({ updatedAt: v.number() }),
  noted: table({ updatedAt: v.number() }, { note: v.number() }),
  several: defineTable({ updatedAt: several(v.number(), v.string()) }),
});
