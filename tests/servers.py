"""Servers on loopback for tests: S3 (moto), and a web server that can misbehave.

Each is a context manager. The S3 server is a process of its own, so that a test may fork without copying it; the web
server is a thread.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

__all__ = ["S3Server", "WebServer", "partial_body", "s3_server", "web_server"]

_S3_PROGRAM = """
import logging, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(*server.get_host_and_port(), flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class S3Server:
    """An S3 endpoint.

    Attributes:
        endpoint: Its URL.
        env: What a process needs in its environment to use it.
    """

    endpoint: str
    env: dict[str, str]

    def create_bucket(self, name: str | None = None) -> str:
        """Create a bucket, by default one of a new name, and return its ``s3://`` URL."""
        name = name or f"test-{uuid.uuid4().hex[:12]}"
        request = urllib.request.Request(f"{self.endpoint}/{name}", method="PUT")
        with urllib.request.urlopen(request, timeout=30):
            return f"s3://{name}"


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Run an S3 server in a process of its own."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "S3_"))}
    with subprocess.Popen(
        [sys.executable, "-c", _S3_PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environ,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            host, port = process.stdout.readline().split()
            endpoint = f"http://{host}:{port}"
            env = {
                "S3_ENDPOINT_URL": endpoint,
                "AWS_ACCESS_KEY_ID": "testing",
                "AWS_SECRET_ACCESS_KEY": "testing-secret",
                "AWS_DEFAULT_REGION": "us-east-1",
            }
            yield S3Server(endpoint, env)
        finally:
            process.kill()


@dataclass
class WebServer:
    """A web server of a dictionary of objects.

    Attributes:
        url: Its root.
        objects: Content by path (without the first slash).
        fault: Called with the handler and the object's path before each reply; returns whether it has replied itself.
        requests: Method, path, and headers of each request so far.
        ranges: Whether it honours range requests.
        sent: Bytes of objects that it has sent, by path.
        etag: Makes the version tag of an object.
    """

    url: str = ""
    objects: dict[str, bytes] = field(default_factory=dict[str, bytes])
    fault: Callable[[Any, str], bool] | None = None
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list[Any])
    ranges: bool = True
    sent: Counter[str] = field(default_factory=Counter[str])
    etag: Callable[[bytes], str] = lambda data: f'"{len(data)}"'


class LocalServer(ThreadingHTTPServer):
    """An HTTP server that many may connect to at once: one turned away would come again only after a second."""

    daemon_threads = True
    request_queue_size = 128


@contextmanager
def web_server() -> Iterator[WebServer]:
    """Run a web server that knows ranges, PUT and DELETE, with faults on demand."""
    state = WebServer()

    class Handler(_Handler):
        web = state

    server = LocalServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
        state.objects.clear()
        state.requests.clear()


class _Handler(BaseHTTPRequestHandler):
    web: WebServer
    protocol_version = "HTTP/1.1"
    timeout = 30

    def log_message(self, *args: Any) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            pass  # the client has gone

    def _begin(self) -> str | None:
        """Note the request; return the object's path unless a fault has taken care of it."""
        path = unquote(self.path.partition("?")[0]).lstrip("/")
        self.web.requests.append((self.command, self.path, dict(self.headers)))
        fault = self.web.fault
        return None if fault is not None and fault(self, path) else path

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Send a whole reply."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Last-Modified", "Wed, 01 Jan 2025 00:00:00 GMT")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self) -> None:
        path = self._begin()
        if path is None:
            return
        data = self.web.objects.get(path)
        if data is None:
            self.reply(404)
            return
        wanted = self.headers.get("Range") if self.web.ranges else None
        if wanted is None:
            self._send(200, path, data, data)
            return
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last) + 1 if last else len(data), len(data))
        if start >= len(data):
            self.reply(416, Content_Range=f"bytes */{len(data)}")
        else:
            self._send(206, path, data, data[start:end], Content_Range=f"bytes {start}-{end - 1}/{len(data)}")

    def _send(self, status: int, path: str, data: bytes, body: bytes, **headers: str) -> None:
        if self.command != "HEAD":
            self.web.sent[path] += len(body)
        self.reply(status, body, ETag=self.web.etag(data), **headers)

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self._begin()
        if path is not None:
            self.web.objects[path] = data
            self.reply(201, ETag=f'"{len(data)}"')

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self._begin() is not None:
            self.reply(405)

    def do_DELETE(self) -> None:
        path = self._begin()
        if path is not None:
            self.reply(204 if self.web.objects.pop(path, None) is not None else 404)


def partial_body(handler: Any, data: bytes, sent: int, then_wait_s: float = 0.0) -> None:
    """Promise all of ``data``, send its first ``sent`` bytes, and break off after a wait."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data[:sent])
    handler.wfile.flush()
    time.sleep(then_wait_s)
    handler.close_connection = True
