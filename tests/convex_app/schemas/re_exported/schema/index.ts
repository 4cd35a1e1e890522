import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";


import { pages } from "./pages";
const schema = defineSchema({ pages });
export default schema;
