"""`timestamp-guard convex init`: write the module that a Convex app is guarded with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import attrs
from cyclopts import Parameter

from ..config import FILE as CONFIGURATION
from ..config import Table, load, places
from ..convex.generate import FILE, GuardedTable, is_ours, module
from ..errors import UnknownName, UsageError
from ..instants import Encoding
from ..targets.typescript import ensure_speaks
from ._options import ANY, NO_MENDING, UNSAID, Chosen, Form, Meaning, described, said
from ._output import say, say_json, tell

if TYPE_CHECKING:
    from ..convex.schema import FieldType, Schema
    from ..convex.schema import Table as SchemaTable

__all__ = ["init"]

UPDATED: Final = "updatedAt"
SYSTEM: Final = ("_id", "_creationTime")


def init(
    folder: Annotated[
        Path | None,
        Parameter(help="The folder of the app's functions; without it, the one that convex.json names, or convex/."),
    ] = None,
    /,
    *,
    chosen: Chosen = ANY,
    meaning: Meaning = UNSAID,
    write_out: Annotated[
        bool, Parameter(name="--print", negative="", show_default=False, help="Print the module; write nothing.")
    ] = False,
    force: Annotated[
        bool,
        Parameter(negative="", show_default=False, help="Replace a file that is not ours, or was changed by hand."),
    ] = False,
    form: Form = "text",
) -> int:
    r"""Write timestampGuard.ts: the guard in TypeScript, for a Convex app.

    A small module that the app commits: validators, a database wrapper that
    stamps every write and refuses what breaks the guard, and the internal
    functions by which timestamp-guard checks and fills a live deployment.
    What must hold is said by timestamp-guard.toml, in its stores whose address
    begins with convex, or by --updated and its kin; without either, every table
    that has updatedAt is guarded. Reads the schema, runs nothing, deploys nothing.

      timestamp-guard convex init

      timestamp-guard convex init --updated updatedAt --created _creationTime \
        --tolerance 5s --print
    """
    from ..convex.schema import functions_folder, read_schema

    if meaning.schema is not None:
        msg = "--schema says nothing here: the schema is that of the app in the folder"
        raise UsageError(msg)
    functions = functions_folder(Path()) if folder is None else folder
    _ensure_app(functions)
    schema = read_schema(functions)
    for problem in schema.problems:
        tell(str(problem))
    if not schema.validates:
        tell(f"{schema.file} has schemaValidation: false, so that the deployment itself refuses nothing")
    tables = [_guarded(each, schema) for each in _described(functions, schema, chosen, meaning)]
    text = module(tables)
    path = functions / FILE
    if write_out:
        say(text.removesuffix("\n"))
        return 0
    there = _there(path)
    if there is not None and not force:
        _ensure_ours(path, there)
    if text != there:
        path.write_text(text, encoding="utf-8", newline="\n")
    if form == "json":
        guards = {each.name: {"updated": each.updated, "guard": str(each.guard)} for each in tables}
        say_json({"ok": True, "file": str(path), "changed": text != there, "tables": guards})
        return 0
    for each in tables:
        say(f"{each.name}: {each.guard}")
    if text == there:
        say(f"{path} says this already")
        return 0
    say(f"wrote {path}; next: write with stamped(ctx.db), then npx convex dev, or deploy")
    return 0


# -- the app ----------------------------------------------------------------------------------------------------


def _ensure_app(folder: Path) -> None:
    """
    See that there is an app, whose code has been generated.

    Raises:
        UsageError: it is not there, or the module could not be compiled there.
    """
    if not folder.is_dir():
        msg = f"no folder {folder}: name the one of the app's functions, or run this where convex.json is"
        raise UsageError(msg)
    generated = folder / "_generated"
    for name in ("server", "dataModel"):
        if not any((generated / f"{name}{suffix}").is_file() for suffix in (".ts", ".d.ts", ".js")):
            msg = f"{generated} has no {name}: run npx convex dev once, or npx convex codegen; the module imports it"
            raise UsageError(msg)


def _there(path: Path) -> str | None:
    """What the file says, where it is there."""
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        return ""


def _ensure_ours(path: Path, there: str) -> None:
    """
    See that nobody's work is overwritten.

    Raises:
        UsageError: the file is not ours, or somebody changed it.
    """
    match is_ours(there):
        case False:
            msg = f"{path} was not made by timestamp-guard: move it away, or replace it with --force"
        case None:
            msg = (
                f"{path} was changed since timestamp-guard made it: compare it with --print, and replace it with "
                f"--force, or keep it; a formatter that rewrites it can be told to leave it alone"
            )
        case _:
            return
    raise UsageError(msg)


# -- what must hold ---------------------------------------------------------------------------------------------


def _described(folder: Path, schema: Schema, chosen: Chosen, meaning: Meaning) -> Sequence[Table]:
    """
    The tables to guard.

    Raises:
        UsageError: none is, or what is said of one cannot be meant.
    """
    config = chosen.config
    if config is None and not said(meaning) and Path(CONFIGURATION).is_file():
        config = Path(CONFIGURATION)
        if not any(each.url.startswith("convex") for each in places(config)):
            config = None
    if config is not None:
        if said(meaning):
            msg = f"--config and {said(meaning)[0]} both say what must hold: leave one out"
            raise UsageError(msg)
        return _configured(config, chosen.table)
    if meaning.key or meaning.nonfinite:
        msg = "--key and --nonfinite say nothing here: a document of Convex is known by its _id, and may hold NaN"
        raise UsageError(msg)
    updated = meaning.updated or UPDATED
    names = chosen.table or tuple(name for name, table in schema.tables.items() if updated in table.fields)
    if not names:
        msg = f"no table of {schema.file} has a field {updated}: name it with --updated"
        raise UsageError(msg)
    return [
        _said(folder, _table(schema, name), attrs.evolve(meaning, updated=updated)) for name in dict.fromkeys(names)
    ]


def _configured(config: Path, names: Sequence[str]) -> list[Table]:
    found: dict[str, Table] = {}
    for each in load(config):
        if not each.url.startswith("convex"):
            continue
        other = found.setdefault(each.name, each)
        if (other.guard, other.encodings) != (each.guard, each.encodings):
            msg = f"{config} says two different things of table {each.name!r}, in {other.url} and {each.url}"
            raise UsageError(msg)
    if not found:
        msg = f"{config} describes no store of Convex: wanted a [[store]] whose url begins with convex"
        raise UsageError(msg)
    for name in names:
        if name not in found:
            raise UnknownName("table", name, f"the stores of Convex in {config}", found)
    return [found[name] for name in names or found]


def _said(folder: Path, table: SchemaTable, meaning: Meaning) -> Table:
    """What the options say of a table; numbers are milliseconds, as Date.now() gives them, unless they say otherwise."""
    default = any("=" not in each for each in meaning.encoding)
    own = {each.rpartition("=")[0] for each in meaning.encoding}
    guessed = []
    for name in filter(None, (meaning.updated, meaning.created)):
        if default or name in own:
            continue
        type_ = None if name in SYSTEM else _type(table, name)
        if name not in SYSTEM and (type_ is None or type_.kind != "number"):
            msg = (
                f"table {table.name!r}: {name} is of the type {type_.said if type_ else 'unknown'}: say how instants "
                f"are written there, like --encoding {name}=epoch_ms or {name}=rfc3339"
            )
            raise UsageError(msg)
        guessed.append(f"{name}=epoch_ms")
    complete = attrs.evolve(meaning, encoding=(*meaning.encoding, *guessed))
    return described(f"convex:{folder}", complete, NO_MENDING)(table.name)


def _guarded(table: Table, schema: Schema) -> GuardedTable:
    """
    A table as the module has it, seen with its schema.

    Raises:
        UsageError: the schema has no such table or field, or the field is of another type.
    """
    there = _table(schema, table.name)
    guarded = GuardedTable(table.name, table.updated, table.guard, table.encodings)
    ensure_speaks(table.guard, guarded.encodings_of())
    for name, encoding in guarded.encodings_of().items():
        if name not in SYSTEM:
            _ensure_fits(there, name, encoding)
    type_ = _type(there, table.updated)
    if type_ is not None and not type_.writable(guarded.encodings_of()[table.updated]):
        msg = f"table {table.name!r}: {table.updated} is v.commitTs(), which the deployment stamps itself: leave it out"
        raise UsageError(msg)
    return attrs.evolve(guarded, int64=type_ is not None and type_.number is int)


def _ensure_fits(table: SchemaTable, name: str, encoding: Encoding) -> None:
    type_ = _type(table, name)
    if type_ is not None and not type_.holds(encoding):
        msg = f"table {table.name!r}: {name} is {encoding}, but of the type {type_.said} in {table.file}"
        raise UsageError(msg)


def _type(table: SchemaTable, name: str) -> FieldType | None:
    """The type of a field; None where the table may have it, and it is not said of which type."""
    if name not in table.fields:
        if table.open or name in table.untyped:
            return None
        raise UnknownName("field", name, f"table {table.name!r} of {table.file}", table.fields)
    return table.fields[name]


def _table(schema: Schema, name: str) -> SchemaTable:
    if name not in schema.tables:
        raise UnknownName("table", name, schema.file, schema.tables)
    return schema.tables[name]
