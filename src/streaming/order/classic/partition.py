"""How an epoch is split over nodes, ranks and workers.

The split has a closed form: which place of the epoch's layout the ``k``-th sample of a rank is, can be told for any ``k``
alone. The whole five-dimensional table is only built when someone asks for it.

Legend: N samples, C canonical nodes, P nodes, R ranks a node, W workers a rank, B batch size, D samples already consumed.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError
from streaming.order.classic.spans import Ids
from streaming.order.registry import partition_algos

__all__ = ["Partition", "get_partitions", "look_up", "make_partition"]

Ints = NDArray[np.int64]

#: Slots that are looked up at a time.
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Partition:
    """A split of N samples, as the closed form of ``orig``, seen by a world that may differ from the one it was made for.

    Attributes:
        num_samples: N.
        canonical: C.
        nodes: P of the world that the split was made for.
        ranks: R.
        workers: W.
        batch: B of the world that the split was made for.
        drop: D.
        seen_nodes: P of the world that reads.
        seen_batch: B of the world that reads.
    """

    num_samples: int
    canonical: int
    nodes: int
    ranks: int
    workers: int
    batch: int
    drop: int
    seen_nodes: int
    seen_batch: int

    @property
    def _width(self) -> int:
        """Columns of the matrix of canonical nodes, before padding."""
        return -(-self.num_samples // self.canonical)

    @property
    def _pad(self) -> int:
        if self.canonical >= self.nodes:
            return 0
        q = self.nodes // self.canonical
        return -self._width % q

    @property
    def _per_node(self) -> int:
        return (self.canonical * (self._width + self._pad) - self.drop) // self.nodes

    @property
    def per_rank(self) -> int:
        """Samples of each rank."""
        return -(-self._per_node // self.ranks)

    @property
    def num_batches(self) -> int:
        """Batches of each worker."""
        return -(-self.per_rank // (self.workers * self.batch))

    def places(self, node: Ints, rank: Ints, worker: Ints, batch: Ints, slot: Ints) -> Ints:
        """Return the place in the epoch's layout, or -1 for padding, of slots of the reading world.

        Args:
            node: Node of each slot.
            rank: Rank in the node.
            worker: Worker in the rank.
            batch: Batch of the worker.
            slot: Slot of the batch.
        """
        step = batch * self.workers + worker
        if self.seen_nodes == self.nodes and self.seen_batch == self.batch:
            return self._of_rank(node, rank, step * self.batch + slot)
        in_batch = (node * self.ranks + rank) * self.seen_batch + slot
        owner, slot = np.divmod(in_batch, self.batch)
        node, rank = np.divmod(owner, self.ranks)
        return self._of_rank(node, rank, step * self.batch + slot)

    def table(self, ids: Ids | None = None) -> Ints:
        """Return the whole split.

        Args:
            ids: ``int[N]``, the sample id at each place of the epoch's layout; ``None`` for the places themselves.

        Returns:
            ``int64[P, R, W, batches, B]`` of the reading world, -1 for padding.
        """
        shape = (self.seen_nodes, self.ranks, self.workers, self.num_batches, self.seen_batch)
        table = np.empty(shape, np.int64)
        step = max(_BLOCK // (self.seen_nodes * self.ranks * self.workers * self.seen_batch), 1)
        for start in range(0, self.num_batches, step):
            stop = min(start + step, self.num_batches)
            axes = np.ogrid[: shape[0], : shape[1], : shape[2], start:stop, : shape[4]]
            table[:, :, :, start:stop] = look_up(ids, self.places(*axes))
        return table

    def _of_rank(self, node: Ints, rank: Ints, k: Ints) -> Ints:
        per_node, ranks = self._per_node, self.ranks
        y = k * ranks + rank
        short = -per_node % ranks
        if ranks + short - 1 <= per_node:
            y = np.where(y >= per_node, y - ranks - short + 1, y)
        else:
            y = y % max(per_node, 1)
        m = self.drop + y * self.nodes + node
        column, canonical = np.divmod(m, self.canonical)
        width, pad = self._width, self._pad
        if pad:
            q = self.nodes // self.canonical
            column = np.where(column >= width, column - pad - q + 1, column)
        if self._tiled:
            place = (canonical * (width + pad) + column) % self.num_samples
        else:
            begin = canonical * self.num_samples // self.canonical
            end = (canonical + 1) * self.num_samples // self.canonical
            place = np.minimum(begin + column, end - 1)
        return np.where(k < self.per_rank, place, -1)

    @property
    def _tiled(self) -> bool:
        n, c = self.num_samples, self.canonical
        return not (n > c or (n == c and c >= self.nodes))

    def check(self) -> None:
        """Check that the split exists; warn where samples are scarce.

        Raises:
            ConfigError: It does not.
        """
        n, c, p = self.num_samples, self.canonical, self.nodes
        if n <= 0:
            raise ConfigError("There are no samples to split over nodes and ranks.")
        if self._tiled:
            warnings.warn(
                f"The epoch has {n} samples for {c} canonical nodes on {p} nodes; samples are repeated. Use a smaller "
                "num_canonical_nodes or a larger dataset.",
                stacklevel=3,
            )
        elif self._pad and self._width - self._pad - p // c + 1 < 0:
            raise ConfigError(
                f"The epoch's {n} samples are too few to split over {p} nodes with num_canonical_nodes={c}. Use "
                f"num_canonical_nodes={p}, or fewer nodes."
            )


def make_orig(n: int, c: int, p: int, r: int, w: int, b: int, d: int, initial: int | None) -> Partition:
    """Split over nodes of which one count divides the other.

    Raises:
        ConfigError: Neither the canonical nor the physical nodes divide the others.
    """
    del initial
    if (p > c and p % c) or (c > p and c % p):
        raise ConfigError(
            f"num_canonical_nodes={c} and {p} nodes: one must divide the other. Choose another num_canonical_nodes, or "
            "partition_algo='relaxed' when resuming."
        )
    return Partition(n, c, p, r, w, b, d // p * p, p, b)


def make_relaxed(n: int, c: int, p: int, r: int, w: int, b: int, d: int, initial: int | None) -> Partition:
    """Split as :func:`make_orig` for the nodes that the run began with, and deal the batches to those there are now.

    Raises:
        ConfigError: The global batch is not that of the run.
    """
    if initial is None or (p <= c and c % p == 0) or (p > c and p % c == 0):
        return make_orig(n, c, p, r, w, b, d, None)
    total, before = p * r * b, initial * r
    if total % before:
        raise ConfigError(
            f"The global batch of {total} samples ({p} nodes x {r} ranks x batch_size {b}) cannot be split over the "
            f"{initial} nodes that the run began with: keep the global batch size of that run."
        )
    made = make_orig(n, c, initial, r, w, total // before, d, None)
    return Partition(made.num_samples, c, made.nodes, r, w, made.batch, made.drop, p, b)


def make_partition(
    algo: str, n: int, c: int, p: int, r: int, w: int, b: int, drop: int, initial: int | None
) -> Partition:
    """Return the closed form of a split. Arguments as in :func:`get_partitions`.

    Raises:
        ConfigError: The numbers do not fit together.
        UnknownNameError: No such algorithm.
    """
    padded = n + r * p - n % (r * p)
    if padded < drop:
        raise ConfigError(
            f"Resuming after {drop} samples, but the epoch has only {n}. The checkpoint is of a larger epoch."
        )
    make = partition_algos[algo]
    partition: Partition = make(n, c, p, r, w, b, drop, initial)
    partition.check()
    return partition


def get_partitions(
    algo: str,
    num_samples: int,
    num_canonical_nodes: int,
    num_physical_nodes: int,
    ranks_per_node: int,
    workers_per_rank: int,
    batch_size: int,
    drop_first: int = 0,
    initial_physical_nodes: int | None = None,
) -> NDArray[np.int64]:
    """Split an epoch over nodes, ranks, workers and batches.

    Args:
        algo: ``'orig'`` or ``'relaxed'``.
        num_samples: Samples of the epoch.
        num_canonical_nodes: Parts of the dataset.
        num_physical_nodes: Nodes.
        ranks_per_node: Ranks of a node.
        workers_per_rank: Workers of a rank.
        batch_size: Samples of a batch on one rank.
        drop_first: Samples of the epoch that are already consumed.
        initial_physical_nodes: Nodes with which the run began.

    Returns:
        ``int64[P, R, W, batches, B]``, places in the epoch's layout, -1 for padding.

    Raises:
        ConfigError: The numbers do not fit together.
    """
    partition = make_partition(
        algo,
        num_samples,
        num_canonical_nodes,
        num_physical_nodes,
        ranks_per_node,
        workers_per_rank,
        batch_size,
        drop_first,
        initial_physical_nodes,
    )
    return partition.table()


def look_up(ids: Ids | None, places: Ints) -> Ints:
    """Return the sample ids at places of an epoch's layout, -1 for padding. Without ids, places are ids."""
    return places if ids is None else np.where(places >= 0, ids[places], np.int64(-1))
