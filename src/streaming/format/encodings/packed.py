"""Several values in one: how many, the size of each, and they."""

from __future__ import annotations

import struct
from itertools import accumulate, pairwise

from streaming.core.errors import ColumnValueError

__all__ = ["pack_list", "unpack_list"]


def pack_list(parts: list[bytes], reserved: bytes = b"") -> bytes:
    """Return a count, sizes and the parts."""
    count = len(parts)
    sizes = [len(part) for part in parts]
    if sizes and max(sizes) >= 1 << 32:
        raise ColumnValueError("an image of a list takes 4 GiB or more")
    return b"".join([reserved, struct.pack(f"<{count + 1}I", count, *sizes), *parts])


def unpack_list(data: bytes, begin: int = 0) -> list[bytes]:
    """Return the parts, from where their count is.

    Raises:
        ColumnValueError: The sizes are wrong.
    """
    if len(data) < begin + 4:
        raise ColumnValueError(f"no list of images: {len(data)} bytes are too few")
    (count,) = struct.unpack_from("<I", data, begin)
    first = begin + 4 + 4 * count
    if first > len(data):
        raise ColumnValueError(f"no list of images: {len(data)} bytes cannot hold {count} sizes")
    ends = list(accumulate(struct.unpack_from(f"<{count}I", data, begin + 4), initial=first))
    if ends[-1] != len(data):
        raise ColumnValueError(f"no list of images: sizes add up to {ends[-1]} bytes, there are {len(data)}")
    return [bytes(data[lo:hi]) for lo, hi in pairwise(ends)]
