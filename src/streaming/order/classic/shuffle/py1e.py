"""Shuffle the shard runs of each node, then move every sample by a random distance bounded by the block size."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError
from streaming.order.classic.spans import shuffled_parts

__all__ = ["get_shuffle_py1e"]


def get_shuffle_py1e(
    shard_sizes: NDArray[np.int64],
    num_canonical_nodes: int,
    seed: int,
    epoch: int,
    block_size: int = 1 << 18,
) -> NDArray[np.int64]:
    """Return the order. See :func:`streaming.order.classic.shuffle.get_shuffle`.

    Raises:
        ConfigError: A canonical node would have no samples.
    """
    rng = np.random.default_rng(seed + epoch)
    parts = shuffled_parts(shard_sizes, num_canonical_nodes, seed, rng)
    total = int(shard_sizes.sum())
    ids = np.empty(total, np.int64)
    least, most = int(0.75 * block_size), int(1.25 * block_size)
    small = False
    stop = 0
    for part in range(num_canonical_nodes):
        start = stop
        runs = slice(int(parts.bounds[part]), int(parts.bounds[part + 1]))
        begins, ends = parts.begins[runs], parts.ends[runs]
        lengths = (ends - begins).tolist()
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
            run = ids[stop : stop + end - begin]
            run[:] = np.arange(begin, end)
            rng.shuffle(run)
            stop += end - begin
        count = stop - start
        if not count:
            raise ConfigError(
                f"num_canonical_nodes={num_canonical_nodes} leaves canonical node {part} without samples: the epoch has "
                f"{total}. Use a smaller num_canonical_nodes."
            )
        moved = np.arange(count, dtype=np.float64)
        at = 0
        for length in lengths:
            cut = (int(rng.integers(least, most)) - length) / 2
            if cut < 0:
                small, cut = True, 0.0
            moved[at : at + length] += rng.uniform(max(-cut, -at), min(cut, count - at - length), length)
            at += length
        ids[start:stop] = ids[start:stop][np.argsort(moved)]
    if small:
        warnings.warn(
            f"shuffle_block_size={block_size} is smaller than some shards, whose samples therefore stay together. Use a "
            "larger shuffle_block_size for a better shuffle.",
            stacklevel=4,
        )
    return ids
