"""What lies at a place: the files of a format, and what is known of them besides what they say.

That is what their directories are called (``year=2024/month=5/...``), and what the log of a table says of them.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any
from urllib.parse import unquote

from streaming.core.errors import ConfigError
from streaming.sources.finding import of_split
from streaming.sources.hub import choose_files, is_hub_dataset, is_split_folder
from streaming.sources.lakes.found import Found
from streaming.sources.lance.fragments import find_lance, is_lance
from streaming.sources.listing import is_pattern, list_files
from streaming.sources.names import format_of
from streaming.storage.location import Location

__all__ = ["locate"]

_PARTITION = re.compile(r"([^/=]+)=([^/]*)/")
_MISSING = "__HIVE_DEFAULT_PARTITION__"
#: Formats whose rows get columns of what directories are called.
_TABLES = {"parquet", "arrow"}
#: Tables whose files their log tells.
_LOGS = ("delta", "iceberg")


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
    if format in _LOGS:
        find: Any = getattr(import_module(f"{__package__}.{format}"), f"find_{format}")
        return find(place, options)
    if format == "lance" or (format is None and is_lance(place)):
        store, files = find_lance(place, options)
        return Found(store, "lance", files)
    if options.get("version") is not None:
        raise ConfigError(f"version is that of a table ({', '.join(_LOGS)}, lance), and {place} is none. Leave it out.")
    if is_hub_dataset(place):
        store, files, kind = choose_files(place, format, options, format_of)
        return Found(store, kind, files)
    store, kind, files = list_files(place, format)
    if kind == "arrow" and is_split_folder(files) and not is_pattern(place):
        files = of_split(files, options.get("split"), str(place))
    if kind in _TABLES:
        columns, values = _partitions([info.path for info in files])
        return Found(store, kind, files, columns, values)
    return Found(store, kind, files)


def _partitions(paths: Sequence[str]) -> tuple[Any, list[dict[str, Any]]]:
    """Return the columns that names of directories make, and their values for each file."""
    told = [{unquote(name): unquote(value) for name, value in _PARTITION.findall(path)} for path in paths]
    names = list(told[0])
    odd = next((number for number, each in enumerate(told) if list(each) != names), None)
    if odd is not None:
        one, other = ("=, ".join([*told[number], ""]).rstrip(", ") or "nothing" for number in (0, odd))
        warnings.warn(
            f"Directories tell {one} of {paths[0]}, and {other} of {paths[odd]}: no columns are made of them. Name files of "
            "which they tell the same by a pattern.",
            stacklevel=2,
        )
    if not names or odd is not None:
        return None, []
    import pyarrow as pa

    rows: list[dict[str, Any]] = [
        {name: None if value == _MISSING else value for name, value in each.items()} for each in told
    ]
    fields: list[Any] = []
    for name in names:
        values = [row[name] for row in rows]
        numbers = [_number(value) for value in values]
        is_number = all(number is not None or value is None for number, value in zip(numbers, values, strict=True))
        for row, number in zip(rows, numbers, strict=True):
            row[name] = number if is_number else row[name]
        kind = pa.int64() if is_number else pa.string()
        fields.append(pa.field(name, kind, nullable=None in values))
    return pa.schema(fields), rows


def _number(text: str | None) -> int | None:
    is_plain = text is not None and re.fullmatch(r"0|-?[1-9]\d{0,17}", text)
    return int(text) if text is not None and is_plain else None
