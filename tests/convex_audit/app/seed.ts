import { internalMutation } from "./_generated/server";

const SERVICES = [
  { name: "Design", slug: "design", status: "draft" as const },
  { name: "Build", slug: "build", status: "draft" as const },
];

export const run = internalMutation({
  args: {},
  handler: async (ctx) => {
    const now = Date.now();
    for (const service of SERVICES) {
      await ctx.db.insert("services", { ...service, createdAt: now, updatedAt: now }); // d01
      await ctx.db.insert("services", service as any); // d02
    }
    const pages = [
      { title: "One", updatedAt: now },
      { title: "Two" },
    ];
    for (const page of pages) {
      await ctx.db.insert("clusterPages", page as any); // d03
    }
    const rows = [];
    for (const title of ["a", "b"]) {
      rows.push({ title, updatedAt: now });
    }
    for (const row of rows) await ctx.db.insert("clusterPages", row as any); // d04
    await Promise.all(SERVICES.map(async (each) => ctx.db.insert("services", each as any))); // d05
    [{ title: "Three", updatedAt: now }].forEach((each) => ctx.db.insert("clusterPages", each as any)); // d06
    for (const [index, name] of ["x", "y"].entries()) {
      await ctx.db.insert("users", { name: `${index} ${name}` }); // d07
    }
  },
});
