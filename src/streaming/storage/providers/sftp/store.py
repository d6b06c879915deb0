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
from streaming.storage.providers.sftp.connection import SftpConnection, connect
from streaming.storage.providers.sftp.login import SftpLogin, find_login
from streaming.storage.providers.vendors.client import TIMEOUT_S, VendorStore
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
# What every server of OpenSSH answers and takes at a time, others perhaps less; and what is asked for together.
_READ = 64 << 10
_WRITE = 32 << 10
_PART = 256 << 10


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
        import asyncssh

        if isinstance(error, (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath, FileNotFoundError)):
            return ObjectNotFoundError(f"There is no file {where}. Check the path.")
        if isinstance(error, asyncssh.SFTPPermissionDenied):
            return AccessDeniedError(
                f"No permission for {where}. Check its owner and mode, and the user that you log in as."
            )
        if isinstance(error, TimeoutError):
            return StalledError(f"{where}: the server has been silent for too long.")
        ended = (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection)
        if isinstance(error, ended) or not isinstance(error, asyncssh.SFTPError):
            return UnavailableError(f"{where}: the connection broke off ({str(error) or 'it was closed'}).")
        return StorageError(f"{where}: {error}.")

    def _full(self, path: str) -> str:
        return "/".join(part for part in (self._root.rstrip("/"), path) if part) or "/"

    def _head(self, client: SftpConnection, path: str) -> ObjectInfo:
        return _info(path, _status(client, self._full(path)))

    def _chunks(
        self, client: SftpConnection, path: str, start: int, end: int | None, told: list[ObjectInfo]
    ) -> Iterator[bytes]:
        del told
        size: int = _status(client, self._full(path)).size
        end = size if end is None else min(end, size)
        # To be closed only when all is well: else its connection is, and the server may not answer.
        file = client.do(client.sftp.open(self._full(path), "rb", block_size=_READ))
        parts = range(start, end, _PART)
        for at, data in zip(parts, client.each(file.read(min(_PART, end - at), at) for at in parts), strict=True):
            if len(data) < min(_PART, end - at):
                raise UnavailableError(f"it ended at byte {at + len(data)} of {end}: it has been cut while it was read")
            yield data
        client.do(file.close())

    def _timed(self, client: SftpConnection, chunks: Callable[[], Iterator[bytes]], stall_s: float) -> Iterator[bytes]:
        client.timeout_s = stall_s
        yield from chunks()
        client.timeout_s = TIMEOUT_S

    def _entries(self, client: SftpConnection, prefix: str) -> Iterator[ObjectInfo]:
        start = prefix + "/" if prefix else ""
        where = f"{self!r}/{prefix}" if prefix else repr(self)
        with suppress(ObjectNotFoundError), self._translated(where):
            for entry in client.do(client.sftp.readdir(self._full(prefix))):
                name, status = entry.filename, entry.attrs
                if stat.S_ISLNK(status.permissions or 0):
                    with suppress(ObjectNotFoundError), self._translated(where):  # it may point nowhere
                        status = client.do(client.sftp.stat(self._full(start + name)))
                if stat.S_ISDIR(status.permissions or 0) and name not in (".", ".."):
                    yield from self._entries(client, start + name)
                elif stat.S_ISREG(status.permissions or 0) and not is_part(name):
                    yield _info(start + name, status)

    def _put(self, client: SftpConnection, path: str, source: IO[bytes]) -> None:
        full = self._full(path)
        part = part_of(full)
        _make_directories(client, full.rpartition("/")[0])
        try:
            file = client.do(client.sftp.open(part, "wb", block_size=_WRITE))
            for _ in client.each(file.write(data, at) for at, data in _parts(source)):
                pass
            client.do(file.close())
            _rename(client, part, full)
        except BaseException:
            with suppress(Exception):
                client.do(client.sftp.remove(part))
            raise

    def _delete(self, client: SftpConnection, path: str) -> None:
        client.do(client.sftp.remove(self._full(path)))

    def _probe(self, client: SftpConnection) -> None:
        if not stat.S_ISDIR(client.do(client.sftp.stat(self._root)).permissions or 0):
            raise FileNotFoundError(self._root)


def _status(client: SftpConnection, full: str) -> Any:
    """Return the status of a file; what is no file is not there."""
    status = client.do(client.sftp.stat(full))
    if not stat.S_ISREG(status.permissions or 0):
        raise FileNotFoundError(errno.ENOENT, "it is not a file", full)
    return status


def _parts(source: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    while data := source.read(_PART):
        yield source.tell() - len(data), data


def _make_directories(client: SftpConnection, directory: str) -> None:
    if directory and not client.do(client.sftp.isdir(directory)):
        client.do(client.sftp.makedirs(directory, exist_ok=True))


def _rename(client: SftpConnection, part: str, full: str) -> None:
    """Rename a file, in the place of another one if there is one."""
    import asyncssh

    try:
        client.do(client.sftp.posix_rename(part, full))
    except asyncssh.SFTPOpUnsupported:
        # A server without that extension renames, but replaces nothing.
        with suppress(asyncssh.SFTPNoSuchFile):
            client.do(client.sftp.remove(full))
        client.do(client.sftp.rename(part, full))


def _info(path: str, status: Any) -> ObjectInfo:
    return ObjectInfo(path, status.size, f"{status.mtime:x}-{status.size:x}", float(status.mtime))
