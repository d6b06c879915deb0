"""Sort by floats, fast and the same on every processor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["stable_order"]

#: Keys compared with their neighbours at a time.
_BLOCK = 1 << 18


def stable_order(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return what ``np.argsort(values, kind="stable")`` does, in a fraction of its time if values are spread evenly.

    NumPy sorts integers several times faster than it finds the order of floats, so the leading bits of each value are put
    in one integer with its index. Where the leading bits of neighbours are equal, the values themselves decide.

    Args:
        values: ``float64[N]``, finite.
    """
    count = len(values)
    if count < 2:
        return np.arange(count)
    low = values.min()
    width = values.max() - low
    index_bits = count.bit_length()
    scale = 2.0 ** (62 - index_bits - int(np.frexp(max(width, 1.0))[1]))
    # Every step keeps the order of values, even where it rounds.
    keys = ((values - low) * scale).astype(np.int64)
    keys <<= index_bits
    keys |= np.arange(count)
    keys.sort()
    alike = _alike(keys, index_bits)
    if len(alike) > count // 1000 + 8:
        return np.argsort(values, kind="stable")
    keys &= (1 << index_bits) - 1
    for first, last in _runs(alike):
        run = keys[first : last + 1]
        run[:] = run[np.argsort(values[run], kind="stable")]
    return keys


def _alike(keys: NDArray[np.int64], index_bits: int) -> NDArray[np.int64]:
    """Return the places whose key equals the next one but for the index."""
    found: list[NDArray[np.int64]] = []
    for start in range(0, len(keys), _BLOCK):
        leading = keys[start : start + _BLOCK + 1] >> index_bits
        found.append(start + np.flatnonzero(leading[1:] == leading[:-1]))
    return np.concatenate(found)


def _runs(alike: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return first and last place of every run of keys that are alike."""
    breaks = np.flatnonzero(np.diff(alike) > 1) + 1
    return [(int(run[0]), int(run[-1]) + 1) for run in np.split(alike, breaks) if len(run)]
