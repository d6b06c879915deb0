"""How many samples an epoch draws from each shard, in a shard order that never changes.

A stream of ``n`` samples that gives ``choose`` of them gives ``choose // n`` full passes over all its shards, and one
partial pass of ``m = choose % n``. The partial pass takes ``floor(z * m / n)``, rounded down to whole granules, from a
shard of ``z`` samples; what is missing then is given out a granule at a time to shards in keyed order. That is done
separately in each of as many parts as there are canonical nodes, so that wherever the extra granules go, the borders
between the nodes' shards stay where they are in every epoch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError
from streaming.order.lanes.arithmetic import MAX_SAMPLES, mul_div, offsets
from streaming.order.lanes.keys import Purpose, derive, mix64
from streaming.order.spec import OrderSpec

__all__ = ["MAX_PASSES", "Draws", "draw"]

#: Full passes over a stream that an epoch may hold.
MAX_PASSES = 1 << 22

_Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Draws:
    """What an epoch draws. Legend: S shards, K streams.

    The draws of a stream are numbered shard by shard in the order that never changes, and pass by pass within a
    shard, so that whoever reads a range of draws reads few shards, however often each is repeated.

    Attributes:
        order: ``int64[S]``, shards in that order, stream by stream.
        passes: ``int64[K]``, full passes over each stream.
        partial: ``int64[S]``, samples that the partial pass draws from each shard (by shard, not by place in the order).
        begin: ``int64[S + 1]``, first draw of each place in the order, and the number of draws.
    """

    order: _Ints
    passes: _Ints
    partial: _Ints
    begin: _Ints


def draw(spec: OrderSpec, epoch: int) -> Draws:
    """Return what an epoch draws.

    Args:
        spec: The order.
        epoch: Epoch, from 0.

    Raises:
        ConfigError: An empty stream should give samples, or an epoch would be too large.
    """
    sizes, choose = spec.samples_per_stream, spec.choose
    _check(spec)
    shards = np.arange(spec.num_shards, dtype=np.int64)
    stream = np.repeat(np.arange(spec.num_streams, dtype=np.int64), spec.shards_per_stream)
    order = shards
    if spec.shuffle:
        order = _sort(_hashes(spec, Purpose.SHARD_ORDER, 0, shards), stream, spec.num_streams)
    passes, rest = np.divmod(choose, np.maximum(sizes, 1))
    partial = np.zeros(spec.num_shards, np.int64)
    if rest.any():
        counted_epoch = epoch + 1 if spec.epoch_seed_change else 0
        partial[order] = _partial_pass(spec, order, stream, rest, counted_epoch)
    drawn = partial[order]
    drawn += spec.samples_per_shard[order] * passes[stream] if (passes != 1).any() else spec.samples_per_shard[order]
    return Draws(order, passes, partial, offsets(drawn))


def _check(spec: OrderSpec) -> None:
    empty = np.flatnonzero((spec.samples_per_stream == 0) & (spec.choose > 0))
    if len(empty):
        raise ConfigError(
            f"Stream {empty[0]} has no samples but an epoch should draw {spec.choose[empty[0]]} from it. "
            "Give it weight 0 or leave it out."
        )
    if spec.epoch_size >= MAX_SAMPLES or spec.num_samples >= MAX_SAMPLES:
        raise ConfigError(
            f"An epoch of {spec.epoch_size} samples, of a dataset of {spec.num_samples}, is too large: "
            f"both must be below {MAX_SAMPLES}."
        )
    if (spec.choose >= np.maximum(spec.samples_per_stream, 1) * MAX_PASSES).any():
        raise ConfigError(
            f"An epoch would repeat a stream more than {MAX_PASSES} times. Make the epoch or the stream's weight smaller."
        )


def _partial_pass(spec: OrderSpec, order: _Ints, stream: _Ints, rest: _Ints, counted_epoch: int) -> _Ints:
    """Return ``int64[S]``: samples drawn from the shard at each place of the order."""
    granule = spec.sampling_granularity
    sizes = spec.samples_per_shard[order]
    ends = np.cumsum(sizes)
    begins = ends - sizes
    stream_begin = spec.sample_offset_per_shard[spec.shard_offset_per_stream[:-1]]
    stream_size = np.maximum(spec.samples_per_stream, 1)
    wanted, available = rest[stream], stream_size[stream]

    whole = mul_div(sizes, wanted, available)[0] // granule * granule
    spare = np.minimum(granule, sizes - whole)

    nodes = np.full(1, spec.num_canonical_nodes, np.int64)
    part = mul_div(begins - stream_begin[stream], nodes, available)[0]
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = (np.diff(stream) != 0) | (np.diff(part) != 0)
    first = np.flatnonzero(is_first)
    group = np.cumsum(is_first) - 1
    s = stream[first]
    last = np.append(first[1:], len(order)) - 1
    low = mul_div(begins[first] - stream_begin[s], rest[s], stream_size[s])[0]
    high = mul_div(ends[last] - stream_begin[s], rest[s], stream_size[s])[0]
    missing = high - low - np.add.reduceat(whole, first)

    turn = _sort(_hashes(spec, Purpose.SHARD_SAMPLING, counted_epoch, order), group, len(first))
    spare_in_turn = spare[turn]
    before = offsets(spare_in_turn)[:-1]
    group_in_turn = group[turn]
    before -= before[first][group_in_turn]
    whole[turn] += np.clip(missing[group_in_turn] - before, 0, spare_in_turn)
    return whole


def _hashes(spec: OrderSpec, purpose: Purpose, epoch: int, shards: _Ints) -> NDArray[np.uint64]:
    key = np.uint64(derive(spec.shuffle_seed, purpose, epoch))
    return mix64(shards.view(np.uint64) ^ key)


def _sort(hashes: NDArray[np.uint64], group: _Ints, num_groups: int) -> _Ints:
    """Return the order of the hashes, which all differ, within each group."""
    return np.argsort(hashes) if num_groups == 1 else np.lexsort((hashes, group))
