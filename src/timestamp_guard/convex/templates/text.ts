// -- text ---------------------------------------------------------------------

const grammars = {
  rfc3339:
    /^(\d{4})-(\d\d)-(\d\d)[Tt]([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60)(?:\.(\d+))?([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/,
  iso8601:
    /^(\d{4})-(\d\d)-(\d\d)(?:[Tt ]([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d|60)(?:[.,](\d+))?)?([Zz]|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?)?$/,
};

/** What stands for "unknown" in text: spans are half open, in nanoseconds. */
const unknown = {
  prefixes: ["0000-"],
  spans: [
    [-62_135_596_800_000_000_000n, -62_135_596_799_999_999_999n], // the year 1
    [0n, 1n], // 1970
    [253_402_214_400_000_000_000n, 253_402_300_800_000_000_000n], // 9999-12-31
  ],
};

/** Text; `zone` is how many seconds clocks are ahead where it has no offset. */
function text(
  grammar: keyof typeof grammars,
  wanted: string,
  zone: number | null = null,
  placeholders?: { prefixes: string[]; spans: bigint[][] },
): Encoding {
  return {
    wanted,
    read: (raw) => {
      const { prefixes, spans } = placeholders ?? unknown;
      if (raw === undefined) return "missing";
      if (raw === null) return "null";
      if (typeof raw !== "string") return "wrong_type";
      if (prefixes.some((each) => raw.startsWith(each))) return "placeholder";
      const parts = grammars[grammar].exec(raw);
      if (parts === null) return "unreadable";
      const ahead = offset(parts[8], zone);
      const day = dayOf(Number(parts[1]), Number(parts[2]), Number(parts[3]));
      if (ahead === null || day === null) return "unreadable";
      const [hours, minutes] = [Number(parts[4] ?? 0), Number(parts[5] ?? 0)];
      const seconds =
        hours * 3600 + minutes * 60 + Number(parts[6] ?? 0) - ahead;
      const leap = parts[6] === "60" && seconds % 86_400 !== 0;
      if (leap) return "unreadable"; // it is put in at midnight, UTC
      const fraction = BigInt((parts[7] ?? "").slice(0, 9).padEnd(9, "0"));
      const instant = BigInt(day + seconds) * 1_000_000_000n + fraction;
      return spans.some(
        ([start = 0n, end = 0n]) => start <= instant && instant < end,
      )
        ? "placeholder"
        : instant;
    },
  };
}

/** The seconds from 1970 to the beginning of a day; null where there is none. */
function dayOf(year: number, month: number, day: number): number | null {
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  const same = date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
  return year > 0 && same ? date.getTime() / 1000 : null;
}

function offset(said: string | undefined, zone: number | null): number | null {
  if (said === undefined) return zone;
  if (said === "Z" || said === "z") return 0;
  const digits = said.slice(1).replace(":", "").padEnd(4, "0");
  const ahead =
    Number(digits.slice(0, 2)) * 3600 + Number(digits.slice(2)) * 60;
  return said.startsWith("-") ? -ahead : ahead;
}
