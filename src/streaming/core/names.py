"""The names that arguments take, so that editors complete them and type checkers find a misspelt one.

Most lists are open: a name that was registered, or that is read from a configuration, is given as :data:`AnyName`. At
run time all of them are plain text::

    StreamingDataset(remote="s3://bucket/data", batch_size=32, shuffle=True, shuffle_algo=AnyName("mine"))
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal, NewType

__all__ = [
    "AnyName",
    "BatchingMethod",
    "Compression",
    "HashName",
    "Out",
    "PartitionAlgo",
    "SamplingMethod",
    "ShuffleAlgo",
    "Where",
]

AnyName = NewType("AnyName", str)
"""A name that type checkers take at its word: ``shuffle_algo=AnyName("mine")``, ``AnyName(config["compression"])``."""

ShuffleAlgo = Literal["lanes", "naive", "py1br", "py1e", "py1s", "py2s"] | AnyName
"""An order of samples: a name in ``streaming.order.registry.shuffle_algos``."""

PartitionAlgo = Literal["orig", "relaxed"] | AnyName
"""A way to split a classic order: a name in ``streaming.order.registry.partition_algos``."""

BatchingMethod = Literal["random", "stratified", "per_stream", "device_per_stream"] | AnyName
"""A way to mix streams in batches: a name in ``streaming.order.registry.batching_methods``."""

SamplingMethod = Literal["balanced", "fixed"] | AnyName
"""How a stream that is partly drawn is drawn from."""

# fmt: off
Compression = Literal[
    "br", "br:0", "br:1", "br:2", "br:3", "br:4", "br:5", "br:6", "br:7", "br:8", "br:9", "br:10", "br:11",
    "bz2", "bz2:1", "bz2:2", "bz2:3", "bz2:4", "bz2:5", "bz2:6", "bz2:7", "bz2:8", "bz2:9",
    "gz", "gz:0", "gz:1", "gz:2", "gz:3", "gz:4", "gz:5", "gz:6", "gz:7", "gz:8", "gz:9",
    "snappy",
    "zstd", "zstd:1", "zstd:2", "zstd:3", "zstd:4", "zstd:5", "zstd:6", "zstd:7", "zstd:8", "zstd:9", "zstd:10",
    "zstd:11", "zstd:12", "zstd:13", "zstd:14", "zstd:15", "zstd:16", "zstd:17", "zstd:18", "zstd:19", "zstd:20",
    "zstd:21", "zstd:22",
] | AnyName
"""An algorithm, with a level where it has levels."""

HashName = Literal[
    "blake2b", "blake2s", "md5", "sha1", "sha224", "sha256", "sha384", "sha512",
    "sha3_224", "sha3_256", "sha3_384", "sha3_512", "xxh32", "xxh64", "xxh128", "xxh3_64", "xxh3_128",
] | AnyName
"""A hash of whole files."""
# fmt: on

Where = str | os.PathLike[str]
"""A path or a URL."""

Out = Where | Sequence[Where]
"""Where a dataset is written: a path, a URL, or a pair ``(local, remote)``."""
