"""A small document that a dataset object shares with its ``DataLoader`` workers, whatever started them.

It lives in anonymous memory that the kernel frees with its last user: nothing to clean up, whoever is killed. Forked
workers inherit it; spawned ones open it through their parent's descriptor, named in the pickle. Every change is a
read-modify-write of the whole document under a lock.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Board"]

_TOKEN = 16


class Board:
    """A shared JSON document.

    Args:
        document: The first content.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self._token = secrets.token_bytes(_TOKEN)
        self._first = json.dumps(document)
        self._attach(_anonymous_file())
        os.pwrite(self._fd, self._token, 0)
        self._write(document)

    def _attach(self, fd: int) -> None:
        self._fd = fd
        self._owner = os.getpid()
        self._thread_lock = threading.Lock()
        self._lock_pid = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        """Name the memory by a path that another process of this user can open."""
        with self.change() as document:
            copy = json.dumps(document)
        return {"path": f"/proc/{os.getpid()}/fd/{self._fd}", "token": self._token, "copy": copy}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the same memory, or begin anew from the copy where that is out of reach (another machine)."""
        self._token = state["token"]
        self._first = state["copy"]
        try:
            fd = os.open(state["path"], os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            fd = -1
        if fd >= 0 and os.pread(fd, _TOKEN, 0) != self._token:
            os.close(fd)
            fd = -1
        if fd < 0:
            fd = _anonymous_file()
            self._attach(fd)
            os.pwrite(fd, self._token, 0)
            self._write(json.loads(self._first))
        else:
            self._attach(fd)

    def __del__(self) -> None:
        """Close the descriptor; the memory goes with its last one."""
        fd = getattr(self, "_fd", -1)
        if fd >= 0:
            self._fd = -1
            os.close(fd)

    @contextmanager
    def change(self) -> Iterator[dict[str, Any]]:
        """Read the document, let the caller change it, and write it back, with everybody else kept out."""
        if self._lock_pid != os.getpid():  # forked: the parent's threads do not exist here
            self._thread_lock = threading.Lock()
            self._lock_pid = os.getpid()
        with self._thread_lock:
            # A record lock belongs to the process, so that parent and forked child keep each other out.
            fcntl.lockf(self._fd, fcntl.LOCK_EX)
            try:
                before = self._read()
                document = json.loads(before)
                yield document
                after = json.dumps(document)
                if after != before:
                    self._write_text(after)
            finally:
                fcntl.lockf(self._fd, fcntl.LOCK_UN)

    def read(self) -> dict[str, Any]:
        """Return the document as it is now."""
        with self.change() as document:
            return document

    def _read(self) -> str:
        size = int.from_bytes(os.pread(self._fd, 8, _TOKEN), "little")
        return os.pread(self._fd, size, _TOKEN + 8).decode()

    def _write(self, document: dict[str, Any]) -> None:
        self._write_text(json.dumps(document))

    def _write_text(self, text: str) -> None:
        data = text.encode()
        # One write: a process killed in the middle of several would leave half a document.
        os.pwrite(self._fd, len(data).to_bytes(8, "little") + data, _TOKEN)


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("streaming-epoch", os.MFD_CLOEXEC)
    else:
        fd, path = tempfile.mkstemp(prefix="streaming-epoch-")
        os.unlink(path)
    return fd
