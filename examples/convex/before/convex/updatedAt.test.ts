import { mutation, query } from "./_generated/server";

// npx convex run updatedAt.test.allHaveUpdatedAt
export const allHaveUpdatedAt = query({
  args: {},
  handler: async (ctx) => {
    const services = await ctx.db.query("services").collect();
    return services.every((service) => typeof service.updatedAt === "number");
  },
});

// Must fail: the schema is to refuse a service without a time.
export const refusesWithout = mutation({
  args: {},
  handler: async (ctx) => {
    try {
      await ctx.db.insert("services", { name: "test", slug: "test", createdAt: Date.now(), updatedAt: 0 });
      return { passed: false };
    } catch {
      return { passed: true };
    }
  },
});
