"""`timestamp-guard convex`: what is known of a Convex app from its code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from ._convex_init import init
from ._options import Form
from ._output import LEFT, say, say_json, tell

__all__ = ["app"]

app = App(
    name="convex", usage="Usage: timestamp-guard convex COMMAND", help_format="plaintext", result_action="return_value"
)


@app.default
def convex() -> int:
    """Read the schema of a Convex app; write the code that guards it.

    TypeScript is read, and nothing is run: neither Node.js nor a deployment is
    needed.

      timestamp-guard convex schema convex/

      timestamp-guard convex init convex/
    """
    app.help_print([])
    return 0


app.command(init, name="init")


@app.command(name="schema")
def schema_of(
    path: Annotated[
        Path, Parameter(help="The convex folder, the folder that holds it, or the file of the schema.")
    ] = Path("convex"),
    /,
    *,
    updated: Annotated[str, Parameter(help="The field that says when a document was last changed.")] = "updatedAt",
    created: Annotated[
        str | None, Parameter(help="The field that says when it was made, where there is one to require too.")
    ] = None,
    table: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            show_default=False,
            help="This table must have the field; can be repeated. Without it: all tables that have it.",
        ),
    ] = (),
    form: Form = "text",
) -> int:
    """Say which tables require the field, and whether they agree, from schema.ts.

    Reads TypeScript, and runs nothing. What cannot be read is said.

    Exits 0 where every table that has the field requires it, all of one type,
    and 1 where one does not: the field is optional, may be null, is of several
    types or of another type than elsewhere, or could not be read. Exits 1 too
    where schemaValidation is off, or a file does not parse; 2 where there is no
    schema, or no such table or field.

    A table without the field is no fault, unless --table names it.

      timestamp-guard convex schema convex/

      timestamp-guard convex schema --updated updatedAt --table services
    """
    from ..convex.agreement import agreement
    from ..convex.schema import read_schema
    from ..errors import UnknownName

    schema = read_schema(path)
    try:
        found = agreement(schema, [updated] if created is None else [updated, created], table)
    except UnknownName:
        for problem in schema.problems:  # what is not there may be what could not be read
            tell(str(problem))
        raise
    if form == "json":
        say_json(found.to_dict())
    else:
        say(str(found))
    return 0 if found.ok else LEFT
