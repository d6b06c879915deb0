"""Keeping a cache within its limit: the shard that is needed last, or never again, goes first.

The order of samples says when each shard is needed next (Belady's rule: L. A. Belady, "A study of replacement algorithms
for a virtual-storage computer", 1966). Readers tell each other through the cache's table how far they are, so that the
slowest one counts. Where nothing is planned, or the plan says nothing, what was used longest ago goes first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.cache.bookkeeping.table import Reader
from streaming.cache.fetching.directory import ShardDirectory
from streaming.cache.planning.needs import NEVER, Plan

__all__ = ["NOW", "Evictor"]

logger = logging.getLogger(__name__)

Ints = NDArray[np.int64]

#: The deadline of what a reader already waits for.
NOW = -1.0


class Evictor:
    """Decides what goes from the directories of one dataset.

    Args:
        directories: The streams' directories.
        limit: Bytes that may be held.
        index_bytes: Bytes of the indexes, counted as held.
        evict: Removes a shard, and returns the bytes that this freed.
    """

    def __init__(
        self,
        directories: Sequence[ShardDirectory],
        limit: int,
        index_bytes: int,
        evict: Callable[[int], int],
    ) -> None:
        self._directories = directories
        self._limit = limit
        self._index_bytes = index_bytes
        self._evict = evict
        self._plan: Plan | None = None
        self._reader: Reader | None = None
        table = next((d.table for d in directories if d.store is not None), None)
        self._table = table

    @property
    def generation(self) -> int:
        """A number that changes whenever any process evicts something."""
        return sum(directory.generation for directory in self._directories)

    def follow(self, plan: Plan) -> None:
        """Evict by a plan from now on, and tell the user if the limit is too small for it."""
        self.leave()
        self._plan = plan
        if self._table is not None:
            self._reader = self._table.reader(plan.key)
        sizes = self._sizes()
        if plan.speaks and int(sizes.sum()) > self._limit - self._index_bytes:
            needed = plan.needs().most_at_once(sizes) + self._index_bytes
            if needed > self._limit:
                logger.warning(
                    "cache_limit=%d is less than the %d bytes of shards that this node reads from at once in this order: "
                    "shards will be fetched more than once an epoch. Raise cache_limit to that, or reduce "
                    "shuffle_block_size.",
                    self._limit,
                    needed,
                )

    def at(self, time: int) -> None:
        """Note how far this process's reader is."""
        if self._reader is not None:
            self._reader.at(time)

    def leave(self) -> None:
        """Note that this process's reader has ended."""
        reader, self._reader, self._plan = self._reader, None, None
        if reader is not None:
            reader.leave()

    def make_room(self, wanted: int, needed: int, deadline: float, at_any_rate: bool = False) -> bool:
        """Reserve room for a shard, evicting what is needed later.

        Args:
            wanted: The shard.
            needed: Bytes that it may take.
            deadline: When it is needed, :data:`NOW` if a reader waits for it.
            at_any_rate: Reserve it even beyond the limit.

        Returns:
            Whether there is room; ``False`` if only shards that are needed before the deadline could go, or none that is not
            just being fetched.
        """
        with self._table.lock() if self._table is not None else nullcontext():
            owned = self.owned()
            room = self._limit - self._index_bytes - needed - int(owned.sum()) + int(owned[wanted])
            if room < 0:
                owned[wanted] = 0
                for shard, next_use in self._by_next_use(owned):
                    if deadline != NOW and next_use <= deadline:
                        return False
                    room += self._evict(shard)
                    if room >= 0:
                        break
                if room < 0 and not at_any_rate:
                    return False
            self._reserve(wanted, needed)
        return True

    def owned(self) -> Ints:
        """Return the bytes that this cache holds of each shard, over all streams."""
        return np.concatenate([directory.owned for directory in self._directories])

    def by_access(self) -> list[int]:
        """Return the shards that may be evicted, the one used longest ago first."""
        owned = np.flatnonzero(self.owned() > 0)
        return owned[np.argsort(self._access()[owned], kind="stable")].tolist()

    def _by_next_use(self, owned: Ints) -> Iterator[tuple[int, int]]:
        candidates = np.flatnonzero(owned > 0)
        next_use = np.full(len(candidates), NEVER, np.int64)
        if self._plan is not None and self._reader is not None:
            now = self._reader.slowest()
            next_use = self._plan.needs(now).next_use(now)[candidates]
        order = np.lexsort((self._access()[candidates], -next_use))
        yield from zip(candidates[order].tolist(), next_use[order].tolist(), strict=True)

    def _reserve(self, shard: int, needed: int) -> None:
        for directory in self._directories:
            if shard < directory.index.num_shards:
                directory.reserve(shard, needed)
                return
            shard -= directory.index.num_shards

    def _access(self) -> Ints:
        return np.concatenate([directory.access for directory in self._directories])

    def _sizes(self) -> Ints:
        sizes: list[Any] = [d.index.raw_bytes * (d.store is not None) for d in self._directories]
        return np.concatenate(sizes)
