"""What lies at a place: the files of a format, and what is known of them besides what they say.

That is what their directories are called (``year=2024/month=5/...``), and what the log of a table says of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from streaming.sources.finding import of_split
from streaming.sources.hub import choose_files, is_hub_dataset, is_split_folder
from streaming.sources.listing import is_pattern, list_files
from streaming.sources.names import format_of
from streaming.storage.location import Location
from streaming.storage.store import ObjectInfo, Store

__all__ = ["Found", "locate"]

_PARTITION = re.compile(r"([^/=]+)=([^/]*)/")
_MISSING = "__HIVE_DEFAULT_PARTITION__"
#: Formats whose rows get columns of what directories are called.
_TABLES = {"parquet", "arrow"}


@dataclass(frozen=True)
class Found:
    """The files at a place. It can be pickled.

    Attributes:
        store: The store of their root.
        kind: Their format.
        files: They, in order.
        columns: The ``pyarrow.Schema`` of the columns that all rows of a file have the same value of; ``None`` if there are
            none.
        values: These values, of each file; empty if there are none.
        gone: By the number of a file, ``int64[n]`` in ascending order: rows of it that were deleted.
    """

    store: Store
    kind: str
    files: list[ObjectInfo]
    columns: Any = None
    values: Sequence[Mapping[str, Any]] = ()
    gone: Mapping[int, NDArray[np.int64]] = field(default_factory=dict[int, Any])

    def values_of(self, number: int) -> Mapping[str, Any]:
        """Return what all rows of a file have."""
        return self.values[number] if self.values else {}


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
    import pyarrow as pa

    told = [{unquote(name): unquote(value) for name, value in _PARTITION.findall(path)} for path in paths]
    names = list(told[0])
    if not names or any(list(each) != names for each in told):
        return None, []
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
