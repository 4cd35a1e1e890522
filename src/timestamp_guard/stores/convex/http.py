"""
A deployment of Convex, spoken to by its HTTP API: functions that are called, and asked again where that can help.

A request may run twice: HTTP carries no number by which the server could know it again. So only what can be done twice
is called through here.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import os
import random
import re
import ssl
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from attrs import field, frozen

from ...errors import StoreDamaged, StoreError, StoreLocked, StoreMissing, UsageError
from ...instants import brief
from .wire import decoded, encoded, text

__all__ = ["SCHEMES", "Address", "Conflict", "Deployment", "Refused", "Unfound"]

SCHEMES: Final = ("convex+https://", "convex+http://")
KEYS: Final = ("CONVEX_DEPLOY_KEY", "CONVEX_SELF_HOSTED_ADMIN_KEY")
"""Where the key is looked for in the environment, as Convex's own tools do."""

PATIENCE: Final = 15.0
"""For how many seconds a call is tried again; no longer than half a lease."""

LONGEST: Final = 4.0
"""How many seconds two tries are apart, at most."""

TIMEOUT: Final = 20.0
"""For how many seconds an answer is waited for: a function of Convex runs for one, and may have to wait before that."""

AGAIN: Final = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses after which the same request may fare better."""

OCC: Final = "OptimisticConcurrencyControlFailure"
SHOWN: Final = 500
"""How much of what a server says is told."""

_UNFOUND: Final = re.compile(r"Could not find (?:public )?(?:function|module)")
_NUMBERED: Final = re.compile(r"\[Request ID: \w+\]\s*(?:Server Error\s+(?=\S))?")


class Refused(Exception):
    """A function was called, and failed by itself: it would fail again. It says why."""


class Unfound(Refused):
    """There is no such function in the deployment."""


class Conflict(StoreLocked):
    """Others kept changing the records that a function worked on, until the server gave it up: nothing was made."""


@frozen
class Address:
    """
    An address like `convex+https://happy-otter-123.convex.cloud`, read: where the deployment is, and the key to it.

    `?key=env:NAME` or `?key=file:PATH` says where the key is; else it is in CONVEX_DEPLOY_KEY, or in
    CONVEX_SELF_HOSTED_ADMIN_KEY. `?ledger=FOLDER` says where its ledger is kept; else in the current folder.
    """

    host: str
    port: int | None
    secure: bool
    key: str = field(repr=False)
    ledger: Path

    @classmethod
    def parse(cls, url: str) -> Address:
        """
        Read an address, and look for its key.

        Raises:
            UsageError: it cannot be meant, there is no key, or the key must not go there.
        """
        parts = urlsplit(url.removeprefix("convex+"))
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if "@" in parts.netloc:
            msg = "an address of Convex has no user and no password: put the key into CONVEX_DEPLOY_KEY"
            raise UsageError(msg)
        where = f"{parts.scheme}://{parts.netloc}"
        asked = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        unknown = sorted(asked.keys() - {"key", "ledger"})
        if not host or parts.path not in {"", "/"} or parts.fragment or unknown:
            msg = (
                f"cannot read the address convex+{where}{parts.path}: wanted convex+https://NAME.convex.cloud, with "
                f"?key=env:NAME for a key that is not in CONVEX_DEPLOY_KEY, and ledger=FOLDER"
            )
            raise UsageError(msg)
        secure = parts.scheme == "https"
        if not secure and not _near(host):
            msg = f"{where} would be sent the key in the clear: use convex+https://{parts.netloc}"
            raise UsageError(msg)
        if host.endswith(".convex.site"):
            msg = f"{host} serves the HTTP actions of the app: wanted convex+https://{host.partition('.')[0]}.convex.cloud"
            raise UsageError(msg)
        key = _key(asked.get("key"), where)
        named = re.fullmatch(r"(?:prod|dev):([^|:]+)\|.+", key)
        if host.endswith(".convex.cloud") and named and named[1] != host.partition(".")[0]:
            msg = f"the key is one of the deployment {named[1]}, and the address is {host}: one of them is wrong"
            raise UsageError(msg)
        return cls(host, port, secure, key, Path(asked.get("ledger") or "."))

    @property
    def place(self) -> str:
        """What messages call it."""
        return self.host if self.port is None else f"{self.host}:{self.port}"

    @property
    def folder(self) -> Path:
        """Where what is known of this deployment is kept."""
        return self.ledger / f"{self.place.replace(':', '_')}.timestamp-guard"


def _near(host: str) -> bool:
    """Whether a host is this machine, or one in a network of our own."""
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or "." not in host
    return found.is_loopback or found.is_private


def _key(said: str | None, where: str) -> str:
    """
    The key to a deployment.

    Raises:
        UsageError: there is none, or it is written into the address.
    """
    scheme, _, place = (said or "").partition(":")
    if said is None:
        found = next((os.environ[name].strip() for name in KEYS if os.environ.get(name, "").strip()), "")
        wanted = f"set {KEYS[0]}"
    elif scheme == "env" and place:
        found = os.environ.get(place, "").strip()
        wanted = f"set {place}"
    elif scheme == "file" and place:
        found = ""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            found = (Path(place).read_text("utf-8").splitlines() or [""])[0].strip()
        wanted = f"put it into the first line of {place}"
    else:
        msg = f"the key to {where} must not be in the address: say key=env:NAME or key=file:PATH"
        raise UsageError(msg)
    if not found:
        msg = f"there is no key to {where}: make a deploy key on its dashboard (Settings), and {wanted}"
        raise UsageError(msg)
    if not re.fullmatch(r"[!-~]+", found):
        msg = f"what is given as the key to {where} is none: it has blanks or other signs that no key has"
        raise UsageError(msg)
    return found


class Deployment:
    """
    One connection to a deployment, kept open from call to call.

    *sleep* and *chance* are what tests put in place of waiting and of randomness.
    """

    def __init__(
        self,
        address: Address,
        *,
        patience: float = PATIENCE,
        timeout: float = TIMEOUT,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.address = address
        self._patience, self._timeout, self._sleep, self._chance = patience, timeout, sleep, chance
        self._connection: http.client.HTTPConnection | None = None
        self._answered = False
        self._ahead: tuple[int, int] | None = None

    def __str__(self) -> str:
        return self.address.place

    def query(self, path: str, **arguments: Any) -> Any:
        """What a query answers. Raises what :meth:`mutation` raises."""
        return self._called("query", path, arguments)

    def mutation(self, path: str, **arguments: Any) -> Any:
        """
        What a mutation answers; it may have run more than once.

        Raises:
            Refused: it failed by itself.
            Unfound: it is not there.
            Conflict: others were in its way for too long.
            StoreLocked: the deployment has too much to do.
            StoreError: the deployment cannot be reached, does not take the key, or answers something else.
        """
        return self._called("mutation", path, arguments)

    def now(self) -> int:
        """
        The present time of the deployment, in nanoseconds since 1970.

        Its answers are dated to the second. This machine's clock is taken where they do not prove it wrong, and is
        corrected by as much as they do.
        """
        if self._ahead is None:
            with contextlib.suppress(Refused):
                self._tried("GET", "/version", b"")
        if self._ahead is None:
            return time.time_ns()
        least, most = self._ahead
        return time.time_ns() + min(max(0, least), most)

    @contextlib.contextmanager
    def understood(self, path: str) -> Iterator[None]:
        """Make sense of what a function answered; raise StoreDamaged where it makes none."""
        try:
            yield
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as problem:
            raise StoreDamaged(
                f"{path} of {self} answers in a way that this release cannot read ({brief(str(problem))}): has it another?"
            ) from None

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # -- one call

    def _called(self, kind: str, path: str, arguments: dict[str, Any]) -> Any:
        body = text({"path": path, "args": encoded(arguments), "format": "convex_encoded_json"})
        answer = self._tried("POST", f"/api/{kind}", body)
        try:
            said = json.loads(answer)
            if said["status"] == "success":
                return decoded(said["value"])
            problem = self._told(said["errorMessage"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise self._strange(answer) from None
        data = said.get("errorData")
        if data is not None and str(data) not in problem:
            problem += f": {self._told(json.dumps(data))}"
        raise (Unfound if _UNFOUND.search(problem) else Refused)(problem)

    def _tried(self, method: str, target: str, body: bytes) -> bytes:
        """The body of an answer; asks again for as long as that can help and is allowed to."""
        until = time.monotonic() + self._patience
        wait = 0.1
        while True:
            after = 0.0
            try:
                status, answer, headers = self._once(method, target, body)
            except ssl.SSLCertVerificationError as problem:
                raise StoreError(f"{self} cannot be trusted: {problem.verify_message}") from None
            except (OSError, http.client.HTTPException) as problem:
                self.close()
                if not self._answered:
                    said = getattr(problem, "strerror", None) or type(problem).__name__
                    raise StoreMissing(f"{self} cannot be reached: {said}; is the address right?") from None
                error: StoreError = StoreError(
                    f"{self} does not answer any more ({type(problem).__name__}); what is done is recorded: "
                    f"call the same command again to go on"
                )
            else:
                self._answered = True
                if status not in AGAIN:
                    return self._sound(status, answer)
                error = self._busy(status, answer)
                with contextlib.suppress(ValueError):
                    after = max(after, float(headers.get("Retry-After") or 0))  # a NaN is never the larger
            # Full jitter: those that were sent away together do not come back together.
            pause = max(min(after, LONGEST), wait * self._chance())
            if time.monotonic() + pause > until:
                raise error
            self._sleep(pause)
            wait = min(2 * wait, LONGEST)

    def _once(self, method: str, target: str, body: bytes) -> tuple[int, bytes, http.client.HTTPMessage]:
        """Ask, over the connection that is open; where the server closed it meanwhile, over a new one."""
        kept = self._connection is not None
        try:
            return self._asked(method, target, body)
        except (ConnectionError, http.client.RemoteDisconnected):
            if not kept:
                raise
            self.close()
            return self._asked(method, target, body)

    def _asked(self, method: str, target: str, body: bytes) -> tuple[int, bytes, http.client.HTTPMessage]:
        if self._connection is None:
            kind = http.client.HTTPSConnection if self.address.secure else http.client.HTTPConnection
            self._connection = kind(self.address.host, self.address.port, timeout=self._timeout)
        sent = time.time_ns()
        try:
            self._connection.request(
                method,
                target,
                body,
                {
                    "Authorization": f"Convex {self.address.key}",
                    "Content-Type": "application/json",
                    "Convex-Client": "timestamp-guard-0.1.0",
                },
            )
            response = self._connection.getresponse()
            answer = response.read()
        except BaseException:
            self.close()  # half an answer must not be taken for that to the next question
            raise
        self._dated(response.headers.get("Date"), sent, time.time_ns())
        return response.status, answer, response.headers

    def _dated(self, said: str | None, sent: int, received: int) -> None:
        """Learn by how much the clock of the deployment can be ahead of ours, at least and at most."""
        try:
            second = int(parsedate_to_datetime(said or "").timestamp()) * 10**9
        except (ValueError, OverflowError):
            return
        least, most = second - received, second + 10**9 - sent
        if self._ahead is not None and max(least, self._ahead[0]) <= min(most, self._ahead[1]):
            least, most = max(least, self._ahead[0]), min(most, self._ahead[1])
        self._ahead = least, most

    # -- what it answers

    def _sound(self, status: int, answer: bytes) -> bytes:
        """
        An answer, where it is one.

        Raises:
            Refused: the request is at fault.
            StoreError: it is nothing that could be gone on with.
        """
        if status in {200, 560}:
            return answer
        code, said = self._error(answer)
        if status in {401, 403}:
            msg = (
                f"{self} does not take the key ({code or status}): {said or 'it says no more'}; make a deploy key of this "
                f"deployment on its dashboard (Settings), one that may read and write data and run internal functions"
            )
            raise StoreError(msg)
        if status == 404:
            raise Unfound(said or f"{self} has nothing there")
        if 400 <= status < 500 and code:
            raise Refused(f"{code}: {said}")
        raise self._strange(answer, status)

    def _busy(self, status: int, answer: bytes) -> StoreError:
        code, said = self._error(answer)
        if code == OCC:
            return Conflict(f"{self}: {said}")
        return StoreLocked(f"{self} has too much to do ({status} {code}): {said}".rstrip(": "))

    def _error(self, answer: bytes) -> tuple[str, str]:
        """The code and the message of an error, empty where it has none."""
        try:
            found = json.loads(answer)
            return self._told(found["code"]), self._told(found["message"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return "", ""

    def _strange(self, answer: bytes, status: int = 200) -> StoreError:
        said = self._told(answer.decode("utf-8", "replace"))
        return StoreDamaged(f"{self} does not answer like a deployment of Convex ({status}): {brief(said)}")

    def _told(self, said: str) -> str:
        """
        What the server says, without what it may repeat of the key.

        Raises:
            TypeError: it is no text.
        """
        if not isinstance(said, str):
            raise TypeError(said)
        for secret in (self.address.key, self.address.key.rpartition("|")[2]):
            if secret:
                said = said.replace(secret, "***")
        return " ".join(_NUMBERED.sub("", said).split())[:SHOWN]
