"""Requests to web interfaces whose stores have no client of their own: HTTP as the standard library speaks it.

Connections are kept for the next request, by process; a failed request is the caller's to repeat.
"""

from __future__ import annotations

import http.client
import os
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO
from urllib.parse import urljoin, urlsplit

from streaming.core.errors import (
    AccessDeniedError,
    ObjectNotFoundError,
    StalledError,
    StorageError,
    ThrottledError,
    UnavailableError,
)
from streaming.storage.pool import pool_of
from streaming.storage.url import redact

__all__ = ["Reply", "read_range", "request"]

_TIMEOUT_S = 60.0
_MAX_REDIRECTS = 5


@dataclass(frozen=True)
class Reply:
    """What a server answered.

    Attributes:
        status: HTTP status.
        headers: By lower-case name.
        body: All of it.
        host: Who answered in the end.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    host: str


class _Connection:
    """A kept connection; see ``pool.Connection``."""

    def __init__(self, scheme: str, host: str) -> None:
        self.http = http.client.HTTPConnection(host, timeout=_TIMEOUT_S)
        if scheme == "https":
            context = ssl.create_default_context()
            self.http = http.client.HTTPSConnection(host, timeout=_TIMEOUT_S, context=context)

    def is_alive(self) -> bool:
        """Say whether it can be tried: a server may have closed it, which the next request finds out."""
        return True

    def close(self) -> None:
        """End it."""
        self.http.close()

    def abandon(self) -> None:
        """Close this process's copy of the other's socket, which ends nothing."""
        sock: socket.socket | None = self.http.sock
        if sock is not None:
            os.close(sock.detach())


def request(
    method: str,
    url: str,
    headers: Mapping[str, str],
    what: str,
    body: bytes | IO[bytes] | None = None,
    follow: bool = True,
) -> Reply:
    """Send a request, and return the whole reply.

    Args:
        method: Of HTTP.
        url: Where to.
        headers: To send; those that authorize go to no other host that the server redirects to.
        what: The object, fit to be shown, for error texts.
        body: To send.
        follow: Whether to go where a reply redirects to.

    Raises:
        StorageError: There was no reply, or it is one of failure (a status from 400); a kind of it says which.
    """
    sent = dict(headers)
    for _ in range(_MAX_REDIRECTS):
        reply = _send(method, url, sent, what, body)
        target = reply.headers.get("location")
        if not follow or not 300 <= reply.status < 400 or target is None:
            break
        target = urljoin(url, target)
        if urlsplit(target).netloc != urlsplit(url).netloc:
            sent = {name: value for name, value in sent.items() if name.lower() not in ("authorization", "cookie")}
        url = target
    else:
        raise StorageError(f"{what}: redirected more than {_MAX_REDIRECTS} times.")
    if reply.status >= 400:
        raise _failure(reply, what)
    return reply


def _send(method: str, url: str, headers: Mapping[str, str], what: str, body: bytes | IO[bytes] | None) -> Reply:
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    pool = pool_of((parts.scheme, parts.netloc), lambda: _Connection(parts.scheme, parts.netloc))
    for attempt in range(2):
        try:
            with pool.connection() as connection:
                fresh = connection.http.sock is None
                try:
                    connection.http.request(method, target or "/", body=body, headers=dict(headers))
                    answer = connection.http.getresponse()
                    data = answer.read()
                except (ConnectionError, http.client.BadStatusLine, http.client.CannotSendRequest):
                    # A kept connection may have been closed meanwhile; nothing was sent that was read.
                    if fresh or attempt or not (body is None or isinstance(body, bytes)):
                        raise
                    connection.http.close()
                    continue
                return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, data, parts.netloc)
        except TimeoutError:
            raise StalledError(f"{what}: {redact(url)} was silent for {_TIMEOUT_S:g} s.") from None
        except (OSError, http.client.HTTPException) as error:
            raise UnavailableError(f"{what}: {parts.netloc}: {type(error).__name__}: {error}") from None
    raise UnavailableError(f"{what}: {parts.netloc} closes its connections.")


def _failure(reply: Reply, what: str) -> StorageError:
    text = reply.body[:300].decode("utf-8", "replace").strip().replace("\n", " ")
    said = f"{what}: {reply.host} answered {reply.status}{f' ({text})' if text else ''}."
    if reply.status in (401, 403):
        return AccessDeniedError(said)
    if reply.status in (404, 410):
        return ObjectNotFoundError(said)
    if reply.status == 429 or (reply.status == 503 and "retry-after" in reply.headers):
        return ThrottledError(said)
    if reply.status >= 500:
        return UnavailableError(said)
    return StorageError(said)


def read_range(ask: Callable[[Mapping[str, str]], Reply], start: int, end: int) -> bytes:
    """Return bytes ``[start, end)`` of a file, fewer where it ends before.

    Args:
        ask: Asks for the file with these headers.
        start: First byte.
        end: Byte behind the last.
    """
    if end <= start:
        return b""
    try:
        reply = ask({"Range": f"bytes={start}-{end - 1}"})
    except StorageError as error:
        if "answered 416" in str(error):  # it ends before
            return b""
        raise
    return reply.body if reply.status == 206 else reply.body[start:end]
