"""What a server sends to its clients, counted on the way."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

__all__ = ["Relay", "relay"]


class Relay:
    """Passes connections on to a server, and counts what the server sends.

    Attributes:
        url: What to use instead of the server's own URL.
        served: Bytes sent to clients so far, headers too.
    """

    def __init__(self, endpoint: str) -> None:
        place = urlsplit(endpoint)
        self._server = (str(place.hostname), int(place.port or 80))
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.served = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):  # it was closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server, 30)
                server.settimeout(None)
                for source, sink, counts in ((client, server, False), (server, client, True)):
                    threading.Thread(target=self._pass_on, args=(source, sink, counts), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, counts: bool) -> None:
        with source, suppress(OSError):  # whoever has gone needs nothing more
            while chunk := source.recv(1 << 16):
                if counts:
                    with self._lock:
                        self.served += len(chunk)
                sink.sendall(chunk)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Take no more connections."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextmanager
def relay(endpoint: str) -> Iterator[Relay]:
    """Count what a server sends."""
    between = Relay(endpoint)
    try:
        yield between
    finally:
        between.close()
