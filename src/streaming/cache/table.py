"""What a cache directory holds and to whom it belongs: one small mapped file per directory.

A row per shard: the bytes that this cache owns there (only those may ever be evicted), the time of the last access,
and the stamp of the files that were verified. Rows are written by whoever holds the shard's lock; access times
without any. Readers that follow an order say here how far they are. The file is rebuilt from the directory when it is
missing, belongs to another version of the dataset, or does not add up, so losing it loses no data: files it does not know
are neither counted nor deleted.
"""

from __future__ import annotations

import mmap
import os
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from streaming.cache.lock import locked_part, locked_path

__all__ = ["CacheTable", "Reader"]

_MAGIC = b"SDCACHE2"
_HEADER = 64
_GENERATION = 32
_FIELDS = 3
_READERS = 256
#: A reader that has said nothing for so long counts no more; it is noticed again when it goes on.
_SILENT_NS = 120 * 10**9
TABLE_NAME = ".streaming-cache"


class CacheTable:
    """The bookkeeping of one cache directory, shared by every process that uses it.

    Attributes:
        owned: ``int64[num_shards]``: bytes on disk that this cache wrote, 0 where it wrote nothing.
        access: ``int64[num_shards]``: time of last use in ns since the epoch, 0 for never.
        verified: ``int64[num_shards]``: stamp of the verified files, 0 for none.
        shared: Whether other processes see the same rows (not in a directory that cannot be written).
    """

    def __init__(self, directory: str, num_shards: int, fingerprint: bytes) -> None:
        """Map the directory's table, making it if need be.

        Args:
            directory: The cache directory.
            num_shards: Number of rows.
            fingerprint: 16 bytes that identify the dataset version; a table of another one is replaced.
        """
        self.path = os.path.join(directory, TABLE_NAME)
        self.num_shards = num_shards
        self._header = _MAGIC + num_shards.to_bytes(8, "little") + fingerprint[:16].ljust(16, b"\0")
        size = _HEADER + 8 * (4 * _READERS + _FIELDS * num_shards)
        buffer: Any
        try:
            buffer = self._map(size)
            self.shared = True
        except OSError:
            buffer = bytearray(size)
            self.shared = False
        self._generation = np.frombuffer(buffer, np.int64, 1, _GENERATION)
        values = np.frombuffer(buffer, np.int64, offset=_HEADER)
        self._readers = values[: 4 * _READERS].reshape(_READERS, 4)
        self.owned, self.access, self.verified = values[4 * _READERS :].reshape(_FIELDS, num_shards)

    def _map(self, size: int) -> mmap.mmap:
        for _ in range(100):
            found = self._open(size)
            if found is not None:
                return found
            self._create(size)
        raise OSError(f"{self.path} keeps changing; another dataset version uses this directory.")

    def _open(self, size: int) -> mmap.mmap | None:
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            if os.fstat(fd).st_size == size and os.pread(fd, 32, 0) == self._header:
                return mmap.mmap(fd, size)
            return None
        finally:
            os.close(fd)

    def _create(self, size: int) -> None:
        # Never changed in place: a process that still maps the old one keeps a consistent view of it. And by one process
        # only: two that made it at the same time would each count what the other does not see.
        with locked_part(self.path + ".part") as part:
            if self._open(size) is not None:
                return
            with open(part, "wb") as file:
                file.write(self._header)
                file.truncate(size)
            os.replace(part, self.path)

    def touch(self, shard: int) -> None:
        """Note that a shard is in use now."""
        self.access[shard] = time.time_ns()

    @property
    def generation(self) -> int:
        """A number that changes with every eviction."""
        return int(self._generation[0])

    def count_eviction(self) -> None:
        """Note an eviction; called under the lock, or by the only user of the directory."""
        self._generation[0] += 1

    def reader(self, plan: int) -> Reader:
        """Return what a new reader says how far it is by.

        Args:
            plan: Readers of the same number compare.
        """
        return Reader(self._readers, self.lock, plan)

    def lock(self) -> AbstractContextManager[None]:
        """Return a context that keeps out every other process's decisions on what to evict."""
        return locked_path(self.path) if self.shared else nullcontext()


class Reader:
    """How far one reader is, in a row of the table: its name, its plan, its time, and when it said so.

    Args:
        rows: ``int64[R, 4]``, the rows of all readers.
        lock: Keeps out other processes that look for a row.
        plan: Readers of the same number compare.
    """

    def __init__(self, rows: Any, lock: Any, plan: int) -> None:
        self._rows = rows
        self._lock = lock
        self._plan = plan
        self._name = (int.from_bytes(os.urandom(8), "little") >> 2) + 1
        self._row: Any = None
        self._time = 0

    def at(self, time_: int) -> None:
        """Say how far the reader is."""
        self._time = time_
        if self._row is None or self._row[0] != self._name:
            self._row = self._claim()
        if self._row is not None:
            self._row[2], self._row[3] = time_, time.time_ns()

    def slowest(self) -> int:
        """Return the time of the reader of this plan that is furthest behind."""
        alive = (self._rows[:, 1] == self._plan) & (self._rows[:, 3] > time.time_ns() - _SILENT_NS)
        return int(self._rows[alive, 2].min(initial=self._time))

    def leave(self) -> None:
        """Give the row back."""
        if self._row is not None and self._row[0] == self._name:
            self._row[:] = 0
        self._row = None

    def _claim(self) -> Any:
        with self._lock():
            free = np.flatnonzero(self._rows[:, 3] <= time.time_ns() - _SILENT_NS)
            if not len(free):
                return None
            row = self._rows[free[0]]
            row[:] = self._name, self._plan, self._time, time.time_ns()
            return row
