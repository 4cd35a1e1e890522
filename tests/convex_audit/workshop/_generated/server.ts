export async function generated(ctx: any) {
  await ctx.db.insert('bikes', { frame: 'generated' })
}
