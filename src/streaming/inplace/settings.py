"""Streams whose data are files of other formats, read from where they lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from streaming.cache.fetching.config import FetchConfig
from streaming.cache.fetching.made import MadeDirectory
from streaming.sources.finding import chosen, is_saved
from streaming.sources.hub import is_hub_dataset
from streaming.sources.lakes.wids import is_wids
from streaming.storage.location import Location

__all__ = ["InPlace", "is_data_without_index", "split_off_table"]

#: Formats that a URL's scheme may name, as in ``delta+s3://``.
_TABLES = ("delta", "iceberg", "lance")


@dataclass(frozen=True)
class InPlace:
    """What is to be known of files that are read in place, besides where they are.

    Attributes:
        format: Their format; ``None``: by their names.
        columns: The columns that samples are to have; ``None``: all.
        schema: Whether files must have the same columns.
        options: ``split``, ``config`` and ``version``, as far as they were given.
        index: Where what was found in the files is kept, if ``streaming index`` was told to write it.
    """

    format: str | None
    columns: tuple[str, ...] | None
    schema: str | None
    options: Mapping[str, str]
    index: Location | None = None

    def open(self, place: Location, directory: str, fetching: FetchConfig) -> MadeDirectory:
        """Open what lies at a place.

        Args:
            place: Where.
            directory: Where shards are to be made.
            fetching: How to fetch.

        Raises:
            ConfigError: There is no such format, column, split, configuration or version.
            EmptyDatasetError: There are no files, or no rows in them.
            SourceError: A file is damaged, or they do not go together.
            StorageError: They cannot be listed or read.
        """
        from streaming.inplace.opening import open_source_files

        place, format, options = chosen(place, self.format, self.options)
        return open_source_files(
            place,
            directory,
            fetching,
            format=format,
            columns=self.columns,
            schema=self.schema or "same",
            options=options,
            index=self.index,
        )


def is_data_without_index(place: Location) -> bool:
    """Say whether a place that has no index is known to hold data: of the hub, saved to disk, or listed by ``wids``."""
    return is_hub_dataset(place) or is_saved(place) or is_wids(place)


def split_off_table(url: str) -> tuple[str, str | None]:
    """Return a URL without the format that its scheme names, and that format: of ``delta+s3://...``."""
    for name in _TABLES:
        if url.startswith(f"{name}+"):
            return url[len(name) + 1 :], name
    return url, None
