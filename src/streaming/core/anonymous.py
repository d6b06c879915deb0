"""Memory that a process shares with those it starts: nameless, so that the kernel frees it with its last user.

Forked processes inherit it. Processes that ``multiprocessing`` spawns are given its descriptor; what is pickled otherwise
names it by the path that Linux has for descriptors. Whoever is killed, nothing is left behind.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from multiprocessing import reduction
from multiprocessing.context import get_spawning_popen
from typing import Any

from streaming.core.errors import SharedMemoryError
from streaming.core.process.allocate import allocate

__all__ = ["AnonymousFile"]

_TOKEN = 16
#: Where another process finds a descriptor of this one, on Linux.
_PLACE = "/proc/{pid}/fd/{fd}"
#: Descriptors that are open in this process, by their file's token.
_known: weakref.WeakValueDictionary[bytes, _Descriptor] = weakref.WeakValueDictionary()
#: What was handed to the process that is being spawned: a descriptor may be handed over once.
_handed: weakref.WeakKeyDictionary[Any, dict[int, Any]] = weakref.WeakKeyDictionary()


class _Descriptor:
    """A descriptor, closed with the last object that uses it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        # Not by __del__: when the interpreter ends, what that would call may be gone before the last object is.
        weakref.finalize(self, os.close, fd).atexit = False


class AnonymousFile:
    """A file without a name.

    Pickled for a process that is being spawned (a ``DataLoader`` worker, say), or that has a ``multiprocessing`` queue to
    this one, it is the same file there, or an error. Copied within a process, it is the same file. Other pickles, which may
    be read on another machine or after this process has ended, are the same file where that can be opened, else a new one.

    Args:
        size: Bytes it begins with, all zero. A writer may make it longer.
        purpose: Shown by the system's tools.

    Attributes:
        fd: Its descriptor.
        is_new: Whether this process made it, because it was asked to or because the original is out of reach.

    Raises:
        SharedMemoryError: There is no room for it.
    """

    #: Where the content begins.
    OFFSET = _TOKEN

    def __init__(self, size: int, purpose: str) -> None:
        self._size = size
        self._purpose = purpose
        self._token = os.urandom(_TOKEN)
        self._create()

    def _create(self) -> None:
        self._use(_Descriptor(_nameless(self._purpose)), True)
        try:
            allocate(self.fd, _TOKEN + self._size)
        except OSError as error:
            raise SharedMemoryError(
                f"There is no room for {self._size} bytes ({self._purpose}) that a dataset shares with its workers: {error}."
            ) from error
        os.pwrite(self.fd, self._token, 0)

    def _use(self, descriptor: _Descriptor, is_new: bool) -> None:
        self._descriptor, self.fd, self.is_new = descriptor, descriptor.fd, is_new
        _known[self._token] = descriptor

    def map(self) -> mmap.mmap:
        """Map the file, the token before :attr:`OFFSET` included."""
        return mmap.mmap(self.fd, _TOKEN + self._size)

    def __getstate__(self) -> dict[str, Any]:
        """Hand the descriptor to the process that is being spawned, if one is, and name the file for others of this user."""
        path = _PLACE.format(pid=os.getpid(), fd=self.fd)
        state: dict[str, Any] = {"size": self._size, "purpose": self._purpose, "token": self._token, "path": path}
        spawning: Any = get_spawning_popen()
        if spawning is not None:
            handed = _handed.setdefault(spawning, {})
            if self.fd not in handed:
                handed[self.fd] = reduction.DupFd(self.fd)
            state["handle"] = handed[self.fd]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the same file, or make a new one where none was handed over and it is out of reach."""
        self._size, self._purpose, self._token = state["size"], state["purpose"], state["token"]
        found = _known.get(self._token)
        if found is None:
            found = self._receive(state["handle"]) if "handle" in state else self._find(state["path"])
        if found is None:
            self._create()
        else:
            self._use(found, False)

    def _receive(self, handle: Any) -> _Descriptor:
        # A copy: the descriptor itself may come again, in another part of what the process is given.
        found = _Descriptor(os.dup(handle.detach()))
        if os.pread(found.fd, _TOKEN, 0) != self._token:
            raise SharedMemoryError(
                f"The memory for {self._purpose} that a dataset shares with the processes it is sent to did not arrive in "
                f"process {os.getpid()}. Send the dataset when the process is started, as DataLoader does."
            )
        return found

    def _find(self, path: str) -> _Descriptor | None:
        try:
            found = _Descriptor(os.open(path, os.O_RDWR | os.O_CLOEXEC))
        except OSError:
            return None
        # The descriptor's number may be somebody else's by now.
        return found if os.pread(found.fd, _TOKEN, 0) == self._token else None


def _reduce(file: AnonymousFile) -> tuple[Any, tuple[dict[str, Any]]]:
    """Pickle for another process of ``multiprocessing``, which takes the descriptor from this one if it cannot open it."""
    state = file.__getstate__()
    if "handle" not in state and not os.path.exists(state["path"]):
        state["handle"] = reduction.DupFd(file.fd)
    return _restore, (state,)


def _restore(state: dict[str, Any]) -> AnonymousFile:
    file = AnonymousFile.__new__(AnonymousFile)
    file.__setstate__(state)
    return file


reduction.ForkingPickler.register(AnonymousFile, _reduce)


def _nameless(purpose: str) -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create(f"streaming-{purpose}", os.MFD_CLOEXEC)
    fd, path = tempfile.mkstemp(prefix=f"streaming-{purpose}-")
    os.unlink(path)
    return fd
