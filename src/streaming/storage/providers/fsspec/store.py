"""Whatever fsspec has a file system for."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, TypeVar

from streaming.core.errors import (
    ConfigError,
    MissingDependencyError,
    ObjectChangedError,
    ObjectNotFoundError,
    UnavailableError,
)
from streaming.core.imports import optional_import
from streaming.storage.helper.gate import gate_of
from streaming.storage.helper.watched import watched, within
from streaming.storage.options import Sealed, seal
from streaming.storage.providers.fsspec.failures import translated
from streaming.storage.providers.fsspec.system import PART, System, connect
from streaming.storage.providers.pool import pool_of
from streaming.storage.store import ObjectInfo, OnInfo, Sink
from streaming.storage.target import open_target, write_chunks
from streaming.storage.url import check_path, redact, scheme_of

__all__ = ["FORCED", "FsspecStore", "open_fsspec", "serves"]

T = TypeVar("T")

#: What a scheme begins with to be served by fsspec though there is a store for it.
FORCED = "fsspec+"

_CONNECTIONS = 16
_REPLY_S = 60.0
# A transfer slower than this is taken for dead.
_SLOWEST = 16 << 10


def serves(scheme: str) -> bool:
    """Say whether fsspec is installed and has a file system of this name, or one is asked for."""
    if scheme.startswith(FORCED):
        return True
    try:
        registry = optional_import("fsspec.registry", "fsspec", f"{scheme}://")
    except MissingDependencyError:
        return False
    return scheme in registry.known_implementations or scheme in registry.registry


def open_fsspec(url: str, options: Mapping[str, Any]) -> FsspecStore:
    """Open a URL by fsspec. Nothing is contacted yet.

    Args:
        url: The root, as fsspec takes it; ``fsspec+`` before its scheme is removed.
        options: Arguments of the file system, and ``max_concurrency``, how many of its operations a process has under
            way.

    Raises:
        MissingDependencyError: fsspec is not installed, or what its file system needs is not.
        ConfigError: fsspec has no such file system.
    """
    scheme = scheme_of(url).removeprefix(FORCED)
    registry = optional_import("fsspec.registry", "fsspec", f"{scheme_of(url)}://")
    try:
        registry.get_filesystem_class(scheme)
    except ImportError as error:
        raise MissingDependencyError(f"fsspec needs another package for {scheme}://: {error}") from error
    except ValueError:
        raise ConfigError(
            f"fsspec has no file system for {scheme}://. Install the package that brings it, or check the URL "
            f"{redact(url)!r}."
        ) from None
    most = options.get("max_concurrency", _CONNECTIONS)
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise ConfigError(f"The storage option max_concurrency is {most!r}; expected a whole number from 1.")
    return FsspecStore(url, options)


class FsspecStore:
    """Objects are the files below a directory of a file system of fsspec.

    Each operation has a file system to itself, because not all of them can be shared, and each process makes its own.

    Args:
        url: The root.
        options: As for :func:`open_fsspec`.
    """

    takes_versions = True

    def __init__(self, url: str, options: Mapping[str, Any] | Sealed) -> None:
        self.url = url
        self._options = seal(options)
        self._place = "/".join(redact(url).split("/", 3)[:3])

    def __repr__(self) -> str:
        return redact(self.url)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.url, self._options)

    def get(self, path: str) -> bytes:
        """Return a whole file."""
        check_path(path)
        return self._call(path, lambda system: system.fs.cat_file(system.full(path)), by_size=True)

    def get_range(self, path: str, start: int, end: int) -> bytes:
        """Return bytes ``[start, end)`` of a file, fewer where it ends before."""
        check_path(path)
        return self._call(path, lambda system: system.read(path, start, end), by_size=True)

    def read(
        self, path: str, start: int = 0, end: int | None = None, *, version: str | None = None
    ) -> tuple[bytes, ObjectInfo]:
        """Return bytes ``[start, end)`` of a file, and its version; see ``Store.read``."""
        check_path(path)

        def operation(system: System) -> tuple[bytes, ObjectInfo]:
            info = self._expect(system, path, version)
            data = system.read(path, start, info.bytes if end is None else end)
            self._expect(system, path, info.etag)
            return data, info

        return self._call(path, operation, by_size=True)

    def head(self, path: str) -> ObjectInfo:
        """Return size and version of a file."""
        check_path(path)
        return self._call(path, lambda system: system.head(path))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield every file in and below a directory, in the order of their paths; none if there is none."""
        prefix = prefix.strip("/")
        if prefix:
            check_path(prefix)
        with suppress(ObjectNotFoundError):
            yield from self._call(prefix, lambda system: system.list(prefix), by_size=True)

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
        """Write bytes ``[offset, size)`` of a file to a local one; see ``Store.download``."""
        check_path(path)
        deadline = None if total_timeout is None else time.monotonic() + total_timeout
        with open_target(target, offset) as out, self._system(path) as system:
            system.is_busy = True  # until its thread has come to an end
            with self._translated(path):
                info = within(stall_timeout, lambda: self._expect(system, path, version))
            if info.bytes < offset:
                raise ObjectChangedError(
                    f"{self!r}/{path} has {info.bytes} bytes, fewer than the {offset} that are there already. It has "
                    "been replaced: fetch it again from the start."
                )
            if on_info is not None:
                on_info(info)
            # Only reading is fsspec's: what the file and the sink raise is not translated.
            chunks = self._reading(system, path, offset, info.bytes, stall_timeout)
            write_chunks(out, chunks, sink, deadline, f"{self!r}/{path}")
            if version is not None or on_info is not None:
                with self._translated(path):
                    within(stall_timeout, lambda: self._expect(system, path, info.etag))
            system.is_busy = False
            return info.bytes

    def put(self, path: str, source: str | bytes) -> None:
        """Write a file; in one step where the file system can rename, or writes so itself."""
        check_path(path)
        size = len(source)
        if isinstance(source, str):
            # Opened here first: a missing source is the caller's, not the store's.
            with open(source, "rb") as file:
                size = file.seek(0, 2)
        self._call(path, lambda system: system.put(path, source), limit_s=2 * (_REPLY_S + size / _SLOWEST))

    def delete(self, path: str) -> None:
        """Remove a file; a missing one is no failure."""
        check_path(path)
        with suppress(ObjectNotFoundError):
            self._call(path, lambda system: system.delete(path))

    def exists_root(self) -> bool:
        """Say whether the directory exists, or the bucket."""
        return self._call("", lambda system: system.exists_root())

    def check_writable(self) -> None:
        """Write a file, which is removed again."""
        path = f".{secrets.token_hex(4)}{PART}"
        self.put(path, b"")
        self.delete(path)

    def _expect(self, system: System, path: str, version: str | None) -> ObjectInfo:
        info = system.head(path)
        if version is not None and info.etag != version:
            raise ObjectChangedError(f"it was replaced: it is {info.etag} now, {version} was asked for.")
        return info

    def _call(self, path: str, operation: Callable[[System], T], by_size: bool = False, limit_s: float = _REPLY_S) -> T:
        # What has no bound that is known beforehand is given an hour.
        with self._system(path) as system, self._translated(path):
            return within(3600.0 if by_size else limit_s, lambda: operation(system))

    @contextmanager
    def _system(self, path: str) -> Iterator[System]:
        options = dict(self._options.reveal())
        most = int(options.pop("max_concurrency", _CONNECTIONS))
        inner = self.url[len(FORCED) :] if self.url.lower().startswith(FORCED) else self.url
        key = ("fsspec", inner, repr(sorted(options.items(), key=lambda item: str(item[0]))))
        pool = pool_of(key, lambda: connect(inner, options))
        with gate_of(self._place, most).turn(f"{self!r}/{path}"), pool.connection() as system:
            yield system

    def _reading(self, system: System, path: str, start: int, end: int, stall_s: float) -> Iterator[bytes]:
        at = start
        with self._translated(path):
            for chunk in watched(lambda: system.chunks(path, start, end), stall_s):
                at += len(chunk)
                yield chunk
            if at != end:
                raise UnavailableError(f"it ended at byte {at} of {end}: it has been cut while it was read")

    def _translated(self, path: str) -> AbstractContextManager[None]:
        return translated(f"{self!r}/{path}" if path else repr(self))
