import { v } from "convex/values";
import { mutation, type MutationCtx } from "./_generated/server";

export const create = mutation({
  args: { name: v.string() },
  handler: async (ctx, args) => {
    const id = await ctx.db.insert("users", args); // u01
    await ctx.db.patch(id, { email: "a@example.org" }); // u02
    await ctx.db.replace(id, { name: args.name }); // u03
    await ctx.db.insert("users", { name: args.name, updatedAt: Date.now() } as any); // u04
  },
});

export async function anyRow(ctx: MutationCtx, id: any, ...given: [any, any]) {
  await ctx.db.patch(id, { name: "x" }); // u05
  await ctx.db.patch(...given); // u06
}
