// The guards of Python's tests, each on the records that Hypothesis drew for it.
import { expect, test } from "vitest";
import cases from "./cases.json";
import {
  holds,
  violations,
  type GuardedTable,
} from "./convex/timestampGuard.js";

type Written = { kind: string; value?: string };

/** A value as Convex would hold it. */
function value({ kind, value = "" }: Written): unknown {
  switch (kind) {
    case "undefined":
      return undefined;
    case "null":
      return null;
    case "number":
      return Number(value);
    case "int64":
      return BigInt(value);
    case "text":
      return value;
    case "boolean":
      return value === "true";
    case "bytes":
      return new ArrayBuffer(3);
    case "array":
      return [1_700_000_000_000];
    default:
      return { $date: "1700000000000" };
  }
}

test("every verdict is that of Python", () => {
  const apart: string[] = [];
  for (const { table, now, record, faults } of cases) {
    const entries = Object.entries<Written>(record as Record<string, Written>);
    const document: Record<string, unknown> = {};
    for (const [name, written] of entries) {
      Object.defineProperty(document, name, {
        value: value(written),
        enumerable: true,
      });
    }
    const found = violations(table as GuardedTable, document, BigInt(now));
    const said = found.map(({ code, field, other }) => [code, field, other]);
    if (JSON.stringify(said) !== JSON.stringify(faults)) {
      apart.push(JSON.stringify({ table, now, record, faults, said }));
    }
    if (found.some(({ said }) => said === ""))
      apart.push("a violation without words");
  }
  expect(apart.slice(0, 10)).toEqual([]);
  expect(cases.length).toBeGreaterThan(3_000);
});

test("the present time is the clock's, unless it is given", () => {
  const fresh = { u: Date.now() };
  expect(holds("clock" as GuardedTable, fresh)).toBe(true);
  expect(holds("clock" as GuardedTable, { u: Date.now() + 60_000 })).toBe(
    false,
  );
});
