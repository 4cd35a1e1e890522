"""
How fast a run goes: how much a step does, and how long the store is left alone between two.
"""

from __future__ import annotations

import math
import shlex
import shutil
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeAlias

from attrs import Factory, define, field, frozen

from ..errors import UsageError

__all__ = ["PAUSE", "Brake", "Pace", "Rest", "Throttle", "command"]

Throttle: TypeAlias = Callable[[], float]
"""Says for how many seconds the store is to be left alone now; one that raises is taken for :data:`PAUSE`."""

PAUSE: Final = 1.0
"""How many seconds to wait for a throttle that cannot be read."""


@frozen
class Brake:
    """A throttle, and what people are told when it is the one that is waited for."""

    reason: str
    read: Throttle

    def __call__(self) -> float:
        """For how many seconds the store is to be left alone now."""
        return self.read()


@frozen
class Rest:
    """How long a run leaves the store alone, in seconds, and why."""

    seconds: float
    reason: str


LARGEST: Final = 100_000
SMALLEST: Final = 100
"""
Below it a step shrinks only for as long as that makes it faster: most of a slow one may be a cost of its own, like
waiting for the disk.
"""


@define
class Pace:
    """
    Aim at a median hold: the time for which a step keeps others from writing.

    `target` is that time in seconds, None for what the store prefers; `start` the records of the first step;
    `throttles` are asked between any two steps, and the slowest wins.
    The size is never more than twice the one that last met the target.
    """

    target: float | None = None
    start: int = 500
    throttles: Sequence[Throttle] = ()
    _size: int = field(init=False, default=Factory(lambda self: self.start, takes_self=True))
    _met: int = field(init=False, default=Factory(lambda self: self.start, takes_self=True))
    _slow: float | None = field(init=False, default=None)
    _holds: deque[float] = field(init=False, factory=lambda: deque(maxlen=7))

    @property
    def size(self) -> int:
        """How many records the next step may take."""
        return self._size

    def failed(self) -> None:
        """A step failed: look for the record that made it fail in half as many."""
        self._size = max(1, self._size // 2)
        self._holds.clear()

    def held(self, held_ns: int, target: float) -> None:
        """A step held the store for so long."""
        wanted = self.target if self.target is not None else target
        self._holds.append(held_ns / 1e9)
        median = _median(self._holds)
        if median <= wanted:
            self._met = self._size
        if len(self._holds) < 3 and median <= wanted and self._size >= self.start:
            return
        # The hold grows with the size, so the ratio leads there; half way, for holds are noisy.
        ratio = wanted / max(median, 1e-6)
        aimed = self._size * min(2.0, max(0.5, 1 + (ratio - 1) / 2 if ratio > 1 else ratio))
        size = max(1, min(int(aimed) or 1, 2 * self._met, LARGEST))
        if size < self._size:
            if size < SMALLEST and self._slow is not None and median > 0.75 * self._slow:
                return
            self._slow = median
        elif size > self._size:
            self._slow = None
        if abs(size - self._size) > self._size // 10:
            self._size = size
            self._holds.clear()

    def pause(self, own: Throttle, sleep: Callable[[float], None] = time.sleep) -> Iterator[Rest]:
        """Leave the store alone for as long as the slowest throttle says, and ask again until none does: each rest."""
        throttles: tuple[Throttle, ...] = (Brake("others wait for the store", own), *self.throttles)
        while (slowest := max(map(_read, throttles), key=lambda rest: rest.seconds)).seconds > 0:
            slept = min(slowest.seconds, PAUSE)
            sleep(slept)
            yield Rest(slept, slowest.reason)
            if slowest.seconds < PAUSE:
                return


def command(words: str) -> Brake:
    """
    A brake that is on while a command of the user's fails: it is run without a shell, and has 30 seconds.

    Raises:
        UsageError: there is no such command.
    """
    parts = shlex.split(words)
    if not parts or shutil.which(parts[0]) is None:
        msg = f"there is no command {words!r}"
        raise UsageError(msg)

    def read() -> float:
        try:
            done = subprocess.run(parts, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=30, check=False)  # noqa: S603 - the user's own
        except subprocess.TimeoutExpired:
            return PAUSE
        return PAUSE if done.returncode else 0.0

    return Brake(f"{words!r} fails", read)


def _median(holds: Iterable[float]) -> float:
    ordered = sorted(holds)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _read(throttle: Throttle) -> Rest:
    reason = str(getattr(throttle, "reason", "a throttle asks for it"))
    try:
        wanted = float(throttle())
    except Exception as problem:  # noqa: BLE001 - whatever it raises, it could not be read
        return Rest(PAUSE, f"it cannot be told whether {reason}: {problem}")
    return Rest(PAUSE if math.isnan(wanted) else wanted, reason)
