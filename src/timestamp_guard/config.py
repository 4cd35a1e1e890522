"""
`timestamp-guard.toml`: which tables of which stores are guarded, and how they may be mended.

The command line says the same things with the same words; both end up as a :class:`Table`.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from attrs import Factory, evolve, field, fields_dict, frozen

from .errors import ConfigurationError, UnknownName, UsageError
from .instants import (
    Encoding,
    Encodings,
    brief,
    encodings_for,
    parse_duration,
    parse_instant,
    to_datetime,
)
from .predicate import CODES
from .repairs import MISSING, Candidate, Repair, earliest, latest, read_by, reread
from .rules import NOW, At, Field, Guard, Now, updated_at_guard

if TYPE_CHECKING:
    from .convex.schema import Schema

__all__ = ["FILE", "NO_STORE", "Place", "Table", "load", "places", "read_candidate", "read_earliest", "section"]

FILE: Final = "timestamp-guard.toml"
"""The name under which the file is looked for."""

FILE_URL: Final = re.compile(r"(sqlite(?:\+\w+)?:///|jsonl?:|convex:)(?!-$)(.+)", re.DOTALL)
"""An address of a file: what it is, and its path."""

SKEW: Final = timedelta(seconds=5)
TOLERANCE: Final = timedelta(0)
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)


@frozen
class Table:
    """One table of a store: what must hold of it and, where `repair` is not None, how it may be mended."""

    url: str
    name: str
    updated: str
    guard: Guard
    encodings: Encodings
    repair: Repair | None = None
    key: tuple[str, ...] = ()
    nonfinite: bool = False
    schema: Schema | None = None

    @classmethod
    def of(
        cls,
        url: str,
        name: str,
        *,
        updated: str,
        encoding: Encodings | None,
        created: str | None = None,
        skew: timedelta = SKEW,
        tolerance: timedelta = TOLERANCE,
        earliest: datetime = EARLIEST,
        fill: Sequence[Candidate] = (),
        also: Iterable[str] = (),
        key: Sequence[str] = (),
        nonfinite: bool = False,
        schema: Schema | None = None,
    ) -> Table:
        """
        Put together what is said of a table; encodings that are not given are those of the *schema*.

        Raises:
            UsageError: something of it cannot be meant: a field without an encoding, codes to mend and nothing to
                mend them with, a field that is to be filled from itself.
        """
        guard = updated_at_guard(updated, created, skew=skew, tolerance=tolerance, earliest=earliest)
        codes = tuple(also)
        if codes and not fill:
            msg = f"also ({', '.join(codes)}) says what else may be mended, and fill does not say from what"
            raise UsageError(msg)
        repair = Repair(updated, tuple(fill), MISSING | set(codes)) if fill else None  # type: ignore[arg-type]  # Repair tells codes from other text
        table = cls(url, name, updated, guard, encoding or {}, repair, tuple(key), nonfinite, schema)
        if schema is not None:
            from .stores.convex.declared import encodings_in

            table = evolve(table, encodings=encodings_in(schema, name, table.read(), encoding))
        encodings_for(table.read(), table.encodings)
        return table

    def read(self) -> tuple[str, ...]:
        """The fields that need an encoding."""
        return self.guard.fields if self.repair is None else read_by(self.repair, self.guard)

    def named(self) -> tuple[str, ...]:
        """The fields that are named for their encoding or as the key: they must be there too."""
        encoded = () if isinstance(self.encodings, str | Encoding) else tuple(self.encodings)
        return (*self.guard.fields, *encoded, *self.key)


NO_STORE: Final = "{path} describes no store; wanted [[store]] with its url, and a [[store.table]] for each table"


def load(path: Path) -> tuple[Table, ...]:
    """
    The tables that the file at *path* describes, in its order.

    Raises:
        ConfigurationError: it is not there or cannot be meant; everything that is wrong with it, a line each.
    """
    stores = _structured(_said(path), path)
    tables = []
    problems = []
    for store in stores:
        url = _located(store.url, path.parent)
        try:
            schema = _schema(store.schema, path.parent)
        except UsageError as problem:
            problems.append(f"{path}: [[store]] {store.url}: key 'schema': {problem}")
            continue
        if not store.table:
            problems.append(
                f"{path}: [[store]] {store.url}: no table; wanted a [[store.table]] with name, updated and encoding"
            )
        for index, table in enumerate(store.table):
            if table.name in {each.name for each in store.table[:index]}:
                problems.append(f"{path}: [[store]] {store.url}: table {table.name!r} is described twice")
            try:
                tables.append(table.at(url, schema))
            except UsageError as problem:
                problems.append(f"{path}: [[store.table]] {table.name!r}: {problem}")
    if not stores:
        problems.append(NO_STORE.format(path=path))
    if problems:
        raise ConfigurationError("\n".join(problems))
    return tuple(tables)


@frozen
class Place:
    """Where a table is that the file describes; what must hold of it is not looked at."""

    url: str
    name: str


def places(path: Path) -> tuple[Place, ...]:
    """
    Where the tables are that the file at *path* describes, in its order, if any; no schema that it names is read.

    Raises:
        ConfigurationError: it is not there or cannot be read.
    """
    return tuple(
        Place(_located(store.url, path.parent), table.name)
        for store in _structured(_said(path), path)
        for table in store.table
    )


def section(path: Path, name: str) -> Mapping[str, Any]:
    """
    What the file at *path* says under `[name]`, as it stands; nothing where it does not say.

    Raises:
        ConfigurationError: it is not there, or no TOML, or that is no section.
    """
    found = _said(path).get(name, {})
    if not isinstance(found, dict):
        msg = f"{path}: wanted a section [{name}], found {brief(found)}"
        raise ConfigurationError(msg)
    return found


def _said(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        msg = f"no configuration file {path}"
        raise ConfigurationError(msg) from None
    except (OSError, UnicodeDecodeError) as problem:
        msg = f"cannot read {path}: {problem}"
        raise ConfigurationError(msg) from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        msg = f"{path} is no TOML: {problem}"
        raise ConfigurationError(msg) from None


def _located(url: str, folder: Path) -> str:
    """*url* with a relative path seen from the folder of the file that says it."""
    found = FILE_URL.fullmatch(url)
    if found is None or found[2].startswith((":", "file:")) or Path(found[2]).is_absolute() or folder == Path():
        return url
    return found[1] + os.path.normpath(folder / found[2])


def _schema(said: str | None, folder: Path) -> Schema | None:
    """The schema that a store names, its place seen from the *folder* of the file that names it."""
    if said is None:
        return None
    from .convex.schema import read_schema

    return read_schema(folder / said)


# -- text for candidates ----------------------------------------------------------------------------------------

_WORD: Final = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|([(),])|([^"(),]+))\s*""")
_SHIFTED: Final = re.compile(r"(.*?)\s*([+-])\s+(\d+(?:us|ms|s|m|h|d))")
_Words: TypeAlias = list[tuple[str | None, str | None, str | None]]


def read_candidate(text: str) -> Candidate:
    """
    Where a value may be found, as people write it: the inverse of `str(candidate)`, but for `by`.

    `createdAt`, `"a field, quoted"`, `now`, `2020-01-01`, `latest(a, b)`, `earliest(a, b)`,
    `reread(updatedAt, epoch_s)`; fields, instants and now can be shifted, as in `now - 1d`.

    Raises:
        UsageError: it is none of these.
    """
    words: _Words = []
    end = 0
    while end < len(text):
        match = _WORD.match(text, end)
        if match is None:
            raise _no_candidate(text)
        words.append((match[1], match[2], match[3]))
        end = match.end()
    try:
        found = _read(words)
    except (IndexError, ValueError) as problem:
        if isinstance(problem, UsageError):
            raise
        raise _no_candidate(text) from None
    if words:
        raise _no_candidate(text)
    return found


def _no_candidate(text: str) -> UsageError:
    return UsageError(
        f"cannot read {text!r} as what to fill from; wanted a field, now, a date, latest(a, b), earliest(a, b) "
        f"or reread(field, encoding)"
    )


def _read(words: _Words) -> Candidate:
    """Take a candidate from the front of *words*; IndexError or ValueError where there is none."""
    quoted, mark, plain = words.pop(0)
    if quoted is not None:
        base: Field = Field(_unquoted(quoted))
        if words and words[0][2] is not None:
            shift = _SHIFTED.fullmatch(words.pop(0)[2] or "")
            if shift is None or shift[1]:
                raise ValueError
            return _shift(base, shift)
        return base
    if mark is not None or plain is None:
        raise ValueError
    plain = plain.strip()
    if not plain:
        raise ValueError
    if words and words[0][1] == "(":
        words.pop(0)
        return _function(plain, words)
    shift = _SHIFTED.fullmatch(plain)
    return _term(plain) if shift is None or not shift[1] else _shift(_term(shift[1]), shift)


def _term(word: str) -> Field | At | Now:
    if word.casefold() == "now":
        return NOW
    if re.match(r"\d{4}-\d\d-\d\d", word, re.ASCII):
        return At(parse_instant(word))
    return Field(word)


def _shift(term: Field | At | Now, shift: re.Match[str]) -> Candidate:
    length = parse_duration(shift[3])
    return term - length if shift[2] == "-" else term + length


def _function(name: str, words: _Words) -> Candidate:
    if name == "reread":
        quoted, _, plain = words.pop(0)
        comma, encoding, close = words.pop(0)[1], words.pop(0)[2], words.pop(0)[1]
        if (comma, close) != (",", ")") or encoding is None or (quoted is None and plain is None):
            raise ValueError
        return reread(_unquoted(quoted) if quoted is not None else (plain or "").strip(), encoding.strip())
    if name not in {"latest", "earliest"}:
        raise ValueError
    of = [_read(words)]
    while words[0][1] == ",":
        words.pop(0)
        of.append(_read(words))
    if words.pop(0)[1] != ")":
        raise ValueError
    return latest(*of) if name == "latest" else earliest(*of)


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def read_earliest(given: str | date) -> datetime:
    """
    The earliest instant that is believed: a date, or a date and a time, in UTC where it does not say.

    Raises:
        UsageError: it is none.
    """
    if isinstance(given, datetime):
        return given if given.tzinfo else given.replace(tzinfo=UTC)
    if isinstance(given, date):
        return datetime.combine(given, time(), UTC)
    return to_datetime(parse_instant(given))


# -- the file ---------------------------------------------------------------------------------------------------


def _text(said: Any, _: object = None) -> str:
    if not isinstance(said, str) or not said:
        msg = f"wanted text, found {brief(said)}"
        raise UsageError(msg)
    return said


def _texts(said: Any, _: object = None) -> tuple[str, ...]:
    if isinstance(said, str):
        return (_text(said),)
    if not isinstance(said, list) or not all(isinstance(each, str) for each in said):
        msg = f"wanted text or a list of text, found {brief(said)}"
        raise UsageError(msg)
    return tuple(map(_text, said))


def _flag(said: Any, _: object) -> bool:
    if not isinstance(said, bool):
        msg = f"wanted true or false, found {brief(said)}"
        raise UsageError(msg)
    return said


def _duration(said: Any, _: object) -> timedelta:
    if isinstance(said, int | float) and not isinstance(said, bool):
        msg = f'{said} has no unit; wanted a duration like "{said:g}s" or "{said:g}ms"'
        raise UsageError(msg)
    return parse_duration(_text(said))


def _instant(said: Any, _: object) -> datetime:
    if not isinstance(said, str | date):
        msg = f"wanted a date like 2000-01-01, found {brief(said)}"
        raise UsageError(msg)
    return read_earliest(said)


def _encodings(said: Any, _: object) -> Encodings:
    if isinstance(said, Mapping):
        return {name: Encoding.parse(_text(encoding)) for name, encoding in said.items()}
    if not isinstance(said, str):
        msg = (
            f'wanted an encoding like "epoch_ms", or one for each field like {{updatedAt = "epoch_ms"}}, '
            f"found {brief(said)}"
        )
        raise UsageError(msg)
    return Encoding.parse(said)


def _fill(said: Any, _: object) -> tuple[Candidate, ...]:
    return tuple(map(read_candidate, _texts(said)))


def _also(said: Any, _: object) -> tuple[str, ...]:
    for code in _texts(said):
        if code not in CODES:
            raise UnknownName("code", code, "what a repair may mend", CODES)
    return _texts(said)


@frozen(kw_only=True)
class _Table:
    """A `[[store.table]]`, each key with the function that reads it."""

    name: str = field(metadata={"read": _text})
    updated: str = field(metadata={"read": _text})
    encoding: Encodings = field(metadata={"read": _encodings})
    created: str | None = field(default=None, metadata={"read": _text})
    skew: timedelta = field(default=SKEW, metadata={"read": _duration})
    tolerance: timedelta = field(default=TOLERANCE, metadata={"read": _duration})
    earliest: datetime = field(default=EARLIEST, metadata={"read": _instant})
    fill: tuple[Candidate, ...] = field(default=(), metadata={"read": _fill})
    also: tuple[str, ...] = field(default=(), metadata={"read": _also})
    key: tuple[str, ...] = field(default=(), metadata={"read": _texts})
    nonfinite: bool = field(default=False, metadata={"read": _flag})

    def at(self, url: str, schema: Schema | None = None) -> Table:
        return Table.of(
            url,
            self.name,
            updated=self.updated,
            encoding=self.encoding,
            created=self.created,
            skew=self.skew,
            tolerance=self.tolerance,
            earliest=self.earliest,
            fill=self.fill,
            also=self.also,
            key=self.key,
            nonfinite=self.nonfinite,
            schema=schema,
        )


@frozen(kw_only=True)
class _Store:
    """A `[[store]]`."""

    url: str = field(metadata={"read": _text})
    schema: str | None = field(default=None, metadata={"read": _text})
    table: tuple[_Table, ...] = Factory(tuple)


@frozen(kw_only=True)
class _File:
    store: tuple[_Store, ...] = Factory(tuple)
    audit: Any = None  # read by who audits


def _structured(said: Mapping[str, Any], path: Path) -> tuple[_Store, ...]:
    """
    The file, read.

    Raises:
        ConfigurationError: a key is unknown or missing, or its value is not of its kind.
    """
    from cattrs import BaseValidationError, Converter
    from cattrs.gen import make_dict_structure_fn, override

    converter = Converter()

    def sections(kind: type[_Table | _Store], section: str) -> Any:
        def read(given: Any, _: object) -> tuple[Any, ...]:
            if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
                msg = f"wanted one or more [[{section}]] sections, found {brief(given)}"
                raise UsageError(msg)
            return tuple(converter.structure(given, list[kind]))  # type: ignore[valid-type]  # mypy wants it spelled out

        return override(struct_hook=read)

    sectioned: tuple[tuple[type[_Table | _Store | _File], dict[str, Any]], ...] = (
        (_Table, {}),
        (_Store, {"table": sections(_Table, "store.table")}),
        (_File, {"store": sections(_Store, "store"), "audit": override(struct_hook=lambda given, _: given)}),
    )
    for kind, own in sectioned:
        known = fields_dict(kind)
        hooks: dict[str, Any] = {
            name: override(struct_hook=each.metadata["read"]) for name, each in known.items() if name not in own
        }
        converter.register_structure_hook(
            kind, make_dict_structure_fn(kind, converter, _cattrs_forbid_extra_keys=True, **hooks, **own)
        )
    _let_schemas_say(said)
    try:
        return converter.structure(said, _File).store
    except BaseValidationError as error:
        raise ConfigurationError("\n".join(f"{path}: {each}" for each in _problems(error, "", said))) from None


def _let_schemas_say(said: Mapping[str, Any]) -> None:
    """Where a store has a schema, no encoding need be given."""
    stores = said.get("store")
    for store in stores if isinstance(stores, list) else ():
        tables = store.get("table") if isinstance(store, dict) and "schema" in store else None
        for table in tables if isinstance(tables, list) else ():
            if isinstance(table, dict):
                table.setdefault("encoding", {})


def _problems(error: Exception, place: str, said: Any) -> Iterator[str]:
    """What is wrong, one sentence each; *said* is what was read at *place*."""
    from cattrs import BaseValidationError, ForbiddenExtraKeysError
    from cattrs.errors import AttributeValidationNote, IterableValidationNote

    if isinstance(error, ForbiddenExtraKeysError):
        for name in sorted(error.extra_fields):
            yield str(UnknownName("key", name, place or "the file", fields_dict(error.cl)))
    if not isinstance(error, BaseValidationError):
        return
    for each in error.exceptions:
        below, inner = place, said
        name = ""
        for note in getattr(each, "__notes__", ()):
            if isinstance(note, AttributeValidationNote):
                name = note.name
                inner = said.get(name)
            elif isinstance(note, IterableValidationNote):
                inner = said[int(note.index)]
                below = _place(
                    "store" if getattr(each, "cl", None) is _Store else "store.table", inner, int(note.index)
                )
        if isinstance(each, BaseValidationError | ForbiddenExtraKeysError):
            yield from _problems(each, below, inner)
            continue
        at = f"{below}: " if below else ""
        if isinstance(each, KeyError):
            yield f"{at}the key {name!r} is missing; {_wanted(name)}"
        else:
            yield f"{at}key {name!r}: {each}"


def _place(kind: str, section: Mapping[str, Any], index: int) -> str:
    """How people find a section: by its name where it has one, else by its number."""
    said = section.get("url" if kind == "store" else "name")
    return f"[[{kind}]] {said!r}" if isinstance(said, str) else f"[[{kind}]] number {index + 1}"


def _wanted(name: str) -> str:
    return {
        "url": 'wanted the address of a store, like "sqlite:///app.db"',
        "name": "wanted the name of the table",
        "updated": "wanted the field that says when a record was last changed",
        "encoding": 'wanted how instants are written there, like "epoch_ms" or "rfc3339"',
    }[name]
