"""Where samples lie: the tables that map sample ids to shards and streams."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.format.index import Index

__all__ = ["TABLES", "ShardTable"]

#: Tables that are a dataset's attributes too.
TABLES = frozenset(
    (
        "samples_per_shard",
        "sample_offset_per_shard",
        "stream_per_shard",
        "shards_per_stream",
        "shard_offset_per_stream",
        "samples_per_stream",
        "sample_offset_per_stream",
    )
)


class ShardTable:
    """Turns sample ids, which an order gives, into shards and indexes, which a cache takes; nothing else does.

    Sample ids are positions in all streams laid end to end: streams in order, shards in order, samples in order.

    Legend: S shards, K streams.

    Attributes:
        samples_per_shard: ``int64[S]``.
        sample_offset_per_shard: ``int64[S]``, id of each shard's first sample.
        stream_per_shard: ``int64[S]``.
        shards_per_stream: ``int64[K]``.
        shard_offset_per_stream: ``int64[K]``.
        samples_per_stream: ``int64[K]``.
        sample_offset_per_stream: ``int64[K]``.
        ends: ``int64[S]``, one past the id of each shard's last sample.
        ends_view: The same; bisecting it is three times as fast as ``np.searchsorted`` for one value.
        begins_view: ``sample_offset_per_shard``, whose elements are ``int``.
    """

    def __init__(self, indexes: Sequence[Index]) -> None:
        counts = np.array([index.num_shards for index in indexes], np.int64)
        self.samples_per_shard: NDArray[np.int64] = np.concatenate(
            [np.empty(0, np.int64), *(index.samples for index in indexes)]
        )
        self.ends: NDArray[np.int64] = np.cumsum(self.samples_per_shard)
        self.sample_offset_per_shard: NDArray[np.int64] = self.ends - self.samples_per_shard
        self.stream_per_shard: NDArray[np.int64] = np.repeat(np.arange(len(counts)), counts)
        self.shards_per_stream = counts
        self.shard_offset_per_stream: NDArray[np.int64] = np.cumsum(counts) - counts
        self.samples_per_stream: NDArray[np.int64] = np.array([index.num_samples for index in indexes], np.int64)
        self.sample_offset_per_stream: NDArray[np.int64] = np.cumsum(self.samples_per_stream) - self.samples_per_stream
        self._reset()

    def _reset(self) -> None:
        self.ends_view: memoryview[int] = _view(self.ends)
        self.begins_view: memoryview[int] = _view(self.sample_offset_per_shard)
        self._num_samples = int(self.ends[-1]) if len(self.ends) else 0

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the arrays."""
        return {name: value for name, value in self.__dict__.items() if isinstance(value, np.ndarray)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the arrays."""
        self.__dict__.update(state)
        self._reset()

    @property
    def num_samples(self) -> int:
        """Samples of all streams."""
        return self._num_samples

    def locate(self, sample_id: int) -> tuple[int, int]:
        """Return (shard, index within it) of a sample id that is in range."""
        shard = bisect_right(self.ends_view, sample_id)
        return shard, sample_id - self.begins_view[shard]

    def shards_of(self, sample_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the shard of each sample id."""
        return np.searchsorted(self.ends, sample_ids, side="right")

    def indexes_in(self, shards: NDArray[np.int64], sample_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the index of each sample id within its shard."""
        return sample_ids - self.sample_offset_per_shard[shards]


def _view(values: NDArray[np.int64]) -> memoryview:
    buffer: Any = np.ascontiguousarray(values)
    return memoryview(buffer)
