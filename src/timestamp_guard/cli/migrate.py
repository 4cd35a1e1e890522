"""`timestamp-guard migrate`: all of it, from a look to a required field."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from ..engine.migrate import PHASES, Phase
from ..engine.migrate import migrate as go
from ._mending import mendable
from ._options import ANY, FREELY, NO_MENDING, UNSAID, Chosen, Form, Meaning, Mending, Pacing, Url
from ._output import Outcome, say, say_json, tell
from ._pacing import ensure_meant, paced
from ._progress import progress
from ._targets import targets

__all__ = ["migrate"]


def migrate(
    url: Url = None,
    /,
    *,
    chosen: Chosen = ANY,
    meaning: Meaning = UNSAID,
    mending: Mending = NO_MENDING,
    until: Annotated[Phase, Parameter(help="The last phase to go through.")] = PHASES[-1],
    keep_current: Annotated[
        bool,
        Parameter(negative="", show_default=False, help="Have every change of a record move the field on, never back."),
    ] = False,
    keep_gate: Annotated[
        bool, Parameter(negative="", show_default=False, help="Go on filling new records that lack the field.")
    ] = False,
    pacing: Pacing = FREELY,
    form: Form = "text",
) -> int:
    """Make the field required: look, hold new writes, fill, prove, enforce, prove again.

    Others go on reading and writing. Every phase is recorded with what it came to; killed or stopped, call it again,
    and it goes on where it stood. Ends with the evidence, and exits 1 where a phase is not passed.

    `timestamp-guard rollback` takes all of it back: first what is enforced, then the values, never a later write.

      timestamp-guard migrate env:DATABASE_URL --table services --until verify

      timestamp-guard migrate env:DATABASE_URL --table services
    """
    outcome = Outcome()
    ensure_meant(pacing)
    entries: dict[str, Any] = {}
    with targets(outcome, url, chosen, meaning, mending, write=True) as found:
        for target, repair in mendable(found):
            with outcome.of(target.label):
                with paced(target.table.url, pacing) as pace, progress(target.label, "filled") as told:
                    done = go(
                        target.store,
                        target.table.guard,
                        repair,
                        until=until,
                        pace=pace,
                        keep_current=keep_current,
                        keep_gate=keep_gate,
                        progress=told,
                        # A patch is a result, and is printed as one at the end.
                        tell=lambda said, label=target.label: tell(f"{label}: {said.splitlines()[0]}"),  # type: ignore[misc]  # bound at once
                    )
                outcome.judged(ok=done.ok)
                if form == "json":
                    entries[target.label] = done.to_dict()
                else:
                    say(str(done))
    if form == "json":
        say_json({"ok": outcome.code == 0, "tables": entries})
    return outcome.code
