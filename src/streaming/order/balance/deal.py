"""Who gets what in a window: a pure function of what its samples cost.

Legend: M batches of a window, B samples of a global batch, P nodes, R ranks of a node.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["deal", "gather"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def gather(costs: Floats, classes: Ints | None, batches: int, turn: Ints) -> Ints:
    """Gather what costs alike into the same batch.

    Args:
        costs: ``float64[M * B]``, of the samples at the positions of the window.
        classes: ``int64[M * B]``, a class for each position: a sample stays at positions of its own; ``None``: all are of
            one.
        batches: M.
        turn: ``int64[M]``, how heavy each batch is to be among them: 0 for the lightest.

    Returns:
        ``int64[M * B]``, which of the positions each position takes its sample from.
    """
    count = len(costs)
    heaviness = np.repeat(turn, count // batches)
    if classes is None:
        items, slots = np.argsort(costs, kind="stable"), np.argsort(heaviness, kind="stable")
    else:
        items, slots = np.lexsort((costs, classes)), np.lexsort((heaviness, classes))
    source = np.empty(count, np.int64)
    source[slots] = items
    return source


def deal(costs: Floats, num_ranks: int) -> Ints:
    """Deal a batch over ranks: the heaviest that is left goes to who has least, each getting as many.

    Args:
        costs: ``float64[M, b * ranks]``, of the samples of each batch.
        num_ranks: Ranks.

    Returns:
        ``int64[M, b * ranks]``, which sample is at each place; place ``k * ranks + r`` is rank r's.
    """
    batches, count = costs.shape
    heavy = np.argsort(-costs, axis=1, kind="stable").reshape(batches, count // num_ranks, num_ranks)
    places = np.empty_like(heavy)
    loads = np.zeros((batches, num_ranks))
    for turn in range(heavy.shape[1]):
        least = np.argsort(loads, axis=1, kind="stable")
        np.put_along_axis(places[:, turn], least, heavy[:, turn], 1)
        loads += np.take_along_axis(costs, places[:, turn], 1)
    return places.reshape(batches, count)
