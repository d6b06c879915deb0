"""What a cache directory holds and to whom it belongs: one small mapped file per directory.

A row per shard: the bytes that this cache owns there (only those may ever be evicted), the time of the last access,
and the stamp of the files that were verified. Rows are written by whoever holds the shard's lock; access times
without any. The file is rebuilt from the directory when it is missing, belongs to another version of the dataset, or
does not add up, so losing it loses no data: files it does not know are neither counted nor deleted.
"""

from __future__ import annotations

import mmap
import os
import time
from typing import Any

import numpy as np

from streaming.cache.lock import locked_path

__all__ = ["CacheTable"]

_MAGIC = b"SDCACHE1"
_HEADER = 64
_FIELDS = 3
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
        size = _HEADER + _FIELDS * 8 * num_shards
        buffer: Any
        try:
            buffer = self._map(size)
            self.shared = True
        except OSError:
            buffer = bytearray(size)
            self.shared = False
        rows = np.frombuffer(buffer, np.int64, offset=_HEADER).reshape(_FIELDS, num_shards)
        self.owned, self.access, self.verified = rows

    def _map(self, size: int) -> mmap.mmap:
        for _ in range(100):
            try:
                fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                self._create(size)
                continue
            try:
                if os.fstat(fd).st_size == size and os.pread(fd, 32, 0) == self._header:
                    return mmap.mmap(fd, size)
            finally:
                os.close(fd)
            self._create(size)
        raise OSError(f"{self.path} keeps changing; another dataset version uses this directory.")

    def _create(self, size: int) -> None:
        # Never changed in place: a process that still maps the old one keeps a consistent view of it.
        temporary = f"{self.path}.{os.getpid()}.{time.monotonic_ns()}"
        try:
            with open(temporary, "wb") as file:
                file.write(self._header)
                file.truncate(size)
            os.replace(temporary, self.path)
        finally:
            if os.path.exists(temporary):
                os.unlink(temporary)

    def touch(self, shard: int) -> None:
        """Note that a shard is in use now."""
        self.access[shard] = time.time_ns()

    def lock(self) -> Any:
        """Return a context that keeps out every other process's decisions on what to evict."""
        if not self.shared:
            from contextlib import nullcontext

            return nullcontext()
        return locked_path(self.path)
