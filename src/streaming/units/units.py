"""The contract between an order, which deals numbers, and whoever reads rows by them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

__all__ = ["Units", "joint_fingerprint"]


class Units(ABC):
    """What counts as a sample in the shards of one stream.

    A unit is known by its shard and its place among the shard's units; an order sees nothing but ``counts``. Where a unit is
    in its shard depends on the units alone, never on who asks, nor on what was asked before: so an epoch starts anywhere at
    once, in any process. Where every row is a unit, no object is needed at all.

    Legend: S shards.

    Attributes:
        counts: ``int64[S]``, units of each shard. A shard without any is never fetched.
        fingerprint: Text that is equal for equal units only; it goes into checkpoints.
        has_parts: Whether a row may have several units, each a part of it.
        has_rows: Whether each unit is of one row.
        tokens: How many each unit has room for, where it is a bin of tokens.
        reach: ``int64[S]``, one past the last shard that a shard's units have anything of; ``None`` where that is always the
            shard itself. Shards that others reach have no units of their own.
    """

    counts: NDArray[np.int64]
    fingerprint: str
    has_parts: bool = False
    has_rows: bool = True
    tokens: int | None = None
    reach: NDArray[np.int64] | None = None

    @property
    def num_units(self) -> int:
        """Units of all shards."""
        return int(self.counts.sum())

    @abstractmethod
    def rows(self, shard: int) -> NDArray[np.int64]:
        """Return the row of each unit of a shard.

        Args:
            shard: Index of the shard in its stream.

        Returns:
            ``int64[counts[shard]]``, never descending. :class:`Translation` keeps what it has asked for.
        """

    def parts(self, shard: int) -> NDArray[np.int64]:
        """Return which part of its row each unit of a shard is, from 0.

        Args:
            shard: Index of the shard in its stream.

        Returns:
            ``int64[counts[shard]]``.
        """
        return np.zeros(int(self.counts[shard]), np.int64)

    def number(self, shard: int, row: int) -> int:
        """Return into how many parts a row was cut, all of which need not be units."""
        del shard, row
        return 1

    def mask(self, shard: int, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return ``bool[counts[shard]]``: for each unit, the truth value of its row."""
        return rows[self.rows(shard)]


def joint_fingerprint(units: Sequence[Units | None]) -> str:
    """Return 16 hexadecimal digits of the units of all streams, as a checkpoint holds them.

    Args:
        units: Of each stream, ``None`` where every row is one.
    """
    prints = "|".join("" if unit is None else unit.fingerprint for unit in units)
    return blake2b(prints.encode(), digest_size=8).hexdigest()
