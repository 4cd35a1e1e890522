"""
What a command works on: every table that was chosen, opened.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from attrs import frozen

from ..config import FILE, NO_STORE, Table, load
from ..engine.drive import known
from ..engine.profile import ensure_fits
from ..errors import ConfigurationError, UnknownName, UsageError
from ..stores import addresses, open_store, tables
from ..stores.base import BatchStore, Exported
from ._options import NO_MENDING, UNSAID, Chosen, Meaning, Mending, described, said, schema_at
from ._output import Outcome, tell

if TYPE_CHECKING:
    from ..convex.schema import Schema

__all__ = ["Target", "configured", "targets"]

CLI: Final = "timestamp-guard"


@frozen
class Target:
    """A table, what is said of it, and what results call it."""

    label: str
    table: Table
    store: BatchStore


@contextlib.contextmanager
def targets(
    outcome: Outcome,
    url: str | None,
    chosen: Chosen,
    meaning: Meaning = UNSAID,
    mending: Mending = NO_MENDING,
    *,
    write: bool = False,
    fits: bool = True,
) -> Iterator[list[Target]]:
    """
    Every table that the command is about, opened.

    A store that cannot be opened is told of and left out, where there are others.

    Raises:
        UsageError: one of them is not there, lacks a field, or is written in other encodings than is said: nothing
            was written then.
    """
    with contextlib.ExitStack() as stack:

        def opened(table: Table) -> BatchStore:
            store = open_store(
                table.url,
                table.name,
                encodings=table.encodings,
                key=table.key or None,
                read_only=not write,
                nonfinite=table.nonfinite,
                schema=table.schema,
            )
            return stack.enter_context(store)

        found: list[tuple[Table, BatchStore]] = []
        if url is not None and meaning.updated is not None:
            if chosen.config is not None:
                msg = "--config and --updated both say what must hold: leave one out"
                raise UsageError(msg)
            places = addresses(url)
            schema = schema_at(meaning.schema, url)
            for place in places:
                make = described(place, meaning, mending, schema)
                with outcome.store(place, alone=len(places) == 1):
                    if chosen.table:
                        found += [(table, opened(table)) for table in map(make, dict.fromkeys(chosen.table))]
                    else:
                        found += _with_field(place, meaning.updated, make, opened, schema)
        else:
            given = said(meaning, mending)
            if given:
                msg = f"{given[0]} goes with a URL and --updated; without them, the configuration file says it"
                raise UsageError(msg)
            many = configured(url, chosen, load)
            for table in many:
                with outcome.store(table.name, alone=len(many) == 1):
                    found.append((table, opened(table)))
        for remark in dict.fromkeys(
            each for _, store in found if isinstance(store, Exported) for each in store.remarks()
        ):
            tell(remark)
        ready = []
        for (table, store), label in zip(found, _labels([table for table, _ in found]), strict=True):
            with outcome.store(label, alone=len(found) == 1):
                known(store, table.named())
                if fits:
                    ensure_fits(store, table.guard)
                ready.append(Target(label, table, store))
        yield ready


def _with_field(
    url: str,
    updated: str,
    make: Callable[[str], Table],
    opened: Callable[[Table], BatchStore],
    schema: Schema | None = None,
) -> list[tuple[Table, BatchStore]]:
    """
    Every table of the store that has the updated field, in its first records or by its *schema*.

    Raises:
        UnknownName: none has.
    """
    found = []
    others: dict[str, None] = {}
    left_out: dict[str, list[str]] = {}
    names = tables(url)
    for name in names:
        try:
            table = make(name)
        except UsageError:  # of a field that a table has not, no schema says how it is written
            with open_store(url, name, encodings="epoch_ms", read_only=True, schema=schema) as probed:
                if schema is None or updated in probed.fields():
                    raise
            table = Table.of(url, name, updated=updated, encoding="epoch_ms", schema=schema)
        store = opened(table)
        fields = store.fields()
        if table.updated in fields or (len(names) == 1 and not store.typed):
            found.append((table, store))
        elif isinstance(store, Exported) and (why := store.left_out(table.updated)) is not None:
            left_out.setdefault(why, []).append(name)
        others |= dict.fromkeys(fields)
    for why, several in left_out.items():
        tell(
            f"left out, as none of the first documents has {updated}: {', '.join(several)}; {why}: name what is wanted with "
            f"--table"
        )
    if not found:
        raise UnknownName("field", updated, f"any table of {url}", others)
    return found


class _Placed(Protocol):
    @property
    def url(self) -> str: ...
    @property
    def name(self) -> str: ...


_T = TypeVar("_T", bound=_Placed)


def configured(url: str | None, chosen: Chosen, read: Callable[[Path], Iterable[_T]]) -> list[_T]:
    """
    The tables of the configuration file, as *read* gives them, that were chosen.

    Raises:
        UsageError: there is no file, or nothing of that name in it.
    """
    path = chosen.config or Path(FILE)
    if chosen.config is None and not path.exists():
        if url is None:
            msg = (
                f"there is no {FILE} in this folder: write one with {CLI} init URL, or say what must hold: "
                f"URL --updated FIELD --encoding ENCODING"
            )
        else:
            msg = (
                f"what must hold of {url}? Say --updated FIELD --encoding ENCODING, "
                f"or write {FILE} with {CLI} init {url}"
            )
        raise UsageError(msg)
    found = list(read(path))
    if not found:
        raise ConfigurationError(NO_STORE.format(path=path))
    if url is not None:
        urls = list(dict.fromkeys(table.url for table in found))
        if url not in urls:
            raise UnknownName("store", url, str(path), urls)
        found = [table for table in found if table.url == url]
    names = list(dict.fromkeys(table.name for table in found))
    for name in chosen.table:
        if name not in names:
            raise UnknownName("table", name, str(path), names)
    return [table for table in found if not chosen.table or table.name in chosen.table]


def _labels(found: Sequence[Table]) -> list[str]:
    """What results call the tables: their names, with the store where that is not enough."""
    names = [table.name for table in found]
    return [
        name if names.count(name) == 1 else f"{name} ({table.url})" for name, table in zip(names, found, strict=True)
    ]
