"""
The words that several commands share.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias, TypeVar

from attrs import fields_dict, frozen
from cyclopts import Group, Parameter

from ..config import Table, read_candidate, read_earliest
from ..errors import UsageError
from ..instants import Encoding, parse_duration
from ..stores import is_snapshot
from ..stores.address import shown

if TYPE_CHECKING:
    from ..convex.schema import Schema

__all__ = ["ANY", "FREELY", "NO_MENDING", "SCHEMA", "UNSAID", "Chosen", "Form", "Meaning", "Mending", "Pacing", "Url"]

S = TypeVar("S")
T = TypeVar("T")

Url: TypeAlias = Annotated[
    str | None,
    Parameter(
        help="The store, like sqlite:///app.db (sqlite:////tmp/app.db from the root), postgresql://host/app, "
        "env:DATABASE_URL (the address in that variable), jsonl:events.jsonl, json:advisories/*.json, "
        "convex:snapshot.zip, convex+https://NAME.convex.cloud, or - to check what comes in. Without it, the stores of timestamp-guard.toml.",
        allow_leading_hyphen=True,
    ),
]

Form: TypeAlias = Annotated[Literal["text", "json"], Parameter(name="--format", help="For people, or for programs.")]

_WHERE: Final = Group("Which tables", sort_key=1)
_MEANING: Final = Group("What must hold (with a URL; else the configuration file says it)", sort_key=2)
_PACE: Final = Group("How fast", sort_key=4)
_MENDING: Final = Group("How to mend (with a URL; else the configuration file says it)", sort_key=3)


SCHEMA: Final = Parameter(
    help="Of a snapshot of Convex: the schema of the app, like convex/schema.ts, or its folder. It says which tables have "
    "a field that is in no document yet, and how values are written.",
    show_default=False,
)


@Parameter(name="*", negative="", show_default=False, group=_WHERE)
@frozen(kw_only=True)
class Chosen:
    """Which tables a command is about."""

    table: Annotated[
        tuple[str, ...], Parameter(name="--table", help="This table only; can be repeated. Without it: all.")
    ] = ()
    config: Annotated[
        Path | None,
        Parameter(help="The configuration file; without it, timestamp-guard.toml in this folder."),
    ] = None


@Parameter(name="*", negative="", show_default=False, group=_MEANING)
@frozen(kw_only=True)
class Meaning:
    """What must hold of a table's records."""

    updated: Annotated[
        str | None, Parameter(help="The field that says when a record was last changed, like updatedAt.")
    ] = None
    created: Annotated[
        str | None, Parameter(help="The field that says when it was made: never after the updated one.")
    ] = None
    encoding: Annotated[
        tuple[str, ...],
        Parameter(
            help="How instants are written: epoch_s, epoch_ms, epoch_us, epoch_ns, rfc3339, iso8601@UTC. "
            "FIELD=ENCODING for one field; can be repeated."
        ),
    ] = ()
    skew: Annotated[
        str | None,
        Parameter(help="How far clocks may be ahead before a value counts as in the future [default: 5s].",
                  allow_leading_hyphen=True),
    ] = None  # fmt: skip
    tolerance: Annotated[
        str | None,
        Parameter(help="How much earlier than its creation a change may lie [default: 0s].", allow_leading_hyphen=True),
    ] = None
    earliest: Annotated[str | None, Parameter(help="Nothing was written before this date [default: 2000-01-01].")] = (
        None
    )
    key: Annotated[
        tuple[str, ...],
        Parameter(help="The field that identifies a record, where the table does not say; repeated for several."),
    ] = ()
    nonfinite: Annotated[
        bool, Parameter(help="Let NaN and Infinity be in a file of JSON, which are no JSON, and keep them as they are.")
    ] = False
    schema: Annotated[Path | None, SCHEMA] = None


@Parameter(name="*", negative="", show_default=False, group=_MENDING)
@frozen(kw_only=True)
class Mending:
    """What may be mended, and from what."""

    fill: Annotated[
        tuple[str, ...],
        Parameter(
            help="Where the right value may be found: a field, now, a date, latest(a, b), earliest(a, b) or "
            "reread(updatedAt, epoch_s). Repeated: the first one with which the record is sound is taken."
        ),
    ] = ()
    also: Annotated[
        tuple[str, ...],
        Parameter(
            help="A violation to mend besides missing, null and placeholder, like in_future or out_of_order; can "
            "be repeated. A present value is never replaced unless its code is named."
        ),
    ] = ()


@Parameter(name="*", negative="", show_default=False, group=_PACE)
@frozen(kw_only=True)
class Pacing:
    """How fast a run may go."""

    pace: Annotated[
        str | None,
        Parameter(
            help="For how long other writers may have to wait for a batch: smaller is gentler and slower "
            "[default: what suits the store: 5ms for SQLite, 20ms for a server].",
            allow_leading_hyphen=True,
        ),
    ] = None
    max_lag: Annotated[str | None, Parameter(help="Pause while a replica is farther behind than this, like 5s.")] = None
    replica: Annotated[
        tuple[str, ...],
        Parameter(
            help="The address of a replica that is asked for --max-lag, of MariaDB or MySQL, whose servers do not know how "
            "far they are behind; can be repeated."
        ),
    ] = ()
    max_active: Annotated[
        int | None, Parameter(help="Pause while more sessions than this are at work beside ours.")
    ] = None
    max_log: Annotated[
        int | None, Parameter(help="Let the server's log of writes grow by no more bytes a second than this.")
    ] = None
    pause_while: Annotated[
        str | None, Parameter(help="Pause while the server answers this question, in SQL, with true.")
    ] = None
    pause_unless: Annotated[
        str | None, Parameter(help="Pause while this command fails; it is run between batches, without a shell.")
    ] = None


ANY: Final = Chosen()
FREELY: Final = Pacing()
UNSAID: Final = Meaning()
NO_MENDING: Final = Mending()


def said(*options: Meaning | Mending) -> list[str]:
    """The options that were given."""
    return [f"--{name}" for each in options for name in fields_dict(type(each)) if getattr(each, name)]


_SECRET: Final = re.compile(r"[\w:.-]+\|\S{16,}")
"""What deploy keys and admin keys of Convex look like."""


def named(key: tuple[str, ...]) -> tuple[str, ...]:
    """
    The fields that `--key` names.

    Raises:
        UsageError: it is a secret, which is not repeated.
    """
    if any(map(_SECRET.fullmatch, key)):
        msg = (
            "--key names the field that identifies a record, and this looks like a deploy key: put that into "
            "CONVEX_DEPLOY_KEY; what was on a command line is in the history of the shell, so make another one"
        )
        raise UsageError(msg)
    return key


def described(url: str, meaning: Meaning, mending: Mending, schema: Schema | None = None) -> Callable[[str], Table]:
    """
    What the options say of a table, as a function of its name; *schema* is the one that they name.

    Raises:
        UsageError: one of them cannot be meant.
    """
    if meaning.updated is None:
        msg = "--updated is missing: which field says when a record was last changed?"
        raise UsageError(msg)
    if not meaning.encoding and schema is None:
        msg = (
            "--encoding is missing: how are instants written there? epoch_ms, rfc3339 ...? timestamp-guard init "
            "finds out"
        )
        raise UsageError(msg)
    words: dict[str, Any] = {
        "updated": meaning.updated,
        "created": meaning.created,
        "fill": tuple(_each("--fill", mending.fill, read_candidate)),
        "also": mending.also,
        "key": named(meaning.key),
        "nonfinite": meaning.nonfinite,
        "schema": schema,
    }
    readers: tuple[tuple[str, str | None, Callable[[str], Any]], ...] = (
        ("skew", meaning.skew, parse_duration),
        ("tolerance", meaning.tolerance, parse_duration),
        ("earliest", meaning.earliest, read_earliest),
    )
    for name, given, read in readers:
        if given is not None:
            (words[name],) = _each(f"--{name}", (given,), read)
    default, own = _encodings(meaning)
    words["encoding"] = own
    if default is not None:
        # Which fields are read is known when all the rest is.
        words["encoding"] = default
        table = Table.of(url, "", **words)
        if own:
            words["encoding"] = dict.fromkeys(table.read(), default) | own
    return functools.partial(Table.of, url, **words)


def schema_at(path: Path | None, url: str) -> Schema | None:
    """
    The schema at *path*, for the store at *url*.

    Raises:
        UsageError: there is none, or the store has none.
    """
    if path is None:
        return None
    if not is_snapshot(url):
        msg = (
            f"--schema goes with a snapshot of Convex, like convex:snapshot.zip, and {shown(url)} is none: leave it out"
        )
        raise UsageError(msg)
    from ..convex.schema import read_schema

    (found,) = _each("--schema", (path,), read_schema)
    return found


def _each(option: str, given: tuple[S, ...], read: Callable[[S], T]) -> list[T]:
    """Read the values of an option; an error names it."""
    try:
        return [read(each) for each in given]
    except UsageError as problem:
        msg = f"{option}: {problem}"
        raise UsageError(msg) from None


def _encodings(meaning: Meaning) -> tuple[Encoding | None, dict[str, Encoding]]:
    """`ENCODING` for all fields, and `FIELD=ENCODING` for some."""
    default: Encoding | None = None
    own: dict[str, Encoding] = {}
    for each in meaning.encoding:
        name, equals, text = each.rpartition("=")
        (encoding,) = _each("--encoding", (text,), Encoding.parse)
        if equals:
            own[name] = encoding
        elif default is None or default == encoding:
            default = encoding
        else:
            msg = f"--encoding: {default} and {encoding}, both for all fields; say FIELD=ENCODING for each"
            raise UsageError(msg)
    return default, own
