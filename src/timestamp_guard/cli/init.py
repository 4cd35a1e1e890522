"""`timestamp-guard init`: look into a store, and write timestamp-guard.toml."""

from __future__ import annotations

import json
import os
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from ..config import FILE, FILE_URL
from ..detect import Detected, Look, detect, likely_key
from ..errors import UnknownName, UsageError
from ..instants import Encoding, brief
from ..repairs import reread
from ..stores import is_snapshot, open_store, tables
from ..stores.address import secret, shown
from ..stores.base import Exported
from ._options import SCHEMA, Form, schema_at
from ._output import say, say_json, tell

__all__ = ["init"]

STDOUT = Path("-")

CREATION_TIME = "_creationTime"
"""What Convex sets by itself; the clock of who writes the other field may be a few seconds behind that."""


def init(
    url: Annotated[
        str,
        Parameter(
            help="The store, like sqlite:///app.db (sqlite:////tmp/app.db from the root), env:DATABASE_URL, "
            "jsonl:events.jsonl, convex:snapshot.zip or convex+https://NAME.convex.cloud."
        ),
    ],
    /,
    *,
    table: Annotated[
        tuple[str, ...],
        Parameter(negative="", show_default=False, help="This table only; can be repeated. Without it: all."),
    ] = (),
    schema: Annotated[Path | None, SCHEMA] = None,
    output: Annotated[Path, Parameter(help="Where to write the file; - prints it.", allow_leading_hyphen=True)] = Path(
        FILE
    ),
    force: Annotated[
        bool, Parameter(negative="", show_default=False, help="Replace a file that is there already.")
    ] = False,
    form: Form = "text",
) -> int:
    """Look into a store, and write timestamp-guard.toml.

    Finds the fields that say when a record was made and changed, and how they
    are written; looks at the first 10,000 records of each table, and says how
    sure it is of every guess. `timestamp-guard check` works right away, but
    read the file before you trust it.

      timestamp-guard init sqlite:///app.db
    """
    if output != STDOUT and output.exists() and not force:
        msg = (
            f"{output} is there already: name another with --output, print it with --output - (>> {output} adds it), "
            f"or replace it with --force"
        )
        raise UsageError(msg)
    known = schema_at(schema, url)
    names = tables(url)
    for name in table:
        if name not in names:
            raise UnknownName("table", name, url, names)
    found = []
    left_out = []
    guessed: set[str] = set()
    remarks: dict[str, None] = {}
    for name in table or names:
        with open_store(url, name, encodings="epoch_ms", read_only=True, schema=known) as store:
            if isinstance(store, Exported):
                remarks |= dict.fromkeys(store.remarks())
            key = store.key if store.typed else likely_key(store)
            guess = detect(store, store.fields(), declared=store.declared(), key=key)
            if key and not store.typed:
                guessed.add(name)
        if guess is None:
            left_out.append(name)
        else:
            found.append(guess)
    for remark in remarks:
        tell(remark)
    more = "" if schema or not is_snapshot(url) else "; one that no document has is seen with --schema convex/schema.ts"
    if not found:
        where = f"table {' or '.join(map(repr, table))}" if table else "no table"
        msg = (
            f"{where} of {url} has a field that looks like updatedAt; name it: "
            f"timestamp-guard check {url} --updated FIELD --encoding ENCODING{more}"
        ).replace("table '", "no table '", 1)
        raise UsageError(msg)
    text = "\n".join(_file(_seen_from(url, output), _path_from(schema, output), found, left_out, guessed))
    if output == STDOUT:
        say(text)
        return 0
    _write(output, text + "\n", force=force)
    if form == "json":
        say_json(
            {
                "ok": True,
                "file": str(output),
                "tables": {each.table: _entry(each) for each in found},
                "left_out": left_out,
            }
        )
        return 0
    for each in found:
        say(f"{each.table}, {each.sampled:,} records sampled")
        for look in each.looks:
            say(f"  {look}{_astray(look)}")
        say(f"  earliest: {each.earliest}")
    if left_out:
        say(f"left out, as nothing in them looks like updatedAt: {', '.join(left_out)}{more}")
    say(f"wrote {output}; next: timestamp-guard check" + ("" if output == Path(FILE) else f" --config {output}"))
    return 0


def _write(path: Path, text: str, *, force: bool) -> None:
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        msg = f"{path} was made meanwhile: nothing was written"
        raise UsageError(msg) from None


def _seen_from(url: str, output: Path) -> str:
    """The address as the file must say it: a relative path is one from the file's own folder."""
    found = FILE_URL.fullmatch(url)
    if output == STDOUT or found is None or Path(found[2]).is_absolute() or output.parent == Path():
        return url
    return found[1] + os.path.relpath(found[2], output.parent)


def _path_from(path: Path | None, output: Path) -> str | None:
    """A path as the file must say it."""
    if path is None or path.is_absolute() or output in {STDOUT, Path(output.name)}:
        return None if path is None else str(path)
    return os.path.relpath(path, output.parent)


def _astray(look: Look) -> str:
    parts = [f"{count:,} look like {name}" for name, count in look.strays.items()]
    return f"; {', '.join(parts)}" if parts else ""


def _entry(each: Detected) -> dict[str, Any]:
    return {
        "sampled": each.sampled,
        "updated": each.updated.name,
        "created": each.created.name if each.created else None,
        "earliest": str(each.earliest),
        "fields": {
            look.name: {
                "encoding": str(look.encoding),
                "share": look.share if look.values else None,
                "values": look.values,
                "strays": dict(look.strays),
            }
            for look in each.looks
        },
    }


# -- the file ---------------------------------------------------------------------------------------------------


def _file(
    url: str, schema: str | None, found: Sequence[Detected], left_out: Sequence[str], guessed: Container[str]
) -> Iterator[str]:
    yield "# What must hold of the timestamps in these tables, and how they may be mended."
    yield "# Written by timestamp-guard init: guesses from the first records of each table, each with what it rests on."
    yield ""
    yield "[[store]]"
    if secret(url):
        yield "# The password was left out: have it in PGPASSWORD or ~/.pgpass, or say env:NAME for the whole address."
    yield f"url = {_quoted(shown(url))}"
    if schema is not None:
        yield f"schema = {_quoted(schema)}"
    for name in left_out:
        yield f"# table {brief(name)} is left out: nothing in it looks like updatedAt"
    for each in found:
        yield ""
        yield "[[store.table]]"
        yield from _table(each)
        if each.table in guessed:
            (key,) = each.key
            yield f"key = {_quoted(key)}  # different in all {each.sampled:,} sampled records"


def _table(each: Detected) -> Iterator[str]:
    created = each.created
    yield f"name = {_quoted(each.table)}"
    yield f"updated = {_quoted(each.updated.name)}"
    if created is not None:
        yield f"created = {_quoted(created.name)}"
    for look in each.looks:
        yield f"# {_plain(str(look))}{_astray(look)}"
    yield f"encoding = {_encoding(each)}"
    yield f"earliest = {each.earliest}  # the year before the first of {each.sampled:,} sampled records"
    yield 'skew = "5s"  # how far clocks may be ahead'
    if created is not None:
        tolerance = "5s" if created.name == CREATION_TIME else "0s"
        yield f'tolerance = "{tolerance}"  # how much earlier than its creation a change may lie'
        fill = ", ".join(_quoted(_candidate(look.name)) for look in each.sources)
        yield f"fill = [{fill}]  # missing, null and placeholders; the first that is sound is taken"
    else:
        yield '# fill = ["now"]  # nothing looks like createdAt; whether the time of the run will do is yours to say'
    if each.updated.strays:
        sources = [str(reread(_candidate(each.updated.name), name)) for name in each.updated.strays]
        found = (_code(each.updated.encoding, name) for name in each.updated.strays)
        codes = ", ".join(map(_quoted, dict.fromkeys(found)))
        yield f"# To have the others read as what they look like, begin fill with {', '.join(map(_quoted, sources))},"
        yield f"# and let it mend what is wrong with them as they are: also = [{codes}]"
    if not each.key:
        yield '# key = "..."  # no primary key was found: name the field that identifies a record before a backfill'


def _code(encoding: Encoding, stray: str) -> str:
    """What a check says of values that are written in another encoding."""
    other = Encoding.parse(stray)
    if encoding.is_number and other.is_number:
        return "too_early" if (encoding.unit or 0) < (other.unit or 0) else "in_future"
    return "wrong_type" if encoding.is_number or other.is_number else "unreadable"


def _encoding(each: Detected) -> str:
    if len({look.encoding for look in each.looks}) == 1:
        return _quoted(str(each.updated.encoding))
    own = ", ".join(f"{_quoted(look.name)} = {_quoted(str(look.encoding))}" for look in each.looks)
    return f"{{ {own} }}"


def _candidate(name: str) -> str:
    """A field as `fill` has it: quoted where its name would be read as something else."""
    from ..config import read_candidate
    from ..rules import Field

    try:
        if read_candidate(name) == Field(name):
            return name
    except UsageError:
        pass
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _quoted(text: str) -> str:
    """Text as TOML has it: like JSON, but that a DEL is escaped too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _plain(text: str) -> str:
    """Text that fits into a comment."""
    return "".join(each if each.isprintable() else "?" for each in text)
