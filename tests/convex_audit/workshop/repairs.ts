import { paginationOptsValidator } from 'convex/server'
import { v } from 'convex/values'
import { internal } from './_generated/api'
import type { Id } from './_generated/dataModel'
import { action, internalMutation, mutation } from './_generated/server'
import { iso } from './lib/helpers'
import { repairs } from './lib/tables'

const input = v.object({ bike: v.id('bikes'), state: v.string() })

export const importAll = internalMutation({
  args: { repairs: v.array(input) },
  handler: async (ctx, args) => {
    for (const repair of args.repairs) {
      try {
        await ctx.db.insert('repairs', repair) // r01
      } catch (_error) {
        const old = await ctx.db.query('repairs').withIndex('by_bike', (q) => q.eq('bike', repair.bike)).first()
        if (!old) throw _error
        await ctx.db.replace(old._id, repair) // r02
      }
    }
  },
})

export const open = mutation({
  args: repairs.validator.fields,
  handler: async (ctx, args) => {
    await ctx.db.insert('repairs', args) // r03
  },
})

export const close = mutation({
  args: { bike: v.id('bikes') },
  handler: async (ctx, { bike }) => {
    const found = await ctx.db.query('repairs').withIndex('by_bike', (q) => q.eq('bike', bike)).collect()
    await Promise.all(found.map((each) => ctx.db.patch(each._id, { state: 'closed' }))) // r04
    for (const { _id, _creationTime, ...repair } of found) {
      await ctx.db.replace(_id, { ...repair, state: 'closed' }) // r05
    }
    const byId = new Map(found.map((each) => [each._id, each]))
    for (const [id] of byId) {
      await ctx.db.patch(id, { state: 'closed' }) // r06
    }
    const last = found[found.length - 1]
    await ctx.db.patch(last._id, { state: 'closed', modifiedAt: Date.now() }) // r07
    await Promise.all(
      found
        .filter((each) => each.state !== 'closed')
        .map(async (each, index) => {
          await ctx.db.patch(each._id, { position: index, modifiedAt: Date.now() }) // r08
        }),
    )
  },
})

export const order = mutation({
  args: { ids: v.array(v.id('repairs')) },
  handler: async (ctx, { ids }) => {
    for (const [index, id] of ids.entries()) {
      await ctx.db.patch(id, { position: index }) // r09
    }
    ids.forEach((id, index) => void ctx.db.patch(id, { position: index, modifiedAt: Date.now() })) // r10
  },
})

export const sweep = internalMutation({
  args: { paginationOpts: paginationOptsValidator },
  handler: async (ctx, { paginationOpts }) => {
    const { page, isDone, continueCursor } = await ctx.db.query('repairs').paginate(paginationOpts)
    for (const repair of page) {
      if (repair.state === 'lost') continue
      const changes: Record<string, unknown> = { state: 'swept' }
      if (repair.position) {
        changes.position = undefined
        changes.modifiedAt = Date.now()
      }
      await ctx.db.patch(repair._id, changes) // r11
    }
    if (!isDone) await ctx.scheduler.runAfter(0, internal.repairs.sweep, { paginationOpts: { numItems: 9, cursor: continueCursor } })
  },
})

export const stock = internalMutation({
  args: { sku: v.string(), stock: v.number() },
  handler: async (ctx, args) => {
    const [existing] = await ctx.db.query('parts').withIndex('by_sku', (q) => q.eq('sku', args.sku)).take(1)
    const next = { ...args, modifiedAt: iso() }
    const id = existing
      ? (await ctx.db.patch(existing._id, next), existing._id) // r12
      : await ctx.db.insert('parts', next) // r13
    let query = ctx.db.query('parts').order('desc')
    if (args.stock > 5) query = query.filter((q) => q.gt(q.field('stock'), 5))
    const first = (await query.take(5))[0]
    await ctx.db.patch(first._id, { stock: args.stock }) // r14
    return id
  },
})

export const write = internalMutation({
  args: { table: v.string(), id: v.string(), row: v.any() },
  handler: async (ctx, args) => {
    await ctx.db.insert(args.table as 'bikes' | 'parts', args.row) // r15
    await ctx.db.patch(args.id as Id<any>, args.row) // r16
    await ctx.db.patch(args.id as Id<'parts'>, { sku: args.row.sku }) // r17
  },
})

export const send = action({
  args: { url: v.string() },
  handler: async (ctx, args) => {
    const url = args.url.replace('http:', 'https:')
    const client = { patch: async (_url: string, _body: object) => fetch(_url, { method: 'PATCH' }) }
    await client.patch(url, { state: 'sent' })
    await ctx.runMutation(internal.repairs.write, { table: 'bikes', id: '', row: {} })
    const text = `await ctx.db.insert('bikes', {})`
    return text
  },
})
