import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

import { Table } from "convex-helpers/server";
const Users = Table("users", { name: v.string(), updatedAt: v.number() });
export const Posts = Table("posts", { ...Users.withoutSystemFields, title: v.string() });
export default defineSchema({
  users: Users.table.index("by_name", ["name"]),
  posts: Posts.table,
  mirror: defineTable({ user: Users.doc, updatedAt: Users.withSystemFields._creationTime }),
});
