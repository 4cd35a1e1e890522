"""
How fast a run goes: what the options say, asked of the store that it works on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta

from ..engine import Pace
from ..engine.pace import command
from ..errors import UsageError
from ..instants import parse_duration
from ..stores import braking
from ._options import Pacing

__all__ = ["ensure_meant", "paced"]


@contextlib.contextmanager
def paced(url: str, said: Pacing) -> Iterator[Pace]:
    """
    The pace that is wanted, of a run on the store at *url*.

    Raises:
        UsageError: an option cannot be meant, or not of such a store.
        StoreError: the store cannot be asked.
    """
    hold, lag = ensure_meant(said)
    own = [] if said.pause_unless is None else [command(said.pause_unless)]
    asked = {"lag": lag, "active": said.max_active, "log": said.max_log, "while_": said.pause_while}
    wanted = {name: each for name, each in asked.items() if each is not None}
    with braking(url, replicas=said.replica, **wanted) as brakes:
        yield Pace(target=None if hold is None else hold.total_seconds(), throttles=[*brakes, *own])


def ensure_meant(said: Pacing) -> tuple[timedelta | None, timedelta | None]:
    """
    How long a batch may keep others waiting, and how far replicas may be behind.

    Raises:
        UsageError: that is no duration, or no time at all; or a number makes no sense.
    """
    found = []
    for name, given in (("--pace", said.pace), ("--max-lag", said.max_lag)):
        try:
            length = None if given is None else parse_duration(given)
        except UsageError as problem:
            msg = f"{name}: {problem}"
            raise UsageError(msg) from None
        if length is not None and length <= timedelta(0):
            msg = f"{name}: {given!r} leaves no time to write; wanted a duration like {'5ms' if name == '--pace' else '5s'}"
            raise UsageError(msg)
        found.append(length)
    for name, number, least in (("--max-active", said.max_active, 0), ("--max-log", said.max_log, 1)):
        if number is not None and number < least:
            msg = f"{name}: wanted {least} or more, found {number}"
            raise UsageError(msg)
    return found[0], found[1]
