"""Servers that speak SFTP, the file transfer of SSH."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import IO, Any

from streaming.core.errors import StorageError
from streaming.storage.logins.family import canonical
from streaming.storage.options import Sealed
from streaming.storage.providers.sftp.files import (
    failure,
    file_status,
    list_directory,
    make_directories,
    open_file,
    rename,
)
from streaming.storage.providers.sftp.login import SftpConnection, SftpLogin, connect, find_login
from streaming.storage.providers.sftp.read import read_chunks
from streaming.storage.providers.vendors.client import VendorStore
from streaming.storage.store import ObjectInfo
from streaming.storage.url import split_bucket

__all__ = ["SftpStore", "open_sftp"]

_OPTIONS = {"key_file", "key_passphrase", "known_hosts_file", "password", "username"}
_ALIASES = {
    "key_filename": "key_file",
    "known_hosts": "known_hosts_file",
    "passphrase": "key_passphrase",
    "user": "username",
}
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
        self._call("", lambda client: make_directories(client, self._root))
        super().check_writable()

    def _connect(self) -> SftpConnection:
        return connect(self._key())

    def _key(self) -> SftpLogin:
        return find_login(self.url, self._options.reveal(), os.environ)

    def _place(self) -> str:
        login = self._key()
        return f"sftp://{login.username}@{login.host}:{login.port}"

    def _failure(self, error: Exception, path: str) -> StorageError:
        return failure(error, f"{self!r}/{path}" if path else repr(self))

    def _full(self, path: str) -> str:
        return "/".join(part for part in (self._root.rstrip("/"), path) if part) or "/"

    def _head(self, client: SftpConnection, path: str) -> ObjectInfo:
        return _info(path, file_status(client, self._full(path)))

    def _chunks(self, client: SftpConnection, path: str, start: int, end: int | None) -> Iterator[bytes]:
        file, size = open_file(client, self._full(path))
        yield from read_chunks(client.sftp, file, start, size if end is None else min(end, size))
        file.close()

    def _timed(self, client: SftpConnection, chunks: Callable[[], Iterator[bytes]], stall_s: float) -> Iterator[bytes]:
        client.set_timeout(stall_s)
        yield from chunks()
        client.set_timeout()

    def _entries(self, client: SftpConnection, prefix: str) -> Iterator[ObjectInfo]:
        try:
            found = list_directory(client, self._full(prefix))
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._failure(error, prefix) from None
        start = prefix + "/" if prefix else ""
        for name, status in found:
            if status is None:
                yield from self._entries(client, start + name.rstrip("/"))
            elif not (name.startswith(".") and name.endswith(_PART)):
                yield _info(start + name, status)

    def _put(self, client: SftpConnection, path: str, source: IO[bytes]) -> None:
        directory, _, name = self._full(path).rpartition("/")
        part = f"{directory}/.{name}.{secrets.token_hex(4)}{_PART}"
        make_directories(client, directory)
        try:
            client.sftp.putfo(source, part)
            rename(client, part, self._full(path))
        except BaseException:
            with suppress(Exception):
                client.sftp.remove(part)
            raise

    def _delete(self, client: SftpConnection, path: str) -> None:
        client.sftp.remove(self._full(path))

    def _probe(self, client: SftpConnection) -> None:
        if not stat.S_ISDIR(client.sftp.stat(self._root).st_mode):
            raise FileNotFoundError(self._root)


def _info(path: str, status: Any) -> ObjectInfo:
    return ObjectInfo(path, status.st_size, f"{status.st_mtime:x}-{status.st_size:x}", float(status.st_mtime))
