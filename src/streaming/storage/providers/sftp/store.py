"""Servers that speak SFTP, the file transfer of SSH."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import IO, Any

from streaming.core.errors import (
    AccessDeniedError,
    ObjectNotFoundError,
    StalledError,
    StorageError,
    UnavailableError,
)
from streaming.storage.logins.family import canonical
from streaming.storage.options import Sealed
from streaming.storage.providers.sftp.login import SftpConnection, SftpLogin, connect, find_login
from streaming.storage.providers.sftp.read import read_chunks
from streaming.storage.providers.vendors.client import VendorStore
from streaming.storage.store import ObjectInfo
from streaming.storage.url import is_part, part_of, split_bucket

__all__ = ["SftpStore", "open_sftp"]

_OPTIONS = {"key_file", "key_passphrase", "known_hosts_file", "password", "username"}
_ALIASES = {
    "key_filename": "key_file",
    "known_hosts": "known_hosts_file",
    "passphrase": "key_passphrase",
    "user": "username",
}
_CLOSED = "Socket is closed"  # what paramiko says of a channel that the other side closed, without a number


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


class SftpStore(VendorStore):
    """Objects are the files below a directory of a server.

    Args:
        url: The root.
        options: As for :func:`open_sftp`, under their canonical names.
    """

    # Each is a login, and servers take few at once; one fills most networks.
    _connections = 4
    _is_pooled = True

    def __init__(self, url: str, options: Mapping[str, Any] | Sealed) -> None:
        super().__init__(url, options)
        self._root = "/" + split_bucket(url)[1]

    def check_writable(self) -> None:
        self._call("", lambda client: _make_directories(client, self._root))
        super().check_writable()

    def _connect(self) -> SftpConnection:
        return connect(self._key())

    def _key(self) -> SftpLogin:
        return find_login(self.url, self._options.reveal(), os.environ)

    def _place(self) -> str:
        login = self._key()
        return f"sftp://{login.username}@{login.host}:{login.port}"

    def _failure(self, error: Exception, where: str) -> StorageError:
        from paramiko import SSHException

        if isinstance(error, FileNotFoundError):
            return ObjectNotFoundError(f"There is no file {where}. Check the path.")
        if isinstance(error, PermissionError):
            return AccessDeniedError(
                f"No permission for {where}. Check its owner and mode, and the user that you log in as."
            )
        if isinstance(error, TimeoutError):
            return StalledError(f"{where}: the server has been silent for too long.")
        is_closed = isinstance(error, OSError) and error.errno is None and str(error) == _CLOSED
        if is_closed or isinstance(error, (SSHException, EOFError, ConnectionError)):
            return UnavailableError(f"{where}: the connection broke off ({str(error) or 'it was closed'}).")
        return StorageError(f"{where}: {getattr(error, 'strerror', None) or error}.")

    def _full(self, path: str) -> str:
        return "/".join(part for part in (self._root.rstrip("/"), path) if part) or "/"

    def _head(self, client: SftpConnection, path: str) -> ObjectInfo:
        return _info(path, _status(client, self._full(path)))

    def _chunks(
        self, client: SftpConnection, path: str, start: int, end: int | None, told: list[ObjectInfo]
    ) -> Iterator[bytes]:
        del told
        # To be closed only when all is well: else its connection is, and the server may not answer.
        size: int = _status(client, self._full(path)).st_size
        file = client.sftp.open(self._full(path), "rb")
        yield from read_chunks(client.sftp, file, start, size if end is None else min(end, size))
        file.close()

    def _timed(self, client: SftpConnection, chunks: Callable[[], Iterator[bytes]], stall_s: float) -> Iterator[bytes]:
        client.set_timeout(stall_s)
        yield from chunks()
        client.set_timeout()

    def _entries(self, client: SftpConnection, prefix: str) -> Iterator[ObjectInfo]:
        start = prefix + "/" if prefix else ""
        with self._translated(f"{self!r}/{prefix}" if prefix else repr(self)), suppress(FileNotFoundError):
            for status in client.sftp.listdir_attr(self._full(prefix)):
                name = status.filename
                if stat.S_ISLNK(status.st_mode or 0):
                    try:
                        status = client.sftp.stat(self._full(start + name))
                    except FileNotFoundError:
                        continue  # it points nowhere
                if stat.S_ISDIR(status.st_mode or 0):
                    yield from self._entries(client, start + name)
                elif stat.S_ISREG(status.st_mode or 0) and not is_part(name):
                    yield _info(start + name, status)

    def _put(self, client: SftpConnection, path: str, source: IO[bytes]) -> None:
        full = self._full(path)
        part = part_of(full)
        _make_directories(client, full.rpartition("/")[0])
        try:
            client.sftp.putfo(source, part)
            _rename(client, part, full)
        except BaseException:
            with suppress(Exception):
                client.sftp.remove(part)
            raise

    def _delete(self, client: SftpConnection, path: str) -> None:
        client.sftp.remove(self._full(path))

    def _probe(self, client: SftpConnection) -> None:
        if not stat.S_ISDIR(client.sftp.stat(self._root).st_mode):
            raise FileNotFoundError(self._root)


def _status(client: SftpConnection, full: str) -> Any:
    """Return the status of a file; what is no file is not there."""
    status = client.sftp.stat(full)
    if not stat.S_ISREG(status.st_mode):
        raise FileNotFoundError(errno.ENOENT, "it is not a file", full)
    return status


def _make_directories(client: SftpConnection, directory: str) -> None:
    """Make a directory and those above it, where they are missing."""
    missing: list[str] = []
    while directory.rstrip("/"):
        try:
            client.sftp.stat(directory)
            break
        except FileNotFoundError:
            missing.append(directory)
            directory = directory.rpartition("/")[0]
    for name in reversed(missing):
        try:
            client.sftp.mkdir(name)
        except OSError:
            client.sftp.stat(name)  # another has made it meanwhile, or there is a reason


def _rename(client: SftpConnection, part: str, full: str) -> None:
    """Rename a file, in the place of another one if there is one."""
    try:
        client.sftp.posix_rename(part, full)
    except OSError as error:
        if error.errno is not None:
            raise
        # A server without that extension renames, but replaces nothing.
        with suppress(FileNotFoundError):
            client.sftp.remove(full)
        client.sftp.rename(part, full)


def _info(path: str, status: Any) -> ObjectInfo:
    return ObjectInfo(path, status.st_size, f"{status.st_mtime:x}-{status.st_size:x}", float(status.st_mtime))
