import type { WithoutSystemFields } from "convex/server";
import type { Doc, Id } from "../_generated/dataModel";

export type NewPage = Omit<WithoutSystemFields<Doc<"pillarPages">>, "createdAt" | "updatedAt">;

export interface Draft {
  title: string;
  serviceId: Id<"services">;
}

export interface Timed extends Draft {
  createdAt: number;
  updatedAt: number;
}

export function stampedPage<T extends object>(page: T) {
  const now = Date.now();
  return { ...page, createdAt: now, updatedAt: now };
}

export const bare = (title: string, serviceId: Id<"services">) => ({ title, serviceId });

export function chosen(title: string, fresh: boolean) {
  if (fresh) {
    return { title, updatedAt: Date.now() };
  }
  return { title };
}

export function addTimes(page: Record<string, unknown>) {
  page.createdAt = Date.now();
  page.updatedAt = Date.now();
}

export function trimTitle(page: Record<string, unknown>) {
  page.title = String(page.title).trim();
}
