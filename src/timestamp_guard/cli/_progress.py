"""
How far a run is, on stderr, and only where somebody looks at it: on a terminal.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator

from ..engine.walk import Progress
from ..stores.base import Step

__all__ = ["progress"]


@contextlib.contextmanager
def progress(label: str, verb: str) -> Iterator[Progress | None]:
    """A bar with the rate and the time that is left; None where nobody would see it."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[done]}"),
        TimeRemainingColumn(),
    )
    began = time.monotonic()
    before: int | None = None
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(escape(label), total=None, done="")

        def tell(step: Step) -> None:
            nonlocal before
            changed = step.run.counts.changed
            if before is None:
                before = changed - step.touched
            rate = (changed - before) / max(time.monotonic() - began, 1e-3)
            sweep = f", sweep {step.run.sweep}" if step.run.sweep > 1 else ""
            done = f"{changed:,} {verb}, {rate:,.0f}/s{sweep}" if step.run.reason is None else escape(step.run.reason)
            if step.done:
                bar.update(task, description=f"{escape(label)}: proving", completed=1.0, total=1.0, done=done)
            elif step.fraction is None:
                bar.update(task, description=escape(label), done=done)
            else:
                bar.update(task, description=escape(label), completed=step.fraction, total=1.0, done=done)

        yield tell
