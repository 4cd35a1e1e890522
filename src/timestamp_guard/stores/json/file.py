"""
What a store does with records in a file: they are judged as they stand, and patched byte by byte. One run is one atomic
step.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from attrs import evolve
from msgspec import UNSET

from ..._faults import reach
from ...engine.tally import Tally
from ...engine.walk import ensure_few
from ...errors import NoIdentity, StoreDamaged, StoreError, StoreReadOnly
from ...instants import Encodings, encodings_for, ensure_no_datetimes
from ...job import Job
from ...ledger import Counts, Cursor, Quarantined, Run
from ...rules import Guard
from ...targets.gate import Sieve
from ..base import Assessment, Clock, Page, Step, Survey
from .blocks import Block, Shape, pass_over
from .codec import Codec, Nested, names_in
from .content import Content
from .folder import FolderLedger, Patch
from .patching import Filling, read_for
from .replace import Identity, Replacement, back_up, digest_of, identity_of, refuse
from .rewriting import DONE, MADE, PROMISED, Records, Rewriting, kept, placed, told
from .undoing import by_key, exactly

__all__ = ["FileStore"]


class FileStore:
    """
    Records that are known how to be found in a file: all that a store does with them. Close it, or use it as a context
    manager.
    """

    target = 1.0
    typed = False

    def __init__(
        self,
        content: Content,
        shape: Shape,
        name: str,
        ledger: FolderLedger,
        *,
        encodings: Encodings,
        key: Sequence[str],
        read_only: bool,
    ) -> None:
        ensure_no_datetimes(encodings, "JSON")
        self.content, self.shape, self.name, self.ledger = content, shape, name, ledger
        self.encodings, self.key, self.read_only = encodings, tuple(key), read_only
        self._walk: Rewriting | None = None
        self._digested: tuple[Identity, str] | None = None
        self._known: tuple[Identity, Assessment] | None = None
        self._paging: tuple[Block, list[Any], Generator[tuple[Block, list[Any]], None, None]] | None = None

    # -- how values are written

    def codec(self, names: Sequence[str] | None, key: Sequence[str] = (), also: Sequence[str] = ()) -> Codec:
        """What reads these fields."""
        return Codec(names, key, also=also)

    def meant(self, job: Job) -> Job:
        """The job as it is for this file."""
        return job

    def filling(self, job: Job, samples: int = 0, aside: Sequence[Quarantined] = ()) -> Filling:
        """What does the job."""
        return Filling(job, self.codec_for(job), samples, aside)

    def codec_for(self, job: Job) -> Codec:
        """What reads the fields that the job asks for."""
        names, also = read_for(job)
        return self.codec(names, self.key, also)

    def close(self) -> None:
        """Let others work on the file."""
        if self._walk is not None:
            self._walk.abandon()
        self._stop_paging()
        self.ledger.free()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- reading

    def _source(self) -> Records:
        return Records(self.content, self.shape, self.name, self.key, self.ledger)

    def _blocks(self, file: BinaryIO, at: int = 0) -> Iterator[Block]:
        return self._source().blocks(file, at)

    def _read(self, codec: Codec) -> Iterator[tuple[Block, list[Any]]]:
        """The stretches of the file, and what is read of each."""
        with told(self.content), self.content.open() as file:
            for block in self._blocks(file):
                yield block, placed(block, codec.read, block)

    def fields(self) -> Sequence[str]:
        """The fields of the first records: others may have more."""
        found: dict[str, None] = {}
        for block, records in self._read(self.codec(None)):
            for record in records:
                found |= names_in(record)
            if block.at > 2**19:
                break
        return list(found)

    def declared(self) -> Mapping[str, str]:
        """JSON declares nothing."""
        return {}

    def scan(self, after: Cursor, limit: int) -> Page:
        """Records in the order of the file, with all their fields; those in an object of their own by their path too."""
        at, number, passed = after if after is not None else (0, 0, 0)
        codec = self.codec(None, self.key)
        found: list[tuple[Any, Nested]] = []
        for block, records in self._pages(codec, at, anew=after is None):
            for index in range(passed, len(records)):
                if len(found) == limit:
                    return Page(found, [block.at, number, index])
                one = records[index]
                found.append((codec.key(one, number + index, block.name(index)), Nested(one)))
            number, passed = number + len(records), max(0, passed - len(records))
        return Page(found, None)

    def _pages(self, codec: Codec, at: int, *, anew: bool) -> Iterator[tuple[Block, list[Any]]]:
        """
        What is read from *at* on.

        The file is kept open between two pages, for it is asked for page by page, and what is packed can only be read
        from its beginning.
        """
        if not anew and self._paging is not None and self._paging[0].at == at:
            block, records, rest = self._paging
            yield block, records
        else:
            self._stop_paging()
            rest = self._blocks_read(codec, at)
        for block, records in rest:
            self._paging = block, records, rest
            yield block, records

    def _stop_paging(self) -> None:
        if self._paging is not None:
            self._paging[2].close()
            self._paging = None

    def _blocks_read(self, codec: Codec, at: int) -> Generator[tuple[Block, list[Any]], None, None]:
        with told(self.content), self.content.open() as file:
            pass_over(file, at)
            for block in self._blocks(file, at):
                yield block, placed(block, codec.read, block)

    def survey(self, guard: Guard, clock: Clock, samples: int) -> Survey:
        """Look at every record once."""
        encodings = encodings_for(guard.fields, self.encodings)
        codec = self.codec(guard.fields, self.key)
        sieve = Sieve(guard, encodings)
        tally = Tally(guard, encodings, samples)
        number = 0
        for block, records in self._read(codec):
            now = clock()
            rest: Sequence[int] = range(len(records))
            if codec.flat and sieve.possible:
                rest, lacking = sieve.part(records, now, UNSET)
                tally.sound(len(records) - len(rest) - sum(map(len, lacking)))
                for alike in filter(None, lacking):
                    few = alike[:samples] or alike[:1]
                    for index in few:
                        times = len(alike) - len(few) + 1 if index == few[-1] else 1
                        key = codec.key(records[index], number + index, block.name(index))
                        tally.see(key, codec.record(records[index]), now, times)
            for index in rest:
                key = codec.key(records[index], number + index, block.name(index))
                tally.see(key, codec.record(records[index]), now)
            number += len(records)
        return tally.survey()

    def assess(self, job: Job, clock: Clock, samples: int, run: Run | None = None) -> Assessment:
        """
        Count what there is to do.

        Of a run that has just put its file in place that is known: every record of it was judged, and what was written
        read again, and nobody has touched it since.
        """
        if run is not None and self._known is not None and self._known[0] == identity_of(self.content.path.stat()):
            return self._known[1]
        aside = self.ledger.quarantined(run) if run is not None and run.counts.quarantined else ()
        job = self.meant(job)
        filling = self.filling(job, samples, aside)
        number = 0
        with told(self.content), self.content.open() as file:
            for block in self._blocks(file):
                found, _ = placed(block, filling.look, block, number, job.moment(clock()))
                number += len(found)
        return filling.estimate.assessment()

    def statements(self, job: Job) -> Sequence[str]:
        """What a run does to the file."""
        return [
            (
                f"the bytes of {job.field} in {self.content.path.name} are replaced, and nothing else: a new file is written "
                f"beside it, and put in its place"
            ),
            "locks: none for readers; another run on the file is refused for as long as this one takes",
        ]

    # -- writing

    def prepare(self, job: Job, clock: Clock) -> bool:
        """Whether there is anything to mend, and whether that could be written."""
        self.content.refuse_unwritable()
        job = self.meant(job)
        filling = self.filling(job)
        number = 0
        with told(self.content), self.content.open() as file:
            for block in self._blocks(file):
                found, work = placed(block, filling.look, block, number, job.moment(clock()))
                if work:
                    index = next(iter(work))
                    filling.codec.identity(found[index], number + index, block.name(index))
                    self._refuse()
                    return True
                number += len(found)
        return False

    def _refuse(self) -> None:
        """Make sure that the file can be replaced."""
        self.content.refuse_unwritable()
        if self.read_only:
            raise StoreReadOnly(f"{self.content.name} was opened to be read only")
        refuse(self.content.path)

    def step(self, job: Job, run: Run, clock: Clock, limit: int) -> Step:  # noqa: ARG002 - a run is one step
        """Go on through the file; at its end, put what was made in its place."""
        if run.cursor == MADE or run.sweep > 1:  # what came since is for another run: one run is one step
            return Step(run, done=True)
        if self._walk is None:
            made = self._made_already(run)
            if made is not None:
                return made
            self._walk = Rewriting(self._source(), run, self.filling(self.meant(job)))
        walk = self._walk
        try:
            more = walk.go(job, clock)
            ensure_few(run, walk.filling.quarantined, walk.filling.changed)
            if more:
                far = evolve(run, counts=evolve(run.counts, changed=walk.filling.changed))
                return Step(far, done=False, fraction=walk.fraction)
            step, identity = walk.finish(run)
            self._known = identity, Assessment({}, walk.filling.estimate.assessment().unrepairable)
        except BaseException:
            walk.abandon()
            self._walk = None
            raise
        self._walk = None
        return step

    def _made_already(self, run: Run) -> Step | None:
        """The step that a process made which was killed before it could say so: the digest of the file tells."""
        patch = self.ledger.patch(run)
        if patch is None:
            return None
        digest = self._digest()
        if digest == patch.after:
            aside = self.ledger.quarantined(run)
            counts = evolve(run.counts, changed=patch.changed, refused=patch.refused, quarantined=len(aside))
            run = self.ledger.save(evolve(run, counts=counts, cursor=MADE))
            return Step(run, done=True, touched=patch.changed)
        if digest != patch.before and not self._never_made(run):
            raise StoreError(
                f"{self.content.path} is neither what run {run.id} found nor what it makes: somebody else changed it, and "
                f"nothing of it was touched; take run {run.id} back, and begin a new one"
            )
        return None

    def undo(self, run: Run, undone: Run, clock: Clock, limit: int) -> Step:  # noqa: ARG002 - as above
        """Take all of it back at once: byte by byte where the file is what the run made, by key where it is not."""
        if run.cursor == MADE:
            return Step(run, done=True)
        made = self._made_already(run)
        if made is not None:
            return made
        patch = self.ledger.patch(undone)
        digest = self._undoable(undone)
        if patch is None or digest == patch.before:
            return Step(self.ledger.save(run), done=True)  # it never came so far
        with contextlib.ExitStack() as stack:
            raw = stack.enter_context(self.content.raw())
            new = Replacement(self.content, self.ledger.new(run), raw)
            stack.callback(new.abandon)
            with told(self.content):
                if digest == patch.after:
                    restored = exactly(self.content.unpacked(raw), self.ledger.spans(undone), new)
                    refused = 0
                else:
                    codec = self.codec((undone.field,), patch.key)
                    restored, refused = by_key(
                        lambda: self._again(raw, codec), codec, undone.field, self.ledger.records(undone), new
                    )
            before, after = new.finish()
            if digest == patch.after and after != patch.before:
                raise StoreDamaged(
                    f"the ledger in {self.ledger.folder} does not give back what run {undone.id} found: nothing was touched"
                )
            self.ledger.promise(run, Patch(before, after, restored, refused))
            with kept(self.ledger, run, new):
                reach(PROMISED)
                new.commit()
        counts = Counts(changed=restored, refused=refused)
        run = self.ledger.save(evolve(run, counts=counts, cursor=MADE))
        reach(DONE)
        return Step(run, done=True, touched=restored)

    def ensure_undoable(self, run: Run) -> None:
        """
        Make sure that the changes of *run* can be found in the file.

        Raises:
            NoIdentity: the file was changed since, and its records have no key.
            StoreError: it cannot be replaced.
        """
        self._undoable(run)

    def _undoable(self, run: Run) -> str | None:
        """The digest of the file, from which *run* can be taken back; None where there is nothing to."""
        patch = self.ledger.patch(run)
        if patch is None or not patch.changed:
            return None if patch is None else patch.before
        self._refuse()
        digest = self._digest()
        if digest in {patch.before, patch.after} or (patch.keyed and not self._never_made(run)):
            return digest
        if self._never_made(run):
            return patch.before
        raise NoIdentity(
            f"{self.content.path} was changed since run {run.id}, whose records have no key by which they could be "
            f"found again: nothing was taken back; put the file back as the run left it, or see timestamp-guard runs "
            f"export {run.id} for the old values"
        )

    def _never_made(self, run: Run) -> bool:
        """Whether a run that promised to never put its file in place: it is there still, and another one."""
        if run.cursor == MADE:
            return False
        try:
            return self.ledger.new(run).stat().st_ino != self.content.path.stat().st_ino
        except OSError:
            return False

    def _digest(self) -> str:
        """The digest of the content, computed once for as long as nobody changes the file."""
        identity = identity_of(self.content.path.stat())
        if self._digested is None or self._digested[0] != identity:
            self._digested = identity, digest_of(self.content)
        return self._digested[1]

    def _again(self, raw: BinaryIO, codec: Codec) -> Iterator[tuple[Block, list[Any]]]:
        """The stretches of an open file, from its beginning."""
        raw.seek(0)
        for block in self._blocks(self.content.unpacked(raw)):
            yield block, placed(block, codec.read, block)

    def overlap(self, run: Run, newer: Sequence[Run]) -> Run | None:
        """The first of *newer* that changed a record that *run* changed."""
        keys: set[bytes] | None = None
        for other in newer:
            if keys is None:
                keys = {record.key for record in self.ledger.records(run)}
            if any(record.key in keys for record in self.ledger.records(other)):
                return other
        return None

    def backup(self, path: Path) -> None:
        """
        A verified copy.

        Raises:
            UsageError: there is something at *path* already.
            StoreError: it cannot be written, or does not read back as it was.
        """
        back_up(self.content, path)

    def throttle(self) -> float:
        """Nobody waits for a file."""
        return 0.0
