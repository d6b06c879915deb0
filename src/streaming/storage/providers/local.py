"""Mounted file systems: plain paths and ``file://``."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import FileIO
from typing import Any

from streaming.core.errors import (
    AccessDeniedError,
    ConfigError,
    ObjectChangedError,
    ObjectNotFoundError,
    StorageError,
)
from streaming.core.text import advice_on
from streaming.storage.ranged import RangedStore
from streaming.storage.store import ObjectInfo
from streaming.storage.target import write_all
from streaming.storage.url import check_path, file_path, is_part, part_of

__all__ = ["LocalStore", "open_local"]

_CHUNK = 1 << 20


def open_local(url: str, options: Mapping[str, Any]) -> LocalStore:
    """Open a plain path (``~`` is expanded) or a ``file://`` URL. There are no options.

    Raises:
        ConfigError: There are options, or the URL names another host.
    """
    if options:
        raise ConfigError(f"A local directory takes no storage options, got {sorted(options)}.")
    return LocalStore(file_path(url))


class LocalStore(RangedStore):
    """Objects are the files below a directory.

    Args:
        root: The directory; it need not exist yet. A relative one is meant from where the process is now.
    """

    reads_in_one = True
    #: Whether asking for an object's version costs next to nothing.
    heads_are_cheap = True

    def __init__(self, root: str) -> None:
        if not root:
            raise ConfigError("A local store needs a directory, got an empty path.")
        super().__init__(root)
        self.root = root
        self._directory = root if os.path.isabs(root) else os.path.join(_current_directory(root), root)

    def __repr__(self) -> str:
        return self.root

    @property
    def origin(self) -> str:
        """The directory, by whatever name it was given."""
        return f"file://{os.path.realpath(self._directory)}"

    @property
    def directory(self) -> str:
        """The directory's absolute path."""
        return self._directory

    def _path(self, path: str) -> str:
        return os.path.join(self._directory, check_path(path))

    def get(self, path: str) -> bytes:
        return self.read(path)[0]

    def get_range(self, path: str, start: int, end: int) -> bytes:
        full = self._path(path)
        with _translated(full), _opened(full) as file:
            return os.pread(file.fileno(), max(0, end - start), start)

    def read(
        self, path: str, start: int = 0, end: int | None = None, *, version: str | None = None
    ) -> tuple[bytes, ObjectInfo]:
        full = self._path(path)
        with _translated(full), _opened(full) as file:
            info = _version_of(file, path, full, version)
            stop = info.bytes if end is None else min(end, info.bytes)
            file.seek(start)
            parts: list[bytes] = []
            while start < stop and (part := file.read(stop - start)):  # nearly always all of it at once
                parts.append(part)
                start += len(part)
            _version_of(file, path, full, info.etag)
            return b"".join(parts) if len(parts) > 1 else parts[0] if parts else b"", info

    def head(self, path: str) -> ObjectInfo:
        """Return size and version (modification time, size and number) of a file."""
        full = self._path(path)
        with _translated(full):
            status = os.stat(full)
            if not stat.S_ISREG(status.st_mode):
                raise IsADirectoryError(full)
        return _info(path, status)

    def list(self, prefix: str = "", enters: Callable[[str], bool] | None = None) -> Iterator[ObjectInfo]:
        """List files below a directory.

        Args:
            prefix: The directory.
            enters: Told the path of a directory, with ``/`` at its end, says whether its files are wanted; ``None``: all.
        """
        prefix = prefix.strip("/")
        top = self._path(prefix) if prefix else self._directory
        if not os.path.isdir(top):
            return
        with _translated(top):
            yield from _walk(top, prefix + "/" if prefix else "", enters)

    @contextmanager
    def _reading(
        self, path: str, start: int, stall_s: float, version: str | None, is_told: bool
    ) -> Iterator[tuple[ObjectInfo, Iterator[Any]]]:
        del stall_s, is_told  # a mounted file system's own timeouts hold, and to ask for the version costs nothing
        full = self._path(path)
        with _translated(full):
            source = _opened(full)
        with source:
            info = _version_of(source, path, full, version)
            source.seek(start)
            yield info, _chunks(source, full)
            _version_of(source, path, full, info.etag)

    def put(self, path: str, source: str | bytes) -> None:
        full = self._path(path)
        directory, part = os.path.dirname(full), part_of(full)
        if os.path.isdir(full):
            raise AccessDeniedError(f"{full} is a directory. Name a file.")
        with _translated(full):
            os.makedirs(directory, exist_ok=True)
            if "/" in path:
                self._check_no_link(directory)
            try:
                with open(part, "xb", buffering=0) as out:
                    if isinstance(source, str):
                        with open(source, "rb", buffering=0) as file:
                            shutil.copyfileobj(file, out, _CHUNK)
                    else:
                        write_all(out, source)
                os.replace(part, full)
            except BaseException:
                _unlink(part)
                raise

    def _check_no_link(self, directory: str) -> None:
        """Refuse a directory below the root that is reached by a link: it may be anybody's."""
        if os.path.realpath(directory) != os.path.join(
            os.path.realpath(self.root), os.path.relpath(directory, self.root)
        ):
            raise AccessDeniedError(
                f"{directory} is reached by a link, through which nothing is written. Remove the link."
            )

    def delete(self, path: str) -> None:
        full = self._path(path)
        with _translated(full):
            _unlink(full)

    def exists_root(self) -> bool:
        return os.path.isdir(self._directory)

    def check_writable(self) -> None:
        """Make the directory if it is missing, and check that files can be made in it."""
        with _translated(self.root):
            os.makedirs(self._directory, exist_ok=True)
        if not os.access(self._directory, os.W_OK | os.X_OK):
            raise AccessDeniedError(f"Cannot write to {self.root}: check its permissions.")


def _unlink(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _info(path: str, status: os.stat_result) -> ObjectInfo:
    etag = f"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}"
    return ObjectInfo(path, status.st_size, etag, status.st_mtime_ns / 1e9)


def _opened(full: str) -> FileIO:
    """Open a file to read; a pipe in its place is not waited for."""
    file = FileIO(os.open(full, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "r")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise IsADirectoryError(errno.EISDIR, "it is not a regular file", full)
    return file


def _chunks(file: FileIO, full: str) -> Iterator[bytes]:
    while True:
        with _translated(full):
            chunk = file.read(_CHUNK)
        if not chunk:
            return
        yield chunk


def _version_of(file: FileIO, path: str, full: str, wanted: str | None) -> ObjectInfo:
    """Describe an open file.

    Raises:
        ObjectChangedError: It is not of the version that is wanted.
    """
    info = _info(path, os.fstat(file.fileno()))
    if wanted is not None and info.etag != wanted:
        raise ObjectChangedError(f"{full} was changed while it was read. Read it again from the start.")
    return info


def _walk(top: str, prefix: str, enters: Callable[[str], bool] | None) -> Iterator[ObjectInfo]:
    with os.scandir(top) as entries:
        found = [(entry.name + "/" * entry.is_dir(), entry) for entry in entries]
    # A directory sorts as its name and '/', which gives the order of whole paths.
    for name, entry in sorted(found, key=lambda pair: pair[0]):
        if name.endswith("/"):
            if enters is None or enters(prefix + name):
                yield from _walk(entry.path, prefix + name, enters)
        elif entry.is_file() and not is_part(name):
            yield _info(prefix + name, entry.stat())
        elif entry.is_symlink() and not os.path.exists(entry.path):  # a link to nothing, which cannot be read
            yield _info(prefix + name, entry.stat(follow_symlinks=False))


@contextmanager
def _translated(where: str) -> Iterator[None]:
    try:
        yield
    except StorageError:
        raise
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        missing = error.filename or where
        raise ObjectNotFoundError(f"There is no file {missing}. Check the path.") from error
    except FileExistsError as error:
        raise AccessDeniedError(
            f"{error.filename or where} is a file, not a directory. Choose another place."
        ) from error
    except PermissionError as error:
        raise AccessDeniedError(
            f"No permission for {error.filename or where}: {error.strerror}. Check its owner and mode."
        ) from error
    except OSError as error:
        raise StorageError(f"{where}: {error.strerror or error}. {advice_on(error)}".rstrip()) from error


def _current_directory(root: str) -> str:
    """Return the current directory, from which a relative path is meant.

    Raises:
        StorageError: It was removed.
    """
    try:
        return os.getcwd()
    except FileNotFoundError:
        raise StorageError(
            f"{root} is a relative path, and the current directory was removed. Give an absolute path, or go elsewhere."
        ) from None
