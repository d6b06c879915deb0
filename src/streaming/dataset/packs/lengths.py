"""How long documents are: by a side column, by the offsets of a shard alone, or by reading them once.

Legend: N rows of all shards of a stream, n rows of one.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.cache.cache import ShardCache
from streaming.columns.words import unknown_column
from streaming.core.errors import ConfigError, StreamingError
from streaming.core.process.lock import no_wait
from streaming.dataset.sources import Source
from streaming.format.encodings import base_name
from streaming.format.encodings.array import NDArrayEncoding
from streaming.packing.options import Bucket, Pack
from streaming.storage.retry import RetryPolicy, call_with_retries

__all__ = ["find_lengths", "version_of_lengths"]

logger = logging.getLogger(__name__)

Lengths = NDArray[Any]

#: Shards whose lengths are asked for at a time.
_AHEAD = 16
#: An array of one axis begins with so many bytes, if it is shorter than this.
_HEADERS = ((2, 1 << 8), (3, 1 << 16), (5, 1 << 32))


def find_lengths(source: Source, rule: Pack | Bucket, cache: ShardCache, first: int) -> Iterator[Lengths]:
    """Find out how the rows of a stream are measured, and measure them.

    Args:
        source: The stream.
        rule: What is wanted.
        cache: The shards of all streams.
        first: Number of the stream's first one among them.

    Returns:
        Yields ``[n]`` for each shard, the length of each row.

    Raises:
        ConfigError: There is no such column, a row has no length, or there is no way to tell.
    """
    column = _side_column(source, rule)
    if column is not None:
        return _of_side_column(source, column)
    assert isinstance(rule, Pack)
    _check_column(source, rule)
    by_offsets = _of_offsets(source, rule)
    if by_offsets is not None:
        return by_offsets
    logger.info(
        "the lengths of %s are measured by reading every shard once. To have them beforehand: streaming index %s --columns "
        "'len(%s)' --beside",
        source.directory.origin,
        source.directory.origin,
        rule.columns[0],
    )
    return _measured(cache, first, len(source.sizes), rule)


def version_of_lengths(source: Source, rule: Pack | Bucket) -> str:
    """Return text that changes where lengths that were looked up in a side column may have changed."""
    column = _side_column(source, rule)
    if column is None:
        return ""
    status = os.stat(source.side_columns().file_of(column))
    return f"{column}|{status.st_size}|{status.st_mtime_ns}"


def _side_column(source: Source, rule: Pack | Bucket) -> str | None:
    """Return the side column that holds the lengths, if one does."""
    column = rule.length if isinstance(rule, Bucket) else rule.lengths
    if column is not None or isinstance(rule, Bucket):
        return column
    column = f"len_{rule.columns[0]}"
    return column if _has_side_column(source, column) else None


def _check_column(source: Source, rule: Pack) -> None:
    name = rule.columns[0]
    for schema in source.directory.index.schemas:
        if name not in schema.column_names:
            raise unknown_column(name, list(schema.column_names), source.directory.origin)


def _has_side_column(source: Source, name: str) -> bool:
    try:
        return name in source.side_columns().names
    except ConfigError:  # there are none, or they are of another version
        return False


def _of_side_column(source: Source, name: str) -> Iterator[Lengths]:
    column = source.side_columns().values(name)
    if column.null_count:
        at = column.is_null().to_numpy(zero_copy_only=False).argmax()
        raise ConfigError(
            f"Row {at} of side column {name!r} of {source.directory.origin} is NULL: its length is unknown."
        )
    values = column.to_numpy()
    if not np.issubdtype(values.dtype, np.number) or (len(values) and not values.min() >= 0):
        raise ConfigError(
            f"Side column {name!r} of {source.directory.origin} holds no lengths: numbers from 0 were expected, got "
            f"{values.dtype}{f' with {values.min()}' if np.issubdtype(values.dtype, np.number) else ''}."
        )
    return iter(np.split(values, np.cumsum(source.sizes)[:-1]))


# -- by offsets --------------------------------------------------------------------------------


def _of_offsets(source: Source, rule: Pack) -> Iterator[Lengths] | None:
    """Return lengths by where samples begin and end, if tokens are all of a sample that varies in size."""
    index, store = source.directory.index, source.directory.store
    columns = [_tokens_of(schema, rule) for schema in index.schemas]
    takes_ranges = store is None or getattr(store, "takes_ranges", False)
    if any(column is None for column in columns) or (index.zip_bytes > 0).any() or not takes_ranges:
        return None

    def lengths(shard: int) -> Lengths:
        count = int(source.sizes[shard])
        offsets = np.frombuffer(_head(source, shard, 4 * (count + 2)), "<u4", count + 1, 4).astype(np.int64)
        around, itemsize, has_shape = columns[int(index.schema_ids[shard])] or (0, 1, False)
        data = np.diff(offsets) - around
        if not has_shape:
            return data // itemsize
        found = np.zeros(len(data), np.int64)
        for header, most in reversed(_HEADERS):
            numbers = (data - header) // itemsize
            found = np.where(numbers < most, numbers, found)
        return found

    return _in_threads(lengths, len(source.sizes))


def _in_threads(lengths: Any, shards: int) -> Iterator[Lengths]:
    with ThreadPoolExecutor(_AHEAD, "streaming-lengths") as threads:
        yield from threads.map(lengths, range(shards))


def _tokens_of(schema: Any, rule: Pack) -> tuple[int, int, bool] | None:
    """Return bytes of a sample besides its tokens, bytes of a token, and whether their number is stored with them."""
    if schema.format != "mds":
        return None
    varying = [name for name, size in zip(schema.column_names, schema.column_sizes, strict=True) if not size]
    if varying != [rule.columns[0]]:
        return None
    encoding = dict(zip(schema.column_names, schema.column_encodings, strict=True))[rule.columns[0]]
    around = 4 + sum(size or 0 for size in schema.column_sizes)
    if base_name(encoding) == "ndarray" and ":" in encoding and "?" not in encoding:
        element = NDArrayEncoding.from_str(encoding.partition(":")[2])
        return None if element.dtype is None else (around, element.dtype.itemsize, True)
    if encoding == "bytes" and rule.dtype is not None:
        return around, np.dtype(rule.dtype).itemsize, False
    return None


def _head(source: Source, shard: int, size: int) -> bytes:
    """Return the first bytes of a shard's file: of the local one, if it is there."""
    directory = source.directory
    name = directory.index.raw_data.names[shard]
    path = os.path.join(directory.directory, name)
    try:
        if directory.store is None or directory.is_present(shard):
            with open(path, "rb", opener=no_wait) as file:
                return file.read(size)
    except (OSError, StreamingError):
        if directory.store is None:
            raise
    assert directory.store is not None
    store, policy = directory.store, RetryPolicy(attempts=directory.config.download_retry + 1)
    return call_with_retries(lambda: store.get_range(name, 0, size), policy, time.sleep)


# -- by reading --------------------------------------------------------------------------------


def _measured(cache: ShardCache, first: int, shards: int, rule: Pack) -> Iterator[Lengths]:
    name, itemsize = rule.columns[0], 1 if rule.dtype is None else np.dtype(rule.dtype).itemsize
    for shard in range(shards):
        for coming in range(shard, min(shard + _AHEAD, shards)):
            if not cache.is_present(first + coming):
                cache.prefetch(first + coming, float(coming))
        opened = cache.get(first + shard)
        numbers = (len(opened.get(row)[name]) // itemsize for row in range(len(opened)))
        yield np.fromiter(numbers, np.int64, len(opened))
