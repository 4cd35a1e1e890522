"""
One step after another through a store, at the pace that it bears: what a backfill and a rollback have in common.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Final, TypeAlias

from attrs import evolve

from ..errors import RunBusy, StoreLocked, TooManyFailures, WriteFailed
from ..instants import brief
from ..ledger import Counts, Ledger, Quarantined, Run
from ..stores.base import BatchStore, Step
from .lease import renewed
from .pace import PAUSE, Pace

__all__ = ["Progress", "breaker", "ensure_few", "walk"]

Progress: TypeAlias = Callable[[Step], None]
"""Is told of every step."""

LOCKED: Final = 5
"""How many times in a row a step may find the store locked, each time for as long as the store waits for a lock."""

FAILURES: Final = 10
FAILURE_SHARE: Final = 0.1
"""The circuit breaker opens past so many failed writes that are more than this share of all."""

_log = logging.getLogger("timestamp_guard")


def walk(
    take: Callable[[Run, int], Step],
    run: Run,
    store: BatchStore,
    pace: Pace,
    lease: timedelta,
    progress: Progress | None,
) -> Iterator[Run]:
    """
    Take steps until one is the last; after each, how the run stands.

    A step whose write fails is taken again with half as many records. What *take* raises otherwise ends the walk.
    """
    locked = 0
    while True:
        try:
            step = take(renewed(run, lease), pace.size)
        except WriteFailed:
            if pace.size == 1:
                raise
            pace.failed()
            continue
        except RunBusy:
            raise
        except StoreLocked as problem:
            locked += 1
            if locked == LOCKED:
                raise
            _log.warning("%s: %s; trying again", run.table, problem)
            continue
        locked = 0
        run = step.run
        if step.held_ns:
            pace.held(step.held_ns, store.target)
        if progress is not None:
            progress(step)
        yield run
        if step.done:
            return
        for rest in pace.pause(store.throttle):
            if rest.seconds >= PAUSE:
                # A long rest must not be taken for death, and people ask why.
                run = store.ledger.save(evolve(renewed(run, lease), reason=f"paused: {rest.reason}"))
                if progress is not None:
                    progress(Step(run, done=False))
        run = evolve(run, reason=None)


def breaker(ledger: Ledger, run: Run, began: Counts) -> None:
    """
    Open the circuit breaker where too large a share of the writes since *began* failed.

    Raises:
        TooManyFailures: it did.
    """
    failed = run.counts.quarantined - began.quarantined
    if failed > FAILURES:
        ensure_few(run, ledger.quarantined(run)[-failed:], run.counts.changed - began.changed)


def ensure_few(run: Run, failed: Sequence[Quarantined], made: int) -> None:
    """
    Make sure that few writes failed, next to those that were made.

    Raises:
        TooManyFailures: too large a share did.
    """
    tried = len(failed) + made
    if len(failed) > FAILURES and len(failed) > FAILURE_SHARE * tried:
        last = failed[-1]
        after = "or roll the run back" if run.action == "backfill" else "it goes on where it stands"
        msg = (
            f"run {run.whole} on {run.table} stopped: {len(failed)} of {tried} writes failed, the last of them "
            f"{brief(last.key)}: {last.reason}; mend the cause and call {run.action} again, {after}"
        )
        raise TooManyFailures(msg)
