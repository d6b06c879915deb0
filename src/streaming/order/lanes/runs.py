"""The runs of draws that canonical nodes read: a run is one pass over one shard, or a piece of one at a border.

A *group* is one stream in one canonical node. Tables hold the groups of some nodes: group ``row * K + stream`` for the
node in row ``row``, ``K`` streams.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streaming.order.lanes.arithmetic import offsets, ragged_arange
from streaming.order.lanes.keys import Purpose, derive, mix64
from streaming.order.lanes.sampling import Draws
from streaming.order.lanes.striping import Parts
from streaming.order.spec import OrderSpec

__all__ = ["Runs", "code_of", "make_runs", "pass_of", "shard_of"]

_Ints = NDArray[np.int64]

# A run is named by its shard and its pass in one number: 40 bits, then 23.
_SHARD_BITS = 40
_SHARD_MASK = (1 << _SHARD_BITS) - 1


def code_of(shard: _Ints, number: _Ints | int) -> _Ints:
    """Return the name of pass ``number`` over a shard."""
    return shard | (number << _SHARD_BITS)


def shard_of(code: _Ints) -> _Ints:
    """Return the shard of each run."""
    return code & _SHARD_MASK


def pass_of(code: _Ints) -> _Ints:
    """Return the pass of each run."""
    return code >> _SHARD_BITS


@dataclass(frozen=True, eq=False)
class Runs:
    """The runs of some canonical nodes. Legend: H groups, U runs.

    Attributes:
        code: ``int64[U]``, name of each run, group by group in the order of the epoch.
        begin: ``int64[U + 1]``, draws before each run, over all groups, and their number.
        skip: ``int64[U]``, draws of its pass that a run leaves to the node before.
        samples: ``int64[H]``, draws of each group.
        counts: ``int64[H]``, runs of each group.
    """

    code: _Ints
    begin: _Ints
    skip: _Ints
    samples: _Ints
    counts: _Ints


def make_runs(spec: OrderSpec, draws: Draws, striping: Parts, nodes: _Ints, epoch: int) -> Runs:
    """Return the runs of ``nodes`` in an epoch.

    Args:
        spec: The order.
        draws: What the epoch draws.
        striping: The nodes' parts.
        nodes: ``int64[C']``, canonical nodes.
        epoch: Epoch, from 0.
    """
    num_streams = spec.num_streams
    node = np.repeat(nodes, num_streams)
    stream = np.tile(np.arange(num_streams, dtype=np.int64), len(nodes))
    samples = striping.samples(node, stream)
    low = striping.before(node, stream) + draws.begin[spec.shard_offset_per_stream[:-1]][stream]

    group, code, begin, length = _passes(spec, draws, stream, low, samples)
    end = np.minimum(begin + length, (low + samples)[group])
    clipped = np.maximum(begin, low[group])
    skip = clipped - begin
    length = end - clipped
    if len(length) and int(length.min()) <= 0:
        kept = np.flatnonzero(length > 0)
        group, code, skip, length = group[kept], code[kept], skip[kept], length[kept]
    counts = np.bincount(group, minlength=len(samples)).astype(np.int64)
    if spec.shuffle:
        keys = [derive(spec.shuffle_seed, Purpose.RUN_ORDER, epoch, c) for c in nodes.tolist()]
        key = np.repeat(np.array(keys, np.uint64), num_streams)
        hashes = mix64(code.view(np.uint64) ^ key[group])
        # The hashes of a group all differ, so any way of sorting gives the same order.
        turn = np.argsort(hashes) if len(samples) == 1 else np.lexsort((hashes, group))
        code, skip, length = code[turn], skip[turn], length[turn]
    return Runs(code, offsets(length), skip, samples, counts)


def _passes(
    spec: OrderSpec, draws: Draws, stream: _Ints, low: _Ints, samples: _Ints
) -> tuple[_Ints, _Ints, _Ints, _Ints]:
    """Return group, name, first draw and draws of every pass that groups of ``samples`` draws from ``low`` on touch."""
    some = samples > 0
    first = np.searchsorted(draws.begin, low, side="right") - 1
    last = np.searchsorted(draws.begin, low + samples, side="left")
    group, place = ragged_arange(np.where(some, last - first, 0))
    place += first[group]
    shard = draws.order[place]
    passes = draws.passes[stream[group]]
    size = spec.samples_per_shard[shard]
    begin = draws.begin[place]
    if (draws.passes == 1).all() and not draws.partial.any():
        return group, shard, begin, size
    row, number = ragged_arange(passes + (draws.partial[shard] > 0))
    group, shard, size, begin = group[row], shard[row], size[row], begin[row]
    begin = begin + number * size
    length = np.where(number < passes[row], size, draws.partial[shard])
    return group, code_of(shard, number), begin, length
