"""One epoch of a classic order: one array of ids, and a closed form for who reads what."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streaming.order.classic.partition import Partition, look_up, make_partition
from streaming.order.classic.resampling import resample
from streaming.order.classic.spans import Ids
from streaming.order.registry import shuffle_algos
from streaming.order.spec import Layout, OrderSpec

__all__ = ["ClassicEpoch", "ClassicWorkerIds", "epoch_ids", "partition_of"]

#: Ids that are composed at a time.
_BLOCK = 1 << 20


def epoch_ids(spec: OrderSpec, epoch: int, stream: int | None = None, block_size: int | None = None) -> Ids | None:
    """Return the sample id at each place of the epoch's layout.

    Args:
        spec: The order.
        epoch: The epoch.
        stream: The stream to lay out, by default all together.
        block_size: Samples among which a sample is shuffled, by default what the order says.

    Returns:
        ``int32[N]`` or, where that is too small for an id, ``int64[N]``; ``None`` when place and id are the same (no
        shuffle, every sample once).

    Raises:
        ConfigError: The numbers do not fit the shuffle, or nothing is drawn.
    """
    units, ids = resample(spec, epoch, stream)
    if not spec.shuffle:
        return ids
    shuffle = shuffle_algos[spec.shuffle_algo]
    block_size = spec.shuffle_block_size if block_size is None else block_size
    order: Ids = shuffle(units, spec.num_canonical_nodes, spec.shuffle_seed, epoch, block_size)
    if ids is None:
        return order
    if ids.dtype.itemsize > order.dtype.itemsize:
        return ids[order]
    for start in range(0, len(order), _BLOCK):
        block = order[start : start + _BLOCK]
        block[:] = ids[block]
    return order


def partition_of(spec: OrderSpec, layout: Layout, sample_in_epoch: int) -> Partition:
    """Return the split of an epoch over a layout."""
    return make_partition(
        spec.partition_algo,
        spec.epoch_size,
        spec.num_canonical_nodes,
        layout.num_nodes,
        layout.ranks_per_node,
        layout.workers_per_rank,
        spec.batch_size,
        sample_in_epoch,
        spec.initial_physical_nodes,
    )


class ClassicEpoch:
    """An epoch of a classic order.

    Args:
        spec: The order; its batching method must be ``'random'``.
        epoch: The epoch.
        ids: What :func:`epoch_ids` returned, if it is at hand (mapped from a file, say).
    """

    def __init__(self, spec: OrderSpec, epoch: int, ids: Ids | None = None) -> None:
        self.spec = spec
        self.epoch = epoch
        self.ids: Ids | None = epoch_ids(spec, epoch) if ids is None else ids

    def worker_ids(
        self, layout: Layout, node: int, rank_of_node: int, worker_of_rank: int, sample_in_epoch: int
    ) -> ClassicWorkerIds:
        """Return the sample ids of one worker."""
        partition = partition_of(self.spec, layout, sample_in_epoch)
        return ClassicWorkerIds(partition, self.ids, self.spec.batch_size, node, rank_of_node, worker_of_rank)

    def work(self, layout: Layout, sample_in_epoch: int) -> NDArray[np.int64]:
        """Return the sample ids of every slot: ``int64[P, R, W, batches, B]``, -1 for padding."""
        return partition_of(self.spec, layout, sample_in_epoch).table(self.ids)


class ClassicWorkerIds:
    """The sample ids of one worker, a range at a time."""

    def __init__(
        self,
        partition: Partition,
        ids: Ids | None,
        batch_size: int,
        node: int,
        rank_of_node: int,
        worker_of_rank: int,
    ) -> None:
        self._partition = partition
        self._ids = ids
        self._batch_size = batch_size
        self._owner = np.array([node, rank_of_node, worker_of_rank], np.int64)

    def __len__(self) -> int:
        return self._partition.num_batches * self._batch_size

    def ids(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return the sample ids of slots ``[start, stop)``, -1 for padding."""
        batch, slot = np.divmod(np.arange(start, min(stop, len(self)), dtype=np.int64), self._batch_size)
        node, rank, worker = self._owner
        return look_up(self._ids, self._partition.places(node, rank, worker, batch, slot))
