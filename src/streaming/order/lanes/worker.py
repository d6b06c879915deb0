"""Which positions of an epoch one worker serves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError
from streaming.order.spec import Layout

__all__ = ["WorkerPositions", "in_blocks"]

_Ints = NDArray[np.int64]

#: Positions worked on at a time: so many that calls cost little, so few that arrays stay in the processor's cache.
_BLOCK = 16384


def in_blocks(positions: _Ints, total: int, block_ids: Callable[[_Ints], _Ints]) -> _Ints:
    """Return the sample ids at positions of an epoch of ``total``, -1 where a position is -1.

    Args:
        positions: ``int64[I]``, each in ``[0, total)``, or -1.
        total: Positions of the epoch.
        block_ids: Returns the ids at a few positions, of which none is -1.

    Raises:
        ConfigError: A position is past the end of the epoch.
    """
    if not len(positions):
        return np.empty(0, np.int64)
    if int(positions.max()) >= total:
        raise ConfigError(f"Position {int(positions.max())} is past the end of the epoch, which has {total}.")
    if int(positions.min()) < 0:
        out = np.full(len(positions), -1, np.int64)
        real = np.flatnonzero(positions >= 0)
        out[real] = in_blocks(positions[real], total, block_ids)
        return out
    if len(positions) <= _BLOCK:
        return block_ids(positions)
    parts = [block_ids(positions[begin : begin + _BLOCK]) for begin in range(0, len(positions), _BLOCK)]
    return np.concatenate(parts)


class WorkerPositions:
    """The positions of one worker, in the order it serves them.

    With ``P`` nodes, ``R`` ranks per node, ``W`` workers per rank and batches of ``B``, slot ``s`` of batch ``b`` of
    worker ``w`` is place ``k = (b * W + w) * B + s`` of its rank, and place ``k`` of rank ``r`` of node ``p`` is position
    ``d + (k * R + r) * P + p``, after the ``d`` samples that are already consumed. All ranks serve equally many samples:
    places past the end of the epoch repeat positions of the last global batch, so that which samples a global batch
    holds never depends on the layout.

    Args:
        total: Positions of the epoch.
        batch_size: Samples of a batch on one rank.
        layout: All workers.
        node: This worker's node.
        rank_of_node: This worker's rank on it.
        worker_of_rank: This worker on that rank.
        sample_in_epoch: Samples already consumed, over all ranks.
    """

    def __init__(
        self,
        total: int,
        batch_size: int,
        layout: Layout,
        node: int,
        rank_of_node: int,
        worker_of_rank: int,
        sample_in_epoch: int = 0,
    ) -> None:
        self._total = total
        self._batch_size = batch_size
        self._stride = layout.num_ranks
        self._begin = sample_in_epoch
        self._first = sample_in_epoch + rank_of_node * layout.num_nodes + node
        self._workers = layout.workers_per_rank
        self._worker = worker_of_rank
        left = max(total - sample_in_epoch, 0)
        self._per_rank = -(-left // self._stride)
        rows = -(-self._per_rank // (self._workers * batch_size))
        self._length = rows * batch_size
        self._last_batch = sample_in_epoch + left // (self._stride * batch_size) * self._stride * batch_size

    def __len__(self) -> int:
        """Return the number of slots, the same for all workers; some at the end may be empty."""
        return self._length

    def positions(self, start: int, stop: int) -> _Ints:
        """Return the positions of slots ``[start, stop)``, -1 where a slot is empty."""
        stop = min(stop, self._length)
        slot = np.arange(start, max(start, stop), dtype=np.int64)
        batch, slot = np.divmod(slot, self._batch_size)
        place = (batch * self._workers + self._worker) * self._batch_size + slot
        position = self._first + place * self._stride
        over = np.flatnonzero(position >= self._total)
        if len(over):
            low = self._last_batch
            size = max(self._total - low, 1)
            repeated = low + (position[over] - low) % size
            position[over] = np.where(place[over] < self._per_rank, repeated, -1)
        return position
