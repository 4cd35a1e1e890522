import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

import * as all from "./all";
enum Field {
  Updated = "updatedAt",
  Created = "createdAt",
}
const stamp = (name: Field | string) => ({ [name]: v.number() });
const single = name => ({ [`${name}At`]: v.int64() });
const fields = function ({ at, by: who, on = v.string(), ...rest }: any, [...none]: any = []) {
  return { at, who, on };
};
const moments = [v.number(), /* or */ v.string()];
const either = v.union(...moments);
const users = defineTable({ name: v.string(), updatedAt: either });
const base = defineSchema({ users, logs: defineTable({ line: v.string() }) });
function inner() {
  interface Local {}
  const when = v.commitTs();
  function made() {
    return { when };
  }
  return made();
}
export default defineSchema({
  ...base.tables,
  stamped: defineTable({ ...stamp(Field.Updated), ...stamp(Field["Created"]), ...single("seen") }),
  parts: defineTable({ first: moments[0], second: moments["1"], ...inner() }),
  given: defineTable(fields({ at: v.number(), by: v.id("users") })),
  given2: defineTable(fields({ at: v.number(), by: v.id("users"), on: v.number() }, [])),
  members: defineTable({ updatedAt: v.union(...either.members, v.null()) }),
  kinds: defineTable({ [v.number().kind]: v.string(), [v.int64().kind + "s"]: v.string() }),
  same: defineTable(users.validator),
  known: defineTable({ ...all, ...undefined, ...(false as any) }),
  or: defineTable({ updatedAt: v.number() || v.number() }),
});
