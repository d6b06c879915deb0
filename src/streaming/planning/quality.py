"""How well an order mixes, by some of its batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streaming.order.balance.epoch import BalancedEpoch
from streaming.planning.demand import Stretch

__all__ = ["Quality", "quality_of"]

Ints = NDArray[np.int64]

#: Batches that are looked at, of all ranks together.
_LOOKED_AT = 4096
_MOST_BATCHES = 128


@dataclass(frozen=True, eq=False)
class Quality:
    """What some global batches draw on. Legend: Q batches.

    Attributes:
        steps: ``int64[Q]``, which steps they are.
        shards: ``int64[Q]``, how many shards each draws on.
        at_random: Shards that it would draw on if its samples were taken of the whole dataset at random.
        same_shard: Share of a rank's neighbouring samples that come of one shard.
        distance: How far the shards of neighbouring samples are apart, over what it would be at random.
    """

    steps: Ints
    shards: Ints
    at_random: float
    same_shard: float
    distance: float

    @property
    def variety(self) -> float:
        """Shards of a batch over those that it would draw on at random."""
        return float(self.shards.mean()) / self.at_random if len(self.shards) and self.at_random else 0.0


def quality_of(stretches: Sequence[Stretch]) -> Quality:
    """Look at some batches of a run, spread evenly.

    Args:
        stretches: The run's parts; the first is looked at.
    """
    stretch = stretches[0]
    order, spec, layout = stretch.order, stretch.order.spec, stretch.order.layout
    count = max(1, min(stretch.steps, _MOST_BATCHES, _LOOKED_AT // layout.num_ranks))
    steps = np.unique(np.linspace(0, stretch.steps - 1, count).astype(np.int64))
    ends = spec.sample_offset_per_shard[1:]
    ids = _batches(stretch, steps)
    shards = np.where(ids < 0, -1, np.searchsorted(ends, ids, side="right"))
    different = [len(np.unique(batch[batch >= 0])) for batch in shards]
    pairs = np.stack([shards[:, :, :-1].ravel(), shards[:, :, 1:].ravel()])
    pairs = pairs[:, (pairs >= 0).all(0)]
    apart = np.abs(pairs[0] - pairs[1])
    shares = spec.samples_per_shard / max(1, spec.num_samples)
    at_random = float((1 - (1 - shares) ** order.global_batch).sum())
    mean = float(apart.mean()) if len(apart) else 0.0
    return Quality(
        stretch.first_step + steps,
        np.array(different, np.int64),
        at_random,
        float((apart == 0).mean()) if len(apart) else 0.0,
        mean / (spec.num_shards / 3) if spec.num_shards > 1 else 0.0,
    )


def _batches(stretch: Stretch, steps: Ints) -> Ints:
    """Return ``int64[Q, R, B]``: what each rank serves in some batches, -1 for nothing."""
    order, layout, size = stretch.order, stretch.order.layout, stretch.order.spec.batch_size
    if order.lanes is not None and not isinstance(order.lanes, BalancedEpoch):
        places = stretch.begin + steps[:, None] * order.global_batch + np.arange(order.global_batch)
        ids = order.lanes.ids(np.where(places < order.lanes.total, places, -1).ravel())
        return ids.reshape(len(steps), size, layout.num_ranks).transpose(0, 2, 1)
    batches = np.full((len(steps), layout.num_ranks, size), -1, np.int64)
    for rank in range(layout.num_ranks):
        ids = order.worker_ids(rank // layout.ranks_per_node, rank % layout.ranks_per_node, 0, stretch.begin)
        for row, step in enumerate(steps.tolist()):
            batch = ids.ids(step * size, (step + 1) * size)
            batches[row, rank, : len(batch)] = batch
    return batches
