"""`timestamp-guard runs`: what was done."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, TypeAlias

from cyclopts import App, Parameter

from ..instants import brief, show
from ..ledger import Change, Ledger, Run, export
from ..report import jsonable
from ._options import ANY, Chosen, Form, Url
from ._output import Outcome, say, say_json
from ._recorded import found, recorded

__all__ = ["app"]

app = App(name="runs", help_format="plaintext", result_action="return_value")

Number: TypeAlias = Annotated[int, Parameter(help="The number of the run.")]

PAGE = 10_000
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
        listed = [(each.url, run) for each in ledgers for run in each.runs()]
        if form == "json":
            say_json({"ok": outcome.code == 0, "runs": [{"store": place, **run.to_dict()} for place, run in listed]})
            return outcome.code
        several = len(ledgers) > 1
        for place, run in listed:
            say(f"{show(run.started)[:19]}Z  {run}" + (f"  in {place}" if several else ""))
        if not listed and outcome.code == 0:
            say("no run is recorded")
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
        if form == "json":
            entry: dict[str, Any] = one.to_dict()
            entry["candidates"] = sources
            entry["samples"] = [_entry(change) for change in samples]
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
        for change in _changes(place.ledger, one):
            say(_line(change))
        for each in place.ledger.quarantined(one):
            say(f"{brief(each.key)} could not be written: {each.reason}")
    return 0


def _changes(ledger: Ledger, run: Run) -> Any:
    after = 0
    while page := ledger.changes(run, after, PAGE):
        yield from (change for _, change in page)
        after = page[-1][0]


def _sources(ledger: Ledger, run: Run) -> tuple[dict[str, int], list[Change]]:
    """How many values came from each candidate, and some of the changes."""
    counts: Counter[str] = Counter()
    samples: list[Change] = []
    for change in _changes(ledger, run):
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
