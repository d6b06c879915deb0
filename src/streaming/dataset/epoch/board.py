"""A small document that a dataset object shares with its ``DataLoader`` workers, whatever started them.

Every change is a read-modify-write of the whole document under a lock.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from streaming.core.anonymous import AnonymousFile
from streaming.core.process.lock import locked_record

__all__ = ["Board"]

_START = AnonymousFile.OFFSET
#: Before the text are the number of changes so far and the text's size.
_HEADER = 16


class Board:
    """A shared JSON document.

    Args:
        document: The first content.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self._file = AnonymousFile(_HEADER, "epoch")
        self._reset_lock()
        self._write_text(json.dumps(document))

    def _reset_lock(self) -> None:
        self._thread_lock = threading.Lock()
        self._lock_pid = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        """Name the memory, with a copy for where it is out of reach."""
        return {"file": self._file, "copy": json.dumps(self.read())}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Share the same document, or begin anew from the copy."""
        self._file = state["file"]
        self._reset_lock()
        if self._file.is_new:
            self._write_text(state["copy"])

    def __deepcopy__(self, memo: dict[int, Any]) -> Board:
        """Begin anew from a copy: the copy of a dataset counts epochs of its own."""
        return Board(self.read())

    @contextmanager
    def change(self) -> Iterator[dict[str, Any]]:
        """Read the document, let the caller change it, and write it back, with everybody else kept out."""
        if self._lock_pid != os.getpid():  # forked: the parent's threads do not exist here
            self._reset_lock()
        # A record lock belongs to the process, so that parent and forked child keep each other out.
        with self._thread_lock, locked_record(self._file.fd, "the epoch that a dataset shares with its workers"):
            before = self._read()
            document = json.loads(before)
            yield document
            after = json.dumps(document)
            if after != before:
                self._write_text(after)

    def read(self) -> dict[str, Any]:
        """Return the document as it is now."""
        with self.change() as document:
            return document

    @property
    def changes(self) -> int:
        """How often the document was changed, without waiting for anybody."""
        return int.from_bytes(os.pread(self._file.fd, 8, _START), "little")

    def _read(self) -> str:
        size = int.from_bytes(os.pread(self._file.fd, 8, _START + 8), "little")
        return os.pread(self._file.fd, size, _START + _HEADER).decode()

    def _write_text(self, text: str) -> None:
        data = text.encode()
        # One write: a process killed in the middle of several would leave half a document.
        header = (self.changes + 1).to_bytes(8, "little") + len(data).to_bytes(8, "little")
        os.pwrite(self._file.fd, header + data, _START)
