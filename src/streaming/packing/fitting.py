"""Which items go into which bin: plain arithmetic over sizes.

Legend: I items, from large to small.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["best_fit", "first_fit", "like_sizes"]

Ints = NDArray[np.int64]


def best_fit(sizes: Ints, capacity: int) -> Ints:
    """Put each item where the least room is left that suffices: best fit decreasing.

    Source: Johnson, Demers, Ullman, Garey and Graham, *Worst-case performance bounds for simple one-dimensional packing
    algorithms*, SIAM J. Comput. 3 (1974). Bins of equal room are one entry of a set of numbers, kept in the bits of one, as
    in Ding et al., *Fewer truncations improve language modeling*, ICML 2024, where a tree is used.

    Args:
        sizes: ``int64[I]``, from large to small, each in ``[1, capacity]``.
        capacity: Of a bin.

    Returns:
        ``int64[I]``, the bin of each item.
    """
    with_room: list[list[int]] = [[] for _ in range(capacity + 1)]
    rooms = 0  # bit r: there is a bin with room r
    num_bins = 0
    bins: list[int] = []
    for size, count in _runs(sizes):
        while count:
            enough = rooms >> size
            if enough:
                room = size + (enough & -enough).bit_length() - 1
                number = with_room[room].pop()
                if not with_room[room]:
                    rooms ^= 1 << room
            else:
                room, number, num_bins = capacity, num_bins, num_bins + 1
            # While it has room for another one, no other bin has less.
            some = min(count, room // size)
            bins += [number] * some
            room -= some * size
            count -= some
            if room:
                with_room[room].append(number)
                rooms |= 1 << room
    return np.array(bins, np.int64)


def first_fit(sizes: Ints, capacity: int) -> Ints:
    """Put each item into the first bin that has room for it: first fit decreasing; see :func:`best_fit`."""
    rooms: Ints = np.empty(0, np.int64)
    bins: list[Ints] = [np.empty(0, np.int64)]
    for size, count in _runs(sizes):
        taken = rooms // size
        taken = np.minimum(taken, np.maximum(count - (np.cumsum(taken) - taken), 0))
        left = count - int(taken.sum())
        new = np.full(-(-left // (capacity // size)), capacity // size)
        if left:
            new[-1] = left - int(new[:-1].sum())
        taken = np.concatenate([taken, new])
        rooms = np.concatenate([rooms, np.full(len(new), capacity)]) - taken * size
        bins.append(np.repeat(np.arange(len(taken)), taken))
    return np.concatenate(bins)


def like_sizes(sizes: Ints, capacity: int) -> Ints:
    """Put items of like size together, so many that the largest one's size, once for each, fits.

    Args:
        sizes: ``int64[I]``, from large to small, each in ``[1, capacity]``.
        capacity: Of a bin.

    Returns:
        ``int64[I]``, the bin of each item.
    """
    bins = np.empty(len(sizes), np.int64)
    at = number = 0
    while at < len(sizes):
        some = capacity // int(sizes[at])
        bins[at : at + some] = number
        at, number = at + some, number + 1
    return bins


def _runs(sizes: Ints) -> list[tuple[int, int]]:
    """Return each size that there is, and how often it is there."""
    found, counts = np.unique(sizes, return_counts=True)
    return list(zip(found[::-1].tolist(), counts[::-1].tolist(), strict=True))
