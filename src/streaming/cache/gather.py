"""Many samples at once, out of as many shards as they lie in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.cache.cache import ShardCache

__all__ = ["get_many"]

Ints = NDArray[np.int64]

#: A block of samples is kept as long as any of them is, so it is not much larger than one.
_BLOCK_BYTES = 1 << 21


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
    rows = cache.find_rows(shards) if len(shards) else None
    decode = None if rows is None else rows.decoder.decode_rows
    if rows is None or decode is None:
        return [cache.get(shard).get(index) for shard, index in zip(shards.tolist(), indexes.tolist(), strict=True)]
    found: list[dict[str, Any]] = []
    step = max(1, _BLOCK_BYTES // (rows.decoder.row_bytes or 1))
    for begin in range(0, len(shards), step):
        found += decode(rows.gather(indexes, part=slice(begin, begin + step)))
    return found
