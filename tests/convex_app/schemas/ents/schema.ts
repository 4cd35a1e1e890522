import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

import { defineEnt, defineEntSchema, getEntDefinitions } from "convex-ents";
const schema = defineEntSchema({
  users: defineEnt({ name: v.string() })
    .field("email", v.string(), { unique: true })
    .field("updatedAt", v.number(), { default: 0 })
    .field("createdAt", v.number())
    .edges("messages", { ref: true })
    .edge("profile", { ref: true })
    .edges("owned", { to: "tags", ref: "ownerId" })
    .edges("followers", { to: "users", inverse: "followees" })
    .edges("blocked", { to: "users", table: "blocks", field: "byId", inverseField: "whoId" })
    .deletion("soft"),
  profiles: defineEnt({ bio: v.string() }).edge("user").field("updatedAt", v.optional(v.number())),
  messages: defineEnt({ text: v.string() }).edge("user").edges("tags"),
  tags: defineEnt({ name: v.string() }).edges("messages").edge("owner", { to: "users", field: "ownerId", optional: true }),
  shapes: defineEnt(v.union(v.object({ a: v.string() }), v.object({ b: v.string() }))).field("updatedAt", v.number()),
});
export const entDefinitions = getEntDefinitions(schema);
export default schema;
