"""The whole public API, as its users write it: for the type checker alone, never run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import attrs
import cattrs

import timestamp_guard
from timestamp_guard import (
    ABSENT,
    MISSING,
    NOW,
    Change,
    Encoding,
    Enforcement,
    Field,
    Guard,
    InvalidTimestamps,
    MemoryStore,
    Pace,
    Plan,
    Profile,
    Repair,
    Report,
    Run,
    StoreError,
    TimestampGuardError,
    UsageError,
    Violation,
    backfill,
    by,
    check,
    earliest,
    enforce,
    enforcement,
    follows,
    guarded,
    in_order,
    latest,
    open_ledger,
    open_store,
    plan,
    present,
    profile,
    reread,
    rollback,
    runs,
    timestamp,
    unenforce,
    updated_at_guard,
    violations,
)
from timestamp_guard.audit import Audit, Finding, Ignored, Settings, Site, audit
from timestamp_guard.convex.agreement import Agreement, agreement, standing
from timestamp_guard.convex.generate import GuardedTable, is_ours, module
from timestamp_guard.convex.schema import Schema, encodings_of, read_schema
from timestamp_guard.errors import StoreLocked
from timestamp_guard.stores import addresses, tables
from timestamp_guard.stores.base import Guided, OpenStore, Page, Sample, Source, Stage, Step, Store
from timestamp_guard.testing.contract import AtomicStoreContract, StoreContract
from timestamp_guard.validators import explain, located, register_timestamps

guard: Guard = updated_at_guard(
    "updatedAt",
    created="createdAt",
    skew=timedelta(seconds=5),
    tolerance=timedelta(0),
    earliest=datetime(2000, 1, 1, tzinfo=UTC),
)
own: Guard = present("updatedAt") & in_order(
    datetime(2000, 1, 1, tzinfo=UTC), Field("createdAt") - timedelta(seconds=1), "updatedAt", NOW + timedelta(seconds=5)
)
names: tuple[str, ...] = guard.fields

fresh = timestamp("epoch_ms", skew=timedelta(seconds=5), now=0)
fresh(1700000000000)
sound: bool = fresh.holds("x")

service = guard.compile("epoch_ms", now=lambda: 0)
service({"updatedAt": 1})
held: bool = service.holds({"updatedAt": 1})
wrong: list[Violation] = service.violations({})
for index, codes in service.many([{}]):
    first: int = index
    code: str = codes[0]
by_field = guard.compile({"updatedAt": "rfc3339", "createdAt": Encoding.parse("epoch_s/ms")})

try:
    service({})
except InvalidTimestamps as problem:
    blamed: str = problem.violations[0].field
    hint: str | None = problem.violations[0].hint


@guarded(updated_at_guard("updated_at", "created_at"))
@attrs.define
class Service:
    """A class that judges its instances."""

    created_at: datetime
    updated_at: datetime


@attrs.define
class Page_:
    """A class with one judged field."""

    published: datetime
    modified: datetime = attrs.field(validator=follows("published", tolerance=timedelta(seconds=1)))


made: Service = Service(datetime.now(UTC), datetime.now(UTC))

converter = cattrs.Converter()
register_timestamps(converter, "epoch_ms")


@attrs.define
class Stored:
    """A class whose fields are written differently."""

    created: Annotated[datetime, Encoding.parse("epoch_s")]
    updated: datetime | None = None


try:
    converter.structure({}, Stored)
except cattrs.BaseValidationError as error:
    for path, violation in located(error):
        where: str = path
        why: Violation = violation
    print(explain(error))


def said(record: Mapping[str, Any]) -> datetime | None:
    """What a function knows of a record."""
    return datetime.now(UTC) if record else None


repair = Repair(
    "updatedAt",
    (
        "createdAt",
        latest("a", earliest("b", NOW)),
        reread("updatedAt", "epoch_s"),
        by("said", said),
        datetime(2020, 1, 1, tzinfo=UTC),
        NOW,
    ),
    codes=MISSING | {"in_future"},
)


def told(step: Step) -> None:
    """Listen to a run."""
    counts: int = step.run.counts.changed
    print(counts, step.fraction)


with open_store("sqlite:///app.db", "services", encodings={"updatedAt": "epoch_ms"}, key=["a", "b"]) as store:
    report: Report = check(store, guard, strict=True, samples=3, now=0)
    fine: bool = report.ok
    data: dict[str, Any] = report.to_dict()
    found: Iterator[Sample] = violations(store, guard)
    planned: Plan = plan(store, guard, repair)
    run: Run = backfill(
        store,
        guard,
        repair,
        shared=False,
        pace=Pace(target=0.005, start=100, throttles=(lambda: 0.0,)),
        lease=timedelta(seconds=30),
        backup=Path("copy.db"),
        progress=told,
    )
    number: int | None = run.id
    back: Run = rollback(store, run.id)
    stages: Sequence[Stage] = enforcement(store, guard, "updatedAt", repair=repair, keep_gate=True)
    enforced: Enforcement = enforce(store, guard, "updatedAt", repair=repair, keep_current=True, progress=print)
    held_by: Mapping[str, str] = unenforce(store).held if enforced.ok and stages[0].in_place else enforced.held
    known: list[Run] = runs(store)
    if isinstance(store, Guided):
        to_do: str | None = store.wanting("updatedAt", required=True)
    described: Mapping[str, Profile] = profile(store, ["updatedAt"], sample=10)
    listed: list[str] = tables("sqlite:///app.db")

for url in addresses("json:advisories/*.json"):
    with open_store(url, encodings="rfc3339", key="id", read_only=True, nonfinite=True) as file:
        identity: tuple[str, ...] = file.key
        types: Mapping[str, str] = file.declared()
snapshot: OpenStore = open_store("convex:snapshot.zip", "services", encodings="epoch_ms")
opened: OpenStore = open_store("jsonl:events.jsonl", encodings="epoch_ms")
opened.close()

rows = MemoryStore([{"_id": 1, "createdAt": 1700000000000}], key="_id", encodings="epoch_ms", name="rows")


class Adapter:
    """A store of one's own."""

    name = "mine"
    encodings = "epoch_ms"

    def scan(self, after: object, limit: int) -> Page:
        """Nothing to read."""
        return Page([], None)

    def write(self, changes: list[Change] | tuple[Change, ...] | Any) -> list[Change]:
        """Refuse all."""
        return [change for change in changes if change.before is not ABSENT]


mine: Store = Adapter()
readable: Source = mine
with open_ledger("ledger.db") as ledger:
    backfill(mine, guard, repair, ledger=ledger)


class TestMine(StoreContract):
    """An adapter proved."""


class TestFile(AtomicStoreContract):
    """A store of which a run is one step, proved."""


problems: tuple[type[TimestampGuardError], ...] = (UsageError, StoreError, StoreLocked)
print(timestamp_guard.__all__)


def convex_schema(folder: Path) -> None:
    schema: Schema = read_schema(folder)
    for name, table in schema.tables.items():
        kinds: frozenset[str] = table.fields["updatedAt"].kinds
        encodings: Mapping[str, str] = encodings_of(table)
        how: Literal["required", "optional", "mixed", "absent", "unknown"] = standing(table, "updatedAt")
        print(name, kinds, encodings, how, table.unknown)
    said: Agreement = agreement(schema, ["updatedAt"])
    print(said.ok, said.faults, [str(problem) for problem in schema.problems])


def convex_code(path: Path) -> None:
    services = GuardedTable(
        "services", "updatedAt", updated_at_guard("updatedAt"), {"updatedAt": "epoch_ns"}, int64=True
    )
    text: str = module([services])
    ours: bool | None = is_ours(path.read_text("utf-8"))
    print(text, ours)


def convex_audit(folder: Path) -> None:
    settings = Settings(updated="updatedAt", track=("a",), touch=(), ignore=(Ignored("patch-stale", "a reason"),))
    found: Audit = audit(folder, settings, processes=2)
    site: Site = found.sites[0]
    finding: Finding = found.findings[0]
    verdict: Literal["sets", "omits", "indeterminate"] = site.verdict
    call: Literal["insert", "patch", "replace"] = site.call
    table: str | None = site.table
    severity: Literal["error", "warning"] = finding.severity
    print(verdict, call, table, severity, finding.fingerprint, found.to_dict(), [str(each) for each in found.problems])
