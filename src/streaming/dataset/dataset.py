"""``StreamingDataset``: samples by index, and the samples of this worker in the epoch's order."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, TypeVar

from torch.utils.data import IterableDataset

from streaming.cache.cache import ShardCache
from streaming.core.arguments import as_flag, as_integer, optional_integers
from streaming.core.errors import ConfigError
from streaming.core.indexing import T_co
from streaming.core.names import BatchingMethod, HashName, PartitionAlgo, SamplingMethod, ShuffleAlgo, Where
from streaming.core.process.orphans import end_with_parent
from streaming.core.world import Ranks, World, detect_ranks, explicit_ranks, in_worker
from streaming.dataset.access import RandomAccess
from streaming.dataset.caching import Cached
from streaming.dataset.compat.details import DatasetDetails, no_attribute
from streaming.dataset.config import (
    CacheArgs,
    OrderArgs,
    parse_cache_limit,
    parse_epoch_size,
)
from streaming.dataset.epoch.batches import Collator, iterate_batches
from streaming.dataset.epoch.epochs import Epochs, Start
from streaming.dataset.epoch.iterate import Planned, iterate
from streaming.dataset.epoch.ordering import Ordering
from streaming.dataset.epoch.progress import Progress
from streaming.dataset.epoch.resumption import Resumable
from streaming.dataset.epoch.state import drawn_of_worker
from streaming.dataset.epoch.substitutes import Substitutes, check_on_error
from streaming.dataset.registry import make_stream
from streaming.dataset.shards import ShardTable
from streaming.dataset.stream import Stream, open_streams
from streaming.dataset.wrappers import (
    refuse_double_sharding,
    refuse_share_as_size,
    what_a_subset_repeats,
    what_is_uneven,
)
from streaming.order.queries.plan import WorkerIds
from streaming.storage.helper.runtime import declare_worker
from streaming.storage.options import StorageOptions

__all__ = ["StreamingDataset"]

logger = logging.getLogger(__name__)

T = TypeVar("T")


class StreamingDataset(Resumable, Cached, DatasetDetails, RandomAccess[T_co], IterableDataset[T_co]):
    """A dataset that is streamed from where it is stored, in an order that does not depend on the hardware.

    Iterate it through a ``DataLoader`` (best a :class:`streaming.StreamingDataLoader`, which also checkpoints), or index it
    like a NumPy array. Every rank builds its own with the same arguments.

    Args:
        streams: The streams to mix, instead of ``remote``, ``local`` and ``split``.
        remote: URL or shared path of the dataset; see :class:`Stream`.
        local: Directory for downloaded shards, or of a dataset that is only local.
        split: Sub-directory that holds the dataset.
        download_retry: Further attempts after a failed download, at least 0.
        download_timeout: Longest time in seconds without a byte before a download counts as stalled.
        validate_hash: Hash algorithm that every downloaded file must have recorded and match. Default: one of those that
            are recorded, if any is.
        keep_zip: Keep compressed files beside the raw ones.
        epoch_size: Samples in an epoch over all ranks, as a number or text such as ``'100k'``. Default: every sample
            once, or what the streams' ``repeat`` and ``choose`` say.
        predownload: Samples ahead of the one being served whose shards are fetched, at least 0. Default: 8 batches, or 64
            without ``batch_size``.
        cache_limit: Bytes that the cache may hold on a node, as a number or text such as ``'100gb'``. Default: no limit.
        sampling_method: ``'balanced'`` (another subset of a partly drawn stream each epoch) or ``'fixed'`` (the same).
        sampling_granularity: Samples drawn from a shard at a time when a stream is partly drawn, at least 1.
        partition_algo: How classic orders are split over nodes: ``'relaxed'`` or ``'orig'``.
        num_canonical_nodes: Parts into which the dataset is cut for shuffling and placing, at least 1. The order depends on
            it. Default: the number of nodes of the first run (64 times that for ``py1s`` and ``py2s``).
        batch_size: Samples of a batch on each rank; the same as the ``DataLoader``'s. Needed for iterating.
        shuffle: Whether to shuffle.
        shuffle_algo: Name of the order, see the registry ``streaming.order.registry.shuffle_algos``. Default: the one of
            the checkpoint that is resumed, else this library's own.
        shuffle_seed: Seed of the order, at least 0.
        shuffle_block_size: Samples among which a sample is shuffled. Default: 4,000,000 over the canonical nodes, at
            least 262,144.
        batching_method: ``'random'``, ``'stratified'``, ``'per_stream'`` or ``'device_per_stream'``.
        allow_unsafe_types: Accept columns that are unpickled when read: only for data that you trust.
        replication: Consecutive ranks that get the same samples, for tensor or sequence parallelism. Default: none do.
        stream_name: Name of the registered :class:`Stream` class to use with ``remote`` and ``local``.
        stream_config: Further arguments of that class.
        device_mesh: A ``DeviceMesh``; ranks that differ only in dimensions other than ``data_parallel_dims`` get the same
            samples.
        data_parallel_dims: Names of the mesh's dimensions over which data is split, outermost first.
        data_parallel_rank: This rank's place among those that get different samples, instead of a mesh.
        data_parallel_size: How many ranks get different samples; needed with ``data_parallel_rank``.
        on_error: What iterating does about a shard that is missing or damaged where it is stored, and about a sample that
            cannot be decoded (or whose ``get_item`` raises): ``'raise'``, or ``'skip'``: another sample of the same stream
            takes its place, the same on every replica and after resuming. Each is logged, counted in :meth:`stats` and
            listed in ``.streaming-quarantine.jsonl`` in the local directory. Failures of access, network and disk are
            raised all the same.
        storage_options: Settings of the store for every stream that has none of its own; see :class:`Stream`.

    Without ``device_mesh`` and ``data_parallel_rank``, the rank is looked up when iteration begins: from
    ``torch.distributed`` if it is initialised, else from the launcher's environment variables.

    Raises:
        ConfigError: (a ``ValueError``) An argument is wrong, alone or together with others.
        EmptyDatasetError: (a ``RuntimeError``) A stream has no index or no samples.
        UnsafeTypeError: (a ``ValueError``) A column would be unpickled and ``allow_unsafe_types`` is not set.

    Example:
        >>> dataset = StreamingDataset(remote='data', local='cache', shuffle=True, batch_size=16)
        >>> dataset[-1]
        {'label': 3, 'text': 'text 63'}
        >>> [len(batch['text']) for batch in StreamingDataLoader(dataset, batch_size=16)]
        [16, 16, 16, 16]
    """

    def __init__(
        self,
        *,
        streams: Sequence[Stream] | None = None,
        remote: Where | None = None,
        local: Where | None = None,
        split: Where | None = None,
        download_retry: int = 2,
        download_timeout: float = 60.0,
        validate_hash: HashName | None = None,
        keep_zip: bool = False,
        epoch_size: int | float | str | None = None,
        predownload: int | None = None,
        cache_limit: int | float | str | None = None,
        sampling_method: SamplingMethod = "balanced",
        sampling_granularity: int = 1,
        partition_algo: PartitionAlgo = "relaxed",
        num_canonical_nodes: int | None = None,
        batch_size: int | None = None,
        shuffle: bool = False,
        shuffle_algo: ShuffleAlgo | None = None,
        shuffle_seed: int = 9176,
        shuffle_block_size: int | None = None,
        batching_method: BatchingMethod = "random",
        allow_unsafe_types: bool = False,
        replication: int | None = None,
        stream_name: str = "stream",
        stream_config: Mapping[str, Any] | None = None,
        device_mesh: Any = None,
        data_parallel_dims: Sequence[str] | None = None,
        data_parallel_rank: int | None = None,
        data_parallel_size: int | None = None,
        on_error: Literal["raise", "skip"] = "raise",
        storage_options: StorageOptions | None = None,
    ) -> None:
        predownload, batch_size, num_canonical_nodes, shuffle_block_size, replication = optional_integers(
            predownload=(predownload, 0),
            batch_size=(batch_size, 1),
            num_canonical_nodes=(num_canonical_nodes, 1),
            shuffle_block_size=(shuffle_block_size, 1),
            replication=(replication, 1),
        )
        data_parallel_rank, data_parallel_size = optional_integers(
            data_parallel_rank=(data_parallel_rank, 0), data_parallel_size=(data_parallel_size, 1)
        )
        sampling_granularity = as_integer("sampling_granularity", sampling_granularity, 1)
        shuffle_seed = as_integer("shuffle_seed", shuffle_seed, 0)
        self.on_error: str = check_on_error(on_error)
        self.predownload = predownload
        self.cache_limit: int | None = parse_cache_limit(cache_limit)
        self.sampling_method = sampling_method
        self.sampling_granularity = sampling_granularity
        self.partition_algo = partition_algo
        self.num_canonical_nodes = num_canonical_nodes
        self.batch_size = batch_size
        self.shuffle: bool = as_flag("shuffle", shuffle)
        self.shuffle_algo = shuffle_algo
        self.shuffle_seed = shuffle_seed
        self.shuffle_block_size = shuffle_block_size
        self.batching_method = batching_method
        self.allow_unsafe_types: bool = as_flag("allow_unsafe_types", allow_unsafe_types)
        self.replication = replication
        args = OrderArgs(
            parse_epoch_size(epoch_size),
            sampling_method,
            sampling_granularity,
            partition_algo,
            self.num_canonical_nodes,
            batch_size,
            self.shuffle,
            shuffle_algo,
            shuffle_seed,
            shuffle_block_size,
            batching_method,
            replication,
        )
        if predownload is None:
            self.predownload = 8 * batch_size if batch_size else 64
        elif batch_size is not None and predownload < batch_size:
            logger.warning(
                "predownload=%d is below batch_size=%d: shards are fetched only when a batch already waits for them.",
                predownload,
                batch_size,
            )
        cache_args = CacheArgs(self.predownload or 0, self.cache_limit)
        self._ranks = explicit_ranks(
            device_mesh, data_parallel_dims, data_parallel_rank, data_parallel_size, replication
        )
        if replication is not None:
            World.detect().replicate(replication)
        streams = _check_streams(streams, bool(remote or local))
        defaults: dict[str, Any] = {
            "split": split,
            "download_retry": download_retry,
            "download_timeout": download_timeout,
            "validate_hash": validate_hash,
            "keep_zip": keep_zip,
        }
        if not streams:
            given = {"remote": remote, "local": local, **defaults}
            if not isinstance(stream_config or {}, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ConfigError(f"stream_config must be a mapping of arguments by name, got {stream_config!r}.")
            streams = [make_stream(stream_name, {**(stream_config or {}), **given})]
        defaults["storage_options"] = storage_options
        self.streams = [stream.with_defaults(defaults) for stream in streams]
        self.num_streams: int = len(self.streams)
        _check_local_directories(self.streams)
        opened = open_streams(self.streams, allow_unsafe_types)
        directories = [directory for directory, _ in opened]
        self._table = ShardTable([directory.index for directory in directories])
        self._ordering = Ordering(args, self._table, self.streams)
        self.epoch_size: int = self._ordering.epoch_size
        self._cache = ShardCache(directories, cache_args.limit, sum(index_bytes for _, index_bytes in opened))
        self._epochs = Epochs()
        self._progress = Progress()
        self._is_subset_seen = False
        self._ranks_of_parent: Ranks | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Pickle with the rank of this process: a spawned worker cannot look it up in ``torch.distributed``."""
        state = {**self.__dict__, "_ranks_of_parent": self._ranks_of_parent or detect_ranks()}
        for table in ("shards", "spanner"):  # made again where they are asked for
            state.pop(table, None)
        return state

    # -- what it holds -------------------------------------------------------------------------

    @property
    def num_shards(self) -> int:
        """Number of shards over all streams."""
        return len(self._table.samples_per_shard)

    @property
    def num_data_ranks(self) -> int:
        """Number of ranks that get different samples."""
        return self._parallel_world().num_ranks

    @property
    def length(self) -> int:
        """Samples that each rank gets in an epoch."""
        return -(-self.epoch_size // self.num_data_ranks)

    def __len__(self) -> int:
        """Return the samples that each rank gets in an epoch: the epoch's size over the number of ranks, rounded up.

        Raises:
            ConfigError: PyTorch's ``random_split``, or a sampler, asks on one of several ranks: indexes go over ``size``.
        """
        refuse_share_as_size(self.num_data_ranks)
        return self.length

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Return the samples at a list of indexes; see :meth:`RandomAccess.__getitems__`."""
        if not self._is_subset_seen:
            self._is_subset_seen = True
            text = what_a_subset_repeats(self.num_data_ranks)
            if text is not None:
                self.warn_once("subset", text)
        return super().__getitems__(indices)

    def __getattr__(self, name: str) -> Any:
        """Give the tables of shards and streams by the names that :class:`ShardTable` documents."""
        if name in _TABLE_NAMES and "_table" in self.__dict__:
            return getattr(self._table, name)
        raise no_attribute(type(self), name)

    # -- iteration -----------------------------------------------------------------------------

    def __iter__(self) -> Iterator[T_co]:
        """Yield this worker's samples of the next epoch, or of the rest of the one that is resumed.

        Raises:
            ConfigError: ``batch_size`` was not given, or the layout of ranks does not fit.
            StreamingError: A shard could not be fetched or read. An epoch never ends early without an exception.
        """
        start, planned = self._begin_epoch()
        read = None if self.is_plain() else self.__getitem__
        if self.on_error == "skip":
            seed = start.settings.get("shuffle_seed", self.shuffle_seed)
            substitutes = Substitutes(read or self.get_item, self._cache, self._table, seed, start.epoch)
            read, planned = substitutes.read, replace(planned, tolerate=substitutes.tolerate)
        begun = partial(self._look_around, start, planned)
        return iterate(self._cache, self._table, planned, self._progress, read, begun)

    def iterate_batches(self, collator: Collator[T]) -> Iterator[T]:
        """Yield this worker's batches of the next epoch, or of the rest of the one that is resumed.

        Only for datasets whose samples are served as they are stored; see :meth:`is_plain`.

        Args:
            collator: Makes a batch of samples that are still in their shards.
        """
        _, planned = self._begin_epoch()
        return iterate_batches(self._cache, self._table, planned, self._progress, collator)

    def _begin_epoch(self) -> tuple[Start, Planned]:
        world = self._parallel_world().detect_workers()
        if world.workers_per_rank > 1 or in_worker():
            declare_worker()
            end_with_parent()
        refuse_double_sharding(world.num_ranks)
        start = self._epochs.begin()
        self._log_layout(world, start.epoch)
        progress = self._progress.own()
        if start.workers:
            progress.restore(drawn_of_worker(start.workers, world.worker_of_rank, world.workers_per_rank))
        ids = progress.begin(start, self._ordering.worker_ids(start, world))
        return start, self._plan(start, world, ids, progress.yielded)

    def _plan(self, start: Start, world: World, ids: WorkerIds, done: int) -> Planned:
        def following() -> Planned | None:
            coming = self._epochs.pending(start.epoch + 1)
            if not self._ordering.is_cheap(coming, world):
                return None
            return self._plan(coming, world, self._ordering.worker_ids(coming, world), 0)

        return Planned(
            ids,
            self._ordering.plan(start, world, done),
            world.ranks_per_node * world.workers_per_rank,
            self.batch_size or 1,
            self.predownload or 0,
            following,
        )

    def _look_around(self, start: Start, planned: Planned) -> None:
        """Warn, once and from one process, of a ``DataLoader`` that does not go with the dataset."""
        world = self._parallel_world().detect_workers()
        if world.worker:
            return
        is_own = type(self).__iter__ is not StreamingDataset.__iter__
        samples = planned.batch_size
        if not start.sample_in_epoch and len(planned.ids) <= samples:  # else what is left may be little
            samples = int((planned.ids.ids(0, len(planned.ids)) >= 0).sum())
        found = what_is_uneven(self, planned.batch_size, samples, world.workers_per_rank, is_own)
        if found is not None:
            self.warn_once(*found)

    def warn_once(self, matter: str, text: str) -> None:
        """Warn, unless this dataset has warned of the same matter, here or in another process that shares it."""
        if self._epochs.is_first(matter):
            warnings.warn(text, stacklevel=3)

    def _log_layout(self, world: World, epoch: int) -> None:
        if world.worker_of_rank == 0:
            ranks = self._ranks or self._ranks_of_parent or detect_ranks()
            logger.info(
                "epoch %d: data rank %d of %d on %d node(s), %d worker(s), by %s%s",
                epoch,
                world.rank,
                world.num_ranks,
                world.num_nodes,
                world.workers_per_rank,
                ranks.source,
                f", replication {self.replication}" if self.replication else "",
            )

    def _parallel_world(self) -> World:
        """The world in which ranks that get the same samples count as one."""
        ranks = self._ranks or self._ranks_of_parent or detect_ranks()
        world = World.of_ranks(ranks, 1, 0)
        return world if self.replication is None else world.replicate(self.replication)

    def close(self) -> None:
        """Stop background threads and close open shards. The dataset can be used again."""
        self._cache.close()


_TABLE_NAMES = frozenset(
    (
        "samples_per_shard",
        "sample_offset_per_shard",
        "stream_per_shard",
        "shards_per_stream",
        "shard_offset_per_stream",
        "samples_per_stream",
        "sample_offset_per_stream",
    )
)


def _check_streams(streams: Sequence[Stream] | None, is_one: bool) -> list[Stream]:
    """Return streams as a list: none where ``remote`` or ``local`` says where one lies.

    Raises:
        ConfigError: They are something else, or both or neither are given.
    """
    if bool(streams) == is_one:
        raise ConfigError(
            "Give either `streams`, or `remote` and/or `local`; "
            + ("both were given." if is_one else "neither was given.")
        )
    given: Any = [] if streams is None else streams
    wrong = given
    if not isinstance(given, (Stream, str, bytes, Mapping)) and hasattr(given, "__iter__"):
        listed: list[Any] = list(given)
        if all(isinstance(stream, Stream) for stream in listed):
            return listed
        wrong = next(stream for stream in listed if not isinstance(stream, Stream))
    raise ConfigError(
        f"streams must be a list of Stream objects, got {wrong!r}. Pass streams=[Stream(remote=...), ...]."
    )


def _check_local_directories(streams: Sequence[Stream]) -> None:
    """Refuse two different datasets in one directory.

    Raises:
        ConfigError: Two streams with different remotes share a directory.
    """
    seen: dict[str, str | None] = {}
    for stream in streams:
        directory = os.path.abspath(stream.directory)
        if directory in seen and seen[directory] != stream.remote:
            raise ConfigError(
                f"Two streams use the local directory {directory} for different remotes. Give each its own `local`."
            )
        seen[directory] = stream.remote
