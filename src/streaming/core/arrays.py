"""Small operations on arrays that every layer needs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["distinct"]


def distinct(values: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the different values in ascending order, and where each comes first.

    The same as :func:`numpy.unique` with ``return_index``, which imports masked arrays on first use; a program that
    starts would wait for them.

    Args:
        values: ``int64[n]``.

    Returns:
        ``int64[m]`` values, and ``int64[m]`` indexes.
    """
    order = values.argsort(kind="stable")
    ordered = values[order]
    is_first = np.ones(len(values), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=is_first[1:])
    return ordered[is_first], order[is_first]
