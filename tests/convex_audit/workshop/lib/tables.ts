import { defineTable } from 'convex/server'
import { v } from 'convex/values'

const stamp = v.optional(v.number())

export const repairs = defineTable({
  bike: v.id('bikes'),
  state: v.string(),
  position: v.optional(v.number()),
  modifiedAt: stamp,
}).index('by_bike', ['bike'])

export const parts = defineTable({
  sku: v.string(),
  stock: v.number(),
  modifiedAt: v.string(),
}).index('by_sku', ['sku'])

export const events = defineTable(
  v.union(
    v.object({ kind: v.literal('opened'), note: v.string() }),
    v.object({ kind: v.literal('moved'), modifiedAt: v.number() }),
  ),
)

export const riders = defineTable({ name: v.string(), externalId: v.string() }).index('by_external', ['externalId'])
