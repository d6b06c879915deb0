"""What the order of an epoch depends on, as plain numbers.

Legend: S shards over all streams, K streams.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError
from streaming.order.table import Record

__all__ = ["Balancing", "Layout", "OrderSpec"]


@dataclass(frozen=True)
class Layout:
    """The processes that share an epoch, ranks with equal samples counted once.

    Attributes:
        num_nodes: Physical nodes.
        ranks_per_node: Ranks on each.
        workers_per_rank: Workers of each rank.
    """

    num_nodes: int = 1
    ranks_per_node: int = 1
    workers_per_rank: int = 1

    def __post_init__(self) -> None:
        """Check the counts.

        Raises:
            ConfigError: A count is not positive.
        """
        if min(self.num_nodes, self.ranks_per_node, self.workers_per_rank) < 1:
            raise ConfigError(f"Every count of a layout must be positive, got {self}.")

    @property
    def num_ranks(self) -> int:
        """Ranks over all nodes."""
        return self.num_nodes * self.ranks_per_node


@dataclass(frozen=True, eq=False)
class Balancing:
    """How samples change places, so that every rank has as much to do; see ``order.balance``. Legend: N samples.

    Attributes:
        costs: ``float32[N]``, what each sample costs.
        batches: Global batches of a window.
        local: Whether samples stay on the nodes that would have read them.
        name: Text that is equal for equal costs and rules only.
    """

    costs: NDArray[np.float32]
    batches: int
    local: bool
    name: str


@dataclass(frozen=True, eq=False)
class OrderSpec:
    """Everything that the order of samples depends on, except the epoch and the layout.

    Attributes:
        samples_per_shard: ``int64[S]``, sizes of the shards of all streams, in stream order.
        shards_per_stream: ``int64[K]``.
        choose: ``int64[K]``, samples that an epoch draws from each stream.
        proportion: ``float64[K]``, share of each stream, summing to 1.
        epoch_size: Samples that an epoch draws over all streams.
        batch_size: Samples of a batch on one rank.
        num_canonical_nodes: Parts into which the dataset is cut for shuffling and placing.
        shuffle: Whether to shuffle.
        shuffle_algo: Name of the algorithm.
        shuffle_seed: Seed, not negative.
        shuffle_block_size: Samples among which a sample is shuffled.
        sampling_method: ``'balanced'`` or ``'fixed'``.
        sampling_granularity: Samples drawn from a shard at a time.
        partition_algo: ``'orig'`` or ``'relaxed'``.
        batching_method: ``'random'``, ``'stratified'``, ``'per_stream'`` or ``'device_per_stream'``.
        initial_physical_nodes: Nodes with which the run began, or ``None``.
        table: Weights of the streams by position in the run, in place of ``choose`` and ``proportion``; empty if they are
            the same in every epoch.
        balance: How samples change places in the end, ``None`` if they do not.
    """

    samples_per_shard: NDArray[np.int64]
    shards_per_stream: NDArray[np.int64]
    choose: NDArray[np.int64]
    proportion: NDArray[np.float64]
    epoch_size: int
    batch_size: int
    num_canonical_nodes: int
    shuffle: bool
    shuffle_algo: str
    shuffle_seed: int
    shuffle_block_size: int
    sampling_method: str = "balanced"
    sampling_granularity: int = 1
    partition_algo: str = "relaxed"
    batching_method: str = "random"
    initial_physical_nodes: int | None = None
    table: tuple[Record, ...] = ()
    balance: Balancing | None = None

    def __post_init__(self) -> None:
        """Check that the numbers fit together.

        Raises:
            ConfigError: They do not.
        """
        if int(self.shards_per_stream.sum()) != len(self.samples_per_shard):
            raise ConfigError("shards_per_stream must add up to the number of shards.")
        if not len(self.shards_per_stream) == len(self.choose) == len(self.proportion):
            raise ConfigError("Every stream needs a number of shards, a choose and a proportion.")
        if not self.table and int(self.choose.sum()) != self.epoch_size:
            raise ConfigError("choose must add up to epoch_size.")
        for name in ("batch_size", "num_canonical_nodes", "shuffle_block_size", "sampling_granularity"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be positive, got {getattr(self, name)}.")
        if self.shuffle_seed < 0:
            raise ConfigError(f"shuffle_seed must not be negative, got {self.shuffle_seed}.")

    @property
    def num_streams(self) -> int:
        """Number of streams."""
        return len(self.shards_per_stream)

    @property
    def num_shards(self) -> int:
        """Number of shards over all streams."""
        return len(self.samples_per_shard)

    @cached_property
    def sample_offset_per_shard(self) -> NDArray[np.int64]:
        """``int64[S + 1]``: id of each shard's first sample, and the number of samples."""
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(self.samples_per_shard)])

    @cached_property
    def shard_offset_per_stream(self) -> NDArray[np.int64]:
        """``int64[K + 1]``: first shard of each stream, and the number of shards."""
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(self.shards_per_stream)])

    @cached_property
    def samples_per_stream(self) -> NDArray[np.int64]:
        """``int64[K]``: samples of each stream."""
        return np.diff(self.sample_offset_per_shard[self.shard_offset_per_stream])

    @property
    def num_samples(self) -> int:
        """Different samples over all streams."""
        return int(self.sample_offset_per_shard[-1])

    @property
    def epoch_seed_change(self) -> bool:
        """Whether the number of samples drawn from each shard changes from epoch to epoch."""
        return self.shuffle and self.sampling_method == "balanced"
