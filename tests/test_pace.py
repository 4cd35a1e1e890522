"""
How fast a run goes.
"""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timestamp_guard.engine.pace import LARGEST, PAUSE, SMALLEST, Pace

MS = 10**6


@given(
    start=st.integers(1, 5000),
    target=st.floats(0, 0.1),
    fixed=st.floats(0, 0.2),
    each=st.floats(0, 0.01),
    power=st.floats(0, 2),
    failures=st.sets(st.integers(0, 60)),
)
def test_never_twice_what_met(
    *, start: int, target: float, fixed: float, each: float, power: float, failures: set[int]
) -> None:
    """
    Whatever a store is like, no step is larger than twice the one that last met the target.
    """
    pace, met = Pace(start=start), start

    for step in range(60):
        size = pace.size
        assert 1 <= size <= max(2 * met, 1)
        assert size <= max(LARGEST, start)
        if step in failures:
            pace.failed()
            assert max(1, size // 2) == pace.size
            continue
        hold = fixed + each * size**power
        if round(hold * 1e9) / 1e9 <= target:
            met = size
        pace.held(round(hold * 1e9), target)


@pytest.mark.parametrize("start", [1, 10, 500, 50_000])
@pytest.mark.parametrize("each_us", [1, 20, 900])
def test_aims_at_the_median(start: int, each_us: int) -> None:
    """
    The size settles where the median hold is near the target, from above and from below; few are not made fewer.
    """
    pace = Pace(start=start)
    for _ in range(200):
        pace.held(pace.size * each_us * 1000, 0.005)

    hold = pace.size * each_us / 1e6
    assert hold >= 0.0025
    assert hold <= 0.006 or pace.size <= min(start, SMALLEST)


def test_outliers() -> None:
    """
    One slow step among many is no reason to go slower.
    """
    pace = Pace(start=100)
    for _ in range(50):
        pace.held(pace.size * 20_000, 0.005)
    size = pace.size
    for hold in (1, 1, 1, 100, 1, 1):
        pace.held(pace.size * 20_000 * hold, 0.005)

    assert size == pace.size


def test_own_target() -> None:
    """
    The target of a pace goes before that of the store.
    """
    slow, fast = Pace(target=0.001), Pace()
    for _ in range(50):
        slow.held(slow.size * 10_000, 0.05)
        fast.held(fast.size * 10_000, 0.05)

    assert slow.size <= 100
    assert fast.size >= 2500


def test_failed() -> None:
    """
    After failures, half as many, down to one; then it grows again.
    """
    pace = Pace(start=5)
    sizes = []
    for _ in range(4):
        pace.failed()
        sizes.append(pace.size)
    assert [2, 1, 1, 1] == sizes

    for _ in range(40):
        pace.held(1, 0.005)
    assert pace.size > 5


def unreadable() -> float:
    msg = "no answer"
    raise OSError(msg)


def asked(*answers: float) -> Callable[[], float]:
    """A throttle with these answers, then nothing to ask for."""
    left = iter(answers)
    return lambda: next(left, 0.0)


@pytest.mark.parametrize(
    ("own", "throttles", "slept"),
    [
        (asked(), [], []),
        (asked(), [asked()], []),
        (asked(-1), [], []),
        (asked(0.1), [asked(0.3), asked(0.2)], [0.3]),
        (asked(0.4), [asked(0.3)], [0.4]),
        (asked(5, 5, 0), [], [PAUSE, PAUSE]),
        (asked(float("inf"), 0.5), [], [PAUSE, 0.5]),
        (asked(float("nan"), 0.5), [], [PAUSE, 0.5]),
    ],
    ids=["none", "idle", "negative", "slowest", "its own", "long", "for ever", "no number"],
)
def test_throttles(own: Callable[[], float], throttles: list[Callable[[], float]], slept: list[float]) -> None:
    """
    The slowest throttle wins; a long pause is taken in parts, and asked about again after each.
    """
    found: list[float] = []

    list(Pace(throttles=throttles).pause(own, found.append))

    assert slept == found


def test_unreadable() -> None:
    """
    A throttle that cannot be read means pause, until it can be.
    """
    found: list[float] = []
    answers = iter([unreadable, unreadable, asked(0.0)])

    def throttle() -> float:
        return next(answers)()

    list(Pace(throttles=[throttle]).pause(asked(), found.append))

    assert [PAUSE, PAUSE] == found


def test_a_cost_of_its_own() -> None:
    """
    Where most of a hold is not the records', fewer of them do not help, and the size does not fall to one.
    """
    pace = Pace()
    for _ in range(200):
        pace.held(12_000_000 + pace.size * 3000, 0.005)

    assert 100 <= pace.size
