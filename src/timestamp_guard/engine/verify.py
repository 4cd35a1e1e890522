"""
Proof after the fact: every record looked at anew, the ledger held against the data, and everything else as it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from attrs import asdict, frozen

from ..errors import UsageError
from ..frozen import freeze
from ..instants import ABSENT
from ..ledger import Ledger, Run, changes_of, undone_by
from ..report import Report
from ..rules import Guard
from ..stores.base import BatchStore, Fingerprint, Held, Probe, Probed, Record, Source, Verifiable, pages, same
from .check import check
from .drive import drive, known

__all__ = ["Verification", "fingerprint", "verify"]

PAGE = 10_000


@frozen
class Verification:
    """
    What a look after the fact found: `report` is a fresh check, `held` says for every run that stands what became of the
    records that it changed, `fingerprint` is that of all other fields and `expected` what it should be, `probe` what the
    store does with a record that lacks the field, and with one that has it.
    """

    table: str
    report: Report
    held: Mapping[int, Held]
    fingerprint: Fingerprint | None = None
    expected: Fingerprint | None = None
    probe: Probe | None = None

    @property
    def same(self) -> bool:
        """Whether all other fields are what they should be, where that is known."""
        return self.expected is None or self.expected == self.fingerprint

    @property
    def ok(self) -> bool:
        """Whether nothing is broken, nothing else has changed, and the store refuses what it should, where that was asked."""
        return self.report.ok and self.same and (self.probe is None or self.probe.ok)

    def __str__(self) -> str:
        lines = [str(self.report)]
        for number, held in self.held.items():
            said = f"  run {number}: {held.held:,} of {held.changed:,} records hold what it wrote"
            said += f", {held.since:,} were written since" if held.since else ""
            said += f", {held.gone:,} are gone" if held.gone else ""
            lines.append(said)
        if self.fingerprint is not None:
            match (self.expected, self.same):
                case (None, _):
                    said = f"{self.fingerprint}: pass it to --against to have it compared later"
                case (_, True):
                    said = "the same as before"
                case _:
                    said = f"{self.fingerprint} and not {self.expected}: somebody wrote to other fields, or to other records"
            lines.append(f"  all other fields: {said}")
        if self.probe is not None:
            lines.append(f"  {self.probe}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "ok": self.ok,
            "report": self.report.to_dict(),
            "runs": {str(number): asdict(held) for number, held in self.held.items()},
            "fingerprint": None if self.fingerprint is None else str(self.fingerprint),
            "same": self.same if self.expected is not None else None,
            "probe": None if self.probe is None else asdict(self.probe),
        }


def verify(
    store: Source,
    guard: Guard,
    field: str,
    *,
    now: int | Callable[[], int] | None = None,
    ledger: Ledger | None = None,
    against: Fingerprint | None = None,
    fingerprinted: bool = False,
    probe: bool = False,
) -> Verification:
    """
    Prove that *field* is as it should be: by a fresh check, and by the ledger, which is held against the data.

    *fingerprinted* takes a fingerprint of all other fields, which is the same in whatever order records are stored, and is
    compared with *against*, one taken before; *probe* tries a record without the field and one with it, in a transaction
    that is taken back.

    Raises:
        UsageError: a field is not there, or the store cannot be probed.
        StoreError: the store could not be read.
    """
    known(store, (*guard.fields, field))
    driven = drive(store, ledger)
    report = check(store, guard, now=now)
    runs = driven.ledger.runs(driven.name)
    standing = [
        run
        for run in runs
        if run.action == "backfill"
        and run.field == field
        and run.counts.changed
        and not run.purged
        and undone_by(runs, run) is None
    ]
    held = {run.id or 0: _held(driven, run) for run in standing}
    print_ = fingerprint(store, field) if fingerprinted or against is not None else None
    return Verification(driven.name, report, held, print_, against, _probe(store, guard, field) if probe else None)


def fingerprint(store: Source, without: str) -> Fingerprint:
    """A fingerprint of all records but for the field *without*: the same in whatever order they are stored."""
    if isinstance(store, Verifiable):
        return store.fingerprint(without)
    total = records = 0
    for page in pages(store, PAGE):
        for key, record in page.records:
            records += 1
            total += _print(key, record, without)
    return Fingerprint(records, total % 2**64)


def _print(key: Any, record: Record, without: str) -> int:
    rest = sorted((name, record.get(name, ABSENT)) for name in record if name != without)
    try:
        said = freeze([key, [list(pair) for pair in rest]])
    except (TypeError, ValueError):
        said = repr((key, rest))
    return int.from_bytes(hashlib.blake2b(said.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def _held(driven: BatchStore, run: Run) -> Held:
    """What became of the records that *run* changed."""
    if isinstance(driven, Verifiable):
        return driven.held(run)
    wrote: dict[str, Any] = {}
    for _, change in changes_of(driven.ledger, run):  # the newest first
        wrote.setdefault(freeze(change.key), change.after)
    changed, held, there = len(wrote), 0, 0
    for each in pages(driven, PAGE):
        for key, record in each.records:
            name = freeze(key)
            if name in wrote:
                there += 1
                held += same(record.get(run.field, ABSENT), wrote[name])
    return Held(changed, held, there - held, changed - there)


def _probe(store: Source, guard: Guard, field: str) -> Probe:
    if not isinstance(store, Probed):
        msg = f"{store.name} refuses nothing by itself, so there is nothing to probe"
        raise UsageError(msg)
    return store.probe(guard, field)
