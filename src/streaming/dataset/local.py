"""``LocalDataset``: a dataset on local disk, indexed like an array."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from numpy.typing import NDArray
from torch.utils.data import Dataset

from streaming.cache.fetching.config import FetchConfig
from streaming.cache.fetching.directory import ShardDirectory
from streaming.cache.index_source import load_index
from streaming.core.arguments import as_directory, as_flag, as_path
from streaming.core.errors import ConfigError
from streaming.core.indexing import T_co
from streaming.core.names import Where
from streaming.dataset.access import RandomAccess
from streaming.dataset.projection import as_columns, check_columns
from streaming.dataset.sources import COLUMNS_NAME, Source
from streaming.storage.location import Location, working_directory
from streaming.storage.url import redact

if TYPE_CHECKING:
    from streaming.format.reader import Reader

__all__ = ["LocalDataset"]

R = TypeVar("R")


class LocalDataset(RandomAccess[T_co], Dataset[T_co]):
    """A map-style dataset over shards on local disk. Nothing is downloaded.

    Args:
        local: Directory of the dataset.
        split: Sub-directory that holds it.
        allow_unsafe_types: Accept columns that are unpickled when read: only for data that you trust.
        columns: Names of the columns that samples have, in that order; the others are not decoded. Default: all, as they
            are stored.
        side_columns: Path of the Parquet file of side columns. Default: ``columns.parquet`` beside the index.

    Raises:
        ConfigError: ``local`` is a URL, or ``columns`` names none, one twice, or one that there is not.
        EmptyDatasetError: There is no index.
        UnsafeTypeError: A column would be unpickled and ``allow_unsafe_types`` is not set.
        IndexFormatError: The index is not valid.

    Example:
        >>> dataset = LocalDataset('data')
        >>> dataset.size, dataset[10]
        (64, {'label': 0, 'text': 'text 10'})
        >>> [sample['label'] for sample in dataset[:3]]
        [0, 1, 2]
    """

    def __init__(
        self,
        local: Where,
        split: Where | None = None,
        allow_unsafe_types: bool = False,
        columns: Sequence[str] | None = None,
        side_columns: Where | None = None,
    ) -> None:
        self.local: str = as_directory("local", local)
        self._split = as_path("split", "" if split is None else split)
        self._allows_unsafe = as_flag("allow_unsafe_types", allow_unsafe_types)
        if "://" in self.local:
            raise ConfigError(
                f"LocalDataset reads a directory, and local={redact(self.local)!r} is a URL. Use "
                "StreamingDataset(remote=...), which can be indexed too."
            )
        directory = os.path.join(working_directory(), os.path.expanduser(self.local), self._split)
        loaded = load_index(directory, None, 0)
        index = loaded.index
        wanted = as_columns(columns)
        check_columns(index, wanted, directory, allow_unsafe_types)
        files = ShardDirectory(directory, index, None, FetchConfig(keep_zip=True), directory, loaded.identity, wanted)
        given = "" if side_columns is None else as_path("side_columns", side_columns)
        side = Location.parse(given or os.path.join(directory, COLUMNS_NAME))
        self._assemble([Source(files, loaded.bytes, side)])

    def _assemble(self, sources: Sequence[Source]) -> None:
        super().__init__(sources)

    if TYPE_CHECKING:

        def map(self, fn: Callable[..., R], *, rng: bool = False) -> LocalDataset[R]: ...  # noqa: D102

        def flat_map(  # noqa: D102
            self, fn: Callable[..., Sequence[R]], count: int | str | Sequence[int] | NDArray[Any], *, rng: bool = False
        ) -> LocalDataset[R]: ...

    @property
    def sample_seed(self) -> tuple[int, int]:
        """What the generators of :meth:`map` depend on besides the sample."""
        return 0, 0

    @cached_property
    def shards(self) -> Sequence[Reader]:
        """A reader of each shard, made when it is first asked for."""
        from streaming.format.readers import Readers

        (source,) = self.sources
        return Readers([(source.directory.index, self.local, self._split)], self._allows_unsafe)
