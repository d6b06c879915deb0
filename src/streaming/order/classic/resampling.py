"""The epoch's samples before shuffling: runs of shards, repeated or thinned out."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError
from streaming.order.classic.sampling import get_sampling
from streaming.order.spec import OrderSpec

__all__ = ["resample"]


def resample(
    spec: OrderSpec, epoch: int, streams: Iterable[int] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Lay out the samples that an epoch draws, shard run by shard run.

    Args:
        spec: The order.
        epoch: The epoch.
        streams: Streams to lay out, by default all, in order.

    Returns:
        ``int64[U]``, sizes of the shuffle units (a run of a shard's samples each), and ``int64[N]``, the sample id at each
        place; ``None`` instead when it would be 0, 1, 2 ... (every sample of every stream once).

    Raises:
        ConfigError: The streams draw nothing.
    """
    chosen = list(range(spec.num_streams)) if streams is None else list(streams)
    rng = np.random.default_rng(spec.shuffle_seed + epoch if spec.sampling_method == "balanced" else spec.shuffle_seed)
    if streams is None and np.array_equal(spec.choose, spec.samples_per_stream):
        sizes = spec.samples_per_shard
        return sizes[sizes > 0], None
    units: list[NDArray[np.int64]] = []
    ids: list[NDArray[np.int64]] = []
    for stream in chosen:
        first, last = spec.shard_offset_per_stream[stream : stream + 2]
        sizes = spec.samples_per_shard[first:last]
        counts = get_sampling(
            sizes,
            int(spec.choose[stream]),
            spec.sampling_granularity,
            spec.shuffle_seed,
            epoch,
            spec.epoch_seed_change,
        )
        offsets = spec.sample_offset_per_shard[first:last]
        for size, count, offset in zip(sizes.tolist(), counts.tolist(), offsets.tolist(), strict=True):
            if not size:
                continue
            full, rest = divmod(count, size)
            if full:
                units.append(np.full(full, size, np.int64))
                ids.append(np.tile(np.arange(offset, offset + size, dtype=np.int64), full))
            if rest:
                units.append(np.array([rest], np.int64))
                ids.append(np.sort(offset + rng.choice(size, rest, replace=False)))
    if not ids:
        raise ConfigError(
            f"Stream{'s' * (len(chosen) > 1)} {', '.join(map(str, chosen))} draw no samples in this epoch: the weight is 0. "
            "Leave such a stream out, or use batching_method='random'."
        )
    return np.concatenate(units), np.concatenate(ids).astype(np.int64)
