import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

const pageFields = {
  title: v.string(),
  updatedAt: v.number(),
};
const pageValidator = v.object(pageFields);
const schema = defineSchema({
  fromFields: defineTable(pageFields),
  fromValidator: defineTable(pageValidator),
  fromItsFields: defineTable({ ...pageValidator.fields, extra: v.string() }),
  oneField: defineTable({ updatedAt: pageFields.updatedAt, title: pageValidator.fields["title"] }),
});
export default schema;
