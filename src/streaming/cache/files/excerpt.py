"""Some rows of an uncompressed MDS shard: where they are in it, and the small shard of their own that they make."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ShardFormatError
from streaming.format.index import FileInfo, ShardInfo
from streaming.format.kinds.mds_header import encode_header, row_bounds

__all__ = ["Excerpt", "pieces"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Excerpt:
    """Some rows of a shard. Legend: k rows.

    Args:
        info: The whole shard.
        rows: ``int64[k]``, ascending.
    """

    info: ShardInfo
    rows: Ints

    @property
    def whole(self) -> FileInfo:
        """The file that the store holds."""
        return self.info.raw[0]

    def table_ranges(self) -> tuple[Ints, Ints]:
        """Return what of the shard tells where the rows are; nothing if they are of one size.

        Returns:
            ``int64[r]`` begins and ends, ascending.
        """
        if row_bounds(self.info.schema)[1]:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        # The count, then a pair of offsets for each row.
        return np.concatenate([[0], 4 + 4 * self.rows]), np.concatenate([[4], 12 + 4 * self.rows])

    def places(self, read: Callable[[Ints, Ints], Iterable[tuple[int, bytes]]]) -> tuple[Ints, Ints]:
        """Find the rows.

        Args:
            read: From begins and ends of ranges, ascending, to bytes that hold them: where each run of them begins, and the
                run, in order.

        Returns:
            ``int64[k]``, where each begins and ends.

        Raises:
            ShardFormatError: What the shard says of itself does not fit the index.
        """
        count, size = self.info.samples, self.whole.bytes
        least, is_fixed = row_bounds(self.info.schema)
        if is_fixed:
            begins = size - least * (count - self.rows)
            return begins, begins + least
        wanted = np.concatenate([[0], 1 + self.rows, 2 + self.rows])
        found = np.zeros(len(wanted), np.int64)
        for begin, data in read(*self.table_ranges()):
            numbers = np.frombuffer(data, "<u4", len(data) // 4)
            is_here = (wanted >= begin // 4) & (wanted < begin // 4 + len(numbers))
            found[is_here] = numbers[wanted[is_here] - begin // 4]
        if int(found[0]) != count:
            raise ShardFormatError(f"Shard {self.whole.basename} holds {found[0]} samples; the index says {count}.")
        begins, ends = found[1 : 1 + len(self.rows)], found[1 + len(self.rows) :]
        is_wrong = (ends - begins < least) | (begins < 4 * (count + 2)) | (ends > size)
        is_wrong[1:] |= begins[1:] < ends[:-1]
        if is_wrong.any():
            row = int(np.flatnonzero(is_wrong)[0])
            raise ShardFormatError(
                f"Shard {self.whole.basename}: sample {self.rows[row]} is said to be at bytes {begins[row]} to {ends[row]}, "
                f"which cannot be in a file of {size} bytes and {count} samples."
            )
        return begins, ends

    def header(self, sizes: Ints) -> bytes:
        """Return what the small shard begins with.

        Args:
            sizes: ``int64[k]``, bytes of each row.
        """
        return encode_header(self.info.schema, sizes)


def pieces(at: int, data: bytes, begins: Ints, ends: Ints) -> Iterator[memoryview]:
    """Yield what belongs to rows, in order, of bytes of a shard.

    Args:
        at: Where in the shard the bytes begin.
        data: The bytes.
        begins: ``int64[k]``, where each row begins, ascending.
        ends: ``int64[k]``, where each ends.
    """
    view = memoryview(data)
    first, last = np.searchsorted(ends, at, "right"), np.searchsorted(begins, at + len(data), "left")
    for begin, end in zip(begins[first:last].tolist(), ends[first:last].tolist(), strict=True):
        yield view[max(begin - at, 0) : end - at]
