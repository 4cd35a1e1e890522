"""
Times as ratios: contenders take turns in every round, and what counts is the median of the ratios of single rounds.

A shared machine is slow for seconds at a time; within a round, all contenders are slow together.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

__all__ = ["Goal", "Times", "rounds", "show", "write_json"]


@frozen
class Goal:
    """*name* takes at most `at_most` times as long as *floor*; without a number, the ratio is only shown."""

    name: str
    floor: str
    at_most: float | None = None


@frozen
class Times:
    """How many seconds each contender took, round by round."""

    seconds: Mapping[str, Sequence[float]]

    def median(self, name: str) -> float:
        """The seconds of *name* in its middle round."""
        return statistics.median(self.seconds[name])

    def ratios(self, name: str, floor: str) -> list[float]:
        """How many times as long as *floor* it took, in each round."""
        return [a / b for a, b in zip(self.seconds[name], self.seconds[floor], strict=True)]

    def ratio(self, name: str, floor: str) -> float:
        """The median of the ratios."""
        return statistics.median(self.ratios(name, floor))

    def meets(self, goal: Goal) -> bool | None:
        """Whether *goal* is met; None where it has no number or was not run."""
        if goal.at_most is None or not {goal.name, goal.floor} <= self.seconds.keys():
            return None
        # As many digits as goals are written with.
        return round(self.ratio(goal.name, goal.floor), 2) <= round(goal.at_most, 2)


def rounds(
    contenders: Mapping[str, Callable[[], object]], n: int, before: Callable[[str], object] = lambda _: None
) -> Times:
    """
    Run each contender once in each of *n* rounds, after one that does not count; *before* it is prepared, untimed.

    They start one place later in every round, so that nobody always follows the same one; garbage is collected between
    and not during.
    """
    names = list(contenders)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-1, n):
        at = number % len(names)
        for name in names[at:] + names[:at]:
            run = contenders[name]
            before(name)
            gc.collect()
            gc.disable()
            start = time.perf_counter()
            run()
            taken = time.perf_counter() - start
            gc.enable()
            if number >= 0:
                seconds[name].append(taken)
    return Times(seconds)


def show(times: Times, goals: Iterable[Goal]) -> str:
    """A table: each goal with its ratio, the lowest and the highest of its rounds, and whether it is met."""
    head = ("what", "ms", "against", "ratio", "rounds", "goal", "")
    rows: list[tuple[str, ...]] = []
    for goal in goals:
        if not {goal.name, goal.floor} <= times.seconds.keys():
            rows.append((goal.name, "", goal.floor, "", "", _goal(goal), "not run"))
            continue
        ratios = times.ratios(goal.name, goal.floor)
        span = f"{min(ratios):.2f}-{max(ratios):.2f}"
        met = {True: "pass", False: "MISS", None: ""}[times.meets(goal)]
        ratio = f"{times.ratio(goal.name, goal.floor):.2f}"
        rows.append((goal.name, f"{times.median(goal.name) * 1000:.1f}", goal.floor, ratio, span, _goal(goal), met))
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [head, *rows]
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def _goal(goal: Goal) -> str:
    return "" if goal.at_most is None else f"<= {goal.at_most:.2f}"


def write_json(path: Path, times: Times, goals: Iterable[Goal], **about: Any) -> None:
    """Write everything down, with the machine and what the caller says *about* the run."""
    found = {
        "about": {
            "python": platform.python_version(),
            "machine": platform.platform(),
            "cores": os.cpu_count(),
            **about,
        },
        "seconds": {name: list(taken) for name, taken in times.seconds.items()},
        "goals": [
            {
                "name": goal.name,
                "floor": goal.floor,
                "at_most": goal.at_most,
                "ratio": times.ratio(goal.name, goal.floor)
                if {goal.name, goal.floor} <= times.seconds.keys()
                else None,
                "met": times.meets(goal),
            }
            for goal in goals
        ],
    }
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
