"""Many samples at once, out of as many shards as they lie in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.cache.cache import ShardCache
from streaming.format.rows import gather_rows, groups_of
from streaming.format.sample import SampleDecoder

__all__ = ["fixed_decoder", "get_many", "rows_of"]

Ints = NDArray[np.int64]

#: A block of samples is kept as long as any of them is, so it is not much larger than one.
_BLOCK_BYTES = 1 << 21


def fixed_decoder(cache: ShardCache, shards: Ints) -> SampleDecoder | None:
    """Return how samples of shards are read, if they all are of one schema and size; else ``None``.

    Raises:
        ShardUnavailableError: A shard could not be fetched.
    """
    decoder: SampleDecoder | None = None
    for shard in set(shards.tolist()):
        opened = cache.get(shard)
        if opened.rows is None or (decoder is not None and opened.decoder is not decoder):
            return None
        decoder = opened.decoder
    return decoder


def rows_of(cache: ShardCache, shard: int) -> NDArray[np.uint8]:
    """Return all samples of a shard as they are stored, which :func:`fixed_decoder` says is possible."""
    rows = cache.get(shard).rows
    if rows is None:
        raise ValueError(f"Samples of shard {shard} are not of one size.")
    return rows


def get_many(cache: ShardCache, shards: Ints, indexes: Ints) -> list[dict[str, Any]]:
    """Return samples. Where they are of one size, arrays among their values may share a block of memory.

    Args:
        cache: The shards.
        shards: ``int64[k]``.
        indexes: ``int64[k]``, of each sample in its shard.

    Raises:
        ShardUnavailableError: A shard could not be fetched.
        ShardFormatError: Bytes are not what their columns say.
    """
    decoder = fixed_decoder(cache, shards)
    if decoder is None or decoder.decode_rows is None or decoder.row_bytes is None:
        return [cache.get(shard).get(index) for shard, index in zip(shards.tolist(), indexes.tolist(), strict=True)]
    found: list[dict[str, Any]] = []
    step = max(1, _BLOCK_BYTES // decoder.row_bytes)
    for begin in range(0, len(shards), step):
        part = slice(begin, begin + step)
        found += _get_block(cache, shards[part], indexes[part], decoder.decode_rows, decoder.row_bytes)
    return found


def _get_block(
    cache: ShardCache, shards: Ints, indexes: Ints, decode: Callable[[Any], list[dict[str, Any]]], row_bytes: int
) -> list[dict[str, Any]]:
    groups = groups_of(shards)
    if groups is None:
        block = np.empty((len(shards), row_bytes), np.uint8)
        gather_rows(block, shards, indexes, lambda shard: rows_of(cache, shard))
        return decode(block)
    found: list[Any] = [None] * len(shards)
    for shard, places in groups:
        samples = decode(rows_of(cache, shard).take(indexes[places], axis=0))
        for place, sample in zip(places.tolist(), samples, strict=True):
            found[place] = sample
    return found
