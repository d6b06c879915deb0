"""What to ask for, where a few parts of a file are wanted: plain arithmetic.

Legend: R ranges.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["REQUEST_BYTES", "coalesce", "cost", "cut", "join"]

Ints = NDArray[np.int64]

#: What a request costs, in bytes: about what comes over one of several connections in the time that a store takes to answer.
#: What lies between two parts that are wanted comes along if it is less; a shard comes whole if that costs no more.
REQUEST_BYTES = 64 << 10


def coalesce(begins: Ints, ends: Ints) -> tuple[Ints, Ints]:
    """Join ranges of a file that lie so close that it is cheaper to ask for them together.

    Args:
        begins: ``int64[R]``, ascending.
        ends: ``int64[R]``, ascending.

    Returns:
        Begins and ends of what to ask for.
    """
    if not len(begins):
        return begins, ends
    is_apart = begins[1:] - ends[:-1] >= REQUEST_BYTES
    first = np.concatenate([[True], is_apart])
    last = np.concatenate([is_apart, [True]])
    return begins[first], ends[last]


def join(begins: Ints, ends: Ints, most: int) -> tuple[Ints, Ints]:
    """Join ranges of a file with little waste: for one column of many, what lies between is what nobody wants.

    The smallest gaps come along while all of them are at most an eighth of what is wanted; larger ones only where there were
    too many requests otherwise, and none that is larger than what a request costs.

    Args:
        begins: ``int64[R]``, ascending.
        ends: ``int64[R]``, ascending.
        most: How many requests are not too many.

    Returns:
        Begins and ends of what to ask for.

    Example:
        >>> join(np.array([0, 100, 250]), np.array([90, 200, 300]), 8)
        (array([  0, 250]), array([200, 300]))
    """
    gaps = begins[1:] - ends[:-1]
    order = np.argsort(gaps, kind="stable")
    wasted = np.cumsum(gaps[order])
    count = max(int(np.searchsorted(wasted, (ends - begins).sum() // 8, "right")), len(begins) - most, 0)
    is_apart = np.ones(len(gaps), np.bool_)
    is_apart[order[:count]] = False
    is_apart |= gaps >= REQUEST_BYTES
    first, last = np.append(True, is_apart), np.append(is_apart, True)
    return (begins[first], ends[last]) if len(begins) else (begins, ends)


def cost(begins: Ints, ends: Ints) -> int:
    """Return what it costs to ask for ranges of a file, in bytes, requests included."""
    begins, ends = coalesce(begins, ends)
    return int((ends - begins).sum()) + REQUEST_BYTES * len(begins)


def cut(begins: Ints, ends: Ints, most: int) -> Iterator[tuple[int, int]]:
    """Yield ranges in order, those of more than ``most`` bytes in pieces."""
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        for at in range(begin, end, most):
            yield at, min(at + most, end)
