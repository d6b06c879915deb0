"""Servers that speak SFTP, the file transfer of SSH."""

from __future__ import annotations

import os
import secrets
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from io import BytesIO
from typing import Any

from streaming.core.errors import (
    ObjectChangedError,
    ObjectNotFoundError,
)
from streaming.storage.helper.gate import gate_of
from streaming.storage.options import Sealed, seal
from streaming.storage.providers.family import canonical
from streaming.storage.providers.pool import pool_of
from streaming.storage.providers.sftp.files import (
    file_status,
    list_directory,
    make_directories,
    open_file,
    rename,
    translated,
)
from streaming.storage.providers.sftp.login import SftpConnection, connect, find_login
from streaming.storage.providers.sftp.read import read_chunks
from streaming.storage.store import ObjectInfo, OnInfo, Sink
from streaming.storage.target import open_target, write_chunks
from streaming.storage.url import check_path, redact, split_bucket

__all__ = ["SftpStore", "open_sftp"]

_OPTIONS = {"key_file", "key_passphrase", "known_hosts_file", "password", "username"}
_ALIASES = {
    "key_filename": "key_file",
    "known_hosts": "known_hosts_file",
    "passphrase": "key_passphrase",
    "user": "username",
}
# Each is a login, and servers take few at once; one fills most networks.
_CONNECTIONS = 4
_PART = ".part"


def open_sftp(url: str, options: Mapping[str, Any]) -> SftpStore:
    """Open ``sftp://user@host:port/path``; the path is absolute. Nothing is contacted yet.

    Args:
        url: The root.
        options: ``username`` and ``password`` (else those of the URL), ``key_file`` (else ``COMPOSER_SFTP_KEY_FILE``),
            ``key_passphrase``, ``known_hosts_file`` (else ``COMPOSER_SFTP_KNOWN_HOSTS_FILE``), and
            ``max_concurrency``, the connections that a process has.

    Raises:
        ConfigError: The URL lacks a host or has a query, or an option is unknown.
    """
    found = canonical(options, "sftp", _OPTIONS, _ALIASES)
    find_login(url, found, {})
    return SftpStore(url, found)


class SftpStore:
    """Objects are the files below a directory of a server.

    Args:
        url: The root.
        options: As for :func:`open_sftp`, under their canonical names.
    """

    takes_versions = True

    def __init__(self, url: str, options: Mapping[str, Any] | Sealed) -> None:
        self.url = url
        self._options = seal(options)
        self._root = "/" + split_bucket(url)[1]

    def __repr__(self) -> str:
        return redact(self.url)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.url, self._options)

    def get(self, path: str) -> bytes:
        """Return a whole file."""
        return b"".join(self._parts(path, 0, None))

    def get_range(self, path: str, start: int, end: int) -> bytes:
        """Return bytes ``[start, end)`` of a file, fewer where it ends before."""
        return b"".join(self._parts(path, start, end))

    def read(
        self, path: str, start: int = 0, end: int | None = None, *, version: str | None = None
    ) -> tuple[bytes, ObjectInfo]:
        """Return bytes ``[start, end)`` of a file, and its version; see ``Store.read``."""
        full = self._full(check_path(path))
        with self._connection(path) as connection, self._translated(path):
            info = _expect(connection, path, full, version)
            file, size = open_file(connection, full)
            parts = list(read_chunks(connection.sftp, file, start, size if end is None else min(end, size)))
            file.close()
            _expect(connection, path, full, info.etag)
            return b"".join(parts), info

    def head(self, path: str) -> ObjectInfo:
        """Return size and version (modification time and size) of a file."""
        check_path(path)
        with self._connection(path) as connection, self._translated(path):
            return _info(path, file_status(connection, self._full(path)))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield every file in and below a directory, in the order of their paths; none if there is none."""
        prefix = prefix.strip("/")
        if prefix:
            check_path(prefix)
        yield from self._walk(prefix, is_top=True)

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
        deadline = None if total_timeout is None else time.monotonic() + total_timeout
        full = self._full(check_path(path))
        with open_target(target, offset) as out, self._connection(path) as connection:
            connection.set_timeout(stall_timeout)
            with self._translated(path):
                info = _expect(connection, path, full, version)
                file, size = open_file(connection, full)
            if size < offset:
                raise ObjectChangedError(
                    f"{self!r}/{path} has {size} bytes, fewer than the {offset} that are there already. It has been "
                    "replaced: fetch it again from the start."
                )
            if on_info is not None:
                on_info(info)
            # Only reading is the server's: what the file and the sink raise is not translated.
            write_chunks(out, self._reading(path, connection, file, offset, size), sink, deadline, f"{self!r}/{path}")
            if version is not None or on_info is not None:
                with self._translated(path):
                    _expect(connection, path, full, info.etag)
            connection.set_timeout()
            return size

    def put(self, path: str, source: str | bytes) -> None:
        """Write a file under its final name in one step."""
        full = self._full(check_path(path))
        directory, _, name = full.rpartition("/")
        part = f"{directory}/.{name}.{secrets.token_hex(4)}{_PART}"
        # Opened here first: a missing source is the caller's, not the server's.
        with (
            open(source, "rb") if isinstance(source, str) else BytesIO(source) as data,
            self._connection(path) as connection,
            self._translated(path),
        ):
            make_directories(connection, directory)
            try:
                connection.sftp.putfo(data, part)
                rename(connection, part, full)
            except BaseException:
                with suppress(Exception):
                    connection.sftp.remove(part)
                raise

    def delete(self, path: str) -> None:
        """Remove a file; a missing one is no failure."""
        check_path(path)
        with suppress(ObjectNotFoundError), self._connection(path) as connection, self._translated(path):
            connection.sftp.remove(self._full(path))

    def exists_root(self) -> bool:
        """Say whether the directory exists."""
        try:
            with self._connection("") as connection, self._translated(""):
                return stat.S_ISDIR(connection.sftp.stat(self._root).st_mode)
        except ObjectNotFoundError:
            return False

    def check_writable(self) -> None:
        """Make the directory if it is missing, and write a file to it, which is removed again."""
        with self._connection("") as connection, self._translated(""):
            make_directories(connection, self._root)
            part = f"{self._root.rstrip('/')}/.{secrets.token_hex(4)}{_PART}"
            connection.sftp.open(part, "x").close()
            connection.sftp.remove(part)

    def _parts(self, path: str, start: int, end: int | None) -> list[bytes]:
        full = self._full(check_path(path))
        with self._connection(path) as connection, self._translated(path):
            file, size = open_file(connection, full)
            parts = list(read_chunks(connection.sftp, file, start, size if end is None else min(end, size)))
            file.close()
            return parts

    def _full(self, path: str) -> str:
        return "/".join(part for part in (self._root.rstrip("/"), path) if part) or "/"

    @contextmanager
    def _connection(self, path: str) -> Iterator[SftpConnection]:
        options = self._options.reveal()
        login = find_login(self.url, options, os.environ)
        most = int(options.get("max_concurrency", _CONNECTIONS))
        turn = gate_of(f"sftp://{login.username}@{login.host}:{login.port}", most).turn(f"{self!r}/{path}")
        with turn, pool_of(login, lambda: connect(login)).connection() as connection:
            yield connection

    def _reading(self, path: str, connection: SftpConnection, file: Any, start: int, end: int) -> Iterator[bytes]:
        with self._translated(path):
            yield from read_chunks(connection.sftp, file, start, end)
            file.close()

    def _translated(self, path: str) -> AbstractContextManager[None]:
        return translated(f"{self!r}/{path}" if path else repr(self))

    def _walk(self, prefix: str, is_top: bool = False) -> Iterator[ObjectInfo]:
        try:
            with self._connection(prefix) as connection, self._translated(prefix):
                found = list_directory(connection, self._full(prefix))
        except ObjectNotFoundError:
            if is_top:
                return
            raise
        start = prefix + "/" if prefix else ""
        # A directory sorts as its name and '/', which gives the order of whole paths.
        for name, status in sorted(found, key=lambda pair: pair[0]):
            if status is None:
                yield from self._walk(start + name.rstrip("/"))
            elif not (name.startswith(".") and name.endswith(_PART)):
                yield _info(start + name, status)


def _info(path: str, status: Any) -> ObjectInfo:
    return ObjectInfo(path, status.st_size, f"{status.st_mtime:x}-{status.st_size:x}", float(status.st_mtime))


def _expect(connection: SftpConnection, path: str, full: str, version: str | None) -> ObjectInfo:
    info = _info(path, file_status(connection, full))
    if version is not None and info.etag != version:
        raise ObjectChangedError(f"it was replaced: it is {info.etag} now, {version} was asked for.")
    return info
