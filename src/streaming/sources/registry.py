"""Sources by the name of their format, and how one is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from streaming.core.errors import ConfigError
from streaming.core.registry import Registry
from streaming.sources.contract import Files, Source
from streaming.sources.finding import find
from streaming.storage.location import Location

__all__ = ["open_source", "sources"]

_KINDS = "streaming.sources.kinds"

#: What opens files of a format: ``Files`` in, a ``Source`` out. Packages may add more.
sources: Registry[Callable[[Files], Source]] = Registry(
    "source format",
    {
        "parquet": f"{_KINDS}.tables:parquet",
        "arrow": f"{_KINDS}.tables:arrow",
        "lance": f"{_KINDS}.tables:lance",
        "csv": f"{_KINDS}.tables:separated",
        "jsonl": f"{_KINDS}.lines:JSONLines",
        "text": f"{_KINDS}.lines:TextLines",
        "webdataset": f"{_KINDS}.tars:Tars",
        "folder": f"{_KINDS}.folder:Folder",
        "mds": f"{_KINDS}.mds:open_shards",
        "litdata": f"{_KINDS}.lit:Chunks",
        "tfrecord": f"{_KINDS}.tfrecord:Records",
        "numpy": f"{_KINDS}.binary:NumPy",
        "npz": f"{_KINDS}.arrays:Arrays",
        "megatron": f"{_KINDS}.binary:Megatron",
    },
    "streaming.readers",
)


_TABLES = ("parquet", "arrow", "lance", "csv")


def open_source(
    place: Location,
    format: str | None = None,
    *,
    skips: bool = False,
    encodings: Mapping[str, str | None] | None = None,
    **options: str | None,
) -> Source:
    """Open what lies at a place.

    Args:
        place: A file, a directory, or a pattern of names (``*``, ``**``, ``{a,b}``, ``{000..099}``), on disk or in a store;
            ``hf://datasets/owner/name`` is a dataset of the Hugging Face Hub.
        format: Name of the format; ``None``: as names and contents tell.
        skips: Leave out files that cannot be read, rather than refuse all.
        encodings: Of columns, those that the user chose.
        options: What else is to be told: ``split``, ``config``, ``version``, ``labels``, ``schema``, ``sort``.

    Raises:
        ConfigError: There is no such format, or nothing tells which it is, or an option is wrong.
        EmptyDatasetError: There are no files.
        SourceError: A file is damaged, or they do not go together.
        StorageError: They cannot be listed or read.
        MissingDependencyError: A package that reads the format is not installed.
    """
    if format is not None:
        _ = sources[format]
    given = {name: value for name, value in options.items() if value is not None}
    kind, files = find(place, format, given, skips)
    if "sort" in given and kind != "mds":
        raise ConfigError(f"A source of the format {kind!r} cannot be sorted. Convert it, and then sort the dataset.")
    if "version" in given and kind != "lance":
        raise ConfigError(f"version is that of a table (delta, iceberg, lance), and {place} is none. Leave it out.")
    if "labels" in given and kind != "folder":
        raise ConfigError(f"labels is for folders of images, sounds or videos; {place} is of the format {kind!r}.")
    if "schema" in given and kind not in _TABLES and (kind, given["schema"]) != ("jsonl", "union"):
        raise ConfigError(f"schema={given['schema']!r} is for tables; {place} is of the format {kind!r}. Leave it out.")
    return sources[kind](replace(files, encodings=encodings or {}))
