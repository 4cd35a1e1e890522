"""
How a lock of a table is taken that others would have to queue behind.

Whoever waits for a lock keeps all who come later waiting too, readers as well. So nobody is waited for who is known to
hold the table for long; a try is short; and after each there is a rest that is longer, in which the queue drains.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from attrs import frozen

from ....errors import StoreLocked
from ...base import Tell

__all__ = ["Blocker", "Lock", "Locks"]


class Blocker(Protocol):
    """A session in the way: its number, None where it has none, and for how many seconds it has been; its text says more."""

    @property
    def pid(self) -> int | None: ...  # noqa: D102 - see above
    @property
    def age(self) -> float: ...  # noqa: D102


class Lock(Protocol):
    """A lock that is to be had: its name, where it is, and what ends a session that is in the way."""

    @property
    def name(self) -> str: ...  # noqa: D102 - see above
    @property
    def label(self) -> str: ...  # noqa: D102
    @property
    def ends(self) -> str: ...  # noqa: D102

    def holders(self) -> Sequence[Blocker]:
        """Who is in the way, the oldest first."""
        ...


@frozen
class Locks:
    """
    The policy, in seconds: tries that last from `first` on, at most twice as long each time and never longer than
    `most`; transactions that are older than `old` are not waited for; after `budget` it is given up.
    """

    first: float = 0.1
    most: float = 5.0
    old: float = 0.5
    budget: float = 120.0

    def take(self, lock: Lock, act: Callable[[float], None], tell: Tell) -> None:
        """
        Have *act* done, which is given for how many seconds it may wait for *lock*.

        Raises:
            StoreLocked: the budget is used up; says by whom.
        """
        ends = time.monotonic() + self.budget
        longest, said = self.first, ""
        while True:
            holders = lock.holders()
            old = [each for each in holders if each.age >= self.old]
            if not old:
                timeout = random.uniform(self.first, longest)  # noqa: S311 - not for secrecy
                try:
                    act(timeout)
                except StoreLocked:
                    holders = lock.holders() or holders
                else:
                    return
                longest = min(self.most, 2 * longest)
                rest = timeout * random.uniform(1.1, 2.0)  # noqa: S311 - as above
            else:
                holders, rest = old, self.old * random.uniform(0.5, 1.0)  # noqa: S311 - as above
            names = "; ".join(map(str, holders)) or "transactions that come and go"
            if time.monotonic() + rest >= ends:
                raise StoreLocked(
                    f"{lock.label}: {lock.name} was not to be had in {self.budget:.0f} s, because of {names}. Have them end "
                    f"({lock.ends}), or come back when it is quiet; what was done stands"
                )
            who = ", ".join(str(each.pid) for each in holders)
            if who != said:
                tell(f"waiting for {lock.name}, without keeping others from the table: held by {names}")
                said = who
            time.sleep(rest)
