/** A time as text, with so many digits of a fraction, or as it takes. */
function written(now: number, digits: number | null, tail: string): string {
  const said = new Date(now).toISOString().slice(0, -1);
  const [whole = "", fraction = ""] = said.split(".");
  const all = digits ?? (fraction === "000" ? 0 : 3);
  const shown = fraction.padEnd(6, "0").slice(0, all);
  return whole + (shown === "" ? "" : `.${shown}`) + tail;
}
