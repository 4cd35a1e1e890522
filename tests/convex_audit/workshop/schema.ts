import { authTables } from '@convex-dev/auth/server'
import { defineSchema } from 'convex/server'
import { bikes } from './bikes/table'
import * as tables from './lib/tables'

export default defineSchema(
  {
    ...authTables,
    bikes,
    repairs: tables.repairs,
    parts: tables.parts,
    events: tables.events,
    riders: tables.riders,
  },
  { schemaValidation: true },
)
