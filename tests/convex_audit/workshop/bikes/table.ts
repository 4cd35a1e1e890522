import { defineTable } from 'convex/server'
import { v } from 'convex/values'

export const bikeFields = {
  frame: v.string(),
  color: v.optional(v.string()),
  rider: v.optional(v.id('riders')),
  createdAt: v.number(),
  modifiedAt: v.number(),
}

export const bikes = defineTable(bikeFields).index('by_frame', ['frame']).index('by_rider', ['rider'])
