"""Runs of places: divided over canonical nodes, and written out."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ids", "Parts", "divide_runs", "empty_ids", "shuffled_parts", "write_runs"]

Ints: TypeAlias = NDArray[np.int64]
#: Ids or places in the smallest type that holds them.
Ids: TypeAlias = NDArray[np.signedinteger[Any]]


def empty_ids(count: int, limit: int) -> Ids:
    """Return an array for ``count`` ids below ``limit``, of half the size where 32 bits are enough."""
    return np.empty(count, np.int32 if limit <= np.iinfo(np.int32).max else np.int64)


def write_runs(out: Ids, begins: Ints, ends: Ints, rng: np.random.Generator | None) -> None:
    """Write the places of runs one after the other, each run shuffled if there is a generator."""
    at = 0
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        # Shuffled in 64 bits, for which NumPy has a fast path.
        run = np.arange(begin, end, dtype=np.int64)
        if rng is not None:
            rng.shuffle(run)
        out[at : at + len(run)] = run
        at += len(run)


class Parts:
    """The runs of each canonical node, in order.

    Attributes:
        begins: ``int64[V]``, first place of each run, all nodes after each other.
        ends: ``int64[V]``, one past the last place of each run.
        bounds: ``int64[C + 1]``, where each node's runs begin in those arrays.
    """

    def __init__(self, begins: Ints, ends: Ints, bounds: Ints) -> None:
        self.begins = begins
        self.ends = ends
        self.bounds = bounds

    def of(self, part: int) -> tuple[Ints, Ints]:
        """Return where the runs of a canonical node begin and end."""
        runs = slice(int(self.bounds[part]), int(self.bounds[part + 1]))
        return self.begins[runs], self.ends[runs]


def shuffled_parts(sizes: Ints, num_parts: int, seed: int, rng: np.random.Generator) -> Parts:
    """Shuffle runs, cut them into equal parts, and shuffle the runs of each part.

    Args:
        sizes: ``int64[U]``, sizes of the runs.
        num_parts: Number of parts, C.
        seed: Seed of the first shuffle, which is the same in every epoch: a node keeps its shards.
        rng: Generator of the second shuffle, which is the epoch's.
    """
    ends = np.cumsum(sizes)
    order = np.random.default_rng(seed).permutation(len(sizes))
    begins, ends = (ends - sizes)[order], ends[order]
    begins, ends, bounds = divide_runs(begins, ends, num_parts)
    for part in range(num_parts):
        low, high = int(bounds[part]), int(bounds[part + 1])
        order = rng.permutation(high - low)
        begins[low:high] = begins[low:high][order]
        ends[low:high] = ends[low:high][order]
    return Parts(begins, ends, bounds)


def divide_runs(begins: Ints, ends: Ints, num_parts: int) -> tuple[Ints, Ints, Ints]:
    """Cut runs at the parts' borders; an empty run stays with the part that is open where it stands."""
    sizes = ends - begins
    after = np.cumsum(sizes)
    before = after - sizes
    total = int(after[-1]) if len(after) else 0
    borders = total * np.arange(1, num_parts + 1, dtype=np.int64) // num_parts
    first = np.searchsorted(borders, before, side="right")
    first = np.where(sizes == 0, np.searchsorted(borders, before, side="left"), first)
    last = np.searchsorted(borders, after, side="left")
    pieces = last - first + 1
    index = np.repeat(np.arange(len(sizes)), pieces)
    part = first[index] + np.arange(len(index)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    lows = np.concatenate([np.zeros(1, np.int64), borders])[part]
    piece_begin = np.maximum(lows, before[index])
    piece_end = np.minimum(borders[part], after[index])
    shift = begins[index] - before[index]
    keep = (piece_end > piece_begin) | (sizes[index] == 0)
    bounds = np.searchsorted(part[keep], np.arange(num_parts + 1))
    return (piece_begin + shift)[keep], (piece_end + shift)[keep], bounds.astype(np.int64)
