"""``StreamingDataset``: samples by index, and the samples of this worker in the epoch's order.

The dataset is made of parts, each with a module of its own, and what it offers is handed to one of them: the ``streams``, a
``ShardTable`` of where samples lie and the ``ShardCache`` that opens their shards; ``DataRanks``, ``Epochs`` and the
``Ordering``, which say what this process reads; the ``EpochReader``, which reads it and counts its ``Progress``;
``Resumption`` and ``Inspection``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import IterableDataset

from streaming.core.arguments import as_flag, as_integer
from streaming.core.errors import ConfigError, EndlessError
from streaming.core.indexing import T_co
from streaming.core.names import BatchingMethod, HashName, PartitionAlgo, SamplingMethod, ShuffleAlgo, Where
from streaming.core.world import World
from streaming.dataset.access import RandomAccess
from streaming.dataset.compat.machinery import no_attribute, warn_of_machinery
from streaming.dataset.compat.settings import ARGUMENTS, with_setting
from streaming.dataset.config import (
    CacheConfig,
    OrderConfig,
    ParallelConfig,
    StreamDefaults,
    as_on_error,
    parse_epoch_size,
)
from streaming.dataset.epoch.batches import Collator
from streaming.dataset.epoch.epochs import Epochs, Start
from streaming.dataset.epoch.inspection import Inspection
from streaming.dataset.epoch.ordering import Ordering
from streaming.dataset.epoch.progress import Progress, Reach
from streaming.dataset.epoch.reader import EpochReader
from streaming.dataset.epoch.resumption import Resumption
from streaming.dataset.live.reweighting import Reweighting
from streaming.dataset.mixing.schedule import Schedule
from streaming.dataset.projection import as_columns
from streaming.dataset.ranks import DataRanks
from streaming.dataset.shards import TABLES
from streaming.dataset.sources import Source
from streaming.dataset.stream import Stream, open_streams
from streaming.dataset.streams import names_of, resolve_streams
from streaming.dataset.wrappers import refuse_repeating_subset, refuse_share_as_size
from streaming.order.balance.options import Balance
from streaming.order.table import HORIZON
from streaming.packing.options import Bucket, Pack, one_rule
from streaming.storage.options import StorageOptions

if TYPE_CHECKING:
    from streaming.dataset.planning.runs import Planning
    from streaming.format.reader import Reader
    from streaming.order.queries.inspect import EpochInspector
    from streaming.planning import proofs
    from streaming.planning.plan import Plan
    from streaming.planning.prices import Price
    from streaming.planning.speed import Speed

__all__ = ["StreamingDataset"]

T = TypeVar("T")
R = TypeVar("R")


class StreamingDataset(RandomAccess[T_co], IterableDataset[T_co]):
    """A dataset that is streamed from where it is stored, in an order that does not depend on the hardware.

    Iterate it through a ``DataLoader`` (best a :class:`streaming.StreamingDataLoader`, which also checkpoints), or index it
    like a NumPy array. Every rank builds its own with the same arguments.

    Args:
        streams: The streams to mix, instead of ``remote``, ``local`` and ``split``: a list, or a mapping of their names.
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
        columns: Names of the columns that samples have, for every stream that does not name its own; see :class:`Stream`.
        format: Format of files that are read in place, for every stream that does not say its own; see :class:`Stream`.
        schema: Whether such files must have the same columns, for every stream that does not say it; see :class:`Stream`.
        config: Which configuration of a dataset of the Hugging Face Hub; see :class:`Stream`.
        version: Which version of a table; see :class:`Stream`.
        index: Where what was found in such files is kept; see :class:`Stream`.
        mix: How the streams' weights change during the run, instead of ``proportion``, ``repeat`` and ``choose``. Streams
            are named by the mapping's names, or by their places. Without ``epoch_size``, there is one epoch without end,
            whose length is a ``TypeError``; with it, each epoch is the next so many samples: whole global batches.
        pack: Serve bins of documents, laid end to end; ``batch_size``, ``epoch_size`` and everything else count bins.
        bucket: Serve lists of samples of like length, which are batches; ``batch_size`` is 1.
        source: An object in memory whose samples are served, instead of ``remote``; see :class:`Stream`.

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
        streams: Sequence[Stream] | Mapping[str, Stream] | None = None,
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
        columns: Sequence[str] | None = None,
        format: str | None = None,
        schema: Literal["same", "union"] | None = None,
        config: str | None = None,
        version: int | str | None = None,
        index: Where | None = None,
        mix: Schedule | None = None,
        pack: Pack | None = None,
        bucket: Bucket | None = None,
        source: Any = None,
    ) -> None:
        order = OrderConfig(
            epoch_size=parse_epoch_size(epoch_size),
            sampling_method=sampling_method,
            sampling_granularity=sampling_granularity,
            partition_algo=partition_algo,
            num_canonical_nodes=num_canonical_nodes,
            batch_size=batch_size,
            shuffle=shuffle,
            shuffle_algo=shuffle_algo,
            shuffle_seed=shuffle_seed,
            shuffle_block_size=shuffle_block_size,
            batching_method=batching_method,
            mix=mix,
        )
        caching = CacheConfig.of(predownload, cache_limit, order.batch_size)
        parallel = ParallelConfig(replication, device_mesh, data_parallel_dims, data_parallel_rank, data_parallel_size)
        defaults = StreamDefaults(
            split,
            download_retry,
            download_timeout,
            validate_hash,
            keep_zip,
            storage_options,
            as_columns(columns),
            format,
            schema,
            config,
            None if version is None else str(version),
            index,
        )
        self.sampling_method: str = order.sampling_method
        self.sampling_granularity: int = order.sampling_granularity
        self.partition_algo: str = order.partition_algo
        self.num_canonical_nodes: int | None = order.num_canonical_nodes
        self.batch_size: int | None = order.batch_size
        self.shuffle: bool = order.shuffle
        self.shuffle_algo: str | None = order.shuffle_algo
        self.shuffle_seed: int = order.shuffle_seed
        self.shuffle_block_size: int | None = order.shuffle_block_size
        self.batching_method: str = order.batching_method
        self.predownload: int = caching.predownload
        self.cache_limit: int | None = caching.limit
        self.replication: int | None = parallel.replication
        self.allow_unsafe_types: bool = as_flag("allow_unsafe_types", allow_unsafe_types)
        self.on_error: str = as_on_error(on_error)
        where = {"remote": remote, "local": local}
        if source is not None and streams is None:
            streams = [Stream(source=source)]
        self._ranks = DataRanks(parallel)
        self._given = resolve_streams(streams, where, defaults, stream_name, stream_config)
        self.stream_names: tuple[str, ...] = names_of(streams, len(self._given))
        self._order_config = order
        self._assemble(open_streams(self._given, self.allow_unsafe_types))
        if pack is not None or bucket is not None:
            from streaming.dataset.packs.packed import pack_here

            pack_here(self, one_rule(pack, bucket, self.batch_size))

    def _assemble(self, sources: Sequence[Source]) -> None:
        """Make the parts that depend on what is served, at the beginning of the first epoch."""
        self.__dict__.pop("_ordering", None)  # nothing is settled
        self.streams: list[Stream] = [copy(stream) for stream in self._given]  # which get their weights
        self.num_streams: int = len(self.streams)
        super().__init__(sources, self.cache_limit)
        self._epochs = Epochs()
        self._progress = Progress()
        ordering = Ordering(self._order_config, self._table, self.streams, self.stream_names)
        for stream in self.streams:
            stream.serve()
        self.epoch_size: int = ordering.epoch_size
        self._ordering = ordering
        self._epoch_reader = EpochReader(self._cache, self._table, ordering, self._epochs, self._progress, self._ranks)
        self._resumption = Resumption(self._epochs, ordering, self._progress, self._ranks)
        self._inspection = Inspection(self._epochs, ordering, self._ranks)
        self._reweighting = Reweighting(self._epochs, ordering, self._progress, self._ranks)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Tell the author of a subclass what of it will not be called."""
        super().__init_subclass__(**kwargs)
        warn_of_machinery(cls)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the readers of shards, which are made again where they are asked for."""
        return {name: value for name, value in self.__dict__.items() if name not in ("shards", "spanner")}

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; an argument of the order is set for the iterations that come, before the first one begins.

        Raises:
            ConfigError: It is an argument that is settled, or the value is none for it.
        """
        if name in ARGUMENTS and "_ordering" in self.__dict__ and value != getattr(self, name):
            is_under_way = bool(self._epochs.begun or self._epochs.current().settings)
            self._order_config = with_setting(self._order_config, name, value, is_under_way)
            self._ordering.config = self._order_config
            value = getattr(self._order_config, name)
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        """Give the tables of shards and streams by the names that :class:`ShardTable` documents."""
        if name in TABLES and "_table" in self.__dict__:
            return getattr(self._table, name)
        raise no_attribute(type(self), name)

    # -- what it holds -------------------------------------------------------------------------

    @property
    def num_shards(self) -> int:
        """Number of shards over all streams."""
        return len(self._table.samples_per_shard)

    @property
    def num_data_ranks(self) -> int:
        """Number of ranks that get different samples."""
        return self._ranks.world().num_ranks

    @property
    def length(self) -> int:
        """Samples that each rank gets in an epoch.

        Raises:
            EndlessError: (a ``TypeError``) The epoch has no end.
        """
        if self.epoch_size == HORIZON:
            raise EndlessError(
                "This dataset's epoch has no end, so it has no length: it has a schedule (mix) and no epoch_size. Stop by "
                "yourself, or give epoch_size."
            )
        return -(-self.epoch_size // self.num_data_ranks)

    def __len__(self) -> int:
        """Return the samples that each rank gets in an epoch: the epoch's size over the number of ranks, rounded up.

        Raises:
            EndlessError: (a ``TypeError``) The epoch has no end.
            ConfigError: PyTorch's ``random_split``, or a sampler, asks on one of several ranks: indexes go over ``size``.
        """
        refuse_share_as_size(self.num_data_ranks)
        return self.length

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Return the samples at a list of indexes; see :meth:`RandomAccess.__getitems__`.

        Raises:
            ConfigError: A ``Subset`` asks, which each of several ranks reads alike.
        """
        text = refuse_repeating_subset(self.num_data_ranks)
        if text is not None:
            self.warn_once("subset", text)
        return super().__getitems__(indices)

    @cached_property
    def shards(self) -> Sequence[Reader]:
        """A reader of each shard, over all streams, made when it is first asked for."""
        from streaming.format.readers import Readers

        places = [(stream.local or "", stream.split) for stream in self.streams]
        indexes = [source.directory.index for source in self.sources]
        return Readers([(index, *place) for index, place in zip(indexes, places, strict=True)], self.allow_unsafe_types)

    @property
    def max_shard_size_across_all_streams(self) -> int:
        """Bytes of the largest shard, raw and compressed together."""
        return self._cache.largest_bytes

    # -- iteration -----------------------------------------------------------------------------

    def __iter__(self) -> Iterator[T_co]:
        """Yield this worker's samples of the next epoch, or of the rest of the one that is resumed.

        Raises:
            ConfigError: ``batch_size`` was not given, or the layout of ranks does not fit.
            StreamingError: A shard could not be fetched or read. An epoch never ends early without an exception.
        """
        return self._epoch_reader.samples(self)

    @classmethod
    def has_own_iter(cls) -> bool:
        """Say whether a subclass brings an ``__iter__``, which may give other things than the samples in their order."""
        return cls.__iter__ is not StreamingDataset.__iter__

    def iterate_batches(self, collator: Collator[T]) -> Iterator[T]:
        """Yield this worker's batches of the next epoch, or of the rest of the one that is resumed.

        Only for datasets whose samples are served as they are stored; see :meth:`is_plain`.

        Args:
            collator: Makes a batch of samples that are still in their shards.
        """
        return self._epoch_reader.batches(self.predownload, collator)

    def warn_once(self, matter: str, text: str) -> None:
        """Warn, unless this dataset has warned of the same matter, here or in another process that shares it."""
        if self._epochs.is_first(matter):
            warnings.warn(text, stacklevel=3)

    # -- epochs and checkpoints ----------------------------------------------------------------

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
        self._epochs.set_epoch(as_integer("epoch", epoch, 0))

    def begin_at(self, epoch: int) -> None:
        """Begin with the epoch at which a trainer begins that counts epochs itself.

        Nothing changes if an iteration has begun, a checkpoint was loaded or an epoch was set.
        """
        self._resumption.begin_at(as_integer("epoch", epoch, 0))

    def epoch_over(self, least: int = 1) -> int | None:
        """Return the epoch that a checkpoint continues, if nothing is left of it: the coming iteration would be empty.

        Args:
            least: Samples of a rank that must be left for a batch: those of a whole one, where smaller ones are dropped.
        """
        return self._resumption.epoch_over(least)

    def hand_out(self, samples: int, least: int) -> None:
        """Note what a loader has handed out to this rank in this iteration.

        A trainer that counts samples by epoch, and has begun to count the next, asks ``state_dict(0, from_beginning=True)``.

        Args:
            samples: How many.
            least: Samples that a batch must have.
        """
        self._resumption.hand_out(samples, least)

    def present_start(self) -> Start:
        """Return where the present iteration started in its epoch, or, before any, the coming one will."""
        return self._epochs.current()

    def number_iteration(self) -> None:
        """Tell workers that are about to be started from those of other iterations; for loaders."""
        self._epochs.number_iteration()

    def drawn_here(self) -> tuple[Start | None, int]:
        """Return where the present iteration of this very process started, and how many samples it has given since."""
        progress = self._progress.own()
        return progress.start, progress.yielded

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

        Example:
            >>> dataset = StreamingDataset(local='data', batch_size=4)
            >>> for _, sample in zip(range(60), dataset):
            ...     pass
            >>> state = dataset.state_dict()
            >>> state['epoch'], state['sample_in_epoch']
            (0, 60)
        """
        self._reweighting.agreement.check()
        return self._resumption.state(num_samples, from_beginning)

    def state_of_workers(self, drawn: Sequence[int], position: int | None = None) -> dict[str, Any]:
        """Return a checkpoint by what each ``DataLoader`` worker of this rank has drawn.

        Args:
            drawn: Samples that each has drawn of its own, counted from where the iteration began that now is, or began that
                a loaded checkpoint of this kind was taken in.
            position: How many samples of this rank that are, if they are the first of its order and every rank is as far:
                the checkpoint is then one of every rank, for any number of ranks and workers. ``None``: it is this rank's
                own, for as many workers.
        """
        self._reweighting.agreement.check()
        return self._resumption.state_of_workers(drawn, position)

    def load_state_dict(self, obj: Mapping[str, Any]) -> None:
        """Have the next iteration continue where a checkpoint was made.

        Call it on every rank before iterating. The number of nodes, ranks and workers may differ from that of the run
        that made it, as long as the global batch is the same.

        Args:
            obj: What :meth:`state_dict` returned, here or in the original library.

        Raises:
            CheckpointError: It does not fit the dataset or its arguments; the text says what differs.

        Example:
            >>> dataset = StreamingDataset(local='data', batch_size=4)
            >>> for _, sample in zip(range(60), dataset):
            ...     pass
            >>> resumed = StreamingDataset(local='data', batch_size=4)
            >>> resumed.load_state_dict(dataset.state_dict())
            >>> len(list(resumed))
            4
        """
        self._resumption.resume(obj)
        self._reweighting.leave()

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
            >>> dataset = StreamingDataset(local='data', batch_size=4)
            >>> dataset.skip_batches([(0, 15)])
            >>> [sample['text'] for sample in dataset]
            ['text 60', 'text 61', 'text 62', 'text 63']
        """
        self._resumption.skip(batches, epoch)

    def set_weights(self, weights: Mapping[str | int, float], at: int | float | str = "soonest") -> int:
        """Give the streams other weights while training goes on: by their losses, say. Only with a schedule (``mix``).

        Call it on every rank at the same step, with the same values. The weights hold until the schedule's next phase or
        the end of a ramp. Later checkpoints have them; a checkpoint of ranks that have set different ones raises.

        Args:
            weights: Shares by the streams' names; only their ratios count. A stream that is not named gives nothing.
            at: From when on: samples of the run over all ranks, as a number or text such as ``'2b'``, rounded up to a global
                batch, and with ``balance`` to the end of a window; or ``'soonest'``, the first global batch that no worker
                has begun.

        Returns:
            The global batch, counted from the beginning of the run, with which they begin.

        Raises:
            ConfigError: There is no schedule, a weight is negative or no number, all are 0, batches before ``at`` may have
                been begun, or ``'soonest'`` is not known: with PyTorch's own ``DataLoader`` and workers.
            UnknownNameError: There is no such stream.

        Example:
            >>> streams = {'data': Stream(local='data'), 'wiki': Stream(local='wiki')}
            >>> mix = Schedule([Phase(0, {'data': 1})])
            >>> dataset = StreamingDataset(streams=streams, mix=mix, batch_size=4)
            >>> dataset.set_weights({'data': 0.75, 'wiki': 0.25}, at=40)
            10
        """
        return self._reweighting.set_weights(weights, at)

    def set_balance(self, balance: Balance | None) -> None:
        """Deal samples over the ranks so that each has as much to do; what a ``StreamingDataLoader`` does by ``balance``.

        Call it on every rank, with the same value, before an epoch begins and before a checkpoint is loaded. An epoch that
        has begun goes on as it was, and has no checkpoints then.

        Args:
            balance: The rule; ``None``: samples are dealt as they come.

        Raises:
            ConfigError: What a sample costs is not known, the order is none in which samples can change places, or a
                checkpoint was loaded that is amid an epoch of another balance.
        """
        from streaming.dataset.packs.costs import balancing_of

        if balance is not None and not isinstance(balance, Balance):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"balance must be a Balance, such as Balance('l2'), got {balance!r}.")
        old, new = self._ordering.balance, None if balance is None else balancing_of(self.sources, balance)
        if self._epochs.pending(self.next_epoch).sample_in_epoch and (old and old.name) != (new and new.name):
            raise ConfigError(
                f"A checkpoint was loaded that is amid an epoch with balance {old.name if old else None!r}; with "
                f"{new.name if new else None!r}, what is left of it would be other samples. Set the balance of the "
                "checkpoint before it is loaded."
            )
        self._resumption.set_balance(new)

    def reach(self, ahead: int) -> Reach | None:
        """Return where a loader that has begun an iteration is to note how far it is; ``None`` without a schedule.

        Args:
            ahead: Batches that its workers may have begun beyond those that it has received.
        """
        return self._reweighting.reach(ahead)

    if TYPE_CHECKING:

        def map(self, fn: Callable[..., R], *, rng: bool = False) -> StreamingDataset[R]: ...  # noqa: D102

        def flat_map(  # noqa: D102
            self, fn: Callable[..., Sequence[R]], count: int | str | Sequence[int] | NDArray[Any], *, rng: bool = False
        ) -> StreamingDataset[R]: ...

    @property
    def sample_seed(self) -> tuple[int, int]:
        """What the generators of :meth:`map` depend on besides the sample: seed and epoch of this process's iteration.

        Before any iteration, the epoch is the next one.
        """
        start = self._progress.own().start or self._epochs.pending(self._epochs.next_epoch)
        return int(start.settings.get("shuffle_seed", self.shuffle_seed)), start.epoch

    @property
    def initial_physical_nodes(self) -> int | None:
        """Number of nodes with which the run began, if a checkpoint was loaded that says so."""
        return self._epochs.current().settings.get("initial_physical_nodes")

    # -- the order -----------------------------------------------------------------------------

    @property
    def epoch_seed_change(self) -> bool:
        """Whether each epoch draws another number of samples from each shard."""
        return self.shuffle and self.sampling_method == "balanced"

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

        Example:
            >>> epoch = StreamingDataset(local='data', batch_size=4).inspect_epoch(0, num_nodes=2, ranks_per_node=1)
            >>> epoch.batch(0).shape  # ranks, samples of each
            (2, 4)
        """
        return self._inspection.inspector(epoch, num_nodes, ranks_per_node)

    def plan(
        self,
        *,
        num_nodes: int | None = None,
        ranks_per_node: int | None = None,
        num_workers: int = 0,
        replication: int | None = None,
        prefetch_factor: int = 2,
        epochs: int | None = None,
        steps: int | None = None,
        speed: Speed | None = None,
        price: Price | str | float | None = None,
    ) -> Plan:
        """Say what a run would serve, fetch, keep on disk, wait for and cost, by its order and the index alone.

        The run begins where the dataset would, after a checkpoint too, with an empty cache.

        Args:
            num_nodes: Nodes of the job that is asked about, by default this one's.
            ranks_per_node: Its ranks a node, those that get the same samples counted each, by default this job's.
            num_workers: ``DataLoader`` workers of each rank.
            replication: Consecutive ranks that get the same samples, by default as the dataset says.
            prefetch_factor: Batches that each worker makes ahead.
            epochs: Epochs of the run. Default: one, unless ``steps`` is given.
            steps: Global batches of the run.
            speed: How fast the network, decoding and training are. Default: nothing takes time.
            price: What data costs: a price, the name of one in the table that comes along (see
                :func:`streaming.planning.read_prices`), or a number for each 10^9 bytes.

        Raises:
            ConfigError: ``batch_size`` was not given, the order does not exist for that job, or the epoch has no end and
                ``steps`` is not given.
            UnknownNameError: There is no such price.

        Example:
            >>> dataset = StreamingDataset(remote='data', local='cache', batch_size=4, shuffle=True)
            >>> plan = dataset.plan(num_nodes=2, ranks_per_node=2, epochs=2, price=0.09)
            >>> plan.counts.steps, plan.counts.samples, plan.nodes[0].shards
            (8, 128, 1)
        """
        planning = self._planning(num_nodes, ranks_per_node, num_workers, replication, prefetch_factor)
        return planning.plan(epochs, steps, speed, price)

    def check(
        self,
        *,
        num_nodes: int | None = None,
        ranks_per_node: int | None = None,
        num_workers: int = 0,
        replication: int | None = None,
        steps: int | None = None,
        worlds: Sequence[tuple[int, int, int]] = (),
        most: int = 1 << 24,
    ) -> proofs.Report:
        """Prove what the coming epoch would serve, by its order and the index alone.

        Every sample comes as often as it should, ranks have equally many, other worlds have the same global batches, what is
        left after resuming is what was left, and the cache suffices.

        Args:
            num_nodes: Nodes of the job that is asked about, by default this one's.
            ranks_per_node: Its ranks a node, those that get the same samples counted each, by default this job's.
            num_workers: ``DataLoader`` workers of each rank.
            replication: Consecutive ranks that get the same samples, by default as the dataset says.
            steps: Global batches that are looked at, by default all of the epoch.
            worlds: Other jobs: nodes, ranks of each, and workers of each rank.
            most: Up to so many samples, every one is counted; of more, some are looked up by the order's inverse, if it has
                one.

        Raises:
            ConfigError: ``batch_size`` was not given, or the order does not exist for a world.

        Example:
            >>> dataset = StreamingDataset(remote='data', local='cache', batch_size=4, shuffle=True)
            >>> dataset.check(num_nodes=2, ranks_per_node=4, worlds=[(1, 1, 0), (4, 4, 2)]).holds
            True
        """
        planning = self._planning(num_nodes, ranks_per_node, num_workers, replication)
        return planning.check(steps, worlds, most)

    def _planning(self, *asked: Any) -> Planning:
        from streaming.dataset.planning.runs import Asked, Planning

        name = ", ".join(source.directory.origin for source in self.sources)
        parts = (self._epochs, self._ordering, self._ranks, self._table, self._cache)
        return Planning(Asked(*asked), name, *parts, self.predownload, self.stream_names)

    def resample_streams(self, epoch: int, stream_id: int | None = None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return which samples an epoch draws, before they are shuffled.

        Args:
            epoch: The epoch.
            stream_id: The stream to draw from, by default all.

        Returns:
            ``int64[U]``, sizes of the runs that are shuffled as units, and ``int64[N]``, the sample id at each place.
        """
        return self._inspection.draws(epoch, stream_id)

    def epoch_work(
        self, world: World, epoch: int, sample_in_epoch: int = 0, batching_method: str | None = None
    ) -> NDArray[np.int64]:
        """Return the sample ids of every worker's batches in an epoch, or in what is left of it.

        Args:
            world: Nodes, ranks and workers to deal them to; ranks that get the same samples count once.
            epoch: The epoch.
            sample_in_epoch: Samples that are already consumed over all ranks.
            batching_method: How streams are mixed, by default as the dataset says.

        Returns:
            ``int64[P, R, W, batches, B]``, -1 for padding.

        Raises:
            ConfigError: The order does not exist for that layout.
        """
        return self._inspection.work(world, epoch, sample_in_epoch, batching_method)

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
            ``cache_limit``, 0 for none. With ``balance``, ``imbalance``: the load of the rank that has most to do, over the
            mean, in the next epoch's first window.

        Example:
            >>> dataset = StreamingDataset(remote='data', local='cache')
            >>> _ = dataset[0]
            >>> dataset.stats()['files_fetched']
            1
        """
        imbalance = self._inspection.imbalance()
        return {**self._cache.stats(), **({} if imbalance is None else {"imbalance": imbalance})}

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
        shard_id = as_integer("shard_id", shard_id, 0)
        if blocking:
            self._cache.get(shard_id)
        else:
            self._cache.prefetch(shard_id, 0.0)

    def evict_shard(self, shard_id: int) -> None:
        """Remove a shard from the cache. What this cache did not fetch stays."""
        self._cache.evict(as_integer("shard_id", shard_id, 0))

    def evict_coldest_shard(self) -> None:
        """Remove the shard that was used longest ago.

        Raises:
            ConfigError: There is none to remove.
        """
        self._cache.evict_coldest()

    def close(self) -> None:
        """Stop background threads and close open shards. The dataset can be used again."""
        self._cache.close()
