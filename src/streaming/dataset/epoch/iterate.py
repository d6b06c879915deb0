"""One worker's pass over its part of an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.cache.cache import ShardCache, Tolerance
from streaming.cache.reading.lookahead import LookAhead
from streaming.cache.reading.ranges import FirstSamples
from streaming.core.process.ledger import DECODE, LEDGERS, USER, Ledger
from streaming.dataset.epoch.epochs import Start
from streaming.dataset.epoch.plans import WorkerPlan
from streaming.dataset.epoch.progress import Progress
from streaming.dataset.shards import ShardTable
from streaming.order.queries.plan import WorkerIds

__all__ = ["BLOCK", "Planned", "Step", "iterate", "steps"]

Ints = NDArray[np.int64]

#: Samples whose order is worked out at a time: few at first, so that reading begins at once, then so many that it costs
#: little for each.
_FIRST_BLOCK, BLOCK = 2048, 16384
#: Blocks that are kept. Where the look-ahead is farther ahead than this, their order is worked out again to be read.
_MOST_BLOCKS = 64
_STEP, _LEAST_STEP = 256, 16
#: How long whole shards may wait for the first samples, which would otherwise share the bandwidth with them.
_HEAD_START_S = 0.5


@dataclass(frozen=True)
class Planned:
    """What one worker reads in an epoch, and how.

    Attributes:
        ids: Its sample ids.
        plan: When it reads what, and its node.
        processes: Reading processes of its node.
        batch_size: Samples of a batch on one rank.
        predownload: Samples ahead of the one being served whose shards are fetched.
        following: Returns what the worker reads in the next epoch, if that is known.
        block: Samples whose order is worked out at a time, at most: a power of two.
        tolerance: Of a reader that goes on without shards that cannot be had.
        renew: Given a slot at which a batch begins, returns what is read from now on instead, if that has changed; ``None``
            where it never does.
    """

    ids: WorkerIds
    plan: WorkerPlan
    processes: int
    batch_size: int
    predownload: int
    following: Callable[[], Planned | None]
    block: int = BLOCK
    tolerance: Tolerance | None = None
    renew: Callable[[int], Planned | None] | None = None


@dataclass(frozen=True)
class Step:
    """Samples that are read next. Legend: I samples.

    Attributes:
        ids: ``int64[I]``, sample ids.
        shards: ``int64[I]``, their shards.
        indexes: ``int64[I]``, their indexes in those.
        first: Where they come from, if that is not their shards.
    """

    ids: Ints
    shards: Ints
    indexes: Ints
    first: FirstSamples | None


def steps(
    cache: ShardCache,
    table: ShardTable,
    planned: Planned,
    size: int,
    by_id: bool = False,
) -> Iterator[Step]:
    """Yield what one worker reads, in order, while what it reads later is fetched.

    Args:
        cache: The dataset's shards.
        table: Where its samples lie.
        planned: What the worker reads in this epoch.
        size: Samples of a step at most. Steps hold fewer where the worker has nothing to read in some of its places.
        by_id: Whether the samples are going to be read by their ids alone.

    Raises:
        StreamingError: A shard could not be fetched.
    """
    length = len(planned.ids)

    def schedule_following() -> _Blocks | None:
        coming = planned.following()
        return None if coming is None else _Blocks(coming, table)

    cache.follow(planned.plan, planned.processes)
    blocks = _Blocks(planned, table)
    ahead = LookAhead(cache, blocks, planned.predownload, planned.tolerance, schedule_following)
    renew = planned.renew
    if renew is not None:
        size = planned.batch_size  # so that each batch is begun by itself
    first = None if by_id else _first_samples(cache, table, blocks, min(planned.batch_size, length))
    try:
        for begin in range(0, length, size):
            fresh = None if renew is None else renew(begin)
            if fresh is not None:
                cache.follow(fresh.plan, fresh.processes)
                blocks.become(fresh)
                ahead.look_again(begin)
            ids, shards = ahead.advance(begin, min(begin + size, length))
            real = ids >= 0
            if not real.all():
                ids, shards = ids[real], shards[real]
            cache.counters.add(samples=len(ids))
            yield Step(ids, shards, table.indexes_in(shards, ids), first)
            if first is not None and begin + size >= planned.batch_size:
                first.close()
                first = None
        cache.settle()
    finally:
        ahead.close()
        if first is not None:
            first.close()


def iterate(
    cache: ShardCache,
    table: ShardTable,
    planned: Planned,
    progress: Progress,
    read: Callable[[int], Any] | None = None,
    begun: Callable[[], None] | None = None,
    between: int = DECODE,
) -> Iterator[Any]:
    """Return an iterator over the samples of one worker in order, each counted before it is handed out.

    Args:
        cache: The dataset's shards.
        table: Where its samples lie.
        planned: What the worker reads in this epoch.
        progress: Where samples are counted.
        read: Returns a sample by its id, where that is more than reading it from its shard.
        begun: Called when the first sample is asked for.
        between: What is done between one sample and the next, one of the ledger's causes.

    Raises:
        StreamingError: A shard could not be fetched or read.
    """
    if read is None:
        return _stored(cache, table, planned, progress, begun, between)
    return _through(read, cache, table, planned, progress, begun, between)


def _stored(
    cache: ShardCache,
    table: ShardTable,
    planned: Planned,
    progress: Progress,
    begun: Callable[[], None] | None,
    between: int,
) -> Iterator[Any]:
    """Yield samples as they are stored."""
    ledger, start, count = _begin(progress, begun)
    for step in steps(cache, table, planned, _step(planned)):
        pairs = zip(step.shards.tolist(), step.indexes.tolist(), strict=True)
        peek, get, first = cache.peek, cache.get, step.first
        if ledger.asks:
            ledger.enter(DECODE)
        for number, index in pairs:
            if first is not None:
                sample = first.get(number, index)
            else:
                shard = peek(number)
                sample = (get(number) if shard is None else shard).get(index)
            count += 1
            if progress.start is start:  # else another iteration has begun
                progress.yielded = count
            if ledger.asks:
                ledger.enter(between)
            yield sample
            if ledger.asks:
                ledger.go_on()


def _through(
    read: Callable[[int], Any],
    cache: ShardCache,
    table: ShardTable,
    planned: Planned,
    progress: Progress,
    begun: Callable[[], None] | None,
    between: int,
) -> Iterator[Any]:
    """Yield samples as they are read by their ids."""
    ledger, start, count = _begin(progress, begun)
    for step in steps(cache, table, planned, _step(planned), by_id=True):
        for sample_id in step.ids.tolist():
            if ledger.asks:
                ledger.enter(USER)
            sample = read(sample_id)
            count += 1
            if progress.start is start:
                progress.yielded = count
            if ledger.asks:
                ledger.enter(between)
            yield sample
            if ledger.asks:
                ledger.go_on()


def _begin(progress: Progress, begun: Callable[[], None] | None) -> tuple[Ledger, Start | None, int]:
    ledger = LEDGERS.own
    ledger.begin(is_first=True)
    if begun is not None:
        begun()
    return ledger, progress.start, progress.yielded


def _step(planned: Planned) -> int:
    return max(_LEAST_STEP, min(_STEP, planned.predownload))


def _first_samples(cache: ShardCache, table: ShardTable, blocks: _Blocks, count: int) -> FirstSamples | None:
    """Ask for the samples of the first batch by themselves, where that is worth it."""
    ids, shards = blocks.get(0, count)
    real = ids >= 0
    ids, shards = ids[real], shards[real]
    first = FirstSamples(cache, shards, table.indexes_in(shards, ids))
    if not first:
        return None
    first.wait(_HEAD_START_S)
    return first


class _Blocks:
    """The worker's sample ids and their shards, made a block at a time and dropped behind the reader."""

    def __init__(self, planned: Planned, table: ShardTable) -> None:
        self._ids = planned.ids
        self.time = planned.plan.time
        self._table = table
        self._length = len(planned.ids)
        self._most = planned.block
        self._blocks: dict[int, tuple[int, Ints, Ints]] = {}

    def __len__(self) -> int:
        return self._length

    def get(self, begin: int, end: int) -> tuple[Ints, Ints]:
        """Return ids and shards (-1 for padding) of positions ``[begin, end)``."""
        parts: list[tuple[Ints, Ints]] = []
        while not parts or begin < end:
            first, stop = _block_at(begin, self._most)
            ids, shards = self._block(first, stop)
            parts.append((ids[begin - first : end - first], shards[begin - first : end - first]))
            begin = stop
        if len(parts) == 1:
            return parts[0]
        return np.concatenate([ids for ids, _ in parts]), np.concatenate([shards for _, shards in parts])

    def further(self, ids: Ints, shards: Ints) -> Iterator[Ints]:
        """Yield the shards that samples need besides their own."""
        return self._table.further_shards(ids, shards)

    def become(self, planned: Planned) -> None:
        """Take other samples from now on, at the same times."""
        self._ids = planned.ids
        self._blocks.clear()

    def forget(self, position: int) -> None:
        """Drop the blocks that lie wholly before a position."""
        for begin, (stop, _, _) in list(self._blocks.items()):
            if stop <= position:
                del self._blocks[begin]

    def _block(self, begin: int, stop: int) -> tuple[Ints, Ints]:
        block = self._blocks.pop(begin, None)
        if block is None:
            if len(self._blocks) >= _MOST_BLOCKS:
                del self._blocks[next(iter(self._blocks))]
            ids = self._ids.ids(begin, min(stop, self._length))
            shards = np.where(ids >= 0, self._table.shards_of(np.maximum(ids, 0)), -1)
            block = stop, ids, shards
        self._blocks[begin] = block  # the last, since those that were used last are kept
        return block[1], block[2]


def _block_at(position: int, most: int) -> tuple[int, int]:
    """Return where the block around a position begins and ends. Blocks grow from the first size to the last."""
    if position >= most or most <= _FIRST_BLOCK:
        begin = position - position % most
        return begin, begin + most
    if position < _FIRST_BLOCK:
        return 0, _FIRST_BLOCK
    begin = 1 << position.bit_length() - 1
    return begin, 2 * begin
