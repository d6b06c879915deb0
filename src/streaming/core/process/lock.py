"""Exclusive work on a file that is being made, by an advisory lock that dies with its holder.

The lock is on the ``.part`` file itself: the kernel frees it when the holder exits in any way, and the next holder
finds the bytes that are already there. A holder may be alive and do nothing, though, as one that is suspended does: whoever
waits does so for a limited time, unless it sees that the work goes on.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from streaming.core.errors import LockedError
from streaming.core.process.holder import find_holder

__all__ = ["MOMENT_S", "locked_part", "locked_path", "locked_record", "no_wait", "remove_part"]

logger = logging.getLogger(__name__)

_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}
_BUSY = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}

#: How long a lock is waited for that others hold for a moment only: for a few reads and writes of memory or a directory.
MOMENT_S = 30.0
#: A lock is asked for again after this time at first, and at most.
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.0005, 0.05
#: How often to look whether the holder makes progress. A pause that takes longer is one in which this process did not run.
_LOOK_S = 1.0
#: When to say that one waits.
_SAY_S = 10.0


@contextmanager
def locked_part(path: str, timeout_s: float = MOMENT_S) -> Iterator[str]:
    """Hold the exclusive right to fill ``path`` and rename it into place.

    Waits while another holder fills the file. Where the file system has no advisory locks, a private
    name is used instead: two processes may then fetch the same file, and the last rename wins with equal bytes.

    Args:
        path: The ``.part`` file; created when it is not there.
        timeout_s: How long to wait for a holder that does not write to the file.

    Yields:
        The path to write to.

    Raises:
        LockedError: It does not, for so long.
    """
    while True:
        fd = _open_plain(path)
        if not _lock(fd, path, timeout_s):
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
def locked_path(path: str, timeout_s: float = MOMENT_S) -> Iterator[None]:
    """Hold an exclusive lock on an existing file for the length of a short critical section.

    The file is opened anew each time, so that the lock also keeps out other threads of this process and forked
    children, which share open descriptors.

    Raises:
        LockedError: Somebody else holds it for longer than ``timeout_s``.
    """
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    if not _lock(fd, path, timeout_s):
        yield
        return
    try:
        yield
    finally:
        _release(fd)


@contextmanager
def locked_record(fd: int, name: str, timeout_s: float = MOMENT_S) -> Iterator[None]:
    """Hold a lock on an open file that other processes hold too, forked children included, for a short critical section.

    It does not keep out other threads of this process.

    Args:
        fd: The file's descriptor.
        name: What the file is, for error texts.
        timeout_s: How long to wait.

    Raises:
        LockedError: Somebody else holds it for longer than that.
    """
    _wait(lambda: fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB), fd, name, timeout_s)
    try:
        yield
    finally:
        fcntl.lockf(fd, fcntl.LOCK_UN)


def _lock(fd: int, path: str, timeout_s: float) -> bool:
    """Lock a file; close it if that fails. ``False`` where its file system has no locks."""
    try:
        _wait(lambda: fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB), fd, path, timeout_s)
    except BaseException as error:
        os.close(fd)
        if isinstance(error, OSError) and error.errno in _UNSUPPORTED:
            return False
        raise
    return True


def _wait(take: Callable[[], None], fd: int, path: str, timeout_s: float) -> None:
    """Take a lock, in steps, since the system's own wait knows no limit."""
    pause_s, waited_s, looked_s, said = _FIRST_PAUSE_S, 0.0, 0.0, False
    progress: object = None
    while True:
        try:
            return take()
        except OSError as error:
            if error.errno not in _BUSY:
                raise
        if waited_s >= looked_s:
            looked_s = waited_s + _LOOK_S
            before, progress = progress, _progress(fd, path)
            if before not in (None, progress):
                waited_s, looked_s = 0.0, _LOOK_S
        if waited_s >= timeout_s:
            raise LockedError(
                f"Waited {timeout_s:.0f} s for the lock of {path}, whose holder makes no progress: "
                f"{find_holder(fd, path).text}."
            )
        if waited_s >= _SAY_S and not said:
            said = True
            logger.warning("waiting for the lock of %s: %s", path, find_holder(fd, path).text)
        begin = time.monotonic()
        time.sleep(pause_s)
        waited_s += min(time.monotonic() - begin, _LOOK_S)
        pause_s = min(2 * pause_s, _LAST_PAUSE_S)


def _progress(fd: int, path: str) -> object:
    """Return what changes as the holder, or one holder after the other, gets on."""
    status = os.fstat(fd)
    return status.st_size, status.st_mtime_ns, find_holder(fd, path).pid


def _release(fd: int) -> None:
    # Unlocked by name: a child forked meanwhile holds a copy of the descriptor, and with it the lock.
    fcntl.flock(fd, fcntl.LOCK_UN)
    os.close(fd)


def no_wait(path: str, flags: int) -> int:
    """Open a file to read, as ``open(..., opener=no_wait)``: a pipe in its place is not waited for."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
