"""The arguments of a dataset, turned once into frozen, validated values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from streaming.core.errors import ConfigError
from streaming.core.units import bytes_to_int, number_abbrev_to_int
from streaming.order.registry import batching_methods, partition_algos, shuffle_algos

__all__ = ["CacheArgs", "OrderArgs", "SAMPLING_METHODS"]

SAMPLING_METHODS = ("balanced", "fixed")


@dataclass(frozen=True)
class OrderArgs:
    """What the user said about the order. ``None`` leaves a choice to the run, or to a checkpoint.

    Attributes:
        epoch_size: Samples an epoch draws over all ranks.
        sampling_method: ``'balanced'`` draws another subset each epoch, ``'fixed'`` the same one.
        sampling_granularity: Samples drawn from a shard at a time.
        partition_algo: How classic orders split the epoch over nodes, ranks and workers.
        num_canonical_nodes: Parts into which the dataset is cut for shuffling and placing.
        batch_size: Samples of a batch on each rank.
        shuffle: Whether to shuffle.
        shuffle_algo: Name of the order.
        shuffle_seed: Seed, not negative.
        shuffle_block_size: Samples among which a sample is shuffled.
        batching_method: How streams are mixed in batches.
        replication: Consecutive ranks that get the same samples.
    """

    epoch_size: int | None
    sampling_method: str
    sampling_granularity: int
    partition_algo: str
    num_canonical_nodes: int | None
    batch_size: int | None
    shuffle: bool
    shuffle_algo: str | None
    shuffle_seed: int
    shuffle_block_size: int | None
    batching_method: str
    replication: int | None

    def __post_init__(self) -> None:
        """Check every value that can be checked without the dataset.

        Raises:
            ConfigError: A value is out of range.
            UnknownNameError: No such algorithm or method.
        """
        if self.sampling_method not in SAMPLING_METHODS:
            raise ConfigError(
                f"sampling_method must be one of {', '.join(SAMPLING_METHODS)}, got {self.sampling_method!r}."
            )
        if self.shuffle_algo is not None:
            shuffle_algos[self.shuffle_algo]
        partition_algos[self.partition_algo]
        batching_methods[self.batching_method]
        _at_least("sampling_granularity", self.sampling_granularity, 1)
        _at_least("shuffle_seed", self.shuffle_seed, 0)
        for name in ("num_canonical_nodes", "batch_size", "shuffle_block_size", "replication"):
            value = getattr(self, name)
            if value is not None:
                _at_least(name, value, 1)
        if self.epoch_size is not None:
            _at_least("epoch_size", self.epoch_size, 1)


@dataclass(frozen=True)
class CacheArgs:
    """What the user said about the cache.

    Attributes:
        predownload: Samples ahead of the one being served whose shards are fetched.
        limit: Bytes that the cache may hold on a node, or ``None``.
    """

    predownload: int
    limit: int | None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: A value is out of range.
        """
        _at_least("predownload", self.predownload, 0)
        if self.limit is not None:
            _at_least("cache_limit", self.limit, 1)


def parse_epoch_size(value: int | float | str | None) -> int | None:
    """Read ``epoch_size``; nothing, 0 and ``''`` mean the natural size.

    Raises:
        ConfigError: It is negative or not a count.
    """
    if not value:
        return None
    size = number_abbrev_to_int(value)
    if size < 0:
        raise ConfigError(f"epoch_size must not be negative, got {value!r}.")
    return size or None


def parse_cache_limit(value: int | float | str | None) -> int | None:
    """Read ``cache_limit``; nothing, 0 and ``''`` mean no limit.

    Raises:
        ConfigError: It is negative or not a byte count.
    """
    if not value:
        return None
    return bytes_to_int(value) or None


def _at_least(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{name} must be an integer, got {value!r}.")
    if value < least:
        raise ConfigError(f"{name} must be at least {least}, got {value}.")
