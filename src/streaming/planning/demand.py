"""Which shards a node needs, and at which steps, from the order alone. Legend: V spans."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError
from streaming.order.queries.needs import node_spans
from streaming.order.queries.plan import EpochOrder
from streaming.order.skips import Skips

__all__ = ["Demand", "Needed", "Run", "Stretch"]

Ints = NDArray[np.int64]
Spans = tuple[Ints, Ints, Ints]


@dataclass(frozen=True, eq=False)
class Demand:
    """Spans of steps in which a node reads from shards, by their beginning.

    Attributes:
        shards: ``int64[V]``.
        first: ``int64[V]``, step of the run that needs the shard first.
        last: ``int64[V]``, step that needs it last in this span.
    """

    shards: Ints
    first: Ints
    last: Ints


@dataclass(frozen=True, eq=False)
class Needed:
    """What one process needs. Legend: N shards.

    Attributes:
        node: Its node, among those of the order's layout.
        worker: Its place among its rank's workers.
        positions: ``int64[N]``, places among the process's own samples at which each shard is needed first, ascending.
        shards: ``int64[N]``.
    """

    node: int
    worker: int
    positions: Ints
    shards: Ints


@dataclass(frozen=True, eq=False)
class Stretch:
    """A part of a run that lies in one epoch.

    Attributes:
        order: The order of the epoch.
        begin: Samples of the epoch, over all ranks, that are consumed before.
        first_step: Step of the run with which it begins.
        steps: Its steps.
        is_whole: Whether it ends with the epoch.
    """

    order: EpochOrder
    begin: int
    first_step: int
    steps: int
    is_whole: bool


@dataclass(frozen=True, eq=False)
class Run:
    """A run: some epochs, or some steps, from where a dataset would begin.

    Attributes:
        order: Returns the order of an epoch.
        first_epoch: The epoch with which it begins.
        sample_in_epoch: Samples of that which are consumed already, over all ranks.
        skips: Parts of it that are left out.
        spans: Returns when which shards are read, from when samples of shards are served.
        epochs: How many epochs.
        steps: How many steps, instead.
    """

    order: Callable[[int], EpochOrder]
    first_epoch: int
    sample_in_epoch: int
    skips: Skips
    spans: Callable[[Spans], Spans]
    epochs: int | None
    steps: int | None

    def stretches(self) -> list[Stretch]:
        """Return its epochs, or parts of them.

        Raises:
            ConfigError: An epoch has no end, and nobody says how many steps are meant.
        """
        found: list[Stretch] = []
        step, epoch, begin = 0, self.first_epoch, self.sample_in_epoch
        while (self.steps is None or step < self.steps) and (self.epochs is None or len(found) < self.epochs):
            order = self.order(epoch)
            if self.steps is None and order.scheduled is not None and order.scheduled.is_endless:
                raise ConfigError("The epoch has no end (mix without epoch_size): say how many steps are meant.")
            skips = self.skips if epoch == self.first_epoch else Skips(())
            left = len(order.worker_ids(0, 0, 0, begin, skips)) // order.spec.batch_size
            steps = left if self.steps is None else min(left, self.steps - step)
            if not left and epoch > self.first_epoch:
                raise ConfigError("An epoch holds no whole batch: take a smaller batch_size.")
            if steps:
                found.append(Stretch(order, begin, step, steps, steps == left))
            step, epoch, begin = step + steps, epoch + 1, 0
        return found

    def demand(self, stretches: list[Stretch], node: int, ranks: range | None, few: bool) -> Demand:
        """Return what a node needs.

        Args:
            stretches: The run's, all of them.
            node: The node, among those of the order's layout.
            ranks: Those of its ranks that are meant; ``None`` for all.
            few: Whether there are so few samples that each may be looked at, where that says more.
        """
        if ranks is None and few and stretches[0].order.scheduled is not None:
            ranks = range(stretches[0].order.layout.ranks_per_node)
        ranks = ranks if few else None
        parts = [
            part for number, stretch in enumerate(stretches) for part in self._spans(stretch, not number, node, ranks)
        ]
        shards, first, last = (np.concatenate(column) for column in zip(*parts, strict=True))
        turn = np.argsort(first, kind="stable")
        return Demand(shards[turn], first[turn], last[turn])

    def needed(self, stretch: Stretch, workers: int) -> Iterator[Needed]:
        """Look at each sample of a run that is one stretch, and yield what each process needs, rank by rank.

        Args:
            stretch: The run.
            workers: Workers of each rank, 0 for none.
        """
        order, size, workers = stretch.order, stretch.order.spec.batch_size, max(1, workers)
        layout, ends = order.layout, order.spec.sample_offset_per_shard[1:]
        for node, rank in product(range(layout.num_nodes), range(layout.ranks_per_node)):
            ids = order.worker_ids(node, rank, 0, stretch.begin, self.skips).ids(0, stretch.steps * size)
            batches = ids.reshape(-1, size)
            for worker in range(workers):
                own = batches[worker::workers].ravel()
                real = np.flatnonzero(own >= 0)
                served, first = np.unique(np.searchsorted(ends, own[real], side="right"), return_index=True)
                shards, positions, _ = self.spans((served, real[first], real[first]))
                turn = np.lexsort((positions, shards))
                shards, first = np.unique(shards[turn], return_index=True)
                positions = positions[turn][first]
                turn = np.argsort(positions, kind="stable")
                yield Needed(node, worker, positions[turn], shards[turn])

    def _spans(self, stretch: Stretch, is_first: bool, node: int, ranks: range | None) -> Iterator[Spans]:
        order, begin = stretch.order, stretch.begin
        batch = order.global_batch
        skips = self.skips if is_first else Skips(())
        stop = begin + stretch.steps * batch
        if ranks is not None:
            slots = stretch.steps * order.spec.batch_size
            shards, first, last = self.spans(node_spans(order, node, begin, skips, ranks, slots))
            yield shards, stretch.first_step + (first - begin) // batch, stretch.first_step + (last - begin) // batch
            return
        at = begin
        while at < stop:
            shards, first, last = self.spans(node_spans(order, node, at, skips))
            planned = stop
            if order.scheduled is not None:
                planned_to = order.scheduled.planned_to(skips.position_after(at))
                planned = min(stop, int(skips.served_before(np.array([planned_to]))[0]))
            until = max(planned, at + 1)
            kept = np.flatnonzero(first < until)
            first, last = first[kept], np.minimum(last[kept], until - 1)
            yield (
                shards[kept],
                stretch.first_step + (first - begin) // batch,
                stretch.first_step + (last - begin) // batch,
            )
            at = until
