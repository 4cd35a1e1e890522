"""
What a run does to a stretch of a file: finds the values that are to be mended, and puts others in their place.

Every changed record is read again and must hold what was written, and nothing else than before: only then it counts.
"""

from __future__ import annotations

import itertools
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from attrs import frozen
from msgspec import UNSET

from ...engine.tally import Estimate
from ...instants import Raw, brief
from ...job import Job
from ...ledger import Quarantined
from ...repairs import Mend, needs, read_by
from ...rules import Field, Moment, Present
from ...targets.gate import Sieve
from ..base import same
from .blocks import Block
from .codec import Codec
from .folder import Record
from .splice import Gap, Member, NotJson, find, path_of, put, skip, value_of, written

__all__ = ["Filling", "Patched", "read_for"]

Place: TypeAlias = Member | Gap

_STYLE: Final = re.compile(
    rb'\s*\{\s*"[^"\\]*"(\s*:\s*)(?:"[^"\\]*"|-?[0-9][0-9.eE+-]*|true|false|null)\s*,(\s*)"', re.DOTALL
)
"""How an object separates its first two members, where the first holds a plain value."""


def read_for(job: Job) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """
    What a job reads of every record, the fields of its guard first, as the sieve wants them; None where it reads all,
    and then those that it names.
    """
    names = needs(job.repair, job.guard)
    if names is not None:
        names = tuple(dict.fromkeys((*job.guard.fields, *names)))
    return names, read_by(job.repair, job.guard)


@frozen
class Patched:
    """A stretch as it becomes, and the lines of the ledger that say what was changed in it."""

    data: bytes
    lines: bytes


@frozen
class _Copies:
    """
    The usual work at once: records that lack the field, and pass the gate with the first candidate in its place, a
    plain copy of another field. Nothing of them is broken then.
    """

    sieve: Sieve
    pick: Callable[[Sequence[Any], Sequence[int], int], list[int]]
    place: int
    target: str
    source: str

    @classmethod
    def of(cls, job: Job, codec: Codec) -> _Copies | None:
        """None where the work is another."""
        first, fields = job.repair.candidates[0], job.guard.fields
        sieve = Sieve(job.guard, job.encodings)
        if not (codec.flat and sieve.possible and isinstance(first, Field)) or first.shift_ns:
            return None
        if not {"null", "missing"} <= job.repair.codes or Present(job.field) not in job.guard.rules:
            return None
        if first.name not in fields or job.encodings[first.name] != job.encodings[job.field]:
            return None
        place = fields.index(job.field)
        pick = sieve.copying(job.field, first.name)
        return cls(sieve, pick, place, f"f{place}", f"f{fields.index(first.name)}")


class Filling:
    """One walk of a job through a file; *write* is how a value is spelled there."""

    def __init__(
        self,
        job: Job,
        codec: Codec,
        samples: int = 0,
        aside: Sequence[Quarantined] = (),
        write: Callable[[Raw], bytes] = written,
    ) -> None:
        self.job, self.codec, self._write = job, codec, write
        self.estimate = Estimate(job, samples, aside)
        self.quarantined: list[Quarantined] = []
        self.changed = 0
        self._path = path_of(job.field)
        self._copies = None if samples or aside else _Copies.of(job, codec)
        name = written(self._path[-1])
        self._nulls = [name + colon + b"null" for colon in (b":", b": ")]

    def look(self, block: Block, number: int, moment: Moment) -> tuple[list[Any], dict[int, Mend]]:
        """
        The records of a block, and by their index those that are to be mended, each with how.

        Raises:
            NotJson: something else than records is there.
        """
        found = self.codec.read(block)
        rest, taken, _ = self._part(found, moment)
        return found, self._work(found, self._judged(block, found, number, moment, rest), taken)

    def _part(self, found: Sequence[Any], moment: Moment) -> tuple[Sequence[int], Sequence[int], str | None]:
        """What is to be judged, and what is the usual work; of that, whether all of it is null, or all missing."""
        if (copies := self._copies) is None:
            return range(len(found)), (), None
        rest, lacking = copies.sieve.part(found, moment.latest, UNSET)
        null, missing = lacking[2 * copies.place : 2 * copies.place + 2]
        asked = sorted(null + missing) if null and missing else null or missing
        # What lacks another field is not broken in this one.
        taken = copies.pick(found, asked, moment.latest)
        if (kind := self.job.number) is not None:  # what is written in another way is no plain copy
            taken = [index for index in taken if type(getattr(found[index], copies.source)) is kind]
        if len(taken) < len(asked):
            usual = set(taken)
            rest = [*rest, *(index for index in asked if index not in usual)]
        return rest, taken, None if null and missing else "null" if null else "missing"

    def _judged(
        self, block: Block, found: Sequence[Any], number: int, moment: Moment, indices: Sequence[int]
    ) -> dict[int, Mend]:
        """What is to be mended of some records, each judged for itself."""
        work: dict[int, Mend] = {}
        for index in indices:
            key = self.codec.key(found[index], number + index, block.name(index))
            there = self.codec.has(found[index], self._path)
            record = self.codec.record(found[index])
            mend = self.estimate.see(key, record, moment, mendable=there)
            if mend is not None:
                work[index] = mend
        return work

    def _work(self, found: Sequence[Any], judged: dict[int, Mend], taken: Sequence[int]) -> dict[int, Mend]:
        """All that is to be mended, in order: what was judged, and the usual work."""
        if not taken or self._copies is None:
            return dict(sorted(judged.items()))
        source = self._copies.source
        usual = {index: Mend(getattr(found[index], source), 0) for index in taken}
        self.estimate.count(0, len(usual))
        return dict(sorted({**judged, **usual}.items())) if judged else usual

    def patch(self, block: Block, number: int, moment: Moment, at: int) -> tuple[int, Patched | None]:
        """
        Mend what is in a block that is to begin at the byte *at*: how many records it has, and what it becomes, None
        where it stays as it is.

        Raises:
            NotJson: something else than records is there.
            NoIdentity: a record that is to be changed has no key.
        """
        found = self.codec.read(block)
        rest, taken, lack = self._part(found, moment)
        judged = self._judged(block, found, number, moment, rest)
        if not judged and taken and lack is not None and block.lines is not None:
            patched = self._swiftly(block, block.lines, found, number, taken, lack, at)
            if patched is not None:
                return len(found), patched
        work = self._work(found, judged, taken)
        if not work:
            return len(found), None
        return len(found), self._patched(block, found, number, work, at)

    def _swiftly(
        self,
        block: Block,
        lines: Sequence[bytes],
        found: Sequence[Any],
        number: int,
        taken: Sequence[int],
        lack: str,
        at: int,
    ) -> Patched | None:
        """
        Records of a line each, of which some hold null, or some lack the field, and nothing else is to be done; None
        where it cannot be proved.

        Done list by list and not record by record: it is the loop over millions of them that takes the time.
        """
        copies = self._copies
        if copies is None:
            return None
        records, olds = [found[index] for index in taken], [lines[index] for index in taken]
        values = self._spelled([getattr(record, copies.source) for record in records], olds)
        placed = None if values is None else (self._nulled if lack == "null" else self._lacking)(olds, values)
        if values is None or placed is None:
            return None
        places, cut, pieces = placed
        news = [
            line[:place] + piece + line[place + cut :] for line, place, piece in zip(olds, places, pieces, strict=True)
        ]
        absent = [getattr(record, copies.target) for record in records]
        for record in records:
            setattr(record, copies.target, getattr(record, copies.source))
        if self.codec.lines(news) != records:
            for record, was in zip(records, absent, strict=True):
                setattr(record, copies.target, was)
            return None
        if not self.codec.keyed:
            keys = [b"%d" % (number + index + 1) for index in taken]
        elif (plain := self.codec.plain_keys(records)) is not None:
            keys = list(map(written, plain))
        else:
            keys = [written_key(self.codec.identity(found[index], number + index, None)) for index in taken]
        lengths = list(map(len, pieces))
        starts = list(itertools.accumulate(map(len, lines), initial=at + block.body[0]))
        shifts = itertools.accumulate([length - cut for length in lengths], initial=0)
        moved = [starts[index] + place + shift for index, place, shift in zip(taken, places, shifts, strict=False)]
        was = b"null" if cut else b""
        was = itertools.repeat(b"null" if cut else b"")
        said = map(b"%d\t%d\t%b\t%b\t0\t%b\n".__mod__, zip(moved, lengths, was, values, keys, strict=False))
        parts = [block.data[: block.body[0]], *lines]
        for index, new in zip(taken, news, strict=True):
            parts[index + 1] = new
        self.estimate.count(0, len(records))
        self.changed += len(records)
        return Patched(b"".join(parts), b"".join(said))

    def _spelled(self, raws: Sequence[Raw], lines: Sequence[bytes]) -> list[bytes] | None:
        """Numbers of one kind as they are written in *lines*; None where some have a spelling that is theirs."""
        kinds = {*map(type, raws)}
        if kinds == {int} and self._write is written:
            return list(map(b"%d".__mod__, raws))
        if kinds == {float}:
            values = [repr(raw).encode() for raw in raws]
            return values if all(map(operator.contains, lines, values)) else None
        return None

    def _nulled(self, lines: Sequence[bytes], values: list[bytes]) -> tuple[list[int], int, list[bytes]] | None:
        """Where null stands in each line, how long that is, and what takes its place."""
        for null in self._nulls:
            places = [line.rfind(null) for line in lines]
            if min(places) >= 0:
                return [place + len(null) - 4 for place in places], 4, values
        return None

    def _lacking(self, lines: Sequence[bytes], values: list[bytes]) -> tuple[list[int], int, list[bytes]] | None:
        """Where the field goes in each line, nothing that it takes the place of, and the whole member."""
        places, pieces = [], []
        name = written(self._path[-1])
        for line, value in zip(lines, values, strict=True):
            end = line.rfind(b"}")
            style = _STYLE.match(line)
            if end < 0 or style is None:
                return None
            places.append(len(line[:end].rstrip(b" \t\r\n")))
            pieces.append(b"," + style[2] + name + style[1] + value)
        return places, 0, pieces

    def _patched(
        self, block: Block, found: Sequence[Any], number: int, work: dict[int, Mend], at: int
    ) -> Patched | None:
        spans = block.spans()
        if len(spans) != len(found):
            raise NotJson(block.body[0], "one record a line")
        data, name = block.data, self._path[-1]
        texts: list[bytes] = []
        places: list[Place | None] = []
        values: list[bytes] = []
        changed: list[bytes] = []
        for index, mend in work.items():
            start, stop = spans[index]
            text = data[start:stop]
            place, value = self._place(text, found[index]), self._value(text, mend)
            texts.append(text)
            places.append(place)
            values.append(value)
            changed.append(text if place is None else put(text, place, name, value))
        again = [self.codec.one(each) for each in changed]
        if not self._all_proved(found, work, again):
            for nth, (index, mend) in enumerate(work.items()):
                places[nth], changed[nth] = self._proved(
                    found[index], mend, texts[nth], places[nth], changed[nth], values[nth]
                )
        parts: list[bytes] = []
        lines: list[bytes] = []
        done, size = 0, at
        for (index, mend), text, place, value, new in zip(work.items(), texts, places, values, changed, strict=True):
            if place is None:
                self._set_aside(self.codec.key(found[index], number + index, block.name(index)), mend)
                continue
            start = spans[index][0]
            size += start - done
            key = self.codec.identity(found[index], number + index, block.name(index))
            if isinstance(place, Member):
                was: bytes | None = text[place.start : place.end]
                where, length = size + place.start, len(value)
            else:
                was, where, length = None, size + place.at, len(new) - len(text)
            lines.append(Record(where, length, was, value, mend.candidate, written_key(key)).line())
            parts += (data[done:start], new)
            size += len(new)
            done = start + len(text)
        if not lines:
            return None
        parts.append(data[done:])
        self.changed += len(lines)
        return Patched(b"".join(parts), b"".join(lines))

    def _place(self, text: bytes, record: Any) -> Place | None:
        """Where the value is or would be: by a look at its usual place, which is proved later, or by walking there."""
        if self._copies is not None:
            held = getattr(record, self._copies.target)
            if held is None:
                for null in self._nulls:
                    if (place := text.rfind(null)) >= 0:
                        end = place + len(null)
                        return Member(end - 4, end, (0, 0))
            elif held is UNSET and text.endswith(b"}") and (style := _STYLE.match(text)):
                return Gap(len(text[:-1].rstrip(b" \t\r\n")), b"," + style[2], style[1])
        return find(text, skip(text, 0), self._path)

    def _value(self, text: bytes, mend: Mend) -> bytes:
        """What is written: a field that is copied as it is has its spelling too."""
        candidate = self.job.repair.candidates[mend.candidate]
        if isinstance(candidate, Field) and type(mend.after) in {float, str}:
            place = find(text, skip(text, 0), path_of(candidate.name))
            if isinstance(place, Member):
                token = text[place.start : place.end]
                if same(value_of(token), mend.after):
                    return token
        return self._write(mend.after)

    def _all_proved(self, found: Sequence[Any], work: dict[int, Mend], again: Sequence[Any]) -> bool:
        """Whether every record holds what was written, and otherwise what it held; at once, where that is the usual."""
        if self._copies is None:
            return False
        target = self._copies.target
        was = [found[index] for index in work]
        held = [getattr(record, target) for record in was]
        for record, mend in zip(was, work.values(), strict=True):
            setattr(record, target, mend.after)
        kinds = {(type(mend.after), type(getattr(now, target))) for mend, now in zip(work.values(), again, strict=True)}
        proved = was == again and all(one is other for one, other in kinds)
        for record, before in zip(was, held, strict=True):
            setattr(record, target, before)
        return proved

    def _proved(
        self, was: Any, mend: Mend, text: bytes, place: Place | None, changed: bytes, value: bytes
    ) -> tuple[Place | None, bytes]:
        """The place and the text that prove to be right; no place where none does."""
        before = self.codec.record(_with(was, self._path, mend.after) if self.codec.names is None else was)
        if self.codec.names is not None or len(self._path) > 1:
            before[self.job.field] = mend.after
        if place is not None and _same_fields(before, self.codec.record(self.codec.one(changed))):
            return place, changed
        place = find(text, skip(text, 0), self._path)
        if place is not None:
            changed = put(text, place, self._path[-1], value)
            if _same_fields(before, self.codec.record(self.codec.one(changed))):
                return place, changed
        return None, text

    def _set_aside(self, key: Any, mend: Mend) -> None:
        reason = (
            f"{brief(mend.after)} was not written: read again, the record did not hold it, or not what it held before"
        )
        self.quarantined.append(Quarantined(key, reason))


def _with(record: dict[str, Raw], path: Sequence[str], value: Raw) -> dict[str, Raw]:
    """A record that holds *value* in a field of an object of its own."""
    first, *rest = path
    inner = record.get(first)
    return {**record, first: _with(inner, rest, value) if rest and isinstance(inner, dict) else value}


def _same_fields(one: dict[str, Raw], other: dict[str, Raw]) -> bool:
    return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)


def written_key(key: Any) -> bytes:
    """A key as the ledger has it."""
    return written(list(key) if isinstance(key, tuple) else key)
