import type { WithoutSystemFields } from 'convex/server'
import type { Doc, Id, TableNames } from '../_generated/dataModel'
import type { MutationCtx } from '../_generated/server'

export type BikeInput = { frame: string; color?: string }

export async function create(ctx: MutationCtx, input: BikeInput) {
  const now = Date.now()
  return await ctx.db.insert('bikes', { // m01
    ...input,
    createdAt: now,
    modifiedAt: now,
  } satisfies WithoutSystemFields<Doc<'bikes'>>)
}

export const repository = {
  async add(ctx: MutationCtx, input: BikeInput) {
    return ctx.db.insert('bikes', { ...input, createdAt: Date.now() } as any) // m02
  },
  async paint(ctx: MutationCtx, id: Id<'bikes'>, color: string) {
    await ctx.db.patch(id, { color, ...stamp() }) // m03
  },
}

export const stamp = () => ({ modifiedAt: Date.now() })

export const within = (ctx: MutationCtx) => ({
  save: (input: BikeInput) => ctx.db.insert('bikes', { ...input, createdAt: 1, ...stamp() }), // m04
  rename: async (id: Id<'bikes'>, frame: string) => {
    await ctx.db.patch(id, { frame }) // m05
  },
})

export async function touch(ctx: MutationCtx, id: Id<'bikes'> | Id<'repairs'>) {
  await ctx.db.patch(id, { modifiedAt: Date.now() }) // m06
}

export async function clear<T extends TableNames>(ctx: MutationCtx, id: Id<T>, row: WithoutSystemFields<Doc<T>>) {
  await ctx.db.replace(id, row) // m07
}
