import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

import { users, posts as articles } from "./tables/users";
import comments from "./tables/comments";
import * as more from "./tables/more";
import { audit } from "./tables";
const local = defineTable({ updatedAt: v.number() }).index("by_updatedAt", ["updatedAt"]);
export default defineSchema({ users, articles, comments, local, ...more.tables, ["logs"]: more.logs, ...audit });
