"""Shuffle the shard runs of each node, then move every sample by a random distance bounded by the block size.

The original sorts the samples of a node by their moved positions all at once. As no sample moves further than the block
size allows, sorting window by window gives the same order in a fraction of the memory. Positions that are equal, one pair
or so in 10^8 samples, keep the order that they had; the original leaves those to NumPy's unstable sort, whose answer
depends on the processor.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError
from streaming.order.classic.sorting import stable_order
from streaming.order.classic.spans import Ids, empty_ids, shuffled_parts, write_runs

__all__ = ["get_shuffle_py1e"]

#: Samples that a window holds at least.
_MIN_WINDOW = 1 << 18


def get_shuffle_py1e(
    shard_sizes: NDArray[np.int64],
    num_canonical_nodes: int,
    seed: int,
    epoch: int,
    block_size: int = 1 << 18,
) -> Ids:
    """Return the order. See :func:`streaming.order.classic.shuffle.get_shuffle`.

    Raises:
        ConfigError: A canonical node would have no samples, or ``block_size`` is below 1.
    """
    if block_size < 1:
        raise ConfigError(
            f"py1e needs blocks of at least 1 sample, got {block_size}. Use a larger shuffle_block_size; batching methods "
            "that keep streams apart give each stream its proportion of it."
        )
    total = int(shard_sizes.sum())
    rng = np.random.default_rng(seed + epoch)
    parts = shuffled_parts(shard_sizes, num_canonical_nodes, seed, rng)
    ids = empty_ids(total, total)
    least, most = int(0.75 * block_size), int(1.25 * block_size)
    small = False
    stop = 0
    for part in range(num_canonical_nodes):
        begins, ends = parts.of(part)
        start, stop = stop, stop + int((ends - begins).sum())
        if start == stop:
            raise ConfigError(
                f"num_canonical_nodes={num_canonical_nodes} leaves canonical node {part} without samples: the epoch has "
                f"{total}. Use a smaller num_canonical_nodes."
            )
        write_runs(ids[start:stop], begins, ends, rng)
        small |= _move(ids[start:stop], ends - begins, least, most, rng)
    if small:
        warnings.warn(
            f"shuffle_block_size={block_size} is smaller than some shards, whose samples therefore stay together. Use a "
            "larger shuffle_block_size for a better shuffle.",
            stacklevel=4,
        )
    return ids


def _move(ids: Ids, lengths: NDArray[np.int64], least: int, most: int, rng: np.random.Generator) -> bool:
    """Move the samples of one node, in place; tell whether some run is larger than its block."""
    # Half of the largest block, which is further than any sample moves.
    reach = most / 2
    positions = np.empty(0, np.float64)
    moving = ids[:0].copy()
    small = False
    read = done = 0
    for runs in _windows(lengths, max(most // 4, _MIN_WINDOW)):
        fresh, some_small = _positions(read, runs, len(ids), least, most, rng)
        moving = np.concatenate([moving, ids[read : read + len(fresh)]])
        small |= some_small
        read += len(fresh)
        positions = np.concatenate([positions, fresh])
        del fresh
        near = np.inf if read == len(ids) else read - reach
        settled = np.flatnonzero(positions < near)
        ready, ready_positions = moving[settled], positions[settled]
        settled = np.flatnonzero(positions >= near)
        moving, positions = moving[settled], positions[settled]
        del settled
        ids[done : done + len(ready)] = ready[stable_order(ready_positions)]
        done += len(ready)
        del ready, ready_positions
    return small


def _windows(lengths: NDArray[np.int64], least: int) -> Iterator[list[int]]:
    """Yield the lengths of runs that hold ``least`` samples together."""
    window: list[int] = []
    held = 0
    for length in lengths.tolist():
        window.append(length)
        held += length
        if held >= least:
            yield window
            window, held = [], 0
    if window:
        yield window


def _positions(
    begin: int, lengths: list[int], count: int, least: int, most: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], bool]:
    """Return the moved positions of runs that begin at ``begin`` of the node's ``count`` samples; are some too large?"""
    moved = np.arange(begin, begin + sum(lengths), dtype=np.float64)
    small = False
    at = begin
    for length in lengths:
        cut = (int(rng.integers(least, most)) - length) / 2
        if cut < 0:
            small, cut = True, 0.0
        moved[at - begin : at - begin + length] += rng.uniform(max(-cut, -at), min(cut, count - at - length), length)
        at += length
    return moved, small
