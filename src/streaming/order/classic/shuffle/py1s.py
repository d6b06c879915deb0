"""Shuffle the shard runs of each node, then the samples of each run."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streaming.order.classic.spans import shuffled_parts

__all__ = ["get_shuffle_py1s"]


def get_shuffle_py1s(
    shard_sizes: NDArray[np.int64],
    num_canonical_nodes: int,
    seed: int,
    epoch: int,
    block_size: int = 1 << 18,
) -> NDArray[np.int64]:
    """Return the order. See :func:`streaming.order.classic.shuffle.get_shuffle`; ``block_size`` is not used."""
    del block_size
    rng = np.random.default_rng(seed + epoch)
    parts = shuffled_parts(shard_sizes, num_canonical_nodes, seed, rng)
    ids = np.empty(int(shard_sizes.sum()), np.int64)
    at = 0
    for begin, end in zip(parts.begins.tolist(), parts.ends.tolist(), strict=True):
        run = ids[at : at + end - begin]
        run[:] = np.arange(begin, end)
        rng.shuffle(run)
        at += end - begin
    return ids
