"""What fsspec's file systems raise, as the exceptions of this package."""

from __future__ import annotations

import asyncio

from streaming.core.errors import (
    AccessDeniedError,
    ObjectNotFoundError,
    StalledError,
    StorageError,
    ThrottledError,
    UnavailableError,
)
from streaming.storage.url import redact_text

__all__ = ["failure"]

# Of HTTP, which most of the services behind fsspec speak.
_BY_STATUS: dict[object, type[StorageError]] = {
    401: AccessDeniedError,
    403: AccessDeniedError,
    404: ObjectNotFoundError,
    429: ThrottledError,
    503: ThrottledError,
}
_BY_CLASS: list[tuple[tuple[type[BaseException], ...], type[StorageError]]] = [
    ((FileNotFoundError, IsADirectoryError, NotADirectoryError), ObjectNotFoundError),
    ((PermissionError,), AccessDeniedError),
    ((TimeoutError, asyncio.TimeoutError), StalledError),
    ((ConnectionError, EOFError), UnavailableError),
]
_HINTS: dict[type[StorageError], str] = {
    AccessDeniedError: "Give the credentials as storage_options, as the file system of fsspec takes them.",
    ObjectNotFoundError: "Check the path.",
    StalledError: "Check the network.",
    ThrottledError: "It asks to slow down: use fewer workers, or the storage option max_concurrency.",
    UnavailableError: "Check the host's name and the network.",
}


def failure(error: Exception, where: str) -> StorageError:
    """Translate what a file system raised.

    Args:
        error: What it raised.
        where: What it was about, for the text.
    """
    kind = _kind(error)
    text = redact_text(" ".join(str(error).split()))[:300]
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return kind(f"{where}: {said}. {_HINTS.get(kind, '')}".rstrip())


def _kind(error: Exception) -> type[StorageError]:
    for classes, kind in _BY_CLASS:
        if isinstance(error, classes):
            return kind
    if any(each.__name__ == "ClientConnectionError" for each in type(error).__mro__):  # of aiohttp
        return UnavailableError
    status = getattr(error, "status", None) or getattr(error, "code", None)
    return _BY_STATUS.get(status, StorageError) if isinstance(status, int) else StorageError
