"""`timestamp-guard convex`: what is known of a Convex app from its code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from ..errors import UnknownName, UsageError
from ._convex_init import init
from ._options import Form
from ._output import LEFT, say, say_json, tell

if TYPE_CHECKING:
    from ..convex.fields import Schema

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
        Path | None,
        Parameter(
            help="The folder of the app's functions, the one that holds it, or the file of the schema; without it, the "
            "one that convex.json names, or convex/."
        ),
    ] = None,
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
    patch: Annotated[
        Literal["optional", "required"] | None,
        Parameter(
            show_default=False,
            help="Print the patch by which the field may be there in the table, or must be, for git apply.",
        ),
    ] = None,
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

    With --patch, prints the change of the schema for one table instead: as a
    patch, tried before, which changes that field and nothing else. Exits 0 too
    where the schema says so already, with nothing printed, and 1 where the lines
    cannot be told, as where several tables share the field.

      timestamp-guard convex schema convex/

      timestamp-guard convex schema --updated updatedAt --table services

      timestamp-guard convex schema --table services --patch required | git apply
    """
    from ..convex.agreement import agreement
    from ..convex.schema import functions_folder, read_schema

    folder = functions_folder(Path()) if path is None else path
    if patch is not None and (len(table) != 1 or created is not None):
        msg = "--patch is of one field of one table: name that with --table, and the field with --updated"
        raise UsageError(msg)
    schema = read_schema(folder)
    try:
        if patch is not None:
            return _patch(folder, schema, table[0], updated, form, required=patch == "required")
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


def _patch(folder: Path, schema: Schema, table: str, field: str, form: Form, *, required: bool) -> int:
    from ..convex.patching import change

    there = schema.tables.get(table)
    if there is None:
        raise UnknownName("table", table, schema.file, schema.tables)
    patch = change(folder, table, field, required=required)
    if form == "json":
        say_json({"ok": patch is not None, "table": table, "field": field, "required": required, "patch": patch})
    elif patch:
        say(patch.removesuffix("\n"))
    place = f"{field} of {table} in {there.file}:{there.line}"
    if patch is None:
        tell(f"which lines to change could not be told: make {place} {'required' if required else 'optional'} by hand")
    elif not patch:
        tell(f"{place} is so already")
    return LEFT if patch is None else 0
