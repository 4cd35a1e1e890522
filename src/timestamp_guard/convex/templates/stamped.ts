// -- writing ------------------------------------------------------------------

/** `ctx.db`, whose callers need not say what is stamped. */
export type StampedWriter = DatabaseWriter & {
  insert<Name extends TableNames>(
    table: Name,
    value: Unstamped<Name, WithoutSystemFields<Doc<Name>>>,
  ): Promise<GenericId<Name>>;
  replace<Name extends TableNames>(
    table: Name,
    id: GenericId<Name>,
    value: Unstamped<Name, WithOptionalSystemFields<Doc<Name>>>,
  ): Promise<void>;
  replace<Name extends TableNames>(
    id: GenericId<Name>,
    value: Unstamped<Name, WithOptionalSystemFields<Doc<Name>>>,
  ): Promise<void>;
};

type TableNames = TableNamesInDataModel<DataModel>;
type Doc<Name extends TableNames> = DocumentByName<DataModel, Name>;
type Stamp<Name> = Name extends GuardedTable
  ? (typeof guards)[Name]["updated"]
  : never;

/** A document in which the stamp may be left out. */
type Unstamped<Name, Document> = Document extends unknown
  ? Omit<Document, Stamp<Name>> &
      Partial<Pick<Document, Stamp<Name> & keyof Document>>
  : never;

/** What is called of `ctx.db` with names that are known at run time only. */
interface Rows {
  normalizeId(table: string, id: string): string | null;
  query(table: string): {
    first(): Promise<Fields | null>;
    paginate(page: { cursor: string | null; numItems: number }): Promise<{
      page: Fields[];
      isDone: boolean;
      continueCursor: string;
    }>;
  };
  get(...place: Place): Promise<Fields | null>;
  insert(table: string, value: Fields): Promise<string>;
  patch(...args: Write): Promise<void>;
  replace(...args: Write): Promise<void>;
  delete(id: string): Promise<void>;
}

type Place = [id: string] | [table: string, id: string];
type Write = [...Place, value: Fields];

function isGuarded(table: string): table is GuardedTable {
  return Object.prototype.hasOwnProperty.call(guards, table);
}

/**
 * `ctx.db` that stamps every insert, patch and replace of a guarded table, and
 * throws, before anything is written, where the guard would not hold.
 *
 * The stamp is always the present time: a document that was read, changed and
 * is written again holds an old one. To keep a stamp, write with `ctx.db`.
 */
export function stamped(db: DatabaseWriter): StampedWriter {
  const rows = db as unknown as Rows;

  const ours = {
    insert: async (table: string, value: Fields) => {
      if (!isGuarded(table)) return await rows.insert(table, value);
      const document = { ...value, ...stampOf(table) };
      validate(table, document);
      return await rows.insert(table, document);
    },
    patch: async (...args: Write) => {
      const { table, place, value } = located(rows, args);
      if (table === null) return await rows.patch(...args);
      const change: Fields = { ...value, ...stampOf(table) };
      // What the change does not say is read, unless the guard needs none of it.
      const names = Object.keys(guards[table].fields);
      const alone = names.every((name) => own(change, name) !== undefined);
      const before = alone ? {} : await rows.get(...place);
      if (before !== null) validate(table, { ...before, ...change });
      return await rows.patch(...place, change);
    },
    replace: async (...args: Write) => {
      const { table, place, value } = located(rows, args);
      if (table === null) return await rows.replace(...args);
      const document: Fields = { ...value, ...stampOf(table) };
      const asked = "_creationTime" in guards[table].fields;
      const before = asked ? await rows.get(...place) : null;
      const kept =
        before === null ? {} : { _creationTime: before._creationTime };
      validate(table, { ...document, ...kept });
      return await rows.replace(...place, document);
    },
  };

  // db.table("services").insert(...) would go past us: it is not there.
  return new Proxy(db, {
    get: (target, name) =>
      name === "table"
        ? undefined
        : name in ours
          ? ours[name as keyof typeof ours]
          : (Reflect.get(target, name) as unknown),
  }) as StampedWriter;
}

function stampOf(table: GuardedTable): Fields {
  return { [guards[table].updated]: guards[table].stamp() };
}

/** The guarded table, the place and the value of a patch or a replace. */
function located(
  rows: Rows,
  args: Write,
): { table: GuardedTable | null; place: Place; value: Fields } {
  const named = args.length === 3;
  const table = named
    ? args[0]
    : Object.keys(guards).find((each) => rows.normalizeId(each, args[0]));
  return {
    table: table !== undefined && isGuarded(table) ? table : null,
    place: named ? [args[0], args[1]] : [args[0]],
    value: named ? args[2] : args[1],
  };
}
