"""A parsed index as one run of bytes, which the next process maps instead of parsing.

The file lies where others may have written, so one that is not whole, not a plain file, or neither this user's nor the
administrator's is passed over: there is the index to be parsed.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from streaming.core.columns import Columns, dump_columns, map_columns
from streaming.core.errors import IndexFormatError
from streaming.format.index.files import FileTable, StringColumn
from streaming.format.index.table import Index, digest_of
from streaming.format.samples.schema import Schema

__all__ = ["MappedIndex", "dump_parsed", "map_parsed"]

_MAGIC = b"SDINDEX2"
_TABLES = ("raw_data", "raw_meta", "zip_data", "zip_meta")


@dataclass(frozen=True, eq=False)
class MappedIndex(Index):
    """An index whose columns are read-only views of a file.

    Args:
        origin: The file.
    """

    origin: str = ""

    def __reduce__(self) -> Any:
        """Pickle the name of the file: the other process maps it too."""
        return _map_again, (self.origin, len(self.samples), self.digest)


def dump_parsed(index: Index, key: str) -> list[bytes]:
    """Return the bytes of a parsed index, in pieces.

    Args:
        index: The index.
        key: What the index was parsed from, asked for again when it is mapped.
    """
    columns: dict[str, Any] = {"samples": index.samples, "schema_ids": index.schema_ids}
    for name in _TABLES:
        table: FileTable = getattr(index, name)
        if (table.bytes < 0).all():
            continue
        columns[f"{name}.bytes"] = table.bytes
        for part in ("names", "hashes"):
            strings: StringColumn = getattr(table, part)
            columns[f"{name}.{part}.blob"] = strings.blob
            columns[f"{name}.{part}.offsets"] = strings.offsets
    schemas = [asdict(schema) for schema in index.schemas]
    return dump_columns(_MAGIC, {"key": key, "digest": index.digest.hex(), "schemas": schemas}, columns)


def map_parsed(path: str, key: str | None, owners: Collection[int] = ()) -> Index | None:
    """Map a parsed index.

    Args:
        path: The file.
        key: What it must have been parsed from; ``None`` takes any.
        owners: Users whose file is taken, beside this process's and the administrator's.

    Returns:
        The index, its columns read-only views of the file; ``None`` if the file is missing, of another index, or no such
        file at all.
    """
    found = map_columns(_MAGIC, path, owners)
    try:
        if found is None or (key is not None and found[0]["key"] != key):
            return None
        return _read(*found, path)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _read(header: dict[str, Any], columns: Columns, path: str) -> Index:
    schemas = tuple(map(_schema, header["schemas"]))
    tables = {name: _table(columns, name, len(columns["samples"])) for name in _TABLES}
    digest = bytes.fromhex(header["digest"])
    return MappedIndex(columns["samples"], schemas, columns["schema_ids"], **tables, origin=path, digest=digest)


def _map_again(path: str, count: int, digest: bytes) -> Index:
    index = map_parsed(path, None)
    if index is not None and len(index.samples) == count and index.digest == digest:
        return index
    source = os.path.join(os.path.dirname(path), "index.json")
    with suppress(OSError), open(source, "rb") as file:
        data = file.read()
        if digest_of(data) == digest:
            return Index.parse(data, source)
    raise IndexFormatError(
        f"{path} and {source} were removed or replaced while a dataset was sent to another process. Try again."
    )


def _schema(fields: dict[str, Any]) -> Schema:
    values: dict[str, Any] = {}
    for name, value in fields.items():
        values[name] = tuple(value) if type(value) is list else value  # pyright: ignore[reportUnknownArgumentType]
    return Schema(**values)


def _table(columns: Columns, name: str, count: int) -> FileTable:
    if f"{name}.bytes" not in columns:
        nothing = StringColumn(np.empty(0, np.uint8), np.zeros(count + 1, np.int64))
        return FileTable(nothing, np.full(count, -1, np.int64), nothing)
    names, hashes = (
        StringColumn(columns[f"{name}.{part}.blob"], columns[f"{name}.{part}.offsets"]) for part in ("names", "hashes")
    )
    return FileTable(names, columns[f"{name}.bytes"], hashes)
