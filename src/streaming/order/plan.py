"""One way to ask any order for the sample ids of a worker."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streaming.order.classic.batching import generate_work
from streaming.order.classic.epoch import ClassicEpoch
from streaming.order.spec import Layout, OrderSpec

__all__ = ["WorkerIds", "order_version", "worker_ids"]

_VERSIONS = {"lanes": 1}


class WorkerIds(Protocol):
    """The sample ids of one worker in one epoch."""

    def __len__(self) -> int:
        """Return the number of slots, padding included."""
        ...

    def ids(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return the sample ids of slots ``[start, stop)``, -1 for padding."""
        ...


class _Listed:
    """Sample ids that lie in an array."""

    def __init__(self, ids: NDArray[np.int64]) -> None:
        self._ids = ids

    def __len__(self) -> int:
        return len(self._ids)

    def ids(self, start: int, stop: int) -> NDArray[np.int64]:
        return self._ids[start:stop]


def order_version(algo: str) -> int:
    """Return the version of an order: orders are frozen once released, so classic ones have only one."""
    return _VERSIONS.get(algo, 1)


def worker_ids(
    spec: OrderSpec,
    epoch: int,
    layout: Layout,
    node: int,
    rank_of_node: int,
    worker_of_rank: int,
    sample_in_epoch: int,
) -> WorkerIds:
    """Return the sample ids of one worker, from where an epoch is resumed.

    Args:
        spec: The order.
        epoch: The epoch.
        layout: Nodes, ranks and workers.
        node: This worker's node.
        rank_of_node: Its rank in the node.
        worker_of_rank: Its place among the rank's workers.
        sample_in_epoch: Samples of the epoch already consumed over all ranks.

    Raises:
        ConfigError: The layout does not fit the order.
    """
    if spec.batching_method == "random":
        return ClassicEpoch(spec, epoch).worker_ids(layout, node, rank_of_node, worker_of_rank, sample_in_epoch)
    work = generate_work(spec, layout, epoch, sample_in_epoch)
    return _Listed(work[node, rank_of_node, worker_of_rank].reshape(-1))
