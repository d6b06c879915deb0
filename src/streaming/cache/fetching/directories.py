"""The directories of a dataset's streams, laid end to end: shards by one number over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np

from streaming.cache.fetching.directory import ShardDirectory
from streaming.core.errors import ConfigError

__all__ = ["Directories"]


class Directories:
    """Says where a shard lies, and how much all of them take.

    Args:
        directories: The streams' directories, in stream order.
        index_bytes: Bytes of the indexes, counted as used.

    Attributes:
        every: The directories.
        index_bytes: As above.
        num_shards: Shards of all streams.
        in_place: ``bool[S]``, whether a shard is read from where it is, so that there is nothing to fetch ahead of need.
    """

    def __init__(self, directories: Sequence[ShardDirectory], index_bytes: int = 0) -> None:
        self.every = tuple(directories)
        self.index_bytes = index_bytes
        counts = [d.index.num_shards for d in self.every]
        self._first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self._stream_of = np.repeat(np.arange(len(counts)), counts)
        self.num_shards = int(self._first[-1])
        self.in_place = np.concatenate([np.empty(0, np.bool_), *(d.in_place for d in self.every)])

    def locate(self, shard_id: int) -> tuple[ShardDirectory, int]:
        """Return a shard's directory, and its index there."""
        if not 0 <= shard_id < self.num_shards:
            raise IndexError(f"Shard {shard_id} is out of range for {self.num_shards} shards.")
        stream = int(self._stream_of[shard_id])
        return self.every[stream], shard_id - int(self._first[stream])

    def has_files(self, shard_id: int) -> bool:
        """Say whether the files of a shard have their names."""
        directory, local = self.locate(shard_id)
        return directory.has_files(local)

    def is_evicted(self, shard_id: int) -> bool:
        """Say whether a shard that was fetched is no longer there."""
        directory, local = self.locate(shard_id)
        return directory.is_evicted(local)

    @property
    def usage(self) -> int:
        """Bytes on this node's disk that were fetched, indexes included."""
        tables = [table for d in self.every if (table := d.table) is not None]
        with tables[0].lock() if tables else nullcontext():  # or what goes and what comes for it may both be counted
            return self.index_bytes + sum(int(directory.owned.sum()) for directory in self.every)

    @property
    def largest_bytes(self) -> int:
        """Bytes of the largest shard, raw and compressed together."""
        return max((int((d.index.raw_bytes + d.index.zip_bytes).max(initial=0)) for d in self.every), default=0)

    def check_limit(self, limit: int) -> None:
        """Refuse a limit that is too small to read by.

        Raises:
            ConfigError: It is.
        """
        if limit <= self.index_bytes:
            raise ConfigError(f"cache_limit={limit} must exceed the size of the indexes, {self.index_bytes} bytes.")
        largest = self.largest_bytes
        if limit < 4 * largest:
            raise ConfigError(
                f"cache_limit={limit} must be at least four times the largest shard (raw and compressed together "
                f"{largest} bytes): {4 * largest} bytes."
            )
