"""
What a sample of a store looks like: which encodings its fields are written in, from when to when.

A description, not a check: it looks at some records and says how many.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from attrs import frozen

from ..errors import EncodingMismatch
from ..instants import (
    ABSENT,
    DAY,
    PLAUSIBLE_FROM,
    Cause,
    Encoding,
    Raw,
    decode,
    encodings_for,
    show,
)
from ..rules import Guard
from ..stores.base import Source, pages
from .drive import clock_of

__all__ = ["Profile", "best_encoding", "ensure_fits", "profile"]

SAMPLE: Final = 100_000
GUESSES: Final = tuple(
    map(
        Encoding.parse,
        (
            "epoch_ms",
            "epoch_s",
            "epoch_us",
            "epoch_ns",
            "rfc3339",
            "iso8601",
            "iso8601@UTC",
            "datetime",
            "datetime@UTC",
        ),
    )
)


@frozen
class Profile:
    """
    What `sampled` records hold in one field.

    `causes` counts values without an instant in the declared encoding, `fits` the share of the values present (not
    missing or null) that are plausible instants in each encoding, `common` is the raw value on most records and on how
    many. `least` and `most` are instants, None where none could be read.
    """

    field: str
    sampled: int
    present: int
    causes: Mapping[Cause, int]
    least: int | None
    most: int | None
    fits: Mapping[str, float]
    common: tuple[Raw, int] | None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "sampled": self.sampled,
            "causes": dict(self.causes),
            "min": None if self.least is None else show(self.least),
            "max": None if self.most is None else show(self.most),
            "fits": dict(self.fits),
        }


def profile(
    source: Source,
    fields: Iterable[str],
    *,
    now: int | Callable[[], int] | None = None,
    sample: int = SAMPLE,
) -> dict[str, Profile]:
    """
    Describe *fields* by the first *sample* records of *source*.

    Raises:
        UsageError: a field is not there, or has no encoding.
        StoreError: the store could not be read.
    """
    names = list(fields)
    encodings = encodings_for(names, source.encodings)
    values = sampled(source, names, sample)
    clock = clock_of(now, source)
    return {name: describe(name, values[name], encodings[name], clock()) for name in names}


def sampled(source: Source, names: Sequence[str], sample: int = SAMPLE) -> dict[str, list[Raw]]:
    """The raw values that the first *sample* records of *source* hold in the fields *names*."""
    values: dict[str, list[Raw]] = {name: [] for name in names}
    taken = 0
    for page in pages(source, min(sample, 10_000)):
        for _, record in page.records[: sample - taken]:
            taken += 1
            for name in names:
                values[name].append(record.get(name, ABSENT))
        if taken >= sample:
            break
    return values


def describe(name: str, raws: Sequence[Raw], encoding: Encoding, now: int) -> Profile:
    """Describe the raw values of one field."""
    causes: Counter[Cause] = Counter()
    instants = []
    for raw in raws:
        found = decode(raw, encoding)
        if isinstance(found, int):
            instants.append(found)
        else:
            causes[found] += 1
    present = [raw for raw in raws if decode(raw, encoding) not in {"missing", "null"}]
    common: Counter[tuple[type, Raw]] = Counter(
        (type(raw), raw) for raw in present if isinstance(raw, str | int | float | bytes)
    )
    top = common.most_common(1)
    return Profile(
        name,
        len(raws),
        len(present),
        dict(causes),
        min(instants, default=None),
        max(instants, default=None),
        shares(present, now),
        (top[0][0][1], top[0][1]) if top else None,
    )


def shares(present: Sequence[Raw], now: int) -> dict[str, float]:
    """The share of *present* that is a plausible instant in each encoding: between 2000 and a day after *now*."""
    found = {}
    for encoding in GUESSES:
        fit = sum(plausible(raw, encoding, now) for raw in present)
        if fit:
            found[str(encoding)] = fit / len(present)
    return found


def plausible(raw: Raw, encoding: Encoding, now: int) -> bool:
    """Whether *raw* is an instant between 2000 and a day after *now*."""
    instant = decode(raw, encoding)
    return isinstance(instant, int) and PLAUSIBLE_FROM <= instant <= now + DAY


def best_encoding(fits: Mapping[str, float]) -> tuple[str, float] | None:
    """The encoding that most values fit, the strictest of equals."""
    if not fits:
        return None
    name = max(fits, key=lambda each: fits[each])
    return name, fits[name]


FEW: Final = 20
"""Fewer values than this prove nothing about a column."""


def ensure_fits(
    source: Source, guard: Guard, *, now: int | Callable[[], int] | None = None, sample: int = 1000
) -> None:
    """
    Make sure that the declared encodings are those of the data, by a sample.

    Raises:
        EncodingMismatch: fewer than half of a field's values are plausible as declared, and nearly all in another
            encoding.
    """
    clock = clock_of(now, source)()
    encodings = encodings_for(guard.fields, source.encodings)
    for name, raws in sampled(source, guard.fields, sample).items():
        declared = encodings[name]
        present = [raw for raw in raws if decode(raw, declared) not in {"missing", "null"}]
        if len(present) < FEW:
            continue
        share = sum(plausible(raw, declared, clock) for raw in present) / len(present)
        if share >= 0.5:
            continue
        best = best_encoding(shares(present, clock))
        if best is not None and best[1] >= 0.9:
            msg = (
                f"{name} of {source.name} is declared {declared}, and {1 - share:.0%} of {len(present):,} sampled "
                f"values do not fit it; {best[1]:.0%} are {best[0]}: declare {name}={best[0]}"
            )
            raise EncodingMismatch(msg)
