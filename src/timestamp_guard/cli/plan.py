"""`timestamp-guard plan`: what a backfill would write."""

from __future__ import annotations

import time
from typing import Any

from ..engine import plan as foresee
from ..instants import show
from ._mending import mendable
from ._options import ANY, NO_MENDING, UNSAID, Chosen, Form, Meaning, Mending, Url
from ._output import Outcome, say, say_json
from ._targets import targets

__all__ = ["plan"]


def plan(
    url: Url = None,
    /,
    *,
    chosen: Chosen = ANY,
    meaning: Meaning = UNSAID,
    mending: Mending = NO_MENDING,
    form: Form = "text",
) -> int:
    r"""Show what a backfill would write; write nothing.

    Counts, samples and SQL of a backfill with the same words.
    Exits 1 when there is something to fill, or something that nothing can fill.

      timestamp-guard plan

      timestamp-guard plan sqlite:///app.db --updated updatedAt \
        --encoding epoch_ms --fill createdAt --fill now
    """
    outcome = Outcome()
    now = time.time_ns()
    entries: dict[str, Any] = {}
    with targets(outcome, url, chosen, meaning, mending) as found:
        for target, repair in mendable(found):
            with outcome.of(target.label):
                foreseen = foresee(target.store, target.table.guard, repair)
                outcome.judged(ok=foreseen.ok)
                if form == "json":
                    entries[target.label] = foreseen.to_dict()
                else:
                    say(str(foreseen))
    if form == "json":
        say_json({"ok": outcome.code == 0, "now": show(now), "tables": entries})
    return outcome.code
