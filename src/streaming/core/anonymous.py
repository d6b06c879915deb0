"""Memory that a process shares with those it starts: nameless, so that the kernel frees it with its last user.

Forked processes inherit it; spawned ones open it through their parent's descriptor, which the pickle names. Whoever is
killed, nothing is left behind.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from typing import Any

__all__ = ["AnonymousFile"]

_TOKEN = 16


class AnonymousFile:
    """A file without a name.

    Args:
        size: Bytes it begins with, all zero. A writer may make it longer.
        purpose: Shown by the system's tools.

    Attributes:
        fd: Its descriptor.
        is_new: Whether this process made it. Unpickled where the original is out of reach (on another machine), it is a new
            one.
    """

    #: Where the content begins.
    OFFSET = _TOKEN

    def __init__(self, size: int, purpose: str) -> None:
        self._size = size
        self._purpose = purpose
        self._token = os.urandom(_TOKEN)
        self._create()

    def _create(self) -> None:
        self.is_new = True
        self.fd = _nameless(self._purpose)
        os.ftruncate(self.fd, _TOKEN + self._size)
        os.pwrite(self.fd, self._token, 0)

    def map(self) -> mmap.mmap:
        """Map the file, the token before :attr:`OFFSET` included."""
        return mmap.mmap(self.fd, _TOKEN + self._size)

    def __getstate__(self) -> dict[str, Any]:
        """Name the file by a path that another process of this user can open."""
        path = f"/proc/{os.getpid()}/fd/{self.fd}"
        return {"size": self._size, "purpose": self._purpose, "token": self._token, "path": path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the same file, or make a new one where that is out of reach."""
        self._size, self._purpose, self._token = state["size"], state["purpose"], state["token"]
        try:
            fd = os.open(state["path"], os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            self._create()
            return
        if os.pread(fd, _TOKEN, 0) != self._token:  # the descriptor's number is somebody else's by now
            os.close(fd)
            self._create()
            return
        self.fd, self.is_new = fd, False

    def __del__(self) -> None:
        """Close the descriptor."""
        fd = getattr(self, "fd", -1)
        if fd >= 0:
            self.fd = -1
            os.close(fd)


def _nameless(purpose: str) -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create(f"streaming-{purpose}", os.MFD_CLOEXEC)
    fd, path = tempfile.mkstemp(prefix=f"streaming-{purpose}-")
    os.unlink(path)
    return fd
