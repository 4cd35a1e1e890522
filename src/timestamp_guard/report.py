"""
What a check found, as text and as JSON.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from attrs import frozen

from .instants import ABSENT, Cause, Raw, brief, show
from .predicate import CODES, Code, Fault, Violation
from .rules import Guard, Pair

__all__ = ["Report", "Samples", "jsonable"]


class _Sample(Protocol):
    @property
    def key(self) -> Any: ...
    @property
    def violation(self) -> Violation: ...


class Samples(Protocol):
    """What a report is made of: a survey of a store."""

    @property
    def records(self) -> int:
        """How many records there are."""
        ...

    @property
    def broken(self) -> int:
        """How many of them are broken."""
        ...

    @property
    def faults(self) -> Mapping[Fault, int]:
        """Violations by fault."""
        ...

    @property
    def undecided(self) -> Mapping[tuple[Pair, Cause], int]:
        """Records of which a pair could not be judged, by the cause."""
        ...

    @property
    def causes(self) -> Mapping[tuple[str, Cause], int]:
        """Causes why a field holds no instant."""
        ...

    @property
    def samples(self) -> Sequence[_Sample]:
        """Some broken records."""
        ...


@frozen
class Report:
    """
    What a check found: `records` looked at, `broken` among them, and violations by code (a record can have several).

    `undecided` counts the records of which a pair of fields could not be compared, by the cause; `fields` the causes
    why a field holds no instant, whether the guard asks for one or not. Print it, or ask `ok`.
    """

    table: str
    now: int
    records: int
    broken: int
    violations: Mapping[Code, int]
    faults: Mapping[Fault, int]
    undecided: Mapping[str, Mapping[Cause, int]]
    fields: Mapping[str, Mapping[Cause, int]]
    samples: Sequence[_Sample]
    strict: bool = False

    @classmethod
    def of(cls, table: str, guard: Guard, survey: Samples, now: int, *, strict: bool = False) -> Report:
        """Put a survey in order."""
        codes: Counter[Code] = Counter()
        for (code, _, _), count in survey.faults.items():
            codes[code] += count
        undecided: dict[str, dict[Cause, int]] = {}
        for (pair, cause), count in survey.undecided.items():
            undecided.setdefault(str(pair), {})[cause] = count
        fields: dict[str, dict[Cause, int]] = {name: {} for name in guard.fields}
        for (name, cause), count in survey.causes.items():
            fields[name][cause] = count
        return cls(
            table,
            now,
            survey.records,
            survey.broken,
            {code: codes[code] for code in CODES if codes[code]},
            dict(survey.faults),
            undecided,
            fields,
            tuple(survey.samples),
            strict,
        )

    @property
    def ok(self) -> bool:
        """Whether no record is broken and, where that is asked for, none is undecided."""
        return not self.broken and not (self.strict and self.undecided)

    def __str__(self) -> str:
        head = f"{self.table}: {self.records:,} records"
        if not self.broken and not self.undecided:
            return f"{head}, all sound"
        lines = [f"{head}, {self.broken:,} broken" if self.broken else f"{head}, none broken"]
        rows = [
            (f"{count:,}", code, name + (f" (against {other})" if other else ""))
            for (code, name, other), count in sorted(self.faults.items(), key=lambda fault: -fault[1])
        ]
        width = max((len(count) for count, _, _ in rows), default=0)
        words = max((len(code) for _, code, _ in rows), default=0)
        for count, code, name in rows:
            lines.append(f"  {count:>{width}} {code:<{words}}  {name}")
            shown = [s for s in self.samples if (s.violation.code, _labelled(s.violation)) == (code, name)]
            lines += [f"  {'':>{width}}   {_key(s.key)}: {s.violation}" for s in shown[:3]]
        for pair, causes in self.undecided.items():
            counts = ", ".join(f"{count:,} {cause}" for cause, count in causes.items())
            lines.append(f"  undecided {pair}: {counts}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the entry of this table in what `check --format json` prints."""
        return {
            "records": self.records,
            "broken": self.broken,
            "violations": dict(self.violations),
            "undecided": {pair: dict(causes) for pair, causes in self.undecided.items()},
            "fields": {
                name: {"causes": dict(causes), "min": None, "max": None} for name, causes in self.fields.items()
            },
            "samples": [
                {
                    "key": jsonable(sample.key),
                    "code": sample.violation.code,
                    "field": sample.violation.field,
                    "other": sample.violation.other,
                    "seen": jsonable(sample.violation.seen),
                    "wanted": sample.violation.wanted,
                    "hint": sample.violation.hint,
                }
                for sample in self.samples
            ],
        }


def _labelled(violation: Violation) -> str:
    return violation.field + (f" (against {violation.other})" if violation.other else "")


def _key(key: Any) -> str:
    return brief(list(key) if isinstance(key, tuple) else key)


def jsonable(raw: Raw) -> Any:
    """A raw value for JSON that people read: exact where JSON has it, else in words."""
    if raw is ABSENT:
        return None
    if raw is None or isinstance(raw, bool | str):
        return raw if not isinstance(raw, str) or len(raw) <= 200 else brief(raw)
    if isinstance(raw, int) and abs(raw) < 2**63:
        return int(raw)
    if isinstance(raw, float) and raw == raw and abs(raw) != float("inf"):  # noqa: PLR0124 - NaN
        return float(raw)
    if isinstance(raw, tuple | list):
        return [jsonable(each) for each in raw]
    return brief(raw)


def at(instant: int | None) -> str | None:
    """An instant for JSON."""
    return None if instant is None else show(instant)
