"""One shard of a dataset: fetched, checked in every way that the index allows, opened, and its side columns."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from streaming.columns.expressions import Expression
from streaming.columns.projection import project
from streaming.core.errors import ChecksumError
from streaming.format.codecs.compression import stream_decompressor
from streaming.format.codecs.hashing import is_hash, new_hash
from streaming.format.index import FileInfo, ShardInfo
from streaming.format.shard import Shard, open_shard
from streaming.storage.providers.local import LocalStore
from streaming.storage.retry import RetryPolicy, call_with_retries
from streaming.storage.store import Store

__all__ = ["check_file", "open_checked", "read_shard", "with_retries"]

_CHUNK = 1 << 20

T = TypeVar("T")


def read_shard(
    store: Store, info: ShardInfo, directory: str, expressions: Sequence[Expression], arrow_schema: Any
) -> Any:
    """Return the side columns of a shard.

    Args:
        store: Where the dataset is.
        info: The shard's entry in the index.
        directory: An empty directory for temporary files.
        expressions: The side columns.
        arrow_schema: Their types.

    Returns:
        A ``pyarrow.Table``, a row a sample.

    Raises:
        ChecksumError: A file is not what the index records.
        ShardFormatError: It contradicts itself.
        StorageError: It is missing or cannot be read.
    """
    shard = open_checked(store, info, directory)
    try:
        samples = shard.samples
        offsets = np.frombuffer(samples.table, "<u4", samples.count + 1, 4).astype(np.int64)
        where = f"Shard {info.raw[-1].basename} of {store!r}"
        return project(samples.data, offsets, info.schema, expressions, arrow_schema, where)
    finally:
        shard.close()


def with_retries(call: Callable[[], T]) -> T:
    """Call, and try again after a failure of the store that may pass."""
    return call_with_retries(call, RetryPolicy(), time.sleep)


def open_checked(store: Store, info: ShardInfo, directory: str, columns: tuple[str, ...] | None = None) -> Shard:
    """Fetch a shard's files, check them in every way that the index allows, and open it.

    Args:
        store: Where the dataset is. Uncompressed files of a local one are read in place.
        info: The shard's entry in the index.
        directory: Where fetched and decompressed files go.
        columns: Those that samples are to have; ``None``: all.

    Raises:
        ChecksumError: A size or a hash is wrong.
        ShardFormatError: A file does not decompress, or contradicts itself.
        StorageError: A file is missing or cannot be read.
    """
    in_place = isinstance(store, LocalStore) and not any(info.zip)
    root = store.root if in_place and isinstance(store, LocalStore) else directory
    for raw, zipped in zip(info.raw, info.zip, strict=True):
        wire = zipped or raw
        path = os.path.join(root, wire.basename)
        if in_place:
            store.head(wire.basename)  # tells a missing file in the usual words
        else:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with_retries(lambda name=wire.basename, path=path: store.download(name, path))
        check_file(path, wire)
        if zipped is not None and info.schema.compression is not None:
            raw_path = os.path.join(root, raw.basename)
            _decompress(path, raw_path, info.schema.compression, raw.bytes)
            os.unlink(path)
            check_file(raw_path, raw)
    return open_shard(info, root, columns=columns)


def check_file(path: str, info: FileInfo) -> None:
    """Check the size and every recorded hash of a local file.

    Raises:
        ChecksumError: One is wrong.
    """
    hashers = {algo: new_hash(algo) for algo in info.hashes if is_hash(algo)}
    size = 0
    for chunk in _chunks(path):
        size += len(chunk)
        for hasher in hashers.values():
            hasher.update(chunk)
    if size != info.bytes:
        raise ChecksumError(f"{info.basename} has {size} bytes; the index records {info.bytes}.")
    for algo, hasher in hashers.items():
        if hasher.hexdigest() != info.hashes[algo]:
            raise ChecksumError(
                f"{info.basename} has {algo} {hasher.hexdigest()}; the index records {info.hashes[algo]}."
            )


def _decompress(path: str, target: str, algo: str, max_bytes: int) -> None:
    stream = stream_decompressor(algo, max_bytes)
    with open(target, "wb") as out:
        for chunk in _chunks(path):
            out.write(stream.feed(chunk))
        out.write(stream.finish())


def _chunks(path: str) -> Any:
    with open(path, "rb", buffering=0) as file:
        read: Callable[[], bytes] = lambda: file.read(_CHUNK)  # noqa: E731
        yield from iter(read, b"")
