import { customCtx, customMutation } from 'convex-helpers/server/customFunctions'
import { Triggers } from 'convex-helpers/server/triggers'
import type { DataModel } from '../_generated/dataModel'
import { mutation as rawMutation } from '../_generated/server'

export const triggers = new Triggers<DataModel>()

export const mutation = customMutation(rawMutation, customCtx(triggers.wrapDB))

export const riderMutation = customMutation(mutation, {
  args: {},
  input: async (ctx) => {
    const identity = await ctx.auth.getUserIdentity()
    if (!identity) throw new Error('not signed in')
    const rider = await ctx.db
      .query('riders')
      .withIndex('by_external', (q) => q.eq('externalId', identity.subject))
      .unique()
    if (!rider) {
      await ctx.db.insert('riders', { name: identity.name ?? 'somebody', externalId: identity.subject }) // f01
    }
    return { ctx: { rider: rider! }, args: {} }
  },
})
