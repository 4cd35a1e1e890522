"""
The server of these tests answers Convex's own clients as they expect it of a deployment: the one in Python, and npm's.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.convex_server import KEY, Deployment, deployment

from .node import node, project


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
