"""Parts of an epoch that are left out: to jump over the data behind a loss spike, say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError

__all__ = ["Skips"]


class Skips:
    """Ranges of samples of an epoch, counted over all ranks from its beginning, that are not served.

    Args:
        ranges: Pairs of first sample and one past the last, in any order.

    Raises:
        ConfigError: A range is empty or negative.
    """

    def __init__(self, ranges: Iterable[Sequence[int]]) -> None:
        merged: list[list[int]] = []
        for begin, end in sorted((int(a), int(b)) for a, b in ranges):
            if begin < 0 or end <= begin:
                raise ConfigError(f"A range to skip must begin at 0 or later and not be empty, got [{begin}, {end}).")
            if merged and begin <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], end)
            else:
                merged.append([begin, end])
        self.ranges = merged

    @classmethod
    def of_batches(cls, batches: Iterable[Sequence[int]], global_batch: int) -> Skips:
        """Return the skips of ranges of global batches: pairs of first batch and one past the last."""
        return cls((begin * global_batch, end * global_batch) for begin, end in batches)

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def position_after(self, served: int) -> int:
        """Return how far into the epoch one is after ``served`` samples, skipped ones counted."""
        position = served
        for begin, end in self.ranges:
            if begin <= position:
                position += end - begin
        return position

    def kept_batches(self, global_batch: int, num_batches: int) -> NDArray[np.int64]:
        """Return the global batches that are served, ascending.

        Args:
            global_batch: Samples of a global batch.
            num_batches: Global batches of the epoch.

        Raises:
            ConfigError: A range does not begin and end at a global batch.
        """
        kept = np.ones(num_batches, np.bool_)
        for begin, end in self.ranges:
            if begin % global_batch or end % global_batch:
                raise ConfigError(
                    f"The samples [{begin}, {end}) to skip are not whole global batches of {global_batch}. Skip with the "
                    "global batch size of the run."
                )
            kept[begin // global_batch : end // global_batch] = False
        return np.flatnonzero(kept)
