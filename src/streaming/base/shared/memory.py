"""A block of memory that processes of one user on one node find by its name.

A mapped file in a directory of the user's own, in memory where the system has a file system for that. Unlike the names of
POSIX shared memory, it neither clashes with other users' nor needs a process that tracks it.
"""

from __future__ import annotations

import atexit
import mmap
import os
import tempfile
import time
from contextlib import suppress

from streaming.base.constant import TICK
from streaming.core.errors import ConfigError, SharedMemoryError, WorkerError
from streaming.core.process.allocate import allocate

__all__ = ["SharedMemory", "list_names"]

_ATTACH_TIMEOUT_S = 60.0


class SharedMemory:
    """A block of memory.

    Args:
        name: Its name; by default one that nobody has.
        create: True: make it. False: find it. ``None``: make it, or find it if somebody has.
        size: Its size in bytes, to make it.
        auto_cleanup: Remove the name when the process that made it exits.

    Attributes:
        name: Its name.

    Raises:
        FileExistsError: It was to be made, and is there.
        FileNotFoundError: It was to be found, and is not there.
        ConfigError: It was to be made without a size.
        SharedMemoryError: There is no room for it.

    Example:
        >>> memory = SharedMemory('example_memory', create=True, size=8)
        >>> memory.buf[:2] = b'ab'
        >>> bytes(SharedMemory('example_memory', create=False).buf[:2])
        b'ab'
        >>> memory.cleanup()
    """

    def __init__(
        self, name: str | None = None, create: bool | None = None, size: int = 0, auto_cleanup: bool = True
    ) -> None:
        self.name: str = name or f"{os.getpid()}_{os.urandom(6).hex()}"
        self._path = os.path.join(_path(), self.name.replace("/", "_"))
        self._pid = os.getpid()
        self.created = False
        if create is not False and size <= 0:
            raise ConfigError(f"A block of shared memory needs a positive size, got {size}.")
        if create is True:
            self._map = self._make(size)
        elif create is False:
            self._map = self._find()
        else:
            try:
                self._map = self._make(size)
            except FileExistsError:
                self._map = self._find()
        self._view = memoryview(self._map)
        if auto_cleanup and self.created:
            # Not by the object: its name stays for others, even when it is gone itself.
            atexit.register(_remove, self._path, self._pid)

    def __reduce__(self) -> tuple[type[SharedMemory], tuple[str, bool, int]]:
        """Pickle as the name, to be found."""
        return type(self), (self.name, False, 0)

    @property
    def buf(self) -> memoryview:
        """The memory."""
        return self._view

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return len(self._map)

    def cleanup(self) -> None:
        """Let it go; whoever made it removes its name too. Others that have it keep it."""
        try:
            self._view.release()
            self._map.close()
        except BufferError:
            pass  # an array still looks at it: it goes with the array
        if self.created and self._pid == os.getpid():
            self.created = False
            _remove(self._path, self._pid)

    def _make(self, size: int) -> mmap.mmap:
        while True:
            _directory()
            try:
                fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                break
            except FileNotFoundError:
                continue  # another process has just removed the directory, which was empty
        try:
            allocate(fd, size)
            self.created: bool = True
            return mmap.mmap(fd, size)
        except OSError as error:
            os.unlink(self._path)
            raise SharedMemoryError(
                f"There is no room for {size} bytes of shared memory in {os.path.dirname(self._path)}: {error}. Make room "
                "there, or give the machine or the container more (`docker run --shm-size`)."
            ) from error
        finally:
            os.close(fd)

    def _find(self) -> mmap.mmap:
        fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        try:
            deadline = time.monotonic() + _ATTACH_TIMEOUT_S
            while not os.fstat(fd).st_size:  # its maker has not got to it yet
                if time.monotonic() > deadline:
                    raise WorkerError(f"Shared memory {self.name!r} was never given a size: its maker has died.")
                time.sleep(TICK)
            return mmap.mmap(fd, 0)
        finally:
            os.close(fd)


def _remove(path: str, pid: int) -> None:
    if pid != os.getpid():
        return  # a forked child, which made nothing
    with suppress(FileNotFoundError):
        os.unlink(path)
    with suppress(OSError):  # others are in it
        os.rmdir(os.path.dirname(path))


def list_names() -> list[str]:
    """Return the names of this user's blocks on this node.

    Example:
        >>> memory = SharedMemory('example_listed', create=True, size=8)
        >>> 'example_listed' in list_names()
        True
        >>> memory.cleanup()
    """
    try:
        return sorted(os.listdir(_path()))
    except FileNotFoundError:
        return []


def _path() -> str:
    root = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()
    return os.path.join(root, f"streaming-{os.getuid()}")


def _directory() -> str:
    path = _path()
    os.makedirs(path, mode=0o700, exist_ok=True)
    if os.stat(path).st_uid != os.getuid():
        raise WorkerError(f"{path} belongs to another user, so it is not used for shared memory.")
    return path
