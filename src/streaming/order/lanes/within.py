"""Which samples of its shard a run draws, and in which order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streaming.order.lanes.keys import Purpose, derive, mix64
from streaming.order.lanes.permutation import permute, unpermute
from streaming.order.lanes.runs import code_of, pass_of, shard_of
from streaming.order.lanes.sampling import Draws
from streaming.order.spec import OrderSpec

__all__ = ["SampleOrder"]

_Ints = NDArray[np.int64]


class SampleOrder:
    """The order of samples within runs.

    Shuffled, a run follows a keyed permutation of its shard, and a partial run is the beginning of one. With ``'fixed'``
    sampling that permutation is the same in every epoch, so another one of the run's samples goes before it.
    Unshuffled, a full run is in order and a partial run takes samples at equal distances from a keyed start.

    Args:
        spec: The order.
        draws: What the epoch draws.
        epoch: Epoch, from 0.
    """

    def __init__(self, spec: OrderSpec, draws: Draws, epoch: int) -> None:
        self._sizes = spec.samples_per_shard
        self._first_ids = spec.sample_offset_per_shard
        self._passes = draws.passes
        self._shards_end = spec.shard_offset_per_stream[1:]
        self._partial = draws.partial
        self._shuffle = spec.shuffle
        fixed = spec.sampling_method == "fixed"
        any_partial = bool(draws.partial.any())
        self._select_apart = any_partial and (fixed or not spec.shuffle)
        self._order_key = np.uint64(derive(spec.shuffle_seed, Purpose.SAMPLE_ORDER, epoch))
        self._select_key = np.uint64(derive(spec.shuffle_seed, Purpose.SAMPLE_SELECTION, 0 if fixed else epoch + 1))

    def ids(self, code: _Ints, index: _Ints) -> _Ints:
        """Return the sample ids of draws ``index`` of runs ``code``."""
        shard = shard_of(code)
        size = self._sizes[shard]
        partial = self._partial_runs(code, shard)
        if self._shuffle:
            domain = size
            if len(partial):
                domain = size.copy()
                domain[partial] = self._partial[shard[partial]]
            index = permute(index, domain, _keys(self._order_key, code))
        if len(partial):
            index = index.copy()
            index[partial] = self._select(code[partial], size[partial], index[partial])
        return self._first_ids[shard] + index

    def indexes(self, shard: int, number: _Ints, sample: int) -> _Ints:
        """Return which draw of passes ``number`` over a shard is its sample ``sample``, -1 where none is."""
        shards = np.full(len(number), shard, np.int64)
        code = code_of(shards, number)
        size = self._sizes[shards]
        stream = int(np.searchsorted(self._shards_end, shard, side="right"))
        drawn = np.where(number < self._passes[stream], size, self._partial[shards])
        index = np.full(len(number), sample, np.int64)
        domain = size
        partial = self._partial_runs(code, shards)
        if len(partial):
            domain = size.copy()
            domain[partial] = drawn[partial]
            index[partial] = self._unselect(code[partial], size[partial], index[partial])
        real = np.flatnonzero(index < domain)
        if self._shuffle:
            keys = _keys(self._order_key, code[real])
            index[real] = unpermute(index[real], domain[real], keys)
        return np.where(index < drawn, index, -1)

    def _partial_runs(self, code: _Ints, shard: _Ints) -> _Ints:
        """Return the places of partial runs whose samples are selected apart from their order."""
        if not self._select_apart:
            return np.empty(0, np.int64)
        stream = np.searchsorted(self._shards_end, shard, side="right")
        return np.flatnonzero(pass_of(code) == self._passes[stream])

    def _select(self, code: _Ints, size: _Ints, index: _Ints) -> _Ints:
        key = _keys(self._select_key, code)
        if self._shuffle:
            return permute(index, size, key)
        return (index * size + _below(size, key)) // self._partial[shard_of(code)]

    def _unselect(self, code: _Ints, size: _Ints, sample: _Ints) -> _Ints:
        key = _keys(self._select_key, code)
        if self._shuffle:
            return unpermute(sample, size, key)
        index = -((_below(size, key) - sample * self._partial[shard_of(code)]) // size)
        index = np.maximum(index, 0)
        return np.where(self._select(code, size, index) == sample, index, size)


def _keys(key: np.uint64, code: _Ints) -> NDArray[np.uint64]:
    return mix64(code.view(np.uint64) ^ key)


def _below(size: _Ints, key: NDArray[np.uint64]) -> _Ints:
    """Return a keyed number in ``[0, size)``."""
    half = np.uint64(32)
    return (((key >> half) * size.view(np.uint64)) >> half).view(np.int64)
