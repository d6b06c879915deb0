"""The facts of a dataset, by its index and what lies beside it."""

from __future__ import annotations

from typing import Any

import numpy as np

from streaming.cli.reading.source import Source
from streaming.core.errors import StorageError
from streaming.format.metadata import METADATA_NAME, parse_metadata
from streaming.format.samples.schema import Schema

__all__ = ["describe", "metadata"]


def metadata(source: Source) -> dict[str, Any]:
    """Return what is known of a dataset and its columns, nothing if nothing is."""
    try:
        return parse_metadata(source.store.get(METADATA_NAME), METADATA_NAME)
    except StorageError:  # what may not be looked at is not known
        return {}


def describe(source: Source) -> dict[str, Any]:
    """Return the facts of a dataset as JSON."""
    index = source.index
    zipped = int(index.zip_bytes.sum())
    counts = np.bincount(index.schema_ids, minlength=len(index.schemas))
    return {
        "url": source.name,
        "samples": index.num_samples,
        "shards": index.num_shards,
        "raw_bytes": int(index.raw_bytes.sum()),
        "stored_bytes": int(np.where(index.zip_bytes > 0, index.zip_bytes, index.raw_bytes).sum()),
        "compressed": bool(zipped),
        "samples_per_shard": _quantiles(index.samples),
        "bytes_per_shard": _quantiles(index.raw_bytes),
        "schemas": [_schema(schema, int(num_shards)) for schema, num_shards in zip(index.schemas, counts, strict=True)],
    }


def _schema(schema: Schema, num_shards: int) -> dict[str, Any]:
    return {
        "shards": num_shards,
        "format": schema.format,
        "compression": schema.compression,
        "hashes": list(schema.hashes),
        "size_limit": schema.size_limit,
        "columns": dict(zip(schema.column_names, schema.column_encodings, strict=True)),
    }


def _quantiles(values: Any) -> dict[str, int] | None:
    if not len(values):
        return None
    return {"min": int(values.min()), "median": int(np.median(values)), "max": int(values.max())}
