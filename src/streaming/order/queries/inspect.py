"""Ask the order: what is in a batch, where a sample comes, what a node needs when.

The same code that trains answers, so that a loss spike can be traced to its data, and a plan made before a run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError
from streaming.order.queries.plan import EpochOrder, WorkerIds
from streaming.order.spec import Layout, OrderSpec

__all__ = ["EpochInspector", "Place", "ShardNeeds", "StreamShare"]

Ints = NDArray[np.int64]
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Place:
    """Where in an epoch a sample is served.

    Attributes:
        batch: Global batch, from 0.
        rank: Rank among those that get different samples.
        slot: Place in that rank's batch.
    """

    batch: int
    rank: int
    slot: int


@dataclass(frozen=True)
class StreamShare:
    """What a stream has in a mixture that changes, at a global batch.

    Attributes:
        weight: Its share of the batch.
        given: Samples that it has given before, from the beginning of the run.
        repeats: How often each of its samples was given by then: ``given`` over its size.
    """

    weight: float
    given: int
    repeats: float


@dataclass(frozen=True, eq=False)
class ShardNeeds:
    """Which shards are needed and when, by first need. Legend: X shards.

    Attributes:
        shards: ``int64[X]``.
        first_batch: ``int64[X]``, global batch that needs the shard first.
        last_batch: ``int64[X]``, global batch that needs it last.
    """

    shards: Ints
    first_batch: Ints
    last_batch: Ints

    def max_open(self) -> int:
        """Return how many of the shards are needed at once, at most: what a cache must be able to hold."""
        if not len(self.shards):
            return 0
        begin, end = int(self.first_batch.min()), int(self.last_batch.max()) + 2
        change = np.zeros(end - begin, np.int64)
        np.add.at(change, self.first_batch - begin, 1)
        np.add.at(change, self.last_batch + 1 - begin, -1)
        return int(np.cumsum(change).max())


class EpochInspector:
    """The order of one epoch, batch by batch.

    Args:
        spec: The order.
        epoch: The epoch.
        num_nodes: Nodes.
        ranks_per_node: Ranks a node that get different samples.
        reach: Returns spans of time in which shards are read, from those in which samples of shards are served: where
            samples have something of several.
    """

    def __init__(
        self,
        spec: OrderSpec,
        epoch: int,
        num_nodes: int,
        ranks_per_node: int,
        reach: Callable[[tuple[Ints, Ints, Ints]], tuple[Ints, Ints, Ints]] | None = None,
    ) -> None:
        self._reach = reach
        self.spec = spec
        self.epoch = epoch
        self.layout: Layout = Layout(num_nodes, ranks_per_node, 1)
        self._order = EpochOrder(spec, epoch, self.layout)
        self._ranks: dict[int, WorkerIds] = {}

    @property
    def global_batch_size(self) -> int:
        """Samples of a batch over all ranks."""
        return self._order.global_batch

    @property
    def num_batches(self) -> int:
        """Global batches of the epoch."""
        return len(self._rank(0)) // self.spec.batch_size

    def batch(self, batch: int) -> Ints:
        """Return the samples of a global batch.

        Args:
            batch: Global batch, from 0; negative from the end.

        Returns:
            ``int64[ranks, batch_size]``, sample ids, -1 where a rank's last batch is short.

        Raises:
            IndexError: There is no such batch.
        """
        total = self.num_batches
        index = batch + total if batch < 0 else batch
        if not 0 <= index < total:
            raise IndexError(f"Batch {batch} is out of range for an epoch of {total} global batches.")
        size = self.spec.batch_size
        return np.stack(
            [self._rank(rank).ids(index * size, (index + 1) * size) for rank in range(self.layout.num_ranks)]
        )

    def loads(self, batch: int) -> NDArray[np.float64]:
        """Return what the ranks have to do at a global batch of the epoch, of a dataset that is balanced.

        Args:
            batch: Global batch, from 0; negative from the end.

        Returns:
            ``float64[ranks]``, the costs of each rank's samples, summed.

        Raises:
            ConfigError: Nobody said what a sample costs.
            IndexError: There is no such batch.
        """
        if self.spec.balance is None:
            raise ConfigError("What samples cost is not known: give the loader a balance.")
        ids = self.batch(batch)
        return np.where(ids >= 0, self.spec.balance.costs[np.maximum(ids, 0)], 0).sum(1, np.float64)

    def streams(self, batch: int) -> list[StreamShare]:
        """Return what each stream has at a global batch of the epoch, of a dataset with a schedule (``mix``).

        Args:
            batch: Global batch, from 0; the number of batches for the end of the epoch.

        Raises:
            ConfigError: There is no schedule.
            IndexError: There is no such batch.
        """
        scheduled = self._order.scheduled
        if scheduled is None:
            raise ConfigError("The streams' shares are the same all the time: the dataset has no schedule (mix).")
        if not 0 <= batch <= self.num_batches:
            raise IndexError(f"Batch {batch} is out of range for an epoch of {self.num_batches} global batches.")
        position = scheduled.begin + batch * self.global_batch_size
        given, weights = scheduled.route.given(position), scheduled.route.weights(position)
        sizes = np.maximum(self.spec.samples_per_stream, 1)
        rows = zip(weights.tolist(), given.tolist(), (given / sizes).tolist(), strict=True)
        return [StreamShare(weight, count, repeats) for weight, count, repeats in rows]

    def find(self, sample_id: int, end: int | None = None) -> list[Place]:
        """Return where a sample is served, in the order of batches: nowhere, once, or oftener.

        Constant cost for lanes; a search through the epoch for classic orders.

        Args:
            sample_id: The sample.
            end: Global batch before which to look, by default the end of the epoch.

        Raises:
            ConfigError: There is no such sample, or the epoch has no end and ``end`` is not given.
        """
        if end is not None:
            return [place for place in self._find(sample_id, end) if place.batch < end]
        return self._find(sample_id, None)

    def _find(self, sample_id: int, end: int | None) -> list[Place]:
        if not 0 <= sample_id < self.spec.num_samples:
            raise ConfigError(f"There is no sample {sample_id}; the dataset has {self.spec.num_samples}.")
        if self._order.lanes is None:
            return self._search(sample_id)
        places: list[Place] = []
        stop = None if end is None else end * self.global_batch_size
        for position in self._order.lanes.positions(sample_id, stop).tolist():
            place, owner = divmod(position, self.layout.num_ranks)
            rank_of_node, node = divmod(owner, self.layout.num_nodes)
            batch, slot = divmod(place, self.spec.batch_size)
            places.append(Place(batch, node * self.layout.ranks_per_node + rank_of_node, slot))
        return places

    def shards_needed(self, begin: int = 0, end: int | None = None, node: int | None = None) -> ShardNeeds:
        """Return which shards a node needs for global batches ``[begin, end)``, and when.

        Args:
            begin: First global batch.
            end: One past the last, by default the end of the epoch.
            node: Node; by default all together.

        Raises:
            ConfigError: The epoch has no end and ``end`` is not given.
        """
        if end is None and self._order.scheduled is not None and self._order.scheduled.is_endless:
            raise ConfigError("The epoch has no end: say up to which global batch.")
        stop = self.num_batches if end is None else min(end, self.num_batches)
        per_node = self.layout.ranks_per_node
        ranks = range(self.layout.num_ranks) if node is None else range(node * per_node, (node + 1) * per_node)
        first = np.full(self.spec.num_shards, np.iinfo(np.int64).max, np.int64)
        last = np.full(self.spec.num_shards, -1, np.int64)
        size = self.spec.batch_size
        ends = self.spec.sample_offset_per_shard[1:]
        for rank in ranks:
            for low in range(begin * size, stop * size, _CHUNK):
                slots = np.arange(low, min(low + _CHUNK, stop * size))
                ids = self._rank(rank).ids(low, int(slots[-1]) + 1)
                real = ids >= 0
                shards, batches = np.searchsorted(ends, ids[real], side="right"), slots[real] // size
                np.minimum.at(first, shards, batches)
                np.maximum.at(last, shards, batches)
        needed = np.flatnonzero(last >= 0)
        needed = needed[np.argsort(first[needed], kind="stable")]
        spans = needed, first[needed], last[needed]
        return ShardNeeds(*(spans if self._reach is None else self._reach(spans)))

    def _rank(self, rank: int) -> WorkerIds:
        known = self._ranks.get(rank)
        if known is None:
            node, rank_of_node = divmod(rank, self.layout.ranks_per_node)
            known = self._ranks[rank] = self._order.worker_ids(node, rank_of_node, 0)
        return known

    def _search(self, sample_id: int) -> list[Place]:
        size = self.spec.batch_size
        places: list[Place] = []
        for rank in range(self.layout.num_ranks):
            ids = self._rank(rank)
            for low in range(0, len(ids), _CHUNK):
                for at in np.flatnonzero(ids.ids(low, low + _CHUNK) == sample_id).tolist():
                    batch, slot = divmod(low + at, size)
                    places.append(Place(batch, rank, slot))
        return sorted(places, key=lambda place: (place.batch, place.rank, place.slot))
