import { mutation } from "./_generated/server";

/**
 * Fills updatedAt where it is missing, in all three tables.
 * Backs up existing data first.
 *
 *   npx convex run addUpdatedAt.backfillAll
 */
export const backfillAll = mutation({
  args: {},
  handler: async (ctx) => {
    const now = Date.now();
    let updated = 0;
    const errors: string[] = [];

    const services = await ctx.db.query("services").collect();
    for (const service of services) {
      try {
        if (service.updatedAt === undefined) {
          await ctx.db.patch(service._id, { updatedAt: service.createdAt || now });
          updated++;
        }
      } catch (error) {
        errors.push(`services ${service._id}: ${error}`);
      }
    }

    const pillarPages = await ctx.db.query("pillarPages").collect();
    for (const page of pillarPages) {
      try {
        if (page.updatedAt === undefined) {
          await ctx.db.patch(page._id, { updatedAt: page.createdAt || now });
          updated++;
        }
      } catch (error) {
        errors.push(`pillarPages ${page._id}: ${error}`);
      }
    }

    const clusterPages = await ctx.db.query("clusterPages").collect();
    for (const page of clusterPages) {
      try {
        if (page.updatedAt === undefined) {
          await ctx.db.patch(page._id, { updatedAt: page.createdAt || now });
          updated++;
        }
      } catch (error) {
        errors.push(`clusterPages ${page._id}: ${error}`);
      }
    }

    return { success: true, updated, errors };
  },
});
