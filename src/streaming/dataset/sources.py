"""The streams of a dataset, opened: where their shards are, and what of them counts as samples."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.cache.cache import ShardCache
from streaming.cache.fetching.directory import ShardDirectory
from streaming.cache.fetching.made import MadeDirectory
from streaming.columns.asked import AskedColumns
from streaming.columns.opening import open_columns
from streaming.columns.parquet import COLUMNS_NAME
from streaming.columns.side import SideColumns
from streaming.core.errors import ConfigError, ObjectNotFoundError
from streaming.format.metadata import METADATA_NAME, parse_metadata
from streaming.inplace.side import columns_of
from streaming.storage.location import Location
from streaming.storage.registry import open_store
from streaming.storage.retry import RetryPolicy, call_with_retries
from streaming.units.selection import Selection
from streaming.units.units import Units

__all__ = ["COLUMNS_NAME", "Source", "few_rows", "make_cache"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class JoinedSide:
    """Another dataset whose rows belong to a stream's.

    Attributes:
        source: The dataset.
        rows: ``int64[N]``, its row for each of the stream's, -1 for none; ``None`` where they are the same.
        names: What samples get of it.
        fingerprint: Text that is equal for equal joins only.
    """

    source: Source
    rows: NDArray[np.int64] | None
    names: tuple[str, ...]
    fingerprint: str


@dataclass(frozen=True)
class Source:
    """A stream, opened. Legend: S shards.

    Attributes:
        directory: Its shards on this node.
        index_bytes: Size of its index.
        side: Where its side columns are, if it has any.
        units: What counts as a sample, ``None`` where every row does.
        chosen: By what the units were chosen, in words or SQL, step by step.
        joins: Other datasets whose rows belong to this one's.
        is_side_given: Whether a user said where the side columns are.
    """

    directory: ShardDirectory
    index_bytes: int
    side: Location
    units: Units | None = None
    chosen: tuple[str, ...] = ()
    joins: tuple[JoinedSide, ...] = ()
    is_side_given: bool = False

    @property
    def sizes(self) -> NDArray[np.int64]:
        """``int64[S]``, rows of each shard."""
        return self.directory.index.samples

    def side_columns(self) -> SideColumns | AskedColumns:
        """Open the side columns; of files that are read in place, unless others are given, their own columns.

        Raises:
            ConfigError: There are none, or they are of other data.
        """
        index = self.directory.index
        if isinstance(self.directory, MadeDirectory) and not self.is_side_given:
            asked = columns_of(self.directory)
            if asked is not None:
                return asked
        try:
            return open_columns(
                self.side,
                self.directory.directory,
                index.digest,
                index.num_samples,
                retries=self.directory.config.download_retry,
            )
        except ObjectNotFoundError as error:
            raise ConfigError(
                f"{self.directory.origin} has no side columns ({self.side}), in which conditions, keys and counts are "
                f"looked up. Make them: streaming index {self.directory.origin} --columns NAME,NAME --beside (or --out "
                "PLACE, and then side_columns=PLACE/columns.parquet)."
            ) from error

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """What is known of it and its columns, read from beside the index when first asked for.

        Raises:
            ConfigError: The file is no JSON object.
            StorageError: It cannot be read.
        """
        directory = self.directory
        if isinstance(directory, MadeDirectory):
            return dict(directory.metadata)
        store = directory.store or open_store(Location.parse(directory.directory))
        policy = RetryPolicy(attempts=directory.config.download_retry + 1)
        try:
            data = call_with_retries(lambda: store.get(METADATA_NAME), policy, time.sleep)
        except ObjectNotFoundError:
            return {}
        return parse_metadata(data, f"{METADATA_NAME} of {directory.origin}")

    @property
    def counts(self) -> NDArray[np.int64]:
        """``int64[S]``, units of each shard."""
        return self.sizes if self.units is None else self.units.counts


def few_rows(source: Source) -> NDArray[np.bool_] | None:
    """Say of which shards a view keeps so few rows that these alone are fetched.

    Returns:
        ``bool[S]``, or ``None`` if there are none. What speaks against others that have few is logged.
    """
    directory, units = source.directory, source.units
    if directory.store is None or not isinstance(units, Selection):
        return None
    from streaming.cache.fetching.sparse import worth_ranges

    chosen, reasons = worth_ranges(directory, units)
    for reason in reasons:
        level = logging.INFO if "already" in reason else logging.WARNING
        logger.log(level, "a view keeps few rows of %s, which could be fetched alone, but %s", directory.origin, reason)
    return chosen if chosen.any() else None


def make_cache(
    sources: Sequence[Source], few: Sequence[NDArray[np.bool_] | None], limit: int | None = None
) -> ShardCache:
    """Return the cache of the shards of all sources, and after them of what is joined to each.

    Args:
        sources: The sources.
        few: Of each source, its shards of which a few rows alone are fetched; see :func:`few_rows`.
        limit: Bytes that it may hold on the node's disk, or ``None``.
    """
    directories: list[ShardDirectory] = []
    for source, chosen in zip(sources, few, strict=True):
        directory = source.directory
        if chosen is not None and isinstance(source.units, Selection):
            from streaming.cache.fetching.sparse import sparse_directory

            directory = sparse_directory(directory, source.units, chosen)
        directories.append(directory)
    every = [*sources, *(joined.source for source in sources for joined in source.joins)]
    directories += [source.directory for source in every[len(sources) :]]
    return ShardCache(directories, limit, sum(source.index_bytes for source in every))
