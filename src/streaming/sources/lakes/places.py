"""What lies at a place: the files of a format, and what is known of them besides what they say.

That is what their directories are called (``year=2024/month=5/...``), and what the log of a table says of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from streaming.core.errors import ConfigError
from streaming.sources.finding import check_choice, of_split
from streaming.sources.hub import choose_files, is_hub_dataset, is_split_folder
from streaming.sources.lakes.found import Found
from streaming.sources.lakes.wids import find_wids
from streaming.sources.lance.fragments import find_lance, is_lance
from streaming.sources.listing import is_pattern, list_files
from streaming.sources.names import format_of, partitions
from streaming.storage.location import Location

__all__ = ["LOGS", "locate"]

#: Formats whose rows get columns of what directories are called.
_TABLES = {"parquet", "arrow"}
#: Tables whose files their log tells.
LOGS = ("delta", "iceberg")


def locate(place: Location, format: str | None, options: Mapping[str, str]) -> Found:
    """Find out what lies at a place.

    Args:
        place: A pattern of names, a file, a directory, a table, or a dataset of the Hugging Face Hub.
        format: The format, if it is known.
        options: ``split`` and ``config`` of a dataset of the hub, ``version`` of a table.

    Raises:
        ConfigError: Nothing tells the format, or an option is wrong.
        EmptyDatasetError: There are no files.
        StorageError: They cannot be listed.
    """
    if not is_hub_dataset(place):
        check_choice(options, str(place), "config")
    if format in LOGS or format == "lance" or (format is None and is_lance(place)):
        check_choice(options, str(place), "split")
    if format in LOGS:
        find: Any = getattr(import_module(f"{__package__}.{format}"), f"find_{format}")
        return find(place, options)
    if format == "lance" or (format is None and is_lance(place)):
        store, files = find_lance(place, options)
        return Found(store, "lance", files)
    if options.get("version") is not None:
        raise ConfigError(f"version is that of a table ({', '.join(LOGS)}, lance), and {place} is none. Leave it out.")
    if is_hub_dataset(place):
        store, files, kind = choose_files(place, format, options, format_of)
        return Found(store, kind, files)
    if _may_list(place, format) and (archives := find_wids(place)) is not None:
        check_choice(options, str(place), "split")
        return archives
    store, kind, files = list_files(place, format)
    if kind == "arrow" and is_split_folder(files) and not is_pattern(place):
        files = of_split(files, options.get("split"), str(place))
    else:
        check_choice(options, str(place), "split")
    if kind in _TABLES:
        columns, values = partitions([info.path for info in files])
        return Found(store, kind, files, columns, values)
    return Found(store, kind, files)


def _may_list(place: Location, format: str | None) -> bool:
    """Say whether a place may be an index that lists archives: a directory of archives is that, whatever lies in it."""
    return format is None or (format == "webdataset" and place.base.endswith(".json"))
