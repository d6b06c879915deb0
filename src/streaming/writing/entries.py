"""The entries of an existing ``index.json``, as they were written, so that they can be written again."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from streaming.format.index import Index

__all__ = ["INDEX_NAME", "file_names", "map_names", "next_shard_number", "read_entries"]

INDEX_NAME = "index.json"

_FILE_KEYS = ("raw_meta", "raw_data", "zip_meta", "zip_data")
_SHARD_NAME = re.compile(r"shard\.(\d+)\.")


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


def next_shard_number(entries: Sequence[dict[str, Any]]) -> int:
    """Return the first number that no shard of these entries, wherever it lies, has in its name."""
    found = (_SHARD_NAME.match(name) for entry in entries for name in file_names(entry))
    return max((int(match.group(1)) + 1 for match in found if match), default=0)
