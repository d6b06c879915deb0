"""One worker's batches, made from samples that are still in their shards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from streaming.cache.cache import ShardCache
from streaming.dataset.epoch.iterate import Planned, steps
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

    def of_shards(self, cache: ShardCache, shards: Ints, indexes: Ints) -> T_co:
        """Return the batch of the samples at ``indexes`` of ``shards``, ``int64[k]`` both."""
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
    shards = indexes = np.empty(0, np.int64)
    for step in steps(cache, table, planned, size):
        batch = None
        if step.first is not None and not len(shards) and len(step.shards) == size:
            first = step.first
            pairs = zip(step.shards.tolist(), step.indexes.tolist(), strict=True)
            batch = collator.of_samples([first.get(shard, index) for shard, index in pairs])
        elif not len(shards):
            shards, indexes = step.shards, step.indexes
        else:
            shards, indexes = np.concatenate([shards, step.shards]), np.concatenate([indexes, step.indexes])
        if len(shards) >= size:
            batch = collator.of_shards(cache, shards[:size], indexes[:size])
            shards, indexes = shards[size:], indexes[size:]
        if batch is not None:
            count += size
            if progress.start is start:  # else another iteration has begun
                progress.yielded = count
            yield batch
    if len(shards) and not collator.drop_last:
        if progress.start is start:
            progress.yielded = count + len(shards)
        yield collator.of_shards(cache, shards, indexes)
