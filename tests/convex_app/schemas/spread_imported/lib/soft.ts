import { v as validators } from "convex/values";
export const soft = { deletedAt: validators.optional(validators.number()) };
