"""One epoch of a schedule: a stretch of the run, which may be without end."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError
from streaming.order.lanes.epoch import WorkerIds
from streaming.order.lanes.mixing import BLOCK
from streaming.order.lanes.worker import WorkerPositions, in_blocks
from streaming.order.schedule.passes import StreamPasses, block_sizes, stream_spec
from streaming.order.schedule.routes import METHODS, ScheduleRoute, check_weights
from streaming.order.spec import Layout, OrderSpec
from streaming.order.table import HORIZON, steps_of

__all__ = ["ScheduledEpoch"]

_Ints = NDArray[np.int64]

#: Passes over a stream that are planned one by one; of one that is read oftener, all shards are needed all the time.
_PLANNED_PASSES = 4
_LEAST_PLANNED = 1 << 20


class ScheduledEpoch:
    """The order of one epoch: positions in, sample ids out, and back. What :class:`LanesEpoch` is for fixed weights.

    Args:
        spec: The order, with a table.
        epoch: Epoch, from 0: each goes on in the run where the one before ended.
        global_batch: Samples of a batch over all ranks.

    Raises:
        ConfigError: The epoch is past the end of time, or a stream cannot have its weight.

    Attributes:
        total: Positions of the epoch.
        begin: Position of the run at which it begins.
        is_endless: Whether there is no other after it.
        route: How positions find draws.
    """

    def __init__(self, spec: OrderSpec, epoch: int, global_batch: int) -> None:
        self.is_endless: bool = spec.epoch_size == HORIZON
        rest = spec.epoch_size % global_batch
        if rest and not self.is_endless:
            raise ConfigError(
                f"With a schedule (mix), an epoch is a whole number of global batches of {global_batch} samples: epoch_size="
                f"{spec.epoch_size} is none. Use {spec.epoch_size - rest + global_batch}, or a multiple for every world."
            )
        self.total: int = spec.epoch_size - rest
        self.begin: int = epoch * self.total
        if self.is_endless and epoch:
            raise ConfigError(
                "A dataset with a schedule (mix) and no epoch_size has one epoch, which has no end, and it has been begun. "
                "To go on where it was left, loader.load_state_dict(loader.state_dict()); for epochs, give epoch_size."
            )
        if self.begin + self.total > HORIZON:
            raise ConfigError(
                f"Epoch {epoch} of {self.total} samples would be more than {HORIZON} samples into the run."
            )
        self._spec = spec
        self._global_batch = global_batch
        check_weights(spec, global_batch)
        self._steps = steps_of(spec.table, global_batch)
        self.route: ScheduleRoute = METHODS[spec.batching_method](spec, self._steps, global_batch)
        blocks = block_sizes(-(-spec.samples_per_stream // spec.num_canonical_nodes), spec.shuffle_block_size)
        self._streams = [
            StreamPasses(stream_spec(spec, k, size), self.route.unit) for k, size in enumerate(blocks.tolist())
        ]
        self._first_id = spec.sample_offset_per_shard[spec.shard_offset_per_stream]

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
        node, stream, local = self.route.split(positions + self.begin)
        out = np.empty(len(positions), np.int64)
        turn = np.argsort(stream.astype(np.uint16) if len(self._streams) <= 1 << 16 else stream, kind="stable")
        edges = np.searchsorted(stream[turn], np.arange(len(self._streams) + 1))
        for k in np.flatnonzero(np.diff(edges)).tolist():
            rows = turn[edges[k] : edges[k + 1]]
            out[rows] = self._streams[k].ids(node[rows], local[rows]) + self._first_id[k]
        return out

    def positions(self, sample_id: int, stop: int | None = None) -> _Ints:
        """Return all positions before ``stop`` at which a sample comes, ascending.

        Args:
            sample_id: The sample.
            stop: By default the end of the epoch.

        Raises:
            ConfigError: There is no such sample, or the epoch has no end and ``stop`` is not given.
        """
        if not 0 <= sample_id < self._spec.num_samples:
            raise ConfigError(f"There is no sample {sample_id}; the dataset has {self._spec.num_samples}.")
        if stop is None and self.is_endless:
            raise ConfigError("The epoch has no end, so a sample comes again and again: say before which global batch.")
        stop = self.total if stop is None else min(stop, self.total)
        k = int(np.searchsorted(self._first_id[1:], sample_id, side="right"))
        passes = self._streams[k]
        low, high = self._passes_between(k, self.begin, self.begin + stop)
        node, local = passes.find(low, high, sample_id - int(self._first_id[k]))
        position = np.sort(self.route.join(node, k, local)) - self.begin
        return position[(position >= 0) & (position < stop)]

    def _passes_between(self, stream: int, begin: int, stop: int) -> tuple[int, int]:
        """Return the first pass over a stream that a range of the run touches, and one past the last; both generously."""
        # Neighbours change places, and canonical nodes may be as many steps apart.
        apart = len(self._steps.begin) if self._spec.num_canonical_nodes > 1 else 0
        slack = (apart + BLOCK) * self._spec.num_canonical_nodes * self.route.size
        samples = self._streams[stream].samples
        low, high = int(self.route.given(begin)[stream]), int(self.route.given(stop)[stream])
        if low == high or not samples:
            return 0, 0
        return max(0, (low - slack) // samples), (high + slack) // samples + 1

    def worker_positions(
        self, layout: Layout, node: int, rank_of_node: int, worker_of_rank: int, sample_in_epoch: int = 0
    ) -> WorkerPositions:
        """Return the positions that one worker serves; see :meth:`LanesEpoch.worker_positions`."""
        batch = layout.num_ranks * self._spec.batch_size
        return WorkerPositions(
            self.total,
            self._spec.batch_size,
            layout,
            node,
            rank_of_node,
            worker_of_rank,
            sample_in_epoch - sample_in_epoch % batch,
        )

    def worker_ids(
        self, layout: Layout, node: int, rank_of_node: int, worker_of_rank: int, sample_in_epoch: int = 0
    ) -> WorkerIds:
        """Return the sample ids that one worker serves."""
        return WorkerIds(self, self.worker_positions(layout, node, rank_of_node, worker_of_rank, sample_in_epoch))

    def planned_to(self, begin: int) -> int:
        """Return the position up to which :meth:`spans` looks from one on."""
        return min(self.total, begin + max(2 * self._spec.num_samples, _LEAST_PLANNED))

    def spans(self, nodes: _Ints | None = None, begin: int = 0) -> tuple[_Ints, _Ints, _Ints]:
        """Return when which shards are needed, from a position on and as far as is planned. Legend: V spans.

        Args:
            nodes: Canonical nodes whose needs are asked for, or ``None`` for all.
            begin: The position.

        Returns:
            ``int64[V]`` each: shards, and the first and last position of each span, which may be a little too wide.
        """
        every = np.arange(self._spec.num_canonical_nodes, dtype=np.int64) if nodes is None else nodes
        stop = self.planned_to(begin)
        parts = [self._spans_of(k, every, self.begin + begin, self.begin + stop) for k in range(len(self._streams))]
        shard, first, last = (np.concatenate(column) for column in zip(*parts, strict=True))
        first, last = first - self.begin, last - self.begin
        kept = np.flatnonzero((last >= begin) & (first < stop))
        return shard[kept], np.maximum(first[kept], begin), np.minimum(last[kept], stop - 1)

    def _spans_of(self, stream: int, nodes: _Ints, begin: int, stop: int) -> tuple[_Ints, _Ints, _Ints]:
        low, high = self._passes_between(stream, begin, stop)
        first_shard = int(self._spec.shard_offset_per_stream[stream])
        stretches = self._active(stream, begin, stop)
        if high - low > _PLANNED_PASSES:
            shards = np.arange(int(self._spec.shards_per_stream[stream]), dtype=np.int64)
            spans = shards, np.full(len(shards), begin, np.int64), np.full(len(shards), stop - 1, np.int64)
        else:
            parts = [self._spans_of_pass(stream, number, nodes) for number in range(low, high)]
            nothing = np.empty(0, np.int64)
            shards, first, last = zip((nothing, nothing, nothing), *parts, strict=True)
            spans = np.concatenate(shards), np.concatenate(first), np.concatenate(last)
        shards, first, last = _within(*spans, stretches)
        return shards + first_shard, first, last

    def _spans_of_pass(self, stream: int, number: int, nodes: _Ints) -> tuple[_Ints, _Ints, _Ints]:
        shard, node, first, last = self._streams[stream].spans(number, nodes)
        begin, end = self.route.join(node, stream, first), self.route.join(node, stream, last)
        for away in self.route.astray(stream).tolist():
            begin = np.minimum(begin, self.route.join(node, stream, np.minimum(first + away, last)))
            end = np.maximum(end, self.route.join(node, stream, np.maximum(last - away, first)))
        # Neighbours change places: a draw may be a few rows, or a batch, before the one before it.
        around = BLOCK * self._spec.num_canonical_nodes * self.route.size + 2 * self._global_batch
        return shard, np.maximum(begin - around, 0), end + around

    def _active(self, stream: int, begin: int, stop: int) -> list[tuple[int, int]]:
        """Return the stretches of a range of the run in which a stream has a weight: elsewhere it needs no shard."""
        steps = self._steps
        has = steps.weights[:, stream] > 0
        edges = np.flatnonzero(np.diff(np.concatenate([[False], has, [False]]).astype(np.int8)))
        begins = np.append(steps.begin, HORIZON)
        pairs = [(int(begins[a]), int(begins[b])) for a, b in edges.reshape(-1, 2).tolist()]
        return [(max(low, begin), min(high, stop)) for low, high in pairs if low < stop and high > begin]


def _within(shards: _Ints, first: _Ints, last: _Ints, stretches: list[tuple[int, int]]) -> tuple[_Ints, _Ints, _Ints]:
    """Return spans cut to stretches of the run."""
    parts = [(np.empty(0, np.int64),) * 3]
    for low, high in stretches:
        rows = np.flatnonzero((last >= low) & (first < high))
        parts.append((shards[rows], np.maximum(first[rows], low), np.minimum(last[rows], high - 1)))
    shards, first, last = (np.concatenate(column) for column in zip(*parts, strict=True))
    return shards, first, last
