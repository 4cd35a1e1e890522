// -- for timestamp-guard, and for `npx convex run timestampGuard:NAME` --------

/** So many documents are read or changed at a time, at most. */
const MOST = 1000;

const raw = v.object({ value: v.optional(v.any()) });

const changing = {
  table: v.string(),
  field: v.string(),
  run: v.union(v.string(), v.number()),
  changes: v.array(v.object({ id: v.string(), before: raw, after: raw })),
};

const paging = {
  table: v.string(),
  cursor: v.optional(v.union(v.string(), v.null())),
  limit: v.optional(v.number()),
};

type Page<Name extends string, Row> = { [name in Name]: Row[] } & {
  cursor: string;
  done: boolean;
};

type Broken = { id: string; said: string[] };

/** Some fields of the documents after `cursor`, in the order of creation. */
export const page = internalQuery({
  args: { ...paging, fields: v.array(v.string()) },
  handler: async (ctx, args): Promise<Page<"documents", Fields>> => {
    const { documents, ...rest } = await read(ctx.db, args);
    const wanted = new Set(["_id", "_creationTime", ...args.fields]);
    return { documents: documents.map((each) => only(each, wanted)), ...rest };
  },
});

/**
 * Compare and set: a field that holds `before` is given `after`.
 *
 * One that holds `after` is done already, so it may be run twice; what holds
 * anything else, or is gone, is left alone and named in `refused`.
 */
export const apply = internalMutation({
  args: changing,
  handler: async (ctx, args) => await change(ctx.db, args, "apply"),
});

/** The same with `before` and `after` exchanged: takes an `apply` back. */
export const rollback = internalMutation({
  args: changing,
  handler: async (ctx, args) => {
    const changes = args.changes.map(({ id, before, after }) => {
      return { id, before: after, after: before };
    });
    return await change(ctx.db, { ...args, changes }, "rollback");
  },
});

/** Which documents of this page lack an instant in `field`: none, if all is well. */
export const allHave = internalQuery({
  args: { ...paging, field: v.optional(v.string()) },
  handler: async (ctx, args): Promise<Page<"broken", Broken>> => {
    const table = guarded(args.table);
    const field = fieldOf(table, args.field ?? guards[table].updated);
    return await brokenOnes(ctx.db, args, (document) => {
      const cause = encodingOf(guards[table], field).read(own(document, field));
      return typeof cause === "bigint" ? [] : [`${field} is ${cause}`];
    });
  },
});

/** Which documents of this page break the guard: none, if all is well. */
export const consistent = internalQuery({
  args: paging,
  handler: async (ctx, args): Promise<Page<"broken", Broken>> => {
    const table = guarded(args.table);
    return await brokenOnes(ctx.db, args, (document) =>
      violations(table, document).map((each) => each.said),
    );
  },
});

const trying = { table: v.string(), sample: v.optional(v.any()) };

/** Whether the schema refuses a document without the stamped field. */
export const refusesWithout = internalMutation({
  args: trying,
  handler: async (ctx, args) => {
    const { rows, table, document } = await sampled(ctx.db, args);
    const { updated } = guards[table];
    const whole = await tried(rows, table, document);
    if (whole !== null) {
      throw new ConvexError(
        `${table} refuses the sample even with ${updated}, so nothing is shown: ${whole}`,
      );
    }
    const without = { ...document, [updated]: undefined };
    const said = await tried(rows, table, without);
    const taken = `${table} took it: require ${updated} in the schema`;
    return { ok: said !== null, said: said ?? taken };
  },
});

/** Whether the schema takes a document with the stamped field. */
export const acceptsWith = internalMutation({
  args: trying,
  handler: async (ctx, args) => {
    const { rows, table, document } = await sampled(ctx.db, args);
    const said = await tried(rows, table, document);
    return { ok: said === null, said: said ?? `${table} takes it` };
  },
});

function guarded(table: string): GuardedTable {
  if (isGuarded(table)) return table;
  const known = Object.keys(guards).join(", ");
  throw new ConvexError(
    `no table ${table} in timestampGuard.ts; there is ${known}`,
  );
}

/** A field that may be written: the guard is about it, and it is not the system's. */
function fieldOf(table: GuardedTable, field: string): string {
  const known = Object.keys(guards[table].fields).filter(
    (each) => !each.startsWith("_"),
  );
  if (known.includes(field)) return field;
  throw new ConvexError(
    `no guarded field ${field} in ${table}; there is ${known.join(", ")}`,
  );
}

type Asked = { table: string; cursor?: string | null; limit?: number };

async function read(
  db: unknown,
  { table, cursor = null, limit = MOST }: Asked,
): Promise<Page<"documents", Fields>> {
  if (!Number.isInteger(limit) || limit < 1 || limit > MOST) {
    throw new ConvexError(`limit is ${limit}; wanted 1 to ${MOST}`);
  }
  const { page, isDone, continueCursor } = await (db as Rows)
    .query(guarded(table))
    .paginate({ cursor, numItems: limit });
  return { documents: page, cursor: continueCursor, done: isDone };
}

async function brokenOnes(
  db: unknown,
  asked: Asked,
  judge: (document: Fields) => string[],
): Promise<Page<"broken", Broken>> {
  const { documents, ...rest } = await read(db, asked);
  const judged = documents.map((each) => {
    return { id: String(each._id), said: judge(each) };
  });
  return { broken: judged.filter(({ said }) => said.length > 0), ...rest };
}

function only(document: Fields, wanted: Set<string>): Fields {
  const entries = Object.entries(document);
  return Object.fromEntries(entries.filter(([name]) => wanted.has(name)));
}

type Change = {
  id: string;
  before: { value?: Value };
  after: { value?: Value };
};

async function change(
  db: DatabaseWriter,
  args: {
    table: string;
    field: string;
    run: string | number;
    changes: Change[];
  },
  what: string,
): Promise<{ refused: string[] }> {
  const table = guarded(args.table);
  const field = fieldOf(table, args.field);
  if (args.changes.length > MOST) {
    throw new ConvexError(
      `${args.changes.length} changes; wanted at most ${MOST}`,
    );
  }
  const rows = db as unknown as Rows;
  const refused: string[] = [];
  for (const { id, before, after } of args.changes) {
    const ours = rows.normalizeId(table, id);
    const document = ours === null ? null : await rows.get(ours);
    const held =
      document === null
        ? undefined
        : (own(document, field) as Value | undefined);
    if (ours === null || document === null) refused.push(id);
    else if (same(held, after.value)) continue;
    else if (!same(held, before.value)) refused.push(id);
    else await rows.patch(ours, { [field]: after.value });
  }
  const made = args.changes.length - refused.length;
  console.log(
    `${what}, run ${args.run}, ${table}.${field}: ${made} made, ${refused.length} refused`,
  );
  return { refused };
}

/** Equal to the last bit: NaN is NaN, -0 is not 0, and 1n is not 1. */
function same(one: Value | undefined, other: Value | undefined): boolean {
  const [first, second] = [one, other].map((value) =>
    value === undefined ? "" : JSON.stringify(convexToJson(value)),
  );
  return first === second;
}

/** A document to try with: the one given, or a copy of the first, stamped. */
async function sampled(
  db: DatabaseWriter,
  args: { table: string; sample?: Fields | undefined },
): Promise<{ rows: Rows; table: GuardedTable; document: Fields }> {
  const table = guarded(args.table);
  const rows = db as unknown as Rows;
  const found = args.sample ?? (await rows.query(table).first());
  if (found === null) {
    throw new ConvexError(
      `${table} is empty, so there is nothing to copy: give a document as "sample"`,
    );
  }
  const own = Object.entries(found).filter(([name]) => !name.startsWith("_"));
  const document = { ...Object.fromEntries(own), ...stampOf(table) };
  return { rows, table, document };
}

/**
 * Insert a document and take it away again: why it was refused, or null.
 *
 * Both are in one transaction, so that nobody ever sees it.
 */
async function tried(
  rows: Rows,
  table: string,
  document: Fields,
): Promise<string | null> {
  let id: string;
  try {
    id = await rows.insert(table, document);
  } catch (problem) {
    return problem instanceof Error ? problem.message : String(problem);
  }
  await rows.delete(id);
  return null;
}
