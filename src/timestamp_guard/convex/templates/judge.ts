// -- the guard on one document ------------------------------------------------

/** A table that has a guard. */
export type GuardedTable = keyof typeof guards;

/** Why a field holds no instant, or which order is broken. */
export type Code = Cause | "too_early" | "in_future" | "out_of_order";

/** One rule broken by one document; `said` is for people, the rest is stable. */
export type Violation = {
  code: Code;
  field: string;
  other: string | null;
  said: string;
};

type Cause =
  | "missing"
  | "null"
  | "wrong_type"
  | "not_finite"
  | "unreadable"
  | "imprecise"
  | "placeholder";

type Fields = Record<string, unknown>;

/** Reads a value: an instant in nanoseconds since 1970, or why there is none. */
type Encoding = {
  read: (raw: unknown) => bigint | Cause;
  wanted: string;
  unit?: Unit;
};

type Term = { field: string; shift: bigint } | { at: bigint } | { now: bigint };

/** The field is present; or `earlier <= later`, both floored to `step`. */
type Rule = { present: string } | Pair;
type Pair = { earlier: Term; later: Term; step: bigint };

type Guard = {
  updated: string;
  stamp: () => Value;
  fields: Record<string, Encoding>;
  rules: Rule[];
};

function present(name: string): Rule {
  return { present: name };
}

function inOrder(earlier: Term, later: Term, step: bigint): Rule {
  return { earlier, later, step };
}

function field(name: string, shift = 0n): Term {
  return { field: name, shift };
}

function at(instant: bigint): Term {
  return { at: instant };
}

function now(shift: bigint): Term {
  return { now: shift };
}

/**
 * All that is wrong with a document of a table, in the order of the rules.
 *
 * `time` is the present in nanoseconds since 1970.
 */
export function violations(
  table: GuardedTable,
  document: Fields,
  time: bigint = BigInt(Date.now()) * 1_000_000n,
): Violation[] {
  const guard: Guard = guards[table];
  const judged = { fields: guard.fields, document, time };
  const found = new Map<string, Violation>();
  for (const rule of guard.rules) {
    const broken =
      "present" in rule ? absent(judged, rule.present) : disorder(judged, rule);
    if (broken === null) continue;
    const fault = JSON.stringify([broken.code, broken.field, broken.other]);
    if (!found.has(fault)) found.set(fault, broken);
  }
  return [...found.values()];
}

/** Whether nothing is wrong with a document. */
export function holds(table: GuardedTable, document: Fields): boolean {
  return violations(table, document).length === 0;
}

/** Throws a ConvexError, with all that is wrong, unless the guard holds. */
export function validate(table: GuardedTable, document: Fields): void {
  const found = violations(table, document);
  if (found.length === 0) return;
  const message = found.map((each) => `${table}: ${each.said}`).join("\n");
  const code = "InvalidTimestamps";
  throw new ConvexError({ code, table, message, violations: found });
}

type Judged = {
  fields: Record<string, Encoding>;
  document: Fields;
  time: bigint;
};

function absent(judged: Judged, name: string): Violation | null {
  const cause = instantOf(judged, name);
  if (typeof cause === "bigint") return null;
  return broken(judged, cause, name, null, encodingOf(judged, name).wanted);
}

/** The later field is to blame, the earlier is named; a bound never is. */
function disorder(judged: Judged, pair: Pair): Violation | null {
  const { earlier, later, step } = pair;
  const first = placeOf(judged, earlier);
  const second = placeOf(judged, later);
  if (first === null || second === null) return null; // nothing to compare
  if (floor(first, step) <= floor(second, step)) return null;
  const other = "field" in earlier ? earlier.field : null;
  if ("field" in later) {
    const code = other === null ? "too_early" : "out_of_order";
    const least = first - later.shift;
    const wanted = `at least ${show(least)}${other === null ? "" : ` (${other})`}`;
    return broken(judged, code, later.field, other, wanted);
  }
  const most = second - ("field" in earlier ? earlier.shift : 0n);
  return broken(
    judged,
    "in_future",
    other ?? "",
    null,
    `at most ${show(most)}`,
  );
}

function broken(
  judged: Judged,
  code: Code,
  name: string,
  other: string | null,
  wanted: string,
): Violation {
  const raw = own(judged.document, name);
  const seen = raw === undefined || raw === null ? "" : ` (${brief(raw)})`;
  const likely = hint(raw, encodingOf(judged, name), judged.time);
  const said = `${name} is ${code}${seen}: wanted ${wanted}${likely}`;
  return { code, field: name, other, said };
}

/** Where a term lies; null where its field holds no instant. */
function placeOf(judged: Judged, term: Term): bigint | null {
  if ("at" in term) return term.at;
  if ("now" in term) return judged.time + term.now;
  const read = instantOf(judged, term.field);
  return typeof read === "bigint" ? read + term.shift : null;
}

function instantOf(judged: Judged, name: string): bigint | Cause {
  return encodingOf(judged, name).read(own(judged.document, name));
}

function encodingOf(
  { fields }: Pick<Judged, "fields">,
  name: string,
): Encoding {
  const found = own(fields, name);
  if (found === undefined) throw new Error(`no encoding of ${name}`);
  return found;
}

/** A field of the object itself, and not of what every object inherits. */
function own<T>(document: Record<string, T>, name: string): T | undefined {
  const has = Object.prototype.hasOwnProperty.call(document, name);
  return has ? document[name] : undefined;
}

/** The last multiple of `step` that is not after `instant`. */
function floor(instant: bigint, step: bigint): bigint {
  const rest = instant % step;
  return instant - (rest < 0n ? rest + step : rest);
}

function show(instant: bigint): string {
  const date = new Date(Number(floor(instant, 1_000_000n) / 1_000_000n));
  return Number.isNaN(date.getTime())
    ? `${instant} ns since 1970`
    : date.toISOString();
}

function brief(raw: unknown): string {
  if (typeof raw === "string") return JSON.stringify(raw.slice(0, 80));
  const plain = ["number", "bigint", "boolean"].includes(typeof raw);
  return plain ? String(raw) : Array.isArray(raw) ? "an array" : "an object";
}

// -- numbers ------------------------------------------------------------------

/** Numbers of a unit since 1970, as v.number() or v.int64(). */
function epoch(unit: Unit, placeholders: bigint[] = [0n, -1n]): Encoding {
  const { nanoseconds, words } = units[unit];
  return {
    unit,
    wanted: `a number of ${words} since 1970`,
    read: (raw) => {
      if (raw === undefined) return "missing";
      if (raw === null) return "null";
      if (typeof raw !== "number" && typeof raw !== "bigint") {
        return "wrong_type";
      }
      if (typeof raw === "number") {
        if (!Number.isFinite(raw)) return "not_finite";
        if (Math.abs(raw) > 2 ** 53) return "imprecise";
      }
      const [whole, bits] = exact(raw);
      if (bits === 0n && placeholders.includes(whole)) return "placeholder";
      return (whole * nanoseconds) >> bits; // rounds down, also below 0
    },
  };
}

/** A number as `whole / 2 ** bits`; doubling it loses nothing. */
function exact(raw: number | bigint): [whole: bigint, bits: bigint] {
  let whole = raw;
  let bits = 0n;
  while (typeof whole === "number" && !Number.isInteger(whole)) {
    whole *= 2;
    bits += 1n;
  }
  return [BigInt(whole), bits];
}

/** What a number would be in another unit, if that is likely. */
function hint(raw: unknown, encoding: Encoding, time: bigint): string {
  if (encoding.unit === undefined) return "";
  const day = 86_400_000_000_000n;
  for (const unit of Object.keys(units) as Unit[]) {
    const likely = epoch(unit).read(raw);
    const plausible =
      typeof likely === "bigint" &&
      likely >= 946_684_800_000_000_000n && // 2000-01-01
      likely <= time + day;
    if (unit === encoding.unit || !plausible) continue;
    const [looks, holds] = [units[unit].words, units[encoding.unit].words];
    return `; it looks like ${looks} where ${holds} are stored: ${show(likely)}`;
  }
  return "";
}
