"""Samples of one size as they lie in memory, in one shard or in many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Rows", "view_rows"]

Bytes = NDArray[np.uint8]

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
    """Bytes ``[begin, end)`` of this process as an array of the rows that begin at each of them."""

    def __init__(self, begin: int, end: int, row_bytes: int) -> None:
        self.__array_interface__ = {
            "version": 3,
            "typestr": "|u1",
            "data": (begin, True),
            "shape": (end - begin - row_bytes + 1, row_bytes),
            "strides": (1, 1),
        }


def view_rows(begin: int, end: int, row_bytes: int) -> Bytes | None:
    """Return memory as rows that begin at each byte of it, so that one operation takes rows of any shards in it.

    Making the view reads nothing. What is read of it must be rows of shards that are mapped.

    Args:
        begin: Address of the first byte.
        end: One past the address of the last.
        row_bytes: Size of a row, at least 1.

    Returns:
        ``uint8[end - begin - row_bytes + 1, row_bytes]``, ``None`` if NumPy has no such large arrays.
    """
    if (end - begin) * row_bytes > _MOST_BYTES:
        return None
    memory: Any = np.asarray(_Memory(begin, end, row_bytes))
    return memory
