"""One epoch of the lanes order."""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streaming.core.arrays import distinct
from streaming.core.errors import ConfigError
from streaming.order.lanes.arithmetic import mul_div
from streaming.order.lanes.batching import Route, batching_methods
from streaming.order.lanes.keys import Purpose, derive, mix64
from streaming.order.lanes.lanes import Lanes
from streaming.order.lanes.runs import code_of, make_runs, shard_of
from streaming.order.lanes.sampling import draw
from streaming.order.lanes.within import SampleOrder
from streaming.order.lanes.worker import WorkerPositions, in_blocks
from streaming.order.spec import Layout, OrderSpec

__all__ = ["LanesEpoch", "WorkerIds"]

_Ints = NDArray[np.int64]

#: Most lanes of a stream in a canonical node. Their tables then stay small, and shards are so small that their own
#: order does what more lanes would.
_MAX_LANES = 1 << 16


class LanesEpoch:
    """The order of one epoch: positions in, sample ids out, and back.

    Setting up costs time and memory in proportion to the shards; after that, positions may be asked for in any order.

    Args:
        spec: The order.
        epoch: Epoch, from 0.
        global_batch_size: Samples of a batch over all ranks. Only batching methods other than ``'random'`` depend on it.
        route: How positions find draws, instead of by the batching method.

    Raises:
        ConfigError: The batching method does not fit the streams, or the numbers are too large.

    Attributes:
        total: Positions of the epoch.
        dropped: Draws that fill no whole batch and are left out.
        route: How positions find draws.
    """

    def __init__(
        self, spec: OrderSpec, epoch: int, global_batch_size: int | None = None, route: Route | None = None
    ) -> None:
        if epoch < 0:
            raise ConfigError(f"epoch must not be negative, got {epoch}.")
        if global_batch_size is None and spec.batching_method != "random":
            raise ConfigError(
                f"{spec.batching_method} batching depends on the global batch size; pass global_batch_size."
            )
        self._spec = spec
        self._epoch = epoch
        self._batch = global_batch_size
        self._draws = draw(spec, epoch)
        self.route: Route = route or batching_methods[spec.batching_method](spec, epoch, global_batch_size or 1)
        self._within = SampleOrder(spec, self._draws, epoch)
        self._nodes = np.empty(0, np.int64)
        self._tables: Lanes | None = None
        self.total: int = self.route.total
        self.dropped: int = spec.epoch_size - self.total

    def ids(self, positions: _Ints) -> _Ints:
        """Return the sample ids at positions of the epoch.

        Args:
            positions: ``int64[I]``, each in ``[0, total)``, or -1.

        Returns:
            ``int64[I]``, -1 where the position is.

        Raises:
            ConfigError: A position is past the end of the epoch.
        """
        return in_blocks(positions, self.total, self._block_ids)

    def _block_ids(self, positions: _Ints) -> _Ints:
        node, stream, local = self.route.split(positions)
        lanes, row = self._lanes_of(node)
        run, index = lanes.locate(row * self._spec.num_streams + stream, local)
        return self._within.ids(lanes.runs.code[run], index)

    def shard_of(self, sample_ids: _Ints) -> _Ints:
        """Return the shard of each sample id, -1 for -1."""
        ends = self._spec.sample_offset_per_shard[1:]
        return np.where(sample_ids < 0, -1, np.searchsorted(ends, sample_ids, side="right"))

    def positions(self, sample_id: int, stop: int | None = None) -> _Ints:
        """Return all positions at which a sample comes, ascending: none, one, or several if it is repeated.

        Args:
            sample_id: The sample.
            stop: Position before which to look, by default the end of the epoch.

        Raises:
            ConfigError: There is no such sample.
        """
        if not 0 <= sample_id < self._spec.num_samples:
            raise ConfigError(f"There is no sample {sample_id}; the dataset has {self._spec.num_samples}.")
        spec, draws = self._spec, self._draws
        shard = int(self.shard_of(np.array([sample_id], np.int64))[0])
        stream = int(np.searchsorted(spec.shard_offset_per_stream[1:], shard, side="right"))
        place = int(self._place_of_shard[shard])
        size = int(spec.samples_per_shard[shard])
        passes = np.arange(int(draws.passes[stream]) + int(draws.partial[shard] > 0), dtype=np.int64)
        offset = sample_id - int(spec.sample_offset_per_shard[shard])
        index = self._within.indexes(shard, passes, offset)
        passes, index = passes[index >= 0], index[index >= 0]
        stream_begin = draws.begin[spec.shard_offset_per_stream[stream]]
        draw_number = draws.begin[place] - stream_begin + passes * size + index
        node = self.route.striping.node_of(stream, draw_number)
        kept = node < spec.num_canonical_nodes
        passes, index, node = passes[kept], index[kept], node[kept]
        lanes, row = self._lanes_of(node)
        code = code_of(np.full(len(passes), shard, np.int64), passes)
        run = self._find_runs(lanes, row * spec.num_streams + stream, code)
        group, local = lanes.find(lanes.runs.begin[run] + index - lanes.runs.skip[run])
        found = self.route.join(node, group % spec.num_streams, local)
        return np.sort(found[found < (self.total if stop is None else min(stop, self.total))])

    def worker_positions(
        self,
        layout: Layout,
        node: int,
        rank_of_node: int,
        worker_of_rank: int,
        sample_in_epoch: int = 0,
    ) -> WorkerPositions:
        """Return the positions that one worker serves.

        Args:
            layout: All workers.
            node: This worker's node.
            rank_of_node: Its rank on the node.
            worker_of_rank: Its place among the rank's workers.
            sample_in_epoch: Samples already consumed, over all ranks. Where positions come in global batches, a batch
                that was begun is served again.

        Raises:
            ConfigError: The layout has another global batch size than the epoch.
        """
        spec = self._spec
        if spec.batching_method != "random":
            batch = layout.num_ranks * spec.batch_size
            if batch != self._batch:
                raise ConfigError(
                    f"{layout.num_ranks} ranks with batch_size {spec.batch_size} make global batches of {batch} "
                    f"samples, but the epoch was made for {self._batch}. Make it anew for this layout."
                )
            sample_in_epoch -= sample_in_epoch % batch
        return WorkerPositions(
            self.total,
            spec.batch_size,
            layout,
            node,
            rank_of_node,
            worker_of_rank,
            sample_in_epoch,
        )

    def worker_ids(
        self,
        layout: Layout,
        node: int,
        rank_of_node: int,
        worker_of_rank: int,
        sample_in_epoch: int = 0,
    ) -> WorkerIds:
        """Return the sample ids that one worker serves; arguments and errors as ``worker_positions``."""
        return WorkerIds(
            self,
            self.worker_positions(layout, node, rank_of_node, worker_of_rank, sample_in_epoch),
        )

    def shard_windows(
        self, start: int = 0, stop: int | None = None, node: int | None = None
    ) -> tuple[_Ints, _Ints, _Ints]:
        """Return which shards positions ``[start, stop)`` need, and when.

        Args:
            start: First position.
            stop: One past the last position, or ``None`` for the end of the epoch.
            node: Canonical node whose needs are asked for, or ``None`` for all.

        Returns:
            Shards, by first need, and for each the positions between which it is needed, both included and cut to the
            range. They may be a few positions too wide, up to whole global batches.
        """
        stop = self.total if stop is None else min(stop, self.total)
        shard, first, last = self._all_windows if node is None else self._windows_of(node)
        kept = np.flatnonzero((last >= start) & (first < stop))
        order = kept[np.argsort(shard[kept], kind="stable")]
        shard = shard[order]
        first, last = np.maximum(first[order], start), np.minimum(last[order], stop - 1)
        if not len(shard):
            return shard, first, last
        edges = np.flatnonzero(np.append(True, np.diff(shard) != 0))
        first, last = np.minimum.reduceat(first, edges), np.maximum.reduceat(last, edges)
        turn = np.argsort(first, kind="stable")
        return shard[edges][turn], first[turn], last[turn]

    def spans(self, nodes: _Ints | None = None, begin: int = 0) -> tuple[_Ints, _Ints, _Ints]:
        """Return when which shards are needed, without joining what comes several times. Legend: V spans.

        Args:
            nodes: Canonical nodes whose needs are asked for, or ``None`` for all.
            begin: Spans that end before this position may be left out.

        Returns:
            ``int64[V]`` each: shards, and the first and last position of each span, which may be a little too wide.
        """
        every = range(self._spec.num_canonical_nodes) if nodes is None else nodes.tolist()
        del begin
        parts = [self._windows_of(node) for node in every]
        shard, first, last = (np.concatenate(column) for column in zip(*parts, strict=True))
        return shard, first, np.minimum(last, self.total - 1)

    def max_open_shards(self, node: int | None = None) -> int:
        """Return how many shards a canonical node, or all together, read from at a time, at most."""
        lanes, row = self._lanes_of(
            np.arange(self._spec.num_canonical_nodes, dtype=np.int64) if node is None else np.array([node], np.int64)
        )
        per_node = lanes.num_lanes.reshape(-1, self._spec.num_streams).sum(1)
        return int(per_node[row].sum())

    @cached_property
    def _place_of_shard(self) -> _Ints:
        places = np.empty(self._spec.num_shards, np.int64)
        places[self._draws.order] = np.arange(self._spec.num_shards, dtype=np.int64)
        return places

    @cached_property
    def _all_windows(self) -> tuple[_Ints, _Ints, _Ints]:
        return self.spans()

    def _windows_of(self, node: int) -> tuple[_Ints, _Ints, _Ints]:
        lanes = self._make_lanes(np.array([node], np.int64))
        run, group, first, last = lanes.spans()
        nodes = np.full(len(group), node, np.int64)
        first, last = self.route.window(nodes, group, first, last)
        return shard_of(lanes.runs.code[run]), first, last

    def _find_runs(self, lanes: Lanes, group: _Ints, code: _Ints) -> _Ints:
        """Return where the runs of these names are in their groups."""
        edges = np.concatenate([np.zeros(1, np.int64), np.cumsum(lanes.runs.counts)])
        found = [
            low + int(np.flatnonzero(lanes.runs.code[low:high] == name)[0])
            for low, high, name in zip(edges[group].tolist(), edges[group + 1].tolist(), code.tolist(), strict=True)
        ]
        return np.array(found, np.int64)

    def _lanes_of(self, node: _Ints) -> tuple[Lanes, _Ints]:
        """Return tables that cover canonical nodes, and the nodes' rows in them."""
        row = np.searchsorted(self._nodes, node)
        if self._tables is None or not self._covered(node, row):
            # A worker reads from a few nodes, and always from those; whoever asks for others asks for all.
            nodes, _ = distinct(node)
            if self._tables is not None:
                nodes = np.arange(self._spec.num_canonical_nodes, dtype=np.int64)
            self._tables, self._nodes = self._make_lanes(nodes), nodes
            row = np.searchsorted(nodes, node)
        return self._tables, row

    def _covered(self, node: _Ints, row: _Ints) -> bool:
        known = self._nodes
        if len(known) == self._spec.num_canonical_nodes:
            return True
        return bool(len(known)) and bool((known[np.minimum(row, len(known) - 1)] == node).all())

    def _make_lanes(self, nodes: _Ints) -> Lanes:
        spec = self._spec
        runs = make_runs(spec, self._draws, self.route.striping, nodes, self._epoch)
        keys = [derive(spec.shuffle_seed, Purpose.LANE_ORDER, self._epoch, c) for c in nodes.tolist()]
        streams = np.arange(spec.num_streams, dtype=np.uint64)
        group_keys = mix64((np.array(keys, np.uint64)[:, None] ^ streams).ravel())
        if not spec.shuffle:
            return Lanes(runs, np.minimum(runs.counts, 1), group_keys, align=False)
        in_node = np.repeat(runs.samples.reshape(len(nodes), -1).sum(1), spec.num_streams)
        block = np.minimum(spec.shuffle_block_size, in_node)
        lanes = mul_div(runs.counts, block, np.maximum(in_node, 1), in_node // 2)[0]
        lanes = np.clip(lanes, 1, np.minimum(runs.counts, _MAX_LANES))
        return Lanes(runs, np.where(runs.counts > 0, lanes, 0), group_keys, align=True)


class Order(Protocol):
    """What finds the sample at each position of an epoch."""

    def ids(self, positions: _Ints) -> _Ints:
        """Return the sample ids at positions."""
        ...


class WorkerIds:
    """The sample ids of one worker, made when they are asked for.

    Args:
        epoch: The epoch.
        positions: The worker's positions of it.
    """

    def __init__(self, epoch: Order, positions: WorkerPositions) -> None:
        self._epoch = epoch
        self._positions = positions

    def __len__(self) -> int:
        """Return the number of slots, the same for all workers; some at the end may be empty."""
        return len(self._positions)

    def ids(self, start: int, stop: int) -> _Ints:
        """Return the sample ids of slots ``[start, stop)``, -1 where a slot is empty."""
        return self._epoch.ids(self._positions.positions(start, stop))
