"""The epoch's samples before shuffling: runs of shards, repeated or thinned out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError
from streaming.order.classic.sampling import get_sampling
from streaming.order.classic.spans import Ids, empty_ids
from streaming.order.spec import OrderSpec

__all__ = ["resample"]


def resample(spec: OrderSpec, epoch: int, stream: int | None = None) -> tuple[NDArray[np.int64], Ids | None]:
    """Lay out the samples that an epoch draws, shard run by shard run.

    Args:
        spec: The order.
        epoch: The epoch.
        stream: The stream to lay out, by default all, in order.

    Returns:
        ``int64[U]``, sizes of the shuffle units (a run of a shard's samples each), and ``int[N]``, the sample id at each
        place; ``None`` instead when it would be 0, 1, 2 ... (every sample of every stream once).

    Raises:
        ConfigError: Nothing is drawn.
    """
    if stream is None and np.array_equal(spec.choose, spec.samples_per_stream):
        sizes = spec.samples_per_shard
        return sizes[sizes > 0], None
    chosen = range(spec.num_streams) if stream is None else (stream,)
    total = int(spec.choose[list(chosen)].sum())
    if not total:
        whose = "The streams draw" if stream is None else f"Stream {stream} draws"
        raise ConfigError(
            f"{whose} no samples in an epoch: the weight is 0. Leave such a stream out, or use batching_method='random'."
        )
    rng = np.random.default_rng(spec.shuffle_seed + epoch if spec.sampling_method == "balanced" else spec.shuffle_seed)
    ids = empty_ids(total, spec.num_samples)
    units: list[int] = []
    at = 0
    for each in chosen:
        for size, count, offset in _draws(spec, epoch, each):
            full, rest = divmod(count, size)
            if full:
                units += [size] * full
                ids[at : at + full * size].reshape(full, size)[:] = np.arange(offset, offset + size)
                at += full * size
            if rest:
                units.append(rest)
                ids[at : at + rest] = np.sort(rng.choice(size, rest, replace=False)) + offset
                at += rest
    return np.array(units, np.int64), ids


def _draws(spec: OrderSpec, epoch: int, stream: int) -> list[tuple[int, int, int]]:
    """Return size, samples to draw and first id of every shard of a stream that is not empty."""
    shards = slice(*spec.shard_offset_per_stream[stream : stream + 2].tolist())
    sizes = spec.samples_per_shard[shards]
    counts = get_sampling(
        sizes,
        int(spec.choose[stream]),
        spec.sampling_granularity,
        spec.shuffle_seed,
        epoch,
        spec.epoch_seed_change,
    )
    some = sizes > 0
    offsets = spec.sample_offset_per_shard[:-1][shards]
    return list(zip(sizes[some].tolist(), counts[some].tolist(), offsets[some].tolist(), strict=True))
