import type { Doc, Id, TableNames } from '../_generated/dataModel'
import type { MutationCtx, QueryCtx } from '../_generated/server'

export const iso = () => new Date().toISOString()

export const withStamp = <T extends object>(doc: T) => ({ ...doc, modifiedAt: Date.now() })

export const withCreated = <T extends object>(doc: T) => ({ createdAt: Date.now(), ...doc })

export function compact<T extends object>(given: T): Partial<T> {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Partial<T>
}

export async function getOrThrow<T extends TableNames>(ctx: QueryCtx, id: Id<T>): Promise<Doc<T>> {
  const found = await ctx.db.get(id)
  if (!found) throw new Error(`there is no ${id}`)
  return found
}

export async function bikeOf(ctx: QueryCtx, rider: Id<'riders'>) {
  const bike = await ctx.db
    .query('bikes')
    .withIndex('by_rider', (q) => q.eq('rider', rider))
    .unique()
  if (bike === null) {
    throw new Error('this rider has no bike')
  }
  return bike
}

export async function log(ctx: MutationCtx, note: string) {
  // await ctx.db.insert('events', { kind: 'opened', note: 'an old one' })
  await ctx.db.insert('events', { kind: 'opened', note }) // h01
}

// used by the importer, which is not typed yet
export async function restock(ctx: any, id: Id<'parts'>, stock: number) {
  await ctx.db.patch(id, { stock, modifiedAt: iso() }) // h02
}

export class Garage {
  constructor(private ctx: MutationCtx) {}

  async park(frame: string) {
    return await this.ctx.db.insert('bikes', { frame, createdAt: Date.now() } as any) // h03
  }

  async paint(bike: Doc<'bikes'>, color: string) {
    await this.ctx.db.patch(bike._id, { color, modifiedAt: Date.now() }) // h04
  }
}
