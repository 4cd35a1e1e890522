"""
Tables of a live deployment: what is read without code of ours, what is written with it, under limits, among others and
over a network that fails; and that the key is nowhere.
"""

import json
import logging
import random
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.convex_database import Limits, Thrown, Transaction, page
from tests.convex_server import KEY, Deployment, deployment
from timestamp_guard import NOW, Pace, Repair, Run, backfill, check, open_store, plan, rollback, runs, updated_at_guard
from timestamp_guard.cli import main
from timestamp_guard.errors import StoreDamaged, StoreError, StoreLocked, StoreReadOnly, UnknownName, UsageError
from timestamp_guard.frozen import freeze
from timestamp_guard.stores import tables
from timestamp_guard.stores.base import OpenStore, Probed
from timestamp_guard.stores.convex.http import Address
from timestamp_guard.stores.convex.http import Deployment as Client
from timestamp_guard.stores.convex.live import Live
from timestamp_guard.stores.convex.online import OnlineStore

GUARD = updated_at_guard("updatedAt", "createdAt")
REPAIR = Repair("updatedAt", ("createdAt",))
THEN = 1_700_000_000_000.0
SECRET = KEY.rpartition("|")[2]


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """
    The key is in the environment, the ledger in this folder.
    """
    monkeypatch.setenv("CONVEX_DEPLOY_KEY", KEY)
    monkeypatch.chdir(tmp_path)


def rows(number: int = 40) -> list[dict[str, Any]]:
    """Every fourth is sound, the others lack the field or hold null in it."""
    found: list[dict[str, Any]] = [{"createdAt": THEN + n, "note": "x" * 20} for n in range(number)]
    for n, row in enumerate(found):
        if n % 4 == 0:
            row["updatedAt"] = THEN + n + 1
        elif n % 4 == 1:
            row["updatedAt"] = None
    return found


@pytest.fixture
def server() -> Iterator[Deployment]:
    """
    A deployment with one table of 40 records, 30 of them to fill.
    """
    with deployment({"services": rows()}) as made:
        yield made


def opened(server: Deployment, table: str = "services", **how: Any) -> OpenStore:
    """Its table, with little patience."""
    client = Client(Address.parse(server.url), patience=2.0)
    return OnlineStore(server.url, table, encodings="epoch_ms", deployment=client, **how)


def contents(server: Deployment, table: str = "services") -> dict[str, str]:
    """Every record, in value and type."""
    with server.database.lock:
        return {key: freeze(each) for key, each in sorted(server.database.tables[table].items())}


def filled(server: Deployment) -> dict[str, str]:
    """What a backfill makes of the records, in another place."""
    with server.database.lock:
        found = {key: dict(each) for key, each in server.database.tables["services"].items()}
    for each in found.values():
        if each.get("updatedAt") is None:
            each["updatedAt"] = each["createdAt"]
    return {key: freeze(each) for key, each in sorted(found.items())}


def schema(optional: bool = True, kind: str = "number", **more: Any) -> dict[str, Any]:
    """A schema of the table, as a deployment tells it."""
    number = {"type": "number"}
    value = {
        "createdAt": {"fieldType": number, "optional": False},
        "updatedAt": {"fieldType": {"type": kind}, "optional": optional},
        "note": {"fieldType": {"type": "string"}, "optional": True},
    } | more
    return {
        "tables": [{"tableName": "services", "documentType": {"type": "object", "value": value}}],
        "schemaValidation": True,
    }


# -- reading


def test_read_only(server: Deployment) -> None:
    """
    Without our functions a table is checked and planned all the same, and a backfill says what to deploy.
    """
    server.deployed = False
    before = contents(server)

    with opened(server, read_only=True) as store:
        assert (40, 30) == ((report := check(store, GUARD)).records, report.broken)
        assert {"createdAt": 30} == dict(plan(store, GUARD, REPAIR).by_candidate)
    with opened(server) as store, pytest.raises(StoreReadOnly, match="timestamp-guard convex init.*npx convex deploy"):
        backfill(store, GUARD, REPAIR)
    assert before == contents(server)
    assert ["services"] == tables(server.url)


def test_looking_makes_nothing(server: Deployment, tmp_path: Path) -> None:
    """
    Who only looks leaves no ledger behind, and can write nothing.
    """
    with opened(server, read_only=True) as store:
        check(store, GUARD)
        assert [] == runs(store)
        with pytest.raises(StoreReadOnly, match="was opened to be read only"):
            backfill(store, GUARD, REPAIR)
    assert [] == list(tmp_path.iterdir())


def test_unguarded(server: Deployment) -> None:
    """
    A table that the functions were not made for is read as without them, and is not written.
    """
    server.database.guarded = ("pillarPages",)

    with opened(server) as store:
        assert 30 == check(store, GUARD).broken
        with pytest.raises(StoreReadOnly, match="does not know it .*there is pillarPages"):
            backfill(store, GUARD, REPAIR)


def test_no_such_table(server: Deployment) -> None:
    """
    A table that is not there is named, with those that are like it.
    """
    with pytest.raises(UnknownName, match="no table 'service' in .*did you mean 'services'"):
        opened(server, "service")


def test_little_is_sent(server: Deployment) -> None:
    """
    Only the fields that matter are asked for, where our functions are there.
    """
    with opened(server) as store:
        check(store, GUARD)
    assert "_system/cli/tableData" == server.calls[2]  # a look at the first, for their names
    assert {"timestampGuard:page"} == set(server.calls[3:])


# -- writing


def test_filled_and_taken_back(server: Deployment) -> None:
    """
    A backfill fills exactly what is missing, and a rollback gives it back, absent fields too.
    """
    before, wanted = contents(server), filled(server)

    with opened(server) as store:
        run = backfill(store, GUARD, REPAIR, pace=Pace(start=7))
        assert ("complete", 30) == (run.status, run.counts.changed)
        assert wanted == contents(server)
    with opened(server) as store:  # another opening finds the ledger
        back = rollback(store, pace=Pace(start=7))
    assert ("complete", 30) == (back.status, back.counts.changed)
    assert before == contents(server)
    assert {"timestampGuard:apply", "timestampGuard:rollback"} == {path for path, *_ in server.database.log}


@pytest.mark.parametrize("trouble", ["twice", "cut after", "cut", (503, "Overloaded"), (429, "TooManyRequests")])
def test_network(server: Deployment, trouble: Any) -> None:
    """
    Over a network that loses questions and answers, and with mutations that run twice, all is as over a calm one.
    """
    before, wanted, chance = contents(server), filled(server), random.Random(1)
    server.trouble = lambda path: trouble if path.startswith("timestampGuard:") and chance.random() < 0.4 else None

    with opened(server) as store:
        run = backfill(store, GUARD, REPAIR, pace=Pace(target=0.0, start=4))
        assert ("complete", 30, 0) == (run.status, run.counts.changed, run.counts.refused)
        assert wanted == contents(server)
        back = rollback(store, pace=Pace(target=0.0, start=4))
    assert ("complete", 30, 0) == (back.status, back.counts.changed, back.counts.refused)
    assert before == contents(server)


def test_limits(server: Deployment) -> None:
    """
    Pages and writes that are too much for one transaction are halved, and that is remembered.
    """
    before, wanted = contents(server), filled(server)
    server.database.limits = Limits(bytes_read=900)

    with opened(server) as store:
        assert backfill(store, GUARD, REPAIR).ok
        assert wanted == contents(server)
        assert rollback(store).ok
    assert before == contents(server)
    assert len(server.calls) < 160


def test_deployed_anew(server: Deployment) -> None:
    """
    Functions that were deployed anew know no cursor from before: a run begins again at once, for a smaller page would be
    no better.
    """
    before, wanted, begun = contents(server), filled(server), [0]
    deployments, failed = [0], [0]

    def read(tx: Transaction, args: Mapping[str, Any]) -> Any:
        since, _, cursor = (args["cursor"] or f"{deployments[0]} null").partition(" ")
        if since != str(deployments[0]):
            failed[0] += 1
            raise Thrown("Uncaught Error: InvalidCursor: it looks like this cursor is from a different query.")
        found = page(tx, {**args, "cursor": None if cursor == "null" else cursor})
        return {**found, "cursor": f"{deployments[0]} {found['cursor']}"}

    def deploy(path: str) -> None:
        begun[0] += path == "timestampGuard:apply"
        deployments[0] = int(begun[0] > 3)

    server.others, server.trouble = {"timestampGuard:page": ("query", read)}, deploy
    with opened(server) as store:
        run = backfill(store, GUARD, REPAIR, pace=Pace(target=0.0, start=4))
        assert ("complete", 30, 0) == (run.status, run.counts.changed, run.counts.refused)
        assert wanted == contents(server)
        assert rollback(store).ok
    assert before == contents(server)
    assert (1, 1) == (deployments[0], failed[0])


def test_one_record_that_cannot_be_read(server: Deployment) -> None:
    """
    A record that no transaction can read ends a check, and says why.
    """
    server.database.limits = Limits(bytes_read=50)

    with (
        opened(server) as store,
        pytest.raises(StoreError, match="services of .* cannot be read: .*Too many bytes read"),
    ):
        store.fields()


STRANGE: list[tuple[str, Any]] = [
    ("_system/cli/tables", None),
    ("_system/cli/tables", {"page": None, "isDone": True}),
    ("_system/cli/tables", {"page": [{"name": 5.0}, {"name": "services"}], "isDone": True}),
    ("_system/cli/tables", {"page": [{"name": "services"}], "isDone": False, "continueCursor": None}),
    ("_system/frontend/getSchemas", []),
    ("_system/frontend/getSchemas", {"active": "[" * 50_000}),
    ("timestampGuard:page", None),
    ("timestampGuard:page", {"documents": ["x"], "cursor": "", "done": True}),
    ("timestampGuard:page", {"documents": [{"createdAt": THEN}], "cursor": "", "done": True}),
    ("timestampGuard:page", {"documents": [{"_id": "a", "createdAt": THEN}] * 2, "cursor": "", "done": True}),
    ("timestampGuard:page", {"documents": [], "done": False}),
    ("timestampGuard:page", {"documents": [], "cursor": "the same", "done": False}),
    ("timestampGuard:apply", None),
    ("timestampGuard:apply", {"refused": None}),
    ("timestampGuard:apply", {"refused": "doc00000001"}),
    ("timestampGuard:apply", {"refused": [[]]}),
    ("timestampGuard:apply", {"refused": ["of somebody else"]}),
]


@pytest.mark.parametrize(("path", "answer"), STRANGE)
def test_strange_answers(server: Deployment, path: str, answer: Any) -> None:
    """
    A function that answers something else than was asked, as one of another release or one that somebody changed, ends
    a run with its name: nothing is guessed, nothing is asked for ever, and nothing counts as made.
    """
    before = contents(server)
    server.others = {path: ("mutation" if "apply" in path else "query", lambda *_: answer)}

    with pytest.raises(StoreDamaged, match=f"{path} of 127.0.0.1.* answers"), opened(server) as store:
        backfill(store, GUARD, REPAIR)
    assert before == contents(server)

    server.others = {}
    with opened(server) as store:
        assert 30 == backfill(store, GUARD, REPAIR).counts.changed


def test_strange_probe(server: Deployment) -> None:
    """
    A probe that is answered with something else has shown nothing.
    """
    server.others = {"timestampGuard:refusesWithout": ("mutation", lambda *_: {"ok": "yes"})}

    with opened(server) as store, pytest.raises(StoreDamaged, match="refusesWithout of .* answers"):
        assert isinstance(store, Probed)
        store.probe(GUARD, "updatedAt")


@pytest.mark.parametrize("name", ["meta.updatedAt", r"a\.b"])
def test_fields_in_objects(server: Deployment, name: str) -> None:
    """
    A field in an object cannot be compared and set by the functions: it is refused, and no field of that name is made.
    """
    for each in server.database.tables["services"].values():
        each["meta"] = {"updatedAt": THEN}
    before = contents(server)

    guard = updated_at_guard(name, "createdAt")
    with opened(server) as store:
        with pytest.raises(UsageError, match="have it filled in a snapshot"):
            check(store, guard)
        with pytest.raises(UsageError, match="have it filled in a snapshot"):
            backfill(store, guard, Repair(name, ("createdAt",)))
    assert before == contents(server)


def test_arguments(server: Deployment) -> None:
    """
    Old values that are long are sent in several calls.
    """
    for each in server.database.tables["services"].values():
        each["updatedAt"] = "n" * 300_000
    before = contents(server)

    with opened(server) as store:
        assert backfill(store, GUARD, Repair("updatedAt", ("createdAt",), {"wrong_type"})).ok
        assert rollback(store).ok
    assert before == contents(server)


def test_a_record_that_is_refused(server: Deployment) -> None:
    """
    A record that the schema refuses for another reason is set aside, with what the deployment says; the others are filled.
    """
    server.database.schema = schema(note={"fieldType": {"type": "string"}, "optional": False})
    odd = list(server.database.tables["services"])[10]
    del server.database.tables["services"][odd]["note"]

    with opened(server) as store:
        run = backfill(store, GUARD, REPAIR)
        (aside,) = store.ledger.quarantined(run)

    assert ("incomplete", 29, 1) == (run.status, run.counts.changed, run.counts.quarantined)
    assert odd == aside.key
    assert "Object is missing the required field `note`" in aside.reason


@pytest.mark.parametrize("kind", ["number", "bigint", None])
def test_kinds_of_numbers(server: Deployment, kind: str | None) -> None:
    """
    What is filled is the kind of number that the schema says, or that the other records hold.
    """
    if kind is None:
        for each in server.database.tables["services"].values():
            if each.get("updatedAt") is not None:
                each["updatedAt"] = int(each["updatedAt"])
    else:
        server.database.schema = schema(kind=kind)
    for each in server.database.tables["services"].values():
        if kind == "bigint" and each.get("updatedAt") is not None:
            each["updatedAt"] = int(each["updatedAt"])
        each.pop("updatedAt") if each.get("updatedAt", 0) is None else None

    with opened(server) as store:
        assert backfill(store, GUARD, Repair("updatedAt", ("createdAt", NOW))).ok

    wanted = float if kind == "number" else int
    assert {wanted} == {type(each["updatedAt"]) for each in server.database.tables["services"].values()}


def test_another_folder(
    server: Deployment, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Where no run is known, the folder is named in which one would be: it may have been made in another one.
    """
    with opened(server) as store:
        assert backfill(store, GUARD, REPAIR).ok
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    wanted = (
        f"no run is recorded in 127.0.0.1_{server.port}.timestamp-guard: call this from the folder in which backfill"
    )

    assert 0 == main(["runs", server.url])
    assert capsys.readouterr().out.startswith(wanted)
    assert 0 == main(["rollback", server.url])
    assert capsys.readouterr().out.startswith(f"nothing to take back: {wanted}")
    assert [] == list(Path().iterdir())

    monkeypatch.chdir(tmp_path)
    assert 0 == main(["rollback", server.url])
    assert "30 restored" in capsys.readouterr().out


def test_a_string_without_values(server: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    """
    `init` takes a field of text that no record has for what JavaScript writes, and that is what a backfill fills in.
    """
    server.database.schema = schema(kind="string")
    for each in server.database.tables["services"].values():
        each.pop("updatedAt", None)

    assert 0 == main(["init", server.url])
    assert "updatedAt: rfc3339/ms, a guess: no value to look at" in capsys.readouterr().out
    assert 0 == main(["backfill"])
    first = min(server.database.tables["services"].values(), key=lambda each: each["createdAt"])
    assert "2023-11-14T22:13:20.000Z" == first["updatedAt"]


def test_an_integer_from_a_fraction(server: Deployment) -> None:
    """
    An int64 is filled from a `_creationTime`, whose fraction of a millisecond it cannot hold: as in a snapshot.
    """
    server.database.schema = schema(kind="bigint")
    for each in server.database.tables["services"].values():
        each.pop("updatedAt", None)
    made = {key: each["_creationTime"] for key, each in server.database.tables["services"].items()}

    with opened(server) as store:
        run = backfill(store, updated_at_guard("updatedAt", "_creationTime"), Repair("updatedAt", ("_creationTime",)))

    assert ("complete", 40) == (run.status, run.counts.changed)
    assert any(not each.is_integer() for each in made.values())
    for key, each in server.database.tables["services"].items():
        assert (int, int(made[key])) == (type(each["updatedAt"]), each["updatedAt"])


def test_kinds_that_do_not_fit(server: Deployment) -> None:
    """
    A schema without the field, or of another kind, is told of before anything is written.
    """
    server.database.schema = schema(kind="string")
    with opened(server) as store, pytest.raises(UsageError, match="is optional string in the schema.*encoding right"):
        backfill(store, GUARD, REPAIR)

    server.database.schema = schema()
    del server.database.schema["tables"][0]["documentType"]["value"]["updatedAt"]
    with opened(server) as store, pytest.raises(UsageError, match="has no field updatedAt.*v.optional"):
        backfill(store, GUARD, REPAIR)
    assert [] == server.database.log


def test_stamped_by_the_deployment(server: Deployment) -> None:
    """
    What is a commit timestamp is left to the deployment, here as in a snapshot.
    """
    for each in server.database.tables["services"].values():
        if isinstance(each.get("updatedAt"), float):
            each["updatedAt"] = int(each["updatedAt"])
    server.database.schema = schema(kind="commitTs")

    with opened(server) as store, pytest.raises(UsageError, match="is optional commitTs in the schema"):
        backfill(store, GUARD, REPAIR)
    assert [] == server.database.log


def test_anything_or_an_object(server: Deployment) -> None:
    """
    Where a document may be anything, or an object that requires the field, the schema does not require it.
    """
    server.database.schema = schema(optional=False)
    table = server.database.schema["tables"][0]
    table["documentType"] = {"type": "union", "value": [table["documentType"], {"type": "any"}]}

    client = Client(Address.parse(server.url))
    live = Live.of(client, "services")
    client.close()

    assert (True, False, frozenset({"number"})) == (
        live.open,
        live.requires("updatedAt"),
        live.fields["updatedAt"].kinds,
    )


@pytest.mark.parametrize(("optional", "found"), [(False, "none"), (True, "None")])
def test_required_meanwhile(server: Deployment, optional: bool, found: str) -> None:
    """
    A rollback to absent fields, or to null, is not begun while the schema does not take them.
    """
    for each in server.database.tables["services"].values():
        if optional or each.get("updatedAt", 0) is None:
            each.setdefault("updatedAt", None)
        if not optional and each.get("updatedAt", 0) is None:
            del each["updatedAt"]
    with opened(server) as store:
        backfill(store, GUARD, REPAIR)
    wanted = contents(server)
    server.database.schema = schema(optional=optional)

    with opened(server) as store:
        with pytest.raises(
            UsageError, match=f"found {found} in updatedAt of services.* takes only .*number there: let it"
        ):
            rollback(store)
        assert 1 == len(runs(store))
    assert wanted == contents(server)


def test_probe(server: Deployment) -> None:
    """
    The functions try what the schema refuses, and leave nothing behind.
    """
    server.database.schema = schema(optional=False)
    with opened(server) as store:
        assert isinstance(store, Probed)
        assert store.probe(GUARD, "updatedAt").ok
        assert "missing the required field" in store.probe(GUARD, "updatedAt").without
    server.database.schema = schema()
    with opened(server) as store:
        assert isinstance(store, Probed)
        assert not store.probe(GUARD, "updatedAt").ok
    assert [] == server.database.log


@pytest.mark.parametrize("key", ["slug", ("_id", "slug")])
def test_other_keys(server: Deployment, key: Any) -> None:
    """
    Records are known by the ids that Convex gives them. What was given instead is not repeated: it may be the deploy key.
    """
    with pytest.raises(UsageError, match="known by its _id") as problem:
        open_store(server.url, "services", encodings="epoch_ms", key=key)
    assert "slug" not in str(problem.value)


def test_clock(server: Deployment) -> None:
    """
    A deployment whose clock is far from ours is refused by name; NOW is its own otherwise.
    """
    server.ahead = 60.0
    with opened(server) as store, pytest.raises(StoreError, match="the clock of the server is .* s ahead of"):
        check(store, GUARD)

    server.ahead = 3.0
    with opened(server) as store:
        run = backfill(store, GUARD, Repair("updatedAt", (NOW,)))
    assert 1.0 < (run.now - time.time_ns()) / 1e9 < 5.0


# -- among others


def test_conflicts(server: Deployment) -> None:
    """
    A conflict that lasts is tried again with fewer records, and is told as what it is.
    """
    server.database.limits = Limits(undisturbed=5, retries=1)
    with opened(server) as store:
        store.deployment._patience = 0.1  # type: ignore[attr-defined]  # what it is opened with
        assert backfill(store, GUARD, REPAIR).ok

    occ = (503, "OptimisticConcurrencyControlFailure")
    server.trouble = lambda path: occ if path == "timestampGuard:rollback" else None
    with opened(server) as store:
        store.deployment._patience = 0.1  # type: ignore[attr-defined]  # what it is opened with
        with pytest.raises(StoreLocked, match="OptimisticConcurrencyControlFailure"):
            rollback(store)


def writer(server: Deployment, until: threading.Event, wrote: dict[str, list[Any]], seed: int) -> None:
    """A user: writes the field of records at random, takes it away, inserts some without it."""
    client, chance = Client(Address.parse(server.url), patience=10.0), random.Random(seed)
    inserts = 20
    mine = [key for n, key in enumerate(sorted(server.database.tables["services"])) if n % 3 == seed]
    while not until.is_set():
        key, value = chance.choice(mine), THEN + 10_000 + chance.randrange(10**6)
        client.mutation("app:patch", table="services", id=key, fields={"updatedAt": value})
        wrote.setdefault(key, []).append(value)
        if inserts and chance.random() < 0.1:
            inserts -= 1
            client.mutation("app:insert", table="services", document={"createdAt": THEN, "note": "new"})
        time.sleep(0.002)
    client.close()


@pytest.mark.parametrize("trouble", [None, "twice"])
def test_users_write(trouble: str | None) -> None:
    """
    Of what users write while a backfill and a rollback run, nothing is lost: each record holds the last of it.
    """
    with deployment({"services": rows(120)}) as server:
        server.database.limits = Limits(retries=30)
        server.trouble = lambda path: trouble if path.startswith("timestampGuard:") else None
        done, wrote = threading.Event(), ({}, {}, {})  # type: tuple[threading.Event, tuple[dict[str, list[Any]], ...]]
        users = [threading.Thread(target=writer, args=(server, done, wrote[seed], seed)) for seed in (0, 1)]
        for each in users:
            each.start()
        runs_: list[Run] = []
        try:
            with opened(server) as store:
                for _ in range(2):
                    runs_.append(backfill(store, GUARD, REPAIR, pace=Pace(target=0.0, start=10)))
                    runs_.append(rollback(store, pace=Pace(target=0.0, start=10)))
        finally:
            done.set()
            for each in users:
                each.join()

        held = {key: each.get("updatedAt") for key, each in server.database.tables["services"].items()}
        last = {key: values[-1] for mine in wrote for key, values in mine.items()}
        assert 20 < len(last)
        assert last == {key: held[key] for key in last}
        assert runs_[0].counts.changed


# -- the key is nowhere


def everything(server: Deployment, capsys: Any, caplog: Any, folder: Path, act: Callable[[], object]) -> str:
    """All that an act leaves behind that somebody could read: output, logs, errors with their tracebacks, files."""
    caplog.set_level(logging.DEBUG)
    said = ""
    try:
        act()
    except SystemExit:
        pass
    except Exception:  # noqa: BLE001 - whatever it is, it is shown
        said = traceback.format_exc()
    files = [path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file()]
    captured = capsys.readouterr()
    return "\n".join([said, captured.out, captured.err, caplog.text, *files])


TROUBLES: Sequence[Any] = (
    None, "cut", "cut after", "twice", "garbage", (403, "BadDeployKey"), (401, "Unauthenticated"), (404, "NotFound"),
    (400, "BadJsonBody"), (503, "Overloaded"), (503, "OptimisticConcurrencyControlFailure"), (429, "TooManyRequests"),
)  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(TROUBLES), max_size=12),
    st.sampled_from(["check", "plan", "backfill", "rollback", "runs", "open"]),
    st.sampled_from(["right", "wrong", "echoed"]),
)
def test_the_key_is_nowhere(
    capsys: Any, caplog: Any, tmp_path: Path, monkeypatch: Any, troubles: list[Any], act: str, key: str
) -> None:
    """
    Whatever goes wrong, the key is in no output, log, error or file.
    """
    monkeypatch.setitem(Client.__init__.__kwdefaults__, "patience", 0.0)
    with deployment({"services": rows(8)}, key=KEY if key == "right" else "x|y", echo=key == "echoed") as server:
        waiting = iter(troubles)
        server.trouble = lambda _: next(waiting, None)
        meaning = ["--updated", "updatedAt", "--created", "createdAt", "--encoding", "epoch_ms"]
        fill = ["--fill", "createdAt"] if act in {"plan", "backfill"} else []
        words = [act, server.url, *([] if act in {"runs", "rollback"} else meaning), *fill]

        def acts() -> object:
            if act == "open":
                with open_store(server.url, "services", encodings="epoch_ms") as store:
                    return (repr(store), str(vars(store)), check(store, GUARD), backfill(store, GUARD, REPAIR))
            return main(words)

        left = everything(server, capsys, caplog, tmp_path, acts)

    assert SECRET not in left
    assert json.dumps(SECRET)[1:-1] not in left
