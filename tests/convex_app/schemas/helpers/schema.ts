import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

import { deprecated, literals, nullable, partial, pretend, pretendRequired, vRequired, brandedString } from "convex-helpers/validators";
import { withSystemFields, addFieldsToValidator } from "convex-helpers/validators";
import { vSessionId } from "convex-helpers/server/sessions";
const fields = { title: v.string(), updatedAt: v.optional(v.number()) };
export default defineSchema({
  nullable: defineTable({ updatedAt: nullable(v.number()), status: literals("a", "b", 1, true) }),
  partial: defineTable(partial({ title: v.string(), updatedAt: v.number() })),
  partialObject: defineTable(partial(v.object({ updatedAt: v.number() }))),
  partialUnion: defineTable(partial(v.union(v.object({ updatedAt: v.number() }), v.object({ updatedAt: v.string() })))),
  deprecated: defineTable({ updatedAt: v.number(), modified: deprecated }),
  pretend: defineTable({ updatedAt: pretend(v.number()), createdAt: pretendRequired(v.number()) }),
  required: defineTable({ updatedAt: vRequired(v.optional(v.number())), slug: brandedString("slug") }),
  added: defineTable(addFieldsToValidator(fields, { updatedAt: v.number(), extra: v.string() })),
  addedToUnion: defineTable(
    addFieldsToValidator(v.union(v.object({ a: v.string() }), v.object({ b: v.string() })), { updatedAt: v.number() }),
  ),
  first: defineTable(addFieldsToValidator({ updatedAt: v.union(v.number()) }, { updatedAt: v.union(v.string()) })),
  kept: defineTable(addFieldsToValidator({ updatedAt: v.number() }, { updatedAt: v.optional(v.number()) })),
  sessions: defineTable({ sessionId: vSessionId, updatedAt: v.number() }),
  copied: defineTable({ doc: v.object(withSystemFields("added", fields)), updatedAt: v.number() }),
});
