"""A full shuffle: every place is equally likely everywhere, and every node needs every shard all the time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["get_shuffle_naive"]


def get_shuffle_naive(
    shard_sizes: NDArray[np.int64],
    num_canonical_nodes: int,
    seed: int,
    epoch: int,
    block_size: int = 1 << 18,
) -> NDArray[np.int64]:
    """Return a permutation of all places. See :func:`streaming.order.classic.shuffle.get_shuffle`."""
    del num_canonical_nodes, block_size
    return np.random.default_rng(seed + epoch).permutation(int(shard_sizes.sum()))
