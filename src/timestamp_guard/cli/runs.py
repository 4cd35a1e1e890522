"""`timestamp-guard runs`: what was done."""

from __future__ import annotations

import json
import time
from collections import Counter
from datetime import timedelta
from typing import Annotated, Any, TypeAlias

from cyclopts import App, Parameter

from ..engine.care import origins, purgeable
from ..engine.lease import free, who
from ..errors import UsageError
from ..instants import brief, parse_duration, show
from ..ledger import Change, Ledger, Run, changes_of, export
from ..report import jsonable
from ._options import ANY, Chosen, Form, Url
from ._output import Outcome, say, say_json
from ._recorded import found, recorded, unrecorded

__all__ = ["app"]

app = App(name="runs", help_format="plaintext", result_action="return_value")

Number: TypeAlias = Annotated[int, Parameter(help="The number of the run.")]

SAMPLES = 10


@app.default
def runs(url: Url = None, /, *, chosen: Chosen = ANY, form: Form = "text") -> int:
    """List what was done; show or export one run.

    The oldest first; `runs show 3` says more of run 3, and `runs export 3` gives every change that it made.

      timestamp-guard runs

      timestamp-guard runs sqlite:///app.db --table services
    """
    outcome = Outcome()
    with recorded(outcome, url, chosen) as ledgers:
        listed = [(each, run) for each in ledgers for run in each.runs()]
        if form == "json":
            say_json(
                {"ok": outcome.code == 0, "runs": [{"store": place.url, **run.to_dict()} for place, run in listed]}
            )
            return outcome.code
        several = len(ledgers) > 1
        for place, run in listed:
            at_it = len({each.owner for each in place.ranges(run) if not free(each)})
            said = f", {at_it} at work" if at_it else ""
            say(f"{show(run.started)[:19]}Z  {run}{said}" + (f"  in {place.url}" if several else ""))
        if not listed and outcome.code == 0:
            say(unrecorded(ledgers))
    return outcome.code


@app.command(name="show")
def show_run(run: Number, url: Url = None, /, *, chosen: Chosen = ANY, form: Form = "text") -> int:
    """Show one run: its plan, what it did, where the values came from, and what it could not write.

    Runs have numbers, as `timestamp-guard runs` lists them.

      timestamp-guard runs show 3

      timestamp-guard runs show 3 sqlite:///app.db
    """
    outcome = Outcome()
    with recorded(outcome, url, chosen) as ledgers:
        place, one = found(ledgers, run)
        sources, samples = _sources(place.ledger, one)
        quarantined = place.ledger.quarantined(one)
        parts = place.ranges(one)
        if form == "json":
            entry: dict[str, Any] = one.to_dict()
            entry["candidates"] = sources
            entry["samples"] = [_entry(change) for change in samples]
            entry["ranges"] = [
                {"filled": each.counts.changed, "worker": None if free(each) else who(each)} for each in parts
            ]
            entry["quarantined"] = [{"key": jsonable(each.key), "reason": each.reason} for each in quarantined]
            say_json(entry)
            return 0
        plan = one.to_dict()["plan"]
        say(str(one))
        say(f"  started  {show(one.started)}")
        say(f"  finished {show(one.finished) if one.finished is not None else 'not yet'}")
        say(f"  guard    {plan['guard']}")
        say(f"  repair   {plan['repair']}")
        say(f"  NOW was  {show(one.now)}")
        for each in plan.get("evidence", ()):
            say(f"  {each['phase']:<8} {'ok ' if each['ok'] else 'NOT'} {each['seconds']:>7.1f} s  {each['said']}")
        for each in parts:
            said = "nobody works on it" if free(each) else who(each)
            say(f"  range    {each.counts.changed:,} filled so far: {said}")
        for name in plan.get("made", ()):
            say(f"  stands   {name}")
        for name, count in sources.items():
            say(f"  {count:>10,} from {name}")
        for change in samples:
            say(f"    {_line(change)}")
        for each in quarantined[:SAMPLES]:
            say(f"    {brief(each.key)} could not be written: {each.reason}")
    return 0


@app.command(name="export")
def export_run(run: Number, url: Url = None, /, *, chosen: Chosen = ANY, form: Form = "json") -> int:
    """Write every change of a run to stdout, as JSON Lines.

    First the run, then a line for each change, the newest first, with the old and the new value exactly.

      timestamp-guard runs export 3 sqlite:///app.db > run-3.jsonl
    """
    with recorded(Outcome(), url, chosen) as ledgers:
        place, one = found(ledgers, run)
        if form == "json":
            for line in export(place.ledger, one):
                say(line)
            return 0
        say(str(one))
        for _, change in changes_of(place.ledger, one):
            say(_line(change))
        for each in place.ledger.quarantined(one):
            say(f"{brief(each.key)} could not be written: {each.reason}")
    return 0


@app.command(name="trace")
def trace_record(
    key: Annotated[str, Parameter(help="The key of the record, as `check` and `plan` show it.")],
    url: Url = None,
    /,
    *,
    chosen: Chosen = ANY,
    form: Form = "text",
) -> int:
    """Say which run gave a record its value, and where that came from.

    The newest change first, with what stood there before.

      timestamp-guard runs trace 4711 --table services
    """
    entries: list[dict[str, Any]] = []
    with recorded(Outcome(), url, chosen) as ledgers:
        for each in ledgers:
            for table in dict.fromkeys(run.table for run in each.runs()):
                for read in _keys(key):
                    for run, change, back in origins(each.ledger, table, read):
                        taken = None if back is None else back.id
                        entries.append({"table": table, "run": run.id, "taken_back_by": taken, **_entry(change)})
                        if form == "text":
                            said = f" (taken back by run {taken})" if taken is not None else ""
                            say(f"{show(run.started)[:19]}Z  {table}: run {run.id}: {_line(change)}{said}")
    if form == "json":
        say_json({"ok": True, "changes": entries})
    elif not entries:
        say(f"no run changed {key}")
    return 0


def _keys(text: str) -> list[Any]:
    """What a key that was typed can be: text, a number, or several of these in a JSON array."""
    found: list[Any] = [text]
    try:
        said = json.loads(text)
    except ValueError:
        return found
    if isinstance(said, list):
        return [tuple(said)]
    return [*found, said] if isinstance(said, int | float) and not isinstance(said, bool) else found


@app.command(name="purge")
def purge_runs(
    url: Url = None,
    /,
    *,
    chosen: Chosen = ANY,
    older: Annotated[
        str | None, Parameter(help="Forget what runs changed that ended longer ago than this, like 90d.")
    ] = None,
    run: Annotated[int | None, Parameter(help="Forget what this run changed.")] = None,
    form: Form = "text",
) -> int:
    """Forget what old runs changed, so that the ledger does not grow for ever.

    What is forgotten cannot be taken back: the runs stay listed, their changes go. `runs export` keeps a copy.

      timestamp-guard runs purge --older 90d
    """
    if (older is None) == (run is None):
        msg = "say either --older 90d or --run NUMBER: which runs are to be forgotten?"
        raise UsageError(msg)
    try:
        age = timedelta(0) if older is None else parse_duration(older)
    except UsageError as problem:
        msg = f"--older: {problem}"
        raise UsageError(msg) from None
    entries: list[dict[str, Any]] = []
    with recorded(Outcome(), url, chosen, write=True) as ledgers:
        if run is not None:
            found(ledgers, run)
        for each in ledgers:
            if run is not None and run not in {one.id for one in each.runs()}:
                continue
            for one in purgeable(each.runs(), time.time_ns(), age, run):
                each.ledger.purge(one)
                entries.append({"store": each.url, "table": one.table, "run": one.id, "changes": one.counts.changed})
                if form == "text":
                    say(f"{one.table}: run {one.id}: {one.counts.changed:,} changes are forgotten")
    if form == "json":
        say_json({"ok": True, "purged": entries})
    elif not entries:
        say("nothing to forget")
    return 0


def _sources(ledger: Ledger, run: Run) -> tuple[dict[str, int], list[Change]]:
    """How many values came from each candidate, and some of the changes."""
    counts: Counter[str] = Counter()
    samples: list[Change] = []
    for _, change in changes_of(ledger, run):
        counts[change.candidate or "the ledger"] += 1
        if len(samples) < SAMPLES:
            samples.append(change)
    return dict(counts.most_common()), samples


def _line(change: Change) -> str:
    source = f" from {change.candidate}" if change.candidate else ""
    return f"{brief(change.key)}: {change.field} {brief(change.before)} -> {brief(change.after)}{source}"


def _entry(change: Change) -> dict[str, Any]:
    return {
        "key": jsonable(change.key),
        "field": change.field,
        "before": jsonable(change.before),
        "after": jsonable(change.after),
        "candidate": change.candidate,
    }
