"""One way to ask any order: which samples one worker serves, and which a global batch holds."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError
from streaming.order.balance.epoch import BalancedEpoch
from streaming.order.lanes import VERSION as LANES_VERSION
from streaming.order.lanes.epoch import LanesEpoch
from streaming.order.schedule.epoch import ScheduledEpoch
from streaming.order.skips import Kept, Skips
from streaming.order.spec import Layout, OrderSpec

if TYPE_CHECKING:
    from streaming.order.classic.epoch import ClassicEpoch

__all__ = ["EpochOrder", "Listed", "WorkerIds", "is_materialised", "order_version", "worker_ids"]

Ints = NDArray[np.int64]

_LANES = "lanes"
_NO_SKIPS = Skips(())


class WorkerIds(Protocol):
    """The sample ids of one worker in one epoch."""

    def __len__(self) -> int:
        """Return the number of slots, padding included."""
        ...

    def ids(self, start: int, stop: int) -> Ints:
        """Return the sample ids of slots ``[start, stop)``, -1 for padding."""
        ...


def order_version(algo: str) -> int:
    """Return the version of an order. Orders are frozen once released; another one is another name or version."""
    return LANES_VERSION if algo == _LANES else 1


def is_materialised(spec: OrderSpec) -> bool:
    """Say whether an epoch of this order is an array of all its samples, which processes had better share."""
    identity = not spec.shuffle and np.array_equal(spec.choose, spec.samples_per_stream)
    return spec.shuffle_algo != _LANES and spec.batching_method == "random" and not identity


class EpochOrder:
    """The order of one epoch.

    Args:
        spec: The order.
        epoch: The epoch.
        layout: Nodes, ranks and workers; ranks that get the same samples count once.
        ids: The array of a materialised epoch (:func:`streaming.order.classic.epoch.epoch_ids`), if it is at hand.

    Raises:
        ConfigError: The order does not exist for this layout.
    """

    def __init__(self, spec: OrderSpec, epoch: int, layout: Layout, ids: Ints | None = None) -> None:
        self.spec = spec
        self.epoch = epoch
        self.layout = layout
        self.global_batch: int = spec.batch_size * layout.num_ranks
        self.scheduled: ScheduledEpoch | None = ScheduledEpoch(spec, epoch, self.global_batch) if spec.table else None
        self.lanes: LanesEpoch | ScheduledEpoch | BalancedEpoch | None = self.scheduled
        if spec.shuffle_algo == _LANES and self.lanes is None:
            self.lanes = LanesEpoch(spec, epoch, self.global_batch)
        self._classic: ClassicEpoch | None = None
        if self.lanes is None and spec.batching_method == "random":
            from streaming.order.classic.epoch import ClassicEpoch

            self._classic = ClassicEpoch(spec, epoch, ids)
        if spec.balance is not None:
            if self.lanes is None:
                raise ConfigError(f"balance needs the order 'lanes', and shuffle_algo is {spec.shuffle_algo!r}.")
            begin = self.scheduled.begin if self.scheduled else 0
            self.lanes = BalancedEpoch(self.lanes, spec, epoch, begin, layout)

    def for_layout(self, layout: Layout) -> EpochOrder:
        """Return the same order for another layout of as many ranks."""
        other = copy(self)
        other.layout = layout
        if isinstance(self.lanes, BalancedEpoch):
            other.lanes = self.lanes.for_layout(layout)
        return other

    @property
    def whole_batches(self) -> int:
        """Global batches of the epoch that are full."""
        return (self.spec.epoch_size if self.lanes is None else self.lanes.total) // self.global_batch

    def ids_of_node(self, node: int, batches: int) -> Ints:
        """Return what the ranks of a node serve in the epoch's first global batches, of a balanced order.

        Args:
            node: The node.
            batches: So many, each of them full. Legend: M.

        Returns:
            ``int64[M * batch_size * ranks]``, sample ids, the ranks of the node in turn.
        """
        assert isinstance(self.lanes, BalancedEpoch)
        return self.lanes.ids(np.arange(node, batches * self.global_batch, self.layout.num_nodes), node)

    def worker_ids(
        self,
        node: int,
        rank_of_node: int,
        worker_of_rank: int,
        sample_in_epoch: int = 0,
        skips: Skips = _NO_SKIPS,
    ) -> WorkerIds:
        """Return the sample ids of one worker, from where the epoch is resumed.

        Args:
            node: This worker's node.
            rank_of_node: Its rank in the node.
            worker_of_rank: Its place among the rank's workers.
            sample_in_epoch: Samples of the epoch already consumed over all ranks, skipped ones not counted.
            skips: Parts of the epoch that are left out.

        Raises:
            ConfigError: The layout does not fit the order, or the skips do not fit the global batch.
        """
        if not skips:
            return self._worker_ids(self.layout, node, rank_of_node, worker_of_rank, sample_in_epoch)
        alone = Layout(self.layout.num_nodes, self.layout.ranks_per_node, 1)
        rank_ids = self._worker_ids(alone, node, rank_of_node, 0, 0)
        kept = skips.kept_batches(self.global_batch, len(rank_ids) // self.spec.batch_size)
        if sample_in_epoch % self.global_batch:
            raise ConfigError(
                f"With skipped batches, an epoch can only be resumed at a whole global batch of {self.global_batch} samples,"
                f" not after {sample_in_epoch}. Resume with the global batch size of the run that made the checkpoint."
            )
        first = sample_in_epoch // self.global_batch + worker_of_rank
        return _Batches(rank_ids, kept, first, self.layout.workers_per_rank, self.spec.batch_size)

    def _worker_ids(self, layout: Layout, node: int, rank: int, worker: int, sample_in_epoch: int) -> WorkerIds:
        if self.lanes is not None:
            return self.lanes.worker_ids(layout, node, rank, worker, sample_in_epoch)
        if self._classic is not None:
            return self._classic.worker_ids(layout, node, rank, worker, sample_in_epoch)
        from streaming.order.classic.batching import generate_work

        work = generate_work(self.spec, layout, self.epoch, sample_in_epoch)
        return Listed(work[node, rank, worker].reshape(-1))


def worker_ids(
    spec: OrderSpec,
    epoch: int,
    layout: Layout,
    node: int,
    rank_of_node: int,
    worker_of_rank: int,
    sample_in_epoch: int,
) -> WorkerIds:
    """Return the sample ids of one worker; see :class:`EpochOrder`.

    Raises:
        ConfigError: The layout does not fit the order.
    """
    order = EpochOrder(spec, epoch, layout)
    return order.worker_ids(node, rank_of_node, worker_of_rank, sample_in_epoch)


class Listed:
    """Sample ids that lie in an array."""

    def __init__(self, ids: Ints) -> None:
        self._ids = ids

    def __len__(self) -> int:
        return len(self._ids)

    def ids(self, start: int, stop: int) -> Ints:
        """Return the sample ids of slots ``[start, stop)``."""
        return self._ids[start:stop]


class _Batches:
    """Every so many of the batches of a rank that are kept."""

    def __init__(self, rank_ids: WorkerIds, kept: Kept, first: int, stride: int, batch_size: int) -> None:
        self._rank_ids = rank_ids
        self._kept = kept
        self._turns = range(first, len(kept), stride)
        self._batch_size = batch_size

    def __len__(self) -> int:
        return len(self._turns) * self._batch_size

    def ids(self, start: int, stop: int) -> Ints:
        size = self._batch_size
        stop = min(stop, len(self))
        if start >= stop:
            return np.empty(0, np.int64)
        first = start // size
        turns = np.array(self._turns[first : -(-stop // size)], np.int64)
        parts = [self._rank_ids.ids(batch * size, (batch + 1) * size) for batch in self._kept.batches(turns).tolist()]
        return np.concatenate(parts)[start - first * size : stop - first * size]
