"""One epoch of a classic order with random batching: one array of ids, and a closed form for who reads what."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streaming.order.classic.partition import Partition, make_partition
from streaming.order.classic.resampling import resample
from streaming.order.classic.shuffle import get_shuffle
from streaming.order.spec import Layout, OrderSpec

__all__ = ["ClassicEpoch", "ClassicWorkerIds", "epoch_ids", "partition_of"]


def epoch_ids(spec: OrderSpec, epoch: int) -> NDArray[np.int64] | None:
    """Return the sample id at each place of the epoch's layout.

    Args:
        spec: The order.
        epoch: The epoch.

    Returns:
        ``int64[epoch_size]``, or ``None`` when place and id are the same (no shuffle, every sample once).
    """
    units, ids = resample(spec, epoch)
    if not spec.shuffle:
        return ids
    order = get_shuffle(
        spec.shuffle_algo,
        units,
        spec.num_canonical_nodes,
        spec.shuffle_seed,
        epoch,
        spec.shuffle_block_size,
    )
    return order if ids is None else ids[order]


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

    def __init__(self, spec: OrderSpec, epoch: int, ids: NDArray[np.int64] | None = None) -> None:
        self.spec = spec
        self.epoch = epoch
        self.ids = epoch_ids(spec, epoch) if ids is None else ids

    def worker_ids(
        self, layout: Layout, node: int, rank_of_node: int, worker_of_rank: int, sample_in_epoch: int
    ) -> ClassicWorkerIds:
        """Return the sample ids of one worker."""
        partition = partition_of(self.spec, layout, sample_in_epoch)
        return ClassicWorkerIds(partition, self.ids, self.spec.batch_size, node, rank_of_node, worker_of_rank)

    def work(self, layout: Layout, sample_in_epoch: int) -> NDArray[np.int64]:
        """Return the sample ids of every slot: ``int64[P, R, W, batches, B]``, -1 for padding."""
        partition = partition_of(self.spec, layout, sample_in_epoch)
        shape = (
            layout.num_nodes,
            layout.ranks_per_node,
            layout.workers_per_rank,
            partition.num_batches,
            self.spec.batch_size,
        )
        axes = np.ogrid[tuple(slice(0, extent) for extent in shape)]
        places = np.broadcast_to(partition.places(*axes), shape)
        return _looked_up(self.ids, places)


class ClassicWorkerIds:
    """The sample ids of one worker, a range at a time."""

    def __init__(
        self,
        partition: Partition,
        ids: NDArray[np.int64] | None,
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
        return _looked_up(self._ids, self._partition.places(node, rank, worker, batch, slot))


def _looked_up(ids: NDArray[np.int64] | None, places: NDArray[np.int64]) -> NDArray[np.int64]:
    if ids is None:
        return places.astype(np.int64)
    return np.where(places >= 0, ids[places], -1)
