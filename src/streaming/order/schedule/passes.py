"""The draws of one stream of a schedule: pass after pass over all its samples, each in an order of its own."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.core.arrays import distinct
from streaming.order.lanes.epoch import LanesEpoch
from streaming.order.lanes.keys import GOLDEN, Purpose, derive, mix64
from streaming.order.lanes.permutation import permute, unpermute
from streaming.order.lanes.striping import Parts, striped_total
from streaming.order.spec import OrderSpec

__all__ = ["StreamPasses", "block_sizes", "is_small", "stream_spec"]

_Ints = NDArray[np.int64]

#: A stream of up to so many samples is shuffled as a whole: it is read in many passes, too short for lanes.
SMALL = 4096
#: Passes whose tables are kept: one that ends, one that begins, and a look-ahead's.
_KEPT = 4


def is_small(samples: _Ints) -> NDArray[np.bool_]:
    """Return ``bool[K]``: which streams, by their samples, are shuffled as a whole."""
    return samples <= SMALL


def block_sizes(samples: _Ints, block_size: int) -> _Ints:
    """Return ``int64[K]``: samples among which those of each stream are shuffled in a canonical node.

    The block is divided equally, and what small streams leave goes to the others: not by weight, which changes.

    Args:
        samples: ``int64[K]``, samples of each stream in a canonical node.
        block_size: Samples among which a sample is shuffled, over all streams.
    """
    left = block_size
    out = np.zeros_like(samples)
    order = np.argsort(samples, kind="stable")
    for done, stream in enumerate(order.tolist()):
        out[stream] = min(int(samples[stream]), left // (len(order) - done))
        left -= int(out[stream])
    return np.maximum(out, 1)


def stream_spec(spec: OrderSpec, stream: int, block_size: int) -> OrderSpec:
    """Return the order of one stream by itself, each of whose epochs is a pass."""
    first, last = spec.shard_offset_per_stream[stream : stream + 2].tolist()
    sizes = spec.samples_per_shard[first:last]
    return replace(
        spec,
        samples_per_shard=sizes,
        shards_per_stream=np.array([last - first], np.int64),
        choose=np.array([sizes.sum()], np.int64),
        proportion=np.ones(1, np.float64),
        epoch_size=int(sizes.sum()),
        shuffle_seed=derive(spec.shuffle_seed, Purpose.STREAM_PASS, stream),
        shuffle_block_size=block_size,
        batching_method="random",
        table=(),
    )


class _PassRoute:
    """The parts of the canonical nodes in one pass, end to end. Legend: C canonical nodes.

    Args:
        sizes: ``int64[C]``, draws of each node.
    """

    def __init__(self, sizes: _Ints) -> None:
        self._sizes = sizes
        self._ends: _Ints = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        self.total = int(self._ends[-1])

    @property
    def striping(self) -> Parts:
        """Itself: it answers what a striping does."""
        return self

    def split(self, position: _Ints) -> tuple[_Ints, _Ints, _Ints]:
        node = self.node_of(0, position)
        return node, np.zeros_like(node), position - self._ends[node]

    def join(self, node: _Ints, stream: _Ints, local: _Ints) -> _Ints:
        return self._ends[node] + local

    def window(self, node: _Ints, stream: _Ints, first: _Ints, last: _Ints) -> tuple[_Ints, _Ints]:
        return self.join(node, stream, first), self.join(node, stream, last)

    def samples(self, node: _Ints, stream: _Ints) -> _Ints:
        return self._sizes[node]

    def before(self, node: _Ints, stream: _Ints) -> _Ints:
        return self._ends[node]

    def node_of(self, stream: int, draw: _Ints) -> _Ints:
        return np.searchsorted(self._ends, draw, side="right") - 1 if len(self._sizes) > 1 else np.zeros_like(draw)


class StreamPasses:
    """What one stream gives. Legend: C canonical nodes, V spans.

    Draw ``j`` of canonical node ``c`` is draw ``J = ((j // U) * C + c) * U + j % U`` of the stream, ``U`` being the draws
    that stay together, and belongs to pass ``J // N`` of a stream of ``N`` samples. So a node's part of a pass is as long
    whatever the weights are, or become. A small stream has no parts: its draws are numbered over all nodes, as they come.

    Args:
        spec: The order of the stream by itself, whose shards are numbered from 0.
        unit: Draws that stay together.
    """

    def __init__(self, spec: OrderSpec, unit: int) -> None:
        self._spec = spec
        self._unit = unit
        self._nodes = np.arange(spec.num_canonical_nodes, dtype=np.int64)
        self._passes: dict[int, tuple[LanesEpoch, _Ints]] = {}
        self.samples: int = spec.epoch_size
        self.is_small: bool = bool(is_small(np.full(1, self.samples, np.int64))[0])

    def ids(self, node: _Ints, local: _Ints) -> _Ints:
        """Return the stream's samples at draws of canonical nodes."""
        if self.is_small:
            return self._permuted(*np.divmod(local, self.samples), permute)
        number = self._draw(node, local) // self.samples
        if int(number.min()) == int(number.max()):
            return self._ids_of_pass(int(number[0]), node, local)
        out = np.empty(len(local), np.int64)
        for one in distinct(number)[0].tolist():
            rows = np.flatnonzero(number == one)
            out[rows] = self._ids_of_pass(one, node[rows], local[rows])
        return out

    def find(self, first: int, stop: int, sample: int) -> tuple[_Ints, _Ints]:
        """Return canonical nodes and draws, ``int64[stop - first]`` each, at which a sample comes in passes."""
        numbers = np.arange(first, stop, dtype=np.int64)
        if self.is_small:
            samples = np.full(len(numbers), sample, np.int64)
            draws = numbers * self.samples + self._permuted(numbers, samples, unpermute)
            return np.zeros_like(draws), draws
        nodes, draws = np.empty_like(numbers), np.empty_like(numbers)
        for row, number in enumerate(numbers.tolist()):
            epoch, begin = self._pass(number)
            node, _, place = epoch.route.split(epoch.positions(sample))
            nodes[row], draws[row] = node[0], begin[node[0]] + place[0]
        return nodes, draws

    def spans(self, number: int, nodes: _Ints) -> tuple[_Ints, _Ints, _Ints, _Ints]:
        """Return ``int64[V]`` each: shard, canonical node, first and last draw of each span in which a pass reads it."""
        if self.is_small:
            shards = np.arange(self._spec.num_shards if len(nodes) else 0, dtype=np.int64)
            first = np.full(len(shards), number * self.samples, np.int64)
            return shards, np.zeros_like(shards), first, first + (self.samples - 1)
        epoch, begin = self._pass(number)
        shard, first, last = epoch.spans(nodes)
        node, _, first = epoch.route.split(first)
        _, _, last = epoch.route.split(last)
        return shard, node, begin[node] + first, begin[node] + last

    def edges(self, number: int) -> _Ints:
        """Return ``int64[C]``: draws of each canonical node before a pass."""
        units, rest = divmod(number * self.samples, self._unit)
        count = len(self._nodes)
        before = np.broadcast_to(striped_total(np.full(1, units, np.int64), count, self._nodes), count) * self._unit
        return before + np.where(self._nodes == units % count, rest, 0)

    def _draw(self, node: _Ints, local: _Ints) -> _Ints:
        count = len(self._nodes)
        if count == 1:
            return local
        units, rest = np.divmod(local, self._unit)
        return (units * count + node) * self._unit + rest

    def _ids_of_pass(self, number: int, node: _Ints, local: _Ints) -> _Ints:
        epoch, begin = self._pass(number)
        return epoch.ids(epoch.route.join(node, node, local - begin[node]))

    def _pass(self, number: int) -> tuple[LanesEpoch, _Ints]:
        found = self._passes.get(number)
        if found is None:
            if len(self._passes) >= _KEPT:
                del self._passes[next(iter(self._passes))]
            begin = self.edges(number)
            found = LanesEpoch(self._spec, number, route=_PassRoute(self.edges(number + 1) - begin)), begin
            self._passes[number] = found
        return found

    @cached_property
    def _key(self) -> np.uint64:
        return np.uint64(derive(self._spec.shuffle_seed, Purpose.SAMPLE_ORDER))

    def _permuted(self, number: _Ints, place: _Ints, move: Any) -> _Ints:
        if not self._spec.shuffle:
            return place
        keys = mix64(mix64(number.view(np.uint64) + np.uint64(GOLDEN)) ^ self._key)
        return move(place, np.full(len(place), self.samples, np.int64), keys)
