"""One worker's pass over its part of an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.cache.cache import ShardCache
from streaming.cache.lookahead import LookAhead
from streaming.cache.ranges import FirstSamples
from streaming.dataset.plans import WorkerPlan
from streaming.dataset.shards import ShardTable
from streaming.order.plan import WorkerIds

__all__ = ["Planned", "iterate"]

_BLOCK = 4096
_STEP = 64
#: How long whole shards may wait for the first samples, which would otherwise share the bandwidth with them.
_HEAD_START_S = 0.5


def iterate(
    cache: ShardCache,
    table: ShardTable,
    planned: Planned,
    following: Callable[[], Planned | None],
    predownload: int,
    read: Callable[[int], Any] | None = None,
    tolerate: Callable[[int, BaseException], bool] | None = None,
) -> Iterator[Any]:
    """Yield the samples of one worker in order.

    Args:
        cache: The dataset's shards.
        table: Where its samples lie.
        planned: What the worker reads in this epoch.
        following: Returns what it will read in the next, if that is known.
        predownload: Samples ahead of the one being served whose shards are fetched.
        read: Returns a sample by its id, where that is more than reading it from its shard.
        tolerate: Says of a shard's failure whether ``read`` deals with it.

    Raises:
        StreamingError: A shard could not be fetched or read.
    """
    ids = planned.ids

    def schedule_following() -> _Blocks | None:
        coming = following()
        return None if coming is None else _Blocks(coming, table)

    cache.follow(planned.plan, planned.processes)
    blocks = _Blocks(planned, table)
    ahead = LookAhead(cache, blocks, predownload, tolerate, schedule_following)
    first = _first_samples(cache, table, blocks, min(planned.batch_size, len(ids))) if read is None else None
    try:
        for begin in range(0, len(ids), _STEP):
            step_ids, shards = ahead.advance(begin, min(begin + _STEP, len(ids)))
            cache.counters.add(samples=int((step_ids >= 0).sum()))
            if read is not None:
                for sample_id in step_ids[step_ids >= 0].tolist():
                    yield read(sample_id)
                continue
            real = step_ids >= 0
            step_ids, shards = step_ids[real], shards[real]
            locals_ = (step_ids - table.sample_offset_per_shard[shards]).tolist()
            if first is not None:
                for shard, index in zip(shards.tolist(), locals_, strict=True):
                    yield first.get(shard, index)
                if begin + _STEP >= planned.batch_size:
                    first.close()
                    first = None
                continue
            get = cache.get
            for shard, index in zip(shards.tolist(), locals_, strict=True):
                yield get(shard).get(index)
    finally:
        ahead.close()
        if first is not None:
            first.close()


def _first_samples(cache: ShardCache, table: ShardTable, blocks: _Blocks, count: int) -> FirstSamples | None:
    """Ask for the samples of the first batch by themselves, where that is worth it."""
    ids, shards = blocks.get(0, count)
    real = ids >= 0
    first = FirstSamples(cache, shards[real], ids[real] - table.sample_offset_per_shard[shards[real]])
    if not first:
        return None
    first.wait(_HEAD_START_S)
    return first


@dataclass(frozen=True)
class Planned:
    """What one worker reads in an epoch.

    Attributes:
        ids: Its sample ids.
        plan: When it reads what, and its node.
        processes: Reading processes of its node.
        batch_size: Samples of a batch on one rank.
    """

    ids: WorkerIds
    plan: WorkerPlan
    processes: int
    batch_size: int


class _Blocks:
    """The worker's sample ids and their shards, made a block at a time and dropped behind the reader."""

    def __init__(self, planned: Planned, table: ShardTable) -> None:
        self._ids = planned.ids
        self.time = planned.plan.time
        self._table = table
        self._blocks: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def get(self, begin: int, end: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return ids and shards (-1 for padding) of positions ``[begin, end)``."""
        if begin >= end:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        first, last = begin // _BLOCK, (end - 1) // _BLOCK
        parts: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        for number in range(first, last + 1):
            ids, shards = self._block(number)
            low = begin - number * _BLOCK if number == first else 0
            high = end - number * _BLOCK
            parts.append((ids[low:high], shards[low:high]))
        if len(parts) == 1:
            return parts[0]
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def forget(self, position: int) -> None:
        """Drop the blocks that lie wholly before a position."""
        for number in [n for n in self._blocks if (n + 1) * _BLOCK <= position]:
            del self._blocks[number]

    def _block(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        block = self._blocks.get(number)
        if block is None:
            begin = number * _BLOCK
            ids = self._ids.ids(begin, min(begin + _BLOCK, len(self._ids)))
            shards = np.where(ids >= 0, self._table.shards_of(np.maximum(ids, 0)), -1)
            block = self._blocks[number] = ids, shards
        return block
