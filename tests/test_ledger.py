"""
What the runs did, kept exactly: every ledger says the same.
"""

import contextlib
import enum
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from timestamp_guard.errors import LeaseLost, PlanChanged, RunBusy, UnknownName
from timestamp_guard.frozen import freeze, thaw
from timestamp_guard.instants import ABSENT
from timestamp_guard.job import Job
from timestamp_guard.ledger import (
    Change,
    Counts,
    Ledger,
    MemoryLedger,
    Quarantined,
    Run,
    export,
    find,
    undone_by,
)
from timestamp_guard.repairs import Repair
from timestamp_guard.rules import present
from timestamp_guard.stores import open_ledger
from timestamp_guard.stores.base import same

JOB = Job.of(present("u"), Repair("u", ("c",)), "epoch_ms", 0)
RUN = Run(None, "backfill", "t", JOB.plan(), 0, owner="{}", started=1)

LEAVES = st.one_of(
    st.none(),
    st.just(ABSENT),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters()),
    st.binary(),
    st.decimals(),
    st.datetimes(),
    st.datetimes(timezones=st.just(UTC) | st.timezones()),
    st.datetimes(timezones=st.builds(timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23)))),
)
RAWS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=5,
)


class Number(enum.IntEnum):
    ONE = 1


class Odd(tzinfo):
    def utcoffset(self, dt: datetime | None) -> timedelta:
        return timedelta(hours=1)

    def tzname(self, dt: datetime | None) -> str:
        return "UTC"

    def dst(self, dt: datetime | None) -> None:
        return None


class TestFreeze:
    @given(RAWS)
    def test_thaws(self, raw: Any) -> None:
        """
        What was frozen is the same value of the same type again, all the way in.
        """
        again = thaw(freeze(raw))

        assert type(raw) is type(again)
        assert same(raw, again)
        assert repr(raw) == repr(again)

    @given(RAWS)
    def test_is_a_line(self, raw: Any) -> None:
        """
        It is one line of ASCII, for files and tables of any kind.
        """
        assert freeze(raw).isascii()
        assert freeze(raw).isprintable()

    def test_huge(self) -> None:
        """
        An integer that Python refuses to print is kept as well.
        """
        assert -(10**5000) == thaw(freeze(-(10**5000)))

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (1, 1.0),
            (1, True),
            (0.0, -0.0),
            ("1", 1),
            (None, ABSENT),
            (Decimal("1.0"), Decimal("1.00")),
            ((1,), [1]),
            ([1], [1.0]),
            (b"1", "1"),
            (datetime(2024, 1, 1, 12, tzinfo=UTC), datetime(2024, 1, 1, 13, tzinfo=timezone(timedelta(hours=1)))),
            (datetime(2024, 1, 1, 12, tzinfo=UTC), datetime(2024, 1, 1, 12, tzinfo=ZoneInfo("UTC"))),
            (datetime(2024, 1, 1), datetime(2024, 1, 1, fold=1)),
        ],
        ids=repr,
    )
    def test_is_exact(self, one: Any, other: Any) -> None:
        """
        Values that compare equal and are not the same are told apart.
        """
        assert freeze(one) != freeze(other)
        assert not same(one, other)

    @pytest.mark.parametrize(
        "raw",
        [np.int64(1), Number.ONE, object(), {1, 2}, datetime(2024, 1, 1, tzinfo=Odd()), [np.float64(1)]],
        ids=["numpy", "enum", "object", "set", "zone", "inside"],
    )
    def test_refuses(self, raw: Any) -> None:
        """
        What could not be given back exactly is refused by its type.
        """
        with pytest.raises(TypeError, match="could not be given back exactly"):
            freeze(raw)

    def test_unknown_tag(self) -> None:
        """
        What was not frozen by us is not guessed at.
        """
        with pytest.raises(ValueError, match="unknown tag 'pickle'"):
            thaw('{"pickle": ""}')


@pytest.fixture(params=["memory", "file"])
def open_(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Ledger]]:
    """
    Opens a ledger, always the same one.
    """
    if request.param == "memory":
        memory = MemoryLedger()
        yield lambda: memory
        return
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(open_ledger(tmp_path / "ledger.db"))


CHANGES = [
    Change("a", "u", None, 1, "c"),
    Change(("b", 2), "u", ABSENT, "x", "NOW"),
    Change(3, "u", float("nan"), datetime(2024, 1, 1, tzinfo=UTC), None),
]


def words(changes: list[Change]) -> list[str]:
    return [freeze([each.key, each.field, each.before, each.after, each.candidate]) for each in changes]


class TestLedger:
    def test_begins_empty(self, open_: Callable[[], Ledger]) -> None:
        """
        Where nothing was ever recorded there are no runs.
        """
        assert [] == open_().runs()
        assert [] == open_().runs("t")

    def test_runs(self, open_: Callable[[], Ledger]) -> None:
        """
        Runs come back as they were recorded, the oldest first, those of one table if asked.
        """
        first = open_().begin(RUN)
        other = open_().begin(evolve(RUN, table='it\'s "another"'))
        saved = open_().save(
            evolve(
                first,
                status="incomplete",
                counts=Counts(1, 2, 3, 4, 5),
                cursor=["é", {"n": None}],
                reason="because",
                finished=2**62,
            )
        )

        assert [saved, other] == open_().runs()
        assert [other] == open_().runs('it\'s "another"')
        assert other == find(open_(), other.id or 0)
        with pytest.raises(UnknownName, match="no run '7' in the ledger of t"):
            find(open_(), 7, "t")

    def test_one_at_a_time(self, open_: Callable[[], Ledger]) -> None:
        """
        Two runs of a table are not open at once.
        """
        run = open_().begin(RUN)

        with pytest.raises(RunBusy, match=f"{run.id}"):
            open_().begin(RUN)
        open_().save(evolve(run, status="complete"))
        assert run.id != open_().begin(RUN).id

    def test_intents(self, open_: Callable[[], Ledger]) -> None:
        """
        Intents become changes unless they were refused or failed.
        """
        run = open_().begin(RUN)
        open_().intend(run, CHANGES)

        assert words(CHANGES) == words(open_().intents(run))
        assert [] == open_().changes(run)

        settled = open_().settle(evolve(run, cursor=5), [CHANGES[1]], [Quarantined(3, "too bad")])

        assert [] == open_().intents(run)
        assert words(CHANGES[:1]) == words([change for _, change in open_().changes(run)])
        assert [Quarantined(3, "too bad")] == open_().quarantined(run)
        assert [settled] == open_().runs()
        assert 5 == settled.cursor

    def test_changes_are_numbered(self, open_: Callable[[], Ledger]) -> None:
        """
        Changes come from the newest back, in pages.
        """
        run = open_().begin(RUN)
        for low in (0, 3, 6):
            open_().intend(run, [Change(key, "u", None, key) for key in range(low, low + 3)])
            open_().settle(run, [], [])

        found = []
        after = 0
        while page := open_().changes(run, after, 2):
            found += [change.key for _, change in page]
            after = page[-1][0]

        assert list(range(8, -1, -1)) == found
        assert found == [change.key for _, change in open_().changes(run)]

    @pytest.mark.parametrize("verb", ["claim", "save", "intend", "settle"])
    def test_fences(self, open_: Callable[[], Ledger], verb: str) -> None:
        """
        Who was taken over writes nothing.
        """
        run = open_().begin(RUN)
        taken = open_().claim(run, '{"new": "owner"}', 7)
        old = open_()
        acts: dict[str, Callable[[], object]] = {
            "claim": lambda: old.claim(run, "{}", 9),
            "save": lambda: old.save(run),
            "intend": lambda: old.intend(run, CHANGES),
            "settle": lambda: old.settle(run, [], [Quarantined("a", "late")]),
        }

        with pytest.raises(LeaseLost, match=f"run {run.id} on t was taken over"):
            acts[verb]()
        assert [taken] == open_().runs()
        assert ([], [], []) == (open_().intents(run), open_().changes(run), open_().quarantined(run))
        assert (run.generation + 1, '{"new": "owner"}', 7) == (taken.generation, taken.owner, taken.lease_until)

    def test_export(self, open_: Callable[[], Ledger]) -> None:
        """
        A run is exported as JSON Lines from which every value can be had again.
        """
        run = open_().begin(RUN)
        open_().intend(run, CHANGES)
        run = open_().settle(run, [], [Quarantined("q", "why")])

        head, *changes, last = map(json.loads, export(open_(), run))

        assert json.loads(json.dumps(run.to_dict())) == head["run"]

        def read(each: dict[str, Any]) -> Change:
            key, before, after = (thaw(json.dumps(each[name])) for name in ("key", "before", "after"))
            return Change(key, each["field"], before, after, each["candidate"])

        assert words(CHANGES[::-1]) == words(list(map(read, changes)))
        assert {"quarantined": "q", "reason": "why"} == last


class TestRun:
    def test_undone_by(self) -> None:
        """
        The rollback of a run is found by its number.
        """
        run, back = evolve(RUN, id=1), evolve(RUN, id=2, action="rollback", undoes=1)

        assert back == undone_by([run, back], run)
        assert undone_by([run], run) is None

    @pytest.mark.parametrize(
        ("run", "said"),
        [
            (evolve(RUN, status="complete"), "t: nothing to do, complete"),
            (
                evolve(RUN, id=3, status="incomplete", counts=Counts(1000, 1, 2, 3, 4)),
                "t: backfill 3, incomplete: 1,000 filled, 3 unrepairable, 1 refused, 2 quarantined, 4 still arriving",
            ),
            (
                evolve(RUN, id=4, action="rollback", undoes=3, status="incomplete", counts=Counts(7, 2)),
                "t: rollback 4 of run 3, incomplete: 7 restored, 2 changed since",
            ),
            (evolve(RUN, id=5, status="stopped", reason="no room"), "t: backfill 5, stopped: 0 filled (no room)"),
        ],
    )
    def test_says(self, run: Run, said: str) -> None:
        """
        A run prints as one sentence.
        """
        assert said == str(run)

    def test_other_plan(self) -> None:
        """
        A run that was planned otherwise says what differs.
        """
        other = Job.of(present("u"), Repair("u", ("d",)), "epoch_ms", 0)

        RUN.same_plan(JOB)
        with pytest.raises(PlanChanged, match="repair was u <- c where missing, null, placeholder, is u <- d where"):
            evolve(RUN, id=1).same_plan(other)

    def test_without_an_id(self) -> None:
        """
        A run that was not recorded is in no ledger.
        """
        with pytest.raises(UnknownName):
            MemoryLedger().save(RUN)
