"""
What makes a run wait for a server: its replicas, its log, its other users, or a question of the user's.

Each is asked between two steps, on a connection of its own, so that it is answered while the run rests. What cannot be
answered is a reason to wait, and nothing ends a run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Protocol

from ....engine.pace import PAUSE, Brake
from ....errors import StoreError, UsageError
from ....instants import duration_ns, show_duration
from .server import Refused

__all__ = ["Gauges", "brakes"]

OFTEN = 0.5
"""So many seconds an answer is good for."""


class Gauges(Protocol):
    """
    What a server can be asked; each raises a StoreError where it does not tell, and is asked again later.

    `log` is the name of what its writes are recorded in.
    """

    log: str

    def behind(self) -> float:
        """How many seconds the slowest replica is behind; 0 where nobody follows."""
        ...

    def active(self) -> int:
        """How many sessions are at work beside ours."""
        ...

    def logged(self) -> int:
        """How many bytes were written to the log, since whenever."""
        ...

    def answers(self, question: str) -> Sequence[Sequence[Any]]:
        """The rows with which a question of the user's is answered, in a transaction that writes nothing; true is True."""
        ...


def brakes(
    gauges: Gauges, *, lag: timedelta | None, active: int | None, log: int | None, while_: str | None
) -> list[Brake]:
    """
    The brakes that are wanted: *lag* is how far replicas may be behind, *active* how many sessions may be at work beside
    ours, *log* how many bytes the log may grow in a second, *while_* a question in SQL that is answered with true while
    the run is to wait.

    Raises:
        UsageError: the question cannot be asked, or is not answered with true or false.
        StoreError: the server does not tell.
    """
    found = []
    if lag is not None:
        most = lag.total_seconds()
        reason = f"a replica is more than {show_duration(duration_ns(lag))} behind"
        found.append(_brake(reason, lambda: gauges.behind() > most))
    if active is not None:
        found.append(_brake(f"more than {active} other sessions are at work", lambda: gauges.active() > active))
    if while_ is not None:
        question = while_.strip().rstrip(";").rstrip()
        found.append(_brake(f"{question!r} is true", lambda: _is_true(gauges, question)))
    if log is not None:
        found.append(Brake(f"the {gauges.log} grows by more than {log:,} bytes a second", _Log(gauges, log)))
    for each in found:
        each()  # what can never be answered is told at once
    return found


def _brake(reason: str, wait: Callable[[], bool]) -> Brake:
    """A brake that is either on or off; asked now and then."""
    asked = -OFTEN
    on = False

    def read() -> float:
        nonlocal asked, on
        if on or time.monotonic() - asked >= OFTEN:
            on, asked = wait(), time.monotonic()
        return PAUSE if on else 0.0

    return Brake(reason, read)


def _is_true(gauges: Gauges, question: str) -> bool:
    """Whether a question is answered with true; nothing is not true."""
    try:
        rows = gauges.answers(question)
    except (StoreError, Refused) as problem:
        msg = f"{question!r} cannot be asked: {problem}"
        raise UsageError(msg) from None
    if len(rows) != 1 or len(rows[0]) != 1 or not isinstance(rows[0][0], bool | None):
        msg = f"{question!r} is not answered with one true or false"
        raise UsageError(msg)
    return rows[0][0] is True


class _Log:
    """For how long to wait so that the log does not grow faster than so many bytes a second."""

    def __init__(self, gauges: Gauges, most: int) -> None:
        self.gauges, self.most = gauges, most
        self._last: tuple[float, int] | None = None

    def __call__(self) -> float:
        here = self.gauges.logged()
        now = time.monotonic()
        if self._last is None or here < self._last[1]:  # a server that was started again counts anew
            self._last = now, here
            return 0.0
        began, there = self._last
        wanted = (here - there) / self.most - (now - began)
        if now - began > 10:
            self._last = now, here  # what was saved long ago is not spent at once
        return max(0.0, min(PAUSE, wanted))
