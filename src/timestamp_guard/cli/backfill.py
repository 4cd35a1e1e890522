"""`timestamp-guard backfill`: fill what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from ..engine import backfill as fill
from ..engine import runs
from ..errors import UsageError
from ._mending import mendable
from ._options import ANY, FREELY, NO_MENDING, UNSAID, Chosen, Form, Meaning, Mending, Pacing, Url
from ._output import Outcome, say, say_json
from ._pacing import ensure_meant, paced
from ._progress import progress
from ._targets import Target, targets

__all__ = ["backfill"]


def backfill(
    url: Url = None,
    /,
    *,
    chosen: Chosen = ANY,
    meaning: Meaning = UNSAID,
    mending: Mending = NO_MENDING,
    backup: Annotated[
        Path | None, Parameter(help="Make a verified copy of the store here first; nothing may be there yet.")
    ] = None,
    pacing: Pacing = FREELY,
    form: Form = "text",
) -> int:
    r"""Fill what is missing, so that it can be taken back.

    Works batch by batch, while others go on writing, and records every change.
    Killed or interrupted? Call it again, and it goes on where it stood.
    Exits 1 when something is left that it could not fill.

    Options, tables and fields are looked at before anything is written;
    where one table fails after that, the others are filled all the same.

      timestamp-guard backfill

      timestamp-guard backfill sqlite:///app.db --updated updatedAt \
        --encoding epoch_ms --fill createdAt --fill now
    """
    outcome = Outcome()
    ensure_meant(pacing)
    entries: dict[str, Any] = {}
    with targets(outcome, url, chosen, meaning, mending, write=True) as found:
        able = mendable(found)
        copy = None if backup is None else _wanted(backup, [target for target, _ in able])
        for target, repair in able:
            with outcome.of(target.label):
                try:
                    with paced(target.table.url, pacing) as pace, progress(target.label, "filled") as told:
                        run = fill(
                            target.store,
                            target.table.guard,
                            repair,
                            pace=pace,
                            backup=None if copy is None or copy.exists() else copy,
                            progress=told,
                        )
                except KeyboardInterrupt:
                    raise KeyboardInterrupt(_how_to_go_on(target)) from None
                outcome.judged(ok=run.ok)
                if form == "json":
                    entries[target.label] = run.to_dict()
                else:
                    say(str(run))
    if form == "json":
        say_json({"ok": outcome.code == 0, "tables": entries})
    return outcome.code


def _wanted(path: Path, found: Sequence[Target]) -> Path | None:
    """
    Where a copy is to be made; None where the run that is gone on with made it.

    Raises:
        UsageError: something is there already, or there are several stores.
    """
    urls = {target.table.url for target in found}
    if len(urls) > 1:
        msg = f"--backup copies one store, and these are {len(urls)}: give a URL"
        raise UsageError(msg)
    if not path.exists():
        return path
    if any(run.open for target in found for run in runs(target.store)):
        return None
    msg = f"--backup: {path} is there already; name a new file"
    raise UsageError(msg)


def _how_to_go_on(target: Target) -> str:
    return (
        f"interrupted at {target.label}: call the same command again to go on, or "
        f"timestamp-guard rollback {target.table.url} to take back what was filled so far"
    )
