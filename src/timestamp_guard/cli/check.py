"""`timestamp-guard check`: what is wrong with the records."""

from __future__ import annotations

import time
from collections import Counter
from typing import Annotated, Any

from cyclopts import Parameter

from ..engine import check as look
from ..engine import profile
from ..instants import show
from ._options import ANY, UNSAID, Chosen, Form, Meaning, Url
from ._output import Outcome, say, say_json
from ._targets import Target, targets

__all__ = ["check"]

SAMPLE = 10_000
"""How many records the extremes in the JSON form are taken from: the check itself counts, and does not keep them."""


def check(
    url: Url = None,
    /,
    *,
    chosen: Chosen = ANY,
    meaning: Meaning = UNSAID,
    strict: Annotated[
        bool,
        Parameter(
            negative="",
            show_default=False,
            help="Fail too where records could not be judged for lack of the other field.",
        ),
    ] = False,
    form: Form = "text",
) -> int:
    r"""Find records whose timestamps are missing or wrong.

    Reads only, and exits 1 when anything is broken.

    With a configuration file, every table that it describes:

      timestamp-guard check

    Without one:

      timestamp-guard check sqlite:///app.db --updated updatedAt \
        --created createdAt --encoding epoch_ms
    """
    outcome = Outcome()
    now = time.time_ns()
    entries: dict[str, Any] = {}
    total = Counter({"records": 0, "broken": 0})
    with targets(outcome, url, chosen, meaning) as found:
        for target in found:
            with outcome.of(target.label):
                report = look(target.store, target.table.guard, strict=strict)
                outcome.judged(ok=report.ok)
                total.update({"records": report.records, "broken": report.broken})
                if form == "json":
                    entries[target.label] = _with_extremes(report.to_dict(), target)
                else:
                    say(str(report))
        several = len({target.table.url for target in found}) > 1
    if form == "json":
        said = {"ok": outcome.code == 0, "now": show(now), "tables": entries}
        say_json(said | ({"total": dict(total)} if several else {}))
    elif several:
        say(f"total: {total['records']:,} records, {total['broken']:,} broken")
    return outcome.code


def _with_extremes(entry: dict[str, Any], target: Target) -> dict[str, Any]:
    """The entry of a table, with the least and the greatest instant of a sample."""
    for name, found in profile(target.store, entry["fields"], sample=SAMPLE).items():
        described = found.to_dict()
        entry["fields"][name] |= {key: described[key] for key in ("min", "max", "sampled")}
    return entry
