// What the generated module does in an app, run by convex-test.
import { convexTest } from "convex-test";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { api, internal } from "./convex/_generated/api.js";
import schema from "./convex/schema.js";
import { holds, validate, violations } from "./convex/timestampGuard.js";

const modules = import.meta.glob("./convex/**/*.ts");
const guard = internal.timestampGuard;
const TODAY = 1_700_000_000_000;
const LATER = TODAY + 60_000;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(TODAY);
});

afterEach(() => {
  vi.useRealTimers();
});

type Fields = Record<string, unknown>;
type Raw = { value?: unknown };

function app() {
  const made = convexTest(schema, modules);
  return {
    ...made,
    mutation: made.mutation,
    /** Put documents into a table, past the guard. */
    put: async (
      table: "services" | "pillarPages" | "clusterPages",
      ...each: Fields[]
    ) =>
      await made.run(async (ctx) => {
        const ids: string[] = [];
        for (const fields of each)
          ids.push(await ctx.db.insert(table, fields as never));
        return ids;
      }),
    /** All documents of a table, without what the system adds. */
    all: async (
      table:
        "services" | "pillarPages" | "clusterPages" | "articles" | "visits",
    ) =>
      await made.run(async (ctx) => {
        const found = await ctx.db.query(table).collect();
        return found.map(
          ({ _id, _creationTime, ...fields }) => fields as Fields,
        );
      }),
  };
}

function changes(table: string, ids: string[], before: Raw, after: Raw) {
  const each = ids.map((id) => ({ id, before, after }));
  return { table, field: "updatedAt", run: 7, changes: each };
}

// -- writing -----------------------------------------------------------------

test("an insert is stamped, and nobody need say with what", async () => {
  const t = app();
  await t.mutation(api.app.add, { name: "a" });
  await t.mutation(api.app.addOthers, {});
  expect(await t.all("services")).toEqual([{ name: "a", updatedAt: TODAY }]);
  expect(await t.all("clusterPages")).toEqual([
    { title: "c", updatedAt: BigInt(TODAY) * 1_000_000n },
  ]);
  expect(await t.all("pillarPages")).toEqual([
    { title: "p", updatedAt: TODAY },
  ]);
  expect(await t.all("articles")).toEqual([
    { title: "a", updatedAt: "2023-11-14T22:13:20Z" },
  ]);
});

test("a table without a guard is written as it is", async () => {
  const t = app();
  await t.mutation(api.app.add, { name: "a" });
  expect(await t.all("visits")).toEqual([{ count: 1 }]);
});

test("an insert without the field is refused by the schema", async () => {
  const t = app();
  await expect(t.mutation(api.app.forgetful, {})).rejects.toThrow("updatedAt");
  expect(await t.all("services")).toEqual([]);
});

test.each([api.app.rename, api.app.renameOldForm])(
  "a patch is stamped, with the table and without it",
  async (rename) => {
    const t = app();
    const id = await t.mutation(api.app.add, { name: "a" });
    vi.setSystemTime(LATER);
    await t.mutation(rename, { id, name: "b" });
    expect(await t.all("services")).toEqual([{ name: "b", updatedAt: LATER }]);
  },
);

test.each([true, false])(
  "a replace is stamped, whatever stale stamp comes along",
  async (named) => {
    const t = app();
    const id = await t.mutation(api.app.add, { name: "a" });
    vi.setSystemTime(LATER);
    await t.mutation(api.app.overwrite, { id, named, name: "b" });
    expect(await t.all("services")).toEqual([{ name: "b", updatedAt: LATER }]);
  },
);

test("what breaks the guard is refused before it is written", async () => {
  const t = app();
  const future = TODAY + 10_000;
  await expect(
    t.mutation(api.app.add, { name: "a", createdAt: future }),
  ).rejects.toThrow(
    "createdAt is in_future (1700000010000): wanted at most 2023-11-14T22:13:25.000Z",
  );
  expect(await t.all("services")).toEqual([]);
});

test("a patch is judged with what the document holds already", async () => {
  const t = app();
  const [id] = await t.put("services", {
    name: "a",
    createdAt: LATER,
    updatedAt: LATER,
  });
  const rename = { id: id as never, name: "b" };
  await expect(t.mutation(api.app.rename, rename)).rejects.toThrow(
    "out_of_order",
  );
  expect(await t.all("services")).toEqual([
    { name: "a", createdAt: LATER, updatedAt: LATER },
  ]);
  vi.setSystemTime(LATER);
  await t.mutation(api.app.rename, rename);
  await expect(
    t.mutation(api.app.age, { id: id as never, createdAt: 1_700_000_000 }),
  ).rejects.toThrow("it looks like seconds where milliseconds are stored");
});

test("triggers below the wrapper see what is stamped", async () => {
  const t = app();
  expect(await t.mutation(api.app.triggered, { name: "a" })).toBe("a");
  expect(await t.all("visits")).toEqual(Array(4).fill({ count: TODAY }));
});

test("there is no way past the stamp on the wrapper", async () => {
  expect(await app().mutation(api.app.sidestep, {})).not.toBe("function");
});

// -- judging -----------------------------------------------------------------

test("a violation says what was found and what was wanted", () => {
  const said = (fields: Fields) =>
    violations("services", fields).map((each) => each.said);
  expect(said({ updatedAt: TODAY })).toEqual([]);
  expect(said({})).toEqual([
    "updatedAt is missing: wanted a number of milliseconds since 1970",
  ]);
  expect(said({ updatedAt: 0 })).toEqual([
    "updatedAt is placeholder (0): wanted a number of milliseconds since 1970",
  ]);
  expect(said({ updatedAt: "now" })).toEqual([
    'updatedAt is wrong_type ("now"): wanted a number of milliseconds since 1970',
  ]);
  expect(said({ updatedAt: TODAY / 1000 })).toEqual([
    "updatedAt is too_early (1700000000): wanted at least 2000-01-01T00:00:00.000Z; " +
      "it looks like seconds where milliseconds are stored: 2023-11-14T22:13:20.000Z",
  ]);
  expect(said({ createdAt: TODAY, updatedAt: TODAY - 1 })).toEqual([
    "updatedAt is out_of_order (1699999999999): " +
      "wanted at least 2023-11-14T22:13:20.000Z (createdAt)",
  ]);
});

test("validate throws all of it at once, holds does not throw", () => {
  expect(holds("services", { updatedAt: TODAY })).toBe(true);
  expect(holds("services", { updatedAt: Number.NaN })).toBe(false);
  validate("services", { updatedAt: TODAY });
  expect(() => {
    validate("services", { createdAt: LATER, updatedAt: 5 });
  }).toThrow(
    expect.objectContaining({
      data: expect.objectContaining({
        code: "InvalidTimestamps",
        table: "services",
        violations: [
          expect.objectContaining({
            code: "too_early",
            field: "updatedAt",
            other: null,
          }),
          expect.objectContaining({ code: "in_future", field: "createdAt" }),
          expect.objectContaining({ code: "out_of_order", other: "createdAt" }),
        ],
      }),
    }),
  );
});

// -- the store's functions ---------------------------------------------------

test("pages hold the fields asked for, each document once, in order", async () => {
  const t = app();
  const titles = ["a", "b", "c", "d", "e"];
  await t.put(
    "pillarPages",
    ...titles.map((title) => ({ title, updatedAt: title })),
  );
  const seen: unknown[] = [];
  let cursor: string | null = null;
  for (let done = false; !done;) {
    const page: { documents: Fields[]; cursor: string; done: boolean } =
      await t.query(guard.page, {
        table: "pillarPages",
        fields: ["title"],
        cursor,
        limit: 2,
      });
    expect(page.documents.length).toBeLessThanOrEqual(2);
    for (const { _id, _creationTime, ...rest } of page.documents) {
      expect([typeof _id, typeof _creationTime]).toEqual(["string", "number"]);
      seen.push(rest);
    }
    ({ cursor, done } = page);
  }
  expect(seen).toEqual(titles.map((title) => ({ title })));
});

const KINDS: [string, Raw, Raw][] = [
  ["nothing", {}, { value: 1 }],
  ["null", { value: null }, { value: 1 }],
  ["a float", { value: 1.5 }, { value: 2.5 }],
  ["NaN", { value: Number.NaN }, { value: 1 }],
  ["infinity", { value: Infinity }, { value: -Infinity }],
  ["a zero with its sign", { value: -0 }, { value: 0 }],
  ["an int64", { value: 2n ** 62n + 1n }, { value: 2n ** 62n }],
  ["an int64 beside a float", { value: 1n }, { value: 1 }],
  ["text", { value: "" }, { value: "1" }],
  [
    "bytes",
    { value: new Uint8Array([1, 2]).buffer },
    { value: new Uint8Array([1]).buffer },
  ],
  ["an array", { value: [1, [2n]] }, { value: [1, [2]] }],
  ["an object", { value: { b: 1, a: null } }, { value: { a: null } }],
];

test.each(KINDS)(
  "%s is compared and set, twice the same, and taken back",
  async (_, before, after) => {
    const t = app();
    const [id = ""] = await t.put("pillarPages", {
      title: "a",
      ...named(before),
    });
    const made = changes("pillarPages", [id], before, after);

    expect(
      await t.mutation(
        guard.apply,
        changes("pillarPages", [id], after, { value: "x" }),
      ),
    ).toEqual({ refused: [id] });
    expect(await t.all("pillarPages")).toEqual([
      { title: "a", ...named(before) },
    ]);
    for (let twice = 0; twice < 2; twice++) {
      expect(await t.mutation(guard.apply, made)).toEqual({ refused: [] });
      expect(await t.all("pillarPages")).toEqual([
        { title: "a", ...named(after) },
      ]);
    }
    for (let twice = 0; twice < 2; twice++) {
      expect(await t.mutation(guard.rollback, made)).toEqual({ refused: [] });
      expect(await t.all("pillarPages")).toEqual([
        { title: "a", ...named(before) },
      ]);
    }
  },
);

function named({ value }: Raw): Fields {
  return value === undefined ? {} : { updatedAt: value };
}

test("what a user wrote meanwhile stays, and is named", async () => {
  const t = app();
  const [a = "", b = "", c = ""] = await t.put(
    "pillarPages",
    { title: "a" },
    { title: "b" },
    { title: "c" },
  );
  await t.run(async (ctx) => {
    await ctx.db.patch(b as never, { updatedAt: LATER });
    await ctx.db.delete(c as never);
  });
  const made = changes("pillarPages", [a, b, c], {}, { value: TODAY });
  expect(await t.mutation(guard.apply, made)).toEqual({ refused: [b, c] });
  await t.run(async (ctx) => {
    await ctx.db.patch(a as never, { updatedAt: LATER });
  });
  expect(await t.mutation(guard.rollback, made)).toEqual({
    refused: [a, b, c],
  });
  expect(await t.all("pillarPages")).toEqual([
    { title: "a", updatedAt: LATER },
    { title: "b", updatedAt: LATER },
  ]);
});

test("an id of another table, or of none, is refused", async () => {
  const t = app();
  const [id = ""] = await t.put("services", { name: "a", updatedAt: TODAY });
  const made = changes(
    "pillarPages",
    [id, "nonsense"],
    { value: TODAY },
    { value: LATER },
  );
  expect(await t.mutation(guard.apply, made)).toEqual({
    refused: [id, "nonsense"],
  });
  expect(await t.all("services")).toEqual([{ name: "a", updatedAt: TODAY }]);
});

test("a write that the schema refuses leaves all of the batch as it was", async () => {
  const t = app();
  const ids = await t.put(
    "services",
    { name: "a", updatedAt: 1 },
    { name: "b", updatedAt: 1 },
  );
  const made = changes("services", ids, { value: 1 }, { value: 2 });
  Object.assign(made.changes[1] ?? {}, { after: { value: "text" } });
  await expect(t.mutation(guard.apply, made)).rejects.toThrow();
  expect(await t.all("services")).toEqual([
    { name: "a", updatedAt: 1 },
    { name: "b", updatedAt: 1 },
  ]);
});

test.each([guard.apply, guard.rollback])(
  "a table or a field that is not guarded is refused",
  async (reference) => {
    const t = app();
    const made = changes("visits", [], {}, { value: 1 });
    await expect(t.mutation(reference, made)).rejects.toThrow(
      "no table visits in timestampGuard.ts; there is services, pillarPages",
    );
    const own = {
      ...changes("pillarPages", [], {}, {}),
      field: "_creationTime",
    };
    await expect(t.mutation(reference, own)).rejects.toThrow(
      "no guarded field _creationTime in pillarPages; there is updatedAt",
    );
    await expect(
      t.query(guard.page, { table: "constructor", fields: [] }),
    ).rejects.toThrow("no table constructor");
  },
);

test("more than 1,000 at a time are refused", async () => {
  const t = app();
  const many = changes(
    "services",
    Array<string>(1001).fill("x"),
    {},
    { value: 1 },
  );
  await expect(t.mutation(guard.apply, many)).rejects.toThrow(
    "1001 changes; wanted at most 1000",
  );
  for (const limit of [1001, 0, 1.5, Number.NaN]) {
    await expect(
      t.query(guard.page, { table: "services", fields: [], limit }),
    ).rejects.toThrow(`limit is ${limit}`);
  }
});

// -- the four checks ---------------------------------------------------------

test("allHave and consistent name the documents that are broken, page by page", async () => {
  const t = app();
  const [, b, c] = await t.put(
    "services",
    { name: "a", updatedAt: TODAY },
    { name: "b", updatedAt: 0 },
    { name: "c", updatedAt: TODAY, createdAt: LATER },
  );
  expect(await t.query(guard.allHave, { table: "services" })).toMatchObject({
    broken: [{ id: b, said: ["updatedAt is placeholder"] }],
    done: true,
  });
  expect(
    await t.query(guard.allHave, { table: "services", field: "createdAt" }),
  ).toMatchObject({
    broken: [
      { said: ["createdAt is missing"] },
      { said: ["createdAt is missing"] },
    ],
  });
  const first = await t.query(guard.consistent, {
    table: "services",
    limit: 2,
  });
  expect(first).toMatchObject({ broken: [{ id: b }], done: false });
  expect(
    await t.query(guard.consistent, {
      table: "services",
      limit: 2,
      cursor: first.cursor,
    }),
  ).toMatchObject({ broken: [{ id: c }], done: true });
});

test("a schema that requires the field refuses a document without it; nothing stays behind", async () => {
  const t = app();
  const before = { name: "a", createdAt: TODAY, updatedAt: TODAY };
  await t.put("services", before);
  expect(
    await t.mutation(guard.refusesWithout, { table: "services" }),
  ).toMatchObject({ ok: true });
  expect(
    await t.mutation(guard.acceptsWith, { table: "services" }),
  ).toMatchObject({ ok: true });
  expect(await t.all("services")).toEqual([before]);
});

test("a schema in which it is optional takes it, and the check says so; nothing stays behind", async () => {
  const t = app();
  await t.put("pillarPages", { title: "a" });
  expect(
    await t.mutation(guard.refusesWithout, { table: "pillarPages" }),
  ).toEqual({
    ok: false,
    said: "pillarPages took it: require updatedAt in the schema",
  });
  expect(
    await t.mutation(guard.acceptsWith, { table: "pillarPages" }),
  ).toMatchObject({ ok: true });
  expect(await t.all("pillarPages")).toEqual([{ title: "a" }]);
});

test("an empty table needs a sample, and a sample that is no document shows nothing", async () => {
  const t = app();
  const table = "services";
  for (const check of [guard.refusesWithout, guard.acceptsWith]) {
    await expect(t.mutation(check, { table })).rejects.toThrow(
      "services is empty",
    );
    expect(
      await t.mutation(check, { table, sample: { name: "a" } }),
    ).toMatchObject({ ok: true });
  }
  const sample = { nam: "a" };
  await expect(
    t.mutation(guard.refusesWithout, { table, sample }),
  ).rejects.toThrow("so nothing is shown");
  expect(await t.mutation(guard.acceptsWith, { table, sample })).toMatchObject({
    ok: false,
  });
  expect(await t.all("services")).toEqual([]);
});
