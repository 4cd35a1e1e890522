"""
One pass of a run through a file: a new one is written beside it, and put in its place.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Final

from attrs import evolve, frozen

from ..._faults import point, reach
from ...errors import StoreDamaged
from ...job import Job
from ...ledger import Run
from ..base import Clock, Step
from .blocks import Block, Shape, blocks
from .content import Content
from .folder import FolderLedger, Patch
from .patching import Filling, Patched
from .replace import Identity, Replacement, refuse
from .splice import NotJson

__all__ = ["DONE", "MADE", "PROMISED", "Records", "Rewriting", "kept", "placed", "told"]

RECORDED: Final = point("json: changes recorded")
PROMISED: Final = point("json: intent recorded")
DONE: Final = point("json: done")

MADE: Final = "made"
"""Where a run stands that has put its file in place."""

STRIDE: Final = 16 * 2**20
"""After so many bytes a step says how far it came."""


@frozen
class Records:
    """Where records are: the file, how it holds them, in which of its tables, by which key, and its ledger."""

    content: Content
    shape: Shape
    table: str
    key: tuple[str, ...]
    ledger: FolderLedger

    def blocks(self, file: BinaryIO, at: int = 0) -> Iterator[Block]:
        """The stretches of the open *file*."""
        return blocks(file, self.shape, table=self.table, at=at)


class Rewriting:
    """A run on its way through a file."""

    def __init__(self, records: Records, run: Run, filling: Filling) -> None:
        self.records, self.filling = records, filling
        self._number = self._at = 0
        self._named = False
        refuse(records.content.path)
        self._stack = contextlib.ExitStack()
        try:
            raw = self._stack.enter_context(records.content.raw())
            self._size = max(1, records.content.path.stat().st_size)
            self._raw = raw
            self.new = Replacement(records.content, records.ledger.new(run), raw)
            self._stack.callback(self.new.abandon)
            self._changes = self._stack.enter_context(records.ledger.recorder(run).open("wb"))
            self._blocks = records.blocks(records.content.unpacked(raw))
        except BaseException:
            self._stack.close()
            raise

    @property
    def fraction(self) -> float:
        """How far it is, in bytes of the file."""
        return min(1.0, self._raw.tell() / self._size)

    def go(self, job: Job, clock: Clock) -> bool:
        """Do a part of the file; whether there is more."""
        done = 0
        with told(self.records.content), _system(self.records.content):
            for block in self._blocks:
                count, patched = placed(block, self.filling.patch, block, self._number, job.moment(clock()), self._at)
                self._write(block, patched)
                self._number += count
                done += len(block.data)
                if done >= STRIDE:
                    return True
        return False

    def _write(self, block: Block, patched: Patched | None) -> None:
        self._named |= block.names is not None
        if patched is None:
            self.new.write(block.data, block.data)
            self._at += len(block.data)
            return
        self._changes.write(patched.lines)
        self.new.write(patched.data, block.data)
        self._at += len(patched.data)

    def finish(self, run: Run) -> tuple[Step, Identity]:
        """Have everything on the disk, say what will be, and put it in place."""
        ledger, filling = self.records.ledger, self.filling
        with _system(self.records.content):
            self._changes.flush()
            os.fsync(self._changes.fileno())
        reach(RECORDED)
        before, after = self.new.finish()
        aside = filling.quarantined
        keyed = bool(self.records.key) or self._named
        ledger.promise(run, Patch(before, after, filling.changed, key=self.records.key, keyed=keyed), aside)
        with kept(ledger, run, self.new):
            reach(PROMISED)
            identity = self.new.commit() if filling.changed else self.new.identity
        counts = evolve(run.counts, changed=filling.changed, quarantined=len(aside))
        run = ledger.save(evolve(run, counts=counts, found=filling.changed, cursor=MADE))
        reach(DONE)
        self._stack.close()
        return Step(run, done=True, touched=filling.changed), identity

    def abandon(self) -> None:
        """Leave the file as it was."""
        self._stack.close()


@contextlib.contextmanager
def kept(ledger: FolderLedger, run: Run, new: Replacement) -> Iterator[None]:
    """Take back what was promised where it is not made; where it is, or may be, the promise stands."""
    try:
        yield
    except BaseException:
        if not new.renamed:
            ledger.promise(run, None)
        raise


@contextlib.contextmanager
def told(content: Content) -> Iterator[None]:
    """Tell where in a file something is wrong."""
    try:
        with content.unpacking():
            yield
    except NotJson as problem:
        line, column = content.at(problem.at)
        raise StoreDamaged(f"{content.name}, line {line}, column {column}: wanted {problem.wanted}") from None


def placed(block: Block, act: Callable[..., Any], *given: Any) -> Any:
    """What *act* says of a block; where that is no JSON, at which byte of the file."""
    try:
        return act(*given)
    except NotJson as problem:
        raise NotJson(block.at + problem.at, problem.wanted) from None


@contextlib.contextmanager
def _system(content: Content) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise content.trouble(problem) from None
