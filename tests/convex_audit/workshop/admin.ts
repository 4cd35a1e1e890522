import { withoutSystemFields } from 'convex-helpers'
import { v } from 'convex/values'
import { pickBy } from 'lodash'
import type { Doc, Id } from './_generated/dataModel'
import { internalMutation, mutation, type MutationCtx } from './_generated/server'
import { bikeFields } from './bikes/table'
import * as Bikes from './model/bikes'

const FIELD = 'modifiedAt'
const KINDS = { bike: 'bikes', part: 'parts' } as const
const NEW = { color: 'raw', createdAt: 5, modifiedAt: 5 }
const fields = { id: v.id('bikes'), color: v.optional(v.string()), frame: v.optional(v.string()) }

export const create = mutation({
  args: { frame: v.string(), bike: v.optional(v.object(bikeFields)), kind: v.union(v.literal('bike'), v.literal('part')) },
  handler: async (ctx, args) => {
    await Bikes.create(ctx, { frame: args.frame })
    await ctx.db.insert('bikes', args.bike!) // a01
    await ctx.db.insert(KINDS[args.kind], { frame: args.frame } as any) // a02
    await (ctx as MutationCtx).db.insert('bikes', { frame: args.frame, createdAt: 5, [FIELD]: Date.now() }) // a03
    await Promise.all(['a', 'b'].map((frame) => ctx.db.insert('bikes', { frame, ...NEW }))) // a04
  },
})

export const update = mutation({
  args: fields,
  handler: async (ctx, args) => {
    const updates: Partial<Doc<'bikes'>> = {}
    if (args.color) updates.color = args.color
    if (Object.keys(updates).length > 0) {
      updates.modifiedAt = Date.now()
      await ctx.db.patch(args.id, updates) // a05
    }

    const copy: any = { ...args }
    delete copy.id
    await ctx.db.patch(args.id, copy) // a06

    const chosen: Record<string, unknown> = {}
    for (const key of ['color', 'frame'] as const) {
      if (args[key] !== undefined) chosen[key] = args[key]
    }
    await ctx.db.patch(args.id, chosen) // a07

    const given: Record<string, unknown> = {}
    Object.entries(args).forEach(([key, value]) => {
      if (key !== 'id' && value !== undefined) given[key] = value
    })
    await ctx.db.patch(args.id, given) // a08

    const { id, ...rest } = args
    await ctx.db.patch(id, pickBy(rest, (value) => value !== undefined)) // a09
    await ctx.db.patch(id, { ...pickBy(rest), modifiedAt: Date.now() }) // a10
  },
})

function look(args: { color?: string }) {
  if (!args.color) return { color: 'none' }
  return { color: args.color.toLowerCase() }
}

export const copyOne = mutation({
  args: { ...fields, quiet: v.boolean(), raw: v.string() },
  handler: async (ctx, { id, quiet, raw, color }) => {
    const bike = await ctx.db.get(id)
    if (!bike) return null
    await ctx.db.insert('bikes', withoutSystemFields(bike)) // a11
    await ctx.db.patch(id, look({ color })) // a12
    await ctx.db.patch(id, { color, modifiedAt: quiet ? undefined : Date.now() }) // a13
    await ctx.db.patch(id, { color, modifiedAt: bike.modifiedAt }) // a14
    const { _id, _creationTime, ...next } = { ...bike, color: 'blue' }
    await ctx.db.replace(id, next) // a15
    if (bike.rider) await ctx.db.patch(bike.rider, { name: 'somebody' }) // a16
    const known = ctx.db.normalizeId('bikes', raw)
    if (!known) throw new Error('no id')
    await ctx.db.patch(known, { color }) // a17
    const { db } = ctx
    await db.patch(known, { color, modifiedAt: +new Date() }) // a18
    return await ctx.db.get(known).then((found) => found && ctx.db.patch(found._id, { color })) // a19
  },
})

export const several = internalMutation({
  args: { bikes: v.array(v.id('bikes')), part: v.id('parts') },
  handler: async (ctx, args) => {
    const found = (await Promise.all(args.bikes.map((id) => ctx.db.get(id)))).filter((each) => each !== null)
    for (const bike of found) {
      await ctx.db.patch(bike._id, { color: 'white' }) // a20
    }
    const sure = (await Promise.all(args.bikes.map((id) => ctx.db.get(id)))).filter(Boolean) as Doc<'bikes'>[]
    for (const { _id } of sure) await ctx.db.patch(_id, { color: 'white', modifiedAt: Date.now() }) // a21
    const [first, part] = await Promise.all([ctx.db.get(args.bikes[0]), ctx.db.get(args.part)])
    if (part) await ctx.db.patch(part._id, { stock: part.stock - 1 }) // a22
    if (first) await ctx.db.patch(first._id, { color: 'black', modifiedAt: Date.now() }) // a23
    await args.bikes.reduce(async (before, id) => {
      await before
      await ctx.db.patch(id, { color: 'gold' }) // a24
    }, Promise.resolve())
    for await (const each of ctx.db.query('parts')) {
      if (each.stock < 0) await ctx.db.patch(each._id, { stock: 0 }) // a25
    }
    const ids = [...new Set(args.bikes)]
    for (let n = 0; n < ids.length; n++) {
      await ctx.db.patch(ids[n], { color: `${n}` }) // a26
    }
    const byRider: Record<Id<'riders'>, Doc<'bikes'>> = {}
    for (const bike of found) if (bike.rider) byRider[bike.rider] = bike
    for (const bike of Object.values(byRider)) {
      await ctx.db.patch(bike._id, { color: 'silver' }) // a27
    }
  },
})

function crud<T extends 'bikes' | 'parts'>(table: T) {
  return {
    create: internalMutation({
      args: { row: v.any() },
      handler: async (ctx, { row }) => await ctx.db.insert(table, row), // a28
    }),
    touch: internalMutation({
      args: { id: v.id(table) },
      handler: async (ctx, { id }) => await ctx.db.patch(id, { modifiedAt: Date.now() as any }), // a29
    }),
  }
}

export const { create: createBike, touch: touchBike } = crud('bikes')
export const { create: createPart } = crud('parts')
