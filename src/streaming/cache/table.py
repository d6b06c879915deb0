"""What a cache directory holds and to whom it belongs: one small mapped file per directory.

A row per shard: the bytes that this cache owns there (only those may ever be evicted), the time of the last access,
and the stamp of the files that were verified. Rows are written by whoever holds the shard's lock; access times
without any. Readers that follow an order say here how far they are. The file is made anew when it is missing, belongs to
another version of the dataset, or does not add up, so losing it loses no data: files it does not know are neither counted
nor deleted. Processes that have it mapped when it is removed put what they know into the new one.
"""

from __future__ import annotations

import logging
import mmap
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from streaming.cache.lock import locked_part, locked_path
from streaming.core.allocate import allocate
from streaming.core.errors import LockedError

__all__ = ["CacheTable", "Reader"]

logger = logging.getLogger(__name__)

_MAGIC = b"SDCACHE3"
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

    def __init__(
        self, directory: str, num_shards: int, fingerprint: bytes, has_files: Callable[[int], bool] | None = None
    ) -> None:
        """Map the directory's table, making it if need be.

        Args:
            directory: The cache directory.
            num_shards: Number of rows.
            fingerprint: 16 bytes that identify the dataset version; a table of another one is replaced.
            has_files: Says whether files of a shard are there, asked for those that are owned when the table was removed.
        """
        self.path = os.path.join(directory, TABLE_NAME)
        self.num_shards = num_shards
        self._has_files = has_files
        self._header = _MAGIC + num_shards.to_bytes(8, "little") + fingerprint[:16].ljust(16, b"\0")
        self._size = _HEADER + 8 * (4 * _READERS + _FIELDS * num_shards)
        self._file: tuple[int, int] | None = None
        buffer: Any
        try:
            buffer = self._map()
            self.shared = True
        except OSError:
            buffer = bytearray(self._size)
            self.shared = False
        self._attach(buffer)

    def _attach(self, buffer: Any) -> None:
        self._generation = np.frombuffer(buffer, np.int64, 1, _GENERATION)
        values = np.frombuffer(buffer, np.int64, offset=_HEADER)
        self.readers = values[: 4 * _READERS].reshape(_READERS, 4)
        self.owned, self.access, self.verified = values[4 * _READERS :].reshape(_FIELDS, self.num_shards)

    def _map(self) -> mmap.mmap:
        for _ in range(100):
            found = self._open()
            if found is not None:
                return found
            self._create()
        raise OSError(f"{self.path} keeps changing; another dataset version uses this directory.")

    def _open(self) -> mmap.mmap | None:
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            status = os.fstat(fd)
            if status.st_size == self._size and os.pread(fd, 32, 0) == self._header:
                self._file = status.st_dev, status.st_ino
                return mmap.mmap(fd, self._size)
            return None
        finally:
            os.close(fd)

    def _create(self) -> None:
        # Never changed in place: a process that still maps the old one keeps a consistent view of it. And by one process
        # only: two that made it at the same time would each count what the other does not see.
        with locked_part(self.path + ".part") as part:
            if self._open() is not None:
                return
            with open(part, "wb") as file:
                file.write(self._header)
                file.flush()
                allocate(file.fileno(), self._size)
            os.replace(part, self.path)

    def _renew(self) -> None:
        """Put what is known into a new table, made by this process or by another one."""
        generation, readers = self._generation, self.readers
        owned, access, verified = self.owned, self.access, self.verified
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        self._attach(self._map())
        with locked_path(self.path):
            gone = [i for i in np.flatnonzero(owned).tolist() if self._has_files is not None and not self._has_files(i)]
            np.maximum(self._generation, generation, out=self._generation)
            for new, old in ((self.owned, owned), (self.access, access), (self.verified, verified)):
                is_unknown = new == 0
                is_unknown[gone] = False
                new[is_unknown] = old[is_unknown]
            is_free = self.readers[:, 3] == 0
            self.readers[is_free] = readers[is_free]

    def _is_removed(self) -> bool:
        try:
            status = os.stat(self.path)
            if (status.st_dev, status.st_ino) == self._file:
                return False
            with open(self.path, "rb") as file:  # another process's new one, or another dataset's
                return file.read(len(self._header)) == self._header
        except FileNotFoundError:
            return True

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
        return Reader(self, plan)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep out every other process's decisions on what to evict. A table that was removed is there again.

        Raises:
            LockedError: Another process keeps this one out for too long.
        """
        with ExitStack() as held:
            while self.shared:
                try:
                    if self._is_removed():
                        self._renew()
                    held.enter_context(locked_path(self.path))
                    break
                except FileNotFoundError:
                    continue  # removed again, just now
                except LockedError:
                    raise
                except OSError as error:
                    logger.warning("%s was removed and cannot be made anew: %s", self.path, error)
                    self.shared = False
            yield


class Reader:
    """How far one reader is, in a row of the table: its name, its plan, its time, and when it said so.

    Args:
        table: The table.
        plan: Readers of the same number compare.
    """

    def __init__(self, table: CacheTable, plan: int) -> None:
        self._table = table
        self._plan = plan
        self._name = (int.from_bytes(os.urandom(8), "little") >> 2) + 1
        self._number = -1
        self._time = 0

    def at(self, time_: int) -> None:
        """Say how far the reader is."""
        self._time = time_
        if not self._has_row() and not self._claim():
            return
        row = self._table.readers[self._number]
        row[2], row[3] = time_, time.time_ns()

    def slowest(self) -> int:
        """Return the time of the reader of this plan that is furthest behind."""
        rows = self._table.readers
        alive = (rows[:, 1] == self._plan) & (rows[:, 3] > time.time_ns() - _SILENT_NS)
        return int(rows[alive, 2].min(initial=self._time))

    def leave(self) -> None:
        """Give the row back."""
        if self._has_row():
            self._table.readers[self._number] = 0
        self._number = -1

    def _has_row(self) -> bool:
        return self._number >= 0 and bool(self._table.readers[self._number, 0] == self._name)

    def _claim(self) -> bool:
        with self._table.lock():
            rows = self._table.readers
            free = np.flatnonzero(rows[:, 3] <= time.time_ns() - _SILENT_NS)
            if not len(free):
                return False
            self._number = int(free[0])
            rows[self._number] = self._name, self._plan, self._time, time.time_ns()
            return True
