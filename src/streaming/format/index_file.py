"""A parsed index as one run of bytes, which the next process maps instead of parsing.

Layout: 8 bytes of magic, ``u64`` length of a header, the header as JSON, and the columns, each at a multiple of 64.
"""

from __future__ import annotations

import json
import mmap
import os
from dataclasses import asdict
from typing import Any

import numpy as np

from streaming.format.files import FileTable, StringColumn
from streaming.format.index import Index
from streaming.format.schema import Schema

__all__ = ["dump_parsed", "map_parsed"]

_MAGIC = b"SDINDEX1"
_ALIGN = 64
_TABLES = ("raw_data", "raw_meta", "zip_data", "zip_meta")


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
    places: dict[str, list[Any]] = {}
    at = 0
    for name, column in columns.items():
        places[name] = [at, column.dtype.str, len(column)]
        at += -(-column.nbytes // _ALIGN) * _ALIGN
    schemas = [asdict(schema) for schema in index.schemas]
    header = json.dumps({"key": key, "schemas": schemas, "columns": places, "bytes": at}).encode()
    header += b" " * (-(16 + len(header)) % _ALIGN)
    pieces = [_MAGIC, len(header).to_bytes(8, "little"), header]
    for column in columns.values():
        pieces += [column.tobytes(), bytes(-column.nbytes % _ALIGN)]
    return pieces


def map_parsed(path: str, key: str | None) -> Index | None:
    """Map a parsed index.

    Args:
        path: The file.
        key: What it must have been parsed from; ``None`` takes any.

    Returns:
        The index, its columns read-only views of the file; ``None`` if the file is missing, of another index, or no such
        file at all.
    """
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < 16 or file.read(8) != _MAGIC:
                return None
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, size)))
            if (key is not None and header["key"] != key) or 16 + length + header["bytes"] != size:
                return None
            buffer: Any = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    begin = 16 + length
    columns: dict[str, Any] = {
        name: np.frombuffer(buffer, dtype, count, begin + at) for name, (at, dtype, count) in header["columns"].items()
    }
    schemas = tuple(map(_schema, header["schemas"]))
    count = len(columns["samples"])
    tables = {name: _table(columns, name, count) for name in _TABLES}
    return Index(columns["samples"], schemas, columns["schema_ids"], **tables, origin=path)


def _schema(fields: dict[str, Any]) -> Schema:
    values: dict[str, Any] = {}
    for name, value in fields.items():
        values[name] = tuple(value) if type(value) is list else value  # pyright: ignore[reportUnknownArgumentType]
    return Schema(**values)


def _table(columns: dict[str, Any], name: str, count: int) -> FileTable:
    if f"{name}.bytes" not in columns:
        nothing = StringColumn(np.empty(0, np.uint8), np.zeros(count + 1, np.int64))
        return FileTable(nothing, np.full(count, -1, np.int64), nothing)
    names, hashes = (
        StringColumn(columns[f"{name}.{part}.blob"], columns[f"{name}.{part}.offsets"]) for part in ("names", "hashes")
    )
    return FileTable(names, columns[f"{name}.bytes"], hashes)
