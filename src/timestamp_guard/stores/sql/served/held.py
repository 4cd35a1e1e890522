"""
A job over a column of doubles, where Python judges: a number is what the column makes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from attrs import evolve, frozen

from ....instants import Raw, decode
from ....job import Job
from ....repairs import Mend, first_sound
from ....rules import Moment
from ....targets.typed import Kind

__all__ = ["as_held"]


def as_held(job: Job, kind: Kind) -> Job:
    """*job*, whose field is a column of that kind."""
    return _OfDoubles(job.guard, job.repair, job.encodings, job.pinned) if kind == "float" else job


@frozen(slots=False)
class _OfDoubles(Job):
    """An integer that is beyond what a double holds exactly is none there: it would be found broken again."""

    def mend(self, record: Mapping[str, Raw], moment: Moment) -> Mend | None:
        """See :class:`~timestamp_guard.job.Job`."""
        field, asked = self.field, self._asked

        def sound(tried: Mapping[str, Raw]) -> bool:
            number = _double(tried[field])
            if not isinstance(decode(number, self.encodings[field]), int):
                return False
            return not asked({**tried, field: number}, moment.earliest, moment.latest)

        found = first_sound(record, self.repair, self.encodings, self.pinned, sound)
        return None if found is None else evolve(found, after=_double(found.after))


def _double(raw: Raw) -> Raw:
    if isinstance(raw, bool) or not isinstance(raw, int | Decimal):
        return raw
    try:
        return float(raw)
    except OverflowError:
        return None
