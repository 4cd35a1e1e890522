"""`timestamp-guard unenforce`: take an enforcement back."""

from __future__ import annotations

from typing import Any

from ..engine import unenforce as take_back
from ..ledger import made_by
from ..stores import open_store, tables
from ._options import ANY, Chosen, Form, Url
from ._output import Outcome, say, say_json, tell
from ._recorded import recorded

__all__ = ["unenforce"]


def unenforce(url: Url = None, /, *, chosen: Chosen = ANY, form: Form = "text") -> int:
    """Take back what enforce made, and nothing else.

    Killed, call it again. What was there before stays as it is.

      timestamp-guard unenforce

      timestamp-guard unenforce sqlite:///app.db --table services
    """
    outcome = Outcome()
    entries: dict[str, Any] = {}
    with recorded(outcome, url, chosen) as ledgers:
        there = {each.url: set(tables(each.url)) for each in ledgers}
        places = dict.fromkeys(
            (each.url, run.table)
            for each in ledgers
            for run in each.runs()
            if made_by(run) and run.table in there[each.url]
        )
    for place, table in places:
        label = table if [name for _, name in places].count(table) == 1 else f"{table} ({place})"
        with outcome.of(label), open_store(place, table, encodings="epoch_ms") as store:
            back = take_back(store, progress=lambda text, label=label: tell(f"{label}: {text}"))  # type: ignore[misc]  # bound at once
            entries[label] = back.to_dict()
            if form == "text":
                say(str(back))
    if form == "json":
        say_json({"ok": outcome.code == 0, "tables": entries})
    elif not places and outcome.code == 0:
        say("nothing to take back: nothing is enforced")
    return outcome.code
