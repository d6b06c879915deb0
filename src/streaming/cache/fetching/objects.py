"""Samples of an object in memory: shards without files, of which each sample is asked for by its number."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from hashlib import blake2b
from itertools import islice
from types import SimpleNamespace
from typing import Any

import numpy as np

from streaming.cache.bookkeeping.identity import Identity, digest
from streaming.cache.fetching.config import FetchConfig
from streaming.cache.fetching.directory import ShardDirectory
from streaming.core.errors import ConfigError, EmptyDatasetError
from streaming.format.index import FileInfo, Index
from streaming.format.index.files import FileTableBuilder
from streaming.format.samples.schema import Schema
from streaming.format.shard import Shard

__all__ = ["ObjectDirectory"]

#: Samples of a shard: nothing is fetched, so it matters to the order alone.
_SHARD_SAMPLES = 1 << 12
#: What frames and tables have.
_OF_TABLES = ("iloc", "__arrow_c_stream__", "__arrow_c_array__")
_SCHEMA = Schema("mds", (), (), (), None, (), None, None, None)


class ObjectDirectory(ShardDirectory):
    """The samples of an object.

    Args:
        source: It has ``__len__``, and ``__getitem__`` or ``__getitems__``, which takes a list of numbers.
        directory: A directory of the cache's own, in which nothing is written.

    Raises:
        ConfigError: It has not.
        EmptyDatasetError: It has no samples.
    """

    def __init__(self, source: Any, directory: str) -> None:
        self._get = _reader(source)
        self._source = source
        name = type(source).__qualname__
        count = len(source)
        if not count:
            raise EmptyDatasetError(f"The source, a {name}, has no samples.")
        index = _index(name, count)
        identity = Identity(digest(name), index.digest, opened=time.time())
        super().__init__(directory, index, None, FetchConfig(), f"a {name} of {count:,} samples", identity)

    def open(self, shard: int) -> Shard | None:
        """Open a shard."""
        return _ObjectShard(self._get, shard * _SHARD_SAMPLES, int(self.index.samples[shard]), self.origin)

    def is_present(self, shard: int) -> bool:
        """Say that a shard is there."""
        del shard
        return True

    def has_files(self, shard: int) -> bool:
        """Say that a shard is there."""
        del shard
        return True

    def bytes_on_disk(self, shard: int) -> int:
        """Return 0."""
        del shard
        return 0


class _ObjectShard(Shard):
    """A run of an object's samples."""

    def __init__(self, get: Callable[[int], Any], first: int, count: int, origin: str) -> None:
        self._path = origin
        self._buffers = []
        self._num_samples = count
        self._rows = self._decode_rows = None
        # Samples are no rows that could be gathered.
        self.decoder: Any = SimpleNamespace(listed=None, decode_rows=None)
        self.samples: Any = None

        def get_one(index: int) -> Any:
            if not 0 <= index < count:
                raise IndexError(f"No sample {index}: the shard of {origin} has {count} samples.")
            return get(first + index)

        self.get = get_one

    def close(self) -> None:
        """Do nothing: there are no files."""


def _reader(source: Any) -> Callable[[int], Any]:
    if not hasattr(source, "__len__") or not (hasattr(source, "__getitem__") or hasattr(source, "__getitems__")):
        raise ConfigError(
            "source must have __len__, and __getitem__ or __getitems__, as a list or a map-style dataset has; got "
            f"{source!r:.80}."
        )
    name = type(source).__qualname__
    if isinstance(source, str) and ("/" in source or os.path.exists(source)):
        raise ConfigError(f"source={source!r:.80} is a text, not an object in memory. Give a path or URL as `remote`.")
    if isinstance(source, Mapping) and 0 not in source:
        raise ConfigError(
            f"source is a {name} with the keys {', '.join(map(repr, islice(source, 3)))}, asked for the samples 0, 1, "
            "and so on. Give what is under a key, such as a split, or a list of its values."
        )
    if any(hasattr(source, own) for own in _OF_TABLES) and not hasattr(source, "__getitems__"):
        raise ConfigError(
            f"source is a {name}, which has no row under a number. Give its rows, as by "
            "datasets.Dataset.from_pandas, from_polars or datasets.Dataset(table); or write it: streaming.write takes it."
        )
    return source.__getitem__ if hasattr(source, "__getitem__") else _OneOfMany(source)


class _OneOfMany:
    """Asks for one sample what gives many. It can be pickled."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def __call__(self, number: int) -> Any:
        (sample,) = self._source.__getitems__([number])
        return sample


def _index(name: str, count: int) -> Index:
    full, rest = divmod(count, _SHARD_SAMPLES)
    counts = np.array([_SHARD_SAMPLES] * full + [rest] * bool(rest), np.int64)
    data, nothing = FileTableBuilder(), FileTableBuilder()
    for number in range(len(counts)):
        data.append(FileInfo(f"{number:05}.of-a-{name}", 0))
        nothing.append(None)
    none = nothing.build()
    fingerprint = blake2b(f"{name}|{count}".encode(), digest_size=16).digest()
    return Index(counts, (_SCHEMA,), np.zeros(len(counts), np.int32), data.build(), none, none, none, fingerprint)
