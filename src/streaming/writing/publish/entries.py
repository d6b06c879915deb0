"""The entries of an existing ``index.json``, as they were written, so that they can be written again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from streaming.core.errors import ConfigError
from streaming.format.index import Index

__all__ = [
    "INDEX_NAME",
    "check_columns",
    "columns_of",
    "file_names",
    "map_names",
    "read_entries",
]

INDEX_NAME = "index.json"

#: So many columns are named in a text.
_NAMED = 6
_FILE_KEYS = ("raw_meta", "raw_data", "zip_meta", "zip_data")


def read_entries(data: bytes, source: str) -> list[dict[str, Any]]:
    """Read the entries of an index, checked.

    Args:
        data: Contents of an ``index.json``.
        source: Its path or URL, for error texts.

    Returns:
        The entry of each shard, with every key it has.

    Raises:
        IndexFormatError: It is not a valid version 2 index.
    """
    Index.parse(data, source)
    return json.loads(data.decode("utf-8-sig"))["shards"]


def file_names(entry: dict[str, Any]) -> list[str]:
    """Return the names of the files that an entry lists."""
    return [entry[key]["basename"] for key in _FILE_KEYS if entry.get(key)]


def map_names(entry: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Return an entry whose files lie in the directory ``prefix`` (with ``/`` between names, ``''`` for none)."""
    if not prefix:
        return entry
    moved = dict(entry)
    for key in _FILE_KEYS:
        if moved.get(key):
            moved[key] = {**moved[key], "basename": f"{prefix}/{moved[key]['basename']}"}
    return moved


def check_columns(parts: Sequence[tuple[str, Sequence[dict[str, Any]]]]) -> None:
    """Check that datasets have the same columns, whatever their order, so that they can be one.

    Args:
        parts: The place and the entries of each.

    Raises:
        ConfigError: One has others than the first; the text says which.
    """
    first: tuple[str, dict[str, str]] | None = None
    for place, entries in parts:
        for entry in entries:
            columns = columns_of(entry)
            if first is None:
                first = place, columns
            elif columns != first[1]:
                raise ConfigError(
                    f"The parts cannot be one dataset: {place} has {_difference(columns, first[1])}, unlike {first[0]}. "
                    "Write them with the same columns, or read them as streams of their own."
                )


def columns_of(entry: Mapping[str, Any]) -> dict[str, str]:
    """Return the encoding of each column of a shard, by its name."""
    if "columns" in entry:
        return dict(entry["columns"])
    return dict(zip(entry["column_names"], entry["column_encodings"], strict=True))


def _difference(columns: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    told = [f"no column {name!r}" for name in wanted if name not in columns]
    told += [f"a column {name!r} ({encoding})" for name, encoding in columns.items() if name not in wanted]
    told += [
        f"column {name!r} as {encoding} instead of {wanted[name]}"
        for name, encoding in columns.items()
        if wanted.get(name, encoding) != encoding
    ]
    return ", ".join(told[:_NAMED]) + (", ..." if len(told) > _NAMED else "")
