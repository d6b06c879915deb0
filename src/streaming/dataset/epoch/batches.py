"""One worker's batches, made from samples that are still in their shards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from streaming.cache.cache import ShardCache
from streaming.cache.reading.gather import get_many
from streaming.core.process.ledger import DECODE, LEDGERS
from streaming.dataset.epoch.iterate import Planned, Step, steps
from streaming.dataset.epoch.progress import Progress
from streaming.dataset.shards import ShardTable

__all__ = ["Collator", "iterate_batches"]

Ints = NDArray[np.int64]
T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Collator(Protocol[T_co]):
    """Makes batches."""

    #: Whether a last batch of fewer samples is left out.
    drop_last: bool

    def of_shards(self, cache: ShardCache, places: Sequence[tuple[Ints, Ints]]) -> T_co:
        """Return the batch of ``k`` samples, each made of what is at these places: shards and indexes, ``int64[k]`` both."""
        ...

    def of_samples(self, samples: list[Any]) -> T_co:
        """Return the batch of samples that are at hand."""
        ...


def iterate_batches(
    cache: ShardCache, table: ShardTable, planned: Planned, progress: Progress, collator: Collator[T]
) -> Iterator[T]:
    """Yield the batches of one worker in order: what a ``DataLoader`` makes of its samples.

    Args:
        cache: The dataset's shards.
        table: Where its samples lie.
        planned: What the worker reads in this epoch.
        progress: Where samples are counted, each batch before it is handed out.
        collator: Makes a batch.

    Raises:
        StreamingError: A shard could not be fetched or read.
    """
    start, count, size = progress.start, progress.yielded, planned.batch_size
    left: Step | None = None
    ledger = LEDGERS.own
    ledger.begin(is_first=True)
    for step in steps(cache, table, planned, size, by_id=table.links is not None):
        batch = None
        if ledger.asks:
            ledger.enter(DECODE)
        if step.first is not None and left is None and len(step.ids) == size:
            first = step.first
            pairs = zip(step.shards.tolist(), step.indexes.tolist(), strict=True)
            batch = collator.of_samples([first.get(shard, index) for shard, index in pairs])
        else:
            left = step if left is None else _both(left, step)
            if len(left.ids) >= size:
                batch = _batch(cache, table, collator, _part(left, slice(size)))
                left = _part(left, slice(size, None)) if len(left.ids) > size else None
        if batch is not None:
            count += size
            if progress.start is start:  # else another iteration has begun
                progress.yielded = count
            yield batch
            if ledger.is_closed:
                ledger.begin()
    if left is not None and len(left.ids) and not collator.drop_last:
        if progress.start is start:
            progress.yielded = count + len(left.ids)
        yield _batch(cache, table, collator, left)


def _batch(cache: ShardCache, table: ShardTable, collator: Collator[T], step: Step) -> T:
    if table.links is None:
        return collator.of_shards(cache, [(step.shards, step.indexes)])
    rows = table.places(step.ids, step.shards)
    further = table.links.places(*rows)
    if further is None:
        samples = get_many(cache, step.shards, step.indexes)
        return collator.of_samples(table.links.complete_all(cache, samples, *rows))
    return collator.of_shards(cache, [(step.shards, step.indexes), *further])


def _part(step: Step, part: slice) -> Step:
    return Step(step.ids[part], step.shards[part], step.indexes[part], None)


def _both(one: Step, other: Step) -> Step:
    ids, shards, indexes = (
        np.concatenate(both)
        for both in ((one.ids, other.ids), (one.shards, other.shards), (one.indexes, other.indexes))
    )
    return Step(ids, shards, indexes, None)
