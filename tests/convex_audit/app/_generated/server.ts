// What codegen wrote: never audited.
export const mutation = (x: unknown) => x;
export async function generated(ctx: any) {
  await ctx.db.insert("services", { name: "generated" });
}
