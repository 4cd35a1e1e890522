import { customCtx, customMutation } from "convex-helpers/server/customFunctions";
import { internalMutation as plainInternalMutation, mutation as plainMutation } from "./_generated/server";
import type { DatabaseWriter } from "./_generated/server";
import { stamped } from "./timestampGuard";

const withStamps = customCtx((ctx: { db: DatabaseWriter }) => ({ db: stamped(ctx.db) }));

/** Mutations whose every write has updatedAt. Take them from here, and no longer from ./_generated/server. */
export const mutation = customMutation(plainMutation, withStamps);
export const internalMutation = customMutation(plainInternalMutation, withStamps);
