"""What a format brings to reading: a function from the bytes of a sample to the sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["SampleDecoder"]


@dataclass(frozen=True)
class SampleDecoder:
    """How samples of one schema are read.

    Args:
        decode: From the bytes of a sample to its columns. Raises if they do not add up.
        min_bytes: No sample can be smaller.
        row_bytes: Every sample has this size; ``None`` if sizes vary.
        decode_rows: From ``uint8[k, row_bytes]``, which it may keep, to ``k`` samples at once;
            ``None`` if they can only be decoded one by one.
    """

    decode: Callable[[bytes], dict[str, Any]]
    min_bytes: int = 0
    row_bytes: int | None = None
    decode_rows: Callable[[NDArray[np.uint8]], list[dict[str, Any]]] | None = None
