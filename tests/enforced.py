"""
What tests of an enforcement share, wherever the rows are: guards, values near their bounds, and an end in the middle.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from hypothesis import strategies as st

from tests import servers
from timestamp_guard import NOW, Field, Repair, _faults, in_order, present, updated_at_guard

EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
GUARD: Final = updated_at_guard("updated", "created")
REPAIR: Final = Repair("updated", ("created", NOW))
FIXED: Final = (
    present("updated") & in_order(EARLIEST, "updated") & in_order(Field("created") - timedelta(seconds=1), "updated")
)
CHAIN: Final = present("updated") & in_order(EARLIEST, "created", "updated", datetime(2100, 1, 1, tzinfo=UTC))
LOOSE: Final = in_order("created", "updated") & present("created")

MS: Final = 1_700_000_000_000
NEAR: Final[st.SearchStrategy[int | None]] = st.one_of(
    st.sampled_from([None, 0, -1, 1, 2**63 - 1, -(2**63), MS, MS + 1, MS - 1000, MS + 999, 946684800000, 946684799999]),
    st.integers(MS - 3000, MS + 3000),
    st.integers(-(2**63), 2**63 - 1),
)


class Killed(BaseException):
    """What a process that is killed looks like from within: nothing after it is done."""


@contextlib.contextmanager
def hooked(hook: Callable[[str], None]) -> Iterator[None]:
    """Have *hook* called at every point between two durable steps."""
    _faults.hook = hook
    try:
        yield
    finally:
        _faults.hook = None


def killed_at(number: int, act: Callable[[], object]) -> bool:
    """
    Do something, and end it at the point of that number; whether it came so far.

    Points of the ledger do not count: behind each comes one of the enforcement, with nothing durable between, or the end.
    """
    left = iter(range(number))

    def hook(name: str) -> None:
        if name.startswith("enforce") and next(left, None) is None:
            raise Killed(name)

    with hooked(hook):
        try:
            act()
        except Killed:
            return True
    return False


def longest_read(url: str, act: Callable[[], object], *, before: float = 0.0) -> float:
    """
    For how many seconds a reader of `t` waits at the most, while something is done beside a transaction that holds `t`.

    That is open for two seconds, and was so for some *before*.
    """
    waited = [0.0]
    stop = threading.Event()

    def read() -> None:
        with servers.connect(url) as reader:
            while not stop.is_set():
                began = time.monotonic()
                reader.execute("SELECT count(*) FROM t")
                waited.append(time.monotonic() - began)
                time.sleep(0.005)

    with servers.connect(url) as holder:
        holder.execute("BEGIN")
        holder.execute("SELECT 1 FROM t")
        time.sleep(before)
        threads = [threading.Thread(target=each) for each in (read, act)]
        for thread in threads:
            thread.start()
        time.sleep(2)
        holder.execute("COMMIT")
        threads[1].join()
        stop.set()
        threads[0].join()
    return max(waited)
