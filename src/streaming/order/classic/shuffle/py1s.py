"""Shuffle the shard runs of each node, then the samples of each run."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streaming.order.classic.spans import Ids, empty_ids, shuffled_parts, write_runs

__all__ = ["get_shuffle_py1s"]


def get_shuffle_py1s(
    shard_sizes: NDArray[np.int64],
    num_canonical_nodes: int,
    seed: int,
    epoch: int,
    block_size: int = 1 << 18,
) -> Ids:
    """Return the order. See :func:`streaming.order.classic.shuffle.get_shuffle`; ``block_size`` is not used."""
    del block_size
    total = int(shard_sizes.sum())
    rng = np.random.default_rng(seed + epoch)
    parts = shuffled_parts(shard_sizes, num_canonical_nodes, seed, rng)
    ids = empty_ids(total, total)
    write_runs(ids, parts.begins, parts.ends, rng)
    return ids
