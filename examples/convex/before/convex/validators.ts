import { v } from "convex/values";

/** A time in milliseconds, as `Date.now()` gives it. */
export const timestampValidator = v.number();

export const timestampFields = {
  createdAt: v.number(),
  updatedAt: v.number(),
};

export function validateUpdatedAt(value: unknown): number {
  if (typeof value !== "number" || !Number.isFinite(value)) {
    throw new Error("updatedAt must be a number");
  }
  return value;
}
