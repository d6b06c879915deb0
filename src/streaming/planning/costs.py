"""What each shard costs: bytes on the wire and on disk, and requests. Legend: S shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streaming.cache.fetching.directory import ShardDirectory
from streaming.cache.fetching.parts import PART_BYTES

__all__ = ["ShardCosts"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ShardCosts:
    """What fetching and keeping shards takes.

    Attributes:
        wire: ``int64[S]``, bytes that come from the store, 0 where a shard is read from where it is.
        disk: ``int64[S]``, bytes that the cache holds of it.
        largest: Bytes of the largest shard, raw and compressed together.
        requests: ``int64[S]``, requests in which it comes.
        parts: ``int64[S]``, how many of them may be under way at a time.
        index_bytes: Bytes of the indexes.
    """

    wire: Ints
    disk: Ints
    largest: int
    requests: Ints
    parts: Ints
    index_bytes: int

    @classmethod
    def of(cls, directories: Sequence[ShardDirectory], index_bytes: int) -> ShardCosts:
        """Return those of a dataset's shards, as its cache would fetch them into an empty directory.

        Args:
            directories: The streams' directories, in stream order.
            index_bytes: Bytes of the indexes.
        """
        columns = [_of_directory(directory) for directory in directories]
        wire, disk, requests, parts = (np.concatenate(column) for column in zip(*columns, strict=True))
        largest = max(int((d.index.raw_bytes + d.index.zip_bytes).max(initial=0)) for d in directories)
        return cls(wire, disk, largest, requests, parts, index_bytes)


def _of_directory(directory: ShardDirectory) -> tuple[Ints, Ints, Ints, Ints]:
    index = directory.index
    if directory.store is None:
        nothing = np.zeros(index.num_shards, np.int64)
        return nothing, nothing, nothing, nothing
    wire, requests = directory.wire_cost()
    disk = index.raw_bytes + (index.zip_bytes if directory.config.keep_zip else 0)
    takes_parts = getattr(directory.store, "takes_ranges", False)
    large = wire >= 2 * PART_BYTES if takes_parts else np.zeros(len(wire), np.bool_)
    parts = np.where(large, -(-wire // PART_BYTES), 1)
    return wire, disk, np.where(large, np.maximum(parts, requests), requests), parts
