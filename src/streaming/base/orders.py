"""Shuffles, partitions and batching by the names and arguments that user code knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from functools import partial
from itertools import pairwise
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import UnknownNameError
from streaming.core.world import World
from streaming.order.classic import partition as classic
from streaming.order.classic.shuffle import get_shuffle
from streaming.order.classic.spans import divide_runs
from streaming.order.registry import batching_methods as _batching
from streaming.order.registry import partition_algos

__all__ = [
    "algos",
    "batching_methods",
    "divide_spans",
    "generate_work",
    "generate_work_device_per_stream_batching",
    "generate_work_per_stream_batching",
    "generate_work_random_batching",
    "generate_work_stratified_batching",
    "get_partitions",
    "get_partitions_orig",
    "get_partitions_relaxed",
    "get_shuffle_naive",
    "get_shuffle_py1br",
    "get_shuffle_py1e",
    "get_shuffle_py1s",
    "get_shuffle_py2s",
]

Ints = NDArray[np.int64]


def get_shuffle_naive(
    shard_sizes: Ints, num_canonical_nodes: int, seed: int, epoch: int, block_size: int = 1 << 18
) -> Ints:
    """Return an epoch's order by ``naive``; see :func:`streaming.order.classic.shuffle.get_shuffle`.

    Example:
        >>> order = get_shuffle_naive(np.array([4, 4]), num_canonical_nodes=1, seed=9176, epoch=0)
        >>> sorted(order.tolist())
        [0, 1, 2, 3, 4, 5, 6, 7]
    """
    return get_shuffle("naive", shard_sizes, num_canonical_nodes, seed, epoch, block_size)


def get_shuffle_py1br(
    shard_sizes: Ints, num_canonical_nodes: int, seed: int, epoch: int, block_size: int = 1 << 18
) -> Ints:
    """Return an epoch's order by ``py1br``; see :func:`streaming.order.classic.shuffle.get_shuffle`.

    Example:
        >>> order = get_shuffle_py1br(np.array([4, 4]), num_canonical_nodes=1, seed=9176, epoch=0)
        >>> sorted(order.tolist())
        [0, 1, 2, 3, 4, 5, 6, 7]
    """
    return get_shuffle("py1br", shard_sizes, num_canonical_nodes, seed, epoch, block_size)


def get_shuffle_py1e(
    shard_sizes: Ints, num_canonical_nodes: int, seed: int, epoch: int, block_size: int = 1 << 18
) -> Ints:
    """Return an epoch's order by ``py1e``; see :func:`streaming.order.classic.shuffle.get_shuffle`.

    Example:
        >>> order = get_shuffle_py1e(np.array([4, 4]), num_canonical_nodes=1, seed=9176, epoch=0)
        >>> sorted(order.tolist())
        [0, 1, 2, 3, 4, 5, 6, 7]
    """
    return get_shuffle("py1e", shard_sizes, num_canonical_nodes, seed, epoch, block_size)


def get_shuffle_py1s(
    shard_sizes: Ints, num_canonical_nodes: int, seed: int, epoch: int, block_size: int = 1 << 18
) -> Ints:
    """Return an epoch's order by ``py1s``; see :func:`streaming.order.classic.shuffle.get_shuffle`.

    Example:
        >>> order = get_shuffle_py1s(np.array([4, 4]), num_canonical_nodes=1, seed=9176, epoch=0)
        >>> sorted(order.tolist())
        [0, 1, 2, 3, 4, 5, 6, 7]
    """
    return get_shuffle("py1s", shard_sizes, num_canonical_nodes, seed, epoch, block_size)


def get_shuffle_py2s(
    shard_sizes: Ints, num_canonical_nodes: int, seed: int, epoch: int, block_size: int = 1 << 18
) -> Ints:
    """Return an epoch's order by ``py2s``; see :func:`streaming.order.classic.shuffle.get_shuffle`.

    Example:
        >>> order = get_shuffle_py2s(np.array([4, 4]), num_canonical_nodes=1, seed=9176, epoch=0)
        >>> sorted(order.tolist())
        [0, 1, 2, 3, 4, 5, 6, 7]
    """
    return get_shuffle("py2s", shard_sizes, num_canonical_nodes, seed, epoch, block_size)


def divide_spans(
    spans: list[tuple[int, int]], num_samples: int, num_parts: int
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Cut spans of samples into equal parts.

    Args:
        spans: Begin and end of each span.
        num_samples: Samples of all spans.
        num_parts: Number of parts.

    Returns:
        The spans, cut where a part ends; and for each part, the range of those that are its own.

    Example:
        >>> divide_spans([(0, 6), (6, 8)], num_samples=8, num_parts=2)
        ([(0, 4), (4, 6), (6, 8)], [(0, 1), (1, 3)])
    """
    del num_samples
    begins = np.array([begin for begin, _ in spans], np.int64)
    ends = np.array([end for _, end in spans], np.int64)
    begins, ends, bounds = divide_runs(begins, ends, num_parts)
    limits = bounds.tolist()
    return list(zip(begins.tolist(), ends.tolist(), strict=True)), list(pairwise(limits))


def get_partitions_orig(
    num_samples: int,
    num_canonical_nodes: int,
    num_physical_nodes: int,
    ranks_per_node: int,
    workers_per_rank: int,
    batch_size: int,
    drop_first: int = 0,
    initial_physical_nodes: int | None = None,
) -> Ints:
    """Split an epoch by ``orig``; see :func:`streaming.order.classic.partition.get_partitions`.

    Example:
        >>> get_partitions_orig(8, 2, num_physical_nodes=2, ranks_per_node=1, workers_per_rank=1, batch_size=2).shape
        (2, 1, 1, 2, 2)
    """
    return classic.get_partitions(
        "orig",
        num_samples,
        num_canonical_nodes,
        num_physical_nodes,
        ranks_per_node,
        workers_per_rank,
        batch_size,
        drop_first,
        initial_physical_nodes,
    )


def get_partitions_relaxed(
    num_samples: int,
    num_canonical_nodes: int,
    num_physical_nodes: int,
    ranks_per_node: int,
    workers_per_rank: int,
    batch_size: int,
    drop_first: int = 0,
    initial_physical_nodes: int | None = None,
) -> Ints:
    """Split an epoch by ``relaxed``; see :func:`streaming.order.classic.partition.get_partitions`.

    Example:
        >>> get_partitions_relaxed(8, 1, num_physical_nodes=1, ranks_per_node=1, workers_per_rank=1, batch_size=4).shape
        (1, 1, 1, 2, 4)
    """
    return classic.get_partitions(
        "relaxed",
        num_samples,
        num_canonical_nodes,
        num_physical_nodes,
        ranks_per_node,
        workers_per_rank,
        batch_size,
        drop_first,
        initial_physical_nodes,
    )


_PartitionFunction = Callable[..., Ints]


class _Table:
    """A split that a user's function laid out."""

    def __init__(self, table: Ints) -> None:
        self._table = table

    @property
    def num_batches(self) -> int:
        return self._table.shape[3]

    def check(self) -> None:
        """Leave checking to the function."""

    def places(self, node: Ints, rank: Ints, worker: Ints, batch: Ints, slot: Ints) -> Ints:
        return self._table[node, rank, worker, batch, slot]

    def table(self, ids: Any = None) -> Ints:
        return classic.look_up(ids, self._table)


def _tabulate(function: _PartitionFunction, *args: int | None) -> _Table:
    return _Table(np.asarray(function(*args), np.int64))


class _PartitionAlgos(MutableMapping[str, _PartitionFunction]):
    """Functions that split an epoch, by name. One that is added here can be named by a dataset's ``partition_algo``.

    Splits are used by classic orders: name a ``shuffle_algo`` too.
    """

    def __init__(self) -> None:
        self._functions: dict[str, _PartitionFunction] = {
            "orig": get_partitions_orig,
            "relaxed": get_partitions_relaxed,
        }

    def __getitem__(self, name: str) -> _PartitionFunction:
        if name not in self._functions:
            partition_algos[name]  # raises, with the names that exist, or is of this library's own kind
            return partial(classic.get_partitions, name)
        return self._functions[name]

    def __setitem__(self, name: str, function: _PartitionFunction) -> None:
        self._functions[name] = function
        partition_algos[name] = partial(_tabulate, function)

    def __delitem__(self, name: str) -> None:
        del partition_algos[name]
        self._functions.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(partition_algos)

    def __len__(self) -> int:
        return len(partition_algos)


algos = _PartitionAlgos()


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
) -> Ints:
    """Split an epoch; see :func:`streaming.order.classic.partition.get_partitions`.

    Example:
        >>> get_partitions('relaxed', 8, 1, num_physical_nodes=1, ranks_per_node=2, workers_per_rank=1, batch_size=2).shape
        (1, 2, 1, 2, 2)
    """
    return algos[algo](
        num_samples,
        num_canonical_nodes,
        num_physical_nodes,
        ranks_per_node,
        workers_per_rank,
        batch_size,
        drop_first,
        initial_physical_nodes,
    )


def generate_work(batching_method: str, dataset: Any, world: World, epoch: int, sample_in_epoch: int) -> Ints:
    """Return the sample ids of everybody's batches in what is left of an epoch.

    Args:
        batching_method: ``'random'``, ``'stratified'``, ``'per_stream'`` or ``'device_per_stream'``.
        dataset: The dataset.
        world: Nodes, ranks and workers to deal them to.
        epoch: The epoch.
        sample_in_epoch: Samples that are already consumed over all ranks.

    Returns:
        ``int64[P, R, W, batches, B]``, -1 for padding.

    Raises:
        UnknownNameError: No such method.
        ConfigError: The numbers do not fit together.

    Example:
        >>> from streaming.base.world import World
        >>> dataset = StreamingDataset(local='data', batch_size=4)
        >>> generate_work('random', dataset, World.detect(), epoch=0, sample_in_epoch=0).shape
        (1, 1, 1, 16, 4)
    """
    if batching_method not in _batching:
        raise UnknownNameError(f"Unknown batching method {batching_method!r}. Known: {', '.join(sorted(_batching))}.")
    return dataset.epoch_work(world, epoch, sample_in_epoch, batching_method)


def generate_work_random_batching(dataset: Any, world: World, epoch: int, sample_in_epoch: int) -> Ints:
    """Deal samples of all streams mixed; see :func:`generate_work`.

    Example:
        >>> from streaming.base.world import World
        >>> dataset = StreamingDataset(local='data', batch_size=4, shuffle_algo='py1e')
        >>> generate_work_random_batching(dataset, World.detect(), 0, 32).shape
        (1, 1, 1, 8, 4)
    """
    return generate_work("random", dataset, world, epoch, sample_in_epoch)


def generate_work_stratified_batching(dataset: Any, world: World, epoch: int, sample_in_epoch: int) -> Ints:
    """Deal each stream's share to every global batch; see :func:`generate_work`.

    Example:
        >>> from streaming.base.world import World
        >>> dataset = StreamingDataset(local='data', batch_size=4, shuffle_algo='py1e')
        >>> generate_work_stratified_batching(dataset, World.detect(), 0, 32).shape
        (1, 1, 1, 8, 4)
    """
    return generate_work("stratified", dataset, world, epoch, sample_in_epoch)


def generate_work_per_stream_batching(dataset: Any, world: World, epoch: int, sample_in_epoch: int) -> Ints:
    """Deal global batches of one stream each; see :func:`generate_work`.

    Example:
        >>> from streaming.base.world import World
        >>> dataset = StreamingDataset(local='data', batch_size=4, shuffle_algo='py1e')
        >>> generate_work_per_stream_batching(dataset, World.detect(), 0, 32).shape
        (1, 1, 1, 8, 4)
    """
    return generate_work("per_stream", dataset, world, epoch, sample_in_epoch)


def generate_work_device_per_stream_batching(dataset: Any, world: World, epoch: int, sample_in_epoch: int) -> Ints:
    """Deal batches of one stream each to every rank; see :func:`generate_work`.

    Example:
        >>> from streaming.base.world import World
        >>> dataset = StreamingDataset(local='data', batch_size=4, shuffle_algo='py1e')
        >>> generate_work_device_per_stream_batching(dataset, World.detect(), 0, 0).shape[-1]
        4
    """
    return generate_work("device_per_stream", dataset, world, epoch, sample_in_epoch)


class _BatchingMethods(Mapping[str, Callable[..., Ints]]):
    """The original's functions, by name. Read-only."""

    _functions = MappingProxyType(
        {
            "random": generate_work_random_batching,
            "stratified": generate_work_stratified_batching,
            "per_stream": generate_work_per_stream_batching,
            "device_per_stream": generate_work_device_per_stream_batching,
        }
    )

    def __getitem__(self, name: str) -> Callable[..., Ints]:
        return self._functions[name]

    def __setitem__(self, name: str, function: Callable[..., Ints]) -> NoReturn:
        raise TypeError(
            f"batching_methods[{name!r}] was set, which datasets would not see. Register a method in "
            "streaming.order.registry.batching_methods, whose functions take other arguments; datasets then take its name."
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._functions)

    def __len__(self) -> int:
        return len(self._functions)


batching_methods = _BatchingMethods()
