"""
The documents of a table in a snapshot of Convex: judged as what they mean, and written so that they can be imported.
"""

from __future__ import annotations

import functools
import itertools
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from secrets import token_hex
from shlex import quote
from typing import Any, Final

from attrs import evolve

from ...convex.fields import Schema
from ...convex.ids import NotAnId, decode
from ...errors import StoreDamaged, StoreError, StoreMissing, UsageError
from ...instants import Encodings, Raw
from ...job import Job
from ...ledger import Key, Quarantined, Run, undone_by
from ..base import Clock
from ..json.file import FileStore
from ..json.folder import FolderLedger
from ..json.patching import Filling
from ..json.replace import bytes_of
from .declared import Declared, encodings_in, schema_of
from .part import part
from .snapshot import Snapshot
from .values import ConvexCodec, Inferred

__all__ = ["ConvexStore", "tables_in"]

KEY: Final = "_id"
FEW: Final = 10_000
"""From so many numbers it is told of which kind a field is."""
MANY: Final = 100_000
"""In so many documents they are looked for."""
IDS: Final = 1_000
"""So many ids are checked before anything is written."""

NUMBERS: Final[Mapping[str, type[int | float]]] = {"number": float, "float64": float, "int64": int}


class ConvexStore(FileStore):
    """
    The documents of a *table* in the snapshot at *path*, a ZIP that `npx convex export` made, or a folder unpacked from
    one. A table of a component is called `component/path:table`.

    *schema* is that of the app, where it is or as it was read: it says of which type a field is, which fields there are
    where no document has them, and how they are written where no *encodings* are given. *types* says it instead, by the
    names of the fields: `number`, `int64` or `string`. Without either, a field is what its other values are, and a
    `number` where it has none.

    Raises:
        UsageError: there is no such table, the snapshot or the schema is none, or there are no encodings.
        StoreError: it is not there, damaged, or made to harm.
    """

    def __init__(
        self,
        path: str,
        table: str | None = None,
        *,
        encodings: Encodings | None = None,
        key: str | Sequence[str] | None = None,
        read_only: bool = False,
        schema: Schema | Path | str | None = None,
        types: Mapping[str, str] | None = None,
    ) -> None:
        self.snapshot = Snapshot.at(path)
        self.table = self.snapshot.table(table)
        self.notation = self.snapshot.notation(self.table)
        self.types = types or {}
        self.schema = Declared(schema_of(schema), self.table.name)
        if encodings is None:
            if self.schema.schema is None:
                msg = "how are instants written? give encodings, or the schema of the app"
                raise UsageError(msg)
            encodings = encodings_in(self.schema.schema, self.table.name)
        self._kinds: dict[str, type[int | float]] = {}
        self._meant: tuple[Job, Job] | None = None
        ledger = FolderLedger(self.snapshot.path)
        ledger.read = self._recorded
        super().__init__(
            self.snapshot.content(self.table),
            "lines",
            self.table.name,
            ledger,
            encodings=encodings,
            key=(key,) if isinstance(key, str) else tuple(key or (KEY,)),
            read_only=read_only,
        )

    # -- how values are written

    def codec(self, names: Sequence[str] | None, key: Sequence[str] = (), also: Sequence[str] = ()) -> ConvexCodec:
        """What reads these fields; the id too where it says what text stands for."""
        asked = self.notation.overrides if isinstance(self.notation, Inferred) else ()
        return ConvexCodec(self.notation, names, (*key, KEY) if asked and KEY not in key else key, also=also)

    def meant(self, job: Job) -> Job:
        """The job, with the kind of number that its field holds."""
        if self._meant is None or self._meant[0] is not job:
            if job.field not in self.types:
                self.schema.ensure_holds(job.field, job.encodings[job.field])
            number = self._number(job.field) if job.encodings[job.field].is_number else None
            self._meant = job, evolve(job, number=number)
        return self._meant[1]

    def filling(self, job: Job, samples: int = 0, aside: Sequence[Quarantined] = ()) -> Filling:
        """What does the job, and sees that all numbers of its field are of one kind."""
        codec = self.codec_for(job)
        if job.number is not None and job.field not in self.types and isinstance(codec, ConvexCodec):
            where = self.schema.place(job.field) if self.schema.number(job.field) is not None else ""
            codec.watch(job.field, job.number, where)
        return Filling(job, codec, samples, aside, self.notation.writer(job.field))

    def _number(self, name: str) -> type[int | float]:
        """Of which kind the numbers of a field are: as is said, as the others are, or floats, as most are."""
        if name in self.types:
            if self.types[name] not in NUMBERS:
                msg = f"{name} of {self.name} is declared as {self.types[name]}, and a number cannot be written there"
                raise UsageError(msg)
            return NUMBERS[self.types[name]]
        if name not in self._kinds:
            (there,) = self._counted((name,)).values()
            declared = self.schema.number(name)
            if declared is not None and (said := self._astray(name, there)):
                msg = f"{said}: change the schema, or mend the others first; nothing was written"
                raise UsageError(msg)
            if declared is None and all(there.values()):
                msg = (
                    f"{name} of {self.name} holds numbers of both kinds, {there[int]:,} int64 and {there[float]:,} floats: "
                    f"say in the schema which it is to be, and mend the others first"
                )
                raise UsageError(msg)
            self._kinds[name] = declared or (int if there[int] else float)
        return self._kinds[name]

    def _counted(self, names: Sequence[str]) -> Mapping[str, Mapping[type, int]]:
        """How many numbers of each kind fields hold, by the first documents."""
        codec = self.codec(names)
        counts: dict[str, dict[type, int]] = {name: {int: 0, float: 0} for name in names}
        looked = 0
        for _, found in self._read(codec):
            for document in found:
                record = codec.record(document)
                for name, there in counts.items():
                    kind = type(record.get(name))
                    if kind in there:
                        there[kind] += 1
            looked += len(found)
            if all(sum(there.values()) >= FEW for there in counts.values()) or looked >= MANY:
                break
        return counts

    def _astray(self, name: str, there: Mapping[type, int]) -> str | None:
        """What is said where numbers are of another kind than the schema has it."""
        number = self.schema.number(name)
        other: type = float if number is int else int
        if number is None or not there[other]:
            return None
        kinds = {int: "int64", float: "float"}
        return f"{name} of {self.name} holds a number of the kind {kinds[other]} in {there[other]:,} of the first documents, and is {self.schema.place(name)}"

    def _recorded(self, run: Run, token: bytes, key: Key) -> Raw:
        """What a run recorded, in whatever table of the snapshot."""
        if run.table == self.name:
            return self.notation.means(run.field, token, key)
        if run.table not in self.snapshot.tables:
            raise StoreMissing(
                f"{self.snapshot.path} has no table {run.table} any more, and how what run {run.id} changed there is written "
                f"is only known with it: put the snapshot back that had it"
            )
        return self._others(run.table).means(run.field, token, key)

    @functools.cached_property
    def _others(self) -> Any:
        return functools.cache(lambda name: self.snapshot.notation(self.snapshot.table(name)))

    # -- writing

    def prepare(self, job: Job, clock: Clock) -> bool:
        """Whether there is anything to mend, and whether what is written could be imported."""
        if job.field.startswith("_"):
            msg = f"{job.field} is a field of Convex itself, which no import and no function can set"
            raise UsageError(msg)
        self._ensure_ids()
        return super().prepare(job, clock)

    def _ensure_ids(self) -> None:
        """Make sure that the first documents have ids of this table, where it is known which it is."""
        if self.table.number is None:
            return
        codec = self.codec((KEY,), (KEY,))
        seen = itertools.chain.from_iterable(found for _, found in self._read(codec))
        for number, document in enumerate(itertools.islice(seen, IDS)):
            text = codec.record(document).get(KEY)
            if not isinstance(text, str):
                continue  # an import gives it one
            try:
                table = decode(text).table
            except NotAnId as problem:
                raise StoreDamaged(
                    f"{self.content.name}: document {number + 1} has {text!r} as its _id, which is none: {problem}; an "
                    f"import would refuse it"
                ) from None
            if table != self.table.number:
                raise StoreDamaged(
                    f"{self.content.name}: document {number + 1} has an _id of table {table}, and {self.name} is table "
                    f"{self.table.number} in _tables: an import would refuse it"
                )

    def _refuse(self) -> None:
        super()._refuse()
        beside, place = self.ledger.folder.parent, self.content.path
        if beside.stat().st_dev != place.stat().st_dev:
            msg = f"{self.snapshot.path} is on another disk than the folder it is in, where its ledger goes: move it there"
            raise StoreError(msg)

    def backup(self, path: Path) -> None:
        """
        A verified copy of the whole snapshot.

        Raises:
            UsageError: there is something at *path* already.
            StoreError: it cannot be written, or does not read back as it was.
        """
        if self.snapshot.packed:
            super().backup(path)
            return
        if path.exists():
            msg = f"there is something at {path} already: name a folder for the backup that is not there"
            raise UsageError(msg)
        if not path.parent.is_dir():
            raise StoreMissing(f"there is no folder {path.parent} for the backup {path.name}")
        if path.parent.resolve().is_relative_to(self.snapshot.path):
            msg = f"{path} is in the snapshot itself: name a folder for the backup that is beside it"
            raise UsageError(msg)
        part = path.with_name(f"{path.name}.{token_hex(4)}.part")  # a name that nobody has
        try:
            shutil.copytree(self.snapshot.path, part)
            for each in self.snapshot.path.rglob("*"):
                if each.is_file() and bytes_of(each) != bytes_of(part / each.relative_to(self.snapshot.path)):
                    raise StoreDamaged(f"the backup {path} does not read back as it was written")
            part.rename(path)
        except OSError as problem:
            raise self.content.trouble(problem) from None
        finally:
            shutil.rmtree(part, ignore_errors=True)

    # -- what is to be known of it

    def fields(self) -> Sequence[str]:
        """The fields of the first documents, and those of the schema: a field that is new is in no document yet."""
        return list(dict.fromkeys((*super().fields(), *self.schema.fields)))

    def declared(self) -> Mapping[str, str]:
        """The types that the schema has, where they are one."""
        return {name: type_.kind for name, type_ in self.schema.fields.items() if type_.kind is not None}

    def left_out(self, field: str) -> str | None:
        """Why the table does not count as one that has a field; None where it is known that it has none."""
        if not self.schema.unsaid(field):
            return None
        if self.schema.schema is None:
            return "the schema may have it, where it is given with --schema convex/schema.ts"
        return f"{self.schema.schema.file} does not say"

    def statements(self, job: Job) -> Sequence[str]:
        """What a run does to the snapshot."""
        said = list(super().statements(job))
        number = self.meant(job).number
        if number is not None:
            kind = "a float, as v.number() wants it" if number is float else "an int64, as v.int64() wants it"
            said.insert(1, f"{job.field} is written as {kind}; the form is {self.notation.said}")
        return said

    def remarks(self) -> Sequence[str]:
        """What is odd about the snapshot, a sentence each."""
        said = []
        if self.snapshot.bare:
            said.append(
                f"_tables names {', '.join(self.snapshot.bare)} without documents: npx convex import --replace would empty "
                f"{'it' if len(self.snapshot.bare) == 1 else 'them'}"
            )
        if isinstance(self.notation, Inferred) and not self.notation.known:
            said.append(
                f"{self.name} has no generated_schema.jsonl: every number in it counts as a float, and text as text, as an "
                f"import takes them"
            )
        if self.table.number is None:
            said.append(f"_tables does not list {self.name}: whether its ids are of this table cannot be told")
        said += self.schema.remarks()
        numbers = [name for name in self.schema.fields if name not in self.types and self.schema.number(name)]
        for name, there in self._counted(numbers).items() if numbers else ():
            if contradiction := self._astray(name, there):
                said.append(f"{contradiction}: an import would refuse it")
        return said

    def following(self, part: Path | None = None) -> Sequence[str]:
        """What is to be done after a run; *part* is a ZIP of the changed tables alone."""
        place = self.snapshot.path
        here = str(place.relative_to(Path.cwd()) if place.is_relative_to(Path.cwd()) else place)
        file, zipped = str(part or here), ""
        if part is None and not self.snapshot.packed:
            file = f"{here}.zip"
            zipped = f"(cd {quote(here)} && zip -qr {quote(f'../{place.name}.zip')} .) && "
        return [
            f"bring it back with: {zipped}npx convex import --replace {quote(file)}",
            (
                "the import replaces whole tables and compares nothing: what was written to the deployment after the export "
                "began, and until the import is done, is lost; pause the deployment before "
                "you export, or fill it online instead"
            ),
        ]

    def part(self, path: Path) -> Sequence[str]:
        """
        Write a ZIP at *path* with those tables alone that runs have changed, and give their names.

        Raises:
            UsageError: there is something at *path* already.
            StoreError: it cannot be written.
        """
        known = self.ledger.runs()
        standing = [
            run for run in known if run.action == "backfill" and run.counts.changed and undone_by(known, run) is None
        ]
        names = [name for name in self.snapshot.tables if any(run.table == name for run in standing)]
        if names:
            part(Snapshot.at(str(self.snapshot.path)), names, path)
        return names


def tables_in(path: str) -> list[str]:
    """
    The names of the tables of a snapshot.

    Raises:
        UsageError: it is none.
        StoreError: it is not there, damaged, or made to harm.
    """
    return list(Snapshot.at(path).tables)
