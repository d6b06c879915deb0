"""``Spanner``: from a sample's id to its shard and its place there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Spanner"]


class Spanner:
    """Maps sample ids to shards.

    Args:
        shard_sizes: ``int64[S]``, samples of each shard.
        span_size: Accepted for compatibility; looking up needs no spans.

    Example:
        >>> Spanner(np.array([3, 0, 5]))[4]
        (2, 1)
    """

    def __init__(self, shard_sizes: NDArray[np.int64], span_size: int = 1 << 10) -> None:
        self.shard_sizes: NDArray[np.int64] = np.asarray(shard_sizes, np.int64)
        self.span_size = span_size
        self.shard_bounds: NDArray[np.int64] = np.concatenate([np.zeros(1, np.int64), np.cumsum(self.shard_sizes)])
        self.num_samples: int = int(self.shard_bounds[-1])

    def __getitem__(self, index: int) -> tuple[int, int]:
        """Return (shard, index within it) of a sample id.

        Raises:
            IndexError: There is no such sample.
        """
        if not 0 <= index < self.num_samples:
            raise IndexError(f"Sample index {index} is out of range: 0 <= index < {self.num_samples}.")
        shard = int(np.searchsorted(self.shard_bounds, index, side="right")) - 1
        return shard, int(index - self.shard_bounds[shard])
