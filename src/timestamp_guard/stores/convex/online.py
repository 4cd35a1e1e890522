"""
A table of a live deployment of Convex, with the ledger of its runs in a file of this machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from attrs import evolve

from ...engine.stepwise import Stepwise
from ...engine.tally import assess, change_of, survey
from ...errors import StoreError, StoreReadOnly, UnknownName, UsageError
from ...instants import ABSENT, Encodings, brief
from ...job import Job
from ...ledger import Ledger, MemoryLedger, Run, changes_of
from ...repairs import needs
from ...rules import Guard
from ..base import Assessment, Change, Clock, Probe, Step, Survey, pages
from .http import Address, Deployment, Refused, Unfound
from .live import Live
from .live import tables as listed
from .table import LARGEST, MODULE, MOVED, OnlineTable, unguarded

__all__ = ["OnlineStore", "tables"]

SAMPLED: Final = 100
"""How many records are looked at for what the schema does not say."""


def tables(url: str) -> list[str]:
    """
    The names of the tables of the deployment at *url*.

    Raises:
        UsageError: the address cannot be read, or there is no key.
        StoreError: the deployment cannot be reached, or does not take the key.
    """
    deployment = Deployment(Address.parse(url))
    try:
        return listed(deployment)
    finally:
        deployment.close()


class OnlineStore(Stepwise):
    """
    The table *name* of the deployment at *url*, with its ledger in a file of this machine.

    Use as a context manager, or close it.

    Raises:
        UsageError: the address cannot be read, there is no key or no such table.
        StoreError: the deployment cannot be reached, or does not take the key.
    """

    target = 1.0
    """A mutation holds nobody up: who changes the same record meanwhile has it run again. A second is its own limit."""

    def __init__(
        self,
        url: str,
        name: str,
        *,
        encodings: Encodings,
        key: str | Sequence[str] | None = None,
        read_only: bool = False,
        deployment: Deployment | None = None,
    ) -> None:
        if key is not None and (key if isinstance(key, str) else tuple(key)) not in {"_id", ("_id",)}:
            msg = "a record of Convex is known by its _id, and by nothing else: leave --key out"  # it may be a secret
            raise UsageError(msg)
        self.deployment = deployment or Deployment(Address.parse(url))
        self.table = OnlineTable(self.deployment, name, encodings)
        self._read_only = read_only
        self._last: tuple[Job, Job] | None = None
        try:
            there = listed(self.deployment)
            if name not in there:
                raise UnknownName("table", name, str(self.deployment), there)
            self.live = Live.of(self.deployment, name)
            super().__init__(self.table, self._opened())
        except BaseException:
            self.deployment.close()
            raise

    @property
    def key(self) -> tuple[str, ...]:
        """The id that Convex gives."""
        return ("_id",)

    def declared(self) -> dict[str, str]:
        """The types that the schema has, where they are one."""
        return {name: type_.kind for name, type_ in self.live.fields.items() if type_.kind is not None}

    def fields(self) -> Sequence[str]:
        """The fields of the schema, and those of the first records."""
        seen = (name for _, record in self.table.scan(None, SAMPLED).records for name in record)
        return list(dict.fromkeys(("_id", "_creationTime", *self.live.fields, *seen)))

    def now(self) -> int:
        """The present time of the deployment."""
        return self.deployment.now()

    def survey(self, guard: Guard, clock: Clock, samples: int) -> Survey:
        """Look at every record once, of which only what the guard is about is sent."""
        return survey(self.table.reading(guard.fields), guard, clock, samples)

    def assess(self, job: Job, clock: Clock, samples: int, run: Run | None = None) -> Assessment:
        """Count what there is to do."""
        aside = [] if run is None else self.ledger.quarantined(run)
        return assess(self._reading(job, run), self._typed(job), clock, samples, aside)

    def statements(self, job: Job) -> Sequence[str]:
        """The mutation that a step is."""
        return [f"{MODULE}:apply: compare-and-set of {job.field}, {LARGEST:,} records of {self.name} at most"]

    def prepare(self, job: Job, clock: Clock) -> bool:
        """
        Whether there is anything to mend, and it could be written.

        Raises:
            UsageError: the schema has no place for the values.
            StoreReadOnly: the functions that write are not there.
        """
        sample = self._first(job, clock)
        if sample is None:
            return False
        if self._read_only:
            msg = f"{self.name} of {self.deployment} was opened to be read only"
            raise StoreReadOnly(msg)
        self._ensure_room(sample)
        self._reading(job, None).ensure_writable(sample)
        return True

    def step(self, job: Job, run: Run, clock: Clock, limit: int) -> Step:
        """Settle what was left open, or intend, write and settle the work of one page."""
        driven = Stepwise(self._reading(job, run), self.ledger)
        try:
            return driven.step(self._typed(job), run, clock, limit)
        except StoreError as problem:
            if run.cursor is None or MOVED not in str(problem):
                raise
        # The functions were deployed anew, and read in another way now: what is sound already is passed over.
        return driven.step(self._typed(job), evolve(run, cursor=None), clock, limit)

    def undo(self, run: Run, undone: Run, clock: Clock, limit: int) -> Step:
        """Take changes back, from the newest."""
        table = self.table.reading((undone.field,), undone, back=True)
        return Stepwise(table, self.ledger).undo(run, undone, clock, limit)

    def ensure_undoable(self, run: Run) -> None:
        """
        Make sure that the schema takes what *run* found.

        Raises:
            UsageError: it does not.
        """
        type_ = self.live.fields.get(run.field)
        if not self.live.checked or type_ is None:
            return
        change = next((each for _, each in changes_of(self.ledger, run) if not type_.takes(each.before)), None)
        if change is not None:
            found = "none" if change.before is ABSENT else brief(change.before)
            msg = (
                f"run {run.id} found {found} in {run.field} of {self.name}, and the schema of {self.deployment} takes only "
                f"{type_} there: let it take that again in convex/schema.ts (v.optional(...), or v.union(..., v.null())), "
                f"deploy that, and roll back then"
            )
            raise UsageError(msg)

    def probe(self, guard: Guard, field: str) -> Probe:  # noqa: ARG002 - the functions have it in them
        """
        Try a record without the field, and one with it, in mutations that leave nothing behind; of null the schema is asked.

        Raises:
            StoreReadOnly: the functions are not there.
            StoreError: they cannot try, as where there is no record to copy.
        """
        try:
            without, having = self._tried("refusesWithout"), self._tried("acceptsWith")
        except Refused as problem:
            if unguarded(problem):
                raise self.table.read_only(problem) from None
            raise StoreError(f"{self.name} of {self.deployment} cannot be probed: {problem}") from None
        lacking = f"refused: {without[1]}" if without[0] else "accepted"
        type_ = Live.of(self.deployment, self.name).fields.get(field)
        if without[0] and type_ is not None and type_.takes(None):  # the functions try it only where it is missing
            lacking = f"accepted where {field} is null, for the schema says {type_}"
        return Probe(lacking, "accepted" if having[0] else f"refused: {having[1]}")

    def wanting(self, field: str, *, required: bool) -> str | None:
        """
        What to change in the schema of the app, and what to deploy: seen in the schema that is in force.

        The app is looked for in this folder; where it is not, or the lines cannot be told, words must do.
        """
        live = self.live = Live.of(self.deployment, self.name)
        if required:
            if not live.checked:
                return "the schema refuses nothing, for it says schemaValidation: false: take that out, and deploy it"
            if live.requires(field):
                return None
            done = f"require {field} of {self.name}, all of whose records have it now"
        else:
            if live.checked and not live.open and field not in live.fields:
                return _to_change(f"let {self.name} have the field {field}", self.name, field, required=False)
            return None if self.table.guarded else str(self.table.read_only(Unfound()))
        if field in live.staged and live.staged[field].required:
            done += (
                "; the staged validator says so already: see on the dashboard that it is valid, and make it the schema"
            )
        return _to_change(done, self.name, field, required=True)

    def backup(self, path: Path) -> None:
        """Convex's own to make."""
        msg = f"{self.deployment} makes its own backups: npx convex export --path {path}, and leave --backup out"
        raise UsageError(msg)

    def close(self) -> None:
        """Close the connection, and the ledger."""
        self.deployment.close()
        close = getattr(self.ledger, "close", None)
        if close is not None:
            close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _tried(self, name: str) -> tuple[bool, str]:
        """Whether a trial went as it should, and what the deployment says of it."""
        function = f"{MODULE}:{name}"
        said = self.deployment.mutation(function, table=self.name)
        with self.deployment.understood(function):
            if type(said["ok"]) is not bool:
                raise TypeError(said["ok"])
            return said["ok"], said["said"]

    def _opened(self) -> Ledger:
        """The ledger; where it is only read and there is none, an empty one."""
        from ..sql.ledger import open_ledger

        folder = self.deployment.address.folder
        path = folder / "ledger.db"
        if self._read_only and not path.exists():
            return MemoryLedger()
        if not folder.parent.is_dir():
            msg = f"there is no folder {folder.parent} for the ledger of {self.deployment}: make it, or name another"
            raise UsageError(msg)
        folder.mkdir(mode=0o700, exist_ok=True)
        return open_ledger(path)

    def _reading(self, job: Job, run: Run | None) -> OnlineTable:
        return self.table.reading(needs(job.repair, job.guard), run)

    def _first(self, job: Job, clock: Clock) -> Change | None:
        """The first change that there is to make."""
        typed = self._typed(job)
        for page in pages(self._reading(job, None)):
            moment = typed.moment(clock())
            for key, record in page.records:
                if typed.broken(record, moment) and (mend := typed.mend(record, moment)) is not None:
                    return change_of(typed, key, record, mend.after, mend.candidate)
        return None

    def _typed(self, job: Job) -> Job:
        """The job, with the kind of number that its field holds."""
        if self._last is None or self._last[0] is not job:
            type_ = self.live.fields.get(job.field)
            number = None if type_ is None else type_.number
            if number is None:
                number = int if self._holds_integers(job.field) else float
            self._last = job, evolve(job, number=number)
        return self._last[1]

    def _holds_integers(self, field: str) -> bool:
        """Whether the first numbers of a field that the schema does not describe are integers of 64 bits."""
        kinds = [type(record.get(field)) for _, record in self.table.scan(None, SAMPLED).records]
        return int in kinds and float not in kinds

    def _ensure_room(self, sample: Change) -> None:
        """
        Make sure that the schema takes a value like that of *sample*.

        Raises:
            UsageError: it does not.
        """
        live = self.live
        if not live.checked or live.open:
            return
        if sample.field not in live.fields:
            msg = (
                f"the schema of {self.deployment} has no field {sample.field} in {self.name}: add "
                f"{sample.field}: v.optional(v.number()) to it in convex/schema.ts, and deploy that first"
            )
            raise UsageError(msg)
        type_ = live.fields[sample.field]
        if not type_.takes(sample.after):
            msg = (
                f"{sample.field} of {self.name} is {type_} in the schema of {self.deployment}, and "
                f"{sample.after!r} is none: is the encoding right?"
            )
            raise UsageError(msg)


def _to_change(what: str, table: str, field: str, *, required: bool) -> str:
    """What to change in the app of this folder, as a patch where that can be told."""
    try:
        from ...convex.patching import change, stages
        from ...convex.schema import functions_folder

        app = functions_folder(Path())
        patch = change(app, table, field, required=required)
    except UsageError as problem:  # there is no schema here, or nothing to read it with
        return f"{what}, in convex/schema.ts, and deploy it with npx convex deploy ({problem})"
    if patch == "":
        return f"{what}: {app}/schema.ts says so already, so deploy it with npx convex deploy"
    said = f"{what}, and deploy it with npx convex deploy"
    if required and stages(app):
        said += "; of a large table, have it validated beforehand by defineTable(...).staged(...)"
    return f"{said}\n{patch}" if patch else f"{said}: the lines to change in {app}/schema.ts could not be told"
