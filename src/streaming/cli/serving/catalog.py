"""The datasets below a place: found, opened when somebody looks at them, and kept open."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from itertools import islice
from typing import Any

from streaming.cli.reading.facts import describe, metadata
from streaming.cli.reading.source import INDEX_NAME, Source, read_source
from streaming.columns.opening import open_columns
from streaming.columns.parquet import COLUMNS_NAME
from streaming.columns.side import SideColumns
from streaming.core.errors import (
    ConfigError,
    MissingDependencyError,
    ObjectNotFoundError,
    SampleError,
    ShardFormatError,
    StorageError,
)
from streaming.dataset.dataset import StreamingDataset
from streaming.storage.location import Location
from streaming.storage.registry import open_store
from streaming.storage.store import ObjectInfo

__all__ = ["MOST_COLUMNS", "Catalog", "Opened"]

#: Columns of a dataset that are read.
MOST_COLUMNS = 100
_MOST_FILES = 200_000
_CACHE_BYTES = 1 << 30


@dataclass
class Opened:
    """A dataset that is looked at.

    Attributes:
        name: Below the place that is served; ``''`` for that itself.
        source: Its index.
        directory: Where shards of it are kept.
    """

    name: str
    source: Source
    directory: str
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @cached_property
    def encodings(self) -> dict[str, str]:
        """Encoding of each column."""
        return {
            name: encoding
            for schema in self.source.index.schemas
            for name, encoding in zip(schema.column_names, schema.column_encodings, strict=True)
        }

    @cached_property
    def closed(self) -> list[str]:
        """Columns that could run code when they are read."""
        return sorted({name for schema in self.source.index.schemas for name in schema.unsafe_columns})

    @cached_property
    def columns(self) -> list[str]:
        """Columns that are shown."""
        return [name for name in islice(self.encodings, MOST_COLUMNS + len(self.closed)) if name not in self.closed][
            :MOST_COLUMNS
        ]

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What its index says."""
        return describe(self.source)

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """What else is known of it."""
        return metadata(self.source)

    @cached_property
    def side(self) -> SideColumns | None:
        """Its side columns, if there are any that belong to it."""
        index = self.source.index
        place = self.source.place.join(COLUMNS_NAME)
        try:
            return open_columns(place, self.directory, index.digest, index.num_samples)
        except (ConfigError, StorageError, MissingDependencyError):
            return None

    @cached_property
    def _dataset(self) -> StreamingDataset[Any]:
        return self.ordered(batch_size=1)

    def ordered(self, **options: Any) -> StreamingDataset[Any]:
        """Return the dataset with options of its order."""
        place = self.source.place
        options["columns"] = self.columns
        if place.is_local:
            return StreamingDataset(local=place.path, **options)
        return StreamingDataset(
            remote=place.url,
            local=self.directory,
            cache_limit=_CACHE_BYTES,
            storage_options=place.options.reveal() or None,
            **options,
        )

    def samples(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """Return samples, one request after the other.

        Raises:
            ShardFormatError: One cannot be decoded.
            StreamingError: They cannot be read.
        """
        with self._lock:
            return list(self._dataset[list(numbers)]) if self.columns else [{} for _ in numbers]

    def samples_or_errors(self, numbers: Sequence[int]) -> list[dict[str, Any] | str]:
        """Return samples, in the place of those that cannot be decoded why."""
        try:
            return list(self.samples(numbers))
        except (ShardFormatError, SampleError):
            return [self._sample_or_error(number) for number in numbers]

    def _sample_or_error(self, number: int) -> dict[str, Any] | str:
        try:
            (sample,) = self.samples([number])
        except (ShardFormatError, SampleError) as error:
            return str(error)
        return sample


class Catalog:
    """What is served.

    Args:
        place: A dataset, or a directory with datasets below it; ``None``: no dataset is shown.
        directory: Where shards of remote ones are kept.
    """

    def __init__(self, place: Location | None, directory: str) -> None:
        self.place = None if place is None else place.above(INDEX_NAME)
        self._directory = directory
        self._opened: dict[str, tuple[Opened, ObjectInfo | None]] = {}
        self._lock = threading.Lock()

    def names(self) -> tuple[list[str], bool]:
        """Return the names of the datasets, and whether these are all of them.

        Raises:
            ObjectNotFoundError: There are none.
            StorageError: They cannot be listed.
        """
        if self.place is None:
            return [], True
        store = open_store(self.place)
        try:
            store.head(INDEX_NAME)
            return [""], True
        except ObjectNotFoundError:
            pass
        paths = [info.path for info in islice(store.list(), _MOST_FILES)]
        names = sorted(path[: -len(INDEX_NAME) - 1] for path in paths if path.endswith(f"/{INDEX_NAME}"))
        if not names:
            raise ObjectNotFoundError(f"There is no {INDEX_NAME} at {self.place} or below. Check the path.")
        return names, len(paths) < _MOST_FILES

    def open(self, name: str) -> Opened:
        """Return a dataset, anew if it was written again.

        Raises:
            ObjectNotFoundError: There is none of this name.
            IndexFormatError: Its index is not valid.
            StorageError: It cannot be read.
        """
        if self.place is None or name.startswith(("/", "\\")) or ".." in name.split("/") or ":" in name:
            raise ObjectNotFoundError(f"There is no dataset {name!r} here.")
        place = self.place.join(name) if name else self.place
        with self._lock:
            known, seen = self._opened.get(name, (None, None))
            info: ObjectInfo | None = None
            with suppress(StorageError):
                info = open_store(place).head(INDEX_NAME)
            if known is not None and info is not None and info.etag is not None and info == seen:
                return known
            source = read_source(place)
            if known is None or known.source.index.digest != source.index.digest:
                stem = blake2b(f"{name}|{source.index.digest.hex()}".encode(), digest_size=8).hexdigest()
                known = Opened(name, source, os.path.join(self._directory, stem))
            self._opened[name] = known, info
            return known
