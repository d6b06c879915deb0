"""A parsed index as one run of bytes, which the next process maps instead of parsing.

Layout: 8 bytes of magic, ``u64`` length of a header, the header as JSON, the columns, each at a multiple of 64, and the
XXH3 of all that. The file lies where others may have written, so one that is not whole, not a plain file, or neither this
user's nor the administrator's is passed over: there is the index to be parsed.
"""

from __future__ import annotations

import json
import mmap
import os
import stat
from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import xxhash

from streaming.core.errors import IndexFormatError
from streaming.format.index.files import FileTable, StringColumn
from streaming.format.index.table import Index, digest_of
from streaming.format.samples.schema import Schema

__all__ = ["MappedIndex", "dump_parsed", "map_parsed"]

_MAGIC = b"SDINDEX2"
_CHECKSUM = 8
_ALIGN = 64
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
    places: dict[str, list[Any]] = {}
    at = 0
    for name, column in columns.items():
        places[name] = [at, column.dtype.str, len(column)]
        at += -(-column.nbytes // _ALIGN) * _ALIGN
    schemas = [asdict(schema) for schema in index.schemas]
    facts = {"key": key, "digest": index.digest.hex(), "schemas": schemas, "columns": places, "bytes": at}
    header = json.dumps(facts).encode()
    header += b" " * (-(16 + len(header)) % _ALIGN)
    pieces = [_MAGIC, len(header).to_bytes(8, "little"), header]
    for column in columns.values():
        pieces += [column.tobytes(), bytes(-column.nbytes % _ALIGN)]
    hasher = xxhash.xxh3_64()
    for piece in pieces:
        hasher.update(piece)
    return [*pieces, hasher.digest()]


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
    try:
        buffer = _map_file(path, {*owners, os.geteuid(), 0})
        if buffer is None or buffer[:8] != _MAGIC:
            return None
        length = int.from_bytes(buffer[8:16], "little")
        header = json.loads(buffer[16 : 16 + min(length, len(buffer))])
        begin = 16 + length
        if begin + header["bytes"] + _CHECKSUM != len(buffer) or (key is not None and header["key"] != key):
            return None
        if xxhash.xxh3_64_digest(memoryview(buffer)[:-_CHECKSUM]) != buffer[-_CHECKSUM:]:
            return None
        return _read(buffer, begin, header, path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _map_file(path: str, owners: Collection[int]) -> Any:
    """Map a file; ``None`` if it is no plain file, or somebody else's."""
    # Opening a pipe would wait for its other end without O_NONBLOCK.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_uid not in owners:
            return None
        return mmap.mmap(fd, 0, access=mmap.ACCESS_READ)
    finally:
        os.close(fd)


def _read(buffer: Any, begin: int, header: dict[str, Any], path: str) -> Index:
    columns: dict[str, Any] = {
        name: np.frombuffer(buffer, dtype, count, begin + at) for name, (at, dtype, count) in header["columns"].items()
    }
    schemas = tuple(map(_schema, header["schemas"]))
    count = len(columns["samples"])
    tables = {name: _table(columns, name, count) for name in _TABLES}
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


def _table(columns: dict[str, Any], name: str, count: int) -> FileTable:
    if f"{name}.bytes" not in columns:
        nothing = StringColumn(np.empty(0, np.uint8), np.zeros(count + 1, np.int64))
        return FileTable(nothing, np.full(count, -1, np.int64), nothing)
    names, hashes = (
        StringColumn(columns[f"{name}.{part}.blob"], columns[f"{name}.{part}.offsets"]) for part in ("names", "hashes")
    )
    return FileTable(names, columns[f"{name}.bytes"], hashes)
