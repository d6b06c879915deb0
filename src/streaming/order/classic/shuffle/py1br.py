"""Shuffle the shard runs of each node, then the samples of blocks of random size and phase."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError
from streaming.order.classic.spans import Ids, empty_ids, shuffled_parts, write_runs

__all__ = ["get_shuffle_py1br"]


def get_shuffle_py1br(
    shard_sizes: NDArray[np.int64],
    num_canonical_nodes: int,
    seed: int,
    epoch: int,
    block_size: int = 1 << 18,
) -> Ids:
    """Return the order. See :func:`streaming.order.classic.shuffle.get_shuffle`.

    Raises:
        ConfigError: ``block_size`` is below 2.
    """
    least, most = int(0.75 * block_size), int(1.25 * block_size)
    if least < 1:
        raise ConfigError(
            f"py1br needs blocks of at least 2 samples, got {block_size}. Use a larger shuffle_block_size; batching methods "
            "that keep streams apart give each stream its proportion of it."
        )
    total = int(shard_sizes.sum())
    rng = np.random.default_rng(seed + epoch)
    parts = shuffled_parts(shard_sizes, num_canonical_nodes, seed, rng)
    staggers = rng.integers(0, least, num_canonical_nodes).tolist()
    ids = empty_ids(total, total)
    write_runs(ids, parts.begins, parts.ends, None)
    stop = 0
    for part, stagger in enumerate(staggers):
        begins, ends = parts.of(part)
        start, stop = stop, stop + int((ends - begins).sum())
        for low, high in _blocks(start, stop, stagger, least, most, rng):
            # In 64 bits, for which NumPy's shuffle has a fast path.
            block = ids[low:high].astype(np.int64)
            rng.shuffle(block)
            ids[low:high] = block
    return ids


def _blocks(
    start: int, stop: int, stagger: int, least: int, most: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """Return the blocks of a part. The second overlaps the first, and the part's end may lie in none."""
    blocks: list[tuple[int, int]] = []
    cursor = start
    while cursor < stop:
        size = int(rng.integers(least, most))
        low, high = max(cursor - stagger, start), min(cursor + size - stagger, stop)
        blocks.append((low, high))
        cursor += high - low
    return blocks
