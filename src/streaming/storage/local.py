"""Mounted file systems: plain paths and ``file://``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from streaming.core.errors import AccessDeniedError, ObjectNotFoundError, StorageError
from streaming.storage.store import ObjectInfo, Sink

__all__ = ["LocalStore"]

_CHUNK = 1 << 20


class LocalStore:
    """Objects are the files below a directory.

    Args:
        url: Path, or ``file://`` URL.
    """

    def __init__(self, url: str) -> None:
        path = unquote(urlsplit(url).path) if url.startswith("file:") else os.path.expanduser(url)
        self.root = path
        self.url = url

    def __repr__(self) -> str:
        return self.root

    def _path(self, path: str) -> str:
        return os.path.join(self.root, *path.split("/")) if path else self.root

    def get(self, path: str) -> bytes:
        """Return a whole file."""
        try:
            with open(self._path(path), "rb") as file:
                return file.read()
        except OSError as error:
            raise self._translated(error, path) from error

    def get_range(self, path: str, start: int, end: int) -> bytes:
        """Return bytes ``[start, end)`` of a file."""
        try:
            with open(self._path(path), "rb", buffering=0) as file:
                return os.pread(file.fileno(), max(0, end - start), start)
        except OSError as error:
            raise self._translated(error, path) from error

    def head(self, path: str) -> ObjectInfo:
        """Return size and time of a file."""
        try:
            status = os.stat(self._path(path))
        except OSError as error:
            raise self._translated(error, path) from error
        return ObjectInfo(path, status.st_size, f"{status.st_mtime_ns:x}-{status.st_size:x}")

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield every file below a directory."""
        top = self._path(prefix)
        found: list[ObjectInfo] = []
        for directory, _, names in os.walk(top):
            for name in names:
                full = os.path.join(directory, name)
                relative = os.path.relpath(full, self.root).replace(os.sep, "/")
                found.append(ObjectInfo(relative, os.path.getsize(full)))
        yield from sorted(found, key=lambda info: info.path)

    def download(
        self,
        path: str,
        target: str,
        *,
        offset: int = 0,
        sink: Sink | None = None,
        stall_timeout: float = 60.0,
        total_timeout: float | None = None,
    ) -> int:
        """Append bytes ``[offset, size)`` of a file to another."""
        del stall_timeout, total_timeout  # the kernel's own for a mounted file system
        try:
            source = open(self._path(path), "rb", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise self._translated(error, path) from error
        with source, open(target, "ab", buffering=0) as out:
            source.seek(offset)
            while True:
                try:
                    chunk = source.read(_CHUNK)
                except OSError as error:
                    raise self._translated(error, path) from error
                if not chunk:
                    return source.tell()
                view = memoryview(chunk)
                while view:
                    view = view[out.write(view) :]
                if sink is not None:
                    sink(chunk)

    def put(self, path: str, source: str | bytes) -> None:
        """Write a file under its final name in one step."""
        target = self._path(path)
        part = f"{target}.part.{os.getpid()}"
        try:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(part, "wb", buffering=0) as out:
                if isinstance(source, bytes):
                    out.write(source)
                else:
                    with open(source, "rb", buffering=0) as file:
                        while chunk := file.read(_CHUNK):
                            out.write(chunk)
            os.replace(part, target)
        except OSError as error:
            raise self._translated(error, path) from error
        finally:
            if os.path.exists(part):
                os.unlink(part)

    def delete(self, path: str) -> None:
        """Remove a file; a missing one is no failure."""
        try:
            os.unlink(self._path(path))
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._translated(error, path) from error

    def check_writable(self) -> None:
        """Make the directory if it is missing, and check that files can be made in it."""
        try:
            os.makedirs(self.root, exist_ok=True)
        except OSError as error:
            raise self._translated(error, "") from error
        if not os.access(self.root, os.W_OK | os.X_OK):
            raise AccessDeniedError(f"Cannot write to {self.root}: check its permissions.")

    def _translated(self, error: OSError, path: str) -> StorageError:
        where = self._path(path)
        if isinstance(error, (FileNotFoundError, NotADirectoryError)):
            return ObjectNotFoundError(f"There is no {where}. Check the path.")
        if isinstance(error, PermissionError):
            return AccessDeniedError(f"No permission for {where}: {error.strerror}.")
        return StorageError(f"{where}: {error}")
