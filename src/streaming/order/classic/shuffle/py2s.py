"""Shuffle shards and their samples once for the run, then the pieces of each node for the epoch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streaming.order.classic.spans import Ids, divide_runs, empty_ids, write_runs

__all__ = ["get_shuffle_py2s"]


def get_shuffle_py2s(
    shard_sizes: NDArray[np.int64],
    num_canonical_nodes: int,
    seed: int,
    epoch: int,
    block_size: int = 1 << 18,
) -> Ids:
    """Return the order. See :func:`streaming.order.classic.shuffle.get_shuffle`; ``block_size`` is not used."""
    del block_size
    total = int(shard_sizes.sum())
    fixed = np.random.default_rng(seed)
    ends = np.cumsum(shard_sizes)
    order = fixed.permutation(len(shard_sizes))
    begins, ends = (ends - shard_sizes)[order], ends[order]
    ids = empty_ids(total, total)
    write_runs(ids, begins, ends, fixed)
    # Pieces of the laid-out runs, which are contiguous from here on.
    after = np.cumsum(ends - begins)
    low, high, bounds = divide_runs(after - (ends - begins), after, num_canonical_nodes)
    rng = np.random.default_rng(seed + epoch)
    at = 0
    for part in range(num_canonical_nodes):
        first, last = int(bounds[part]), int(bounds[part + 1])
        start = at
        pieces = ids[start : start + int((high - low)[first:last].sum())].copy()
        for piece in (first + rng.permutation(last - first)).tolist():
            run = pieces[low[piece] - start : high[piece] - start].astype(np.int64)
            rng.shuffle(run)
            ids[at : at + len(run)] = run
            at += len(run)
    return ids
