"""What a format brings to reading: a function from the bytes of a sample to the sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FixedColumn", "SampleDecoder"]


@dataclass(frozen=True)
class FixedColumn:
    """A column whose values are elements of one dtype and shape, in the same place of every sample.

    Args:
        name: Of the column.
        part: Bytes of the sample.
        dtype: Of the elements.
        shape: Of a value.
    """

    name: str
    part: slice
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


@dataclass(frozen=True)
class SampleDecoder:
    """How samples of one schema are read.

    Args:
        read: From a buffer of bytes (``bytes`` or a map), and where in it a sample begins and ends, to its columns. Raises
            if they do not add up.
        min_bytes: No sample can be smaller.
        row_bytes: Every sample has this size; ``None`` if sizes vary.
        decode_rows: From ``uint8[k, row_bytes]``, which it may keep, to ``k`` samples at once;
            ``None`` if they can only be decoded one by one.
        columns: All columns, in order, if all are of this kind.
    """

    read: Callable[[Any, int, int], dict[str, Any]]
    min_bytes: int = 0
    row_bytes: int | None = None
    decode_rows: Callable[[NDArray[np.uint8]], list[dict[str, Any]]] | None = None
    columns: tuple[FixedColumn, ...] | None = None

    def decode(self, data: bytes) -> dict[str, Any]:
        """Return the columns of a sample by its bytes."""
        return self.read(data, 0, len(data))

    @classmethod
    def of_bytes(cls, decode: Callable[[bytes], dict[str, Any]]) -> SampleDecoder:
        """Make a decoder of a function that takes the bytes of a sample."""
        return cls(lambda buffer, begin, end: decode(buffer[begin:end]))
