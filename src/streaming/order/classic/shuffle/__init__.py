"""The shuffles of the original library: from sizes of shard runs to an order of places."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streaming.order.registry import shuffle_algos

__all__ = ["get_shuffle"]


def get_shuffle(
    algo: str,
    shard_sizes: NDArray[np.int64],
    num_canonical_nodes: int,
    seed: int,
    epoch: int,
    block_size: int = 1 << 18,
) -> NDArray[np.int64]:
    """Return the order in which the places of an epoch are served.

    The shuffles are those of mosaicml-streaming 0.13, which describes them at
    https://docs.mosaicml.com/projects/streaming/en/stable/dataset_configuration/shuffling.html.

    Args:
        algo: Name of the shuffle.
        shard_sizes: ``int64[U]``, sizes of the runs.
        num_canonical_nodes: Parts of the dataset, at least 1.
        seed: Seed of the order, at least 0.
        epoch: The epoch, at least 0.
        block_size: Samples among which a sample is shuffled, by ``py1br`` and ``py1e``.

    Returns:
        ``int64[N]``, a permutation of the places.

    Raises:
        UnknownNameError: No such shuffle.
        ConfigError: The numbers do not fit the algorithm.
    """
    shuffle = shuffle_algos[algo]
    order = shuffle(np.asarray(shard_sizes, np.int64), num_canonical_nodes, seed, epoch, block_size)
    return order.astype(np.int64, copy=False)
