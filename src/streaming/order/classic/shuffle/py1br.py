"""Shuffle the shard runs of each node, then the samples of blocks of random size and phase."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError
from streaming.order.classic.spans import shuffled_parts

__all__ = ["get_shuffle_py1br"]


def get_shuffle_py1br(
    shard_sizes: NDArray[np.int64],
    num_canonical_nodes: int,
    seed: int,
    epoch: int,
    block_size: int = 1 << 18,
) -> NDArray[np.int64]:
    """Return the order. See :func:`streaming.order.classic.shuffle.get_shuffle`.

    Raises:
        ConfigError: ``block_size`` is below 2.
    """
    if int(0.75 * block_size) < 1:
        raise ConfigError(f"py1br needs a shuffle_block_size of at least 2, got {block_size}.")
    rng = np.random.default_rng(seed + epoch)
    parts = shuffled_parts(shard_sizes, num_canonical_nodes, seed, rng)
    least, most = int(0.75 * block_size), int(1.25 * block_size)
    stagger = rng.integers(0, least, num_canonical_nodes)
    ids = np.empty(int(shard_sizes.sum()), np.int64)
    stop = 0
    for part in range(num_canonical_nodes):
        start = stop
        runs = slice(int(parts.bounds[part]), int(parts.bounds[part + 1]))
        for begin, end in zip(parts.begins[runs].tolist(), parts.ends[runs].tolist(), strict=True):
            ids[stop : stop + end - begin] = np.arange(begin, end)
            stop += end - begin
        shift = int(stagger[part])
        blocks: list[tuple[int, int]] = []
        cursor = start
        while cursor < stop:
            size = int(rng.integers(least, most))
            low, high = max(cursor - shift, start), min(cursor + size - shift, stop)
            blocks.append((low, high))
            cursor += high - low
        for low, high in blocks:
            rng.shuffle(ids[low:high])
    return ids
