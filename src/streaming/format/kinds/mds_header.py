"""What an MDS shard begins with, made of what the index says: its count, its offsets, its description of itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streaming.format.samples.options import dump_config
from streaming.format.samples.schema import Schema

__all__ = ["encode_header", "header_bytes", "row_bounds"]

Ints = NDArray[np.int64]


def encode_header(schema: Schema, sizes: Ints) -> bytes:
    """Return all that comes before the samples.

    Args:
        schema: Of the samples.
        sizes: ``int64[n]``, bytes of each.
    """
    offsets = np.cumsum(np.concatenate([[header_bytes(schema, len(sizes))], sizes]))
    return np.concatenate([[len(sizes)], offsets]).astype("<u4").tobytes() + _config(schema)


def header_bytes(schema: Schema, count: int) -> int:
    """Return how many bytes come before so many samples."""
    return 4 * (count + 2) + len(_config(schema))


def row_bounds(schema: Schema) -> tuple[int, bool]:
    """Return how many bytes a sample takes at least, and whether every one takes just as many."""
    if schema.format != "mds":
        return 0, False
    varying = sum(not size for size in schema.column_sizes)
    return 4 * varying + sum(size or 0 for size in schema.column_sizes), not varying


def _config(schema: Schema) -> bytes:
    return dump_config(
        {
            "column_encodings": schema.column_encodings,
            "column_names": schema.column_names,
            "column_sizes": schema.column_sizes,
            "compression": schema.compression,
            "format": schema.format,
            "hashes": schema.hashes,
            "size_limit": schema.size_limit,
            "version": 2,
        }
    )
