"""Shuffle shards and their samples once for the run, then the pieces of each node for the epoch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streaming.order.classic.spans import divide_runs

__all__ = ["get_shuffle_py2s"]


def get_shuffle_py2s(
    shard_sizes: NDArray[np.int64],
    num_canonical_nodes: int,
    seed: int,
    epoch: int,
    block_size: int = 1 << 18,
) -> NDArray[np.int64]:
    """Return the order. See :func:`streaming.order.classic.shuffle.get_shuffle`; ``block_size`` is not used."""
    del block_size
    fixed = np.random.default_rng(seed)
    ends = np.cumsum(shard_sizes)
    order = fixed.permutation(len(shard_sizes))
    begins, ends = (ends - shard_sizes)[order], ends[order]
    base = np.empty(int(shard_sizes.sum()), np.int64)
    at = 0
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        run = base[at : at + end - begin]
        run[:] = np.arange(begin, end)
        fixed.shuffle(run)
        at += end - begin
    # Pieces of the laid-out runs, which are contiguous from here on.
    lengths = ends - begins
    low, high, bounds = divide_runs(np.cumsum(lengths) - lengths, np.cumsum(lengths), num_canonical_nodes)
    rng = np.random.default_rng(seed + epoch)
    ids = np.empty_like(base)
    at = 0
    for part in range(num_canonical_nodes):
        first, last = int(bounds[part]), int(bounds[part + 1])
        for piece in (first + rng.permutation(last - first)).tolist():
            length = int(high[piece] - low[piece])
            run = ids[at : at + length]
            run[:] = base[low[piece] : high[piece]]
            rng.shuffle(run)
            at += length
    return ids
