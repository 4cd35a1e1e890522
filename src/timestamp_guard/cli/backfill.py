"""`timestamp-guard backfill`: fill what is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

from attrs import evolve
from cyclopts import Parameter

from ..engine import Pace, plan, runs
from ..engine import backfill as fill
from ..engine.backfill import WAITING
from ..engine.drive import drive
from ..engine.walk import Progress
from ..errors import UsageError
from ..instants import brief
from ..ledger import Run
from ..repairs import Repair
from ..stores import is_file
from ..stores.base import Exported
from ._mending import mendable
from ._options import ANY, FREELY, NO_MENDING, UNSAID, Chosen, Form, Meaning, Mending, Pacing, Url
from ._output import Outcome, say, say_json, tell
from ._pacing import ensure_meant, paced
from ._progress import progress
from ._targets import Target, targets
from ._workers import ensure_several, helped

__all__ = ["backfill"]

BATCH: Final = 100
SHOWN: Final = 10
"""How many records the first batch of a canary has, and how many of its changes are shown."""


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
    canary: Annotated[
        bool,
        Parameter(
            negative="",
            show_default=False,
            help="Fill one batch, then one percent, show what was changed, and wait for --continue.",
        ),
    ] = False,
    go_on: Annotated[
        bool,
        Parameter(name="--continue", negative="", show_default=False, help="Go on with a canary that was looked at."),
    ] = False,
    workers: Annotated[
        int | None,
        Parameter(help="Have so many processes share the work; say it on another host too, and those join them."),
    ] = None,
    only_changed: Annotated[
        Path | None,
        Parameter(
            help="Of a snapshot of Convex, write a ZIP here too with the changed tables alone: an import leaves the others "
            "as they are."
        ),
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
    ensure_several(workers, canary=canary)
    entries: dict[str, Any] = {}
    exported: dict[str, Exported] = {}
    with targets(outcome, url, chosen, meaning, mending, write=True) as found:
        able = mendable(found)
        _ensure_one_part(only_changed, [target for target, _ in able])
        copy = None if backup is None else _wanted(backup, [target for target, _ in able])
        for target, repair in able:
            with outcome.of(target.label):
                backed = None if copy is None or copy.exists() else copy
                try:
                    with (
                        paced(target.table.url, pacing) as pace,
                        progress(target.label, "filled") as shown,
                        helped(target, repair, pacing, workers, shown) as told,
                    ):

                        def filled(most: int | None, told: Progress | None = told, **how: Any) -> Run:
                            how = {"pace": pace, "backup": backed, "most": most, "progress": told} | how  # noqa: B023 - called at once
                            shared = workers is not None
                            return fill(target.store, target.table.guard, repair, shared=shared, **how)  # noqa: B023 - as above

                        _ensure_looked_at(target, canary=canary, go_on=go_on)
                        run = _tried(target, repair, filled, pace) if canary else filled(None)
                except KeyboardInterrupt:
                    raise KeyboardInterrupt(_how_to_go_on(target)) from None
                outcome.judged(ok=run.ok)
                if isinstance(target.store, Exported) and run.counts.changed:
                    exported[target.table.url] = target.store
                if form == "json":
                    entries[target.label] = run.to_dict()
                else:
                    say(str(run))
        for store in exported.values():
            _bring_back(store, only_changed)
    if form == "json":
        say_json({"ok": outcome.code == 0, "tables": entries})
    return outcome.code


def _ensure_one_part(path: Path | None, found: Sequence[Target]) -> None:
    """
    Make sure that there is one snapshot of which changed tables can be written to *path*, and nothing there.

    Raises:
        UsageError: there is not, or something is.
    """
    if path is None:
        return
    snapshots = {target.table.url for target in found if isinstance(target.store, Exported)}
    if len(snapshots) != 1:
        msg = f"--only-changed goes with one snapshot of Convex, and {len(snapshots) or 'none'} is given: leave it out"
        raise UsageError(msg)
    if path.exists():
        msg = f"--only-changed: {path} is there already; name a new file"
        raise UsageError(msg)


def _bring_back(store: Exported, path: Path | None) -> None:
    """Say what is to be done with a snapshot that was filled."""
    if path is not None:
        names = store.part(path)
        tell(f"wrote {path} with {', '.join(names)} alone")
    for said in store.following(path):
        tell(said)


def _ensure_looked_at(target: Target, *, canary: bool, go_on: bool) -> None:
    """
    Make sure that a canary is gone on with only by who says so.

    Raises:
        UsageError: there is one, or none where there should be, or a store can have none.
    """
    url = target.table.url
    if canary and is_file(url):
        msg = f"{target.label} is a file, which is replaced as a whole: see what would change with timestamp-guard plan"
        raise UsageError(msg)
    waiting = next((run for run in runs(target.store) if run.open and run.reason == WAITING), None)
    if waiting is not None and not go_on:
        msg = (
            f"run {waiting.id} on {target.label} is a canary that filled {waiting.counts.changed:,}: look at it with "
            f"timestamp-guard runs show {waiting.id}, then go on with --continue, or take it back with rollback"
        )
        raise UsageError(msg)


def _tried(target: Target, repair: Repair, filled: Callable[..., Run], pace: Pace) -> Run:
    """Fill a batch, then one percent, and show what was changed each time."""
    work = plan(target.store, target.table.guard, repair, samples=0).work
    run = filled(1, pace=evolve(pace, start=BATCH))
    _show(target, run)
    if run.reason == WAITING and (more := work // 100 - run.counts.changed) > 0:
        run = filled(more)
        _show(target, run)
    if run.reason == WAITING:
        tell(
            f"{target.label}: {run.counts.changed:,} of {work:,} are filled; go on with --continue, or take it back with rollback"
        )
    return run


def _show(target: Target, run: Run) -> None:
    """What a canary changed, the newest first."""
    if run.id is None:
        return
    tell(f"{target.label}: {run.counts.changed:,} filled, of these")
    for _, change in drive(target.store).ledger.changes(run, 0, SHOWN):
        tell(
            f"  {brief(change.key)}: {change.field} {brief(change.before)} -> {brief(change.after)} from {change.candidate}"
        )


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
