"""
What the writes in `workshop/` do, an app of other habits than `app/`: written by hand, before the audit saw it.

No semicolons, a field of another name, tables in several files, handlers apart from their functions, records that are
made once for two writes. The lines are as in `expected.py`.
"""

from __future__ import annotations

from typing import Final

EXPECTED: Final = """
h01  insert   events   yes  omits          one member of a union
h02  patch    parts    yes  sets           ctx is any, the value from a helper
h03  insert   bikes    yes  omits          this.ctx.db, as any
h04  patch    bikes    yes  sets           the id of a Doc that a method is given
f01  insert   riders   no   omits          inside the input of a custom mutation
b01  patch    bikes    yes  sets           upsert: the row that was there
b02  insert   bikes    yes  sets           upsert: spread of args, and the field
b03  patch    bikes    yes  sets           any, begun with the field
b04  patch    bikes    yes  omits          Record<string, unknown>, never the field
b05  patch    bikes    yes  sets           a type that is written out
b06  patch    bikes    yes  sets           spread of the rest, and the field
b07  patch    bikes    yes  omits          the rest of args
b08  replace  bikes    yes  omits          the row without the field
b09  replace  bikes    yes  sets           the row without another field
b10  replace  bikes    yes  sets           the row itself, changed in place
b11  replace  bikes    yes  sets           a record for two writes
b12  insert   bikes    yes  sets           a record for two writes
b13  replace  bikes    yes  omits          a record for two writes, without it
b14  insert   bikes    yes  omits          a record for two writes, without it
b15  patch    bikes    yes  omits          a custom mutation of a custom mutation
b16  patch    bikes    yes  sets           a row from a helper of another file
b17  patch    bikes    yes  omits          an id of zod
b18  patch    bikes    yes  omits          a row from a generic helper
b19  patch    bikes    yes  omits          ObjectType<typeof args>
b20  patch    bikes    yes  sets           a row from a helper of another file
b21  patch    bikes    yes  omits          rows from getAll
b22  patch    bikes    yes  omits          three arguments
b23  patch    bikes    yes  omits          a helper that leaves out what is undefined
b24  patch    bikes    yes  sets           spread of that, and the field
b25  insert   bikes    yes  sets           an arrow function that adds the field
b26  insert   bikes    yes  omits          an arrow function that adds another one
b27  patch    bikes    yes  sets           ctx.db under another name
b28  patch    bikes    yes  sets           the field, then a spread that has it not
b29  patch    bikes    yes  sets           the field, then a spread of any
b30  patch    bikes    yes  sets           ?? now
b31  patch    bikes    yes  indeterminate  a spread of any
b32  patch    bikes    yes  sets           the field, then a conditional spread
b33  patch    bikes    yes  indeterminate  a switch, one case with it
b34  insert   bikes    yes  omits          args without it, by omit(...)
b35  insert   bikes    yes  sets           one object or the other, made of one
b36  patch    bikes    yes  indeterminate  all fields optional
r01  insert   repairs  yes  omits          a loop over an array of objects, in a try
r02  replace  repairs  yes  omits          the same in its catch
r03  insert   repairs  yes  indeterminate  the validator of a table in which it is optional
r04  patch    repairs  yes  omits          Promise.all of a map
r05  replace  repairs  yes  indeterminate  the rest of a row that may be without it
r06  patch    repairs  yes  omits          the keys of a Map
r07  patch    repairs  yes  sets           the last of a list
r08  patch    repairs  yes  sets           filter and map
r09  patch    repairs  yes  omits          ids.entries()
r10  patch    repairs  yes  sets           forEach with void
r11  patch    repairs  yes  indeterminate  in one case
r12  patch    parts    yes  sets           a comma, the row from a destructured list
r13  insert   parts    yes  sets           the same record
r14  patch    parts    yes  omits          a query in two steps
r15  insert   -        yes  indeterminate  one of two tables, any row
r16  patch    -        no   indeterminate  any id, any row
r17  patch    parts    yes  omits          the table by a cast
l01  patch    -        no   omits          JavaScript, an id that is given when it runs
l02  patch    bikes    yes  omits          JavaScript, a row of a query
l03  insert   bikes    yes  sets           JavaScript, the rest of a row
l04  insert   bikes    yes  omits          a default export
m01  insert   bikes    yes  sets           satisfies
m02  insert   bikes    yes  omits          an object of functions
m03  patch    bikes    yes  sets           spread of a call
m04  insert   bikes    yes  sets           a function that gives functions
m05  patch    bikes    yes  omits          the same
m06  patch    -        yes  sets           an id of one of two tables
m07  replace  -        no   indeterminate  any table, any row
a01  insert   bikes    yes  sets           args in which the whole row is optional
a02  insert   -        yes  omits          a table by an object
a03  insert   bikes    yes  sets           (ctx as MutationCtx).db, a key by a constant
a04  insert   bikes    yes  sets           spread of a constant
a05  patch    bikes    yes  sets           set in the same block, where there is something to write
a06  patch    bikes    yes  omits          a copy of args, delete x.id
a07  patch    bikes    yes  omits          x[key], of two keys
a08  patch    bikes    yes  omits          x[key], of the keys of args
a09  patch    bikes    yes  omits          pickBy of lodash
a10  patch    bikes    yes  sets           spread of pickBy, and the field
a11  insert   bikes    yes  sets           withoutSystemFields
a12  patch    bikes    yes  omits          a function with two ends
a13  patch    bikes    yes  indeterminate  undefined in one case
a14  patch    bikes    yes  sets           the old value
a15  replace  bikes    yes  sets           the rest of a literal with a row in it
a16  patch    riders   no   omits          the id from a field of a row
a17  patch    bikes    yes  omits          normalizeId
a18  patch    bikes    yes  sets           const { db } = ctx
a19  patch    bikes    yes  omits          then
a20  patch    bikes    yes  omits          rows by Promise.all, without those that are null
a21  patch    bikes    yes  sets           filter(Boolean) as Doc[]
a22  patch    parts    yes  omits          a destructured Promise.all
a23  patch    bikes    yes  sets           a destructured Promise.all
a24  patch    bikes    yes  omits          reduce
a25  patch    parts    yes  omits          for await
a26  patch    bikes    yes  omits          a loop with a counter over a set
a27  patch    bikes    yes  omits          Object.values of a Record
a28  insert   -        yes  indeterminate  a factory over two tables
a29  patch    -        yes  sets           a factory over two tables
"""
