"""Arrays by name in one file that is mapped, not read: facts as JSON, then the columns.

Layout: 8 bytes of magic, ``u64`` length of a header, the header as JSON, the columns, each at a multiple of 64, and the
XXH3 of all that.
"""

from __future__ import annotations

import json
import mmap
import os
import stat
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

__all__ = ["Columns", "dump_columns", "map_columns", "read_columns"]

_CHECKSUM = 8
_ALIGN = 64
_START = 16

Columns = dict[str, NDArray[Any]]
"""One-dimensional arrays by name."""


def dump_columns(magic: bytes, facts: Mapping[str, Any], columns: Mapping[str, NDArray[Any]]) -> list[bytes]:
    """Return the bytes of a file, in pieces.

    Args:
        magic: 8 bytes that tell what kind of file it is, and its version.
        facts: Whatever JSON can hold; ``columns`` and ``bytes`` are taken.
        columns: One-dimensional arrays by name.
    """
    places: dict[str, list[Any]] = {}
    at = 0
    for name, column in columns.items():
        places[name] = [at, column.dtype.str, len(column)]
        at += -(-column.nbytes // _ALIGN) * _ALIGN
    header = json.dumps({**facts, "columns": places, "bytes": at}).encode()
    header += b" " * (-(_START + len(header)) % _ALIGN)
    pieces = [magic, len(header).to_bytes(8, "little"), header]
    for column in columns.values():
        pieces += [column.tobytes(), bytes(-column.nbytes % _ALIGN)]
    hasher = xxhash.xxh3_64()
    for piece in pieces:
        hasher.update(piece)
    return [*pieces, hasher.digest()]


def read_columns(magic: bytes, buffer: Any) -> tuple[dict[str, Any], Columns] | None:
    """Return facts and columns, read-only views of a buffer; ``None`` if it is not whole, or of another kind."""
    try:
        if buffer[:8] != magic:
            return None
        length = int.from_bytes(buffer[8:_START], "little")
        header = json.loads(bytes(buffer[_START : _START + min(length, len(buffer))]))
        begin = _START + length
        if begin + header["bytes"] + _CHECKSUM != len(buffer):
            return None
        if xxhash.xxh3_64_digest(memoryview(buffer)[:-_CHECKSUM]) != buffer[-_CHECKSUM:]:
            return None
        columns: Columns = {
            name: np.frombuffer(buffer, dtype, count, begin + at)
            for name, (at, dtype, count) in header["columns"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return header, columns


def map_columns(magic: bytes, path: str, owners: Collection[int] = ()) -> tuple[dict[str, Any], Columns] | None:
    """Map a file that lies where others may have written; see :func:`read_columns`.

    Args:
        magic: What kind of file it must be.
        path: The file.
        owners: Users whose file is taken, beside this process's and the administrator's.

    Returns:
        ``None`` too for a file that is missing, no plain file, or somebody else's.
    """
    try:
        buffer = _map_file(path, {*owners, os.geteuid(), 0})
    except (OSError, ValueError):
        return None
    return None if buffer is None else read_columns(magic, buffer)


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
