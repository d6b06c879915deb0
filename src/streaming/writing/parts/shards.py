"""Encoded samples to shards in a store, each under a name made of its contents."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from streaming.core.errors import StorageError, UploadError
from streaming.format.codecs.hashing import new_hash
from streaming.storage.retry import RetryPolicy, call_with_retries
from streaming.storage.store import Store
from streaming.writing.build import build_shard
from streaming.writing.bulk.recipe import Piece, Recipe

__all__ = ["PART_FILE", "directory_of", "put", "write_shards"]

#: What a shard of a part is called, below the root of the dataset.
PART_FILE = re.compile(r"part-\d{5,}/shard\.\d{5,}\.[0-9a-f]{16}\.mds(\.\w+)?")


def directory_of(number: int) -> str:
    """Return the directory of a part, below the root of the dataset."""
    return f"part-{number:05}"


def write_shards(
    store: Store, recipe: Recipe, directory: str, pieces: Iterable[Piece], retries: int
) -> Iterator[dict[str, Any]]:
    """Yield the entry of each shard once it is in a store.

    Args:
        store: The root of the dataset.
        recipe: How shards are made.
        directory: Where they go, below the root.
        pieces: Encoded samples.
        retries: Further attempts after a failed upload.

    Raises:
        UploadError: A shard could not be written.
        ShardTooLargeError: A shard passes what the format can address.
    """
    for number, samples in enumerate(_cut(recipe, pieces)):
        stem = f"{directory}/shard.{number:05}.{_token(recipe, samples)}"
        entry, files = build_shard(recipe.encoder, stem, samples, recipe.compression, recipe.hashes)
        for name, data in files.items():
            put(store, name, b"".join(data.drain()), retries)
        yield entry


def put(store: Store, name: str, data: bytes, retries: int) -> None:
    """Write an object, several times if it must be.

    Raises:
        UploadError: Every attempt failed; the text names the file and the store.
    """
    try:
        call_with_retries(lambda: store.put(name, data), RetryPolicy(attempts=retries + 1), time.sleep)
    except StorageError as error:
        raise UploadError(f"Could not write {name} to {store!r}: {error}") from error


def _cut(recipe: Recipe, pieces: Iterable[Piece]) -> Iterator[list[bytes]]:
    """Yield the samples of one shard after the other: as many as its limit of bytes lets in, one at least."""
    encoder, limit = recipe.encoder, recipe.size_limit
    samples: list[bytes] = []
    shard_bytes = encoder.base_bytes
    for data, sizes in pieces:
        begin = 0
        for size in sizes:
            size_in_shard = size + encoder.extra_bytes_per_sample
            if limit and samples and limit < shard_bytes + size_in_shard:
                yield samples
                samples, shard_bytes = [], encoder.base_bytes
            samples.append(data[begin : begin + size])
            shard_bytes += size_in_shard
            begin += size
    if samples:
        yield samples


def _token(recipe: Recipe, samples: Sequence[bytes]) -> str:
    """Return what tells a shard from one of other samples, or made otherwise."""
    hasher = new_hash("xxh3_128")
    hasher.update(json.dumps([recipe.as_json(), [len(sample) for sample in samples]]).encode())
    for sample in samples:
        hasher.update(sample)
    return hasher.hexdigest()[:16]
