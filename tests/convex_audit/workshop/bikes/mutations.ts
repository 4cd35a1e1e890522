import { omit, partial } from 'convex-helpers'
import { getAll } from 'convex-helpers/server/relationships'
import { zid } from 'convex-helpers/server/zod'
import { v, type ObjectType } from 'convex/values'
import { z } from 'zod'
import type { Doc, Id } from '../_generated/dataModel'
import type { MutationCtx } from '../_generated/server'
import { mutation, riderMutation } from '../lib/functions'
import { bikeOf, compact, getOrThrow, withCreated, withStamp } from '../lib/helpers'
import { zMutation } from '../lib/zod'
import { bikeFields } from './table'

export const upsert = mutation({
  args: { frame: v.string(), color: v.optional(v.string()) },
  handler: async (ctx, args) => {
    const now = Date.now()
    const existing = await ctx.db
      .query('bikes')
      .withIndex('by_frame', (q) => q.eq('frame', args.frame))
      .unique()

    if (existing) {
      await ctx.db.patch(existing._id, { // b01
        color: args.color,
        modifiedAt: now,
      })
      return existing._id
    }

    const id = await ctx.db.insert('bikes', { // b02
      ...args,
      rider: undefined,
      createdAt: now,
      modifiedAt: now,
    })
    return id
  },
})

export const update = mutation({
  args: { id: v.id('bikes'), color: v.optional(v.string()), frame: v.optional(v.string()) },
  handler: async (ctx, args) => {
    const updates: any = {
      modifiedAt: Date.now(),
    }
    if (args.color) updates.color = args.color
    if (args.frame) updates.frame = args.frame

    return await ctx.db.patch(args.id, updates) // b03
  },
})

export const updateQuietly = mutation({
  args: { id: v.id('bikes'), color: v.optional(v.string()), frame: v.optional(v.string()) },
  handler: async (ctx, args) => {
    const updates: Record<string, unknown> = {}
    if (args.color !== undefined) updates.color = args.color
    if (args.frame !== undefined) updates.frame = args.frame.trim()

    await ctx.db.patch(args.id, updates) // b04
    return args.id
  },
})

export const updateTyped = mutation({
  args: { id: v.id('bikes'), color: v.optional(v.string()) },
  handler: async (ctx, { id, color }) => {
    const updates: { color?: string; modifiedAt: number } = { modifiedAt: Date.now() }
    if (color !== undefined) updates.color = color
    await ctx.db.patch(id, updates) // b05
  },
})

export const updateRest = mutation({
  args: { id: v.id('bikes'), color: v.optional(v.string()), frame: v.optional(v.string()) },
  handler: async (ctx, args) => {
    const { id, ...rest } = args
    const updates: Record<string, unknown> = { ...rest, modifiedAt: Date.now() }
    if (updates.frame !== undefined) updates.frame = String(updates.frame).trim()
    await ctx.db.patch(args.id, updates) // b06
    await ctx.db.patch(id, rest) // b07
  },
})

export const forget = mutation({
  args: { id: v.id('bikes') },
  handler: async (ctx, { id }) => {
    const bike = await ctx.db.get(id)
    if (!bike) throw new Error('there is no such bike')
    const { modifiedAt: _removed, _id, _creationTime, ...rest } = bike
    await ctx.db.replace(_id, rest as any) // b08
    const { color: _color, _id: _same, _creationTime: _made, ...plain } = bike
    await ctx.db.replace(id, plain) // b09
    bike.color = 'red'
    await ctx.db.replace(bike._id, bike) // b10
  },
})

export const save = mutation({
  args: { frame: v.string(), rider: v.id('riders') },
  handler: async (ctx, args) => {
    const existing = await ctx.db.query('bikes').withIndex('by_rider', (q) => q.eq('rider', args.rider)).first()
    const bike = { ...args, createdAt: existing?.createdAt ?? Date.now(), modifiedAt: Date.now() }
    if (existing) await ctx.db.replace(existing._id, bike) // b11
    else await ctx.db.insert('bikes', bike) // b12

    const record = { frame: args.frame.toLowerCase(), rider: args.rider, createdAt: Date.now() }
    if (existing) {
      await ctx.db.replace(existing._id, record as any) // b13
    } else {
      await ctx.db.insert('bikes', record as any) // b14
    }
  },
})

export const mine = riderMutation({
  args: { id: v.id('bikes'), color: v.string() },
  handler: async ({ db, rider }, { id, color }) => {
    await db.patch(id, { color, rider: rider._id }) // b15
    const bike = await bikeOf({ db } as any, rider._id)
    await db.patch(bike._id, { color, modifiedAt: Date.now() }) // b16
  },
})

export const paint = zMutation({
  args: { id: zid('bikes'), color: z.string().min(3) },
  handler: async (ctx, { id, color }) => {
    await ctx.db.patch(id, { color }) // b17
  },
})

export async function renameHandler(ctx: MutationCtx, args: { id: Id<'bikes'>; frame: string }) {
  const bike = await getOrThrow(ctx, args.id)
  await ctx.db.patch(bike._id, { frame: args.frame }) // b18
}

const giveArgs = { id: v.id('bikes'), rider: v.id('riders') }
type GiveArgs = ObjectType<typeof giveArgs>

async function give(ctx: MutationCtx, args: GiveArgs) {
  await ctx.db.patch(args.id, { rider: args.rider }) // b19
  const bike = await bikeOf(ctx, args.rider)
  await ctx.db.patch(bike._id, { rider: undefined, modifiedAt: Date.now() }) // b20
}

export const giveAway = mutation({ args: giveArgs, handler: give })

export const rename = mutation({
  args: { id: v.id('bikes'), frame: v.string() },
  handler: (ctx, args) => renameHandler(ctx, args),
})

export const many = mutation({
  args: { ids: v.array(v.id('bikes')), bike: v.optional(v.id('bikes')), color: v.string() },
  handler: async (ctx, args) => {
    for (const each of await getAll(ctx.db, args.ids)) {
      if (each) await ctx.db.patch(each._id, { color: args.color }) // b21
    }
    await ctx.db.patch('bikes', args.ids[0], { color: args.color }) // b22
    await ctx.db.patch(args.bike!, compact({ color: args.color, frame: undefined })) // b23
    await ctx.db.patch(args.bike!, { ...compact({ color: args.color }), modifiedAt: Date.now() }) // b24
    await ctx.db.insert('bikes', withStamp({ frame: 'a', createdAt: 5 })) // b25
    await ctx.db.insert('bikes', withCreated({ frame: 'b' }) as any) // b26
    const store = ctx.db
    await store.patch(args.ids[1], { color: args.color, modifiedAt: Date.now() }) // b27
  },
})

export const change = mutation({
  args: { id: v.id('bikes'), changes: v.object({ color: v.optional(v.string()) }), more: v.any(), at: v.optional(v.number()) },
  handler: async (ctx, args) => {
    const now = Date.now()
    await ctx.db.patch(args.id, { modifiedAt: now, ...args.changes }) // b28
    await ctx.db.patch(args.id, { modifiedAt: now, ...args.more }) // b29
    await ctx.db.patch(args.id, { ...args.changes, modifiedAt: args.at ?? now }) // b30
    await ctx.db.patch(args.id, { ...args.changes, ...args.more }) // b31
    await ctx.db.patch(args.id, { modifiedAt: now, ...(args.at !== undefined && { createdAt: args.at }) }) // b32
  },
})

export const act = mutation({
  args: { id: v.id('bikes'), action: v.union(v.literal('park'), v.literal('ride')) },
  handler: async (ctx, { id, action }) => {
    let changes: Partial<Doc<'bikes'>> = {}
    switch (action) {
      case 'park':
        changes = { color: 'grey' }
        break
      case 'ride':
        changes = { color: 'green', modifiedAt: Date.now() }
        break
    }
    await ctx.db.patch(id, changes) // b33
  },
})

export const create = mutation({
  args: omit(bikeFields, ['modifiedAt']),
  handler: async (ctx, args) => {
    await ctx.db.insert('bikes', args as any) // b34
    const base = { ...args, modifiedAt: Date.now() }
    const whole = args.rider ? { ...base, color: 'black' } : base
    await ctx.db.insert('bikes', whole) // b35
  },
})

export const edit = mutation({
  args: { id: v.id('bikes'), changes: v.object(partial(bikeFields)) },
  handler: async (ctx, args) => {
    await ctx.db.patch(args.id, args.changes) // b36
  },
})
