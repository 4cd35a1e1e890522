import {
  anyApi,
  type ApiFromModules,
  type FilterApi,
  type FunctionReference,
} from "convex/server";
import type * as app from "../app.js";
import type * as timestampGuard from "../timestampGuard.js";

type Modules = ApiFromModules<{
  app: typeof app;
  timestampGuard: typeof timestampGuard;
}>;

export const api: FilterApi<
  Modules,
  FunctionReference<"query" | "mutation", "public">
> = anyApi as never;
export const internal: FilterApi<
  Modules,
  FunctionReference<"query" | "mutation", "internal">
> = anyApi as never;
