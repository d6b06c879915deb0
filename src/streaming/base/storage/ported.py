"""A store over a user's downloader and uploader classes, so that datasets and writers can use their scheme."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from streaming.base.storage.download import DOWNLOADER_MAPPINGS, CloudDownloader
from streaming.base.storage.upload import UPLOADERS, CloudUploader, send_file
from streaming.core.errors import ConfigError, ObjectNotFoundError, StorageError
from streaming.storage.store import ObjectInfo, OnInfo, Sink
from streaming.storage.target import open_target, write_all
from streaming.storage.url import check_path, join, redact, scheme_of

__all__ = ["PortedStore", "open_ported"]

_CHUNK = 1 << 20


def open_ported(url: str, options: Mapping[str, Any]) -> PortedStore:
    """Open the store of a URL whose scheme has a downloader or uploader of a user's.

    Args:
        url: The root.
        options: Settings of a store; there must be none.

    Raises:
        ConfigError: There are options, which such classes do not take.
    """
    if options:
        raise ConfigError(f"{scheme_of(url)} is served by a class of yours, which takes no options: {sorted(options)}.")
    return PortedStore(url)


class PortedStore:
    """Objects below a URL, fetched whole and put whole by a user's classes.

    Args:
        url: The root.
    """

    takes_versions = reads_in_one = True

    def __init__(self, url: str) -> None:
        self.url = url

    def __repr__(self) -> str:
        return redact(self.url)

    def get(self, path: str) -> bytes:
        """Return a whole object."""
        return self.read(path)[0]

    def read(
        self, path: str, start: int = 0, end: int | None = None, *, version: str | None = None
    ) -> tuple[bytes, ObjectInfo]:
        """Return bytes ``[start, end)`` of an object. The classes know no versions."""
        del version
        with self._fetched(path, 60.0) as file, open(file, "rb") as data:
            whole = data.read()
        return whole[start:end], ObjectInfo(path, len(whole))

    def get_range(self, path: str, start: int, end: int) -> bytes:
        """Return bytes ``[start, end)`` of an object."""
        return self.get(path)[start:end]

    def head(self, path: str) -> ObjectInfo:
        """Return the size of an object, which is fetched for that."""
        with self._fetched(path, 60.0) as file:
            return ObjectInfo(path, os.path.getsize(file))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield what the uploader lists."""
        with tempfile.TemporaryDirectory(prefix="streaming-list-") as folder:
            uploader = CloudUploader.get((folder, join(self.url, prefix)), keep_local=True, exist_ok=True)
            for name in uploader.list_objects():
                yield ObjectInfo(name, 0)

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
        """Write bytes ``[offset, size)`` of an object to a local file, at that offset."""
        del total_timeout, version  # a class of the user's cannot be interrupted, and knows no versions
        with self._fetched(path, stall_timeout) as file, open(file, "rb") as data, open_target(target, offset) as out:
            if on_info is not None:
                on_info(ObjectInfo(path, os.path.getsize(file)))
            data.seek(offset)
            while chunk := data.read(_CHUNK):
                write_all(out, chunk)
                if sink is not None:
                    sink(chunk)
            return os.path.getsize(file)

    def put(self, path: str, source: str | bytes) -> None:
        """Write an object."""
        self.check_writable()
        with _translated(join(self.url, path)):
            send_file(self.url, check_path(path), source)

    def delete(self, path: str) -> None:
        """Refuse: uploaders cannot remove anything."""
        raise StorageError(f"Cannot delete {path} at {self!r}: its uploader cannot remove files.")

    def exists_root(self) -> bool:
        """Return True: the classes do not tell."""
        return True

    def check_writable(self) -> None:
        """Check that there is an uploader for the scheme."""
        if scheme_of(self.url) not in UPLOADERS:
            raise StorageError(f"Cannot write to {self!r}: no class in UPLOADERS serves {scheme_of(self.url)}.")

    @contextmanager
    def _fetched(self, path: str, timeout: float) -> Iterator[str]:
        if scheme_of(self.url) not in DOWNLOADER_MAPPINGS:
            raise StorageError(f"Cannot read {self!r}: no class in DOWNLOADER_MAPPINGS serves {scheme_of(self.url)}.")
        url = join(self.url, check_path(path))
        with tempfile.TemporaryDirectory(prefix="streaming-fetch-") as folder:
            file = os.path.join(folder, "file")
            with _translated(url):
                CloudDownloader.direct_download(url, file, timeout)
                if not os.path.exists(file):
                    raise FileNotFoundError(file)
            yield file


@contextmanager
def _translated(url: str) -> Iterator[None]:
    try:
        yield
    except StorageError:
        raise
    except FileNotFoundError as error:
        raise ObjectNotFoundError(f"There is no {redact(url)}: {error}") from error
    except Exception as error:
        raise StorageError(f"{redact(url)}: {type(error).__name__}: {error}") from error
