"""
What a backfill is to do: a guard, a repair, and the NOW that it pinned.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping

from attrs import frozen

from .instants import PLACEHOLDERS, Encoding, Encodings, Raw, encodings_for
from .repairs import Mend, Repair, first_sound, read_by
from .rules import Guard, Moment
from .targets.python import Judge, judge

__all__ = ["Job"]


@frozen(slots=False)  # so that the generated functions can be kept with it
class Job:
    """
    What a backfill is to do; `pinned` is its NOW as a value, in nanoseconds.

    `number` is what numbers are written as, where the store tells one kind from the other.
    """

    guard: Guard
    repair: Repair
    encodings: Mapping[str, Encoding]
    pinned: int
    number: type[int | float] | None = None

    @classmethod
    def of(cls, guard: Guard, repair: Repair, encodings: Encodings, pinned: int) -> Job:
        """
        Put a job together.

        Raises:
            UsageError: a field has no encoding.
        """
        return cls(guard, repair, encodings_for(read_by(repair, guard), encodings), pinned)

    @property
    def field(self) -> str:
        """The field that it mends."""
        return self.repair.field

    def moment(self, now: int) -> Moment:
        """NOW as a bound: as pinned, and as it is."""
        return Moment.at(self.pinned).and_at(now)

    def broken(self, record: Mapping[str, Raw], moment: Moment) -> bool:
        """Whether the field is broken in a code that the repair names."""
        faults = self._judge(record, moment.earliest, moment.latest)
        return any(name == self.field and code in self.repair.codes for code, name, _ in faults)

    def mend(self, record: Mapping[str, Raw], moment: Moment) -> Mend | None:
        """The value to write; None where no candidate holds. Whether the record is broken is not asked."""
        asked = self._asked
        return first_sound(
            record,
            self.repair,
            self.encodings,
            self.pinned,
            lambda tried: not asked(tried, moment.earliest, moment.latest),
            self.number,
        )

    @functools.cached_property
    def _judge(self) -> Judge:
        return judge(self.guard, self.encodings)

    @functools.cached_property
    def _asked(self) -> Judge:
        return judge(self.guard.about(self.field), self.encodings)

    def plan(self) -> str:
        """The job in words that are the same whenever the job is."""
        return json.dumps(
            {
                "field": self.field,
                "guard": str(self.guard),
                "repair": str(self.repair),
                "candidates": [str(candidate) for candidate in self.repair.candidates],
                "encodings": {name: _said(self.encodings[name]) for name in sorted(self.encodings)},
            }
        )


def _said(encoding: Encoding) -> str:
    """An encoding with its placeholders, where they are not the usual ones."""
    own = encoding.placeholders
    if own == PLACEHOLDERS:
        return str(encoding)
    return f"{encoding}, placeholders {sorted(own.numbers)}, {list(own.spans)}, {list(own.prefixes)}"
