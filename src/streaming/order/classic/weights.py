"""How many samples an epoch draws from each stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError

__all__ = ["StreamWeights", "resolve_weights"]

#: Samples of an epoch that positions, and products with them, have room for.
_MOST = 1 << 60


@dataclass(frozen=True, eq=False)
class StreamWeights:
    """What an epoch draws. Legend: K streams.

    Attributes:
        proportion: ``float64[K]``, share of the epoch, summing to 1.
        repeat: ``float64[K]``, draws of each sample.
        choose: ``int64[K]``, samples drawn.
        epoch_size: Samples drawn over all streams.
    """

    proportion: NDArray[np.float64]
    repeat: NDArray[np.float64]
    choose: NDArray[np.int64]
    epoch_size: int


def resolve_weights(
    samples_per_stream: NDArray[np.int64],
    *,
    proportions: Sequence[float | None],
    repeats: Sequence[float | None],
    chooses: Sequence[int | None],
    epoch_size: int | None,
    seed: int,
) -> StreamWeights:
    """Turn the streams' weights into numbers of samples.

    Streams are weighted relatively (``proportion``, all of them) or absolutely (``repeat``, ``choose`` or nothing, which is
    every sample once). With relative weights, or none at all, ``epoch_size`` sets the total; samples that rounding leaves
    over go to streams drawn by ``seed``.

    Args:
        samples_per_stream: ``int64[K]``, sizes of the streams.
        proportions: Share of each stream, or ``None``.
        repeats: Draws of each sample, or ``None``.
        chooses: Samples drawn, or ``None``.
        epoch_size: Samples drawn over all streams, or ``None``.
        seed: Seed of the order.

    Raises:
        ConfigError: The weights contradict each other or ``epoch_size``.
    """
    _check(proportions, repeats, chooses, epoch_size)
    sizes = samples_per_stream.astype(np.int64)
    unspecified = all(value is None for value in (*proportions, *repeats, *chooses))
    if any(p is not None for p in proportions):
        shares = np.array([float(p or 0.0) for p in proportions], np.float64)
        if not shares.sum() > 0:
            raise ConfigError("At least one stream needs a positive proportion.")
        shares = shares / shares.sum()
        choose = _apportion(shares, int(sizes.sum()) if epoch_size is None else epoch_size, seed)
    elif unspecified and epoch_size is not None:
        shares = sizes / sizes.sum()
        choose = _apportion(shares, epoch_size, seed)
    else:
        if epoch_size is not None:
            raise ConfigError(
                "epoch_size cannot be combined with repeat or choose, which already say how much an epoch draws. Leave it "
                "out, or weight the streams by proportion."
            )
        counts = [
            int(r * n) if r is not None else int(c) if c is not None else int(n)
            for r, c, n in zip(repeats, chooses, sizes.tolist(), strict=True)
        ]
        total = sum(counts)
        if not total:
            raise ConfigError("An epoch would hold no samples: every stream's weight is 0.")
        if total > _MOST:
            raise ConfigError(f"An epoch would hold {total} samples, more than {_MOST}: give less repeat or choose.")
        choose = np.array(counts, np.int64)
        shares = choose / total
    return StreamWeights(shares, choose / np.maximum(sizes, 1), choose, int(choose.sum()))


def _check(
    proportions: Sequence[float | None],
    repeats: Sequence[float | None],
    chooses: Sequence[int | None],
    epoch_size: int | None,
) -> None:
    if epoch_size is not None and epoch_size < 1:
        raise ConfigError(f"epoch_size must be positive, got {epoch_size}.")
    if epoch_size is not None and epoch_size > _MOST:
        raise ConfigError(f"epoch_size must be at most {_MOST}, got {epoch_size}.")
    for i, values in enumerate(zip(proportions, repeats, chooses, strict=True)):
        given = [(k, v) for k, v in zip(("proportion", "repeat", "choose"), values, strict=True) if v is not None]
        if len(given) > 1:
            raise ConfigError(f"Stream {i} has {' and '.join(name for name, _ in given)}; give at most one of them.")
        for name, value in given:
            if not 0 <= value < np.inf:
                raise ConfigError(f"Stream {i} has {name}={value}; it must be a number from 0.")
    without = [i for i, p in enumerate(proportions) if p is None]
    if 0 < len(without) < len(proportions):
        raise ConfigError(
            "Either all streams have a proportion or none has: relative and absolute weights do not mix. Streams without: "
            f"{without}."
        )


def _apportion(shares: NDArray[np.float64], total: int, seed: int) -> NDArray[np.int64]:
    choose = (total * shares).astype(np.int64)
    shortfall = total - int(choose.sum())
    # Drawn even when nothing is left over, as the original does; the generator serves nothing else.
    extra = np.random.default_rng(seed).choice(len(shares), shortfall, replace=False)
    choose[extra] += 1
    return choose
