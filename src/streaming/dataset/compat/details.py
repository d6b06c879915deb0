"""What user code reads of a dataset beyond its samples: its shards as objects, and how an epoch is laid out."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from streaming.core.world import World
from streaming.dataset.compat.spanner import Spanner
from streaming.order.queries.plan import EpochOrder
from streaming.order.spec import Layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming.cache.cache import ShardCache
    from streaming.dataset.epoch.epochs import Epochs
    from streaming.dataset.epoch.ordering import Ordering
    from streaming.dataset.shards import ShardTable
    from streaming.dataset.stream import Stream
    from streaming.format.reader import Reader

__all__ = ["DatasetDetails", "no_attribute"]

_EPOCH = "`dataset.epoch_work(world, epoch)` gives the sample ids of every worker, `inspect_epoch()` those of a batch"
_ITERATE = "iterate `super().__iter__()`, which fetches ahead; `__getitem__` may put the sample's id into the sample"
_WORLD = "`streaming.base.world.World.detect()` says where this process is, `dataset.num_data_ranks` how many ranks"
_RANKS = "pass data_parallel_rank and data_parallel_size, a device_mesh, or replication"

#: What the original iterates by, and this library does not, with what to use instead.
_MACHINERY = {
    "_attach_work": _EPOCH,
    "_create_parallel_rank_world": _RANKS,
    "_create_unique_rank_world": _RANKS,
    "_each_sample_id": _ITERATE,
    "_get_work": _EPOCH,
    "_parallel_rank_world": _WORLD,
    "_parallel_worker_world": _WORLD,
    "_prepare_thread": _ITERATE,
    "_ready_thread": _ITERATE,
    "_resume": "`load_state_dict()` resumes, `next_epoch` and `set_epoch()` say which epoch comes",
    "_resume_incr_epoch": "`load_state_dict()` resumes, `next_epoch` and `set_epoch()` say which epoch comes",
    "_share_work": _EPOCH,
    "_unique_rank_world": _WORLD,
    "_unique_worker_world": _WORLD,
    "on_exception": "exceptions reach the loop by themselves",
}


def no_attribute(kind: type[Any], name: str) -> AttributeError:
    """Return what to raise for an attribute that there is not."""
    text = f"{kind.__name__!r} object has no attribute {name!r}"
    if name in _MACHINERY:
        text += f", which belongs to how mosaicml-streaming iterates. Instead: {_MACHINERY[name]}"
    return AttributeError(f"{text}." if name in _MACHINERY else text)


def _instead(names: list[str]) -> str:
    return "; ".join(dict.fromkeys(_MACHINERY[name] for name in names))


class DatasetDetails:
    """Attributes of a ``StreamingDataset`` that are worked out when they are asked for."""

    if TYPE_CHECKING:
        streams: Sequence[Stream]
        shuffle: bool
        allow_unsafe_types: bool
        sampling_method: str
        _cache: ShardCache
        _table: ShardTable
        _epochs: Epochs
        _ordering: Ordering

        def _parallel_world(self) -> World: ...

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Tell the author of a dataset that a method of it will not be called."""
        super().__init_subclass__(**kwargs)
        dead = [name for name in _MACHINERY if name in vars(cls)]
        if dead:
            warnings.warn(
                f"{cls.__name__} overrides {', '.join(dead)}, which iterating does not call. Override `__getitem__` or "
                "`get_item` to change samples; register a shuffle or a batching method to change their order. Instead of "
                f"what it overrides: {_instead(dead)}.",
                stacklevel=2,
            )
        code = getattr(vars(cls).get("__iter__"), "__code__", None)
        missing = [name for name in getattr(code, "co_names", ()) if name in _MACHINERY and not hasattr(cls, name)]
        if missing:
            warnings.warn(
                f"{cls.__name__}.__iter__ uses {', '.join(dict.fromkeys(missing))}, which belong to how mosaicml-streaming "
                f"iterates and are not here. Instead: {_instead(missing)}.",
                stacklevel=2,
            )

    @cached_property
    def shards(self) -> Sequence[Reader]:
        """A reader of each shard, over all streams, made when it is first asked for."""
        from streaming.format.readers import Readers

        parts = [
            (directory.index, stream.local or "", stream.split)
            for stream, directory in zip(self.streams, self._cache.directories, strict=True)
        ]
        return Readers(parts, self.allow_unsafe_types)

    @cached_property
    def spanner(self) -> Spanner:
        """From sample ids to shards."""
        return Spanner(self._table.samples_per_shard)

    @property
    def epoch_seed_change(self) -> bool:
        """Whether each epoch draws another number of samples from each shard."""
        return self.shuffle and self.sampling_method == "balanced"

    @property
    def initial_physical_nodes(self) -> int | None:
        """Number of nodes with which the run began, if a checkpoint was loaded that says so."""
        return self._epochs.current().settings.get("initial_physical_nodes")

    @property
    def max_shard_size_across_all_streams(self) -> int:
        """Bytes of the largest shard, raw and compressed together."""
        return max(
            int((directory.index.raw_bytes + directory.index.zip_bytes).max(initial=0))
            for directory in self._cache.directories
        )

    def resample_streams(self, epoch: int, stream_id: int | None = None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return which samples an epoch draws, before they are shuffled.

        Args:
            epoch: The epoch.
            stream_id: The stream to draw from, by default all.

        Returns:
            ``int64[U]``, sizes of the runs that are shuffled as units, and ``int64[N]``, the sample id at each place.
        """
        spec = self._ordering.spec(self._epochs.pending(epoch).settings, self._parallel_world())
        from streaming.order.classic.resampling import resample

        units, ids = resample(spec, epoch, stream_id)
        if ids is None:
            ids = np.arange(int(units.sum()))
        return units, ids.astype(np.int64)

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
        spec = self._ordering.spec(self._epochs.pending(epoch).settings, world)
        if batching_method is not None:
            spec = replace(spec, batching_method=batching_method)
        layout = Layout(world.num_nodes, world.ranks_per_node, world.workers_per_rank)
        order = EpochOrder(spec, epoch, layout)
        every: list[NDArray[np.int64]] = []
        for node in range(layout.num_nodes):
            for rank in range(layout.ranks_per_node):
                for worker in range(layout.workers_per_rank):
                    ids = order.worker_ids(node, rank, worker, sample_in_epoch)
                    every.append(ids.ids(0, len(ids)).reshape(-1, spec.batch_size))
        batches = max(len(ids) for ids in every)
        work = np.full((len(every), batches, spec.batch_size), -1, np.int64)
        for row, ids in zip(work, every, strict=True):
            row[: len(ids)] = ids
        shape = layout.num_nodes, layout.ranks_per_node, layout.workers_per_rank, batches, spec.batch_size
        return work.reshape(shape)
