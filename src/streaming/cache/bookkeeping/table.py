"""What a cache directory holds and to whom it belongs: one small mapped file per directory.

A row per shard: the bytes that this cache owns there (only those may ever be evicted), the time of the last access, the
stamps of its files, and of which version in the store they are. Rows are written by whoever holds the shard's lock; access
times without any. Readers that follow an order say here how far they are. A directory may serve several datasets, or
versions of one: one has the table of the plain name, the others' have their fingerprint in theirs. A table that is missing
or does not add up is made anew, so losing it loses no data: files it does not know are neither counted nor deleted.
Processes that have it mapped when it is removed put what they know into the new one.
"""

from __future__ import annotations

import errno
import logging
import mmap
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import LockedError
from streaming.core.process.allocate import allocate
from streaming.core.process.lock import locked_part, locked_path, no_wait

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

logger = logging.getLogger(__name__)

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

    def __init__(
        self,
        directory: str,
        num_shards: int,
        fingerprint: bytes,
        facts: bytes = b"",
        has_files: Callable[[int], bool] | None = None,
    ) -> None:
        """Map the directory's table, making it if need be.

        Args:
            directory: The cache directory.
            num_shards: Number of rows.
            fingerprint: 16 bytes that identify the dataset version; a table of another one makes way.
            facts: What the fingerprint is made of (see ``Identity.facts``), for those who look for it.
            has_files: Says whether files of a shard are there, asked for those that are owned when the table was removed.
        """
        self.path: str = os.path.join(directory, TABLE_NAME)
        self.num_shards = num_shards
        self._has_files = has_files
        self._header = _MAGIC + num_shards.to_bytes(8, "little") + fingerprint[:16].ljust(16, b"\0")
        self._facts = facts
        self._aside = self._aside_of(self._header)
        #: The path and the number of the file that is mapped.
        self._place, self._file = self.path, (0, 0)
        self.is_new = False
        self._size = _HEADER + 8 * (4 * _READERS + _FIELDS * num_shards)
        buffer: Any
        try:
            buffer = self._map()
            self.shared = True
        except OSError:
            buffer = self._copy(self._size)
            self.shared = False
        self._attach(buffer)

    def _attach(self, buffer: Any) -> None:
        self._racy = np.frombuffer(buffer, np.int64, 1, _RACY)
        self._generation = np.frombuffer(buffer, np.int64, 1, _GENERATION)
        values = np.frombuffer(buffer, np.int64, offset=_HEADER)
        self.readers = values[: 4 * _READERS].reshape(_READERS, 4)
        self._columns = columns = values[4 * _READERS :].reshape(_FIELDS, self.num_shards)
        self.owned, self.access, self.stamps, self.versions = columns[0], columns[1], columns[2:6], columns[6:]
        self.verified: Any = self.stamps[0]

    def _map(self) -> mmap.mmap:
        for _ in range(100):
            found = self._open()
            if found is not None:
                return found
            self._create()
        raise OSError(f"{self.path} keeps changing; another dataset version uses this directory.")

    def _open(self) -> mmap.mmap | None:
        for path in (self.path, self._aside):
            try:
                fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ELOOP, errno.EISDIR):
                    raise
                continue
            try:
                status = os.fstat(fd)
                if status.st_size == self._size and os.pread(fd, len(self._header), 0) == self._header:
                    self._place, self._file = path, (status.st_dev, status.st_ino)
                    return mmap.mmap(fd, self._size)
            finally:
                os.close(fd)
        return None

    def _copy(self, size: int) -> bytearray:
        """Return what the table says where it cannot be written, or nothing."""
        for path in (self.path, self._aside):
            with suppress(OSError), open(path, "rb", opener=no_wait) as file:
                data = bytearray(file.read(size + 1))
                if len(data) == size and data.startswith(self._header):
                    return data
        return bytearray(size)

    def _create(self) -> None:
        # Never changed in place: a process that still maps the old one keeps a consistent view of it. And by one process
        # only: two that made it at the same time would each count what the other does not see.
        with locked_part(self.path + ".part") as part:
            if self._open() is not None:
                return
            with open(part, "wb") as file:
                file.write(self._header)
                file.seek(_FACTS.start)
                file.write(self._facts[:48])
                file.flush()
                allocate(file.fileno(), self._size)
            with suppress(OSError), open(self.path, "rb", opener=no_wait) as file:
                header = file.read(len(self._header))
                if header.startswith(_MAGIC) and header != self._header:
                    os.rename(self.path, self._aside_of(header))
                    self._forget_the_oldest()
            os.replace(part, self.path)
            self.is_new: bool = True

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

    def _renew(self) -> None:
        """Put what is known into a new table, made by this process or by another one."""
        generation, racy, readers, known = self._generation, self._racy, self.readers, self._columns
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        self._attach(self._map())
        with locked_path(self._place):
            owned = np.flatnonzero(known[0]).tolist()
            gone = [i for i in owned if self._has_files is not None and not self._has_files(i)]
            np.maximum(self._generation, generation, out=self._generation)
            np.maximum(self._racy, racy, out=self._racy)
            is_unknown = self._columns == 0
            is_unknown[:, gone] = False
            self._columns[is_unknown] = known[is_unknown]
            is_free = self.readers[:, 3] == 0
            self.readers[is_free] = readers[is_free]

    def _is_removed(self) -> bool:
        for path in (self.path, self._aside):  # another dataset's may have taken the plain name
            with suppress(FileNotFoundError):
                status = os.stat(path)
                if (status.st_dev, status.st_ino) == self._file:
                    self._place = path
                    return False
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
                    held.enter_context(locked_path(self._place))
                    break
                except FileNotFoundError:
                    continue  # removed again, just now
                except LockedError:
                    raise
                except OSError as error:
                    logger.warning("%s was removed and cannot be made anew: %s", self.path, error)
                    self.shared: bool = False
            yield


def stamp_of(status: os.stat_result) -> int:
    """Identify a file's contents by its time of change, size and number; a multiple of 4, never 0."""
    mixed = status.st_mtime_ns
    for part in (status.st_size, status.st_ino):
        mixed = (mixed ^ mixed >> 29) * 0x9E3779B97F4A7C15 + part
    return (mixed & (2**60 - 1) or 1) << 2


def read_facts(path: str) -> bytes | None:
    """Return what identifies the dataset of a table, 48 bytes; ``None`` if it is no table."""
    try:
        with open(path, "rb", opener=no_wait) as file:
            header = file.read(_HEADER)
    except OSError:
        return None
    return header[_FACTS] if len(header) == _HEADER and header.startswith(_MAGIC) else None


def all_stamps(path: str) -> NDArray[np.int64]:
    """Return every stamp that a table has recorded; none if it is no table."""
    try:
        with open(path, "rb", opener=no_wait) as file:
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
