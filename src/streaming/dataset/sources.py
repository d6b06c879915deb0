"""The streams of a dataset, opened: where their shards are, and what of them counts as samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streaming.cache.cache import ShardCache
from streaming.cache.fetching.directory import ShardDirectory
from streaming.units.units import Units

__all__ = ["Source", "make_cache"]


@dataclass(frozen=True)
class Source:
    """A stream, opened. Legend: S shards.

    Attributes:
        directory: Its shards on this node.
        index_bytes: Size of its index.
        units: What counts as a sample, ``None`` where every row does.
        chosen: By what the units were chosen, in words or SQL, step by step.
    """

    directory: ShardDirectory
    index_bytes: int
    units: Units | None = None
    chosen: tuple[str, ...] = ()

    @property
    def sizes(self) -> NDArray[np.int64]:
        """``int64[S]``, rows of each shard."""
        return self.directory.index.samples

    @property
    def counts(self) -> NDArray[np.int64]:
        """``int64[S]``, units of each shard."""
        return self.sizes if self.units is None else self.units.counts


def make_cache(sources: Sequence[Source], limit: int | None = None) -> ShardCache:
    """Return the cache of the shards of all sources.

    Args:
        sources: The sources.
        limit: Bytes that it may hold on the node's disk, or ``None``.
    """
    return ShardCache([source.directory for source in sources], limit, sum(source.index_bytes for source in sources))
