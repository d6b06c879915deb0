"""A worker's plan: when its node reads from which shards, in this epoch and the next."""

from __future__ import annotations

import threading
from collections.abc import Callable
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from streaming.cache.planning.needs import NEVER, Needs
from streaming.core.world import World
from streaming.dataset.epoch.epochs import Start
from streaming.dataset.shards import ShardTable
from streaming.order.queries.needs import node_spans
from streaming.order.queries.plan import EpochOrder
from streaming.order.skips import Skips

__all__ = ["WorkerPlan"]

Ints = NDArray[np.int64]

#: Time between the beginnings of two epochs: more than any epoch has samples.
_EPOCH = 1 << 44


class WorkerPlan:
    """What :class:`streaming.cache.planning.needs.Plan` asks for.

    Args:
        order: Returns the order of an epoch.
        name: What the order depends on, as text: readers of one name are compared.
        start: Where in which epoch reading begins.
        world: This worker, ranks with equal samples counted once.
        batch_size: Samples of a batch on one rank.
        table: Which further shards are read with those of the order.
        done: Slots that this worker served before its iteration began.
    """

    def __init__(
        self,
        order: Callable[[int], EpochOrder],
        name: str,
        start: Start,
        world: World,
        batch_size: int,
        table: ShardTable,
        done: int = 0,
    ) -> None:
        self._table = table
        self._order = order
        self._epoch = start.epoch
        self._begin = start.sample_in_epoch
        self._skips = Skips(start.skips)
        self._world = world
        self._batch_size = batch_size
        self._done = done
        self._lock = threading.Lock()
        self._needs: Needs | None = None
        self._planned_to = 0
        is_first = start.epoch == 0 or start.sample_in_epoch > 0
        self.speaks: bool = is_first and world.worker_of_rank == 0 and world.rank_of_node == 0
        text = f"{name}|{world.num_nodes}|{world.node}|{world.num_ranks}|{batch_size}"
        self.key: int = int.from_bytes(blake2b(text.encode(), digest_size=7).digest(), "little") + 1

    def time(self, position: int) -> int:
        """Return the time at which a slot is served: samples of all ranks together, each epoch from a round number."""
        world = self._world
        batch, slot = divmod(position + self._done, self._batch_size)
        batch = batch * max(world.workers_per_rank, 1) + world.worker_of_rank
        return self._epoch * _EPOCH + self._begin + (batch * self._batch_size + slot) * world.num_ranks

    def needs(self, now: int = 0) -> Needs:
        """Return the node's needs in this epoch, and in the next if it can be known; of a schedule, as far as is planned."""
        with self._lock:
            if self._needs is None or now > self._planned_to:
                self._needs = self._find(max(self._begin, now - self._epoch * _EPOCH))
            return self._needs

    def _find(self, begin: int) -> Needs:
        this = self._order(self._epoch)
        node = self._world.node
        spans = [_at(self._epoch, self._table.spans(node_spans(this, node, begin, self._skips)))]
        self._planned_to = NEVER
        if this.scheduled is not None and this.scheduled.planned_to(begin) < this.scheduled.total:
            # By the middle of what is planned, it is planned anew.
            self._planned_to = self._epoch * _EPOCH + (begin + this.scheduled.planned_to(begin)) // 2
        elif this.lanes is not None:  # else it is too costly to know beforehand
            following = self._order(self._epoch + 1)
            spans.append(_at(self._epoch + 1, self._table.spans(node_spans(following, node, 0, Skips(())))))
        shards, first, last = (np.concatenate(column) for column in zip(*spans, strict=True))
        return Needs(self._table.num_shards, shards, first, last)


def _at(epoch: int, spans: tuple[Ints, Ints, Ints]) -> tuple[Ints, Ints, Ints]:
    shards, first, last = spans
    return shards, first + epoch * _EPOCH, last + epoch * _EPOCH
