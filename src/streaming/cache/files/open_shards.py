"""The shards that a process has open."""

from __future__ import annotations

import resource
import threading
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from streaming.cache.files.rows import FoundRows, OpenRows
from streaming.format.shard import Shard

__all__ = ["OpenShards"]


class OpenShards:
    """Shards by number, as many as the process may have open; those that were opened first go first.

    Safe to use from several threads. A shard that goes is closed when nobody reads it any more.

    Args:
        num_shards: Shards of the dataset.

    Attributes:
        get: Returns a shard by its number if it is open, else ``None``.
    """

    def __init__(self, num_shards: int) -> None:
        self._num_shards = num_shards
        self._shards: OrderedDict[int, Shard] = OrderedDict()
        self.get: Callable[[int], Shard | None] = self._shards.get
        self._lock = threading.Lock()
        self._most = _most_open_shards()
        self._num_closed = 0
        self._rows = OpenRows(num_shards)

    def __contains__(self, number: int) -> bool:
        return number in self._shards

    def add(self, number: int, shard: Shard) -> None:
        """Keep a shard open."""
        with self._lock:
            self._shards[number] = shard
            while len(self._shards) > self._most:
                self._shards.popitem(last=False)
                self._num_closed += 1

    def drop(self, number: int) -> None:
        """Let go of a shard, if it is open."""
        with self._lock:
            if self._shards.pop(number, None) is not None:
                self._num_closed += 1

    def drop_those(self, is_gone: Callable[[int], bool]) -> None:
        """Let go of the shards of which something holds, by their numbers."""
        with self._lock:
            for number in list(self._shards):
                if is_gone(number):
                    del self._shards[number]
                    self._num_closed += 1

    def clear(self) -> None:
        """Let go of all shards."""
        with self._lock:
            self._shards.clear()
            self._rows = OpenRows(self._num_shards)

    def fit(self, shards: NDArray[np.int64]) -> bool:
        """Say whether the shards of samples, ``int64[k]``, may all be open at once."""
        return len(shards) <= self._most or len(np.unique(shards)) <= self._most

    def find_rows(self, shards: NDArray[np.int64], open_shard: Callable[[int], Shard]) -> FoundRows | None:
        """Find samples in memory; see :meth:`OpenRows.find`."""
        if not self.fit(shards):
            return None
        return self._rows.find(shards, self._num_closed, open_shard)


def _most_open_shards() -> int:
    """Half of the descriptors this process may have: every open shard takes one or two."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft in (resource.RLIM_INFINITY, -1):
        return 4096
    return int(min(4096, max(16, soft // 4)))
