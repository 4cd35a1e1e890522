// A stand-in for a database: what is called on it writes nothing.
const db = {
  rows: new Map<string, unknown>(),
  insert(table: string, row: unknown) {
    this.rows.set(table, row);
  },
  patch: (id: string, row: unknown) => ({ id, row }),
};

export function mocked() {
  db.insert("services", { name: "mock" });
  db.patch("services", { name: "mock" });
  const ctx = { db: { insert: async () => "id", patch: async () => undefined } };
  ctx.db.insert();
  return "a-b".replace("-", "+");
}
