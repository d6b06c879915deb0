"""Which positions of an epoch change places with each other: whole global batches, some at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Windows"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Windows:
    """The windows of an epoch. Legend: I positions.

    Args:
        total: Positions of the epoch.
        global_batch: Samples of a batch over all ranks.
        batches: Global batches of a window.
        cuts: Positions, ascending, that no window straddles; each a multiple of the global batch.
    """

    total: int
    global_batch: int
    batches: int
    cuts: Ints

    @property
    def end(self) -> int:
        """Where the last whole global batch ends; what comes after stays as it is."""
        return self.total - self.total % self.global_batch

    def around(self, positions: Ints) -> tuple[Ints, Ints]:
        """Return where the windows of positions begin and end.

        Args:
            positions: ``int64[I]``.

        Returns:
            ``int64[I]`` each. A position past the last whole batch is in a window by itself.
        """
        edges = np.concatenate([[0], self.cuts, [self.end]])
        at = np.searchsorted(edges[:-1], positions, "right") - 1
        size = self.batches * self.global_batch
        begin = edges[at] + (positions - edges[at]) // size * size
        alone = positions >= self.end
        return np.where(alone, positions, begin), np.where(
            alone, positions + 1, np.minimum(begin + size, edges[at + 1])
        )
