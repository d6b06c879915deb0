"""Many samples at once, out of as many shards as they lie in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.cache.cache import ShardCache
from streaming.format.rows import Rows, gather_rows
from streaming.format.sample import SampleDecoder

__all__ = ["fixed_rows", "get_many"]

Ints = NDArray[np.int64]

#: A block of samples is kept as long as any of them is, so it is not much larger than one.
_BLOCK_BYTES = 1 << 21


def fixed_rows(cache: ShardCache, shards: Ints) -> tuple[SampleDecoder, dict[int, Rows]] | None:
    """Return how samples of shards are read and where they are, if they all are of one schema and size; else ``None``.

    Raises:
        ShardUnavailableError: A shard could not be fetched.
    """
    decoder: SampleDecoder | None = None
    found: dict[int, Rows] = {}
    for shard in set(shards.tolist()):
        opened = cache.get(shard)
        rows = opened.rows
        if rows is None or (decoder is not None and opened.decoder is not decoder):
            return None
        found[shard] = rows
        decoder = opened.decoder
    return None if decoder is None else (decoder, found)


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
    fixed = fixed_rows(cache, shards)
    decode = None if fixed is None else fixed[0].decode_rows
    if fixed is None or decode is None:
        return [cache.get(shard).get(index) for shard, index in zip(shards.tolist(), indexes.tolist(), strict=True)]
    decoder, rows = fixed
    found: list[dict[str, Any]] = []
    step = max(1, _BLOCK_BYTES // (decoder.row_bytes or 1))
    for begin in range(0, len(shards), step):
        part = slice(begin, begin + step)
        found += decode(gather_rows(rows, shards[part], indexes[part]))
    return found
