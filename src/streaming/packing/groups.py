"""Which shards are packed together: small ones, whose documents alone would leave much of their few bins empty."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.packing.options import Bucket, Pack

__all__ = ["groups"]

#: A shard that fills as many bins is packed by itself: of the last one, half is empty, one part in 1024 of all.
_FEW_BINS = 512
#: What is packed together is fetched together: no more than one shard of usual size, and not too many requests.
_MOST_BYTES = 1 << 26
_MOST_SHARDS = 64


def groups(
    sizes: NDArray[np.int64], lengths: Iterable[NDArray[Any]], rule: Pack | Bucket
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Put neighbouring shards together, as long as they are small.

    Args:
        sizes: ``int64[S]``, bytes of each shard.
        lengths: Yields the length of each document of each shard.
        rule: How they are put into bins.

    Yields:
        How many shards are together, and the lengths of all their documents.
    """
    held: list[NDArray[Any]] = []
    held_bytes = held_bins = 0.0
    for size, given in zip(sizes.tolist(), lengths, strict=True):
        bins = _bins(given, rule)
        is_small = bins < _FEW_BINS and size < _MOST_BYTES
        fits = len(held) < _MOST_SHARDS and held_bins < _FEW_BINS and held_bytes + size <= _MOST_BYTES
        if held and not (is_small and fits):
            yield len(held), np.concatenate(held)
            held, held_bytes, held_bins = [], 0, 0
        if is_small:
            held.append(given)
            held_bytes, held_bins = held_bytes + size, held_bins + bins
        else:
            yield 1, given
    if held:
        yield len(held), np.concatenate(held)


def _bins(lengths: NDArray[Any], rule: Pack | Bucket) -> float:
    """Return how many bins documents would fill without a gap."""
    if isinstance(rule, Bucket):
        return float(lengths.sum()) / rule.budget
    if rule.long == "truncate":
        lengths = np.minimum(lengths, rule.to)
    elif rule.long == "drop":
        lengths = lengths[lengths <= rule.to]
    return float(lengths.sum(dtype=np.int64)) / rule.to
