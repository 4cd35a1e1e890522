"""
Times as ratios: contenders take turns in every round, and what counts is the median of the ratios of single rounds.

A shared machine is slow for seconds at a time; within a round, all contenders are slow together.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

__all__ = [
    "Goal",
    "Times",
    "alone",
    "be",
    "copied",
    "rounds",
    "rounds_alone",
    "show",
    "show_peaks",
    "warm",
    "write_json",
]


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
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(-1, n):
        for name in _turns(list(contenders), number):
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


def _turns(names: Sequence[str], number: int) -> list[str]:
    at = number % len(names)
    return [*names[at:], *names[:at]]


# -- in a process of its own, so that each has its own peak of memory


def rounds_alone(
    names: Sequence[str], n: int, measured: Callable[[str], tuple[float, float]]
) -> tuple[Times, dict[str, float]]:
    """Have each contender *measured* once in each of *n* rounds; the highest peak of each, in MB, beside the times."""
    seconds: dict[str, list[float]] = {name: [] for name in names}
    peaks = dict.fromkeys(names, 0.0)
    for number in range(n):
        for name in _turns(names, number):
            taken, peak = measured(name)
            seconds[name].append(taken)
            peaks[name] = max(peaks[name], peak)
            print(f"  {name}: {taken:.2f} s, {peak:.0f} MB", file=sys.stderr, flush=True)
    return Times(seconds), peaks


def copied(source: Path, folder: Path) -> Path:
    """A copy in a folder of its own, in which there is nothing else."""
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    return Path(shutil.copyfile(source, work / source.name))


def warm(path: Path) -> None:
    """Have what is read in memory, and what was written on the disk."""
    with path.open("rb") as file:
        while file.read(2**24):
            pass
    os.sync()


def alone(script: str, name: str, path: Path) -> tuple[float, float]:
    """Run a contender of a *script*, which calls :func:`be`: its seconds, and the peak of its memory in MB."""
    command = [sys.executable, script, "--contender", name, "--file", str(path)]
    said = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return said["seconds"], said["peak"]


def be(act: Callable[[Path], object], path: Path) -> None:
    """Be one contender: for the process that :func:`alone` starts; what it takes to begin and to import is not counted."""
    start = time.perf_counter()
    act(path)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "peak": _peak()}))


def _peak() -> float:
    """The peak of this process's memory in MB; on Linux since it began, not what the one had that started it."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text("ascii").partition("VmHWM:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def show_peaks(peaks: Mapping[str, float], ours: Collection[str], at_most: float) -> str:
    """A line for each peak, and whether *ours* are *at_most* so high, in MB."""
    lines = []
    for name, peak in peaks.items():
        goal = f", goal <= {at_most}: " + ("pass" if peak <= at_most else "MISS") if name in ours else ""
        lines.append(f"{name}: peak {peak:.0f} MB{goal}")
    return "\n".join(lines)


# -- what is said of it


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
