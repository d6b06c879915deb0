"""Stores that a client of others reads and writes, a vendor's own or another library: what they have in common.

Each process makes its own clients, on first use: connections that a fork copies are never used again (nor closed, which
is for the process that opened them). A client is made anew when what it logged in with is refused.
"""

from __future__ import annotations

import os
import threading
from abc import abstractmethod
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from io import BytesIO
from typing import IO, Any, TypeVar

from streaming.core.errors import (
    AccessDeniedError,
    ObjectNotFoundError,
    StorageError,
    StreamingError,
    UnavailableError,
)
from streaming.storage.helper.gate import gate_of
from streaming.storage.network import share_ca_bundle
from streaming.storage.options import Sealed, seal
from streaming.storage.providers.pool import pool_of
from streaming.storage.ranged import RangedStore
from streaming.storage.store import ObjectInfo
from streaming.storage.url import check_path
from streaming.storage.watched import watched, within

__all__ = ["CHUNK", "TIMEOUT_S", "VendorStore", "client_of", "described", "environment", "ranged"]

T = TypeVar("T")

#: Longest silence of a server within one request, in seconds.
TIMEOUT_S = 60.0
#: Bytes that come at a time when an object is streamed.
CHUNK = 1 << 20

_CONNECTIONS = 16
_LIST_S = 600.0
# A transfer slower than this is taken for dead.
_SLOWEST = 16 << 10


class _Clients:
    """This process's clients, by what they were made for."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.made: dict[Hashable, Any] = {}
        self.inherited: list[Any] = []

    def after_fork_in_child(self) -> None:
        # A thread of the parent may have held the lock. Kept, so that nothing closes what is the parent's.
        self.lock = threading.Lock()
        self.inherited.append(self.made)
        self.made = {}


_clients = _Clients()
os.register_at_fork(after_in_child=_clients.after_fork_in_child)


def client_of(key: Hashable, connect: Callable[[], T]) -> T:
    """Return this process's client for a key."""
    with _clients.lock:
        if key not in _clients.made:
            share_ca_bundle()
            _clients.made[key] = connect()
        return _clients.made[key]


def environment(*prefixes: str) -> tuple[tuple[str, str], ...]:
    """Return the variables that a client looks at when it logs in, so that one who has changed them is another."""
    return tuple(sorted(item for item in os.environ.items() if item[0].startswith(prefixes)))


def described(path: str, headers: Mapping[str, Any], etag: str | None = None) -> ObjectInfo:
    """Return what the headers of a reply say of an object.

    Args:
        path: The object.
        headers: Of a reply with all or a part of it, or with nothing of it.
        etag: Its version, where that is not its time and its size.
    """
    size = int(str(headers.get("content-range") or "").rpartition("/")[2] or headers["content-length"])
    said = headers.get("last-modified")
    modified = None
    with suppress(TypeError, ValueError):
        modified = parsedate_to_datetime(str(said)).timestamp()
    return ObjectInfo(
        path, size, etag or (f"{said if modified is None else int(modified)}-{size}" if said else None), modified
    )


def ranged(start: int, end: int | None) -> dict[str, str]:
    """Return the header that asks for bytes ``[start, end)``; none for a whole object."""
    return {"range": f"bytes={start}-{'' if end is None else end - 1}"} if start or end is not None else {}


class VendorStore(RangedStore):
    """Objects by a client of the vendor's, or of another library.

    A kind of store says how to make a client and what to do with it. What is raised there is translated.

    Args:
        url: The root.
        options: Of the kind of store.
    """

    #: Requests that a process has under way, unless the option ``max_concurrency`` says otherwise.
    _connections = 16
    #: Longest time for a range, which comes all at once, in seconds; ``None`` where its bytes come as they do.
    _range_limit_s: float | None = None
    #: Whether each client is for one operation at a time, as of ``pool.Connection``.
    _is_pooled = False
    #: Whether a reply tells which version it is of.
    reads_in_one = False
    #: Whether a login ends by itself, so that another may succeed.
    _may_log_in_again = False

    def __init__(self, url: str, options: Mapping[str, Any] | Sealed) -> None:
        super().__init__(url)
        self._options = seal(options)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.url, self._options), {"patience_s": self.patience_s}

    def get(self, path: str) -> bytes:
        return self._bytes(path, 0, None)[0]

    def get_range(self, path: str, start: int, end: int) -> bytes:
        check_path(path)
        return self._bytes(path, start, end)[0] if start < end else b""

    def read(
        self, path: str, start: int = 0, end: int | None = None, *, version: str | None = None
    ) -> tuple[bytes, ObjectInfo]:
        if self.reads_in_one and (end is None or start < end):
            data, told = self._bytes(path, start, end)
            if told:
                info = self._same(path, told[-1], version)
                if len(data) != max(0, min(info.bytes if end is None else end, info.bytes) - start):
                    raise UnavailableError(f"{self!r}/{path}: it ended after {len(data)} bytes.")
                return data, info
        return super().read(path, start, end, version=version)

    def _bytes(self, path: str, start: int, end: int | None) -> tuple[bytes, list[ObjectInfo]]:
        """Return bytes ``[start, end)`` of an object, and what was told of it."""
        check_path(path)
        told: list[ObjectInfo] = []
        stall_s = self.patience_s if end is None else self._range_limit_s or self.patience_s

        def operation(client: Any) -> bytes:
            return b"".join(self._timed(client, lambda: self._chunks(client, path, start, end, told), stall_s))

        return self._call(path, operation), told

    def head(self, path: str) -> ObjectInfo:
        return self._info(path, self.patience_s)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        prefix = prefix.strip("/")
        if prefix:
            check_path(prefix)
        try:
            found = self._call(prefix, lambda client: list(self._entries(client, prefix)), _LIST_S)
        except ObjectNotFoundError:
            if self.exists_root():
                return
            raise
        yield from sorted(found, key=lambda info: info.path)

    def put(self, path: str, source: str | bytes) -> None:
        check_path(path)
        # Opened here first: a missing source is the caller's, not the store's.
        with open(source, "rb") if isinstance(source, str) else BytesIO(source) as file:

            def operation(client: Any) -> None:
                file.seek(0)
                self._put(client, path, file)

            size = file.seek(0, 2)
            self._call(path, operation, 2 * (TIMEOUT_S + size / _SLOWEST))

    def delete(self, path: str) -> None:
        check_path(path)
        with suppress(ObjectNotFoundError):
            self._call(path, lambda client: self._delete(client, path), 2 * TIMEOUT_S)

    def exists_root(self) -> bool:
        try:
            self._call("", self._probe, 2 * TIMEOUT_S)
        except ObjectNotFoundError:
            return False
        return True

    @abstractmethod
    def _connect(self) -> Any:
        """Make a client."""

    @abstractmethod
    def _key(self) -> Hashable:
        """Return what tells a client of this store from others: where, and who asks."""

    @abstractmethod
    def _place(self) -> str:
        """Return the server, whose requests are counted together."""

    @abstractmethod
    def _failure(self, error: Exception, where: str) -> StorageError:
        """Translate what the client raised; ``where`` is what it was about, for the text."""

    @abstractmethod
    def _chunks(self, client: Any, path: str, start: int, end: int | None, told: list[ObjectInfo]) -> Iterator[bytes]:
        """Yield bytes ``[start, end)`` of an object, or to its end; fewer where it ends before.

        What a reply tells of the object goes to ``told`` before the first of them.
        """

    @abstractmethod
    def _head(self, client: Any, path: str) -> ObjectInfo:
        """Return size and version of an object."""

    @abstractmethod
    def _entries(self, client: Any, prefix: str) -> Iterator[ObjectInfo]:
        """Yield every object in and below a directory, in any order."""

    @abstractmethod
    def _put(self, client: Any, path: str, source: IO[bytes]) -> None:
        """Write an object."""

    @abstractmethod
    def _delete(self, client: Any, path: str) -> None:
        """Remove an object."""

    @abstractmethod
    def _probe(self, client: Any) -> Any:
        """Ask for the place, which fails when it is missing."""

    def _info(self, path: str, stall_s: float | None) -> ObjectInfo:
        check_path(path)
        return self._call(path, lambda client: self._head(client, path), stall_s)

    def _stream(self, path: str, start: int, end: int, stall_s: float) -> Generator[Any, None, None]:
        at = start
        if start < end:
            with self._turn(path) as client:
                for chunk in self._timed(client, lambda: self._chunks(client, path, start, None, []), stall_s):
                    at += len(chunk)
                    yield chunk
        if at != end:
            raise UnavailableError(f"{self!r}/{path}: it ended at byte {at} of {end}.")

    def _timed(self, client: Any, chunks: Callable[[], Iterator[bytes]], stall_s: float) -> Iterator[bytes]:
        """Yield what comes, if each comes in time."""
        del client
        return watched(chunks, stall_s)

    def _call(self, path: str, operation: Callable[[Any], T], limit_s: float | None = None) -> T:
        """Do something with a client, once more with a new one if an old one is refused.

        Args:
            path: The object.
            operation: What to do.
            limit_s: Longest time for it, in seconds; ``None`` where the client itself ends it in time.
        """
        for is_last in (False, True):
            try:
                with self._turn(path) as client:
                    return operation(client) if limit_s is None else within(limit_s, lambda: operation(client))
            except AccessDeniedError:
                if is_last or not self._forget():
                    raise
        raise AssertionError("unreachable")

    @contextmanager
    def _turn(self, path: str) -> Iterator[Any]:
        """Wait for a turn, and have a client for it."""
        most = int(self._options.reveal().get("max_concurrency", self._connections))
        where = f"{self!r}/{path}" if path else repr(self)
        with gate_of(self._place(), most).turn(where), self._translated(where):
            if not self._is_pooled:
                yield client_of(self._key(), self._connect)
                return
            with pool_of(self._key(), self._connect).connection() as client, self._translated(where):
                yield client

    @contextmanager
    def _translated(self, where: str) -> Iterator[None]:
        try:
            yield
        except StorageError as error:
            raise error if repr(self) in str(error) else type(error)(f"{where}: {error}") from None
        except StreamingError:
            raise
        except Exception as error:
            # Not chained: a client's texts may quote what was sent.
            raise self._failure(error, where) from None

    def _forget(self) -> bool:
        """Let go of the client, since its login was refused; say whether another one may fare better."""
        return _clients.made.pop(self._key(), None) is not None and self._may_log_in_again
