"""Parts of an epoch that are left out: to jump over the data behind a loss spike, say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError

__all__ = ["Kept", "Skips"]

Ints = NDArray[np.int64]


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

    def served_before(self, positions: Ints) -> Ints:
        """Return how many samples of the epoch are served before each position (the inverse of ``position_after``)."""
        served = positions.copy()
        for begin, end in self.ranges:
            served -= np.clip(positions - begin, 0, end - begin)
        return served

    def kept_batches(self, global_batch: int, num_batches: int) -> Kept:
        """Return the global batches that are served, ascending.

        Args:
            global_batch: Samples of a global batch.
            num_batches: Global batches of the epoch.

        Raises:
            ConfigError: A range does not begin and end at a global batch.
        """
        for begin, end in self.ranges:
            if begin % global_batch or end % global_batch:
                raise ConfigError(
                    f"The samples [{begin}, {end}) to skip are not whole global batches of {global_batch}. Skip with the "
                    "global batch size of the run."
                )
        skipped = [(begin // global_batch, min(end // global_batch, num_batches)) for begin, end in self.ranges]
        return Kept([(begin, end) for begin, end in skipped if begin < end], num_batches)


class Kept:
    """The numbers below a total that lie outside of some ranges.

    Args:
        ranges: Pairs of first number and one past the last, ascending and apart.
        total: The total, at most ``2^62``.
    """

    def __init__(self, ranges: Sequence[tuple[int, int]], total: int) -> None:
        sizes = np.cumsum([0, *(end - begin for begin, end in ranges)], dtype=np.int64)
        self._sizes = sizes
        # So many numbers are kept before each range.
        self._before = np.array([begin for begin, _ in ranges], np.int64) - sizes[:-1]
        self._length = total - int(sizes[-1])

    def __len__(self) -> int:
        return self._length

    def batches(self, index: Ints) -> Ints:
        """Return the ``index``-th of the numbers, each in ``[0, len)``."""
        return index + self._sizes[np.searchsorted(self._before, index, side="right")]
