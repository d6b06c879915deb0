"""What an epoch holds, for those who ask before or beside reading it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from streaming.core.arguments import optional_integer
from streaming.core.errors import ConfigError
from streaming.core.world import World
from streaming.dataset.epoch.epochs import Epochs
from streaming.dataset.epoch.ordering import Ordering
from streaming.dataset.ranks import DataRanks
from streaming.order.queries.plan import EpochOrder
from streaming.order.spec import Layout, OrderSpec

if TYPE_CHECKING:
    from streaming.order.queries.inspect import EpochInspector

__all__ = ["Inspection"]

Ints = NDArray[np.int64]


class Inspection:
    """Answers by the order that a dataset is read in.

    Args:
        epochs: Which epoch comes, and what a checkpoint has set.
        ordering: The order.
        ranks: Which ranks get different samples.
    """

    def __init__(self, epochs: Epochs, ordering: Ordering, ranks: DataRanks) -> None:
        self._epochs = epochs
        self._ordering = ordering
        self._ranks = ranks
        self._imbalance: tuple[Any, float | None] = None, None

    def inspector(self, epoch: int | None, num_nodes: int | None, ranks_per_node: int | None) -> EpochInspector:
        """Return the inspector of an epoch; see :meth:`StreamingDataset.inspect_epoch`."""
        from streaming.order.queries.inspect import EpochInspector

        if self._ordering.config.batch_size is None:
            raise ConfigError("batch_size is needed to inspect an epoch: the order of samples depends on it.")
        world = self._ranks.world()
        nodes = optional_integer("num_nodes", num_nodes, 1) or world.num_nodes
        ranks = optional_integer("ranks_per_node", ranks_per_node, 1) or world.ranks_per_node
        asked = optional_integer("epoch", epoch, 0)
        epoch = self._ordering.coming_epoch(self._epochs.next_epoch) if asked is None else asked
        spec = self._spec(epoch, World(nodes, ranks, 1, 0))
        return EpochInspector(spec, epoch, nodes, ranks, self._ordering.spans_reached)

    def imbalance(self) -> float | None:
        """Return how much the rank with most has to do, over the mean, in the next epoch's first window of batches.

        ``None`` where nobody said what samples cost, an order was never asked for, or no batch is full.
        """
        balance, size = self._ordering.balance, self._ordering.config.batch_size
        if balance is None or size is None:
            return None
        world = self._ranks.world()
        key = self._epochs.changes, world.num_nodes, world.ranks_per_node, balance.name
        if self._imbalance[0] != key:
            epoch = self._ordering.coming_epoch(self._epochs.next_epoch)
            order = EpochOrder(self._spec(epoch, world), epoch, Layout(world.num_nodes, world.ranks_per_node, 1))
            batches = min(balance.batches, order.whole_batches)
            loads = np.zeros((batches, world.num_ranks))
            for node in range(world.num_nodes if batches else 0):
                costs = balance.costs[order.ids_of_node(node, batches)]
                loads[:, node :: world.num_nodes] = costs.reshape(batches, size, -1).sum(1, np.float64)
            mean = np.maximum(loads.mean(1), 1e-9)
            self._imbalance = key, float((loads.max(1) / mean).mean()) if batches else None
        return self._imbalance[1]

    def draws(self, epoch: int, stream_id: int | None) -> tuple[Ints, Ints]:
        """Return which samples an epoch draws; see :meth:`StreamingDataset.resample_streams`."""
        from streaming.order.classic.resampling import resample

        if self._ordering.mixture is not None:
            raise ConfigError(
                "What an epoch of a schedule draws is not laid out before it is shuffled: use inspect_epoch."
            )
        units, ids = resample(self._spec(epoch, self._ranks.world()), epoch, stream_id)
        if ids is None:
            ids = np.arange(int(units.sum()))
        return units, ids.astype(np.int64)

    def work(self, world: World, epoch: int, sample_in_epoch: int, batching_method: str | None) -> Ints:
        """Return the sample ids of every worker; see :meth:`StreamingDataset.epoch_work`."""
        if self._ordering.is_endless:
            raise ConfigError("The epoch has no end, so that its work has none: use inspect_epoch, or give epoch_size.")
        spec = self._spec(epoch, world)
        if batching_method is not None:
            spec = replace(spec, batching_method=batching_method)
        layout = Layout(world.num_nodes, world.ranks_per_node, world.workers_per_rank)
        order = EpochOrder(spec, epoch, layout)
        shape = layout.num_nodes, layout.ranks_per_node, layout.workers_per_rank
        every = [order.worker_ids(node, rank, worker, sample_in_epoch) for node, rank, worker in np.ndindex(*shape)]
        batches = max(map(len, every)) // spec.batch_size
        work = np.full((len(every), batches * spec.batch_size), -1, np.int64)
        for row, ids in zip(work, every, strict=True):
            row[: len(ids)] = ids.ids(0, len(ids))
        return work.reshape(*shape, batches, spec.batch_size)

    def _spec(self, epoch: int, world: World) -> OrderSpec:
        return self._ordering.spec(self._epochs.pending(epoch).settings, world)
