"""Whole-number arithmetic on arrays whose products do not fit 64 bits, and small helpers for ragged arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_SAMPLES", "bit_length", "mul_div", "offsets", "ragged_arange", "striped"]

#: Samples that an epoch may hold. Up to here ``mul_div`` is exact.
MAX_SAMPLES = 1 << 50

_Ints = NDArray[np.int64]
_POWERS = np.int64(1) << np.arange(62, dtype=np.int64)


def mul_div(x: _Ints, factor: _Ints, divisor: _Ints, plus: _Ints | int = 0) -> tuple[_Ints, _Ints]:
    """Return quotient and remainder of ``(x * factor + plus) / divisor``, exactly.

    Floating point finds the quotient up to one; the remainder, taken modulo 2^64, then tells which it is.

    Args:
        x: ``int64[I]``, at least 0.
        factor: ``int64[I]`` or ``int64[1]``, at least 0.
        divisor: Likewise, in ``[1, 2^61)``.
        plus: Likewise, between ``-divisor`` and ``divisor``.

    Returns:
        Floor quotient, which must be below ``2^50``, and remainder in ``[0, divisor)``.
    """
    estimate = (x.astype(np.float64) * factor + plus) / divisor
    quotient = np.floor(estimate).astype(np.int64)
    remainder = x * factor + plus - quotient * divisor
    quotient -= remainder < 0
    remainder += np.where(remainder < 0, divisor, 0)
    high = remainder >= divisor
    quotient += high
    remainder -= np.where(high, divisor, 0)
    return quotient, remainder


def bit_length(x: _Ints) -> _Ints:
    """Return the number of binary digits of each ``x``, 0 for 0."""
    return np.searchsorted(_POWERS, x, side="right").astype(np.int64)


def offsets(counts: _Ints) -> _Ints:
    """Return ``int64[G + 1]``: where each of ``G`` runs of ``counts`` elements begins, and their total."""
    out = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=out[1:])
    return out


def ragged_arange(counts: _Ints) -> tuple[_Ints, _Ints]:
    """Return the run of each element of ``G`` runs of ``counts`` elements, and its index within the run."""
    group = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    return group, np.arange(len(group), dtype=np.int64) - offsets(counts)[group]


def striped(length: _Ints, columns: int, column: _Ints) -> _Ints:
    """Return how many of the first ``length`` numbers are less than ``column`` modulo ``columns``."""
    rows, rest = np.divmod(length, columns)
    return rows * column + np.minimum(rest, column)
