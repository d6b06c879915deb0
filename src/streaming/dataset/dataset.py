"""``StreamingDataset``: samples by index, and the samples of this worker in the epoch's order."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch.utils.data import IterableDataset

from streaming.cache.cache import ShardCache
from streaming.core.errors import ConfigError
from streaming.core.indexing import Array
from streaming.core.world import Ranks, World, detect_ranks, explicit_ranks, worker_of_process
from streaming.dataset.compat import DatasetDetails
from streaming.dataset.config import (
    CacheArgs,
    OrderArgs,
    parse_cache_limit,
    parse_epoch_size,
)
from streaming.dataset.epochs import Epochs
from streaming.dataset.iterate import iterate
from streaming.dataset.ordering import Ordering
from streaming.dataset.progress import Progress
from streaming.dataset.registry import make_stream
from streaming.dataset.shards import ShardTable
from streaming.dataset.state import restored_samples
from streaming.dataset.stream import Stream, open_streams
from streaming.dataset.substitutes import Substitutes, check_on_error
from streaming.dataset.wrappers import refuse_double_sharding
from streaming.order.inspect import EpochInspector
from streaming.order.skips import Skips
from streaming.storage.options import StorageOptions
from streaming.storage.runtime import declare_worker

__all__ = ["StreamingDataset"]

logger = logging.getLogger(__name__)


class StreamingDataset(DatasetDetails, Array, IterableDataset[Any]):
    """A dataset that is streamed from where it is stored, in an order that does not depend on the hardware.

    Iterate it through a ``DataLoader`` (best a :class:`streaming.StreamingDataLoader`, which also checkpoints), or index it
    like a NumPy array. Every rank builds its own with the same arguments.

    Args:
        streams: The streams to mix, instead of ``remote``, ``local`` and ``split``.
        remote: URL or shared path of the dataset; see :class:`Stream`.
        local: Directory for downloaded shards, or of a dataset that is only local.
        split: Sub-directory that holds the dataset.
        download_retry: Further attempts after a failed download.
        download_timeout: Longest time in seconds without a byte before a download counts as stalled.
        validate_hash: Hash algorithm that every downloaded file must have recorded and match.
        keep_zip: Keep compressed files beside the raw ones.
        storage_options: Settings of the store for every stream that has none of its own; see :class:`Stream`.
        epoch_size: Samples in an epoch over all ranks, as a number or text such as ``'100k'``. Default: every sample
            once, or what the streams' ``repeat`` and ``choose`` say.
        predownload: Samples ahead of the one being served whose shards are fetched. Default: 8 batches.
        cache_limit: Bytes that the cache may hold on a node, as a number or text such as ``'100gb'``.
        sampling_method: ``'balanced'`` (another subset of a partly drawn stream each epoch) or ``'fixed'`` (the same).
        sampling_granularity: Samples drawn from a shard at a time when a stream is partly drawn.
        partition_algo: How classic orders are split over nodes: ``'relaxed'`` or ``'orig'``.
        num_canonical_nodes: Parts into which the dataset is cut for shuffling and placing. The order depends on it.
            Default: the number of nodes of the first run (64 times that for ``py1s`` and ``py2s``).
        batch_size: Samples of a batch on each rank; the same as the ``DataLoader``'s. Needed for iterating.
        shuffle: Whether to shuffle.
        shuffle_algo: Name of the order, see the registry ``streaming.order.registry.shuffle_algos``. Default: the one of
            the checkpoint that is resumed, else this library's own.
        shuffle_seed: Seed of the order.
        shuffle_block_size: Samples among which a sample is shuffled. Default: 4,000,000 over the canonical nodes, at
            least 262,144.
        batching_method: ``'random'``, ``'stratified'``, ``'per_stream'`` or ``'device_per_stream'``.
        allow_unsafe_types: Accept columns that are unpickled when read: only for data that you trust.
        replication: Consecutive ranks that get the same samples, for tensor or sequence parallelism.
        stream_name: Name of the registered :class:`Stream` class to use with ``remote`` and ``local``.
        stream_config: Further arguments of that class.
        device_mesh: A ``DeviceMesh``; ranks that differ only in dimensions other than ``data_parallel_dims`` get the same
            samples.
        data_parallel_dims: Names of the mesh's dimensions over which data is split, outermost first.
        data_parallel_rank: This rank's place among those that get different samples, instead of a mesh.
        data_parallel_size: How many ranks get different samples.
        on_error: What iterating does about a shard that is missing or damaged where it is stored, and about a sample that
            cannot be decoded (or whose ``get_item`` raises): ``'raise'``, or ``'skip'``: another sample of the same stream
            takes its place, the same on every replica and after resuming. Each is logged, counted in :meth:`stats` and
            listed in ``.streaming-quarantine.jsonl`` in the local directory. Failures of access, network and disk are
            raised all the same.

    Without ``device_mesh`` and ``data_parallel_rank``, the rank is looked up when iteration begins: from
    ``torch.distributed`` if it is initialised, else from the launcher's environment variables.

    Raises:
        ConfigError: (a ``ValueError``) An argument is wrong, alone or together with others.
        EmptyDatasetError: (a ``RuntimeError``) A stream has no index or no samples.
        UnsafeTypeError: (a ``ValueError``) A column would be unpickled and ``allow_unsafe_types`` is not set.

    Example:
        >>> dataset = StreamingDataset(remote='s3://bucket/data', shuffle=True, batch_size=32)
        >>> dataset[-1]['text']
        >>> for batch in DataLoader(dataset, batch_size=32, num_workers=8): ...
    """

    def __init__(
        self,
        *,
        streams: Sequence[Stream] | None = None,
        remote: str | None = None,
        local: str | None = None,
        split: str | None = None,
        download_retry: int = 2,
        download_timeout: float = 60.0,
        validate_hash: str | None = None,
        keep_zip: bool = False,
        epoch_size: int | float | str | None = None,
        predownload: int | None = None,
        cache_limit: int | float | str | None = None,
        sampling_method: str = "balanced",
        sampling_granularity: int = 1,
        partition_algo: str = "relaxed",
        num_canonical_nodes: int | None = None,
        batch_size: int | None = None,
        shuffle: bool = False,
        shuffle_algo: str | None = None,
        shuffle_seed: int = 9176,
        shuffle_block_size: int | None = None,
        batching_method: str = "random",
        allow_unsafe_types: bool = False,
        replication: int | None = None,
        stream_name: str = "stream",
        stream_config: Mapping[str, Any] | None = None,
        device_mesh: Any = None,
        data_parallel_dims: Sequence[str] | None = None,
        data_parallel_rank: int | None = None,
        data_parallel_size: int | None = None,
        on_error: str = "raise",
        storage_options: StorageOptions | None = None,
    ) -> None:
        self.on_error = check_on_error(on_error)
        self.predownload = predownload
        self.cache_limit = parse_cache_limit(cache_limit)
        self.sampling_method = sampling_method
        self.sampling_granularity = sampling_granularity
        self.partition_algo = partition_algo
        self.num_canonical_nodes = num_canonical_nodes or None
        self.batch_size = batch_size
        self.shuffle = bool(shuffle)
        self.shuffle_algo = shuffle_algo
        self.shuffle_seed = shuffle_seed
        self.shuffle_block_size = shuffle_block_size
        self.batching_method = batching_method
        self.allow_unsafe_types = allow_unsafe_types
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
        if bool(streams) == bool(remote or local):
            raise ConfigError(
                "Give either `streams`, or `remote` and/or `local`; "
                + ("both were given." if streams else "neither was given.")
            )
        defaults: dict[str, Any] = {
            "split": split,
            "download_retry": download_retry,
            "download_timeout": download_timeout,
            "validate_hash": validate_hash,
            "keep_zip": keep_zip,
        }
        if not streams:
            given = {"remote": remote, "local": local, **defaults}
            streams = [make_stream(stream_name, {**(stream_config or {}), **given})]
        defaults["storage_options"] = storage_options
        self.streams = [stream.with_defaults(defaults) for stream in streams]
        self.num_streams = len(self.streams)
        _check_local_directories(self.streams)
        opened = open_streams(self.streams, allow_unsafe_types)
        directories = [directory for directory, _ in opened]
        self._table = ShardTable([directory.index for directory in directories])
        self._ordering = Ordering(args, self._table, self.streams)
        self.epoch_size = self._ordering.epoch_size
        self._cache = ShardCache(directories, cache_args.limit, sum(index_bytes for _, index_bytes in opened))
        self._epochs = Epochs()
        self._progress = Progress()
        self._ranks_of_parent: Ranks | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Pickle with the rank of this process: a spawned worker cannot look it up in ``torch.distributed``."""
        return {**self.__dict__, "_ranks_of_parent": self._ranks_of_parent or detect_ranks()}

    # -- what it holds -------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Number of different samples, however many of them an epoch draws."""
        return self._table.num_samples

    @property
    def num_samples(self) -> int:
        """Number of different samples."""
        return self._table.num_samples

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
        """Return the samples that each rank gets in an epoch: the epoch's size over the number of ranks, rounded up."""
        return self.length

    def __getattr__(self, name: str) -> Any:
        """Give the tables of shards and streams by the names that :class:`ShardTable` documents."""
        if name in _TABLE_NAMES and "_table" in self.__dict__:
            return getattr(self._table, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    # -- random access -------------------------------------------------------------------------

    def get_item(self, sample_id: int, retry: int = 7) -> Any:
        """Return a sample, fetching its shard if need be.

        Args:
            sample_id: Index in ``[0, size)``.
            retry: Accepted for compatibility; fetching has its own retries.

        Returns:
            The sample: a dict of its columns.

        Raises:
            IndexError: The index is out of range.
            ShardUnavailableError: Its shard could not be fetched.
        """
        del retry
        if not 0 <= sample_id < self._table.num_samples:
            raise IndexError(f"Index {sample_id} is out of range for {self._table.num_samples} samples.")
        shard, index = self._table.locate(sample_id)
        return self._cache.get(shard).get(index)

    # -- iteration -----------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Any]:
        """Yield this worker's samples of the next epoch, or of the rest of the one that is resumed.

        Raises:
            ConfigError: ``batch_size`` was not given, or the layout of ranks does not fit.
            StreamingError: A shard could not be fetched or read. An epoch never ends early without an exception.
        """
        world = self._parallel_world().detect_workers()
        if world.workers_per_rank > 1 or _in_worker():
            declare_worker()
        refuse_double_sharding(world.num_ranks)
        start = self._epochs.begin()
        self._log_layout(world, start.epoch)
        ids = self._ordering.worker_ids(start, world)
        progress = self._progress.own()
        ids = progress.begin(start, ids)
        read = None if self._is_plain() else self.__getitem__
        tolerate = None
        if self.on_error == "skip":
            seed = start.settings.get("shuffle_seed", self.shuffle_seed)
            substitutes = Substitutes(read or self.get_item, self._cache, self._table, seed, start.epoch)
            read, tolerate = substitutes.read, substitutes.tolerate
        return progress.count(iterate(self._cache, self._table, ids, self.predownload or 0, read, tolerate))

    @classmethod
    def _is_plain(cls) -> bool:
        """Say whether samples are served as they are stored, not through a method that a subclass brings."""
        return cls.__getitem__ is Array.__getitem__ and cls.get_item is StreamingDataset.get_item

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

    @property
    def next_epoch(self) -> int:
        """The epoch that the next iteration will be; shared with this dataset's workers."""
        return self._epochs.next_epoch

    @next_epoch.setter
    def next_epoch(self, epoch: int) -> None:
        self._epochs.next_epoch = epoch

    def set_epoch(self, epoch: int) -> None:
        """Make the next iteration the given epoch. Setting the same epoch again changes nothing.

        An epoch that a loaded checkpoint is about to continue is still continued where the checkpoint says.

        Raises:
            ConfigError: The epoch is negative.
        """
        if epoch < 0:
            raise ConfigError(f"epoch must not be negative, got {epoch}.")
        self._epochs.set_epoch(epoch)

    # -- checkpoints ---------------------------------------------------------------------------

    def state_dict(self, num_samples: int | None = None, from_beginning: bool = False) -> dict[str, Any]:
        """Return a checkpoint.

        Without ``num_samples``, the samples that this process itself has yielded count: right for a dataset that is iterated
        directly, and in a ``DataLoader`` worker, where the checkpoint is that worker's own. Loaders that count what training
        has consumed, as ``StreamingDataLoader`` does, pass it.

        Args:
            num_samples: Samples that training has consumed over all ranks: in this iteration, or, with
                ``from_beginning``, in the epoch.
            from_beginning: What ``num_samples`` counts from.

        Returns:
            Plain numbers and text by name, under 1 KB: where the run is, and what the order depends on.
        """
        if num_samples is None:
            return self._own_state()
        start = self._epochs.current()
        offset = 0 if from_beginning else start.sample_in_epoch
        return {
            "epoch": start.epoch,
            "sample_in_epoch": int(num_samples) + offset,
            **self._ordering.state(start.settings, self._parallel_world()),
            **({"skip": start.skips} if start.skips else {}),
        }

    def _own_state(self) -> dict[str, Any]:
        """Return a checkpoint by what this process has yielded."""
        progress = self._progress.own()
        start = self._epochs.current()
        if progress.start is None:
            return self.state_dict(0)
        worker, num_workers = worker_of_process()
        if _in_worker():
            start = progress.start
            state = self._ordering.state(start.settings, self._parallel_world())
            return {
                "epoch": start.epoch,
                "sample_in_epoch": start.sample_in_epoch,
                **state,
                "worker": [worker, num_workers, progress.yielded],
            }
        if progress.start.epoch != start.epoch:
            return self.state_dict(0)
        return self.state_dict(progress.yielded * self.num_data_ranks)

    def load_state_dict(self, obj: Mapping[str, Any]) -> None:
        """Have the next iteration continue where a checkpoint was made.

        Call it on every rank before iterating. The number of nodes, ranks and workers may differ from that of the run
        that made it, as long as the global batch is the same.

        Args:
            obj: What :meth:`state_dict` returned, here or in the original library.

        Raises:
            CheckpointError: It does not fit the dataset or its arguments; the text says what differs.
        """
        settings = self._ordering.check_state(obj, self._parallel_world())
        self._progress.own().restore(restored_samples(obj.get("worker"), _in_worker()))
        skips = Skips(obj.get("skip") or ()).ranges
        self._epochs.resume(int(obj["epoch"]), int(obj["sample_in_epoch"]), settings, skips)

    def skip_batches(self, batches: Sequence[tuple[int, int]], epoch: int | None = None) -> None:
        """Leave ranges of global batches of an epoch out, on every rank: the data behind a loss spike, say.

        Call it on every rank before iterating, after loading a checkpoint if there is one. Checkpoints remember it.

        Args:
            batches: Pairs of first global batch of the epoch and one past the last. They are added to those that are left
                out already.
            epoch: The epoch, by default the one that is iterated next.

        Raises:
            ConfigError: A range is empty, or lies in the past of the checkpoint that is resumed.

        Example:
            >>> dataset.load_state_dict(checkpoint)      # made at batch 41,000
            >>> dataset.skip_batches([(41_200, 41_260)])
        """
        if self.batch_size is None:
            raise ConfigError("batch_size is needed to skip batches.")
        epoch = self.next_epoch if epoch is None else epoch
        pending = self._epochs.pending(epoch)
        new = Skips.of_batches(batches, self.batch_size * self.num_data_ranks)
        position = Skips(pending.skips).position_after(pending.sample_in_epoch)
        if pending.sample_in_epoch and new and new.ranges[0][0] < position:
            raise ConfigError(
                f"Batches to skip must lie ahead: the checkpoint is {position} samples into epoch {epoch}, the range begins "
                f"at sample {new.ranges[0][0]}."
            )
        self._epochs.set_skips(epoch, Skips([*pending.skips, *new.ranges]).ranges)

    def inspect_epoch(
        self, epoch: int | None = None, num_nodes: int | None = None, ranks_per_node: int | None = None
    ) -> EpochInspector:
        """Ask which samples each global batch of an epoch holds, where a sample comes, and which shards a node needs when.

        Args:
            epoch: The epoch, by default the one that is iterated next.
            num_nodes: Nodes of the job that is asked about, by default this one's.
            ranks_per_node: Its ranks a node that get different samples, by default this job's.

        Raises:
            ConfigError: ``batch_size`` was not given, or the order does not exist for that layout.
        """
        if self.batch_size is None:
            raise ConfigError("batch_size is needed to inspect an epoch: the order of samples depends on it.")
        world = self._parallel_world()
        nodes = num_nodes or world.num_nodes
        world = World(nodes, ranks_per_node or world.ranks_per_node, 1, 0)
        epoch = self.next_epoch if epoch is None else epoch
        spec = self._ordering.spec(self._epochs.pending(epoch).settings, world)
        return EpochInspector(spec, epoch, world.num_nodes, world.ranks_per_node)

    # -- the cache -----------------------------------------------------------------------------

    def stats(self) -> dict[str, int | float]:
        """Return what happened so far, summed over this process and the ``DataLoader`` workers it started.

        Returns:
            Numbers by name: ``samples`` whose serving began; ``bytes_fetched`` and ``files_fetched`` from the stores;
            ``retries``, ``throttled`` (the store asked to slow down) and ``corrupt`` (bytes that did not verify) attempts;
            ``evictions`` and ``bytes_evicted``; ``waits`` of the reader for a shard and their ``wait_seconds``, which are
            ``wait_seconds_queue`` (all download threads were busy), ``wait_seconds_other_process`` (it was fetching the
            same file), ``wait_seconds_download`` and ``wait_seconds_backoff`` (before another attempt);
            ``substituted_samples`` (see ``on_error``); ``cache_usage``, bytes on this node's disk now, and
            ``cache_limit``, 0 for none.
        """
        totals = self._cache.counters.totals()
        stats: dict[str, int | float] = {}
        for name, value in totals.items():
            if name.startswith("wait_ns"):
                stats[name.replace("wait_ns", "wait_seconds")] = value / 1e9
            else:
                stats[name] = value
        return {**stats, "cache_usage": self._cache.usage, "cache_limit": self.cache_limit or 0}

    @property
    def cache_usage(self) -> int:
        """Bytes on this node's disk that the dataset's cache holds."""
        return self._cache.usage

    def prepare_shard(self, shard_id: int, blocking: bool = True) -> None:
        """Make a shard present on this node.

        Args:
            shard_id: Index over the shards of all streams.
            blocking: Wait until it is.

        Raises:
            ShardUnavailableError: It could not be fetched.
        """
        if blocking:
            self._cache.get(shard_id)
        else:
            self._cache.prefetch(shard_id, 0.0)

    def evict_shard(self, shard_id: int) -> None:
        """Remove a shard from the cache. What this cache did not fetch stays."""
        self._cache.evict(shard_id)

    def evict_coldest_shard(self) -> None:
        """Remove the shard that was used longest ago.

        Raises:
            ConfigError: There is none to remove.
        """
        self._cache.evict_coldest()

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


def _in_worker() -> bool:
    import torch.utils.data

    return torch.utils.data.get_worker_info() is not None


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
