"""
What a run does to a stretch of a file: finds the values that are to be mended, and puts others in their place.

Every changed record is read again and must hold what was written, and nothing else than before: only then it counts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from attrs import frozen
from msgspec import UNSET

from ...engine.stepwise import Estimate
from ...instants import Encoding, brief
from ...job import Job
from ...ledger import Key, Quarantined
from ...repairs import Mend, needs
from ...rules import Field, Moment, Present
from ...targets.gate import sieve
from ..base import same
from .blocks import Block
from .codec import Codec
from .folder import Record
from .splice import Gap, Member, NotJson, find, path_of, put, skip, written

__all__ = ["Filling", "codec_for"]

_STYLE: Final = re.compile(
    rb'\s*\{\s*"[^"\\]*"(\s*:\s*)(?:"[^"\\]*"|-?[0-9][0-9.eE+-]*|true|false|null)\s*,(\s*)"', re.DOTALL
)
"""How an object separates its first two members, where the first holds a plain value."""


def codec_for(job: Job, key: Sequence[str], *, nonfinite: bool) -> Codec:
    """What a job reads of every record; the fields of its guard first, as the sieve wants them."""
    names = needs(job.repair, job.guard)
    if names is not None:
        names = tuple(dict.fromkeys((*job.guard.fields, *names)))
    return Codec(names, key, nonfinite=nonfinite)


@frozen
class Patched:
    """A stretch as it becomes, and what was changed in it; the places are those of the stretch."""

    data: bytes
    records: Sequence[Record]


class Filling:
    """One walk of a job through a file."""

    def __init__(self, job: Job, codec: Codec, samples: int = 0) -> None:
        self.job, self.codec = job, codec
        self.estimate = Estimate(job, samples)
        self.quarantined: list[Quarantined] = []
        self.changed = 0
        self._path = path_of(job.field)
        self._sieve = sieve(job.guard, job.encodings) if codec.flat else None
        self._needle = written(self._path[-1])
        self._copied = self._plain_copy()

    def _plain_copy(self) -> int | None:
        """The number of the field of which the first candidate is a plain copy, where null and missing ask for one."""
        job, names = self.job, self.codec.names
        first = job.repair.candidates[0]
        if self._sieve is None or names is None or not isinstance(first, Field) or first.shift_ns:
            return None
        if not {"null", "missing"} <= job.repair.codes or Present(job.field) not in job.guard.rules:
            return None
        target: Encoding = job.encodings[job.field]
        if first.name not in job.guard.fields or job.encodings[first.name] != target:
            return None
        return names.index(first.name)

    # -- judging

    def look(self, block: Block, number: int, moment: Moment) -> tuple[list[Any], list[tuple[int, Mend]]]:
        """
        The records of a block, and by their index those that are to be mended, each with how.

        Raises:
            NotJson: something else than records is there.
        """
        found = self.codec.read(block)
        suspects = range(len(found)) if self._sieve is None else self._sieve(found, moment.latest)
        if not suspects:
            return found, []
        work: dict[int, Mend] = {}
        rest: Sequence[int] = suspects
        if self._copied is not None and self._sieve is not None:
            work, rest = self._copies(found, suspects, moment)
        for index in rest:
            record = self.codec.record(found[index])
            name = None if block.names is None else block.names[index]
            mend = self.estimate.see(self.codec.key(found[index], number + index, name), record, moment)
            if mend is not None:
                work[index] = mend
        return found, sorted(work.items()) if rest and work else list(work.items())

    def _copies(
        self, found: Sequence[Any], suspects: Sequence[int], moment: Moment
    ) -> tuple[dict[int, Mend], list[int]]:
        """
        Those that lack the value, and pass the gate with the first candidate in its place: nothing is broken then.
        """
        target = f"f{self.job.guard.fields.index(self.job.field)}"
        source = f"f{self._copied}"
        tried, rest, places = [], [], []
        for index in suspects:
            one = found[index]
            value = getattr(one, source)
            if (held := getattr(one, target)) is None or held is UNSET:
                setattr(one, target, value)
                tried.append(one)
                places.append((index, held, value))
            else:
                rest.append(index)
        failed = set(self._sieve(tried, moment.latest)) if self._sieve is not None else set()
        work: dict[int, Mend] = {}
        for place, (index, held, value) in enumerate(places):
            setattr(found[index], target, held)
            if place in failed:
                rest.append(index)
            else:
                work[index] = Mend(value, 0)
        self.estimate.mended(0, len(work))
        return work, sorted(rest)

    # -- changing

    def patch(self, block: Block, number: int, moment: Moment) -> tuple[int, Patched | None]:
        """
        Mend what is in a block: how many records it has, and what it becomes, None where it stays as it is.

        Raises:
            NotJson: something else than records is there.
            NoIdentity: a record that is to be changed has no key.
        """
        found, work = self.look(block, number, moment)
        if not work:
            return len(found), None
        spans = block.spans()
        if len(spans) != len(found):
            raise NotJson(block.body[0], "one record a line")
        data = block.data
        made: list[tuple[int, Mend, bytes, Member | Gap, int, bytes]] = []
        for index, mend in work:
            start, stop = spans[index]
            text = data[start:stop]
            place = self._place(text, found[index])
            value = written(mend.after)
            if place is None:
                reason = f"there is no object {'.'.join(self._path[:-1])} to put {self._path[-1]} into"
                self._set_aside(block, found[index], number + index, index, mend, reason)
            else:
                made.append((index, mend, text, place, start, value))
        return len(found), self._made(block, found, number, made)

    def _made(
        self,
        block: Block,
        found: Sequence[Any],
        number: int,
        made: Sequence[tuple[int, Mend, bytes, Member | Gap, int, bytes]],
    ) -> Patched | None:
        data, name = block.data, self._path[-1]
        texts = [put(text, place, name, value) for _, _, text, place, _, value in made]
        again = self.codec.many(texts) if block.shape == "lines" else [self.codec.one(text) for text in texts]
        parts: list[bytes] = []
        records: list[Record] = []
        done = size = 0
        for (index, mend, text, place, start, value), changed, now in zip(made, texts, again, strict=True):
            if not self._proved(found[index], now, mend):
                place_again = find(text, skip(text, 0), self._path)
                if place_again is None or place_again == place:
                    self._set_aside(
                        block, found[index], number + index, index, mend, "it could not be proved by reading"
                    )
                    continue
                place, changed = place_again, put(text, place_again, name, value)
                if not self._proved(found[index], self.codec.one(changed), mend):
                    self._set_aside(
                        block, found[index], number + index, index, mend, "it could not be proved by reading"
                    )
                    continue
            key = self.codec.identity(found[index], number + index, None if block.names is None else block.names[index])
            parts += (data[done:start], changed)
            size += start - done
            before = text[place.start : place.end] if isinstance(place, Member) else None
            at = place.start if isinstance(place, Member) else place.at
            length = len(changed) - len(text) + (len(before) if before is not None else 0)
            records.append(Record(size + at, length, before, value, mend.candidate, written_key(key)))
            size += len(changed)
            done = start + len(text)
        if not records:
            return None
        parts.append(data[done:])
        self.changed += len(records)
        return Patched(b"".join(parts), records)

    def _place(self, text: bytes, record: Any) -> Member | Gap | None:
        """Where the value is or would be: by a look at its usual place, which is proved later, or by walking there."""
        if self._copied is not None:
            held = getattr(record, f"f{self.job.guard.fields.index(self.job.field)}")
            if held is None:
                at = text.rfind(self._needle) + len(self._needle)
                for colon in (b":null", b": null"):
                    if text.startswith(colon, at):
                        return Member(at + len(colon) - 4, at + len(colon), (0, 0))
            elif held is UNSET and text.endswith(b"}") and (style := _STYLE.match(text)):
                return Gap(len(text[:-1].rstrip(b" \t\r\n")), b"," + style[2], style[1])
        return find(text, skip(text, 0), self._path)

    def _proved(self, was: Any, now: Any, mend: Mend) -> bool:
        """Whether a record holds what was written, and otherwise what it held."""
        before, after = self.codec.record(was), self.codec.record(now)
        held = after.get(self.job.field, UNSET)
        if not same(held, mend.after):
            return False
        before[self.job.field] = held
        return before.keys() == after.keys() and all(same(before[name], after[name]) for name in before)

    def _set_aside(self, block: Block, found: Any, number: int, index: int, mend: Mend, reason: str) -> None:
        key: Key = self.codec.key(found, number, None if block.names is None else block.names[index])
        self.quarantined.append(Quarantined(key, f"{brief(mend.after)} was not written: {reason}"))


def written_key(key: Key) -> bytes:
    """A key as the ledger has it."""
    return written(list(key) if isinstance(key, tuple) else key)
