"""How many samples an epoch draws from each shard of a stream."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError

__all__ = ["get_sampling"]


def get_sampling(
    samples_per_shard: NDArray[np.int64],
    choose: int,
    granularity: int,
    seed: int,
    epoch: int,
    use_epoch: bool,
) -> NDArray[np.int64]:
    """Spread the samples that an epoch draws from a stream over its shards.

    Whole passes draw every sample; the rest comes in picks of ``granularity`` samples in a random order of picks.

    Args:
        samples_per_shard: ``int64[S]``, sizes of the stream's shards.
        choose: Samples to draw.
        granularity: Samples of a pick.
        seed: Seed of the order.
        epoch: The epoch.
        use_epoch: Whether the picks change from epoch to epoch.

    Returns:
        ``int64[S]``, samples to draw from each shard.

    Raises:
        ConfigError: A number is out of range.
    """
    for name, value, least in (
        ("choose", choose, 0),
        ("seed", seed, 0),
        ("epoch", epoch, 0),
        ("granularity", granularity, 1),
    ):
        if value < least:
            raise ConfigError(f"{name} must be at least {least}, got {value}.")
    total = int(samples_per_shard.sum())
    if not total:
        raise ConfigError("A stream without samples cannot be drawn from.")
    if choose % total == 0:
        return samples_per_shard * (choose // total)
    passes, remaining = divmod(choose, total)
    picks = -(-samples_per_shard // granularity)
    ends = np.cumsum(picks)
    sizes = np.full(int(ends[-1]), granularity, np.int64)
    partial = picks > 0
    sizes[ends[partial] - 1] = (samples_per_shard - (picks - 1) * granularity)[partial]
    order = np.random.default_rng(seed + epoch if use_epoch else seed).permutation(len(sizes))
    taken = sizes[order]
    before = np.cumsum(taken) - taken
    taken = np.clip(remaining - before, 0, taken)
    shard_of_pick = np.repeat(np.arange(len(picks)), picks)
    drawn = np.bincount(shard_of_pick[order], weights=taken, minlength=len(picks))
    return samples_per_shard * passes + drawn.astype(np.int64)
