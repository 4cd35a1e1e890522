"""
A TCP proxy that cuts connections: after so many bytes, in whichever direction the last one went.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

RESET: Final = struct.pack("ii", 1, 0)
"""Close without a goodbye."""


@attrs.define
class Proxy:
    """Passes everything on; the nth connection only for the nth of *limits* bytes, those after them for ever."""

    place: tuple[str, int]
    limits: Sequence[int] = ()
    passed: list[int] = attrs.field(factory=list)
    """How many bytes each connection passed."""

    _listener: socket.socket = attrs.field(factory=socket.socket)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def begin(self, limits: Sequence[int] = ()) -> None:
        """Count anew."""
        self.limits, self.passed = limits, []

    def serve(self) -> None:
        """Take connections until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                number = len(self.passed)
                self.passed.append(0)
                limit = self.limits[number] if number < len(self.limits) else None
                threading.Thread(target=self._pass_on, args=(client, number, limit, self.passed), daemon=True).start()

    def _pass_on(self, client: socket.socket, number: int, limit: int | None, passed: list[int]) -> None:
        with client, socket.create_connection(self.place) as server, selectors.DefaultSelector() as ready:
            ready.register(client, selectors.EVENT_READ, server)
            ready.register(server, selectors.EVENT_READ, client)
            with contextlib.suppress(OSError):
                while True:
                    for key, _ in ready.select():
                        here: socket.socket = key.fileobj  # type: ignore[assignment]  # only sockets are registered
                        data = here.recv(65536)
                        if not data:
                            return
                        left = len(data) if limit is None else limit - passed[number]
                        key.data.sendall(data[:left])
                        passed[number] += min(left, len(data))
                        if left < len(data):
                            for each in (client, server):
                                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                            return


@contextlib.contextmanager
def proxy(place: tuple[str, int]) -> Iterator[Proxy]:
    """A proxy before the server at *place*."""
    made = Proxy(place)
    made._listener.bind(("127.0.0.1", 0))
    made._listener.listen()
    thread = threading.Thread(target=made.serve, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made._listener.shutdown(socket.SHUT_RDWR)
        made._listener.close()
        thread.join()
