"""What a store can do."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

__all__ = ["ObjectInfo", "OnInfo", "Sink", "Store"]

Sink = Callable[[Any], None]
"""Takes each run of new bytes, as ``bytes`` or a ``memoryview``."""


class ObjectInfo(NamedTuple):
    """An object in a store.

    Attributes:
        path: Path below the store's root.
        bytes: Size.
        etag: The store's version tag, if it has one: another one means that the object was replaced.
        modified: When it was written, in seconds since the epoch by the store's clock, if the store tells.

    Example:
        >>> from streaming.storage.registry import open_store
        >>> info = open_store('data').head('index.json')
        >>> info.path, info.bytes > 100
        ('index.json', True)
    """

    path: str
    bytes: int
    etag: str | None = None
    modified: float | None = None


OnInfo = Callable[[ObjectInfo], Any]
"""Told which version is about to come, before its first byte does; what it raises passes through."""


class Store(Protocol):
    """Objects below one URL. Paths have ``/`` between components and are relative to it.

    A store is plain configuration: it can be pickled, forked and shared by threads; clients are made on first use in
    each process. Its ``repr`` is the URL without secrets. Failures are
    :class:`streaming.core.errors.StorageError` and its kinds: a missing object or bucket is an
    ``ObjectNotFoundError``, missing rights an ``AccessDeniedError``, a request to slow down a ``ThrottledError``, a
    store out of reach or breaking off an ``UnavailableError``, silence a ``StalledError``. A path that would leave the
    root is a ``ConfigError``.

    A store that knows versions has ``takes_versions = True``, :meth:`read`, and the last two arguments of
    :meth:`download`. Others may leave these out: versions are then compared before and after (see ``versions``).

    Example:
        >>> from streaming.storage.registry import open_store
        >>> store = open_store('data')
        >>> store.put('notes/a.txt', b'some text')
        >>> store.get_range('notes/a.txt', 5, 9)
        b'text'
        >>> [info.path for info in store.list('notes')]
        ['notes/a.txt']
    """

    @abstractmethod
    def read(
        self, path: str, start: int = 0, end: int | None = None, *, version: str | None = None
    ) -> tuple[bytes, ObjectInfo]:
        """Return bytes ``[start, end)`` of an object, all of it by default, and which version they are of.

        Args:
            path: The object.
            start: First byte.
            end: Byte behind the last; ``None`` for the object's end.
            version: The ``etag`` that the object must have.

        Raises:
            ObjectChangedError: It has another one.
        """
        ...

    @abstractmethod
    def get(self, path: str) -> bytes:
        """Return a whole object."""
        ...

    @abstractmethod
    def get_range(self, path: str, start: int, end: int) -> bytes:
        """Return bytes ``[start, end)`` of an object, fewer where it ends before."""
        ...

    @abstractmethod
    def head(self, path: str) -> ObjectInfo:
        """Return size and version of an object."""
        ...

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield every object in and below the directory ``prefix``, in the order of their paths."""
        ...

    @abstractmethod
    def download(
        self,
        path: str,
        target: str,
        *,
        offset: int = 0,
        sink: Sink | None = None,
        stall_timeout: float = 60.0,
        total_timeout: float | None = None,
        version: str | None = None,
        on_info: OnInfo | None = None,
    ) -> int:
        """Write bytes ``[offset, size)`` of an object to a local file, at that offset.

        After a failure the file holds what came before it, and nothing is written to it any more, so that a later
        call can continue where it ends.

        Args:
            path: The object.
            target: Local file; created if missing. What it holds from ``offset`` on is dropped.
            offset: First byte wanted; the file already has those before.
            sink: Given each new run of bytes, in order, once it is in the file. What it raises passes through.
            stall_timeout: Longest time in seconds without a byte.
            total_timeout: Longest time in seconds for all of it.
            version: The ``etag`` that the object must have, from the first byte to the last.
            on_info: Told which version it is, before anything is written.

        Returns:
            Size of the object in bytes.

        Raises:
            ObjectChangedError: The object has another version, or was replaced while it was read.
        """
        ...

    @abstractmethod
    def put(self, path: str, source: str | bytes) -> None:
        """Write an object: the content of a local file (by path), or bytes. An existing one is replaced."""
        ...

    @abstractmethod
    def delete(self, path: str) -> None:
        """Remove an object; a missing one is no failure."""
        ...

    @abstractmethod
    def exists_root(self) -> bool:
        """Say whether the bucket or directory exists."""
        ...

    @abstractmethod
    def check_writable(self) -> None:
        """Check that the bucket or directory can be written to, before work is put into writing to it."""
        ...
