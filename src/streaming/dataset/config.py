"""The arguments of a dataset, turned once into frozen, validated values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from streaming.core.arguments import as_integer, as_text, optional_integer
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
        for name in ("sampling_method", "partition_algo", "batching_method"):
            as_text(name, getattr(self, name))
        if self.sampling_method not in SAMPLING_METHODS:
            raise ConfigError(
                f"sampling_method must be one of {', '.join(SAMPLING_METHODS)}, got {self.sampling_method!r}."
            )
        if self.shuffle_algo is not None:
            shuffle_algos[as_text("shuffle_algo", self.shuffle_algo)]
        partition_algos[self.partition_algo]
        batching_methods[self.batching_method]
        as_integer("sampling_granularity", self.sampling_granularity, 1)
        as_integer("shuffle_seed", self.shuffle_seed, 0)
        for name in ("num_canonical_nodes", "batch_size", "shuffle_block_size", "replication", "epoch_size"):
            optional_integer(name, getattr(self, name), 1)


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
        as_integer("predownload", self.predownload, 0)
        optional_integer("cache_limit", self.limit, 1)


def parse_epoch_size(value: int | float | str | None) -> int | None:
    """Read ``epoch_size``; nothing, 0 and ``''`` mean the natural size.

    Raises:
        ConfigError: It is negative or not a count.
    """
    return _parse("epoch_size", value, number_abbrev_to_int)


def parse_cache_limit(value: int | float | str | None) -> int | None:
    """Read ``cache_limit``; nothing, 0 and ``''`` mean no limit.

    Raises:
        ConfigError: It is negative or not a byte count.
    """
    return _parse("cache_limit", value, bytes_to_int)


def _parse(name: str, value: int | float | str | None, parse: Callable[[int | float | str], int]) -> int | None:
    if value is None or value == "" or (value == 0 and value is not False):
        return None
    try:
        number = parse(value)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from None
    return as_integer(name, number, 0 if isinstance(value, str) else 1) or None
