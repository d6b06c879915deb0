"""What a cache directory holds and to whom it belongs: one small mapped file per directory.

A row per shard: the bytes that this cache owns there (only those may ever be evicted), the time of the last access, the
stamps of its files, and of which version in the store they are. Rows are written by whoever holds the shard's lock; access
times without any. Readers that follow an order say here how far they are. A directory may serve several datasets, or
versions of one: one has the table of the plain name, the others' have their fingerprint in theirs. A table that is missing
or does not add up is made anew, so losing it loses no data: files it does not know are neither counted nor deleted.
"""

from __future__ import annotations

import errno
import mmap
import os
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.cache.lock import locked_part, locked_path

__all__ = [
    "OURS",
    "TABLE_NAME",
    "VERIFIED",
    "CacheTable",
    "Reader",
    "all_stamps",
    "read_facts",
    "stamp_of",
]

_MAGIC = b"SDCACHE3"
_HEADER = 128
_GENERATION = 32
_RACY = 40
_FACTS = slice(48, 96)
_FIELDS = 8
_MOST_OTHERS = 16
#: Bits of a recorded stamp: the file was written by this cache; it is proved to be what the dataset has.
OURS, VERIFIED = 1, 2
_READERS = 256
#: A reader that has said nothing for so long counts no more; it is noticed again when it goes on.
_SILENT_NS = 120 * 10**9
TABLE_NAME = ".streaming-cache"


class CacheTable:
    """The bookkeeping of one cache directory, shared by every process that uses it.

    Attributes:
        owned: ``int64[num_shards]``: bytes on disk that this cache wrote, 0 where it wrote nothing.
        access: ``int64[num_shards]``: time of last use in ns since the epoch, 0 for never.
        stamps: ``int64[4, num_shards]``: the stamps of the data file, the meta file, and of both as they are
            compressed, with the bits above; 0 for none.
        verified: The first of these.
        versions: ``int64[2, num_shards]``: of which version in the store the data file and the meta file
            are, or what there is of them; 0 for unknown.
        is_new: Whether it was made just now, by this process.
        shared: Whether other processes see the same rows (not in a directory that cannot be written).
    """

    def __init__(self, directory: str, num_shards: int, fingerprint: bytes, facts: bytes = b"") -> None:
        """Map the directory's table, making it if need be.

        Args:
            directory: The cache directory.
            num_shards: Number of rows.
            fingerprint: 16 bytes that identify the dataset version; a table of another one makes way.
            facts: What the fingerprint is made of (see ``Identity.facts``), for those who look for it.
        """
        self.path = os.path.join(directory, TABLE_NAME)
        self.num_shards = num_shards
        self._header = _MAGIC + num_shards.to_bytes(8, "little") + fingerprint[:16].ljust(16, b"\0")
        self._facts = facts
        self._aside = self._aside_of(self._header)
        self.is_new = False
        size = _HEADER + 8 * (4 * _READERS + _FIELDS * num_shards)
        buffer: Any
        try:
            buffer = self._map(size)
            self.shared = True
        except OSError:
            buffer = self._copy(size)
            self.shared = False
        self._racy = np.frombuffer(buffer, np.int64, 1, _RACY)
        self._generation = np.frombuffer(buffer, np.int64, 1, _GENERATION)
        values = np.frombuffer(buffer, np.int64, offset=_HEADER)
        self._readers = values[: 4 * _READERS].reshape(_READERS, 4)
        columns = values[4 * _READERS :].reshape(_FIELDS, num_shards)
        self.owned, self.access, self.stamps, self.versions = columns[0], columns[1], columns[2:6], columns[6:]
        self.verified = self.stamps[0]

    def _map(self, size: int) -> mmap.mmap:
        for _ in range(100):
            found = self._open(size)
            if found is not None:
                return found
            self._create(size)
        raise OSError(f"{self.path} keeps changing; another dataset version uses this directory.")

    def _open(self, size: int) -> mmap.mmap | None:
        for path in (self.path, self._aside):
            try:
                fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ELOOP, errno.EISDIR):
                    raise
                continue
            try:
                if os.fstat(fd).st_size == size and os.pread(fd, len(self._header), 0) == self._header:
                    return mmap.mmap(fd, size)
            finally:
                os.close(fd)
        return None

    def _copy(self, size: int) -> bytearray:
        """Return what the table says where it cannot be written, or nothing."""
        for path in (self.path, self._aside):
            with suppress(OSError), open(path, "rb") as file:
                data = bytearray(file.read(size + 1))
                if len(data) == size and data.startswith(self._header):
                    return data
        return bytearray(size)

    def _create(self, size: int) -> None:
        # Never changed in place: a process that still maps the old one keeps a consistent view of it. And by one process
        # only: two that made it at the same time would each count what the other does not see.
        with locked_part(self.path + ".part") as part:
            if self._open(size) is not None:
                return
            with open(part, "wb") as file:
                file.write(self._header)
                file.seek(_FACTS.start)
                file.write(self._facts[:48])
                file.truncate(size)
            with suppress(OSError), open(self.path, "rb") as file:
                header = file.read(len(self._header))
                if header.startswith(_MAGIC) and header != self._header:
                    os.rename(self.path, self._aside_of(header))
                    self._forget_the_oldest()
            os.replace(part, self.path)
            self.is_new = True

    def _forget_the_oldest(self) -> None:
        """Remove tables of datasets that were used here long ago."""
        directory, name = os.path.split(self.path)
        paths = [os.path.join(directory, found) for found in os.listdir(directory) if found.startswith(f"{name}.")]
        tables = [path for path in paths if not path.endswith(".part")]
        for path in sorted(tables, key=os.path.getmtime)[:-_MOST_OTHERS]:
            os.unlink(path)

    def _aside_of(self, header: bytes) -> str:
        return f"{self.path}.{header[16:24].hex()}"

    @property
    def is_racy(self) -> bool:
        """Whether versions of the dataset may have been opened that the index's version does not tell apart."""
        return bool(self._racy[0])

    def note_racy(self) -> None:
        """Note that they may."""
        self._racy[0] = 1

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


def stamp_of(status: os.stat_result) -> int:
    """Identify a file's contents by its time of change, size and number; a multiple of 4, never 0."""
    mixed = status.st_mtime_ns
    for part in (status.st_size, status.st_ino):
        mixed = (mixed ^ mixed >> 29) * 0x9E3779B97F4A7C15 + part
    return (mixed & (2**60 - 1) or 1) << 2


def read_facts(path: str) -> bytes | None:
    """Return what identifies the dataset of a table, 48 bytes; ``None`` if it is no table."""
    try:
        with open(path, "rb") as file:
            header = file.read(_HEADER)
    except OSError:
        return None
    return header[_FACTS] if len(header) == _HEADER and header.startswith(_MAGIC) else None


def all_stamps(path: str) -> NDArray[np.int64]:
    """Return every stamp that a table has recorded; none if it is no table."""
    try:
        with open(path, "rb") as file:
            header = file.read(_HEADER)
            num_shards = int.from_bytes(header[8:16], "little")
            size = _HEADER + 8 * (4 * _READERS + _FIELDS * num_shards)
            if not header.startswith(_MAGIC) or os.fstat(file.fileno()).st_size != size:
                return np.empty(0, np.int64)
            file.seek(_HEADER + 8 * (4 * _READERS + 2 * num_shards))
            return np.fromfile(file, np.int64, 4 * num_shards)
    except OSError:
        return np.empty(0, np.int64)


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
