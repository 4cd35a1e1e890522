"""`timestamp-guard rollback`: take a backfill back."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from ..engine import rollback as take_back
from ..stores import is_file, open_store, tables
from ..stores.base import Exported
from ._options import ANY, FREELY, Chosen, Form, Pacing, Url, named
from ._output import Outcome, say, say_json, tell
from ._pacing import ensure_meant, paced
from ._progress import progress
from ._recorded import found, recorded, unrecorded

__all__ = ["rollback"]


def rollback(
    url: Url = None,
    /,
    *,
    chosen: Chosen = ANY,
    run: Annotated[
        int | None,
        Parameter(help="The number of a run, as `runs` lists it. Without it: the newest of each table that can be."),
    ] = None,
    key: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            show_default=False,
            help="The field that identifies a record, as it was given to backfill; repeated for several.",
        ),
    ] = (),
    pacing: Pacing = FREELY,
    form: Form = "text",
) -> int:
    """Take a backfill back, exactly.

    Every record gets its old value, where it still holds what the run wrote.
    Records that were changed since keep what they hold; exits 1 when there are any.

      timestamp-guard rollback

      timestamp-guard rollback sqlite:///app.db --table services --run 3
    """
    outcome = Outcome()
    ensure_meant(pacing)
    key = named(key)
    entries: dict[str, Any] = {}
    following: dict[str, None] = {}
    with recorded(outcome, url, chosen) as ledgers:
        if run is None:
            # A table that is gone since has nothing that could be given back.
            there = {each.url: set(tables(each.url)) for each in ledgers}
            # Of a file the newest goes first: the older ones find it as they left it then.
            places = dict.fromkeys(
                (each.url, one.table)
                for each in ledgers
                for one in (reversed(each.runs()) if is_file(each.url) else each.runs())
                if one.table in there[each.url] or is_file(each.url)
            )
        else:
            ledger, chosen_run = found(ledgers, run)
            places = {(ledger.url, chosen_run.table): None}
    for place, table in places:
        label = table if [name for _, name in places].count(table) == 1 else f"{table} ({place})"
        # What a run let be, its way back must let be too; it changes none of it.
        opened = open_store(place, table, encodings="epoch_ms", key=key or None, nonfinite=True)
        with outcome.of(label), opened as store:
            try:
                with paced(place, pacing) as pace, progress(label, "restored") as told:
                    back = take_back(store, run, pace=pace, progress=told)
            except KeyboardInterrupt:
                msg = (
                    f"interrupted at {label}; what was taken back so far is recorded: "
                    f"call the same command again to go on"
                )
                raise KeyboardInterrupt(msg) from None
            outcome.judged(ok=back.ok)
            if back.counts.changed and isinstance(store, Exported):
                following |= dict.fromkeys(store.following())
            if form == "json":
                entries[label] = back.to_dict()
            else:
                say(str(back))
    if form == "json":
        say_json({"ok": outcome.code == 0, "tables": entries})
    elif not places and outcome.code == 0:
        say(f"nothing to take back: {unrecorded(ledgers)}")
    for line in following:  # what was taken back is in the file, and not yet where the file came from
        tell(line)
    return outcome.code
