import { mutation } from './_generated/server'

class Memory {
  rows = []
  insert(table, row) {
    this.rows.push([table, row])
  }
}

export const rename = mutation(async ({ db }, { id, name }) => {
  await db.patch(id, { name }) // l01
})

export const copy = mutation(async ({ db }, { frame }) => {
  const bike = await db.query('bikes').filter((q) => q.eq(q.field('frame'), frame)).first()
  await db.patch(bike._id, { frame: frame + '!' }) // l02
  const { _id, _creationTime, ...rest } = bike
  await db.insert('bikes', { ...rest, createdAt: Date.now() }) // l03
})

export function remember(row) {
  const db = new Memory()
  db.insert('bikes', row)
  return db
}

export default mutation(async ({ db }, { frame }) => db.insert('bikes', { frame, createdAt: 0 })) // l04
