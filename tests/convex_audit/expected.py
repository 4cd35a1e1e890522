"""
What the writes in `app/` do, as a person sees who reads them: written by hand, one line each.

A write is found by the comment at the end of its line, like `// s01`; what is not in the table is none.
"""

from __future__ import annotations

from typing import Final

EXPECTED: Final = """
s01  insert   services      yes  sets           a literal
s02  insert   services      yes  omits          a literal, as any
s03  insert   services      yes  sets           spread of args, the fields of an imported object
s04  insert   services      yes  omits          args themselves
s05  insert   services      yes  omits          a cast to Doc, which is not true
s06  insert   services      yes  sets           args that have it
s07  insert   services      yes  sets           the rest, and the field by its short form
s08  insert   services      yes  omits          the rest, without the field
s09  insert   services      yes  indeterminate  args in which it is optional
s10  insert   services      yes  sets           optional, with ?? behind it
s11  patch    services      yes  sets           db out of the parameter, args out of the parameter
s12  patch    services      yes  omits          short forms only
s13  patch    services      yes  sets           context.db, three arguments
s14  patch    services      yes  omits          three arguments
s15  replace  services      yes  omits          three arguments
s16  patch    services      yes  omits          the rest of args as a variable
s17  patch    services      yes  sets           spread of the rest
s18  patch    services      yes  omits          conditional spreads of both kinds, none with it
s19  patch    services      yes  indeterminate  ...(c ? {field} : {})
s20  patch    services      yes  indeterminate  ...(c && {field})
s21  patch    services      yes  sets           conditional spreads and the field, over several lines
s22  patch    services      yes  sets           Record<string, unknown>, then x.field = ...
s23  patch    services      yes  omits          Record<string, unknown>, then others
s24  patch    services      yes  indeterminate  x.field = ... under a condition
s25  patch    services      yes  sets           x["field"] = ...
s26  patch    services      yes  indeterminate  x[key] = ...
s27  patch    services      yes  sets           x = {...x, field}
s28  patch    services      yes  sets           Object.assign
s29  patch    services      yes  omits          delete x.field
s30  patch    services      yes  omits          Object.fromEntries of some entries of args
s31  patch    services      yes  sets           the same, and the field
s32  patch    services      yes  sets           Object.fromEntries of pairs
s33  patch    services      yes  omits          the table from ctx.db.query, over several lines
s34  patch    services      yes  sets           ctx.db on a line of its own, a comment among the arguments
s35  replace  services      yes  sets           spread of the row, and the field
s36  replace  services      yes  omits          the row without the field
s37  replace  services      yes  sets           spread of the row, which has it
s38  patch    services      yes  omits          a counter; the table from ctx.db.get(...)!
s39  patch    services      yes  omits          last*At and sortOrder
s40  patch    services      yes  omits          undefined, which takes it away; as Id<"services">
s41  patch    services      yes  omits          a helper, the table from Id<"services">
s42  patch    services      yes  sets           a helper, the table from Doc<"services">
p01  insert   pillarPages   yes  sets           a helper of another file that spreads what it is given
p02  insert   pillarPages   yes  omits          an arrow function of another file
p03  insert   pillarPages   yes  sets           a constant as the table, spread of a call
p04  insert   clusterPages  yes  indeterminate  a helper that sets it in one case; import * as
p05  insert   pillarPages   yes  indeterminate  a function of a package
p06  insert   pillarPages   yes  sets           a helper that adds to what it is given
p07  insert   pillarPages   yes  omits          a helper that changes something else
p08  insert   pillarPages   yes  indeterminate  given to a function of a package
p09  insert   pillarPages   yes  omits          an interface without it
p10  insert   pillarPages   yes  sets           an interface that extends another one
p11  insert   pillarPages   yes  omits          Omit<...> of a Doc
p12  insert   pillarPages   yes  sets           spread of a typed const
p13  patch    pillarPages   yes  indeterminate  Partial<Doc>
p14  patch    pillarPages   yes  omits          pick of convex-helpers
p15  patch    -             no   omits          an id that is any text
p16  patch    -             yes  omits          a table that is one of two, from the validator
p17  insert   -             yes  omits          a table as "a" | "b"
p18  insert   clusterPages  yes  sets           a table as "b"
p19  insert   pillarPages   yes  omits          a type argument
p20  insert   clusterPages  yes  omits          (ctx.db as any)
p21  insert   clusterPages  yes  sets           ctx.db!, keys in quotes
p22  patch    -             yes  omits          a loop over names of tables
p23  patch    clusterPages  yes  sets           for await over a query
p24  patch    pillarPages   yes  omits          map over a page
p25  patch    pillarPages   yes  sets           map, the id out of the parameter
p26  replace  pillarPages   yes  omits          find in a page
p27  patch    clusterPages  yes  omits          innerDb
p28  patch    clusterPages  yes  sets           db under another name
p29  patch    clusterPages  yes  omits          ctx.db["patch"]
p30  patch    clusterPages  yes  sets           ctx?.db, ["field"]
p31  patch    clusterPages  yes  indeterminate  [key]
p32  patch    clusterPages  yes  indeterminate  a value that may be undefined
p33  insert   clusterPages  yes  omits          this.ctx.db
p34  patch    clusterPages  yes  omits          the table from an insert
p35  patch    clusterPages  yes  sets           a private helper, from all who call it
d01  insert   services      yes  sets           a loop over an array, spread, and the field
d02  insert   services      yes  omits          a loop over an array
d03  insert   clusterPages  yes  omits          a loop over an array, of which one has it
d04  insert   clusterPages  yes  sets           an array that is pushed to
d05  insert   services      yes  omits          map over an array
d06  insert   clusterPages  yes  sets           forEach over an array literal
d07  insert   users         no   omits          a table without the field
u01  insert   users         no   omits          a table without the field
u02  patch    users         no   omits          a table without the field
u03  replace  users         no   omits          a table without the field
u04  insert   users         no   sets           a table without the field, which is written all the same
u05  patch    -             no   omits          an id of type any
u06  patch    -             no   indeterminate  arguments that are spread
m01  patch    services      yes  omits          migrateOne of the migrations component
m02  patch    services      yes  sets           a trigger
m03  patch    services      yes  omits          a loop over ids, spread of a constant
m04  patch    services      yes  sets           normalizeId, satisfies
m05  insert   pillarPages   yes  sets           args from the schema
m06  insert   pillarPages   yes  sets           all the rest of them
m07  insert   pillarPages   yes  omits          Infer<typeof validator>
m08  insert   services      yes  sets           a const of a type that has it
m09  patch    pillarPages   yes  sets           let, set in both branches
m10  patch    pillarPages   yes  sets           one literal or another
m11  patch    pillarPages   yes  indeterminate  entries that are computed
m12  insert   pillarPages   yes  omits          type arguments over several lines
m13  insert   -             no   indeterminate  any table, any row
m14  patch    services      yes  omits          this.db
m15  replace  services      yes  sets           spread of a row that may be null, and the field
m16  patch    services      yes  omits          casts everywhere
m17  patch    services      yes  omits          the id from a field of a row
m18  patch    pillarPages   yes  indeterminate  the value from a field that is optional
m19  patch    services      yes  omits          an array of rows that is filtered step by step
"""
