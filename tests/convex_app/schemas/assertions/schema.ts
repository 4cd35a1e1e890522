import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

import type { Validator } from "convex/values";
const stamps = { updatedAt: v.number() } as const satisfies Record<string, unknown>;
const cast = v.number() as unknown as Validator<number, "required">;
export default defineSchema({
  pages: defineTable({ ...(stamps as typeof stamps), createdAt: (cast)! }),
  generic: defineTable(v.object({ updatedAt: v.optional<typeof cast>(cast) }) satisfies object),
} as const satisfies object);
