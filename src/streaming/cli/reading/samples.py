"""Samples of a dataset by their numbers, each shard fetched once and checked."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from streaming.cli.reading.source import Source
from streaming.columns.shards import open_checked
from streaming.core.errors import UnsafeTypeError
from streaming.format.shard import Shard

__all__ = ["check_safe", "find_sample", "opened", "read_samples"]


def check_safe(source: Source, advice: str, columns: Sequence[str] | None = None) -> None:
    """Check that no column is unpickled when it is read.

    Args:
        source: The dataset.
        advice: What to do, for the error text.
        columns: Those that are read; ``None``: all.

    Raises:
        UnsafeTypeError: One is.
    """
    unsafe = {name for schema in source.index.schemas for name in schema.unsafe_columns}
    unsafe &= unsafe if columns is None else set(columns)
    if unsafe:
        raise UnsafeTypeError(
            f"{source.name} has columns that are unpickled when read ({', '.join(sorted(unsafe))}): whoever wrote it "
            f"could run code here. {advice}"
        )


@contextmanager
def opened(source: Source, shard_id: int, columns: tuple[str, ...] | None = None) -> Iterator[Shard]:
    """Fetch and open a shard, for as long as the context lasts.

    Args:
        source: The dataset.
        shard_id: The shard.
        columns: Those that samples are to have; ``None``: all.
    """
    with tempfile.TemporaryDirectory(prefix="streaming-read-", ignore_cleanup_errors=True) as directory:
        shard = open_checked(source.store, source.index.shard(shard_id), directory, columns)
        try:
            yield shard
        finally:
            shard.close()


def find_sample(source: Source, number: int) -> tuple[int, int]:
    """Return the shard of a sample, and its index there."""
    ends = np.cumsum(source.index.samples)
    shard_id = int(np.searchsorted(ends, number, "right"))
    return shard_id, number - int(ends[shard_id] - source.index.samples[shard_id])


def read_samples(source: Source, start: int, num_samples: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield samples ``[start, start + num_samples)``, as far as there are any, with their numbers."""
    stop = min(start + num_samples, source.index.num_samples)
    while start < stop:
        shard_id, first = find_sample(source, start)
        with opened(source, shard_id) as shard:
            for index in range(first, min(len(shard), first + stop - start)):
                yield start, shard.get(index)
                start += 1
