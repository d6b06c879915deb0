"""Exclusive work on a file that is being made, by an advisory lock that dies with its holder.

The lock is on the ``.part`` file itself: the kernel frees it when the holder exits in any way, and the next holder
finds the bytes that are already there.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["locked_part", "locked_path", "remove_part"]

logger = logging.getLogger(__name__)

_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}


@contextmanager
def locked_part(path: str) -> Iterator[str]:
    """Hold the exclusive right to fill ``path`` and rename it into place.

    Blocks, without polling, while another holder is alive. Where the file system has no advisory locks, a private
    name is used instead: two processes may then fetch the same file, and the last rename wins with equal bytes.

    Args:
        path: The ``.part`` file; created when it is not there.

    Yields:
        The path to write to.
    """
    while True:
        fd = _open_plain(path)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
        except OSError as error:
            os.close(fd)
            if error.errno not in _UNSUPPORTED:
                raise
            yield from _private(path)
            return
        if _same_file(fd, path):
            break
        _release(fd)
    try:
        yield path
    finally:
        # A name still there is unfinished work that the next holder continues; an empty one is nothing.
        if _same_file(fd, path) and os.fstat(fd).st_size == 0:
            os.unlink(path)
        _release(fd)


def _open_plain(path: str) -> int:
    """Open a file to write to, made if need be. A link that somebody left in its place is not followed but removed.

    Raises:
        FileExistsError: There is something that is no file.
    """
    while True:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            with suppress(FileNotFoundError):
                os.unlink(path)
            continue
        if stat.S_ISREG(os.fstat(fd).st_mode):
            return fd
        os.close(fd)
        raise FileExistsError(errno.EEXIST, "it is not a regular file: remove it", path)


def remove_part(path: str) -> bool:
    """Remove an unfinished file that nobody works on.

    Returns:
        Whether it is gone, or was not there; ``False`` if somebody is filling it.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        os.unlink(path)  # the link, not what it leads to
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        return error.errno in _UNSUPPORTED
    if _same_file(fd, path):
        os.unlink(path)
    _release(fd)
    return True


def _private(path: str) -> Iterator[str]:
    private = f"{path}.{os.uname().nodename}.{os.getpid()}"
    logger.debug("no advisory locks for %s; working in %s", path, private)
    try:
        yield private
    finally:
        if os.path.exists(private):
            os.unlink(private)
        if os.path.exists(path) and os.stat(path).st_size == 0:
            os.unlink(path)


def _same_file(fd: int, path: str) -> bool:
    mine = os.fstat(fd)
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    return (mine.st_ino, mine.st_dev) == (there.st_ino, there.st_dev)


@contextmanager
def locked_path(path: str) -> Iterator[None]:
    """Hold an exclusive lock on an existing file for the length of a short critical section.

    The file is opened anew each time, so that the lock also keeps out other threads of this process and forked
    children, which share open descriptors.
    """
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
    except OSError as error:
        os.close(fd)
        if error.errno not in _UNSUPPORTED:
            raise
        yield
        return
    try:
        yield
    finally:
        _release(fd)


def _release(fd: int) -> None:
    # Unlocked by name: a child forked meanwhile holds a copy of the descriptor, and with it the lock.
    fcntl.flock(fd, fcntl.LOCK_UN)
    os.close(fd)
