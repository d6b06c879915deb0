"""When a node needs which shards: what eviction and the warning about a small cache are decided by."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["NEVER", "Needs", "Plan"]

Ints = NDArray[np.int64]

#: A time after every time.
NEVER = int(np.iinfo(np.int64).max)


class Needs:
    """Spans of time in which shards are read. Legend: S shards, V spans.

    Time is counted in samples that all ranks together have served.

    Args:
        num_shards: S.
        shards: ``int64[V]``, a shard may come several times.
        first: ``int64[V]``, when the span begins.
        last: ``int64[V]``, when it ends, inclusive.
    """

    def __init__(self, num_shards: int, shards: Ints, first: Ints, last: Ints) -> None:
        self._num_shards = num_shards
        self._shards = shards
        self._first = first
        self._last = last

    def next_use(self, now: int) -> Ints:
        """Return when each shard is needed next.

        Args:
            now: The time that is asked about.

        Returns:
            ``int64[S]``: ``now`` for a shard in use, :data:`NEVER` for one that is not needed again.
        """
        coming = self._last >= now
        next_use = np.full(self._num_shards, NEVER, np.int64)
        np.minimum.at(next_use, self._shards[coming], np.maximum(self._first[coming], now))
        return next_use

    def most_at_once(self, sizes: Ints) -> int:
        """Return the largest sum of sizes of shards that are in use at the same time.

        Args:
            sizes: ``int64[S]``.
        """
        if not len(self._shards):
            return 0
        size = sizes[self._shards]
        times = np.concatenate([self._first, self._last + 1])
        changes = np.concatenate([size, -size])
        order = np.lexsort((changes, times))  # what ends makes room before what begins takes it
        return int(np.cumsum(changes[order]).max())


class Plan(Protocol):
    """What one reader is going to read, and when."""

    #: Readers whose plans have the same key count their time alike.
    key: int

    #: Whether this reader is the one of its node that tells the user about it.
    speaks: bool

    def time(self, position: int) -> int:
        """Return the time at which the reader is at one of its positions."""
        ...

    def needs(self, now: int = 0) -> Needs:
        """Return the needs of the whole node, from a time on at the latest."""
        ...
