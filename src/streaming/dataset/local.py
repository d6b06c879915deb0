"""``LocalDataset``: a dataset on local disk, indexed like an array."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from torch.utils.data import Dataset

from streaming.cache.cache import ShardCache
from streaming.cache.config import FetchConfig
from streaming.cache.directory import ShardDirectory
from streaming.cache.index_source import load_index
from streaming.core.indexing import T_co
from streaming.dataset.access import RandomAccess
from streaming.dataset.shards import ShardTable
from streaming.dataset.spanner import Spanner
from streaming.dataset.stream import check_safe

if TYPE_CHECKING:
    from streaming.format.reader import Reader

__all__ = ["LocalDataset"]


class LocalDataset(RandomAccess[T_co], Dataset[T_co]):
    """A map-style dataset over shards on local disk. Nothing is downloaded.

    Args:
        local: Directory of the dataset.
        split: Sub-directory that holds it.
        allow_unsafe_types: Accept columns that are unpickled when read: only for data that you trust.

    Raises:
        EmptyDatasetError: There is no index.
        UnsafeTypeError: A column would be unpickled and ``allow_unsafe_types`` is not set.
        IndexFormatError: The index is not valid.
    """

    def __init__(self, local: str, split: str | None = None, allow_unsafe_types: bool = False) -> None:
        self.local = os.fspath(local)
        self.split = split or ""
        directory = os.path.join(os.path.expanduser(self.local), self.split)
        index, index_bytes = load_index(directory, None, 0)
        if not allow_unsafe_types:
            check_safe(index, directory)
        files = ShardDirectory(directory, index, None, FetchConfig(keep_zip=True), directory)
        self._table = ShardTable([index])
        self._cache = ShardCache([files], None, index_bytes)

    @property
    def shards(self) -> list[Reader]:
        """A reader of each shard. Made at each call: keep the list to use it more than once."""
        from streaming.format.readers import readers_of_index

        (directory,) = self._cache.directories
        return readers_of_index(directory.index, self.local, self.split)

    @property
    def spanner(self) -> Spanner:
        """From sample ids to shards."""
        return Spanner(self._table.samples_per_shard)
