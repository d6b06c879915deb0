"""Many samples at once, out of as many shards as they lie in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.cache.cache import ShardCache
from streaming.format.samples.sample import ListedColumn

__all__ = ["get_columns", "get_many"]

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
        return _one_by_one(cache, shards, indexes)
    found: list[dict[str, Any]] = []
    step = max(1, _BLOCK_BYTES // (rows.decoder.row_bytes or 1))
    for begin in range(0, len(shards), step):
        found += decode(rows.gather(indexes, part=slice(begin, begin + step)))
    return found


def _one_by_one(cache: ShardCache, shards: Ints, indexes: Ints) -> list[dict[str, Any]]:
    """Return samples; where their shards cannot all be open at once, shard by shard."""
    get = cache.get
    if cache.can_open(shards):
        return [get(shard).get(index) for shard, index in zip(shards.tolist(), indexes.tolist(), strict=True)]
    found: list[Any] = [None] * len(shards)
    for place in np.argsort(shards, kind="stable").tolist():
        found[place] = get(int(shards[place])).get(int(indexes[place]))
    return found


def get_columns(
    cache: ShardCache, shards: Ints, indexes: Ints
) -> tuple[tuple[ListedColumn, ...], list[list[Any]]] | None:
    """Return samples by their columns.

    Args:
        cache: The shards.
        shards: ``int64[k]``.
        indexes: ``int64[k]``, of each sample in its shard.

    Returns:
        The columns, and ``k`` values of each; ``None`` if the samples have to be read one by one, be it to learn what is
        wrong with them.

    Raises:
        ShardUnavailableError: A shard could not be fetched.
    """
    if not cache.can_open(shards):
        return None
    numbers = shards.tolist()
    opened = {number: cache.get(number) for number in set(numbers)}
    decoders = {id(shard.decoder): shard.decoder for shard in opened.values()}
    listed = next(iter(decoders.values())).listed if len(decoders) == 1 else None
    if listed is None:
        return None
    places = {number: shard.samples for number, shard in opened.items()}
    try:
        return listed.columns, listed.read(places, numbers, indexes.tolist())
    except Exception:  # the sample itself will tell
        return None
