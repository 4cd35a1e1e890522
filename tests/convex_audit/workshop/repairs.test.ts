import { convexTest } from 'convex-test'
import { expect, it } from 'vitest'
import schema from './schema'

it('closes', async () => {
  const t = convexTest(schema)
  await t.run(async (ctx) => {
    await ctx.db.insert('bikes', { frame: 'a', createdAt: 1 } as any)
  })
  expect(1).toBe(1)
})
