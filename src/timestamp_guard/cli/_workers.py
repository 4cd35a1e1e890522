"""
Other processes on this machine that share the work of one: they join its run when it has begun.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator

from ..config import Table
from ..engine.backfill import join
from ..engine.walk import Progress
from ..errors import TimestampGuardError, UsageError
from ..repairs import Repair
from ..stores import open_store
from ..stores.base import Step
from ._options import Pacing
from ._output import UNWRITTEN, tell
from ._pacing import paced
from ._targets import Target

__all__ = ["ensure_several", "helped"]


def ensure_several(workers: int | None, *, canary: bool) -> None:
    """
    Make sure that so many processes can be meant.

    Raises:
        UsageError: they cannot.
    """
    if workers is not None and workers < 1:
        msg = f"--workers: wanted 1 or more, found {workers}"
        raise UsageError(msg)
    if workers is not None and canary:
        msg = "--canary is filled by one process: leave --workers out, and say it with --continue"
        raise UsageError(msg)


@contextlib.contextmanager
def helped(
    target: Target, repair: Repair, pacing: Pacing, workers: int | None, told: Progress | None
) -> Iterator[Progress | None]:
    """
    What is to be told of each step, so that *workers* are at it, this process among them; in the end, waits for them.
    """
    if workers is None or workers == 1:
        yield told
        return
    # Not forked: a connection to a server cannot be shared.
    context = multiprocessing.get_context("spawn")
    helpers: list[multiprocessing.process.BaseProcess] = []

    def progress(step: Step) -> None:
        if not helpers and not step.done:
            given = (target.label, target.table, repair, pacing, step.run.id)
            helpers.extend(context.Process(target=_help, args=given) for _ in range(workers - 1))
            for each in helpers:
                each.start()
        if told is not None:
            told(step)

    try:
        yield progress
    except KeyboardInterrupt:
        for each in helpers:
            if each.pid is not None and each.is_alive():
                os.kill(each.pid, signal.SIGINT)
        raise
    finally:
        for each in helpers:
            each.join()


def _help(label: str, table: Table, repair: Repair, pacing: Pacing, number: int) -> None:
    """Work on a run until it is over."""
    try:
        with (
            open_store(table.url, table.name, encodings=table.encodings, key=table.key or None) as store,
            paced(table.url, pacing) as pace,
        ):
            join(store, table.guard, repair, number, pace=pace)
    except KeyboardInterrupt:
        sys.exit(130)
    except TimestampGuardError as problem:
        tell(f"{label}: a worker ended: {problem}")
        sys.exit(UNWRITTEN)
