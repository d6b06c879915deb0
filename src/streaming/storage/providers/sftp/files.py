"""Files and directories of an SFTP server, and what becomes of its failures."""

from __future__ import annotations

import errno
import stat
from contextlib import suppress
from typing import Any

from streaming.core.errors import (
    AccessDeniedError,
    ObjectNotFoundError,
    StalledError,
    StorageError,
    UnavailableError,
)
from streaming.storage.providers.sftp.login import SftpConnection

__all__ = ["failure", "file_status", "list_directory", "make_directories", "open_file", "rename"]

_CLOSED = "Socket is closed"  # what paramiko says of a channel that the other side closed, without a number


def open_file(connection: SftpConnection, full: str) -> tuple[Any, int]:
    """Open a file, to be closed only when all is well: else its connection is, and the server may not answer.

    Returns:
        The file, and its size.
    """
    size: int = file_status(connection, full).st_size
    return connection.sftp.open(full, "rb"), size


def list_directory(connection: SftpConnection, directory: str) -> list[tuple[str, Any]]:
    """Return the files of a directory with their status, and its directories, as names with '/' and ``None``."""
    found: list[tuple[str, Any]] = []
    for entry in connection.sftp.listdir_attr(directory):
        status = entry
        if stat.S_ISLNK(entry.st_mode or 0):
            try:
                status = connection.sftp.stat(f"{directory}/{entry.filename}")
            except FileNotFoundError:
                continue  # it points nowhere
        if stat.S_ISDIR(status.st_mode or 0):
            found.append((entry.filename + "/", None))
        elif stat.S_ISREG(status.st_mode or 0):
            found.append((entry.filename, status))
    return found


def file_status(connection: SftpConnection, full: str) -> Any:
    """Return the status of a file; what is no file is not there."""
    status = connection.sftp.stat(full)
    if not stat.S_ISREG(status.st_mode):
        raise FileNotFoundError(errno.ENOENT, "it is not a file", full)
    return status


def make_directories(connection: SftpConnection, directory: str) -> None:
    """Make a directory and those above it, where they are missing."""
    missing: list[str] = []
    while directory.rstrip("/"):
        try:
            connection.sftp.stat(directory)
            break
        except FileNotFoundError:
            missing.append(directory)
            directory = directory.rpartition("/")[0]
    for name in reversed(missing):
        try:
            connection.sftp.mkdir(name)
        except OSError:
            connection.sftp.stat(name)  # another has made it meanwhile, or there is a reason


def rename(connection: SftpConnection, part: str, full: str) -> None:
    """Rename a file, in the place of another one if there is one."""
    try:
        connection.sftp.posix_rename(part, full)
    except OSError as error:
        if error.errno is not None:
            raise
        # A server without that extension renames, but replaces nothing.
        with suppress(FileNotFoundError):
            connection.sftp.remove(full)
        connection.sftp.rename(part, full)


def failure(error: Exception, where: str) -> StorageError:
    """Translate what paramiko raised.

    Args:
        error: What it raised.
        where: What it was about, for the text.
    """
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
