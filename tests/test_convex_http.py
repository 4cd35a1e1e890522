"""
How a deployment is spoken to: addresses and keys, what is tried again, what its errors mean, what time it is there.
"""

import itertools
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.convex_database import read
from tests.convex_server import KEY, Deployment, deployment
from timestamp_guard.errors import StoreDamaged, StoreError, StoreLocked, StoreMissing, UsageError
from timestamp_guard.frozen import freeze
from timestamp_guard.stores.address import shown
from timestamp_guard.stores.convex.http import Address, Conflict, Refused, Unfound
from timestamp_guard.stores.convex.http import Deployment as Client
from timestamp_guard.stores.convex.wire import decoded, encoded, text

SECRET = KEY.rpartition("|")[2]


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The key is where it belongs, and nowhere else.
    """
    monkeypatch.delenv("CONVEX_SELF_HOSTED_ADMIN_KEY", raising=False)
    monkeypatch.setenv("CONVEX_DEPLOY_KEY", KEY)


@pytest.fixture
def server() -> Iterator[Deployment]:
    """
    A deployment with one table.
    """
    with deployment({"services": [{"_id": "a", "n": 1.0}]}) as made:
        yield made


def client(server: Deployment, **how: Any) -> Client:
    """One that does not wait in earnest."""
    settings: dict[str, Any] = {"patience": 1.0, "sleep": lambda _: None} | how
    return Client(Address.parse(server.url), **settings)


# -- values


SCALARS = st.none() | st.booleans() | st.floats() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.binary()
NAMES = st.text("abcXYZ_019", min_size=1)


@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner)))
def test_values(value: Any) -> None:
    """
    Every value that Convex has comes back as it was, in type and bits, and is read by others as what it is.
    """
    sent = json.loads(text(encoded(value)))

    assert freeze(value) == freeze(decoded(sent))
    assert freeze(value) == freeze(read(sent))


@pytest.mark.parametrize("data", [5, -0, 10**15])
def test_numbers_are_floats(data: int) -> None:
    """
    A number without a point is a float, whoever wrote it.
    """
    assert "5.0" == text(encoded(5.0)).decode()
    assert float is type(decoded(data))


@pytest.mark.parametrize(
    "value", [2**63, -(2**63) - 1, (1,), {1}, object()], ids=["above", "below", "tuple", "set", "object"]
)
def test_no_value(value: Any) -> None:
    """
    What Convex cannot hold is not sent.
    """
    with pytest.raises(TypeError, match="Convex has no value like"):
        encoded(value)


@pytest.mark.parametrize(
    "data", [{"$integer": "AA=="}, {"$float": "nonsense"}, {"$bytes": "?"}, {"$set": []}, [{"$float": ""}]]
)
def test_no_answer(data: Any) -> None:
    """
    What stands for no value is not guessed at.
    """
    with pytest.raises(ValueError, match="cannot read"):
        decoded(data)


# -- addresses and keys


def test_address() -> None:
    """
    An address says where, and the environment what opens it.
    """
    found = Address.parse("convex+https://happy-otter-123.convex.cloud")

    assert ("happy-otter-123.convex.cloud", None, True, KEY) == (found.host, found.port, found.secure, found.key)
    assert Path("happy-otter-123.convex.cloud.timestamp-guard") == found.folder
    assert SECRET not in repr(found)


@pytest.mark.parametrize("name", ["CONVEX_SELF_HOSTED_ADMIN_KEY", "OTHER"])
def test_other_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    """
    A key is taken from where the address says, or from where self-hosted deployments have it.
    """
    monkeypatch.delenv("CONVEX_DEPLOY_KEY")
    monkeypatch.setenv(name, " mine|abc \n")
    asked = "?key=env:OTHER&" if name == "OTHER" else "?"

    found = Address.parse(f"convex+http://127.0.0.1:3210/{asked}ledger={tmp_path}")

    assert ("mine|abc", 3210, False) == (found.key, found.port, found.secure)
    assert tmp_path / "127.0.0.1_3210.timestamp-guard" == found.folder


def test_key_in_a_file(tmp_path: Path) -> None:
    """
    A key may be in the first line of a file.
    """
    (tmp_path / "key").write_text("mine|abc\nnot this\n")

    assert "mine|abc" == Address.parse(f"convex+http://localhost?key=file:{tmp_path / 'key'}").key


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("convex+https://sad-cat-9.convex.cloud", "the key is one of the deployment happy-otter-123"),
        ("convex+https://happy-otter-123.convex.site", "wanted convex\\+https://happy-otter-123.convex.cloud"),
        ("convex+http://happy-otter-123.convex.cloud", "in the clear: use convex\\+https://"),
        ("convex+https://x.convex.cloud/api", "cannot read the address"),
        ("convex+https://x.convex.cloud?table=a", "cannot read the address"),
        ("convex+https://", "cannot read the address"),
        ("convex+https://x:port", "cannot read the address"),
        (f"convex+https://x.example?key={KEY}", "must not be in the address: say key=env:NAME"),
        (f"convex+https://{SECRET}@x.example", "has no user and no password"),
        ("convex+https://x.example?key=env:NOBODY", "there is no key to https://x.example: .* set NOBODY"),
        ("convex+https://x.example?key=file:nowhere", "first line of nowhere"),
    ],
)
def test_address_that_cannot_be_meant(url: str, said: str) -> None:
    """
    An address is refused before anything is sent, in words that do not repeat a key.
    """
    with pytest.raises(UsageError, match=said) as caught:
        Address.parse(url)
    assert SECRET not in str(caught.value)
    assert SECRET not in shown(url)


@pytest.mark.parametrize("given", ["", "  ", "two words", "line\r\nX-Other: 1"])
def test_no_key(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    """
    Without a key nothing is asked, and a header cannot be made of one.
    """
    monkeypatch.setenv("CONVEX_DEPLOY_KEY", given)

    with pytest.raises(UsageError, match="(there is no key to|is none: it has blanks)"):
        Address.parse("convex+https://x.example")


# -- what comes back


def test_calls(server: Deployment) -> None:
    """
    Queries and mutations give their values, over one connection.
    """
    asked = client(server)

    assert [1, 1.0, b"\x00", None] == asked.query("app:echo", value=[1, 1.0, b"\x00", None])
    assert asked.mutation("app:patch", table="services", id="a", fields={"n": 2.0}) is None
    assert 2.0 == server.database.tables["services"]["a"]["n"]
    assert 1 == server.connections
    asked.close()


def test_application_errors(server: Deployment) -> None:
    """
    A function that fails is not asked again, and says what it says.
    """
    asked = client(server)

    with pytest.raises(Refused, match=r'^Uncaught ConvexError: \{"reason": "no"\}$'):
        asked.mutation("app:fail", data={"reason": "no"})
    with pytest.raises(Refused, match="Uncaught ConvexError$"):
        asked.mutation("app:fail")
    assert 2 == len(server.calls)
    asked.close()


def test_unfound(server: Deployment) -> None:
    """
    A function that is not there is told from one that fails.
    """
    asked = client(server)

    with pytest.raises(Unfound, match="Could not find public function for 'timestampGuard:other'"):
        asked.query("timestampGuard:other")
    asked.close()


@pytest.mark.parametrize("echo", [False, True])
def test_bad_key(server: Deployment, echo: bool) -> None:
    """
    A key that is not taken is said so, with what to do, and is not repeated though the server may do that.
    """
    server.key, server.echo = "prod:happy-otter-123|another", echo
    asked = client(server)

    with pytest.raises(StoreError, match="does not take the key.*BadDeployKey.*make a deploy key") as caught:
        asked.query("app:echo")
    assert SECRET not in str(caught.value)
    assert 1 == len(server.calls)
    asked.close()


@pytest.mark.parametrize(
    ("trouble", "times"),
    [
        ((503, "Overloaded"), 6),
        ((429, "TooManyRequests"), 6),
        ((500, "InternalServerError"), 6),
        ("cut", 5),  # one that was kept open is opened again at once: both are one try
    ],
)
def test_tried_again(server: Deployment, trouble: Any, times: int) -> None:
    """
    What can fare better is tried again, after waits that grow and are not all alike.
    """
    waits: list[float] = []
    asked = client(server, patience=60.0, sleep=waits.append, chance=itertools.cycle([0.5, 1.0, 0.25, 1.0]).__next__)
    assert 1.0 == asked.query("app:echo", value=1.0)
    troubles = iter([trouble] * 6)
    server.trouble = lambda _: next(troubles, None)

    assert 3.0 == asked.query("app:echo", value=3.0)
    assert [0.05, 0.2, 0.1, 0.8, 0.8, 3.2][:times] == [round(each, 9) for each in waits]
    asked.close()


@pytest.mark.parametrize(
    ("trouble", "kind", "said"),
    [
        (
            (503, "OptimisticConcurrencyControlFailure"),
            Conflict,
            "OptimisticConcurrencyControlFailure: try again later",
        ),
        ((503, "Overloaded"), StoreLocked, r"has too much to do \(503 Overloaded\)"),
        ((429, "TooManyRequests"), StoreLocked, r"has too much to do \(429 TooManyRequests\)"),
        ("cut", StoreError, "does not answer any more"),
    ],
)
def test_given_up(server: Deployment, trouble: Any, kind: type[Exception], said: str) -> None:
    """
    Patience has an end, and says what it was about.
    """
    asked = client(server, patience=0.2, sleep=time.sleep)
    asked.query("app:echo")
    server.trouble = lambda _: trouble

    with pytest.raises(kind, match=said):
        asked.mutation("app:patch", table="services", id="a", fields={})
    assert 2 < len(server.calls)
    asked.close()


@pytest.mark.parametrize("code", [400, 409])
def test_not_tried_again(server: Deployment, code: int) -> None:
    """
    What would fail again is not asked again.
    """
    server.trouble = lambda _: (code, "Whatever")
    asked = client(server)

    with pytest.raises(Refused, match="Whatever: Whatever: try again later"):
        asked.query("app:echo")
    assert 1 == len(server.calls)
    asked.close()


def test_garbage(server: Deployment) -> None:
    """
    What is no answer of Convex is shown in part.
    """
    server.trouble = lambda _: "garbage"
    asked = client(server)

    with pytest.raises(StoreDamaged, match="does not answer like a deployment of Convex .*no JSON"):
        asked.query("app:echo")
    asked.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"[]",
        b"null",
        b'{"status":"success"}',
        b'{"status":"error","errorMessage":null}',
        b'{"status":"error","errorMessage":{"a":1}}',
        b'{"status":"success","value":{"$integer":"AA"}}',
        b'{"status":"success","value":1' + b"0" * 400 + b"}",
        b"[" * 100_000,
    ],
)
def test_no_answer_of_convex(server: Deployment, answer: bytes) -> None:
    """
    JSON that is no answer of Convex is no answer either.
    """
    server.trouble = lambda _: answer
    asked = client(server)

    with pytest.raises(StoreDamaged, match="does not answer like a deployment of Convex"):
        asked.query("app:echo")
    asked.close()


@pytest.mark.parametrize("status", [401, 403])
def test_errors_without_a_code(server: Deployment, status: int) -> None:
    """
    What stands between, and says errors in its own way, is understood by its status.
    """
    server.trouble = lambda _: (status, None)
    asked = client(server)

    with pytest.raises(StoreError, match=rf"does not take the key \({status}\)"):
        asked.query("app:echo")
    asked.close()


@pytest.mark.parametrize("said", ["nan", "-5", "soon", "Wed, 21 Oct 2026 07:28:00 GMT", ""])
def test_odd_waits(server: Deployment, said: str) -> None:
    """
    A wait that cannot be meant is not waited for: our own is.
    """
    waits: list[float] = []
    troubles = iter([(503, "Overloaded")])
    server.trouble, server.retry_after = lambda _: next(troubles, None), said
    asked = client(server, sleep=waits.append, chance=lambda: 0.5)

    assert 3.0 == asked.query("app:echo", value=3.0)
    assert [0.05] == waits
    asked.close()


def test_nobody_there() -> None:
    """
    Where nothing ever answered, the address is doubted at once.
    """
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        asked = Client(Address.parse(f"convex+http://127.0.0.1:{taken.getsockname()[1]}"))

        with pytest.raises(StoreMissing, match="cannot be reached: Connection refused; is the address right"):
            asked.query("app:echo")


def test_a_mutation_runs_twice(server: Deployment) -> None:
    """
    An answer that was lost is asked for again, though all was done: who calls must be able to bear that.
    """
    asked = client(server)
    asked.query("app:echo")
    lost = itertools.count()
    server.trouble = lambda _: "cut after" if next(lost) == 0 else None

    asked.mutation("app:insert", table="services", document={})

    assert 3 == len(server.database.tables["services"])
    asked.close()


# -- time


@pytest.mark.parametrize("ahead", [0.0, 90.0, -90.0])
def test_clock(server: Deployment, ahead: float) -> None:
    """
    The time is that of the deployment to the second, and this machine's where the two do not contradict each other.
    """
    server.ahead = ahead
    asked = client(server)

    off = (asked.now() - time.time_ns()) / 1e9

    assert abs(off - ahead) < (0.01 if not ahead else 1.0)
    asked.close()


def test_clock_gets_better(server: Deployment) -> None:
    """
    Every answer narrows it down.
    """
    server.ahead = 90.0
    asked = client(server)
    for _ in range(12):
        asked.query("app:echo")
        time.sleep(0.1)

    assert abs((asked.now() - time.time_ns()) / 1e9 - 90.0) < 0.2
    asked.close()


def test_interrupted(server: Deployment) -> None:
    """
    Who was interrupted while an answer was on its way does not take it for that to the next question.
    """
    asked = client(server)
    asked.query("app:echo", value="first")
    server.latency = 0.05
    connection = asked._connection
    assert connection is not None
    whole = connection.getresponse

    def interrupted() -> Any:
        whole()
        raise KeyboardInterrupt

    connection.getresponse = interrupted  # type: ignore[method-assign]  # the interruption
    with pytest.raises(KeyboardInterrupt):
        asked.query("app:echo", value="second")

    assert "third" == asked.query("app:echo", value="third")
    asked.close()
