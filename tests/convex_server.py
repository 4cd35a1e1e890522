"""
A deployment of Convex, as far as its HTTP API shows: the database of `convex_database` behind `http.server`.

Statuses, codes, forms of values and messages are those that the backend's source has; and it can be told what is to go
wrong.
"""

from __future__ import annotations

import contextlib
import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from attrs import Factory, define

from tests.convex_database import (
    APP,
    MODULE,
    SYSTEM,
    Database,
    Document,
    Function,
    Overtaken,
    Thrown,
    Transaction,
    read,
    written,
)

KEY: Final = "prod:happy-otter-123|c2VjcmV0LXNlY3JldC1zZWNyZXQ="


@define
class Deployment:
    """
    A server and its database.

    *trouble* is asked for every request, by its path, what is to happen: None, a status with its code, `cut` (nothing
    is done), `cut after` (all is done, and nobody hears of it), `twice`, `garbage`, a number of seconds to wait, or the
    bytes of an answer. *others* are functions in the place of those that would be there.
    """

    database: Database = Factory(Database)
    key: str = KEY
    deployed: bool = True
    trouble: Callable[[str], Any] = lambda _: None
    others: Mapping[str, tuple[str, Function]] = Factory(dict)
    retry_after: str | None = None
    latency: float = 0.0
    ahead: float = 0.0
    """By how many seconds its clock is ahead of this machine's."""

    echo: bool = False
    """Whether what it says of a bad request repeats the key: no server should, and ours must not show it."""

    calls: list[str] = Factory(list)
    port: int = 0
    connections: int = 0
    _server: Any = None

    @property
    def url(self) -> str:
        return f"convex+http://127.0.0.1:{self.port}"

    def start(self) -> Deployment:
        owner = self

        class Handler(_Handler):
            deployment = owner

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def function(self, path: str, kind: str, *, admin: bool) -> Function:
        known = {**APP, **(SYSTEM if admin else {}), **(MODULE if admin and self.deployed else {}), **self.others}
        if path not in known:
            raise Thrown(
                f"Could not find public function for '{path}'. Did you forget to run `npx convex dev` or `npx convex deploy`?"
            )
        found, function = known[path]
        if found != kind:
            raise Thrown(f"Trying to execute {path} as {kind}, but it is defined as {found}.")
        return function

    def run(self, path: str, kind: str, args: Mapping[str, Any], *, admin: bool) -> Any:
        """
        Run a function; a mutation again, for as often as the backend does, where somebody was faster.

        Raises:
            Overtaken: somebody always was.
        """
        function = self.function(path, kind, admin=admin)
        for attempt in range(self.database.limits.retries + 1):
            tx = Transaction(self.database, path)
            value = function(tx, args)
            if kind == "query":
                return value
            with contextlib.suppress(Overtaken):
                tx.commit()
                return value
            time.sleep(random.random() * 0.002 * 2**attempt)
        raise Overtaken


@contextlib.contextmanager
def deployment(rows: Mapping[str, Sequence[Document]] | None = None, **how: Any) -> Iterator[Deployment]:
    """A deployment that runs for as long as the context."""
    made = Deployment(**how)
    for table, documents in (rows or {}).items():
        made.database.tables[table] = {}
        for document in documents:
            made.database.put(table, document)
    made.start()
    try:
        yield made
    finally:
        made.stop()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    deployment: Deployment

    def setup(self) -> None:
        super().setup()
        self.deployment.connections += 1

    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate(time.time() + self.deployment.ahead, usegmt=True)

    def do_GET(self) -> None:
        if self.path == "/version":
            self.answer(200, "1.48.0")
        else:
            self.answer(404, {"code": "NotFound", "message": "no such route"})

    def do_POST(self) -> None:
        there = self.deployment
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            asked = json.loads(body)
            path, form, said = asked["path"], asked.get("format") or "json", asked["args"]
        except (ValueError, KeyError) as problem:
            self.answer(400, {"code": "BadJsonBody", "message": f"cannot read the request: {problem!r}"})
            return
        there.calls.append(path)
        trouble = there.trouble(path)
        if there.latency:
            time.sleep(there.latency)
        if isinstance(trouble, float):
            time.sleep(trouble)
        if trouble == "cut":
            self.cut()
            return
        if isinstance(trouble, bytes):
            self.answer(200, trouble.decode())
            return
        if trouble == "garbage":
            self.answer(200, "<html>no JSON</html>")
            return
        if isinstance(trouble, tuple):
            status, code = trouble
            self.answer(status, {"code": code, "message": f"{code}: try again later"})
            return
        header = self.headers.get("Authorization") or ""
        given = header[7:] if header.lower().startswith("convex ") else None
        if given is not None and given.rpartition(":")[2] != there.key.rpartition(":")[2]:
            message = f"The provided deploy key was invalid for deployment 'happy-otter-123'.{f' {given}' if there.echo else ''}"
            self.answer(403, {"code": "BadDeployKey", "message": message})
            return
        kind = self.path.removeprefix("/api/")
        if kind not in {"query", "mutation", "action"}:
            self.answer(404, {"code": "NotFound", "message": "no such route"})
            return
        if len(body) > there.database.limits.arguments:
            self.answer(400, {"code": "ArgsTooLarge", "message": "Arguments are too large (limit: 5 MiB)"})
            return
        try:
            args = read(said[0] if isinstance(said, list) else said)
            if trouble == "twice" and kind == "mutation":
                there.run(path, kind, args, admin=given is not None)
            value = there.run(path, kind, args, admin=given is not None)
            if trouble == "cut after":
                self.cut()
                return
            self.answer(200, {"status": "success", "value": written(value, form), "logLines": []})
        except Overtaken:
            message = (
                'Documents read from or written to the "services" table changed while this mutation was being run and on '
                "every subsequent retry. See https://docs.convex.dev/error#1"
            )
            self.answer(503, {"code": "OptimisticConcurrencyControlFailure", "message": message})
        except Thrown as problem:
            more = {} if problem.data is None else {"errorData": written(problem.data, form)}
            told = f"[Request ID: 0123456789abcdef] Server Error\n{problem}"
            self.answer(200, {"status": "error", "errorMessage": told, **more, "logLines": []})
        except (ValueError, KeyError, TypeError) as problem:
            self.answer(400, {"code": "InvalidArguments", "message": repr(problem)})

    def answer(self, status: int, said: Any) -> None:
        body = said.encode() if isinstance(said, str) else json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status >= 400 and self.deployment.retry_after is not None:
            self.send_header("Retry-After", self.deployment.retry_after)
        self.end_headers()
        self.wfile.write(body)

    def cut(self) -> None:
        """Close the connection without a word."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(2)
