"""
The ledger of a file: a folder beside it, `NAME.timestamp-guard/`, with a file for every run.

`run-1.json` says how the run stands, `run-1.changes` what it changed, a line each. Nobody works on the file who does
not hold the operating system's lock on `lock`, which is never deleted: the kernel frees it when a process dies, so
there are no leases to wait for.
"""

from __future__ import annotations

import base64
import errno
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final

from attrs import asdict, evolve, frozen

from ..._faults import point, reach
from ...errors import LedgerError, RunBusy, StoreError, StoreFull, StoreReadOnly, UsageError
from ...instants import ABSENT, Raw
from ...ledger import PURGED, VERSION, Change, Counts, Key, Quarantined, Run, ensure_known, lost
from .splice import value_of

__all__ = ["FULL", "FolderLedger", "Patch", "Record", "durably", "sync_folder"]

RECORDED: Final = point("json: run recorded")

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the system says where there is no room."""

UPGRADES: Final[dict[int, Callable[[dict[str, Any]], dict[str, Any]]]] = {}
"""By version, what makes of the file of a run one of the next version. It is written so with the run's next write."""


@frozen
class Record:
    """
    One change as it is kept: where its bytes stand in the file that the run made and how many there are, what stood
    there before (None where the field was not), what stands there now, the candidate, and the key.
    """

    at: int
    length: int
    before: bytes | None
    after: bytes
    candidate: int
    key: bytes

    def line(self) -> bytes:
        """As a line of text."""
        before = b"" if self.before is None else _plain(self.before)
        places = self.at, self.length, before, _plain(self.after), self.candidate, self.key
        return b"%d\t%d\t%b\t%b\t%d\t%b\n" % places

    @classmethod
    def of(cls, line: bytes) -> Record:
        """
        Read a line.

        Raises:
            ValueError: it is none.
        """
        at, length, before, after, candidate, key = line.rstrip(b"\n").split(b"\t")
        return cls(int(at), int(length), _token(before) if before else None, _token(after), int(candidate), key)


def _plain(token: bytes) -> bytes:
    """A value without tabs and line breaks, which an object that was written over several lines has."""
    return b"=" + base64.b64encode(token) if b"\n" in token or b"\t" in token or b"\r" in token else token


def _token(text: bytes) -> bytes:
    return base64.b64decode(text[1:], validate=True) if text.startswith(b"=") else text


@frozen
class Patch:
    """
    What a run makes of its file: the digests of the content before and after, which decide whether it was made, and
    what it counts. `key` are the fields by which records are found again, where the file is another since.
    """

    before: str
    after: str
    changed: int
    refused: int = 0
    unrepairable: int = 0
    key: Sequence[str] = ()
    keyed: bool = False


class FolderLedger:
    """The runs on the file at *path*; *alone* is what its only table is called now, whatever the file was called before."""

    def __init__(self, path: Path, alone: str | None = None) -> None:
        self.path, self.alone = path, alone
        self.folder = path.with_name(path.name + ".timestamp-guard")
        self.read: Callable[[Run, bytes, Key], Raw] = lambda _, token, __: value_of(token)
        """What a value that a run recorded means, as it is written, and of which record."""
        self._lock: IO[str] | None = None
        self._index: tuple[int, int, list[int]] | None = None

    # -- the lock

    def hold(self) -> None:
        """
        Be the one that works on the file, for as long as the process lives or until :meth:`free`.

        Raises:
            RunBusy: another process is.
            StoreError: the folder cannot be made.
        """
        if self._lock is not None:
            return
        try:
            import fcntl
        except ImportError:  # pragma: no cover - not a POSIX system
            msg = "this system has no locks that end with their process, so files can only be checked here"
            raise UsageError(msg) from None
        try:
            # It holds what the file holds, so nobody else may look into it.
            self.folder.mkdir(mode=0o700, exist_ok=True)
            owner = self.path.stat()
            if not os.geteuid() and owner.st_uid:
                os.chown(self.folder, owner.st_uid, owner.st_gid)
            lock = (self.folder / "lock").open("a+", encoding="ascii")
        except (FileExistsError, NotADirectoryError):
            raise StoreError(
                f"{self.folder} is no folder, and the ledger of {self.path.name} belongs there: rename it"
            ) from None
        except OSError as problem:
            raise StoreReadOnly(
                f"{self.folder}: {problem.strerror}: the ledger of {self.path.name} is kept there; make its folder writable"
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            pid = lock.read().strip() or "unknown"
            lock.close()
            raise RunBusy(f"{self.path} is being worked on by process {pid}; try again when it is done") from None
        lock.seek(0)
        lock.truncate()
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        self._lock = lock

    def free(self) -> None:
        """Let others work on the file."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    # -- runs

    def runs(self, table: str | None = None) -> list[Run]:
        """See :class:`~timestamp_guard.ledger.Ledger`."""
        found = [self._load(number)[0] for number in self._numbers()]
        return [run for run in found if table is None or run.table == table]

    def _numbers(self) -> list[int]:
        try:
            names = [each.name for each in self.folder.iterdir()]
        except FileNotFoundError:
            return []
        except OSError as problem:
            raise StoreError(f"{self.folder}: {problem.strerror}") from None
        parts = (name.removeprefix("run-").removesuffix(".json") for name in names if name.endswith(".json"))
        return sorted(int(part) for part in parts if part.isdecimal())

    def _file(self, number: int | None, kind: str) -> Path:
        return self.folder / f"run-{number}.{kind}"

    def _load(self, number: int) -> tuple[Run, Patch | None, list[Quarantined]]:
        path = self._file(number, "json")
        try:
            said = json.loads(path.read_text("utf-8"))
            ensure_known(said["version"], self.folder, min((VERSION, *UPGRADES)))
            for version in range(said["version"], VERSION):
                said = UPGRADES[version](said)
            run = Run(**{**said["run"], "counts": Counts(**said["run"]["counts"])})
            if said["alone"] and self.alone is not None:
                run = evolve(run, table=self.alone)
            _ = run.generation + run.now + run.started + run.counts.left, dict(json.loads(run.plan)), run.field
            patch = None if said["patch"] is None else Patch(**said["patch"])
            aside = [Quarantined(_key(key), reason) for key, reason in said["quarantined"]]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
            raise self._damaged(path, problem) from None
        return run, patch, aside

    def _damaged(self, path: Path, problem: object) -> LedgerError:
        return LedgerError(
            f"the ledger in {self.folder} is damaged: {path.name} cannot be read ({problem}); restore it from a backup, or "
            f"rename the folder to begin a new one, without a way back for its runs"
        )

    def _store(self, run: Run, patch: Patch | None, aside: Sequence[Quarantined]) -> None:
        said = {
            "version": VERSION,
            "alone": self.alone is not None and run.table == self.alone,
            "run": asdict(evolve(run, lease_until=0)),  # the lock is the lease
            "patch": None if patch is None else asdict(patch),
            "quarantined": [[each.key, each.reason] for each in aside],
        }
        durably(self._file(run.id, "json"), json.dumps(said, indent=1, default=str).encode())
        reach(RECORDED)

    def begin(self, run: Run) -> Run:
        """See :class:`~timestamp_guard.ledger.Ledger`."""
        self.hold()
        known = self.runs()
        for other in known:
            undone = any(each.undoes == other.id and each.status != "running" for each in known)
            if other.open and not undone:  # of another table, too: it is one file
                msg = (
                    f"{other.action} {other.id} on {other.table} is unfinished: finish it first, or take it back with "
                    f"timestamp-guard rollback --table {other.table}"
                )
                raise RunBusy(msg)
        run = evolve(run, id=max(self._numbers(), default=0) + 1, generation=1, lease_until=0)
        self._store(run, None, ())
        return run

    def claim(self, run: Run, owner: str, until: int) -> Run:  # noqa: ARG002 - the lock is the lease
        """See :class:`~timestamp_guard.ledger.Ledger`."""
        self.hold()
        _, patch, aside = self._fenced(run)
        run = evolve(run, owner=owner, generation=run.generation + 1, lease_until=0)
        self._store(run, patch, aside)
        return run

    def save(self, run: Run) -> Run:
        """See :class:`~timestamp_guard.ledger.Ledger`; who gives a run up frees the file."""
        _, patch, aside = self._fenced(run)
        run = evolve(run, lease_until=0)
        self._store(run, patch, aside)
        if run.owner is None:
            self.free()
        return run

    def _fenced(self, run: Run) -> tuple[Run, Patch | None, list[Quarantined]]:
        found = self._load(run.id or 0)
        if found[0].generation != run.generation or self._lock is None:
            raise lost(run)
        return found

    def patch(self, run: Run) -> Patch | None:
        """What the run makes of its file, as far as it has come."""
        return self._load(run.id or 0)[1]

    def promise(self, run: Run, patch: Patch | None, aside: Sequence[Quarantined] = ()) -> None:
        """Record what is about to be made, before it is; or, None, that it is not."""
        self._fenced(run)
        self._store(run, patch, aside)

    # -- changes

    def new(self, run: Run) -> Path:
        """
        What a run is to put in place is there, until it is.

        So where it is there, the run has put nothing in place since.
        """
        return self._file(run.id, "new")

    def recorder(self, run: Run) -> Path:
        """Where the changes of a run go."""
        return self._file(run.id, "changes")

    def spans(self, run: Run) -> Iterator[tuple[int, int, bytes]]:
        """Where the changes of a run stand in the file, how many bytes each has, and what stood there: in order."""
        path = self.recorder(run)
        try:
            with path.open("rb") as file:
                for line in file:
                    at, length, before, _ = line.split(b"\t", 3)
                    yield int(at), int(length), _token(before)
        except FileNotFoundError:
            return
        except ValueError as problem:
            raise self._damaged(path, problem) from None

    def records(self, run: Run) -> Iterator[Record]:
        """What a run changed, in the order in which it stands in the file."""
        path = self.recorder(run)
        try:
            with path.open("rb") as file:
                for line in file:
                    yield Record.of(line)
        except FileNotFoundError:
            return
        except ValueError as problem:
            raise self._damaged(path, problem) from None

    def changes(self, run: Run, after: int = 0, limit: int | None = None) -> list[tuple[int, Change]]:
        """See :class:`~timestamp_guard.ledger.Ledger`."""
        if run.action != "backfill" or not run.counts.changed or self._load(run.id or 0)[0].purged:
            return []
        places = self._places(run)
        last = (after or len(places) + 1) - 1
        first = 0 if limit is None else max(0, last - limit)
        if not last:
            return []
        with self.recorder(run).open("rb") as file:
            file.seek(places[first])
            lines = [next(file) for _ in range(first, last)]
        try:
            found = [self._change(run, Record.of(line)) for line in lines]
        except (ValueError, IndexError) as problem:
            raise self._damaged(self.recorder(run), problem) from None
        return [(number + 1, found[number - first]) for number in range(last - 1, first - 1, -1)]

    def _change(self, run: Run, record: Record) -> Change:
        key = _key(value_of(record.key))
        before: Raw = ABSENT if record.before is None else self.read(run, record.before, key)
        return Change(key, run.field, before, self.read(run, record.after, key), run.candidates[record.candidate])

    def _places(self, run: Run) -> list[int]:
        """Where each line begins: kept, for changes are asked for page by page."""
        if self._index is None or self._index[:2] != (run.id, run.generation):
            places, at = [], 0
            try:
                with self.recorder(run).open("rb") as file:
                    for line in file:
                        places.append(at)
                        at += len(line)
            except OSError as problem:
                raise self._damaged(self.recorder(run), problem.strerror) from None
            self._index = (run.id or 0, run.generation, places)
        return self._index[2]

    def quarantined(self, run: Run) -> list[Quarantined]:
        """See :class:`~timestamp_guard.ledger.Ledger`."""
        return self._load(run.id or 0)[2]

    def purge(self, run: Run) -> Run:
        """See :class:`~timestamp_guard.ledger.Ledger`."""
        self.hold()
        try:
            _, patch, _ = self._fenced(run)
            run = evolve(run, reason=PURGED, lease_until=0)
            self._store(run, patch, ())
            self.recorder(run).unlink(missing_ok=True)
            self.new(run).unlink(missing_ok=True)
            sync_folder(self.folder)
        finally:
            self.free()
        return run

    # -- a run is one step: nothing is ever left open

    def intend(self, run: Run, changes: Sequence[Change]) -> None:
        """See :class:`~timestamp_guard.ledger.Ledger`."""

    def intents(self, run: Run) -> list[Change]:  # noqa: ARG002 - there are none
        """See :class:`~timestamp_guard.ledger.Ledger`."""
        return []

    def settle(self, run: Run, refused: Sequence[Change], failed: Sequence[Quarantined]) -> Run:  # noqa: ARG002 - as above
        """See :class:`~timestamp_guard.ledger.Ledger`."""
        return self.save(run)


def _key(value: Any) -> Key:
    return tuple(value) if isinstance(value, list) else value


def durably(path: Path, data: bytes) -> None:
    """
    Put *data* into the file at *path*: all of it or nothing, and on the disk when this returns.

    Raises:
        StoreFull: there is no room for it.
        StoreError: it cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync_folder(path.parent)
    except PermissionError as problem:
        raise StoreReadOnly(f"{path}: {problem.strerror}: make its folder writable") from None
    except OSError as problem:
        if problem.errno in FULL:
            raise StoreFull(f"there is no room left to write {path}: make room, and call again to go on") from None
        raise StoreError(f"{path} cannot be written: {problem.strerror}") from None


def sync_folder(folder: Path) -> None:
    """Make sure that the names in a folder are on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
