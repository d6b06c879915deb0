"""The shards of one stream in one local directory."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.cache.config import FetchConfig
from streaming.cache.fetch import FetchStats, FileJob, cheapest_hash, fetch_file, file_matches
from streaming.cache.lock import remove_part
from streaming.cache.table import CacheTable
from streaming.core.errors import ChecksumError, ShardFormatError
from streaming.format.index import Index
from streaming.format.shard import Shard, open_shard
from streaming.storage.store import Store

__all__ = ["ShardDirectory"]

#: How long after its room was reserved a fetch begins at the latest.
_BEGINS_NS = 5 * 10**9


class ShardDirectory:
    """Makes the shards of one stream present in its local directory, and opens them.

    Args:
        directory: Where the shards are, or are to be.
        index: The stream's index.
        store: Where missing shards come from; ``None`` for a dataset that is only local, whose files are opened in
            place and never removed.
        config: How to fetch.
        origin: Text that identifies where the data comes from (the remote's URL).
    """

    def __init__(self, directory: str, index: Index, store: Store | None, config: FetchConfig, origin: str) -> None:
        self.directory = directory
        self._prefix = os.path.join(directory, "")
        self.index = index
        self.store = store
        self.config = config
        self.origin = origin
        self._fingerprint = blake2b(
            b"\0".join((origin.encode(), index.samples.tobytes(), index.raw_bytes.tobytes())),
            digest_size=16,
        ).digest()
        self._table: CacheTable | None = None
        self._unrecorded: dict[int, int] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the configuration; the table is mapped again where it is needed."""
        return {**self.__dict__, "_table": None, "_unrecorded": {}}

    @property
    def in_place(self) -> NDArray[np.bool_]:
        """``bool[n]``, whether each shard can only be in this directory, raw."""
        if self.store is not None:
            return np.zeros(self.index.num_shards, np.bool_)
        if all(schema.compression is None for schema in self.index.schemas):
            return np.ones(self.index.num_shards, np.bool_)
        return self.index.zip_bytes == 0

    @property
    def table(self) -> CacheTable | None:
        """The bookkeeping of this directory, or ``None`` for a dataset that is only local."""
        if self._table is None and self.store is not None:
            os.makedirs(self.directory, exist_ok=True)
            self._table = CacheTable(self.directory, self.index.num_shards, self._fingerprint, self.has_files)
        return self._table

    def open(self, shard: int) -> Shard | None:
        """Open a shard if it is present and belongs to this dataset.

        Args:
            shard: Index of the shard in this stream.

        Returns:
            The open shard, or ``None`` when it has to be fetched first.

        Raises:
            ShardFormatError: A local-only shard contradicts the index.
            ChecksumError: A local-only shard does not have the hash that ``validate_hash`` asks for.
        """
        if not self.is_present(shard):
            return None
        try:
            opened = open_shard(self.index.shard(shard), self.directory)
        except FileNotFoundError:  # evicted by another process just now
            return None
        if self._table is not None:
            self._table.touch(shard)
        return opened

    def is_present(self, shard: int) -> bool:
        """Say whether a shard is present and verified: its raw files are those of the index. Verifies once and remembers."""
        try:
            stamp = self._stamp(shard)
        except FileNotFoundError:
            return False
        table = self.table
        known = int(table.verified[shard]) if table is not None else self._unrecorded.get(shard, 0)
        if known == stamp:
            return True
        jobs = self._jobs(shard)
        if self.store is None:
            self._verify_in_place(jobs)
        elif not all(self._matches(job) for job in jobs):
            return False
        else:  # who placed a file may have been killed before it removed what it was made from
            for job in jobs:
                remove_part(job.path(job.wire) + ".part")
        if table is not None:
            table.verified[shard] = stamp
        else:
            self._unrecorded[shard] = stamp
        return True

    def fetch(
        self,
        shard: int,
        sleep: Callable[[float], Any],
        stats: FetchStats,
        connections: Callable[[], int] | None = None,
        find_room: Callable[[], Any] | None = None,
    ) -> None:
        """Make a shard present, however many processes ask for it at once.

        Args:
            shard: Index of the shard in this stream.
            sleep: Waits between attempts, in seconds.
            stats: Counts what happened.
            connections: Returns how many requests at a time a large file may take, asked again as it comes; ``None``: one.
            find_room: Reserves room again, if what was reserved is gone: another process fetched the shard meanwhile, and a
                third one evicted it.

        Raises:
            ShardUnavailableError: It could not be fetched.
            ChecksumError: Its bytes in the store do not fit the index.
        """
        jobs = self._jobs(shard)
        table = self.table
        if find_room is None:
            self.reserve(shard, self.max_bytes(shard))

        def on_begin() -> None:
            if table is not None and not table.owned[shard]:
                if find_room is not None:
                    find_room()
                self.reserve(shard, self.max_bytes(shard))

        try:
            for job in jobs:
                fetch_file(
                    job,
                    self.store,
                    self.config,
                    lambda job=job: self._file_verified(shard, job),
                    sleep,
                    stats,
                    connections,
                    on_begin,
                )
        except BaseException:
            if table is not None and table.owned[shard]:
                table.owned[shard] = self.bytes_on_disk(shard)
            raise
        try:
            stamp = self._stamp(shard)
        except FileNotFoundError:
            return  # another process evicted it just now; whoever reads it next asks again
        if table is not None:
            if stats.files_fetched:
                table.owned[shard] = self.bytes_on_disk(shard)
            table.verified[shard] = stamp
            table.touch(shard)
            if not self.has_files(shard):  # evicted by another process while this one noted that it is there
                table.owned[shard] = table.verified[shard] = 0
        else:
            self._unrecorded[shard] = stamp

    def reserve(self, shard: int, size: int) -> None:
        """Count a shard that is not there yet as so many bytes, until the real number is known."""
        table = self.table
        if table is not None and not table.owned[shard] and not self.has_files(shard):
            table.owned[shard] = size
            table.touch(shard)

    def evict(self, shard: int) -> int:
        """Remove what this cache fetched of a shard; readers that have it open keep reading.

        Returns:
            Bytes that it counts less; 0 for a shard that is just being fetched, which stays.
        """
        table = self.table
        if table is None or not table.owned[shard]:
            return 0
        jobs = self._jobs(shard)
        if not self.has_files(shard) and table.access[shard] > time.time_ns() - _BEGINS_NS:
            return 0  # reserved by somebody who is about to fetch it
        if not all(remove_part(job.path(job.wire) + ".part") for job in jobs):
            return 0
        table.verified[shard] = 0
        for job in jobs:
            for info in (job.raw, job.zip):
                if info is not None:
                    _remove(job.path(info))
        freed = int(table.owned[shard])
        table.owned[shard] = 0
        table.count_eviction()
        return freed

    def bytes_on_disk(self, shard: int) -> int:
        """Bytes that a shard's files take now, unfinished ones too."""
        total = 0
        for job in self._jobs(shard):
            for info in (job.raw, job.zip):
                if info is not None:
                    total += _size(job.path(info)) + _size(job.path(info) + ".part")
        return total

    def max_bytes(self, shard: int) -> int:
        """Bytes that a shard takes at most: raw and compressed together."""
        return int(self.index.raw_bytes[shard] + self.index.zip_bytes[shard])

    def _jobs(self, shard: int) -> list[FileJob]:
        info = self.index.shard(shard)
        zips = info.zip or (None,) * len(info.raw)
        return [
            FileJob(self.directory, raw, zipped, info.schema.compression)
            for raw, zipped in zip(info.raw, zips, strict=True)
        ]

    def has_files(self, shard: int) -> bool:
        """Say whether any of a shard's raw files is there, whatever is in it."""
        return any(os.path.exists(self._prefix + name) for name in self.index.raw_names(shard))

    def _stamp(self, shard: int) -> int:
        """Identify the present raw files by size and time; never 0.

        Raises:
            FileNotFoundError: One is not there.
        """
        stamp = 1
        for name in self.index.raw_names(shard):
            status = os.stat(self._prefix + name)
            stamp = (stamp * 1000003 ^ status.st_mtime_ns ^ status.st_size ^ status.st_ino << 20) & (2**62 - 1)
        return stamp or 1

    def _verify_in_place(self, jobs: list[FileJob]) -> None:
        """Check the user's own files: their sizes, and their hashes if asked for."""
        for job in jobs:
            algo = self.config.validate_hash
            if algo is not None:
                algo = cheapest_hash(job.raw, algo)
            path = job.path(job.raw)
            if os.path.getsize(path) != job.raw.bytes:
                raise ShardFormatError(
                    f"{path} has {os.path.getsize(path)} bytes; the index records {job.raw.bytes}. The file is "
                    "truncated or of another version of the dataset."
                )
            if algo is not None and not file_matches(path, job.raw, algo):
                raise ChecksumError(f"Checksum failure: {path} does not have the recorded {algo}.")

    def _file_verified(self, shard: int, job: FileJob) -> bool:
        table = self.table
        if table is not None and table.verified[shard]:
            try:
                if int(table.verified[shard]) == self._stamp(shard):
                    return True
            except FileNotFoundError:
                pass
        return self._matches(job)

    def _matches(self, job: FileJob) -> bool:
        algo = cheapest_hash(job.raw, None) if job.raw.hashes else None
        return file_matches(job.path(job.raw), job.raw, algo)


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)
