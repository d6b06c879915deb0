"""The arguments of a dataset as frozen values, by what they are about. Each is checked here, once."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

from streaming.core.arguments import Checked, as_count, as_flag, as_integer, as_text, by, optional_integer
from streaming.core.errors import ConfigError
from streaming.core.names import Where
from streaming.core.units import bytes_to_int
from streaming.dataset.mixing.schedule import Schedule
from streaming.order.defaults import SCHEDULED_ALGO
from streaming.order.registry import batching_methods, partition_algos, shuffle_algos
from streaming.order.schedule.routes import METHODS as SCHEDULED_METHODS
from streaming.storage.options import StorageOptions

__all__ = ["CacheConfig", "OrderConfig", "ParallelConfig", "StreamDefaults", "as_on_error", "parse_epoch_size"]

logger = logging.getLogger(__name__)

SAMPLING_METHODS = ("balanced", "fixed")
ON_ERROR = ("raise", "skip")

#: Samples that are fetched ahead: batches, or samples where batches have no size.
_AHEAD_BATCHES, _AHEAD = 8, 64


def _as_method(name: str, value: Any) -> str:
    if as_text(name, value) not in SAMPLING_METHODS:
        raise ConfigError(f"{name} must be one of {', '.join(SAMPLING_METHODS)}, got {value!r}.")
    return value


def _as_registered(name: str, value: Any, registry: Mapping[str, Any]) -> str:
    registry[as_text(name, value)]
    return value


def _optional_registered(name: str, value: Any, registry: Mapping[str, Any]) -> str | None:
    return None if value is None else _as_registered(name, value, registry)


def _as_schedule(name: str, value: Any) -> Schedule | None:
    if value is not None and not isinstance(value, Schedule):
        raise ConfigError(
            f"{name} must be a Schedule, got {value!r}. Pass mix=Schedule([Phase(0, {{'name': 1.0, ...}}), ...])."
        )
    return value


@dataclass(frozen=True)
class OrderConfig(Checked):
    """What the user said about the order. ``None`` leaves a choice to the run, or to a checkpoint.

    Attributes:
        epoch_size: Samples an epoch draws over all ranks; see :func:`parse_epoch_size`.
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
        mix: How the streams' weights change during the run.

    Raises:
        ConfigError: A value is out of range, or does not go with ``mix``.
        UnknownNameError: No such algorithm or method.
    """

    epoch_size: int | None
    sampling_method: str = field(metadata=by(_as_method))
    sampling_granularity: int = field(metadata=by(as_integer, 1))
    partition_algo: str = field(metadata=by(_as_registered, partition_algos))
    num_canonical_nodes: int | None = field(metadata=by(optional_integer, 1))
    batch_size: int | None = field(metadata=by(optional_integer, 1))
    shuffle: bool = field(metadata=by(as_flag))
    shuffle_algo: str | None = field(metadata=by(_optional_registered, shuffle_algos))
    shuffle_seed: int = field(metadata=by(as_integer, 0))
    shuffle_block_size: int | None = field(metadata=by(optional_integer, 1))
    batching_method: str = field(metadata=by(_as_registered, batching_methods))
    mix: Schedule | None = field(default=None, metadata=by(_as_schedule))

    def __post_init__(self) -> None:
        """Check the fields, and that they go together."""
        super().__post_init__()
        if self.mix is None:
            return
        if self.shuffle_algo not in (None, SCHEDULED_ALGO):
            raise ConfigError(
                f"mix does not go with shuffle_algo={self.shuffle_algo!r}: only {SCHEDULED_ALGO!r}, the default, knows the "
                "sample at any position of a run without laying out an epoch. Leave shuffle_algo out."
            )
        if self.batching_method not in SCHEDULED_METHODS:
            raise ConfigError(
                f"mix does not go with batching_method={self.batching_method!r}, which knows no weights that change. "
                f"Use one of {', '.join(map(repr, SCHEDULED_METHODS))}."
            )


@dataclass(frozen=True)
class CacheConfig:
    """What the user said about the cache. Made by :meth:`of`.

    Attributes:
        predownload: Samples ahead of the one being served whose shards are fetched.
        limit: Bytes that the cache may hold on a node, or ``None``.
    """

    predownload: int
    limit: int | None

    @classmethod
    def of(cls, predownload: int | None, cache_limit: int | float | str | None, batch_size: int | None) -> CacheConfig:
        """Check the arguments, and fill in what is fetched ahead by default.

        Args:
            predownload: As above, or ``None`` for some batches.
            cache_limit: As ``limit``, or text; nothing, 0 and ``''`` mean no limit.
            batch_size: Samples of a batch on each rank.

        Raises:
            ConfigError: A value is out of range.
        """
        limit = _parse_limit(cache_limit)
        given = optional_integer("predownload", predownload, 0)
        if given is None:
            return cls(_AHEAD_BATCHES * batch_size if batch_size else _AHEAD, limit)
        if batch_size is not None and given < batch_size:
            logger.warning(
                "predownload=%d is below batch_size=%d: shards are fetched only when a batch already waits for them.",
                given,
                batch_size,
            )
        return cls(given, limit)


@dataclass(frozen=True)
class ParallelConfig(Checked):
    """What the user said about which ranks get the same samples.

    Attributes:
        replication: Consecutive ranks that get the same samples.
        device_mesh: A ``DeviceMesh``.
        data_parallel_dims: Names of its dimensions over which data is split, outermost first.
        data_parallel_rank: This rank's place among those that get different samples.
        data_parallel_size: How many ranks get different samples.

    Raises:
        ConfigError: A number is not one, or out of range.
    """

    replication: int | None = field(metadata=by(optional_integer, 1))
    device_mesh: Any
    data_parallel_dims: Sequence[str] | None
    data_parallel_rank: int | None = field(metadata=by(optional_integer, 0))
    data_parallel_size: int | None = field(metadata=by(optional_integer, 1))


#: What registered classes of streams need not take.
_OF_STREAMS = ("storage_options", "columns", "format", "schema", "config", "version", "index")


@dataclass(frozen=True)
class StreamDefaults:
    """What the user said for every stream that does not say it itself; each :class:`Stream` checks what it takes.

    Attributes:
        split: Sub-directory that holds the dataset.
        download_retry: Further attempts after a failed download.
        download_timeout: Longest time in seconds without a byte before a download counts as stalled.
        validate_hash: Hash algorithm that every downloaded file must have recorded and match.
        keep_zip: Keep compressed files beside the raw ones.
        storage_options: Settings of the store. Never shown.
        columns: Names of the columns that samples have, or ``None``.
        format: Format of files that are read in place.
        schema: Whether such files must have the same columns.
        config: Which configuration of a dataset of the hub.
        version: Which version of a table.
        index: Where what was found in such files is kept.
    """

    split: Where | None
    download_retry: int
    download_timeout: float
    validate_hash: str | None
    keep_zip: bool
    storage_options: StorageOptions | None = field(repr=False)
    columns: tuple[str, ...] | None = None
    format: str | None = None
    schema: str | None = None
    config: str | None = None
    version: int | str | None = None
    index: Where | None = None

    def of_any_class(self) -> dict[str, Any]:
        """Return, by name, those that every registered class of streams takes."""
        return {name: value for name, value in vars(self).items() if name not in _OF_STREAMS}


def as_on_error(value: Any) -> str:
    """Return a valid ``on_error``.

    Raises:
        ConfigError: It is not one.
    """
    if as_text("on_error", value) not in ON_ERROR:
        raise ConfigError(f"on_error must be one of {', '.join(map(repr, ON_ERROR))}; got {value!r}.")
    return value


def parse_epoch_size(value: int | float | str | None) -> int | None:
    """Read ``epoch_size``; nothing, 0 and ``''`` mean the natural size.

    Raises:
        ConfigError: It is negative or not a count.
    """
    return None if _is_unset(value) else as_count("epoch_size", value, 0 if isinstance(value, str) else 1) or None


def _parse_limit(value: Any) -> int | None:
    if _is_unset(value):
        return None
    try:
        number = bytes_to_int(value)
    except ConfigError as error:
        raise ConfigError(f"cache_limit: {error}") from None
    return as_integer("cache_limit", number, 0 if isinstance(value, str) else 1) or None


def _is_unset(value: Any) -> bool:
    return value is None or (isinstance(value, (str, Real)) and value is not False and value in ("", 0))
