/**
 * The timestamps of this app: what must hold of them, a database that stamps
 * every write (`stamped`), and internal functions by which timestamp-guard
 * checks and fills a deployment. Nothing here is for clients to call.
 */
import {
  ConvexError,
  convexToJson,
  v,
  type GenericId,
  type Value,
} from "convex/values";
import type {
  DocumentByName,
  TableNamesInDataModel,
  WithoutSystemFields,
  WithOptionalSystemFields,
} from "convex/server";
import type { DataModel } from "./_generated/dataModel.js";
import {
  internalMutation,
  internalQuery,
  type DatabaseWriter,
} from "./_generated/server.js";

type Unit = keyof typeof units;

const units = {
  s: { nanoseconds: 1_000_000_000n, words: "seconds" },
  ms: { nanoseconds: 1_000_000n, words: "milliseconds" },
  us: { nanoseconds: 1_000n, words: "microseconds" },
  ns: { nanoseconds: 1n, words: "nanoseconds" },
};
