"""Samples of one size, gathered from many shards into one block of memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Rows", "gather_rows"]

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]

#: Rows that are copied twice are copied in parts that a processor's cache holds.
_PART_BYTES = 1 << 18
#: The largest array that NumPy can describe, less a margin.
_MOST_BYTES = 1 << 62


@dataclass(frozen=True)
class Rows:
    """The samples of a shard, if they are of one size.

    Attributes:
        array: ``uint8[n, row_bytes]``, as they are stored, in a row. Its memory stays as long as it does.
        address: Where it begins in this process.
    """

    array: Bytes
    address: int

    @staticmethod
    def of(array: Bytes) -> Rows:
        """Find an array's address."""
        if not array.flags.c_contiguous:
            raise ValueError("Rows that are gathered must lie in a row.")
        return Rows(array, array.__array_interface__["data"][0])


class _Memory:
    """Bytes ``[begin, end)`` of this process as an array of the rows that begin at each of them. Only rows are read."""

    def __init__(self, begin: int, end: int, row_bytes: int) -> None:
        self.__array_interface__ = {
            "version": 3,
            "typestr": "|u1",
            "data": (begin, True),
            "shape": (end - begin - row_bytes + 1, row_bytes),
            "strides": (1, 1),
        }


def gather_rows(known: Mapping[int, Rows], shards: Ints, indexes: Ints, out: Bytes | None = None) -> Bytes:
    """Copy rows of shards.

    Args:
        known: The rows of each shard, all of one size.
        shards: ``int64[k]``, the shard of each row.
        indexes: ``int64[k]``, its index there.
        out: ``uint8[k, row_bytes]``, where they go, in order; else a new array.

    Returns:
        ``uint8[k, row_bytes]``.

    Raises:
        IndexError: A shard has no such row.
    """
    keys = sorted(known)
    rows = [known[key] for key in keys]
    row_bytes = rows[0].array.shape[1]
    if len(rows) == 1:
        _check(indexes, len(rows[0].array))
        return np.take(rows[0].array, indexes, axis=0, out=out, mode="clip")  # without "clip" it takes a detour
    which = np.searchsorted(np.array(keys), shards)
    _check(indexes, np.array([len(each.array) for each in rows])[which])
    begin = min(each.address for each in rows)
    end = max(each.address + each.array.nbytes for each in rows)
    if (end - begin) * row_bytes > _MOST_BYTES:
        return _one_by_one([each.array for each in rows], which, indexes, out)
    # One view of all the memory that the shards are mapped to, so that one operation takes rows of any of them.
    memory: Any = np.asarray(_Memory(begin, end, row_bytes))
    places = np.array([each.address - begin for each in rows])[which] + indexes * row_bytes
    if out is None:
        return memory[places]
    step = max(1, _PART_BYTES // row_bytes)
    for first in range(0, len(places), step):
        out[first : first + step] = memory[places[first : first + step]]
    return out


def _check(indexes: Ints, counts: Any) -> None:
    if indexes.min() < 0 or (indexes >= counts).any():
        wrong = (indexes < 0) | (indexes >= counts)
        raise IndexError(f"No row {indexes[wrong][0]} in its shard.")


def _one_by_one(arrays: list[Bytes], which: Ints, indexes: Ints, out: Bytes | None) -> Bytes:
    out = np.empty((len(which), arrays[0].shape[1]), np.uint8) if out is None else out
    for place, (shard, index) in enumerate(zip(which.tolist(), indexes.tolist(), strict=True)):
        out[place] = arrays[shard][index]
    return out
