"""Whatever fsspec has a file system for."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterator, Mapping
from contextlib import suppress
from typing import IO, Any

from streaming.core.errors import (
    AccessDeniedError,
    ConfigError,
    MissingDependencyError,
    ObjectNotFoundError,
    StalledError,
    StorageError,
    ThrottledError,
    UnavailableError,
)
from streaming.core.imports import optional_import
from streaming.storage.logins.family import check_concurrency
from streaming.storage.providers.fsspec.system import System, connect
from streaming.storage.providers.vendors.client import VendorStore
from streaming.storage.store import ObjectInfo
from streaming.storage.url import redact, redact_text, scheme_of
from streaming.storage.words import kind_of_status

__all__ = ["FORCED", "FsspecStore", "open_fsspec", "serves"]

#: What a scheme begins with to be served by fsspec though there is a store for it.
FORCED = "fsspec+"

_BY_CLASS: list[tuple[tuple[type[BaseException], ...], type[StorageError]]] = [
    ((FileNotFoundError, IsADirectoryError, NotADirectoryError), ObjectNotFoundError),
    ((PermissionError,), AccessDeniedError),
    ((TimeoutError, asyncio.TimeoutError), StalledError),
    ((ConnectionError, EOFError), UnavailableError),
]
# Of HTTP, which most of the services behind fsspec speak.
_STATUSES = (401, 403, 404, 429, 503)
_HINTS: dict[type[StorageError], str] = {
    AccessDeniedError: "Give the credentials as storage_options, as the file system of fsspec takes them.",
    ObjectNotFoundError: "Check the path.",
    StalledError: "Check the network.",
    ThrottledError: "It asks to slow down: use fewer workers, or the storage option max_concurrency.",
    UnavailableError: "Check the host's name and the network.",
}


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
    check_concurrency(options)
    return FsspecStore(url, options)


class FsspecStore(VendorStore):
    """Objects are the files below a directory of a file system of fsspec.

    Each operation has a file system to itself, because not all of them can be shared, and each process makes its own.

    Args:
        url: The root.
        options: As for :func:`open_fsspec`.
    """

    _is_pooled = True
    _range_limit_s = 3600.0

    def get(self, path: str) -> bytes:
        try:
            return super().get(path)
        except ObjectNotFoundError:
            # To some, whatever fails when they look for a file says that it is missing; to read of it tells why.
            self._call(path, lambda client: client.fs.cat_file(client.full(path), 0, 1), self.patience_s)
            raise

    def _connect(self) -> System:
        return connect(*self._arguments())

    def _key(self) -> Hashable:
        url, options = self._arguments()
        return "fsspec", url, repr(sorted(options.items(), key=lambda item: str(item[0])))

    def _place(self) -> str:
        return "/".join(redact(self.url).split("/", 3)[:3])

    def _failure(self, error: Exception, where: str) -> StorageError:
        kind = _kind(error)
        text = redact_text(" ".join(str(error).split()))[:300]
        said = f"{type(error).__name__}: {text}" if text else type(error).__name__
        return kind(f"{where}: {said}. {_HINTS.get(kind, '')}".rstrip())

    def _arguments(self) -> tuple[str, dict[str, Any]]:
        options = {name: value for name, value in self._options.reveal().items() if name != "max_concurrency"}
        return self.url[len(FORCED) :] if self.url.lower().startswith(FORCED) else self.url, options

    def _head(self, client: System, path: str) -> ObjectInfo:
        return client.head(path)

    def _chunks(
        self, client: System, path: str, start: int, end: int | None, told: list[ObjectInfo]
    ) -> Iterator[bytes]:
        del told
        if end is None:
            yield from client.chunks(path, start)
        else:
            yield client.read(path, start, end)

    def _entries(self, client: System, prefix: str) -> Iterator[ObjectInfo]:
        with suppress(FileNotFoundError, NotADirectoryError):
            yield from client.entries(prefix)

    def _put(self, client: System, path: str, source: IO[bytes]) -> None:
        client.put(path, source)

    def _delete(self, client: System, path: str) -> None:
        client.delete(path)

    def _probe(self, client: System) -> None:
        if not client.exists_root():
            raise FileNotFoundError(self.url)


def _kind(error: Exception) -> type[StorageError]:
    for classes, kind in _BY_CLASS:
        if isinstance(error, classes):
            return kind
    if any(each.__name__ == "ClientConnectionError" for each in type(error).__mro__):  # of aiohttp
        return UnavailableError
    status = getattr(error, "status", None) or getattr(error, "code", None)
    return kind_of_status(status, asks_to_wait=True) if status in _STATUSES else StorageError
