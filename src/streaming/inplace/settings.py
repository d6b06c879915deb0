"""Streams whose data are files of other formats, read from where they lie."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from streaming.cache.fetching.config import FetchConfig
from streaming.cache.fetching.made import MadeDirectory
from streaming.sources.hub import is_hub_dataset
from streaming.storage.location import Location

__all__ = ["InPlace", "is_data_without_index", "split_off_table"]

#: Formats that a URL's scheme may name, as in ``delta+s3://``.
_TABLES = ("delta", "iceberg", "lance")
_NOTES = ("state.json", "dataset_info.json", "dataset_dict.json")


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

        split = self.options.get("split")
        options = dict(self.options)
        if split and not is_hub_dataset(place):  # a directory
            place = place.join(options.pop("split"))
        return open_source_files(
            place,
            directory,
            fetching,
            format="arrow" if self.format is None and _is_saved(place) else self.format,
            columns=self.columns,
            schema=self.schema or "same",
            options=options,
            index=self.index,
        )


def is_data_without_index(place: Location) -> bool:
    """Say whether a place that has no index is known to hold data: a dataset of the hub, or one that was saved to disk."""
    return is_hub_dataset(place) or _is_saved(place)


def _is_saved(place: Location) -> bool:
    """Say whether a directory is what Hugging Face's ``save_to_disk`` wrote."""
    if not place.is_local:
        return False
    path = place.expanded().path
    return any(os.path.exists(os.path.join(path, name)) for name in _NOTES)


def split_off_table(url: str) -> tuple[str, str | None]:
    """Return a URL without the format that its scheme names, and that format: of ``delta+s3://...``."""
    for name in _TABLES:
        if url.startswith(f"{name}+"):
            return url[len(name) + 1 :], name
    return url, None
