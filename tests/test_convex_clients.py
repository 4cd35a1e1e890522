"""
The server of these tests answers Convex's own clients as they expect it of a deployment: the one in Python, and npm's;
and its functions do what those in TypeScript do.
"""

import itertools
import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.convex_database import MODULE, Database, Transaction
from tests.convex_server import KEY, Deployment, deployment
from timestamp_guard import ABSENT, updated_at_guard
from timestamp_guard.convex.generate import GuardedTable
from timestamp_guard.stores.convex.wire import encoded, text

from .node import node, project
from .test_convex_generated import app, vitest


@pytest.fixture
def server() -> Iterator[Deployment]:
    """
    A deployment with one table.
    """
    with deployment({"services": [{"_id": "a", "n": 1.0, "big": 5, "bytes": b"\x00"}]}) as made:
        yield made


@pytest.fixture
def client(server: Deployment) -> Any:
    """
    The official client, for HTTP.
    """
    http_client = pytest.importorskip(
        "convex.http_client", reason="needs Convex's client: python -m pip install convex"
    )
    made = http_client.ConvexHttpClient(server.url.removeprefix("convex+"))
    made.set_admin_auth(KEY)
    return made


def test_python_client(server: Deployment, client: Any) -> None:
    """
    It reads numbers of both kinds and bytes, and writes.
    """
    from convex import ConvexInt64

    (found,) = client.query("app:list", {"table": "services"})
    assert {"_id": "a", "n": 1.0, "big": ConvexInt64(5), "bytes": b"\x00"}.items() <= found.items()
    assert client.mutation("app:patch", {"table": "services", "id": "a", "fields": {"n": ConvexInt64(7)}}) is None
    assert 7 == server.database.tables["services"]["a"]["n"]
    assert float("inf") == client.query("app:echo", {"value": float("inf")})


def test_python_client_calls_the_module(server: Deployment, client: Any) -> None:
    """
    It calls our functions as any other, and sees what they answer.
    """
    page = client.query("timestampGuard:page", {"table": "services", "fields": ["n"], "cursor": None, "limit": 10})
    assert [{"_id", "_creationTime", "n"}] == [set(each) for each in page["documents"]]
    change = {"id": "a", "before": {"value": 1.0}, "after": {}}
    said = [
        client.mutation(f"timestampGuard:{name}", {"table": "services", "field": "n", "run": "1", "changes": [change]})
        for name in ("apply", "apply", "rollback", "rollback")
    ]
    assert [{"refused": []}] * 4 == said
    assert 1.0 == server.database.tables["services"]["a"]["n"]


def test_python_client_sees_errors(server: Deployment, client: Any) -> None:
    """
    It tells errors of an application from those of a deployment.
    """
    from convex import ConvexError
    from convex.http_client import ConvexExecutionError

    with pytest.raises(ConvexError) as caught:
        client.mutation("app:fail", {"data": "no more"})
    assert "no more" == caught.value.data
    with pytest.raises(ConvexExecutionError, match="Could not find public function for 'app:other'"):
        client.query("app:other", {})
    client.set_admin_auth("prod:happy-otter-123|wrong")
    with pytest.raises(Exception, match="403 BadDeployKey: The provided deploy key was invalid"):
        client.query("app:echo", {})
    server.trouble = lambda _: (503, "OptimisticConcurrencyControlFailure")
    with pytest.raises(Exception, match="503 OptimisticConcurrencyControlFailure"):
        client.mutation("app:echo", {})


def test_python_client_without_a_key(client: Any) -> None:
    """
    Without a key, what is internal is not there.
    """
    from convex.http_client import ConvexExecutionError

    client.clear_auth()
    assert 1.0 == client.query("app:echo", {"value": 1.0})
    for name in ("timestampGuard:page", "_system/cli/tables"):
        with pytest.raises(ConvexExecutionError, match="Could not find public function"):
            client.query(name, {})


SCRIPT = """
import { ConvexHttpClient } from "convex/browser";
const client = new ConvexHttpClient(process.argv[2], { skipConvexDeploymentUrlCheck: true });
client.setAdminAuth(process.argv[3]);
const said = [];
const tried = async (call) => {
  try { said.push(await call()); } catch (problem) { said.push(["threw", problem.message.split("\\n").pop(), problem.data ?? null]); }
};
const shown = (value) => JSON.parse(JSON.stringify(value, (_, each) => typeof each === "bigint" ? `${each}n` : each instanceof ArrayBuffer ? "bytes" : each));
await tried(async () => shown(await client.query("app:list", { table: "services" })).map(({ n, big, bytes }) => ({ n, big, bytes })));
await tried(() => client.mutation("app:patch", { table: "services", id: "a", fields: { n: 3 } }));
await tried(() => client.mutation("app:fail", { data: { reason: "no" } }));
await tried(() => client.query("app:other", {}));
client.setAdminAuth("prod:happy-otter-123|wrong");
await tried(() => client.query("app:echo", {}));
console.log(JSON.stringify(said));
"""


def test_npm_client(server: Deployment, tmp_path: Path) -> None:
    """
    That of npm reads, writes and fails in the same ways.
    """
    folder = project(tmp_path / "app")
    (folder / "script.mjs").write_text(SCRIPT)

    listed, patched, failed, other, refused = json.loads(
        node("script.mjs", server.url.removeprefix("convex+"), KEY, cwd=folder)
    )

    assert [{"n": 1, "big": "5n", "bytes": "bytes"}] == listed
    assert patched is None
    assert 3.0 == server.database.tables["services"]["a"]["n"]
    assert {"reason": "no"} == failed[2]
    assert "Could not find public function for 'app:other'" in other[1]
    assert "BadDeployKey" in refused[1]


# -- the functions themselves

RAWS: list[Any] = [
    ABSENT, None, True, False, 0.0, -0.0, 1.0, 1, 0, "1", "", math.nan, math.inf, 5e-324, 2.0**53, -(2**63), b"", b"\x00",
    [], [1.0], [1], {}, {"a": 1.0}, {"a": 1},
]  # fmt: skip
"""Values that are easily taken for one another."""

SPEC = """
import { convexTest } from "convex-test";
import { convexToJson, jsonToConvex } from "convex/values";
import { expect, test } from "vitest";
import cases from "./changes.json";
import { internal } from "./convex/_generated/api.js";
import schema from "./convex/schema.js";

const modules = import.meta.glob("./convex/**/*.ts");
const raw = (said) => ("value" in said ? { value: jsonToConvex(said.value) } : {});

test("as in Python", async () => {
  const app = convexTest(schema, modules);
  const apart = [];
  for (const { held, name, before, after, refused, left } of cases) {
    const field = raw(held);
    const fields = "value" in field ? { updatedAt: field.value } : {};
    const id = await app.run(async (ctx) => await ctx.db.insert("pillarPages", { title: "x", ...fields }));
    const changes = [{ id, before: raw(before), after: raw(after) }];
    const said = await app.mutation(internal.timestampGuard[name], { table: "pillarPages", field: "updatedAt", run: "1", changes });
    const document = await app.run(async (ctx) => await ctx.db.get(id));
    const found = document.updatedAt === undefined ? {} : { value: convexToJson(document.updatedAt) };
    const same = JSON.stringify(found) === JSON.stringify(left) && (said.refused.length === 1) === refused;
    if (!same) apart.push(JSON.stringify({ held, name, before, after, refused, left, found, said }));
  }
  expect(apart.slice(0, 10)).toEqual([]);
  expect(cases.length).toBeGreaterThan(500);
});
"""


def test_the_module_does_what_the_server_does(tmp_path: Path) -> None:
    """
    `apply` and `rollback` in TypeScript compare and set as this server's do, for values of every two kinds.
    """
    chance = random.Random(7)
    database = Database()
    cases = []
    for held, before, name in itertools.product(RAWS, RAWS, ("apply", "rollback")):
        after = chance.choice(RAWS)
        document = {} if held is ABSENT else {"updatedAt": held}
        key = database.put("pillarPages", document)
        change = {"id": key, "before": optional(before), "after": optional(after)}
        tx = Transaction(database, name)
        said = MODULE[f"timestampGuard:{name}"][1](
            tx, {"table": "pillarPages", "field": "updatedAt", "changes": [change]}
        )
        tx.commit()
        left = {each: raw for each, raw in database.tables["pillarPages"][key].items() if each == "updatedAt"}
        cases.append(
            {
                "held": wire(document),
                "name": name,
                "before": encoded(change["before"]),
                "after": encoded(change["after"]),
                "refused": said["refused"] == [key],
                "left": wire(left),
            }
        )
    folder = app(
        tmp_path / "app", [GuardedTable("pillarPages", "updatedAt", updated_at_guard("updatedAt"), "epoch_ms")]
    )
    (folder / "changes.json").write_bytes(text(cases))
    (folder / "changes.test.ts").write_text(SPEC)

    assert " passed" in vitest(folder, "changes.test.ts")


def optional(raw: Any) -> dict[str, Any]:
    return {} if raw is ABSENT else {"value": raw}


def wire(document: dict[str, Any]) -> Any:
    return encoded(optional(document.get("updatedAt", ABSENT)))
